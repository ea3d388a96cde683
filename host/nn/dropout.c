/* Inverted dropout; the kernel is in cl/nn/dropout.cl. */
#include <clseq/nn.h>

#include "core/error.h"
#include "core/launch.h"
#include "nn/check.h"

clseq_status clseq_nn_dropout(clseq_context *ctx, const clseq_tensor *x, float p, uint64_t seed,
                              uint64_t stream, const clseq_tensor *y)
{
    clseq__kernel *kernel = NULL;
    int64_t n = 0;
    CLSEQ__NEEDS("dropout", ctx);
    if (!(p >= 0.0f && p < 1.0f))
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "dropout: p is %g, expected 0 <= p < 1", (double)p);
    CLSEQ__RETURN_IF(clseq__check_any(ctx, "dropout: x", x, CLSEQ_DTYPE_F32));
    CLSEQ__RETURN_IF(clseq__check_like(ctx, "dropout: y", y, x));
    CLSEQ__RETURN_IF(clseq__check_apart("dropout: y", y, "x", x, true));
    n = clseq_tensor_elements(x);
    CLSEQ__RETURN_IF(clseq__kernel_get(ctx, "nn/", NULL, "nn_dropout", &kernel));
    return clseq__launch(ctx, kernel, clseq__grid_for(ctx, n),
                         CLSEQ__ARGS(CLSEQ__L(n), CLSEQ__M(x->buffer), CLSEQ__L(x->offset), CLSEQ__F(p),
                                     CLSEQ__F(1.0f / (1.0f - p)), CLSEQ__UL(seed), CLSEQ__UL(stream),
                                     CLSEQ__M(y->buffer), CLSEQ__L(y->offset)));
}
