/*
 * Queries (t,b) of keys (b,s), a unit each, b outermost so that a row's keys stay in the cache:
 *
 *   e(s)  = score(q, k(s))                      s in the window [from, to)
 *   a(s)  = exp(e(s) - m) / sum over s of exp(e(s) - m), m the largest; 0 where a key does not count
 *   a(s)  = a(s) exp(-sharpness (s - centre)^2)           where the centre is predicted
 *   c     = sum over s of a(s) value(s)
 *
 * A unit is computed in the same order whatever else the launch does. The program has a score, "attention/scores/$SCORE.clh".
 */
#include "attention/lanes.clh"
#include "attention/scores/$SCORE.clh"
#include "attention/window.clh"
#include "core/exp.clh"

/* Scores of keys [from, to) of row b against one query into e; -infinity where a key does not count. */
static inline void scores_of(const attention_record *r, global const float *q, global const float *keys,
                             global const float *v, global const int *counts, long b, long from, long to,
                             global float *e, local float *items)
{
    for (long s = from; s < to; s += SIDE) {
        V sum[SIDE];
        float score[SIDE];
        global const float *k[SIDE];
        UNROLL for (int j = 0; j < SIDE; j++)
        {
            sum[j] = (V)(0.0f);
            k[j] = keys + row_of(r->keys, b, min(s + j, to - 1));
        }
        FOR_EACH_LANE(i, r->units)
        {
            const V qi = LOAD(q + i), vi = LOAD(v + i);
            UNROLL for (int j = 0; j < SIDE; j++) sum[j] = score_more(sum[j], qi, LOAD(k[j] + i), vi);
        }
        sums_of(sum, score, items);
        UNROLL for (int j = 0; j < SIDE; j++)
        {
            if (UNIT_ITEM == 0 && s + j < to)
                e[s + j] = counts[r->counts + b * r->S + s + j] ? score[j] : -INFINITY;
        }
    }
    UNIT_BARRIER();
}

/* The n scores at e become the alignment. */
static inline void normalise(const attention_record *r, window_keys w, global float *e, long n,
                             local float *items)
{
    V most = (V)(-INFINITY), sum = (V)(0.0f);
    FOR_EACH_LANE(i, n)
    {
        const V x = load_or(-INFINITY, e, i, n);
        most = x > most ? x : most;
    }
    const float largest = largest_of(most, items), shift = largest == -INFINITY ? 0.0f : largest;
    FOR_EACH_LANE(i, n)
    {
        const V x = clseq_exp(load_or(-INFINITY, e, i, n) - shift);
        sum += x;
        store(x, e, i, n);
    }
    const float all = sum_of(sum, items), factor = all == 0.0f ? 0.0f : 1.0f / all;
    FOR_EACH_LANE(i, n)
    {
        V a = load(e, i, n) * factor;
        if (r->window == ATTENTION_PREDICTED) {
            const V far = from_centre(w, i);
            a *= clseq_exp(-r->sharpness * far * far);
        }
        store(a, e, i, n);
    }
    UNIT_BARRIER();
}

/* Vectors of values that are summed side by side. */
#if CPU
#define WIDE 4
#else
#define WIDE 1
#endif

static inline void context_of(const attention_record *r, window_keys w, global const float *a,
                              global const float *values, long b, global float *c)
{
    for (long i = UNIT_ITEM * LANES; i < r->value; i += WIDE * LANES * UNIT_GROUP) {
        const bool whole = i + WIDE * LANES <= r->value;
        V sum[WIDE];
        UNROLL for (int j = 0; j < WIDE; j++) sum[j] = (V)(0.0f);
        for (long s = w.from; s < w.to; s++) {
            global const float *value = values + row_of(r->values, b, s);
            const float as = a[s];
            if (as == 0.0f)
                continue;
            UNROLL for (int j = 0; j < WIDE; j++) sum[j] = fma(
                (V)(as), whole ? LOAD(value + i + j * LANES) : load(value, i + j * LANES, r->value), sum[j]);
        }
        UNROLL for (int j = 0; j < WIDE; j++) store(sum[j], c, i + j * LANES, r->value);
    }
}

/* Zeros outside of the window, and a copy where the caller wants one. */
static inline void finish_alignment(const attention_record *r, window_keys w, global float *a,
                                    global float *given, long t, long b)
{
    FOR_EACH_LANE(i, w.from)
    {
        store((V)(0.0f), a, i, w.from);
    }
    FOR_EACH_LANE(i, r->S - w.to)
    {
        store((V)(0.0f), a + w.to, i, r->S - w.to);
    }
    UNIT_BARRIER();
    FOR_EACH_LANE(i, r->has_given ? r->S : 0)
    {
        store(load(a, i, r->S), given + row_of(r->given, t, b), i, r->S);
    }
}

kernel UNIT_GROUPS void attention_forward(attention_record r, global const float *queries,
                                          global const float *keys, global const float *values,
                                          global const float *vector, global const int *counts,
                                          global const float *centres, global float *alignment,
                                          global float *given, global float *context, local float *items)
{
    FOR_EACH_UNIT(u, r.B * r.T)
    {
        const long b = u / r.T, t = u % r.T;
        const window_keys w = window_of(&r, counts, centres, t, b);
        global float *a = alignment + row_of(r.alignment, t, b);
        scores_of(&r, queries + row_of(r.queries, t, b), keys, vector + r.vector, counts, b, w.from, w.to, a,
                  items);
        normalise(&r, w, a + w.from, w.to - w.from, items);
        context_of(&r, w, a, values, b, context + row_of(r.context, t, b));
        finish_alignment(&r, w, a, given, t, b);
    }
}

/* Keys of a unit of attention_scores. */
#define BLOCK 64

/* The scores alone, e [B][S] at `alignment`, of one query for all rows; a unit has a block of a row's keys. */
kernel UNIT_GROUPS void attention_scores(attention_record r, global const float *queries,
                                         global const float *keys, global const float *vector,
                                         global const int *counts, global float *alignment,
                                         local float *items)
{
    const long blocks = (r.S + BLOCK - 1) / BLOCK;
    FOR_EACH_UNIT(u, r.B * blocks)
    {
        const long b = u / blocks, from = u % blocks * BLOCK;
        scores_of(&r, queries + row_of(r.queries, 0, b), keys, vector + r.vector, counts, b, from,
                  min(r.S, from + BLOCK), alignment + row_of(r.alignment, 0, b), items);
    }
}
