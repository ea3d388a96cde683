/*
 * rnn_layer: one recurrent layer on the program's own OpenCL context and queue, forward and backward, and its speed.
 *
 * What a program does that has OpenCL code of its own: it wraps its queue, makes a plan, allocates what the plan asks
 * for, and enqueues passes between its own commands. Prints how the layer is run, the time of a pass and the share
 * of each kernel.
 */
#include <clseq/clseq.h>

#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct {
    const char *device, *cell;
    unsigned long long seed;
    long long T, B, input, hidden, layers, passes;
} options;

typedef struct {
    clseq_context *ctx;
    clseq_rnn_plan *plan;
    clseq_rnn_shape shape;
    clseq_rnn_sizes sizes;
    clseq_rnn_weights *weights, *dweights;
    clseq_tensor x, y, dx, dy, packed, reserve, workspace;
    uint64_t seed, stream;
} layer;

static const struct argp_option option_list[] = {
    {"device", 'd', "SEL", 0, "OpenCL device, platform:device (see the sample `devices`)", 0},
    {"seed", 's', "N", 0, "of weights and inputs (1)", 0},
    {"cell", 'c', "NAME", 0, "lstm, gru, rnn_tanh or rnn_relu (gru)", 0},
    {"steps", 'T', "T", 0, "time steps (100)", 0},
    {"batch", 'B', "B", 0, "batch rows (64)", 0},
    {"input", 'I', "I", 0, "input features (256)", 0},
    {"hidden", 'H', "H", 0, "hidden units (256)", 0},
    {"layers", 'L', "L", 0, "layers (1)", 0},
    {"passes", 'n', "N", 0, "passes to be timed (20)", 0},
    {0}};

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    options *o = state->input;
    const struct {
        int key;
        long long *value;
    } sizes[] = {{'T', &o->T},      {'B', &o->B},      {'I', &o->input},
                 {'H', &o->hidden}, {'L', &o->layers}, {'n', &o->passes}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (sizes[i].key == key) {
            *sizes[i].value = atoll(text);
            if (*sizes[i].value < 1)
                argp_error(state, "-%c %s: expected a whole number of at least 1", key, text);
            return 0;
        }
    if (key == 'd')
        o->device = text;
    else if (key == 'c')
        o->cell = text;
    else if (key == 's')
        o->seed = strtoull(text, NULL, 10);
    else
        return ARGP_ERR_UNKNOWN;
    return 0;
}

static void check(clseq_status status)
{
    if (status == CLSEQ_OK)
        return;
    fprintf(stderr, "rnn_layer: %s\n", clseq_last_error());
    exit(EXIT_FAILURE);
}

static void check_cl(cl_int code, const char *call)
{
    if (code == CL_SUCCESS)
        return;
    fprintf(stderr, "rnn_layer: %s failed with code %d\n", call, (int)code);
    exit(EXIT_FAILURE);
}

static clseq_cell cell_of(const char *name)
{
    for (int cell = 0; cell < CLSEQ_CELL_COUNT; cell++)
        if (strcmp(clseq_cell_name((clseq_cell)cell), name) == 0)
            return (clseq_cell)cell;
    fprintf(stderr, "rnn_layer: no cell is called %s\n", name);
    exit(EXIT_FAILURE);
}

/* A tensor of random numbers within -scale .. scale. */
static clseq_tensor random_tensor(layer *l, int ndim, const int64_t *dims, double scale)
{
    clseq_tensor tensor;
    check(clseq_tensor_create(l->ctx, CLSEQ_F32, ndim, dims, &tensor));
    int64_t n = clseq_tensor_elements(&tensor);
    float *values = malloc((size_t)n * sizeof *values);
    if (!values) {
        fprintf(stderr, "rnn_layer: no memory left\n");
        exit(EXIT_FAILURE);
    }
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
    l->weights = calloc((size_t)desc->layers, sizeof *l->weights);
    l->dweights = calloc((size_t)desc->layers, sizeof *l->dweights);
    if (!l->weights || !l->dweights) {
        fprintf(stderr, "rnn_layer: no memory left\n");
        exit(EXIT_FAILURE);
    }
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

static void make_layer(layer *l, const options *o)
{
    const clseq_rnn_desc desc = {
        .cell = cell_of(o->cell), .input = o->input, .hidden = o->hidden, .layers = o->layers};
    l->shape = (clseq_rnn_shape){.T = o->T, .B = o->B, .mode = CLSEQ_TRAINING};
    l->seed = o->seed;
    check(clseq_rnn_plan_create(l->ctx, &desc, &l->plan));
    check(clseq_rnn_plan_sizes(l->plan, &l->shape, &l->sizes));
    check(clseq_tensor_create(l->ctx, CLSEQ_F32, 1, &l->sizes.packed, &l->packed));
    check(clseq_tensor_create(l->ctx, CLSEQ_F32, 1, &l->sizes.reserve, &l->reserve));
    check(clseq_tensor_create(l->ctx, CLSEQ_F32, 1, &l->sizes.workspace, &l->workspace));
    make_weights(l, &desc);
    l->x = random_tensor(l, 3, (int64_t[]){o->T, o->B, o->input}, 1);
    l->y = random_tensor(l, 3, (int64_t[]){o->T, o->B, o->hidden}, 1);
    l->dx = random_tensor(l, 3, (int64_t[]){o->T, o->B, o->input}, 1);
    l->dy = random_tensor(l, 3, (int64_t[]){o->T, o->B, o->hidden}, 1);
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

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
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
    options o = {
        .cell = "gru", .seed = 1, .T = 100, .B = 64, .input = 256, .hidden = 256, .layers = 1, .passes = 20};
    const struct argp parser = {
        option_list, parse_option, NULL, "Runs a recurrent layer on a queue of the program's own.",
        NULL,        NULL,         NULL};
    clseq_device_info device;
    cl_int code = CL_SUCCESS;
    layer l = {0};
    argp_parse(&parser, argc, argv, 0, NULL, &o);
    check(clseq_device_find(o.device, &device));
    cl_context context = clCreateContext(NULL, 1, &device.device, NULL, NULL, &code);
    check_cl(code, "clCreateContext");
    cl_command_queue queue = clCreateCommandQueue(context, device.device, CL_QUEUE_PROFILING_ENABLE, &code);
    check_cl(code, "clCreateCommandQueue");
    check(clseq_context_wrap(context, queue, &(clseq_context_desc){.profile = true}, &l.ctx));
    printf("%s\n", device.name);
    make_layer(&l, &o);
    measure(&l, o.passes);
    drop_layer(&l, o.layers);
    clseq_context_destroy(l.ctx);
    clReleaseCommandQueue(queue);
    clReleaseContext(context);
    return EXIT_SUCCESS;
}
