/* rnn_map.h - the phases of the cell for every unit of a row. */
#ifndef CLSEQ_TESTS_REFERENCE_RNN_MAP_H
#define CLSEQ_TESTS_REFERENCE_RNN_MAP_H

#include "rnn_trace.h"

/*
 * What this phase sets: v->quantity, v->hidden, which is the cell's h', and the other states after the step. `margin` is
 * lowered to how near a kink any unit came; NULL: not wanted.
 */
void reference_map_forward(const reference_layer *p, reference_trace *v, size_t step, int phase,
                           double *margin);

/* Adds (+=) to the gradients of what the phase reads. */
void reference_map_backward(const reference_layer *p, const reference_trace *v, reference_trace *d,
                            size_t step, int phase);

#endif
