/* Adding up the gradients of a variable. */
#include "train/graph.h"

/* A gradient's buffer, of x's dims, contents undefined. */
static clseq_status new_grad(clseq_graph *g, const clseq__var *x, clseq_tensor *out)
{
    return clseq_tensor_create(g->ctx, CLSEQ_DTYPE_F32, x->value.ndim, x->value.dims, out);
}

clseq_status clseq__grad_add(clseq_graph *g, const clseq_tensor *from, const clseq_tensor *to)
{
    return clseq_nn_add(g->ctx, 1.0f, to, 1.0f, from, to);
}

clseq_status clseq__grad_open(clseq_graph *g, clseq__var *x, clseq_tensor *dx, bool *accumulate)
{
    *dx = (clseq_tensor){0};
    *accumulate = false;
    if (!x->needs_grad)
        return CLSEQ_OK;
    *accumulate = x->grad.buffer != NULL;
    if (!x->grad.buffer) {
        CLSEQ__RETURN_IF(new_grad(g, x, &x->grad));
        x->owns_grad = true;
    }
    *dx = x->grad;
    return CLSEQ_OK;
}

clseq_status clseq__grad_begin(clseq_graph *g, clseq__var *x, clseq_tensor *dx)
{
    bool accumulate = false;
    CLSEQ__RETURN_IF(clseq__grad_open(g, x, dx, &accumulate));
    if (!accumulate)
        return CLSEQ_OK;
    for (int i = 0; i < CLSEQ__PENDING; i++)
        if (!g->pending[i].buffer) {
            CLSEQ__RETURN_IF(new_grad(g, x, &g->pending[i]));
            *dx = g->pending[i];
            return CLSEQ_OK;
        }
    return clseq__error(CLSEQ_INVALID_STATE, "more than %d gradients of one operation are open",
                        CLSEQ__PENDING);
}

clseq_status clseq__grad_end(clseq_graph *g, clseq__var *x, clseq_tensor *dx)
{
    clseq_status status = CLSEQ_OK;
    if (!dx->buffer || dx->buffer == x->grad.buffer)
        return CLSEQ_OK;
    status = clseq__grad_add(g, dx, &x->grad);
    for (int i = 0; i < CLSEQ__PENDING; i++)
        if (g->pending[i].buffer == dx->buffer)
            clseq_tensor_destroy(g->ctx, &g->pending[i]);
    return status;
}

clseq_status clseq__grad_pass(clseq_graph *g, clseq__var *y, const clseq_tensor *dy, clseq__var *x, bool last)
{
    clseq_tensor dx = {0};
    bool accumulate = false;
    if (!x->needs_grad)
        return CLSEQ_OK;
    if (last && !x->grad.buffer && y->owns_grad && !y->keep_grad) {
        x->grad = *dy;
        x->owns_grad = true;
        y->grad = (clseq_tensor){0};
        y->owns_grad = false;
        return CLSEQ_OK;
    }
    CLSEQ__RETURN_IF(clseq__grad_open(g, x, &dx, &accumulate));
    return accumulate ? clseq__grad_add(g, dy, &dx) : clseq_tensor_copy(g->ctx, dy, &dx);
}

clseq_status clseq__grad_pack(clseq_graph *g, clseq__var *y)
{
    clseq_tensor packed = {0};
    if (!y->grad.buffer || clseq_tensor_is_contiguous(&y->grad))
        return CLSEQ_OK;
    CLSEQ__RETURN_IF(new_grad(g, y, &packed));
    const clseq_status status = clseq_tensor_copy(g->ctx, &y->grad, &packed);
    if (status != CLSEQ_OK) {
        clseq_tensor_destroy(g->ctx, &packed);
        return status;
    }
    clseq_tensor_destroy(g->ctx, &y->grad);
    y->grad = packed;
    return CLSEQ_OK;
}

void clseq__grad_drop(clseq_graph *g, clseq__var *x)
{
    if (x->keep_grad || !x->owns_grad)
        return;
    clseq_tensor_destroy(g->ctx, &x->grad);
    x->owns_grad = false;
}
