/*
 * Matrix products: C = alpha op(A) op(B) + beta C, single or in batches, row-major.
 *
 *     clseq_context *ctx = NULL;
 *     clseq_tensor x = {0}, w = {0}, y = {0};
 *     clseq_context_create(NULL, &ctx);
 *     clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 2, (int64_t[]){64, 256}, &x);
 *     clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 2, (int64_t[]){512, 256}, &w);
 *     clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 2, (int64_t[]){64, 512}, &y);
 *     clseq_tensor_fill(ctx, &x, 1.0);
 *     clseq_tensor_fill(ctx, &w, 0.5);
 *     clseq_gemm(ctx, &(clseq_gemm_args){.m = 64, .n = 512, .k = 256, .alpha = 1.0f,
 *                                        .a = {.buffer = x.buffer, .ld = 256},
 *                                        .b = {.buffer = w.buffer, .ld = 256, .transpose = true},
 *                                        .c = {.buffer = y.buffer, .ld = 512}});
 *     clseq_tensor_destroy(ctx, &x);
 *     clseq_tensor_destroy(ctx, &w);
 *     clseq_tensor_destroy(ctx, &y);
 *     clseq_context_destroy(ctx);
 *
 * op(A) is [m,k], op(B) is [k,n], C is [m,n]; op(X) = X, or X^T where `transpose` is set, and then X itself
 * is stored as [k,m] or [n,k]. Row r of a stored matrix begins at element offset + r * ld. Sizes and offsets
 * are 64-bit.
 *
 * One of two things runs behind this function: `native` kernels, which the library brings for CPU devices, or
 * `clblast`, for everything else and for what the native kernels do not do. The choice is by the device's
 * features, stands in the log, and can be forced by the environment variable CLSEQ_GEMM=native|clblast. The
 * result of each is the same, bit for bit, every time it runs on the same device with the same sizes.
 */
#ifndef CLSEQ_GEMM_H
#define CLSEQ_GEMM_H

#include <clseq/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/* An operand that was packed once for many products; see clseq_gemm_pack. */
typedef struct clseq_packed clseq_packed;

typedef struct clseq_matrix {
    cl_mem buffer;
    int64_t offset; /* of element (0,0) of the first matrix */
    int64_t ld;     /* elements from one stored row to the next, at least the length of a stored row */
    bool transpose; /* of A and B only */
    int64_t stride; /* elements from one matrix of the batch to the next; 0: the same matrix (A and B only) */
    /* [batch] added to `offset` instead of multiples of `stride`; host memory, read at once. */
    const int64_t *offsets;
    const clseq_packed *packed; /* used instead of everything above (A and B only, batch 1) */
} clseq_matrix;

typedef struct clseq_gemm_args {
    int64_t m, n, k; /* at least 1 */
    int64_t batch;   /* number of products; 0 means 1 */
    float alpha;
    float beta; /* 0: C is written without being read, so that it may hold anything, NaN too */
    clseq_matrix a, b, c;
} clseq_gemm_args;

/*
 * Enqueues the product(s). C shares no element with A or B, nor do the matrices of a batch of C with each other; rows
 * that take turns in one array, as columns of it, share none. This is checked exactly, but for the matrices of C that
 * `offsets` place, which are the caller's to keep apart from each other. A packed operand that is a copy is apart from
 * everything. Errors: CLSEQ_INVALID_ARGUMENT (sizes, leading dimensions, overlaps, a buffer of another context),
 * CLSEQ_OUT_OF_BOUNDS (a matrix reaches beyond what its buffer was asked for), CLSEQ_UNSUPPORTED (more than CLBlast
 * can count). Scratch comes from the context's pool.
 *
 * Denormal numbers: see context.h; CLBlast's products may keep them.
 *
 * Enqueues only, but for batches through CLBlast whose matrices are given by `offsets`, or lie without gaps between
 * their rows but not one after another from the start of the buffer on: CLBlast then waits for the queue.
 */
CLSEQ_API clseq_status clseq_gemm(clseq_context *ctx, const clseq_gemm_args *args);

typedef enum clseq_operand { CLSEQ_OPERAND_A = 0, CLSEQ_OPERAND_B = 1 } clseq_operand;

/*
 * Prepares op(A) [rows=m, columns=k] or op(B) [rows=k, columns=n] for many products. With the native kernels
 * this is a copy in their own layout; otherwise it only remembers the view, whose buffer must then live as
 * long. Enqueues only.
 */
CLSEQ_API clseq_status clseq_gemm_pack(clseq_context *ctx, clseq_operand operand, const clseq_matrix *matrix,
                                       int64_t rows, int64_t columns, clseq_packed **out);

/* Takes the values anew from a matrix of the same sizes, in order after what was enqueued before. */
CLSEQ_API clseq_status clseq_gemm_repack(clseq_packed *packed, const clseq_matrix *matrix);

/* NULL is allowed. */
CLSEQ_API void clseq_packed_destroy(clseq_packed *packed);

#ifdef __cplusplus
}
#endif
#endif
