/*
 * An encoder and a decoder that attends to its outputs, with one embedding for source, target and output, against PyTorch's
 * numbers: the decoder as a loop of steps and as a whole sequence; and a loop that generates.
 */
#include <criterion/criterion.h>

#include "support/device.h"
#include "support/graph.h"
#include "support/model.h"
#include <math.h>
#include <stdlib.h>

enum { V = 11, E = 6, H = 8, LAYERS = 2, T = 5, B = 3, S = 4, IGNORED = -1 };

typedef struct model {
    clseq_context *ctx;
    clseq_params *params;
    clseq_embedding *embed;
    clseq_rnn *encoder, *decoder;
    clseq_linear *mix, *out;
    golden *file;
    int32_t *lengths;
} model;

static model create(void)
{
    model m = {.ctx = test_context(), .file = golden_open("model_seq2seq.txt")};
    const clseq_rnn_desc desc = {.cell = CLSEQ_CELL_GRU, .input = E, .hidden = H, .layers = LAYERS};
    EXPECT_OK(clseq_params_create(m.ctx, 1, &m.params));
    EXPECT_OK(clseq_embedding_new(m.params, "embed", V, E, &m.embed));
    EXPECT_OK(clseq_rnn_new(m.params, "encoder", &desc, NULL, &m.encoder));
    EXPECT_OK(clseq_rnn_new(m.params, "decoder", &desc, NULL, &m.decoder));
    EXPECT_OK(clseq_linear_new(m.params, "mix", 2 * H, E, true, &m.mix));
    EXPECT_OK(clseq_linear_new_tied(m.params, "out", clseq_embedding_weight(m.embed), true, &m.out));
    model_set_params(m.params, m.file);
    m.lengths = model_integers(m.file, "lengths");
    return m;
}

static void destroy(model *m)
{
    free(m->lengths);
    golden_close(m->file);
    clseq_params_destroy(m->params);
    clseq_context_destroy(m->ctx);
}

/* What the decoder reads of the source. */
typedef struct memory {
    clseq_var *rows;   /* [B,T,H] the encoder's outputs */
    clseq_var *hidden; /* [B,1,T] steps past a row's end */
} memory;

static memory encode(clseq_graph *g, const model *m, clseq_var **state)
{
    int32_t hidden[B * T];
    for (int i = 0; i < B * T; i++)
        hidden[i] = i % T >= m->lengths[i / T];
    clseq_var *x = clseq_embed(g, m->embed, model_tokens(g, m->file, "source"));
    clseq_var *y = clseq_recur(g, m->encoder, x, &(clseq_recur_opts){.lengths = m->lengths, .final = state});
    return (memory){clseq_transpose(g, y, 0, 1), clseq_input_i32(g, hidden, 3, (int64_t[]){B, 1, T})};
}

/* y [B,n,H], the decoder's outputs at n steps -> logits [B,n,V] */
static clseq_var *attend(clseq_graph *g, const model *m, const memory *source, clseq_var *y)
{
    clseq_var *scores = clseq_matmul(g, y, clseq_transpose(g, source->rows, 1, 2));
    clseq_var *weights = clseq_softmax(g, clseq_masked_fill(g, scores, source->hidden, -INFINITY), -1);
    clseq_var *both[] = {clseq_matmul(g, weights, source->rows), y};
    clseq_var *mixed = clseq_tanh(g, clseq_affine(g, m->mix, clseq_concat(g, both, 2, -1)));
    return clseq_affine(g, m->out, mixed);
}

/* tokens [B] -> logits [B,1,V] */
static clseq_var *step(clseq_graph *g, const model *m, const memory *source, clseq_var *tokens,
                       clseq_var **state)
{
    clseq_var *y = clseq_recur_step(g, m->decoder, clseq_embed(g, m->embed, tokens), state, state);
    return attend(g, m, source, clseq_unsqueeze(g, y, 1));
}

/* Decoders: from the targets as their inputs, and the state, to logits [S,B,V]. */
typedef clseq_var *decode_fn(clseq_graph *g, const model *m, const memory *source, clseq_var *state);

static clseq_var *decode_steps(clseq_graph *g, const model *m, const memory *source, clseq_var *state)
{
    clseq_var *logits[S], *targets = model_tokens(g, m->file, "target");
    for (int s = 0; s < S; s++) {
        clseq_var *tokens = clseq_squeeze(g, clseq_slice(g, targets, 0, s, 1), 0);
        logits[s] = step(g, m, source, tokens, &state);
    }
    return clseq_transpose(g, clseq_concat(g, logits, S, 1), 0, 1);
}

static clseq_var *decode_whole(clseq_graph *g, const model *m, const memory *source, clseq_var *state)
{
    clseq_var *x = clseq_embed(g, m->embed, model_tokens(g, m->file, "target"));
    clseq_var *y = clseq_recur(g, m->decoder, x, &(clseq_recur_opts){.initial = &state});
    return clseq_transpose(g, attend(g, m, source, clseq_transpose(g, y, 0, 1)), 0, 1);
}

static void expect_golden(decode_fn *decode)
{
    model m = create();
    clseq_var *state = NULL;
    clseq_graph *g = clseq_graph_begin(m.ctx, CLSEQ_MODE_TRAINING);
    const memory source = encode(g, &m, &state);
    clseq_var *logits = decode(g, &m, &source, state);
    clseq_var *loss =
        clseq_cross_entropy(g, logits, model_tokens(g, m.file, "labels"),
                            &(clseq_cross_entropy_desc){.ignore = true, .ignore_index = IGNORED});
    model_expect_value(g, logits, m.file, "logits");
    model_expect_value(g, loss, m.file, "loss");
    EXPECT_OK(clseq_backward(g, loss));
    graph_end(g);
    model_expect_grads(m.params, m.file);
    destroy(&m);
}

Test(model_seq2seq, a_loop_of_steps)
{
    expect_golden(decode_steps);
}

Test(model_seq2seq, a_whole_sequence)
{
    expect_golden(decode_whole);
}

/*
 * The first steps are given the targets and come to PyTorch's logits; what follows is the best token of the step before,
 * read by the host. After some steps neither the device nor the host gets a byte more.
 */
Test(model_seq2seq, generation_in_bounded_memory)
{
    model m = create();
    const int steps = test_small() ? 60 : 400, settled = 40;
    int32_t *targets = model_integers(m.file, "target"), tokens[B];
    clseq_var *state = NULL, *first[S];
    model_memory before = {0};
    clseq_graph *g = clseq_graph_begin(m.ctx, CLSEQ_MODE_INFERENCE);
    const memory source = encode(g, &m, &state);
    for (int s = 0; s < steps; s++) {
        float logits[B * V];
        clseq_var *old = state;
        clseq_scope_begin(g);
        clseq_var *given = clseq_input_i32(g, s < S ? targets + s * B : tokens, 1, (int64_t[]){B});
        clseq_var *y = step(g, &m, &source, given, &state);
        EXPECT_OK(clseq_read(g, y, logits));
        model_best(logits, B, V, tokens);
        clseq_scope_end(g, s < S ? 2 : 1, (clseq_var *[]){state, y});
        clseq_release(g, old);
        if (s < S)
            first[s] = y;
        if (s == settled)
            before = model_memory_now(m.ctx);
    }
    model_expect_steady(m.ctx, before);
    model_expect_value(g, clseq_transpose(g, clseq_concat(g, first, S, 1), 0, 1), m.file, "logits");
    graph_end(g);
    free(targets);
    destroy(&m);
}
