/*
 * Reductions over device memory, in two stages: parts of what makes a result, then these, in their order. So the result is
 * the same, bit for bit, every time on the same device. All functions only enqueue.
 */
#ifndef CLSEQ_LINALG_REDUCE_H
#define CLSEQ_LINALG_REDUCE_H

#include "linalg/reduce_rows.h"

#include <clseq/tensor.h>

/*
 * y = scale * (x reduced by the row of linalg/reduce_rows.h), or += where `accumulate` is set: over the dims that are 1 in
 * y and not in x. Both are checked f32 tensors of any strides and as many dims, y shares no element with x nor within
 * itself. The error of sums stays near eps times the sum of the magnitudes, however many there are; NaN gives NaN.
 */
clseq_status clseq__reduce(clseq_context *ctx, int row, const clseq_tensor *x, float scale, bool accumulate,
                           const clseq_tensor *y);

/*
 * The same for plain ranges, which must lie within their buffers (CLSEQ_OUT_OF_BOUNDS). Offsets and sizes count floats, and
 * are at least 1 (CLSEQ_INVALID_ARGUMENT).
 *
 * out[out_offset] = the sum of x[offset + i], i in [0,n), or of their squares.
 */
clseq_status clseq__reduce_sum(clseq_context *ctx, cl_mem x, int64_t offset, int64_t n, cl_mem out,
                               int64_t out_offset);
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
