/*
 * Optimiser steps over all parameters at once; the equations are in clseq/optim.h. w: values, g: gradients, which
 * become 0; n floats each, a multiple of 64. The gaps between parameters hold zeros, and every rule turns zeros into
 * zeros.
 */
#include "core/elementwise.clh"

kernel void sgd_step(long n, float lr, float decay, global float *w, global float *g)
{
    FOR_EACH_VECTOR(i, n)
    {
        const V value = load(w, i, n);
        const V gradient = fma((V)(decay), value, load(g, i, n));
        store(fma((V)(-lr), gradient, value), w, i, n);
        store((V)(0.0f), g, i, n);
    }
}

kernel void momentum_step(long n, float lr, float decay, float momentum, int nesterov, global float *w,
                          global float *g, global float *velocity)
{
    FOR_EACH_VECTOR(i, n)
    {
        const V value = load(w, i, n);
        const V gradient = fma((V)(decay), value, load(g, i, n));
        const V v = fma((V)(momentum), load(velocity, i, n), gradient);
        const V direction = nesterov ? fma((V)(momentum), v, gradient) : v;
        store(fma((V)(-lr), direction, value), w, i, n);
        store(v, velocity, i, n);
        store((V)(0.0f), g, i, n);
    }
}

/*
 * Adam and AdamW. rate = lr/(1-b1^t), correction = 1/sqrt(1-b2^t), rest = 1-b; `decay` is Adam's, `shrink` = lr*decay is
 * AdamW's. Where eps is 0 and no gradient has come yet, the step is 0 and not 0/0.
 */
kernel void adam_step(long n, float rate, float correction, float beta1, float rest1, float beta2,
                      float rest2, float eps, float decay, float shrink, global float *w, global float *g,
                      global float *m, global float *v)
{
    FOR_EACH_VECTOR(i, n)
    {
        V value = load(w, i, n);
        const V gradient = fma((V)(decay), value, load(g, i, n));
        const V mean = fma((V)(beta1), load(m, i, n), rest1 * gradient);
        const V square = fma((V)(beta2), load(v, i, n), rest2 * gradient * gradient);
        value = fma((V)(-shrink), value, value);
        const V size = fma(sqrt(square), (V)(correction), (V)(eps));
        value -= size == (V)(0.0f) ? (V)(0.0f) : rate * mean / size;
        store(value, w, i, n);
        store(mean, m, i, n);
        store(square, v, i, n);
        store((V)(0.0f), g, i, n);
    }
}
