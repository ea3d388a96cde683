#include "nn/check.h"

#include "core/error.h"
#include "core/tensor.h"
#include <string.h>

clseq_status clseq__check_any(clseq_context *ctx, const char *what, const clseq_tensor *tensor,
                              clseq_dtype dtype)
{
    static const int64_t any[CLSEQ_MAX_DIMS] = {-1, -1, -1, -1, -1, -1};
    int ndim = tensor ? tensor->ndim : 1;
    ndim = ndim < 0 ? 0 : ndim > CLSEQ_MAX_DIMS ? CLSEQ_MAX_DIMS : ndim;
    return clseq__tensor_check_packed(ctx, what, tensor, dtype, ndim, any);
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

clseq_status clseq__check_apart(const char *what, const clseq_tensor *out, const char *other,
                                const clseq_tensor *in, bool same)
{
    const int64_t out_end = out->offset + clseq_tensor_elements(out);
    const int64_t in_end = in->offset + clseq_tensor_elements(in);
    if (out->buffer != in->buffer || out_end <= in->offset || in_end <= out->offset)
        return CLSEQ_OK;
    if (same && out->offset == in->offset && out_end == in_end)
        return CLSEQ_OK;
    return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s overlaps %s", what, other);
}
