/* Weights of linear layers that are packed for many products: the same bits, always of the values that are there. */
#include <criterion/criterion.h>

#include "support/compare.h"
#include "support/device.h"
#include "support/faults.h"
#include "support/graph.h"
#include "support/numeric.h"
#include "support/operand.h"
#include "support/random.h"
#include "train/layers.h"
#include <stdlib.h>
#include <string.h>

enum { CALLS = 3, MOST_ROWS = 128 };

typedef struct results {
    float *y[CALLS], *dx[CALLS];
} results;

/* The layer several times in one graph, on inputs of their own that are all equal, and back. */
static results run(clseq_context *ctx, clseq_linear *linear, int64_t rows)
{
    const int64_t in = linear->weight->dims[1], out = linear->weight->dims[0];
    double *x = test_doubles((size_t)(rows * in));
    float *dy = test_floats((size_t)(rows * out));
    test_random random = test_random_seed(4);
    results r = {{NULL}, {NULL}};
    clseq_var *xs[CALLS], *ys[CALLS], *dys[CALLS];
    test_random_fill(&random, x, (size_t)(rows * in), -1, 1);
    test_random_fill_float(&random, dy, (size_t)(rows * out), -1, 1);
    clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
    for (int i = 0; i < CALLS; i++) {
        xs[i] = graph_input(g, x, 2, (int64_t[]){rows, in});
        ys[i] = clseq_affine(g, linear, xs[i]);
        dys[i] = clseq_input_f32(g, dy, 2, (int64_t[]){rows, out});
    }
    EXPECT_OK(clseq_backward_from(g, CALLS, ys, dys));
    for (int i = 0; i < CALLS; i++) {
        clseq_tensor dx = {0};
        r.y[i] = test_floats((size_t)(rows * out));
        r.dx[i] = test_floats((size_t)(rows * in));
        EXPECT_OK(clseq_read(g, ys[i], r.y[i]));
        EXPECT_OK(clseq_var_grad(g, xs[i], &dx));
        EXPECT_OK(clseq_tensor_read(ctx, &dx, r.dx[i]));
    }
    graph_end(g);
    free(x);
    free(dy);
    return r;
}

static void release(results *r)
{
    for (int i = 0; i < CALLS; i++) {
        free(r->y[i]);
        free(r->dx[i]);
    }
}

/* All of `got` is what the first call of `want` gave, which packs nothing. */
static void expect_bits(const results *got, const results *want, const clseq_linear *linear, int64_t rows)
{
    const size_t in = (size_t)(rows * linear->weight->dims[1]),
                 out = (size_t)(rows * linear->weight->dims[0]);
    for (int i = 0; i < CALLS; i++) {
        cr_assert(compare_bits("y", got->y[i], want->y[0], out), "call %d of %d rows: %s", i, (int)rows,
                  compare_message());
        /* backward runs the last call first */
        cr_assert(compare_bits("dx", got->dx[i], want->dx[CALLS - 1], in), "call %d of %d rows: %s", i,
                  (int)rows, compare_message());
    }
}

Test(linear_packed, bits_are_the_same)
{
    static const int64_t rows[] = {1, 3, 8, 50, MOST_ROWS, MOST_ROWS + 1},
                         sizes[][2] = {{1, 1}, {5, 33}, {67, 20}, {130, 257}};
    clseq_context *ctx;
    for (int shape = 0; (ctx = test_context_shape(shape)) != NULL; shape++) {
        for (size_t s = 0; s < (test_small() ? 2 : sizeof sizes / sizeof sizes[0]); s++) {
            for (size_t n = 0; n < sizeof rows / sizeof rows[0]; n += test_small() ? 2 : 1) {
                clseq_params *params = NULL;
                clseq_linear *linear = NULL;
                EXPECT_OK(clseq_params_create(ctx, 1, &params));
                EXPECT_OK(clseq_linear_new(params, "l", sizes[s][0], sizes[s][1], n % 2, &linear));
                results r = run(ctx, linear, rows[n]);
                expect_bits(&r, &r, linear, rows[n]);
                cr_assert_eq(linear->forward.packed != NULL, rows[n] <= MOST_ROWS);
                cr_assert_eq(linear->backward.packed != NULL, rows[n] <= MOST_ROWS);
                release(&r);
                clseq_params_destroy(params);
            }
        }
        clseq_context_destroy(ctx);
    }
}

/* Whatever changes values is seen: the results are those of another store, whose layer has never been packed. */
Test(linear_packed, values_that_change_are_packed_anew)
{
    enum { IN = 20, OUT = 17, ROWS = 4 };
    clseq_context *ctx = test_context();
    clseq_params *params = NULL;
    clseq_linear *linear = NULL;
    clseq_optimizer *sgd = NULL;
    const clseq_optimizer_desc desc = clseq_optimizer_desc_default(CLSEQ_OPTIMIZER_SGD, 0.5f);
    float values[IN * OUT], biases[OUT];
    EXPECT_OK(clseq_params_create(ctx, 1, &params));
    EXPECT_OK(clseq_linear_new(params, "l", IN, OUT, true, &linear));
    EXPECT_OK(clseq_optimizer_create(params, &desc, &sgd));
    for (int t = 0; t < 4; t++) {
        clseq_params *other = NULL;
        clseq_linear *fresh = NULL;
        results got = run(ctx, linear, ROWS);
        EXPECT_OK(clseq_params_create(ctx, 1, &other));
        EXPECT_OK(clseq_linear_new(other, "l", IN, OUT, true, &fresh));
        EXPECT_OK(clseq_param_get(linear->weight, values));
        EXPECT_OK(clseq_param_get(linear->bias, biases));
        EXPECT_OK(clseq_param_set(fresh->weight, values));
        EXPECT_OK(clseq_param_set(fresh->bias, biases));
        results want = run(ctx, fresh, ROWS);
        expect_bits(&got, &want, linear, ROWS);
        release(&got);
        release(&want);
        clseq_params_destroy(other);
        if (t % 2 == 0) {
            EXPECT_OK(clseq_optimizer_step(sgd));
        } else {
            for (int i = 0; i < IN * OUT; i++)
                values[i] = (float)(i % 7 - 3);
            EXPECT_OK(clseq_param_set(linear->weight, values));
        }
    }
    clseq_optimizer_destroy(sgd);
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
}

/* Nothing is packed for the first product of a version, once for the second, and its memory ends with the store. */
Test(linear_packed, once_for_a_version)
{
    clseq_context *ctx = test_context();
    clseq_params *params = NULL;
    clseq_linear *linear = NULL;
    clseq_context_stats before, after;
    const clseq_packed *packed = NULL, *first = NULL;
    EXPECT_OK(clseq_params_create(ctx, 1, &params));
    EXPECT_OK(clseq_linear_new(params, "l", 20, 17, true, &linear));
    EXPECT_OK(clseq__params_materialize(params));
    for (int version = 0; version < 3; version++) {
        for (int call = 0; call < 4; call++) {
            EXPECT_OK(clseq_context_get_stats(ctx, &before));
            EXPECT_OK(clseq__linear_packed_get(&linear->forward, linear->weight, true, 4, &packed));
            EXPECT_OK(clseq_context_get_stats(ctx, &after));
            cr_assert_eq(packed != NULL, call > 0);
            cr_assert(call == 1 || after.launches == before.launches, "call %d packs", call);
            cr_assert(version == 0 || after.allocations == before.allocations);
            first = first ? first : packed;
            cr_assert(!packed || packed == first);
            EXPECT_OK(
                clseq__linear_packed_get(&linear->forward, linear->weight, true, MOST_ROWS + 1, &packed));
            cr_assert_null(packed);
        }
        clseq_params_touch(params);
    }
    clseq_params_destroy(params);
    EXPECT_OK(clseq_context_get_stats(ctx, &after));
    cr_assert_eq(after.bytes_in_use, 0);
    clseq_context_destroy(ctx);
}

/* In a context that has its programs. */
static clseq_status train(void *data)
{
    clseq_context *ctx = data;
    clseq_params *params = NULL;
    clseq_linear *linear = NULL;
    clseq_graph *g = NULL;
    const float numbers[6] = {1, 2, 3, 4, 5, 6};
    clseq_status status = clseq_params_create(ctx, 1, &params), ended = CLSEQ_OK;
    if (status == CLSEQ_OK)
        status = clseq_linear_new(params, "l", 3, 3, true, &linear);
    if (status == CLSEQ_OK && (g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING)) == NULL)
        status = CLSEQ_OUT_OF_HOST_MEMORY;
    if (g) {
        clseq_var *x = clseq_input_f32(g, numbers, 2, (int64_t[]){2, 3});
        for (int i = 0; i < 3; i++)
            x = clseq_affine(g, linear, x);
        clseq_backward(g, clseq_sum(g, x));
        ended = clseq_graph_end(g);
    }
    clseq_params_destroy(params);
    return status != CLSEQ_OK ? status : ended;
}

Test(linear_packed, failing_calls)
{
    clseq_context *ctx = test_context();
    for (int i = 0; i < 3; i++)
        EXPECT_OK(train(ctx));
    cr_assert(faults_each(train, ctx), "%s", faults_message());
    cr_assert(faults_count() > 20, "%s", faults_message());
    clseq_context_destroy(ctx);
}
