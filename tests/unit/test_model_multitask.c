/*
 * Two heads on a frozen bidirectional encoder: gradients of two losses, added up over two graphs, and a step of an optimiser
 * with groups, against PyTorch's numbers of all rows at once; and a loop of requests.
 */
#include <criterion/criterion.h>

#include "support/compare.h"
#include "support/device.h"
#include "support/graph.h"
#include "support/model.h"
#include <math.h>
#include <stdlib.h>

enum { V = 11, E = 6, H = 8, T = 5, B = 4, HALF = B / 2, CLASSES = 4 };

typedef struct model {
    clseq_context *ctx;
    clseq_params *params;
    clseq_embedding *embed;
    clseq_rnn *lstm;
    clseq_norm *norm;
    clseq_linear *label, *value;
    golden *file;
    int32_t *lengths, *tokens, *labels;
} model;

static model create(void)
{
    model m = {.ctx = test_context(), .file = golden_open("model_multitask.txt")};
    const clseq_rnn_desc desc = {
        .cell = CLSEQ_CELL_LSTM, .input = E, .hidden = H, .direction = CLSEQ_DIRECTION_BIDIRECTIONAL};
    size_t frozen = 0;
    EXPECT_OK(clseq_params_create(m.ctx, 1, &m.params));
    EXPECT_OK(clseq_embedding_new(m.params, "encoder.embed", V, E, &m.embed));
    EXPECT_OK(clseq_rnn_new(m.params, "encoder.lstm", &desc, NULL, &m.lstm));
    EXPECT_OK(clseq_norm_new(m.params, "norm", CLSEQ_NORM_LAYER, 2 * H, 1e-5f, &m.norm));
    EXPECT_OK(clseq_linear_new(m.params, "label", 2 * H, CLASSES, true, &m.label));
    EXPECT_OK(clseq_linear_new(m.params, "value", 2 * H, 1, true, &m.value));
    model_set_params(m.params, m.file);
    EXPECT_OK(clseq_params_freeze(m.params, "encoder.*", true, &frozen));
    cr_assert_eq(frozen, 9);
    m.lengths = model_integers(m.file, "lengths");
    m.tokens = model_integers(m.file, "tokens");
    m.labels = model_integers(m.file, "labels");
    return m;
}

static void destroy(model *m)
{
    free(m->lengths);
    free(m->tokens);
    free(m->labels);
    golden_close(m->file);
    clseq_params_destroy(m->params);
    clseq_context_destroy(m->ctx);
}

/* Logits [rows,CLASSES] and numbers [rows] of the rows from `first` on. */
static void heads_of(clseq_graph *g, const model *m, int first, int rows, clseq_var **logits,
                     clseq_var **values)
{
    clseq_var *tokens = clseq_input_i32(g, m->tokens, 2, (int64_t[]){T, B});
    clseq_var *x = clseq_embed(g, m->embed, clseq_slice(g, tokens, 1, first, rows));
    const int32_t *lengths = m->lengths + first;
    clseq_var *y = clseq_recur(g, m->lstm, x, &(clseq_recur_opts){.lengths = lengths});
    clseq_var *mean = clseq_mean_over_time(g, y, lengths);
    *logits = clseq_affine(g, m->label, clseq_normalize(g, m->norm, mean));
    *values = clseq_squeeze(g, clseq_affine(g, m->value, clseq_last(g, y, lengths)), -1);
}

/* The mean of d^2/2 where |d| < 1, else of |d| - 1/2; Huber 1964. */
static clseq_var *huber(clseq_graph *g, clseq_var *predicted, clseq_var *wanted)
{
    clseq_var *far = clseq_abs(g, clseq_sub(g, predicted, wanted)), *near = clseq_clamp(g, far, 0, 1);
    clseq_var *half = clseq_mul_scalar(g, clseq_square(g, near), 0.5f);
    clseq_var *loss = clseq_add(g, half, clseq_sub(g, far, near));
    return clseq_mean_over(g, loss, 1, (int[]){0}, false);
}

/* The losses of the rows from `first` on. */
static void losses_of(clseq_graph *g, const model *m, int first, int rows, clseq_var *losses[2])
{
    clseq_var *logits, *predicted;
    float values[B];
    for (int b = 0; b < B; b++)
        values[b] = (float)golden_values(m->file, "values", B)[b];
    heads_of(g, m, first, rows, &logits, &predicted);
    losses[0] =
        clseq_cross_entropy(g, logits, clseq_input_i32(g, m->labels + first, 1, (int64_t[]){rows}), NULL);
    losses[1] = huber(g, predicted, clseq_input_f32(g, values + first, 1, (int64_t[]){rows}));
}

/* Gradients of the mean losses of all rows, in graphs of `rows` rows each. */
static void accumulate(const model *m, int rows)
{
    const float part = (float)rows / B;
    for (int first = 0; first < B; first += rows) {
        clseq_var *losses[2], *parts[2];
        clseq_graph *g = clseq_graph_begin(m->ctx, CLSEQ_MODE_TRAINING);
        losses_of(g, m, first, rows, losses);
        for (int i = 0; i < 2; i++)
            parts[i] = clseq_input_f32(g, &part, 1, (int64_t[]){1});
        EXPECT_OK(clseq_backward_from(g, 2, losses, parts));
        graph_end(g);
    }
}

static const clseq_param_group plain[] = {{"norm.*", 1, 0}, {"*.bias", 1, 0}};

static void step(const model *m)
{
    const double *numbers = golden_values(m->file, "adamw", 5);
    clseq_optimizer_desc desc = clseq_optimizer_desc_default(CLSEQ_OPTIMIZER_ADAMW, (float)numbers[0]);
    clseq_optimizer *optimizer = NULL;
    desc.beta1 = (float)numbers[1];
    desc.beta2 = (float)numbers[2];
    desc.eps = (float)numbers[3];
    desc.weight_decay = (float)numbers[4];
    desc.groups = plain;
    desc.group_count = sizeof plain / sizeof plain[0];
    EXPECT_OK(clseq_optimizer_create(m->params, &desc, &optimizer));
    EXPECT_OK(clseq_optimizer_step(optimizer));
    clseq_optimizer_destroy(optimizer);
}

/* The losses of all rows are PyTorch's. */
Test(model_multitask, losses)
{
    model m = create();
    clseq_var *losses[2];
    clseq_graph *g = clseq_graph_begin(m.ctx, CLSEQ_MODE_TRAINING);
    losses_of(g, &m, 0, B, losses);
    model_expect_value(g, losses[0], m.file, "label_loss");
    model_expect_value(g, losses[1], m.file, "value_loss");
    EXPECT_OK(clseq_backward_from(g, 2, losses, NULL));
    graph_end(g);
    model_expect_grads(m.params, m.file);
    destroy(&m);
}

/* Gradients and what a step makes of the parameters are PyTorch's, whether the rows come at once or in parts. */
Test(model_multitask, a_step_after_gradients_of_parts)
{
    for (int rows = 1; rows <= B; rows *= 2) {
        model m = create();
        accumulate(&m, rows);
        model_expect_grads(m.params, m.file);
        step(&m);
        model_expect_step(m.params, m.file);
        destroy(&m);
    }
}

/* Requests of two rows, one after the other in one graph: after some neither the device nor the host gets a byte more. */
Test(model_multitask, requests_in_bounded_memory)
{
    model m = create();
    const int requests = test_small() ? 60 : 400, settled = 40;
    float first[2][HALF * (CLASSES + 1)], now[HALF * (CLASSES + 1)];
    model_memory before = {0};
    clseq_graph *g = clseq_graph_begin(m.ctx, CLSEQ_MODE_INFERENCE);
    for (int i = 0; i < requests; i++) {
        clseq_var *logits, *values;
        clseq_scope_begin(g);
        heads_of(g, &m, i % 2 * HALF, HALF, &logits, &values);
        EXPECT_OK(clseq_read(g, logits, i < 2 ? first[i] : now));
        EXPECT_OK(clseq_read(g, values, (i < 2 ? first[i] : now) + HALF * CLASSES));
        clseq_scope_end(g, 0, NULL);
        cr_assert(i < 2 || compare_bits("heads", now, first[i % 2], HALF * (CLASSES + 1)), "%s",
                  compare_message());
        if (i == settled)
            before = model_memory_now(m.ctx);
    }
    model_expect_steady(m.ctx, before);
    graph_end(g);
    destroy(&m);
}
