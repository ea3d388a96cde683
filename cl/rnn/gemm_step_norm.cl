/*
 * Layer normalisation in the schedule gemm_step: statistics of rows before the map of a phase, and backward the norm
 * after it. A group has one row at a time; on a CPU it is one work-item.
 */
#define V float
#include "core/group.clh"
#include "rnn/gemm_step.clh"

#if NORMS < 1
#error "the norms of a cell: expected at least one"
#endif

/* Sums that a work-item carries along, so that additions need not wait for each other. */
#define SUMS 8

/* The work-item's part of the sum of x - mean, or of its square, over x[0,n). */
static inline float part_sum(const global float *x, long n, float mean, int square)
{
    const long items = (long)get_local_size(0) * SUMS;
    float sums[SUMS] = {0.0f}, sum = 0.0f;
    for (long i = (long)get_local_id(0) * SUMS; i < n; i += items) {
        const int count = (int)min((long)SUMS, n - i);
        for (int k = 0; k < count; k++) {
            const float d = x[i + k] - mean;
            sums[k] += square ? d * d : d;
        }
    }
    for (int k = 0; k < SUMS; k++)
        sum += sums[k];
    return sum;
}

/* For each row its mean and 1 / sqrt(variance + NORM_EPSILON). */
kernel void rnn_row_statistics(gemm_step_rows r, const global float *restrict x, global float *restrict out,
                               local float *items)
{
    for (long row = (long)get_group_id(0); row < r.rows; row += (long)get_num_groups(0)) {
        const global float *from = x + r.at + row * r.ld;
        const float mean = group_sum(part_sum(from, r.n, 0.0f, 0), items) / (float)r.n;
        const float variance = group_sum(part_sum(from, r.n, mean, 1), items) / (float)r.n;
        if (get_local_id(0) == 0) {
            out[r.out_at + row * r.out_ld] = mean;
            out[r.out_at + row * r.out_ld + 1] = 1.0f / sqrt(variance + NORM_EPSILON);
        }
    }
}

/* The work-item's part of the sums over a row of what reaches norm k's values, and of that times the value. */
static inline void norm_sums(int k, const gemm_step_layer *r, long row, const global float *packed,
                             global float *kept, float *sum_d, float *sum_dx)
{
    for (uint j = (uint)get_local_id(0); j < r->H; j += (uint)get_local_size(0)) {
        Unit u;
        load_slots(r, row, j, packed, kept, &u);
        for (int i = 0; i < OF_NORM(k, VALUES); i++) {
            const float d = cell_dnormalised(&u, k, i);
            *sum_d += d;
            *sum_dx = fma(d, cell_normalised(&u, k, i), *sum_dx);
        }
    }
}

/* Norm k of one row: its source's gradient, into its slots. */
static inline void norm_backward(int k, const gemm_step_layer *r, long row, const global float *packed,
                                 global float *kept, float mean_d, float mean_dx)
{
    for (uint j = (uint)get_local_id(0); j < r->H; j += (uint)get_local_size(0)) {
        Unit u;
        load_slots(r, row, j, packed, kept, &u);
        cell_norm_backward(k, &u, mean_d, mean_dx);
        for (int i = 0; i < OF_NORM(k, VALUES); i++)
            slots_of(r, kept, row, j)[(OF_NORM(k, SOURCE) + i) * r->H] = u.slot[OF_NORM(k, SOURCE) + i];
    }
}

/* Norm `norm` of rows [first, first + rows), whose targets hold gradients. */
kernel void rnn_norm_backward(gemm_step_layer r, long first, long rows, int norm,
                              const global float *restrict packed, global float *restrict kept,
                              local float *items)
{
    const float n = (float)(OF_NORM(norm, VALUES) * r.H);
    for (long row = (long)get_group_id(0); row < rows; row += (long)get_num_groups(0)) {
        float sum_d = 0.0f, sum_dx = 0.0f;
        for (int k = 0; k < NORMS; k++)
            if (k == norm)
                norm_sums(k, &r, first + row, packed, kept, &sum_d, &sum_dx);
        const float mean_d = group_sum(sum_d, items) / n, mean_dx = group_sum(sum_dx, items) / n;
        for (int k = 0; k < NORMS; k++)
            if (k == norm)
                norm_backward(k, &r, first + row, packed, kept, mean_d, mean_dx);
    }
}
