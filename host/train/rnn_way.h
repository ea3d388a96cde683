/*
 * A way to run a recurrent layer in graphs: a plan, and the layer's weights as that plan wants them.
 *
 * Every layer has the plain way, in which x comes as features. Where x comes straight from an embedding of the same
 * store, the first layer's product can be made once for each row of the table instead of once for each token:
 *
 *     x W_ih^T = onehot(tokens) E W_ih^T        so with P = W_ih E^T [G*H,V] in the place of W_ih the tokens are looked up
 *     dW_ih += dP E      dE += dP^T W_ih        and dx, which only the embedding would read, is not computed
 *
 * In a model of characters, of which there are few kinds, a quarter of the multiplications of two layers go away.
 */
#ifndef CLSEQ_TRAIN_RNN_WAY_H
#define CLSEQ_TRAIN_RNN_WAY_H

#include <clseq/layers.h>

typedef struct clseq__rnn_way clseq__rnn_way;

struct clseq__rnn_way {
    clseq_rnn_plan *plan;
    clseq_rnn_weights *weights, *grads; /* [L], of the parameters; filled in at the first use */
    clseq_tensor packed; /* the weights in the plan's order, and what they were packed from and for */
    uint64_t packed_version;
    clseq_mode packed_mode;
    const clseq_embedding *embedding; /* NULL: the plain way */
    clseq_tensor p, dp;               /* P and its gradient, in the places of w_ih of the first layer */
    clseq__rnn_way *next;
};

/* Makes the plan and room for the weights. On failure nothing is left behind. */
clseq_status clseq__rnn_way_create(clseq_rnn *rnn, const clseq_embedding *embedding, clseq__rnn_way **out);

/* This one and the next ones. NULL is allowed. */
void clseq__rnn_way_destroy(clseq_rnn *rnn, clseq__rnn_way *way);

/*
 * How to read T*B = `tokens` tokens through the embedding's table: *out, or NULL where the embedding should better be
 * run by itself, because its rows are too many, the schedule gains nothing, or it belongs to another store.
 */
clseq_status clseq__rnn_way_through(clseq_rnn *rnn, const clseq_embedding *embedding, int64_t tokens,
                                    clseq__rnn_way **out);

/* The packed weights for this shape, packed anew when parameters have changed since, or training wants more of them. */
clseq_status clseq__rnn_way_packed(clseq_rnn *rnn, clseq__rnn_way *way, const clseq_rnn_shape *shape,
                                   const clseq_rnn_sizes *sizes, clseq_tensor *out);

/* Around a backward pass that adds to way->grads. */
clseq_status clseq__rnn_way_begin_grads(clseq_rnn *rnn, clseq__rnn_way *way);
clseq_status clseq__rnn_way_end_grads(clseq_rnn *rnn, clseq__rnn_way *way);

#endif
