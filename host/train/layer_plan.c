#include "train/layer_plan.h"

#include "core/error.h"
#include "train/layers.h"
#include <clseq/gemm.h>
#include <stdlib.h>

/* The tables of products of the first layer's input weights. */
static clseq_status make_tables(const clseq_rnn *rnn, clseq__layer_plan *use)
{
    for (int64_t i = 0; i < rnn->weight_count; i++) {
        clseq_rnn_weight weight;
        CLSEQ__RETURN_IF(clseq_rnn_weight_info(use->plan, i, &weight));
        if (weight.layer > 0 || weight.kind != CLSEQ_RNN_WEIGHT_INPUT)
            continue;
        use->input[use->tables] = i;
        CLSEQ__RETURN_IF(
            clseq_tensor_create(rnn->params->ctx, CLSEQ_DTYPE_F32, 2, weight.dims, &use->p[use->tables]));
        CLSEQ__RETURN_IF(
            clseq_tensor_create(rnn->params->ctx, CLSEQ_DTYPE_F32, 2, weight.dims, &use->dp[use->tables++]));
    }
    return CLSEQ_OK;
}

clseq_status clseq__layer_plan_create(clseq_rnn *rnn, const clseq_rnn_desc *desc,
                                      const clseq_embedding *embedding, clseq__layer_plan **out)
{
    clseq_status status = CLSEQ_OK;
    size_t weights = 0;
    clseq__layer_plan *use = calloc(1, sizeof *use);
    if (!use)
        return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "rnn: no memory for a plan");
    use->embedding = embedding;
    CLSEQ__TRY(clseq_rnn_plan_create(rnn->params->ctx, desc, &use->plan));
    rnn->weight_count = clseq_rnn_weight_count(use->plan);
    if (embedding)
        CLSEQ__TRY(make_tables(rnn, use));
    weights = (size_t)rnn->weight_count;
    use->weights = calloc(weights, sizeof *use->weights);
    use->grads = calloc(weights, sizeof *use->grads);
    if (!use->weights || !use->grads)
        CLSEQ__FAIL(CLSEQ_OUT_OF_HOST_MEMORY, "rnn: no memory for the weights");
    *out = use;
    use = NULL;
done:
    clseq__layer_plan_destroy(rnn, use);
    return status;
}

void clseq__layer_plan_destroy(clseq_rnn *rnn, clseq__layer_plan *use)
{
    while (use) {
        clseq__layer_plan *next = use->next;
        clseq_tensor_destroy(rnn->params->ctx, &use->packed);
        for (int d = 0; d < CLSEQ__DIRECTIONS; d++) {
            clseq_tensor_destroy(rnn->params->ctx, &use->p[d]);
            clseq_tensor_destroy(rnn->params->ctx, &use->dp[d]);
        }
        clseq_rnn_plan_destroy(use->plan);
        free(use->weights);
        free(use->grads);
        free(use);
        use = next;
    }
}

clseq_status clseq__layer_plan_through(clseq_rnn *rnn, const clseq_embedding *embedding, int64_t tokens,
                                       clseq__layer_plan **out)
{
    const clseq_rnn_desc *desc = clseq_rnn_plan_description(rnn->plans->plan);
    clseq__layer_plan *use = rnn->plans->next;
    *out = NULL;
    if (embedding->params != rnn->params || !clseq_rnn_one_hot_is_cheap(rnn->plans->plan) || desc->one_hot ||
        embedding->weight->dims[0] > tokens / 2)
        return CLSEQ_OK;
    while (use && use->embedding != embedding)
        use = use->next;
    if (!use) {
        clseq_rnn_desc looked_up = *desc;
        looked_up.one_hot = true;
        looked_up.input = embedding->weight->dims[0];
        CLSEQ__RETURN_IF(clseq__layer_plan_create(rnn, &looked_up, embedding, &use));
        use->next = rnn->plans->next;
        rnn->plans->next = use;
    }
    *out = use;
    return CLSEQ_OK;
}

/* The parameters' memory is made at the first use and stays where it is. */
static clseq_status find_weights(const clseq_rnn *rnn, clseq__layer_plan *use)
{
    if (use->has_weights)
        return CLSEQ_OK;
    for (int64_t i = 0; i < rnn->weight_count; i++)
        CLSEQ__RETURN_IF(clseq_param_value(rnn->weights[i], &use->weights[i]));
    for (int d = 0; d < use->tables; d++)
        use->weights[use->input[d]] = use->p[d];
    use->has_weights = true;
    return CLSEQ_OK;
}

/* P = W_ih E^T */
static clseq_status multiply_tables(const clseq_rnn *rnn, const clseq__layer_plan *use)
{
    for (int d = 0; d < use->tables; d++) {
        clseq_tensor table = {0}, w_ih = {0};
        CLSEQ__RETURN_IF(clseq_param_value(use->embedding->weight, &table));
        CLSEQ__RETURN_IF(clseq_param_value(rnn->weights[use->input[d]], &w_ih));
        CLSEQ__RETURN_IF(clseq_gemm(rnn->params->ctx, &(clseq_gemm_desc){.transpose_b = true}, 1.0f, &w_ih,
                                    &table, 0.0f, &use->p[d]));
    }
    return CLSEQ_OK;
}

/* Whether what is packed serves a call: what training packs serves inference too, but not the other way round. */
static bool is_packed_for(const clseq_rnn *rnn, const clseq__layer_plan *use, const clseq_rnn_shape *shape,
                          clseq_schedule schedule)
{
    return use->packed.buffer && use->packed_version == rnn->params->version &&
           use->packed_schedule == schedule &&
           (use->packed_mode == CLSEQ_MODE_TRAINING || shape->mode == CLSEQ_MODE_INFERENCE);
}

clseq_status clseq__layer_plan_packed(clseq_rnn *rnn, clseq__layer_plan *use, const clseq_rnn_shape *shape,
                                      const clseq_rnn_sizes *sizes, clseq_tensor *out)
{
    clseq_context *ctx = rnn->params->ctx;
    clseq_schedule schedule = CLSEQ_SCHEDULE_AUTO;
    CLSEQ__RETURN_IF(find_weights(rnn, use));
    CLSEQ__RETURN_IF(clseq_rnn_plan_schedule(use->plan, shape, &schedule));
    if (use->packed.buffer && use->packed.dims[0] < sizes->packed)
        clseq_tensor_destroy(ctx, &use->packed);
    if (!is_packed_for(rnn, use, shape, schedule)) {
        if (!use->packed.buffer)
            CLSEQ__RETURN_IF(clseq_tensor_create(ctx, CLSEQ_DTYPE_U8, 1, &sizes->packed, &use->packed));
        use->packed_version = 0; /* until packing has succeeded; the store's begins at 1 */
        CLSEQ__RETURN_IF(multiply_tables(rnn, use));
        CLSEQ__RETURN_IF(clseq_rnn_pack(use->plan, shape, use->weights, &use->packed));
        use->packed_version = rnn->params->version;
        use->packed_mode = shape->mode;
        use->packed_schedule = schedule;
    }
    *out = use->packed;
    return CLSEQ_OK;
}

/* The gradients of the weights of direction d's table, W_ih and the embedding; no tensors for those that are frozen. */
static clseq_status table_grads(const clseq_rnn *rnn, const clseq__layer_plan *use, int d,
                                clseq_tensor *dw_ih, clseq_tensor *dtable)
{
    CLSEQ__RETURN_IF(clseq__param_wanted_grad(rnn->weights[use->input[d]], dw_ih));
    return clseq__param_wanted_grad(use->embedding->weight, dtable);
}

clseq_status clseq__layer_plan_begin_grads(clseq_rnn *rnn, clseq__layer_plan *use, const clseq_tensor **out)
{
    *out = NULL;
    for (int64_t i = 0; i < rnn->weight_count; i++)
        CLSEQ__RETURN_IF(clseq__param_wanted_grad(rnn->weights[i], &use->grads[i]));
    for (int d = 0; d < use->tables; d++) {
        clseq_tensor dw_ih = {0}, dtable = {0};
        CLSEQ__RETURN_IF(table_grads(rnn, use, d, &dw_ih, &dtable));
        const bool wants = dw_ih.buffer || dtable.buffer;
        use->grads[use->input[d]] = wants ? use->dp[d] : (clseq_tensor){0};
        if (wants)
            CLSEQ__RETURN_IF(clseq_tensor_fill(rnn->params->ctx, &use->dp[d], 0.0));
    }
    for (int64_t i = 0; i < rnn->weight_count; i++)
        if (use->grads[i].buffer)
            *out = use->grads;
    return CLSEQ_OK;
}

/* dW_ih += dP E, dE += dP^T W_ih */
clseq_status clseq__layer_plan_end_grads(clseq_rnn *rnn, clseq__layer_plan *use)
{
    clseq_context *ctx = rnn->params->ctx;
    const clseq_gemm_desc transposed = {.transpose_a = true};
    for (int d = 0; d < use->tables; d++) {
        clseq_tensor table = {0}, dtable = {0}, w_ih = {0}, dw_ih = {0};
        CLSEQ__RETURN_IF(table_grads(rnn, use, d, &dw_ih, &dtable));
        CLSEQ__RETURN_IF(clseq_param_value(use->embedding->weight, &table));
        CLSEQ__RETURN_IF(clseq_param_value(rnn->weights[use->input[d]], &w_ih));
        if (dw_ih.buffer)
            CLSEQ__RETURN_IF(clseq_gemm(ctx, NULL, 1.0f, &use->dp[d], &table, 1.0f, &dw_ih));
        if (dtable.buffer)
            CLSEQ__RETURN_IF(clseq_gemm(ctx, &transposed, 1.0f, &use->dp[d], &w_ih, 1.0f, &dtable));
    }
    return CLSEQ_OK;
}
