/* Reductions of graphs over every set of dims, kept or not, against the reference; packed and permuted. */
#include "reference/reduce.h"
#include "support/bounds.h"
#include "support/device.h"
#include "support/graph.h"
#include "support/random.h"

#include <criterion/criterion.h>
#include <math.h>

#define DIMS(...) ((const int64_t[]){__VA_ARGS__})

enum { X = 3, Y = 5, Z = 4, ELEMENTS = X * Y * Z };

typedef clseq_var *(*over_fn)(clseq_graph *g, clseq_var *x, int count, const int *dims, bool keep);

static const struct {
    const char *name;
    over_fn over;
    clseq_reduction row;
} operations[] = {{"sum over", clseq_sum_over, CLSEQ_REDUCE_SUM},
                  {"mean over", clseq_mean_over, CLSEQ_REDUCE_MEAN},
                  {"max over", clseq_max_over, CLSEQ_REDUCE_MAX},
                  {"min over", clseq_min_over, CLSEQ_REDUCE_MIN}};

/* Element e of [X,Y,Z] in an array of dims [Z,Y,X]. */
static int turned(int e)
{
    return (e % Z * Y + e / Z % Y) * X + e / (Y * Z);
}

static void check(clseq_context *ctx, size_t op, int which, bool keep, bool permuted)
{
    const reference_reduction r = {operations[op].row, 3, {X, Y, Z}, {which & 1, which & 2, which & 4}};
    const size_t n = (size_t)reference_reduce_elements(&r, true);
    test_random random = test_random_seed((uint64_t)which);
    double x[ELEMENTS], leaf[ELEMENTS], y[ELEMENTS], dy[ELEMENTS], dx[ELEMENTS], dleaf[ELEMENTS],
        size[ELEMENTS];
    int dims[3], count = 0, kept = 0;
    test_random_fill(&random, x, ELEMENTS, -2, 2);
    test_random_fill(&random, dy, ELEMENTS, -2, 2);
    for (int e = 0; e < ELEMENTS; e++) {
        x[e] = rint(4 * x[e]) / 4;
        leaf[permuted ? turned(e) : e] = x[e];
    }
    reference_reduce_forward(&r, x, y, size);
    reference_reduce_backward(&r, x, dy, dx);
    for (size_t i = 0; i < n; i++)
        size[i] = test_rounding_bound(r.row >= CLSEQ_REDUCE_MAX ? 0 : 12, size[i]);
    for (int e = 0; e < ELEMENTS; e++)
        dleaf[permuted ? turned(e) : e] = dx[e];
    for (int d = 2; d >= 0; d--)
        if (r.reduced[d])
            dims[count++] = d == 2 ? -1 : d;
    for (int d = 0; d < 3; d++)
        kept += keep || !r.reduced[d];
    clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
    clseq_var *in = graph_input(g, leaf, 3, permuted ? DIMS(Z, Y, X) : DIMS(X, Y, Z));
    clseq_var *out = operations[op].over(g, permuted ? clseq_permute(g, in, (const int[]){2, 1, 0}) : in,
                                         count, dims, keep);
    clseq_tensor tensor = {0};
    EXPECT_OK(clseq_var_value(g, out, &tensor));
    cr_assert_eq(tensor.ndim, kept > 0 ? kept : 1);
    graph_expect_value_each(operations[op].name, g, out, y, size);
    /* Twice, so that gradients add up. */
    clseq_var *outs[] = {
        out, operations[op].over(g, permuted ? clseq_transpose(g, in, 0, 2) : in, count, dims, true)};
    double twice[ELEMENTS];
    for (int e = 0; e < ELEMENTS; e++)
        twice[e] = 2 * dleaf[e];
    float floats[ELEMENTS];
    for (size_t i = 0; i < n; i++)
        floats[i] = (float)dy[i];
    clseq_tensor second = {0};
    EXPECT_OK(clseq_var_value(g, outs[1], &second));
    clseq_var *grads[] = {clseq_input_f32(g, floats, tensor.ndim, tensor.dims),
                          clseq_input_f32(g, floats, second.ndim, second.dims)};
    EXPECT_OK(clseq_backward_from(g, 2, outs, grads));
    graph_expect_grad(operations[op].name, g, in, twice, test_rounding_bound(8, 4));
    graph_end(g);
}

Test(graph_reduce, over_dims)
{
    clseq_context *ctx = test_context();
    for (size_t op = 0; op < sizeof operations / sizeof operations[0]; op++)
        for (int which = 1; which < 8; which++)
            for (int how = 0; how < 4; how++)
                check(ctx, op, which, how & 1, how & 2);
    clseq_context_destroy(ctx);
}

/* A gradient that comes permuted: of the columns' sums, transposed. */
Test(graph_reduce, gradients_of_any_strides)
{
    clseq_context *ctx = test_context();
    const double x[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, dy[] = {1, 2, 3, 4, 5, 6};
    const double dx[] = {1, 3, 5, 1, 3, 5, 2, 4, 6, 2, 4, 6};
    clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
    clseq_var *in = graph_input(g, x, 3, DIMS(2, 2, 3));
    clseq_var *y = clseq_transpose(g, clseq_sum_over(g, in, 1, (const int[]){1}, false), 0, 1);
    const double want[] = {5, 17, 7, 19, 9, 21};
    graph_expect_value("y", g, y, want, 0);
    graph_backward(g, y, dy);
    graph_expect_grad("x", g, in, dx, 0);
    graph_end(g);
    clseq_context_destroy(ctx);
}

static void refuses(clseq_context *ctx, int count, const int *dims, clseq_status status, const char *sentence)
{
    static const double six[] = {1, 2, 3, 4, 5, 6};
    clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
    cr_assert_null(clseq_max_over(g, graph_input(g, six, 2, DIMS(2, 3)), count, dims, false));
    EXPECT_ERROR(clseq_graph_end(g), status, sentence);
}

Test(graph_reduce, bad_arguments)
{
    clseq_context *ctx = test_context();
    const int dims[] = {1, 2}, twice[] = {1, -1};
    refuses(ctx, 0, dims, CLSEQ_INVALID_ARGUMENT, "max over: 0 dims, expected 1 to 6");
    refuses(ctx, 1, NULL, CLSEQ_INVALID_ARGUMENT, "max over: 1 dims (NULL), expected 1 to 6");
    refuses(ctx, 2, dims, CLSEQ_INVALID_SHAPE, "max over: dim is 2, x has shape [2,3]");
    refuses(ctx, 2, twice, CLSEQ_INVALID_SHAPE, "max over: dim -1 of x, of shape [2,3], is there twice");
    cr_assert_null(clseq_sum_over(NULL, NULL, 1, dims, true));
    clseq_context_destroy(ctx);
}
