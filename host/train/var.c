/* Variables: making them from host memory, tensors and parameters, checking them, and reading them. */
#include "train/graph.h"

#include "core/tensor.h"
#include "train/params.h"

/* Arenas of variables hold nothing else, so that a pointer to an old variable always meets the fields of one. */
static clseq_status new_var(clseq_graph *g, clseq_var **out)
{
    clseq_var *x = clseq__arena_get(&g->halves[g->generation % 2].vars, sizeof *x);
    if (!x)
        return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "no memory for a variable");
    *x = (clseq_var){.graph = g, .generation = g->generation, .previous = g->vars};
    g->vars = x;
    *out = x;
    return CLSEQ_OK;
}

clseq_status clseq__var_new(clseq_graph *g, clseq_dtype dtype, int ndim, const int64_t *dims, clseq_var **out)
{
    CLSEQ__RETURN_IF(new_var(g, out));
    CLSEQ__RETURN_IF(clseq_tensor_create(g->ctx, dtype, ndim, dims, &(*out)->value));
    (*out)->owns_value = true;
    return CLSEQ_OK;
}

clseq_status clseq__var_view(clseq_graph *g, const clseq_tensor *value, clseq_var **out)
{
    CLSEQ__RETURN_IF(new_var(g, out));
    (*out)->value = *value;
    return CLSEQ_OK;
}

clseq_status clseq__op_input(clseq_graph *g, const char *op, const char *argument, clseq_var *x,
                             clseq_dtype dtype)
{
    if (!x)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: %s is NULL", op, argument);
    if (x->graph != g || x->generation != g->generation)
        return clseq__error(CLSEQ_INVALID_STATE, "%s: %s belongs to another graph or to one that has ended",
                            op, argument);
    if (x->value.dtype != dtype)
        return clseq__error(CLSEQ_INVALID_DTYPE, "%s: %s has type %s, expected %s", op, argument,
                            clseq_dtype_name(x->value.dtype), clseq_dtype_name(dtype));
    return CLSEQ_OK;
}

clseq_status clseq__op_same_dims(const char *op, const char *name, const clseq_var *x, const char *other_name,
                                 const clseq_var *other)
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

clseq_status clseq__op_range(const char *op, const char *what, const char *whole, const clseq_var *x,
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
    clseq_var *x = NULL;
    const void *kept = NULL;
    if (!clseq__op_enter(g, op))
        return NULL;
    if (!values)
        CLSEQ__FAIL(CLSEQ_INVALID_ARGUMENT, "%s: values is NULL", op);
    CLSEQ__TRY(check_dims(op, ndim, dims));
    CLSEQ__TRY(clseq__var_new(g, dtype, ndim, dims, &x));
    CLSEQ__TRY(clseq__stage(g, values, (size_t)clseq_tensor_elements(&x->value) * clseq_dtype_size(dtype),
                            &x->value, &kept));
    x->host = dtype == CLSEQ_I32 ? kept : NULL;
done:
    return clseq__op_leave(g, op, status, x);
}

clseq_var *clseq_input_f32(clseq_graph *g, const float *values, int ndim, const int64_t *dims)
{
    return input(g, "input f32", CLSEQ_F32, values, ndim, dims);
}

clseq_var *clseq_input_i32(clseq_graph *g, const int32_t *values, int ndim, const int64_t *dims)
{
    return input(g, "input i32", CLSEQ_I32, values, ndim, dims);
}

clseq_var *clseq_input_tensor(clseq_graph *g, const clseq_tensor *tensor)
{
    static const char op[] = "input tensor";
    clseq_status status = CLSEQ_OK;
    clseq_var *x = NULL;
    if (!clseq__op_enter(g, op))
        return NULL;
    if (!tensor || !tensor->buffer)
        CLSEQ__FAIL(CLSEQ_INVALID_ARGUMENT, "%s: the tensor is NULL", op);
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
    clseq_var *x = NULL;
    clseq_tensor value = {0};
    if (!clseq__op_enter(g, op))
        return NULL;
    if (!param)
        CLSEQ__FAIL(CLSEQ_INVALID_ARGUMENT, "%s: param is NULL", op);
    if (param->store->ctx != g->ctx)
        CLSEQ__FAIL(CLSEQ_INVALID_ARGUMENT, "%s: %s belongs to another context", op, param->name);
    CLSEQ__TRY(clseq_param_value(param, &value));
    CLSEQ__TRY(clseq__var_view(g, &value, &x));
    /* The gradient is there from the start, in the store: whatever reaches it is added. */
    CLSEQ__TRY(clseq_param_grad(param, &x->grad));
    x->needs_grad = g->mode == CLSEQ_TRAINING;
    x->keep_grad = true;
done:
    return clseq__op_leave(g, op, status, x);
}

clseq_var *clseq_require_grad(clseq_graph *g, clseq_var *x)
{
    static const char op[] = "require grad";
    clseq_status status = CLSEQ_OK;
    if (!clseq__op_enter(g, op))
        return NULL;
    CLSEQ__TRY(clseq__op_input(g, op, "x", x, CLSEQ_F32));
    if (g->is_backward_done)
        CLSEQ__FAIL(CLSEQ_INVALID_STATE, "%s: backward has run already", op);
    if (x->is_used && !x->needs_grad)
        CLSEQ__FAIL(CLSEQ_INVALID_STATE, "%s: x was used already, ask for its gradient before that", op);
    if (x->is_looked_up)
        CLSEQ__FAIL(CLSEQ_INVALID_STATE,
                    "%s: a recurrent layer has read x through the embedding's table already, ask before that",
                    op);
    x->needs_grad = g->mode == CLSEQ_TRAINING;
    x->keep_grad = true;
done:
    return clseq__op_leave(g, op, status, x);
}

/* For functions that read a variable: its graph still holds it. */
static clseq_status check_alive(const char *op, const clseq_var *x)
{
    if (!x)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: x is NULL", op);
    if (x->generation != x->graph->generation || !x->graph->is_open)
        return clseq__error(CLSEQ_INVALID_STATE, "%s: x belongs to a graph that has ended", op);
    return CLSEQ_OK;
}

clseq_status clseq_var_value(const clseq_var *x, clseq_tensor *out)
{
    CLSEQ__RETURN_IF(check_alive("var value", x));
    if (!out)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "var value: out is NULL");
    *out = x->value;
    return CLSEQ_OK;
}

clseq_status clseq_var_grad(const clseq_var *x, clseq_tensor *out)
{
    CLSEQ__RETURN_IF(check_alive("var grad", x));
    if (!out)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "var grad: out is NULL");
    if (!x->keep_grad)
        return clseq__error(CLSEQ_INVALID_STATE,
                            "var grad: x did not ask for its gradient with clseq_require_grad");
    if (!x->graph->is_backward_done)
        return clseq__error(CLSEQ_INVALID_STATE, "var grad: backward has not run");
    if (!x->grad.buffer)
        return clseq__error(CLSEQ_INVALID_STATE, "var grad: no gradient reached x");
    *out = x->grad;
    return CLSEQ_OK;
}

/* What reading functions check besides. */
static clseq_status check_read(const char *op, const clseq_graph *g, const clseq_var *x, const void *out)
{
    if (!g)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: the graph is NULL", op);
    if (g->status != CLSEQ_OK)
        return clseq__error(g->status, "%s", g->sentence);
    CLSEQ__RETURN_IF(check_alive(op, x));
    if (x->graph != g)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: x belongs to another graph", op);
    if (!out)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: out is NULL", op);
    return CLSEQ_OK;
}

clseq_status clseq_read(clseq_graph *g, const clseq_var *x, void *out)
{
    CLSEQ__RETURN_IF(check_read("read", g, x, out));
    return clseq_tensor_read(g->ctx, &x->value, out);
}

clseq_status clseq_read_float(clseq_graph *g, const clseq_var *x, float *out)
{
    char text[CLSEQ__DIMS_TEXT];
    CLSEQ__RETURN_IF(check_read("read float", g, x, out));
    if (x->value.dtype != CLSEQ_F32)
        return clseq__error(CLSEQ_INVALID_DTYPE, "read float: x has type %s, expected f32",
                            clseq_dtype_name(x->value.dtype));
    if (clseq_tensor_elements(&x->value) != 1)
        return clseq__error(CLSEQ_INVALID_SHAPE, "read float: x has shape %s, expected one element",
                            clseq__dims_text(text, x->value.ndim, x->value.dims));
    return clseq_tensor_read(g->ctx, &x->value, out);
}
