/*
 * Device buffers that are used again. The queue is in-order, so a buffer may go back to the pool as soon as
 * its last use is enqueued; whoever gets it next is enqueued later.
 */
#ifndef CLSEQ_CORE_POOL_H
#define CLSEQ_CORE_POOL_H

#include "core/context.h"

/* A buffer of at least `bytes` (> 0). Contents are undefined. The sentence of a failure starts with `what`.
 */
clseq_status clseq__pool_get(clseq_context *ctx, size_t bytes, const char *what, cl_mem *out);

/* Makes a buffer that is in use a reference to the context, until it is given back. */
void clseq__pool_hold(clseq_context *ctx, cl_mem buffer);

/* Gives it back. NULL is allowed. */
void clseq__pool_put(clseq_context *ctx, cl_mem buffer);

/*
 * How many bytes of a buffer may be used: what the pool was asked for, without its rounding, or the size of a buffer
 * that the caller made. One of another OpenCL context is CLSEQ_INVALID_ARGUMENT. The sentence of a failure starts with
 * `what`, the operation and the argument ("gemm: a").
 */
clseq_status clseq__buffer_capacity(clseq_context *ctx, const char *what, cl_mem buffer, size_t *bytes);

/* Buffers whose canary was found overwritten when they were given back (CLSEQ_POOL_CANARY=1; with "abort" the
 * process ends at the first). */
uint64_t clseq__pool_violations(const clseq_context *ctx);

/* The pool of a new context, and its end. The destroy function takes NULL; buffers that are still in use are
 * released and named in the log. */
clseq_status clseq__pool_create(clseq__pool **out);
void clseq__pool_destroy(clseq__pool *pool);

#endif
