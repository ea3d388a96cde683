/* Operations that look at the same elements under other dims: reshape, unsqueeze, squeeze, detach. */
#include "train/graph.h"

#include "core/tensor.h"
#include "train/view.h"

static clseq_status reshape_forward(clseq_graph *g, clseq__node *node)
{
    clseq__var *y = node->out[0];
    (void)g;
    clseq__view_reshape(&node->in[0]->value, y->value.ndim, y->value.dims, &y->value);
    return CLSEQ_OK;
}

/* The same gradient under the other dims. */
static clseq_status reshape_backward(clseq_graph *g, clseq__node *node)
{
    clseq__var *x = node->in[0], *y = node->out[0];
    clseq_tensor dy = {0};
    if (!clseq__view_reshape(&y->grad, x->value.ndim, x->value.dims, &dy)) {
        CLSEQ__RETURN_IF(clseq__grad_pack(g, y));
        clseq__view_reshape(&y->grad, x->value.ndim, x->value.dims, &dy);
    }
    return clseq__grad_pass(g, y, &dy, x, true);
}

static const clseq__op reshape_op = {"reshape", reshape_forward, reshape_backward,
                                     CLSEQ__OP_STRIDED | CLSEQ__OP_VIEW};

/* Dims with one -1 for what is left; false where they do not have as many elements. */
static bool complete_dims(int64_t elements, int ndim, const int64_t *asked, int64_t *dims)
{
    int64_t left = elements;
    int open = -1;
    for (int i = 0; i < ndim; i++) {
        dims[i] = asked[i];
        if (asked[i] == -1 && open < 0)
            open = i;
        else
            left = asked[i] > 0 && left % asked[i] == 0 ? left / asked[i] : 0;
    }
    if (open >= 0)
        dims[open] = left;
    return open >= 0 ? left > 0 : left == 1;
}

static clseq_status reshape(clseq_graph *g, const char *op, clseq__var *x, int ndim, const int64_t *dims,
                            clseq__var **y)
{
    clseq_tensor view = {0};
    clseq__var *from = x;
    if (!clseq__view_reshape(&x->value, ndim, dims, &view))
        CLSEQ__RETURN_IF(clseq__var_packed(g, op, "x", x, &from));
    return clseq__op_run_one(g, &reshape_op, from, ndim, dims, NULL, 0, y);
}

clseq_var *clseq_reshape(clseq_graph *g, clseq_var *x, int ndim, const int64_t *dims)
{
    static const char op[] = "reshape";
    clseq_status status = CLSEQ_OK;
    clseq__var *in = NULL, *y = NULL;
    int64_t whole[CLSEQ_MAX_DIMS];
    char from[CLSEQ__DIMS_TEXT], to[CLSEQ__DIMS_TEXT];
    if (!clseq__op_enter(g, op))
        return NULL;
    CLSEQ__TRY(clseq__op_any(g, op, "x", x, &in));
    if (ndim < 1 || ndim > CLSEQ_MAX_DIMS || !dims)
        CLSEQ__FAIL(CLSEQ_INVALID_SHAPE, "reshape: %d dims%s, expected 1 to %d", ndim, dims ? "" : " (NULL)",
                    CLSEQ_MAX_DIMS);
    if (!complete_dims(clseq_tensor_elements(&in->value), ndim, dims, whole))
        CLSEQ__FAIL(CLSEQ_INVALID_SHAPE, "reshape: x has shape %s, which has not the elements of %s",
                    clseq__dims_text(from, in->value.ndim, in->value.dims), clseq__dims_text(to, ndim, dims));
    CLSEQ__TRY(reshape(g, op, in, ndim, whole, &y));
done:
    return clseq__op_leave(g, op, status, y);
}

clseq_var *clseq_unsqueeze(clseq_graph *g, clseq_var *x, int dim)
{
    static const char op[] = "unsqueeze";
    clseq_status status = CLSEQ_OK;
    clseq__var *in = NULL, *y = NULL;
    int64_t dims[CLSEQ_MAX_DIMS + 1];
    if (!clseq__op_enter(g, op))
        return NULL;
    CLSEQ__TRY(clseq__op_any(g, op, "x", x, &in));
    const int ndim = in->value.ndim + 1;
    if (ndim > CLSEQ_MAX_DIMS || dim < -ndim || dim >= ndim)
        CLSEQ__FAIL(CLSEQ_INVALID_SHAPE, "unsqueeze: dim is %d, x has %d dims, expected at most %d with it",
                    dim, in->value.ndim, CLSEQ_MAX_DIMS);
    dim = dim < 0 ? dim + ndim : dim;
    for (int i = 0; i < ndim; i++)
        dims[i] = i < dim ? in->value.dims[i] : i == dim ? 1 : in->value.dims[i - 1];
    CLSEQ__TRY(reshape(g, op, in, ndim, dims, &y));
done:
    return clseq__op_leave(g, op, status, y);
}

clseq_var *clseq_squeeze(clseq_graph *g, clseq_var *x, int dim)
{
    static const char op[] = "squeeze";
    clseq_status status = CLSEQ_OK;
    clseq__var *in = NULL, *y = NULL;
    int64_t dims[CLSEQ_MAX_DIMS] = {0};
    char text[CLSEQ__DIMS_TEXT];
    if (!clseq__op_enter(g, op))
        return NULL;
    CLSEQ__TRY(clseq__op_any(g, op, "x", x, &in));
    CLSEQ__TRY(clseq__op_dim(op, "x", in, dim, &dim));
    if (in->value.dims[dim] != 1 || in->value.ndim == 1)
        CLSEQ__FAIL(CLSEQ_INVALID_SHAPE,
                    "squeeze: dim is %d, x has shape %s, expected 1 there and another dim", dim,
                    clseq__dims_text(text, in->value.ndim, in->value.dims));
    for (int i = 0; i + 1 < in->value.ndim; i++)
        dims[i] = in->value.dims[i < dim ? i : i + 1];
    CLSEQ__TRY(reshape(g, op, in, in->value.ndim - 1, dims, &y));
done:
    return clseq__op_leave(g, op, status, y);
}

static clseq_status detach_forward(clseq_graph *g, clseq__node *node)
{
    (void)g;
    node->out[0]->value = node->in[0]->value;
    return CLSEQ_OK;
}

clseq_var *clseq_detach(clseq_graph *g, clseq_var *x)
{
    static const clseq__op op = {"detach", detach_forward, NULL,
                                 CLSEQ__OP_STRIDED | CLSEQ__OP_VIEW | CLSEQ__OP_DETACHES};
    clseq_status status = CLSEQ_OK;
    clseq__var *in = NULL, *y = NULL;
    if (!clseq__op_enter(g, op.name))
        return NULL;
    CLSEQ__TRY(clseq__op_any(g, op.name, "x", x, &in));
    CLSEQ__TRY(clseq__op_run_one(g, &op, in, in->value.ndim, in->value.dims, NULL, 0, &y));
done:
    return clseq__op_leave(g, op.name, status, y);
}
