/* clseq_nn_embedding_forward and _backward against their references. */
#include "reference/nn.h"
#include "support/bounds.h"
#include "support/compare.h"
#include "support/device.h"
#include "support/numeric.h"
#include "support/operand.h"

#include <clseq/nn.h>
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

typedef struct shape {
    int64_t T, B, V, E;
} shape;

static const shape shapes[] = {{1, 1, 1, 1},   {3, 2, 5, 3},     {1, 1, 17, 100}, {7, 3, 2, 17},
                               {5, 20, 65, 1}, {50, 50, 65, 24}, {3, 67, 1023, 5}};

/* Tokens of the whole vocabulary and, one in eight, outside of it. */
static int32_t *draw_tokens(test_random *random, shape s)
{
    static const int32_t outside[] = {-1, INT32_MIN, INT32_MAX};
    int32_t *tokens = calloc((size_t)(s.T * s.B), sizeof *tokens);
    cr_assert(tokens != NULL);
    test_random_fill_int(random, tokens, (size_t)(s.T * s.B), 0, (int)s.V - 1);
    for (int64_t n = 0; n < s.T * s.B; n++)
        if (s.T * s.B > 1 && test_random_int(random, 0, 7) == 0)
            tokens[n] =
                test_random_int(random, 0, 3) == 0 ? (int32_t)s.V : outside[test_random_int(random, 0, 2)];
    return tokens;
}

static void check_forward(clseq_context *ctx, shape s)
{
    test_random random = test_random_seed(7);
    int32_t *values = draw_tokens(&random, s);
    operand table = operand_random(ctx, &random, 2, (int64_t[]){s.V, s.E}, -3, 3);
    operand y = operand_output(ctx, 3, (int64_t[]){s.T, s.B, s.E});
    guarded tokens = operand_tokens(ctx, 2, (int64_t[]){s.T, s.B}, values);
    double *want = test_doubles(y.n), *bound = test_doubles(y.n); /* exact: it copies */
    reference_embedding_forward(table.values, (size_t)s.V, (size_t)s.E, values, (size_t)(s.T * s.B), want);
    MUST(clseq_nn_embedding_forward(ctx, &table.g.tensor, &tokens.tensor, &y.g.tensor));
    operand_check("y", &y, want, bound);
    free(values);
    free(want);
    free(bound);
    operand_destroy(&table);
    operand_destroy(&y);
    guarded_destroy(&tokens);
}

/* Accumulates twice onto values that are there before; a second run gives the same bits. */
static void check_backward(clseq_context *ctx, shape s)
{
    test_random random = test_random_seed(8);
    int32_t *values = draw_tokens(&random, s);
    const size_t N = (size_t)(s.T * s.B), V = (size_t)s.V, E = (size_t)s.E;
    operand dtable = operand_random(ctx, &random, 2, (int64_t[]){s.V, s.E}, -3, 3);
    operand dy = operand_random(ctx, &random, 3, (int64_t[]){s.T, s.B, s.E}, -3, 3);
    guarded tokens = operand_tokens(ctx, 2, (int64_t[]){s.T, s.B}, values);
    double *want = test_doubles(dtable.n), *bound = test_doubles(dtable.n), *ones = test_doubles(dy.n);
    double *counts = test_doubles(dtable.n), *magnitude = test_doubles(dtable.n);
    for (size_t i = 0; i < dy.n; i++)
        ones[i] = 1;
    reference_embedding_backward(values, N, ones, V, E, counts, NULL);
    memcpy(want, dtable.values, dtable.n * sizeof *want);
    for (int run = 1; run <= 2; run++) {
        reference_embedding_backward(values, N, dy.values, V, E, want, magnitude);
        for (size_t i = 0; i < dtable.n; i++)
            bound[i] = counts[i] == 0 ? 0 : run * test_sum_bound(run * counts[i] + 1, magnitude[i]);
        MUST(clseq_nn_embedding_backward(ctx, &tokens.tensor, &dy.g.tensor, &dtable.g.tensor));
        operand_check(run == 1 ? "dtable" : "dtable, twice", &dtable, want, bound);
    }
    float *first = guarded_read(&dtable.g);
    operand_reset(&dtable);
    for (int run = 1; run <= 2; run++)
        MUST(clseq_nn_embedding_backward(ctx, &tokens.tensor, &dy.g.tensor, &dtable.g.tensor));
    operand_check_bits("dtable again", &dtable, first);
    free(first);
    free(values);
    free(want);
    free(bound);
    free(ones);
    free(counts);
    free(magnitude);
    operand_destroy(&dtable);
    operand_destroy(&dy);
    guarded_destroy(&tokens);
}

Test(nn_embedding, reference)
{
    clseq_context *ctx;
    for (int shape_of_kernels = 0; (ctx = test_context_shape(shape_of_kernels)) != NULL; shape_of_kernels++) {
        for (size_t i = 0; i < (test_small() ? 4 : sizeof shapes / sizeof shapes[0]); i++) {
            check_forward(ctx, shapes[i]);
            check_backward(ctx, shapes[i]);
        }
        clseq_context_destroy(ctx);
    }
}

/* Both shapes of kernels add in the order of the tokens: the same bits. */
Test(nn_embedding, order_of_sums)
{
    const shape s = {40, 5, 3, 7};
    clseq_context *ctx;
    float *first = NULL;
    for (int shape_of_kernels = 0; (ctx = test_context_shape(shape_of_kernels)) != NULL; shape_of_kernels++) {
        test_random random = test_random_seed(11);
        int32_t *values = draw_tokens(&random, s);
        operand dtable = operand_random(ctx, &random, 2, (int64_t[]){s.V, s.E}, -3, 3);
        operand dy = operand_random(ctx, &random, 3, (int64_t[]){s.T, s.B, s.E}, -3, 3);
        guarded tokens = operand_tokens(ctx, 2, (int64_t[]){s.T, s.B}, values);
        if (first == NULL) {
            /* By hand, in float, in the order of n. */
            first = test_floats_of(dtable.values, dtable.n);
            for (int64_t n = 0; n < s.T * s.B; n++)
                for (int64_t e = 0; e < s.E && values[n] >= 0 && values[n] < s.V; e++)
                    first[values[n] * s.E + e] += (float)dy.values[n * s.E + e];
        }
        MUST(clseq_nn_embedding_backward(ctx, &tokens.tensor, &dy.g.tensor, &dtable.g.tensor));
        operand_check_bits("dtable", &dtable, first);
        free(values);
        operand_destroy(&dtable);
        operand_destroy(&dy);
        guarded_destroy(&tokens);
        clseq_context_destroy(ctx);
    }
    free(first);
}

Test(nn_embedding, bad_arguments)
{
    clseq_context *ctx = test_context_shape(0);
    clseq_tensor table = {0}, tokens = {0}, y = {0}, deep = {0};
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 2, (int64_t[]){5, 6}, &table));
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_I32, 2, (int64_t[]){3, 2}, &tokens));
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 3, (int64_t[]){3, 2, 6}, &y));
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_I32, 4, (int64_t[]){1, 1, 3, 2}, &deep));
    const clseq_tensor flat = clseq_tensor_view(y.buffer, 0, CLSEQ_DTYPE_F32, 2, (int64_t[]){6, 6});
    const clseq_tensor inside = clseq_tensor_view(y.buffer, 0, CLSEQ_DTYPE_F32, 2, (int64_t[]){5, 6});
    cr_expect_eq(clseq_nn_embedding_forward(NULL, &table, &tokens, &y), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_nn_embedding_forward(ctx, NULL, &tokens, &y), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_nn_embedding_forward(ctx, &table, NULL, &y), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_nn_embedding_forward(ctx, &table, &tokens, NULL), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_nn_embedding_forward(ctx, &y, &tokens, &y), CLSEQ_INVALID_SHAPE);
    cr_expect_eq(clseq_nn_embedding_forward(ctx, &table, &table, &y), CLSEQ_INVALID_DTYPE);
    cr_expect_eq(clseq_nn_embedding_forward(ctx, &table, &tokens, &flat), CLSEQ_INVALID_SHAPE);
    cr_expect_eq(clseq_nn_embedding_forward(ctx, &table, &deep, &y), CLSEQ_INVALID_SHAPE);
    cr_expect_eq(clseq_nn_embedding_forward(ctx, &inside, &tokens, &y), CLSEQ_INVALID_ARGUMENT);
    cr_expect(strstr(clseq_last_error(), "embedding forward: y overlaps table") != NULL, "%s",
              clseq_last_error());
    cr_expect_eq(clseq_nn_embedding_backward(NULL, &tokens, &y, &table), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_nn_embedding_backward(ctx, NULL, &y, &table), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_nn_embedding_backward(ctx, &tokens, NULL, &table), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_nn_embedding_backward(ctx, &tokens, &y, NULL), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_nn_embedding_backward(ctx, &tokens, &flat, &table), CLSEQ_INVALID_SHAPE);
    cr_expect_eq(clseq_nn_embedding_backward(ctx, &tokens, &y, &inside), CLSEQ_INVALID_ARGUMENT);
    clseq_tensor_destroy(ctx, &table);
    clseq_tensor_destroy(ctx, &tokens);
    clseq_tensor_destroy(ctx, &y);
    clseq_tensor_destroy(ctx, &deep);
    clseq_context_destroy(ctx);
}
