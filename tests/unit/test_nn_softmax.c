/* clseq_nn_softmax and clseq_nn_log_softmax, forward and backward, against their references. */
#include "reference/along.h"
#include "support/along.h"
#include "support/bounds.h"
#include "support/device.h"
#include "support/numeric.h"
#include "support/operand.h"

#include <clseq/nn.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef clseq_status (*forward)(clseq_context *ctx, int dim, const clseq_tensor *x, const clseq_tensor *y);
typedef clseq_status (*backward)(clseq_context *ctx, int dim, const clseq_tensor *y, const clseq_tensor *dy,
                                 const clseq_tensor *dx);

/* By whether the logarithm is meant. */
static const forward forwards[2] = {clseq_nn_softmax_forward, clseq_nn_log_softmax_forward};
static const backward backwards[2] = {clseq_nn_softmax_backward, clseq_nn_log_softmax_backward};

/*
 * Of y: d = x - m is off by u |d|, exp(d) by as much of itself and by 2 units of the approximation; the sum by what its terms
 * are, on their average, and by its additions; its inverse by 2.5 units in the last place, its logarithm by 3.
 */
static void forward_bounds(reference_along a, bool is_log, const double *x, const double *y, double *bound)
{
    for (size_t line = 0; line < a.outer * a.inner; line++) {
        double largest = -INFINITY, sum = 0, average = 0;
        for (size_t k = 0; k < a.n; k++)
            largest = fmax(largest, x[reference_along_at(a, line, k)]);
        for (size_t k = 0; k < a.n; k++) {
            const double d = x[reference_along_at(a, line, k)] - largest;
            sum += exp(d);
            average += exp(d) * fabs(d);
        }
        const double of_sum = test_rounding_bound(average / sum + 2, 1) + test_sum_bound((double)a.n, 1);
        for (size_t k = 0; k < a.n; k++) {
            const size_t at = reference_along_at(a, line, k);
            const double d = fabs(x[at] - largest);
            bound[at] = is_log ? test_rounding_bound(1, d) + of_sum + test_ulp_bound(3, log(sum)) +
                                     test_rounding_bound(1, y[at])
                               : y[at] * (test_rounding_bound(d + 2, 1) + of_sum + test_ulp_bound(2.5, 1)) +
                                     test_rounding_bound(2, y[at]) + TEST_TINY;
        }
    }
}

/* Of dx from an exact y: the sum, exp(y) where there is one, and the three operations. */
static void backward_bounds(reference_along a, bool is_log, const double *y, const double *dy,
                            const double *dx, double *bound)
{
    for (size_t line = 0; line < a.outer * a.inner; line++) {
        double magnitude = 0;
        for (size_t k = 0; k < a.n; k++) {
            const size_t at = reference_along_at(a, line, k);
            magnitude += fabs(is_log ? dy[at] : y[at] * dy[at]);
        }
        for (size_t k = 0; k < a.n; k++) {
            const size_t at = reference_along_at(a, line, k);
            const double p = is_log ? exp(y[at]) : y[at];
            bound[at] = p * (test_sum_bound((double)a.n, magnitude) + test_rounding_bound(3, magnitude) +
                             test_rounding_bound(1, dy[at])) +
                        test_rounding_bound(2, dx[at]);
        }
    }
}

static void check(clseq_context *ctx, const along_shape *s, bool is_log, double shift, double range,
                  bool in_place)
{
    const reference_along a = along_reference(s);
    test_random random = test_random_seed(a.outer * 100 + a.n * 10 + a.inner);
    operand x = operand_random(ctx, &random, s->ndim, s->dims, shift - range, shift + range);
    operand dy = operand_random(ctx, &random, s->ndim, s->dims, -2, 2);
    operand out = operand_output(ctx, s->ndim, s->dims), dout = operand_output(ctx, s->ndim, s->dims);
    const operand *y = in_place ? &x : &out, *dx = in_place ? &dy : &dout;
    double *want = test_doubles(x.n), *bound = test_doubles(x.n);
    float *first_y = NULL, *first_dx = NULL;
    for (int run = 0; run < 2; run++) {
        operand_reset(&x);
        operand_reset(&dy);
        operand_reset(&out);
        operand_reset(&dout);
        reference_softmax_forward(a, is_log, x.values, want);
        forward_bounds(a, is_log, x.values, want, bound);
        MUST(forwards[is_log](ctx, s->dim, &x.g.tensor, &y->g.tensor));
        operand_check("y", y, want, bound);
        float *got = guarded_read(&y->g);
        double *exact = test_doubles_of(got, x.n);
        reference_softmax_backward(a, is_log, exact, dy.values, want);
        backward_bounds(a, is_log, exact, dy.values, want, bound);
        MUST(backwards[is_log](ctx, s->dim, &y->g.tensor, &dy.g.tensor, &dx->g.tensor));
        operand_check("dx", dx, want, bound);
        free(exact);
        if (run == 0) {
            first_y = got;
            first_dx = guarded_read(&dx->g);
        } else {
            free(got);
        }
    }
    operand_check_bits("y again", y, first_y);
    operand_check_bits("dx again", dx, first_dx);
    free(first_y);
    free(first_dx);
    free(want);
    free(bound);
    operand_destroy(&x);
    operand_destroy(&dy);
    operand_destroy(&out);
    operand_destroy(&dout);
}

Test(nn_softmax, reference)
{
    static const struct {
        double shift, range;
    } values[] = {{0, 3}, {0, 60}, {1e4, 30}, {-1e4, 30}, {0, 1e4}};
    clseq_context *ctx;
    const along_shape *s;
    for (int shape = 0; (ctx = test_context_shape(shape)) != NULL; shape++) {
        for (size_t i = 0; (s = along_shape_at(i)) != NULL; i++)
            for (int is_log = 0; is_log < 2; is_log++)
                for (size_t v = 0; v < sizeof values / sizeof values[0]; v++)
                    check(ctx, s, is_log, values[v].shift, values[v].range, v % 2 == 1);
        clseq_context_destroy(ctx);
    }
}

/* Lines of 3 in a [lines,3] or [3,lines], each with what comes of them; all the same in every lane. */
static const struct {
    const char *name;
    float x[3], y[2][3], dx[2][3]; /* for dy = {1, 2, 4}; NaN: is to be NaN */
} specials[] = {
    {"all masked",
     {-INFINITY, -INFINITY, -INFINITY},
     {{0, 0, 0}, {-INFINITY, -INFINITY, -INFINITY}},
     {{0, 0, 0}, {1, 2, 4}}},
    {"one left", {-INFINITY, 7, -INFINITY}, {{0, 1, 0}, {-INFINITY, 0, -INFINITY}}, {{0, 0, 0}, {1, -5, 4}}},
    {"two left",
     {1e4f, -INFINITY, 1e4f},
     {{0.5f, 0, 0.5f}, {-0.6931472f, -INFINITY, -0.6931472f}},
     {{-0.75f, 0, 0.75f}, {-2.5f, 2, 0.5f}}},
    {"NaN", {0, NAN, 1}, {{NAN, NAN, NAN}, {NAN, NAN, NAN}}, {{NAN, NAN, NAN}, {NAN, NAN, NAN}}},
    {"NaN among masked",
     {-INFINITY, -INFINITY, NAN},
     {{NAN, NAN, NAN}, {NAN, NAN, NAN}},
     {{NAN, NAN, NAN}, {NAN, NAN, NAN}}},
    {"infinity", {INFINITY, 0, 1}, {{NAN, NAN, NAN}, {NAN, NAN, NAN}}, {{NAN, NAN, NAN}, {NAN, NAN, NAN}}},
    {"far apart", {1e30f, 0, -1e30f}, {{1, 0, 0}, {0, -1e30f, -2e30f}}, {{0, 0, 0}, {-6, 2, 4}}},
};

enum { LINES = 37 };

static void check_special(clseq_context *ctx, size_t which, bool is_log, bool rows)
{
    const int64_t dims[2] = {rows ? LINES : 3, rows ? 3 : LINES};
    float x[LINES * 3], dy[LINES * 3];
    for (int i = 0; i < LINES * 3; i++) {
        const int k = rows ? i % 3 : i / LINES, line = rows ? i / 3 : i % LINES;
        x[i] = line == LINES - 1 || line == 5 ? specials[which].x[k] : 0.5f; /* others stay as they are */
        dy[i] = (float)(1 << k);
    }
    guarded in = guarded_create(ctx, CLSEQ_DTYPE_F32, 2, dims, GUARDED_DENSE);
    guarded d = guarded_create(ctx, CLSEQ_DTYPE_F32, 2, dims, GUARDED_DENSE);
    guarded_write(&in, x);
    guarded_write(&d, dy);
    MUST(forwards[is_log](ctx, rows ? 1 : 0, &in.tensor, &in.tensor));
    MUST(backwards[is_log](ctx, rows ? 1 : 0, &in.tensor, &d.tensor, &d.tensor));
    float *y = guarded_read(&in), *dx = guarded_read(&d);
    for (int i = 0; i < LINES * 3; i++) {
        const int k = rows ? i % 3 : i / LINES, line = rows ? i / 3 : i % LINES;
        const bool special = line == LINES - 1 || line == 5;
        const float want[2] = {special  ? specials[which].y[is_log][k]
                               : is_log ? -1.0986123f
                                        : 1.0f / 3,
                               special  ? specials[which].dx[is_log][k]
                               : is_log ? (float)(1 << k) - 7.0f / 3
                                        : ((float)(1 << k) - 7.0f / 3) / 3};
        const float got[2] = {y[i], dx[i]};
        for (int j = 0; j < 2; j++)
            cr_expect(
                isnan(want[j]) ? isnan(got[j])
                               : got[j] == want[j] || fabs(got[j] - want[j]) <= 1e-6 * (1 + fabs(want[j])),
                "%s, %s of %s, line %d element %d: %g, expected %g", specials[which].name, j ? "dx" : "y",
                is_log ? "log softmax" : "softmax", line, k, (double)got[j], (double)want[j]);
    }
    free(y);
    free(dx);
    guarded_destroy(&in);
    guarded_destroy(&d);
}

Test(nn_softmax, special_values)
{
    clseq_context *ctx;
    for (int shape = 0; (ctx = test_context_shape(shape)) != NULL; shape++) {
        for (size_t i = 0; i < sizeof specials / sizeof specials[0]; i++)
            for (int variant = 0; variant < 4; variant++)
                check_special(ctx, i, variant & 1, variant & 2);
        clseq_context_destroy(ctx);
    }
}

Test(nn_softmax, bad_arguments)
{
    clseq_context *ctx = test_context_shape(0);
    clseq_tensor x = {0}, y = {0}, small = {0}, tokens = {0};
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 2, (int64_t[]){4, 6}, &x));
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 2, (int64_t[]){4, 6}, &y));
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 2, (int64_t[]){6, 4}, &small));
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_I32, 2, (int64_t[]){4, 6}, &tokens));
    const clseq_tensor scalar = clseq_tensor_view(x.buffer, 0, CLSEQ_DTYPE_F32, 0, NULL);
    const clseq_tensor turned = clseq_tensor_transpose(&small, 0, 1);
    for (int is_log = 0; is_log < 2; is_log++) {
        const char *const op = is_log ? "log softmax" : "softmax";
        const struct {
            clseq_status got, expected;
        } calls[] = {
            {forwards[is_log](NULL, 0, &x, &y), CLSEQ_INVALID_ARGUMENT},
            {forwards[is_log](ctx, 0, NULL, &y), CLSEQ_INVALID_ARGUMENT},
            {forwards[is_log](ctx, 0, &x, NULL), CLSEQ_INVALID_ARGUMENT},
            {forwards[is_log](ctx, 0, &x, &small), CLSEQ_INVALID_SHAPE},
            {forwards[is_log](ctx, 0, &turned, &y), CLSEQ_INVALID_SHAPE},
            {forwards[is_log](ctx, 0, &scalar, &scalar), CLSEQ_INVALID_SHAPE},
            {forwards[is_log](ctx, 0, &tokens, &y), CLSEQ_INVALID_DTYPE},
            {backwards[is_log](NULL, 0, &x, &y, &y), CLSEQ_INVALID_ARGUMENT},
            {backwards[is_log](ctx, 0, NULL, &y, &y), CLSEQ_INVALID_ARGUMENT},
            {backwards[is_log](ctx, 0, &x, NULL, &y), CLSEQ_INVALID_ARGUMENT},
            {backwards[is_log](ctx, 0, &x, &y, NULL), CLSEQ_INVALID_ARGUMENT},
            {backwards[is_log](ctx, 0, &x, &small, &y), CLSEQ_INVALID_SHAPE},
            {backwards[is_log](ctx, 0, &x, &y, &x), CLSEQ_INVALID_ARGUMENT},
        };
        for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
            cr_expect_eq(calls[i].got, calls[i].expected, "%s, call %zu: %s", op, i,
                         clseq_status_name(calls[i].got));
        char sentence[100];
        for (int i = 0; i < 2; i++) {
            const int dim = i ? 2 : -3;
            cr_expect_eq(forwards[is_log](ctx, dim, &x, &y), CLSEQ_INVALID_ARGUMENT);
            snprintf(sentence, sizeof sentence, "%s forward: dim is %d, expected -2 to 1", op, dim);
            cr_expect_str_eq(clseq_last_error(), sentence);
            cr_expect_eq(backwards[is_log](ctx, dim, &x, &y, &y), CLSEQ_INVALID_ARGUMENT);
            snprintf(sentence, sizeof sentence, "%s backward: dim is %d, expected -2 to 1", op, dim);
            cr_expect_str_eq(clseq_last_error(), sentence);
        }
    }
    clseq_tensor_destroy(ctx, &x);
    clseq_tensor_destroy(ctx, &y);
    clseq_tensor_destroy(ctx, &small);
    clseq_tensor_destroy(ctx, &tokens);
    clseq_context_destroy(ctx);
}
