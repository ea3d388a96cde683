/*
 * Training, end to end: a small model learns a text by heart, for every cell, and again with each choice that GPUs take
 * forced. A second run gives the same bits.
 */
#include <criterion/criterion.h>

#include "support/compare.h"
#include "support/device.h"
#include "support/graph.h"
#include "support/numeric.h"
#include <stdlib.h>
#include <string.h>

static const char text[] = "the quick brown fox jumps over the lazy dog and runs away from all of them; ";

enum { T = 12, B = 3 };

/* Sizes, and those for slow devices, which only show that the loss falls and that a second run agrees. */
typedef struct sizes {
    int64_t features, hidden, T;
    int steps;
    double fall; /* the last loss as a part of the first, at most */
} sizes;

static const sizes full = {16, 32, T, 120, 0.1}, small = {4, 6, 3, 12, 0.99};

typedef struct result {
    double first, last; /* mean loss of the first and the last few steps */
    float *values;      /* all parameters after training */
    size_t n;
} result;

/* Trains with dropout, carried states and a meter, as samples do. */
static result train(int cell, int64_t layers)
{
    const sizes *z = test_small() ? &small : &full;
    const int window = 6;
    const int64_t dims[] = {z->T, B};
    clseq_context *ctx = test_context();
    clseq_params *params = NULL;
    clseq_embedding *embed = NULL;
    clseq_rnn *rnn = NULL;
    clseq_linear *out = NULL;
    clseq_optimizer *adam = NULL;
    clseq_state *carry = NULL;
    clseq_meter *meter = NULL;
    clseq_vocabulary vocabulary;
    clseq_stream stream;
    result r = {0};
    int32_t tokens[sizeof text], inputs[T * B], targets[T * B];
    EXPECT_OK(clseq_vocabulary_from_bytes(&vocabulary, text, sizeof text - 1));
    EXPECT_OK(clseq_vocabulary_encode(&vocabulary, text, sizeof text - 1, tokens));
    EXPECT_OK(clseq_stream_init(&stream, tokens, sizeof text - 1, z->T, B));
    EXPECT_OK(clseq_params_create(ctx, 4, &params));
    EXPECT_OK(clseq_embedding_new(params, "embed", vocabulary.size, z->features, &embed));
    EXPECT_OK(clseq_rnn_new(
        params, "rnn",
        &(clseq_rnn_desc){
            .cell = (clseq_cell)cell, .input = z->features, .hidden = z->hidden, .layers = layers},
        NULL, &rnn));
    EXPECT_OK(clseq_linear_new(params, "out", z->hidden, vocabulary.size, true, &out));
    const clseq_optimizer_desc desc = clseq_optimizer_desc_default(CLSEQ_OPTIMIZER_ADAM, 1e-2f);
    EXPECT_OK(clseq_optimizer_create(params, &desc, &adam));
    EXPECT_OK(clseq_state_create(rnn, B, &carry));
    EXPECT_OK(clseq_meter_create(ctx, &meter));
    for (int step = 0; step < z->steps; step++) {
        while (!clseq_stream_next(&stream, inputs, targets))
            EXPECT_OK(clseq_state_reset(carry));
        clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
        clseq_graph_seed(g, 8, (uint64_t)step);
        clseq_var *x = clseq_embed(g, embed, clseq_input_i32(g, inputs, 2, dims));
        clseq_var *y = clseq_recur(g, rnn, clseq_dropout(g, x, 0.05f), &(clseq_recur_opts){.carry = carry});
        clseq_var *loss =
            clseq_cross_entropy(g, clseq_affine(g, out, y), clseq_input_i32(g, targets, 2, dims), NULL);
        clseq_meter_add(g, meter, loss, 1);
        EXPECT_OK(clseq_backward(g, loss));
        EXPECT_OK(clseq_clip_global_norm(params, 5, NULL));
        EXPECT_OK(clseq_optimizer_step(adam));
        graph_end(g);
        if (step % window == window - 1) {
            EXPECT_OK(clseq_meter_read(meter, step < window ? &r.first : &r.last));
            EXPECT_OK(clseq_meter_reset(meter));
        }
    }
    r.n = (size_t)clseq_params_elements(params);
    r.values = test_floats(r.n);
    for (size_t i = 0, at = 0; i < clseq_params_count(params); i++) {
        clseq_tensor value = {0};
        EXPECT_OK(clseq_param_value(clseq_params_at(params, i), &value));
        EXPECT_OK(clseq_param_get(clseq_params_at(params, i), r.values + at));
        at += (size_t)clseq_tensor_elements(&value);
    }
    clseq_meter_destroy(meter);
    clseq_state_destroy(carry);
    clseq_optimizer_destroy(adam);
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
    return r;
}

/* The loss falls from ln(26) to a few hundredths, and a second run agrees bit for bit. */
static void check(int cell, int64_t layers)
{
    result a = train(cell, layers), b = train(cell, layers);
    const char *name = clseq_cell_name((clseq_cell)cell);
    cr_assert(a.first < 3.6, "%s: the first steps have a loss of %g", name, a.first);
    cr_assert(a.last < (test_small() ? small.fall : full.fall) * a.first,
              "%s: the loss fell from %g to %g only", name, a.first, a.last);
    cr_assert(a.first == b.first && a.last == b.last, "%s: a second run gives %.17g instead of %.17g", name,
              b.last, a.last);
    cr_assert(compare_bits(name, b.values, a.values, a.n), "%s", compare_message());
    free(a.values);
    free(b.values);
}

Test(graph_training, every_cell)
{
    for (int cell = 0; cell < (test_small() ? 1 : CLSEQ_CELL_COUNT); cell++)
        check(cell, 1);
}

Test(graph_training, two_layers)
{
    check(CLSEQ_CELL_LSTM, 2);
}

/* What a GPU runs, under any device: CLBlast's products, and a product and a pointwise kernel a step. */
Test(graph_training, as_on_gpus)
{
    setenv("CLSEQ_GEMM", "clblast", 1);
    setenv("CLSEQ_SCHEDULE", "gemm_step", 1);
    check(CLSEQ_CELL_LSTM, test_small() ? 1 : 2);
    if (!test_small())
        check(CLSEQ_CELL_GRU, 1);
}

Test(graph_training, gemm_step)
{
    setenv("CLSEQ_SCHEDULE", "gemm_step", 1);
    check(CLSEQ_CELL_LSTM, test_small() ? 1 : 2);
}

Test(graph_training, clblast)
{
    setenv("CLSEQ_GEMM", "clblast", 1);
    check(CLSEQ_CELL_LSTM, 1);
}
