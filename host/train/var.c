/* Variables: making them from host memory, tensors and parameters, their life, and reading them. */
#include "train/graph.h"

#include "core/tensor.h"
#include "train/params.h"

/* ---- life ---- */

static clseq_status new_var(clseq_graph *g, clseq__var **out)
{
    clseq__var *x = clseq__vars_add(&g->vars);
    if (!x)
        return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "no memory for a variable");
    x->holds = 1;
    x->serial = ++g->serial;
    x->previous = g->last;
    if (g->last)
        g->last->next = x;
    g->last = x;
    *out = x;
    return CLSEQ_OK;
}

clseq_status clseq__var_new(clseq_graph *g, clseq_dtype dtype, int ndim, const int64_t *dims,
                            clseq__var **out)
{
    CLSEQ__RETURN_IF(new_var(g, out));
    (*out)->value = clseq_tensor_view(NULL, 0, dtype, ndim, dims);
    (*out)->owns_value = true;
    return CLSEQ_OK;
}

clseq_status clseq__var_alloc(clseq_graph *g, clseq__var *x)
{
    clseq_tensor value = {0};
    CLSEQ__RETURN_IF(clseq_tensor_create(g->ctx, x->value.dtype, x->value.ndim, x->value.dims, &value));
    x->value = value;
    return CLSEQ_OK;
}

clseq_status clseq__var_view(clseq_graph *g, const clseq_tensor *value, clseq__var **out)
{
    CLSEQ__RETURN_IF(new_var(g, out));
    (*out)->value = *value;
    return CLSEQ_OK;
}

clseq_status clseq__var_force(clseq_graph *g, clseq__var *x)
{
    clseq__node *node = x->node;
    if (!node || !node->is_pending)
        return CLSEQ_OK;
    CLSEQ__RETURN_IF(clseq__node_forward(g, node));
    if (!node->is_kept)
        clseq__node_destroy(g, node);
    return CLSEQ_OK;
}

void clseq__var_destroy(clseq_graph *g, clseq__var *x)
{
    x->keep_grad = false;
    clseq__grad_drop(g, x);
    if (x->owns_value)
        clseq_tensor_destroy(g->ctx, &x->value);
    clseq__staging_let_go(x->staged);
    if (x->previous)
        x->previous->next = x->next;
    if (x->next)
        x->next->previous = x->previous;
    else
        g->last = x->previous;
    clseq__vars_remove(&g->vars, x->handle);
}

/* Nothing but the operation that would make it holds x, and waits for a reader that will not come. */
static bool is_unread(const clseq__var *x)
{
    return x->holds == 1 && x->node && x->node->is_pending && !x->node->is_kept;
}

void clseq__var_let_go(clseq_graph *g, clseq__var *x)
{
    clseq__var *base = x->base;
    x->holds--;
    if (is_unread(x))
        clseq__node_destroy(g, x->node); /* lets go of x */
    else if (x->holds == 0) {
        clseq__var_destroy(g, x);
        if (base)
            clseq__var_let_go(g, base);
    }
}

void clseq__var_release(clseq_graph *g, clseq__var *x)
{
    if (x->is_released)
        return;
    x->is_released = true;
    clseq__var_let_go(g, x);
}

/* ---- coming in from outside ---- */

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
    CLSEQ__TRY(clseq__op_dims(op, ndim, dims));
    CLSEQ__TRY(clseq__var_new(g, dtype, ndim, dims, &x));
    CLSEQ__TRY(clseq__var_alloc(g, x));
    CLSEQ__TRY(clseq__stage(g, values, (size_t)clseq_tensor_elements(&x->value) * clseq_dtype_size(dtype),
                            &x->value, &kept, dtype == CLSEQ_DTYPE_I32 ? &x->staged : NULL));
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

clseq_status clseq__op_lengths(clseq_graph *g, const char *op, const int32_t *lengths, int64_t T, int64_t B,
                               clseq__var **out)
{
    *out = NULL;
    if (!lengths)
        return CLSEQ_OK;
    for (int64_t b = 0; b < B; b++)
        if (lengths[b] < 0 || lengths[b] > T)
            return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: lengths[%lld] is %d, expected 0..T = 0..%lld",
                                op, (long long)b, (int)lengths[b], (long long)T);
    CLSEQ__RETURN_IF(clseq__var_new(g, CLSEQ_DTYPE_I32, 1, &B, out));
    (*out)->is_internal = true;
    CLSEQ__RETURN_IF(clseq__var_alloc(g, *out));
    return clseq__stage(g, lengths, (size_t)B * sizeof *lengths, &(*out)->value, NULL, NULL);
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
    CLSEQ__TRY(clseq__op_dims(op, tensor->ndim, tensor->dims));
    CLSEQ__TRY(clseq__tensor_check(g->ctx, "input tensor: tensor", tensor, tensor->dtype, tensor->ndim,
                                   tensor->dims, false));
    CLSEQ__TRY(clseq__var_view(g, tensor, &x));
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
    if (param->is_frozen)
        goto done; /* a tensor like any other */
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
    CLSEQ__TRY(clseq__op_peek(g, op, "x", x, CLSEQ_DTYPE_F32, &in));
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

/* ---- packing ---- */

static clseq_status pack_forward(clseq_graph *g, clseq__node *node)
{
    return clseq_tensor_copy(g->ctx, &node->in[0]->value, &node->out[0]->value);
}

static clseq_status pack_backward(clseq_graph *g, clseq__node *node)
{
    return clseq__grad_pass(g, node->out[0], &node->out[0]->grad, node->in[0], true);
}

static const clseq__op pack = {"contiguous", pack_forward, pack_backward, CLSEQ__OP_STRIDED};

/* A packed copy. */
static clseq_status copy(clseq_graph *g, clseq__var *x, clseq__var **out)
{
    return clseq__op_run_one(g, &pack, x, x->value.ndim, x->value.dims, NULL, 0, out);
}

clseq_status clseq__var_packed(clseq_graph *g, const char *op, const char *argument, clseq__var *x,
                               clseq__var **out)
{
    char dims[CLSEQ__DIMS_TEXT], strides[CLSEQ__DIMS_TEXT];
    *out = x;
    if (clseq_tensor_is_contiguous(&x->value))
        return CLSEQ_OK;
    if (clseq__log_shows(CLSEQ_LOG_DEBUG))
        clseq__log(CLSEQ_LOG_DEBUG, "%s: %s with shape %s and strides %s is packed first", op, argument,
                   clseq__dims_text(dims, x->value.ndim, x->value.dims),
                   clseq__dims_text(strides, x->value.ndim, x->value.strides));
    CLSEQ__RETURN_IF(copy(g, x, out));
    (*out)->is_internal = true;
    return CLSEQ_OK;
}

clseq_var *clseq_contiguous(clseq_graph *g, clseq_var *x)
{
    clseq_status status = CLSEQ_OK;
    clseq__var *in = NULL, *y = NULL;
    if (!clseq__op_enter(g, pack.name))
        return NULL;
    CLSEQ__TRY(clseq__op_any(g, pack.name, "x", x, &in));
    if (clseq_tensor_is_contiguous(&in->value))
        return x;
    CLSEQ__TRY(copy(g, in, &y));
done:
    return clseq__op_leave(g, pack.name, status, y);
}

/* ---- reading ---- */

/* What functions that read a variable check: the graph is open and has not failed, and holds it. */
static clseq_status check_read(const char *op, clseq_graph *g, const clseq_var *x, const void *out,
                               clseq__var **in)
{
    CLSEQ__NEEDS(op, g);
    if (!g->is_open)
        return clseq__error(CLSEQ_INVALID_STATE, "%s: the graph has ended", op);
    if (g->status != CLSEQ_OK)
        return clseq__error(g->status, "%s", g->sentence);
    CLSEQ__RETURN_IF(clseq__op_any(g, op, "x", x, in));
    CLSEQ__NOT_NULL(op, out);
    return CLSEQ_OK;
}

clseq_status clseq_var_value(clseq_graph *g, const clseq_var *x, clseq_tensor *out)
{
    clseq__var *in = NULL;
    CLSEQ__RETURN_IF(check_read("var value", g, x, out, &in));
    *out = in->value;
    return CLSEQ_OK;
}

clseq_status clseq_var_grad(clseq_graph *g, const clseq_var *x, clseq_tensor *out)
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
