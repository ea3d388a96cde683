/*
 * bounds.h - how far a float result may be from the exact one.
 *
 * Rounding moves a result by at most u = 2^-24 of its size. A sum of k products, in any order and with or
 * without fma, differs from the exact one by at most k u sum|a b| (Higham, Accuracy and Stability,
 * section 3.1). Roundings go up and down, so that the error grows as sqrt(k): it stays below lambda sqrt(k) u
 * sum|a b| but with probability 2 exp(-lambda^2 / 2) an element (Higham and Mary 2019). lambda = 6 makes that
 * 3e-8. The bound is the smaller of the two. `magnitude` is always sum|a b|, which a reference computes
 * beside the sum; it must not be guessed from the result, which is small where terms cancel.
 *
 * Recurrent layers feed errors back over time; their bounds come from perturbed runs (reference/rnn_case.h).
 */
#ifndef CLSEQ_TESTS_SUPPORT_BOUNDS_H
#define CLSEQ_TESTS_SUPPORT_BOUNDS_H

#include <float.h>
#include <math.h>

/* Unit roundoff of float, half the distance from 1 to the next float. */
#define TEST_EPS 0x1p-24

/* A result that may be flushed to zero, because devices need not keep denormal numbers, is off by this. */
#define TEST_TINY ((double)FLT_MIN)

/* `roundings` roundings of something of this size: for formulas with a known number of operations. */
static inline double test_rounding_bound(double roundings, double magnitude)
{
    return roundings * TEST_EPS * fabs(magnitude) + TEST_TINY;
}

/* A device function that is good to `ulps` units in the last place, as the OpenCL table of errors states
 * them. */
static inline double test_ulp_bound(double ulps, double value)
{
    return test_rounding_bound(2 * ulps + 1, value);
}

/* A sum of k terms or products with this sum of magnitudes. The 2 are the first product and the store. */
static inline double test_sum_bound(double k, double magnitude)
{
    return test_rounding_bound(2 + fmin(k, 6 * sqrt(k)), magnitude);
}

/*
 * C = alpha op(A) op(B) + beta C with `magnitude` = |alpha| sum|a b| + |beta c|: one sum of k products, and a
 * multiplication by alpha, one by beta and an addition.
 */
static inline double test_gemm_bound(double k, double magnitude)
{
    return test_sum_bound(k, magnitude) + test_rounding_bound(3, magnitude);
}

/*
 * log(sum(exp(x))) of V numbers of at most this size, absolute: the shift by the largest and the final sum round numbers
 * of up to 2 largest + log V, the sum rounds as sums do, exp and log are good to 4 ulp. The same is the relative error
 * of softmax = exp(x - log_sum_exp), with one more exp and subtraction, for which the factor 2 stands.
 */
static inline double test_log_sum_exp_bound(double V, double largest)
{
    return test_sum_bound(V, 1) + test_rounding_bound(2 * 8, 1) +
           test_rounding_bound(2, 2 * largest + log(V));
}

static inline double test_softmax_bound(double V, double largest, double softmax)
{
    return 2 * test_log_sum_exp_bound(V, largest) * softmax + TEST_TINY;
}

/*
 * The loss over N rows of log_sum_exp - logit. `loss` is the mean or the sum; all rows' losses are positive, so it is
 * also the magnitude of its terms. `weight` is 1 for the mean and N for the sum.
 */
static inline double test_cross_entropy_bound(double N, double V, double largest, double weight, double loss)
{
    return weight * (test_log_sum_exp_bound(V, largest) + test_rounding_bound(1, largest)) +
           test_sum_bound(N, loss);
}

#endif
