/* Operations that look at the same elements in another way and move nothing: transpose, permute, slice, split. */
#include "train/graph.h"

#include "core/tensor.h"
#include "train/view.h"
#include <string.h>

/* ---- permute ---- */

typedef struct permute_args {
    int order[CLSEQ_MAX_DIMS], back[CLSEQ_MAX_DIMS];
} permute_args;

static clseq_status permute_forward(clseq_graph *g, clseq__node *node)
{
    (void)g;
    node->out[0]->value = clseq__view_permute(&node->in[0]->value, ((const permute_args *)node->args)->order);
    return CLSEQ_OK;
}

static clseq_status permute_backward(clseq_graph *g, clseq__node *node)
{
    const clseq_tensor dy =
        clseq__view_permute(&node->out[0]->grad, ((const permute_args *)node->args)->back);
    return clseq__grad_pass(g, node->out[0], &dy, node->in[0], true);
}

/* y's dim i is x's dim order[i]; `op` is what the program called. */
static clseq_status permute(clseq_graph *g, const clseq__op *op, clseq__var *x, const int *order,
                            clseq__var **y)
{
    permute_args args = {{0}, {0}};
    int64_t dims[CLSEQ_MAX_DIMS];
    for (int i = 0; i < x->value.ndim; i++) {
        args.order[i] = order[i];
        args.back[order[i]] = i;
        dims[i] = x->value.dims[order[i]];
    }
    return clseq__op_run_one(g, op, x, x->value.ndim, dims, &args, sizeof args, y);
}

clseq_var *clseq_transpose(clseq_graph *g, clseq_var *x, int dim0, int dim1)
{
    static const clseq__op op = {"transpose", permute_forward, permute_backward,
                                 CLSEQ__OP_STRIDED | CLSEQ__OP_VIEW};
    clseq_status status = CLSEQ_OK;
    clseq__var *in = NULL, *y = NULL;
    int order[CLSEQ_MAX_DIMS];
    if (!clseq__op_enter(g, op.name))
        return NULL;
    CLSEQ__TRY(clseq__op_any(g, op.name, "x", x, &in));
    CLSEQ__TRY(clseq__op_dim(op.name, "x", in, dim0, &dim0));
    CLSEQ__TRY(clseq__op_dim(op.name, "x", in, dim1, &dim1));
    for (int i = 0; i < in->value.ndim; i++)
        order[i] = i == dim0 ? dim1 : i == dim1 ? dim0 : i;
    CLSEQ__TRY(permute(g, &op, in, order, &y));
done:
    return clseq__op_leave(g, op.name, status, y);
}

clseq_var *clseq_permute(clseq_graph *g, clseq_var *x, const int *order)
{
    static const clseq__op op = {"permute", permute_forward, permute_backward,
                                 CLSEQ__OP_STRIDED | CLSEQ__OP_VIEW};
    clseq_status status = CLSEQ_OK;
    clseq__var *in = NULL, *y = NULL;
    int full[CLSEQ_MAX_DIMS];
    unsigned seen = 0;
    if (!clseq__op_enter(g, op.name))
        return NULL;
    CLSEQ__TRY(clseq__op_any(g, op.name, "x", x, &in));
    if (!order)
        CLSEQ__FAIL(CLSEQ_INVALID_ARGUMENT, "permute: order is NULL");
    for (int i = 0; i < in->value.ndim; i++) {
        CLSEQ__TRY(clseq__op_dim(op.name, "x", in, order[i], &full[i]));
        if (seen & 1u << full[i])
            CLSEQ__FAIL(CLSEQ_INVALID_SHAPE, "permute: dim %d stands in order twice", full[i]);
        seen |= 1u << full[i];
    }
    CLSEQ__TRY(permute(g, &op, in, full, &y));
done:
    return clseq__op_leave(g, op.name, status, y);
}

/* ---- slice ---- */

typedef struct slice_args {
    int dim;
    int64_t start, length;
} slice_args;

static clseq_status slice_forward(clseq_graph *g, clseq__node *node)
{
    const slice_args *args = node->args;
    (void)g;
    node->out[0]->value = clseq_tensor_slice(&node->in[0]->value, args->dim, args->start, args->length);
    return CLSEQ_OK;
}

/* dx is dy within the slice and zero elsewhere. */
static clseq_status slice_backward(clseq_graph *g, clseq__node *node)
{
    const slice_args *args = node->args;
    const clseq_tensor *dy = &node->out[0]->grad;
    clseq_tensor dx = {0};
    bool accumulate = false;
    CLSEQ__RETURN_IF(clseq__grad_open(g, node->in[0], &dx, &accumulate));
    if (!accumulate)
        CLSEQ__RETURN_IF(clseq_tensor_fill(g->ctx, &dx, 0.0));
    const clseq_tensor part = clseq_tensor_slice(&dx, args->dim, args->start, args->length);
    return accumulate ? clseq__grad_add(g, dy, &part) : clseq_tensor_copy(g->ctx, dy, &part);
}

static const clseq__op slice_op = {"slice", slice_forward, slice_backward,
                                   CLSEQ__OP_STRIDED | CLSEQ__OP_VIEW};

/* `op` and `name` are what the program called and how that calls x. */
static clseq_status slice(clseq_graph *g, const char *op, clseq__var *x, const slice_args *args,
                          clseq__var **y)
{
    char text[CLSEQ__DIMS_TEXT];
    int64_t dims[CLSEQ_MAX_DIMS];
    const int64_t whole = x->value.dims[args->dim];
    if (args->start < 0 || args->length < 1 || args->length > whole || args->start > whole - args->length)
        return clseq__error(CLSEQ_INVALID_SHAPE, "%s: start %lld and length %lld in dim %d, x has shape %s",
                            op, (long long)args->start, (long long)args->length, args->dim,
                            clseq__dims_text(text, x->value.ndim, x->value.dims));
    memcpy(dims, x->value.dims, sizeof dims);
    dims[args->dim] = args->length;
    return clseq__op_run_one(g, &slice_op, x, x->value.ndim, dims, args, sizeof *args, y);
}

clseq_var *clseq_slice(clseq_graph *g, clseq_var *x, int dim, int64_t start, int64_t length)
{
    clseq_status status = CLSEQ_OK;
    clseq__var *in = NULL, *y = NULL;
    if (!clseq__op_enter(g, slice_op.name))
        return NULL;
    CLSEQ__TRY(clseq__op_any(g, slice_op.name, "x", x, &in));
    CLSEQ__TRY(clseq__op_dim(slice_op.name, "x", in, dim, &dim));
    CLSEQ__TRY(slice(g, slice_op.name, in, &(slice_args){dim, start, length}, &y));
done:
    return clseq__op_leave(g, slice_op.name, status, y);
}

void clseq_split(clseq_graph *g, clseq_var *x, int dim, int count, const int64_t *lengths, clseq_var **out)
{
    static const char op[] = "split";
    clseq_status status = CLSEQ_OK;
    clseq__var *in = NULL, *y = NULL;
    int64_t start = 0, total = 0;
    char text[CLSEQ__DIMS_TEXT];
    for (int i = 0; out && i < count; i++)
        out[i] = NULL;
    if (!clseq__op_enter(g, op))
        return;
    CLSEQ__TRY(clseq__op_any(g, op, "x", x, &in));
    CLSEQ__TRY(clseq__op_dim(op, "x", in, dim, &dim));
    if (count < 1 || !out)
        CLSEQ__FAIL(CLSEQ_INVALID_ARGUMENT, "split: %d parts%s, expected at least 1", count,
                    out ? "" : " (out is NULL)");
    for (int i = 0; i < count; i++)
        total += lengths ? lengths[i] : in->value.dims[dim] / count;
    if (total != in->value.dims[dim])
        CLSEQ__FAIL(CLSEQ_INVALID_SHAPE, "split: %d parts of %lld together in dim %d, x has shape %s", count,
                    (long long)total, dim, clseq__dims_text(text, in->value.ndim, in->value.dims));
    for (int i = 0; i < count; i++) {
        const int64_t length = lengths ? lengths[i] : in->value.dims[dim] / count;
        CLSEQ__TRY(slice(g, op, in, &(slice_args){dim, start, length}, &y));
        out[i] = y->handle;
        start += length;
    }
done:
    for (int i = 0; status != CLSEQ_OK && out && i < count; i++)
        out[i] = NULL;
    clseq__op_leave(g, op, status, NULL);
}
