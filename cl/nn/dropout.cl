/*
 * Inverted dropout: y = scale x where Philox number i of (seed, stream) is at least p, else 0; scale = 1/(1-p).
 *
 * One iteration makes the numbers of LANES Philox blocks, for elements 4b .. 4b + 4 LANES - 1. n elements, packed, from an
 * offset in floats on; y may be x.
 */
#include "core/elementwise.clh"
#include "core/philox_lanes.clh"

kernel void nn_dropout(long n, global const float *x, long x_offset, float p, float scale, ulong seed,
                       ulong stream, global float *y, long y_offset)
{
    const long blocks = (n + 3) / 4;
    FOR_EACH_VECTOR(b, blocks)
    {
        V number[4];
        random_uniform_lanes(seed, stream, (ulong)b, number);
        for (int k = 0; k < 4; k++) {
            const long i = 4 * b + k * LANES;
            const V kept = scale * load(x + x_offset, i, n);
            store(number[k] >= (V)(p) ? kept : (V)(0.0f), y + y_offset, i, n);
        }
    }
}
