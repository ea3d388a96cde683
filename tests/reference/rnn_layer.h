/*
 * rnn_layer.h - one layer in one direction, over a sequence whose rows all begin at step 0. The stack above it
 * (rnn.c) turns the rows of a reverse direction round, merges directions and hands sequences on.
 */
#ifndef CLSEQ_TESTS_REFERENCE_RNN_LAYER_H
#define CLSEQ_TESTS_REFERENCE_RNN_LAYER_H

#include "rnn_trace.h"

/* From v->x and v->states at step 0. `margin` is lowered to how near a kink anything came; NULL: not wanted. */
void reference_layer_forward(const reference_layer *p, reference_trace *v, double *margin);

/*
 * From d->states at step T, to d->x and d->states at step 0 and p->dw (+=). dy [T,B,width] is the gradient of
 * the sequence that the layer puts out.
 */
void reference_layer_backward(const reference_layer *p, const reference_trace *v, const double *dy,
                              reference_trace *d);

#endif
