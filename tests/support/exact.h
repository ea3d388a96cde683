/*
 * exact.h - models of small integers, for tests that compare bits: weights, gradients that come in and cells (rnn_relu) are
 * such that every sum is exact in float, in whatever order it is made.
 *
 * A failing call fails the test.
 */
#ifndef CLSEQ_TESTS_SUPPORT_EXACT_H
#define CLSEQ_TESTS_SUPPORT_EXACT_H

#include <clseq/clseq.h>

/* Number i of a sequence of integers in -2..2. */
int exact_number(uint64_t seed, int64_t i);

/* All elements of a parameter become such numbers. */
void exact_set(clseq_param *param, uint64_t seed);

/*
 * Backward from y [T,B,F], where dy[t,b,f] is number ((t * columns + first + b) * F + f) of a sequence: y may be columns
 * first, first+1, .. of a larger batch.
 */
void exact_backward(clseq_graph *g, clseq_var *y, int64_t first, int64_t columns);

/* The parameter's gradient, to be freed. */
float *exact_grad(clseq_param *param);

/* The gradients of two parameters are the same, bit for bit. */
void exact_expect_same(clseq_param *got, clseq_param *want);

#endif
