/*
 * Parameters that several layers share, and layers that are used several times: one parameter, whose gradient is, bit for
 * bit, the sum of what the parameters of a model with a copy in each place get.
 */
#include <criterion/criterion.h>

#include "support/compare.h"
#include "support/device.h"
#include "support/exact.h"
#include "support/folder.h"
#include "support/graph.h"
#include "support/numeric.h"
#include "support/operand.h"
#include "support/random.h"
#include "train/params.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* V is few enough for recurrent layers to look tokens up in a table of products. */
enum { T = 3, B = 8, V = 5, E = 4, N = T * B };

static int32_t tokens[N];

/* The gradient of `shared` is the sum of those of a and b, and is not all zero. */
static void expect_sum(clseq_param *shared, clseq_param *a, clseq_param *b)
{
    float *got = exact_grad(shared), *want = exact_grad(a), *other = exact_grad(b);
    bool both[2] = {false, false};
    for (int64_t i = 0; i < shared->elements; i++) {
        both[0] = both[0] || want[i] != 0;
        both[1] = both[1] || other[i] != 0;
        want[i] += other[i];
    }
    cr_assert(both[0] && both[1], "a gradient is all zero");
    cr_assert(compare_bits(shared->name, got, want, (size_t)shared->elements), "%s", compare_message());
    free(got);
    free(want);
    free(other);
}

static void draw_tokens(void)
{
    test_random random = test_random_seed(5);
    test_random_fill_int(&random, tokens, N, 0, V - 1);
}

/* ---- weight tying ---- */

/* Tokens to logits: embedding, recurrent layer where asked for, and a last layer with the embedding's weight or a copy. */
typedef struct model {
    clseq_params *params;
    clseq_embedding *embed;
    clseq_rnn *rnn;
    clseq_linear *out;
} model;

static model create(clseq_context *ctx, bool tied, bool recurrent)
{
    model m = {0};
    EXPECT_OK(clseq_params_create(ctx, 1, &m.params));
    EXPECT_OK(clseq_embedding_new(m.params, "embed", V, E, &m.embed));
    if (recurrent)
        EXPECT_OK(clseq_rnn_new(m.params, "rnn",
                                &(clseq_rnn_desc){.cell = CLSEQ_CELL_RNN_RELU, .input = E, .hidden = E}, NULL,
                                &m.rnn));
    if (tied)
        EXPECT_OK(clseq_linear_new_tied(m.params, "out", clseq_embedding_weight(m.embed), true, &m.out));
    else
        EXPECT_OK(clseq_linear_new(m.params, "out", E, V, true, &m.out));
    exact_set(clseq_embedding_weight(m.embed), 1);
    exact_set(clseq_linear_weight(m.out), 1);
    exact_set(clseq_linear_bias(m.out), 2);
    for (int64_t i = 0; clseq_rnn_param(m.rnn, i); i++)
        exact_set(clseq_rnn_param(m.rnn, i), 3 + (uint64_t)i);
    return m;
}

static float *run(clseq_context *ctx, const model *m)
{
    clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
    clseq_var *x = clseq_embed(g, m->embed, clseq_input_i32(g, tokens, 2, (int64_t[]){T, B}));
    clseq_var *y = clseq_affine(g, m->out, m->rnn ? clseq_recur(g, m->rnn, x, NULL) : x);
    float *logits = test_floats((size_t)N * V);
    EXPECT_OK(clseq_read(g, y, logits));
    exact_backward(g, y, 0, B);
    graph_end(g);
    return logits;
}

Test(tied, gradients_of_an_embedding_and_the_last_layer_add_up)
{
    clseq_context *ctx;
    draw_tokens();
    for (int shape = 0; (ctx = test_context_shape(shape)) != NULL; shape++) {
        for (int recurrent = 0; recurrent < 2; recurrent++) {
            model tied = create(ctx, true, recurrent), apart = create(ctx, false, recurrent);
            float *got = run(ctx, &tied), *want = run(ctx, &apart);
            cr_assert(compare_bits("logits", got, want, (size_t)N * V), "%s", compare_message());
            expect_sum(clseq_embedding_weight(tied.embed), clseq_embedding_weight(apart.embed),
                       clseq_linear_weight(apart.out));
            exact_expect_same(clseq_linear_bias(tied.out), clseq_linear_bias(apart.out));
            for (int64_t i = 0; clseq_rnn_param(tied.rnn, i); i++)
                exact_expect_same(clseq_rnn_param(tied.rnn, i), clseq_rnn_param(apart.rnn, i));
            free(got);
            free(want);
            clseq_params_destroy(tied.params);
            clseq_params_destroy(apart.params);
        }
        clseq_context_destroy(ctx);
    }
}

/* ---- several uses ---- */

/* What stands in two places of a model: the same layer twice, layers over one weight, or copies. */
typedef struct place {
    clseq_embedding *embed;
    clseq_linear *linear;
    clseq_rnn *rnn;
} place;

typedef enum sharing { COPIES, ONE_LAYER, ONE_WEIGHT } sharing;

typedef struct kind {
    const char *name;
    void (*make)(clseq_params *params, const char *name, clseq_param *weight, place *out);
    clseq_var *(*use)(clseq_graph *g, const place *p, clseq_var *x);
    bool has_tied; /* whether layers can be made around a weight */
} kind;

static void make_embedding(clseq_params *params, const char *name, clseq_param *weight, place *out)
{
    EXPECT_OK(weight ? clseq_embedding_new_tied(params, weight, &out->embed)
                     : clseq_embedding_new(params, name, V, E, &out->embed));
}

static void make_linear(clseq_params *params, const char *name, clseq_param *weight, place *out)
{
    EXPECT_OK(weight ? clseq_linear_new_tied(params, name, weight, false, &out->linear)
                     : clseq_linear_new(params, name, E, E, false, &out->linear));
}

static void make_rnn(clseq_params *params, const char *name, clseq_param *weight, place *out)
{
    (void)weight;
    EXPECT_OK(clseq_rnn_new(params, name,
                            &(clseq_rnn_desc){.cell = CLSEQ_CELL_RNN_RELU, .input = E, .hidden = E}, NULL,
                            &out->rnn));
}

/* Without an x: the tokens, with it those of the other half of the batch beside it. */
static clseq_var *use_embedding(clseq_graph *g, const place *p, clseq_var *x)
{
    clseq_var *y = clseq_embed(g, p->embed, clseq_input_i32(g, tokens + (x ? B : 0), 2, (int64_t[]){2, B}));
    return x ? clseq_add(g, x, y) : y;
}

static clseq_var *features(clseq_graph *g, clseq_var *x)
{
    static float numbers[N * E];
    for (int i = 0; i < N * E; i++)
        numbers[i] = (float)(i % 5 - 2);
    return x ? x : clseq_input_f32(g, numbers, 3, (int64_t[]){T, B, E});
}

static clseq_var *use_linear(clseq_graph *g, const place *p, clseq_var *x)
{
    return clseq_affine(g, p->linear, features(g, x));
}

static clseq_var *use_rnn(clseq_graph *g, const place *p, clseq_var *x)
{
    return clseq_recur(g, p->rnn, features(g, x), NULL);
}

static const kind kinds[] = {{"embedding", make_embedding, use_embedding, true},
                             {"linear", make_linear, use_linear, true},
                             {"rnn", make_rnn, use_rnn, false}};

/* Two places, one after the other; the store, whose gradients are there. */
static clseq_params *two_places(clseq_context *ctx, const kind *k, sharing how)
{
    clseq_params *params = NULL;
    place p[2] = {{NULL, NULL, NULL}, {NULL, NULL, NULL}};
    EXPECT_OK(clseq_params_create(ctx, 1, &params));
    k->make(params, "first", NULL, &p[0]);
    const size_t count = clseq_params_count(params);
    if (how == ONE_LAYER)
        p[1] = p[0];
    else
        k->make(params, "second", how == ONE_WEIGHT ? clseq_params_at(params, 0) : NULL, &p[1]);
    for (size_t i = 0; i < clseq_params_count(params); i++)
        exact_set(clseq_params_at(params, i), i % count);
    cr_assert_eq(clseq_params_count(params), how == COPIES ? 2 * count : count);
    clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
    exact_backward(g, k->use(g, &p[1], k->use(g, &p[0], NULL)), 0, B);
    graph_end(g);
    return params;
}

Test(tied, what_is_used_twice_gets_both_gradients)
{
    clseq_context *ctx = test_context();
    draw_tokens();
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        clseq_params *copies = two_places(ctx, &kinds[k], COPIES);
        for (int how = ONE_LAYER; how <= (kinds[k].has_tied ? ONE_WEIGHT : ONE_LAYER); how++) {
            clseq_params *shared = two_places(ctx, &kinds[k], (sharing)how);
            const size_t count = clseq_params_count(shared);
            for (size_t i = 0; i < count; i++)
                expect_sum(clseq_params_at(shared, i), clseq_params_at(copies, i),
                           clseq_params_at(copies, count + i));
            clseq_params_destroy(shared);
        }
        clseq_params_destroy(copies);
    }
    clseq_context_destroy(ctx);
}

/* ---- names, files, errors ---- */

Test(tied, a_weight_is_there_once)
{
    char folder[FOLDER_PATH], path[2 * FOLDER_PATH];
    clseq_context *ctx = test_context();
    model m = create(ctx, true, false), back = create(ctx, true, false), apart = create(ctx, false, false);
    float want[V * E], got[V * E];
    cr_assert_eq(clseq_params_count(m.params), 2);
    cr_assert_eq(clseq_params_elements(m.params), V * E + V);
    cr_assert_eq(clseq_linear_weight(m.out), clseq_embedding_weight(m.embed));
    cr_assert_eq(clseq_params_find(m.params, "embed.weight"), clseq_embedding_weight(m.embed));
    cr_assert_eq(clseq_params_find(m.params, "out.bias"), clseq_linear_bias(m.out));
    cr_assert_null(clseq_params_find(m.params, "out.weight"));
    folder_create(folder);
    snprintf(path, sizeof path, "%s/model", folder);
    exact_set(clseq_embedding_weight(m.embed), 11);
    EXPECT_OK(clseq_checkpoint_save(path, &(clseq_checkpoint){.params = m.params}));
    EXPECT_OK(clseq_checkpoint_load(path, &(clseq_checkpoint){.params = back.params}));
    EXPECT_OK(clseq_param_get(clseq_embedding_weight(m.embed), want));
    EXPECT_OK(clseq_param_get(clseq_linear_weight(back.out), got));
    cr_assert(compare_bits("weight", got, want, V * E), "%s", compare_message());
    EXPECT_ERROR(clseq_checkpoint_load(path, &(clseq_checkpoint){.params = apart.params}), CLSEQ_NOT_FOUND,
                 "out.weight");
    folder_remove(folder);
    clseq_params_destroy(m.params);
    clseq_params_destroy(back.params);
    clseq_params_destroy(apart.params);
    clseq_context_destroy(ctx);
}

Test(tied, accessors)
{
    clseq_context *ctx = test_context();
    clseq_params *params = NULL;
    clseq_linear *plain = NULL;
    clseq_rnn *rnn = NULL;
    EXPECT_OK(clseq_params_create(ctx, 1, &params));
    EXPECT_OK(clseq_linear_new(params, "out", 3, 2, false, &plain));
    EXPECT_OK(clseq_rnn_new(params, "rnn", &(clseq_rnn_desc){.cell = CLSEQ_CELL_GRU, .input = 3, .hidden = 4},
                            NULL, &rnn));
    cr_assert_null(clseq_linear_bias(plain));
    cr_assert_null(clseq_linear_weight(NULL));
    cr_assert_null(clseq_linear_bias(NULL));
    cr_assert_null(clseq_embedding_weight(NULL));
    cr_assert_str_eq(clseq_param_name(clseq_rnn_param(rnn, 0)), "rnn.weight_ih_l0");
    cr_assert_str_eq(clseq_param_name(clseq_rnn_param(rnn, 3)), "rnn.bias_hh_l0");
    cr_assert_null(clseq_rnn_param(rnn, 4));
    cr_assert_null(clseq_rnn_param(rnn, -1));
    cr_assert_null(clseq_rnn_param(NULL, 0));
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
}

Test(tied, errors)
{
    clseq_context *ctx = test_context();
    clseq_params *params = NULL, *other = NULL;
    clseq_param *w = NULL, *vector = NULL, *foreign = NULL;
    clseq_linear *linear = NULL;
    clseq_embedding *embed = NULL;
    EXPECT_OK(clseq_params_create(ctx, 1, &params));
    EXPECT_OK(clseq_params_create(ctx, 1, &other));
    EXPECT_OK(clseq_params_add(params, "w", 2, (int64_t[]){V, E}, NULL, &w));
    EXPECT_OK(clseq_params_add(params, "v", 1, (int64_t[]){V}, NULL, &vector));
    EXPECT_OK(clseq_params_add(params, "x.bias", 1, (int64_t[]){V}, NULL, NULL));
    EXPECT_OK(clseq_params_add(other, "w", 2, (int64_t[]){V, E}, NULL, &foreign));
    EXPECT_ERROR(clseq_linear_new_tied(params, "y", NULL, true, &linear), CLSEQ_INVALID_ARGUMENT,
                 "linear new tied: weight is NULL");
    EXPECT_ERROR(clseq_linear_new_tied(params, "y", vector, true, &linear), CLSEQ_INVALID_SHAPE,
                 "linear new tied: weight v has shape [5], expected [out_features,in_features]");
    EXPECT_ERROR(clseq_linear_new_tied(params, "y", foreign, true, &linear), CLSEQ_INVALID_ARGUMENT,
                 "linear new tied: weight w belongs to another store");
    EXPECT_ERROR(clseq_linear_new_tied(params, "x", w, true, &linear), CLSEQ_INVALID_ARGUMENT, "\"x.bias\"");
    EXPECT_ERROR(clseq_linear_new_tied(params, "", w, true, &linear), CLSEQ_INVALID_ARGUMENT,
                 "linear new tied: the name is empty");
    EXPECT_ERROR(clseq_linear_new_tied(NULL, "y", w, true, &linear), CLSEQ_INVALID_ARGUMENT,
                 "linear new tied: params is NULL");
    EXPECT_ERROR(clseq_embedding_new_tied(params, NULL, &embed), CLSEQ_INVALID_ARGUMENT,
                 "embedding new tied: weight is NULL");
    EXPECT_ERROR(clseq_embedding_new_tied(params, vector, &embed), CLSEQ_INVALID_SHAPE,
                 "embedding new tied: weight v has shape [5], expected [vocabulary,features]");
    EXPECT_ERROR(clseq_embedding_new_tied(other, w, &embed), CLSEQ_INVALID_ARGUMENT,
                 "embedding new tied: weight w belongs to another store");
    EXPECT_ERROR(clseq_embedding_new_tied(NULL, w, &embed), CLSEQ_INVALID_ARGUMENT,
                 "embedding new tied: params is NULL");
    cr_assert_eq(clseq_params_count(params), 3);

    /* without a bias a name may be one that is there, and the store may be in use */
    EXPECT_OK(clseq__params_materialize(params));
    EXPECT_OK(clseq_linear_new_tied(params, "x", w, false, &linear));
    EXPECT_OK(clseq_embedding_new_tied(params, w, &embed));
    EXPECT_ERROR(clseq_linear_new_tied(params, "y", w, true, &linear), CLSEQ_INVALID_STATE,
                 "y.bias comes too late");
    clseq_params_destroy(params);
    clseq_params_destroy(other);
    clseq_context_destroy(ctx);
}
