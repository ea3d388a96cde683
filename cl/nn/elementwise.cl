/*
 * Sums, products and multiples of tensors, element by element. n elements; all tensors packed, from an offset in floats
 * on. y may be the same view as an input.
 */
#include "core/elementwise.clh"
#include "core/fma.clh"

/* y = alpha a + beta b; y = alpha a where there is no b. */
kernel void nn_add(long n, float alpha, global const float *a, long a_offset, float beta,
                   global const float *b, long b_offset, global float *y, long y_offset)
{
    FOR_EACH_VECTOR(i, n)
    {
        V sum = alpha * load(a + a_offset, i, n);
        if (b)
            sum = fma((V)(beta), load(b + b_offset, i, n), sum);
        store(sum, y + y_offset, i, n);
    }
}

/* y = a b, or y += a b. */
kernel void nn_mul(long n, global const float *a, long a_offset, global const float *b, long b_offset,
                   int accumulate, global float *y, long y_offset)
{
    FOR_EACH_VECTOR(i, n)
    {
        const V va = load(a + a_offset, i, n), vb = load(b + b_offset, i, n);
        store(accumulate ? fma(va, vb, load(y + y_offset, i, n)) : va * vb, y + y_offset, i, n);
    }
}

/* y = factor scalar[0] x. */
kernel void nn_scale(long n, global const float *x, long x_offset, global const float *scalar,
                     long scalar_offset, float factor, global float *y, long y_offset)
{
    const float by = factor * scalar[scalar_offset];
    FOR_EACH_VECTOR(i, n)
    {
        store(by * load(x + x_offset, i, n), y + y_offset, i, n);
    }
}
