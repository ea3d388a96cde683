/* clseq_nn_reverse and clseq_nn_over_time_forward and _backward against their references. */
#include "reference/sequence.h"
#include "support/bounds.h"
#include "support/device.h"
#include "support/numeric.h"
#include "support/operand.h"

#include <clseq/nn.h>
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct shape {
    int ndim;
    int64_t dims[CLSEQ_MAX_DIMS];
} shape;

/* [T,B,...]: rows of fewer and of more elements than a vector has lanes. */
static const shape shapes[] = {
    {2, {1, 1}},       {3, {5, 3, 7}},          {2, {4, 19}},    {3, {3, 2, 1}},
    {4, {3, 5, 2, 3}}, {6, {3, 2, 1, 2, 1, 3}}, {3, {1, 4, 16}}, /* the small ones end here */
    {3, {40, 7, 65}},  {2, {301, 50}},          {3, {9, 64, 3}}, {4, {7, 3, 20, 10}}};

enum { SMALL = 7 };

/* What rows' lengths are. */
typedef enum lengths_kind { NONE, FULL, EMPTY, ONE, MIXED, OUTSIDE, LENGTHS } lengths_kind;

typedef struct sequence {
    const shape *shape;
    reference_sequence s;
    int32_t *lengths;
    guarded device; /* without a buffer: no lengths */
    test_random random;
} sequence;

static int32_t length_of(lengths_kind kind, size_t b, int32_t T, test_random *random)
{
    static const int32_t outside[] = {-1, INT32_MIN, INT32_MAX};
    if (kind == MIXED || kind == OUTSIDE)
        return kind == OUTSIDE && b % 2 == 0 ? outside[b / 2 % 3] : test_random_int(random, 0, T);
    return kind == EMPTY ? 0 : kind == ONE ? 1 : T;
}

static sequence sequence_create(clseq_context *ctx, const shape *sh, lengths_kind kind)
{
    sequence q = {.shape = sh, .s = {(size_t)sh->dims[0], (size_t)sh->dims[1], 1, NULL}};
    for (int i = 2; i < sh->ndim; i++)
        q.s.F *= (size_t)sh->dims[i];
    q.random = test_random_seed(q.s.T * 100 + q.s.B * 10 + q.s.F);
    if (kind == NONE)
        return q;
    q.lengths = calloc(q.s.B, sizeof *q.lengths);
    cr_assert(q.lengths != NULL);
    for (size_t b = 0; b < q.s.B; b++)
        q.lengths[b] = length_of(kind, b, (int32_t)q.s.T, &q.random);
    q.s.lengths = q.lengths;
    q.device = operand_tokens(ctx, 1, &sh->dims[1], q.lengths);
    return q;
}

static const clseq_tensor *lengths_tensor(const sequence *q)
{
    return q->lengths ? &q->device.tensor : NULL;
}

static void sequence_destroy(sequence *q)
{
    free(q->lengths);
    guarded_destroy(&q->device);
}

/* Few different values, so that there are ties, and NaN past the ends. */
static operand draw_steps(clseq_context *ctx, sequence *q)
{
    operand x = operand_random(ctx, &q->random, q->shape->ndim, q->shape->dims, -3, 3);
    for (size_t i = 0; i < x.n; i++) {
        const size_t t = i / q->s.F / q->s.B, b = i / q->s.F % q->s.B;
        if (t % 2 == 1)
            x.values[i] = rint(x.values[i]);
        if (t >= reference_length(&q->s, b))
            x.values[i] = NAN;
    }
    operand_reset(&x);
    return x;
}

static void check_reverse(clseq_context *ctx, const shape *sh, lengths_kind kind)
{
    sequence q = sequence_create(ctx, sh, kind);
    operand x = operand_random(ctx, &q.random, sh->ndim, sh->dims, -3, 3);
    operand y = operand_output(ctx, sh->ndim, sh->dims), again = operand_output(ctx, sh->ndim, sh->dims);
    double *want = test_doubles(x.n), *zeros = test_doubles(x.n);
    reference_reverse(&q.s, x.values, want);
    MUST(clseq_nn_reverse(ctx, &x.g.tensor, lengths_tensor(&q), &y.g.tensor));
    operand_check("y", &y, want, zeros); /* exact: it copies */
    MUST(clseq_nn_reverse(ctx, &y.g.tensor, lengths_tensor(&q), &again.g.tensor));
    operand_check("y reversed", &again, x.values, zeros);
    free(want);
    free(zeros);
    operand_destroy(&x);
    operand_destroy(&y);
    operand_destroy(&again);
    sequence_destroy(&q);
}

Test(nn_sequence, reverse)
{
    clseq_context *ctx;
    for (int shape_of_kernels = 0; (ctx = test_context_shape(shape_of_kernels)) != NULL; shape_of_kernels++) {
        for (size_t i = 0; i < (test_small() ? SMALL : sizeof shapes / sizeof shapes[0]); i++)
            for (lengths_kind kind = 0; kind < LENGTHS; kind++)
                check_reverse(ctx, &shapes[i], kind);
        clseq_context_destroy(ctx);
    }
}

static void check_steps(const sequence *q, const operand *x, const guarded *step)
{
    float *bits = guarded_read(step);
    for (size_t i = 0; i < q->s.B * q->s.F; i++) {
        int32_t got;
        memcpy(&got, &bits[i], sizeof got);
        const int32_t want = reference_largest_step(&q->s, x->values, i / q->s.F, i % q->s.F);
        cr_assert_eq(got, want, "element %zu: the largest is of step %d, expected %d", i, (int)got,
                     (int)want);
    }
    cr_assert(guarded_intact("step", step), "%s", guarded_message());
    free(bits);
}

/* Copies are exact; a mean is a sum of `length` terms, and a division. */
static void mean_bounds(const sequence *q, const operand *x, const double *dy, double *y, double *dx)
{
    const size_t n = q->s.B * q->s.F;
    for (size_t i = 0; i < n; i++) {
        const size_t length = reference_length(&q->s, i / q->s.F);
        double magnitude = 0;
        for (size_t t = 0; t < length; t++)
            magnitude += fabs(x->values[t * n + i]) / (double)length;
        y[i] = length ? test_sum_bound((double)length, magnitude) + test_ulp_bound(2.5, magnitude) : 0;
        for (size_t t = 0; t < q->s.T; t++)
            dx[t * n + i] = t < length ? test_ulp_bound(2.5, dy[i] / (double)length) : 0;
    }
}

static void check(clseq_context *ctx, const shape *sh, lengths_kind lengths, clseq_over_time kind)
{
    sequence q = sequence_create(ctx, sh, lengths);
    operand x = draw_steps(ctx, &q), dy = operand_random(ctx, &q.random, sh->ndim - 1, sh->dims + 1, -2, 2);
    operand y = operand_output(ctx, sh->ndim - 1, sh->dims + 1), dx = operand_output(ctx, sh->ndim, sh->dims);
    guarded step = guarded_create(ctx, CLSEQ_DTYPE_I32, sh->ndim - 1, sh->dims + 1, GUARDED_DENSE);
    const clseq_tensor *given = kind == CLSEQ_OVER_TIME_MAX ? &step.tensor : NULL;
    double *want_y = test_doubles(y.n), *bound_y = test_doubles(y.n);
    double *want_dx = test_doubles(x.n), *bound_dx = test_doubles(x.n);
    float *first_y = NULL, *first_dx = NULL;
    reference_over_time_forward(&q.s, (reference_over_time)kind, x.values, want_y);
    reference_over_time_backward(&q.s, (reference_over_time)kind, x.values, dy.values, want_dx);
    if (kind == CLSEQ_OVER_TIME_MEAN)
        mean_bounds(&q, &x, dy.values, bound_y, bound_dx);
    for (int run = 0; run < 2; run++) {
        operand_reset(&y);
        operand_reset(&dx);
        guarded_poison(&step);
        MUST(clseq_nn_over_time_forward(ctx, kind, &x.g.tensor, lengths_tensor(&q), &y.g.tensor, given));
        operand_check("y", &y, want_y, bound_y);
        if (given)
            check_steps(&q, &x, &step);
        MUST(clseq_nn_over_time_backward(ctx, kind, lengths_tensor(&q), given, &dy.g.tensor, &dx.g.tensor));
        operand_check("dx", &dx, want_dx, bound_dx);
        if (run == 0) {
            first_y = guarded_read(&y.g);
            first_dx = guarded_read(&dx.g);
        }
    }
    operand_check_bits("y again", &y, first_y);
    operand_check_bits("dx again", &dx, first_dx);
    double *const memory[] = {want_y, bound_y, want_dx, bound_dx};
    for (size_t i = 0; i < sizeof memory / sizeof memory[0]; i++)
        free(memory[i]);
    free(first_y);
    free(first_dx);
    operand_destroy(&x);
    operand_destroy(&y);
    operand_destroy(&dx);
    operand_destroy(&dy);
    guarded_destroy(&step);
    sequence_destroy(&q);
}

Test(nn_sequence, over_time)
{
    clseq_context *ctx;
    for (int shape_of_kernels = 0; (ctx = test_context_shape(shape_of_kernels)) != NULL; shape_of_kernels++) {
        for (size_t i = 0; i < (test_small() ? SMALL : sizeof shapes / sizeof shapes[0]); i++)
            for (lengths_kind lengths = 0; lengths < LENGTHS; lengths++)
                for (clseq_over_time kind = 0; kind < CLSEQ_OVER_TIME_COUNT; kind++)
                    check(ctx, &shapes[i], lengths, kind);
        clseq_context_destroy(ctx);
    }
}

/* Rows of four steps, and which of them is the largest. */
Test(nn_sequence, largest_of_special_values)
{
    static const struct {
        float x[4], largest;
        int32_t step;
    } rows[] = {
        {{-INFINITY, -INFINITY, -INFINITY, -INFINITY}, -INFINITY, 0},
        {{-INFINITY, -5, INFINITY, INFINITY}, INFINITY, 2},
        {{INFINITY, NAN, 1, NAN}, NAN, 1},
        {{NAN, INFINITY, NAN, 0}, NAN, 0},
        {{-1, -1, -2, -1}, -1, 0},
        {{-0.0f, 0, -0.0f, 0}, 0, 0},
        {{-3, -2, -1, -1}, -1, 2},
    };
    enum { B = sizeof rows / sizeof rows[0] };
    clseq_context *ctx;
    for (int shape_of_kernels = 0; (ctx = test_context_shape(shape_of_kernels)) != NULL; shape_of_kernels++) {
        const int64_t dims[] = {4, B};
        float x[4 * B];
        for (int i = 0; i < 4 * B; i++)
            x[i] = rows[i % B].x[i / B];
        guarded g = guarded_create(ctx, CLSEQ_DTYPE_F32, 2, dims, GUARDED_DENSE);
        guarded step = guarded_create(ctx, CLSEQ_DTYPE_I32, 1, dims + 1, GUARDED_DENSE);
        operand y = operand_output(ctx, 1, dims + 1);
        guarded_write(&g, x);
        MUST(
            clseq_nn_over_time_forward(ctx, CLSEQ_OVER_TIME_MAX, &g.tensor, NULL, &y.g.tensor, &step.tensor));
        float *got = guarded_read(&y.g), *bits = guarded_read(&step);
        for (int b = 0; b < B; b++) {
            int32_t at;
            memcpy(&at, &bits[b], sizeof at);
            cr_expect(isnan(rows[b].largest) ? isnan(got[b]) : got[b] == rows[b].largest,
                      "row %d: the largest is %g, expected %g", b, (double)got[b], (double)rows[b].largest);
            cr_expect_eq(at, rows[b].step, "row %d: step %d, expected %d", b, (int)at, (int)rows[b].step);
        }
        free(got);
        free(bits);
        guarded_destroy(&g);
        guarded_destroy(&step);
        operand_destroy(&y);
        clseq_context_destroy(ctx);
    }
}

Test(nn_sequence, bad_arguments)
{
    clseq_context *ctx = test_context_shape(0);
    clseq_tensor x = {0}, y = {0}, rows = {0}, lengths = {0}, step = {0}, few = {0};
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 3, (int64_t[]){4, 3, 6}, &x));
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 3, (int64_t[]){4, 3, 6}, &y));
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 2, (int64_t[]){3, 6}, &rows));
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_I32, 1, (int64_t[]){3}, &lengths));
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_I32, 2, (int64_t[]){3, 6}, &step));
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_I32, 1, (int64_t[]){2}, &few));
    const clseq_tensor flat = clseq_tensor_view(x.buffer, 0, CLSEQ_DTYPE_F32, 1, (int64_t[]){12});
    const clseq_tensor inside = clseq_tensor_view(x.buffer, 1, CLSEQ_DTYPE_F32, 2, (int64_t[]){3, 6});
    const clseq_tensor over = clseq_tensor_view(step.buffer, 2, CLSEQ_DTYPE_I32, 1, (int64_t[]){3});
    const struct {
        clseq_status got, expected;
    } reverses[] = {
        {clseq_nn_reverse(NULL, &x, &lengths, &y), CLSEQ_INVALID_ARGUMENT},
        {clseq_nn_reverse(ctx, NULL, &lengths, &y), CLSEQ_INVALID_ARGUMENT},
        {clseq_nn_reverse(ctx, &x, &lengths, NULL), CLSEQ_INVALID_ARGUMENT},
        {clseq_nn_reverse(ctx, &flat, NULL, &flat), CLSEQ_INVALID_SHAPE},
        {clseq_nn_reverse(ctx, &x, &few, &y), CLSEQ_INVALID_SHAPE},
        {clseq_nn_reverse(ctx, &x, &rows, &y), CLSEQ_INVALID_DTYPE},
        {clseq_nn_reverse(ctx, &x, &lengths, &rows), CLSEQ_INVALID_SHAPE},
        {clseq_nn_reverse(ctx, &x, &lengths, &x), CLSEQ_INVALID_ARGUMENT},
    };
    for (size_t i = 0; i < sizeof reverses / sizeof reverses[0]; i++)
        cr_expect_eq(reverses[i].got, reverses[i].expected, "reverse %zu: %s", i,
                     clseq_status_name(reverses[i].got));
    cr_expect_str_eq(clseq_last_error(), "reverse: y overlaps x");
    const struct {
        clseq_context *ctx;
        int kind;
        const clseq_tensor *x, *lengths, *y, *step;
        clseq_status expected;
        const char *forward, *backward;
    } calls[] = {
        {NULL, 2, &x, &lengths, &rows, &step, CLSEQ_INVALID_ARGUMENT, "over time forward: ctx is NULL",
         "over time backward: ctx is NULL"},
        {ctx, 3, &x, &lengths, &rows, &step, CLSEQ_INVALID_ARGUMENT, "over time forward: there is no kind 3",
         "over time backward: there is no kind 3"},
        {ctx, -1, &x, &lengths, &rows, &step, CLSEQ_INVALID_ARGUMENT,
         "over time forward: there is no kind -1", "over time backward: there is no kind -1"},
        {ctx, 0, NULL, &lengths, &rows, NULL, CLSEQ_INVALID_ARGUMENT,
         "over time forward: x is NULL, expected f32 [?]",
         "over time backward: dx is NULL, expected f32 [?]"},
        {ctx, 0, &flat, &lengths, &rows, NULL, CLSEQ_INVALID_SHAPE,
         "over time forward: x has 1 dimensions, expected [T,B,...], T at most 2^31-1",
         "over time backward: dx has 1 dimensions, expected [T,B,...], T at most 2^31-1"},
        {ctx, 1, &x, &few, &rows, NULL, CLSEQ_INVALID_SHAPE,
         "over time forward: lengths has shape [2], expected [3]",
         "over time backward: lengths has shape [2], expected [3]"},
        {ctx, 0, &x, &lengths, NULL, NULL, CLSEQ_INVALID_ARGUMENT,
         "over time forward: y is NULL, expected f32 [3,6]",
         "over time backward: dy is NULL, expected f32 [3,6]"},
        {ctx, 1, &x, &lengths, &y, NULL, CLSEQ_INVALID_SHAPE,
         "over time forward: y has 3 dimensions, expected 2: [3,6]",
         "over time backward: dy has 3 dimensions, expected 2: [3,6]"},
        {ctx, 2, &x, &lengths, &rows, NULL, CLSEQ_INVALID_ARGUMENT,
         "over time forward: step is NULL, expected i32 [3,6]",
         "over time backward: step is NULL, expected i32 [3,6]"},
        {ctx, 2, &x, &lengths, &rows, &lengths, CLSEQ_INVALID_SHAPE,
         "over time forward: step has 1 dimensions, expected 2: [3,6]",
         "over time backward: step has 1 dimensions, expected 2: [3,6]"},
        {ctx, 0, &x, &lengths, &inside, NULL, CLSEQ_INVALID_ARGUMENT, "over time forward: y overlaps x",
         "over time backward: dx overlaps dy"},
    };
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        const clseq_over_time kind = (clseq_over_time)calls[i].kind;
        cr_expect_eq(clseq_nn_over_time_forward(calls[i].ctx, kind, calls[i].x, calls[i].lengths, calls[i].y,
                                                calls[i].step),
                     calls[i].expected);
        cr_expect_str_eq(clseq_last_error(), calls[i].forward);
        cr_expect_eq(clseq_nn_over_time_backward(calls[i].ctx, kind, calls[i].lengths, calls[i].step,
                                                 calls[i].y, calls[i].x),
                     calls[i].expected);
        cr_expect_str_eq(clseq_last_error(), calls[i].backward);
    }
    cr_expect_eq(clseq_nn_over_time_forward(ctx, CLSEQ_OVER_TIME_MAX, &x, &over, &rows, &step),
                 CLSEQ_INVALID_ARGUMENT);
    cr_expect_str_eq(clseq_last_error(), "over time forward: step overlaps lengths");
    clseq_tensor *const all[] = {&x, &y, &rows, &lengths, &step, &few};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        clseq_tensor_destroy(ctx, all[i]);
    clseq_context_destroy(ctx);
}
