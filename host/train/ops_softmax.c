/* Softmax over a dim, and its logarithm. */
#include "train/graph.h"

/* The primitive of an operation. */
typedef clseq_status (*backward_fn)(clseq_context *ctx, int dim, const clseq_tensor *y,
                                    const clseq_tensor *dy, const clseq_tensor *dx);

static clseq_status run_backward(clseq_graph *g, clseq__node *node, backward_fn backward)
{
    clseq__var *x = node->in[0], *y = node->out[0];
    clseq_tensor dx = {0};
    CLSEQ__RETURN_IF(clseq__grad_begin(g, x, &dx));
    CLSEQ__RETURN_IF(backward(g->ctx, *(const int *)node->args, &y->value, &y->grad, &dx));
    return clseq__grad_end(g, x, &dx);
}

static clseq_status softmax_forward(clseq_graph *g, clseq__node *node)
{
    return clseq_nn_softmax_forward(g->ctx, *(const int *)node->args, &node->in[0]->value,
                                    &node->out[0]->value);
}

static clseq_status softmax_backward(clseq_graph *g, clseq__node *node)
{
    return run_backward(g, node, clseq_nn_softmax_backward);
}

static clseq_status log_softmax_forward(clseq_graph *g, clseq__node *node)
{
    return clseq_nn_log_softmax_forward(g->ctx, *(const int *)node->args, &node->in[0]->value,
                                        &node->out[0]->value);
}

static clseq_status log_softmax_backward(clseq_graph *g, clseq__node *node)
{
    return run_backward(g, node, clseq_nn_log_softmax_backward);
}

static clseq_var *along(clseq_graph *g, const clseq__op *op, clseq_var *x, int dim)
{
    clseq_status status = CLSEQ_OK;
    clseq__var *in = NULL, *y = NULL;
    if (!clseq__op_enter(g, op->name))
        return NULL;
    CLSEQ__TRY(clseq__op_input(g, op->name, "x", x, CLSEQ_DTYPE_F32, &in));
    CLSEQ__TRY(clseq__op_dim(op->name, "x", in, dim, &dim));
    CLSEQ__TRY(clseq__op_run_one(g, op, in, in->value.ndim, in->value.dims, &dim, sizeof dim, &y));
done:
    return clseq__op_leave(g, op->name, status, y);
}

clseq_var *clseq_softmax(clseq_graph *g, clseq_var *x, int dim)
{
    static const clseq__op op = {"softmax", softmax_forward, softmax_backward, 0};
    return along(g, &op, x, dim);
}

clseq_var *clseq_log_softmax(clseq_graph *g, clseq_var *x, int dim)
{
    static const clseq__op op = {"log softmax", log_softmax_forward, log_softmax_backward, 0};
    return along(g, &op, x, dim);
}
