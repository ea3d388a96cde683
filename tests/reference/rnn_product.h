/*
 * rnn_product.h - what a layer sums: its products, the layer normalisation behind them, and over all steps the gradients of
 * its weights.
 */
#ifndef CLSEQ_TESTS_REFERENCE_RNN_PRODUCT_H
#define CLSEQ_TESTS_REFERENCE_RNN_PRODUCT_H

#include "rnn_trace.h"

/* ---- layer normalisation of a row ---- */

/* out = gain norm(in) + bias, norm(in) into `norm`; without layer normalisation out = in. bias NULL: zeros. */
void reference_norm_forward(const reference_layer *p, const double *in, reference_norm *norm, size_t step,
                            const double *gain, const double *bias, double *out);

/* din (=) from dout */
void reference_norm_backward(const reference_layer *p, const reference_norm *norm, size_t step,
                             const double *gain, const double *dout, double *din);

/* ---- products of a row ---- */

/* v->input from v->x */
void reference_input_forward(const reference_layer *p, reference_trace *v, size_t step);

/* d->x (=) and d->product_ih (=) from d->input */
void reference_input_backward(const reference_layer *p, const reference_trace *v, reference_trace *d,
                              size_t step);

/*
 * v->recurrent of this phase's gates from what their product reads: h, masked where there is recurrent dropout, before the
 * first phase, the quantity before the second. Nothing where the phase has no gates.
 */
void reference_recurrent_forward(const reference_layer *p, reference_trace *v, size_t step, int phase);

/* d->product_hh (=) from d->recurrent; adds (+=) to the gradient of what the product reads. */
void reference_recurrent_backward(const reference_layer *p, const reference_trace *v, reference_trace *d,
                                  size_t step, int phase);

/* h after the step: W_hr v->hidden, or v->hidden itself. */
void reference_projection_forward(const reference_layer *p, reference_trace *v, size_t step);

/* d->hidden (=) from the gradient of h after the step. */
void reference_projection_backward(const reference_layer *p, reference_trace *d, size_t step);

/* ---- weights ---- */

/* p->dw (+=) from the gradients of all steps. */
void reference_weights_backward(const reference_layer *p, const reference_trace *v, const reference_trace *d);

#endif
