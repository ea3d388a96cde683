/*
 * bench_attention - attention and pooling over time, forward, and forward and backward with all gradients, in milliseconds.
 *
 *     bench_attention [ID ...]       each line, or these: medians
 *     bench_attention --serve        reads lines "ID RUNS" and answers each with "FORWARD TOTAL", medians of so many runs,
 *                                    for compare.py
 */
#include "bench/bench.h"
#include <clseq/attention.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_RUNS = 1000, MOST_TENSORS = 32 };

/* S 0: pooling over T steps. H is all features and units. */
typedef struct problem {
    const char *id;
    int64_t T, S, B, H;
    bool one_by_one; /* a query a call */
    bool causal;
} problem;

static const problem problems[] = {
    {"additive", 50, 100, 64, 256, false, false},
    {"decoder", 50, 100, 64, 256, true, false},
    {"pool", 500, 0, 64, 256, false, false},
    {"causal", 500, 0, 64, 256, false, true},
};
enum { PROBLEMS = sizeof problems / sizeof problems[0] };

typedef struct job {
    const problem *p;
    clseq_context *ctx;
    clseq_attention_plan *plan;
    clseq_attention_shape shape;
    clseq_attention_buffers buffers;
    clseq_attention_pool_desc pool;
    clseq_attention_pool_shape pool_shape;
    clseq_tensor queries, keys, context, dcontext, dqueries, dkeys;
    clseq_tensor weights[4], dweights[4];
    clseq_tensor *all[MOST_TENSORS];
    int count;
} job;

static void check(clseq_status status)
{
    if (status == CLSEQ_OK)
        return;
    fprintf(stderr, "bench_attention: %s\n", clseq_last_error());
    exit(1);
}

/* Numbers between -scale and scale that repeat after a prime number of them. */
static clseq_tensor *make(job *j, clseq_tensor *x, int ndim, const int64_t *dims, float scale)
{
    check(clseq_tensor_create(j->ctx, CLSEQ_DTYPE_F32, ndim, dims, x));
    const int64_t n = clseq_tensor_elements(x);
    float *values = malloc((size_t)n * sizeof *values);
    if (!values) {
        fprintf(stderr, "bench_attention: no memory\n");
        exit(1);
    }
    for (int64_t i = 0; i < n; i++)
        values[i] = scale * (float)(i % 1009 * 617 % 1009 - 504) / 504.0f;
    check(clseq_tensor_write(j->ctx, x, values));
    free(values);
    j->all[j->count++] = x;
    return x;
}

static void make_bytes(job *j, clseq_tensor *x, int64_t bytes)
{
    check(clseq_tensor_create(j->ctx, CLSEQ_DTYPE_U8, 1, &bytes, x));
    j->all[j->count++] = x;
}

/* ---- attention ---- */

static void create_attention(job *j)
{
    const int64_t T = j->p->T, S = j->p->S, B = j->p->B, H = j->p->H;
    j->shape = (clseq_attention_shape){T, S, B, CLSEQ_MODE_TRAINING};
    check(clseq_attention_plan_create(
        j->ctx, &(clseq_attention_desc){.query = H, .key = H, .units = H, .bias = true}, &j->plan));
    check(clseq_attention_buffers_create(j->plan, &j->shape, &j->buffers));
    for (int i = 0; i < clseq_attention_weight_count(j->plan); i++) {
        clseq_attention_weight w;
        check(clseq_attention_weight_info(j->plan, i, &w));
        make(j, &j->weights[i], w.ndim, w.dims, 0.06f);
        make(j, &j->dweights[i], w.ndim, w.dims, 0);
    }
    const int64_t queries[] = {T, B, H}, keys[] = {S, B, H};
    make(j, &j->queries, 3, queries, 1);
    make(j, &j->dqueries, 3, queries, 0);
    make(j, &j->context, 3, queries, 0);
    make(j, &j->dcontext, 3, queries, 1);
    make(j, &j->keys, 3, keys, 1);
    make(j, &j->dkeys, 3, keys, 0);
}

static void attention_forward(job *j)
{
    const int64_t T = j->p->T, count = j->p->one_by_one ? 1 : T;
    check(clseq_attention_remember(
        j->plan, &j->shape,
        &(clseq_attention_memory_args){.weights = j->weights, .keys = j->keys, .memory = j->buffers.memory}));
    for (int64_t t = 0; t < T; t += count)
        check(clseq_attention_forward(
            j->plan, &j->shape,
            &(clseq_attention_forward_args){.weights = j->weights,
                                            .memory = j->buffers.memory,
                                            .queries = clseq_tensor_slice(&j->queries, 0, t, count),
                                            .context = clseq_tensor_slice(&j->context, 0, t, count),
                                            .reserve = j->buffers.reserve,
                                            .workspace = j->buffers.workspace,
                                            .first = t,
                                            .count = count}));
}

static void attention_backward(job *j)
{
    const int64_t T = j->p->T, count = j->p->one_by_one ? 1 : T;
    for (int64_t t = T - count; t >= 0; t -= count)
        check(clseq_attention_backward(
            j->plan, &j->shape,
            &(clseq_attention_backward_args){.weights = j->weights,
                                             .memory = j->buffers.memory,
                                             .dcontext = clseq_tensor_slice(&j->dcontext, 0, t, count),
                                             .dqueries = clseq_tensor_slice(&j->dqueries, 0, t, count),
                                             .reserve = j->buffers.reserve,
                                             .workspace = j->buffers.workspace,
                                             .first = t,
                                             .count = count}));
    check(clseq_attention_gradients(j->plan, &j->shape,
                                    &(clseq_attention_gradients_args){.weights = j->weights,
                                                                      .keys = j->keys,
                                                                      .memory = j->buffers.memory,
                                                                      .dkeys = j->dkeys,
                                                                      .dweights = j->dweights,
                                                                      .reserve = j->buffers.reserve,
                                                                      .workspace = j->buffers.workspace}));
}

/* ---- pooling ---- */

static void create_pool(job *j)
{
    const int64_t T = j->p->T, B = j->p->B, H = j->p->H, steps[] = {T, B, H}, matrix[] = {H, H};
    const int ndim = j->p->causal ? 3 : 2;
    const int64_t *y = j->p->causal ? steps : steps + 1;
    clseq_attention_pool_sizes sizes;
    j->pool = (clseq_attention_pool_desc){.input = H, .units = H, .bias = true, .causal = j->p->causal};
    j->pool_shape = (clseq_attention_pool_shape){T, B, CLSEQ_MODE_TRAINING};
    check(clseq_attention_pool_measure(j->ctx, &j->pool, &j->pool_shape, &sizes));
    make_bytes(j, &j->buffers.reserve, sizes.reserve);
    make_bytes(j, &j->buffers.workspace, sizes.workspace);
    for (int i = 0; i < 3; i++) {
        make(j, &j->weights[i], i == 0 ? 2 : 1, matrix, 0.06f);
        make(j, &j->dweights[i], i == 0 ? 2 : 1, matrix, 0);
    }
    make(j, &j->keys, 3, steps, 1);
    make(j, &j->dkeys, 3, steps, 0);
    make(j, &j->context, ndim, y, 0);
    make(j, &j->dcontext, ndim, y, 1);
}

static void pool_forward(job *j)
{
    check(clseq_attention_pool_forward(
        j->ctx, &j->pool, &j->pool_shape,
        &(clseq_attention_pool_forward_args){.weight = j->weights[0],
                                             .bias = j->weights[1],
                                             .score = j->weights[2],
                                             .x = j->keys,
                                             .y = j->context,
                                             .reserve = j->buffers.reserve,
                                             .workspace = j->buffers.workspace}));
}

static void pool_backward(job *j)
{
    check(clseq_attention_pool_backward(
        j->ctx, &j->pool, &j->pool_shape,
        &(clseq_attention_pool_backward_args){.weight = j->weights[0],
                                              .score = j->weights[2],
                                              .x = j->keys,
                                              .y = j->p->causal ? j->context : (clseq_tensor){.buffer = NULL},
                                              .dy = j->dcontext,
                                              .dx = j->dkeys,
                                              .dweight = j->dweights[0],
                                              .dbias = j->dweights[1],
                                              .dscore = j->dweights[2],
                                              .reserve = j->buffers.reserve,
                                              .workspace = j->buffers.workspace}));
}

/* ---- both ---- */

static void create(job *j, clseq_context *ctx, const problem *p)
{
    *j = (job){.p = p, .ctx = ctx};
    (p->S ? create_attention : create_pool)(j);
}

static void destroy(job *j)
{
    for (int i = 0; i < j->count; i++)
        clseq_tensor_destroy(j->ctx, j->all[i]);
    if (j->plan)
        clseq_attention_buffers_destroy(j->plan, &j->buffers);
    clseq_attention_plan_destroy(j->plan);
    j->plan = NULL;
}

static void run(job *j, bool backward)
{
    (j->p->S ? attention_forward : pool_forward)(j);
    if (backward)
        (j->p->S ? attention_backward : pool_backward)(j);
    check(clseq_context_finish(j->ctx));
}

/* Medians in milliseconds of forward and of forward and backward. */
static void measure(job *j, int runs, double ms[2])
{
    static double times[MOST_RUNS];
    for (int backward = 0; backward < 2; backward++) {
        for (int i = 0; i < runs; i++) {
            const double begin = bench_now();
            run(j, backward);
            times[i] = 1e3 * (bench_now() - begin);
        }
        ms[backward] = bench_median(times, (size_t)runs);
    }
}

static const problem *find(const char *id)
{
    for (int i = 0; i < PROBLEMS; i++)
        if (strcmp(problems[i].id, id) == 0)
            return &problems[i];
    return NULL;
}

static void serve(clseq_context *ctx)
{
    char line[64], id[32];
    job j = {.count = 0};
    while (fgets(line, sizeof line, stdin)) {
        int runs = 0;
        double ms[2];
        if (sscanf(line, "%31s %d", id, &runs) != 2 || !find(id) || runs < 1 || runs > MOST_RUNS) {
            printf("error: expected ID RUNS\n");
        } else {
            if (j.p != find(id)) {
                destroy(&j);
                create(&j, ctx, find(id));
            }
            measure(&j, runs, ms);
            printf("%.4f %.4f\n", ms[0], ms[1]);
        }
        fflush(stdout);
    }
    destroy(&j);
}

static bool wanted(int argc, char **argv, const char *id)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], id) == 0)
            return true;
    return argc < 2;
}

/* With CLSEQ_PROFILE=1, where the time went; measuring it costs some. */
static void print_profile(clseq_context *ctx)
{
    char text[4096];
    if (clseq_context_profile_text(ctx, text, sizeof text) == CLSEQ_OK)
        printf("\n%s", text);
}

int main(int argc, char **argv)
{
    clseq_context *ctx = NULL;
    for (int i = 1; i < argc; i++)
        if (!find(argv[i]) && strcmp(argv[i], "--serve") != 0) {
            fprintf(stderr, "usage: bench_attention [--serve] [ID ...]\n");
            return 2;
        }
    check(clseq_context_create(NULL, &ctx));
    if (argc > 1 && strcmp(argv[1], "--serve") == 0) {
        serve(ctx);
        clseq_context_destroy(ctx);
        return 0;
    }
    printf("%s\n%-9s %10s %10s   ms\n", clseq_context_device(ctx)->name, "line", "forward", "total");
    for (int i = 0; i < PROBLEMS; i++) {
        job j;
        double ms[2];
        if (!wanted(argc, argv, problems[i].id))
            continue;
        create(&j, ctx, &problems[i]);
        measure(&j, 2, ms);
        measure(&j, 21, ms);
        printf("%-9s %10.2f %10.2f\n", problems[i].id, ms[0], ms[1]);
        destroy(&j);
    }
    print_profile(ctx);
    clseq_context_destroy(ctx);
    return 0;
}
