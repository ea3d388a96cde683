/*
 * The bias of y = x W^T + b: every row of y [N,n], packed, becomes b [n]; the product is added to that. Offsets in
 * floats.
 */
#include "core/elementwise.clh"

#if CPU
kernel void nn_affine_bias(long N, long n, global const float *b, long b_offset, global float *y,
                           long y_offset)
{
    FOR_EACH(row, N)
    {
        for (long i = 0; i < n; i += LANES)
            store(load(b + b_offset, i, n), y + y_offset + row * n, i, n);
    }
}
#else
kernel void nn_affine_bias(long N, long n, global const float *b, long b_offset, global float *y,
                           long y_offset)
{
    FOR_EACH(i, N * n)
    {
        y[y_offset + i] = b[b_offset + i % n];
    }
}
#endif
