/*
 * Reductions by the rows of linalg/reduce_rows.h, over any dims of a tensor of any strides. The result is the same, bit for
 * bit, every time on the same device.
 *
 * `kept` walks over the results, operand 0 being the first element that belongs to a result and operand 1 the result;
 * `reduced` walks from there over the n elements that make it, operand 0. These are cut into `parts`, result number i of
 * part p being result p * kept.n + i; the results of parts are reduced by a second launch.
 *
 *   reduce_rows     for elements of one result that lie side by side: vectors of them
 *   reduce_columns  for results whose elements lie side by side: vectors of results
 *
 * Sums are compensated, so that the error does not grow with n. Four elements become one before that.
 */
#include "core/compensated.clh"
#include "core/walk_vector.clh"
#include "linalg/reduce_rows.h"

/* A result so far; of sums `lost` is what `value` is too large by. */
#define SO_FAR(M) \
    M(V, value)   \
    M(V, lost)
CLSEQ_RECORD(so_far, SO_FAR);

static inline V pair_sum(V a, V b)
{
    return a + b;
}

/* NaN passes, whichever it is. */
static inline V pair_most(V a, V b)
{
    return a > b || a != a ? a : b;
}

static inline V pair_least(V a, V b)
{
    return a < b || a != a ? a : b;
}

static inline void join_sum(so_far *r, V x)
{
    ADD(V, r->value, r->lost, x);
}

static inline void join_most(so_far *r, V x)
{
    r->value = pair_most(r->value, x);
}

static inline void join_least(so_far *r, V x)
{
    r->value = pair_least(r->value, x);
}

#if CPU
/* One number of the vectors' lanes. */
static inline float lanes_sum(const float *value, const float *lost)
{
    float sum = 0.0f, low = 0.0f;
    for (int k = 0; k < LANES; k++)
        ADD(float, sum, low, value[k] - lost[k]);
    return sum - low;
}

static inline float lanes_most(const float *value, const float *lost)
{
    float most = value[0];
    for (int k = 1; k < LANES; k++)
        most = value[k] > most || value[k] != value[k] ? value[k] : most;
    return most;
}

static inline float lanes_least(const float *value, const float *lost)
{
    float least = value[0];
    for (int k = 1; k < LANES; k++)
        least = value[k] < least || value[k] != value[k] ? value[k] : least;
    return least;
}
#endif

/* What a row does, chosen by the rows of the table. */
#define CASE_OF(NAME, of, join, identity) \
    case REDUCE_##NAME:                   \
        return of;
#define CASE_IDENTITY(NAME, of, join, identity) \
    case REDUCE_##NAME:                         \
        return identity;
#define CASE_PAIR(NAME, of, join, identity) \
    case REDUCE_##NAME:                     \
        return pair_##join(a, b);
#define CASE_JOIN(NAME, of, join, identity) \
    case REDUCE_##NAME:                     \
        join_##join(r, x);                  \
        break;
#define CASE_LANES(NAME, of, join, identity) \
    case REDUCE_##NAME:                      \
        return lanes_##join(value, lost);

static inline V of_element(int row, V x)
{
    switch (row) {
        REDUCE_ROWS(CASE_OF)
    default:
        return x;
    }
}

static inline float identity_of(int row)
{
    switch (row) {
        REDUCE_ROWS(CASE_IDENTITY)
    default:
        return 0.0f;
    }
}

static inline V pair(int row, V a, V b)
{
    switch (row) {
        REDUCE_ROWS(CASE_PAIR)
    default:
        return a;
    }
}

static inline void join(int row, so_far *r, V x)
{
    switch (row) {
        REDUCE_ROWS(CASE_JOIN)
    }
}

static inline so_far nothing(int row)
{
    so_far r;
    r.value = (V)(identity_of(row));
    r.lost = (V)(0.0f);
    return r;
}

/* Elements that become one before they are joined to the result. */
#define TOGETHER 4

/* Where result number i begins, and which elements make its part of number `part`. */
#define UNIT_RECORD(M)       \
    M(long, from) /* in x */ \
    M(long, to)   /* in y */ \
    M(long, begin)           \
    M(long, end)
CLSEQ_RECORD(unit, UNIT_RECORD);

static inline unit unit_of(const walk_record *kept, const walk_record *reduced, long parts, long part, long i)
{
    walk_run run = walk_part(i, i + 1);
    unit u;
    walk_run_at(kept, 2, &run);
    u.from = run.at[0] + run.from * kept->operand[0].stride[0];
    u.to = run.at[1] + run.from * kept->operand[1].stride[0];
    u.begin = reduced->n * part / parts;
    u.end = reduced->n * (part + 1) / parts;
    return u;
}

#if CPU
/* The element's vector at j of a run; behind its end stands the identity. */
static inline V element(int row, global const float *x, long step, long j, long to)
{
    if (step == 1 && j + LANES <= to)
        return of_element(row, LOAD(x + j));
    float part[LANES];
    for (int k = 0; k < LANES; k++)
        part[k] = j + k < to ? x[(j + k) * step] : identity_of(row);
    return of_element(row, LOAD(part));
}

static inline void join_run(int row, so_far *r, global const float *x, long step, long j, long to)
{
    for (; j + TOGETHER * LANES <= to; j += TOGETHER * LANES) {
        const V low = pair(row, element(row, x, step, j, to), element(row, x, step, j + LANES, to));
        const V high =
            pair(row, element(row, x, step, j + 2 * LANES, to), element(row, x, step, j + 3 * LANES, to));
        join(row, r, pair(row, low, high));
    }
    for (; j < to; j += LANES)
        join(row, r, element(row, x, step, j, to));
}

static inline float in_one(int row, const so_far *r)
{
    float value[LANES], lost[LANES];
    STORE(r->value, value);
    STORE(r->lost, lost);
    switch (row) {
        REDUCE_ROWS(CASE_LANES)
    default:
        return value[0];
    }
}

static inline float reduce_unit(int row, const walk_record *reduced, const unit *u, global const float *x,
                                local float *items)
{
    so_far r = nothing(row);
    FOR_EACH_RUN_OF(run, *reduced, 1, u->begin, u->end)
    {
        join_run(row, &r, x + u->from + run.at[0], reduced->operand[0].stride[0], run.from, run.to);
    }
    return in_one(row, &r);
}
#else
/* One result of all work-items of the group, always in the same order; all get it. */
static inline float in_one(int row, float x, local float *items)
{
    const int item = (int)get_local_id(0);
    items[item] = x;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int count = (int)get_local_size(0); count > 1;) {
        const int half_count = (count + 1) / 2;
        if (item + half_count < count)
            items[item] = pair(row, items[item], items[item + half_count]);
        barrier(CLK_LOCAL_MEM_FENCE);
        count = half_count;
    }
    return items[0];
}

static inline float reduce_unit(int row, const walk_record *reduced, const unit *u, global const float *x,
                                local float *items)
{
    const long step = reduced->operand[0].stride[0];
    so_far r = nothing(row);
    walk_run run = walk_part(u->begin + (long)get_local_id(0), u->end);
    for (; run.i < run.end; run.i += (long)get_local_size(0)) {
        walk_run_at(reduced, 1, &run);
        join(row, &r, of_element(row, x[u->from + run.at[0] + run.from * step]));
    }
    return in_one(row, r.value - r.lost, items);
}
#endif

/* Units: part * kept.n + result. On a CPU a group has several of them, on a GPU one. */
kernel void reduce_rows(walk_record kept, walk_record reduced, int row, int accumulate, float scale,
                        long parts, global const float *restrict x, global float *restrict y,
                        local float *items)
{
#if CPU
    const long units = parts * kept.n, groups = (long)get_num_groups(0), group = (long)get_group_id(0);
    for (long i = units * group / groups; i < units * (group + 1) / groups; i++) {
#else
    {
        const long i = (long)get_group_id(0);
#endif
        const long part = i / kept.n;
        const unit u = unit_of(&kept, &reduced, parts, part, i - part * kept.n);
        const float value = scale * reduce_unit(row, &reduced, &u, x, items);
        if (get_local_id(0) == 0)
            y[u.to + part * kept.n] = accumulate ? y[u.to] + value : value;
    }
}

/* Vectors of results that are reduced side by side. */
#if CPU
#define BLOCK (CPU_COLUMNS / VW)
#define columns_of(step) ((step) == 1 ? CPU_COLUMNS : CPU_STRIDED_COLUMNS)
#else
#define BLOCK 1
#define columns_of(step) 1
#define element(row, x, step, j, to) of_element(row, (x)[(j) * (step)])
#endif

/* `columns` results whose elements lie `step` apart; result 0 is that of u. */
static inline void reduce_block(int row, const walk_record *reduced, const unit *u, long columns, long step,
                                global const float *x, so_far r[BLOCK])
{
    const int count = (int)((columns + LANES - 1) / LANES);
    const long ld = reduced->operand[0].stride[0];
    for (int k = 0; k < count; k++)
        r[k] = nothing(row);
    FOR_EACH_RUN_OF(run, *reduced, 1, u->begin, u->end)
    {
        global const float *at = x + u->from + run.at[0] + run.from * ld;
        long left = run.to - run.from;
        for (; left >= TOGETHER; left -= TOGETHER, at += TOGETHER * ld) {
            for (int k = 0; k < count; k++) {
                const long j = k * LANES;
                const V low =
                    pair(row, element(row, at, step, j, columns), element(row, at + ld, step, j, columns));
                const V high = pair(row, element(row, at + 2 * ld, step, j, columns),
                                    element(row, at + 3 * ld, step, j, columns));
                join(row, &r[k], pair(row, low, high));
            }
        }
        for (; left > 0; left--, at += ld) {
            for (int k = 0; k < count; k++)
                join(row, &r[k], element(row, at, step, k * LANES, columns));
        }
    }
}

/* Units: part * blocks + block of results. */
kernel void reduce_columns(walk_record kept, walk_record reduced, int row, int accumulate, float scale,
                           long parts, global const float *restrict x, global float *restrict y)
{
    const long width = columns_of(kept.operand[0].stride[0]), across = (kept.dim[0] + width - 1) / width;
    const long blocks = kept.n / kept.dim[0] * across, items = (long)get_global_size(0);
    const long y_step = kept.operand[1].stride[0];
    for (long i = (long)get_global_id(0); i < parts * blocks; i += items) {
        const long part = i / blocks, block = i - part * blocks, above = block / across;
        const long j = (block - above * across) * width, columns = min(width, kept.dim[0] - j);
        const unit u = unit_of(&kept, &reduced, parts, part, above * kept.dim[0] + j);
        global float *to = y + u.to + part * kept.n;
        so_far r[BLOCK];
        reduce_block(row, &reduced, &u, columns, kept.operand[0].stride[0], x, r);
        for (int k = 0; k * LANES < columns; k++) {
            const V value = scale * (r[k].value - r[k].lost);
            walk_store(accumulate ? walk_load(to, y_step, k * LANES, columns) + value : value, to, y_step,
                       k * LANES, columns);
        }
    }
}
