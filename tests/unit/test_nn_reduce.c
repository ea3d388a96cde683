/* clseq_nn_reduce_forward, _backward and clseq_nn_sum: every reduction over every set of dims, against the reference. */
#include "reference/nn.h"
#include "reference/reduce.h"
#include "support/bounds.h"
#include "support/compare.h"
#include "support/device.h"
#include "support/guarded.h"
#include "support/numeric.h"
#include "support/operand.h"
#include "support/random.h"

#include <clseq/nn.h>
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[CLSEQ_REDUCE_COUNT] = {"sum", "mean", "max", "min"};

/* A tensor of the dims of x or of y. */
static guarded make(clseq_context *ctx, const reference_reduction *r, bool of_y, int layout)
{
    int64_t dims[CLSEQ_MAX_DIMS];
    for (int d = 0; d < r->ndim; d++)
        dims[d] = of_y && r->reduced[d] ? 1 : r->dims[d];
    return guarded_create(ctx, CLSEQ_DTYPE_F32, r->ndim, dims, (guarded_layout)layout);
}

static void expect(const reference_reduction *r, const char *what, const guarded *g, const double *want,
                   const double *bound)
{
    float *got = guarded_read(g);
    cr_assert(compare_floats_each(what, got, want, (size_t)g->n, bound), "%s: %s", names[r->row],
              compare_message());
    cr_assert(guarded_intact(what, g), "%s: %s", names[r->row], guarded_message());
    free(got);
}

static void check(clseq_context *ctx, const reference_reduction *r, int layout)
{
    const size_t n = (size_t)reference_reduce_elements(r, false),
                 k = (size_t)reference_reduce_elements(r, true);
    double *x = test_doubles(n), *y = test_doubles(k), *dy = test_doubles(k), *dx = test_doubles(n);
    double *before = test_doubles(n), *bound = test_doubles(n), *magnitude = test_doubles(k);
    guarded gx = make(ctx, r, false, layout), gy = make(ctx, r, true, (layout + 1) % GUARDED_LAYOUTS);
    guarded gdy = make(ctx, r, true, (layout + 2) % GUARDED_LAYOUTS),
            gdx = make(ctx, r, false, (layout + 1) % GUARDED_LAYOUTS);
    test_random random = test_random_seed((uint64_t)n + (uint64_t)layout);
    float *first = NULL;
    test_random_fill(&random, x, n, -2, 3);
    test_random_fill(&random, dy, k, -2, 2);
    test_random_fill(&random, before, n, -1, 1);
    for (size_t i = 0; i < n && r->row >= CLSEQ_REDUCE_MAX; i++)
        x[i] = rint(4 * x[i]) / 4; /* ties */
    guarded_write_doubles(&gx, x);
    guarded_write_doubles(&gdy, dy);
    reference_reduce_forward(r, x, y, magnitude);
    /* Four summands, compensated sums of parts, and the sum of these; the largest is exact. */
    for (size_t i = 0; i < k; i++)
        bound[i] = r->row >= CLSEQ_REDUCE_MAX ? 0 : test_rounding_bound(12, magnitude[i]);
    for (int run = 0; run < 2; run++) {
        guarded_poison(&gy);
        MUST(clseq_nn_reduce_forward(ctx, r->row, &gx.tensor, &gy.tensor));
        expect(r, "y", &gy, y, bound);
        float *got = guarded_read(&gy);
        cr_assert(run == 0 || compare_bits("y again", got, first, k), "%s", compare_message());
        free(first);
        first = got;
    }
    for (int accumulate = 0; accumulate < 2; accumulate++) {
        reference_reduce_backward(r, x, dy, dx);
        for (size_t i = 0; i < n; i++) {
            bound[i] = test_rounding_bound(8, fabs(dx[i]) + (accumulate ? fabs(before[i]) : 0));
            dx[i] += accumulate ? before[i] : 0;
        }
        guarded_poison(&gdx);
        if (accumulate)
            guarded_write_doubles(&gdx, before);
        MUST(clseq_nn_reduce_backward(ctx, r->row, &gx.tensor, &gy.tensor, &gdy.tensor, accumulate,
                                      &gdx.tensor));
        expect(r, "dx", &gdx, dx, bound);
    }
    guarded *const all[] = {&gx, &gy, &gdy, &gdx};
    for (int i = 0; i < 4; i++) {
        cr_assert(guarded_intact("tensor", all[i]), "%s", guarded_message());
        guarded_destroy(all[i]);
    }
    double *const arrays[] = {x, y, dy, dx, before, bound, magnitude};
    for (int i = 0; i < 7; i++)
        free(arrays[i]);
    free(first);
}

/* Rows and columns, short and long, and what is neither; each over every set of dims. */
Test(nn_reduce, reference)
{
    static const reference_reduction shapes[] = {
        {.ndim = 1, .dims = {1}},          {.ndim = 1, .dims = {17}},
        {.ndim = 1, .dims = {100003}},     {.ndim = 2, .dims = {3, 5}},
        {.ndim = 2, .dims = {7, 700}},     {.ndim = 2, .dims = {700, 7}},
        {.ndim = 2, .dims = {201, 130}},   {.ndim = 2, .dims = {3, 9001}},
        {.ndim = 3, .dims = {3, 4, 5}},    {.ndim = 3, .dims = {40, 33, 21}},
        {.ndim = 3, .dims = {2, 1, 1030}}, {.ndim = 6, .dims = {2, 3, 2, 1, 3, 5}}};
    clseq_context *ctx;
    for (int shape = 0; (ctx = test_context_shape(shape)) != NULL; shape++) {
        for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++)
            for (int which = 0; which < 1 << shapes[s].ndim; which++) {
                reference_reduction r = shapes[s];
                if (test_small() && reference_reduce_elements(&r, false) > 200)
                    continue;
                for (int d = 0; d < r.ndim; d++)
                    r.reduced[d] = which >> d & 1;
                r.row = (clseq_reduction)(which % CLSEQ_REDUCE_COUNT);
                for (int more = 0; more < (r.ndim < 6 ? CLSEQ_REDUCE_COUNT : 1); more++) {
                    check(ctx, &r, (int)(s + (size_t)which) % GUARDED_LAYOUTS);
                    r.row = (clseq_reduction)((r.row + 1) % CLSEQ_REDUCE_COUNT);
                }
            }
        clseq_context_destroy(ctx);
    }
}

/* NaN wherever it stands, infinities, and a number that only a compensated sum keeps. */
Test(nn_reduce, special_values)
{
    enum { N = 301 };
    clseq_context *ctx;
    for (int shape = 0; (ctx = test_context_shape(shape)) != NULL; shape++) {
        guarded x = guarded_create(ctx, CLSEQ_DTYPE_F32, 2, (int64_t[]){N, 1}, GUARDED_DENSE);
        guarded y = guarded_create(ctx, CLSEQ_DTYPE_F32, 2, (int64_t[]){1, 1}, GUARDED_DENSE);
        for (clseq_reduction row = 0; row < CLSEQ_REDUCE_COUNT; row++)
            for (int at = 0; at < N; at += 20) {
                static const float special[] = {NAN, INFINITY, -INFINITY};
                for (int k = 0; k < 3; k++) {
                    float values[N];
                    for (int i = 0; i < N; i++)
                        values[i] = i == at ? special[k] : (float)(i % 7) - 9;
                    guarded_write(&x, values);
                    MUST(clseq_nn_reduce_forward(ctx, row, &x.tensor, &y.tensor));
                    float *got = guarded_read(&y);
                    const bool is_other =
                        (row == CLSEQ_REDUCE_MAX && k == 2) || (row == CLSEQ_REDUCE_MIN && k == 1);
                    cr_expect(k == 0     ? isnan(*got)
                              : is_other ? *got == (k == 1 ? -9.0f : -3.0f)
                                         : *got == special[k],
                              "%s with %g at %d is %g", names[row], (double)special[k], at, (double)*got);
                    free(got);
                }
            }
        guarded_destroy(&x);
        guarded_destroy(&y);
        clseq_context_destroy(ctx);
    }
}

/* Gradients of a largest element that is NaN go to the NaNs. */
Test(nn_reduce, gradient_of_nan)
{
    clseq_context *ctx = test_context();
    guarded x = guarded_create(ctx, CLSEQ_DTYPE_F32, 2, (int64_t[]){1, 4}, GUARDED_DENSE);
    guarded y = guarded_create(ctx, CLSEQ_DTYPE_F32, 2, (int64_t[]){1, 1}, GUARDED_DENSE);
    guarded dx = guarded_create(ctx, CLSEQ_DTYPE_F32, 2, (int64_t[]){1, 4}, GUARDED_DENSE);
    guarded_write(&x, (float[]){NAN, 3, NAN, 9});
    MUST(clseq_nn_reduce_forward(ctx, CLSEQ_REDUCE_MAX, &x.tensor, &y.tensor));
    guarded dy = guarded_create(ctx, CLSEQ_DTYPE_F32, 2, (int64_t[]){1, 1}, GUARDED_DENSE);
    guarded_write(&dy, (float[]){6});
    MUST(
        clseq_nn_reduce_backward(ctx, CLSEQ_REDUCE_MAX, &x.tensor, &y.tensor, &dy.tensor, false, &dx.tensor));
    float *got = guarded_read(&dx);
    cr_expect(got[0] == 3 && got[1] == 0 && got[2] == 3 && got[3] == 0);
    free(got);
    guarded *const all[] = {&x, &y, &dx, &dy};
    for (int i = 0; i < 4; i++)
        guarded_destroy(all[i]);
    clseq_context_destroy(ctx);
}

Test(nn_reduce, sum_of_everything)
{
    static const int64_t sizes[] = {1, 3, 17, 100, 1023, 100003};
    static const float scales[] = {1, -0.375f, 0};
    clseq_context *ctx;
    for (int shape = 0; (ctx = test_context_shape(shape)) != NULL; shape++) {
        for (int s = 0; s < (test_small() ? 4 : 6); s++)
            for (int k = 0; k < 3; k++) {
                test_random random = test_random_seed((uint64_t)s);
                operand x = operand_random(ctx, &random, 1, &sizes[s], -2, 3);
                operand out = operand_output(ctx, 1, (int64_t[]){1});
                double magnitude = 0;
                for (size_t i = 0; i < x.n; i++)
                    magnitude += fabs(x.values[i]);
                const double want = scales[k] * reference_sum(x.values, x.n);
                const double bound = test_rounding_bound(12, scales[k] * magnitude);
                MUST(clseq_nn_sum(ctx, &x.g.tensor, scales[k], &out.g.tensor));
                operand_check("sum", &out, &want, &bound);
                operand_destroy(&x);
                operand_destroy(&out);
            }
        clseq_context_destroy(ctx);
    }
}

static void refuses(clseq_status came, clseq_status status, const char *sentence)
{
    cr_expect(came == status && strcmp(clseq_last_error(), sentence) == 0, "%s: \"%s\" instead of \"%s\"",
              clseq_status_name(came), clseq_last_error(), sentence);
}

Test(nn_reduce, bad_arguments)
{
    clseq_context *ctx = test_context();
    clseq_tensor room = {0}, ints = {0};
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 1, (int64_t[]){100}, &room));
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_I32, 2, (int64_t[]){3, 4}, &ints));
    const clseq_tensor x = clseq_tensor_view(room.buffer, 0, CLSEQ_DTYPE_F32, 2, (int64_t[]){3, 4});
    const clseq_tensor y = clseq_tensor_view(room.buffer, 20, CLSEQ_DTYPE_F32, 2, (int64_t[]){3, 1});
    const clseq_tensor dx = clseq_tensor_view(room.buffer, 30, CLSEQ_DTYPE_F32, 2, (int64_t[]){3, 4});
    const clseq_tensor row = clseq_tensor_view(room.buffer, 50, CLSEQ_DTYPE_F32, 1, (int64_t[]){4});
    const clseq_tensor two = clseq_tensor_view(room.buffer, 50, CLSEQ_DTYPE_F32, 2, (int64_t[]){2, 4});
    const clseq_tensor inside = clseq_tensor_view(room.buffer, 11, CLSEQ_DTYPE_F32, 2, (int64_t[]){3, 1});
    refuses(clseq_nn_reduce_forward(NULL, CLSEQ_REDUCE_SUM, &x, &y), CLSEQ_INVALID_ARGUMENT,
            "reduce forward: ctx is NULL");
    refuses(clseq_nn_reduce_forward(ctx, CLSEQ_REDUCE_COUNT, &x, &y), CLSEQ_INVALID_ARGUMENT,
            "reduce forward: there is no reduction 4");
    refuses(clseq_nn_reduce_forward(ctx, CLSEQ_REDUCE_MEAN, NULL, &y), CLSEQ_INVALID_ARGUMENT,
            "mean forward: x is NULL, expected f32 [?]");
    refuses(clseq_nn_reduce_forward(ctx, CLSEQ_REDUCE_MEAN, &ints, &y), CLSEQ_INVALID_DTYPE,
            "mean forward: x has type i32, expected f32");
    refuses(clseq_nn_reduce_forward(ctx, CLSEQ_REDUCE_MAX, &x, &row), CLSEQ_INVALID_SHAPE,
            "max forward: y has shape [4], expected that of x, [3,4], with some dims 1");
    refuses(clseq_nn_reduce_forward(ctx, CLSEQ_REDUCE_MIN, &x, &two), CLSEQ_INVALID_SHAPE,
            "min forward: y has shape [2,4], expected that of x, [3,4], with some dims 1");
    refuses(clseq_nn_reduce_forward(ctx, CLSEQ_REDUCE_SUM, &x, &inside), CLSEQ_INVALID_ARGUMENT,
            "sum forward: y overlaps x");
    refuses(clseq_nn_reduce_backward(ctx, CLSEQ_REDUCE_SUM, NULL, NULL, &two, false, &dx),
            CLSEQ_INVALID_SHAPE,
            "sum backward: dy has shape [2,4], expected that of dx, [3,4], with some dims 1");
    refuses(clseq_nn_reduce_backward(ctx, CLSEQ_REDUCE_MAX, NULL, &y, &y, false, &dx), CLSEQ_INVALID_ARGUMENT,
            "max backward: x is NULL, expected f32 [3,4]");
    refuses(clseq_nn_reduce_backward(ctx, CLSEQ_REDUCE_MAX, &x, &row, &y, false, &dx), CLSEQ_INVALID_SHAPE,
            "max backward: y has 1 dimensions, expected 2: [3,1]");
    refuses(clseq_nn_reduce_backward(ctx, CLSEQ_REDUCE_MAX, &dx, &y, &y, false, &dx), CLSEQ_INVALID_ARGUMENT,
            "max backward: dx overlaps x");
    refuses(clseq_nn_sum(NULL, &x, 1, &y), CLSEQ_INVALID_ARGUMENT, "sum: ctx is NULL");
    refuses(clseq_nn_sum(ctx, &x, 1, &y), CLSEQ_INVALID_SHAPE,
            "sum: out has shape [3,1], expected one element");
    clseq_tensor_destroy(ctx, &room);
    clseq_tensor_destroy(ctx, &ints);
    clseq_context_destroy(ctx);
}
