/*
 * Reductions, one row each: for cl/linalg/reduce.cl and host/linalg/reduce.c, C and OpenCL C.
 *
 *     M(NAME, of, join, identity)
 *
 * What is reduced is `of`, an expression of the element x. join_##join (reduce.cl) makes one of two; the identity changes
 * nothing.
 */
#ifndef LINALG_REDUCE_ROWS_H
#define LINALG_REDUCE_ROWS_H

#define REDUCE_ROWS(M)          \
    M(SUM, x, sum, 0.0f)        \
    M(SQUARES, x *x, sum, 0.0f) \
    M(MAX, x, most, -INFINITY)  \
    M(MIN, x, least, INFINITY)

#define REDUCE_ENUMERATOR(NAME, ...) REDUCE_##NAME,
enum { REDUCE_ROWS(REDUCE_ENUMERATOR) REDUCE_COUNT };

/* Columns that a work-item of a CPU reduces side by side: as many as stay in the first-level cache, each row of them in one
 * unbroken run. */
#define CPU_COLUMNS 512
/* The same where they do not lie side by side: few, so that all of their rows stay there. */
#define CPU_STRIDED_COLUMNS 16

#endif
