/* What layers hold. They belong to their parameter store. */
#ifndef CLSEQ_TRAIN_LAYERS_H
#define CLSEQ_TRAIN_LAYERS_H

#include "train/params.h"
#include "train/rnn_way.h"
#include <clseq/layers.h>

struct clseq_embedding {
    clseq_params *params;
    clseq__param_range own;
    clseq_param *weight; /* [V,E] */
};

struct clseq_linear {
    clseq_params *params;
    clseq__param_range own;
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
    clseq__param_range own;
    clseq_rnn_desc desc;       /* layers at least 1 */
    clseq__rnn_params *layers; /* [L] */
    clseq__rnn_way *way;       /* the plain one, then those through embeddings */
};

struct clseq_state {
    clseq_context *ctx;
    int64_t dims[3]; /* L B H */
    int count;       /* states of the cell */
    clseq_tensor tensors[CLSEQ_RNN_MAX_STATES];
};

#endif
