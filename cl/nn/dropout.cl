/*
 * Inverted dropout: y = scale x where Philox number i of (seed, stream) is at least p, else 0; scale = 1/(1-p).
 *
 * One turn makes the four numbers of one Philox block, for elements 4b .. 4b+3. n elements, packed, from an offset in
 * floats on; y may be x.
 */
#include "core/grid.clh"
#include "core/philox.clh"

kernel void nn_dropout(long n, global const float *x, long x_offset, float p, float scale, ulong seed,
                       ulong stream, global float *y, long y_offset)
{
    x += x_offset;
    y += y_offset;
    const long blocks = (n + 3) / 4;
    FOR_EACH(b, blocks)
    {
        const float4 random = random_uniform4(seed, stream, (ulong)b);
        const long i = 4 * b;
        if (i + 4 <= n) {
            vstore4(random >= (float4)(p) ? scale * vload4(0, x + i) : (float4)(0.0f), 0, y + i);
        } else {
            const float number[4] = {random.s0, random.s1, random.s2, random.s3};
            for (int k = 0; i + k < n; k++)
                y[i + k] = number[k] >= p ? scale * x[i + k] : 0.0f;
        }
    }
}
