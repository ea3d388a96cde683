/*
 * The way back of forward.cl, in two kernels. attention_dscores has a query a unit,
 *
 *   da(s)   = dcontext . value(s) + what came for the alignment itself
 *   de(s)   = a(s) (da(s) - sum over s of a(s) da(s))            global and monotonic windows
 *
 * Where the centre is predicted, a(s) = p(s) g(s), p the softmax and g the bell: de(s) = a(s) da(s) - p(s) sum over s of
 * a(s) da(s), and dcentre = sum over s of a(s) da(s) 2 sharpness (s - centre). attention_dproject has a vector of features of a row
 * of the batch, and goes from the last query to the first and over the keys from the first to the last: what goes to a
 * query, and what each query adds to keys and v, does not depend on which queries share a call. `fresh`: nothing has been added
 * before. Keys may be where their gradients go, when there is one query.
 */
#include "attention/lanes.clh"
#include "attention/scores/$SCORE.clh"
#include "attention/window.clh"
#include "core/exp.clh"

/* da of keys [from, to) into d; 0 where the alignment is, so that what does not count is not looked at. */
static inline void dalignment_of(const attention_record *r, window_keys w, global const float *dc,
                                 global const float *values, global const float *a, global const float *given,
                                 global const float *carried, long b, global float *d, local float *items)
{
    for (long s = w.from; s < w.to; s += SIDE) {
        V sum[SIDE];
        float dot[SIDE];
        global const float *value[SIDE];
        UNROLL for (int j = 0; j < SIDE; j++)
        {
            sum[j] = (V)(0.0f);
            value[j] = values + row_of(r->values, b, min(s + j, w.to - 1));
        }
        FOR_EACH_LANE(i, r->value)
        {
            const V di = load(dc, i, r->value);
            UNROLL for (int j = 0; j < SIDE; j++) sum[j] = fma(di, load(value[j], i, r->value), sum[j]);
        }
        sums_of(sum, dot, items);
        UNROLL for (int j = 0; j < SIDE; j++)
        {
            if (UNIT_ITEM != 0 || s + j >= w.to)
                continue;
            if (r->has_given)
                dot[j] += given[s + j];
            if (r->has_carried)
                dot[j] += carried[s + j];
            d[s + j] = a[s + j] == 0.0f ? 0.0f : dot[j];
        }
    }
    UNIT_BARRIER();
}

/* de from da, in place, and the centre's gradient. */
static inline float dscores_of(const attention_record *r, window_keys w, global const float *a,
                               global float *d, long n, local float *items)
{
    const bool bell = r->window == ATTENTION_PREDICTED;
    V sum = (V)(0.0f), dcentre = (V)(0.0f);
    FOR_EACH_LANE(i, n)
    {
        const V x = load(a, i, n) * load(d, i, n);
        sum += x;
        if (bell)
            dcentre = fma(x, from_centre(w, i), dcentre);
    }
    const float all = sum_of(sum, items), centre = sum_of(dcentre, items);
    FOR_EACH_LANE(i, n)
    {
        const V ai = load(a, i, n), di = load(d, i, n);
        if (bell) {
            const V far = from_centre(w, i);
            store(ai * (di - all * clseq_exp(r->sharpness * far * far)), d, i, n);
        } else {
            store(ai * (di - all), d, i, n);
        }
    }
    return 2.0f * r->sharpness * centre;
}

kernel UNIT_GROUPS void attention_dscores(attention_record r, global const float *dcontext,
                                          global const float *values, global const int *counts,
                                          global float *centres, global const float *alignment,
                                          global const float *given, global const float *carried,
                                          global float *dscores, local float *items)
{
    FOR_EACH_UNIT(u, r.B * r.T)
    {
        const long b = u / r.T, t = u % r.T;
        const window_keys w = window_of(&r, counts, centres, t, b);
        global const float *a = alignment + row_of(r.alignment, t, b);
        global float *d = dscores + row_of(r.dscores, t, b);
        dalignment_of(&r, w, dcontext + row_of(r.context, t, b), values, a, given + row_of(r.given, t, b),
                      carried + r.carried + b * r.S, b, d, items);
        const float dcentre = dscores_of(&r, w, a + w.from, d + w.from, w.to - w.from, items);
        FOR_EACH_LANE(i, w.from)
        {
            store((V)(0.0f), d, i, w.from);
        }
        FOR_EACH_LANE(i, r.S - w.to)
        {
            store((V)(0.0f), d + w.to, i, r.S - w.to);
        }
        if (UNIT_ITEM == 0 && r.window == ATTENTION_PREDICTED)
            centres[row_of(r.centres, t, b)] = dcentre;
    }
}

/* `lengths` bounds the keys: de is 0 behind them, and what their gradients go to is zeros. */
kernel void attention_dproject(attention_record r, global const float *queries, global const float *keys,
                               global const float *vector, global const int *counts,
                               global const float *dscores, global float *dqueries, global float *dkeys,
                               global float *dvector)
{
    const long across = r.units / LANES;
    FOR_EACH_UNIT_ALONE(u, r.B * across)
    {
        const long b = u / across, i = u % across * LANES, length = counts[r.lengths + b];
        global float *dv_to = dvector + r.dvector + b * r.units + i;
        const V v = LOAD(vector + r.vector + i);
        V dv_all = r.fresh ? (V)(0.0f) : LOAD(dv_to);
        for (long t = r.T - 1; t >= 0; t--) {
            global const float *de = dscores + row_of(r.dscores, t, b);
            global const float *key = keys + row_of(r.keys, b, 0) + i;
            global float *to = dkeys + row_of(r.dkeys, b, 0) + i;
            const bool first = r.fresh && t == r.T - 1;
            const V q = LOAD(queries + row_of(r.queries, t, b) + i);
            V dq = (V)(0.0f), dv = (V)(0.0f);
            for (long s = 0; s < length; s++, key += r.keys.stride[1], to += r.dkeys.stride[1]) {
                const V k = LOAD(key);
                V dk = first ? (V)(0.0f) : LOAD(to);
                if (de[s] != 0.0f)
                    score_backward((V)(de[s]), q, k, v, &dq, &dk, &dv);
                STORE(dk, to);
            }
            STORE(dq, dqueries + row_of(r.dqueries, t, b) + i);
            dv_all += dv;
            for (long s = first ? length : r.S; s < r.S; s++, to += r.dkeys.stride[1])
                STORE((V)(0.0f), to);
        }
        STORE(dv_all, dv_to);
    }
}
