/*
 * Optimiser steps over all parameters at once; the equations are in clseq/optim.h. w: values, g: gradients, which
 * become 0, m and v: the rule's moments, as many as it has. The gaps between parameters hold zeros, and every rule turns
 * zeros into zeros.
 *
 * A rule is one function, from which two kernels are made: RULE_step takes the same numbers for all elements,
 * RULE_step_by_block looks up those of each block of STEP_BLOCK floats in the table `blocks` and leaves frozen blocks alone.
 */
#include "core/elementwise.clh"
#include "train/step_record.h"

/* What a parameter may have of its own: the rate, and decay in the gradient and in the value. */
typedef struct step_rates {
    float rate, decay, shrink;
} step_rates;

static inline step_rates rates_of(step_record r, float scale, float decay)
{
    step_rates own;
    own.rate = r.rate * scale;
    own.decay = r.coupled * decay;
    own.shrink = r.decoupled * scale * decay;
    return own;
}

/* Elements i .. i+LANES-1 by plain descent. */
static inline void sgd(step_record r, step_rates own, long i, global float *w, global float *g,
                       global float *m, global float *v)
{
    const V value = LOAD(w + i);
    const V gradient = fma((V)(own.decay), value, LOAD(g + i));
    STORE(fma((V)(-own.rate), gradient, value), w + i);
}

/* m: velocity */
static inline void momentum(step_record r, step_rates own, long i, global float *w, global float *g,
                            global float *m, global float *v)
{
    const V value = LOAD(w + i);
    const V gradient = fma((V)(own.decay), value, LOAD(g + i));
    const V velocity = fma((V)(r.beta1), LOAD(m + i), gradient);
    const V direction = r.nesterov ? fma((V)(r.beta1), velocity, gradient) : velocity;
    STORE(fma((V)(-own.rate), direction, value), w + i);
    STORE(velocity, m + i);
}

/*
 * Adam and AdamW; rate = lr/(1-b1^t), correction = 1/sqrt(1-b2^t). Where eps is 0 and no gradient has come yet, the step is
 * 0 and not 0/0.
 */
static inline void adam(step_record r, step_rates own, long i, global float *w, global float *g,
                        global float *m, global float *v)
{
    V value = LOAD(w + i);
    const V gradient = fma((V)(own.decay), value, LOAD(g + i));
    const V mean = fma((V)(r.beta1), LOAD(m + i), r.rest1 * gradient);
    const V square = fma((V)(r.beta2), LOAD(v + i), r.rest2 * gradient * gradient);
    value = fma((V)(-own.shrink), value, value);
    const V size = fma(sqrt(square), (V)(r.correction), (V)(r.eps));
    value -= size == (V)(0.0f) ? (V)(0.0f) : own.rate * mean / size;
    STORE(value, w + i);
    STORE(mean, m + i);
    STORE(square, v + i);
}

#define STEP_ARGUMENTS                                                                      \
    step_record record, global float *w, global float *g, global float *m, global float *v, \
        global const float *blocks

/* The record is copied so that its numbers stay in registers. */
#define STEP_KERNELS(rule)                                         \
    kernel void rule##_step(STEP_ARGUMENTS)                        \
    {                                                              \
        const step_record r = record;                              \
        const step_rates own = rates_of(r, 1.0f, r.decay);         \
        FOR_EACH_VECTOR(i, r.n)                                    \
        {                                                          \
            rule(r, own, i, w, g, m, v);                           \
            STORE((V)(0.0f), g + i);                               \
        }                                                          \
    }                                                              \
    kernel void rule##_step_by_block(STEP_ARGUMENTS)               \
    {                                                              \
        const step_record r = record;                              \
        FOR_EACH_VECTOR(i, r.n)                                    \
        {                                                          \
            const float2 block = vload2(i / STEP_BLOCK, blocks);   \
            if (block.x == STEP_FROZEN)                            \
                continue;                                          \
            rule(r, rates_of(r, block.x, block.y), i, w, g, m, v); \
            STORE((V)(0.0f), g + i);                               \
        }                                                          \
    }

STEP_KERNELS(sgd)
STEP_KERNELS(momentum)
STEP_KERNELS(adam)
