/*
 * random.h - a small deterministic generator for test data.
 *
 * The same seed gives the same numbers on every machine, so that a failure can be repeated from the seed in
 * its message. The library's own Philox generator is deliberately not used: tests must not draw their data
 * from the thing under test.
 */
#ifndef CLSEQ_TESTS_SUPPORT_RANDOM_H
#define CLSEQ_TESTS_SUPPORT_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* The state of a generator. Any value is a valid seed; equal seeds give equal sequences. */
typedef struct test_random {
    uint64_t state;
} test_random;

test_random test_random_seed(uint64_t seed);

/* 64 random bits. */
uint64_t test_random_bits(test_random *random);

/* A uniform double in [low, high). */
double test_random_uniform(test_random *random, double low, double high);

/* A uniform integer in [low, high], both ends included. */
int test_random_int(test_random *random, int low, int high);

/*
 * Fill n elements, uniform in [low, high). The doubles of test_random_fill are rounded to float first: a
 * reference in double and a device in float then start from exactly the same numbers.
 */
void test_random_fill(test_random *random, double *out, size_t n, double low, double high);
void test_random_fill_float(test_random *random, float *out, size_t n, float low, float high);
void test_random_fill_int(test_random *random, int32_t *out, size_t n, int low, int high);

#endif
