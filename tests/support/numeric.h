/* numeric.h - memory for test arrays and conversion between float and double, numeric derivatives. */
#ifndef CLSEQ_TESTS_SUPPORT_NUMERIC_H
#define CLSEQ_TESTS_SUPPORT_NUMERIC_H

#include <math.h>
#include <stddef.h>

/* n zeroed elements; aborts when memory runs out. Release with free(). */
double *test_doubles(size_t n);
float *test_floats(size_t n);

/* A new array with the n elements of `source` converted. */
float *test_floats_of(const double *source, size_t n);
double *test_doubles_of(const float *source, size_t n);

/*
 * The derivative of f(context) by *element, which f reads and which is restored afterwards.
 *
 * A fourth-order central difference: with step h = 1e-3 its truncation error is h^4 f'''''/30, some 1e-13 times the
 * fifth derivative, and its rounding error 2^-53 |f| / h, some 1e-13 |f|. Compared within TEST_DERIVATIVE_BOUND, it
 * leaves room for fifth derivatives of 10^4 and still tells of any missing or wrong term of 1e-8.
 */
double test_derivative(double (*f)(void *context), void *context, double *element);

#define TEST_DERIVATIVE_BOUND(derivative) (1e-8 * (1 + fabs(derivative)))

#endif
