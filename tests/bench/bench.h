/*
 * bench.h - timing that means something on a shared machine.
 *
 * Candidates are run in turn, round after round, so that whatever disturbs the machine disturbs all of them,
 * and the medians of their times are compared: only ratios of one such run mean anything.
 */
#ifndef CLSEQ_TESTS_BENCH_H
#define CLSEQ_TESTS_BENCH_H

#include <stddef.h>

/* Seconds of a clock that only goes forward. */
double bench_now(void);

/* The median of n numbers, which are sorted on the way. */
double bench_median(double *values, size_t n);

/* One thing to be timed. `run` does it once and returns when it is done; NULL: not available. */
typedef struct bench_candidate {
    void (*run)(void *user);
    void *user;
    double seconds; /* out: the median, 0 when not available */
} bench_candidate;

/* How long to run and how often at least: {0} stands for 3 rounds to warm up, 21 measured ones and 0.5 s. */
typedef struct bench_plan {
    int warm_up;    /* rounds before the clock counts */
    int rounds;     /* measured rounds, at least 20 */
    double seconds; /* more rounds until this time has passed */
} bench_plan;

/* Runs all candidates in turn and sets their medians. Aborts when memory runs out. */
void bench_compare(bench_candidate *candidates, size_t count, bench_plan plan);

#endif
