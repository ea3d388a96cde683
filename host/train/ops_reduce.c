/* Reductions over all elements or over some dims. */
#include "train/graph.h"

#include "core/tensor.h"

typedef struct reduce_args {
    clseq_reduction row;
    bool is_reduced[CLSEQ_MAX_DIMS]; /* by dim of x */
} reduce_args;

/* y, from which the reduced dims may be missing, with all dims of x. */
static clseq_tensor with_all_dims(const clseq__node *node, const clseq_tensor *y)
{
    const reduce_args *args = node->args;
    const clseq_tensor *x = &node->in[0]->value;
    clseq_tensor view = *y;
    view.ndim = x->ndim;
    for (int d = 0, from = 0; d < x->ndim; d++) {
        view.dims[d] = args->is_reduced[d] ? 1 : x->dims[d];
        view.strides[d] = args->is_reduced[d] ? 0 : y->strides[from];
        from += y->ndim == x->ndim || !args->is_reduced[d];
    }
    return view;
}

static clseq_status reduce_forward(clseq_graph *g, clseq__node *node)
{
    const reduce_args *args = node->args;
    const clseq_tensor y = with_all_dims(node, &node->out[0]->value);
    return clseq_nn_reduce_forward(g->ctx, args->row, &node->in[0]->value, &y);
}

static clseq_status reduce_backward(clseq_graph *g, clseq__node *node)
{
    const reduce_args *args = node->args;
    clseq__var *x = node->in[0];
    const clseq_tensor y = with_all_dims(node, &node->out[0]->value);
    const clseq_tensor dy = with_all_dims(node, &node->out[0]->grad);
    clseq_tensor dx = {0};
    bool accumulate = false;
    CLSEQ__RETURN_IF(clseq__grad_open(g, x, &dx, &accumulate));
    return dx.buffer ? clseq_nn_reduce_backward(g->ctx, args->row, &x->value, &y, &dy, accumulate, &dx)
                     : CLSEQ_OK;
}

/* Which dims of x are meant; count 0: all. */
static clseq_status take_dims(const char *op, const clseq__var *x, int count, const int *dims,
                              reduce_args *args)
{
    char text[CLSEQ__DIMS_TEXT];
    const int ndim = x->value.ndim;
    for (int d = 0; d < ndim; d++)
        args->is_reduced[d] = count == 0;
    for (int i = 0; i < count; i++) {
        int d = 0;
        CLSEQ__RETURN_IF(clseq__op_dim(op, "x", x, dims[i], &d));
        if (args->is_reduced[d])
            return clseq__error(CLSEQ_INVALID_SHAPE, "%s: dim %d of x, of shape %s, is there twice", op,
                                dims[i], clseq__dims_text(text, ndim, x->value.dims));
        args->is_reduced[d] = true;
    }
    return CLSEQ_OK;
}

/* count 0: over all dims. */
static clseq_var *reduce(clseq_graph *g, const clseq__op *op, clseq_reduction row, clseq_var *x, int count,
                         const int *dims, bool keep)
{
    clseq_status status = CLSEQ_OK;
    clseq__var *in = NULL, *y = NULL;
    reduce_args args = {.row = row};
    int64_t left[CLSEQ_MAX_DIMS] = {1};
    int ndim = 0;
    if (!clseq__op_enter(g, op->name))
        return NULL;
    CLSEQ__TRY(clseq__op_input(g, op->name, "x", x, CLSEQ_DTYPE_F32, &in));
    CLSEQ__TRY(take_dims(op->name, in, count, dims, &args));
    for (int d = 0; d < in->value.ndim; d++)
        if (!args.is_reduced[d] || keep)
            left[ndim++] = args.is_reduced[d] ? 1 : in->value.dims[d];
    CLSEQ__TRY(clseq__op_run_one(g, op, in, ndim > 0 ? ndim : 1, left, &args, sizeof args, &y));
done:
    return clseq__op_leave(g, op->name, status, y);
}

/* Over dims that the program lists. */
static clseq_var *reduce_over(clseq_graph *g, const clseq__op *op, clseq_reduction row, clseq_var *x,
                              int count, const int *dims, bool keep)
{
    clseq_status status = CLSEQ_OK;
    if (!clseq__op_enter(g, op->name))
        return NULL;
    if (count < 1 || count > CLSEQ_MAX_DIMS || !dims)
        CLSEQ__FAIL(CLSEQ_INVALID_ARGUMENT, "%s: %d dims%s, expected 1 to %d", op->name, count,
                    dims ? "" : " (NULL)", CLSEQ_MAX_DIMS);
    return reduce(g, op, row, x, count, dims, keep);
done:
    return clseq__op_leave(g, op->name, status, NULL);
}

#define OP(name) static const clseq__op op = {name, reduce_forward, reduce_backward, CLSEQ__OP_STRIDED}

clseq_var *clseq_sum(clseq_graph *g, clseq_var *x)
{
    OP("sum");
    return reduce(g, &op, CLSEQ_REDUCE_SUM, x, 0, NULL, false);
}

clseq_var *clseq_mean(clseq_graph *g, clseq_var *x)
{
    OP("mean");
    return reduce(g, &op, CLSEQ_REDUCE_MEAN, x, 0, NULL, false);
}

#define OVER(function, name, ROW)                                                                    \
    clseq_var *clseq_##function(clseq_graph *g, clseq_var *x, int count, const int *dims, bool keep) \
    {                                                                                                \
        OP(name);                                                                                    \
        return reduce_over(g, &op, CLSEQ_REDUCE_##ROW, x, count, dims, keep);                        \
    }

OVER(sum_over, "sum over", SUM)
OVER(mean_over, "mean over", MEAN)
OVER(max_over, "max over", MAX)
OVER(min_over, "min over", MIN)
