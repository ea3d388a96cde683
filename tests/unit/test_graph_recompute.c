/* Parts of a graph that are computed twice: the same bits with less memory, for every kind of operation. */
#include <criterion/criterion.h>

#include "support/device.h"
#include "support/faults.h"
#include "support/graph.h"
#include "support/model.h"
#include "support/random.h"
#include <stdlib.h>
#include <string.h>

enum { T = 5, B = 4, V = 9, E = 6, H = 8, BLOCKS = 3 };

typedef struct model {
    clseq_context *ctx;
    clseq_params *params;
    clseq_embedding *embed;
    clseq_rnn *rnns[BLOCKS];
    clseq_linear *out;
    int32_t tokens[T * B];
} model;

static clseq_status create(model *m)
{
    clseq_status status = clseq_params_create(m->ctx, 3, &m->params);
    for (int i = 0; i < T * B; i++)
        m->tokens[i] = i * i % V;
    if (status == CLSEQ_OK)
        status = clseq_embedding_new(m->params, "embed", V, H, &m->embed);
    for (int l = 0; l < BLOCKS && status == CLSEQ_OK; l++) {
        char name[8] = {'r', (char)('0' + l), '\0'};
        status = clseq_rnn_new(m->params, name,
                               &(clseq_rnn_desc){.cell = l % 2 ? CLSEQ_CELL_GRU : CLSEQ_CELL_LSTM,
                                                 .input = H,
                                                 .hidden = H,
                                                 .layers = 2,
                                                 .dropout = 0.25f,
                                                 .recurrent_dropout = 0.25f},
                               NULL, &m->rnns[l]);
    }
    return status == CLSEQ_OK ? clseq_linear_new(m->params, "out", H, V, true, &m->out) : status;
}

/* Layers with lengths and states, dropout, views of views, concat, products, and values that two operations read. */
static clseq_var *block(clseq_graph *g, const model *m, int l, clseq_var *x, clseq_var **states)
{
    const int32_t lengths[B] = {T, 2, 0, 1};
    clseq_var *y = clseq_recur(g, m->rnns[l], clseq_dropout(g, x, 0.25f),
                               &(clseq_recur_opts){.lengths = lengths, .final = states});
    clseq_var *rows = clseq_transpose(g, y, 0, 1);                               /* [B,T,H] */
    clseq_var *scores = clseq_matmul(g, rows, clseq_transpose(g, rows, -1, -2)); /* [B,T,T] */
    clseq_var *mixed = clseq_transpose(g, clseq_matmul(g, clseq_tanh(g, scores), rows), 0, 1);
    clseq_var *parts[2];
    clseq_split(g, mixed, 2, 2, NULL, parts);
    clseq_var *turned = clseq_concat(g, (clseq_var *[]){parts[1], parts[0]}, 2, 2);
    return clseq_add(g, clseq_mul(g, clseq_sigmoid(g, turned), y), clseq_add(g, x, clseq_detach(g, y)));
}

/* One step; its loss and the gradients of all parameters into `out` [1 + elements]; the most bytes in use. */
static clseq_status step(const model *m, bool recompute, float *loss_out, uint64_t *bytes)
{
    clseq_status status = CLSEQ_OK;
    clseq_context_stats stats;
    clseq_graph *g = clseq_graph_begin(m->ctx, CLSEQ_MODE_TRAINING);
    clseq_graph_seed(g, 7, 1);
    clseq_var *tokens = clseq_input_i32(g, m->tokens, 2, (int64_t[]){T, B});
    clseq_var *x = clseq_dropout(g, clseq_embed(g, m->embed, tokens), 0.1f), *states[2] = {NULL};
    for (int l = 0; l < BLOCKS; l++) {
        if (recompute)
            clseq_recompute_begin(g);
        x = block(g, m, l, x, states);
        if (recompute)
            clseq_recompute_end(g, 2, (clseq_var *[]){x, states[0]});
    }
    clseq_var *loss = clseq_cross_entropy(g, clseq_affine(g, m->out, x), tokens, NULL);
    loss = clseq_add(g, loss, clseq_mean(g, states[0]));
    if (bytes && clseq_context_get_stats(m->ctx, &stats) == CLSEQ_OK)
        *bytes = stats.bytes_in_use;
    if (loss_out)
        clseq_read_float(g, loss, loss_out);
    if (clseq_backward(g, loss) != CLSEQ_OK)
        status = g ? CLSEQ_OK : CLSEQ_OUT_OF_HOST_MEMORY;
    return g ? clseq_graph_end(g) : status;
}

static float *gradients(const model *m)
{
    float *all = model_grads(m->params);
    EXPECT_OK(clseq_params_zero_grad(m->params));
    return all;
}

Test(graph_recompute, gradients_are_equal_bit_for_bit_with_less_memory)
{
    model m = {.ctx = test_context()};
    float loss[2];
    uint64_t bytes[2];
    EXPECT_OK(create(&m));
    EXPECT_OK(step(&m, false, &loss[0], &bytes[0]));
    float *plain = gradients(&m);
    EXPECT_OK(step(&m, true, &loss[1], &bytes[1]));
    float *again = gradients(&m);
    cr_assert_eq(loss[0], loss[1]);
    cr_assert_lt(2 * bytes[1], bytes[0] + bytes[1], "%llu bytes before backward, without parts %llu",
                 (unsigned long long)bytes[1], (unsigned long long)bytes[0]);
    const size_t n = (size_t)clseq_params_elements(m.params);
    cr_assert_eq(memcmp(plain, again, n * sizeof *plain), 0);
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += plain[i] != 0.0f;
    cr_assert_gt(sum, (double)n / 2, "gradients are there");
    free(plain);
    free(again);
    clseq_params_destroy(m.params);
    clseq_context_destroy(m.ctx);
}

/* What was not kept is gone; what was kept, or was there before, is not. */
Test(graph_recompute, only_what_is_kept_stays)
{
    clseq_context *ctx = test_context();
    const double x[] = {1, 2}, dx[] = {2 * 1 * 2 + 2, 2 * 2 * 2 + 2};
    clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
    clseq_var *in = graph_input(g, x, 1, (int64_t[]){2});
    clseq_recompute_begin(g);
    clseq_var *square = clseq_mul(g, in, in), *twice = clseq_add(g, square, square);
    clseq_var *view = clseq_reshape(g, twice, 2, (int64_t[]){1, 2});
    clseq_recompute_end(g, 1, &view);
    graph_expect_value("view", g, view, (double[]){2, 8}, 0);
    clseq_var *more = clseq_add(g, clseq_sum(g, view), clseq_sum(g, clseq_add(g, in, in)));
    EXPECT_OK(clseq_backward(g, more));
    graph_expect_grad("x", g, in, dx, 0);
    cr_assert_null(clseq_tanh(g, square));
    EXPECT_ERROR(clseq_graph_end(g), CLSEQ_INVALID_STATE, "or has been released");
    (void)twice;
    clseq_context_destroy(ctx);
}

/* A view through which no gradient flows is not made again, so what it shows must stay, whatever comes into free memory. */
Test(graph_recompute, what_a_detached_view_shows_stays)
{
    clseq_context *ctx = test_context();
    const double x[] = {3, 5}, dx[] = {9, 25};
    const float other[] = {7, 7};
    clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
    clseq_var *in = graph_input(g, x, 1, (int64_t[]){2});
    clseq_recompute_begin(g);
    clseq_var *y = clseq_mul(g, clseq_detach(g, clseq_mul(g, in, in)), in);
    clseq_recompute_end(g, 1, &y);
    for (int i = 0; i < 8; i++)
        clseq_input_f32(g, other, 1, (int64_t[]){2});
    EXPECT_OK(clseq_backward(g, clseq_sum(g, y)));
    graph_expect_grad("x", g, in, dx, 0);
    graph_end(g);
    clseq_context_destroy(ctx);
}

/* Of a recurrent layer in a part there is its output, and not what its backward pass needs. */
Test(graph_recompute, reserves_are_given_back)
{
    model m = {.ctx = test_context()};
    const float x[T * B * H] = {0};
    uint64_t bytes[2];
    EXPECT_OK(create(&m));
    for (int recompute = 0; recompute < 2; recompute++) {
        clseq_graph *g = clseq_graph_begin(m.ctx, CLSEQ_MODE_TRAINING);
        clseq_var *in = clseq_input_f32(g, x, 3, (int64_t[]){T, B, H});
        if (recompute)
            clseq_recompute_begin(g);
        clseq_var *y = clseq_recur(g, m.rnns[0], in, NULL);
        if (recompute)
            clseq_recompute_end(g, 1, &y);
        bytes[recompute] = model_memory_now(m.ctx).device_bytes;
        graph_end(g);
    }
    cr_assert_lt(bytes[1] + 4 * sizeof x, bytes[0]);
    clseq_params_destroy(m.params);
    clseq_context_destroy(m.ctx);
}

/* In inference a part is a scope, and gives the same values. */
Test(graph_recompute, inference)
{
    clseq_context *ctx = test_context();
    const double x[] = {1, 2};
    clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_INFERENCE);
    clseq_var *in = graph_input(g, x, 1, (int64_t[]){2});
    clseq_recompute_begin(g);
    clseq_var *square = clseq_mul(g, in, in), *y = clseq_add(g, square, in);
    clseq_recompute_end(g, 1, &y);
    graph_expect_value("y", g, y, (double[]){2, 6}, 0);
    cr_assert_null(clseq_tanh(g, square));
    clseq_graph_end(g);
    clseq_context_destroy(ctx);
}

/* A gradient that is asked for in a part is found after backward. */
Test(graph_recompute, gradients_of_kept_variables)
{
    clseq_context *ctx = test_context();
    const double x[] = {3, 5};
    clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
    clseq_var *in = graph_input(g, x, 1, (int64_t[]){2});
    clseq_recompute_begin(g);
    clseq_var *square = clseq_require_grad(g, clseq_mul(g, in, in)), *y = clseq_mul(g, square, in);
    clseq_recompute_end(g, 2, (clseq_var *[]){square, y});
    EXPECT_OK(clseq_backward(g, clseq_sum(g, y)));
    graph_expect_grad("square", g, square, x, 0);
    graph_expect_grad("x", g, in, (double[]){27, 75}, 0);
    graph_end(g);
    clseq_context_destroy(ctx);
}

Test(graph_recompute, bad_calls)
{
    model m = {.ctx = test_context()};
    clseq_state *carry = NULL;
    const float x[T * B * H] = {0};
    EXPECT_OK(create(&m));
    clseq_graph *g = clseq_graph_begin(m.ctx, CLSEQ_MODE_TRAINING);
    clseq_recompute_end(g, 0, NULL);
    EXPECT_ERROR(clseq_graph_end(g), CLSEQ_INVALID_STATE, "recompute end: no part has begun");
    g = clseq_graph_begin(m.ctx, CLSEQ_MODE_TRAINING);
    clseq_recompute_begin(g);
    clseq_recompute_begin(g);
    EXPECT_ERROR(clseq_graph_end(g), CLSEQ_INVALID_STATE, "recompute begin: the part before was not ended");
    g = clseq_graph_begin(m.ctx, CLSEQ_MODE_TRAINING);
    clseq_recompute_begin(g);
    clseq_backward(g, clseq_mean(g, clseq_affine(g, m.out, clseq_input_f32(g, x, 2, (int64_t[]){B, H}))));
    EXPECT_ERROR(clseq_graph_end(g), CLSEQ_INVALID_STATE, "backward: a part of the graph was not ended");
    EXPECT_OK(clseq_state_create(m.rnns[0], B, &carry));
    g = clseq_graph_begin(m.ctx, CLSEQ_MODE_TRAINING);
    clseq_recompute_begin(g);
    cr_assert_null(clseq_recur(g, m.rnns[0], clseq_input_f32(g, x, 3, (int64_t[]){T, B, H}),
                               &(clseq_recur_opts){.carry = carry}));
    EXPECT_ERROR(clseq_graph_end(g), CLSEQ_INVALID_STATE,
                 "recur: carry in a part of the graph that is computed twice");
    g = clseq_graph_begin(m.ctx, CLSEQ_MODE_TRAINING);
    clseq_recompute_begin(g); /* the next graph has none open */
    graph_end(g);
    g = clseq_graph_begin(m.ctx, CLSEQ_MODE_TRAINING);
    clseq_recompute_begin(g);
    clseq_recompute_end(g, 0, NULL);
    graph_end(g);
    clseq_state_destroy(carry);
    clseq_params_destroy(m.params);
    clseq_context_destroy(m.ctx);
}

static clseq_status fail_step(void *data)
{
    return step(data, true, NULL, NULL);
}

Test(graph_recompute, failing_calls)
{
    model m = {.ctx = test_context()};
    EXPECT_OK(create(&m));
    for (int i = 0; i < 3; i++)
        EXPECT_OK(fail_step(&m));
    cr_assert(faults_each(fail_step, &m), "%s", faults_message());
    cr_assert(faults_count() > 20, "%s", faults_message());
    clseq_params_destroy(m.params);
    clseq_context_destroy(m.ctx);
}
