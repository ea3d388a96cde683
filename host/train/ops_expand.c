/* Expand: x broadcast to larger dims, without a copy. */
#include "train/graph.h"

#include "core/tensor.h"
#include "train/view.h"

static clseq_status expand_forward(clseq_graph *g, clseq__node *node)
{
    clseq__var *y = node->out[0];
    (void)g;
    y->value = clseq__view_expand(&node->in[0]->value, y->value.ndim, y->value.dims);
    return CLSEQ_OK;
}

/* What was stretched gets the sum. */
static clseq_status expand_backward(clseq_graph *g, clseq__node *node)
{
    clseq_status status = CLSEQ_OK;
    clseq__var *x = node->in[0], *y = node->out[0];
    clseq_tensor dx = {0}, part = {0}, dy = y->grad;
    int64_t copies = 1;
    CLSEQ__TRY(clseq__grad_begin(g, x, &dx));
    if (!dx.buffer)
        return CLSEQ_OK;
    const clseq_tensor aligned = clseq__view_lead(&dx, y->value.ndim);
    CLSEQ__TRY(clseq_tensor_create(g->ctx, CLSEQ_DTYPE_F32, aligned.ndim, aligned.dims, &part));
    for (int i = 0; i < aligned.ndim; i++)
        copies *= dy.dims[i] / aligned.dims[i];
    const clseq_tensor sum =
        clseq_tensor_view(dx.buffer, dx.offset, CLSEQ_DTYPE_F32, aligned.ndim, aligned.dims);
    CLSEQ__TRY(clseq_tensor_fill(g->ctx, &dx, 0.0));
    for (int64_t n = 0; n < copies; n++) {
        clseq_tensor slice = dy;
        int64_t rest = n;
        for (int i = 0; i < aligned.ndim; i++)
            if (dy.dims[i] != aligned.dims[i]) {
                slice = clseq_tensor_slice(&slice, i, rest % dy.dims[i], 1);
                rest /= dy.dims[i];
            }
        CLSEQ__TRY(clseq_tensor_copy(g->ctx, &slice, &part));
        CLSEQ__TRY(clseq_nn_add(g->ctx, 1.0f, &sum, 1.0f, &part, &sum));
    }
    CLSEQ__TRY(clseq__grad_end(g, x, &dx));
done:
    clseq_tensor_destroy(g->ctx, &part);
    return status;
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
    if (!clseq__view_expands(&in->value, ndim, dims))
        CLSEQ__FAIL(CLSEQ_INVALID_SHAPE, "expand: x has shape %s, which does not stretch to %s",
                    clseq__dims_text(from, in->value.ndim, in->value.dims), clseq__dims_text(to, ndim, dims));
    CLSEQ__TRY(clseq__op_run_view(g, &op, in, ndim, dims, NULL, 0, &y));
done:
    return clseq__op_leave(g, op.name, status, y);
}
