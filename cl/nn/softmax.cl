/*
 * Softmax over one dim of a packed tensor [outer,n,inner], and its logarithm; along each line of the dim, with m its
 * largest number,
 *
 *   sum   = sum over k of exp(x[k] - m)
 *   y[k]  = exp(x[k] - m) / sum             dx[k] = y[k] (dy[k] - sum over j of y[j] dy[j])
 *   y[k]  = (x[k] - m) - log(sum)   (log)   dx[k] = dy[k] - exp(y[k]) (sum over j of dy[j])
 *
 * Where every x[k] is -infinity softmax is 0 and its logarithm -infinity, and softmax passes no gradient. NaN and +infinity
 * make their line NaN. Kernels for rows are for inner = 1. y may be x, and dx may be dy. Offsets in floats.
 */
#include "core/fma.clh"

#include "core/exp.clh"
#include "nn/lines.clh"
#include "nn/log_sum_exp.clh"

/* What exponentials are multiplied by, and what is subtracted from exponents, where they have this sum. */
#define INVERSE_OF(T, sum) ((sum) == (T)(0.0f) ? (T)(0.0f) : (T)(1.0f) / (sum))
#define LOG_OF(T, sum) ((sum) == (T)(0.0f) ? (T)(0.0f) : log(sum))

kernel ROW_GROUPS void nn_softmax_rows_forward(long N, long n, long inner, int is_log, global const float *x,
                                               long x_offset, global float *y, long y_offset)
{
    local float items[ROW_GROUP];
    FOR_EACH_ROW(r, N)
    {
        global const float *from = x + x_offset + r * n;
        const float shift = row_shift(from, n, items);
        const float sum = row_sum_exp(from, n, shift, items);
        const float factor = INVERSE_OF(float, sum), less = LOG_OF(float, sum);
        FOR_EACH_OF_ROW(i, n)
        {
            const V d = load(from, i, n) - shift;
            store(is_log ? d - less : clseq_exp(d) * factor, y + y_offset + r * n, i, n);
        }
    }
}

kernel ROW_GROUPS void nn_softmax_rows_backward(long N, long n, long inner, int is_log, global const float *y,
                                                long y_offset, global const float *dy, long dy_offset,
                                                global float *dx, long dx_offset)
{
    local float items[ROW_GROUP];
    FOR_EACH_ROW(r, N)
    {
        global const float *out = y + y_offset + r * n, *dout = dy + dy_offset + r * n;
        V mine = (V)(0.0f);
        FOR_EACH_OF_ROW(i, n)
        {
            const V d = load(dout, i, n);
            mine += is_log ? d : load(out, i, n) * d;
        }
        const float sum = row_sum(mine, items);
        FOR_EACH_OF_ROW(i, n)
        {
            const V v = load(out, i, n), d = load(dout, i, n);
            store(is_log ? d - clseq_exp(v) * sum : v * (d - sum), dx + dx_offset + r * n, i, n);
        }
    }
}

kernel void nn_softmax_lines_forward(long outer, long n, long inner, int is_log, global const float *x,
                                     long x_offset, global float *y, long y_offset)
{
    x += x_offset;
    y += y_offset;
    FOR_EACH_LINES(l, outer * inner)
    {
        long at[LANES];
        find_lines(l, outer * inner, n, inner, at);
        V shift = (V)(-INFINITY), sum = (V)(0.0f);
        for (long k = 0; k < n; k++) {
            const V value = load_lines(x + k * inner, at);
            shift = value > shift ? value : shift;
        }
        shift = SHIFT_OF(V, shift);
        for (long k = 0; k < n; k++)
            sum += clseq_exp(load_lines(x + k * inner, at) - shift);
        const V factor = INVERSE_OF(V, sum), less = LOG_OF(V, sum);
        for (long k = 0; k < n; k++) {
            const V d = load_lines(x + k * inner, at) - shift;
            store_lines(is_log ? d - less : clseq_exp(d) * factor, y + k * inner, at);
        }
    }
}

kernel void nn_softmax_lines_backward(long outer, long n, long inner, int is_log, global const float *y,
                                      long y_offset, global const float *dy, long dy_offset, global float *dx,
                                      long dx_offset)
{
    y += y_offset;
    dy += dy_offset;
    dx += dx_offset;
    FOR_EACH_LINES(l, outer * inner)
    {
        long at[LANES];
        find_lines(l, outer * inner, n, inner, at);
        V sum = (V)(0.0f);
        for (long k = 0; k < n; k++) {
            const V d = load_lines(dy + k * inner, at);
            sum += is_log ? d : load_lines(y + k * inner, at) * d;
        }
        for (long k = 0; k < n; k++) {
            const V v = load_lines(y + k * inner, at), d = load_lines(dy + k * inner, at);
            store_lines(is_log ? d - clseq_exp(v) * sum : v * (d - sum), dx + k * inner, at);
        }
    }
}
