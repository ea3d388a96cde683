/*
 * attention.h - attention and pooling over time in double precision, forward and backward, as include/clseq/attention.h
 * describes them. Written out row by row and score by score; everything is packed.
 *
 * Pooling is additive attention without queries (Q = 0) whose values are the keys: of one query (T = 1) over all steps, or,
 * causal, of S queries, query t over the steps up to t.
 */
#ifndef CLSEQ_TESTS_REFERENCE_ATTENTION_H
#define CLSEQ_TESTS_REFERENCE_ATTENTION_H

#include "rounding.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* q . k, or v . tanh(q + k), of queries and keys that are projected where there are weights for it. */
typedef enum reference_window {
    REFERENCE_GLOBAL,
    REFERENCE_MONOTONIC,
    REFERENCE_PREDICTED,
    REFERENCE_CAUSAL
} reference_window;

/* Inputs, each with the output in its place. */
enum {
    ATTENTION_QUERIES,       /* [T,B,Q]; dqueries */
    ATTENTION_KEYS,          /* [S,B,K]; dkeys */
    ATTENTION_VALUES,        /* [S,B,V], nothing where the keys are the values; dvalues */
    ATTENTION_INITIAL,       /* [B,S]; final */
    ATTENTION_DCONTEXT,      /* [T,B,V]; context */
    ATTENTION_DALIGNMENT,    /* [T,B,S]; alignment */
    ATTENTION_WEIGHT_QUERY,  /* [A,Q]; its gradient, as in all that follow */
    ATTENTION_WEIGHT_KEY,    /* [A,K] */
    ATTENTION_BIAS,          /* [A] */
    ATTENTION_VECTOR,        /* [A] */
    ATTENTION_GAIN,          /* [1] */
    ATTENTION_CENTRE,        /* [P,Q] */
    ATTENTION_CENTRE_VECTOR, /* [P] */
    ATTENTION_FILTER,        /* [C,width] */
    ATTENTION_LOCATION,      /* [A,C] */
    ATTENTION_PLACES
};

typedef struct reference_attention {
    size_t T, S, B, Q, K, V; /* V 0: the keys are the values */
    size_t A;                /* 0: q . k */
    bool projects_queries, projects_keys, bias, normalise;
    reference_window window;
    double radius, rate;
    size_t P, C, width;
    bool sums;
    const int32_t *lengths; /* [B] or NULL */
    const int32_t *mask;    /* [S,B] or NULL */
    reference_rounding *rounding;
    double *margin; /* out, where not NULL: how near a key came to the end of a predicted window */
} reference_attention;

/* Elements of what is in a place; 0: nothing. */
size_t reference_attention_size(const reference_attention *a, int place);

/* Forward, and where `backward` the gradients: in [ATTENTION_PLACES], out [ATTENTION_PLACES] written (=). */
void reference_attention_run(const reference_attention *a, double *const in[], double *const out[],
                             bool backward);

#endif
