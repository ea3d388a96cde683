/*
 * Norms of the rows of a packed tensor [N,n], with gain g[n] and shift s[n] or without (NULL):
 *
 *   c    = x[0], mean = the mean of x - c      (centred: layer norm)
 *   c    = 0,    mean = 0                      (RMS norm)
 *   r    = 1 / sqrt(the mean of (x - c - mean)^2 + eps)
 *   out  = (x - c - mean) r,  y = g out + s
 *
 * Numbers that are large beside their deviation lose nothing, as differences from one of them are nearly exact, which those
 * from a rounded mean are not. saved [N,2] has mean and r of each row. With e = g dy
 *
 *   dx   = r (e - the mean of e - out the mean of e out), without the mean of e where not centred
 *   dg  += the sum over rows of dy out,  ds += the sum over rows of dy
 *
 * of which each work-group leaves what its rows add in partial[group] = {[n] of g, [n] of s}, in the order of rows. NULL
 * for dx and partial: not wanted. y may be x, and dx may be dy. Offsets in floats.
 */
#include "core/fma.clh"

#include "nn/rows.clh"

/* v, with 0 for elements past the row's end. */
static inline V in_row(V v, long i, long n)
{
#if CPU
    if (i + LANES > n) {
        float lane[LANES];
        STORE(v, lane);
        for (int k = (int)(n - i); k < LANES; k++)
            lane[k] = 0.0f;
        return LOAD(lane);
    }
#endif
    return v;
}

kernel ROW_GROUPS void nn_norm_forward(long N, long n, int centred, float eps, global const float *x,
                                       long x_offset, global const float *gain, long gain_offset,
                                       global const float *shift, long shift_offset, global float *y,
                                       long y_offset, global float *saved, long saved_offset)
{
    local float items[ROW_GROUP];
    FOR_EACH_ROW(row, N)
    {
        global const float *from = x + x_offset + row * n;
        const float c = centred ? from[0] : 0.0f;
        V sum = (V)(0.0f), squares = (V)(0.0f);
        FOR_EACH_OF_ROW(i, centred ? n : 0)
        {
            sum += load_or(c, from, i, n) - c;
        }
        const float mean = row_sum(sum, items) / (float)n;
        FOR_EACH_OF_ROW(i, n)
        {
            const V d = in_row(load(from, i, n) - c - mean, i, n);
            squares = fma(d, d, squares);
        }
        const float r = rsqrt(row_sum(squares, items) / (float)n + eps);
        FOR_EACH_OF_ROW(i, n)
        {
            V v = (load(from, i, n) - c - mean) * r;
            if (gain)
                v *= load(gain + gain_offset, i, n);
            if (shift)
                v += load(shift + shift_offset, i, n);
            store(v, y + y_offset + row * n, i, n);
        }
        if (get_local_id(0) == 0) {
            saved[saved_offset + 2 * row] = mean;
            saved[saved_offset + 2 * row + 1] = r;
        }
    }
}

kernel ROW_GROUPS void nn_norm_backward(long N, long n, int centred, global const float *x, long x_offset,
                                        global const float *gain, long gain_offset, global const float *saved,
                                        long saved_offset, global const float *dy, long dy_offset,
                                        global float *dx, long dx_offset, global float *partial)
{
    local float items[ROW_GROUP];
    bool first = true;
    FOR_EACH_ROW(row, N)
    {
        global const float *from = x + x_offset + row * n, *dout = dy + dy_offset + row * n;
        const float c = centred ? from[0] : 0.0f, mean = saved[saved_offset + 2 * row],
                    r = saved[saved_offset + 2 * row + 1];
        V sum = (V)(0.0f), slope = (V)(0.0f);
        FOR_EACH_OF_ROW(i, n)
        {
            const V d = load(dout, i, n), out = (load(from, i, n) - c - mean) * r;
            const V e = gain ? d * load(gain + gain_offset, i, n) : d;
            sum += e;
            slope = fma(e, out, slope);
            if (partial) {
                global float *dgain = partial + 2 * n * get_group_id(0), *dshift = dgain + n;
                store(first ? d * out : fma(d, out, load(dgain, i, n)), dgain, i, n);
                store(first ? d : load(dshift, i, n) + d, dshift, i, n);
            }
        }
        first = false;
        const float mean_e = row_sum(sum, items) / (float)n, mean_slope = row_sum(slope, items) / (float)n;
        FOR_EACH_OF_ROW(i, dx ? n : 0)
        {
            const V d = load(dout, i, n), out = (load(from, i, n) - c - mean) * r;
            const V e = gain ? d * load(gain + gain_offset, i, n) : d;
            store(r * (e - (centred ? mean_e : 0.0f) - out * mean_slope), dx + dx_offset + row * n, i, n);
        }
    }
}
