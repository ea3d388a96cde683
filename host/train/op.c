/* What operations check of what comes in. */
#include "train/graph.h"

#include "core/tensor.h"

clseq_status clseq__op_find(const clseq_graph *g, const char *op, const char *argument, const clseq_var *x,
                            clseq__var **out)
{
    if (!x)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: %s is NULL", op, argument);
    *out = clseq__vars_find(&g->vars, x);
    if (!*out)
        return clseq__error(CLSEQ_INVALID_STATE,
                            "%s: %s belongs to another graph or to one that has ended, or has been released",
                            op, argument);
    return CLSEQ_OK;
}

clseq_status clseq__op_peek(const clseq_graph *g, const char *op, const char *argument, const clseq_var *x,
                            clseq_dtype dtype, clseq__var **out)
{
    CLSEQ__RETURN_IF(clseq__op_find(g, op, argument, x, out));
    if ((*out)->value.dtype != dtype)
        return clseq__error(CLSEQ_INVALID_DTYPE, "%s: %s has type %s, expected %s", op, argument,
                            clseq_dtype_name((*out)->value.dtype), clseq_dtype_name(dtype));
    return CLSEQ_OK;
}

clseq_status clseq__op_input(clseq_graph *g, const char *op, const char *argument, const clseq_var *x,
                             clseq_dtype dtype, clseq__var **out)
{
    CLSEQ__RETURN_IF(clseq__op_peek(g, op, argument, x, dtype, out));
    return clseq__var_force(g, *out);
}

clseq_status clseq__op_any(clseq_graph *g, const char *op, const char *argument, const clseq_var *x,
                           clseq__var **out)
{
    CLSEQ__RETURN_IF(clseq__op_find(g, op, argument, x, out));
    return clseq__var_force(g, *out);
}

clseq_status clseq__op_dim(const char *op, const char *argument, const clseq__var *x, int dim, int *out)
{
    const int ndim = x->value.ndim;
    char text[CLSEQ__DIMS_TEXT];
    if (dim < -ndim || dim >= ndim)
        return clseq__error(CLSEQ_INVALID_SHAPE, "%s: dim is %d, %s has shape %s", op, dim, argument,
                            clseq__dims_text(text, ndim, x->value.dims));
    *out = dim < 0 ? dim + ndim : dim;
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

clseq_status clseq__op_dims(const char *op, int ndim, const int64_t *dims)
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

clseq_status clseq__op_range(const char *op, const char *what, const char *whole, const clseq__var *x,
                             int64_t limit, const int32_t *ignored)
{
    const clseq_tensor *value = &x->value;
    const int64_t n = clseq_tensor_elements(value);
    for (int64_t i = 0; x->host && i < n; i++) {
        int64_t at[CLSEQ_MAX_DIMS], rest = i, place = value->offset;
        char text[CLSEQ__DIMS_TEXT];
        for (int d = value->ndim; d-- > 0; rest /= value->dims[d]) {
            at[d] = rest % value->dims[d];
            place += at[d] * value->strides[d];
        }
        const int32_t token = x->host[place];
        if ((token >= 0 && token < limit) || (ignored && token == *ignored))
            continue;
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: %s %d at %s is outside of the %s 0..%lld", op, what,
                            (int)token, clseq__dims_text(text, value->ndim, at), whole, (long long)limit - 1);
    }
    return CLSEQ_OK;
}
