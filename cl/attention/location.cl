/*
 * Features of where was looked before, of one query for all rows, a = before [B][S]:
 *
 *   f(b,s,c)  = sum over j of F[c,j] a(b, s + j - left)            left = (width - 1) / 2, a = 0 outside of the keys
 *   da(b,s)   = sum over c, j of F[c,j] df(b, s - j + left, c)
 *   dF[c,j]   = sum over b, s of df(b,s,c) a(b, s + j - left)
 *
 * attention_before keeps a for the query that follows: the alignment, or `sums` with what was there before.
 */
#include "attention/lanes.clh"

kernel void attention_features(attention_location r, global const float *filter, global const float *before,
                               global float *features)
{
    const long left = (r.width - 1) / 2;
    FOR_EACH(u, r.B * r.S * r.C)
    {
        const long c = u % r.C, s = u / r.C % r.S, b = u / r.C / r.S;
        global const float *f = filter + r.filter + c * r.width, *a = before + r.before + b * r.S;
        float sum = 0.0f;
        for (long j = max(0L, left - s); j < min(r.width, r.S + left - s); j++)
            sum = fma(f[j], a[s + j - left], sum);
        features[r.features + u] = sum;
    }
}

/* out [B][S]; added to what is there where `add`. */
kernel void attention_dbefore(attention_location r, global const float *filter, global const float *dfeatures,
                              global float *out, int add)
{
    const long left = (r.width - 1) / 2;
    FOR_EACH(u, r.B * r.S)
    {
        const long s = u % r.S, b = u / r.S;
        float sum = add ? out[r.out + u] : 0.0f;
        for (long j = max(0L, s + left - r.S + 1); j < min(r.width, s + left + 1); j++) {
            global const float *d = dfeatures + r.features + (b * r.S + s + left - j) * r.C;
            for (long c = 0; c < r.C; c++)
                sum = fma(filter[r.filter + c * r.width + j], d[c], sum);
        }
        out[r.out + u] = sum;
    }
}

/* out [C,width], added to. */
kernel void attention_dfilter(attention_location r, global const float *before, global const float *dfeatures,
                              global float *out)
{
    const long left = (r.width - 1) / 2;
    FOR_EACH(u, r.C * r.width)
    {
        const long c = u / r.width, j = u % r.width;
        const long from = max(0L, left - j), to = min(r.S, r.S + left - j);
        float sum = 0.0f;
        for (long b = 0; b < r.B; b++)
            for (long s = from; s < to; s++)
                sum = fma(dfeatures[r.features + (b * r.S + s) * r.C + c],
                          before[r.before + b * r.S + s + j - left], sum);
        out[r.out + u] += sum;
    }
}

kernel void attention_before(long n, int sums, global const float *alignment, long alignment_at,
                             global const float *before, long before_at, global float *after, long after_at)
{
    FOR_EACH_VECTOR(i, n)
    {
        const V a = load(alignment + alignment_at, i, n);
        store(sums ? load(before + before_at, i, n) + a : a, after + after_at, i, n);
    }
}

/* y += x. */
kernel void attention_add(long n, global const float *x, long x_at, global float *y, long y_at)
{
    FOR_EACH_VECTOR(i, n)
    {
        store(load(y + y_at, i, n) + load(x + x_at, i, n), y + y_at, i, n);
    }
}
