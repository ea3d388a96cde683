/* Activations by a table; the kernels are in cl/nn/activation.cl. */
#include <clseq/nn.h>

#include "core/error.h"
#include "core/launch.h"
#include "nn/check.h"

static const struct {
    const char *forward, *backward;
} kernels[CLSEQ_ACTIVATION_COUNT] = {
    [CLSEQ_ACTIVATION_TANH] = {"nn_tanh_forward", "nn_tanh_backward"},
    [CLSEQ_ACTIVATION_SIGMOID] = {"nn_sigmoid_forward", "nn_sigmoid_backward"},
    [CLSEQ_ACTIVATION_RELU] = {"nn_relu_forward", "nn_relu_backward"},
};

static clseq_status check_kind(const char *what, clseq_context *ctx, clseq_activation kind)
{
    CLSEQ__NEEDS(what, ctx);
    if ((unsigned)kind >= CLSEQ_ACTIVATION_COUNT)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: there is no activation %d", what, (int)kind);
    return CLSEQ_OK;
}

clseq_status clseq_nn_activation_forward(clseq_context *ctx, clseq_activation kind, const clseq_tensor *x,
                                         const clseq_tensor *y)
{
    clseq__kernel *kernel = NULL;
    int64_t n = 0;
    CLSEQ__RETURN_IF(check_kind("activation forward", ctx, kind));
    CLSEQ__RETURN_IF(clseq__check_any(ctx, "activation forward: x", x, CLSEQ_DTYPE_F32));
    CLSEQ__RETURN_IF(clseq__check_like(ctx, "activation forward: y", y, x));
    CLSEQ__RETURN_IF(clseq__check_apart("activation forward: y", y, "x", x, true));
    n = clseq_tensor_elements(x);
    CLSEQ__RETURN_IF(clseq__kernel_get(ctx, "nn/", NULL, kernels[kind].forward, &kernel));
    return clseq__launch(ctx, kernel, clseq__grid_for(ctx, n),
                         CLSEQ__ARGS(CLSEQ__L(n), CLSEQ__M(x->buffer), CLSEQ__L(x->offset),
                                     CLSEQ__M(y->buffer), CLSEQ__L(y->offset)));
}

clseq_status clseq_nn_activation_backward(clseq_context *ctx, clseq_activation kind, const clseq_tensor *y,
                                          const clseq_tensor *dy, const clseq_tensor *dx)
{
    clseq__kernel *kernel = NULL;
    int64_t n = 0;
    CLSEQ__RETURN_IF(check_kind("activation backward", ctx, kind));
    CLSEQ__RETURN_IF(clseq__check_any(ctx, "activation backward: y", y, CLSEQ_DTYPE_F32));
    CLSEQ__RETURN_IF(clseq__check_like(ctx, "activation backward: dy", dy, y));
    CLSEQ__RETURN_IF(clseq__check_like(ctx, "activation backward: dx", dx, y));
    CLSEQ__RETURN_IF(clseq__check_apart("activation backward: dx", dx, "dy", dy, true));
    CLSEQ__RETURN_IF(clseq__check_apart("activation backward: dx", dx, "y", y, false));
    n = clseq_tensor_elements(y);
    CLSEQ__RETURN_IF(clseq__kernel_get(ctx, "nn/", NULL, kernels[kind].backward, &kernel));
    return clseq__launch(ctx, kernel, clseq__grid_for(ctx, n),
                         CLSEQ__ARGS(CLSEQ__L(n), CLSEQ__M(y->buffer), CLSEQ__L(y->offset),
                                     CLSEQ__M(dy->buffer), CLSEQ__L(dy->offset), CLSEQ__M(dx->buffer),
                                     CLSEQ__L(dx->offset)));
}
