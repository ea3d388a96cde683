/* The tape: running operations, and recording those whose gradient will be wanted. */
#include "train/graph.h"

#include <string.h>

/* What follows the node in its piece of memory. */
static size_t align(size_t bytes)
{
    return (bytes + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
}

static clseq_status make_node(clseq_graph *g, const clseq__call *call, clseq__node **out)
{
    const size_t in = align(sizeof **out), vars = (size_t)(call->in_count + call->out_count);
    const size_t saved = align(in + vars * sizeof(clseq__var *));
    const size_t args = align(saved + (size_t)call->saved_count * sizeof(clseq_tensor));
    const size_t bytes = args + call->args_size;
    char *memory = clseq__arena_get(&g->nodes, bytes);
    clseq__node *node = (clseq__node *)(void *)memory;
    if (!memory)
        return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "no memory for %zu bytes of the graph", bytes);
    *node = (clseq__node){.op = call->op,
                          .in = (clseq__var **)(void *)(memory + in),
                          .in_count = call->in_count,
                          .out_count = call->out_count,
                          .saved = (clseq_tensor *)(void *)(memory + saved),
                          .saved_count = call->saved_count,
                          .args = call->args_size > 0 ? memory + args : NULL,
                          .bytes = bytes};
    node->out = node->in + call->in_count;
    for (int i = 0; i < call->in_count; i++)
        node->in[i] = call->in[i];
    for (int i = 0; i < call->out_count; i++)
        node->out[i] = call->out[i];
    memset(node->saved, 0, (size_t)call->saved_count * sizeof *node->saved);
    if (call->args_size > 0)
        memcpy(node->args, call->args, call->args_size);
    memcpy(node->layers, call->layers, sizeof node->layers);
    *out = node;
    return CLSEQ_OK;
}

/* The node stays, with its variables. */
static void keep(clseq__node *node)
{
    for (int i = 0; i < node->in_count + node->out_count; i++)
        if (node->in[i])
            node->in[i]->holds++;
    for (int i = 0; i < node->out_count; i++)
        if (node->out[i])
            node->out[i]->node = node;
}

void clseq__node_forget(clseq_graph *g, clseq__node *node)
{
    for (int64_t i = 0; i < node->saved_count; i++)
        clseq_tensor_destroy(g->ctx, &node->saved[i]);
}

void clseq__node_destroy(clseq_graph *g, clseq__node *node)
{
    clseq__node_forget(g, node);
    for (int i = 0; i < node->out_count; i++)
        if (node->out[i])
            node->out[i]->node = NULL;
    for (int i = 0; i < node->in_count + node->out_count; i++)
        if (node->in[i] && node->in[i]->holds > 0)
            clseq__var_let_go(g, node->in[i]);
    clseq__arena_put(&g->nodes, node, node->bytes);
}

clseq_status clseq__node_save(clseq_graph *g, clseq__node *node, int64_t i, clseq_dtype dtype, int ndim,
                              const int64_t *dims)
{
    return node->saved[i].buffer ? CLSEQ_OK : clseq_tensor_create(g->ctx, dtype, ndim, dims, &node->saved[i]);
}

clseq_status clseq__node_forward(clseq_graph *g, clseq__node *node)
{
    for (int i = 0; i < node->out_count && !(node->op->flags & CLSEQ__OP_VIEW); i++)
        if (node->out[i] && !node->out[i]->value.buffer)
            CLSEQ__RETURN_IF(clseq__var_alloc(g, node->out[i]));
    node->is_pending = false;
    return node->op->forward(g, node);
}

/* Inputs without gaps, for an operation that needs them so. */
static clseq_status pack_inputs(clseq_graph *g, const clseq__call *call)
{
    for (int i = 0; i < call->in_count; i++)
        if (call->in[i])
            CLSEQ__RETURN_IF(clseq__var_packed(g, call->op->name, "an input", call->in[i], &call->in[i]));
    return CLSEQ_OK;
}

bool clseq__call_is_wanted(const clseq_graph *g, const clseq__call *call)
{
    bool wants = call->out_count == 0;
    for (int l = 0; l < CLSEQ__NODE_LAYERS && call->layers[l]; l++)
        wants = wants || clseq__params_are_trained(call->layers[l]);
    for (int i = 0; i < call->in_count; i++)
        wants = wants || (call->in[i] && call->in[i]->needs_grad);
    return wants && !(call->op->flags & CLSEQ__OP_DETACHES) && g->mode == CLSEQ_MODE_TRAINING &&
           !g->is_backward_done;
}

/* A view holds what it looks at. */
static void hold_base(clseq__var *y, clseq__var *x)
{
    clseq__var *base = x->base ? x->base : x;
    y->owns_value = false;
    y->base = base;
    base->holds++;
    y->host = base->host;
}

static clseq_status run(clseq_graph *g, const clseq__call *call, clseq__node *node)
{
    const clseq__op *op = call->op;
    node->is_kept = clseq__call_is_wanted(g, call);
    for (int i = 0; i < call->in_count; i++)
        if (call->in[i])
            call->in[i]->is_used = true;
    if (op->flags & CLSEQ__OP_VIEW)
        hold_base(call->out[0], call->in[0]);
    node->is_pending = (op->flags & CLSEQ__OP_LAZY) != 0;
    if (!node->is_pending)
        CLSEQ__RETURN_IF(clseq__node_forward(g, node));
    for (int i = 0; i < call->out_count; i++)
        if (call->out[i])
            call->out[i]->needs_grad = node->is_kept;
    if (node->is_kept) {
        node->previous = g->tape;
        g->tape = node;
    }
    if (node->is_kept || node->is_pending)
        keep(node);
    return CLSEQ_OK;
}

clseq_status clseq__op_run(clseq_graph *g, const clseq__call *call)
{
    clseq__node *node = NULL;
    clseq_status status = CLSEQ_OK;
    if (!(call->op->flags & CLSEQ__OP_STRIDED))
        CLSEQ__RETURN_IF(pack_inputs(g, call));
    CLSEQ__RETURN_IF(make_node(g, call, &node));
    status = run(g, call, node);
    if (status != CLSEQ_OK || !(node->is_kept || node->is_pending)) {
        clseq__node_forget(g, node);
        clseq__arena_put(&g->nodes, node, node->bytes);
    }
    for (int i = 0; i < call->in_count; i++)
        if (call->in[i] && call->in[i]->is_internal)
            clseq__var_release(g, call->in[i]);
    return status;
}

clseq_status clseq__op_run_one(clseq_graph *g, const clseq__op *op, clseq__var *x, int ndim,
                               const int64_t *dims, const void *args, size_t args_size, clseq__var **y)
{
    CLSEQ__RETURN_IF(clseq__var_new(g, x->value.dtype, ndim, dims, y));
    return clseq__op_run(g, &(clseq__call){.op = op,
                                           .in = &x,
                                           .in_count = 1,
                                           .out = y,
                                           .out_count = 1,
                                           .args = args,
                                           .args_size = args_size});
}
