/*
 * Frozen parameters in graphs: no gradient is computed for them, all others get what they would get anyway, bit for bit, and
 * a layer that no gradient needs to pass is not run backward.
 */
#include <criterion/criterion.h>

#include "support/compare.h"
#include "support/device.h"
#include "support/graph.h"
#include "support/numeric.h"
#include "support/operand.h"
#include "support/random.h"
#include "train/layers.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* V is few enough for recurrent layers to look tokens up in a table of products. */
enum { T = 3, B = 8, V = 5, E = 4, H = 6, N = T * B, PARAMS_MAX = 24 };

typedef struct model {
    clseq_context *ctx;
    clseq_params *params;
    clseq_embedding *embed;
    clseq_rnn *rnn;
    clseq_linear *out;
    bool from_embedding; /* else x is an input */
} model;

static model create(clseq_context *ctx, clseq_cell cell, bool from_embedding)
{
    model m = {.ctx = ctx, .from_embedding = from_embedding};
    EXPECT_OK(clseq_params_create(ctx, 3, &m.params));
    if (from_embedding)
        EXPECT_OK(clseq_embedding_new(m.params, "embed", V, E, &m.embed));
    EXPECT_OK(clseq_rnn_new(m.params, "rnn",
                            &(clseq_rnn_desc){.cell = cell, .input = E, .hidden = H, .layers = 2}, NULL,
                            &m.rnn));
    EXPECT_OK(clseq_linear_new(m.params, "out", H, V, true, &m.out));
    cr_assert_leq(clseq_params_count(m.params), PARAMS_MAX);
    return m;
}

static clseq_var *loss_of(const model *m, clseq_graph *g)
{
    int32_t tokens[N], targets[N];
    float numbers[N * E];
    for (int i = 0; i < N * E; i++)
        numbers[i] = 0.25f * (float)(i * 7 % 9 - 4);
    for (int i = 0; i < N; i++) {
        tokens[i] = i * i % V;
        targets[i] = (i + 2) % V;
    }
    clseq_var *x = m->from_embedding
                       ? clseq_embed(g, m->embed, clseq_input_i32(g, tokens, 2, (int64_t[]){T, B}))
                       : clseq_input_f32(g, numbers, 3, (int64_t[]){T, B, E});
    clseq_var *y = clseq_affine(g, m->out, clseq_recur(g, m->rnn, x, NULL));
    return clseq_cross_entropy(g, y, clseq_input_i32(g, targets, 2, (int64_t[]){T, B}), NULL);
}

/* Parameters that the hook was called for, as bits. */
static clseq_status note(clseq_param *param, cl_event ready, void *user)
{
    uint32_t *called = user;
    size_t i = 0;
    (void)ready;
    while (clseq_params_at(param->store, i) != param)
        i++;
    cr_assert_eq(*called >> i & 1, 0, "%s twice", param->name);
    *called |= 1u << i;
    return CLSEQ_OK;
}

/* The gradients of a step as one array; the launches of its backward pass. */
static float *gradients(const model *m, uint32_t *called, uint64_t *launches)
{
    clseq_context_stats before, after;
    *called = 0;
    EXPECT_OK(clseq_params_zero_grad(m->params));
    clseq_graph *g = clseq_graph_begin(m->ctx, CLSEQ_MODE_TRAINING);
    clseq_var *loss = loss_of(m, g);
    clseq_graph_on_grad_ready(g, note, called);
    EXPECT_OK(clseq_context_get_stats(m->ctx, &before));
    EXPECT_OK(clseq_backward(g, loss));
    EXPECT_OK(clseq_context_get_stats(m->ctx, &after));
    graph_end(g);
    *launches = after.launches - before.launches;
    float *all = test_floats((size_t)m->params->flat);
    const clseq_tensor view = clseq_tensor_view(m->params->grads, 0, CLSEQ_DTYPE_F32, 1, &m->params->flat);
    EXPECT_OK(clseq_tensor_read(m->ctx, &view, all));
    return all;
}

/* What the step before left in the gradients of tables of products, which are those of the embedding's rows, goes. */
static void spoil_tables(const model *m)
{
    for (const clseq__layer_plan *use = m->rnn->plans->next; use; use = use->next)
        for (int d = 0; d < use->tables; d++)
            EXPECT_OK(clseq_tensor_fill(m->ctx, &use->dp[d], NAN));
}

/* Freezes what `frozen` says and compares with `want`, the gradients where all is trained. */
static void check(const model *m, uint32_t frozen, const float *want)
{
    const size_t count = clseq_params_count(m->params);
    uint32_t called = 0;
    uint64_t launches = 0;
    for (size_t i = 0; i < count; i++)
        EXPECT_OK(clseq_param_freeze(clseq_params_at(m->params, i), frozen >> i & 1));
    spoil_tables(m);
    float *got = gradients(m, &called, &launches);
    cr_assert_eq(called, ~frozen & ((1u << count) - 1), "the hook was called for %x, frozen are %x", called,
                 frozen);
    for (size_t i = 0; i < count; i++) {
        const clseq_param *p = clseq_params_at(m->params, i);
        float *expected = test_floats((size_t)p->elements);
        if (!(frozen >> i & 1))
            memcpy(expected, want + p->offset, (size_t)p->elements * sizeof *expected);
        cr_assert(compare_bits(p->name, got + p->offset, expected, (size_t)p->elements), "frozen %x: %s",
                  frozen, compare_message());
        free(expected);
    }
    free(got);
}

/* Each parameter frozen alone, each trained alone, and every other one. */
Test(graph_frozen, others_get_the_same_gradients)
{
    clseq_context *ctx = test_context();
    for (int cell = 0; cell < CLSEQ_CELL_COUNT; cell += test_small() ? 3 : 1)
        for (int from_embedding = 0; from_embedding < 2; from_embedding++) {
            const model m = create(ctx, (clseq_cell)cell, from_embedding);
            const size_t count = clseq_params_count(m.params);
            const uint32_t all = (1u << count) - 1;
            uint32_t called = 0;
            uint64_t launches = 0;
            float *want = gradients(&m, &called, &launches);
            cr_assert_eq(called, all);
            cr_assert_eq(m.rnn->plans->next != NULL,
                         from_embedding && clseq_rnn_one_hot_is_cheap(m.rnn->plans->plan));
            for (size_t i = 0; i < count; i++) {
                check(&m, 1u << i, want);
                check(&m, all & ~(1u << i), want);
            }
            check(&m, all & 0x555555, want);
            check(&m, all & 0xaaaaaa, want);
            check(&m, 0, want);
            free(want);
            clseq_params_destroy(m.params);
        }
    clseq_context_destroy(ctx);
}

/* The same where kernels are those of a GPU. */
Test(graph_frozen, on_every_shape_of_device)
{
    clseq_context *ctx;
    for (int shape = 0; (ctx = test_context_shape(shape)) != NULL; shape++) {
        const model m = create(ctx, CLSEQ_CELL_LSTM, true);
        uint32_t called = 0;
        uint64_t launches = 0;
        float *want = gradients(&m, &called, &launches);
        check(&m, 0x3, want);
        check(&m, 0x554, want);
        free(want);
        clseq_params_destroy(m.params);
        clseq_context_destroy(ctx);
    }
}

/* With what lies below the last layer frozen, its backward pass is that of the last layer alone. */
Test(graph_frozen, layers_without_anything_to_train_are_not_run_backward)
{
    clseq_context *ctx = test_context();
    const model m = create(ctx, CLSEQ_CELL_LSTM, true);
    uint32_t called = 0;
    uint64_t all = 0, last = 0, bias = 0;
    free(gradients(&m, &called, &all));
    EXPECT_OK(clseq_params_freeze(m.params, "embed.*", true, NULL));
    EXPECT_OK(clseq_params_freeze(m.params, "rnn.*", true, NULL));
    free(gradients(&m, &called, &last));
    EXPECT_OK(clseq_params_freeze(m.params, "out.weight", true, NULL));
    free(gradients(&m, &called, &bias));
    cr_assert_lt(last, all);
    cr_assert_lt(bias, last);
    EXPECT_OK(clseq_params_freeze(m.params, "*", true, NULL));
    clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
    EXPECT_ERROR(clseq_backward(g, loss_of(&m, g)), CLSEQ_INVALID_ARGUMENT,
                 "no parameter and no variable that asked for its gradient lies above");
    cr_assert_neq(clseq_graph_end(g), CLSEQ_OK);
    clseq_params_destroy(m.params);
    clseq_context_destroy(ctx);
}

/* Through frozen layers gradients go on to what asked for them. */
Test(graph_frozen, gradients_pass_frozen_layers)
{
    clseq_context *ctx = test_context();
    const model m = create(ctx, CLSEQ_CELL_GRU, false);
    double numbers[N * E], *want = NULL;
    for (int i = 0; i < N * E; i++)
        numbers[i] = 0.25 * (i * 7 % 9 - 4);
    for (int frozen = 0; frozen < 2; frozen++) {
        clseq_tensor dx = {0};
        float got[N * E];
        EXPECT_OK(clseq_params_freeze(m.params, "*", frozen, NULL));
        clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
        clseq_var *x = graph_input(g, numbers, 3, (int64_t[]){T, B, E});
        EXPECT_OK(clseq_backward(g, clseq_mean(g, clseq_affine(g, m.out, clseq_recur(g, m.rnn, x, NULL)))));
        EXPECT_OK(clseq_var_grad(g, x, &dx));
        EXPECT_OK(clseq_tensor_read(ctx, &dx, got));
        if (want)
            for (int i = 0; i < N * E; i++)
                cr_assert_eq(got[i], want[i], "dx[%d] is %g, expected %g", i, (double)got[i], want[i]);
        else
            want = test_doubles_of(got, N * E);
        graph_end(g);
    }
    free(want);
    clseq_params_destroy(m.params);
    clseq_context_destroy(ctx);
}

/* A frozen parameter as a variable wants no gradient; asked for one, it has one that is the graph's alone. */
Test(graph_frozen, as_a_variable)
{
    clseq_context *ctx = test_context();
    clseq_params *params = NULL;
    clseq_param *w = NULL, *v = NULL;
    float got[3];
    EXPECT_OK(clseq_params_create(ctx, 1, &params));
    EXPECT_OK(clseq_params_add(params, "w", 1, (int64_t[]){3}, NULL, &w));
    EXPECT_OK(clseq_params_add(params, "v", 1, (int64_t[]){3}, NULL, &v));
    EXPECT_OK(clseq_param_set(w, (const float[]){1, 2, 3}));
    EXPECT_OK(clseq_param_set(v, (const float[]){4, 5, 6}));
    EXPECT_OK(clseq_param_freeze(w, true));
    for (int asked = 0; asked < 2; asked++) {
        uint32_t called = 0;
        clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
        clseq_var *x = clseq_param_var(g, w);
        clseq_tensor dx = {0};
        if (asked)
            clseq_require_grad(g, x);
        clseq_graph_on_grad_ready(g, note, &called);
        EXPECT_OK(clseq_backward(g, clseq_sum(g, clseq_mul(g, x, clseq_param_var(g, v)))));
        cr_assert_eq(called, 2);
        if (asked) {
            EXPECT_OK(clseq_var_grad(g, x, &dx));
            EXPECT_OK(clseq_tensor_read(ctx, &dx, got));
            for (int i = 0; i < 3; i++)
                cr_assert_eq(got[i], 4 + i);
        } else {
            EXPECT_ERROR(clseq_var_grad(g, x, &dx), CLSEQ_INVALID_STATE, "did not ask");
        }
        graph_end(g);
        EXPECT_OK(clseq_param_get_grad(w, got));
        for (int i = 0; i < 3; i++)
            cr_assert_eq(got[i], 0);
        EXPECT_OK(clseq_param_get_grad(v, got));
        for (int i = 0; i < 3; i++)
            cr_assert_eq(got[i], (float)((1 + asked) * (i + 1)));
    }
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
}

/* What is frozen or freed after an operation has read the store makes its graph out of date. */
Test(graph_frozen, not_in_the_middle_of_a_graph)
{
    clseq_context *ctx = test_context();
    const model m = create(ctx, CLSEQ_CELL_GRU, true);
    for (int frozen = 1; frozen >= 0; frozen--) {
        clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
        clseq_var *loss = loss_of(&m, g);
        EXPECT_OK(clseq_params_freeze(m.params, "out.bias", frozen, NULL));
        EXPECT_ERROR(clseq_backward(g, loss), CLSEQ_INVALID_STATE, "has changed since");
        cr_assert_neq(clseq_graph_end(g), CLSEQ_OK);
    }
    clseq_params_destroy(m.params);
    clseq_context_destroy(ctx);
}
