#include "nn/check.h"

#include "core/error.h"
#include "core/overlap.h"
#include "core/tensor.h"
#include "core/walk.h"
#include <string.h>

static const int64_t any[CLSEQ_MAX_DIMS] = {-1, -1, -1, -1, -1, -1};

/* The number of dims, where it can be one. */
static int dims_of(const clseq_tensor *tensor)
{
    const int ndim = tensor && tensor->buffer ? tensor->ndim : 1;
    return ndim < 0 ? 0 : ndim > CLSEQ_MAX_DIMS ? CLSEQ_MAX_DIMS : ndim;
}

clseq_status clseq__check_any(clseq_context *ctx, const char *what, const clseq_tensor *tensor,
                              clseq_dtype dtype)
{
    return clseq__tensor_check_packed(ctx, what, tensor, dtype, dims_of(tensor), any);
}

clseq_status clseq__check_strided(clseq_context *ctx, const char *what, const clseq_tensor *tensor,
                                  clseq_dtype dtype)
{
    return clseq__tensor_check(ctx, what, tensor, dtype, dims_of(tensor), any, false);
}

clseq_status clseq__check_stretches(clseq_context *ctx, const char *what, const clseq_tensor *tensor,
                                    clseq_dtype dtype, int ndim, const int64_t *dims)
{
    char came[CLSEQ__DIMS_TEXT], to[CLSEQ__DIMS_TEXT];
    CLSEQ__RETURN_IF(clseq__check_strided(ctx, what, tensor, dtype));
    if (!clseq__stretches(tensor, ndim, dims))
        return clseq__error(CLSEQ_INVALID_SHAPE, "%s has shape %s, which cannot be stretched to %s", what,
                            clseq__dims_text(came, tensor->ndim, tensor->dims),
                            clseq__dims_text(to, ndim, dims));
    return CLSEQ_OK;
}

clseq_status clseq__check_like(clseq_context *ctx, const char *what, const clseq_tensor *tensor,
                               const clseq_tensor *like)
{
    return clseq__tensor_check_packed(ctx, what, tensor, CLSEQ_DTYPE_F32, like->ndim, like->dims);
}

clseq_status clseq__check_rows(clseq_context *ctx, const char *what, const clseq_tensor *tensor,
                               clseq_dtype dtype, int leading_count, const int64_t *leading, int64_t last)
{
    int64_t dims[CLSEQ_MAX_DIMS];
    if (leading_count >= CLSEQ_MAX_DIMS)
        return clseq__error(CLSEQ_INVALID_SHAPE, "%s would have %d dimensions, expected at most %d", what,
                            leading_count + 1, CLSEQ_MAX_DIMS);
    memcpy(dims, leading, (size_t)leading_count * sizeof *dims);
    dims[leading_count] = last;
    return clseq__tensor_check_packed(ctx, what, tensor, dtype, leading_count + 1, dims);
}

clseq_status clseq__check_scalar(clseq_context *ctx, const char *what, const clseq_tensor *tensor)
{
    char text[CLSEQ__DIMS_TEXT];
    CLSEQ__RETURN_IF(clseq__check_any(ctx, what, tensor, CLSEQ_DTYPE_F32));
    if (clseq_tensor_elements(tensor) != 1)
        return clseq__error(CLSEQ_INVALID_SHAPE, "%s has shape %s, expected one element", what,
                            clseq__dims_text(text, tensor->ndim, tensor->dims));
    return CLSEQ_OK;
}

clseq_status clseq__check_written(const char *what, const clseq_tensor *out)
{
    char shape[CLSEQ__DIMS_TEXT], strides[CLSEQ__DIMS_TEXT];
    const clseq__runs runs = clseq__runs_of(out);
    if (clseq__runs_collide(&runs))
        return clseq__error(CLSEQ_INVALID_ARGUMENT,
                            "%s has shape %s and strides %s, with which elements stand in one place", what,
                            clseq__dims_text(shape, out->ndim, out->dims),
                            clseq__dims_text(strides, out->ndim, out->strides));
    return CLSEQ_OK;
}

/* Views with overlap are the same when each element stands in the same place of both. */
static bool is_same(const clseq_tensor *a, const clseq_tensor *b)
{
    if (a->offset != b->offset || a->ndim != b->ndim)
        return false;
    for (int i = 0; i < a->ndim; i++)
        if (a->dims[i] != b->dims[i] || (a->dims[i] > 1 && a->strides[i] != b->strides[i]))
            return false;
    return true;
}

clseq_status clseq__check_apart(const char *what, const clseq_tensor *out, const char *other,
                                const clseq_tensor *in, bool same)
{
    const clseq__runs written = clseq__runs_of(out), read = clseq__runs_of(in);
    if (!clseq__runs_overlap(&written, &read) || (same && is_same(out, in)))
        return CLSEQ_OK;
    return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s overlaps %s", what, other);
}
