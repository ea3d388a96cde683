/*
 * Operations element by element, by the rows of nn/pointwise_rows.h, over tensors of any strides.
 *
 *   forward    y = row(a, b, m; p, q)
 *   backward   dx = dy * f, or dx += dy * f; f is the row's local derivative by input number `by`
 *
 * One kernel does all rows and looks at each vector which one it is: kernels a row would take three times as long to load
 * at every start. `reads` says which operands there are: the others are any buffers, and strides of theirs do not matter.
 * y may be the same view as an input, and dx the same as dy.
 */
#include "core/fma.clh"
#include "core/walk_vector.clh"
#include "nn/pointwise_functions.clh"
#include "nn/pointwise_rows.h"

#define CASE(NAME, expression) \
    case POINTWISE_##NAME:     \
        return expression;
#define UNARY_Y(NAME, name, masked, y, ...) CASE(NAME, y)
#define UNARY_F(NAME, name, masked, y, f, ...) CASE(NAME, f)
#define BINARY_Y(NAME, name, masked, y, ...) CASE(NAME, y)
#define BINARY_F0(NAME, name, masked, y, f0, ...) CASE(NAME, f0)
#define BINARY_F1(NAME, name, masked, y, f0, reads0, f1, ...) CASE(NAME, f1)

static inline V value_of(int row, V a, V b, VI m, V p, V q)
{
    switch (row) {
        POINTWISE_UNARY(UNARY_Y)
        POINTWISE_BINARY(BINARY_Y)
    default:
        return a;
    }
}

/* By input number `by`. */
static inline V derivative_of(int row, int by, V a, V b, VI m, V y, V p, V q)
{
    if (by == 1) {
        switch (row) {
            POINTWISE_BINARY(BINARY_F1)
        default:
            return a;
        }
    }
    switch (row) {
        POINTWISE_UNARY(UNARY_F)
        POINTWISE_BINARY(BINARY_F0)
    default:
        return a;
    }
}

/* The vector at j of operand k, or zeros where nobody reads it. */
#define OPERAND(what, k, x) \
    (reads & (what) ? walk_load((x) + run.at[k], w.operand[k].stride[0], j, run.to) : (V)(0.0f))
#define MASK(k, x) \
    (reads & POINTWISE_M ? walk_load_ints((x) + run.at[k], w.operand[k].stride[0], j, run.to) : (VI)(0))

/* Operands: a, b, m, y. `row` and `reads` may be constants instead of the arguments given_row and given_reads. */
#define FORWARD(kernel_name, row, reads_)                                                      \
    kernel void kernel_name(walk_record w, int given_row, int given_reads, float p, float q,   \
                            global const float *a, global const float *b, global const int *m, \
                            global float *y)                                                   \
    {                                                                                          \
        const int reads = (reads_);                                                            \
        FOR_EACH_RUN(run, w, 4)                                                                \
        {                                                                                      \
            for (long j = run.from; j < run.to; j += LANES) {                                  \
                const V va = OPERAND(POINTWISE_A, 0, a), vb = OPERAND(POINTWISE_B, 1, b);      \
                const V value = value_of(row, va, vb, MASK(2, m), (V)(p), (V)(q));             \
                walk_store(value, y + run.at[3], w.operand[3].stride[0], j, run.to);           \
            }                                                                                  \
        }                                                                                      \
    }

#define FAST_FORWARD(NAME) FORWARD(nn_pointwise_forward_##NAME, POINTWISE_##NAME, POINTWISE_A | POINTWISE_B)

FORWARD(nn_pointwise_forward, given_row, given_reads)
POINTWISE_FAST(FAST_FORWARD)

/* Operands: a, b, m, y, dy, dx. */
kernel void nn_pointwise_backward(walk_record w, int row, int by, int reads, float p, float q,
                                  global const float *a, global const float *b, global const int *m,
                                  global const float *y, global const float *dy, int accumulate,
                                  global float *dx)
{
    FOR_EACH_RUN(run, w, 6)
    {
        for (long j = run.from; j < run.to; j += LANES) {
            const V va = OPERAND(POINTWISE_A, 0, a), vb = OPERAND(POINTWISE_B, 1, b);
            const V vy = OPERAND(POINTWISE_Y, 3, y);
            const VI vm = MASK(2, m);
            const V f = derivative_of(row, by, va, vb, vm, vy, (V)(p), (V)(q));
            const V vdy = walk_load(dy + run.at[4], w.operand[4].stride[0], j, run.to);
            const long step = w.operand[5].stride[0];
            walk_store(accumulate ? fma(vdy, f, walk_load(dx + run.at[5], step, j, run.to)) : vdy * f,
                       dx + run.at[5], step, j, run.to);
        }
    }
}
