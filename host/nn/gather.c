/* Elements by number along a dim; the kernels are in cl/nn/gather.cl. */
#include <clseq/nn.h>

#include "core/error.h"
#include "core/launch.h"
#include "core/tensor.h"
#include "nn/along.h"
#include "nn/check.h"
#include <string.h>

/* Index, and `rows` of its dims, of x, which was checked. */
static clseq_status check(clseq_context *ctx, const char *op, const char *const what[2], int dim,
                          const clseq_tensor *x, const clseq_tensor *index, const clseq_tensor *rows,
                          clseq__along *a)
{
    int64_t dims[CLSEQ_MAX_DIMS];
    CLSEQ__RETURN_IF(clseq__along_dim(op, x, dim, a));
    memcpy(dims, x->dims, sizeof dims);
    dims[dim < 0 ? dim + x->ndim : dim] = -1;
    CLSEQ__RETURN_IF(clseq__tensor_check_packed(ctx, what[0], index, CLSEQ_DTYPE_I32, x->ndim, dims));
    return clseq__check_like(ctx, what[1], rows, index);
}

clseq_status clseq_nn_gather_forward(clseq_context *ctx, int dim, const clseq_tensor *x,
                                     const clseq_tensor *index, const clseq_tensor *y)
{
    static const char *const what[] = {"gather forward: index", "gather forward: y"};
    clseq__kernel *kernel = NULL;
    clseq__along a = {0};
    CLSEQ__NEEDS("gather forward", ctx);
    CLSEQ__RETURN_IF(clseq__check_any(ctx, "gather forward: x", x, CLSEQ_DTYPE_F32));
    CLSEQ__RETURN_IF(check(ctx, "gather forward", what, dim, x, index, y, &a));
    CLSEQ__RETURN_IF(clseq__check_apart(what[1], y, "x", x, false));
    CLSEQ__RETURN_IF(clseq__check_apart(what[1], y, "index", index, false));
    const int64_t n = clseq_tensor_elements(y);
    CLSEQ__RETURN_IF(clseq__kernel_get(ctx, "nn/", NULL, "nn_gather_forward", &kernel));
    return clseq__launch(ctx, kernel, clseq__grid_for(ctx, n),
                         CLSEQ__ARGS(CLSEQ__L(a.outer), CLSEQ__L(a.n), CLSEQ__L(n / a.outer / a.inner),
                                     CLSEQ__L(a.inner), CLSEQ__PLACE(x), CLSEQ__PLACE(index),
                                     CLSEQ__PLACE(y)));
}

clseq_status clseq_nn_gather_backward(clseq_context *ctx, int dim, const clseq_tensor *index,
                                      const clseq_tensor *dy, const clseq_tensor *dx)
{
    static const char *const what[] = {"gather backward: index", "gather backward: dy"};
    clseq__kernel *kernel = NULL;
    clseq__along a = {0};
    CLSEQ__NEEDS("gather backward", ctx);
    CLSEQ__RETURN_IF(clseq__check_any(ctx, "gather backward: dx", dx, CLSEQ_DTYPE_F32));
    CLSEQ__RETURN_IF(check(ctx, "gather backward", what, dim, dx, index, dy, &a));
    CLSEQ__RETURN_IF(clseq__check_apart("gather backward: dx", dx, "index", index, false));
    CLSEQ__RETURN_IF(clseq__check_apart("gather backward: dx", dx, "dy", dy, false));
    const int64_t n = clseq_tensor_elements(dy);
    CLSEQ__RETURN_IF(clseq__kernel_get(ctx, "nn/", NULL, "nn_gather_backward", &kernel));
    CLSEQ__RETURN_IF(clseq_tensor_fill(ctx, dx, 0));
    return clseq__launch(ctx, kernel, clseq__grid_for(ctx, n),
                         CLSEQ__ARGS(CLSEQ__L(a.outer), CLSEQ__L(a.n), CLSEQ__L(n / a.outer / a.inner),
                                     CLSEQ__L(a.inner), CLSEQ__PLACE(index), CLSEQ__PLACE(dy),
                                     CLSEQ__PLACE(dx)));
}
