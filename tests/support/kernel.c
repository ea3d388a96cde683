#include "support/kernel.h"

#include "core/launch.h"
#include "support/guarded.h"
#include <clseq/tensor.h>

int kernel_value(clseq_context *ctx, const char *file, const char *options, const char *name)
{
    clseq__kernel *kernel = NULL;
    clseq_tensor y = {0};
    int32_t value = 0;
    MUST(clseq__kernel_get(ctx, file, options, name, &kernel));
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_I32, 1, (int64_t[]){1}, &y));
    MUST(clseq__launch(ctx, kernel, CLSEQ__GRID1(1, 1), CLSEQ__ARGS(CLSEQ__M(y.buffer))));
    MUST(clseq_tensor_read(ctx, &y, &value));
    clseq_tensor_destroy(ctx, &y);
    return value;
}
