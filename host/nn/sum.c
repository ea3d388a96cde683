/* The sum of a tensor, through the reductions of host/linalg. */
#include <clseq/nn.h>

#include "core/error.h"
#include "linalg/reduce.h"
#include "nn/check.h"

clseq_status clseq_nn_sum(clseq_context *ctx, const clseq_tensor *x, float scale, const clseq_tensor *out)
{
    CLSEQ__NEEDS("sum", ctx);
    CLSEQ__RETURN_IF(clseq__check_any(ctx, "sum: x", x, CLSEQ_DTYPE_F32));
    CLSEQ__RETURN_IF(clseq__check_scalar(ctx, "sum: out", out));
    CLSEQ__RETURN_IF(clseq__check_apart("sum: out", out, "x", x, false));
    CLSEQ__RETURN_IF(
        clseq__reduce_sum(ctx, x->buffer, x->offset, clseq_tensor_elements(x), out->buffer, out->offset));
    return scale == 1.0f ? CLSEQ_OK : clseq_nn_add(ctx, scale, out, 0.0f, NULL, out);
}
