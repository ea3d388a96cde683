/* The tape: recording operations, and adding up gradients. */
#include "train/graph.h"

#include "core/pool.h"
#include "core/tensor.h"
#include "train/params.h"
#include <string.h>

clseq_status clseq__node_add(clseq_graph *g, const clseq__node_desc *desc, clseq__node **node)
{
    void *memory = NULL;
    clseq__node *added = NULL;
    bool needs = desc->layers[0] != NULL;
    if (node)
        *node = NULL;
    for (int i = 0; i < CLSEQ__NODE_INPUTS; i++)
        if (desc->in[i]) {
            desc->in[i]->is_used = true;
            needs = needs || desc->in[i]->needs_grad;
        }
    needs = needs && g->mode == CLSEQ_MODE_TRAINING && !g->is_backward_done;
    CLSEQ__RETURN_IF(clseq__graph_memory(g, sizeof *added, &memory));
    added = memory;
    *added = (clseq__node){.op = desc->op, .previous = g->tape};
    if (needs && desc->saved_count > 0)
        CLSEQ__RETURN_IF(
            clseq__graph_memory(g, (size_t)desc->saved_count * sizeof *added->saved, (void **)&added->saved));
    memcpy(added->in, desc->in, sizeof added->in);
    memcpy(added->out, desc->out, sizeof added->out);
    memcpy(added->layers, desc->layers, sizeof added->layers);
    if (desc->args_size > 0) {
        CLSEQ__RETURN_IF(clseq__graph_memory(g, desc->args_size, &added->args));
        memcpy(added->args, desc->args, desc->args_size);
    }
    for (int i = 0; i < CLSEQ__NODE_OUTPUTS; i++)
        if (added->out[i]) {
            added->out[i]->node = added;
            added->out[i]->needs_grad = needs;
        }
    if (!needs)
        return CLSEQ_OK;
    for (; added->saved_count < desc->saved_count; added->saved_count++) {
        added->saved[added->saved_count] = desc->saved[added->saved_count];
        desc->saved[added->saved_count] = (clseq_tensor){0};
    }
    g->tape = added;
    if (node)
        *node = added;
    return CLSEQ_OK;
}

/* A gradient's buffer, of x's dims, contents undefined. */
static clseq_status new_grad(clseq_graph *g, const clseq__var *x, clseq_tensor *out)
{
    return clseq_tensor_create(g->ctx, CLSEQ_DTYPE_F32, x->value.ndim, x->value.dims, out);
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
    status = clseq_nn_add(g->ctx, 1.0f, &x->grad, 1.0f, dx, &x->grad);
    for (int i = 0; i < CLSEQ__PENDING; i++)
        if (g->pending[i].buffer == dx->buffer)
            clseq_tensor_destroy(g->ctx, &g->pending[i]);
    return status;
}

clseq_status clseq__grad_pass(clseq_graph *g, clseq__var *y, clseq__var *x, bool last)
{
    clseq_tensor dy =
        clseq_tensor_view(y->grad.buffer, y->grad.offset, CLSEQ_DTYPE_F32, x->value.ndim, x->value.dims);
    clseq_tensor dx = {0};
    bool accumulate = false;
    if (!x->needs_grad)
        return CLSEQ_OK;
    if (last && !x->grad.buffer && y->owns_grad && !y->keep_grad) {
        x->grad = dy;
        x->owns_grad = true;
        y->grad = (clseq_tensor){0};
        y->owns_grad = false;
        return CLSEQ_OK;
    }
    CLSEQ__RETURN_IF(clseq__grad_open(g, x, &dx, &accumulate));
    if (accumulate)
        return clseq_nn_add(g->ctx, 1.0f, &dx, 1.0f, &dy, &dx);
    return clseq_tensor_copy(g->ctx, &dy, &dx);
}

void clseq__grad_drop(clseq_graph *g, clseq__var *x)
{
    if (x->keep_grad || !x->owns_grad)
        return;
    clseq_tensor_destroy(g->ctx, &x->grad);
    x->owns_grad = false;
}
