/*
 * Cumulative sums along one dim of a packed tensor [outer,n,inner]:
 *
 *   y[k] = sum over j <= k of x[j],  j < k where exclusive,  from the end (j >= k, j > k) where reverse
 *
 * Sums are compensated: y[k] is off by some 2 units of rounding of the sum of magnitudes, however many terms it has. y may be x.
 * Offsets in floats.
 */
#include "core/compensated.clh"
#include "nn/lines.clh"

kernel void nn_cumsum(long outer, long n, long inner, int exclusive, int reverse, global const float *x,
                      long x_offset, global float *y, long y_offset)
{
    FOR_EACH_LINES(l, outer * inner)
    {
        long at[LANES];
        V sum = (V)(0.0f), lost = (V)(0.0f);
        find_lines(l, outer * inner, n, inner, at);
        for (long j = 0; j < n; j++) {
            const long k = (reverse ? n - 1 - j : j) * inner;
            const V before = sum, value = load_lines(x + x_offset + k, at);
            ADD(V, sum, lost, value);
            /* What infinity "lost" is NaN. */
            lost = sum - sum == (V)(0.0f) ? lost : (V)(0.0f);
            store_lines(exclusive ? before : sum, y + y_offset + k, at);
        }
    }
}
