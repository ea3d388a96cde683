/*
 * rnn_trace.h - one layer in one direction, the arrays of all that it computes, and where the rows of these begin. rnn_layer.h
 * runs it; what it does at a step stands in rnn_product.h, rnn_map.h and rnn_draws.h, whose functions work on one row of the
 * batch at step t, number `step` = t*B + b of the trace. v holds values, d their gradients.
 */
#ifndef CLSEQ_TESTS_REFERENCE_RNN_TRACE_H
#define CLSEQ_TESTS_REFERENCE_RNN_TRACE_H

#include "rnn.h"

typedef struct reference_layer {
    const reference_rnn *net;
    int number, direction;              /* of the stack's */
    size_t inputs, H, width;            /* features that it reads, hidden units, width of h */
    double *w[REFERENCE_WEIGHT_KINDS];  /* NULL: the net has none */
    double *dw[REFERENCE_WEIGHT_KINDS]; /* NULL: not wanted */
} reference_layer;

/* What layer normalisation computed of every row and step. */
typedef struct reference_norm {
    double *out;  /* [T,B,n] mean 0, variance 1 */
    double *rstd; /* [T,B] */
    size_t n;
} reference_norm;

/*
 * Everything that a layer computes, or the gradient of everything. Rows and steps past a row's end stay zero,
 * except that the states go on there unchanged.
 */
typedef struct reference_trace {
    double *x;                            /* [T,B,inputs] */
    double *states[REFERENCE_MAX_STATES]; /* [T+1,B,width] before each step, and after the last */
    double *product_ih, *product_hh;      /* [T,B,G*H], with the bias where there is no layer normalisation */
    double *input, *recurrent;            /* [T,B,G*H] what the cell sees of them */
    double *parameter;                    /* [T,B,K*H] parameters of a unit; K is REFERENCE_MAX_PARAMETERS */
    double *quantity, *normed;            /* [T,B,H] */
    double *hidden;                       /* [T,B,H] the cell's h', before a projection */
    double *masked;                       /* [T,B,width] h before each step, as its products read it */
    double *keep[REFERENCE_MAX_STATES];   /* [T,B,H] of zoneout; of values only */
    reference_norm norm_ih, norm_hh, norm_state; /* of values only */
} reference_trace;

reference_trace reference_trace_create(const reference_layer *p);
void reference_trace_destroy(reference_trace *trace);

/* G*H */
static inline size_t reference_gate_rows(const reference_layer *p)
{
    return (size_t)p->net->cell->gates * p->H;
}

/* Features of a state. */
static inline size_t reference_width_of(const reference_layer *p, int state)
{
    return state == 0 ? p->width : p->H;
}

/* Row `step` = t*B + b of a [T,B,n] array; t = T is the row after the last step of a state. */
static inline double *reference_row(double *array, size_t n, size_t step)
{
    return array + step * n;
}

/* t*B + b */
static inline size_t reference_step_at(const reference_layer *p, int t, int b)
{
    return (size_t)t * (size_t)p->net->B + (size_t)b;
}

/* The row of a state before this step, and after it. */
static inline double *reference_state_before(const reference_layer *p, const reference_trace *a, int state,
                                             size_t step)
{
    return reference_row(a->states[state], reference_width_of(p, state), step);
}

static inline double *reference_state_after(const reference_layer *p, const reference_trace *a, int state,
                                            size_t step)
{
    return reference_row(a->states[state], reference_width_of(p, state), step + (size_t)p->net->B);
}

#endif
