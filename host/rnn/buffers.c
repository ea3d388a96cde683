/* What a plan's calls need beside their operands, made and freed together. */
#include "core/error.h"
#include "rnn/plan.h"
#include <stdlib.h>

static clseq_status make(const clseq_rnn_plan *plan, int64_t bytes, clseq_tensor *out)
{
    return clseq_tensor_create(plan->ctx, CLSEQ_DTYPE_U8, 1, &bytes, out);
}

static clseq_status make_reserves(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                  clseq_rnn_buffers *buffers)
{
    buffers->reserve = calloc((size_t)plan->desc.layers, sizeof *buffers->reserve);
    if (!buffers->reserve)
        return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "rnn buffers: no memory");
    for (int64_t l = 0; l < plan->desc.layers; l++) {
        int64_t bytes = 0;
        CLSEQ__RETURN_IF(clseq_rnn_reserve_size(plan, shape, l, &bytes));
        CLSEQ__RETURN_IF(make(plan, bytes, &buffers->reserve[l]));
    }
    return CLSEQ_OK;
}

clseq_status clseq_rnn_buffers_create(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                      clseq_rnn_buffers *out)
{
    clseq_status status = CLSEQ_OK;
    clseq_rnn_buffers buffers = {.reserve = NULL};
    clseq_rnn_sizes sizes;
    CLSEQ__NOT_NULL("rnn buffers", out);
    *out = buffers;
    CLSEQ__NEEDS("rnn buffers", plan);
    CLSEQ__TRY(clseq_rnn_plan_sizes(plan, shape, &sizes));
    CLSEQ__TRY(make(plan, sizes.packed, &buffers.packed));
    if (shape->mode == CLSEQ_MODE_TRAINING)
        CLSEQ__TRY(make_reserves(plan, shape, &buffers));
    CLSEQ__TRY(make(plan, sizes.workspace, &buffers.workspace));
    *out = buffers;
    buffers = (clseq_rnn_buffers){.reserve = NULL};
done:
    clseq_rnn_buffers_destroy(plan, &buffers);
    return status;
}

void clseq_rnn_buffers_destroy(const clseq_rnn_plan *plan, clseq_rnn_buffers *buffers)
{
    if (!plan || !buffers)
        return;
    clseq_tensor_destroy(plan->ctx, &buffers->packed);
    for (int64_t l = 0; buffers->reserve && l < plan->desc.layers; l++)
        clseq_tensor_destroy(plan->ctx, &buffers->reserve[l]);
    free(buffers->reserve);
    clseq_tensor_destroy(plan->ctx, &buffers->workspace);
    *buffers = (clseq_rnn_buffers){.reserve = NULL};
}
