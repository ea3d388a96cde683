/*
 * Activations y = f(x), and their gradients dx = dy f'(x) from the output y. n elements; all tensors packed, from an
 * offset in floats on. y may be x, and dx may be dy.
 */
#include "core/elementwise.clh"
#include "core/gates.clh"

/* NaN passes: it is not below 0. */
static inline V relu(V x)
{
    return x < (V)(0.0f) ? (V)(0.0f) : x;
}

/* 0 at the kink. */
static inline V drelu(V y)
{
    return y > (V)(0.0f) ? (V)(1.0f) : (V)(0.0f);
}

#define ACTIVATION(name, f, df)                                                                              \
    kernel void name##_forward(long n, global const float *x, long x_offset, global float *y, long y_offset) \
    {                                                                                                        \
        FOR_EACH_VECTOR(i, n)                                                                                \
        {                                                                                                    \
            store(f(load(x + x_offset, i, n)), y + y_offset, i, n);                                          \
        }                                                                                                    \
    }                                                                                                        \
    kernel void name##_backward(long n, global const float *y, long y_offset, global const float *dy,        \
                                long dy_offset, global float *dx, long dx_offset)                            \
    {                                                                                                        \
        FOR_EACH_VECTOR(i, n)                                                                                \
        {                                                                                                    \
            store(load(dy + dy_offset, i, n) * df(load(y + y_offset, i, n)), dx + dx_offset, i, n);          \
        }                                                                                                    \
    }

ACTIVATION(nn_tanh, clseq_tanh, clseq_dtanh)
ACTIVATION(nn_sigmoid, clseq_sigmoid, clseq_dsigmoid)
ACTIVATION(nn_relu, relu, drelu)
