/* clseq_nn_cumsum against its reference. */
#include "reference/along.h"
#include "support/along.h"
#include "support/bounds.h"
#include "support/device.h"
#include "support/numeric.h"
#include "support/operand.h"

#include <clseq/nn.h>
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

/* Compensated: 2 units of rounding of the sum of magnitudes whatever n is, and one more for the result. */
static void check(clseq_context *ctx, const along_shape *s, bool exclusive, bool reverse, double low,
                  double high, bool in_place)
{
    const reference_along a = along_reference(s);
    test_random random = test_random_seed(a.outer * 100 + a.n * 10 + a.inner);
    operand x = operand_random(ctx, &random, s->ndim, s->dims, low, high);
    operand out = operand_output(ctx, s->ndim, s->dims);
    const operand *y = in_place ? &x : &out;
    double *want = test_doubles(x.n), *bound = test_doubles(x.n);
    float *first = NULL;
    reference_cumsum(a, exclusive, reverse, x.values, want, bound);
    for (size_t i = 0; i < x.n; i++)
        bound[i] = test_rounding_bound(3, bound[i]);
    for (int run = 0; run < 2; run++) {
        operand_reset(&x);
        operand_reset(&out);
        MUST(clseq_nn_cumsum(ctx, s->dim, exclusive, reverse, &x.g.tensor, &y->g.tensor));
        operand_check("y", y, want, bound);
        if (run == 0)
            first = guarded_read(&y->g);
    }
    operand_check_bits("y again", y, first);
    free(first);
    free(want);
    free(bound);
    operand_destroy(&x);
    operand_destroy(&out);
}

Test(nn_scan, reference)
{
    clseq_context *ctx;
    const along_shape *s;
    for (int shape = 0; (ctx = test_context_shape(shape)) != NULL; shape++) {
        for (size_t i = 0; (s = along_shape_at(i)) != NULL; i++)
            for (int flags = 0; flags < 8; flags++) {
                check(ctx, s, flags & 1, flags & 2, -3, 3, flags & 4);
                /* Each term is small beside the sum of those before. */
                check(ctx, s, flags & 1, flags & 2, 1, 1.001, flags & 4);
            }
        clseq_context_destroy(ctx);
    }
}

/* What is infinite stays so until the other infinity comes; NaN stays; other lines know nothing of it. */
Test(nn_scan, special_values)
{
    enum { n = 5, LINES = 19 };
    static const float values[][2][n] = {
        {{1, INFINITY, 2, 3, 4}, {1, INFINITY, INFINITY, INFINITY, INFINITY}},
        {{1, -INFINITY, 2, INFINITY, 4}, {1, -INFINITY, -INFINITY, NAN, NAN}},
        {{1, NAN, 2, 3, 4}, {1, NAN, NAN, NAN, NAN}},
    };
    clseq_context *ctx;
    for (int shape = 0; (ctx = test_context_shape(shape)) != NULL; shape++) {
        for (size_t c = 0; c < sizeof values / sizeof values[0]; c++)
            for (int inner = 0; inner < 2; inner++) {
                const int64_t dims[2] = {inner ? n : LINES, inner ? LINES : n};
                float x[n * LINES];
                for (int i = 0; i < n * LINES; i++) {
                    const int line = inner ? i % LINES : i / n, k = inner ? i / LINES : i % n;
                    x[i] = line == LINES - 1 || line == 3 ? values[c][0][k] : 1;
                }
                guarded g = guarded_create(ctx, CLSEQ_DTYPE_F32, 2, dims, GUARDED_DENSE);
                guarded_write(&g, x);
                MUST(clseq_nn_cumsum(ctx, inner ? 0 : 1, false, false, &g.tensor, &g.tensor));
                float *got = guarded_read(&g);
                for (int i = 0; i < n * LINES; i++) {
                    const int line = inner ? i % LINES : i / n, k = inner ? i / LINES : i % n;
                    const float want = line == LINES - 1 || line == 3 ? values[c][1][k] : (float)(k + 1);
                    cr_expect(isnan(want) ? isnan(got[i]) : got[i] == want,
                              "case %zu, line %d element %d: %g, expected %g", c, line, k, (double)got[i],
                              (double)want);
                }
                free(got);
                guarded_destroy(&g);
            }
        clseq_context_destroy(ctx);
    }
}

Test(nn_scan, bad_arguments)
{
    clseq_context *ctx = test_context_shape(0);
    clseq_tensor x = {0}, y = {0}, small = {0}, tokens = {0};
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 2, (int64_t[]){4, 6}, &x));
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 2, (int64_t[]){4, 6}, &y));
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 2, (int64_t[]){6, 4}, &small));
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_I32, 2, (int64_t[]){4, 6}, &tokens));
    const clseq_tensor turned = clseq_tensor_transpose(&small, 0, 1);
    const struct {
        clseq_context *ctx;
        int dim;
        const clseq_tensor *x, *y;
        clseq_status expected;
        const char *sentence;
    } calls[] = {
        {NULL, 0, &x, &y, CLSEQ_INVALID_ARGUMENT, "cumsum: ctx is NULL"},
        {ctx, 2, &x, &y, CLSEQ_INVALID_ARGUMENT, "cumsum: dim is 2, expected -2 to 1"},
        {ctx, -3, &x, &y, CLSEQ_INVALID_ARGUMENT, "cumsum: dim is -3, expected -2 to 1"},
        {ctx, 0, NULL, &y, CLSEQ_INVALID_ARGUMENT, "cumsum: x is NULL, expected f32 [?]"},
        {ctx, 0, &x, NULL, CLSEQ_INVALID_ARGUMENT, "cumsum: y is NULL, expected f32 [4,6]"},
        {ctx, 0, &tokens, &y, CLSEQ_INVALID_DTYPE, "cumsum: x has type i32, expected f32"},
        {ctx, 0, &x, &small, CLSEQ_INVALID_SHAPE, "cumsum: y has shape [6,4], expected [4,6]"},
        {ctx, 0, &turned, &y, CLSEQ_INVALID_SHAPE,
         "cumsum: x has shape [4,6] and strides [1,4], expected it packed"},
    };
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        cr_expect_eq(clseq_nn_cumsum(calls[i].ctx, calls[i].dim, false, false, calls[i].x, calls[i].y),
                     calls[i].expected);
        cr_expect_str_eq(clseq_last_error(), calls[i].sentence);
    }
    clseq_tensor *const all[] = {&x, &y, &small, &tokens};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        clseq_tensor_destroy(ctx, all[i]);
    clseq_context_destroy(ctx);
}
