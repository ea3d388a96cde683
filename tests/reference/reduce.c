#include "reduce.h"

#include "../support/numeric.h"

#include <math.h>
#include <stdlib.h>

int64_t reference_reduce_elements(const reference_reduction *r, bool of_y)
{
    int64_t n = 1;
    for (int d = 0; d < r->ndim; d++)
        n *= of_y && r->reduced[d] ? 1 : r->dims[d];
    return n;
}

int64_t reference_reduce_place(const reference_reduction *r, int64_t i)
{
    int64_t place = 0, stride = 1;
    for (int d = r->ndim - 1; d >= 0; d--) {
        place += r->reduced[d] ? 0 : i % r->dims[d] * stride;
        stride *= r->reduced[d] ? 1 : r->dims[d];
        i /= r->dims[d];
    }
    return place;
}

static bool is_sum(const reference_reduction *r)
{
    return r->row == CLSEQ_REDUCE_SUM || r->row == CLSEQ_REDUCE_MEAN;
}

static double scale_of(const reference_reduction *r)
{
    return r->row == CLSEQ_REDUCE_MEAN
               ? (double)reference_reduce_elements(r, true) / (double)reference_reduce_elements(r, false)
               : 1;
}

static bool comes_before(const reference_reduction *r, double a, double b)
{
    return isnan(a) || (r->row == CLSEQ_REDUCE_MAX ? a > b : a < b);
}

void reference_reduce_forward(const reference_reduction *r, const double *x, double *y, double *magnitude)
{
    const double scale = scale_of(r), first = is_sum(r)                    ? 0
                                              : r->row == CLSEQ_REDUCE_MAX ? -INFINITY
                                                                           : INFINITY;
    for (int64_t k = 0; k < reference_reduce_elements(r, true); k++) {
        y[k] = first;
        if (magnitude)
            magnitude[k] = 0;
    }
    for (int64_t i = 0; i < reference_reduce_elements(r, false); i++) {
        const int64_t k = reference_reduce_place(r, i);
        if (is_sum(r))
            y[k] += scale * x[i];
        else if (!isnan(y[k]) && comes_before(r, x[i], y[k]))
            y[k] = x[i];
        if (magnitude)
            magnitude[k] += is_sum(r) ? scale * fabs(x[i]) : 0;
    }
}

void reference_reduce_backward(const reference_reduction *r, const double *x, const double *dy, double *dx)
{
    const size_t results = (size_t)reference_reduce_elements(r, true);
    double *y = test_doubles(results), *count = test_doubles(results);
    const int64_t n = reference_reduce_elements(r, false);
    reference_reduce_forward(r, x, y, NULL);
    for (int pass = 0; pass < 2; pass++)
        for (int64_t i = 0; i < n; i++) {
            const int64_t k = reference_reduce_place(r, i);
            const bool is_y = x[i] == y[k] || (isnan(x[i]) && isnan(y[k]));
            if (pass == 0)
                count[k] += is_y;
            else
                dx[i] = is_sum(r) ? scale_of(r) * dy[k] : is_y ? dy[k] / count[k] : 0;
        }
    free(y);
    free(count);
}
