#include "norm.h"

#include "normalise.h"

#include "../support/numeric.h"

#include <stdlib.h>

/* The mean of a[i] b[i]. */
static double mean_of_products(const double *a, const double *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum / (double)n;
}

void reference_row_norm_out(reference_row_norm norm, const double *x, double *out, double *r)
{
    for (size_t row = 0; row < norm.N; row++, x += norm.n, out += norm.n) {
        if (norm.centred) {
            r[row] = reference_normalise(NULL, norm.eps, x, norm.n, out);
            continue;
        }
        r[row] = 1 / sqrt(mean_of_products(x, x, norm.n) + norm.eps);
        for (size_t i = 0; i < norm.n; i++)
            out[i] = x[i] * r[row];
    }
}

void reference_row_norm_forward(reference_row_norm norm, const double *x, const double *gain,
                                const double *shift, double *y)
{
    double *r = test_doubles(norm.N);
    reference_row_norm_out(norm, x, y, r);
    for (size_t i = 0; i < norm.N * norm.n; i++)
        y[i] = (gain ? gain[i % norm.n] : 1) * y[i] + (shift ? shift[i % norm.n] : 0);
    free(r);
}

void reference_row_norm_backward(reference_row_norm norm, const double *x, const double *gain,
                                 const double *dy, double *dx, double *dgain, double *dshift)
{
    const size_t n = norm.n;
    double *r = test_doubles(norm.N), *out = test_doubles(norm.N * n), *e = test_doubles(n);
    reference_row_norm_out(norm, x, out, r);
    for (size_t row = 0; row < norm.N; row++) {
        const double *o = out + row * n, *d = dy + row * n;
        for (size_t i = 0; i < n; i++) {
            e[i] = (gain ? gain[i] : 1) * d[i];
            dgain[i] += d[i] * o[i];
            dshift[i] += d[i];
        }
        if (norm.centred) {
            reference_normalise_backward(NULL, o, r[row], e, n, dx + row * n);
            continue;
        }
        const double slope = mean_of_products(e, o, n);
        for (size_t i = 0; i < n; i++)
            dx[row * n + i] = r[row] * (e[i] - o[i] * slope);
    }
    free(r);
    free(out);
    free(e);
}
