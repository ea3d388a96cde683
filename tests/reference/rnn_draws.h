/* rnn_draws.h - the options of a layer that draw random numbers: recurrent dropout and zoneout. */
#ifndef CLSEQ_TESTS_REFERENCE_RNN_DRAWS_H
#define CLSEQ_TESTS_REFERENCE_RNN_DRAWS_H

#include "rnn_trace.h"

/* Whether products read h times a mask. */
bool reference_masks_h(const reference_layer *p);

/* v->masked from h before the step; nothing where products read h itself. */
void reference_mask_forward(const reference_layer *p, reference_trace *v, size_t step);

/* Adds (+=) to the gradient of h before the step what d->masked passes on. */
void reference_mask_backward(const reference_layer *p, reference_trace *d, size_t step);

/* Mixes what the states were into what they are after the step, by v->keep, which it sets. */
void reference_keep_forward(const reference_layer *p, reference_trace *v, size_t step);

/* The gradients of the states after the step become those of what the cell made, those before it are added to (+=). */
void reference_keep_backward(const reference_layer *p, const reference_trace *v, reference_trace *d,
                             size_t step);

#endif
