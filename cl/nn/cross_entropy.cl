/*
 * Softmax cross-entropy of N rows of `size` logits, natural logarithms:
 *
 *   lse[n]   = m + log(sum over v of exp(logits[n,v] - m)),  m the row's largest logit
 *   loss     = sum over counted rows of (lse[n] - logits[n,targets[n]]) / divisor
 *   dlogits  = dloss (exp(logits[n,v] - lse[n]) - (v == targets[n])) / divisor,  0 in rows that do not count
 *
 * A row counts when its target is within 0..size-1 and not the ignored one. A target that is neither makes the loss NaN. The divisor is 1, or the number of rows that
 * count (1 when none does). saved holds lse (0 in rows that do not count), then the divisor.
 *
 * nn_cross_entropy_rows gives each work-group some rows, whose loss and number it leaves in partial[group] and
 * counts[group]; nn_cross_entropy_total, one work-group, adds them up. Both add in a fixed order. Offsets in elements,
 * all tensors packed; dlogits may be logits.
 */

/* First, as it is meant for the exponential too. */
#include "core/fma.clh"

#include "core/elementwise.clh"
#include "core/exp.clh"
#include "nn/groups.h"

#if CPU
#define LOSS_GROUP 1
#else
#define LOSS_GROUP LOSS_GROUP_GPU
#endif

static inline bool counts_row(int target, int size, int ignore, int ignored)
{
    return target >= 0 && target < size && !(ignore && target == ignored);
}

/* What a row that does not count adds to the loss. */
static inline float loss_of_uncounted(int target, int ignore, int ignored)
{
    return ignore && target == ignored ? 0.0f : NAN;
}

#if CPU
static float largest_lane(V v)
{
    float lane[LANES], largest = -INFINITY;
    STORE(v, lane);
    for (int k = 0; k < LANES; k++)
        largest = lane[k] > largest ? lane[k] : largest;
    return largest;
}

static float sum_of_lanes(V v)
{
    float lane[LANES];
    STORE(v, lane);
    for (int step = LANES / 2; step > 0; step /= 2)
        for (int k = 0; k < step; k++)
            lane[k] += lane[k + step];
    return lane[0];
}

/* NaN is passed over in the maximum, and makes the sum NaN. */
static float row_log_sum_exp(global const float *x, int size)
{
    V largest = (V)(-INFINITY), sum = (V)(0.0f);
    for (int v = 0; v < size; v += LANES) {
        const V value = load_or(-INFINITY, x, v, size);
        largest = value > largest ? value : largest;
    }
    const float m = largest_lane(largest);
    for (int v = 0; v < size; v += LANES)
        sum += clseq_exp(load_or(-INFINITY, x, v, size) - m);
    return m + log(sum_of_lanes(sum));
}

kernel void nn_cross_entropy_rows(long N, int size, int ignore, int ignored, global const float *logits,
                                  long logits_offset, global const int *targets, long targets_offset,
                                  global float *saved, long saved_offset, global float *partial,
                                  global int *counts)
{
    float loss = 0.0f;
    int count = 0;
    FOR_EACH(n, N)
    {
        const int target = targets[targets_offset + n];
        const bool counted = counts_row(target, size, ignore, ignored);
        global const float *x = logits + logits_offset + n * size;
        const float lse = counted ? row_log_sum_exp(x, size) : 0.0f;
        saved[saved_offset + n] = lse;
        loss += counted ? lse - x[target] : loss_of_uncounted(target, ignore, ignored);
        count += counted;
    }
    partial[get_group_id(0)] = loss;
    counts[get_group_id(0)] = count;
}

kernel void nn_cross_entropy_backward(long N, int size, int ignore, int ignored, global const float *logits,
                                      long logits_offset, global const int *targets, long targets_offset,
                                      global const float *saved, long saved_offset, global const float *dloss,
                                      long dloss_offset, global float *dlogits, long dlogits_offset)
{
    const float scale = (dloss ? dloss[dloss_offset] : 1.0f) / saved[saved_offset + N];
    FOR_EACH(n, N)
    {
        const int target = targets[targets_offset + n];
        const bool counted = counts_row(target, size, ignore, ignored);
        global const float *x = logits + logits_offset + n * size;
        global float *dx = dlogits + dlogits_offset + n * size;
        const float lse = saved[saved_offset + n];
        for (int v = 0; v < size; v += LANES)
            store(counted ? scale * clseq_exp(load(x, v, size) - lse) : (V)(0.0f), dx, v, size);
        if (counted)
            dx[target] -= scale;
    }
}
#else
/* The largest, or the sum, of one value from each work-item, by a tree; every work-item gets it. */
static float over_group(float value, bool largest, local float *scratch)
{
    const int me = get_local_id(0);
    scratch[me] = value;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int step = LOSS_GROUP / 2; step > 0; step /= 2) {
        if (me < step) {
            const float other = scratch[me + step];
            scratch[me] = largest ? (other > scratch[me] ? other : scratch[me]) : scratch[me] + other;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    value = scratch[0];
    barrier(CLK_LOCAL_MEM_FENCE);
    return value;
}

kernel __attribute__((reqd_work_group_size(LOSS_GROUP, 1, 1))) void
nn_cross_entropy_rows(long N, int size, int ignore, int ignored, global const float *logits,
                      long logits_offset, global const int *targets, long targets_offset, global float *saved,
                      long saved_offset, global float *partial, global int *counts)
{
    local float scratch[LOSS_GROUP];
    float loss = 0.0f;
    int count = 0;
    for (long n = get_group_id(0); n < N; n += get_num_groups(0)) {
        const int target = targets[targets_offset + n];
        const bool counted = counts_row(target, size, ignore, ignored);
        global const float *x = logits + logits_offset + n * size;
        float m = -INFINITY, sum = 0.0f;
        for (int v = get_local_id(0); v < size; v += LOSS_GROUP)
            m = x[v] > m ? x[v] : m;
        m = over_group(m, true, scratch);
        for (int v = get_local_id(0); v < size; v += LOSS_GROUP)
            sum += clseq_exp(x[v] - m);
        const float lse = m + log(over_group(sum, false, scratch));
        if (get_local_id(0) == 0)
            saved[saved_offset + n] = counted ? lse : 0.0f;
        loss += counted ? lse - x[target] : loss_of_uncounted(target, ignore, ignored);
        count += counted;
    }
    if (get_local_id(0) == 0) {
        partial[get_group_id(0)] = loss;
        counts[get_group_id(0)] = count;
    }
}

kernel void nn_cross_entropy_backward(long N, int size, int ignore, int ignored, global const float *logits,
                                      long logits_offset, global const int *targets, long targets_offset,
                                      global const float *saved, long saved_offset, global const float *dloss,
                                      long dloss_offset, global float *dlogits, long dlogits_offset)
{
    const float scale = (dloss ? dloss[dloss_offset] : 1.0f) / saved[saved_offset + N];
    FOR_EACH(i, N * size)
    {
        const long n = i / size;
        const int v = (int)(i % size), target = targets[targets_offset + n];
        const float p = clseq_exp(logits[logits_offset + i] - saved[saved_offset + n]);
        dlogits[dlogits_offset + i] =
            counts_row(target, size, ignore, ignored) ? scale * (v == target ? p - 1.0f : p) : 0.0f;
    }
}
#endif

/* loss and divisor from the parts of `groups` groups. */
kernel __attribute__((reqd_work_group_size(LOSS_GROUP, 1, 1))) void
nn_cross_entropy_total(long N, int groups, int sum, global const float *partial, global const int *counts,
                       global float *saved, long saved_offset, global float *loss, long loss_offset)
{
    local float losses[LOSS_GROUP];
    local int counted[LOSS_GROUP];
    float my_loss = 0.0f;
    int my_count = 0;
    for (int g = get_local_id(0); g < groups; g += LOSS_GROUP) {
        my_loss += partial[g];
        my_count += counts[g];
    }
    losses[get_local_id(0)] = my_loss;
    counted[get_local_id(0)] = my_count;
    barrier(CLK_LOCAL_MEM_FENCE);
    if (get_local_id(0) == 0) {
        for (int k = 1; k < LOSS_GROUP; k++) {
            my_loss += losses[k];
            my_count += counted[k];
        }
        const float divisor = sum || my_count == 0 ? 1.0f : (float)my_count;
        saved[saved_offset + N] = divisor;
        loss[loss_offset] = my_loss / divisor;
    }
}
