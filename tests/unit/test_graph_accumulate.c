/*
 * Gradients of several graphs add up until a step takes them: parts of a batch give what the whole gives, bit for bit, as the
 * models are exact (support/exact.h), also where weights are shared, frozen, and in groups of the optimiser.
 */
#include <criterion/criterion.h>

#include "support/compare.h"
#include "support/device.h"
#include "support/exact.h"
#include "support/graph.h"
#include "support/operand.h"
#include "support/store.h"
#include "train/params.h"
#include <stdlib.h>

enum { T = 3, B = 8, V = 3, E = 4, N = T * B };

typedef struct model {
    clseq_params *params;
    clseq_embedding *embed;
    clseq_rnn *rnn;
    clseq_linear *out;
    clseq_optimizer *sgd;
} model;

/* Two layers, the last layer with the embedding's weight; one recurrent weight is frozen, biases move more slowly. */
static model create(clseq_context *ctx)
{
    model m = {0};
    const clseq_param_group groups[] = {{"*.bias*", 0.5f, 0}, {"embed.*", 2, 0.25f}};
    clseq_optimizer_desc desc = clseq_optimizer_desc_default(CLSEQ_OPTIMIZER_SGD, 0.125f);
    EXPECT_OK(clseq_params_create(ctx, 1, &m.params));
    EXPECT_OK(clseq_embedding_new(m.params, "embed", V, E, &m.embed));
    EXPECT_OK(clseq_rnn_new(m.params, "rnn",
                            &(clseq_rnn_desc){.cell = CLSEQ_CELL_RNN_RELU, .input = E, .hidden = E}, NULL,
                            &m.rnn));
    EXPECT_OK(clseq_linear_new_tied(m.params, "out", clseq_embedding_weight(m.embed), true, &m.out));
    for (size_t i = 0; i < clseq_params_count(m.params); i++)
        exact_set(clseq_params_at(m.params, i), i);
    EXPECT_OK(clseq_params_freeze(m.params, "rnn.weight_ih_l0", true, NULL));
    desc.momentum = 0.5f;
    desc.weight_decay = 0.5f;
    desc.groups = groups;
    desc.group_count = 2;
    EXPECT_OK(clseq_optimizer_create(m.params, &desc, &m.sgd));
    return m;
}

/* Columns first .. first+count-1 of the batch, through a graph of their own. */
static void run(clseq_context *ctx, const model *m, int first, int count)
{
    int32_t tokens[N];
    for (int t = 0; t < T; t++)
        for (int b = 0; b < count; b++)
            tokens[t * count + b] = (exact_number(7, t * B + first + b) + 2) % V;
    clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
    clseq_var *x = clseq_embed(g, m->embed, clseq_input_i32(g, tokens, 2, (int64_t[]){T, count}));
    exact_backward(g, clseq_affine(g, m->out, clseq_recur(g, m->rnn, x, NULL)), first, B);
    graph_end(g);
}

Test(graph_accumulate, parts_of_a_batch_are_the_batch)
{
    static const int cuts[][5] = {{8}, {4, 4}, {1, 5, 2}, {2, 2, 2, 2}};
    clseq_context *ctx;
    for (int shape = 0; (ctx = test_context_shape(shape)) != NULL; shape++) {
        model whole = create(ctx);
        run(ctx, &whole, 0, B);
        for (size_t c = 0; c < sizeof cuts / sizeof cuts[0]; c++) {
            model parts = create(ctx);
            for (int i = 0, first = 0; cuts[c][i] > 0; first += cuts[c][i++])
                run(ctx, &parts, first, cuts[c][i]);
            for (size_t i = 0; i < clseq_params_count(parts.params); i++)
                exact_expect_same(clseq_params_at(parts.params, i), clseq_params_at(whole.params, i));
            clseq_optimizer_destroy(parts.sgd);
            clseq_params_destroy(parts.params);
        }
        clseq_optimizer_destroy(whole.sgd);
        clseq_params_destroy(whole.params);
        clseq_context_destroy(ctx);
    }
}

/* A step takes what has added up and leaves nothing. What is frozen stays. */
Test(graph_accumulate, a_step_takes_all_of_it)
{
    clseq_context *ctx = test_context();
    model whole = create(ctx), parts = create(ctx);
    float *start = store_read(whole.params, whole.params->values);
    run(ctx, &whole, 0, B);
    run(ctx, &parts, 0, 3);
    run(ctx, &parts, 3, B - 3);
    EXPECT_OK(clseq_optimizer_step(whole.sgd));
    EXPECT_OK(clseq_optimizer_step(parts.sgd));
    float *want = store_read(whole.params, whole.params->values);
    float *got = store_read(parts.params, parts.params->values);
    float *grads = store_read(parts.params, parts.params->grads);
    cr_assert(compare_bits("values", got, want, (size_t)whole.params->flat), "%s", compare_message());
    for (size_t i = 0; i < clseq_params_count(whole.params); i++) {
        const clseq_param *p = clseq_params_at(whole.params, i);
        cr_assert_eq(compare_bits(p->name, got + p->offset, start + p->offset, (size_t)p->elements),
                     clseq_param_is_frozen(p), "%s", p->name);
    }
    for (int64_t i = 0; i < parts.params->flat; i++)
        cr_assert_eq(grads[i], 0);
    free(want);
    free(got);
    free(grads);
    free(start);
    clseq_optimizer_destroy(whole.sgd);
    clseq_optimizer_destroy(parts.sgd);
    clseq_params_destroy(whole.params);
    clseq_params_destroy(parts.params);
    clseq_context_destroy(ctx);
}
