/*
 * bench_graph - what an operation of the graph costs on the host: microseconds a call on tensors of a few elements, those of
 * them that the OpenCL driver takes, and what is left for the library. The queue is emptied between rounds, outside of the
 * clock. Medians.
 *
 *     bench_graph [ROUNDS]     501 without it
 */
#define _GNU_SOURCE /* RTLD_NEXT */
#include "bench/bench.h"
#include <clseq/clseq.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

enum { CALLS = 20, MOST = 10000 };

typedef struct bench {
    clseq_context *ctx;
    clseq_params *params;
    clseq_linear *linear;
    clseq_embedding *embed;
    clseq_rnn *rnn;
    cl_kernel kernel;
    /* of the current graph */
    clseq_graph *g;
    clseq_var *x, *logits, *sequence, *tokens, *targets;
} bench;

/* ---- the driver's time: calls go through these functions of the program on their way to it ---- */

static double driver_seconds;
static long driver_calls;

#define TIMED(name, parameters, arguments)             \
    CL_API_ENTRY cl_int CL_API_CALL name parameters    \
    {                                                  \
        static cl_int(*real) parameters;               \
        if (!real)                                     \
            *(void **)&real = dlsym(RTLD_NEXT, #name); \
        const double begin = bench_now();              \
        const cl_int code = real arguments;            \
        driver_seconds += bench_now() - begin;         \
        driver_calls++;                                \
        return code;                                   \
    }

TIMED(clSetKernelArg, (cl_kernel kernel, cl_uint index, size_t size, const void *value),
      (kernel, index, size, value))
TIMED(clEnqueueNDRangeKernel,
      (cl_command_queue queue, cl_kernel kernel, cl_uint dims, const size_t *offset, const size_t *global,
       const size_t *group, cl_uint count, const cl_event *wait, cl_event *event),
      (queue, kernel, dims, offset, global, group, count, wait, event))
TIMED(clEnqueueWriteBuffer,
      (cl_command_queue queue, cl_mem buffer, cl_bool blocks, size_t offset, size_t size, const void *from,
       cl_uint count, const cl_event *wait, cl_event *event),
      (queue, buffer, blocks, offset, size, from, count, wait, event))
TIMED(clEnqueueFillBuffer,
      (cl_command_queue queue, cl_mem buffer, const void *pattern, size_t pattern_size, size_t offset,
       size_t size, cl_uint count, const cl_event *wait, cl_event *event),
      (queue, buffer, pattern, pattern_size, offset, size, count, wait, event))
TIMED(clEnqueueCopyBuffer,
      (cl_command_queue queue, cl_mem from, cl_mem to, size_t from_offset, size_t to_offset, size_t size,
       cl_uint count, const cl_event *wait, cl_event *event),
      (queue, from, to, from_offset, to_offset, size, count, wait, event))
TIMED(clReleaseEvent, (cl_event event), (event))

/* What looking at the clock around a call costs. */
static double clock_seconds(void)
{
    enum { LOOKS = 100000 };
    const double begin = bench_now();
    double last = 0;
    for (int i = 0; i < LOOKS; i++)
        last = bench_now();
    return 2 * (last - begin) / LOOKS;
}

/* ---- the operations ---- */

static void check(clseq_status status)
{
    if (status == CLSEQ_OK)
        return;
    fprintf(stderr, "bench_graph: %s\n", clseq_last_error());
    exit(1);
}

static const float values[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
static const int32_t numbers[4] = {0, 1, 2, 3};

static void bare(bench *b)
{
    const size_t one = 1;
    clEnqueueNDRangeKernel(clseq_context_queue(b->ctx), b->kernel, 1, NULL, &one, &one, 0, NULL, NULL);
}

static void input(bench *b)
{
    clseq_input_f32(b->g, values, 2, (int64_t[]){4, 3});
}

static void input_i32(bench *b)
{
    clseq_input_i32(b->g, numbers, 2, (int64_t[]){2, 2});
}

static void add(bench *b)
{
    clseq_add(b->g, b->x, b->x);
}

static void mul(bench *b)
{
    clseq_mul(b->g, b->x, b->x);
}

static void activation(bench *b)
{
    clseq_tanh(b->g, b->x);
}

static void dropout(bench *b)
{
    clseq_dropout(b->g, b->x, 0.5f);
}

static void mean(bench *b)
{
    clseq_mean(b->g, b->x);
}

static void transpose(bench *b)
{
    clseq_transpose(b->g, b->x, 0, 1);
}

static void matmul(bench *b)
{
    clseq_matmul(b->g, b->x, clseq_transpose(b->g, b->x, 0, 1));
}

static void gelu(bench *b)
{
    clseq_gelu(b->g, b->x);
}

static void sum_over(bench *b)
{
    clseq_sum_over(b->g, b->x, 1, (int[]){-1}, true);
}

static void softmax(bench *b)
{
    clseq_softmax(b->g, b->x, -1);
}

static void layer_norm(bench *b)
{
    clseq_layer_norm(b->g, b->x, NULL, NULL, 1e-5f);
}

static void reshape(bench *b)
{
    clseq_reshape(b->g, b->x, 1, (int64_t[]){12});
}

static void slice(bench *b)
{
    clseq_slice(b->g, b->x, 1, 0, 2);
}

static void concat(bench *b)
{
    clseq_concat(b->g, (clseq_var *[]){b->x, b->x}, 2, 0);
}

static void affine(bench *b)
{
    clseq_affine(b->g, b->linear, b->x);
}

static void embed(bench *b)
{
    clseq_embed(b->g, b->embed, b->tokens);
}

static void cross_entropy(bench *b)
{
    clseq_cross_entropy(b->g, b->logits, b->targets, NULL);
}

static void recur(bench *b)
{
    clseq_recur(b->g, b->rnn, b->sequence, NULL);
}

static void recur_step(bench *b)
{
    clseq_recur_step(b->g, b->rnn, b->x, NULL, NULL);
}

static const struct {
    const char *name;
    void (*run)(bench *b);
} ops[] = {{"one kernel, OpenCL alone", bare},
           {"input f32", input},
           {"input i32", input_i32},
           {"add", add},
           {"mul", mul},
           {"tanh", activation},
           {"dropout", dropout},
           {"mean", mean},
           {"gelu", gelu},
           {"sum over a dim", sum_over},
           {"softmax", softmax},
           {"layer norm", layer_norm},
           {"reshape", reshape},
           {"transpose", transpose},
           {"transpose, matmul", matmul},
           {"slice", slice},
           {"concat", concat},
           {"affine", affine},
           {"embed", embed},
           {"cross entropy", cross_entropy},
           {"recur", recur},
           {"recur step", recur_step}};

static void create(bench *b)
{
    static const char *source = "kernel void nothing(global float *x) { x[0] = 1.0f; }";
    int code = 0;
    check(clseq_context_create(NULL, &b->ctx));
    check(clseq_params_create(b->ctx, 1, &b->params));
    check(clseq_linear_new(b->params, "linear", 3, 3, true, &b->linear));
    check(clseq_embedding_new(b->params, "embed", 4, 3, &b->embed));
    check(clseq_rnn_new(b->params, "rnn", &(clseq_rnn_desc){.cell = CLSEQ_CELL_GRU, .input = 3, .hidden = 3},
                        NULL, &b->rnn));
    cl_context context = clseq_context_cl_context(b->ctx);
    cl_program program = clCreateProgramWithSource(context, 1, &source, NULL, &code);
    cl_mem buffer = clCreateBuffer(context, CL_MEM_READ_WRITE, 64, NULL, &code);
    if (code != CL_SUCCESS || clBuildProgram(program, 0, NULL, "", NULL, NULL) != CL_SUCCESS) {
        fprintf(stderr, "bench_graph: no kernel to compare with\n");
        exit(1);
    }
    b->kernel = clCreateKernel(program, "nothing", &code);
    clSetKernelArg(b->kernel, 0, sizeof(cl_mem), &buffer);
}

typedef struct cost {
    double all, driver, own; /* microseconds a call */
} cost;

/* CALLS of operation `op` in a graph of their own. `look` is what measuring the driver adds to each of its calls. */
static cost time_calls(bench *b, size_t op, double look)
{
    b->g = clseq_graph_begin(b->ctx, CLSEQ_MODE_TRAINING);
    b->x = clseq_require_grad(b->g, clseq_input_f32(b->g, values, 2, (int64_t[]){4, 3}));
    b->logits = b->x;
    b->sequence = clseq_reshape(b->g, b->x, 3, (int64_t[]){2, 2, 3});
    b->tokens = clseq_input_i32(b->g, numbers, 2, (int64_t[]){2, 2});
    b->targets = clseq_input_i32(b->g, (int32_t[]){0, 1, 2, 0}, 1, (int64_t[]){4});
    ops[op].run(b);
    check(clseq_context_finish(b->ctx));
    driver_seconds = 0;
    driver_calls = 0;
    const double begin = bench_now();
    for (int i = 0; i < CALLS; i++)
        ops[op].run(b);
    const double looks = (double)driver_calls * look, seconds = bench_now() - begin - looks;
    const double driver = driver_seconds - looks / 2;
    check(clseq_context_finish(b->ctx));
    check(clseq_graph_end(b->g));
    return (cost){seconds / CALLS * 1e6, driver / CALLS * 1e6, (seconds - driver) / CALLS * 1e6};
}

int main(int argc, char **argv)
{
    enum { COUNT = sizeof ops / sizeof ops[0] };
    static double all[COUNT][MOST], driver[COUNT][MOST], own[COUNT][MOST];
    bench b = {0};
    const int rounds = argc > 1 ? atoi(argv[1]) : 501;
    if (rounds < 1 || rounds > MOST) {
        fprintf(stderr, "usage: bench_graph [ROUNDS], 1 to %d\n", MOST);
        return 2;
    }
    create(&b);
    const double look = clock_seconds();
    for (int round = -3; round < rounds; round++)
        for (size_t op = 0; op < COUNT; op++) {
            const cost c = time_calls(&b, op, look);
            if (round >= 0) {
                all[op][round] = c.all;
                driver[op][round] = c.driver;
                own[op][round] = c.own;
            }
        }
    printf("%s\n%-26s %8s %8s %8s   us a call\n", clseq_context_device(b.ctx)->name, "operation", "all",
           "driver", "library");
    for (size_t op = 0; op < COUNT; op++)
        printf("%-26s %8.2f %8.2f %8.2f\n", ops[op].name, bench_median(all[op], (size_t)rounds),
               bench_median(driver[op], (size_t)rounds), bench_median(own[op], (size_t)rounds));
    clseq_params_destroy(b.params);
    clseq_context_destroy(b.ctx);
    return 0;
}
