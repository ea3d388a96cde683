/* Sums, products and multiples of tensors; the kernels are in cl/nn/elementwise.cl. */
#include <clseq/nn.h>

#include "core/error.h"
#include "core/launch.h"
#include "nn/check.h"

clseq_status clseq_nn_add(clseq_context *ctx, float alpha, const clseq_tensor *a, float beta,
                          const clseq_tensor *b, const clseq_tensor *y)
{
    clseq__kernel *kernel = NULL;
    int64_t n = 0;
    CLSEQ__NEEDS("add", ctx);
    CLSEQ__RETURN_IF(clseq__check_any(ctx, "add: a", a, CLSEQ_DTYPE_F32));
    CLSEQ__RETURN_IF(clseq__check_like(ctx, "add: y", y, a));
    CLSEQ__RETURN_IF(clseq__check_apart("add: y", y, "a", a, true));
    if (b) {
        CLSEQ__RETURN_IF(clseq__check_like(ctx, "add: b", b, a));
        CLSEQ__RETURN_IF(clseq__check_apart("add: y", y, "b", b, true));
    }
    n = clseq_tensor_elements(a);
    CLSEQ__RETURN_IF(clseq__kernel_get(ctx, "nn/", NULL, "nn_add", &kernel));
    return clseq__launch(ctx, kernel, clseq__grid_for(ctx, n),
                         CLSEQ__ARGS(CLSEQ__L(n), CLSEQ__F(alpha), CLSEQ__M(a->buffer), CLSEQ__L(a->offset),
                                     CLSEQ__F(beta), CLSEQ__M(b ? b->buffer : NULL),
                                     CLSEQ__L(b ? b->offset : 0), CLSEQ__M(y->buffer), CLSEQ__L(y->offset)));
}

clseq_status clseq_nn_mul(clseq_context *ctx, const clseq_tensor *a, const clseq_tensor *b, bool accumulate,
                          const clseq_tensor *y)
{
    clseq__kernel *kernel = NULL;
    int64_t n = 0;
    CLSEQ__NEEDS("mul", ctx);
    CLSEQ__RETURN_IF(clseq__check_any(ctx, "mul: a", a, CLSEQ_DTYPE_F32));
    CLSEQ__RETURN_IF(clseq__check_like(ctx, "mul: b", b, a));
    CLSEQ__RETURN_IF(clseq__check_like(ctx, "mul: y", y, a));
    CLSEQ__RETURN_IF(clseq__check_apart("mul: y", y, "a", a, true));
    CLSEQ__RETURN_IF(clseq__check_apart("mul: y", y, "b", b, true));
    n = clseq_tensor_elements(a);
    CLSEQ__RETURN_IF(clseq__kernel_get(ctx, "nn/", NULL, "nn_mul", &kernel));
    return clseq__launch(ctx, kernel, clseq__grid_for(ctx, n),
                         CLSEQ__ARGS(CLSEQ__L(n), CLSEQ__M(a->buffer), CLSEQ__L(a->offset),
                                     CLSEQ__M(b->buffer), CLSEQ__L(b->offset), CLSEQ__I(accumulate),
                                     CLSEQ__M(y->buffer), CLSEQ__L(y->offset)));
}

clseq_status clseq_nn_scale(clseq_context *ctx, const clseq_tensor *x, const clseq_tensor *scalar,
                            float factor, const clseq_tensor *y)
{
    clseq__kernel *kernel = NULL;
    int64_t n = 0;
    CLSEQ__NEEDS("scale", ctx);
    CLSEQ__RETURN_IF(clseq__check_any(ctx, "scale: x", x, CLSEQ_DTYPE_F32));
    CLSEQ__RETURN_IF(clseq__check_scalar(ctx, "scale: scalar", scalar));
    CLSEQ__RETURN_IF(clseq__check_like(ctx, "scale: y", y, x));
    CLSEQ__RETURN_IF(clseq__check_apart("scale: y", y, "x", x, true));
    CLSEQ__RETURN_IF(clseq__check_apart("scale: y", y, "scalar", scalar, false));
    n = clseq_tensor_elements(x);
    CLSEQ__RETURN_IF(clseq__kernel_get(ctx, "nn/", NULL, "nn_scale", &kernel));
    return clseq__launch(ctx, kernel, clseq__grid_for(ctx, n),
                         CLSEQ__ARGS(CLSEQ__L(n), CLSEQ__M(x->buffer), CLSEQ__L(x->offset),
                                     CLSEQ__M(scalar->buffer), CLSEQ__L(scalar->offset), CLSEQ__F(factor),
                                     CLSEQ__M(y->buffer), CLSEQ__L(y->offset)));
}
