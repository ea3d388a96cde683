/* Gradient clipping; the kernels are in cl/train/clip.cl. */
#include "train/params.h"

#include "core/error.h"
#include "core/launch.h"
#include "core/pool.h"
#include "linalg/reduce.h"
#include <math.h>

static clseq_status prepare(const char *what, clseq_params *params, float limit)
{
    CLSEQ__NEEDS(what, params);
    if (!(limit > 0.0f))
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: limit is %g, expected a positive number", what,
                            (double)limit);
    return clseq__params_materialize(params);
}

clseq_status clseq_clip_value(clseq_params *params, float limit)
{
    clseq__kernel *kernel = NULL;
    CLSEQ__RETURN_IF(prepare("clip value", params, limit));
    CLSEQ__RETURN_IF(clseq__kernel_get(params->ctx, "train/", NULL, "clip_value", &kernel));
    return clseq__launch(params->ctx, kernel, clseq__grid_for(params->ctx, params->flat),
                         CLSEQ__ARGS(CLSEQ__L(params->flat), CLSEQ__F(limit), CLSEQ__M(params->grads)));
}

/* Scales the gradients [offset, offset+n) to the limit; leaves the square of their norm in squares[0]. */
static clseq_status clip_range(clseq_params *params, int64_t offset, int64_t n, float limit, cl_mem squares)
{
    clseq__kernel *kernel = NULL;
    CLSEQ__RETURN_IF(clseq__kernel_get(params->ctx, "train/", NULL, "clip_norm", &kernel));
    CLSEQ__RETURN_IF(clseq__reduce_sum_squares(params->ctx, params->grads, offset, n, squares, 0));
    return clseq__launch(params->ctx, kernel, clseq__grid_for(params->ctx, n),
                         CLSEQ__ARGS(CLSEQ__L(n), CLSEQ__F(limit), CLSEQ__M(squares), CLSEQ__M(params->grads),
                                     CLSEQ__L(offset)));
}

clseq_status clseq_clip_norm(clseq_params *params, float limit)
{
    clseq_status status = CLSEQ_OK;
    cl_mem squares = NULL;
    CLSEQ__RETURN_IF(prepare("clip norm", params, limit));
    CLSEQ__RETURN_IF(clseq__pool_get(params->ctx, sizeof(float), "clip norm: scratch", &squares));
    for (size_t i = 0; i < params->count; i++) {
        if (params->all[i]->is_frozen)
            continue; /* without a gradient */
        CLSEQ__TRY(clip_range(params, params->all[i]->offset, params->all[i]->elements, limit, squares));
    }
done:
    clseq__pool_put(params->ctx, squares);
    return status;
}

clseq_status clseq_clip_global_norm(clseq_params *params, float limit, float *norm_out)
{
    clseq_status status = CLSEQ_OK;
    cl_mem squares = NULL;
    const int64_t one = 1;
    clseq_tensor view;
    float square = 0.0f;
    CLSEQ__RETURN_IF(prepare("clip global norm", params, limit));
    CLSEQ__RETURN_IF(clseq__pool_get(params->ctx, sizeof(float), "clip global norm: scratch", &squares));
    CLSEQ__TRY(clip_range(params, 0, params->flat, limit, squares));
    if (norm_out) {
        view = clseq_tensor_view(squares, 0, CLSEQ_DTYPE_F32, 1, &one);
        CLSEQ__TRY(clseq_tensor_read(params->ctx, &view, &square));
        *norm_out = sqrtf(square);
    }
done:
    clseq__pool_put(params->ctx, squares);
    return status;
}
