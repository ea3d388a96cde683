/* Sequences as rows; the kernel is in cl/rnn/rows.cl. */
#include "rnn/rows.h"

#include "core/error.h"
#include "core/launch.h"

clseq_status clseq__rows_add(clseq_context *ctx, const clseq_tensor *from, const clseq_tensor *to)
{
    clseq__kernel *kernel = NULL;
    CLSEQ__RETURN_IF(clseq__kernel_get(ctx, "rnn/rows.cl", NULL, "rnn_rows_add", &kernel));
    return clseq__launch(ctx, kernel, clseq__grid_for(ctx, clseq_tensor_elements(to)),
                         CLSEQ__ARGS(CLSEQ__L(to->dims[0]), CLSEQ__L(to->dims[1]), CLSEQ__L(to->dims[2]),
                                     CLSEQ__M(from->buffer), CLSEQ__L(from->offset),
                                     CLSEQ__L(from->strides[0]), CLSEQ__L(from->strides[1]),
                                     CLSEQ__M(to->buffer), CLSEQ__L(to->offset), CLSEQ__L(to->strides[0]),
                                     CLSEQ__L(to->strides[1])));
}
