/*
 * Operations along a dim, on rows, and over time in graphs: values, gradients of every input with a random cotangent,
 * inputs of any strides, an input used twice, parts that are computed again, training equal to inference. A new operation
 * is a row of `rows`.
 */
#include <criterion/criterion.h>

#include "reference/along.h"
#include "reference/norm.h"
#include "reference/sequence.h"
#include "support/bounds.h"
#include "support/compare.h"
#include "support/device.h"
#include "support/graph.h"
#include "support/numeric.h"
#include "support/random.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* x is [T,B,F] in all rows; what stands beside it are vectors [F]. */
enum { T = 4, B = 3, F = 5, ELEMENTS = T * B * F, EXTRA = 2 };

static const int64_t shape[3] = {T, B, F};
static const int32_t lengths[B] = {2, 0, 4};
static const float eps = 0.25f;

/* For gather: some numbers within each dim. */
static const int32_t indices[ELEMENTS] = {1, 0, 2, 2, 1, 0, 0, 2, 1, 1, 2, 0, 1, 0, 2, 2, 2, 2, 1, 0,
                                          0, 1, 2, 1, 1, 0, 2, 0, 0, 1, 1, 1, 2, 0, 2, 1, 0, 0, 1, 2};

typedef struct row {
    const char *name;
    clseq_var *(*build)(const struct row *r, clseq_graph *g, clseq_var *const *in);
    void (*forward)(const struct row *r, double *const *in, double *y);
    void (*backward)(const struct row *r, double *const *in, const double *y, const double *dy,
                     double *const *d); /* writes d[0] and adds to the others */
    int dim, extra;
    bool flag;
    int ndim;
    int64_t dims[3]; /* of y */
} row;

static reference_along along(const row *r)
{
    const int at = r->dim < 0 ? r->dim + 3 : r->dim;
    reference_along a = {1, (size_t)shape[at], 1};
    for (int i = 0; i < 3; i++) {
        if (i < at)
            a.outer *= (size_t)shape[i];
        else if (i > at)
            a.inner *= (size_t)shape[i];
    }
    return a;
}

static clseq_var *build_softmax(const row *r, clseq_graph *g, clseq_var *const *in)
{
    return r->flag ? clseq_log_softmax(g, in[0], r->dim) : clseq_softmax(g, in[0], r->dim);
}

static void softmax(const row *r, double *const *in, double *y)
{
    reference_softmax_forward(along(r), r->flag, in[0], y);
}

static void softmax_backward(const row *r, double *const *in, const double *y, const double *dy,
                             double *const *d)
{
    (void)in;
    reference_softmax_backward(along(r), r->flag, y, dy, d[0]);
}

static clseq_var *build_cumsum(const row *r, clseq_graph *g, clseq_var *const *in)
{
    return clseq_cumsum(g, in[0], r->dim);
}

static void cumsum(const row *r, double *const *in, double *y)
{
    reference_cumsum(along(r), false, false, in[0], y, NULL);
}

static void cumsum_backward(const row *r, double *const *in, const double *y, const double *dy,
                            double *const *d)
{
    (void)in, (void)y;
    reference_cumsum(along(r), false, true, dy, d[0], NULL);
}

/* The indices come as a view too. */
static clseq_var *build_gather(const row *r, clseq_graph *g, clseq_var *const *in)
{
    const int64_t dims[3] = {r->dims[2], r->dims[1], r->dims[0]};
    int32_t turned[ELEMENTS];
    for (int64_t i = 0; i < dims[0] * dims[1] * dims[2]; i++)
        turned[i] =
            indices[(i % dims[2] * dims[1] + i / dims[2] % dims[1]) * dims[0] + i / dims[2] / dims[1]];
    return clseq_gather(g, in[0], r->dim, clseq_transpose(g, clseq_input_i32(g, turned, 3, dims), 0, 2));
}

static size_t gathered(const row *r)
{
    return (size_t)r->dims[r->dim < 0 ? r->dim + 3 : r->dim];
}

static void gather(const row *r, double *const *in, double *y)
{
    reference_gather_forward(along(r), gathered(r), in[0], indices, y);
}

static void gather_backward(const row *r, double *const *in, const double *y, const double *dy,
                            double *const *d)
{
    (void)in, (void)y;
    reference_gather_backward(along(r), gathered(r), indices, dy, d[0], NULL, NULL);
}

static clseq_var *build_norm(const row *r, clseq_graph *g, clseq_var *const *in)
{
    return r->flag ? clseq_layer_norm(g, in[0], in[1], in[2], eps) : clseq_rms_norm(g, in[0], in[1], eps);
}

static void norm(const row *r, double *const *in, double *y)
{
    const reference_row_norm n = {r->flag, eps, T * B, F};
    reference_row_norm_forward(n, in[0], in[1], in[2], y);
}

static void norm_backward(const row *r, double *const *in, const double *y, const double *dy,
                          double *const *d)
{
    const reference_row_norm n = {r->flag, eps, T * B, F};
    (void)y;
    reference_row_norm_backward(n, in[0], in[1], dy, d[0], d[1], d[2]);
}

/* flag: with lengths */
static reference_sequence sequence(const row *r)
{
    return (reference_sequence){T, B, F, r->flag ? lengths : NULL};
}

static clseq_var *build_reverse(const row *r, clseq_graph *g, clseq_var *const *in)
{
    return clseq_reverse(g, in[0], r->flag ? lengths : NULL);
}

static void reverse(const row *r, double *const *in, double *y)
{
    const reference_sequence s = sequence(r);
    reference_reverse(&s, in[0], y);
}

static void reverse_backward(const row *r, double *const *in, const double *y, const double *dy,
                             double *const *d)
{
    const reference_sequence s = sequence(r);
    (void)in, (void)y;
    reference_reverse(&s, dy, d[0]);
}

/* dim: the kind */
static clseq_var *build_over_time(const row *r, clseq_graph *g, clseq_var *const *in)
{
    static clseq_var *(*const build[])(clseq_graph *, clseq_var *, const int32_t *) = {
        clseq_last, clseq_mean_over_time, clseq_max_over_time};
    return build[r->dim](g, in[0], r->flag ? lengths : NULL);
}

static void over_time(const row *r, double *const *in, double *y)
{
    const reference_sequence s = sequence(r);
    reference_over_time_forward(&s, (reference_over_time)r->dim, in[0], y);
}

static void over_time_backward(const row *r, double *const *in, const double *y, const double *dy,
                               double *const *d)
{
    const reference_sequence s = sequence(r);
    (void)y;
    reference_over_time_backward(&s, (reference_over_time)r->dim, in[0], dy, d[0]);
}

#define SOFTMAX build_softmax, softmax, softmax_backward
#define CUMSUM build_cumsum, cumsum, cumsum_backward
#define GATHER build_gather, gather, gather_backward
#define NORM build_norm, norm, norm_backward
#define REVERSE build_reverse, reverse, reverse_backward
#define OVER_TIME build_over_time, over_time, over_time_backward

static const row rows[] = {
    {"softmax of the last dim", SOFTMAX, -1, 0, false, 3, {T, B, F}},
    {"softmax of the middle dim", SOFTMAX, 1, 0, false, 3, {T, B, F}},
    {"log softmax of the last dim", SOFTMAX, 2, 0, true, 3, {T, B, F}},
    {"log softmax of the first dim", SOFTMAX, -3, 0, true, 3, {T, B, F}},
    {"cumsum of the last dim", CUMSUM, -1, 0, false, 3, {T, B, F}},
    {"cumsum of the first dim", CUMSUM, 0, 0, false, 3, {T, B, F}},
    {"gather along the last dim", GATHER, -1, 0, false, 3, {T, B, 2}},
    {"gather along the middle dim", GATHER, 1, 0, false, 3, {T, 1, F}},
    {"gather along the first dim", GATHER, 0, 0, false, 3, {2, B, F}},
    {"layer norm", NORM, 0, 0, true, 3, {T, B, F}},
    {"layer norm with gain", NORM, 0, 1, true, 3, {T, B, F}},
    {"layer norm with gain and shift", NORM, 0, 2, true, 3, {T, B, F}},
    {"rms norm", NORM, 0, 0, false, 3, {T, B, F}},
    {"rms norm with gain", NORM, 0, 1, false, 3, {T, B, F}},
    {"reverse", REVERSE, 0, 0, false, 3, {T, B, F}},
    {"reverse of lengths", REVERSE, 0, 0, true, 3, {T, B, F}},
    {"last", OVER_TIME, REFERENCE_LAST, 0, false, 2, {B, F}},
    {"last of lengths", OVER_TIME, REFERENCE_LAST, 0, true, 2, {B, F}},
    {"mean over time", OVER_TIME, REFERENCE_MEAN, 0, false, 2, {B, F}},
    {"mean over lengths", OVER_TIME, REFERENCE_MEAN, 0, true, 2, {B, F}},
    {"max over time", OVER_TIME, REFERENCE_MAX, 0, false, 2, {B, F}},
    {"max over lengths", OVER_TIME, REFERENCE_MAX, 0, true, 2, {B, F}},
};

/* How x comes, and what is done with it. */
typedef enum variant { PLAIN, TRANSPOSED, SLICED, EXPANDED, TWICE, RECOMPUTED, VARIANTS } variant;

static const char *const variants[] = {"plain", "transposed", "sliced", "expanded", "twice", "recomputed"};

/* What x is a view of: its dims, and which of its elements stands at each of x's. */
typedef struct base {
    int64_t dims[3];
    size_t n, at[ELEMENTS];
} base;

static base make_base(variant v)
{
    base b = {.dims = {T, B, F}};
    if (v == TRANSPOSED) {
        b.dims[0] = F;
        b.dims[2] = T;
    } else if (v == SLICED) {
        b.dims[1] = B + 2;
    } else if (v == EXPANDED) {
        b.dims[1] = 1;
    }
    b.n = (size_t)(b.dims[0] * b.dims[1] * b.dims[2]);
    for (size_t i = 0; i < ELEMENTS; i++) {
        const size_t t = i / F / B, middle = i / F % B, f = i % F;
        b.at[i] = v == TRANSPOSED ? (f * B + middle) * T + t
                  : v == SLICED   ? (t * (B + 2) + middle + 1) * F + f
                  : v == EXPANDED ? t * F + f
                                  : i;
    }
    return b;
}

static clseq_var *view_of(clseq_graph *g, variant v, clseq_var *x)
{
    if (v == TRANSPOSED)
        return clseq_transpose(g, x, 0, 2);
    if (v == SLICED)
        return clseq_slice(g, x, 1, 1, B);
    return v == EXPANDED ? clseq_expand(g, x, 3, shape) : x;
}

/* The variable of the result; in[0] is what x is a view of. */
static clseq_var *build(const row *r, variant v, clseq_graph *g, clseq_var *const *in)
{
    clseq_var *x[1 + EXTRA] = {view_of(g, v, in[0]), in[1], in[2]}, *y = NULL;
    if (v == RECOMPUTED)
        clseq_recompute_begin(g);
    y = r->build(r, g, x);
    if (v == RECOMPUTED)
        clseq_recompute_end(g, 1, &y);
    /* So that the gradient that reaches the operation has strides. */
    if (v == TRANSPOSED)
        y = clseq_transpose(g, y, 0, 1);
    return v == TWICE ? clseq_add(g, y, r->build(r, g, x)) : y;
}

static void make_inputs(const row *r, clseq_graph *g, const base *b, double *const *values, clseq_var **in)
{
    in[0] = graph_input(g, values[0], 3, b->dims);
    for (int i = 1; i <= EXTRA; i++)
        in[i] = i <= r->extra ? graph_input(g, values[i], 1, (int64_t[]){F}) : NULL;
}

/* The first two dims of what is [d0,d1,rest], exchanged. */
static void exchange(const row *r, double *values)
{
    double copy[ELEMENTS];
    const size_t d0 = (size_t)r->dims[0], d1 = (size_t)r->dims[1],
                 rest = r->ndim == 3 ? (size_t)r->dims[2] : 1;
    memcpy(copy, values, d0 * d1 * rest * sizeof *copy);
    for (size_t i = 0; i < d0 * d1 * rest; i++)
        values[(i / rest % d1 * d0 + i / rest / d1) * rest + i % rest] = copy[i];
}

static void check(clseq_context *ctx, const row *r, variant v)
{
    const base b = make_base(v);
    const double uses = v == TWICE ? 2 : 1, bound = test_rounding_bound(60, 10);
    test_random random = test_random_seed(11);
    double values_0[2 * ELEMENTS], extra[EXTRA][F], x[ELEMENTS], y[ELEMENTS], dy[ELEMENTS];
    double dx[ELEMENTS], d_extra[EXTRA][F] = {{0}}, d_base[2 * ELEMENTS] = {0};
    double *const values[] = {values_0, extra[0], extra[1]};
    double *const in[] = {x, r->extra > 0 ? extra[0] : NULL, r->extra > 1 ? extra[1] : NULL};
    double *const d[] = {dx, d_extra[0], d_extra[1]};
    float training[ELEMENTS], inference[ELEMENTS];
    clseq_var *vars[1 + EXTRA];
    char name[100];
    size_t n = 1;
    snprintf(name, sizeof name, "%s, %s", r->name, variants[v]);
    for (int i = 0; i < r->ndim; i++)
        n *= (size_t)r->dims[i];
    test_random_fill(&random, values_0, b.n, -2, 2);
    test_random_fill(&random, extra[0], EXTRA * F, -2, 2);
    test_random_fill(&random, dy, n, -1, 1);
    for (size_t i = 0; i < ELEMENTS; i++)
        x[i] = values_0[b.at[i]];
    r->forward(r, in, y);
    r->backward(r, in, y, dy, d);
    for (size_t i = 0; i < ELEMENTS; i++)
        d_base[b.at[i]] += uses * dx[i];
    for (size_t i = 0; i < n; i++)
        y[i] *= uses;
    for (int i = 0; i < EXTRA * F; i++)
        d_extra[i / F][i % F] *= uses;
    if (v == TRANSPOSED) {
        exchange(r, y);
        exchange(r, dy);
    }

    clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
    make_inputs(r, g, &b, values, vars);
    clseq_var *out = build(r, v, g, vars);
    graph_expect_value(name, g, out, y, bound);
    EXPECT_OK(clseq_read(g, out, training));
    graph_backward(g, out, dy);
    graph_expect_grad(name, g, vars[0], d_base, B * bound);
    for (int i = 1; i <= r->extra; i++)
        graph_expect_grad(name, g, vars[i], d[i], T * B * bound);
    graph_end(g);

    g = clseq_graph_begin(ctx, CLSEQ_MODE_INFERENCE);
    make_inputs(r, g, &b, values, vars);
    EXPECT_OK(clseq_read(g, build(r, v, g, vars), inference));
    graph_end(g);
    cr_assert(compare_bits(name, inference, training, n), "%s", compare_message());
}

Test(graph_along, rows)
{
    clseq_context *ctx = test_context();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (variant v = 0; v < VARIANTS; v++)
            check(ctx, &rows[i], v);
    clseq_context_destroy(ctx);
}
