/* Inverted dropout. n elements, packed, from an offset in floats on; y may be x. */
#include "core/dropout.clh"

kernel void nn_dropout(long n, global const float *x, long x_offset, float p, float scale, ulong seed,
                       ulong stream, global float *y, long y_offset)
{
    dropout(n, 1, x + x_offset, p, scale, seed, stream, 0, 0, y + y_offset);
}
