/* activation.h - activation functions in double; derivatives take the function's output. */
#ifndef CLSEQ_TESTS_REFERENCE_ACTIVATION_H
#define CLSEQ_TESTS_REFERENCE_ACTIVATION_H

#include <math.h>

static inline double reference_sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static inline double reference_relu(double x)
{
    return x > 0 ? x : 0;
}

static inline double reference_dsigmoid(double sigmoid)
{
    return sigmoid * (1 - sigmoid);
}

static inline double reference_dtanh(double tanh_output)
{
    return 1 - tanh_output * tanh_output;
}

/* x in [-bound, bound], and its derivative; bound 0: none. */
static inline double reference_clipped(double x, double bound)
{
    return bound > 0 ? fmax(-bound, fmin(bound, x)) : x;
}

static inline double reference_dclipped(double x, double bound)
{
    return bound > 0 && fabs(x) >= bound ? 0 : 1;
}

/* 0 at the kink, as PyTorch has it. */
static inline double reference_drelu(double relu)
{
    return relu > 0 ? 1 : 0;
}

#endif
