/*
 * rnn_layer: one recurrent layer on the program's own OpenCL context and queue, forward and backward, and its speed.
 *
 * What a program does that has OpenCL code of its own: it wraps its queue, makes a plan, allocates what the plan asks
 * for, and enqueues passes between its own commands. Prints how the layer is run, the time of a pass and the share
 * of each kernel.
 */
#include <clseq/clseq.h>

#include "common/options.h"
#include "common/program.h"

#include <stdio.h>
#include <stdlib.h>

static struct {
    const char *device;
    clseq_cell cell;
    uint64_t seed;
    int64_t T, B, input, hidden, layers, projection, passes;
    bool bidirectional, layer_norm;
} o = {.cell = CLSEQ_CELL_GRU,
       .seed = 1,
       .T = 100,
       .B = 64,
       .input = 256,
       .hidden = 256,
       .layers = 1,
       .passes = 20};

static setting table[] = {
    SETTING_TEXT("device", &o.device, PASSES, "SEL",
                 "OpenCL device, platform:device (see the sample `devices`)", .letter = 'd'),
    SETTING_SEED("seed", &o.seed, PASSES, "N", "of weights and inputs", .letter = 's'),
    SETTING_CELL("cell", &o.cell, PASSES, "NAME", "recurrent cell", .letter = 'c'),
    SETTING_WHOLE("steps", &o.T, 1, 1e6, PASSES, "T", "time steps", .letter = 'T'),
    SETTING_WHOLE("batch", &o.B, 1, 1e6, PASSES, "B", "batch rows", .letter = 'B'),
    SETTING_WHOLE("input", &o.input, 1, 1e6, PASSES, "I", "input features", .letter = 'I'),
    SETTING_WHOLE("hidden", &o.hidden, 1, 1e6, PASSES, "H", "hidden units", .letter = 'H'),
    SETTING_WHOLE("layers", &o.layers, 1, 1000, PASSES, "L", "layers", .letter = 'L'),
    SETTING_WHOLE("projection", &o.projection, 0, 1e6, PASSES, "P", "size that h is projected to; 0: none",
                  .letter = 'P'),
    SETTING_FLAG("bidirectional", &o.bidirectional, PASSES, "both directions", .letter = 'b'),
    SETTING_FLAG("layer-norm", &o.layer_norm, PASSES, "layer normalisation", .letter = 'N'),
    SETTING_WHOLE("passes", &o.passes, 1, 1e9, PASSES, "N", "passes to be timed", .letter = 'n'),
};

typedef struct {
    clseq_context *ctx;
    clseq_rnn_plan *plan;
    clseq_rnn_shape shape;
    clseq_rnn_sizes sizes;
    clseq_rnn_buffers buffers;
    clseq_tensor *weights, *dweights;
    clseq_tensor x, y, dx, dy;
    uint64_t seed, stream;
} layer;

static void check_cl(cl_int code, const char *call)
{
    if (code != CL_SUCCESS)
        fail("%s failed with code %d", call, (int)code);
}

/* A tensor of random numbers within -scale .. scale. */
static clseq_tensor random_tensor(layer *l, int ndim, const int64_t *dims, double scale)
{
    clseq_tensor tensor;
    check(clseq_tensor_create(l->ctx, CLSEQ_DTYPE_F32, ndim, dims, &tensor));
    int64_t n = clseq_tensor_elements(&tensor);
    float *values = allocate((size_t)n * sizeof *values);
    for (int64_t i = 0; i < n; i++)
        values[i] = (float)(scale * (2 * clseq_random(l->seed, l->stream, (uint64_t)i) - 1));
    l->stream++;
    check(clseq_tensor_write(l->ctx, &tensor, values));
    free(values);
    return tensor;
}

/* What the plan says that it has, and room for the gradients. */
static void make_weights(layer *l)
{
    const int64_t count = clseq_rnn_weight_count(l->plan);
    l->weights = allocate((size_t)count * sizeof *l->weights);
    l->dweights = allocate((size_t)count * sizeof *l->dweights);
    for (int64_t i = 0; i < count; i++) {
        clseq_rnn_weight weight;
        check(clseq_rnn_weight_info(l->plan, i, &weight));
        l->weights[i] = random_tensor(l, weight.ndim, weight.dims, 0.05);
        l->dweights[i] = random_tensor(l, weight.ndim, weight.dims, 0.05);
    }
}

static void make_layer(layer *l)
{
    const clseq_rnn_desc desc = {.cell = o.cell,
                                 .input = o.input,
                                 .hidden = o.hidden,
                                 .layers = o.layers,
                                 .direction = o.bidirectional ? CLSEQ_DIRECTION_BIDIRECTIONAL
                                                              : CLSEQ_DIRECTION_FORWARD,
                                 .projection = o.projection,
                                 .layer_norm = o.layer_norm};
    l->shape = (clseq_rnn_shape){.T = o.T, .B = o.B, .mode = CLSEQ_MODE_TRAINING};
    l->seed = o.seed;
    check(clseq_rnn_plan_create(l->ctx, &desc, &l->plan));
    check(clseq_rnn_plan_sizes(l->plan, &l->shape, &l->sizes));
    check(clseq_rnn_buffers_create(l->plan, &l->shape, &l->buffers));
    make_weights(l);
    const int64_t features = clseq_rnn_output_size(l->plan);
    l->x = random_tensor(l, 3, (int64_t[]){o.T, o.B, o.input}, 1);
    l->y = random_tensor(l, 3, (int64_t[]){o.T, o.B, features}, 1);
    l->dx = random_tensor(l, 3, (int64_t[]){o.T, o.B, o.input}, 1);
    l->dy = random_tensor(l, 3, (int64_t[]){o.T, o.B, features}, 1);
}

/* Forward and backward with all gradients. Nothing waits. */
static void pass(layer *l)
{
    check(clseq_rnn_pack(l->plan, &l->shape, l->weights, &l->buffers.packed));
    check(clseq_rnn_forward(l->plan, &l->shape,
                            &(clseq_rnn_forward_args){.packed = l->buffers.packed,
                                                      .x = l->x,
                                                      .y = l->y,
                                                      .reserve = l->buffers.reserve,
                                                      .workspace = l->buffers.workspace}));
    check(clseq_rnn_backward(l->plan, &l->shape,
                             &(clseq_rnn_backward_args){.packed = l->buffers.packed,
                                                        .x = l->x,
                                                        .dy = l->dy,
                                                        .dx = l->dx,
                                                        .dweights = l->dweights,
                                                        .overwrite = true,
                                                        .reserve = l->buffers.reserve,
                                                        .workspace = l->buffers.workspace}));
}

static void measure(layer *l, int64_t passes)
{
    char text[4096];
    check(clseq_rnn_describe(l->plan, &l->shape, text, sizeof text));
    printf("%s\n", text);
    pass(l); /* compiles what is compiled at the first launch */
    check(clseq_context_profile_reset(l->ctx));
    double begin = now();
    for (int64_t i = 0; i < passes; i++)
        pass(l);
    check(clseq_context_finish(l->ctx));
    double seconds = (now() - begin) / (double)passes;
    printf("forward and backward: %.3f ms, %.1f GFLOP/s\n\n", seconds * 1e3,
           3e-9 * l->sizes.flop_forward / seconds);
    check(clseq_context_profile_text(l->ctx, text, sizeof text));
    printf("%s", text);
}

static void drop_layer(layer *l)
{
    clseq_tensor *own[] = {&l->x, &l->y, &l->dx, &l->dy};
    for (int64_t i = 0; i < clseq_rnn_weight_count(l->plan); i++) {
        clseq_tensor_destroy(l->ctx, &l->weights[i]);
        clseq_tensor_destroy(l->ctx, &l->dweights[i]);
    }
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        clseq_tensor_destroy(l->ctx, own[i]);
    clseq_rnn_buffers_destroy(l->plan, &l->buffers);
    clseq_rnn_plan_destroy(l->plan);
    free(l->weights);
    free(l->dweights);
}

int main(int argc, char **argv)
{
    clseq_device_info device;
    cl_int code = CL_SUCCESS;
    layer l = {0};
    program_begin(argv[0]);
    parse_options(argc, argv, "Runs a recurrent layer on a queue of the program's own.", table,
                  COUNT_OF(table));
    check(clseq_device_find(o.device, &device));
    cl_context context = clCreateContext(NULL, 1, &device.device, NULL, NULL, &code);
    check_cl(code, "clCreateContext");
    cl_command_queue queue = clCreateCommandQueue(context, device.device, CL_QUEUE_PROFILING_ENABLE, &code);
    check_cl(code, "clCreateCommandQueue");
    check(clseq_context_wrap(context, queue, &(clseq_context_desc){.profile = true}, &l.ctx));
    printf("%s\n", device.name);
    make_layer(&l);
    measure(&l, o.passes);
    drop_layer(&l);
    clseq_context_destroy(l.ctx);
    clReleaseCommandQueue(queue);
    clReleaseContext(context);
    return EXIT_SUCCESS;
}
