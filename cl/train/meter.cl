/*
 * A weighted sum and its weight, each kept as an unevaluated pair sum + rest, so that a hundred thousand additions
 * lose nothing that matters: two_sum gives the exact rounding error of an addition (Knuth, The Art of Computer
 * Programming, vol. 2, section 4.2.2), and fma that of a product. One work-item.
 *
 * parts: sum of x*weight, its rest, sum of weights, its rest
 */

#pragma OPENCL FP_CONTRACT OFF

/* pair[0] + pair[1] += x */
static inline void add_to(__global float *pair, float x)
{
    const float a = pair[0], s = a + x, b = s - a;
    pair[1] += (a - (s - b)) + (x - b);
    pair[0] = s;
}

__kernel void meter_add(__global const float *x, long offset, float weight, __global float *parts)
{
    const float value = x[offset], product = value * weight;
    add_to(parts, product);
    parts[1] += fma(value, weight, -product);
    add_to(parts + 2, weight);
}
