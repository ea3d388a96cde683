/*
 * Operations of graphs element by element against their references: equal dims, broadcast, and inputs and gradients that
 * do not lie packed. A new one is a row of `operations`; every row of cl/nn/pointwise_rows.h that is none of the primitives'
 * own must stand in it.
 */
#include "reference/pointwise.h"
#include "support/bounds.h"
#include "support/compare.h"
#include "support/device.h"
#include "support/graph.h"
#include "support/numeric.h"
#include "support/random.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#define DIMS(...) ((const int64_t[]){__VA_ARGS__})

enum { X = 3, Y = 5, Z = 7, ELEMENTS = X * Y * Z, MOST = X * Y * (Z + 2) };

typedef clseq_var *(*build_fn)(clseq_graph *g, clseq_var *const *in);

#define BUILD(name, ...)                                                 \
    static clseq_var *build_##name(clseq_graph *g, clseq_var *const *in) \
    {                                                                    \
        return clseq_##name(g, __VA_ARGS__);                             \
    }

BUILD(add, in[0], in[1])
BUILD(sub, in[0], in[1])
BUILD(mul, in[0], in[1])
BUILD(div, in[0], in[1])
BUILD(minimum, in[0], in[1])
BUILD(maximum, in[0], in[1])
BUILD(add_scalar, in[0], 0.75f)
BUILD(sub_scalar, in[0], 0.75f)
BUILD(mul_scalar, in[0], 0.75f)
BUILD(div_scalar, in[0], 0.75f)
BUILD(neg, in[0])
BUILD(reciprocal, in[0])
BUILD(exp, in[0])
BUILD(log, in[0])
BUILD(sqrt, in[0])
BUILD(square, in[0])
BUILD(abs, in[0])
BUILD(tanh, in[0])
BUILD(sigmoid, in[0])
BUILD(relu, in[0])
BUILD(gelu, in[0])
BUILD(gelu_tanh, in[0])
BUILD(silu, in[0])
BUILD(softplus, in[0])
BUILD(leaky_relu, in[0], 0.75f)
BUILD(elu, in[0], 0.75f)
BUILD(clamp, in[0], -0.75f, 1.25f)
BUILD(pow, in[0], 0.75f)
BUILD(where, in[2], in[0], in[1])
BUILD(masked_fill, in[0], in[2], 0.75f)

static const struct {
    build_fn build;
    int row;
    double p, q;
} operations[] = {
    {build_add, POINTWISE_ADD, 1, 1},
    {build_sub, POINTWISE_ADD, 1, -1},
    {build_mul, POINTWISE_MUL, 1, 0},
    {build_div, POINTWISE_DIV, 0, 0},
    {build_minimum, POINTWISE_MINIMUM, 0, 0},
    {build_maximum, POINTWISE_MAXIMUM, 0, 0},
    {build_add_scalar, POINTWISE_ADD_SCALAR, 0.75, 0},
    {build_sub_scalar, POINTWISE_ADD_SCALAR, -0.75, 0},
    {build_mul_scalar, POINTWISE_MUL_SCALAR, 0.75, 0},
    {build_div_scalar, POINTWISE_DIV_SCALAR, 0.75, 0},
    {build_neg, POINTWISE_MUL_SCALAR, -1, 0},
    {build_reciprocal, POINTWISE_RECIPROCAL, 0, 0},
    {build_exp, POINTWISE_EXP, 0, 0},
    {build_log, POINTWISE_LOG, 0, 0},
    {build_sqrt, POINTWISE_SQRT, 0, 0},
    {build_square, POINTWISE_SQUARE, 0, 0},
    {build_abs, POINTWISE_ABS, 0, 0},
    {build_tanh, POINTWISE_TANH, 0, 0},
    {build_sigmoid, POINTWISE_SIGMOID, 0, 0},
    {build_relu, POINTWISE_RELU, 0, 0},
    {build_gelu, POINTWISE_GELU, 0, 0},
    {build_gelu_tanh, POINTWISE_GELU_TANH, 0, 0},
    {build_silu, POINTWISE_SILU, 0, 0},
    {build_softplus, POINTWISE_SOFTPLUS, 0, 0},
    {build_leaky_relu, POINTWISE_LEAKY_RELU, 0.75, 0},
    {build_elu, POINTWISE_ELU, 0.75, 0},
    {build_clamp, POINTWISE_CLAMP, -0.75, 1.25},
    {build_pow, POINTWISE_POW, 0.75, 0},
    {build_where, POINTWISE_WHERE, 0, 0},
    {build_masked_fill, POINTWISE_MASKED_FILL, 0.75, 0},
};

/* How a, b and the mask come to y's [X,Y,Z]. */
typedef enum way {
    EQUAL,     /* all [X,Y,Z] */
    BROADCAST, /* a [X,1,Z], b and the mask [Y,1] */
    STRIDED,   /* a permuted, b and the mask sliced, and y's gradient permuted */
    WAYS
} way;

/* The place of y's element e in input i. */
static int place(way w, int i, int e)
{
    const int x = e / (Y * Z), y = e / Z % Y, z = e % Z;
    const int places[WAYS][2] = {
        {e, e}, {x * Z + z, y}, {(z * Y + y) * X + x, (x * Y + y) * (Z + 2) + z + 1}};
    return places[w][i > 0];
}

static clseq_var *input(clseq_graph *g, way w, int i, const double *values, const int32_t *mask)
{
    static const struct {
        int ndim;
        int64_t dims[3];
    } leaves[WAYS][2] = {{{3, {X, Y, Z}}, {3, {X, Y, Z}}},
                         {{3, {X, 1, Z}}, {2, {Y, 1}}},
                         {{3, {Z, Y, X}}, {3, {X, Y, Z + 2}}}};
    const int ndim = leaves[w][i > 0].ndim;
    const int64_t *dims = leaves[w][i > 0].dims;
    return i == 2 ? clseq_input_i32(g, mask, ndim, dims) : graph_input(g, values, ndim, dims);
}

/* The leaf as it goes into the operation. */
static clseq_var *arrange(clseq_graph *g, way w, int i, clseq_var *leaf)
{
    static const int order[] = {2, 1, 0};
    if (w != STRIDED)
        return leaf;
    return i == 0 ? clseq_permute(g, leaf, order) : clseq_slice(g, leaf, 2, 1, Z);
}

static void check(clseq_context *ctx, size_t op, way w)
{
    const int row = operations[op].row;
    const reference_pointwise_row *r = &reference_pointwise_rows[row];
    const reference_pointwise_bounds *b = &reference_pointwise_bound[row];
    const way by =
        r->inputs + r->masked == 1 && w == BROADCAST ? EQUAL : w; /* alone it has nothing to stretch to */
    test_random random = test_random_seed(op);
    double in[2][MOST], dy[ELEMENTS], want[ELEMENTS], bound[ELEMENTS];
    double dwant[2][MOST] = {{0}}, dbound[2][MOST] = {{0}};
    int32_t mask[MOST];
    clseq_var *leaf[3] = {NULL}, *vars[3] = {NULL};
    for (int i = 0; i < 2; i++)
        test_random_fill(&random, in[i], MOST, fmax(b->least[i], -9), fmin(b->most[i], 9));
    test_random_fill(&random, dy, ELEMENTS, -2, 2);
    test_random_fill_int(&random, mask, MOST, -1, 1);
    for (int e = 0; e < ELEMENTS; e++) {
        const reference_point at = {in[0][place(by, 0, e)], in[1][place(by, 1, e)], operations[op].p,
                                    operations[op].q, mask[place(by, 2, e)] != 0};
        const reference_pointwise y = reference_pointwise_at(row, &at);
        want[e] = y.y;
        bound[e] = test_rounding_bound(b->y_error, y.y_size);
        for (int i = 0; i < r->inputs; i++) {
            const int k = place(by, i, e);
            dwant[i][k] += dy[e] * y.f[i];
            /* From the device's own y, whose error counts twice at most, and sums of few. */
            dbound[i][k] += test_rounding_bound(b->f_error + 2 * b->y_error + 12, dy[e] * y.f_size[i]);
        }
    }
    clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
    for (int i = 0; i < 3; i++) {
        leaf[i] = input(g, by, i, i < 2 ? in[i] : NULL, mask);
        vars[i] = arrange(g, by, i, leaf[i]);
    }
    clseq_var *y = operations[op].build(g, vars);
    graph_expect_value_each(r->name, g, y, want, bound);
    if (by == STRIDED) {
        double turned[ELEMENTS];
        for (int e = 0; e < ELEMENTS; e++)
            turned[place(STRIDED, 0, e)] = dy[e];
        graph_backward(g, clseq_permute(g, y, (const int[]){2, 1, 0}), turned);
    } else {
        graph_backward(g, y, dy);
    }
    for (int i = 0; i < r->inputs; i++)
        graph_expect_grad_each(r->name, g, leaf[i], dwant[i], dbound[i]);
    graph_end(g);
}

Test(graph_pointwise, operations)
{
    clseq_context *ctx = test_context();
    bool seen[POINTWISE_COUNT] = {[POINTWISE_SAME] = true};
    for (size_t op = 0; op < sizeof operations / sizeof operations[0]; op++) {
        seen[operations[op].row] = true;
        for (way w = 0; w < WAYS; w++)
            check(ctx, op, w);
    }
    for (int row = 0; row < POINTWISE_COUNT; row++)
        cr_assert(seen[row], "no operation of graphs has the row %s", reference_pointwise_rows[row].name);
    clseq_context_destroy(ctx);
}

/* The gradients of a sum are y's own; whoever else wants one gets a copy or an addition. */
Test(graph_pointwise, gradients_of_sums_are_handed_on)
{
    clseq_context *ctx = test_context();
    const double a[] = {1, 2, 3}, dy[] = {5, 6, 7}, twice[] = {10, 12, 14}, minus[] = {-5, -6, -7};
    clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
    clseq_var *x = graph_input(g, a, 1, DIMS(3)), *z = graph_input(g, a, 1, DIMS(3));
    clseq_var *y = clseq_sub(g, clseq_add_scalar(g, clseq_add(g, x, x), 1), z);
    graph_backward(g, y, dy);
    graph_expect_grad("x + x", g, x, twice, 0);
    graph_expect_grad("- z", g, z, minus, 0);
    graph_end(g);

    /* Nothing is launched but what gives y its gradient. */
    g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
    x = graph_input(g, a, 1, DIMS(3));
    z = clseq_input_f32(g, (float[]){1, 1, 1}, 1, DIMS(3));
    y = clseq_add(g, clseq_add_scalar(g, clseq_sub(g, x, z), 2), z);
    clseq_var *ends = clseq_input_f32(g, (float[]){5, 6, 7}, 1, DIMS(3));
    clseq_context_stats before, after;
    EXPECT_OK(clseq_context_get_stats(ctx, &before));
    EXPECT_OK(clseq_backward_from(g, 1, &y, &ends));
    EXPECT_OK(clseq_context_get_stats(ctx, &after));
    cr_assert_leq(after.launches - before.launches, 1);
    graph_expect_grad("x", g, x, dy, 0);
    graph_end(g);
    clseq_context_destroy(ctx);
}

#define EXPECT_FAILURE(call, status, part)                            \
    do {                                                              \
        clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING); \
        clseq_var *x = graph_input(g, six, 2, DIMS(2, 3));            \
        clseq_var *m = clseq_input_i32(g, ints, 2, DIMS(2, 3));       \
        (void)m;                                                      \
        cr_assert_null(call(g, x, m));                                \
        EXPECT_ERROR(clseq_graph_end(g), status, part);               \
    } while (0)

static const double six[] = {1, 2, 3, 4, 5, 6};
static const int32_t ints[] = {1, 0, 1, 0, 1, 0};

static clseq_var *bad_shape(clseq_graph *g, clseq_var *x, clseq_var *m)
{
    (void)m;
    return clseq_maximum(g, x, graph_input(g, six, 3, DIMS(1, 3, 2)));
}

static clseq_var *bad_mask(clseq_graph *g, clseq_var *x, clseq_var *m)
{
    (void)m;
    return clseq_where(g, x, x, x);
}

static clseq_var *bad_mask_shape(clseq_graph *g, clseq_var *x, clseq_var *m)
{
    return clseq_masked_fill(g, clseq_slice(g, x, 1, 0, 2), m, 0);
}

static clseq_var *bad_input(clseq_graph *g, clseq_var *x, clseq_var *m)
{
    (void)x;
    return clseq_gelu_tanh(g, m);
}

static clseq_var *missing(clseq_graph *g, clseq_var *x, clseq_var *m)
{
    (void)m;
    return clseq_div(g, x, NULL);
}

static clseq_var *bad_bounds(clseq_graph *g, clseq_var *x, clseq_var *m)
{
    (void)m;
    return clseq_clamp(g, x, 2, NAN);
}

Test(graph_pointwise, bad_arguments)
{
    clseq_context *ctx = test_context();
    EXPECT_FAILURE(bad_shape, CLSEQ_INVALID_SHAPE,
                   "maximum: a has shape [2,3] and b has [1,3,2], which do not broadcast");
    EXPECT_FAILURE(bad_mask, CLSEQ_INVALID_DTYPE, "where: mask has type f32, expected i32");
    EXPECT_FAILURE(bad_mask_shape, CLSEQ_INVALID_SHAPE,
                   "masked fill: mask has shape [2,3] and x has [2,2], which do not broadcast");
    EXPECT_FAILURE(bad_input, CLSEQ_INVALID_DTYPE, "gelu tanh: x has type i32, expected f32");
    EXPECT_FAILURE(missing, CLSEQ_INVALID_ARGUMENT, "div: b is NULL");
    EXPECT_FAILURE(bad_bounds, CLSEQ_INVALID_ARGUMENT, "clamp: low is 2 and high is nan, expected no more");
    cr_assert_null(clseq_clamp(NULL, NULL, 0, 1));
    cr_assert_null(clseq_tanh(NULL, NULL));
    clseq_context_destroy(ctx);
}
