/* Norms of rows. */
#include "train/graph.h"

#include "core/tensor.h"
#include "train/layers.h"

typedef struct norm_args {
    clseq_norm_kind kind;
    float eps;
} norm_args;

/* What goes into a node; gain and shift may be NULL. */
enum { IN_X, IN_GAIN, IN_SHIFT, IN_COUNT };

static const clseq_tensor *value_of(const clseq__var *x)
{
    return x ? &x->value : NULL;
}

/* saved: see clseq_nn_norm_forward */
static clseq_status norm_forward(clseq_graph *g, clseq__node *node)
{
    const norm_args *args = node->args;
    const clseq_tensor *x = &node->in[IN_X]->value;
    const int64_t dims[] = {clseq_tensor_elements(x) / x->dims[x->ndim - 1], 2};
    CLSEQ__RETURN_IF(clseq__node_save(g, node, 0, CLSEQ_DTYPE_F32, 2, dims));
    return clseq_nn_norm_forward(g->ctx, args->kind, args->eps, x, value_of(node->in[IN_GAIN]),
                                 value_of(node->in[IN_SHIFT]), &node->out[0]->value, &node->saved[0]);
}

static clseq_status norm_backward(clseq_graph *g, clseq__node *node)
{
    const norm_args *args = node->args;
    clseq_tensor d[IN_COUNT] = {{0}};
    for (int i = 0; i < IN_COUNT; i++) {
        if (node->in[i])
            CLSEQ__RETURN_IF(clseq__grad_begin(g, node->in[i], &d[i]));
        if (d[i].buffer && i != IN_X)
            CLSEQ__RETURN_IF(clseq_tensor_fill(g->ctx, &d[i], 0.0)); /* backward adds to it */
    }
    CLSEQ__RETURN_IF(clseq_nn_norm_backward(
        g->ctx, args->kind, &node->in[IN_X]->value, value_of(node->in[IN_GAIN]), &node->saved[0],
        &node->out[0]->grad, d[IN_X].buffer ? &d[IN_X] : NULL, d[IN_GAIN].buffer ? &d[IN_GAIN] : NULL,
        d[IN_SHIFT].buffer ? &d[IN_SHIFT] : NULL));
    for (int i = 0; i < IN_COUNT; i++)
        if (node->in[i])
            CLSEQ__RETURN_IF(clseq__grad_end(g, node->in[i], &d[i]));
    return CLSEQ_OK;
}

/* gain or shift, where it is given: [n] of x [...,n]. */
static clseq_status find_row(clseq_graph *g, const char *op, const char *argument, const clseq_var *row,
                             const clseq__var *x, clseq__var **out)
{
    const int64_t n = x->value.dims[x->value.ndim - 1];
    char text[CLSEQ__DIMS_TEXT];
    if (!row)
        return CLSEQ_OK;
    CLSEQ__RETURN_IF(clseq__op_input(g, op, argument, row, CLSEQ_DTYPE_F32, out));
    if ((*out)->value.ndim == 1 && (*out)->value.dims[0] == n)
        return CLSEQ_OK;
    return clseq__error(CLSEQ_INVALID_SHAPE, "%s: %s has shape %s, expected [%lld]", op, argument,
                        clseq__dims_text(text, (*out)->value.ndim, (*out)->value.dims), (long long)n);
}

static clseq_var *norm(clseq_graph *g, const clseq__op *op, clseq_norm_kind kind, clseq_var *x,
                       clseq_var *gain, clseq_var *shift, float eps)
{
    const norm_args args = {kind, eps};
    clseq_status status = CLSEQ_OK;
    clseq__var *in[IN_COUNT] = {0}, *y = NULL;
    if (!clseq__op_enter(g, op->name))
        return NULL;
    CLSEQ__TRY(clseq__op_input(g, op->name, "x", x, CLSEQ_DTYPE_F32, &in[IN_X]));
    CLSEQ__TRY(find_row(g, op->name, "gain", gain, in[IN_X], &in[IN_GAIN]));
    CLSEQ__TRY(find_row(g, op->name, "shift", shift, in[IN_X], &in[IN_SHIFT]));
    CLSEQ__TRY(clseq__var_new(g, CLSEQ_DTYPE_F32, in[IN_X]->value.ndim, in[IN_X]->value.dims, &y));
    CLSEQ__TRY(clseq__op_run(g, &(clseq__call){.op = op,
                                               .in = in,
                                               .in_count = IN_COUNT,
                                               .out = &y,
                                               .out_count = 1,
                                               .args = &args,
                                               .args_size = sizeof args,
                                               .saved_count = 1}));
done:
    return clseq__op_leave(g, op->name, status, y);
}

clseq_var *clseq_layer_norm(clseq_graph *g, clseq_var *x, clseq_var *gain, clseq_var *shift, float eps)
{
    static const clseq__op op = {"layer norm", norm_forward, norm_backward, 0};
    return norm(g, &op, CLSEQ_NORM_LAYER, x, gain, shift, eps);
}

clseq_var *clseq_rms_norm(clseq_graph *g, clseq_var *x, clseq_var *gain, float eps)
{
    static const clseq__op op = {"rms norm", norm_forward, norm_backward, 0};
    return norm(g, &op, CLSEQ_NORM_RMS, x, gain, NULL, eps);
}

clseq_var *clseq_normalize(clseq_graph *g, const clseq_norm *layer, clseq_var *x)
{
    clseq_var *gain = NULL, *shift = NULL, *y = NULL;
    if (!clseq__op_enter(g, "normalize"))
        return NULL;
    if (!layer)
        return clseq__op_leave(g, "normalize", clseq__error_null("normalize", "norm"), NULL);
    gain = clseq_param_var(g, layer->weight);
    if (layer->bias)
        shift = clseq_param_var(g, layer->bias);
    y = layer->kind == CLSEQ_NORM_LAYER ? clseq_layer_norm(g, x, gain, shift, layer->eps)
                                        : clseq_rms_norm(g, x, gain, layer->eps);
    clseq_release(g, gain);
    clseq_release(g, shift);
    return y;
}
