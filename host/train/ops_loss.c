/* Cross-entropy. */
#include "train/graph.h"

#include "core/tensor.h"

/* saved: see clseq_nn_cross_entropy_forward */
static clseq_status cross_entropy_forward(clseq_graph *g, clseq__node *node)
{
    const clseq_tensor *targets = &node->in[1]->value;
    const int64_t size = clseq_tensor_elements(targets) + 1;
    CLSEQ__RETURN_IF(clseq__node_save(g, node, 0, CLSEQ_DTYPE_F32, 1, &size));
    return clseq_nn_cross_entropy_forward(g->ctx, node->args, &node->in[0]->value, targets,
                                          &node->out[0]->value, &node->saved[0]);
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
    static const clseq__op op = {"cross entropy", cross_entropy_forward, cross_entropy_backward, 0};
    static const clseq_cross_entropy_desc defaults = {0};
    clseq_status status = CLSEQ_OK;
    clseq__var *in[2] = {0}, *loss = NULL;
    if (!clseq__op_enter(g, op.name))
        return NULL;
    desc = desc ? desc : &defaults;
    CLSEQ__TRY(clseq__op_input(g, op.name, "logits", logits, CLSEQ_DTYPE_F32, &in[0]));
    CLSEQ__TRY(clseq__op_input(g, op.name, "targets", targets, CLSEQ_DTYPE_I32, &in[1]));
    CLSEQ__TRY(cross_entropy_check(in[0], in[1], desc));
    CLSEQ__TRY(clseq__var_new(g, CLSEQ_DTYPE_F32, 1, (int64_t[]){1}, &loss));
    CLSEQ__TRY(clseq__op_run(g, &(clseq__call){.op = &op,
                                               .in = in,
                                               .in_count = 2,
                                               .out = &loss,
                                               .out_count = 1,
                                               .args = desc,
                                               .args_size = sizeof *desc,
                                               .saved_count = 1}));
done:
    return clseq__op_leave(g, op.name, status, loss);
}
