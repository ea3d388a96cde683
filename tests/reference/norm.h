/*
 * norm.h - norms of the rows of x [N,n] in double precision. A layer norm is centred, an RMS norm is not; gain and shift
 * [n] may be NULL.
 */
#ifndef CLSEQ_TESTS_REFERENCE_NORM_H
#define CLSEQ_TESTS_REFERENCE_NORM_H

#include <stdbool.h>
#include <stddef.h>

typedef struct reference_row_norm {
    bool centred;
    double eps;
    size_t N, n;
} reference_row_norm;

/* out = (x - mean) r, [N,n], and r [N], 1 / sqrt(variance + eps); y = gain out + shift. */
void reference_row_norm_out(reference_row_norm norm, const double *x, double *out, double *r);
void reference_row_norm_forward(reference_row_norm norm, const double *x, const double *gain,
                                const double *shift, double *y);

/* dx (=), dgain and dshift (+=). */
void reference_row_norm_backward(reference_row_norm norm, const double *x, const double *gain,
                                 const double *dy, double *dx, double *dgain, double *dshift);

#endif
