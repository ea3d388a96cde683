/* Operations that end in one number: mean, sum, cross-entropy. */
#include "train/graph.h"

#include "core/tensor.h"

/* Every element gets dy * scale. */
static clseq_status sum_backward(clseq_graph *g, clseq__node *node)
{
    const float scale = *(const float *)node->args;
    clseq_tensor dx = {0};
    CLSEQ__RETURN_IF(clseq__grad_begin(g, node->in[0], &dx));
    CLSEQ__RETURN_IF(clseq_tensor_fill(g->ctx, &dx, 1.0));
    CLSEQ__RETURN_IF(clseq_nn_scale(g->ctx, &dx, &node->out[0]->grad, scale, &dx));
    return clseq__grad_end(g, node->in[0], &dx);
}

/* The sum of all elements, or their mean. */
static clseq_var *sum(clseq_graph *g, const clseq__op *op, clseq_var *x, bool is_mean)
{
    clseq_status status = CLSEQ_OK;
    clseq__var *in = NULL, *y = NULL;
    float scale = 1.0f;
    if (!clseq__op_enter(g, op->name))
        return NULL;
    CLSEQ__TRY(clseq__op_input(g, op->name, "x", x, CLSEQ_DTYPE_F32, &in));
    if (is_mean)
        scale = (float)(1.0 / (double)clseq_tensor_elements(&in->value));
    CLSEQ__TRY(clseq__var_new(g, CLSEQ_DTYPE_F32, 1, (int64_t[]){1}, &y));
    CLSEQ__TRY(clseq__node_add(
        g, &(clseq__node_desc){.op = op, .in = {in}, .out = {y}, .args = &scale, .args_size = sizeof scale},
        NULL));
    CLSEQ__TRY(clseq_nn_sum(g->ctx, &in->value, scale, &y->value));
done:
    return clseq__op_leave(g, op->name, status, y);
}

clseq_var *clseq_mean(clseq_graph *g, clseq_var *x)
{
    static const clseq__op op = {"mean", sum_backward};
    return sum(g, &op, x, true);
}

clseq_var *clseq_sum(clseq_graph *g, clseq_var *x)
{
    static const clseq__op op = {"sum", sum_backward};
    return sum(g, &op, x, false);
}

/* dlogits = dloss * (softmax - onehot) / divisor */
static clseq_status cross_entropy_backward(clseq_graph *g, clseq__node *node)
{
    const clseq_cross_entropy_desc *desc = node->args;
    clseq__var *logits = node->in[0];
    clseq_tensor dlogits = {0};
    CLSEQ__RETURN_IF(clseq__grad_begin(g, logits, &dlogits));
    CLSEQ__RETURN_IF(clseq_nn_cross_entropy_backward(g->ctx, desc, &logits->value, &node->in[1]->value,
                                                     &node->saved[0], &node->out[0]->grad, &dlogits));
    return clseq__grad_end(g, logits, &dlogits);
}

/* logits [...,V], targets [...] within 0..V-1 or ignored. */
static clseq_status cross_entropy_check(const clseq__var *logits, const clseq__var *targets,
                                        const clseq_cross_entropy_desc *desc)
{
    const clseq_tensor *x = &logits->value, *t = &targets->value;
    char text[CLSEQ__DIMS_TEXT], other[CLSEQ__DIMS_TEXT];
    bool fits = x->ndim == t->ndim + 1;
    for (int i = 0; fits && i < t->ndim; i++)
        fits = x->dims[i] == t->dims[i];
    if (!fits)
        return clseq__error(CLSEQ_INVALID_SHAPE,
                            "cross entropy: logits has shape %s and targets %s, expected [...,V] and [...]",
                            clseq__dims_text(text, x->ndim, x->dims),
                            clseq__dims_text(other, t->ndim, t->dims));
    return clseq__op_range("cross entropy", "target", "classes", targets, x->dims[x->ndim - 1],
                           desc->ignore ? &desc->ignore_index : NULL);
}

clseq_var *clseq_cross_entropy(clseq_graph *g, clseq_var *logits, clseq_var *targets,
                               const clseq_cross_entropy_desc *desc)
{
    static const clseq__op op = {"cross entropy", cross_entropy_backward};
    static const clseq_cross_entropy_desc defaults = {0};
    clseq_status status = CLSEQ_OK;
    clseq__var *x = NULL, *t = NULL, *loss = NULL;
    clseq_tensor saved = {0};
    if (!clseq__op_enter(g, op.name))
        return NULL;
    desc = desc ? desc : &defaults;
    CLSEQ__TRY(clseq__op_input(g, op.name, "logits", logits, CLSEQ_DTYPE_F32, &x));
    CLSEQ__TRY(clseq__op_input(g, op.name, "targets", targets, CLSEQ_DTYPE_I32, &t));
    CLSEQ__TRY(cross_entropy_check(x, t, desc));
    CLSEQ__TRY(clseq__var_new(g, CLSEQ_DTYPE_F32, 1, (int64_t[]){1}, &loss));
    CLSEQ__TRY(clseq_tensor_create(g->ctx, CLSEQ_DTYPE_F32, 1,
                                   (int64_t[]){clseq_tensor_elements(&t->value) + 1}, &saved));
    CLSEQ__TRY(clseq_nn_cross_entropy_forward(g->ctx, desc, &x->value, &t->value, &loss->value, &saved));
    CLSEQ__TRY(clseq__node_add(g,
                               &(clseq__node_desc){.op = &op,
                                                   .in = {x, t},
                                                   .out = {loss},
                                                   .args = desc,
                                                   .args_size = sizeof *desc,
                                                   .saved = &saved,
                                                   .saved_count = 1},
                               NULL));
done:
    clseq_tensor_destroy(g->ctx, &saved);
    return clseq__op_leave(g, op.name, status, loss);
}
