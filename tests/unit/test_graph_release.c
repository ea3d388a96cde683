/* Memory before a graph's end: released variables, scopes, and loops of any length in bounded memory. */
#include <criterion/criterion.h>

#include "support/device.h"
#include "support/faults.h"
#include "support/graph.h"
#include "support/random.h"
#include <string.h>

enum { V = 13, E = 8, H = 12, B = 2 };

static uint64_t bytes_in_use(clseq_context *ctx)
{
    clseq_context_stats stats;
    EXPECT_OK(clseq_context_get_stats(ctx, &stats));
    return stats.bytes_in_use;
}

static clseq_var *input(clseq_graph *g, int64_t n)
{
    static const float values[1000];
    return clseq_input_f32(g, values, 1, &n);
}

/* In inference the buffer goes back at once, of a view with the last one that looks at it. */
Test(graph_release, inference_frees_at_once)
{
    clseq_context *ctx = test_context();
    clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_INFERENCE);
    const uint64_t before = bytes_in_use(ctx);
    clseq_var *x = input(g, 1000), *view = clseq_slice(g, x, 0, 0, 10);
    const uint64_t with = bytes_in_use(ctx);
    cr_assert_gt(with, before);
    clseq_release(g, x);
    cr_assert_eq(bytes_in_use(ctx), with, "a view still needs it");
    cr_assert_not_null(clseq_tanh(g, view));
    clseq_release(g, clseq_reshape(g, view, 2, (int64_t[]){2, 5}));
    clseq_release(g, NULL);
    clseq_release(g, view);
    cr_assert_leq(bytes_in_use(ctx), with - before, "x is gone, the result of tanh is there");
    graph_end(g);
    clseq_context_destroy(ctx);
}

/* A released handle is recognised, like one of another graph, whatever was made since. */
Test(graph_release, a_released_variable_is_recognised)
{
    clseq_context *ctx = test_context();
    clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_INFERENCE);
    clseq_var *first = input(g, 3), *second = input(g, 3);
    clseq_release(g, first);
    for (int i = 0; i < 2000; i++)
        clseq_release(g, input(g, 3));
    cr_assert_not_null(clseq_tanh(g, second));
    cr_assert_null(clseq_tanh(g, first));
    EXPECT_ERROR(clseq_graph_end(g), CLSEQ_INVALID_STATE,
                 "tanh: x belongs to another graph or to one that has ended, or has been released");
    g = clseq_graph_begin(ctx, CLSEQ_MODE_INFERENCE);
    first = input(g, 3);
    clseq_release(g, first);
    clseq_release(g, first);
    EXPECT_ERROR(clseq_graph_end(g), CLSEQ_INVALID_STATE, "release: x belongs to another graph");
    clseq_context_destroy(ctx);
}

/* What an operation packs for itself goes back with it. */
Test(graph_release, packed_copies_go_back)
{
    clseq_context *ctx = test_context();
    const float values[600] = {0};
    clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_INFERENCE);
    clseq_var *x = clseq_transpose(g, clseq_input_f32(g, values, 2, (int64_t[]){20, 30}), 0, 1);
    const uint64_t before = bytes_in_use(ctx);
    clseq_release(g, clseq_dropout(g, clseq_reshape(g, x, 1, (int64_t[]){600}), 0.5f));
    cr_assert_eq(bytes_in_use(ctx), before);
    graph_end(g);
    clseq_context_destroy(ctx);
}

/* Tokens are checked against their copy on the host, however much has been copied since. */
Test(graph_release, copies_of_tokens_stay)
{
    enum { N = 20000 };
    static int32_t large[N];
    clseq_context *ctx = test_context();
    clseq_params *params = NULL;
    clseq_embedding *embed = NULL;
    for (int i = 0; i < N; i++)
        large[i] = V + i;
    EXPECT_OK(clseq_params_create(ctx, 1, &params));
    EXPECT_OK(clseq_embedding_new(params, "embed", V, 2, &embed));
    clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_INFERENCE);
    clseq_var *tokens = clseq_input_i32(g, (int32_t[]){0, 4, 2}, 1, (int64_t[]){3});
    for (int i = 0; i < 6; i++) {
        clseq_release(g, clseq_input_i32(g, large, 1, (int64_t[]){i % 2 ? N : 15000}));
        EXPECT_OK(clseq_context_finish(ctx));
    }
    cr_assert_not_null(clseq_embed(g, embed, tokens), "%s", clseq_last_error());
    graph_end(g);
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
}

/* In training a released variable lives until backward has been through what needs it, and no longer. */
Test(graph_release, training_frees_after_backward)
{
    clseq_context *ctx = test_context();
    const double x[] = {1, 2}, dx[] = {3, 12};
    clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
    clseq_var *in = graph_input(g, x, 1, (int64_t[]){2});
    clseq_var *square = clseq_mul(g, in, in), *cube = clseq_mul(g, square, in);
    clseq_release(g, square);
    clseq_var *loss = clseq_sum(g, cube);
    clseq_release(g, cube);
    const uint64_t before = bytes_in_use(ctx);
    EXPECT_OK(clseq_backward(g, loss));
    cr_assert_lt(bytes_in_use(ctx), before);
    graph_expect_grad("x", g, in, dx, 0);
    graph_end(g);
    g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
    in = graph_input(g, x, 1, (int64_t[]){2});
    cube = clseq_mul(g, clseq_mul(g, in, in), in);
    clseq_release(g, in); /* it lives on for backward, but not for the program */
    cr_assert_null(clseq_tanh(g, in));
    EXPECT_ERROR(clseq_graph_end(g), CLSEQ_INVALID_STATE, "tanh: x belongs to another graph");
    clseq_context_destroy(ctx);
}

/* Scopes nest; what is kept belongs to the scope around. */
Test(graph_release, scopes)
{
    clseq_context *ctx = test_context();
    clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_INFERENCE);
    clseq_var *outer = input(g, 5);
    clseq_scope_begin(g);
    clseq_var *a = clseq_tanh(g, outer);
    clseq_scope_begin(g);
    clseq_var *b = clseq_tanh(g, a), *c = clseq_tanh(g, b);
    clseq_scope_end(g, 1, &c);
    cr_assert_not_null(clseq_add(g, a, c));
    cr_assert_not_null(clseq_tanh(g, outer));
    clseq_scope_end(g, 0, NULL);
    cr_assert_not_null(clseq_tanh(g, outer));
    cr_assert_null(clseq_tanh(g, c));
    EXPECT_ERROR(clseq_graph_end(g), CLSEQ_INVALID_STATE, "tanh: x belongs to another graph");
    (void)b;
    g = clseq_graph_begin(ctx, CLSEQ_MODE_INFERENCE);
    clseq_scope_begin(g);
    outer = input(g, 5);
    cr_assert_not_null(input(g, 5));
    clseq_scope_begin(g);
    clseq_scope_end(g, 1, &outer); /* it was there before, so it stays the outer scope's */
    clseq_scope_end(g, 0, NULL);
    cr_assert_null(clseq_tanh(g, outer));
    clseq_graph_end(g);
    g = clseq_graph_begin(ctx, CLSEQ_MODE_INFERENCE);
    clseq_scope_end(g, 0, NULL);
    EXPECT_ERROR(clseq_graph_end(g), CLSEQ_INVALID_STATE, "scope end: no scope has begun");
    g = clseq_graph_begin(ctx, CLSEQ_MODE_INFERENCE);
    clseq_scope_begin(g);
    clseq_scope_end(g, 1, NULL);
    EXPECT_ERROR(clseq_graph_end(g), CLSEQ_INVALID_ARGUMENT, "scope end: 1 variables (NULL)");
    g = clseq_graph_begin(ctx, CLSEQ_MODE_INFERENCE);
    clseq_scope_begin(g); /* not ended: the graph's end ends it */
    outer = input(g, 5);
    graph_end(g);
    clseq_context_destroy(ctx);
}

/* Steps of any number of variables, also where a block of the graph's table is full just when a step ends. */
Test(graph_release, steps_of_any_number_of_variables)
{
    static const int numbers[] = {1, 2, 3, 16, 100, 128, 256, 300};
    clseq_context *ctx = test_context();
    clseq_tensor tensor = {0};
    EXPECT_OK(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 1, (int64_t[]){3}, &tensor));
    for (size_t n = 0; n < sizeof numbers / sizeof numbers[0]; n++) {
        long allocations = 0;
        clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_INFERENCE);
        for (int step = 0; step < 1200; step++) {
            clseq_scope_begin(g);
            for (int i = 0; i < numbers[n]; i++)
                clseq_input_tensor(g, &tensor);
            clseq_scope_end(g, 0, NULL);
            if (step == 600)
                allocations = faults_allocations();
        }
        cr_expect_eq(faults_allocations(), allocations, "steps of %d variables", numbers[n]);
        graph_end(g);
    }
    clseq_tensor_destroy(ctx, &tensor);
    clseq_context_destroy(ctx);
}

/* Rows of an embedding that nothing has read were never looked up, and go with their tokens. */
Test(graph_release, what_nobody_read)
{
    clseq_context *ctx = test_context();
    clseq_params *params = NULL;
    clseq_embedding *embed = NULL;
    const int32_t tokens[B] = {1, 2};
    uint64_t before = 0;
    EXPECT_OK(clseq_params_create(ctx, 1, &params));
    EXPECT_OK(clseq_embedding_new(params, "embed", V, E, &embed));
    clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_INFERENCE);
    for (int i = 0; i < 4; i++) {
        clseq_scope_begin(g);
        clseq_embed(g, embed, clseq_input_i32(g, tokens, 1, (int64_t[]){B}));
        clseq_scope_end(g, 0, NULL);
        cr_assert(i == 0 || bytes_in_use(ctx) == before, "step %d", i);
        before = bytes_in_use(ctx);
    }
    clseq_var *rows = clseq_embed(g, embed, clseq_input_i32(g, tokens, 1, (int64_t[]){B}));
    clseq_release(g, rows);
    cr_assert_null(clseq_tanh(g, rows));
    EXPECT_ERROR(clseq_graph_end(g), CLSEQ_INVALID_STATE, "tanh: x belongs to another graph");
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
}

/*
 * A decoder that feeds its own states back, 10 000 steps in one graph: after some hundred steps neither the device nor the
 * host gets a byte more.
 */
Test(graph_release, ten_thousand_steps_in_bounded_memory)
{
    clseq_context *ctx = test_context();
    clseq_params *params = NULL;
    clseq_embedding *embed = NULL;
    clseq_rnn *rnn = NULL;
    clseq_linear *out = NULL;
    const int steps = test_small() ? 600 : 10000, settled = 500;
    uint64_t peak = 0;
    long allocations = 0;
    EXPECT_OK(clseq_params_create(ctx, 1, &params));
    EXPECT_OK(clseq_embedding_new(params, "embed", V, E, &embed));
    EXPECT_OK(clseq_rnn_new(params, "rnn",
                            &(clseq_rnn_desc){.cell = CLSEQ_CELL_LSTM, .input = E, .hidden = H}, NULL, &rnn));
    EXPECT_OK(clseq_linear_new(params, "out", H, V, true, &out));
    clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_INFERENCE);
    clseq_var *states[2] = {NULL};
    for (int i = 0; i < steps; i++) {
        const int32_t tokens[B] = {i % V, i * 7 % V};
        float logits[B * V];
        clseq_var *before[2] = {states[0], states[1]};
        clseq_scope_begin(g);
        clseq_var *x = clseq_embed(g, embed, clseq_input_i32(g, tokens, 2, (int64_t[]){1, B}));
        clseq_var *y = clseq_recur(g, rnn, x, &(clseq_recur_opts){.initial = states, .final = states});
        clseq_var *last = clseq_reshape(g, clseq_slice(g, y, 0, 0, 1), 2, (int64_t[]){B, H});
        clseq_var *logit = clseq_affine(g, out, last);
        if (i % 97 == 0)
            EXPECT_OK(clseq_read(g, logit, logits));
        clseq_scope_end(g, 2, states);
        clseq_release(g, before[0]);
        clseq_release(g, before[1]);
        if (i == settled) {
            clseq_context_finish(ctx);
            peak = bytes_in_use(ctx);
            allocations = faults_allocations();
        }
    }
    cr_expect_leq(bytes_in_use(ctx), peak);
    cr_expect_leq(faults_allocations() - allocations, 4, "%ld host allocations after step %d",
                  faults_allocations() - allocations, settled);
    graph_end(g);
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
}
