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
    long long T, B, input, hidden, layers, passes;
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
    {"cell", SETTING_CELL, &o.cell, 0, 0, "NAME", "lstm, gru, rnn_tanh or rnn_relu (gru)", .letter = 'c'},
    {"steps", SETTING_WHOLE, &o.T, 1, 1e6, "T", "time steps (100)", .letter = 'T'},
    {"batch", SETTING_WHOLE, &o.B, 1, 1e6, "B", "batch rows (64)", .letter = 'B'},
    {"input", SETTING_WHOLE, &o.input, 1, 1e6, "I", "input features (256)", .letter = 'I'},
    {"hidden", SETTING_WHOLE, &o.hidden, 1, 1e6, "H", "hidden units (256)", .letter = 'H'},
    {"layers", SETTING_WHOLE, &o.layers, 1, 1000, "L", "layers (1)", .letter = 'L'},
    {"passes", SETTING_WHOLE, &o.passes, 1, 1e9, "N", "passes to be timed (20)", .letter = 'n'},
};

typedef struct {
    clseq_context *ctx;
    clseq_rnn_plan *plan;
    clseq_rnn_shape shape;
    clseq_rnn_sizes sizes;
    clseq_rnn_weights *weights, *dweights;
    clseq_tensor x, y, dx, dy, packed, reserve, workspace;
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

static void make_weights(layer *l, const clseq_rnn_desc *desc)
{
    const int64_t rows = clseq_cell_gates(desc->cell) * desc->hidden;
    l->weights = allocate((size_t)desc->layers * sizeof *l->weights);
    l->dweights = allocate((size_t)desc->layers * sizeof *l->dweights);
    for (int64_t k = 0; k < desc->layers; k++) {
        const int64_t in = k == 0 ? desc->input : desc->hidden;
        for (int gradient = 0; gradient < 2; gradient++)
            (gradient ? l->dweights : l->weights)[k] =
                (clseq_rnn_weights){.w_ih = random_tensor(l, 2, (int64_t[]){rows, in}, 0.05),
                                    .w_hh = random_tensor(l, 2, (int64_t[]){rows, desc->hidden}, 0.05),
                                    .b_ih = random_tensor(l, 1, &rows, 0.05),
                                    .b_hh = random_tensor(l, 1, &rows, 0.05)};
    }
}

static void make_layer(layer *l)
{
    const clseq_rnn_desc desc = {.cell = o.cell, .input = o.input, .hidden = o.hidden, .layers = o.layers};
    l->shape = (clseq_rnn_shape){.T = o.T, .B = o.B, .mode = CLSEQ_MODE_TRAINING};
    l->seed = o.seed;
    check(clseq_rnn_plan_create(l->ctx, &desc, &l->plan));
    check(clseq_rnn_plan_sizes(l->plan, &l->shape, &l->sizes));
    check(clseq_tensor_create(l->ctx, CLSEQ_DTYPE_F32, 1, &l->sizes.packed, &l->packed));
    check(clseq_tensor_create(l->ctx, CLSEQ_DTYPE_F32, 1, &l->sizes.reserve, &l->reserve));
    check(clseq_tensor_create(l->ctx, CLSEQ_DTYPE_F32, 1, &l->sizes.workspace, &l->workspace));
    make_weights(l, &desc);
    l->x = random_tensor(l, 3, (int64_t[]){o.T, o.B, o.input}, 1);
    l->y = random_tensor(l, 3, (int64_t[]){o.T, o.B, o.hidden}, 1);
    l->dx = random_tensor(l, 3, (int64_t[]){o.T, o.B, o.input}, 1);
    l->dy = random_tensor(l, 3, (int64_t[]){o.T, o.B, o.hidden}, 1);
}

/* Forward and backward with all gradients. Nothing waits. */
static void pass(layer *l)
{
    check(clseq_rnn_pack(l->plan, &l->shape, l->weights, &l->packed));
    check(clseq_rnn_forward(
        l->plan, &l->shape,
        &(clseq_rnn_forward_args){
            .packed = l->packed, .x = l->x, .y = l->y, .reserve = l->reserve, .workspace = l->workspace}));
    check(clseq_rnn_backward(l->plan, &l->shape,
                             &(clseq_rnn_backward_args){.packed = l->packed,
                                                        .x = l->x,
                                                        .dy = l->dy,
                                                        .dx = l->dx,
                                                        .dweights = l->dweights,
                                                        .overwrite = true,
                                                        .reserve = l->reserve,
                                                        .workspace = l->workspace}));
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

static void drop_weights(layer *l, clseq_rnn_weights *weights, long long layers)
{
    for (long long k = 0; k < layers; k++) {
        clseq_tensor_destroy(l->ctx, &weights[k].w_ih);
        clseq_tensor_destroy(l->ctx, &weights[k].w_hh);
        clseq_tensor_destroy(l->ctx, &weights[k].b_ih);
        clseq_tensor_destroy(l->ctx, &weights[k].b_hh);
    }
    free(weights);
}

static void drop_layer(layer *l, long long layers)
{
    clseq_tensor *own[] = {&l->x, &l->y, &l->dx, &l->dy, &l->packed, &l->reserve, &l->workspace};
    clseq_rnn_plan_destroy(l->plan);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        clseq_tensor_destroy(l->ctx, own[i]);
    drop_weights(l, l->weights, layers);
    drop_weights(l, l->dweights, layers);
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
    drop_layer(&l, o.layers);
    clseq_context_destroy(l.ctx);
    clReleaseCommandQueue(queue);
    clReleaseContext(context);
    return EXIT_SUCCESS;
}
