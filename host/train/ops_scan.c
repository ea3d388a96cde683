/* Cumulative sums along a dim. */
#include "train/graph.h"

static clseq_status cumsum_forward(clseq_graph *g, clseq__node *node)
{
    return clseq_nn_cumsum(g->ctx, *(const int *)node->args, false, false, &node->in[0]->value,
                           &node->out[0]->value);
}

/* dx[k] = sum over j >= k of dy[j] */
static clseq_status cumsum_backward(clseq_graph *g, clseq__node *node)
{
    clseq_tensor dx = {0};
    CLSEQ__RETURN_IF(clseq__grad_begin(g, node->in[0], &dx));
    CLSEQ__RETURN_IF(
        clseq_nn_cumsum(g->ctx, *(const int *)node->args, false, true, &node->out[0]->grad, &dx));
    return clseq__grad_end(g, node->in[0], &dx);
}

clseq_var *clseq_cumsum(clseq_graph *g, clseq_var *x, int dim)
{
    static const clseq__op op = {"cumsum", cumsum_forward, cumsum_backward, 0};
    clseq_status status = CLSEQ_OK;
    clseq__var *in = NULL, *y = NULL;
    if (!clseq__op_enter(g, op.name))
        return NULL;
    CLSEQ__TRY(clseq__op_input(g, op.name, "x", x, CLSEQ_DTYPE_F32, &in));
    CLSEQ__TRY(clseq__op_dim(op.name, "x", in, dim, &dim));
    CLSEQ__TRY(clseq__op_run_one(g, &op, in, in->value.ndim, in->value.dims, &dim, sizeof dim, &y));
done:
    return clseq__op_leave(g, op.name, status, y);
}
