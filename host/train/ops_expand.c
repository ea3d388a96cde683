/* Expand: x broadcast to larger dims, without a copy. */
#include "train/graph.h"

#include "core/tensor.h"
#include "core/walk.h"

static clseq_status expand_forward(clseq_graph *g, clseq__node *node)
{
    clseq__var *y = node->out[0];
    (void)g;
    y->value = clseq__stretched(&node->in[0]->value, y->value.ndim, y->value.dims);
    return CLSEQ_OK;
}

/* What was stretched gets the sum. */
static clseq_status expand_backward(clseq_graph *g, clseq__node *node)
{
    clseq__var *x = node->in[0], *y = node->out[0];
    clseq_tensor dx = {0};
    CLSEQ__RETURN_IF(clseq__grad_begin(g, x, &dx));
    if (!dx.buffer)
        return CLSEQ_OK;
    const clseq_tensor sum = clseq__aligned(&dx, y->value.ndim);
    CLSEQ__RETURN_IF(clseq_nn_reduce_forward(g->ctx, CLSEQ_REDUCE_SUM, &y->grad, &sum));
    return clseq__grad_end(g, x, &dx);
}

clseq_var *clseq_expand(clseq_graph *g, clseq_var *x, int ndim, const int64_t *dims)
{
    static const clseq__op op = {"expand", expand_forward, expand_backward,
                                 CLSEQ__OP_STRIDED | CLSEQ__OP_VIEW};
    clseq_status status = CLSEQ_OK;
    clseq__var *in = NULL, *y = NULL;
    char from[CLSEQ__DIMS_TEXT], to[CLSEQ__DIMS_TEXT];
    if (!clseq__op_enter(g, op.name))
        return NULL;
    CLSEQ__TRY(clseq__op_any(g, op.name, "x", x, &in));
    CLSEQ__TRY(clseq__op_dims(op.name, ndim, dims));
    if (!clseq__stretches(&in->value, ndim, dims))
        CLSEQ__FAIL(CLSEQ_INVALID_SHAPE, "expand: x has shape %s, which does not stretch to %s",
                    clseq__dims_text(from, in->value.ndim, in->value.dims), clseq__dims_text(to, ndim, dims));
    CLSEQ__TRY(clseq__op_run_one(g, &op, in, ndim, dims, NULL, 0, &y));
done:
    return clseq__op_leave(g, op.name, status, y);
}
