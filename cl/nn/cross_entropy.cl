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
#include "nn/log_sum_exp.clh"

static inline bool counts_row(int target, int size, int ignore, int ignored)
{
    return target >= 0 && target < size && !(ignore && target == ignored);
}

/* What a row that does not count adds to the loss. */
static inline float loss_of_uncounted(int target, int ignore, int ignored)
{
    return ignore && target == ignored ? 0.0f : NAN;
}

kernel ROW_GROUPS void nn_cross_entropy_rows(long N, int size, int ignore, int ignored,
                                             global const float *logits, long logits_offset,
                                             global const int *targets, long targets_offset,
                                             global float *saved, long saved_offset, global float *partial,
                                             global int *counts)
{
    local float items[ROW_GROUP];
    float loss = 0.0f;
    int count = 0;
    FOR_EACH_ROW(n, N)
    {
        const int target = targets[targets_offset + n];
        const bool counted = counts_row(target, size, ignore, ignored);
        global const float *x = logits + logits_offset + n * size;
        const int used = counted ? size : 0;
        const float shift = row_shift(x, used, items);
        const float lse = shift + log(row_sum_exp(x, used, shift, items));
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

#if CPU
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
kernel ROW_GROUPS void nn_cross_entropy_total(long N, int groups, int sum, global const float *partial,
                                              global const int *counts, global float *saved,
                                              long saved_offset, global float *loss, long loss_offset)
{
    local float losses[ROW_GROUP];
    local int counted[ROW_GROUP];
    float my_loss = 0.0f;
    int my_count = 0;
    for (int g = get_local_id(0); g < groups; g += ROW_GROUP) {
        my_loss += partial[g];
        my_count += counts[g];
    }
    losses[get_local_id(0)] = my_loss;
    counted[get_local_id(0)] = my_count;
    barrier(CLK_LOCAL_MEM_FENCE);
    if (get_local_id(0) == 0) {
        for (int k = 1; k < ROW_GROUP; k++) {
            my_loss += losses[k];
            my_count += counted[k];
        }
        const float divisor = sum || my_count == 0 ? 1.0f : (float)my_count;
        saved[saved_offset + N] = divisor;
        loss[loss_offset] = my_loss / divisor;
    }
}
