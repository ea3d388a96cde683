/* reduce.h - reductions over any dims in double. Arrays are dense; y has the dims of x, 1 where they are reduced. */
#ifndef CLSEQ_TESTS_REFERENCE_REDUCE_H
#define CLSEQ_TESTS_REFERENCE_REDUCE_H

#include <clseq/nn.h>

/* What is reduced: x [dims], the elements of y, and how many make one of them. */
typedef struct reference_reduction {
    clseq_reduction row;
    int ndim;
    int64_t dims[CLSEQ_MAX_DIMS];
    bool reduced[CLSEQ_MAX_DIMS];
} reference_reduction;

int64_t reference_reduce_elements(const reference_reduction *r, bool of_y);

/* The element of y that element number i of x belongs to. */
int64_t reference_reduce_place(const reference_reduction *r, int64_t i);

/* magnitude: of the sum of magnitudes, scaled as y; NULL: not wanted. */
void reference_reduce_forward(const reference_reduction *r, const double *x, double *y, double *magnitude);

/* dx =; elements that are equal to the largest or smallest share dy, as NaNs do where y is one. */
void reference_reduce_backward(const reference_reduction *r, const double *x, const double *dy, double *dx);

#endif
