/*
 * Pooling over the steps up to each step, from the scores e [B][T], in O(T): with m(t) the largest score up to t and d(t) the sum of
 * exp(e(s) - m(t)) over s <= t,
 *
 *   new(t) = exp(e(t) - m(t)) / d(t),  old(t) = exp(m(t-1) - m(t)) d(t-1) / d(t)       new + old = 1, once a step counts
 *   y(t)   = old(t) y(t-1) + new(t) x(t)
 *
 * and back, from the last step to the first, with G(t) = dy(t) + old(t+1) G(t+1) and c(t) = dy(t) . y(t) + old(t+1) c(t+1):
 *
 *   dx(t)  = new(t) G(t)             de(t) = new(t) (x(t) . G(t) - c(t))
 *
 * where no number grows with T. A step that does not count has new = 0 and hands on what was there; behind a row's end y is 0.
 * attention_pool_spread is the way back to x of pooling over all steps, dx(t) = a(t) dy.
 */
#include "attention/lanes.clh"

/* parts [B][T][2]: new and old. */
kernel void attention_pool_parts(attention_record r, global const float *scores, global float *parts)
{
    FOR_EACH(b, r.B)
    {
        float most = -INFINITY, sum = 0.0f;
        for (long t = 0; t < r.S; t++) {
            const float e = scores[row_of(r.dscores, 0, b) + t];
            float new = 0.0f, old = 1.0f;
            if (e != -INFINITY) {
                const float next = e > most ? e : most;
                const float here = exp(e - next), before = sum * (sum == 0.0f ? 0.0f : exp(most - next));
                most = next;
                sum = before + here;
                new = here / sum;
                old = before / sum;
            }
            parts[row_of(r.alignment, 0, b) + 2 * t] = new;
            parts[row_of(r.alignment, 0, b) + 2 * t + 1] = old;
        }
    }
}

/* A unit has a part of the features of a row of the batch, of which there are `across`; one a work-item on a GPU. */
kernel void attention_pool_causal(attention_record r, long across, global const float *x,
                                  global const int *counts, global const float *parts, global float *y)
{
    FOR_EACH_UNIT_ALONE(u, r.B * across)
    {
        const long b = u / across, length = counts[r.lengths + b], vectors = (r.value + LANES - 1) / LANES;
        const long from = vectors * (u % across) / across * LANES;
        const long to = min(r.value, vectors * (u % across + 1) / across * LANES);
        for (long t = 0; t < r.S; t++) {
            global float *out = y + row_of(r.context, t, b);
            global const float *in = x + row_of(r.values, b, t),
                               *part = parts + row_of(r.alignment, 0, b) + 2 * t;
            global const float *last = y + row_of(r.context, max(t - 1, 0L), b);
            for (long i = from; i < to; i += LANES) {
                V v = t > 0 ? part[1] * load(last, i, r.value) : (V)(0.0f);
                if (part[0] != 0.0f)
                    v = fma((V)(part[0]), load(in, i, r.value), v);
                store(t < length ? v : (V)(0.0f), out, i, r.value);
            }
        }
    }
}

/* `given` has dy, `context` y, `dqueries` dx; carried [B][V] is G. */
kernel UNIT_GROUPS void attention_pool_causal_backward(attention_record r, global const float *x,
                                                       global const int *counts, global const float *parts,
                                                       global const float *y, global const float *dy,
                                                       global float *dscores, global float *carried,
                                                       global float *dx, local float *items)
{
    FOR_EACH_UNIT(b, r.B)
    {
        const long length = counts[r.lengths + b];
        global float *G = carried + r.carried + b * r.value;
        float c = 0.0f, old = 0.0f;
        for (long t = r.S - 1; t >= 0; t--) {
            global const float *in = x + row_of(r.values, b, t),
                               *part = parts + row_of(r.alignment, 0, b) + 2 * t;
            global const float *out = y + row_of(r.context, t, b), *dout = dy + row_of(r.given, t, b);
            global float *din = dx + row_of(r.dqueries, t, b);
            const bool there = t < length, is_new = part[0] != 0.0f;
            V both[SIDE] = {(V)(0.0f), (V)(0.0f), (V)(0.0f), (V)(0.0f)};
            float sum[SIDE];
            FOR_EACH_LANE(i, r.value)
            {
                V g = old == 0.0f ? (V)(0.0f) : old * load(G, i, r.value);
                if (there) {
                    const V d = load(dout, i, r.value);
                    g += d;
                    both[1] = fma(d, load(out, i, r.value), both[1]);
                }
                if (is_new)
                    both[0] = fma(load(in, i, r.value), g, both[0]);
                store(g, G, i, r.value);
                if (dx)
                    store(part[0] * g, din, i, r.value);
            }
            sums_of(both, sum, items);
            c = sum[1] + (old == 0.0f ? 0.0f : old * c);
            if (UNIT_ITEM == 0)
                dscores[row_of(r.dscores, 0, b) + t] = part[0] * (sum[0] - c);
            old = part[1];
        }
    }
}

/* `context` has dy. */
kernel void attention_pool_spread(attention_record r, global const float *alignment, global const float *dy,
                                  global float *dx)
{
    const long vectors = (r.value + LANES - 1) / LANES;
    FOR_EACH(u, r.S * r.B * vectors)
    {
        const long i = u % vectors * LANES, b = u / vectors % r.B, t = u / vectors / r.B;
        const float a = alignment[row_of(r.alignment, 0, b) + t];
        store(a * load(dy + row_of(r.context, 0, b), i, r.value), dx + row_of(r.dqueries, t, b), i, r.value);
    }
}
