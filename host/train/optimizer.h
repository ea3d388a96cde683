/*
 * What an optimiser holds; checkpoints save and load it. Adding an optimiser: a row in `rules` of optimizer.c and a
 * kernel in cl/train/optimizer.cl.
 */
#ifndef CLSEQ_TRAIN_OPTIMIZER_H
#define CLSEQ_TRAIN_OPTIMIZER_H

#include "core/program.h"
#include "train/params.h"
#include "train/step_record.h"
#include <clseq/optim.h>

#define CLSEQ__MOMENTS_MAX 2

/* An update rule. SGD has two, with and without momentum. */
typedef struct clseq__rule {
    const char *name;                             /* "sgd", "adam", "adamw": as checkpoints call it */
    int moments;                                  /* buffers that it keeps between steps */
    const char *moment_names[CLSEQ__MOMENTS_MAX]; /* PyTorch's: "momentum_buffer", "exp_avg", "exp_avg_sq" */
    const char *kernel;                           /* and the same with "_by_block" */
    float beta1, beta2, eps;                      /* by default */
    /* Sets what the rule reads of the record (cl/train/step_record.h), which has n and decay and is zero otherwise. */
    void (*fill)(const clseq_optimizer *optimizer, float lr, step_record *r);
} clseq__rule;

/* What a parameter has by its group. */
typedef struct clseq__group_rates {
    float lr_scale, weight_decay;
} clseq__group_rates;

struct clseq_optimizer {
    clseq_context *ctx;
    clseq_params *params;
    const clseq__rule *rule;
    clseq_optimizer_desc desc;
    int64_t steps; /* taken so far */
    clseq__kernel *kernel, *kernel_by_block;
    cl_mem moments[CLSEQ__MOMENTS_MAX]; /* laid out as the store's values, zero in the gaps; zeros at first */
    /* [parameters]; NULL: no groups, all have those of the descriptor */
    clseq__group_rates *own;
    /* The table of optimizer.cl, for the store's frozen parameters of this version; NULL: not needed yet. */
    cl_mem blocks;
    uint64_t blocks_version;
};

/* Finds each parameter's group. (optimizer_blocks.c) */
clseq_status clseq__optimizer_take_groups(clseq_optimizer *optimizer, const clseq_param_group *groups,
                                          size_t count);

/* The table for the next step, or NULL where all parameters have the same numbers. (optimizer_blocks.c) */
clseq_status clseq__optimizer_blocks(clseq_optimizer *optimizer, cl_mem *out);

/* A moment of a parameter of the optimiser's store, 0 <= moment < rule->moments, as a view that may be written. */
clseq_tensor clseq__optimizer_moment(const clseq_optimizer *optimizer, int moment, const clseq_param *param);

/* Goes on as if this many steps had been taken. */
void clseq__optimizer_set_steps(clseq_optimizer *optimizer, int64_t steps);

#endif
