/*
 * rnn_layer.h - one layer in one direction, over a sequence whose rows all begin at step 0. The stack above it
 * (rnn.c) turns the rows of a reverse direction round, merges directions and hands sequences on.
 */
#ifndef CLSEQ_TESTS_REFERENCE_RNN_LAYER_H
#define CLSEQ_TESTS_REFERENCE_RNN_LAYER_H

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

/* From v->x and v->states at step 0. `margin` is lowered to how near a kink anything came; NULL: not wanted. */
void reference_layer_forward(const reference_layer *p, reference_trace *v, double *margin);

/*
 * From d->states at step T, to d->x and d->states at step 0 and p->dw (+=). dy [T,B,width] is the gradient of
 * the sequence that the layer puts out.
 */
void reference_layer_backward(const reference_layer *p, const reference_trace *v, const double *dy,
                              reference_trace *d);

#endif
