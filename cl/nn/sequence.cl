/*
 * Sequences x [T,B,F], packed, of which the first lengths[b] steps of row b are there (all T where lengths is NULL):
 *
 *   reverse   y[t,b] = x[lengths[b]-1-t,b],  x[t,b] from t = lengths[b] on
 *   last      y[b] = x[lengths[b]-1,b]
 *   mean      y[b] = sum over t of x[t,b] / lengths[b]
 *   max       y[b,f] = the largest x[t,b,f], and step[b,f] the first t where it stands; NaN is larger than all
 *
 * y is 0, and step -1, where the length is 0. Lengths are taken into 0..T. Vectors are of elements [B,F], whose lanes may be
 * of different rows.
 *
 * The backward of the last three gives dx[t,b,f] = scale dy[b,f] in some steps begin <= t < end and 0 in the others: in the
 * last valid one, in all valid ones (scale 1 / lengths[b]), in step[b,f]. That of reverse is reverse. Offsets in elements.
 */
#include "core/elementwise.clh"

/* How many steps each lane has, of the elements l, l + 1, ... of [B,F]; 0 past the last. */
static inline VI lengths_of(global const int *lengths, long lengths_offset, int T, long l, long B, long F)
{
    int lane[LANES];
    for (int k = 0; k < LANES; k++) {
        const long b = (l + k) / F;
        lane[k] = b >= B ? 0 : lengths ? clamp(lengths[lengths_offset + b], 0, T) : T;
    }
    return LOAD(lane);
}

/* Whether all lanes have the same number of steps. */
static inline bool are_equal(VI length)
{
    int lane[LANES];
    bool equal = true;
    STORE(length, lane);
    for (int k = 1; k < LANES; k++)
        equal &= lane[k] == lane[0];
    return equal;
}

/* x[step], each lane from a step of its own; 0 from step -1. n = B F. */
static inline V load_steps(global const float *x, VI step, long l, long n)
{
    int from[LANES];
    float lane[LANES];
    STORE(step, from);
    for (int k = 0; k < LANES; k++)
        lane[k] = l + k < n && from[k] >= 0 ? x[from[k] * n + l + k] : 0.0f;
    return LOAD(lane);
}

kernel void nn_reverse(int T, long B, long F, global const int *lengths, long lengths_offset,
                       global const float *x, long x_offset, global float *y, long y_offset)
{
    const long n = B * F;
    x += x_offset;
    y += y_offset;
    FOR_EACH_VECTOR(l, n)
    {
        const VI length = lengths_of(lengths, lengths_offset, T, l, B, F);
        int lane[LANES];
        STORE(length, lane);
        if (are_equal(length)) {
            for (int t = 0; t < T; t++) {
                const long from = t < lane[0] ? lane[0] - 1 - t : t;
                store(load(x + from * n, l, n), y + t * n, l, n);
            }
        } else {
            for (int t = 0; t < T; t++) {
                const VI from = t < length ? length - 1 - t : (VI)(t);
                store(load_steps(x, from, l, n), y + t * n, l, n);
            }
        }
    }
}

kernel void nn_last_forward(int T, long B, long F, global const int *lengths, long lengths_offset,
                            global const float *x, long x_offset, global float *y, long y_offset,
                            global int *step, long step_offset)
{
    FOR_EACH_VECTOR(l, B * F)
    {
        const VI length = lengths_of(lengths, lengths_offset, T, l, B, F);
        store(load_steps(x + x_offset, length - 1, l, B * F), y + y_offset, l, B * F);
    }
}

kernel void nn_mean_over_time_forward(int T, long B, long F, global const int *lengths, long lengths_offset,
                                      global const float *x, long x_offset, global float *y, long y_offset,
                                      global int *step, long step_offset)
{
    FOR_EACH_VECTOR(l, B * F)
    {
        const VI length = lengths_of(lengths, lengths_offset, T, l, B, F);
        V sum = (V)(0.0f);
        for (int t = 0; t < T; t++) {
            const V value = load(x + x_offset + t * B * F, l, B * F);
            sum += t < length ? value : (V)(0.0f);
        }
        store(length > 0 ? sum / TO_V(length) : (V)(0.0f), y + y_offset, l, B * F);
    }
}

kernel void nn_max_over_time_forward(int T, long B, long F, global const int *lengths, long lengths_offset,
                                     global const float *x, long x_offset, global float *y, long y_offset,
                                     global int *step, long step_offset)
{
    FOR_EACH_VECTOR(l, B * F)
    {
        const VI length = lengths_of(lengths, lengths_offset, T, l, B, F);
        V largest = (V)(0.0f);
        VI at = (VI)(-1);
        for (int t = 0; t < T; t++) {
            const V value = load(x + x_offset + t * B * F, l, B * F);
            const VI is_larger = (at < 0) | (value > largest) | ((value != value) & (largest == largest));
            const VI is_next = (t < length) & is_larger;
            largest = is_next ? value : largest;
            at = is_next ? (VI)(t) : at;
        }
        store(largest, y + y_offset, l, B * F);
        int lane[LANES];
        STORE(at, lane);
        for (int k = 0; k < LANES && l + k < B * F; k++)
            step[step_offset + l + k] = lane[k];
    }
}

/* step: of max only. */
kernel void nn_over_time_backward(int is_mean, int T, long B, long F, global const int *lengths,
                                  long lengths_offset, global const int *step, long step_offset,
                                  global const float *dy, long dy_offset, global float *dx, long dx_offset)
{
    FOR_EACH_VECTOR(l, B * F)
    {
        const VI length = lengths_of(lengths, lengths_offset, T, l, B, F);
        V d = load(dy + dy_offset, l, B * F);
        VI begin = is_mean ? (VI)(0) : length - 1, end = length;
        if (is_mean)
            d /= TO_V(length);
        if (step) {
            int lane[LANES];
            for (int k = 0; k < LANES; k++)
                lane[k] = l + k < B * F ? step[step_offset + l + k] : -1;
            begin = LOAD(lane);
            end = begin + 1;
        }
        for (int t = 0; t < T; t++) {
            const VI is_in = (t >= begin) & (t < end);
            store(is_in ? d : (V)(0.0f), dx + dx_offset + t * B * F, l, B * F);
        }
    }
}
