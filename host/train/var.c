/* Variables: making them from host memory, tensors and parameters, checking them, and reading them. */
#include "train/graph.h"

#include "core/tensor.h"
#include "train/params.h"

static clseq_status new_var(clseq_graph *g, clseq__var **out)
{
    clseq__var *x = clseq__vars_add(&g->vars);
    if (!x)
        return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "no memory for a variable");
    x->previous = g->last;
    g->last = x;
    *out = x;
    return CLSEQ_OK;
}

clseq_status clseq__var_new(clseq_graph *g, clseq_dtype dtype, int ndim, const int64_t *dims,
                            clseq__var **out)
{
    CLSEQ__RETURN_IF(new_var(g, out));
    CLSEQ__RETURN_IF(clseq_tensor_create(g->ctx, dtype, ndim, dims, &(*out)->value));
    (*out)->owns_value = true;
    return CLSEQ_OK;
}

clseq_status clseq__var_view(clseq_graph *g, const clseq_tensor *value, clseq__var **out)
{
    CLSEQ__RETURN_IF(new_var(g, out));
    (*out)->value = *value;
    return CLSEQ_OK;
}

clseq_status clseq__op_var(const clseq_graph *g, const char *op, const char *argument, const clseq_var *x,
                           clseq__var **out)
{
    if (!x)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: %s is NULL", op, argument);
    *out = clseq__vars_find(&g->vars, x);
    if (!*out)
        return clseq__error(CLSEQ_INVALID_STATE, "%s: %s belongs to another graph or to one that has ended",
                            op, argument);
    return CLSEQ_OK;
}

clseq_status clseq__op_input(const clseq_graph *g, const char *op, const char *argument, const clseq_var *x,
                             clseq_dtype dtype, clseq__var **out)
{
    CLSEQ__RETURN_IF(clseq__op_var(g, op, argument, x, out));
    if ((*out)->value.dtype != dtype)
        return clseq__error(CLSEQ_INVALID_DTYPE, "%s: %s has type %s, expected %s", op, argument,
                            clseq_dtype_name((*out)->value.dtype), clseq_dtype_name(dtype));
    return CLSEQ_OK;
}

clseq_status clseq__op_same_dims(const char *op, const char *name, const clseq__var *x,
                                 const char *other_name, const clseq__var *other)
{
    char text[CLSEQ__DIMS_TEXT], other_text[CLSEQ__DIMS_TEXT];
    bool is_same = x->value.ndim == other->value.ndim;
    for (int i = 0; is_same && i < x->value.ndim; i++)
        is_same = x->value.dims[i] == other->value.dims[i];
    if (is_same)
        return CLSEQ_OK;
    return clseq__error(CLSEQ_INVALID_SHAPE, "%s: %s has shape %s and %s has %s, expected the same", op, name,
                        clseq__dims_text(text, x->value.ndim, x->value.dims), other_name,
                        clseq__dims_text(other_text, other->value.ndim, other->value.dims));
}

clseq_status clseq__op_range(const char *op, const char *what, const char *whole, const clseq__var *x,
                             int64_t limit, const int32_t *ignored)
{
    const int64_t n = clseq_tensor_elements(&x->value);
    for (int64_t i = 0; x->host && i < n; i++) {
        int64_t at[CLSEQ_MAX_DIMS], rest = i;
        char text[CLSEQ__DIMS_TEXT];
        const int32_t value = x->host[i];
        if ((value >= 0 && value < limit) || (ignored && value == *ignored))
            continue;
        for (int d = x->value.ndim; d-- > 0; rest /= x->value.dims[d])
            at[d] = rest % x->value.dims[d];
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: %s %d at %s is outside of the %s 0..%lld", op, what,
                            (int)value, clseq__dims_text(text, x->value.ndim, at), whole,
                            (long long)limit - 1);
    }
    return CLSEQ_OK;
}

/* Dims that come from the program. */
static clseq_status check_dims(const char *op, int ndim, const int64_t *dims)
{
    if (ndim < 1 || ndim > CLSEQ_MAX_DIMS || !dims)
        return clseq__error(CLSEQ_INVALID_SHAPE, "%s: %d dims%s, expected 1 to %d", op, ndim,
                            dims ? "" : " (NULL)", CLSEQ_MAX_DIMS);
    for (int i = 0; i < ndim; i++)
        if (dims[i] < 1)
            return clseq__error(CLSEQ_INVALID_SHAPE, "%s: dim %d is %lld, expected at least 1", op, i,
                                (long long)dims[i]);
    return CLSEQ_OK;
}

static clseq_var *input(clseq_graph *g, const char *op, clseq_dtype dtype, const void *values, int ndim,
                        const int64_t *dims)
{
    clseq_status status = CLSEQ_OK;
    clseq__var *x = NULL;
    const void *kept = NULL;
    if (!clseq__op_enter(g, op))
        return NULL;
    if (!values)
        CLSEQ__FAIL(CLSEQ_INVALID_ARGUMENT, "%s: values is NULL", op);
    CLSEQ__TRY(check_dims(op, ndim, dims));
    CLSEQ__TRY(clseq__var_new(g, dtype, ndim, dims, &x));
    CLSEQ__TRY(clseq__stage(g, values, (size_t)clseq_tensor_elements(&x->value) * clseq_dtype_size(dtype),
                            &x->value, &kept));
    x->host = dtype == CLSEQ_DTYPE_I32 ? kept : NULL;
done:
    return clseq__op_leave(g, op, status, x);
}

clseq_var *clseq_input_f32(clseq_graph *g, const float *values, int ndim, const int64_t *dims)
{
    return input(g, "input f32", CLSEQ_DTYPE_F32, values, ndim, dims);
}

clseq_var *clseq_input_i32(clseq_graph *g, const int32_t *values, int ndim, const int64_t *dims)
{
    return input(g, "input i32", CLSEQ_DTYPE_I32, values, ndim, dims);
}

clseq_var *clseq_input_tensor(clseq_graph *g, const clseq_tensor *tensor)
{
    static const char op[] = "input tensor";
    clseq_status status = CLSEQ_OK;
    clseq__var *x = NULL;
    if (!clseq__op_enter(g, op))
        return NULL;
    if (!tensor || !tensor->buffer)
        CLSEQ__FAIL(CLSEQ_INVALID_ARGUMENT, "%s: tensor is NULL", op);
    CLSEQ__TRY(check_dims(op, tensor->ndim, tensor->dims));
    CLSEQ__TRY(clseq__tensor_check(g->ctx, "input tensor: tensor", tensor, tensor->dtype, tensor->ndim,
                                   tensor->dims, false));
    if (clseq_tensor_is_contiguous(tensor)) {
        CLSEQ__TRY(clseq__var_view(g, tensor, &x));
    } else {
        CLSEQ__TRY(clseq__var_new(g, tensor->dtype, tensor->ndim, tensor->dims, &x));
        CLSEQ__TRY(clseq_tensor_copy(g->ctx, tensor, &x->value));
    }
done:
    return clseq__op_leave(g, op, status, x);
}

clseq_var *clseq_param_var(clseq_graph *g, clseq_param *param)
{
    static const char op[] = "param var";
    clseq_status status = CLSEQ_OK;
    clseq__var *x = NULL;
    clseq_tensor value = {0};
    if (!clseq__op_enter(g, op))
        return NULL;
    if (!param)
        CLSEQ__TRY(clseq__error_null(op, "param"));
    if (param->store->ctx != g->ctx)
        CLSEQ__FAIL(CLSEQ_INVALID_ARGUMENT, "%s: %s belongs to another context", op, param->name);
    CLSEQ__TRY(clseq_param_value(param, &value));
    CLSEQ__TRY(clseq__op_reads(g, op, param));
    CLSEQ__TRY(clseq__var_view(g, &value, &x));
    /* The gradient is there from the start, in the store: whatever reaches it is added. */
    CLSEQ__TRY(clseq_param_grad(param, &x->grad));
    x->param = param;
    x->needs_grad = g->mode == CLSEQ_MODE_TRAINING;
    x->keep_grad = true;
done:
    return clseq__op_leave(g, op, status, x);
}

clseq_var *clseq_require_grad(clseq_graph *g, clseq_var *x)
{
    static const char op[] = "require grad";
    clseq_status status = CLSEQ_OK;
    clseq__var *in = NULL;
    const clseq__lookup *lookup = NULL;
    if (!clseq__op_enter(g, op))
        return NULL;
    CLSEQ__TRY(clseq__op_input(g, op, "x", x, CLSEQ_DTYPE_F32, &in));
    if (g->is_backward_done)
        CLSEQ__FAIL(CLSEQ_INVALID_STATE, "%s: backward has run already", op);
    if (in->is_used && !in->needs_grad)
        CLSEQ__FAIL(CLSEQ_INVALID_STATE, "%s: x was used already, ask for its gradient before that", op);
    lookup = clseq__var_lookup(in);
    if (lookup && lookup->is_bypassed)
        CLSEQ__FAIL(CLSEQ_INVALID_STATE,
                    "%s: a recurrent layer has read x through the embedding's table already, ask before that",
                    op);
    in->needs_grad = g->mode == CLSEQ_MODE_TRAINING;
    in->keep_grad = true;
done:
    return clseq__op_leave(g, op, status, in);
}

/* What functions that read a variable check: the graph is open and has not failed, and holds it. */
static clseq_status check_read(const char *op, const clseq_graph *g, const clseq_var *x, const void *out,
                               clseq__var **in)
{
    CLSEQ__NEEDS(op, g);
    if (!g->is_open)
        return clseq__error(CLSEQ_INVALID_STATE, "%s: the graph has ended", op);
    if (g->status != CLSEQ_OK)
        return clseq__error(g->status, "%s", g->sentence);
    CLSEQ__RETURN_IF(clseq__op_var(g, op, "x", x, in));
    CLSEQ__NOT_NULL(op, out);
    return CLSEQ_OK;
}

clseq_status clseq_var_value(const clseq_graph *g, const clseq_var *x, clseq_tensor *out)
{
    clseq__var *in = NULL;
    CLSEQ__RETURN_IF(check_read("var value", g, x, out, &in));
    *out = in->value;
    return CLSEQ_OK;
}

clseq_status clseq_var_grad(const clseq_graph *g, const clseq_var *x, clseq_tensor *out)
{
    clseq__var *in = NULL;
    CLSEQ__RETURN_IF(check_read("var grad", g, x, out, &in));
    if (!in->keep_grad)
        return clseq__error(CLSEQ_INVALID_STATE,
                            "var grad: x did not ask for its gradient with clseq_require_grad");
    if (!g->is_backward_done)
        return clseq__error(CLSEQ_INVALID_STATE, "var grad: backward has not run");
    if (!in->grad.buffer)
        return clseq__error(CLSEQ_INVALID_STATE, "var grad: no gradient reached x");
    *out = in->grad;
    return CLSEQ_OK;
}

clseq_status clseq_read(clseq_graph *g, const clseq_var *x, void *out)
{
    clseq__var *in = NULL;
    CLSEQ__RETURN_IF(check_read("read", g, x, out, &in));
    return clseq_tensor_read(g->ctx, &in->value, out);
}

clseq_status clseq_read_float(clseq_graph *g, const clseq_var *x, float *out)
{
    clseq__var *in = NULL;
    char text[CLSEQ__DIMS_TEXT];
    CLSEQ__RETURN_IF(check_read("read float", g, x, out, &in));
    if (in->value.dtype != CLSEQ_DTYPE_F32)
        return clseq__error(CLSEQ_INVALID_DTYPE, "read float: x has type %s, expected f32",
                            clseq_dtype_name(in->value.dtype));
    if (clseq_tensor_elements(&in->value) != 1)
        return clseq__error(CLSEQ_INVALID_SHAPE, "read float: x has shape %s, expected one element",
                            clseq__dims_text(text, in->value.ndim, in->value.dims));
    return clseq_tensor_read(g->ctx, &in->value, out);
}
