/* Operations that put variables together: concat, stack. */
#include "train/graph.h"

#include "core/tensor.h"
#include <stdio.h>
#include <string.h>

/* The part of `whole` that input i of the node is, when `start` is where the ones before it end. */
static clseq_tensor part_of(const clseq__node *node, const clseq_tensor *whole, int i, int64_t *start)
{
    const int dim = *(const int *)node->args;
    const int64_t length = node->in[i]->value.dims[dim];
    *start += length;
    return clseq_tensor_slice(whole, dim, *start - length, length);
}

static clseq_status concat_forward(clseq_graph *g, clseq__node *node)
{
    int64_t start = 0;
    for (int i = 0; i < node->in_count; i++) {
        const clseq_tensor part = part_of(node, &node->out[0]->value, i, &start);
        CLSEQ__RETURN_IF(clseq_tensor_copy(g->ctx, &node->in[i]->value, &part));
    }
    return CLSEQ_OK;
}

/* Each input gets its part of dy. */
static clseq_status concat_backward(clseq_graph *g, clseq__node *node)
{
    int64_t start = 0;
    for (int i = 0; i < node->in_count; i++) {
        const clseq_tensor part = part_of(node, &node->out[0]->grad, i, &start);
        CLSEQ__RETURN_IF(clseq__grad_pass(g, node->out[0], &part, node->in[i], false));
    }
    return CLSEQ_OK;
}

static const clseq__op concat_op = {"concat", concat_forward, concat_backward, CLSEQ__OP_STRIDED};

/* The variables of an array, at least one, all of one type. */
static clseq_status take_all(clseq_graph *g, const char *op, clseq_var *const *xs, int count,
                             clseq__var ***out)
{
    void *memory = NULL;
    clseq_dtype dtype = CLSEQ_DTYPE_F32;
    if (!xs || count < 1)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: %d variables%s, expected at least 1", op, count,
                            xs ? "" : " (NULL)");
    CLSEQ__RETURN_IF(clseq__graph_memory(g, (size_t)count * sizeof **out, &memory));
    *out = memory;
    for (int i = 0; i < count; i++) {
        char name[32];
        snprintf(name, sizeof name, "xs[%d]", i);
        CLSEQ__RETURN_IF(i == 0 ? clseq__op_any(g, op, name, xs[i], &(*out)[i])
                                : clseq__op_input(g, op, name, xs[i], dtype, &(*out)[i]));
        dtype = (*out)[0]->value.dtype;
    }
    return CLSEQ_OK;
}

/* All agree with the first one but in `dim` (-1: everywhere); *length is how many places of `dim` they take. */
static clseq_status check_all(const char *op, clseq__var *const *in, int count, int dim, int64_t *length)
{
    const clseq_tensor *x0 = &in[0]->value;
    char first[CLSEQ__DIMS_TEXT], text[CLSEQ__DIMS_TEXT], but[32] = "";
    *length = 0;
    if (dim >= 0)
        snprintf(but, sizeof but, " but in dim %d", dim);
    for (int i = 0; i < count; i++) {
        const clseq_tensor *x = &in[i]->value;
        bool fits = x->ndim == x0->ndim;
        for (int d = 0; fits && d < x->ndim; d++)
            fits = d == dim || x->dims[d] == x0->dims[d];
        if (!fits)
            return clseq__error(
                CLSEQ_INVALID_SHAPE, "%s: xs[%d] has shape %s and xs[0] has %s, expected the same%s", op, i,
                clseq__dims_text(text, x->ndim, x->dims), clseq__dims_text(first, x0->ndim, x0->dims), but);
        *length += dim >= 0 ? x->dims[dim] : 1;
    }
    return CLSEQ_OK;
}

clseq_var *clseq_concat(clseq_graph *g, clseq_var *const *xs, int count, int dim)
{
    clseq_status status = CLSEQ_OK;
    clseq__var **in = NULL, *y = NULL;
    int64_t dims[CLSEQ_MAX_DIMS], length = 0;
    if (!clseq__op_enter(g, concat_op.name))
        return NULL;
    CLSEQ__TRY(take_all(g, concat_op.name, xs, count, &in));
    CLSEQ__TRY(clseq__op_dim(concat_op.name, "xs[0]", in[0], dim, &dim));
    CLSEQ__TRY(check_all(concat_op.name, in, count, dim, &length));
    memcpy(dims, in[0]->value.dims, sizeof dims);
    dims[dim] = length;
    CLSEQ__TRY(clseq__var_new(g, in[0]->value.dtype, in[0]->value.ndim, dims, &y));
    CLSEQ__TRY(clseq__op_run(g, &(clseq__call){.op = &concat_op,
                                               .in = in,
                                               .in_count = count,
                                               .out = &y,
                                               .out_count = 1,
                                               .args = &dim,
                                               .args_size = sizeof dim}));
done:
    return clseq__op_leave(g, concat_op.name, status, y);
}

clseq_var *clseq_stack(clseq_graph *g, clseq_var *const *xs, int count, int dim)
{
    static const char op[] = "stack";
    clseq_status status = CLSEQ_OK;
    clseq__var **in = NULL;
    clseq_var **longer = NULL, *y = NULL;
    int64_t length = 0;
    void *memory = NULL;
    if (!clseq__op_enter(g, op))
        return NULL;
    CLSEQ__TRY(take_all(g, op, xs, count, &in));
    CLSEQ__TRY(check_all(op, in, count, -1, &length));
    CLSEQ__TRY(clseq__graph_memory(g, (size_t)count * sizeof *longer, &memory));
    longer = memory;
    for (int i = 0; i < count; i++)
        longer[i] = clseq_unsqueeze(g, xs[i], dim);
    y = clseq_concat(g, longer, count, dim);
    for (int i = 0; i < count; i++)
        clseq_release(g, longer[i]);
done:
    clseq__op_leave(g, op, status, NULL);
    return y;
}
