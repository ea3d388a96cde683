/* What layers hold. They belong to their parameter store. */
#ifndef CLSEQ_TRAIN_LAYERS_H
#define CLSEQ_TRAIN_LAYERS_H

#include "train/layer_plan.h"
#include "train/linear_packed.h"
#include "train/params.h"
#include <clseq/layers.h>

struct clseq_embedding {
    clseq_params *params;
    clseq__param_list list; /* of weight */
    clseq_param *weight;    /* [V,E] */
};

struct clseq_linear {
    clseq_params *params;
    clseq__param_list list; /* of both */
    clseq_param *both[2];
    clseq_param *weight; /* [out,in] */
    clseq_param *bias;   /* [out]; NULL: none */
    clseq__linear_packed forward, backward;
};

struct clseq_rnn {
    clseq_params *params;
    clseq__param_list list; /* of weights */
    int64_t weight_count;
    clseq_param **weights; /* [weight_count], in the plan's order */
    /* The descriptor's own, whose x are features or numbers as it says; then one for each embedding read through. */
    clseq__layer_plan *plans;
};

struct clseq_norm {
    clseq_params *params;
    clseq_norm_kind kind;
    float eps;
    clseq_param *weight; /* [features] */
    clseq_param *bias;   /* [features]; NULL: none */
};

struct clseq_state {
    clseq_context *ctx;
    int count;
    char **names;          /* [count] */
    clseq_tensor *tensors; /* [count] */
};

/* What makes a layer has a store and a name; `function` begins the sentence. */
clseq_status clseq__layer_check(const char *function, const clseq_params *params, const char *name);

/* "NAME.PART" as a parameter. */
clseq_status clseq__layer_add(clseq_params *params, const char *layer, const char *part, int ndim,
                              const int64_t *dims, const clseq_init *init, clseq_param **out);

#endif
