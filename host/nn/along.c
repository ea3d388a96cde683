#include "nn/along.h"

#include "core/error.h"
#include "nn/groups.h"

clseq_status clseq__along_dim(const char *op, const clseq_tensor *tensor, int dim, clseq__along *out)
{
    const int ndim = tensor->ndim, at = dim < 0 ? dim + ndim : dim;
    if (ndim == 0)
        return clseq__error(CLSEQ_INVALID_SHAPE, "%s: dim is %d of a tensor without dimensions", op, dim);
    if (at < 0 || at >= ndim)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: dim is %d, expected %d to %d", op, dim, -ndim,
                            ndim - 1);
    *out = (clseq__along){1, tensor->dims[at], 1};
    for (int i = 0; i < ndim; i++) {
        if (i < at)
            out->outer *= tensor->dims[i];
        else if (i > at)
            out->inner *= tensor->dims[i];
    }
    return CLSEQ_OK;
}

clseq__grid clseq__rows_grid(const clseq_context *ctx, int64_t N, int64_t n)
{
    clseq__grid grid = clseq__grid_for(ctx, N * n);
    int64_t groups = (int64_t)grid.groups[0];
    if (!ctx->traits.is_cpu) {
        grid.local[0] = ROW_GROUP_GPU;
        groups = 16 * (int64_t)ctx->traits.groups;
    }
    grid.groups[0] = (size_t)(groups < N ? groups : N);
    return grid;
}
