/*
 * clseq_nn_pointwise_forward and _backward: every row of cl/nn/pointwise_rows.h against its reference, over shapes that
 * broadcast in every way and tensors that lie in every way.
 */
#include "reference/pointwise.h"
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

typedef struct dims {
    int n;
    int64_t at[CLSEQ_MAX_DIMS];
} dims;

/* The shapes of y, of a and of b; the mask has those of b, or of a where there is no b. */
typedef struct shapes {
    dims y, a, b;
} shapes;

static const shapes all_shapes[] = {
    {{1, {1}}, {1, {1}}, {1, {1}}},
    {{1, {37}}, {1, {37}}, {1, {37}}},
    {{2, {3, 1023}}, {2, {3, 1023}}, {2, {3, 1023}}},
    {{2, {5, 19}}, {2, {5, 19}}, {1, {19}}},              /* a row */
    {{2, {5, 19}}, {2, {5, 1}}, {2, {5, 19}}},            /* a column */
    {{2, {33, 18}}, {1, {1}}, {2, {33, 18}}},             /* one element */
    {{3, {4, 3, 17}}, {3, {4, 1, 17}}, {2, {3, 1}}},      /* both */
    {{3, {70, 2, 33}}, {3, {1, 2, 1}}, {3, {70, 1, 33}}}, /* both, with many to sum up */
    {{6, {2, 3, 2, 1, 3, 4}},
     {6, {2, 3, 2, 1, 3, 4}},
     {6, {2, 3, 2, 1, 3, 4}}}, /* as many dims as there are */
    {{6, {2, 3, 2, 2, 3, 4}}, {6, {2, 1, 2, 1, 3, 1}}, {5, {3, 1, 2, 1, 4}}}};

static int64_t elements(const dims *d)
{
    int64_t n = 1;
    for (int i = 0; i < d->n; i++)
        n *= d->at[i];
    return n;
}

/* The element of a tensor of dims x that element number e of one of dims y is made of. */
static int64_t place(const dims *y, const dims *x, int64_t e)
{
    int64_t at = 0, stride = 1;
    for (int d = y->n - 1, k = x->n - 1; k >= 0; d--, k--) {
        at += x->at[k] == 1 ? 0 : e % y->at[d] * stride;
        stride *= x->at[k];
        e /= y->at[d];
    }
    return at;
}

/* The tensors of a call and what is in them. */
enum { IN_A, IN_B, IN_MASK, OUT_Y, OUT_DY, OUT_DA, OUT_DB, TENSORS };

typedef struct fixture {
    clseq_context *ctx;
    int row;
    shapes s;
    reference_point params; /* p and q */
    const float *given;     /* NULL: the row's own */
    guarded g[TENSORS];
    double *values[TENSORS];
    const dims *dims[TENSORS];
} fixture;

static void draw(fixture *f, test_random *random, int which, double least, double most)
{
    const size_t n = (size_t)elements(f->dims[which]);
    test_random_fill(random, f->values[which], n, least, most);
    if (which != IN_MASK) {
        guarded_write_doubles(&f->g[which], f->values[which]);
        return;
    }
    int32_t *ints = calloc(n, sizeof *ints);
    for (size_t i = 0; i < n; i++) {
        ints[i] = test_random_int(random, 0, 1) * test_random_int(random, -2, 2);
        f->values[which][i] = ints[i];
    }
    guarded_write(&f->g[which], ints);
    free(ints);
}

/* Some numbers where a function has a kink: 0, p and q, and a = b. */
static void add_kinks(fixture *f, const reference_pointwise_bounds *b)
{
    const double kinks[] = {0, f->params.p, f->params.q};
    const int64_t n = elements(f->dims[IN_A]), of_b = elements(f->dims[IN_B]);
    for (int64_t i = 3; i < n; i += 4) {
        const double kink = kinks[i / 4 % 3];
        if (kink >= b->least[0] && kink <= b->most[0])
            f->values[IN_A][i] = kink;
    }
    for (int64_t i = 1; i < n && i < of_b; i += 5)
        if (f->values[IN_A][i] >= b->least[1] && f->values[IN_A][i] <= b->most[1])
            f->values[IN_B][i] = f->values[IN_A][i];
    guarded_write_doubles(&f->g[IN_A], f->values[IN_A]);
    guarded_write_doubles(&f->g[IN_B], f->values[IN_B]);
}

static void begin(clseq_context *ctx, int row, const shapes *s, int layout, const float *params, fixture *f)
{
    const reference_pointwise_row *r = &reference_pointwise_rows[row];
    const reference_pointwise_bounds *b = &reference_pointwise_bound[row];
    test_random random = test_random_seed((uint64_t)row * 10 + (uint64_t)layout);
    *f = (fixture){.ctx = ctx, .row = row, .s = *s, .given = params};
    if (r->inputs == 1 && !r->masked)
        f->s.a = f->s.y; /* stretched by itself it would not be y's */
    const dims *const all[TENSORS] = {&f->s.a, &f->s.b, &f->s.b, &f->s.y, &f->s.y, &f->s.a, &f->s.b};
    f->params.p = params ? (double)params[0] : r->params[0];
    f->params.q = params ? (double)params[1] : r->params[1];
    for (int k = 0; k < TENSORS; k++) {
        f->g[k] = guarded_create(ctx, k == IN_MASK ? CLSEQ_DTYPE_I32 : CLSEQ_DTYPE_F32, all[k]->n, all[k]->at,
                                 (guarded_layout)((layout + k) % GUARDED_LAYOUTS));
        f->dims[k] = all[k];
        f->values[k] = test_doubles((size_t)elements(all[k]));
    }
    draw(f, &random, IN_A, b->least[0], b->most[0]);
    draw(f, &random, IN_B, b->least[1], b->most[1]);
    add_kinks(f, b);
    draw(f, &random, IN_MASK, 0, 1);
    draw(f, &random, OUT_DY, -2, 2);
}

/* The tensors of `in`, the mask first where there is one. */
static const clseq_tensor *inputs_of(const fixture *f, clseq_tensor in[3])
{
    const int masked = reference_pointwise_rows[f->row].masked;
    in[0] = f->g[IN_MASK].tensor;
    in[masked] = f->g[IN_A].tensor;
    in[masked + 1] = f->g[IN_B].tensor;
    return in;
}

static reference_pointwise at(const fixture *f, int64_t e)
{
    reference_point x = f->params;
    x.a = f->values[IN_A][place(&f->s.y, &f->s.a, e)];
    x.b = f->values[IN_B][place(&f->s.y, &f->s.b, e)];
    x.m = f->values[IN_MASK][place(&f->s.y, &f->s.b, e)] != 0;
    return reference_pointwise_at(f->row, &x);
}

/* A tensor against what it should be; nothing around it and none of the others was touched. */
static void expect(const fixture *f, int which, const double *want, const double *bound)
{
    static const char *const names[TENSORS] = {"a", "b", "mask", "y", "dy", "da", "db"};
    const char *name = reference_pointwise_rows[f->row].name;
    float *got = guarded_read(&f->g[which]);
    cr_assert(compare_floats_each(names[which], got, want, (size_t)f->g[which].n, bound), "%s: %s", name,
              compare_message());
    for (int k = 0; k < TENSORS; k++)
        cr_assert(guarded_intact(names[k], &f->g[k]), "%s: %s", name, guarded_message());
    free(got);
}

static void check_forward(const fixture *f)
{
    const int64_t n = elements(&f->s.y);
    double *bound = test_doubles((size_t)n), *want = f->values[OUT_Y];
    float *first = NULL;
    clseq_tensor in[3];
    for (int64_t e = 0; e < n; e++) {
        const reference_pointwise r = at(f, e);
        want[e] = r.y;
        bound[e] = test_rounding_bound(reference_pointwise_bound[f->row].y_error, r.y_size);
    }
    for (int run = 0; run < 2; run++) {
        guarded_poison(&f->g[OUT_Y]);
        MUST(clseq_nn_pointwise_forward(f->ctx, (clseq_pointwise)f->row, f->given, inputs_of(f, in),
                                        &f->g[OUT_Y].tensor));
        expect(f, OUT_Y, want, bound);
        float *got = guarded_read(&f->g[OUT_Y]);
        cr_assert(run == 0 || compare_bits("y again", got, first, (size_t)n), "%s", compare_message());
        free(first);
        first = got;
    }
    free(first);
    free(bound);
}

/* The gradient by float input i, written or added to what is there. */
static void check_backward(const fixture *f, int i, bool accumulate)
{
    const reference_pointwise_row *r = &reference_pointwise_rows[f->row];
    const int which = OUT_DA + i;
    const size_t n = (size_t)elements(f->dims[which]);
    const bool stretched = (int64_t)n != elements(&f->s.y);
    double *want = test_doubles(n), *bound = test_doubles(n), *sum = test_doubles(n);
    test_random random = test_random_seed(5);
    clseq_tensor in[3];
    for (int64_t e = 0; e < elements(&f->s.y); e++) {
        const reference_pointwise x = at(f, e);
        const int64_t k = place(&f->s.y, f->dims[which], e);
        const double dy = f->values[OUT_DY][e];
        want[k] += dy * x.f[i];
        sum[k] += fabs(dy * x.f[i]);
        bound[k] += test_rounding_bound(reference_pointwise_bound[f->row].f_error, dy * x.f_size[i]);
    }
    guarded_poison(&f->g[which]);
    if (accumulate)
        test_random_fill(&random, f->values[which], n, -3, 3);
    for (size_t k = 0; k < n; k++) {
        /* Compensated sums of parts, and sums of those. */
        bound[k] += (stretched ? test_rounding_bound(12, sum[k]) : 0) +
                    (accumulate ? test_rounding_bound(2, fabs(want[k]) + fabs(f->values[which][k])) : 0);
        want[k] += accumulate ? f->values[which][k] : 0;
    }
    if (accumulate)
        guarded_write_doubles(&f->g[which], f->values[which]);
    MUST(clseq_nn_pointwise_backward(f->ctx, (clseq_pointwise)f->row, f->given, inputs_of(f, in),
                                     &f->g[OUT_Y].tensor, &f->g[OUT_DY].tensor, i + r->masked, accumulate,
                                     &f->g[which].tensor));
    expect(f, which, want, bound);
    free(want);
    free(bound);
    free(sum);
}

static void check(clseq_context *ctx, int row, const shapes *s, int layout, const float *params)
{
    fixture f;
    begin(ctx, row, s, layout, params, &f);
    check_forward(&f);
    /* Backward from the rounded value of the reference, so that only its own rounding counts. */
    guarded_write_doubles(&f.g[OUT_Y], f.values[OUT_Y]);
    for (int i = 0; i < reference_pointwise_rows[row].inputs; i++)
        for (int accumulate = 0; accumulate < 2; accumulate++)
            check_backward(&f, i, accumulate);
    for (int k = 0; k < TENSORS; k++) {
        guarded_destroy(&f.g[k]);
        free(f.values[k]);
    }
}

/* All shapes and layouts of the rows [first, last). */
static void check_rows(int first, int last)
{
    static const float params[] = {0.75f, 1.25f};
    clseq_context *ctx;
    for (int shape = 0; (ctx = test_context_shape(shape)) != NULL; shape++) {
        for (int row = first; row < last; row++)
            for (size_t s = 0; s < sizeof all_shapes / sizeof all_shapes[0]; s++) {
                if (test_small() && elements(&all_shapes[s].y) > 300)
                    continue;
                check(ctx, row, &all_shapes[s], (int)s % GUARDED_LAYOUTS, NULL);
                check(ctx, row, &all_shapes[s], (int)(s + 1) % GUARDED_LAYOUTS, params);
            }
        clseq_context_destroy(ctx);
    }
}

Test(nn_pointwise, rows_of_one_input)
{
    check_rows(0, POINTWISE_MASKED_FILL);
}

Test(nn_pointwise, rows_of_two_inputs)
{
    check_rows(POINTWISE_MASKED_FILL, POINTWISE_COUNT);
}
