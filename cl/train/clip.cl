/*
 * Gradient clipping in place. NaN and infinity are left alone, so that what went wrong can still be seen: clip_value
 * passes such elements on, clip_norm leaves everything as it is when the norm is not finite.
 */
#include "core/elementwise.clh"

/* g = -limit .. limit */
kernel void clip_value(long n, float limit, global float *g)
{
    const V low = (V)(-limit), high = (V)(limit), infinite = (V)(INFINITY);
    FOR_EACH_VECTOR(i, n)
    {
        V value = load(g, i, n);
        value = value > high && value < infinite ? high : value;
        value = value < low && value > -infinite ? low : value;
        store(value, g, i, n);
    }
}

/* g = g limit / norm where the norm, the root of squares[0], exceeds the limit. */
kernel void clip_norm(long n, float limit, global const float *squares, global float *g, long g_offset)
{
    const float norm = sqrt(squares[0]);
    if (!(norm > limit) || isinf(norm))
        return;
    const float factor = limit / norm;
    FOR_EACH_VECTOR(i, n)
    {
        store(factor * load(g + g_offset, i, n), g + g_offset, i, n);
    }
}
