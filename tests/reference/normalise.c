#include "normalise.h"

#include <math.h>

/* The mean of a[i], or of a[i]*b[i], rounded by the size of its terms. */
static double mean_of(reference_rounding *rounding, const double *a, const double *b, size_t n)
{
    double sum = 0, magnitude = 0;
    for (size_t i = 0; i < n; i++) {
        const double term = b != NULL ? a[i] * b[i] : a[i];
        sum += term;
        magnitude += fabs(term);
    }
    return reference_round(rounding, sum / (double)n, magnitude / (double)n);
}

/*
 * Rounding: each difference from the mean is off by u of what was subtracted. In the variance that is
 * 2 u mean|v| sqrt(var), and half of it, relative, in rstd.
 */
double reference_normalise(reference_rounding *rounding, double eps, const double *v, size_t n, double *out)
{
    const double mean = mean_of(rounding, v, NULL, n);
    double variance = 0, magnitude = 0;
    for (size_t i = 0; i < n; i++) {
        variance += (v[i] - mean) * (v[i] - mean) / (double)n;
        magnitude += fabs(v[i]) / (double)n;
    }
    double rstd = 1 / sqrt(variance + eps);
    rstd = reference_round(rounding, rstd, rstd * (2 + magnitude * rstd));
    for (size_t i = 0; i < n; i++) {
        out[i] = (v[i] - mean) * rstd;
        out[i] = reference_round(rounding, out[i], fabs(out[i]) + (fabs(v[i]) + fabs(mean)) * rstd);
    }
    return rstd;
}

/* dv = rstd (dout - mean(dout) - out mean(dout out)) */
void reference_normalise_backward(reference_rounding *rounding, const double *out, double rstd,
                                  const double *dout, size_t n, double *dv)
{
    const double mean = mean_of(rounding, dout, NULL, n), slope = mean_of(rounding, dout, out, n);
    for (size_t i = 0; i < n; i++) {
        const double magnitude = fabs(dout[i]) + fabs(mean) + fabs(out[i] * slope);
        dv[i] = reference_round(rounding, rstd * (dout[i] - mean - out[i] * slope), 2 * rstd * magnitude);
    }
}
