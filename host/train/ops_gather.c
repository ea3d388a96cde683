/* Elements by number along a dim. */
#include "train/graph.h"

#include "core/tensor.h"

static clseq_status gather_forward(clseq_graph *g, clseq__node *node)
{
    return clseq_nn_gather_forward(g->ctx, *(const int *)node->args, &node->in[0]->value, &node->in[1]->value,
                                   &node->out[0]->value);
}

static clseq_status gather_backward(clseq_graph *g, clseq__node *node)
{
    clseq_tensor dx = {0};
    CLSEQ__RETURN_IF(clseq__grad_begin(g, node->in[0], &dx));
    CLSEQ__RETURN_IF(clseq_nn_gather_backward(g->ctx, *(const int *)node->args, &node->in[1]->value,
                                              &node->out[0]->grad, &dx));
    return clseq__grad_end(g, node->in[0], &dx);
}

/* Indices of x's dims, except along `dim`, and none of them outside of it. */
static clseq_status check_indices(const clseq__var *x, const clseq__var *indices, int dim)
{
    const clseq_tensor *a = &x->value, *b = &indices->value;
    char text[CLSEQ__DIMS_TEXT], other[CLSEQ__DIMS_TEXT];
    bool fits = a->ndim == b->ndim;
    for (int i = 0; fits && i < a->ndim; i++)
        fits = i == dim || a->dims[i] == b->dims[i];
    if (!fits)
        return clseq__error(
            CLSEQ_INVALID_SHAPE, "gather: x has shape %s and indices %s, expected the same but for dim %d",
            clseq__dims_text(text, a->ndim, a->dims), clseq__dims_text(other, b->ndim, b->dims), dim);
    return clseq__op_range("gather", "index", "dimension", indices, a->dims[dim], NULL);
}

clseq_var *clseq_gather(clseq_graph *g, clseq_var *x, int dim, clseq_var *indices)
{
    static const clseq__op op = {"gather", gather_forward, gather_backward, 0};
    clseq_status status = CLSEQ_OK;
    clseq__var *in[2] = {0}, *y = NULL;
    if (!clseq__op_enter(g, op.name))
        return NULL;
    CLSEQ__TRY(clseq__op_input(g, op.name, "x", x, CLSEQ_DTYPE_F32, &in[0]));
    CLSEQ__TRY(clseq__op_input(g, op.name, "indices", indices, CLSEQ_DTYPE_I32, &in[1]));
    CLSEQ__TRY(clseq__op_dim(op.name, "x", in[0], dim, &dim));
    CLSEQ__TRY(check_indices(in[0], in[1], dim));
    CLSEQ__TRY(clseq__var_new(g, CLSEQ_DTYPE_F32, in[1]->value.ndim, in[1]->value.dims, &y));
    CLSEQ__TRY(clseq__op_run(g, &(clseq__call){.op = &op,
                                               .in = in,
                                               .in_count = 2,
                                               .out = &y,
                                               .out_count = 1,
                                               .args = &dim,
                                               .args_size = sizeof dim}));
done:
    return clseq__op_leave(g, op.name, status, y);
}
