/*
 * A tensor is a view: a buffer, where in it the first element stands, and how many elements there are and lie
 * apart in each dimension. It owns nothing, and copies of it are as good as it is; `{0}` is "no tensor".
 *
 *     clseq_context *ctx = NULL;
 *     clseq_context_create(NULL, &ctx);
 *     float values[6] = {1, 2, 3, 4, 5, 6};
 *     clseq_tensor x = {0};
 *     clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 2, (int64_t[]){2, 3}, &x);
 *     clseq_tensor_write(ctx, &x, values);
 *     clseq_tensor row = clseq_tensor_slice(&x, 0, 1, 1);
 *     clseq_tensor_read(ctx, &row, values);
 *     clseq_tensor_destroy(ctx, &x);
 *     clseq_context_destroy(ctx);
 *
 * Dimensions are listed from the outermost to the innermost; offset and strides count elements, not bytes.
 * Sizes are 64-bit throughout. Strides are never negative; with a stride of 0 one place stands for several elements.
 *
 * Tensors are passed in one way throughout. A function takes a `const clseq_tensor *`, also for what it writes: the
 * elements change, the view does not. NULL leaves out one that may be left out. A struct of arguments holds tensors by
 * value, and so does an array of tensors; there one without a buffer is left out, and a NULL array leaves out all of its
 * tensors. A view that a function makes is its result, or goes to a `clseq_tensor *out`.
 *
 * Every function of the library that takes a tensor refuses one that reaches beyond its buffer (beyond what was asked
 * for, where the buffer comes from clseq_tensor_create) with CLSEQ_OUT_OF_BOUNDS, and one whose buffer belongs to
 * another OpenCL context with CLSEQ_INVALID_ARGUMENT. A view of a buffer that was released is not recognised.
 */
#ifndef CLSEQ_TENSOR_H
#define CLSEQ_TENSOR_H

#include <clseq/context.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CLSEQ_MAX_DIMS 6

typedef enum clseq_dtype {
    /* float */
    CLSEQ_DTYPE_F32 = 0,
    /* int32_t: tokens, targets, lengths */
    CLSEQ_DTYPE_I32 = 1,
    /* uint8_t, bytes: memory for the library's own use (rnn.h). They are created, written, read, filled and copied, packed
     * without gaps only; whatever computes refuses them. */
    CLSEQ_DTYPE_U8 = 2
} clseq_dtype;

/* Whether a forward pass keeps what its backward pass needs. The outputs of both are equal bit for bit. */
typedef enum clseq_mode { CLSEQ_MODE_TRAINING = 0, CLSEQ_MODE_INFERENCE = 1 } clseq_mode;

typedef struct clseq_tensor {
    cl_mem buffer; /* NULL: no tensor */
    int64_t offset;
    clseq_dtype dtype;
    int ndim;
    int64_t dims[CLSEQ_MAX_DIMS];
    int64_t strides[CLSEQ_MAX_DIMS];
} clseq_tensor;

/* Bytes of one element. */
CLSEQ_API size_t clseq_dtype_size(clseq_dtype dtype);

/* "f32", "i32", "u8"; a static string. */
CLSEQ_API const char *clseq_dtype_name(clseq_dtype dtype);

/* A view of a buffer from element `offset` on, packed without gaps (row-major). Nothing is checked or
 * retained. */
CLSEQ_API clseq_tensor clseq_tensor_view(cl_mem buffer, int64_t offset, clseq_dtype dtype, int ndim,
                                         const int64_t *dims);

/* The part of `tensor` with indices [start, start + length) in dimension `dim`; the strides stay. Nothing is
 * checked. */
CLSEQ_API clseq_tensor clseq_tensor_slice(const clseq_tensor *tensor, int dim, int64_t start, int64_t length);

/* The same elements with two dimensions exchanged, for instance [B,T,F] seen as [T,B,F]. Nothing is moved. */
CLSEQ_API clseq_tensor clseq_tensor_transpose(const clseq_tensor *tensor, int dim0, int dim1);

/* Number of elements; 1 for ndim 0; INT64_MAX when a dimension is negative or the number exceeds 63 bits. */
CLSEQ_API int64_t clseq_tensor_elements(const clseq_tensor *tensor);

/* Whether the elements lie packed without gaps in row-major order. */
CLSEQ_API bool clseq_tensor_is_contiguous(const clseq_tensor *tensor);

/*
 * Allocates a buffer (from the context's pool) and returns a packed view of it. The contents are undefined.
 * Every dimension must be at least 1 and the whole under the device's largest allocation. The buffer holds the context
 * until it is given back; copies of the view and other views of it hold nothing. After a failure `*out` is zeroed.
 */
CLSEQ_API clseq_status clseq_tensor_create(clseq_context *ctx, clseq_dtype dtype, int ndim,
                                           const int64_t *dims, clseq_tensor *out);

/*
 * Gives the buffer of a tensor that clseq_tensor_create made back to the pool and zeroes the view. NULL or an empty view
 * are allowed. Allowed after clseq_context_destroy as well: the tensor has kept its context. All other views of the
 * buffer must not be used any more. With CLSEQ_POOL_CANARY it waits, and reports or ends the process when something was
 * written behind the buffer (see context.h).
 */
CLSEQ_API void clseq_tensor_destroy(clseq_context *ctx, clseq_tensor *tensor);

/* Copy all elements, packed in row-major order, from or to host memory. Both wait until the copy is done. */
CLSEQ_API clseq_status clseq_tensor_write(clseq_context *ctx, const clseq_tensor *tensor, const void *host);
CLSEQ_API clseq_status clseq_tensor_read(clseq_context *ctx, const clseq_tensor *tensor, void *host);

/* Sets every element to `value`, rounded to the tensor's type and into its range. Enqueues only. */
CLSEQ_API clseq_status clseq_tensor_fill(clseq_context *ctx, const clseq_tensor *tensor, double value);

/* Copies between tensors of the same dims and type, any strides; they must not overlap. Enqueues only. */
CLSEQ_API clseq_status clseq_tensor_copy(clseq_context *ctx, const clseq_tensor *from,
                                         const clseq_tensor *to);

#ifdef __cplusplus
}
#endif
#endif
