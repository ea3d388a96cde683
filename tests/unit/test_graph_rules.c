/* What the graph promises besides the values of single operations: which gradients are kept, masks, who reads what. */
#include <criterion/criterion.h>

#include "support/device.h"
#include "support/graph.h"
#include "support/numeric.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DIMS(...)     \
    (const int64_t[]) \
    {                 \
        __VA_ARGS__   \
    }

static const double six[6] = {1, -2, 3, -4, 5, -6};
static const double ones[6] = {1, 1, 1, 1, 1, 1};
static const float floats[6] = {1, -2, 3, -4, 5, -6};

/* Where a gradient is passed on rather than copied, a variable that asked for its own keeps it. */
Test(graph_rules, gradients_of_results_that_pass_them_on)
{
    clseq_context *ctx = test_context();
    clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
    clseq_var *a = graph_input(g, six, 2, DIMS(2, 3)), *b = graph_input(g, ones, 2, DIMS(2, 3));
    clseq_var *sum = clseq_require_grad(g, clseq_add(g, a, b));
    clseq_var *flat = clseq_require_grad(g, clseq_reshape(g, sum, 1, DIMS(6)));
    clseq_var *back = clseq_require_grad(g, clseq_reshape(g, flat, 2, DIMS(3, 2)));
    graph_backward(g, back, six);
    graph_expect_grad("back", g, back, six, 0);
    graph_expect_grad("flat", g, flat, six, 0);
    graph_expect_grad("sum", g, sum, six, 0);
    graph_expect_grad("a", g, a, six, 0);
    graph_expect_grad("b", g, b, six, 0);
    graph_end(g);
    clseq_context_destroy(ctx);
}

/* Each operation adds to the gradient by itself, more of them than there are places for contributions. */
Test(graph_rules, one_variable_in_many_operations)
{
    clseq_context *ctx = test_context();
    clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
    double want[6];
    clseq_var *x = graph_input(g, six, 2, DIMS(2, 3)), *sum = clseq_relu(g, x);
    for (int i = 1; i < 12; i++)
        sum = clseq_add(g, sum, clseq_relu(g, x));
    graph_backward(g, sum, six);
    for (int e = 0; e < 6; e++)
        want[e] = six[e] > 0 ? 12 * six[e] : 0;
    graph_expect_grad("x", g, x, want, 0);
    graph_end(g);
    clseq_context_destroy(ctx);
}

/* The mask of one dropout operation, whatever the p of the one before. */
static void second_mask(clseq_context *ctx, float first, float *mask, int n)
{
    const int64_t size = n;
    clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
    clseq_tensor one = {0};
    EXPECT_OK(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 1, &size, &one));
    EXPECT_OK(clseq_tensor_fill(ctx, &one, 1.0));
    clseq_graph_seed(g, 5, 6);
    clseq_dropout(g, clseq_input_tensor(g, &one), first);
    EXPECT_OK(clseq_read(g, clseq_dropout(g, clseq_input_tensor(g, &one), 0.5f), mask));
    graph_end(g);
    clseq_tensor_destroy(ctx, &one);
}

Test(graph_rules, masks_do_not_depend_on_other_probabilities)
{
    enum { N = 100 };
    clseq_context *ctx = test_context();
    float none[N], some[N];
    second_mask(ctx, 0.0f, none, N);
    second_mask(ctx, 0.5f, some, N);
    cr_assert_eq(memcmp(none, some, sizeof none), 0, "p = 0 draws another mask afterwards than p = 0.5");
    clseq_context_destroy(ctx);
}

/* ---- embeddings that a recurrent layer reads ---- */

enum { T = 6, B = 4, V = 5, E = 3, H = 4 };

static const int32_t tokens[T * B] = {0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1, 2, 3};

/* The layer's outputs from what comes straight from the embedding, and from the same rows by themselves. */
static void read_both_ways(clseq_context *ctx, clseq_rnn *rnn, clseq_embedding *embed, double *table_way,
                           double *plain)
{
    float out[2][T * B * H];
    clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
    clseq_var *rows = clseq_embed(g, embed, clseq_input_i32(g, tokens, 2, DIMS(T, B)));
    EXPECT_OK(clseq_read(g, clseq_recur(g, rnn, rows, NULL), out[0]));
    EXPECT_OK(clseq_read(g, clseq_recur(g, rnn, clseq_reshape(g, rows, 3, DIMS(T, B, E)), NULL), out[1]));
    graph_end(g);
    for (int i = 0; i < T * B * H; i++) {
        table_way[i] = out[0][i];
        plain[i] = out[1][i];
    }
}

/* Its table may change, and it may go, without the layer's store knowing. */
Test(graph_rules, an_embedding_of_another_store)
{
    clseq_context *ctx = test_context();
    clseq_params *layers = NULL, *tables = NULL;
    clseq_rnn *rnn = NULL;
    clseq_embedding *embed = NULL;
    double table[V * E], got[T * B * H], want[T * B * H];
    EXPECT_OK(clseq_params_create(ctx, 1, &layers));
    EXPECT_OK(clseq_rnn_new(layers, "rnn", &(clseq_rnn_desc){.cell = CLSEQ_CELL_GRU, .input = E, .hidden = H},
                            NULL, &rnn));
    for (int store = 0; store < 2; store++) {
        EXPECT_OK(clseq_params_create(ctx, 2 + (uint64_t)store, &tables));
        EXPECT_OK(clseq_embedding_new(tables, "embed", V, E, &embed));
        for (int change = 0; change < 3; change++) {
            for (int i = 0; i < V * E; i++)
                table[i] = 0.1 * (i + 1) * (change + 1) * (store ? -1 : 1);
            graph_set_param(clseq_params_find(tables, "embed.weight"), table);
            read_both_ways(ctx, rnn, embed, got, want);
            for (int i = 0; i < T * B * H; i++)
                cr_assert(fabs(got[i] - want[i]) <= 1e-5, "element %d is %g instead of %g after change %d", i,
                          got[i], want[i], change);
        }
        clseq_params_destroy(tables);
    }
    clseq_params_destroy(layers);
    clseq_context_destroy(ctx);
}

/* A final state goes to a variable and to carry: both are what either is alone. */
Test(graph_rules, final_states_go_to_both)
{
    clseq_context *ctx = test_context();
    clseq_params *params = NULL;
    clseq_rnn *rnn = NULL;
    clseq_state *carry = NULL;
    clseq_tensor state = {0};
    float from_var[B * H], from_carry[B * H], alone[B * H], x[T * B * E];
    for (int i = 0; i < T * B * E; i++)
        x[i] = (float)(i % 7) - 3;
    EXPECT_OK(clseq_params_create(ctx, 1, &params));
    EXPECT_OK(clseq_rnn_new(params, "rnn", &(clseq_rnn_desc){.cell = CLSEQ_CELL_GRU, .input = E, .hidden = H},
                            NULL, &rnn));
    EXPECT_OK(clseq_state_create(rnn, B, &carry));
    clseq_var *h = NULL;
    clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
    clseq_var *in = clseq_input_f32(g, x, 3, DIMS(T, B, E));
    cr_assert_not_null(clseq_recur(g, rnn, in, &(clseq_recur_opts){.final = &h}));
    EXPECT_OK(clseq_read(g, h, alone));
    cr_assert_not_null(clseq_recur(g, rnn, in, &(clseq_recur_opts){.final = &h, .carry = carry}));
    EXPECT_OK(clseq_read(g, h, from_var));
    graph_end(g);
    EXPECT_OK(clseq_state_tensor(carry, 0, &state));
    EXPECT_OK(clseq_tensor_read(ctx, &state, from_carry));
    cr_assert_eq(memcmp(from_var, alone, sizeof alone), 0);
    cr_assert_eq(memcmp(from_carry, alone, sizeof alone), 0,
                 "carry has another final state than the variable");
    clseq_state_destroy(carry);
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
}

/* ---- parts of variables, tensors of others ---- */

/* Operations read where a slice begins, not where its buffer does. */
Test(graph_rules, slices_begin_where_they_begin)
{
    clseq_context *ctx = test_context();
    clseq_meter *meter = NULL;
    double mean = 0, part[2] = {5, -6};
    float value = 0;
    EXPECT_OK(clseq_meter_create(ctx, &meter));
    clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_INFERENCE);
    clseq_var *x = clseq_input_f32(g, floats, 1, DIMS(6)), *last = clseq_slice(g, x, 0, 4, 2);
    clseq_meter_add(g, meter, clseq_slice(g, x, 0, 3, 1), 1.0f);
    EXPECT_OK(clseq_read_float(g, clseq_slice(g, x, 0, 2, 1), &value));
    cr_assert_eq(value, 3.0f);
    graph_expect_value("slice of a slice", g, clseq_slice(g, last, 0, 1, 1), &part[1], 0);
    graph_expect_value("reshaped slice", g, clseq_reshape(g, last, 2, DIMS(1, 2)), part, 0);
    graph_expect_value("mean of a slice", g, clseq_mean(g, last), (double[]){-0.5}, 0);
    graph_end(g);
    EXPECT_OK(clseq_meter_read(meter, &mean));
    cr_assert_eq(mean, -4.0);
    clseq_meter_destroy(meter);
    clseq_context_destroy(ctx);
}

/* Views that lie next to each other in one buffer, either first, do not overlap. */
Test(graph_rules, neighbours_in_one_buffer)
{
    clseq_context *ctx = test_context();
    clseq_tensor all = {0};
    float got[6];
    EXPECT_OK(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 1, DIMS(6), &all));
    EXPECT_OK(clseq_tensor_write(ctx, &all, floats));
    const clseq_tensor low = clseq_tensor_slice(&all, 0, 0, 3), high = clseq_tensor_slice(&all, 0, 3, 3);
    EXPECT_OK(clseq_nn_add(ctx, 2.0f, &low, 0.0f, NULL, &high));
    EXPECT_OK(clseq_nn_add(ctx, 2.0f, &high, 0.0f, NULL, &low));
    EXPECT_OK(clseq_tensor_read(ctx, &all, got));
    for (int i = 0; i < 3; i++)
        cr_assert(got[i] == 4 * floats[i] && got[3 + i] == 2 * floats[i]);
    const clseq_tensor middle = clseq_tensor_slice(&all, 0, 1, 3);
    EXPECT_ERROR(clseq_nn_add(ctx, 1.0f, &low, 0.0f, NULL, &middle), CLSEQ_INVALID_ARGUMENT,
                 "mul scalar forward: y overlaps in[0]");
    clseq_tensor_destroy(ctx, &all);
    clseq_context_destroy(ctx);
}

/* What is done after backward has a value and no gradient, and changes none. */
Test(graph_rules, operations_after_backward)
{
    clseq_context *ctx = test_context();
    clseq_params *params = NULL;
    clseq_linear *linear = NULL;
    double gradient[2] = {2, 2};
    EXPECT_OK(clseq_params_create(ctx, 1, &params));
    EXPECT_OK(clseq_linear_new(params, "out", 3, 2, true, &linear));
    clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
    clseq_var *x = clseq_input_f32(g, floats, 2, DIMS(2, 3)), *y = clseq_affine(g, linear, x);
    EXPECT_OK(clseq_backward(g, clseq_sum(g, y)));
    clseq_var *after = clseq_sum(g, clseq_affine(g, linear, x));
    EXPECT_ERROR(clseq_backward(g, after), CLSEQ_INVALID_STATE, "backward: it has run already");
    cr_assert_eq(clseq_graph_end(g), CLSEQ_INVALID_STATE);
    graph_expect_param_grad(clseq_params_find(params, "out.bias"), gradient, 0);
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
}

/* Buffers of another OpenCL context are refused before a kernel sees them, and views beyond what was asked for. */
Test(graph_rules_misuse, tensors_of_others)
{
    clseq_context *ctx = test_context(), *other = test_context();
    clseq_tensor own = {0}, foreign = {0};
    EXPECT_OK(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 2, DIMS(2, 3), &own));
    EXPECT_OK(clseq_tensor_create(other, CLSEQ_DTYPE_F32, 2, DIMS(2, 3), &foreign));
    EXPECT_ERROR(clseq_nn_pointwise_forward(ctx, CLSEQ_POINTWISE_TANH, NULL, &foreign, &own),
                 CLSEQ_INVALID_ARGUMENT, "tanh forward: in[0]: its buffer belongs to another context");
    EXPECT_ERROR(clseq_nn_pointwise_forward(ctx, CLSEQ_POINTWISE_TANH, NULL, &own, &foreign),
                 CLSEQ_INVALID_ARGUMENT, "tanh forward: y: its buffer belongs to another context");
    EXPECT_ERROR(clseq_nn_add(ctx, 1, &own, 1, &foreign, &own), CLSEQ_INVALID_ARGUMENT,
                 "add forward: in[1]: its buffer belongs to another context");
    const clseq_tensor beyond = clseq_tensor_view(own.buffer, 0, CLSEQ_DTYPE_F32, 2, DIMS(3, 3));
    EXPECT_ERROR(clseq_nn_pointwise_forward(ctx, CLSEQ_POINTWISE_TANH, NULL, &beyond, &beyond),
                 CLSEQ_OUT_OF_BOUNDS, "it reaches to byte 36 of a buffer of 24");
    clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
    cr_assert_null(clseq_input_tensor(g, &foreign));
    EXPECT_ERROR(clseq_graph_end(g), CLSEQ_INVALID_ARGUMENT,
                 "input tensor: tensor: its buffer belongs to another context");
    g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
    cr_assert_null(clseq_input_tensor(g, &beyond));
    EXPECT_ERROR(clseq_graph_end(g), CLSEQ_OUT_OF_BOUNDS, "input tensor: tensor has shape [3,3]");
    clseq_tensor_destroy(ctx, &own);
    clseq_tensor_destroy(other, &foreign);
    clseq_context_destroy(ctx);
    clseq_context_destroy(other);
}
