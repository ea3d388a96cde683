/*
 * y = x W^T + b: products through clseq_gemm, bias gradients through the reductions. The kernel is in
 * cl/nn/affine.cl.
 */
#include "nn/affine.h"

#include "core/error.h"
#include "core/launch.h"
#include "core/tensor.h"
#include "linalg/reduce.h"
#include "nn/check.h"

/* Sizes of x [N,in], w [out,in], y [N,out]. */
typedef struct sizes {
    int64_t N, in, out;
} sizes;

/* x [...,in] and w [out,in] of any sizes that fit each other. */
static clseq_status check_inputs(clseq_context *ctx, const char *what_x, const clseq_tensor *x,
                                 const char *what_w, const clseq_tensor *w, sizes *s)
{
    static const int64_t any_matrix[] = {-1};
    CLSEQ__RETURN_IF(clseq__check_any(ctx, what_x, x, CLSEQ_DTYPE_F32));
    if (x->ndim < 1)
        return clseq__error(CLSEQ_INVALID_SHAPE, "%s has no dimensions, expected [...,in]", what_x);
    s->in = x->dims[x->ndim - 1];
    s->N = clseq_tensor_elements(x) / s->in;
    CLSEQ__RETURN_IF(clseq__check_rows(ctx, what_w, w, CLSEQ_DTYPE_F32, 1, any_matrix, s->in));
    s->out = w->dims[0];
    return CLSEQ_OK;
}

/* A packed tensor [...,last] as the matrix of its rows. */
static clseq_tensor rows_of(const clseq_tensor *x)
{
    const int64_t last = x->dims[x->ndim - 1];
    return clseq_tensor_view(x->buffer, x->offset, x->dtype, 2,
                             (int64_t[]){clseq_tensor_elements(x) / last, last});
}

/* C = op(A) op(B) + beta C of the matrices of rows of packed tensors. */
static clseq_status product(clseq_context *ctx, const clseq_gemm_desc *desc, const clseq_tensor *a,
                            const clseq_tensor *b, float beta, const clseq_tensor *c)
{
    const clseq_tensor x = rows_of(a), y = rows_of(b), z = rows_of(c);
    return clseq_gemm(ctx, desc, 1.0f, &x, desc && desc->packed_b ? NULL : &y, beta, &z);
}

/* Every row of y becomes b. */
static clseq_status start_from_bias(clseq_context *ctx, const clseq_tensor *b, const clseq_tensor *y, sizes s)
{
    clseq__kernel *kernel = NULL;
    CLSEQ__RETURN_IF(clseq__kernel_get(ctx, "nn/", NULL, "nn_affine_bias", &kernel));
    return clseq__launch(ctx, kernel, clseq__grid_for(ctx, s.N * s.out),
                         CLSEQ__ARGS(CLSEQ__L(s.N), CLSEQ__L(s.out), CLSEQ__M(b->buffer), CLSEQ__L(b->offset),
                                     CLSEQ__M(y->buffer), CLSEQ__L(y->offset)));
}

clseq_status clseq__affine_forward(clseq_context *ctx, const clseq_tensor *x, const clseq_tensor *w,
                                   const clseq_packed *packed, const clseq_tensor *b, const clseq_tensor *y)
{
    const clseq_gemm_desc desc = {.transpose_b = true, .packed_b = packed};
    sizes s = {0};
    CLSEQ__NEEDS("affine forward", ctx);
    CLSEQ__RETURN_IF(check_inputs(ctx, "affine forward: x", x, "affine forward: w", w, &s));
    CLSEQ__RETURN_IF(
        clseq__check_rows(ctx, "affine forward: y", y, CLSEQ_DTYPE_F32, x->ndim - 1, x->dims, s.out));
    CLSEQ__RETURN_IF(clseq__check_apart("affine forward: y", y, "x", x, false));
    CLSEQ__RETURN_IF(clseq__check_apart("affine forward: y", y, "w", w, false));
    if (b) {
        CLSEQ__RETURN_IF(clseq__tensor_check_packed(ctx, "affine forward: b", b, CLSEQ_DTYPE_F32, 1, &s.out));
        CLSEQ__RETURN_IF(clseq__check_apart("affine forward: y", y, "b", b, false));
        CLSEQ__RETURN_IF(start_from_bias(ctx, b, y, s));
    }
    return product(ctx, &desc, x, w, b ? 1.0f : 0.0f, y);
}

clseq_status clseq_nn_affine_forward(clseq_context *ctx, const clseq_tensor *x, const clseq_tensor *w,
                                     const clseq_tensor *b, const clseq_tensor *y)
{
    return clseq__affine_forward(ctx, x, w, NULL, b, y);
}

/* Checks the gradients that are wanted. */
static clseq_status check_gradients(clseq_context *ctx, const clseq_tensor *x, const clseq_tensor *w,
                                    const clseq_tensor *dy, const clseq_tensor *dx, const clseq_tensor *dw,
                                    const clseq_tensor *db, sizes s)
{
    const struct {
        const char *what;
        const clseq_tensor *tensor;
    } outputs[] = {{"affine backward: dx", dx}, {"affine backward: dw", dw}, {"affine backward: db", db}};
    if (dx)
        CLSEQ__RETURN_IF(clseq__check_like(ctx, "affine backward: dx", dx, x));
    if (dw)
        CLSEQ__RETURN_IF(clseq__check_like(ctx, "affine backward: dw", dw, w));
    if (db)
        CLSEQ__RETURN_IF(
            clseq__tensor_check_packed(ctx, "affine backward: db", db, CLSEQ_DTYPE_F32, 1, &s.out));
    for (size_t i = 0; i < sizeof outputs / sizeof outputs[0]; i++) {
        if (!outputs[i].tensor)
            continue;
        CLSEQ__RETURN_IF(clseq__check_apart(outputs[i].what, outputs[i].tensor, "x", x, false));
        CLSEQ__RETURN_IF(clseq__check_apart(outputs[i].what, outputs[i].tensor, "w", w, false));
        CLSEQ__RETURN_IF(clseq__check_apart(outputs[i].what, outputs[i].tensor, "dy", dy, false));
    }
    return CLSEQ_OK;
}

clseq_status clseq__affine_backward(clseq_context *ctx, const clseq_tensor *x, const clseq_tensor *w,
                                    const clseq_packed *packed, const clseq_tensor *dy,
                                    const clseq_tensor *dx, const clseq_tensor *dw, const clseq_tensor *db)
{
    sizes s = {0};
    CLSEQ__NEEDS("affine backward", ctx);
    CLSEQ__RETURN_IF(check_inputs(ctx, "affine backward: x", x, "affine backward: w", w, &s));
    CLSEQ__RETURN_IF(
        clseq__check_rows(ctx, "affine backward: dy", dy, CLSEQ_DTYPE_F32, x->ndim - 1, x->dims, s.out));
    CLSEQ__RETURN_IF(check_gradients(ctx, x, w, dy, dx, dw, db, s));
    if (dx)
        CLSEQ__RETURN_IF(product(ctx, &(clseq_gemm_desc){.packed_b = packed}, dy, w, 0.0f, dx));
    if (dw)
        CLSEQ__RETURN_IF(product(ctx, &(clseq_gemm_desc){.transpose_a = true}, dy, x, 1.0f, dw));
    if (db)
        CLSEQ__RETURN_IF(clseq__reduce_columns(ctx, dy->buffer, dy->offset, s.N, s.out, s.out, db->buffer,
                                               db->offset, true));
    return CLSEQ_OK;
}

clseq_status clseq_nn_affine_backward(clseq_context *ctx, const clseq_tensor *x, const clseq_tensor *w,
                                      const clseq_tensor *dy, const clseq_tensor *dx, const clseq_tensor *dw,
                                      const clseq_tensor *db)
{
    return clseq__affine_backward(ctx, x, w, NULL, dy, dx, dw, db);
}
