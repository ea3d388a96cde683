/*
 * Two blocks of attention and feed-forward made of single operations, with an output tied to the embedding, against PyTorch's
 * numbers; the same bits where a block is computed twice and where training is repeated; and a loop that generates.
 */
#include <criterion/criterion.h>

#include "support/compare.h"
#include "support/device.h"
#include "support/graph.h"
#include "support/model.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { V = 11, C = 8, HEADS = 2, T = 5, B = 3, BLOCKS = 2, IGNORED = -1 };

typedef struct block {
    clseq_norm *norm1, *norm2;
    clseq_linear *qkv, *proj, *up, *down;
} block;

typedef struct model {
    clseq_context *ctx;
    clseq_params *params;
    clseq_param *positions;
    clseq_embedding *embed;
    block blocks[BLOCKS];
    clseq_norm *norm;
    golden *file;
    float dropout;
    int recomputed; /* the block that backward computes again; -1: none */
} model;

static void create_block(clseq_params *params, int number, block *b)
{
    char name[32];
    const struct {
        const char *name;
        clseq_norm **out;
    } norms[] = {{"norm1", &b->norm1}, {"norm2", &b->norm2}};
    const struct {
        const char *name;
        int in, features;
        clseq_linear **out;
    } linears[] = {{"qkv", C, 3 * C, &b->qkv},
                   {"proj", C, C, &b->proj},
                   {"up", C, 2 * C, &b->up},
                   {"down", 2 * C, C, &b->down}};
    for (size_t i = 0; i < sizeof norms / sizeof norms[0]; i++) {
        snprintf(name, sizeof name, "blocks.%d.%s", number, norms[i].name);
        EXPECT_OK(clseq_norm_new(params, name, CLSEQ_NORM_LAYER, C, 1e-5f, norms[i].out));
    }
    for (size_t i = 0; i < sizeof linears / sizeof linears[0]; i++) {
        snprintf(name, sizeof name, "blocks.%d.%s", number, linears[i].name);
        EXPECT_OK(clseq_linear_new(params, name, linears[i].in, linears[i].features, true, linears[i].out));
    }
}

static model create(float dropout, int recomputed)
{
    model m = {.ctx = test_context(),
               .file = golden_open("model_transformer.txt"),
               .dropout = dropout,
               .recomputed = recomputed};
    EXPECT_OK(clseq_params_create(m.ctx, 1, &m.params));
    EXPECT_OK(clseq_embedding_new(m.params, "embed", V, C, &m.embed));
    EXPECT_OK(clseq_params_add(m.params, "positions", 2, (int64_t[]){T, C}, NULL, &m.positions));
    for (int i = 0; i < BLOCKS; i++)
        create_block(m.params, i, &m.blocks[i]);
    EXPECT_OK(clseq_norm_new(m.params, "norm", CLSEQ_NORM_LAYER, C, 1e-5f, &m.norm));
    model_set_params(m.params, m.file);
    return m;
}

static void destroy(model *m)
{
    golden_close(m->file);
    clseq_params_destroy(m->params);
    clseq_context_destroy(m->ctx);
}

/* What no position may attend to: [T,T] what comes later, [B,1,1,T] what is past a row's end. */
typedef struct masks {
    clseq_var *later, *past;
} masks;

static masks masks_of(clseq_graph *g, const int32_t *lengths)
{
    int32_t later[T * T], past[B * T];
    for (int i = 0; i < T * T; i++)
        later[i] = i % T > i / T;
    for (int i = 0; i < B * T; i++)
        past[i] = i % T >= lengths[i / T];
    return (masks){clseq_input_i32(g, later, 2, (int64_t[]){T, T}),
                   clseq_input_i32(g, past, 4, (int64_t[]){B, 1, 1, T})};
}

/* x [B,T,C] -> [B,T,C] */
static clseq_var *attention(clseq_graph *g, const model *m, const block *b, const masks *hidden, clseq_var *x)
{
    clseq_var *parts[3];
    clseq_split(g, clseq_affine(g, b->qkv, x), -1, 3, NULL, parts);
    for (int i = 0; i < 3; i++) {
        parts[i] = clseq_reshape(g, parts[i], 4, (int64_t[]){B, T, HEADS, C / HEADS});
        parts[i] = clseq_permute(g, parts[i], (int[]){0, 2, 1, 3}); /* [B,HEADS,T,C/HEADS] */
    }
    clseq_var *scores = clseq_matmul(g, parts[0], clseq_transpose(g, parts[1], -1, -2));
    scores = clseq_mul_scalar(g, scores, 1 / sqrtf((float)C / HEADS));
    scores = clseq_masked_fill(g, scores, hidden->later, -INFINITY);
    scores = clseq_masked_fill(g, scores, hidden->past, -INFINITY);
    clseq_var *weights = clseq_dropout(g, clseq_softmax(g, scores, -1), m->dropout);
    clseq_var *heads = clseq_permute(g, clseq_matmul(g, weights, parts[2]), (int[]){0, 2, 1, 3});
    return clseq_affine(g, b->proj, clseq_reshape(g, heads, 3, (int64_t[]){B, T, C}));
}

static clseq_var *block_of(clseq_graph *g, const model *m, const block *b, const masks *hidden, clseq_var *x)
{
    clseq_var *seen = attention(g, m, b, hidden, clseq_normalize(g, b->norm1, x));
    x = clseq_add(g, x, clseq_dropout(g, seen, m->dropout));
    clseq_var *wide = clseq_gelu(g, clseq_affine(g, b->up, clseq_normalize(g, b->norm2, x)));
    return clseq_add(g, x, clseq_dropout(g, clseq_affine(g, b->down, wide), m->dropout));
}

/* tokens [B,T] -> logits [B,T,V] */
static clseq_var *logits_of(clseq_graph *g, const model *m, clseq_var *tokens, const int32_t *lengths)
{
    const masks hidden = masks_of(g, lengths);
    clseq_var *x = clseq_add(g, clseq_embed(g, m->embed, tokens), clseq_param_var(g, m->positions));
    x = clseq_dropout(g, x, m->dropout);
    for (int i = 0; i < BLOCKS; i++) {
        if (i == m->recomputed)
            clseq_recompute_begin(g);
        x = block_of(g, m, &m->blocks[i], &hidden, x);
        if (i == m->recomputed)
            clseq_recompute_end(g, 1, &x);
    }
    clseq_var *table = clseq_param_var(g, clseq_embedding_weight(m->embed)); /* [V,C] */
    return clseq_matmul(g, clseq_normalize(g, m->norm, x), clseq_transpose(g, table, 0, 1));
}

static clseq_var *golden_logits(clseq_graph *g, const model *m)
{
    int32_t *lengths = model_integers(m->file, "lengths");
    clseq_var *logits = logits_of(g, m, model_tokens(g, m->file, "tokens"), lengths);
    free(lengths);
    return logits;
}

static clseq_var *loss_of(clseq_graph *g, const model *m, clseq_var *logits)
{
    return clseq_cross_entropy(g, logits, model_tokens(g, m->file, "labels"),
                               &(clseq_cross_entropy_desc){.ignore = true, .ignore_index = IGNORED});
}

/* With every block computed once, and with one of them computed twice. */
Test(model_transformer, golden)
{
    for (int recomputed = -1; recomputed < BLOCKS; recomputed++) {
        model m = create(0, recomputed);
        clseq_graph *g = clseq_graph_begin(m.ctx, CLSEQ_MODE_TRAINING);
        clseq_var *logits = golden_logits(g, &m), *loss = loss_of(g, &m, logits);
        model_expect_value(g, logits, m.file, "logits");
        model_expect_value(g, loss, m.file, "loss");
        EXPECT_OK(clseq_backward(g, loss));
        graph_end(g);
        model_expect_grads(m.params, m.file);
        destroy(&m);
    }
}

/* The gradients of one step, to be freed. */
static float *grads_of(float dropout, int recomputed, size_t *n)
{
    model m = create(dropout, recomputed);
    clseq_graph *g = clseq_graph_begin(m.ctx, CLSEQ_MODE_TRAINING);
    clseq_graph_seed(g, 7, 1);
    EXPECT_OK(clseq_backward(g, loss_of(g, &m, golden_logits(g, &m))));
    graph_end(g);
    float *grads = model_grads(m.params);
    *n = (size_t)clseq_params_elements(m.params);
    destroy(&m);
    return grads;
}

Test(model_transformer, a_block_computed_twice_gives_the_same_bits)
{
    for (int is_dropped = 0; is_dropped < 2; is_dropped++) {
        size_t n;
        float *plain = grads_of(is_dropped ? 0.25f : 0, -1, &n);
        for (int recomputed = 0; recomputed < BLOCKS; recomputed++) {
            float *again = grads_of(is_dropped ? 0.25f : 0, recomputed, &n);
            cr_assert(compare_bits("gradients", again, plain, n), "%s", compare_message());
            free(again);
        }
        free(plain);
    }
}

/* Parameters after some steps, to be freed. */
static float *trained(uint64_t seed, size_t *n, float *last_loss)
{
    model m = create(0.25f, 1);
    clseq_optimizer *optimizer = NULL;
    const clseq_optimizer_desc desc = clseq_optimizer_desc_default(CLSEQ_OPTIMIZER_ADAM, 0.01f);
    EXPECT_OK(clseq_optimizer_create(m.params, &desc, &optimizer));
    for (uint64_t step = 0; step < 6; step++) {
        clseq_graph *g = clseq_graph_begin(m.ctx, CLSEQ_MODE_TRAINING);
        clseq_graph_seed(g, seed, step);
        clseq_var *loss = loss_of(g, &m, golden_logits(g, &m));
        EXPECT_OK(clseq_backward(g, loss));
        EXPECT_OK(clseq_read_float(g, loss, last_loss));
        graph_end(g);
        EXPECT_OK(clseq_optimizer_step(optimizer));
    }
    float *values = model_values(m.params);
    *n = (size_t)clseq_params_elements(m.params);
    clseq_optimizer_destroy(optimizer);
    destroy(&m);
    return values;
}

Test(model_transformer, training_again_gives_the_same_bits)
{
    size_t n;
    float loss[3];
    float *first = trained(5, &n, &loss[0]), *again = trained(5, &n, &loss[1]),
          *other = trained(6, &n, &loss[2]);
    cr_expect(compare_bits("parameters", again, first, n), "%s", compare_message());
    cr_expect_eq(loss[0], loss[1]);
    cr_expect_neq(memcmp(other, first, n * sizeof *first), 0, "the seed draws the masks");
    free(first);
    free(again);
    free(other);
}

/*
 * Rows that are continued token by token, of which the model sees the last T. After some steps neither the device nor the
 * host gets a byte more, and the golden rows have the logits that they had before.
 */
Test(model_transformer, generation_in_bounded_memory)
{
    model m = create(0.25f, 1);
    const int steps = test_small() ? 60 : 300, settled = 40;
    const int32_t lengths[B] = {T, T, T};
    int32_t *tokens = model_integers(m.file, "tokens"), best[B];
    model_memory before = {0};
    clseq_graph *g = clseq_graph_begin(m.ctx, CLSEQ_MODE_INFERENCE);
    for (int s = 0; s < steps; s++) {
        float logits[B * V];
        clseq_scope_begin(g);
        clseq_var *all = logits_of(g, &m, clseq_input_i32(g, tokens, 2, (int64_t[]){B, T}), lengths);
        EXPECT_OK(clseq_read(g, clseq_slice(g, all, 1, T - 1, 1), logits));
        clseq_scope_end(g, 0, NULL);
        model_best(logits, B, V, best);
        for (int b = 0; b < B; b++) {
            memmove(tokens + b * T, tokens + b * T + 1, (T - 1) * sizeof *tokens);
            tokens[b * T + T - 1] = best[b];
        }
        if (s == settled)
            before = model_memory_now(m.ctx);
    }
    model_expect_steady(m.ctx, before);
    model_expect_value(g, golden_logits(g, &m), m.file, "logits");
    graph_end(g);
    free(tokens);
    destroy(&m);
}
