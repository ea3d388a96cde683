/* The life of a graph: errors that stick, variables of graphs that have ended, backward, reading. */
#include <criterion/criterion.h>

#include "support/device.h"
#include "support/graph.h"
#include "support/numeric.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const float six[6] = {1, 2, 3, 4, 5, 6};

typedef struct fixture {
    clseq_context *ctx;
    clseq_params *params;
    clseq_embedding *embed;
    clseq_linear *linear;
    clseq_rnn *rnn;
    clseq_graph *g;
} fixture;

static fixture begin(clseq_mode mode)
{
    fixture f = {.ctx = test_context()};
    EXPECT_OK(clseq_params_create(f.ctx, 1, &f.params));
    EXPECT_OK(clseq_embedding_new(f.params, "embed", 5, 3, &f.embed));
    EXPECT_OK(clseq_linear_new(f.params, "out", 3, 2, true, &f.linear));
    EXPECT_OK(clseq_rnn_new(
        f.params, "rnn", &(clseq_rnn_desc){.cell = CLSEQ_CELL_GRU, .input = 3, .hidden = 4}, NULL, &f.rnn));
    f.g = clseq_graph_begin(f.ctx, mode);
    cr_assert_not_null(f.g, "%s", clseq_last_error());
    return f;
}

static void end(fixture *f)
{
    clseq_params_destroy(f->params);
    clseq_context_destroy(f->ctx);
}

static clseq_var *six_values(clseq_graph *g)
{
    return clseq_input_f32(g, six, 2, (int64_t[]){2, 3});
}

static clseq_var *loss_of(clseq_graph *g, clseq_linear *linear)
{
    return clseq_mean(g, clseq_affine(g, linear, six_values(g)));
}

/* ---- the first failure ---- */

/* The graph has failed with this sentence; later operations neither run nor replace it. */
static void expect_failed(fixture *f, clseq_status status, const char *sentence)
{
    cr_expect_eq(clseq_graph_status(f->g), status, "%s", clseq_last_error());
    cr_assert_null(six_values(f->g));
    cr_assert_null(clseq_affine(f->g, NULL, NULL));
    cr_assert_null(clseq_add(f->g, NULL, NULL));
    EXPECT_ERROR(clseq_context_finish(NULL), CLSEQ_INVALID_ARGUMENT, "context finish");
    EXPECT_ERROR(clseq_backward(f->g, NULL), status, sentence);
    EXPECT_ERROR(clseq_context_finish(NULL), CLSEQ_INVALID_ARGUMENT, "context finish");
    EXPECT_ERROR(clseq_graph_end(f->g), status, sentence);
    f->g = clseq_graph_begin(f->ctx, CLSEQ_MODE_TRAINING);
    cr_assert_not_null(f->g);
    EXPECT_OK(clseq_graph_status(f->g));
}

/* One wrong call after another, each in a graph of its own; the sentence names operation, argument and shapes. */
#define EXPECT_FAILURE(call, status, sentence) \
    do {                                       \
        clseq_graph *g = f.g;                  \
        clseq_var *x = six_values(g);          \
        cr_assert_not_null(x);                 \
        cr_expect_null((call));                \
        expect_failed(&f, status, sentence);   \
    } while (0)

#define DIMS(...)     \
    (const int64_t[]) \
    {                 \
        __VA_ARGS__   \
    }
#define TOKENS(...) clseq_input_i32(g, (const int32_t[]){__VA_ARGS__}, 2, DIMS(2, 2))

Test(graph, shapes_and_types)
{
    fixture f = begin(CLSEQ_MODE_TRAINING);
    EXPECT_FAILURE(clseq_affine(g, f.linear, clseq_input_f32(g, six, 3, DIMS(1, 3, 2))), CLSEQ_INVALID_SHAPE,
                   "affine: x has shape [1,3,2], expected [...,3]");
    EXPECT_FAILURE(clseq_affine(g, f.linear, TOKENS(0, 1, 2, 3)), CLSEQ_INVALID_DTYPE,
                   "affine: x has type i32, expected f32");
    EXPECT_FAILURE(clseq_add(g, x, clseq_input_f32(g, six, 2, DIMS(3, 2))), CLSEQ_INVALID_SHAPE,
                   "add: a has shape [2,3] and b has [3,2], which do not broadcast");
    EXPECT_FAILURE(clseq_mul(g, clseq_input_f32(g, six, 1, DIMS(6)), x), CLSEQ_INVALID_SHAPE,
                   "mul: a has shape [6] and b has [2,3], which do not broadcast");
    EXPECT_FAILURE(clseq_embed(g, f.embed, TOKENS(0, 1, 2, 5)), CLSEQ_INVALID_ARGUMENT,
                   "embed: token 5 at [1,1] is outside of the vocabulary 0..4");
    EXPECT_FAILURE(clseq_embed(g, f.embed, TOKENS(0, 1, -1, 4)), CLSEQ_INVALID_ARGUMENT,
                   "embed: token -1 at [1,0] is outside of the vocabulary 0..4");
    EXPECT_FAILURE(clseq_embed(g, f.embed, x), CLSEQ_INVALID_DTYPE,
                   "embed: tokens has type f32, expected i32");
    EXPECT_FAILURE(clseq_embed(g, f.embed, clseq_input_i32(g, (int32_t[]){0}, 6, DIMS(1, 1, 1, 1, 1, 1))),
                   CLSEQ_INVALID_SHAPE, "embed: tokens has 6 dims, expected at most 5");
    EXPECT_FAILURE(clseq_cross_entropy(g, x, TOKENS(0, 1, 2, 2), NULL), CLSEQ_INVALID_SHAPE,
                   "cross entropy: logits has shape [2,3] and targets [2,2], expected [...,V] and [...]");
    EXPECT_FAILURE(clseq_cross_entropy(g, x, clseq_input_i32(g, (int32_t[]){2, 3}, 1, DIMS(2)), NULL),
                   CLSEQ_INVALID_ARGUMENT, "cross entropy: target 3 at [1] is outside of the classes 0..2");
    EXPECT_FAILURE(clseq_cross_entropy(g, x, clseq_input_i32(g, (int32_t[]){-1, -2}, 1, DIMS(2)),
                                       &(clseq_cross_entropy_desc){.ignore = true, .ignore_index = -1}),
                   CLSEQ_INVALID_ARGUMENT, "cross entropy: target -2 at [1] is outside of the classes 0..2");
    EXPECT_FAILURE(clseq_dropout(g, x, 1.0f), CLSEQ_INVALID_ARGUMENT,
                   "dropout: p is 1, expected at least 0 and less than 1");
    EXPECT_FAILURE(clseq_dropout(g, x, NAN), CLSEQ_INVALID_ARGUMENT, "dropout: p is nan");
    EXPECT_FAILURE(clseq_reshape(g, x, 2, DIMS(4, 2)), CLSEQ_INVALID_SHAPE,
                   "reshape: x has shape [2,3], which has not the elements of [4,2]");
    EXPECT_FAILURE(clseq_reshape(g, x, 3, DIMS(6, -1, -1)), CLSEQ_INVALID_SHAPE,
                   "reshape: x has shape [2,3]");
    EXPECT_FAILURE(clseq_reshape(g, x, 0, DIMS(6)), CLSEQ_INVALID_SHAPE, "reshape: 0 dims, expected 1 to 6");
    EXPECT_FAILURE(clseq_slice(g, x, 2, 0, 1), CLSEQ_INVALID_SHAPE, "slice: dim is 2, x has shape [2,3]");
    EXPECT_FAILURE(clseq_slice(g, x, 1, 2, 2), CLSEQ_INVALID_SHAPE,
                   "slice: start 2 and length 2 in dim 1, x has shape [2,3]");
    EXPECT_FAILURE(clseq_slice(g, x, 1, INT64_MAX, 1), CLSEQ_INVALID_SHAPE, "slice: start");
    EXPECT_FAILURE(clseq_slice(g, x, 0, 0, 0), CLSEQ_INVALID_SHAPE, "slice: start 0 and length 0");
    EXPECT_FAILURE(clseq_concat(g, (clseq_var *[]){x, clseq_input_f32(g, six, 2, DIMS(3, 2))}, 2, 0),
                   CLSEQ_INVALID_SHAPE,
                   "concat: xs[1] has shape [3,2] and xs[0] has [2,3], expected the same but in dim 0");
    EXPECT_FAILURE(clseq_concat(g, (clseq_var *[]){x, x}, 2, -3), CLSEQ_INVALID_SHAPE,
                   "concat: dim is -3, xs[0] has shape [2,3]");
    EXPECT_FAILURE(clseq_concat(g, (clseq_var *[]){x, x}, 0, 0), CLSEQ_INVALID_ARGUMENT,
                   "concat: 0 variables, expected at least 1");
    EXPECT_FAILURE(clseq_recur(g, f.rnn, x, NULL), CLSEQ_INVALID_SHAPE,
                   "recur: x has shape [2,3], expected [T,B,3]");
    EXPECT_FAILURE(clseq_recur(g, f.rnn, clseq_input_f32(g, six, 3, DIMS(1, 3, 2)), NULL),
                   CLSEQ_INVALID_SHAPE, "recur: x has shape [1,3,2], expected [T,B,3]");
    EXPECT_OK(clseq_graph_end(f.g));
    end(&f);
}

Test(graph, inputs)
{
    fixture f = begin(CLSEQ_MODE_TRAINING);
    const clseq_tensor none = {0};
    EXPECT_FAILURE(clseq_input_f32(g, six, 2, DIMS(2, 0)), CLSEQ_INVALID_SHAPE,
                   "input f32: dim 1 is 0, expected at least 1");
    EXPECT_FAILURE(clseq_input_f32(g, six, 0, NULL), CLSEQ_INVALID_SHAPE,
                   "input f32: 0 dims (NULL), expected 1 to 6");
    EXPECT_FAILURE(clseq_input_f32(g, six, 7, DIMS(1, 1, 1, 1, 1, 1, 6)), CLSEQ_INVALID_SHAPE,
                   "input f32: 7 dims, expected 1 to 6");
    EXPECT_FAILURE(clseq_input_f32(g, NULL, 1, DIMS(6)), CLSEQ_INVALID_ARGUMENT, "input f32: values is NULL");
    /* refused before the host memory is read */
    EXPECT_FAILURE(clseq_input_f32(g, six, 3, DIMS(INT32_MAX, INT32_MAX, INT32_MAX)), CLSEQ_INVALID_SHAPE,
                   "input f32: tensor create");
    EXPECT_FAILURE(clseq_input_i32(g, (const int32_t *)six, 2, DIMS((int64_t)1 << 31, 1 << 20)),
                   CLSEQ_OUT_OF_DEVICE_MEMORY, "input i32: tensor create");
    EXPECT_FAILURE(clseq_input_tensor(g, &none), CLSEQ_INVALID_ARGUMENT, "input tensor: tensor is NULL");
    EXPECT_FAILURE(clseq_input_tensor(g, NULL), CLSEQ_INVALID_ARGUMENT, "input tensor: tensor is NULL");
    EXPECT_OK(clseq_graph_end(f.g));
    end(&f);
}

/* A NULL variable or layer in a graph that has not failed is a failure, and names itself. */
Test(graph, null_arguments)
{
    fixture f = begin(CLSEQ_MODE_TRAINING);
    EXPECT_FAILURE(clseq_add(g, x, NULL), CLSEQ_INVALID_ARGUMENT, "add: b is NULL");
    EXPECT_FAILURE(clseq_mul(g, NULL, x), CLSEQ_INVALID_ARGUMENT, "mul: a is NULL");
    EXPECT_FAILURE(clseq_tanh(g, NULL), CLSEQ_INVALID_ARGUMENT, "tanh: x is NULL");
    EXPECT_FAILURE(clseq_sigmoid(g, NULL), CLSEQ_INVALID_ARGUMENT, "sigmoid: x is NULL");
    EXPECT_FAILURE(clseq_relu(g, NULL), CLSEQ_INVALID_ARGUMENT, "relu: x is NULL");
    EXPECT_FAILURE(clseq_dropout(g, NULL, 0.5f), CLSEQ_INVALID_ARGUMENT, "dropout: x is NULL");
    EXPECT_FAILURE(clseq_mean(g, NULL), CLSEQ_INVALID_ARGUMENT, "mean: x is NULL");
    EXPECT_FAILURE(clseq_sum(g, NULL), CLSEQ_INVALID_ARGUMENT, "sum: x is NULL");
    EXPECT_FAILURE(clseq_reshape(g, NULL, 1, DIMS(6)), CLSEQ_INVALID_ARGUMENT, "reshape: x is NULL");
    EXPECT_FAILURE(clseq_reshape(g, x, 1, NULL), CLSEQ_INVALID_SHAPE, "reshape: 1 dims (NULL)");
    EXPECT_FAILURE(clseq_slice(g, NULL, 0, 0, 1), CLSEQ_INVALID_ARGUMENT, "slice: x is NULL");
    EXPECT_FAILURE(clseq_concat(g, NULL, 2, 0), CLSEQ_INVALID_ARGUMENT, "concat: 2 variables (NULL)");
    EXPECT_FAILURE(clseq_concat(g, (clseq_var *[]){x, NULL}, 2, 0), CLSEQ_INVALID_ARGUMENT,
                   "concat: xs[1] is NULL");
    EXPECT_FAILURE(clseq_embed(g, NULL, x), CLSEQ_INVALID_ARGUMENT, "embed: embedding is NULL");
    EXPECT_FAILURE(clseq_embed(g, f.embed, NULL), CLSEQ_INVALID_ARGUMENT, "embed: tokens is NULL");
    EXPECT_FAILURE(clseq_affine(g, NULL, x), CLSEQ_INVALID_ARGUMENT, "affine: linear is NULL");
    EXPECT_FAILURE(clseq_affine(g, f.linear, NULL), CLSEQ_INVALID_ARGUMENT, "affine: x is NULL");
    EXPECT_FAILURE(clseq_recur(g, NULL, x, NULL), CLSEQ_INVALID_ARGUMENT, "recur: rnn is NULL");
    EXPECT_FAILURE(clseq_recur(g, f.rnn, NULL, NULL), CLSEQ_INVALID_ARGUMENT, "recur: x is NULL");
    EXPECT_FAILURE(clseq_cross_entropy(g, x, NULL, NULL), CLSEQ_INVALID_ARGUMENT,
                   "cross entropy: targets is NULL");
    EXPECT_FAILURE(clseq_cross_entropy(g, NULL, x, NULL), CLSEQ_INVALID_ARGUMENT,
                   "cross entropy: logits is NULL");
    EXPECT_FAILURE(clseq_param_var(g, NULL), CLSEQ_INVALID_ARGUMENT, "param var: param is NULL");
    EXPECT_FAILURE(clseq_require_grad(g, NULL), CLSEQ_INVALID_ARGUMENT, "require grad: x is NULL");
    EXPECT_OK(clseq_graph_end(f.g));
    end(&f);
}

/* A NULL graph is passed through by everything. */
Test(graph, null_graph)
{
    float value = 0;
    clseq_tensor tensor = {0};
    cr_assert_null(clseq_graph_begin(NULL, CLSEQ_MODE_TRAINING));
    cr_assert_null(clseq_input_f32(NULL, six, 1, DIMS(6)));
    cr_assert_null(clseq_input_i32(NULL, NULL, 1, DIMS(6)));
    cr_assert_null(clseq_input_tensor(NULL, NULL));
    cr_assert_null(clseq_param_var(NULL, NULL));
    cr_assert_null(clseq_require_grad(NULL, NULL));
    cr_assert_null(clseq_embed(NULL, NULL, NULL));
    cr_assert_null(clseq_affine(NULL, NULL, NULL));
    cr_assert_null(clseq_recur(NULL, NULL, NULL, NULL));
    cr_assert_null(clseq_add(NULL, NULL, NULL));
    cr_assert_null(clseq_mul(NULL, NULL, NULL));
    cr_assert_null(clseq_tanh(NULL, NULL));
    cr_assert_null(clseq_sigmoid(NULL, NULL));
    cr_assert_null(clseq_relu(NULL, NULL));
    cr_assert_null(clseq_dropout(NULL, NULL, 0.5f));
    cr_assert_null(clseq_cross_entropy(NULL, NULL, NULL, NULL));
    cr_assert_null(clseq_mean(NULL, NULL));
    cr_assert_null(clseq_sum(NULL, NULL));
    cr_assert_null(clseq_reshape(NULL, NULL, 0, NULL));
    cr_assert_null(clseq_slice(NULL, NULL, 0, 0, 0));
    cr_assert_null(clseq_concat(NULL, NULL, 0, 0));
    clseq_graph_seed(NULL, 1, 1);
    clseq_meter_add(NULL, NULL, NULL, 1.0f);
    EXPECT_ERROR(clseq_backward(NULL, NULL), CLSEQ_INVALID_ARGUMENT, "backward: g is NULL");
    EXPECT_ERROR(clseq_backward_from(NULL, 1, NULL, NULL), CLSEQ_INVALID_ARGUMENT, "backward: g is NULL");
    clseq_graph_on_grad_ready(NULL, NULL, NULL);
    EXPECT_ERROR(clseq_graph_end(NULL), CLSEQ_INVALID_ARGUMENT, "graph end: g is NULL");
    EXPECT_ERROR(clseq_graph_status(NULL), CLSEQ_INVALID_ARGUMENT, "graph status: g is NULL");
    EXPECT_ERROR(clseq_read(NULL, NULL, &value), CLSEQ_INVALID_ARGUMENT, "read: g is NULL");
    EXPECT_ERROR(clseq_read_float(NULL, NULL, &value), CLSEQ_INVALID_ARGUMENT, "read float: g is NULL");
    EXPECT_ERROR(clseq_var_value(NULL, NULL, &tensor), CLSEQ_INVALID_ARGUMENT, "var value: g is NULL");
    EXPECT_ERROR(clseq_var_grad(NULL, NULL, &tensor), CLSEQ_INVALID_ARGUMENT, "var grad: g is NULL");
}

/* A program that checks nothing before the graph's end, where no context could be made: it is told why, once. */
static void expect_first_cause(const clseq_context_desc *desc, clseq_status status)
{
    clseq_context *ctx = NULL;
    clseq_params *params = NULL;
    clseq_embedding *embed = NULL;
    clseq_rnn *rnn = NULL;
    clseq_linear *linear = NULL;
    clseq_optimizer *adam = NULL;
    char first[512], expected[600];
    cr_assert_eq(clseq_context_create(desc, &ctx), status);
    snprintf(first, sizeof first, "%s", clseq_last_error());
    clseq_params_create(ctx, 1, &params);
    clseq_embedding_new(params, "embed", 5, 3, &embed);
    clseq_rnn_new(params, "rnn", &(clseq_rnn_desc){.input = 3, .hidden = 3}, NULL, &rnn);
    clseq_linear_new(params, "out", 3, 5, true, &linear);
    clseq_optimizer_create(params, &(clseq_optimizer_desc){.lr = 1.0f}, &adam);
    clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
    clseq_var *x = clseq_embed(g, embed, clseq_input_i32(g, (int32_t[]){0}, 2, DIMS(1, 1)));
    clseq_backward(g, clseq_mean(g, clseq_affine(g, linear, clseq_recur(g, rnn, x, NULL))));
    cr_assert_eq(clseq_graph_end(g), CLSEQ_INVALID_ARGUMENT);
    snprintf(expected, sizeof expected, "%s; then graph end: g is NULL", first);
    cr_assert_str_eq(clseq_last_error(), expected);
    cr_assert_eq(clseq_optimizer_step(adam), CLSEQ_INVALID_ARGUMENT);
    snprintf(expected, sizeof expected, "%s; then optimizer step: optimizer is NULL", first);
    cr_assert_str_eq(clseq_last_error(), expected);
}

Test(graph, without_a_platform_that_is_what_is_said)
{
    setenv("OCL_ICD_VENDORS", "/no/such/folder", 1);
    unsetenv("CLSEQ_DEVICE");
    expect_first_cause(NULL, CLSEQ_NO_DEVICE);
    cr_assert(strstr(clseq_last_error(), "no OpenCL platform"), "%s", clseq_last_error());
}

Test(graph, the_first_cause_survives)
{
    static const clseq_context_desc desc = {.device = "no such device"};
    clseq_context *ctx = NULL;
    clseq_linear *linear = NULL;
    char first[512], expected[600];
    expect_first_cause(&desc, CLSEQ_NO_DEVICE);
    /* a layer that could not be made, in a graph that is there */
    fixture f = begin(CLSEQ_MODE_TRAINING);
    cr_assert_eq(clseq_linear_new(f.params, "out", 3, 2, true, &linear), CLSEQ_INVALID_ARGUMENT);
    snprintf(first, sizeof first, "%s", clseq_last_error());
    cr_assert_null(clseq_affine(f.g, linear, six_values(f.g)));
    snprintf(expected, sizeof expected, "%s; then affine: linear is NULL", first);
    EXPECT_ERROR(clseq_graph_end(f.g), CLSEQ_INVALID_ARGUMENT, expected);
    cr_assert_str_eq(clseq_last_error(), expected);
    end(&f);
    /* what succeeded since is no cause */
    cr_assert_eq(clseq_context_create(&desc, &ctx), CLSEQ_NO_DEVICE);
    ctx = test_context();
    cr_assert_eq(clseq_context_finish(NULL), CLSEQ_INVALID_ARGUMENT);
    cr_assert_str_eq(clseq_last_error(), "context finish: ctx is NULL");
    clseq_context_destroy(ctx);
}

/* ---- graphs that follow each other ---- */

Test(graph, begin_and_end)
{
    fixture f = begin(CLSEQ_MODE_TRAINING);
    cr_assert_null(clseq_graph_begin(f.ctx, CLSEQ_MODE_TRAINING));
    cr_assert(strstr(clseq_last_error(), "was not ended"), "%s", clseq_last_error());
    EXPECT_OK(clseq_graph_end(f.g));
    EXPECT_ERROR(clseq_graph_end(f.g), CLSEQ_INVALID_STATE, "graph end: the graph has ended already");
    cr_assert_null(six_values(f.g));
    cr_assert(strstr(clseq_last_error(), "input f32: the graph has ended"), "%s", clseq_last_error());
    EXPECT_ERROR(clseq_backward(f.g, NULL), CLSEQ_INVALID_STATE, "backward: the graph has ended");
    cr_assert_null(clseq_graph_begin(f.ctx, (clseq_mode)7));
    cr_assert(strstr(clseq_last_error(), "graph begin: mode is 7"), "%s", clseq_last_error());
    /* a context that is destroyed with an open graph gives everything back when that ends */
    f.g = clseq_graph_begin(f.ctx, CLSEQ_MODE_TRAINING);
    cr_assert_not_null(loss_of(f.g, f.linear));
    end(&f);
    EXPECT_OK(clseq_graph_end(f.g));
}

/* A variable that was kept from the graph before, or comes from another context's graph. */
Test(graph, foreign_variables)
{
    fixture f = begin(CLSEQ_MODE_TRAINING), other = begin(CLSEQ_MODE_TRAINING);
    float value = 0;
    clseq_tensor tensor = {0};
    for (int step = 0; step < 3; step++) {
        clseq_var *stale = loss_of(f.g, f.linear);
        cr_assert_not_null(stale);
        EXPECT_OK(clseq_graph_end(f.g));
        EXPECT_ERROR(clseq_var_value(f.g, stale, &tensor), CLSEQ_INVALID_STATE,
                     "var value: the graph has ended");
        f.g = clseq_graph_begin(f.ctx, CLSEQ_MODE_TRAINING);
        for (int i = 0; i < 8; i++)
            cr_assert_not_null(loss_of(f.g, f.linear));
        EXPECT_ERROR(clseq_read_float(f.g, stale, &value), CLSEQ_INVALID_STATE,
                     "read float: x belongs to another graph or to one that has ended");
        cr_assert_null(clseq_add(f.g, stale, stale));
        expect_failed(&f, CLSEQ_INVALID_STATE, "add: a belongs to another graph or to one that has ended");
    }
    clseq_var *foreign = six_values(other.g);
    EXPECT_ERROR(clseq_read(f.g, foreign, &value), CLSEQ_INVALID_STATE,
                 "read: x belongs to another graph or to one that has ended");
    cr_assert_null(clseq_tanh(f.g, foreign));
    expect_failed(&f, CLSEQ_INVALID_STATE, "tanh: x belongs to another graph or to one that has ended");
    cr_assert_null(clseq_affine(f.g, other.linear, six_values(f.g)));
    expect_failed(&f, CLSEQ_INVALID_ARGUMENT, "affine: linear belongs to another context");
    cr_assert_null(clseq_param_var(f.g, clseq_params_at(other.params, 0)));
    expect_failed(&f, CLSEQ_INVALID_ARGUMENT, "param var: embed.weight belongs to another context");
    EXPECT_OK(clseq_graph_end(f.g));
    EXPECT_OK(clseq_graph_end(other.g));
    end(&f);
    end(&other);
}

/* Variables kept from many graphs before this one, each at the place where this one has one of its own. */
Test(graph, variables_of_all_graphs_before)
{
    enum { GRAPHS = 40, EACH = 300 };
    const int each = test_small() ? 2 : EACH; /* more than one block of them */
    fixture f = begin(CLSEQ_MODE_TRAINING);
    clseq_var *kept[GRAPHS][EACH], *last = NULL;
    clseq_tensor tensor = {0};
    for (int n = 0; n < GRAPHS; n++) {
        for (int i = 0; i < each; i++)
            cr_assert_not_null(kept[n][i] = clseq_param_var(f.g, clseq_params_at(f.params, 0)));
        last = kept[n][each - 1];
        for (int before = 0; before < n; before++)
            for (int i = 0; i < each; i++)
                EXPECT_ERROR(clseq_var_value(f.g, kept[before][i], &tensor), CLSEQ_INVALID_STATE,
                             "var value: x belongs to another graph or to one that has ended");
        for (int i = 0; i < each; i++)
            EXPECT_OK(clseq_var_value(f.g, kept[n][i], &tensor));
        cr_assert_null(clseq_add(f.g, kept[n][0], n > 0 ? kept[n / 2][0] : NULL));
        EXPECT_ERROR(clseq_graph_end(f.g), n > 0 ? CLSEQ_INVALID_STATE : CLSEQ_INVALID_ARGUMENT, "add: b ");
        EXPECT_ERROR(clseq_var_value(f.g, last, &tensor), CLSEQ_INVALID_STATE,
                     "var value: the graph has ended");
        f.g = clseq_graph_begin(f.ctx, CLSEQ_MODE_TRAINING);
    }
    EXPECT_OK(clseq_graph_end(f.g));
    end(&f);
}

/* A number that no variable has yet is none, whatever its bits. */
Test(graph, what_is_no_variable)
{
    fixture f = begin(CLSEQ_MODE_TRAINING);
    clseq_tensor tensor = {0};
    clseq_var *x = six_values(f.g);
    const uintptr_t at = (uintptr_t)x;
    EXPECT_OK(clseq_var_value(f.g, x, &tensor));
    static const uintptr_t off[] = {1, 2, 255, 256, 512, (uintptr_t)-1, (uintptr_t)1 << 31};
    for (size_t i = 0; i < sizeof off / sizeof off[0]; i++)
        EXPECT_ERROR(clseq_var_value(f.g, (clseq_var *)(at + off[i]), &tensor), CLSEQ_INVALID_STATE,
                     "var value: x belongs to another graph or to one that has ended");
    EXPECT_ERROR(clseq_var_value(f.g, (const clseq_var *)&tensor, &tensor), CLSEQ_INVALID_STATE,
                 "var value: x");
    EXPECT_OK(clseq_graph_end(f.g));
    end(&f);
}

/* ---- backward ---- */

Test(graph, backward_twice)
{
    fixture f = begin(CLSEQ_MODE_TRAINING);
    clseq_var *loss = loss_of(f.g, f.linear);
    EXPECT_OK(clseq_backward(f.g, loss));
    EXPECT_ERROR(clseq_backward(f.g, loss), CLSEQ_INVALID_STATE,
                 "backward: it has run already in this graph");
    EXPECT_ERROR(clseq_graph_end(f.g), CLSEQ_INVALID_STATE, "backward: it has run already in this graph");
    end(&f);
}

Test(graph, backward_in_inference)
{
    fixture f = begin(CLSEQ_MODE_INFERENCE);
    EXPECT_ERROR(clseq_backward(f.g, loss_of(f.g, f.linear)), CLSEQ_INVALID_STATE,
                 "backward: the graph was begun for inference");
    EXPECT_ERROR(clseq_graph_end(f.g), CLSEQ_INVALID_STATE, "backward: the graph was begun for inference");
    end(&f);
}

Test(graph, backward_arguments)
{
    fixture f = begin(CLSEQ_MODE_TRAINING);
    EXPECT_ERROR(clseq_backward(f.g, clseq_affine(f.g, f.linear, six_values(f.g))), CLSEQ_INVALID_SHAPE,
                 "backward: the loss has shape [2,2], expected one element");
    expect_failed(&f, CLSEQ_INVALID_SHAPE, "backward: the loss has shape [2,2]");
    EXPECT_ERROR(clseq_backward(f.g, NULL), CLSEQ_INVALID_ARGUMENT, "backward: the loss is NULL");
    expect_failed(&f, CLSEQ_INVALID_ARGUMENT, "backward: the loss is NULL");
    EXPECT_ERROR(clseq_backward(f.g, clseq_mean(f.g, six_values(f.g))), CLSEQ_INVALID_ARGUMENT,
                 "backward: no parameter and no variable that asked for its gradient");
    expect_failed(&f, CLSEQ_INVALID_ARGUMENT, "backward: no parameter");
    EXPECT_ERROR(clseq_backward(f.g, clseq_input_i32(f.g, (int32_t[]){1}, 1, DIMS(1))), CLSEQ_INVALID_DTYPE,
                 "backward: the loss has type i32, expected f32");
    EXPECT_ERROR(clseq_graph_end(f.g), CLSEQ_INVALID_DTYPE, "backward: the loss has type i32");
    end(&f);
}

typedef clseq_var *reading(fixture *f, clseq_var *x);

static clseq_var *reads_affine(fixture *f, clseq_var *x)
{
    return clseq_affine(f->g, f->linear, x);
}

static clseq_var *reads_embed(fixture *f, clseq_var *x)
{
    (void)x;
    return clseq_embed(f->g, f->embed, clseq_input_i32(f->g, (int32_t[]){0, 1, 2, 3}, 2, DIMS(2, 2)));
}

static clseq_var *reads_recur(fixture *f, clseq_var *x)
{
    return clseq_recur(f->g, f->rnn, clseq_reshape(f->g, x, 3, DIMS(2, 1, 3)), NULL);
}

static clseq_var *reads_param(fixture *f, clseq_var *x)
{
    return clseq_mul(
        f->g,
        clseq_reshape(f->g, clseq_param_var(f->g, clseq_params_find(f->params, "out.weight")), 2, DIMS(2, 3)),
        x);
}

static void change_touch(fixture *f, clseq_optimizer *sgd)
{
    (void)sgd;
    clseq_params_touch(f->params);
}

static void change_set(fixture *f, clseq_optimizer *sgd)
{
    (void)sgd;
    EXPECT_OK(clseq_param_set(clseq_params_find(f->params, "out.bias"), six));
}

static void change_step(fixture *f, clseq_optimizer *sgd)
{
    (void)f;
    EXPECT_OK(clseq_optimizer_step(sgd));
}

/* Parameters that change between forward and backward: refused with their name, and no gradient is added. */
Test(graph, parameters_that_change_before_backward)
{
    static const struct {
        reading *read;
        const char *sentence;
    } readings[] = {
        {reads_affine, "backward: the store of out.weight has changed since affine read it in this graph"},
        {reads_embed, "backward: the store of embed.weight has changed since embed read it in this graph"},
        {reads_recur,
         "backward: the store of rnn.weight_ih_l0 has changed since recur read it in this graph"},
        {reads_param, "backward: the store of out.weight has changed since param var read it in this graph"}};
    static void (*const changes[])(fixture *, clseq_optimizer *) = {change_touch, change_set, change_step};
    fixture f = begin(CLSEQ_MODE_TRAINING);
    clseq_optimizer *sgd = NULL;
    float grad[10];
    EXPECT_OK(clseq_optimizer_create(f.params,
                                     &(clseq_optimizer_desc){.kind = CLSEQ_OPTIMIZER_SGD, .lr = 1.0f}, &sgd));
    EXPECT_OK(clseq_graph_end(f.g));
    for (size_t i = 0; i < sizeof readings / sizeof readings[0]; i++)
        for (size_t k = 0; k < sizeof changes / sizeof changes[0]; k++) {
            f.g = clseq_graph_begin(f.ctx, CLSEQ_MODE_TRAINING);
            clseq_var *loss = clseq_sum(f.g, readings[i].read(&f, six_values(f.g)));
            changes[k](&f, sgd);
            clseq_affine(f.g, f.linear, six_values(f.g)); /* reads the new ones, which does not help */
            EXPECT_ERROR(clseq_backward(f.g, loss), CLSEQ_INVALID_STATE, readings[i].sentence);
            EXPECT_ERROR(clseq_graph_end(f.g), CLSEQ_INVALID_STATE, readings[i].sentence);
            for (size_t p = 0; p < clseq_params_count(f.params); p++) {
                clseq_param *param = clseq_params_at(f.params, p);
                clseq_tensor view = {0};
                float *all = NULL;
                EXPECT_OK(clseq_param_grad(param, &view));
                all = test_floats((size_t)clseq_tensor_elements(&view));
                EXPECT_OK(clseq_param_get_grad(param, all));
                for (int64_t e = 0; e < clseq_tensor_elements(&view); e++)
                    cr_assert_eq(all[e], 0.0f);
                free(all);
            }
        }
    /* after backward they may, and clearing gradients is no change */
    f.g = clseq_graph_begin(f.ctx, CLSEQ_MODE_TRAINING);
    clseq_var *loss = loss_of(f.g, f.linear);
    EXPECT_OK(clseq_params_zero_grad(f.params));
    EXPECT_OK(clseq_backward(f.g, loss));
    EXPECT_OK(clseq_param_get_grad(clseq_params_find(f.params, "out.bias"), grad));
    cr_assert_eq(grad[0], 0.5f);
    EXPECT_OK(clseq_optimizer_step(sgd));
    EXPECT_OK(clseq_graph_end(f.g));
    clseq_optimizer_destroy(sgd);
    end(&f);
}

/* Targets and tokens on the device that are out of range, beside the same from host memory (shapes_and_types). */
Test(graph, out_of_range_on_the_device)
{
    fixture f = begin(CLSEQ_MODE_TRAINING);
    clseq_tensor tensor = {0};
    clseq_meter *meter = NULL;
    float value = 0;
    double mean = 0;
    EXPECT_OK(clseq_meter_create(f.ctx, &meter));
    EXPECT_OK(clseq_tensor_create(f.ctx, CLSEQ_DTYPE_I32, 1, DIMS(2), &tensor));
    EXPECT_OK(clseq_tensor_write(f.ctx, &tensor, (int32_t[]){3, 1}));
    clseq_var *x = clseq_require_grad(f.g, six_values(f.g));
    clseq_var *loss = clseq_cross_entropy(f.g, x, clseq_input_tensor(f.g, &tensor), NULL);
    clseq_var *right = clseq_require_grad(f.g, clseq_input_f32(f.g, six + 3, 2, DIMS(1, 3)));
    clseq_var *other =
        clseq_cross_entropy(f.g, right, clseq_input_i32(f.g, (int32_t[]){1}, 1, DIMS(1)), NULL);
    clseq_meter_add(f.g, meter, loss, 1.0f);
    EXPECT_OK(clseq_backward(f.g, clseq_add(f.g, loss, other)));
    EXPECT_OK(clseq_read_float(f.g, loss, &value));
    cr_assert(isnan(value), "the loss is %g", (double)value);
    EXPECT_ERROR(clseq_meter_read(meter, &mean), CLSEQ_NOT_FINITE, "meter read");
    /* the row with the wrong target gets nothing, the other what it gets alone */
    clseq_tensor dx = {0}, dright = {0};
    float both[6], alone[3];
    EXPECT_OK(clseq_var_grad(f.g, x, &dx));
    EXPECT_OK(clseq_var_grad(f.g, right, &dright));
    EXPECT_OK(clseq_tensor_read(f.ctx, &dx, both));
    EXPECT_OK(clseq_tensor_read(f.ctx, &dright, alone));
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(both[i], 0.0f);
        cr_assert_eq(both[3 + i], alone[i]);
        cr_assert_neq(alone[i], 0.0f);
    }
    EXPECT_OK(clseq_graph_end(f.g));
    f.g = clseq_graph_begin(f.ctx, CLSEQ_MODE_TRAINING);
    clseq_tensor tokens = clseq_tensor_slice(&tensor, 0, 0, 2);
    EXPECT_OK(clseq_tensor_write(f.ctx, &tensor, (int32_t[]){5, -1}));
    clseq_var *rows = clseq_embed(f.g, f.embed, clseq_input_tensor(f.g, &tokens));
    graph_expect_value("rows", f.g, rows, (double[]){0, 0, 0, 0, 0, 0}, 0);
    EXPECT_OK(clseq_backward(f.g, clseq_sum(f.g, rows)));
    EXPECT_OK(clseq_graph_end(f.g));
    graph_expect_param_grad(clseq_params_find(f.params, "embed.weight"), (double[15]){0}, 0);
    clseq_meter_destroy(meter);
    clseq_tensor_destroy(f.ctx, &tensor);
    end(&f);
}

/* Gradients of inputs are kept when asked for, those in between too, and others not. */
Test(graph, require_grad)
{
    fixture f = begin(CLSEQ_MODE_TRAINING);
    clseq_tensor grad = {0};
    clseq_var *x = clseq_require_grad(f.g, six_values(f.g)),
              *unused = clseq_require_grad(f.g, six_values(f.g));
    clseq_var *t = clseq_tanh(f.g, x), *u = clseq_require_grad(f.g, clseq_mul(f.g, t, t));
    clseq_var *loss = clseq_sum(f.g, u);
    EXPECT_ERROR(clseq_var_grad(f.g, x, &grad), CLSEQ_INVALID_STATE, "var grad: backward has not run");
    EXPECT_OK(clseq_backward(f.g, loss));
    graph_expect_grad("u", f.g, u, (double[]){1, 1, 1, 1, 1, 1}, 0);
    EXPECT_OK(clseq_var_grad(f.g, x, &grad));
    EXPECT_ERROR(clseq_var_grad(f.g, t, &grad), CLSEQ_INVALID_STATE, "did not ask for its gradient");
    EXPECT_ERROR(clseq_var_grad(f.g, unused, &grad), CLSEQ_INVALID_STATE, "no gradient reached x");
    /* values stay, and operations go on without a gradient */
    graph_expect_value("x", f.g, x, (double[]){1, 2, 3, 4, 5, 6}, 0);
    cr_assert_not_null(clseq_add(f.g, x, u));
    EXPECT_OK(clseq_graph_status(f.g));
    cr_assert_null(clseq_require_grad(f.g, t));
    expect_failed(&f, CLSEQ_INVALID_STATE, "require grad: backward has run already");
    x = six_values(f.g);
    clseq_tanh(f.g, x);
    cr_assert_null(clseq_require_grad(f.g, x));
    expect_failed(&f, CLSEQ_INVALID_STATE, "require grad: x was used already");
    EXPECT_OK(clseq_graph_end(f.g));
    end(&f);
}

/* The loss may be a variable that nothing was done with. */
Test(graph, backward_from_a_leaf)
{
    fixture f = begin(CLSEQ_MODE_TRAINING);
    clseq_var *x = clseq_require_grad(f.g, six_values(f.g));
    graph_backward(f.g, x, (double[]){6, 5, 4, 3, 2, 1});
    graph_expect_grad("x", f.g, x, (double[]){6, 5, 4, 3, 2, 1}, 0);
    EXPECT_OK(clseq_graph_end(f.g));
    f.g = clseq_graph_begin(f.ctx, CLSEQ_MODE_TRAINING);
    clseq_param *bias = clseq_params_find(f.params, "out.bias");
    graph_backward(f.g, clseq_param_var(f.g, bias), (double[]){2, 3});
    EXPECT_OK(clseq_graph_end(f.g));
    graph_expect_param_grad(bias, (double[]){2, 3}, 0);
    end(&f);
}

/* ---- reading ---- */

Test(graph, reading)
{
    fixture f = begin(CLSEQ_MODE_TRAINING);
    clseq_tensor tensor = {0};
    float value = 0;
    int32_t tokens[4] = {0};
    clseq_var *x = six_values(f.g), *loss = clseq_mean(f.g, x);
    EXPECT_OK(clseq_read_float(f.g, loss, &value));
    cr_assert_float_eq(value, 3.5f, 1e-6);
    clseq_var *integers = clseq_input_i32(f.g, (int32_t[]){3, 1, 4, 1}, 2, DIMS(2, 2));
    EXPECT_OK(clseq_read(f.g, clseq_slice(f.g, integers, 1, 0, 1), tokens));
    cr_assert_eq(tokens[0], 3);
    cr_assert_eq(tokens[1], 4);
    EXPECT_ERROR(clseq_read_float(f.g, x, &value), CLSEQ_INVALID_SHAPE,
                 "read float: x has shape [2,3], expected one element");
    EXPECT_ERROR(
        clseq_read_float(
            f.g,
            clseq_reshape(f.g, clseq_slice(f.g, clseq_slice(f.g, integers, 0, 0, 1), 1, 0, 1), 1, DIMS(1)),
            &value),
        CLSEQ_INVALID_DTYPE, "read float: x has type i32, expected f32");
    EXPECT_ERROR(clseq_read(f.g, NULL, &value), CLSEQ_INVALID_ARGUMENT, "read: x is NULL");
    EXPECT_ERROR(clseq_read(f.g, x, NULL), CLSEQ_INVALID_ARGUMENT, "read: out is NULL");
    EXPECT_ERROR(clseq_var_value(f.g, x, NULL), CLSEQ_INVALID_ARGUMENT, "var value: out is NULL");
    EXPECT_ERROR(clseq_var_grad(f.g, x, NULL), CLSEQ_INVALID_ARGUMENT, "var grad: out is NULL");
    EXPECT_OK(clseq_var_value(f.g, x, &tensor));
    cr_assert_eq(tensor.ndim, 2);
    /* reading does not fail the graph; a graph that has failed says why when it is read */
    EXPECT_OK(clseq_graph_status(f.g));
    cr_assert_null(clseq_matmul(f.g, x, loss));
    EXPECT_ERROR(clseq_read(f.g, x, &value), CLSEQ_INVALID_SHAPE, "matmul: a has shape [2,3] and b [1]");
    EXPECT_ERROR(clseq_graph_end(f.g), CLSEQ_INVALID_SHAPE, "matmul: a has shape [2,3] and b [1]");
    end(&f);
}

/* Slices of tokens keep the range check, whichever dimension is cut. */
Test(graph, ranges_of_slices)
{
    fixture f = begin(CLSEQ_MODE_TRAINING);
    const int32_t tokens[] = {0, 1, 2, 3, 9, 4};
    clseq_var *x = clseq_input_i32(f.g, tokens, 2, DIMS(2, 3));
    cr_assert_not_null(clseq_embed(f.g, f.embed, clseq_slice(f.g, x, 0, 0, 1)));
    cr_assert_not_null(clseq_embed(f.g, f.embed, clseq_slice(f.g, x, 1, 2, 1)));
    EXPECT_OK(clseq_graph_status(f.g));
    cr_assert_null(clseq_embed(f.g, f.embed, clseq_slice(f.g, x, 1, 1, 2)));
    expect_failed(&f, CLSEQ_INVALID_ARGUMENT, "embed: token 9 at [1,0] is outside of the vocabulary 0..4");
    x = clseq_input_i32(f.g, tokens, 2, DIMS(2, 3));
    cr_assert_null(clseq_embed(f.g, f.embed, clseq_reshape(f.g, x, 3, DIMS(3, 1, 2))));
    expect_failed(&f, CLSEQ_INVALID_ARGUMENT, "embed: token 9 at [2,0,0] is outside of the vocabulary 0..4");
    EXPECT_OK(clseq_graph_end(f.g));
    end(&f);
}

/*
 * Inputs are copied at once: the program's memory changes right after each call, and graphs follow each other without
 * a wait. Graph i adds the mean of elements that are all i.
 */
Test(graph, inputs_are_copied_at_once)
{
    const int64_t n = test_small() ? 1000 : 300000;
    const int graphs = 16;
    clseq_context *ctx = test_context();
    clseq_meter *meter = NULL;
    float *values = test_floats((size_t)n);
    double mean = 0;
    EXPECT_OK(clseq_meter_create(ctx, &meter));
    for (int i = 0; i < graphs; i++) {
        clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_INFERENCE);
        for (int k = 0; k < 2; k++) {
            for (int64_t e = 0; e < n; e++)
                values[e] = (float)i;
            clseq_var *x = clseq_input_f32(g, values, 1, &n);
            for (int64_t e = 0; e < n; e++)
                values[e] = NAN;
            clseq_meter_add(g, meter, clseq_mean(g, x), 1);
        }
        EXPECT_OK(clseq_graph_end(g));
    }
    EXPECT_OK(clseq_meter_read(meter, &mean));
    cr_assert_float_eq(mean, (graphs - 1) / 2.0, 1e-5);
    free(values);
    clseq_meter_destroy(meter);
    clseq_context_destroy(ctx);
}

/* Without clseq_graph_seed each graph drops other elements than the one before. */
Test(graph, masks_differ_from_graph_to_graph)
{
    enum { N = 200 };
    clseq_context *ctx = test_context();
    float ones[N], y[2][N];
    for (int i = 0; i < N; i++)
        ones[i] = 1;
    for (int i = 0; i < 2; i++) {
        clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
        clseq_var *x = clseq_input_f32(g, ones, 1, (int64_t[]){N});
        EXPECT_OK(clseq_read(g, clseq_dropout(g, x, 0.5f), y[i]));
        graph_end(g);
    }
    cr_assert(memcmp(y[0], y[1], sizeof y[0]) != 0);
    clseq_context_destroy(ctx);
}
