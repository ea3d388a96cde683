/* Cumulative sums along a dim; the kernel is in cl/nn/scan.cl. */
#include <clseq/nn.h>

#include "core/error.h"
#include "core/launch.h"
#include "nn/along.h"
#include "nn/check.h"

clseq_status clseq_nn_cumsum(clseq_context *ctx, int dim, bool exclusive, bool reverse, const clseq_tensor *x,
                             const clseq_tensor *y)
{
    clseq__kernel *kernel = NULL;
    clseq__along a = {0};
    CLSEQ__NEEDS("cumsum", ctx);
    CLSEQ__RETURN_IF(clseq__check_any(ctx, "cumsum: x", x, CLSEQ_DTYPE_F32));
    CLSEQ__RETURN_IF(clseq__along_dim("cumsum", x, dim, &a));
    CLSEQ__RETURN_IF(clseq__check_like(ctx, "cumsum: y", y, x));
    CLSEQ__RETURN_IF(clseq__check_apart("cumsum: y", y, "x", x, true));
    CLSEQ__RETURN_IF(clseq__kernel_get(ctx, "nn/", NULL, "nn_cumsum", &kernel));
    return clseq__launch(ctx, kernel, clseq__grid_for(ctx, clseq_tensor_elements(x)),
                         CLSEQ__ARGS(CLSEQ__L(a.outer), CLSEQ__L(a.n), CLSEQ__L(a.inner), CLSEQ__I(exclusive),
                                     CLSEQ__I(reverse), CLSEQ__PLACE(x), CLSEQ__PLACE(y)));
}
