/* numeric.h - memory for test arrays and conversion between float and double. */
#ifndef CLSEQ_TESTS_SUPPORT_NUMERIC_H
#define CLSEQ_TESTS_SUPPORT_NUMERIC_H

#include <stddef.h>

/* n zeroed elements; aborts when memory runs out. Release with free(). */
double *test_doubles(size_t n);
float *test_floats(size_t n);

/* A new array with the n elements of `source` converted. */
float *test_floats_of(const double *source, size_t n);
double *test_doubles_of(const float *source, size_t n);

/* The largest |a - b|, NaN when any element of either is NaN; b NULL means zeros. */
double test_max_difference(const double *a, const double *b, size_t n);

#endif
