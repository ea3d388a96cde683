/* clseq_nn_gather_forward and _backward against their references. */
#include "reference/along.h"
#include "support/along.h"
#include "support/bounds.h"
#include "support/device.h"
#include "support/numeric.h"
#include "support/operand.h"

#include <clseq/nn.h>
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

/* Numbers of the whole dim and, one in eight, outside of it. */
static int32_t *draw_indices(test_random *random, size_t count, size_t n)
{
    const int32_t outside[] = {-1, (int32_t)n, INT32_MIN, INT32_MAX};
    int32_t *index = calloc(count, sizeof *index);
    cr_assert(index != NULL);
    test_random_fill_int(random, index, count, 0, (int)n - 1);
    for (size_t i = 0; i < count; i++)
        if (count > 1 && test_random_int(random, 0, 7) == 0)
            index[i] = outside[test_random_int(random, 0, 3)];
    return index;
}

/* The gradient in float, in the order of k. */
static float *backward_by_hand(reference_along a, size_t m, const int32_t *index, const double *dy)
{
    float *dx = test_floats(a.outer * a.n * a.inner);
    const reference_along rows = {a.outer, m, a.inner};
    for (size_t line = 0; line < a.outer * a.inner; line++)
        for (size_t k = 0; k < m; k++) {
            const size_t from = reference_along_at(rows, line, k);
            if (index[from] >= 0 && (size_t)index[from] < a.n)
                dx[reference_along_at(a, line, (size_t)index[from])] += (float)dy[from];
        }
    return dx;
}

static void check(clseq_context *ctx, const along_shape *s, size_t m)
{
    const reference_along a = along_reference(s);
    int64_t dims[CLSEQ_MAX_DIMS];
    memcpy(dims, s->dims, sizeof dims);
    dims[s->dim < 0 ? s->dim + s->ndim : s->dim] = (int64_t)m;
    test_random random = test_random_seed(a.outer * 100 + a.n * 10 + m);
    int32_t *values = draw_indices(&random, a.outer * m * a.inner, a.n);
    operand x = operand_random(ctx, &random, s->ndim, s->dims, -3, 3);
    operand dy = operand_random(ctx, &random, s->ndim, dims, -3, 3);
    operand y = operand_output(ctx, s->ndim, dims), dx = operand_output(ctx, s->ndim, s->dims);
    guarded index = operand_tokens(ctx, s->ndim, dims, values);
    double *want_y = test_doubles(y.n), *zeros = test_doubles(y.n), *want_dx = test_doubles(x.n);
    double *bound = test_doubles(x.n), *magnitude = test_doubles(x.n), *count = test_doubles(x.n);
    float *by_hand = backward_by_hand(a, m, values, dy.values);
    reference_gather_forward(a, m, x.values, values, want_y);
    reference_gather_backward(a, m, values, dy.values, want_dx, magnitude, count);
    for (size_t i = 0; i < x.n; i++)
        bound[i] = count[i] == 0 ? 0 : test_sum_bound(count[i], magnitude[i]);
    MUST(clseq_nn_gather_forward(ctx, s->dim, &x.g.tensor, &index.tensor, &y.g.tensor));
    operand_check("y", &y, want_y, zeros); /* exact: it copies */
    for (int run = 0; run < 2; run++) {
        operand_reset(&dx);
        MUST(clseq_nn_gather_backward(ctx, s->dim, &index.tensor, &dy.g.tensor, &dx.g.tensor));
        operand_check("dx", &dx, want_dx, bound);
        operand_check_bits("dx in the order of k", &dx, by_hand);
    }
    double *const memory[] = {want_y, zeros, want_dx, bound, magnitude, count};
    for (size_t i = 0; i < sizeof memory / sizeof memory[0]; i++)
        free(memory[i]);
    free(by_hand);
    free(values);
    operand_destroy(&x);
    operand_destroy(&y);
    operand_destroy(&dx);
    operand_destroy(&dy);
    guarded_destroy(&index);
}

Test(nn_gather, reference)
{
    static const size_t sizes[] = {1, 4, 37};
    clseq_context *ctx;
    const along_shape *s;
    for (int shape = 0; (ctx = test_context_shape(shape)) != NULL; shape++) {
        for (size_t i = 0; (s = along_shape_at(i)) != NULL; i++)
            for (size_t k = 0; k < (test_small() ? 2 : sizeof sizes / sizeof sizes[0]); k++)
                check(ctx, s, sizes[k]);
        clseq_context_destroy(ctx);
    }
}

Test(nn_gather, bad_arguments)
{
    clseq_context *ctx = test_context_shape(0);
    clseq_tensor x = {0}, index = {0}, y = {0}, flat = {0}, wide = {0};
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 2, (int64_t[]){4, 6}, &x));
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_I32, 2, (int64_t[]){4, 3}, &index));
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 2, (int64_t[]){4, 3}, &y));
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_I32, 1, (int64_t[]){4}, &flat));
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_I32, 2, (int64_t[]){5, 3}, &wide));
    const clseq_tensor inside = clseq_tensor_view(x.buffer, 6, CLSEQ_DTYPE_F32, 2, (int64_t[]){4, 3});
    const struct {
        clseq_context *ctx;
        int dim;
        const clseq_tensor *x, *index, *y;
        clseq_status expected;
        const char *forward, *backward;
    } calls[] = {
        {NULL, 1, &x, &index, &y, CLSEQ_INVALID_ARGUMENT, "gather forward: ctx is NULL",
         "gather backward: ctx is NULL"},
        {ctx, 2, &x, &index, &y, CLSEQ_INVALID_ARGUMENT, "gather forward: dim is 2, expected -2 to 1",
         "gather backward: dim is 2, expected -2 to 1"},
        {ctx, 1, NULL, &index, &y, CLSEQ_INVALID_ARGUMENT, "gather forward: x is NULL, expected f32 [?]",
         "gather backward: dx is NULL, expected f32 [?]"},
        {ctx, 1, &x, NULL, &y, CLSEQ_INVALID_ARGUMENT, "gather forward: index is NULL, expected i32 [4,?]",
         "gather backward: index is NULL, expected i32 [4,?]"},
        {ctx, -1, &x, &index, NULL, CLSEQ_INVALID_ARGUMENT, "gather forward: y is NULL, expected f32 [4,3]",
         "gather backward: dy is NULL, expected f32 [4,3]"},
        {ctx, 1, &x, &y, &y, CLSEQ_INVALID_DTYPE, "gather forward: index has type f32, expected i32",
         "gather backward: index has type f32, expected i32"},
        {ctx, 1, &x, &flat, &y, CLSEQ_INVALID_SHAPE,
         "gather forward: index has 1 dimensions, expected 2: [4,?]",
         "gather backward: index has 1 dimensions, expected 2: [4,?]"},
        {ctx, 1, &x, &wide, &y, CLSEQ_INVALID_SHAPE, "gather forward: index has shape [5,3], expected [4,?]",
         "gather backward: index has shape [5,3], expected [4,?]"},
        {ctx, 0, &x, &index, &y, CLSEQ_INVALID_SHAPE, "gather forward: index has shape [4,3], expected [?,6]",
         "gather backward: index has shape [4,3], expected [?,6]"},
        {ctx, 1, &x, &index, &x, CLSEQ_INVALID_SHAPE, "gather forward: y has shape [4,6], expected [4,3]",
         "gather backward: dy has shape [4,6], expected [4,3]"},
        {ctx, 1, &x, &index, &inside, CLSEQ_INVALID_ARGUMENT, "gather forward: y overlaps x",
         "gather backward: dx overlaps dy"},
    };
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        cr_expect_eq(
            clseq_nn_gather_forward(calls[i].ctx, calls[i].dim, calls[i].x, calls[i].index, calls[i].y),
            calls[i].expected);
        cr_expect_str_eq(clseq_last_error(), calls[i].forward);
        cr_expect_eq(
            clseq_nn_gather_backward(calls[i].ctx, calls[i].dim, calls[i].index, calls[i].y, calls[i].x),
            calls[i].expected);
        cr_expect_str_eq(clseq_last_error(), calls[i].backward);
    }
    clseq_tensor *const all[] = {&x, &index, &y, &flat, &wide};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        clseq_tensor_destroy(ctx, all[i]);
    clseq_context_destroy(ctx);
}
