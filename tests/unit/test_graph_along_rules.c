/* Operations along a dim, on rows, and over time in graphs: single cases, and what is refused. */
#include <criterion/criterion.h>

#include "reference/norm.h"
#include "support/bounds.h"
#include "support/device.h"
#include "support/graph.h"
#include <math.h>

/* One variable as x, gain and shift. */
Test(graph_along_rules, a_norm_of_one_variable)
{
    clseq_context *ctx = test_context();
    const float eps = 0.25f;
    const reference_row_norm n = {true, eps, 1, 5};
    const double x[5] = {1, -0.5, 0.25, 2, -1}, dy[5] = {0.5, 1, -1, 0.25, 2};
    double y[5], dx[5], dgain[5] = {0}, dshift[5] = {0};
    reference_row_norm_forward(n, x, x, x, y);
    reference_row_norm_backward(n, x, x, dy, dx, dgain, dshift);
    for (int i = 0; i < 5; i++)
        dx[i] += dgain[i] + dshift[i];
    clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
    clseq_var *in = graph_input(g, x, 1, (int64_t[]){5}), *out = clseq_layer_norm(g, in, in, in, eps);
    graph_expect_value("y", g, out, y, test_rounding_bound(20, 5));
    graph_backward(g, out, dy);
    graph_expect_grad("x", g, in, dx, test_rounding_bound(40, 5));
    graph_end(g);
    clseq_context_destroy(ctx);
}

/* What is masked away has no weight and no gradient, also where it is all there is. */
Test(graph_along_rules, masked_softmax)
{
    clseq_context *ctx = test_context();
    const double x[] = {1, -INFINITY, 1, -INFINITY, -INFINITY, -INFINITY}, dy[] = {1, 2, 3, 1, 2, 3};
    clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
    clseq_var *in = graph_input(g, x, 2, (int64_t[]){2, 3}), *y = clseq_softmax(g, in, -1);
    graph_expect_value("y", g, y, (double[]){0.5, 0, 0.5, 0, 0, 0}, 1e-7);
    graph_backward(g, y, dy);
    graph_expect_grad("x", g, in, (double[]){-0.5, 0, 0.5, 0, 0, 0}, 1e-7);
    graph_end(g);
    clseq_context_destroy(ctx);
}

/* What is refused: each call in a graph of its own. */
typedef struct refusal {
    clseq_var *(*call)(clseq_graph *g, clseq_var *x, clseq_var *tokens);
    clseq_status status;
    const char *sentence;
} refusal;

#define CALL(name, expression)                                                     \
    static clseq_var *call_##name(clseq_graph *g, clseq_var *x, clseq_var *tokens) \
    {                                                                              \
        (void)x, (void)tokens;                                                     \
        return expression;                                                         \
    }

/* x is [2,3] and tokens [2,2] = {1, 0, 2, 3} in all of them. */
CALL(softmax_null, clseq_softmax(g, NULL, 0))
CALL(softmax_dim, clseq_softmax(g, x, 2))
CALL(log_softmax_dim, clseq_log_softmax(g, x, -3))
CALL(softmax_tokens, clseq_softmax(g, tokens, 0))
CALL(cumsum_dim, clseq_cumsum(g, x, 2))
CALL(cumsum_tokens, clseq_cumsum(g, tokens, 0))
CALL(gather_x, clseq_gather(g, x, 1, x))
CALL(gather_dim, clseq_gather(g, x, 5, tokens))
CALL(gather_shape, clseq_gather(g, x, 0, tokens))
CALL(gather_ndim, clseq_gather(g, clseq_reshape(g, x, 1, (int64_t[]){6}), 0, tokens))
CALL(gather_range, clseq_gather(g, x, 1, tokens))
CALL(norm_null, clseq_layer_norm(g, NULL, NULL, NULL, 1))
CALL(norm_gain, clseq_layer_norm(g, x, x, NULL, 1))
CALL(norm_shift, clseq_layer_norm(g, x, NULL, clseq_reshape(g, x, 1, (int64_t[]){6}), 1))
CALL(norm_tokens, clseq_rms_norm(g, x, tokens, 1))
CALL(norm_eps, clseq_rms_norm(g, x, NULL, -1))
CALL(norm_layer, clseq_normalize(g, NULL, x))
CALL(reverse_dims, clseq_reverse(g, clseq_reshape(g, x, 1, (int64_t[]){6}), NULL))
CALL(reverse_long, clseq_reverse(g, x, (int32_t[]){0, 1, 3}))
CALL(last_negative, clseq_last(g, x, (int32_t[]){0, -1, 2}))
CALL(mean_tokens, clseq_mean_over_time(g, tokens, NULL))
CALL(max_null, clseq_max_over_time(g, NULL, NULL))

static const refusal refusals[] = {
    {call_softmax_null, CLSEQ_INVALID_ARGUMENT, "softmax: x is NULL"},
    {call_softmax_dim, CLSEQ_INVALID_SHAPE, "softmax: dim is 2, x has shape [2,3]"},
    {call_log_softmax_dim, CLSEQ_INVALID_SHAPE, "log softmax: dim is -3, x has shape [2,3]"},
    {call_softmax_tokens, CLSEQ_INVALID_DTYPE, "softmax: x has type i32, expected f32"},
    {call_cumsum_dim, CLSEQ_INVALID_SHAPE, "cumsum: dim is 2, x has shape [2,3]"},
    {call_cumsum_tokens, CLSEQ_INVALID_DTYPE, "cumsum: x has type i32, expected f32"},
    {call_gather_x, CLSEQ_INVALID_DTYPE, "gather: indices has type f32, expected i32"},
    {call_gather_dim, CLSEQ_INVALID_SHAPE, "gather: dim is 5, x has shape [2,3]"},
    {call_gather_shape, CLSEQ_INVALID_SHAPE,
     "gather: x has shape [2,3] and indices [2,2], expected the same but for dim 0"},
    {call_gather_ndim, CLSEQ_INVALID_SHAPE,
     "gather: x has shape [6] and indices [2,2], expected the same but for dim 0"},
    {call_gather_range, CLSEQ_INVALID_ARGUMENT, "gather: index 3 at [1,1] is outside of the dimension 0..2"},
    {call_norm_null, CLSEQ_INVALID_ARGUMENT, "layer norm: x is NULL"},
    {call_norm_gain, CLSEQ_INVALID_SHAPE, "layer norm: gain has shape [2,3], expected [3]"},
    {call_norm_shift, CLSEQ_INVALID_SHAPE, "layer norm: shift has shape [6], expected [3]"},
    {call_norm_tokens, CLSEQ_INVALID_DTYPE, "rms norm: gain has type i32, expected f32"},
    {call_norm_eps, CLSEQ_INVALID_ARGUMENT, "rms norm forward: eps is -1, expected a number of at least 0"},
    {call_norm_layer, CLSEQ_INVALID_ARGUMENT, "normalize: norm is NULL"},
    {call_reverse_dims, CLSEQ_INVALID_SHAPE, "reverse: x has shape [6], expected [T,B,...]"},
    {call_reverse_long, CLSEQ_INVALID_ARGUMENT, "reverse: lengths[2] is 3, expected 0..T = 0..2"},
    {call_last_negative, CLSEQ_INVALID_ARGUMENT, "last: lengths[1] is -1, expected 0..T = 0..2"},
    {call_mean_tokens, CLSEQ_INVALID_DTYPE, "mean over time: x has type i32, expected f32"},
    {call_max_null, CLSEQ_INVALID_ARGUMENT, "max over time: x is NULL"},
};

Test(graph_along_rules, refusals)
{
    clseq_context *ctx = test_context();
    const float x[6] = {0};
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
        clseq_var *in = clseq_input_f32(g, x, 2, (int64_t[]){2, 3});
        clseq_var *tokens = clseq_input_i32(g, (int32_t[]){1, 0, 2, 3}, 2, (int64_t[]){2, 2});
        cr_assert_null(refusals[i].call(g, in, tokens));
        EXPECT_ERROR(clseq_graph_end(g), refusals[i].status, refusals[i].sentence);
    }
    clseq_context_destroy(ctx);
}
