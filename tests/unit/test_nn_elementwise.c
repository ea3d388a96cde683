/* clseq_nn_add, clseq_nn_mul and clseq_nn_scale against their references. */
#include "reference/nn.h"
#include "support/bounds.h"
#include "support/device.h"
#include "support/numeric.h"
#include "support/operand.h"

#include <clseq/nn.h>
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const int64_t sizes[] = {1, 3, 17, 100, 1023, 20011};

/* How many of them to take: the small ones on slow devices. */
static int count_of_sizes(void)
{
    return test_small() ? 3 : (int)(sizeof sizes / sizeof sizes[0]);
}

/* y = alpha a + beta b, into y, in place of a, or in place of b; twice, for the same bits. */
static void check_add(clseq_context *ctx, int64_t n, float alpha, float beta, bool with_b, int place)
{
    test_random random = test_random_seed((uint64_t)n);
    operand a = operand_random(ctx, &random, 1, &n, -3, 3), b = operand_random(ctx, &random, 1, &n, -3, 3);
    operand out = operand_output(ctx, 1, &n);
    const operand *y = place == 1 ? &a : place == 2 ? &b : &out;
    double *want = test_doubles(a.n), *bound = test_doubles(a.n);
    float *first = NULL;
    reference_add(alpha, a.values, beta, with_b ? b.values : NULL, a.n, want);
    for (size_t i = 0; i < a.n; i++)
        bound[i] = test_rounding_bound(2, fabs(alpha * a.values[i]) + fabs(beta * b.values[i]));
    for (int run = 0; run < 2; run++) {
        operand_reset(&a);
        operand_reset(&b);
        operand_reset(&out);
        MUST(clseq_nn_add(ctx, alpha, &a.g.tensor, beta, with_b ? &b.g.tensor : NULL, &y->g.tensor));
        operand_check("y", y, want, bound);
        if (run == 0)
            first = guarded_read(&y->g);
    }
    operand_check_bits("y again", y, first);
    free(first);
    free(want);
    free(bound);
    operand_destroy(&a);
    operand_destroy(&b);
    operand_destroy(&out);
}

Test(nn_elementwise, add)
{
    clseq_context *ctx;
    for (int shape = 0; (ctx = test_context_shape(shape)) != NULL; shape++) {
        for (int s = 0; s < count_of_sizes(); s++)
            for (int place = 0; place < 3; place++) {
                check_add(ctx, sizes[s], 1, 1, true, place);
                check_add(ctx, sizes[s], -0.7f, 2.3f, true, place);
                if (place < 2)
                    check_add(ctx, sizes[s], 1.7f, 0, false, place);
            }
        clseq_context_destroy(ctx);
    }
}

static void check_multiply(clseq_context *ctx, int64_t n, bool accumulate, int place)
{
    test_random random = test_random_seed((uint64_t)n);
    operand a = operand_random(ctx, &random, 1, &n, -3, 3), b = operand_random(ctx, &random, 1, &n, -3, 3);
    operand out = accumulate ? operand_random(ctx, &random, 1, &n, -3, 3) : operand_output(ctx, 1, &n);
    const operand *y = place == 1 ? &a : place == 2 ? &b : &out;
    double *want = test_doubles(a.n), *bound = test_doubles(a.n);
    reference_multiply_forward(a.values, b.values, a.n, want);
    for (size_t i = 0; i < a.n; i++) {
        const double before = accumulate ? y->values[i] : 0;
        bound[i] = test_rounding_bound(2, fabs(want[i]) + fabs(before));
        want[i] += before;
    }
    MUST(clseq_nn_mul(ctx, &a.g.tensor, &b.g.tensor, accumulate, &y->g.tensor));
    operand_check("y", y, want, bound);
    free(want);
    free(bound);
    operand_destroy(&a);
    operand_destroy(&b);
    operand_destroy(&out);
}

Test(nn_elementwise, multiply)
{
    clseq_context *ctx;
    for (int shape = 0; (ctx = test_context_shape(shape)) != NULL; shape++) {
        for (int s = 0; s < count_of_sizes(); s++)
            for (int place = 0; place < 3; place++)
                for (int accumulate = 0; accumulate < 2; accumulate++)
                    check_multiply(ctx, sizes[s], accumulate, place);
        clseq_context_destroy(ctx);
    }
}

/* The gradients of a product as the reference has them, from two calls that accumulate. */
Test(nn_elementwise, multiply_gradients)
{
    clseq_context *ctx = test_context_shape(0);
    const int64_t n = 101;
    test_random random = test_random_seed(5);
    operand a = operand_random(ctx, &random, 1, &n, -3, 3), b = operand_random(ctx, &random, 1, &n, -3, 3);
    operand dy = operand_random(ctx, &random, 1, &n, -3, 3), da = operand_output(ctx, 1, &n);
    double *want_a = test_doubles(a.n), *want_b = test_doubles(a.n), *bound = test_doubles(a.n);
    reference_multiply_backward(a.values, b.values, dy.values, a.n, want_a, want_b);
    guarded_zero(&da.g);
    for (int run = 1; run <= 2; run++) {
        for (size_t i = 0; i < a.n; i++)
            bound[i] = test_rounding_bound(3, 2 * want_a[i]);
        MUST(clseq_nn_mul(ctx, &dy.g.tensor, &b.g.tensor, true, &da.g.tensor));
        if (run == 2)
            for (size_t i = 0; i < a.n; i++)
                want_a[i] *= 2;
        operand_check("da", &da, want_a, bound);
    }
    free(want_a);
    free(want_b);
    free(bound);
    operand_destroy(&a);
    operand_destroy(&b);
    operand_destroy(&dy);
    operand_destroy(&da);
    clseq_context_destroy(ctx);
}

Test(nn_elementwise, scale)
{
    clseq_context *ctx;
    for (int shape = 0; (ctx = test_context_shape(shape)) != NULL; shape++) {
        for (int s = 0; s < count_of_sizes(); s++)
            for (int place = 0; place < 2; place++) {
                test_random random = test_random_seed(9);
                operand x = operand_random(ctx, &random, 1, &sizes[s], -3, 3);
                operand scalar = operand_random(ctx, &random, 1, (int64_t[]){1}, -3, 3);
                operand out = operand_output(ctx, 1, &sizes[s]);
                const operand *y = place ? &x : &out;
                double *want = test_doubles(x.n), *bound = test_doubles(x.n);
                for (size_t i = 0; i < x.n; i++) {
                    want[i] = x.values[i] * scalar.values[0] * 0.25;
                    bound[i] = test_rounding_bound(2, want[i]);
                }
                MUST(clseq_nn_scale(ctx, &x.g.tensor, &scalar.g.tensor, 0.25f, &y->g.tensor));
                operand_check("y", y, want, bound);
                free(want);
                free(bound);
                operand_destroy(&x);
                operand_destroy(&scalar);
                operand_destroy(&out);
            }
        clseq_context_destroy(ctx);
    }
}

/* NaN and infinity are values like others, and go nowhere else. */
Test(nn_elementwise, not_finite)
{
    clseq_context *ctx = test_context_shape(0);
    const int64_t n = 19;
    float values[19] = {0};
    guarded x = guarded_create(ctx, CLSEQ_DTYPE_F32, 1, &n, GUARDED_DENSE);
    values[3] = NAN;
    values[18] = -INFINITY;
    guarded_write(&x, values);
    MUST(clseq_nn_add(ctx, 2, &x.tensor, 0, NULL, &x.tensor));
    float *got = guarded_read(&x);
    for (int i = 0; i < 19; i++)
        cr_assert(i == 3    ? isnan(got[i])
                  : i == 18 ? got[i] == -INFINITY
                            : got[i] == 0,
                  "element %d is %g", i, (double)got[i]);
    free(got);
    guarded_destroy(&x);
    clseq_context_destroy(ctx);
}

Test(nn_elementwise, bad_arguments)
{
    clseq_context *ctx = test_context_shape(0);
    clseq_tensor x = {0}, y = {0}, small = {0}, tokens = {0};
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 2, (int64_t[]){4, 6}, &x));
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 2, (int64_t[]){4, 6}, &y));
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 2, (int64_t[]){4, 5}, &small));
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_I32, 2, (int64_t[]){4, 6}, &tokens));
    const clseq_tensor gaps = clseq_tensor_slice(&x, 1, 1, 3),
                       flat = clseq_tensor_view(x.buffer, 0, CLSEQ_DTYPE_F32, 1, (int64_t[]){20});
    const clseq_tensor shifted = clseq_tensor_view(x.buffer, 1, CLSEQ_DTYPE_F32, 1, (int64_t[]){20});
    const clseq_tensor beyond = clseq_tensor_view(x.buffer, (int64_t)1 << 40, CLSEQ_DTYPE_F32, 2, x.dims);
    const clseq_tensor none = {0};
    cr_expect_eq(clseq_nn_add(NULL, 1, &x, 1, &y, &y), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_nn_add(ctx, 1, NULL, 1, &y, &y), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_nn_add(ctx, 1, &none, 1, &y, &y), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_nn_add(ctx, 1, &x, 1, &y, NULL), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_nn_add(ctx, 1, &x, 1, &small, &y), CLSEQ_INVALID_SHAPE);
    cr_expect(strstr(clseq_last_error(), "add: b has shape [4,5], expected [4,6]") != NULL, "%s",
              clseq_last_error());
    cr_expect_eq(clseq_nn_add(ctx, 1, &x, 1, &y, &small), CLSEQ_INVALID_SHAPE);
    cr_expect_eq(clseq_nn_add(ctx, 1, &tokens, 1, &y, &y), CLSEQ_INVALID_DTYPE);
    cr_expect_eq(clseq_nn_add(ctx, 1, &gaps, 1, NULL, &gaps), CLSEQ_INVALID_SHAPE);
    cr_expect_eq(clseq_nn_add(ctx, 1, &beyond, 1, NULL, &y), CLSEQ_OUT_OF_BOUNDS);
    cr_expect_eq(clseq_nn_add(ctx, 1, &flat, 1, NULL, &shifted), CLSEQ_INVALID_ARGUMENT);
    cr_expect(strstr(clseq_last_error(), "add: y overlaps a") != NULL, "%s", clseq_last_error());
    cr_expect_eq(clseq_nn_mul(NULL, &x, &y, false, &y), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_nn_mul(ctx, &x, NULL, false, &y), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_nn_mul(ctx, &x, &y, false, &small), CLSEQ_INVALID_SHAPE);
    cr_expect_eq(clseq_nn_mul(ctx, &flat, &flat, false, &shifted), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_nn_scale(NULL, &x, &y, 1, &y), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_nn_scale(ctx, &x, &y, 1, &x), CLSEQ_INVALID_SHAPE);
    cr_expect(strstr(clseq_last_error(), "scale: scalar has shape [4,6], expected one element") != NULL, "%s",
              clseq_last_error());
    clseq_tensor_destroy(ctx, &x);
    clseq_tensor_destroy(ctx, &y);
    clseq_tensor_destroy(ctx, &small);
    clseq_tensor_destroy(ctx, &tokens);
    clseq_context_destroy(ctx);
}
