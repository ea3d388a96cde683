/* clseq_nn_activation_forward and _backward against their references. */
#include "reference/nn.h"
#include "support/bounds.h"
#include "support/compare.h"
#include "support/device.h"
#include "support/numeric.h"
#include "support/operand.h"

#include <clseq/nn.h>
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[CLSEQ_ACTIVATION_COUNT] = {[CLSEQ_ACTIVATION_TANH] = "tanh",
                                                          [CLSEQ_ACTIVATION_SIGMOID] = "sigmoid",
                                                          [CLSEQ_ACTIVATION_RELU] = "relu"};

/*
 * cl/core/gates.clh promises tanh within 3e-7 of its value, and 2.5 units more where a division is only as exact as
 * OpenCL asks for. sigmoid is half of it, plus rounding; relu is exact.
 */
static double forward_bound(clseq_activation kind, double y)
{
    if (kind == CLSEQ_ACTIVATION_RELU)
        return 0;
    return kind == CLSEQ_ACTIVATION_TANH ? 6e-7 * fabs(y) + TEST_TINY : 3e-7 + test_rounding_bound(2, y);
}

static void check(clseq_context *ctx, clseq_activation kind, int64_t n, double range, bool in_place)
{
    const reference_activation *f = reference_activation_find(names[kind]);
    test_random random = test_random_seed((uint64_t)n + 1);
    operand x = operand_random(ctx, &random, 1, &n, -range, range);
    operand dy = operand_random(ctx, &random, 1, &n, -2, 2);
    operand out = operand_output(ctx, 1, &n), dout = operand_output(ctx, 1, &n);
    const operand *y = in_place ? &x : &out, *dx = in_place ? &dy : &dout;
    double *want = test_doubles(x.n), *bound = test_doubles(x.n);
    float *first = NULL;
    for (int run = 0; run < 2; run++) {
        operand_reset(&x);
        reference_activation_forward(f, x.values, x.n, want);
        for (size_t i = 0; i < x.n; i++)
            bound[i] = forward_bound(kind, want[i]);
        MUST(clseq_nn_activation_forward(ctx, kind, &x.g.tensor, &y->g.tensor));
        operand_check("y", y, want, bound);
        if (run == 0)
            first = guarded_read(&y->g);
    }
    operand_check_bits("y again", y, first);

    /* Backward from the output as the device has it, so that only its own rounding counts. */
    double *output = test_doubles_of(first, x.n);
    reference_activation_backward(f, output, dy.values, x.n, want);
    for (size_t i = 0; i < x.n; i++)
        bound[i] = kind == CLSEQ_ACTIVATION_RELU
                       ? 0
                       : test_rounding_bound(2, want[i]) + test_rounding_bound(1, dy.values[i]);
    MUST(clseq_nn_activation_backward(ctx, kind, &y->g.tensor, &dy.g.tensor, &dx->g.tensor));
    operand_check("dx", dx, want, bound);
    free(first);
    free(output);
    free(want);
    free(bound);
    operand_destroy(&x);
    operand_destroy(&dy);
    operand_destroy(&out);
    operand_destroy(&dout);
}

Test(nn_activation, reference)
{
    static const int64_t sizes[] = {1, 3, 17, 100, 1023, 20011};
    clseq_context *ctx;
    for (int shape = 0; (ctx = test_context_shape(shape)) != NULL; shape++) {
        for (clseq_activation kind = 0; kind < CLSEQ_ACTIVATION_COUNT; kind++)
            for (size_t s = 0; s < (test_small() ? 3 : sizeof sizes / sizeof sizes[0]); s++)
                for (int in_place = 0; in_place < 2; in_place++) {
                    check(ctx, kind, sizes[s], 3, in_place);
                    check(ctx, kind, sizes[s], 100, in_place);
                }
        clseq_context_destroy(ctx);
    }
}

/* What comes at the ends: saturation, zeros, infinity; NaN stays NaN. */
Test(nn_activation, special_values)
{
    static const float values[6] = {0.0f, INFINITY, -INFINITY, NAN, 1e30f, -1e30f};
    static const double want[CLSEQ_ACTIVATION_COUNT][6] = {
        [CLSEQ_ACTIVATION_TANH] = {0, 1, -1, NAN, 1, -1},
        [CLSEQ_ACTIVATION_SIGMOID] = {0.5, 1, 0, NAN, 1, 0},
        [CLSEQ_ACTIVATION_RELU] = {0, INFINITY, 0, NAN, 1e30f, 0}};
    clseq_context *ctx;
    const int64_t n = 6;
    for (int shape = 0; (ctx = test_context_shape(shape)) != NULL; shape++) {
        guarded x = guarded_create(ctx, CLSEQ_DTYPE_F32, 1, &n, GUARDED_DENSE);
        for (clseq_activation kind = 0; kind < CLSEQ_ACTIVATION_COUNT; kind++) {
            guarded_write(&x, values);
            MUST(clseq_nn_activation_forward(ctx, kind, &x.tensor, &x.tensor));
            float *got = guarded_read(&x);
            for (int i = 0; i < 6; i++)
                cr_expect(isnan(want[kind][i])
                              ? isnan(got[i])
                              : got[i] == want[kind][i] || fabs(got[i] - want[kind][i]) <= 3e-7,
                          "%s of %g is %g, expected %g", names[kind], (double)values[i], (double)got[i],
                          want[kind][i]);
            free(got);
        }
        guarded_destroy(&x);
        clseq_context_destroy(ctx);
    }
}

Test(nn_activation, bad_arguments)
{
    clseq_context *ctx = test_context_shape(0);
    clseq_tensor x = {0}, y = {0}, small = {0};
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 1, (int64_t[]){24}, &x));
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 1, (int64_t[]){24}, &y));
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 1, (int64_t[]){23}, &small));
    const clseq_tensor low = clseq_tensor_slice(&x, 0, 0, 23), high = clseq_tensor_slice(&x, 0, 1, 23);
    cr_expect_eq(clseq_nn_activation_forward(NULL, CLSEQ_ACTIVATION_TANH, &x, &y), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_nn_activation_forward(ctx, CLSEQ_ACTIVATION_COUNT, &x, &y), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_nn_activation_forward(ctx, (clseq_activation)-1, &x, &y), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_nn_activation_forward(ctx, CLSEQ_ACTIVATION_TANH, NULL, &y), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_nn_activation_forward(ctx, CLSEQ_ACTIVATION_TANH, &x, &small), CLSEQ_INVALID_SHAPE);
    cr_expect_eq(clseq_nn_activation_forward(ctx, CLSEQ_ACTIVATION_TANH, &low, &high),
                 CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_nn_activation_backward(NULL, CLSEQ_ACTIVATION_TANH, &x, &y, &y),
                 CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_nn_activation_backward(ctx, CLSEQ_ACTIVATION_COUNT, &x, &y, &y),
                 CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_nn_activation_backward(ctx, CLSEQ_ACTIVATION_TANH, &x, &small, &y),
                 CLSEQ_INVALID_SHAPE);
    cr_expect_eq(clseq_nn_activation_backward(ctx, CLSEQ_ACTIVATION_TANH, &x, &y, NULL),
                 CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_nn_activation_backward(ctx, CLSEQ_ACTIVATION_TANH, &x, &y, &x),
                 CLSEQ_INVALID_ARGUMENT);
    cr_expect(strstr(clseq_last_error(), "activation backward: dx overlaps y") != NULL, "%s",
              clseq_last_error());
    clseq_tensor_destroy(ctx, &x);
    clseq_tensor_destroy(ctx, &y);
    clseq_tensor_destroy(ctx, &small);
    clseq_context_destroy(ctx);
}
