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
 *     clseq_gemm(ctx, &(clseq_gemm_desc){.transpose_b = true}, 1.0f, &x, &w, 0.0f, &y);
 *     clseq_tensor_destroy(ctx, &x);
 *     clseq_tensor_destroy(ctx, &w);
 *     clseq_tensor_destroy(ctx, &y);
 *     clseq_context_destroy(ctx);
 *
 * op(A) is [m,k], op(B) is [k,n], C is [m,n]; op(X) = X, or X^T where the descriptor says so, and then X itself is
 * [k,m] or [n,k]. Matrices are f32 tensors of two dims, rows and columns, whose last stride is 1; rows may lie any way
 * apart that does not let them overlap, so that slices in either dimension are matrices too.
 *
 * A batch is a C of three dims, [batch,m,n]. A and B then have three dims as well, with any stride from one matrix to the
 * next, 0 too, or two dims, which is the same matrix in every product.
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

/* All zero is right for most products. */
typedef struct clseq_gemm_desc {
    bool transpose_a, transpose_b;
    /* In place of the tensor, which is NULL then; what else is said of the operand here is not looked at. One product. */
    const clseq_packed *packed_a, *packed_b;
    /* [batch] elements from the tensor's own offset to each product's matrix, in place of multiples of the stride, which
     * is not looked at; none below 0. Host memory, read at once. NULL: none. */
    const int64_t *offsets_a, *offsets_b, *offsets_c;
} clseq_gemm_desc;

/*
 * Enqueues the product(s). `desc` may be NULL. With beta 0 C is written without being read, so that it may hold anything,
 * NaN too. C shares no element with A or B, nor do the matrices of a batch of C with each other; rows that take turns in
 * one array, as columns of it, share none. This is checked exactly, but for the matrices of C that `offsets_c` places,
 * which are the caller's to keep apart from each other. A packed operand that is a copy is apart from everything.
 *
 * Errors: CLSEQ_INVALID_ARGUMENT (a tensor that is missing or of another context, overlaps), CLSEQ_INVALID_DTYPE,
 * CLSEQ_INVALID_SHAPE (dims that do not fit each other, strides), CLSEQ_OUT_OF_BOUNDS (a matrix reaches beyond what its
 * buffer was asked for), CLSEQ_UNSUPPORTED (more than CLBlast can count). Scratch comes from the context's pool.
 *
 * Denormal numbers: see context.h; CLBlast's products may keep them.
 *
 * Enqueues only, but for batches through CLBlast whose matrices are given by offsets, or lie without gaps between
 * their rows but not one after another from the start of the buffer on: CLBlast then waits for the queue.
 */
CLSEQ_API clseq_status clseq_gemm(clseq_context *ctx, const clseq_gemm_desc *desc, float alpha,
                                  const clseq_tensor *a, const clseq_tensor *b, float beta,
                                  const clseq_tensor *c);

typedef enum clseq_operand { CLSEQ_OPERAND_A = 0, CLSEQ_OPERAND_B = 1 } clseq_operand;

/*
 * Prepares op(A) or op(B), the matrix or its transpose, for many products. With the native kernels this is a copy in their
 * own layout; otherwise it only remembers the view, whose buffer must then live as long. Enqueues only.
 */
CLSEQ_API clseq_status clseq_gemm_pack(clseq_context *ctx, clseq_operand operand, const clseq_tensor *matrix,
                                       bool transpose, clseq_packed **out);

/* Takes the values anew from a matrix of the same dims, transposed where the first one was, in order after what was
 * enqueued before. */
CLSEQ_API clseq_status clseq_gemm_repack(clseq_packed *packed, const clseq_tensor *matrix);

/* NULL is allowed. */
CLSEQ_API void clseq_packed_destroy(clseq_packed *packed);

#ifdef __cplusplus
}
#endif
#endif
