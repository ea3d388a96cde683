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
    long long T, B, input, hidden, layers, projection, passes;
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
    {"device", SETTING_TEXT, &o.device, 0, 0, "SEL",
     "OpenCL device, platform:device (see the sample `devices`)", .letter = 'd'},
    {"seed", SETTING_SEED, &o.seed, 0, 0, "N", "of weights and inputs (1)", .letter = 's'},
    {"cell", SETTING_CELL, &o.cell, 0, 0, "NAME", "recurrent cell (gru)", .letter = 'c'},
    {"steps", SETTING_WHOLE, &o.T, 1, 1e6, "T", "time steps (100)", .letter = 'T'},
    {"batch", SETTING_WHOLE, &o.B, 1, 1e6, "B", "batch rows (64)", .letter = 'B'},
    {"input", SETTING_WHOLE, &o.input, 1, 1e6, "I", "input features (256)", .letter = 'I'},
    {"hidden", SETTING_WHOLE, &o.hidden, 1, 1e6, "H", "hidden units (256)", .letter = 'H'},
    {"layers", SETTING_WHOLE, &o.layers, 1, 1000, "L", "layers (1)", .letter = 'L'},
    {"projection", SETTING_WHOLE, &o.projection, 0, 1e6, "P", "size that h is projected to; 0: none (0)",
     .letter = 'P'},
    {"bidirectional", SETTING_FLAG, &o.bidirectional, 0, 0, NULL, "both directions", .letter = 'b'},
    {"layer-norm", SETTING_FLAG, &o.layer_norm, 0, 0, NULL, "layer normalisation", .letter = 'N'},
    {"passes", SETTING_WHOLE, &o.passes, 1, 1e9, "N", "passes to be timed (20)", .letter = 'n'},
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

static void measure(layer *l, long long passes)
{
    char text[4096];
    check(clseq_rnn_describe(l->plan, &l->shape, text, sizeof text));
    printf("%s\n", text);
    pass(l); /* compiles what is compiled at the first launch */
    check(clseq_context_profile_reset(l->ctx));
    double begin = now();
    for (long long i = 0; i < passes; i++)
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
