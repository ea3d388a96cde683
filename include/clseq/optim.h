/*
 * Optimisers over a parameter store, and learning rates as functions of the step.
 *
 *     clseq_context *ctx = NULL;
 *     clseq_params *params = NULL;
 *     clseq_optimizer *adam = NULL;
 *     clseq_context_create(NULL, &ctx);
 *     clseq_params_create(ctx, 1, &params);
 *     clseq_params_add(params, "w", 1, (int64_t[]){128}, NULL, NULL);
 *     clseq_optimizer_desc desc = clseq_optimizer_desc_default(CLSEQ_OPTIMIZER_ADAM, 2e-3f);
 *     desc.weight_decay = 1e-4f;
 *     clseq_optimizer_create(params, &desc, &adam);
 *     clseq_clip_global_norm(params, 5.0f, NULL);
 *     clseq_optimizer_step(adam);
 *     clseq_optimizer_destroy(adam);
 *     clseq_params_destroy(params);
 *     clseq_context_destroy(ctx);
 *
 * Update rules are PyTorch's; g is the gradient, w a value, lr the rate of this step:
 *
 * SGD    g += decay*w;  v = momentum*v + g (v = g at the first step);  w -= lr*(nesterov ? g + momentum*v : v)
 * ADAM   g += decay*w;  m = b1*m + (1-b1)*g;  v = b2*v + (1-b2)*g*g;
 * .      w -= lr * (m/(1-b1^t)) / (sqrt(v/(1-b2^t)) + eps)           (Kingma and Ba 2015)
 * ADAMW  w -= lr*decay*w, then as ADAM without decay                 (Loshchilov and Hutter 2019)
 */
#ifndef CLSEQ_OPTIM_H
#define CLSEQ_OPTIM_H

#include <clseq/params.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum clseq_optimizer_kind {
    CLSEQ_OPTIMIZER_SGD = 0,
    CLSEQ_OPTIMIZER_ADAM = 1,
    CLSEQ_OPTIMIZER_ADAMW = 2,
    CLSEQ_OPTIMIZER_COUNT = 3
} clseq_optimizer_kind;

/* The learning rate of step 0, 1, 2, ...; called on the host before each step. */
typedef float (*clseq_lr_fn)(int64_t step, void *user);

/*
 * Parameters with numbers of their own: those whose names match a pattern with * and ?, as clseq_params_freeze takes it. All
 * numbers are taken as they stand.
 */
typedef struct clseq_param_group {
    const char *pattern;
    /* A factor on the rate of each step; positive. */
    float lr_scale;
    /* In place of the descriptor's; at least 0. */
    float weight_decay;
} clseq_param_group;

/* Every number is taken as it stands: a descriptor begins with clseq_optimizer_desc_default. */
typedef struct clseq_optimizer_desc {
    clseq_optimizer_kind kind;
    /* Used when lr_at is NULL; must be positive. */
    float lr;
    /* The rate as a function of the step, at least 0. */
    clseq_lr_fn lr_at;
    void *lr_user;
    /* SGD; 0 <= momentum < 1. */
    float momentum;
    /* SGD, needs momentum. */
    bool nesterov;
    /* ADAM, ADAMW; 0 <= beta < 1. */
    float beta1, beta2;
    /*
     * ADAM, ADAMW; at least 0. beta2 and eps may not both be 0, as in a descriptor whose numbers were forgotten. An element
     * to which no gradient came yet stays as it is also where eps is 0.
     */
    float eps;
    /* At least 0. */
    float weight_decay;
    /*
     * A parameter belongs to the first group that it matches; one that matches none has the rate as it is and weight_decay
     * above. Biases and norms without decay: {"*.bias", 1, 0}, {"*.bias_*", 1, 0}, {"*.gain_*", 1, 0}. A group without
     * parameters is CLSEQ_NOT_FOUND, or CLSEQ_INVALID_ARGUMENT where groups before it have them all. Read by create alone.
     */
    const clseq_param_group *groups;
    size_t group_count;
} clseq_optimizer_desc;

/*
 * A descriptor of this kind with this rate and PyTorch's other numbers: no momentum, beta1 0.9, beta2 0.999, eps 1e-8;
 * weight_decay 0, for ADAMW too, where PyTorch has 0.01.
 */
CLSEQ_API clseq_optimizer_desc clseq_optimizer_desc_default(clseq_optimizer_kind kind, float lr);

/* An optimiser holds its store: the two may be destroyed in either order. */
typedef struct clseq_optimizer clseq_optimizer;

CLSEQ_API clseq_status clseq_optimizer_create(clseq_params *params, const clseq_optimizer_desc *desc,
                                              clseq_optimizer **out);

/* NULL is allowed. */
CLSEQ_API void clseq_optimizer_destroy(clseq_optimizer *optimizer);

/*
 * Applies the gradients and sets them to zero, in one kernel, whatever groups there are and whatever is frozen. Enqueues
 * only; the first step of an optimiser with groups, and the first after something was frozen or freed, waits for the queue.
 * All parameters share the count of steps, also those that were frozen for some of them. A rate from lr_at that is negative, NaN or
 * infinite is CLSEQ_INVALID_ARGUMENT, and nothing is changed.
 */
CLSEQ_API clseq_status clseq_optimizer_step(clseq_optimizer *optimizer);

/* Steps taken so far; part of a checkpoint. */
CLSEQ_API int64_t clseq_optimizer_steps(const clseq_optimizer *optimizer);

/* Replaces lr (and lr_at by NULL). */
CLSEQ_API clseq_status clseq_optimizer_set_lr(clseq_optimizer *optimizer, float lr);

/* The rate that the next step will use. */
CLSEQ_API float clseq_optimizer_lr(const clseq_optimizer *optimizer);

/*
 * Ready-made rates; `user` is a clseq_lr. Step s < warmup has the part s/warmup of the rate, the first step none. After
 * the warm-up, with p the part of the steps warmup .. period that is over (1 from `period` on):
 *
 * constant   base
 * decay      base * factor^k, k = (s - warmup) / period rounded down; period 0: no decay
 * linear     base * (1 + (factor - 1) * p)
 * cosine     base * (factor + (1 - factor) * (1 + cos(pi p)) / 2)                (Loshchilov and Hutter 2017)
 */
typedef struct clseq_lr {
    float base;
    int64_t warmup;
    int64_t period;
    float factor; /* linear, cosine: the last rate as a part of base */
} clseq_lr;

CLSEQ_API float clseq_lr_constant(int64_t step, void *user);
CLSEQ_API float clseq_lr_decay(int64_t step, void *user);
CLSEQ_API float clseq_lr_linear(int64_t step, void *user);
CLSEQ_API float clseq_lr_cosine(int64_t step, void *user);

#ifdef __cplusplus
}
#endif
#endif
