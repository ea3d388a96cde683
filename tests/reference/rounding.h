/*
 * rounding.h - lets a double-precision reference imitate the rounding of a float implementation.
 *
 * A reference takes an optional reference_rounding. Without one (NULL) it is exact up to double precision.
 * With one it moves every intermediate result by a random amount of the size of its float rounding error. How
 * far the outputs then move is what float arithmetic can do to this very problem, growth over time steps
 * included; bounds for comparing a device with the reference are derived from it (see rnn_case.h).
 */
#ifndef CLSEQ_TESTS_REFERENCE_ROUNDING_H
#define CLSEQ_TESTS_REFERENCE_ROUNDING_H

#include "../support/random.h"

#include <stddef.h>

typedef struct reference_rounding {
    double eps;         /* unit roundoff of the imitated type, 2^-24 for float */
    test_random random; /* where the perturbations come from */
} reference_rounding;

/* `value` moved by a uniform random amount in +-eps*scale; `value` itself when rounding is NULL. */
static inline double reference_round(reference_rounding *rounding, double value, double scale)
{
    if (rounding == NULL)
        return value;
    return value + rounding->eps * scale * test_random_uniform(&rounding->random, -1, 1);
}

#endif
