/*
 * Predicted centres of windows, p(t,b) = n(b) sigmoid(v . tanh(h(t,b))), n being the row's length, h = Wp q made before. A unit
 * is a query, b outermost; h in rows of `padded` numbers [T][B], v of n units.
 *
 * The gradient of p comes in the place of p; that of h takes the place of h, from the last query to the first:
 *
 *   dz = dp n sg (1 - sg),  dv += dz tanh(h),  dh = dz v (1 - tanh^2(h))
 */
#include "attention/lanes.clh"
#include "core/gates.clh"

static inline float excitement(long n, global const float *v, global const float *h, local float *items)
{
    V sum = (V)(0.0f);
    FOR_EACH_LANE(i, n)
    {
        sum = fma(load(v, i, n), clseq_tanh(load(h, i, n)), sum);
    }
    return sum_of(sum, items);
}

static inline float sigmoid_of(float z)
{
    return 1.0f / (1.0f + exp(-z));
}

kernel UNIT_GROUPS void attention_centre(long T, long B, long n, long padded, global const float *v,
                                         long v_at, global const float *hidden, long hidden_at,
                                         global const int *counts, long lengths_at, global float *centres,
                                         long centres_at, local float *items)
{
    FOR_EACH_UNIT(u, B * T)
    {
        const long b = u / T, row = u % T * B + b;
        const float z = excitement(n, v + v_at, hidden + hidden_at + row * padded, items);
        if (UNIT_ITEM == 0)
            centres[centres_at + row] = (float)counts[lengths_at + b] * sigmoid_of(z);
    }
}

/* dcentres become dz. */
kernel UNIT_GROUPS void attention_dcentre(long T, long B, long n, long padded, global const float *v,
                                          long v_at, global const float *hidden, long hidden_at,
                                          global const int *counts, long lengths_at, global float *dcentres,
                                          long dcentres_at, local float *items)
{
    FOR_EACH_UNIT(u, B * T)
    {
        const long b = u / T, row = u % T * B + b;
        const float g = sigmoid_of(excitement(n, v + v_at, hidden + hidden_at + row * padded, items));
        if (UNIT_ITEM == 0)
            dcentres[dcentres_at + row] *= (float)counts[lengths_at + b] * g * (1.0f - g);
    }
}

/* dvector [B][padded]; `fresh`: nothing has been added before. A vector of units of a row of the batch is a unit of work. */
kernel void attention_dhidden(long T, long B, long n, long padded, global const float *v, long v_at,
                              global float *hidden, long hidden_at, global const float *dz, long dz_at,
                              global float *dvector, long dvector_at, int fresh)
{
    const long across = padded / LANES;
    FOR_EACH_UNIT_ALONE(u, B * across)
    {
        const long b = u / across, i = u % across * LANES;
        global float *dv = dvector + dvector_at + b * padded + i;
        const V vi = i < n ? load(v + v_at, i, n) : (V)(0.0f);
        V sum = fresh ? (V)(0.0f) : LOAD(dv);
        for (long t = T - 1; t >= 0; t--) {
            global float *h = hidden + hidden_at + (t * B + b) * padded;
            const V y = i < n ? clseq_tanh(load(h, i, n)) : (V)(0.0f);
            const float d = dz[dz_at + t * B + b];
            sum = fma((V)(d), y, sum);
            STORE(d * vi * clseq_dtanh(y), h + i);
        }
        STORE(sum, dv);
    }
}
