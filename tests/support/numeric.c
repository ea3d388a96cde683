#include "numeric.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void *zeroed(size_t n, size_t size)
{
    void *memory = calloc(n > 0 ? n : 1, size);
    if (memory == NULL) {
        fprintf(stderr, "tests: no memory for %zu elements of %zu bytes\n", n, size);
        abort();
    }
    return memory;
}

double *test_doubles(size_t n)
{
    return zeroed(n, sizeof(double));
}

float *test_floats(size_t n)
{
    return zeroed(n, sizeof(float));
}

float *test_floats_of(const double *source, size_t n)
{
    float *out = test_floats(n);
    for (size_t i = 0; i < n; i++)
        out[i] = (float)source[i];
    return out;
}

double *test_doubles_of(const float *source, size_t n)
{
    double *out = test_doubles(n);
    for (size_t i = 0; i < n; i++)
        out[i] = source[i];
    return out;
}

double test_max_difference(const double *a, const double *b, size_t n)
{
    double largest = 0;
    for (size_t i = 0; i < n; i++) {
        const double difference = fabs(a[i] - (b != NULL ? b[i] : 0));
        if (!(difference <= largest))
            largest = difference;
        if (isnan(difference))
            return difference;
    }
    return largest;
}
