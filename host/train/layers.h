/* What layers hold. They belong to their parameter store. */
#ifndef CLSEQ_TRAIN_LAYERS_H
#define CLSEQ_TRAIN_LAYERS_H

#include "train/params.h"
#include <clseq/layers.h>

struct clseq_embedding {
    clseq_params *params;
    clseq_param *weight; /* [V,E] */
};

struct clseq_linear {
    clseq_params *params;
    clseq_param *weight; /* [out,in] */
    clseq_param *bias;   /* [out]; NULL: none */
};

/* The parameters of one recurrent layer. */
typedef struct clseq__rnn_params {
    clseq_param *w_ih, *w_hh;
    clseq_param *b_ih, *b_hh; /* NULL: none */
} clseq__rnn_params;

struct clseq_rnn {
    clseq_params *params;
    clseq_rnn_desc desc; /* layers at least 1 */
    clseq_rnn_plan *plan;
    clseq__rnn_params *layers; /* [L] */
    clseq_rnn_weights
        *weights; /* [L], the parameters' values and gradients as tensors, filled in at the first use */
    clseq_rnn_weights *grads;
    /* The weights as the plan wants them, and what they were packed from and for. */
    clseq_tensor packed;
    uint64_t packed_version;
    clseq_mode packed_mode;
};

struct clseq_state {
    clseq_context *ctx;
    int64_t dims[3]; /* L B H */
    int count;       /* states of the cell */
    clseq_tensor tensors[CLSEQ_RNN_MAX_STATES];
};

/*
 * The layer's packed weights for this shape, packed anew when parameters have changed since, or when another shape or
 * mode wants them in another way.
 */
clseq_status clseq__rnn_packed(clseq_rnn *rnn, const clseq_rnn_shape *shape, const clseq_rnn_sizes *sizes,
                               clseq_tensor *out);

#endif
