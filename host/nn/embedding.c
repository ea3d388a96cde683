/* Rows of a table by number; the kernels are in cl/nn/embedding.cl. */
#include <clseq/nn.h>

#include "core/error.h"
#include "core/launch.h"
#include "nn/check.h"
#include "nn/groups.h"

static const int64_t any_matrix[] = {-1};

/* table [V,E] (values or gradients), tokens [...], rows [...,E] (outputs or their gradients). */
static clseq_status check(clseq_context *ctx, const char *const what[3], const clseq_tensor *table,
                          const clseq_tensor *tokens, const clseq_tensor *rows)
{
    CLSEQ__RETURN_IF(clseq__check_rows(ctx, what[0], table, CLSEQ_DTYPE_F32, 1, any_matrix, -1));
    CLSEQ__RETURN_IF(clseq__check_any(ctx, what[1], tokens, CLSEQ_DTYPE_I32));
    CLSEQ__RETURN_IF(
        clseq__check_rows(ctx, what[2], rows, CLSEQ_DTYPE_F32, tokens->ndim, tokens->dims, table->dims[1]));
    if (table->dims[0] > INT32_MAX)
        return clseq__error(CLSEQ_INVALID_SHAPE, "%s has %lld rows, more than a token can name", what[0],
                            (long long)table->dims[0]);
    return CLSEQ_OK;
}

clseq_status clseq_nn_embedding_forward(clseq_context *ctx, const clseq_tensor *table,
                                        const clseq_tensor *tokens, const clseq_tensor *y)
{
    static const char *const what[] = {"embedding forward: table", "embedding forward: tokens",
                                       "embedding forward: y"};
    clseq__kernel *kernel = NULL;
    int64_t N = 0, E = 0;
    CLSEQ__NEEDS("embedding forward", ctx);
    CLSEQ__RETURN_IF(check(ctx, what, table, tokens, y));
    CLSEQ__RETURN_IF(clseq__check_apart(what[2], y, "table", table, false));
    CLSEQ__RETURN_IF(clseq__check_apart(what[2], y, "tokens", tokens, false));
    N = clseq_tensor_elements(tokens);
    E = table->dims[1];
    CLSEQ__RETURN_IF(clseq__kernel_get(ctx, "nn/", NULL, "nn_embedding_forward", &kernel));
    return clseq__launch(ctx, kernel, clseq__grid_for(ctx, N * E),
                         CLSEQ__ARGS(CLSEQ__L(N), CLSEQ__L(E), CLSEQ__I(table->dims[0]),
                                     CLSEQ__M(table->buffer), CLSEQ__L(table->offset),
                                     CLSEQ__M(tokens->buffer), CLSEQ__L(tokens->offset), CLSEQ__M(y->buffer),
                                     CLSEQ__L(y->offset)));
}

clseq_status clseq_nn_embedding_backward(clseq_context *ctx, const clseq_tensor *tokens,
                                         const clseq_tensor *dy, const clseq_tensor *dtable)
{
    static const char *const what[] = {"embedding backward: dtable", "embedding backward: tokens",
                                       "embedding backward: dy"};
    clseq__kernel *kernel = NULL;
    int64_t N = 0, E = 0;
    CLSEQ__NEEDS("embedding backward", ctx);
    CLSEQ__RETURN_IF(check(ctx, what, dtable, tokens, dy));
    CLSEQ__RETURN_IF(clseq__check_apart(what[0], dtable, "dy", dy, false));
    CLSEQ__RETURN_IF(clseq__check_apart(what[0], dtable, "tokens", tokens, false));
    N = clseq_tensor_elements(tokens);
    E = dtable->dims[1];
    CLSEQ__RETURN_IF(clseq__kernel_get(ctx, "nn/", NULL, "nn_embedding_backward", &kernel));
    return clseq__launch(
        ctx, kernel,
        ctx->traits.is_cpu ? clseq__grid_for(ctx, N * E) : CLSEQ__GRID1((size_t)N, EMBEDDING_GROUP),
        CLSEQ__ARGS(CLSEQ__L(N), CLSEQ__L(E), CLSEQ__I(dtable->dims[0]), CLSEQ__M(tokens->buffer),
                    CLSEQ__L(tokens->offset), CLSEQ__M(dy->buffer), CLSEQ__L(dy->offset),
                    CLSEQ__M(dtable->buffer), CLSEQ__L(dtable->offset)));
}
