/* clseq_nn_affine_forward and _backward against their references. */
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

typedef struct shape {
    int64_t T, B, in, out;
} shape;

static const shape shapes[] = {{1, 1, 1, 1},   {3, 2, 5, 3},    {1, 1, 17, 100}, {7, 3, 100, 1},
                               {1, 17, 1, 17}, {9, 11, 31, 65}, {1, 3, 1023, 7}, {40, 10, 3, 100}};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

/* The magnitudes of the terms of each sum: the reference run on absolute values. */
static double *absolute(const double *x, size_t n)
{
    double *result = test_doubles(n);
    for (size_t i = 0; i < n; i++)
        result[i] = fabs(x[i]);
    return result;
}

static void check_forward(clseq_context *ctx, shape s, bool bias)
{
    const size_t N = (size_t)(s.T * s.B), in = (size_t)s.in, out = (size_t)s.out;
    test_random random = test_random_seed(N + in);
    operand x = operand_random(ctx, &random, 3, (int64_t[]){s.T, s.B, s.in}, -1, 1);
    operand w = operand_random(ctx, &random, 2, (int64_t[]){s.out, s.in}, -1, 1);
    operand b = operand_random(ctx, &random, 1, &s.out, -1, 1);
    operand y = operand_output(ctx, 3, (int64_t[]){s.T, s.B, s.out});
    double *want = test_doubles(y.n), *magnitude = test_doubles(y.n), *bound = test_doubles(y.n);
    float *first = NULL;
    reference_affine_forward(x.values, w.values, bias ? b.values : NULL, N, in, out, want, magnitude);
    for (size_t i = 0; i < y.n; i++)
        bound[i] = test_gemm_bound((double)in, magnitude[i]);
    for (int run = 0; run < 2; run++) {
        operand_reset(&y);
        MUST(clseq_nn_affine_forward(ctx, &x.g.tensor, &w.g.tensor, bias ? &b.g.tensor : NULL, &y.g.tensor));
        operand_check("y", &y, want, bound);
        if (run == 0)
            first = guarded_read(&y.g);
    }
    operand_check_bits("y again", &y, first);
    free(first);
    free(want);
    free(magnitude);
    free(bound);
    operand_destroy(&x);
    operand_destroy(&w);
    operand_destroy(&b);
    operand_destroy(&y);
}

/* Bounds for a sum of k terms of these magnitudes, `runs` times added to what was there. */
static double *bounds_of(const double *magnitude, size_t n, double k, int runs)
{
    double *bound = test_doubles(n);
    for (size_t i = 0; i < n; i++)
        bound[i] = runs * (test_gemm_bound(k + 1, magnitude[i]));
    return bound;
}

/* `wanted`: bit 0 dx, bit 1 dw, bit 2 db. Parameter gradients start with values and accumulate twice. */
static void check_backward(clseq_context *ctx, shape s, int wanted)
{
    const size_t N = (size_t)(s.T * s.B), in = (size_t)s.in, out = (size_t)s.out;
    test_random random = test_random_seed(N + out);
    operand x = operand_random(ctx, &random, 3, (int64_t[]){s.T, s.B, s.in}, -1, 1);
    operand w = operand_random(ctx, &random, 2, (int64_t[]){s.out, s.in}, -1, 1);
    operand dy = operand_random(ctx, &random, 3, (int64_t[]){s.T, s.B, s.out}, -1, 1);
    operand dx = operand_output(ctx, 3, (int64_t[]){s.T, s.B, s.in});
    operand dw = operand_random(ctx, &random, 2, (int64_t[]){s.out, s.in}, -1, 1);
    operand db = operand_random(ctx, &random, 1, &s.out, -1, 1);
    double *ax = absolute(x.values, x.n), *aw = absolute(w.values, w.n), *ady = absolute(dy.values, dy.n);
    double *want_dx = test_doubles(dx.n), *mx = test_doubles(dx.n), *mw = absolute(dw.values, dw.n);
    double *mb = absolute(db.values, db.n), *want_dw = test_doubles(dw.n), *want_db = test_doubles(db.n);
    memcpy(want_dw, dw.values, dw.n * sizeof *want_dw);
    memcpy(want_db, db.values, db.n * sizeof *want_db);
    for (int run = 1; run <= 2; run++) {
        operand_reset(&dx);
        reference_affine_backward(x.values, w.values, dy.values, N, in, out, want_dx, want_dw, want_db);
        reference_affine_backward(ax, aw, ady, N, in, out, mx, mw, mb);
        MUST(clseq_nn_affine_backward(ctx, &x.g.tensor, &w.g.tensor, &dy.g.tensor,
                                      wanted & 1 ? &dx.g.tensor : NULL, wanted & 2 ? &dw.g.tensor : NULL,
                                      wanted & 4 ? &db.g.tensor : NULL));
        double *bx = bounds_of(mx, dx.n, (double)out, 1), *bw = bounds_of(mw, dw.n, (double)N, run),
               *bb = bounds_of(mb, db.n, (double)N, run);
        double *zeros = test_doubles(dw.n);
        if (wanted & 1)
            operand_check("dx", &dx, want_dx, bx);
        operand_check("dw", &dw, wanted & 2 ? want_dw : dw.values, wanted & 2 ? bw : zeros);
        operand_check("db", &db, wanted & 4 ? want_db : db.values, wanted & 4 ? bb : zeros);
        free(zeros);
        free(bx);
        free(bw);
        free(bb);
    }
    double *const arrays[] = {ax, aw, ady, want_dx, mx, mw, mb, want_dw, want_db};
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++)
        free(arrays[i]);
    operand *const operands[] = {&x, &w, &dy, &dx, &dw, &db};
    for (size_t i = 0; i < sizeof operands / sizeof operands[0]; i++)
        operand_destroy(operands[i]);
}

Test(nn_affine, forward)
{
    clseq_context *ctx;
    for (int kernels = 0; (ctx = test_context_shape(kernels)) != NULL; kernels++) {
        for (int i = 0; i < (test_small() ? 2 : SHAPES); i++)
            for (int bias = 0; bias < 2; bias++)
                check_forward(ctx, shapes[i], bias);
        clseq_context_destroy(ctx);
    }
}

Test(nn_affine, backward)
{
    clseq_context *ctx;
    for (int kernels = 0; (ctx = test_context_shape(kernels)) != NULL; kernels++) {
        for (int i = 0; i < (test_small() ? 2 : SHAPES); i++)
            check_backward(ctx, shapes[i], 7);
        for (int wanted = 0; wanted < 7; wanted++)
            check_backward(ctx, shapes[1], wanted);
        clseq_context_destroy(ctx);
    }
}

Test(nn_affine, bad_arguments)
{
    clseq_context *ctx = test_context_shape(0);
    clseq_tensor x = {0}, w = {0}, b = {0}, y = {0}, ints = {0};
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 3, (int64_t[]){3, 2, 5}, &x));
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 2, (int64_t[]){4, 5}, &w));
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 1, (int64_t[]){4}, &b));
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 3, (int64_t[]){3, 2, 4}, &y));
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_I32, 2, (int64_t[]){4, 5}, &ints));
    const clseq_tensor scalar = clseq_tensor_view(x.buffer, 0, CLSEQ_DTYPE_F32, 0, NULL);
    const clseq_tensor flat = clseq_tensor_view(y.buffer, 0, CLSEQ_DTYPE_F32, 2, (int64_t[]){6, 4});
    const clseq_tensor over_x = clseq_tensor_view(x.buffer, 2, CLSEQ_DTYPE_F32, 3, y.dims);
    const clseq_tensor head = clseq_tensor_view(y.buffer, 0, CLSEQ_DTYPE_F32, 1, b.dims);
    cr_expect_eq(clseq_nn_affine_forward(NULL, &x, &w, &b, &y), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_nn_affine_forward(ctx, NULL, &w, &b, &y), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_nn_affine_forward(ctx, &x, NULL, &b, &y), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_nn_affine_forward(ctx, &x, &w, &b, NULL), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_nn_affine_forward(ctx, &scalar, &w, &b, &y), CLSEQ_INVALID_SHAPE);
    cr_expect_eq(clseq_nn_affine_forward(ctx, &y, &w, &b, &y), CLSEQ_INVALID_SHAPE);
    cr_expect(strstr(clseq_last_error(), "affine forward: w has shape [4,5], expected [?,4]") != NULL, "%s",
              clseq_last_error());
    cr_expect_eq(clseq_nn_affine_forward(ctx, &x, &ints, &b, &y), CLSEQ_INVALID_DTYPE);
    cr_expect_eq(clseq_nn_affine_forward(ctx, &x, &w, &w, &y), CLSEQ_INVALID_SHAPE);
    cr_expect_eq(clseq_nn_affine_forward(ctx, &x, &w, &b, &flat), CLSEQ_INVALID_SHAPE);
    cr_expect_eq(clseq_nn_affine_forward(ctx, &x, &w, &b, &over_x), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_nn_affine_forward(ctx, &x, &w, &head, &y), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_nn_affine_backward(NULL, &x, &w, &y, NULL, NULL, NULL), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_nn_affine_backward(ctx, NULL, &w, &y, NULL, NULL, NULL), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_nn_affine_backward(ctx, &x, &w, NULL, NULL, NULL, NULL), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_nn_affine_backward(ctx, &x, &w, &x, NULL, NULL, NULL), CLSEQ_INVALID_SHAPE);
    cr_expect_eq(clseq_nn_affine_backward(ctx, &x, &w, &y, &y, NULL, NULL), CLSEQ_INVALID_SHAPE);
    cr_expect_eq(clseq_nn_affine_backward(ctx, &x, &w, &y, &x, NULL, NULL), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_nn_affine_backward(ctx, &x, &w, &y, NULL, &w, NULL), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_nn_affine_backward(ctx, &x, &w, &y, NULL, NULL, &head), CLSEQ_INVALID_ARGUMENT);
    cr_expect(strstr(clseq_last_error(), "affine backward: db overlaps dy") != NULL, "%s",
              clseq_last_error());
    clseq_tensor_destroy(ctx, &x);
    clseq_tensor_destroy(ctx, &w);
    clseq_tensor_destroy(ctx, &b);
    clseq_tensor_destroy(ctx, &y);
    clseq_tensor_destroy(ctx, &ints);
    clseq_context_destroy(ctx);
}
