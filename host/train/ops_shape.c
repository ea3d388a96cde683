/* Operations that move elements without changing them: reshape, slice, concat. */
#include "train/graph.h"

#include "core/tensor.h"
#include <string.h>

/* The same gradient under the other dims. */
static clseq_status reshape_backward(clseq_graph *g, clseq__node *node)
{
    return clseq__grad_pass(g, node->out[0], node->in[0], true);
}

clseq_var *clseq_reshape(clseq_graph *g, clseq_var *x, int ndim, const int64_t *dims)
{
    static const clseq__op op = {"reshape", reshape_backward};
    clseq_status status = CLSEQ_OK;
    clseq__var *in = NULL, *y = NULL;
    clseq_tensor view = {0};
    char from[CLSEQ__DIMS_TEXT], to[CLSEQ__DIMS_TEXT];
    int64_t left = 0;
    if (!clseq__op_enter(g, op.name))
        return NULL;
    CLSEQ__TRY(clseq__op_var(g, op.name, "x", x, &in));
    if (ndim < 1 || ndim > CLSEQ_MAX_DIMS || !dims)
        CLSEQ__FAIL(CLSEQ_INVALID_SHAPE, "reshape: %d dims%s, expected 1 to %d", ndim, dims ? "" : " (NULL)",
                    CLSEQ_MAX_DIMS);
    left = clseq_tensor_elements(&in->value);
    for (int i = 0; i < ndim; i++)
        left = dims[i] > 0 && left % dims[i] == 0 ? left / dims[i] : 0;
    if (left != 1)
        CLSEQ__FAIL(CLSEQ_INVALID_SHAPE, "reshape: x has shape %s, which has not the elements of %s",
                    clseq__dims_text(from, in->value.ndim, in->value.dims), clseq__dims_text(to, ndim, dims));
    view = clseq_tensor_view(in->value.buffer, in->value.offset, in->value.dtype, ndim, dims);
    CLSEQ__TRY(clseq__var_view(g, &view, &y));
    y->host = in->host;
    CLSEQ__TRY(clseq__node_add(g, &(clseq__node_desc){.op = &op, .in = {in}, .out = {y}}, NULL));
done:
    return clseq__op_leave(g, op.name, status, y);
}

typedef struct slice_args {
    int dim;
    int64_t start;
} slice_args;

/* dx is dy within the slice and zero elsewhere. */
static clseq_status slice_backward(clseq_graph *g, clseq__node *node)
{
    const slice_args *args = node->args;
    clseq__var *x = node->in[0], *y = node->out[0];
    clseq_tensor dx = {0}, part;
    bool accumulate = false;
    if (args->dim == 0) { /* the part is packed: add to it where it lies */
        CLSEQ__RETURN_IF(clseq__grad_open(g, x, &dx, &accumulate));
        if (!accumulate)
            CLSEQ__RETURN_IF(clseq_tensor_fill(g->ctx, &dx, 0.0));
        part = clseq_tensor_slice(&dx, 0, args->start, y->value.dims[0]);
        return accumulate ? clseq_nn_add(g->ctx, 1.0f, &part, 1.0f, &y->grad, &part)
                          : clseq_tensor_copy(g->ctx, &y->grad, &part);
    }
    CLSEQ__RETURN_IF(clseq__grad_begin(g, x, &dx));
    CLSEQ__RETURN_IF(clseq_tensor_fill(g->ctx, &dx, 0.0));
    part = clseq_tensor_slice(&dx, args->dim, args->start, y->value.dims[args->dim]);
    CLSEQ__RETURN_IF(clseq_tensor_copy(g->ctx, &y->grad, &part));
    return clseq__grad_end(g, x, &dx);
}

/* The slice of the host's copy of an i32 input, so that its range can still be checked. */
static clseq_status slice_host(clseq_graph *g, const clseq__var *x, const slice_args *args, clseq__var *y)
{
    const clseq_tensor *from = &x->value;
    int64_t outer = 1, inner = 1;
    void *memory = NULL;
    if (!x->host)
        return CLSEQ_OK;
    for (int i = 0; i < args->dim; i++)
        outer *= from->dims[i];
    for (int i = args->dim + 1; i < from->ndim; i++)
        inner *= from->dims[i];
    if (args->dim == 0) {
        y->host = x->host + args->start * inner;
        return CLSEQ_OK;
    }
    const int64_t run = y->value.dims[args->dim] * inner, step = from->dims[args->dim] * inner;
    CLSEQ__RETURN_IF(clseq__graph_memory(g, (size_t)(outer * run) * sizeof(int32_t), &memory));
    int32_t *copy = memory;
    for (int64_t i = 0; i < outer; i++)
        memcpy(copy + i * run, x->host + i * step + args->start * inner, (size_t)run * sizeof(int32_t));
    y->host = copy;
    return CLSEQ_OK;
}

clseq_var *clseq_slice(clseq_graph *g, clseq_var *x, int dim, int64_t start, int64_t length)
{
    static const clseq__op op = {"slice", slice_backward};
    clseq_status status = CLSEQ_OK;
    clseq__var *in = NULL, *y = NULL;
    clseq_tensor part;
    slice_args args = {dim, start};
    char text[CLSEQ__DIMS_TEXT];
    if (!clseq__op_enter(g, op.name))
        return NULL;
    CLSEQ__TRY(clseq__op_var(g, op.name, "x", x, &in));
    if (dim < 0 || dim >= in->value.ndim)
        CLSEQ__FAIL(CLSEQ_INVALID_SHAPE, "slice: dim is %d, x has shape %s", dim,
                    clseq__dims_text(text, in->value.ndim, in->value.dims));
    if (start < 0 || length < 1 || length > in->value.dims[dim] || start > in->value.dims[dim] - length)
        CLSEQ__FAIL(CLSEQ_INVALID_SHAPE, "slice: start %lld and length %lld in dim %d, x has shape %s",
                    (long long)start, (long long)length, dim,
                    clseq__dims_text(text, in->value.ndim, in->value.dims));
    part = clseq_tensor_slice(&in->value, dim, start, length);
    if (clseq_tensor_is_contiguous(&part)) {
        part = clseq_tensor_view(part.buffer, part.offset, part.dtype, part.ndim, part.dims);
        CLSEQ__TRY(clseq__var_view(g, &part, &y));
    } else {
        CLSEQ__TRY(clseq__var_new(g, part.dtype, part.ndim, part.dims, &y));
        CLSEQ__TRY(clseq_tensor_copy(g->ctx, &part, &y->value));
    }
    CLSEQ__TRY(slice_host(g, in, &args, y));
    CLSEQ__TRY(clseq__node_add(
        g, &(clseq__node_desc){.op = &op, .in = {in}, .out = {y}, .args = &args, .args_size = sizeof args},
        NULL));
done:
    return clseq__op_leave(g, op.name, status, y);
}

/* Each input gets its part of dy. */
static clseq_status concat_backward(clseq_graph *g, clseq__node *node)
{
    const int dim = *(const int *)node->args;
    int64_t start = 0;
    for (int i = 0; i < CLSEQ__NODE_INPUTS && node->in[i]; i++) {
        clseq__var *x = node->in[i];
        clseq_tensor part = clseq_tensor_slice(&node->out[0]->grad, dim, start, x->value.dims[dim]), dx = {0};
        start += x->value.dims[dim];
        CLSEQ__RETURN_IF(clseq__grad_begin(g, x, &dx));
        if (dx.buffer)
            CLSEQ__RETURN_IF(clseq_tensor_copy(g->ctx, &part, &dx));
        CLSEQ__RETURN_IF(clseq__grad_end(g, x, &dx));
    }
    return CLSEQ_OK;
}

/* All inputs agree but in `dim`; the dims of the whole. */
static clseq_status concat_dims(clseq_graph *g, clseq_var *const *xs, int count, int dim, clseq__var **in,
                                int64_t *dims)
{
    static const char *const names[CLSEQ__NODE_INPUTS] = {"xs[0]", "xs[1]", "xs[2]", "xs[3]",
                                                          "xs[4]", "xs[5]", "xs[6]", "xs[7]"};
    char first[CLSEQ__DIMS_TEXT], text[CLSEQ__DIMS_TEXT];
    if (!xs || count < 1 || count > CLSEQ__NODE_INPUTS)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "concat: %d variables%s, expected 1 to %d", count,
                            xs ? "" : " (NULL)", CLSEQ__NODE_INPUTS);
    for (int i = 0; i < count; i++) {
        CLSEQ__RETURN_IF(clseq__op_input(g, "concat", names[i], xs[i], CLSEQ_DTYPE_F32, &in[i]));
        const clseq_tensor *x = &in[i]->value, *x0 = &in[0]->value;
        bool fits = x->ndim == x0->ndim;
        if (dim < 0 || dim >= x0->ndim)
            return clseq__error(CLSEQ_INVALID_SHAPE, "concat: dim is %d, xs[0] has shape %s", dim,
                                clseq__dims_text(first, x0->ndim, x0->dims));
        for (int d = 0; fits && d < x->ndim; d++)
            fits = d == dim || x->dims[d] == x0->dims[d];
        if (!fits)
            return clseq__error(CLSEQ_INVALID_SHAPE,
                                "concat: %s has shape %s and xs[0] has %s, expected the same but in dim %d",
                                names[i], clseq__dims_text(text, x->ndim, x->dims),
                                clseq__dims_text(first, x0->ndim, x0->dims), dim);
        for (int d = 0; d < x->ndim; d++)
            dims[d] = d == dim && i > 0 ? dims[d] + x->dims[d] : x->dims[d];
    }
    return CLSEQ_OK;
}

clseq_var *clseq_concat(clseq_graph *g, clseq_var *const *xs, int count, int dim)
{
    static const clseq__op op = {"concat", concat_backward};
    clseq_status status = CLSEQ_OK;
    clseq__var *y = NULL;
    int64_t dims[CLSEQ_MAX_DIMS] = {0}, start = 0;
    clseq__node_desc desc = {.op = &op, .args = &dim, .args_size = sizeof dim};
    if (!clseq__op_enter(g, op.name))
        return NULL;
    CLSEQ__TRY(concat_dims(g, xs, count, dim, desc.in, dims));
    CLSEQ__TRY(clseq__var_new(g, CLSEQ_DTYPE_F32, desc.in[0]->value.ndim, dims, &y));
    for (int i = 0; i < count; i++) {
        const clseq_tensor part = clseq_tensor_slice(&y->value, dim, start, desc.in[i]->value.dims[dim]);
        CLSEQ__TRY(clseq_tensor_copy(g->ctx, &desc.in[i]->value, &part));
        start += desc.in[i]->value.dims[dim];
    }
    desc.out[0] = y;
    CLSEQ__TRY(clseq__node_add(g, &desc, NULL));
done:
    return clseq__op_leave(g, op.name, status, y);
}
