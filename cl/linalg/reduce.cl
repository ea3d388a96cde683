/*
 * Sums whose result is the same, bit for bit, every time on the same device.
 *
 * reduce_sum    out[out_offset + g] = the sum, or the sum of the squares, of the part of x[0,n) that work-group
 *               g has. The parts are summed by a second launch of one work-group.
 * reduce_columns  out[j] = sum over rows r of x[r][j], j in [0,n), or of `parts` runs of rows one result each:
 *               out[part * n + j]. The parts are summed by a second launch, for which they are the rows.
 *
 * reduce_sum is compensated: its error does not grow with n, and a sum that overflows becomes NaN.
 */
#include "core/compensated.clh"
#include "core/elementwise.clh"
#include "core/group.clh"
#include "linalg/reduce_block.h"

static inline V summand(global const float *x, long i, long n, int squares)
{
    const V v = load(x, i, n);
    return squares ? v * v : v;
}

/* As many sums side by side as hide the time of an addition. */
#define SUMS 4

/* What the work-item has of x[0,n). */
static inline float sum_of_item(global const float *x, long n, int squares)
{
    V sum[SUMS], lost[SUMS];
    int k = 0;
    for (k = 0; k < SUMS; k++)
        sum[k] = lost[k] = (V)(0.0f);
#if CPU
    long i = for_each_begin(n, (long)get_group_id(0));
    const long end = for_each_begin(n, (long)get_group_id(0) + 1);
    for (; i + SUMS * LANES <= end; i += SUMS * LANES) {
        for (k = 0; k < SUMS; k++)
            ADD(V, sum[k], lost[k], summand(x, i + k * LANES, end, squares));
    }
    for (; i < end; i += LANES)
        ADD(V, sum[0], lost[0], summand(x, i, end, squares));
#else
    const long step = (long)get_global_size(0);
    long i = (long)get_global_id(0);
    for (; i + (SUMS - 1) * step < n; i += SUMS * step) {
        for (k = 0; k < SUMS; k++)
            ADD(V, sum[k], lost[k], summand(x, i + k * step, n, squares));
    }
    for (; i < n; i += step)
        ADD(V, sum[0], lost[0], summand(x, i, n, squares));
#endif
    for (k = 1; k < SUMS; k++) {
        ADD(V, sum[0], lost[0], sum[k]);
        ADD(V, sum[0], lost[0], -lost[k]);
    }
#if CPU
    float lanes[LANES], rest[LANES], total = 0.0f, low = 0.0f;
    STORE(sum[0], lanes);
    STORE(lost[0], rest);
    for (k = 0; k < LANES; k++) {
        ADD(float, total, low, lanes[k] - rest[k]);
    }
    return total - low;
#else
    return sum[0] - lost[0];
#endif
}

kernel void reduce_sum(global const float *restrict x, long x_offset, long n, int squares, global float *out,
                       long out_offset, local float *items)
{
    const float sum = group_sum(sum_of_item(x + x_offset, n, squares), items);
    if (get_local_id(0) == 0)
        out[out_offset + (long)get_group_id(0)] = sum;
}

/* Vectors of columns that are summed side by side. */
#if CPU
#define BLOCK (CPU_COLUMNS / VW)
#else
#define BLOCK 1
#endif

/* Rows that are added up before they are added to the sum. */
#define ROWS 4

static inline void sum_columns(global const float *x, long rows, long columns, long ld, global float *out,
                               int add)
{
    V sum[BLOCK];
    const int count = (int)((columns + LANES - 1) / LANES);
    for (int k = 0; k < count; k++)
        sum[k] = (V)(0.0f);
    long r = 0;
    for (; r + ROWS <= rows; r += ROWS, x += ROWS * ld) {
        for (int k = 0; k < count; k++) {
            const long i = k * LANES;
            sum[k] += (load(x, i, columns) + load(x + ld, i, columns)) +
                      (load(x + 2 * ld, i, columns) + load(x + 3 * ld, i, columns));
        }
    }
    for (; r < rows; r++, x += ld) {
        for (int k = 0; k < count; k++)
            sum[k] += load(x, k * LANES, columns);
    }
    for (int k = 0; k < count; k++) {
        const long i = k * LANES;
        store(add ? load(out, i, columns) + sum[k] : sum[k], out, i, columns);
    }
}

/* Units: part * blocks + block of columns. */
kernel void reduce_columns(global const float *restrict x, long x_offset, long rows, long n, long ld,
                           long parts, global float *restrict out, long out_offset, int add)
{
    const long width = BLOCK * LANES, blocks = (n + width - 1) / width;
    const long items = (long)get_global_size(0);
    for (long unit = (long)get_global_id(0); unit < parts * blocks; unit += items) {
        const long part = unit / blocks, j = unit % blocks * width;
        const long r0 = rows * part / parts, r1 = rows * (part + 1) / parts;
        sum_columns(x + x_offset + r0 * ld + j, r1 - r0, min(width, n - j), ld,
                    out + out_offset + part * n + j, add);
    }
}
