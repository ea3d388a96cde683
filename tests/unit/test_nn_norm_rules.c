/* clseq_nn_norm_forward and _backward: single values, what is not wanted, memory, and what is refused. */
#include "reference/norm.h"
#include "support/bounds.h"
#include "support/compare.h"
#include "support/device.h"
#include "support/operand.h"

#include <clseq/nn.h>
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

/* One number far from all others, also where it comes first, costs the others nothing. */
Test(nn_norm_rules, outlier)
{
    enum { n = 100 };
    const double bound = 100 * TEST_EPS * n;
    clseq_context *ctx;
    for (int shape_of_kernels = 0; (ctx = test_context_shape(shape_of_kernels)) != NULL; shape_of_kernels++) {
        for (int at = 0; at < n; at += n - 1) {
            float values[n];
            double doubles[n], want[n], r;
            for (int i = 0; i < n; i++)
                doubles[i] = values[i] = i == at ? 1e6f : 0.01f * (float)i;
            reference_row_norm_out((reference_row_norm){true, 0, 1, n}, doubles, want, &r);
            guarded x = guarded_create(ctx, CLSEQ_DTYPE_F32, 1, (int64_t[]){n}, GUARDED_DENSE);
            operand saved = operand_output(ctx, 2, (int64_t[]){1, 2});
            guarded_write(&x, values);
            MUST(clseq_nn_norm_forward(ctx, CLSEQ_NORM_LAYER, 0, &x.tensor, NULL, NULL, &x.tensor,
                                       &saved.g.tensor));
            float *got = guarded_read(&x);
            cr_expect(compare_floats("y", got, want, n, bound), "%s", compare_message());
            free(got);
            guarded_destroy(&x);
            operand_destroy(&saved);
        }
        clseq_context_destroy(ctx);
    }
}

/* NaN and infinity spoil their own row only; a row of equal numbers gives zeros. */
Test(nn_norm_rules, special_values)
{
    static const float rows[][3] = {{1, 2, 4}, {NAN, 0, 1}, {1, 0, NAN}, {INFINITY, 0, 1}, {7, 7, 7}};
    clseq_context *ctx;
    for (int shape_of_kernels = 0; (ctx = test_context_shape(shape_of_kernels)) != NULL; shape_of_kernels++) {
        const int64_t dims[] = {5, 3};
        guarded x = guarded_create(ctx, CLSEQ_DTYPE_F32, 2, dims, GUARDED_DENSE);
        operand y = operand_output(ctx, 2, dims), saved = operand_output(ctx, 2, (int64_t[]){5, 2});
        guarded_write(&x, rows);
        MUST(clseq_nn_norm_forward(ctx, CLSEQ_NORM_LAYER, 1e-5f, &x.tensor, NULL, NULL, &y.g.tensor,
                                   &saved.g.tensor));
        float *got = guarded_read(&y.g);
        for (int i = 0; i < 15; i++)
            cr_expect(i / 3 == 0   ? isfinite(got[i])
                      : i / 3 == 4 ? got[i] == 0
                                   : isnan(got[i]),
                      "row %d element %d is %g", i / 3, i % 3, (double)got[i]);
        free(got);
        guarded_destroy(&x);
        operand_destroy(&y);
        operand_destroy(&saved);
        clseq_context_destroy(ctx);
    }
}

/* What is not asked for is not computed, and does not change the rest. */
Test(nn_norm_rules, wanted_gradients)
{
    clseq_context *ctx;
    for (int shape_of_kernels = 0; (ctx = test_context_shape(shape_of_kernels)) != NULL; shape_of_kernels++) {
        const int64_t dims[] = {7, 19}, n = 19;
        test_random random = test_random_seed(3);
        operand x = operand_random(ctx, &random, 2, dims, -2, 2),
                dy = operand_random(ctx, &random, 2, dims, -2, 2);
        operand saved = operand_output(ctx, 2, (int64_t[]){7, 2}), y = operand_output(ctx, 2, dims);
        operand d[3] = {operand_output(ctx, 2, dims), operand_random(ctx, &random, 1, &n, -1, 1),
                        operand_random(ctx, &random, 1, &n, -1, 1)};
        float *all[3], *before[3];
        MUST(clseq_nn_norm_forward(ctx, CLSEQ_NORM_LAYER, 1e-5f, &x.g.tensor, NULL, NULL, &y.g.tensor,
                                   &saved.g.tensor));
        for (int i = 0; i < 3; i++)
            before[i] = guarded_read(&d[i].g);
        for (int wanted = 7; wanted >= 0; wanted--) {
            const clseq_tensor *t[3];
            for (int i = 0; i < 3; i++) {
                operand_reset(&d[i]);
                t[i] = wanted >> i & 1 ? &d[i].g.tensor : NULL;
            }
            MUST(clseq_nn_norm_backward(ctx, CLSEQ_NORM_LAYER, &x.g.tensor, NULL, &saved.g.tensor,
                                        &dy.g.tensor, t[0], t[1], t[2]));
            for (int i = 0; i < 3; i++) {
                if (wanted == 7)
                    all[i] = guarded_read(&d[i].g);
                operand_check_bits("gradient", &d[i], t[i] ? all[i] : before[i]);
            }
        }
        for (int i = 0; i < 3; i++) {
            free(all[i]);
            free(before[i]);
            operand_destroy(&d[i]);
        }
        operand_destroy(&x);
        operand_destroy(&dy);
        operand_destroy(&y);
        operand_destroy(&saved);
        clseq_context_destroy(ctx);
    }
}

/* Nothing is allocated after the first time. */
Test(nn_norm_rules, no_new_memory)
{
    clseq_context *ctx = test_context_shape(0);
    const int64_t dims[] = {50, 65}, n = 65;
    clseq_context_stats before, after;
    test_random random = test_random_seed(1);
    operand x = operand_random(ctx, &random, 2, dims, -3, 3), y = operand_output(ctx, 2, dims);
    operand dgain = operand_random(ctx, &random, 1, &n, -3, 3);
    operand saved = operand_output(ctx, 2, (int64_t[]){50, 2});
    for (int i = 0; i < 3; i++) {
        MUST(clseq_nn_norm_forward(ctx, CLSEQ_NORM_RMS, 1, &x.g.tensor, NULL, NULL, &y.g.tensor,
                                   &saved.g.tensor));
        MUST(clseq_nn_norm_backward(ctx, CLSEQ_NORM_RMS, &x.g.tensor, NULL, &saved.g.tensor, &y.g.tensor,
                                    NULL, &dgain.g.tensor, NULL));
        MUST(clseq_context_get_stats(ctx, i == 0 ? &before : &after));
    }
    cr_assert_eq(before.allocations, after.allocations);
    operand *const all[] = {&x, &y, &dgain, &saved};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        operand_destroy(all[i]);
    clseq_context_destroy(ctx);
}

Test(nn_norm_rules, bad_arguments)
{
    clseq_context *ctx = test_context_shape(0);
    clseq_tensor x = {0}, y = {0}, row = {0}, other = {0}, saved = {0};
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 3, (int64_t[]){2, 2, 6}, &x));
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 3, (int64_t[]){2, 2, 6}, &y));
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 1, (int64_t[]){6}, &row));
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 1, (int64_t[]){6}, &other));
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 2, (int64_t[]){4, 2}, &saved));
    const clseq_tensor scalar = clseq_tensor_view(x.buffer, 0, CLSEQ_DTYPE_F32, 0, NULL);
    const clseq_tensor inside = clseq_tensor_view(x.buffer, 6, CLSEQ_DTYPE_F32, 1, (int64_t[]){6});
    const struct {
        clseq_context *ctx;
        int kind;
        float eps;
        const clseq_tensor *x, *gain, *shift, *y, *saved;
        clseq_status expected;
        const char *sentence;
    } forwards[] = {
        {NULL, 0, 1, &x, &row, &row, &y, &saved, CLSEQ_INVALID_ARGUMENT, "layer norm forward: ctx is NULL"},
        {ctx, 2, 1, &x, &row, &row, &y, &saved, CLSEQ_INVALID_ARGUMENT, "norm: there is no norm 2"},
        {ctx, -1, 1, &x, &row, &row, &y, &saved, CLSEQ_INVALID_ARGUMENT, "norm: there is no norm -1"},
        {ctx, 0, -1, &x, &row, &row, &y, &saved, CLSEQ_INVALID_ARGUMENT,
         "layer norm forward: eps is -1, expected a number of at least 0"},
        {ctx, 1, NAN, &x, &row, &row, &y, &saved, CLSEQ_INVALID_ARGUMENT,
         "rms norm forward: eps is nan, expected a number of at least 0"},
        {ctx, 0, 1, NULL, &row, &row, &y, &saved, CLSEQ_INVALID_ARGUMENT, NULL},
        {ctx, 0, 1, &scalar, &row, &row, &y, &saved, CLSEQ_INVALID_SHAPE,
         "layer norm forward: x has no dimensions, expected [...,n]"},
        {ctx, 0, 1, &x, &saved, &row, &y, &saved, CLSEQ_INVALID_SHAPE,
         "layer norm forward: gain has 2 dimensions, expected 1: [6]"},
        {ctx, 0, 1, &x, &row, &y, &y, &saved, CLSEQ_INVALID_SHAPE,
         "layer norm forward: shift has 3 dimensions, expected 1: [6]"},
        {ctx, 0, 1, &x, &row, &row, NULL, &saved, CLSEQ_INVALID_ARGUMENT, NULL},
        {ctx, 1, 1, &x, &row, &row, &y, NULL, CLSEQ_INVALID_ARGUMENT,
         "rms norm forward: saved is NULL, expected f32 [4,2]"},
        {ctx, 1, 1, &x, &inside, &row, &x, &saved, CLSEQ_INVALID_ARGUMENT,
         "rms norm forward: y overlaps gain"},
    };
    for (size_t i = 0; i < sizeof forwards / sizeof forwards[0]; i++) {
        const clseq_status got = clseq_nn_norm_forward(forwards[i].ctx, (clseq_norm_kind)forwards[i].kind,
                                                       forwards[i].eps, forwards[i].x, forwards[i].gain,
                                                       forwards[i].shift, forwards[i].y, forwards[i].saved);
        cr_expect_eq(got, forwards[i].expected, "forward %zu: %s", i, clseq_status_name(got));
        if (forwards[i].sentence)
            cr_expect_str_eq(clseq_last_error(), forwards[i].sentence);
    }
    const struct {
        const clseq_tensor *x, *saved, *dy, *dx, *dgain, *dshift;
        clseq_status expected;
        const char *sentence;
    } backwards[] = {
        {NULL, &saved, &y, &y, &row, &other, CLSEQ_INVALID_ARGUMENT, NULL},
        {&x, NULL, &y, &y, &row, &other, CLSEQ_INVALID_ARGUMENT, NULL},
        {&x, &saved, NULL, &y, &row, &other, CLSEQ_INVALID_ARGUMENT, NULL},
        {&x, &saved, &y, &row, &row, &other, CLSEQ_INVALID_SHAPE, NULL},
        {&x, &saved, &y, &x, &row, &other, CLSEQ_INVALID_ARGUMENT, "layer norm backward: dx overlaps x"},
        {&x, &saved, &y, &y, &row, &row, CLSEQ_INVALID_ARGUMENT,
         "layer norm backward: dgain overlaps dshift"},
        {&x, &saved, &y, NULL, &inside, NULL, CLSEQ_INVALID_ARGUMENT,
         "layer norm backward: dgain overlaps x"},
        {&x, &saved, &y, NULL, NULL, &saved, CLSEQ_INVALID_SHAPE, NULL},
    };
    for (size_t i = 0; i < sizeof backwards / sizeof backwards[0]; i++) {
        const clseq_status got =
            clseq_nn_norm_backward(ctx, CLSEQ_NORM_LAYER, backwards[i].x, NULL, backwards[i].saved,
                                   backwards[i].dy, backwards[i].dx, backwards[i].dgain, backwards[i].dshift);
        cr_expect_eq(got, backwards[i].expected, "backward %zu: %s", i, clseq_status_name(got));
        if (backwards[i].sentence)
            cr_expect_str_eq(clseq_last_error(), backwards[i].sentence);
    }
    cr_expect_eq(clseq_nn_norm_backward(ctx, CLSEQ_NORM_COUNT, &x, NULL, &saved, &y, &y, &row, &other),
                 CLSEQ_INVALID_ARGUMENT);
    clseq_tensor *const all[] = {&x, &y, &row, &other, &saved};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        clseq_tensor_destroy(ctx, all[i]);
    clseq_context_destroy(ctx);
}
