/* One dim of a packed tensor, for operations that work along it. */
#ifndef CLSEQ_NN_ALONG_H
#define CLSEQ_NN_ALONG_H

#include "core/launch.h"
#include <clseq/tensor.h>

/* The tensor is [outer,n,inner]; the n are the dim's. */
typedef struct clseq__along {
    int64_t outer, n, inner;
} clseq__along;

/* A checked tensor and a dim of it, negative from behind. `op` is the operation, "softmax forward". */
clseq_status clseq__along_dim(const char *op, const clseq_tensor *tensor, int dim, clseq__along *out);

/* A grid for N rows of n elements, whose kernel is a FOR_EACH_ROW of cl/nn/rows.clh; no group is without a row. */
clseq__grid clseq__rows_grid(const clseq_context *ctx, int64_t N, int64_t n);

#endif
