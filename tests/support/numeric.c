#include "numeric.h"

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

double test_derivative(double (*f)(void *context), void *context, double *element)
{
    const double h = 1e-3, at = *element, offset[4] = {-2 * h, -h, h, 2 * h};
    double value[4];
    for (int i = 0; i < 4; i++) {
        *element = at + offset[i];
        value[i] = f(context);
    }
    *element = at;
    return (value[0] - 8 * value[1] + 8 * value[2] - value[3]) / (12 * h);
}
