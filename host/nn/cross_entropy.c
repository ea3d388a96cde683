/* Softmax cross-entropy; the kernels are in cl/nn/cross_entropy.cl. */
#include <clseq/nn.h>

#include "core/error.h"
#include "core/launch.h"
#include "core/pool.h"
#include "core/tensor.h"
#include "nn/along.h"
#include "nn/check.h"
#include "nn/groups.h"

typedef struct sizes {
    int64_t N, V;
} sizes;

/* What forward and backward have in common; `what` names logits, targets and saved. */
static clseq_status check(clseq_context *ctx, const char *const what[3], const clseq_tensor *logits,
                          const clseq_tensor *targets, const clseq_tensor *saved, sizes *s)
{
    int64_t saved_size = 0;
    CLSEQ__RETURN_IF(clseq__check_any(ctx, what[0], logits, CLSEQ_DTYPE_F32));
    if (logits->ndim < 1 || logits->dims[logits->ndim - 1] > INT32_MAX)
        return clseq__error(CLSEQ_INVALID_SHAPE, "%s: the last dimension must be the classes, at most 2^31-1",
                            what[0]);
    s->V = logits->dims[logits->ndim - 1];
    s->N = clseq_tensor_elements(logits) / s->V;
    CLSEQ__RETURN_IF(
        clseq__tensor_check_packed(ctx, what[1], targets, CLSEQ_DTYPE_I32, logits->ndim - 1, logits->dims));
    saved_size = s->N + 1;
    return clseq__tensor_check_packed(ctx, what[2], saved, CLSEQ_DTYPE_F32, 1, &saved_size);
}

/* The two stages, with scratch for the loss and the number of rows of each group. */
static clseq_status enqueue_forward(clseq_context *ctx, const clseq_cross_entropy_desc *desc, sizes s,
                                    const clseq_tensor *logits, const clseq_tensor *targets,
                                    const clseq_tensor *loss, const clseq_tensor *saved)
{
    clseq_status status = CLSEQ_OK;
    const clseq__grid grid = clseq__rows_grid(ctx, s.N, s.V);
    clseq__kernel *rows = NULL, *total = NULL;
    cl_mem partial = NULL, counts = NULL;
    CLSEQ__TRY(clseq__kernel_get(ctx, "nn/", NULL, "nn_cross_entropy_rows", &rows));
    CLSEQ__TRY(clseq__kernel_get(ctx, "nn/", NULL, "nn_cross_entropy_total", &total));
    CLSEQ__TRY(clseq__pool_get(ctx, grid.groups[0] * sizeof(float), "cross entropy: losses", &partial));
    CLSEQ__TRY(clseq__pool_get(ctx, grid.groups[0] * sizeof(int32_t), "cross entropy: counts", &counts));
    CLSEQ__TRY(clseq__launch(ctx, rows, grid,
                             CLSEQ__ARGS(CLSEQ__L(s.N), CLSEQ__I(s.V), CLSEQ__I(desc->ignore),
                                         CLSEQ__I(desc->ignore_index), CLSEQ__M(logits->buffer),
                                         CLSEQ__L(logits->offset), CLSEQ__M(targets->buffer),
                                         CLSEQ__L(targets->offset), CLSEQ__M(saved->buffer),
                                         CLSEQ__L(saved->offset), CLSEQ__M(partial), CLSEQ__M(counts))));
    CLSEQ__TRY(
        clseq__launch(ctx, total, CLSEQ__GRID1(1, ctx->traits.is_cpu ? 1 : ROW_GROUP_GPU),
                      CLSEQ__ARGS(CLSEQ__L(s.N), CLSEQ__I(grid.groups[0]), CLSEQ__I(desc->sum),
                                  CLSEQ__M(partial), CLSEQ__M(counts), CLSEQ__M(saved->buffer),
                                  CLSEQ__L(saved->offset), CLSEQ__M(loss->buffer), CLSEQ__L(loss->offset))));
done:
    clseq__pool_put(ctx, partial);
    clseq__pool_put(ctx, counts);
    return status;
}

clseq_status clseq_nn_cross_entropy_forward(clseq_context *ctx, const clseq_cross_entropy_desc *desc,
                                            const clseq_tensor *logits, const clseq_tensor *targets,
                                            const clseq_tensor *loss, const clseq_tensor *saved)
{
    static const char *const what[] = {"cross entropy forward: logits", "cross entropy forward: targets",
                                       "cross entropy forward: saved"};
    static const clseq_cross_entropy_desc defaults = {0};
    sizes s = {0};
    CLSEQ__NEEDS("cross entropy forward", ctx);
    CLSEQ__RETURN_IF(check(ctx, what, logits, targets, saved, &s));
    CLSEQ__RETURN_IF(clseq__check_scalar(ctx, "cross entropy forward: loss", loss));
    CLSEQ__RETURN_IF(clseq__check_apart("cross entropy forward: loss", loss, "logits", logits, false));
    CLSEQ__RETURN_IF(clseq__check_apart("cross entropy forward: loss", loss, "saved", saved, false));
    CLSEQ__RETURN_IF(clseq__check_apart("cross entropy forward: saved", saved, "logits", logits, false));
    return enqueue_forward(ctx, desc ? desc : &defaults, s, logits, targets, loss, saved);
}

clseq_status clseq_nn_cross_entropy_backward(clseq_context *ctx, const clseq_cross_entropy_desc *desc,
                                             const clseq_tensor *logits, const clseq_tensor *targets,
                                             const clseq_tensor *saved, const clseq_tensor *dloss,
                                             const clseq_tensor *dlogits)
{
    static const char *const what[] = {"cross entropy backward: logits", "cross entropy backward: targets",
                                       "cross entropy backward: saved"};
    clseq__kernel *kernel = NULL;
    sizes s = {0};
    CLSEQ__NEEDS("cross entropy backward", ctx);
    CLSEQ__RETURN_IF(check(ctx, what, logits, targets, saved, &s));
    CLSEQ__RETURN_IF(clseq__check_like(ctx, "cross entropy backward: dlogits", dlogits, logits));
    CLSEQ__RETURN_IF(clseq__check_apart("cross entropy backward: dlogits", dlogits, "logits", logits, true));
    CLSEQ__RETURN_IF(clseq__check_apart("cross entropy backward: dlogits", dlogits, "saved", saved, false));
    if (dloss) {
        CLSEQ__RETURN_IF(clseq__check_scalar(ctx, "cross entropy backward: dloss", dloss));
        CLSEQ__RETURN_IF(
            clseq__check_apart("cross entropy backward: dlogits", dlogits, "dloss", dloss, false));
    }
    CLSEQ__RETURN_IF(clseq__kernel_get(ctx, "nn/", NULL, "nn_cross_entropy_backward", &kernel));
    return clseq__launch(ctx, kernel, clseq__grid_for(ctx, s.N * s.V),
                         CLSEQ__ARGS(CLSEQ__L(s.N), CLSEQ__I(s.V), CLSEQ__I(desc ? desc->ignore : false),
                                     CLSEQ__I(desc ? desc->ignore_index : 0), CLSEQ__M(logits->buffer),
                                     CLSEQ__L(logits->offset), CLSEQ__M(targets->buffer),
                                     CLSEQ__L(targets->offset), CLSEQ__M(saved->buffer),
                                     CLSEQ__L(saved->offset), CLSEQ__M(dloss ? dloss->buffer : NULL),
                                     CLSEQ__L(dloss ? dloss->offset : 0), CLSEQ__M(dlogits->buffer),
                                     CLSEQ__L(dlogits->offset)));
}
