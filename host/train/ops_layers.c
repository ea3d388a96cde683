/* Layers as operations: embed and affine. */
#include "train/graph.h"

#include "core/tensor.h"
#include "nn/affine.h"
#include "train/layers.h"

/* A layer that comes in: there, and of the graph's context. */
static clseq_status check_layer(const clseq_graph *g, const char *op, const char *argument,
                                const clseq_params *params)
{
    if (!params)
        return clseq__error_null(op, argument);
    if (params->ctx != g->ctx)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: %s belongs to another context", op, argument);
    return CLSEQ_OK;
}

/* Rows of the table, for a reader that does not read the table itself. */
static clseq_status embed_forward(clseq_graph *g, clseq__node *node)
{
    const clseq__lookup *lookup = node->args;
    const clseq_param *weight = lookup->embedding->weight;
    clseq_tensor table = {0};
    CLSEQ__RETURN_IF(clseq_param_value(lookup->embedding->weight, &table));
    if (weight->store->version != lookup->version)
        return clseq__error(CLSEQ_INVALID_STATE,
                            "embed: the store of %s has changed before the result was read, expected that "
                            "values change after their last use",
                            weight->name);
    return clseq_nn_embedding_forward(g->ctx, &table, &node->in[0]->value, &node->out[0]->value);
}

/* dtable[tokens[n],:] += dy[n,:] */
static clseq_status embed_backward(clseq_graph *g, clseq__node *node)
{
    const clseq__lookup *lookup = node->args;
    clseq_tensor dtable = {0};
    CLSEQ__RETURN_IF(clseq__param_wanted_grad(lookup->embedding->weight, &dtable));
    if (!dtable.buffer)
        return CLSEQ_OK;
    return clseq_nn_embedding_backward(g->ctx, &node->in[0]->value, &node->out[0]->grad, &dtable);
}

static const clseq__op embed = {"embed", embed_forward, embed_backward, CLSEQ__OP_LAZY};

clseq__lookup *clseq__var_lookup(const clseq__var *x)
{
    return x->node && x->node->op == &embed ? x->node->args : NULL;
}

clseq_var *clseq_embed(clseq_graph *g, const clseq_embedding *embedding, clseq_var *tokens)
{
    clseq_status status = CLSEQ_OK;
    clseq__var *in = NULL, *y = NULL;
    clseq_tensor table = {0};
    int64_t dims[CLSEQ_MAX_DIMS] = {0};
    int ndim = 0;
    if (!clseq__op_enter(g, embed.name))
        return NULL;
    CLSEQ__TRY(check_layer(g, embed.name, "embedding", embedding ? embedding->params : NULL));
    CLSEQ__TRY(clseq__op_input(g, embed.name, "tokens", tokens, CLSEQ_DTYPE_I32, &in));
    if (in->value.ndim >= CLSEQ_MAX_DIMS)
        CLSEQ__FAIL(CLSEQ_INVALID_SHAPE, "embed: tokens has %d dims, expected at most %d", in->value.ndim,
                    CLSEQ_MAX_DIMS - 1);
    CLSEQ__TRY(clseq__op_range(embed.name, "token", "vocabulary", in, embedding->weight->dims[0], NULL));
    CLSEQ__TRY(clseq_param_value(embedding->weight, &table));
    CLSEQ__TRY(clseq__op_reads(g, embed.name, embedding->weight));
    for (; ndim < in->value.ndim; ndim++)
        dims[ndim] = in->value.dims[ndim];
    dims[ndim++] = embedding->weight->dims[1];
    CLSEQ__TRY(clseq__var_new(g, CLSEQ_DTYPE_F32, ndim, dims, &y));
    CLSEQ__TRY(clseq__op_run(
        g, &(clseq__call){.op = &embed,
                          .in = &in,
                          .in_count = 1,
                          .out = &y,
                          .out_count = 1,
                          .args = &(clseq__lookup){embedding, embedding->params->version, false},
                          .args_size = sizeof(clseq__lookup),
                          .layers = {&embedding->list}}));
done:
    return clseq__op_leave(g, embed.name, status, y);
}

static int64_t rows_of(const clseq_tensor *x)
{
    return clseq_tensor_elements(x) / x->dims[x->ndim - 1];
}

static clseq_status affine_forward(clseq_graph *g, clseq__node *node)
{
    clseq_linear *linear = *(clseq_linear **)node->args;
    const clseq_packed *packed = NULL;
    clseq_tensor w = {0}, b = {0};
    CLSEQ__RETURN_IF(clseq_param_value(linear->weight, &w));
    if (linear->bias)
        CLSEQ__RETURN_IF(clseq_param_value(linear->bias, &b));
    CLSEQ__RETURN_IF(clseq__linear_packed_get(&linear->forward, linear->weight, true,
                                              rows_of(&node->in[0]->value), &packed));
    return clseq__affine_forward(g->ctx, &node->in[0]->value, &w, packed, linear->bias ? &b : NULL,
                                 &node->out[0]->value);
}

/* dx = dy W, dW += dy^T x, db += column sums of dy */
static clseq_status affine_backward(clseq_graph *g, clseq__node *node)
{
    clseq_linear *linear = *(clseq_linear **)node->args;
    const clseq_packed *packed = NULL;
    clseq__var *x = node->in[0];
    clseq_tensor w = {0}, dw = {0}, db = {0}, dx = {0};
    CLSEQ__RETURN_IF(clseq_param_value(linear->weight, &w));
    CLSEQ__RETURN_IF(clseq__param_wanted_grad(linear->weight, &dw));
    if (linear->bias)
        CLSEQ__RETURN_IF(clseq__param_wanted_grad(linear->bias, &db));
    CLSEQ__RETURN_IF(clseq__grad_begin(g, x, &dx));
    if (dx.buffer)
        CLSEQ__RETURN_IF(
            clseq__linear_packed_get(&linear->backward, linear->weight, false, rows_of(&dx), &packed));
    CLSEQ__RETURN_IF(clseq__affine_backward(g->ctx, &x->value, &w, packed, &node->out[0]->grad,
                                            dx.buffer ? &dx : NULL, dw.buffer ? &dw : NULL,
                                            db.buffer ? &db : NULL));
    return clseq__grad_end(g, x, &dx);
}

clseq_var *clseq_affine(clseq_graph *g, const clseq_linear *linear, clseq_var *x)
{
    static const clseq__op op = {"affine", affine_forward, affine_backward, 0};
    clseq_status status = CLSEQ_OK;
    clseq__var *in = NULL, *y = NULL;
    int64_t dims[CLSEQ_MAX_DIMS] = {0};
    char text[CLSEQ__DIMS_TEXT];
    if (!clseq__op_enter(g, op.name))
        return NULL;
    CLSEQ__TRY(check_layer(g, op.name, "linear", linear ? linear->params : NULL));
    CLSEQ__TRY(clseq__op_input(g, op.name, "x", x, CLSEQ_DTYPE_F32, &in));
    for (int i = 0; i < in->value.ndim; i++)
        dims[i] = in->value.dims[i];
    if (dims[in->value.ndim - 1] != linear->weight->dims[1])
        CLSEQ__FAIL(CLSEQ_INVALID_SHAPE, "affine: x has shape %s, expected [...,%lld]",
                    clseq__dims_text(text, in->value.ndim, dims), (long long)linear->weight->dims[1]);
    dims[in->value.ndim - 1] = linear->weight->dims[0];
    CLSEQ__TRY(clseq__op_reads(g, op.name, linear->weight));
    CLSEQ__TRY(clseq__var_new(g, CLSEQ_DTYPE_F32, in->value.ndim, dims, &y));
    CLSEQ__TRY(clseq__op_run(g, &(clseq__call){.op = &op,
                                               .in = &in,
                                               .in_count = 1,
                                               .out = &y,
                                               .out_count = 1,
                                               .args = &linear,
                                               .args_size = sizeof linear,
                                               .layers = {&linear->list}}));
done:
    return clseq__op_leave(g, op.name, status, y);
}
