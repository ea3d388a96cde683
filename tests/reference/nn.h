/*
 * nn.h - the operations around recurrent layers in double precision, forward and backward.
 *
 * N stands for the product of leading dimensions; arrays are dense. Gradients of activations are written (=), those of
 * parameters added (+=). `magnitude` arrays, where wanted, receive the sum of magnitudes of the terms of each sum, for
 * error bounds; they are written (=).
 */
#ifndef CLSEQ_TESTS_REFERENCE_NN_H
#define CLSEQ_TESTS_REFERENCE_NN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* y[n,:] = table[tokens[n],:], table [V,E]; a token outside of the table gives zeros and no gradient. */
void reference_embedding_forward(const double *table, size_t V, size_t E, const int32_t *tokens, size_t N,
                                 double *y);
void reference_embedding_backward(const int32_t *tokens, size_t N, const double *dy, size_t V, size_t E,
                                  double *dtable, double *magnitude /* [V,E] or NULL */);

/* y = x W^T + b, x [N,in], w [out,in], b [out] or NULL. */
void reference_affine_forward(const double *x, const double *w, const double *b, size_t N, size_t in,
                              size_t out, double *y, double *magnitude /* [N,out] or NULL */);
/* dx [N,in] =, dw [out,in] +=, db [out] +=; each may be NULL. */
void reference_affine_backward(const double *x, const double *w, const double *dy, size_t N, size_t in,
                               size_t out, double *dx, double *dw, double *db);

/* Inverted dropout: y = x / (1-p) where kept, else 0. Backward is the same with dy for x. */
void reference_dropout(const double *x, const bool *kept, double p, size_t n, double *y);

/* What reference_dropout is to keep: Philox number i of (seed, stream) is at least p (compared as floats). */
void reference_dropout_mask(uint64_t seed, uint64_t stream, float p, size_t n, bool *kept);

/*
 * Softmax cross-entropy in natural logarithms, logits [N,V]. Rows whose target is outside of 0..V-1, or ignore_index
 * where `ignore`, count nothing and get no gradient. The mean is over the rows that count, 0 when none does. (On the
 * device the loss is NaN where a target is neither a class nor ignored; this is what the other rows add.)
 */
typedef struct reference_cross_entropy {
    bool ignore;
    int32_t ignore_index;
    bool sum;
} reference_cross_entropy;

double reference_cross_entropy_forward(reference_cross_entropy desc, const double *logits,
                                       const int32_t *targets, size_t N, size_t V);
void reference_cross_entropy_backward(reference_cross_entropy desc, const double *logits,
                                      const int32_t *targets, size_t N, size_t V, double dloss,
                                      double *dlogits);

/* softmax [V] of logits [V]. */
void reference_softmax(const double *logits, size_t V, double *softmax);

/* Sum and mean of n elements (0 for n = 0); the gradient of either is the same for every element. */
double reference_sum(const double *x, size_t n);
double reference_mean(const double *x, size_t n);

#endif
