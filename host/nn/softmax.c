/* Softmax over a dim, and its logarithm; the kernels are in cl/nn/softmax.cl. */
#include <clseq/nn.h>

#include "core/error.h"
#include "core/launch.h"
#include "nn/along.h"
#include "nn/check.h"

/* What sentences call the operation and its arguments. */
typedef struct function {
    const char *forward, *x, *y;
    const char *backward, *out, *dy, *dx;
    bool is_log;
} function;

static const function softmax = {
    "softmax forward",     "softmax forward: x",   "softmax forward: y",   "softmax backward",
    "softmax backward: y", "softmax backward: dy", "softmax backward: dx", false};
static const function log_softmax = {
    "log softmax forward",     "log softmax forward: x",   "log softmax forward: y",   "log softmax backward",
    "log softmax backward: y", "log softmax backward: dy", "log softmax backward: dx", true};

static clseq__grid grid_of(const clseq_context *ctx, clseq__along a)
{
    return a.inner == 1 ? clseq__rows_grid(ctx, a.outer, a.n) : clseq__grid_for(ctx, a.outer * a.n * a.inner);
}

static clseq_status forward(clseq_context *ctx, const function *f, int dim, const clseq_tensor *x,
                            const clseq_tensor *y)
{
    clseq__kernel *kernel = NULL;
    clseq__along a = {0};
    CLSEQ__NEEDS(f->forward, ctx);
    CLSEQ__RETURN_IF(clseq__check_any(ctx, f->x, x, CLSEQ_DTYPE_F32));
    CLSEQ__RETURN_IF(clseq__along_dim(f->forward, x, dim, &a));
    CLSEQ__RETURN_IF(clseq__check_like(ctx, f->y, y, x));
    CLSEQ__RETURN_IF(clseq__check_apart(f->y, y, "x", x, true));
    CLSEQ__RETURN_IF(clseq__kernel_get(
        ctx, "nn/", NULL, a.inner == 1 ? "nn_softmax_rows_forward" : "nn_softmax_lines_forward", &kernel));
    return clseq__launch(ctx, kernel, grid_of(ctx, a),
                         CLSEQ__ARGS(CLSEQ__L(a.outer), CLSEQ__L(a.n), CLSEQ__L(a.inner), CLSEQ__I(f->is_log),
                                     CLSEQ__PLACE(x), CLSEQ__PLACE(y)));
}

static clseq_status backward(clseq_context *ctx, const function *f, int dim, const clseq_tensor *y,
                             const clseq_tensor *dy, const clseq_tensor *dx)
{
    clseq__kernel *kernel = NULL;
    clseq__along a = {0};
    CLSEQ__NEEDS(f->backward, ctx);
    CLSEQ__RETURN_IF(clseq__check_any(ctx, f->out, y, CLSEQ_DTYPE_F32));
    CLSEQ__RETURN_IF(clseq__along_dim(f->backward, y, dim, &a));
    CLSEQ__RETURN_IF(clseq__check_like(ctx, f->dy, dy, y));
    CLSEQ__RETURN_IF(clseq__check_like(ctx, f->dx, dx, y));
    CLSEQ__RETURN_IF(clseq__check_apart(f->dx, dx, "dy", dy, true));
    CLSEQ__RETURN_IF(clseq__check_apart(f->dx, dx, "y", y, false));
    CLSEQ__RETURN_IF(clseq__kernel_get(
        ctx, "nn/", NULL, a.inner == 1 ? "nn_softmax_rows_backward" : "nn_softmax_lines_backward", &kernel));
    return clseq__launch(ctx, kernel, grid_of(ctx, a),
                         CLSEQ__ARGS(CLSEQ__L(a.outer), CLSEQ__L(a.n), CLSEQ__L(a.inner), CLSEQ__I(f->is_log),
                                     CLSEQ__PLACE(y), CLSEQ__PLACE(dy), CLSEQ__PLACE(dx)));
}

clseq_status clseq_nn_softmax_forward(clseq_context *ctx, int dim, const clseq_tensor *x,
                                      const clseq_tensor *y)
{
    return forward(ctx, &softmax, dim, x, y);
}

clseq_status clseq_nn_softmax_backward(clseq_context *ctx, int dim, const clseq_tensor *y,
                                       const clseq_tensor *dy, const clseq_tensor *dx)
{
    return backward(ctx, &softmax, dim, y, dy, dx);
}

clseq_status clseq_nn_log_softmax_forward(clseq_context *ctx, int dim, const clseq_tensor *x,
                                          const clseq_tensor *y)
{
    return forward(ctx, &log_softmax, dim, x, y);
}

clseq_status clseq_nn_log_softmax_backward(clseq_context *ctx, int dim, const clseq_tensor *y,
                                           const clseq_tensor *dy, const clseq_tensor *dx)
{
    return backward(ctx, &log_softmax, dim, y, dy, dx);
}
