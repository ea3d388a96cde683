/*
 * A plan of a recurrent layer in graphs, with the layer's weights as that plan wants them.
 *
 * Every layer has one in which x comes as features. Where x comes straight from an embedding of the same store, the
 * first layer's product can be made once for each row of the table instead of once for each token:
 *
 *     x W_ih^T = onehot(tokens) E W_ih^T        so with P = W_ih E^T [G*H,V] in the place of W_ih the tokens are looked up
 *     dW_ih += dP E      dE += dP^T W_ih        and dx, which only the embedding would read, is not computed
 *
 * In a model of characters, of which there are few kinds, a quarter of the multiplications of two layers go away. Each
 * direction of the first layer has a W_ih and a P of its own.
 */
#ifndef CLSEQ_TRAIN_LAYER_PLAN_H
#define CLSEQ_TRAIN_LAYER_PLAN_H

#include <clseq/layers.h>

#define CLSEQ__DIRECTIONS 2

typedef struct clseq__layer_plan clseq__layer_plan;

struct clseq__layer_plan {
    clseq_rnn_plan *plan;
    /* [weights] of the parameters; filled in at the first use, the gradients for each backward pass */
    clseq_tensor *weights, *grads;
    bool has_weights;
    /* The weights in the plan's order, and what they were packed from and for. */
    clseq_tensor packed;
    uint64_t packed_version;
    clseq_mode packed_mode;
    clseq_schedule packed_schedule;
    /* NULL: x comes as features */
    const clseq_embedding *embedding;
    /* Directions of the first layer, each with P and its gradient in the place of W_ih, which is weight input[d]. */
    int tables;
    int64_t input[CLSEQ__DIRECTIONS];
    clseq_tensor p[CLSEQ__DIRECTIONS], dp[CLSEQ__DIRECTIONS];
    clseq__layer_plan *next;
};

/* Makes the plan and room for the weights. On failure nothing is left behind. */
clseq_status clseq__layer_plan_create(clseq_rnn *rnn, const clseq_rnn_desc *desc,
                                      const clseq_embedding *embedding, clseq__layer_plan **out);

/* This one and the next ones. NULL is allowed. */
void clseq__layer_plan_destroy(clseq_rnn *rnn, clseq__layer_plan *use);

/*
 * How to read T*B = `tokens` tokens through the embedding's table: *out, or NULL where the embedding should better be
 * run by itself, because its rows are too many, the schedule gains nothing, or it belongs to another store.
 */
clseq_status clseq__layer_plan_through(clseq_rnn *rnn, const clseq_embedding *embedding, int64_t tokens,
                                       clseq__layer_plan **out);

/* The packed weights for this shape, packed anew when parameters have changed since, or this shape wants others. */
clseq_status clseq__layer_plan_packed(clseq_rnn *rnn, clseq__layer_plan *use, const clseq_rnn_shape *shape,
                                      const clseq_rnn_sizes *sizes, clseq_tensor *out);

/* Around a backward pass that adds to *dweights, where frozen weights have no tensor; NULL where all are frozen. */
clseq_status clseq__layer_plan_begin_grads(clseq_rnn *rnn, clseq__layer_plan *use,
                                           const clseq_tensor **dweights);
clseq_status clseq__layer_plan_end_grads(clseq_rnn *rnn, clseq__layer_plan *use);

#endif
