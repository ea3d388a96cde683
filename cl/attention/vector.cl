/*
 * The vector of normalised additive scores, u = g v / |v| of n units, filled up with zeros to `padded`, and from du
 *
 *   dg += du . v / |v|,   dv += (g / |v|) (du - v (du . v) / |v|^2)
 *
 * One group. Where v is zero u is zero and nothing gets a gradient.
 */
#include "attention/lanes.clh"

/* x . y, x having n features. */
static inline float dot_of(global const float *x, global const float *y, long n, local float *items)
{
    V sum = (V)(0.0f);
    FOR_EACH_LANE(i, n)
    {
        sum = fma(load(x, i, n), load(y, i, n), sum);
    }
    return sum_of(sum, items);
}

kernel UNIT_GROUPS void attention_vector(long n, long padded, global const float *v, long v_at,
                                         global const float *gain, long gain_at, global float *u, long u_at,
                                         local float *items)
{
    const float squares = dot_of(v + v_at, v + v_at, n, items);
    const float factor = squares > 0.0f ? gain[gain_at] / sqrt(squares) : 0.0f;
    FOR_EACH_LANE(i, padded)
    {
        store(i < n ? load(v + v_at, i, n) * factor : (V)(0.0f), u + u_at, i, padded);
    }
}

/* dv and dgain: NULL where they are not wanted. */
kernel UNIT_GROUPS void attention_dvector(long n, global const float *v, long v_at, global const float *gain,
                                          long gain_at, global const float *du, long du_at, global float *dv,
                                          long dv_at, global float *dgain, long dgain_at, local float *items)
{
    const float squares = dot_of(v + v_at, v + v_at, n, items),
                along = dot_of(v + v_at, du + du_at, n, items);
    const float r = squares > 0.0f ? 1.0f / sqrt(squares) : 0.0f, factor = gain[gain_at] * r;
    if (dgain && UNIT_ITEM == 0)
        dgain[dgain_at] += along * r;
    FOR_EACH_LANE(i, dv ? n : 0)
    {
        const V d = load(du + du_at, i, n) - load(v + v_at, i, n) * (along * r * r);
        store(fma((V)(factor), d, load(dv + dv_at, i, n)), dv + dv_at, i, n);
    }
}
