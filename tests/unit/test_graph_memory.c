/*
 * What a training loop allocates: nothing after its first steps, on the device and on the host; and what is left when
 * calls fail: nothing.
 */
#include <criterion/criterion.h>

#include "core/error.h"
#include "support/device.h"
#include "support/faults.h"
#include "support/graph.h"
#include "train/layers.h"
#include <stdio.h>

enum { V = 11, E = 7, H = 9, L = 2, T = 6, B = 5 };

typedef struct trainer {
    clseq_context *ctx;
    clseq_params *params;
    clseq_embedding *embed;
    clseq_rnn *rnn;
    clseq_linear *out;
    clseq_optimizer *adam;
    clseq_state *carry;
    clseq_meter *meter;
    int32_t tokens[T * B];
} trainer;

static clseq_status create(trainer *t)
{
    clseq_status status = CLSEQ_OK;
    const clseq_optimizer_desc adam = clseq_optimizer_desc_default(CLSEQ_OPTIMIZER_ADAM, 1e-3f);
    for (int i = 0; i < T * B; i++)
        t->tokens[i] = i * i % V;
    CLSEQ__TRY(clseq_params_create(t->ctx, 1, &t->params));
    CLSEQ__TRY(clseq_embedding_new(t->params, "embed", V, E, &t->embed));
    CLSEQ__TRY(clseq_rnn_new(t->params, "rnn",
                             &(clseq_rnn_desc){.cell = CLSEQ_CELL_LSTM, .input = E, .hidden = H, .layers = L},
                             NULL, &t->rnn));
    CLSEQ__TRY(clseq_linear_new(t->params, "out", H, V, true, &t->out));
    CLSEQ__TRY(clseq_optimizer_create(t->params, &adam, &t->adam));
    CLSEQ__TRY(clseq_state_create(t->rnn, B, &t->carry));
    CLSEQ__TRY(clseq_meter_create(t->ctx, &t->meter));
done:
    return status;
}

static void destroy(trainer *t)
{
    clseq_meter_destroy(t->meter);
    clseq_state_destroy(t->carry);
    clseq_optimizer_destroy(t->adam);
    clseq_params_destroy(t->params);
    t->meter = NULL;
    t->carry = NULL;
    t->adam = NULL;
    t->params = NULL;
}

static clseq_status keep_event(clseq_param *param, cl_event ready, void *user)
{
    (void)user;
    if (clRetainEvent(ready) != CL_SUCCESS)
        return clseq__error(CLSEQ_OPENCL_ERROR, "the event of %s cannot be kept", clseq_param_name(param));
    clReleaseEvent(ready);
    return CLSEQ_OK;
}

/* A step with every kind of operation, over the first `steps` of the window. */
static clseq_status step(trainer *t, clseq_mode mode, int64_t steps)
{
    clseq_status status = CLSEQ_OK, ended = CLSEQ_OK;
    int32_t lengths[B];
    const int64_t dims[] = {steps, B};
    for (int b = 0; b < B; b++)
        lengths[b] = (int32_t)((b + 1) % (steps + 1));
    clseq_graph *g = clseq_graph_begin(t->ctx, mode);
    clseq_var *tokens = clseq_input_i32(g, t->tokens, 2, dims), *final[2] = {NULL};
    clseq_var *x = clseq_dropout(g, clseq_embed(g, t->embed, tokens), 0.25f);
    clseq_var *y = clseq_recur(g, t->rnn, x, &(clseq_recur_opts){.carry = t->carry});
    clseq_var *z = clseq_recur(g, t->rnn, x, &(clseq_recur_opts){.lengths = lengths, .final = final});
    clseq_var *both = clseq_add(g, clseq_mul(g, y, clseq_sigmoid(g, z)), clseq_tanh(g, y));
    clseq_var *first = clseq_slice(g, both, 0, 0, 1), *left = clseq_slice(g, both, 2, 0, 4);
    both = clseq_concat(g, (clseq_var *[]){left, clseq_slice(g, both, 2, 4, H - 4)}, 2, 2);
    clseq_var *logits = clseq_affine(g, t->out, clseq_reshape(g, both, 2, (int64_t[]){steps * B, H}));
    clseq_var *loss =
        clseq_cross_entropy(g, logits, clseq_reshape(g, tokens, 1, (int64_t[]){steps * B}), NULL);
    loss = clseq_add(g, loss, clseq_add(g, clseq_mean(g, clseq_relu(g, first)), clseq_sum(g, final[0])));
    clseq_meter_add(g, t->meter, loss, 1.0f);
    if (mode == CLSEQ_MODE_TRAINING) {
        clseq_graph_on_grad_ready(g, keep_event, NULL);
        CLSEQ__TRY(
            clseq_backward_from(g, 2, (clseq_var *[]){loss, final[0]}, (clseq_var *[]){NULL, final[0]}));
        CLSEQ__TRY(clseq_clip_global_norm(t->params, 5.0f, NULL));
        CLSEQ__TRY(clseq_optimizer_step(t->adam));
    }
done:
    ended = g ? clseq_graph_end(g) : CLSEQ_OUT_OF_HOST_MEMORY;
    return status != CLSEQ_OK ? status : ended;
}

/* Room for the last layer's packed weights, which else comes with their second product, in whatever step that is. */
static void pack(trainer *t)
{
    const clseq_packed *packed = NULL;
    for (int i = 0; i < 2; i++) {
        EXPECT_OK(clseq__linear_packed_get(&t->out->forward, t->out->weight, true, 1, &packed));
        EXPECT_OK(clseq__linear_packed_get(&t->out->backward, t->out->weight, false, 1, &packed));
    }
}

/* Buffers and host memory over ten steps, each with a validation of another length beside it. */
Test(graph_memory, nothing_is_allocated_after_the_first_steps)
{
    trainer t = {.ctx = test_context()};
    clseq_context_stats first, now;
    const int steps = test_small() ? 4 : 10;
    long allocations = 0;
    EXPECT_OK(create(&t));
    pack(&t);
    for (int i = 1; i <= steps; i++) {
        EXPECT_OK(step(&t, CLSEQ_MODE_TRAINING, test_small() ? 2 : T));
        EXPECT_OK(step(&t, CLSEQ_MODE_INFERENCE, 1));
        EXPECT_OK(clseq_context_get_stats(t.ctx, i == 1 ? &first : &now));
        if (i == 2)
            allocations = faults_allocations();
    }
    cr_assert(faults_allocations() > 0, "the program is not linked with --wrap");
    cr_expect_eq(faults_allocations(), allocations, "%ld host allocations in steps 3 to %d",
                 faults_allocations() - allocations, steps);
    cr_expect_eq(now.allocations, first.allocations, "%d buffers made in steps 2 to %d",
                 (int)(now.allocations - first.allocations), steps);
    cr_expect_eq(now.bytes_held, first.bytes_held);
    cr_expect_eq(now.bytes_in_use, first.bytes_in_use, "a graph that has ended keeps buffers");
    destroy(&t);
    clseq_context_destroy(t.ctx);
}

/* Everything that a program had, given back: no buffer is in use. */
Test(graph_memory, all_buffers_come_back)
{
    trainer t = {.ctx = test_context()};
    clseq_context_stats stats;
    EXPECT_OK(create(&t));
    EXPECT_OK(step(&t, CLSEQ_MODE_TRAINING, T));
    /* a graph that fails in the middle, and one that is ended without backward */
    clseq_graph *g = clseq_graph_begin(t.ctx, CLSEQ_MODE_TRAINING);
    clseq_var *x = clseq_embed(g, t.embed, clseq_input_i32(g, t.tokens, 2, (int64_t[]){T, B}));
    clseq_var *y = clseq_recur(g, t.rnn, x, NULL);
    cr_assert_null(clseq_add(g, x, y));
    cr_assert_eq(clseq_graph_end(g), CLSEQ_INVALID_SHAPE);
    g = clseq_graph_begin(t.ctx, CLSEQ_MODE_TRAINING);
    x = clseq_embed(g, t.embed, clseq_input_i32(g, t.tokens, 2, (int64_t[]){T, B}));
    cr_assert_not_null(clseq_sum(g, clseq_recur(g, t.rnn, x, NULL)));
    EXPECT_OK(clseq_graph_end(g));
    destroy(&t);
    EXPECT_OK(clseq_context_get_stats(t.ctx, &stats));
    cr_assert_eq(stats.bytes_in_use, 0, "%d bytes are still in use", (int)stats.bytes_in_use);
    clseq_context_destroy(t.ctx);
}

/* ---- calls that fail ---- */

/* What slow devices do instead of a step. */
static clseq_status small_step(trainer *t)
{
    const float values[] = {1, 2, 3};
    clseq_graph *g = clseq_graph_begin(t->ctx, CLSEQ_MODE_TRAINING);
    clseq_var *x = clseq_require_grad(g, clseq_input_f32(g, values, 1, (int64_t[]){3}));
    clseq_var *y = clseq_concat(g, (clseq_var *[]){x, clseq_mul(g, clseq_tanh(g, x), x)}, 2, 0);
    clseq_var *loss = clseq_mean(g, clseq_slice(g, y, 0, 1, 3));
    clseq_meter_add(g, t->meter, loss, 1.0f);
    clseq_backward(g, loss); /* graph_end says the same */
    return g ? clseq_graph_end(g) : CLSEQ_OUT_OF_HOST_MEMORY;
}

/* One step in a context that has done others; afterwards as many bytes are in use as before. */
static clseq_status warm_step(void *data)
{
    trainer *t = data;
    clseq_context_stats before, after;
    EXPECT_OK(clseq_context_get_stats(t->ctx, &before));
    const clseq_status status = test_small() ? small_step(t) : step(t, CLSEQ_MODE_TRAINING, 2);
    EXPECT_OK(clseq_context_get_stats(t->ctx, &after));
    if (before.bytes_in_use != after.bytes_in_use) {
        fprintf(stderr, "%lld bytes are left in use; %s: %s\n",
                (long long)(after.bytes_in_use - before.bytes_in_use), clseq_status_name(status),
                clseq_last_error());
        abort();
    }
    return status;
}

/* Every call of OpenCL in a step fails once: a status, a sentence, no buffer left, and the next step works. */
Test(graph_memory, failing_calls_in_a_step)
{
    trainer t = {.ctx = test_context()};
    EXPECT_OK(create(&t));
    pack(&t);
    for (int i = 0; i < 3; i++)
        EXPECT_OK(test_small() ? small_step(&t) : step(&t, CLSEQ_MODE_TRAINING, 2));
    cr_assert(faults_each(warm_step, &t), "%s", faults_message());
    cr_assert(faults_count() > (test_small() ? 30 : 100), "%s", faults_message());
    EXPECT_OK(warm_step(&t));
    destroy(&t);
    clseq_context_destroy(t.ctx);
}

/* The same from the making of the layers on, so that host memory fails too. */
static clseq_status create_and_step(void *data)
{
    trainer *t = data;
    clseq_status status = CLSEQ_OK;
    CLSEQ__TRY(create(t));
    CLSEQ__TRY(test_small() ? small_step(t) : step(t, CLSEQ_MODE_INFERENCE, 1));
done:
    destroy(t);
    return status;
}

Test(graph_memory, failing_calls_in_layers)
{
    trainer t = {.ctx = test_context()};
    for (int i = 0; i < 3; i++)
        EXPECT_OK(create_and_step(&t));
    cr_assert(faults_each(create_and_step, &t), "%s", faults_message());
    cr_assert(faults_count() > 50, "%s", faults_message());
    EXPECT_OK(create_and_step(&t));
    clseq_context_destroy(t.ctx);
}

/* A graph in a context of its own, which takes the graph's memory with it. */
static clseq_status graph_and_context(void *data)
{
    clseq_status status = CLSEQ_OK;
    clseq_context *ctx = NULL;
    const float values[] = {1, 2, 3};
    (void)data;
    CLSEQ__TRY(clseq_context_create(NULL, &ctx));
    clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
    clseq_var *x = clseq_require_grad(g, clseq_input_f32(g, values, 1, (int64_t[]){3}));
    clseq_backward(g, clseq_sum(g, clseq_add(g, x, x))); /* graph_end says the same */
    status = g ? clseq_graph_end(g) : CLSEQ_OUT_OF_HOST_MEMORY;
done:
    clseq_context_destroy(ctx);
    return status;
}

Test(graph_memory, goes_with_the_context)
{
    EXPECT_OK(graph_and_context(NULL));
    cr_assert(faults_each(graph_and_context, NULL), "%s", faults_message());
    cr_assert(faults_count() > 30, "%s", faults_message());
}
