/*
 * Sums over device memory. Two stages: every work-group sums a fixed part of the range, one work-group adds
 * the parts in their order; so the result of a size is the same, bit for bit, every time on the same device.
 * All functions only enqueue. Offsets and sizes count floats. A range must lie within its buffer
 * (CLSEQ_OUT_OF_BOUNDS); sizes are at least 1 (CLSEQ_INVALID_ARGUMENT).
 */
#ifndef CLSEQ_LINALG_REDUCE_H
#define CLSEQ_LINALG_REDUCE_H

#include <clseq/context.h>

/* out[out_offset] = sum of x[offset + i], i in [0,n). The error stays near eps times the sum of the
 * magnitudes, however long the range is. */
clseq_status clseq__reduce_sum(clseq_context *ctx, cl_mem x, int64_t offset, int64_t n, cl_mem out,
                               int64_t out_offset);

/* out[out_offset] = sum of the squares of x[offset + i], i in [0,n), as exact as clseq__reduce_sum. */
clseq_status clseq__reduce_sum_squares(clseq_context *ctx, cl_mem x, int64_t offset, int64_t n, cl_mem out,
                                       int64_t out_offset);

/*
 * Sums the columns of a row-major [rows,n] matrix whose rows lie `ld` apart:
 * out[out_offset + j] = sum over r of x[offset + r * ld + j], or += where `add` is set. `out` must not overlap
 * `x`.
 */
clseq_status clseq__reduce_columns(clseq_context *ctx, cl_mem x, int64_t offset, int64_t rows, int64_t n,
                                   int64_t ld, cl_mem out, int64_t out_offset, bool add);

#endif
