/*
 * along.h - operations along one dim of a dense array [outer,n,inner] in double precision, forward and backward. The n are
 * the dim's; everything holds for each line of it, the n elements `inner` apart. Gradients are written (=).
 */
#ifndef CLSEQ_TESTS_REFERENCE_ALONG_H
#define CLSEQ_TESTS_REFERENCE_ALONG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct reference_along {
    size_t outer, n, inner;
} reference_along;

/* Where element k of line `line` stands. */
size_t reference_along_at(reference_along a, size_t line, size_t k);

/* y = softmax of x, or its natural logarithm; 0, or -infinity, where all of a line is -infinity. dx from the output y. */
void reference_softmax_forward(reference_along a, bool is_log, const double *x, double *y);
void reference_softmax_backward(reference_along a, bool is_log, const double *y, const double *dy,
                                double *dx);

/* y[k] = sum of x[j], j <= k; j < k where exclusive; from the end where reverse. magnitude (NULL: not wanted): of |x[j]|. */
void reference_cumsum(reference_along a, bool exclusive, bool reverse, const double *x, double *y,
                      double *magnitude);

/*
 * y[k] = x[index[k]], for index and y [outer,m,inner]; 0 where the index is not in 0..n-1. dx[index[k]] is the sum of dy[k];
 * magnitude (NULL: not wanted) that of |dy[k]|, and count how many there are.
 */
void reference_gather_forward(reference_along a, size_t m, const double *x, const int32_t *index, double *y);
void reference_gather_backward(reference_along a, size_t m, const int32_t *index, const double *dy,
                               double *dx, double *magnitude, double *count);

#endif
