#include "train/rnn_way.h"

#include "core/error.h"
#include "rnn/schedule.h"
#include "train/layers.h"
#include <clseq/gemm.h>
#include <stdlib.h>

clseq_status clseq__rnn_way_create(clseq_rnn *rnn, const clseq_embedding *embedding, clseq__rnn_way **out)
{
    clseq_status status = CLSEQ_OK;
    clseq_rnn_desc desc = rnn->desc;
    const size_t layers = (size_t)desc.layers;
    clseq__rnn_way *way = calloc(1, sizeof *way);
    if (!way)
        return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "rnn: no memory for a plan");
    way->embedding = embedding;
    if (embedding) {
        const int64_t p[] = {clseq_cell_gates(desc.cell) * desc.hidden, embedding->weight->dims[0]};
        desc.one_hot = true;
        desc.input = p[1];
        desc.schedule = rnn->way->plan->desc.schedule;
        CLSEQ__TRY(clseq_tensor_create(rnn->params->ctx, CLSEQ_DTYPE_F32, 2, p, &way->p));
        CLSEQ__TRY(clseq_tensor_create(rnn->params->ctx, CLSEQ_DTYPE_F32, 2, p, &way->dp));
    }
    CLSEQ__TRY(clseq_rnn_plan_create(rnn->params->ctx, &desc, &way->plan));
    way->weights = calloc(layers, sizeof *way->weights);
    way->grads = calloc(layers, sizeof *way->grads);
    if (!way->weights || !way->grads)
        CLSEQ__FAIL(CLSEQ_OUT_OF_HOST_MEMORY, "rnn: no memory for the weights");
    *out = way;
    way = NULL;
done:
    clseq__rnn_way_destroy(rnn, way);
    return status;
}

void clseq__rnn_way_destroy(clseq_rnn *rnn, clseq__rnn_way *way)
{
    while (way) {
        clseq__rnn_way *next = way->next;
        clseq_tensor_destroy(rnn->params->ctx, &way->packed);
        clseq_tensor_destroy(rnn->params->ctx, &way->p);
        clseq_tensor_destroy(rnn->params->ctx, &way->dp);
        clseq_rnn_plan_destroy(way->plan);
        free(way->weights);
        free(way->grads);
        free(way);
        way = next;
    }
}

clseq_status clseq__rnn_way_through(clseq_rnn *rnn, const clseq_embedding *embedding, int64_t tokens,
                                    clseq__rnn_way **out)
{
    clseq__rnn_way *way = rnn->way->next;
    *out = NULL;
    if (embedding->params != rnn->params || !rnn->way->plan->schedule->looks_up || rnn->desc.one_hot ||
        embedding->weight->dims[0] > tokens / 2)
        return CLSEQ_OK;
    while (way && way->embedding != embedding)
        way = way->next;
    if (!way) {
        CLSEQ__RETURN_IF(clseq__rnn_way_create(rnn, embedding, &way));
        way->next = rnn->way->next;
        rnn->way->next = way;
    }
    *out = way;
    return CLSEQ_OK;
}

/* A parameter's value and gradient, none for one that the layer lacks. */
static clseq_status view(clseq_param *param, clseq_tensor *value, clseq_tensor *grad)
{
    if (!param)
        return CLSEQ_OK;
    CLSEQ__RETURN_IF(clseq_param_value(param, value));
    return clseq_param_grad(param, grad);
}

/* The parameters' memory is made at the first use and stays where it is. */
static clseq_status find_weights(const clseq_rnn *rnn, clseq__rnn_way *way)
{
    if (way->weights[rnn->desc.layers - 1].w_hh.buffer)
        return CLSEQ_OK;
    for (int64_t k = 0; k < rnn->desc.layers; k++) {
        const clseq__rnn_params *from = &rnn->layers[k];
        clseq_rnn_weights *value = &way->weights[k], *grad = &way->grads[k];
        CLSEQ__RETURN_IF(view(from->w_ih, &value->w_ih, &grad->w_ih));
        CLSEQ__RETURN_IF(view(from->b_ih, &value->b_ih, &grad->b_ih));
        CLSEQ__RETURN_IF(view(from->b_hh, &value->b_hh, &grad->b_hh));
        CLSEQ__RETURN_IF(view(from->w_hh, &value->w_hh, &grad->w_hh));
    }
    if (way->embedding) {
        way->weights[0].w_ih = way->p;
        way->grads[0].w_ih = way->dp;
    }
    return CLSEQ_OK;
}

/* C = alpha op(A) op(B) + beta C of three tensors without gaps. */
static clseq_status product(clseq_context *ctx, const clseq_tensor *a, bool turn_a, const clseq_tensor *b,
                            bool turn_b, float beta, const clseq_tensor *c)
{
    return clseq_gemm(
        ctx, &(clseq_gemm_args){
                 .m = c->dims[0],
                 .n = c->dims[1],
                 .k = turn_a ? a->dims[0] : a->dims[1],
                 .alpha = 1.0f,
                 .beta = beta,
                 .a = {.buffer = a->buffer, .offset = a->offset, .ld = a->dims[1], .transpose = turn_a},
                 .b = {.buffer = b->buffer, .offset = b->offset, .ld = b->dims[1], .transpose = turn_b},
                 .c = {.buffer = c->buffer, .offset = c->offset, .ld = c->dims[1]}});
}

/* P = W_ih E^T */
static clseq_status multiply_table(const clseq_rnn *rnn, const clseq__rnn_way *way)
{
    clseq_tensor table = {0}, w_ih = {0};
    CLSEQ__RETURN_IF(clseq_param_value(way->embedding->weight, &table));
    CLSEQ__RETURN_IF(clseq_param_value(rnn->layers[0].w_ih, &w_ih));
    return product(rnn->params->ctx, &w_ih, false, &table, true, 0.0f, &way->p);
}

clseq_status clseq__rnn_way_packed(clseq_rnn *rnn, clseq__rnn_way *way, const clseq_rnn_shape *shape,
                                   const clseq_rnn_sizes *sizes, clseq_tensor *out)
{
    clseq_context *ctx = rnn->params->ctx;
    /* What training packs serves inference too, but not the other way round. */
    const bool serves = way->packed_mode == CLSEQ_MODE_TRAINING || shape->mode == CLSEQ_MODE_INFERENCE;
    CLSEQ__RETURN_IF(find_weights(rnn, way));
    if (way->packed.buffer && way->packed.dims[0] < sizes->packed)
        clseq_tensor_destroy(ctx, &way->packed);
    if (!way->packed.buffer || way->packed_version != rnn->params->version || !serves) {
        if (!way->packed.buffer)
            CLSEQ__RETURN_IF(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 1, &sizes->packed, &way->packed));
        way->packed_version = 0; /* until packing has succeeded; the store's begins at 1 */
        if (way->embedding)
            CLSEQ__RETURN_IF(multiply_table(rnn, way));
        CLSEQ__RETURN_IF(clseq_rnn_pack(way->plan, shape, way->weights, &way->packed));
        way->packed_version = rnn->params->version;
        way->packed_mode = shape->mode;
    }
    *out = way->packed;
    return CLSEQ_OK;
}

clseq_status clseq__rnn_way_begin_grads(clseq_rnn *rnn, clseq__rnn_way *way)
{
    return way->embedding ? clseq_tensor_fill(rnn->params->ctx, &way->dp, 0.0) : CLSEQ_OK;
}

/* dW_ih += dP E, dE += dP^T W_ih */
clseq_status clseq__rnn_way_end_grads(clseq_rnn *rnn, clseq__rnn_way *way)
{
    clseq_tensor table = {0}, dtable = {0}, w_ih = {0}, dw_ih = {0};
    if (!way->embedding)
        return CLSEQ_OK;
    CLSEQ__RETURN_IF(view(way->embedding->weight, &table, &dtable));
    CLSEQ__RETURN_IF(view(rnn->layers[0].w_ih, &w_ih, &dw_ih));
    CLSEQ__RETURN_IF(product(rnn->params->ctx, &way->dp, false, &table, false, 1.0f, &dw_ih));
    return product(rnn->params->ctx, &way->dp, true, &w_ih, false, 1.0f, &dtable);
}
