/* Sequences [T,B,F] as rows: the F numbers of a step of a batch row lie side by side, other strides are free. */
#include "core/elementwise.clh"

/* to += from. A vector a turn, so that no vector reaches from one row into the next. */
kernel void rnn_rows_add(long T, long B, long F, global const float *restrict from, long from_at, long from_t,
                         long from_b, global float *restrict to, long to_at, long to_t, long to_b)
{
    const long vectors = (F + LANES - 1) / LANES;
    FOR_EACH(i, T * B * vectors)
    {
        const long row = i / vectors, j = i % vectors * LANES, t = row / B, b = row % B;
        global const float *x = from + from_at + t * from_t + b * from_b;
        global float *y = to + to_at + t * to_t + b * to_b;
        store(load(y, j, F) + load(x, j, F), y, j, F);
    }
}
