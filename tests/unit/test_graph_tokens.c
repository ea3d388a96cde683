/*
 * Recurrent layers that read tokens: through the table of an embedding, and as one-hot rows, against the
 * double-precision reference, which multiplies the rows of the table.
 */
#include <criterion/criterion.h>

#include "core/context.h"
#include "reference/cells.h"
#include "reference/rnn_case.h"
#include "support/compare.h"
#include "support/device.h"
#include "support/graph.h"
#include "support/graph_rnn.h"
#include "support/numeric.h"
#include "support/random.h"
#include "support/rnn_variant.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { T = 6, B = 5, V = 7, E = 4, H = 9, L = 2 };

static const int lengths[B] = {3, 0, 6, 5, 1};

typedef struct model {
    clseq_context *ctx;
    clseq_params *params;
    clseq_embedding *embed; /* NULL: the layer reads one-hot rows */
    clseq_rnn *rnn;
} model;

static reference_rnn net_of(int cell, bool one_hot)
{
    return (reference_rnn){.cell = reference_cell_at(cell),
                           .T = T,
                           .B = B,
                           .I = one_hot ? V : E,
                           .H = H,
                           .L = L,
                           .lengths = lengths};
}

static model create_net(const reference_rnn *net, bool one_hot)
{
    model m = {.ctx = test_context()};
    EXPECT_OK(clseq_params_create(m.ctx, 3, &m.params));
    if (!one_hot)
        EXPECT_OK(clseq_embedding_new(m.params, "embed", V, E, &m.embed));
    m.rnn = graph_rnn_new(m.params, net, one_hot);
    return m;
}

static model create(int cell, bool one_hot)
{
    const reference_rnn net = net_of(cell, one_hot);
    return create_net(&net, one_hot);
}

static void destroy(model *m)
{
    clseq_params_destroy(m->params);
    clseq_context_destroy(m->ctx);
}

/* A problem whose x are rows of a table. */
typedef struct problem {
    rnn_case *c;
    int32_t tokens[T * B];
    double table[V * E], dtable[V * E], dtable_bound[V * E];
} problem;

/* One vocabulary entry is named by no token. Bounds are doubled: the products are made in another order. */
static problem make_net_problem(const reference_rnn *net, uint64_t seed, bool one_hot)
{
    const int I = net->I;
    problem p = {.c = rnn_case_create(net, seed, 1e-5)};
    test_random random = test_random_seed(seed);
    test_random_fill(&random, p.table, V * E, -1, 1);
    for (int row = 0; row < T * B; row++) {
        p.tokens[row] = test_random_int(&random, 0, V - 2);
        for (int i = 0; i < I; i++)
            p.c->in[RNN_X][row * I + i] = one_hot ? i == p.tokens[row] : p.table[p.tokens[row] * E + i];
    }
    rnn_case_run(p.c);
    rnn_case_bound(p.c);
    for (int i = 0; i < p.c->count; i++)
        for (size_t k = 0; p.c->bound[i] && k < p.c->n[i]; k++)
            p.c->bound[i][k] *= 2;
    for (int row = 0; row < T * B && !one_hot; row++)
        for (int i = 0; i < E; i++) {
            p.dtable[p.tokens[row] * E + i] += p.c->want[RNN_DX][row * E + i];
            p.dtable_bound[p.tokens[row] * E + i] += p.c->bound[RNN_DX][row * E + i];
        }
    return p;
}

static problem make_problem(int cell, uint64_t seed, bool one_hot)
{
    const reference_rnn net = net_of(cell, one_hot);
    return make_net_problem(&net, seed, one_hot);
}

static void set_params(const model *m, const problem *p)
{
    graph_rnn_set(m->params, p->c);
    if (m->embed)
        graph_set_param(clseq_params_find(m->params, "embed.weight"), p->table);
}

/* What the layer is given: tokens, or their rows, in `ask` with a wish for their gradient. */
static clseq_var *input_of(const model *m, clseq_graph *g, const int32_t *tokens, bool ask)
{
    clseq_var *x = clseq_input_i32(g, tokens, 2, (int64_t[]){T, B});
    if (m->embed)
        x = clseq_embed(g, m->embed, x);
    return ask ? clseq_require_grad(g, x) : x;
}

/* Values, then all gradients, in training; the values again in inference, which draws nothing. */
static void check_problem(const model *m, const problem *p, bool ask)
{
    static const clseq_mode modes[] = {CLSEQ_MODE_TRAINING, CLSEQ_MODE_INFERENCE};
    for (int i = 0; i < (reference_rnn_draws(&p->c->net) ? 1 : 2); i++) {
        clseq_graph *g = clseq_graph_begin(m->ctx, modes[i]);
        EXPECT_OK(clseq_params_zero_grad(m->params));
        graph_rnn_check(g, m->rnn, m->params, p->c, input_of(m, g, p->tokens, ask), ask);
        if (m->embed && modes[i] == CLSEQ_MODE_TRAINING)
            graph_expect_param_grad_each(clseq_params_find(m->params, "embed.weight"), p->dtable,
                                         p->dtable_bound);
    }
}

/* Twice, with other parameters, which the kept products have to notice; with and without a wish for dx. */
Test(graph_tokens, through_an_embedding)
{
    for (int cell = 0; cell < CLSEQ_CELL_COUNT; cell++) {
        model m = create(cell, false);
        for (int round = 0; round < (test_small() ? 2 : 4); round++) {
            problem p = make_problem(cell, 20 + (uint64_t)round, false);
            set_params(&m, &p);
            check_problem(&m, &p, round % 2 == 1);
            rnn_case_destroy(p.c);
        }
        destroy(&m);
    }
}

/* The same with every option: both directions have products of their own. */
Test(graph_tokens, options_through_an_embedding)
{
    for (int cell = 0; cell < CLSEQ_CELL_COUNT; cell++)
        for (int v = RNN_PLAIN + 1; v < RNN_VARIANTS; v++) {
            int widths[RNN_VARIANT_LAYERS];
            reference_rnn net = net_of(cell, false);
            if (!rnn_variant_apply(&rnn_variants[v], &net, widths))
                continue;
            model m = create_net(&net, false);
            for (int ask = 0; ask < 2; ask++) {
                problem p = make_net_problem(&net, 60 + (uint64_t)ask, false);
                set_params(&m, &p);
                check_problem(&m, &p, ask);
                rnn_case_destroy(p.c);
            }
            destroy(&m);
        }
}

Test(graph_tokens, one_hot)
{
    for (int cell = 0; cell < CLSEQ_CELL_COUNT; cell++)
        for (int v = RNN_PLAIN; v < RNN_VARIANTS; v++) {
            int widths[RNN_VARIANT_LAYERS];
            reference_rnn net = net_of(cell, true);
            if (!rnn_variant_apply(&rnn_variants[v], &net, widths))
                continue;
            model m = create_net(&net, true);
            problem p = make_net_problem(&net, 30, true);
            set_params(&m, &p);
            check_problem(&m, &p, false);
            rnn_case_destroy(p.c);
            destroy(&m);
        }
}

/* What an embedding's output passes through, and whether the layer then reads the table instead: */
static bool reads_the_table(const model *m, int64_t steps, const int32_t *tokens)
{
    clseq_graph *g = clseq_graph_begin(m->ctx, CLSEQ_MODE_TRAINING);
    clseq_var *x = clseq_embed(g, m->embed, clseq_input_i32(g, tokens, 2, (int64_t[]){steps, B}));
    cr_assert_not_null(clseq_recur(g, m->rnn, x, NULL), "%s", clseq_last_error());
    const bool refused = !clseq_require_grad(g, x);
    if (refused)
        EXPECT_ERROR(clseq_graph_status(g), CLSEQ_INVALID_STATE, "through the embedding's table");
    clseq_graph_end(g);
    return refused;
}

/* On devices where looking up is cheap, and when the vocabulary is at most half of the tokens. */
Test(graph_tokens, the_table_is_read_where_it_pays)
{
    static const int32_t tokens[T * B] = {0};
    model m = create(CLSEQ_CELL_LSTM, false);
    cr_assert_eq(reads_the_table(&m, T, tokens), m.ctx->traits.is_cpu);
    cr_assert_eq(reads_the_table(&m, 3, tokens), m.ctx->traits.is_cpu); /* 15 tokens of 7 kinds */
    cr_assert_not(reads_the_table(&m, 2, tokens));
    destroy(&m);
}

/* Inference reads the same way as training: the same bits, which the other way of multiplying would not give. */
Test(graph_tokens, inference_reads_as_training_does)
{
    model m = create(CLSEQ_CELL_LSTM, false);
    problem p = make_problem(CLSEQ_CELL_LSTM, 50, false);
    float y[2][T * B * H];
    set_params(&m, &p);
    for (int i = 0; i < 2; i++) {
        clseq_graph *g = clseq_graph_begin(m.ctx, i == 0 ? CLSEQ_MODE_TRAINING : CLSEQ_MODE_INFERENCE);
        EXPECT_OK(clseq_read(g, clseq_recur(g, m.rnn, input_of(&m, g, p.tokens, false), NULL), y[i]));
        graph_end(g);
    }
    cr_assert(compare_bits("y", y[1], y[0], T * B * H), "%s", compare_message());
    rnn_case_destroy(p.c);
    destroy(&m);
}

/* Two embeddings in turn, one of another store: each gives its own outputs. */
Test(graph_tokens, several_embeddings)
{
    model m = create(CLSEQ_CELL_GRU, false);
    clseq_params *others = NULL;
    clseq_embedding *second = NULL, *foreign = NULL;
    problem p = make_problem(CLSEQ_CELL_GRU, 40, false);
    EXPECT_OK(clseq_params_create(m.ctx, 4, &others));
    EXPECT_OK(clseq_embedding_new(others, "embed", V, E, &foreign));
    EXPECT_OK(clseq_embedding_new(m.params, "second", V, E, &second));
    set_params(&m, &p);
    graph_set_param(clseq_params_find(others, "embed.weight"), p.table);
    for (int round = 0; round < (test_small() ? 1 : 2); round++) {
        check_problem(&m, &p, false);
        model with_foreign = m;
        with_foreign.embed = foreign;
        clseq_graph *g = clseq_graph_begin(m.ctx, CLSEQ_MODE_INFERENCE);
        clseq_var *by_second = clseq_recur(
            g, m.rnn, clseq_embed(g, second, clseq_input_i32(g, p.tokens, 2, (int64_t[]){T, B})), NULL);
        clseq_var *rows = clseq_embed(g, second, clseq_input_i32(g, p.tokens, 1, (int64_t[]){T * B}));
        clseq_var *by_rows = clseq_recur(g, m.rnn, clseq_reshape(g, rows, 3, (int64_t[]){T, B, E}), NULL);
        clseq_var *initial[1] = {NULL};
        const clseq_recur_opts opts = {.lengths = lengths, .initial = initial};
        for (int i = 0; i < clseq_cell_states(CLSEQ_CELL_GRU); i++)
            initial[i] = graph_input(g, p.c->in[RNN_INITIAL + i], 3, (int64_t[]){L, B, H});
        clseq_var *y = clseq_recur(g, m.rnn, input_of(&with_foreign, g, p.tokens, false), &opts);
        float got[T * B * H], want[T * B * H];
        EXPECT_OK(clseq_read(g, by_second, got));
        EXPECT_OK(clseq_read(g, by_rows, want));
        for (int i = 0; i < T * B * H; i++)
            cr_assert_float_eq(got[i], want[i], 2e-6, "second: y[%d] is %.9g, expected %.9g", i,
                               (double)got[i], (double)want[i]);
        graph_expect_value_each("y", g, y, p.c->want[RNN_Y], p.c->bound[RNN_Y]);
        graph_end(g);
    }
    rnn_case_destroy(p.c);
    clseq_params_destroy(others);
    destroy(&m);
}

static void expect_refused(const model *m, clseq_graph *g, clseq_var *x, clseq_status status,
                           const char *part)
{
    cr_assert_null(clseq_recur(g, m->rnn, x, NULL));
    EXPECT_ERROR(clseq_graph_status(g), status, part);
    clseq_graph_end(g);
}

Test(graph_tokens, what_one_hot_refuses)
{
    static const int32_t numbers[T * B] = {[4] = V};
    static const float features[T * B * V] = {0};
    model m = create(CLSEQ_CELL_LSTM, true);
    clseq_graph *g = clseq_graph_begin(m.ctx, CLSEQ_MODE_TRAINING);
    expect_refused(&m, g, clseq_input_i32(g, numbers, 2, (int64_t[]){T, B}), CLSEQ_INVALID_ARGUMENT,
                   "recur: number");
    g = clseq_graph_begin(m.ctx, CLSEQ_MODE_TRAINING);
    expect_refused(&m, g, clseq_input_i32(g, numbers, 1, (int64_t[]){T * B}), CLSEQ_INVALID_SHAPE,
                   "expected [T,B]");
    g = clseq_graph_begin(m.ctx, CLSEQ_MODE_TRAINING);
    expect_refused(&m, g, clseq_input_f32(g, features, 3, (int64_t[]){T, B, V}), CLSEQ_INVALID_DTYPE, "x");
    destroy(&m);
}
