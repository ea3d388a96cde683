#include "along.h"

#include <math.h>

size_t reference_along_at(reference_along a, size_t line, size_t k)
{
    return (line / a.inner * a.n + k) * a.inner + line % a.inner;
}

static void softmax_line(reference_along a, size_t line, bool is_log, const double *x, double *y)
{
    double largest = -INFINITY, sum = 0;
    for (size_t k = 0; k < a.n; k++)
        largest = fmax(largest, x[reference_along_at(a, line, k)]);
    for (size_t k = 0; k < a.n && largest > -INFINITY; k++)
        sum += exp(x[reference_along_at(a, line, k)] - largest);
    for (size_t k = 0; k < a.n; k++) {
        const size_t at = reference_along_at(a, line, k);
        if (largest == -INFINITY)
            y[at] = is_log ? -INFINITY : 0;
        else
            y[at] = is_log ? x[at] - largest - log(sum) : exp(x[at] - largest) / sum;
    }
}

void reference_softmax_forward(reference_along a, bool is_log, const double *x, double *y)
{
    for (size_t line = 0; line < a.outer * a.inner; line++)
        softmax_line(a, line, is_log, x, y);
}

void reference_softmax_backward(reference_along a, bool is_log, const double *y, const double *dy, double *dx)
{
    for (size_t line = 0; line < a.outer * a.inner; line++) {
        double sum = 0;
        for (size_t k = 0; k < a.n; k++) {
            const size_t at = reference_along_at(a, line, k);
            sum += is_log ? dy[at] : y[at] * dy[at];
        }
        for (size_t k = 0; k < a.n; k++) {
            const size_t at = reference_along_at(a, line, k);
            dx[at] = is_log ? dy[at] - exp(y[at]) * sum : y[at] * (dy[at] - sum);
        }
    }
}

void reference_cumsum(reference_along a, bool exclusive, bool reverse, const double *x, double *y,
                      double *magnitude)
{
    for (size_t line = 0; line < a.outer * a.inner; line++) {
        double sum = 0, all = 0;
        for (size_t j = 0; j < a.n; j++) {
            const size_t at = reference_along_at(a, line, reverse ? a.n - 1 - j : j);
            const double before = sum, value = x[at];
            sum += value;
            all += fabs(value);
            y[at] = exclusive ? before : sum;
            if (magnitude)
                magnitude[at] = all;
        }
    }
}

void reference_gather_forward(reference_along a, size_t m, const double *x, const int32_t *index, double *y)
{
    const reference_along rows = {a.outer, m, a.inner};
    for (size_t line = 0; line < a.outer * a.inner; line++)
        for (size_t k = 0; k < m; k++) {
            const size_t at = reference_along_at(rows, line, k);
            const int32_t i = index[at];
            y[at] = i >= 0 && (size_t)i < a.n ? x[reference_along_at(a, line, (size_t)i)] : 0;
        }
}

void reference_gather_backward(reference_along a, size_t m, const int32_t *index, const double *dy,
                               double *dx, double *magnitude, double *count)
{
    const reference_along rows = {a.outer, m, a.inner};
    for (size_t i = 0; i < a.outer * a.n * a.inner; i++) {
        dx[i] = 0;
        if (magnitude)
            magnitude[i] = count[i] = 0;
    }
    for (size_t line = 0; line < a.outer * a.inner; line++)
        for (size_t k = 0; k < m; k++) {
            const size_t from = reference_along_at(rows, line, k);
            if (index[from] < 0 || (size_t)index[from] >= a.n)
                continue;
            const size_t to = reference_along_at(a, line, (size_t)index[from]);
            dx[to] += dy[from];
            if (magnitude) {
                magnitude[to] += fabs(dy[from]);
                count[to]++;
            }
        }
}
