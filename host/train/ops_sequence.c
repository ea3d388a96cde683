/* Rows of steps with lengths of their own: reversed, and what is made of a row. */
#include "train/graph.h"

#include "core/tensor.h"

/* What goes into a node: x [T,B,...] and lengths [B], which may be NULL. */
enum { IN_X, IN_LENGTHS, IN_COUNT };

static const clseq_tensor *lengths_of(const clseq__node *node)
{
    return node->in[IN_LENGTHS] ? &node->in[IN_LENGTHS]->value : NULL;
}

static clseq_status reverse_forward(clseq_graph *g, clseq__node *node)
{
    return clseq_nn_reverse(g->ctx, &node->in[IN_X]->value, lengths_of(node), &node->out[0]->value);
}

static clseq_status reverse_backward(clseq_graph *g, clseq__node *node)
{
    clseq_tensor dx = {0};
    CLSEQ__RETURN_IF(clseq__grad_begin(g, node->in[IN_X], &dx));
    CLSEQ__RETURN_IF(clseq_nn_reverse(g->ctx, &node->out[0]->grad, lengths_of(node), &dx));
    return clseq__grad_end(g, node->in[IN_X], &dx);
}

/* saved: the steps of the largest, of max. */
static clseq_status over_time_forward(clseq_graph *g, clseq__node *node)
{
    const clseq_over_time kind = *(const clseq_over_time *)node->args;
    const clseq_tensor *y = &node->out[0]->value;
    if (node->saved_count > 0)
        CLSEQ__RETURN_IF(clseq__node_save(g, node, 0, CLSEQ_DTYPE_I32, y->ndim, y->dims));
    return clseq_nn_over_time_forward(g->ctx, kind, &node->in[IN_X]->value, lengths_of(node), y,
                                      node->saved_count > 0 ? &node->saved[0] : NULL);
}

static clseq_status over_time_backward(clseq_graph *g, clseq__node *node)
{
    const clseq_over_time kind = *(const clseq_over_time *)node->args;
    clseq_tensor dx = {0};
    CLSEQ__RETURN_IF(clseq__grad_begin(g, node->in[IN_X], &dx));
    CLSEQ__RETURN_IF(clseq_nn_over_time_backward(g->ctx, kind, lengths_of(node),
                                                 node->saved_count > 0 ? &node->saved[0] : NULL,
                                                 &node->out[0]->grad, &dx));
    return clseq__grad_end(g, node->in[IN_X], &dx);
}

/* kind: NULL for reverse, whose result has the dims of x; the others' have those of a step. */
static clseq_var *sequence(clseq_graph *g, const clseq__op *op, clseq_var *x, const int32_t *lengths,
                           const clseq_over_time *kind)
{
    clseq_status status = CLSEQ_OK;
    clseq__var *in[IN_COUNT] = {0}, *y = NULL;
    const clseq_tensor *value = NULL;
    char text[CLSEQ__DIMS_TEXT];
    if (!clseq__op_enter(g, op->name))
        return NULL;
    CLSEQ__TRY(clseq__op_input(g, op->name, "x", x, CLSEQ_DTYPE_F32, &in[IN_X]));
    value = &in[IN_X]->value;
    if (value->ndim < 2)
        CLSEQ__FAIL(CLSEQ_INVALID_SHAPE, "%s: x has shape %s, expected [T,B,...]", op->name,
                    clseq__dims_text(text, value->ndim, value->dims));
    CLSEQ__TRY(clseq__op_lengths(g, op->name, lengths, value->dims[0], value->dims[1], &in[IN_LENGTHS]));
    CLSEQ__TRY(clseq__var_new(g, CLSEQ_DTYPE_F32, kind ? value->ndim - 1 : value->ndim,
                              kind ? value->dims + 1 : value->dims, &y));
    CLSEQ__TRY(clseq__op_run(g, &(clseq__call){.op = op,
                                               .in = in,
                                               .in_count = IN_COUNT,
                                               .out = &y,
                                               .out_count = 1,
                                               .args = kind,
                                               .args_size = kind ? sizeof *kind : 0,
                                               .saved_count = kind && *kind == CLSEQ_OVER_TIME_MAX}));
done:
    return clseq__op_leave(g, op->name, status, y);
}

clseq_var *clseq_reverse(clseq_graph *g, clseq_var *x, const int32_t *lengths)
{
    static const clseq__op op = {"reverse", reverse_forward, reverse_backward, 0};
    return sequence(g, &op, x, lengths, NULL);
}

clseq_var *clseq_last(clseq_graph *g, clseq_var *x, const int32_t *lengths)
{
    static const clseq__op op = {"last", over_time_forward, over_time_backward, 0};
    return sequence(g, &op, x, lengths, &(clseq_over_time){CLSEQ_OVER_TIME_LAST});
}

clseq_var *clseq_mean_over_time(clseq_graph *g, clseq_var *x, const int32_t *lengths)
{
    static const clseq__op op = {"mean over time", over_time_forward, over_time_backward, 0};
    return sequence(g, &op, x, lengths, &(clseq_over_time){CLSEQ_OVER_TIME_MEAN});
}

clseq_var *clseq_max_over_time(clseq_graph *g, clseq_var *x, const int32_t *lengths)
{
    static const clseq__op op = {"max over time", over_time_forward, over_time_backward, 0};
    return sequence(g, &op, x, lengths, &(clseq_over_time){CLSEQ_OVER_TIME_MAX});
}
