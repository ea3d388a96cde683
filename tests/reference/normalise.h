/* normalise.h - a row of numbers brought to mean 0 and variance 1, and back. */
#ifndef CLSEQ_TESTS_REFERENCE_NORMALISE_H
#define CLSEQ_TESTS_REFERENCE_NORMALISE_H

#include "rounding.h"

#include <stddef.h>

/* out = (v - mean) * rstd of the n numbers v; returns rstd = 1 / sqrt(var + eps), var with 1/n. */
double reference_normalise(reference_rounding *rounding, double eps, const double *v, size_t n, double *out);

/* dv (=) for the gradient `dout` of out. */
void reference_normalise_backward(reference_rounding *rounding, const double *out, double rstd,
                                  const double *dout, size_t n, double *dv);

#endif
