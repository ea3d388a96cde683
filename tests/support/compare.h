/*
 * compare.h - compares what came with what was expected, element by element, within a bound.
 *
 *     cr_assert(compare_floats("y", got, want, n, bound), "%s", compare_message());
 *
 * An element passes when !(error <= bound) is false, so NaN never passes and a bound of 0 asks for equality.
 * After a failure compare_message() names the first and the worst failing element with both values and the
 * bound.
 */
#ifndef CLSEQ_TESTS_SUPPORT_COMPARE_H
#define CLSEQ_TESTS_SUPPORT_COMPARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One bound for all elements. */
bool compare_floats(const char *name, const float *got, const double *want, size_t n, double bound);
bool compare_doubles(const char *name, const double *got, const double *want, size_t n, double bound);

/* A bound for each element. */
bool compare_floats_each(const char *name, const float *got, const double *want, size_t n,
                         const double *bound);
bool compare_doubles_each(const char *name, const double *got, const double *want, size_t n,
                          const double *bound);

/* Equal bit for bit, as two runs of the same thing must be; 0 and -0 differ. */
bool compare_bits(const char *name, const float *got, const float *want, size_t n);

/* Equal integers. */
bool compare_ints(const char *name, const int32_t *got, const int32_t *want, size_t n);

/* What the last failing comparison found. */
const char *compare_message(void);

/*
 * The largest error/bound of all comparisons so far, passed or failed: near 1 is a bound that will fail on
 * another device, near 0 one that lets mistakes through. compare_reset() starts again from 0.
 */
double compare_worst_ratio(void);
void compare_reset(void);

#endif
