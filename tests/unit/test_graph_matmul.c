/*
 * Products of variables: every way in which the operands may lie (packed, transposed, sliced, permuted, expanded) and
 * broadcast, values and both gradients against sums in double with bounds from their magnitudes; weight tying.
 */
#include <criterion/criterion.h>

#include "support/bounds.h"
#include "support/device.h"
#include "support/graph.h"
#include "support/numeric.h"
#include "support/random.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How an operand of dims `dims` is made of an input: the input has them in this order, with `more` indices behind each. */
typedef struct layout {
    const char *name;
    bool is_turned; /* the last two dims are exchanged */
    bool is_mixed;  /* the first and the last but two, where there are so many */
    int more;       /* what a slice takes off every dim */
} layout;

static const layout layouts[] = {
    {"packed", false, false, 0}, {"transposed", true, false, 0},          {"sliced", false, false, 2},
    {"permuted", true, true, 0}, {"permuted and sliced", false, true, 1},
};

enum { LAYOUTS = sizeof layouts / sizeof layouts[0] };

typedef struct shape {
    int a_ndim, b_ndim;
    int64_t a[CLSEQ_MAX_DIMS], b[CLSEQ_MAX_DIMS];
} shape;

static const shape shapes[] = {
    {2, 2, {5, 7}, {7, 3}},
    {2, 2, {1, 1}, {1, 1}},
    {2, 2, {1, 9}, {9, 1}},
    {3, 3, {4, 5, 6}, {4, 6, 3}},
    {4, 4, {2, 3, 5, 4}, {2, 3, 4, 6}},
    {3, 2, {4, 5, 6}, {6, 3}},
    {2, 3, {5, 6}, {4, 6, 3}},
    {4, 3, {3, 2, 5, 4}, {2, 4, 3}},
    {4, 4, {3, 1, 5, 4}, {1, 2, 4, 3}},
    {5, 3, {2, 1, 3, 2, 4}, {3, 4, 5}},
    {6, 6, {2, 1, 2, 1, 3, 2}, {1, 2, 2, 2, 2, 3}},
};

static size_t count(int ndim, const int64_t *dims)
{
    size_t n = 1;
    for (int i = 0; i < ndim; i++)
        n *= (size_t)dims[i];
    return n;
}

/* The variable of these dims that lies so, and the input it is a view of; `values` receives what it shows. */
static clseq_var *make(clseq_graph *g, const layout *l, int ndim, const int64_t *dims, test_random *random,
                       double *values)
{
    int order[CLSEQ_MAX_DIMS];
    int64_t whole[CLSEQ_MAX_DIMS];
    for (int i = 0; i < ndim; i++)
        order[i] = i;
    if (l->is_turned) {
        order[ndim - 2] = ndim - 1;
        order[ndim - 1] = ndim - 2;
    }
    if (l->is_mixed && ndim > 3) {
        order[0] = ndim - 3;
        order[ndim - 3] = 0;
    }
    for (int i = 0; i < ndim; i++)
        whole[order[i]] = dims[i] + l->more;
    double *x = test_doubles(count(ndim, whole));
    float *read = test_floats(count(ndim, dims));
    test_random_fill(random, x, count(ndim, whole), -1, 1);
    clseq_var *y = clseq_permute(g, graph_input(g, x, ndim, whole), order);
    for (int i = 0; i < ndim && l->more > 0; i++)
        y = clseq_slice(g, y, i, l->more / 2, dims[i]);
    EXPECT_OK(clseq_read(g, y, read));
    for (size_t i = 0; i < count(ndim, dims); i++)
        values[i] = read[i];
    free(x);
    free(read);
    return clseq_require_grad(g, y);
}

/* Where the matrix of a's or b's batch stands that result matrix n uses. */
static size_t matrix_of(int ndim, const int64_t *dims, int out_ndim, const int64_t *out, size_t n)
{
    size_t at[CLSEQ_MAX_DIMS] = {0}, place = 0;
    for (int i = out_ndim - 2; i-- > 0; n /= (size_t)out[i])
        at[i] = n % (size_t)out[i];
    for (int i = 0; i + 2 < ndim; i++) {
        const size_t index = at[i + out_ndim - ndim];
        place = place * (size_t)dims[i] + (dims[i] == 1 ? 0 : index);
    }
    return place;
}

typedef struct result {
    int ndim;
    int64_t dims[CLSEQ_MAX_DIMS];
    double *y, *ymag, *da, *damag, *db, *dbmag;
} result;

/* y = a b, da = dy b^T, db = a^T dy, and the sums of magnitudes. */
static void reference(const shape *s, const double *a, const double *b, const double *dy, result *r)
{
    const size_t m = (size_t)s->a[s->a_ndim - 2], k = (size_t)s->a[s->a_ndim - 1];
    const size_t n = (size_t)s->b[s->b_ndim - 1], batch = count(r->ndim - 2, r->dims);
    for (size_t q = 0; q < batch; q++) {
        const size_t pa = matrix_of(s->a_ndim, s->a, r->ndim, r->dims, q) * m * k;
        const size_t pb = matrix_of(s->b_ndim, s->b, r->ndim, r->dims, q) * k * n;
        for (size_t i = 0; i < m * n * k; i++) {
            const size_t row = i / (n * k), column = i / k % n, inner = i % k, y = (q * m + row) * n + column;
            const size_t ia = pa + row * k + inner, ib = pb + inner * n + column;
            r->y[y] += a[ia] * b[ib];
            r->ymag[y] += fabs(a[ia] * b[ib]);
            r->da[ia] += dy[y] * b[ib];
            r->damag[ia] += fabs(dy[y] * b[ib]);
            r->db[ib] += a[ia] * dy[y];
            r->dbmag[ib] += fabs(a[ia] * dy[y]);
        }
    }
}

/* Terms of each sum, at most. */
static void bounds(double *magnitude, size_t n, double terms)
{
    for (size_t i = 0; i < n; i++)
        magnitude[i] = test_gemm_bound(terms, magnitude[i]) + test_sum_bound(terms, magnitude[i]);
}

static void check(clseq_context *ctx, const shape *s, const layout *la, const layout *lb)
{
    char name[160];
    test_random random = test_random_seed(11);
    const size_t na = count(s->a_ndim, s->a), nb = count(s->b_ndim, s->b);
    double *a = test_doubles(na), *b = test_doubles(nb);
    result r = {.ndim = s->a_ndim > s->b_ndim ? s->a_ndim : s->b_ndim};
    clseq_tensor value;
    clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
    clseq_var *va = make(g, la, s->a_ndim, s->a, &random, a);
    clseq_var *vb = make(g, lb, s->b_ndim, s->b, &random, b);
    clseq_var *y = clseq_matmul(g, va, vb);
    EXPECT_OK(clseq_var_value(g, y, &value));
    cr_assert_eq(value.ndim, r.ndim);
    memcpy(r.dims, value.dims, sizeof r.dims);
    const size_t ny = count(r.ndim, r.dims);
    double *dy = test_doubles(ny);
    test_random_fill(&random, dy, ny, -1, 1);
    r.y = test_doubles(ny), r.ymag = test_doubles(ny);
    r.da = test_doubles(na), r.damag = test_doubles(na);
    r.db = test_doubles(nb), r.dbmag = test_doubles(nb);
    reference(s, a, b, dy, &r);
    bounds(r.ymag, ny, (double)s->a[s->a_ndim - 1]);
    bounds(r.damag, na, (double)(ny * nb));
    bounds(r.dbmag, nb, (double)(ny * na));
    snprintf(name, sizeof name, "shape %d, a %s, b %s", (int)(s - shapes), la->name, lb->name);
    graph_expect_value_each(name, g, y, r.y, r.ymag);
    graph_backward(g, y, dy);
    graph_expect_grad_each(name, g, va, r.da, r.damag);
    graph_expect_grad_each(name, g, vb, r.db, r.dbmag);
    graph_end(g);
    double *all[] = {a, b, dy, r.y, r.ymag, r.da, r.damag, r.db, r.dbmag};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i]);
}

Test(graph_matmul, matches_the_reference_in_every_layout)
{
    clseq_context *ctx = test_context();
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++)
        for (int i = 0; i < LAYOUTS * LAYOUTS; i++)
            if (!test_small() || i % 7 == 0)
                check(ctx, &shapes[s], &layouts[i / LAYOUTS], &layouts[i % LAYOUTS]);
    clseq_context_destroy(ctx);
}

/* x x^T, with gradients that meet in x, and one that a view of y brings back strided. */
Test(graph_matmul, one_variable_as_both)
{
    clseq_context *ctx = test_context();
    const double x[] = {1, 2, 3, 4, 5, 6}, dy[] = {1, 10, 100, 1000};
    /* y = x x^T; the result is turned, so dy^T comes back: dx = (dy + dy^T) x */
    const double dx[] = {2 * 1 + 110 * 4,    2 * 2 + 110 * 5,    2 * 3 + 110 * 6,
                         110 * 1 + 2000 * 4, 110 * 2 + 2000 * 5, 110 * 3 + 2000 * 6};
    clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
    clseq_var *in = graph_input(g, x, 2, (int64_t[]){2, 3});
    clseq_var *y = clseq_matmul(g, in, clseq_transpose(g, in, 0, 1));
    graph_expect_value("y", g, y, (double[]){14, 32, 32, 77}, 0);
    graph_backward(g, clseq_transpose(g, y, 0, 1), dy);
    graph_expect_grad("x", g, in, dx, 0);
    graph_end(g);
    clseq_context_destroy(ctx);
}

/* Rows that are all the same one, by a stride of 0, times two matrices: the gradients of both products meet in a. */
Test(graph_matmul, expanded_rows_and_two_uses)
{
    clseq_context *ctx = test_context();
    const double a[] = {1, 2}, b[] = {1, 2, 3, 4}, c[] = {5, 6, 7, 8}, dy[] = {1, 0, 0, 1, 1, 1};
    /* rows of y are a (b + c) = (26, 32); da = sum of the rows of dy times (b + c)^T, with (2, 2) for the sum */
    const double y[] = {26, 32, 26, 32, 26, 32}, da[] = {2 * 6 + 2 * 8, 2 * 10 + 2 * 12};
    clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
    clseq_var *va = graph_input(g, a, 2, (int64_t[]){1, 2});
    clseq_var *rows = clseq_expand(g, va, 2, (int64_t[]){3, 2});
    clseq_var *both = clseq_add(g, clseq_matmul(g, rows, graph_input(g, b, 2, (int64_t[]){2, 2})),
                                clseq_matmul(g, rows, graph_input(g, c, 2, (int64_t[]){2, 2})));
    graph_expect_value("y", g, both, y, 0);
    graph_backward(g, both, dy);
    graph_expect_grad("a", g, va, da, 0);
    graph_end(g);
    /* the same with rows of their own: da = dy (b + c)^T */
    const double own[] = {1, 2, 1, 2, 1, 2}, down[] = {6, 10, 8, 12, 14, 22};
    g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
    va = graph_input(g, own, 2, (int64_t[]){3, 2});
    both = clseq_add(g, clseq_matmul(g, va, graph_input(g, b, 2, (int64_t[]){2, 2})),
                     clseq_matmul(g, va, graph_input(g, c, 2, (int64_t[]){2, 2})));
    graph_expect_value("y", g, both, y, 0);
    graph_backward(g, both, dy);
    graph_expect_grad("a", g, va, down, 0);
    graph_end(g);
    clseq_context_destroy(ctx);
}

/* A gradient that comes back turned so that no matrix of it has rows: as the one that lies packed, bit for bit. */
Test(graph_matmul, gradients_without_rows)
{
    enum { N = 2, M = 3, K = 4, P = 5 };
    clseq_context *ctx = test_context();
    test_random random = test_random_seed(3);
    float a[N * M * K], b[N * K * P], dy[N * M * P], turned[M * P * N], da[2][N * M * K];
    test_random_fill_float(&random, a, N * M * K, -1, 1);
    test_random_fill_float(&random, b, N * K * P, -1, 1);
    test_random_fill_float(&random, dy, N * M * P, -1, 1);
    for (int i = 0; i < N * M * P; i++)
        turned[i % (M * P) * N + i / (M * P)] = dy[i];
    for (int i = 0; i < 2; i++) {
        clseq_tensor grad;
        clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
        clseq_var *va = clseq_require_grad(g, clseq_input_f32(g, a, 3, (int64_t[]){N, M, K}));
        clseq_var *y = clseq_matmul(g, va, clseq_input_f32(g, b, 3, (int64_t[]){N, K, P}));
        graph_backward_floats(g, i == 0 ? y : clseq_permute(g, y, (int[]){1, 2, 0}), i == 0 ? dy : turned);
        EXPECT_OK(clseq_var_grad(g, va, &grad));
        EXPECT_OK(clseq_tensor_read(ctx, &grad, da[i]));
        graph_end(g);
    }
    cr_assert_eq(memcmp(da[0], da[1], sizeof da[0]), 0);
    clseq_context_destroy(ctx);
}

/* The rows of an embedding as the weights of the layer that tells them apart: both uses add to one gradient. */
Test(graph_matmul, weight_tying)
{
    enum { V = 3, E = 2 };
    clseq_context *ctx = test_context();
    clseq_params *params = NULL;
    clseq_embedding *embed = NULL;
    const double table[] = {1, 2, 3, 4, 5, 6}, dy[] = {1, 0, 2};
    /* token 1: x = (3,4), y = E x; dE = dy x^T, and row 1 gets E^T dy */
    const double dtable[] = {3, 4, 0 + 1 + 10, 0 + 2 + 12, 6, 8};
    EXPECT_OK(clseq_params_create(ctx, 1, &params));
    EXPECT_OK(clseq_embedding_new(params, "embed", V, E, &embed));
    clseq_param *weight = clseq_params_find(params, "embed.weight");
    graph_set_param(weight, table);
    clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
    clseq_var *x = clseq_embed(g, embed, clseq_input_i32(g, (int32_t[]){1}, 1, (int64_t[]){1}));
    clseq_var *y = clseq_matmul(g, x, clseq_transpose(g, clseq_param_var(g, weight), 0, 1));
    graph_expect_value("y", g, y, (double[]){11, 25, 39}, 0);
    graph_backward(g, y, dy);
    graph_end(g);
    graph_expect_param_grad(weight, dtable, 0);
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
}

Test(graph_matmul, bad_input)
{
    static const struct {
        int a_ndim, b_ndim;
        int64_t a[4], b[4];
        const char *sentence;
    } bad[] = {
        {2, 2, {2, 3}, {2, 3}, "matmul: a has shape [2,3] and b [2,3], expected [...,m,k] and [...,k,n]"},
        {1, 2, {3}, {3, 2}, "matmul: a has shape [3] and b [3,2]"},
        {2, 1, {2, 3}, {3}, "matmul: a has shape [2,3] and b [3]"},
        {3, 3, {2, 2, 3}, {3, 3, 2}, "matmul: a has shape [2,2,3] and b [3,3,2]"},
    };
    clseq_context *ctx = test_context();
    const float values[24] = {0};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
        cr_assert_null(clseq_matmul(g, clseq_input_f32(g, values, bad[i].a_ndim, bad[i].a),
                                    clseq_input_f32(g, values, bad[i].b_ndim, bad[i].b)));
        EXPECT_ERROR(clseq_graph_end(g), CLSEQ_INVALID_SHAPE, bad[i].sentence);
    }
    clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
    const int32_t whole[4] = {0};
    cr_assert_null(clseq_matmul(g, clseq_input_f32(g, values, 2, (int64_t[]){2, 2}),
                                clseq_input_i32(g, whole, 2, (int64_t[]){2, 2})));
    EXPECT_ERROR(clseq_graph_end(g), CLSEQ_INVALID_DTYPE, "matmul: b has type i32, expected f32");
    clseq_context_destroy(ctx);
}
