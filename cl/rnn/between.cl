/*
 * What becomes of a sequence on its way from one layer to the next, or of its gradient on the way back: dropout, and the sum
 * with what the layer read.
 */
#include "core/dropout.clh"
#include "rnn/between_record.h"

/* Dropout in place, core/dropout.clh, from place x_at on; its numbers are those from number `skip` of block `first` on. */
kernel void rnn_drop(long n, long steps, float p, float scale, ulong seed, ulong stream, ulong first,
                     long skip, global float *x, long x_at)
{
    dropout(n, steps, x + x_at, p, scale, seed, stream, first, skip, x + x_at);
}

/* to += from in elements f .. f+LANES-1 of row t*B + b. */
static inline void add(const between_sum *r, long row, long f, const global float *from, global float *to)
{
    const long t = row / r->B, b = row % r->B;
    from += r->from.at + t * r->from.t + b * r->from.b;
    to += r->to.at + t * r->to.t + b * r->to.b;
    store(load(to, f, r->F) + load(from, f, r->F), to, f, r->F);
}

/* to += from. What lies past the ends of rows is 0 in outputs, and in gradients nobody reads it. */
kernel void rnn_add_rows(between_sum r, const global float *from, global float *to)
{
#if CPU
    FOR_EACH(row, r.T * r.B)
    for (long f = 0; f < r.F; f += LANES)
        add(&r, row, f, from, to);
#else
    FOR_EACH(i, r.T * r.B * r.F)
    add(&r, i / r.F, i % r.F, from, to);
#endif
}
