/* The tape: recording operations, running it backward, and adding up gradients. */
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

/* Runs one node backward, when a gradient has reached it, and gives back what only it needed. */
static clseq_status run(clseq_graph *g, clseq__node *node)
{
    bool is_reached = false;
    for (int i = 0; i < CLSEQ__NODE_OUTPUTS; i++)
        is_reached = is_reached || (node->out[i] && node->out[i]->grad.buffer);
    if (is_reached)
        CLSEQ__RETURN_IF(node->op->backward(g, node));
    for (int i = 0; i < CLSEQ__NODE_OUTPUTS; i++)
        if (node->out[i])
            clseq__grad_drop(g, node->out[i]);
    for (int i = 0; i < CLSEQ__NODE_SAVED; i++)
        clseq_tensor_destroy(g->ctx, &node->saved[i]);
    return CLSEQ_OK;
}

/* Backward reads parameters again, so they must be those that forward ran with. */
static clseq_status check_readings(const clseq_graph *g)
{
    for (const clseq__reading *r = g->readings; r; r = r->previous)
        if (r->param->store->version != r->version)
            return clseq__error(
                CLSEQ_INVALID_STATE,
                "backward: the store of %s has changed since %s read it in this graph, expected "
                "that values change after backward",
                r->param->name, r->op);
    return CLSEQ_OK;
}

/* Backward from y, whose gradient is `dy` in host memory, or 1 where that is NULL. */
static clseq_status backward(clseq_graph *g, clseq__var *y, const float *dy)
{
    clseq_tensor seed = {0};
    if (g->mode != CLSEQ_MODE_TRAINING)
        return clseq__error(CLSEQ_INVALID_STATE, "backward: the graph was begun for inference");
    if (g->is_backward_done)
        return clseq__error(CLSEQ_INVALID_STATE, "backward: it has run already in this graph");
    if (!y->needs_grad)
        return clseq__error(
            CLSEQ_INVALID_ARGUMENT,
            "backward: no parameter and no variable that asked for its gradient lies above this one");
    CLSEQ__RETURN_IF(check_readings(g));
    g->is_backward_done = true;
    CLSEQ__RETURN_IF(clseq__grad_begin(g, y, &seed));
    if (dy)
        CLSEQ__RETURN_IF(clseq__stage(g, dy, (size_t)clseq_tensor_elements(&seed) * sizeof *dy, &seed, NULL));
    else
        CLSEQ__RETURN_IF(clseq_tensor_fill(g->ctx, &seed, 1.0));
    CLSEQ__RETURN_IF(clseq__grad_end(g, y, &seed));
    for (; g->tape; g->tape = g->tape->previous) {
        clseq_status status = run(g, g->tape);
        if (status != CLSEQ_OK) {
            clseq__op_leave(g, g->tape->op->name, status, NULL);
            return status;
        }
    }
    return CLSEQ_OK;
}

/* What both entries share. */
static clseq_status enter_backward(clseq_graph *g, clseq_var *y, const float *dy, bool is_scalar)
{
    clseq_status status = CLSEQ_OK;
    clseq__var *from = NULL;
    char text[CLSEQ__DIMS_TEXT];
    CLSEQ__NEEDS("backward", g);
    if (!clseq__op_enter(g, "backward"))
        return g->is_open ? clseq__error(g->status, "%s", g->sentence) : CLSEQ_INVALID_STATE;
    CLSEQ__TRY(clseq__op_input(g, "backward", is_scalar ? "the loss" : "y", y, CLSEQ_DTYPE_F32, &from));
    if (is_scalar && clseq_tensor_elements(&from->value) != 1)
        CLSEQ__FAIL(CLSEQ_INVALID_SHAPE, "backward: the loss has shape %s, expected one element",
                    clseq__dims_text(text, from->value.ndim, from->value.dims));
    CLSEQ__TRY(backward(g, from, dy));
done:
    clseq__op_leave(g, "backward", status, NULL);
    return g->status == CLSEQ_OK ? CLSEQ_OK : clseq__error(g->status, "%s", g->sentence);
}

clseq_status clseq_backward(clseq_graph *g, clseq_var *loss)
{
    return enter_backward(g, loss, NULL, true);
}

clseq_status clseq_backward_from(clseq_graph *g, clseq_var *y, const float *dy)
{
    if (g && g->is_open && g->status == CLSEQ_OK && !dy) {
        clseq__op_leave(g, "backward", clseq__error(CLSEQ_INVALID_ARGUMENT, "backward: dy is NULL"), NULL);
        return g->status;
    }
    return enter_backward(g, y, dy, false);
}
