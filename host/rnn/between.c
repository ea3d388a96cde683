#include "rnn/between.h"

#include "core/error.h"
#include "core/launch.h"
#include "rnn/between_record.h"
#include "rnn/draws.h"

#define FILE_NAME "rnn/between.cl"
#define ADD_ROWS "rnn_add_rows"

clseq_status clseq__between_create(clseq_rnn_plan *plan)
{
    clseq__kernel *add = NULL;
    if (plan->desc.dropout > 0.0f)
        CLSEQ__RETURN_IF(clseq__kernel_get(plan->ctx, FILE_NAME, NULL, "rnn_drop", &plan->drop));
    if (plan->desc.residual)
        CLSEQ__RETURN_IF(clseq__kernel_get(plan->ctx, FILE_NAME, NULL, ADD_ROWS, &add));
    return CLSEQ_OK;
}

int64_t clseq__between_launches(const clseq_rnn_plan *plan, clseq_mode mode)
{
    const bool drops = plan->drop && mode == CLSEQ_MODE_TRAINING, adds = plan->desc.residual;
    return (plan->desc.layers - 1) * (drops + adds);
}

clseq_status clseq__between_drop(const clseq_rnn_plan *plan, int64_t l, const clseq__pass_draws *draws,
                                 const clseq_tensor *rows)
{
    const bool variational = plan->desc.variational_dropout;
    const int64_t all = clseq_tensor_elements(rows), steps = variational ? rows->dims[0] : 1;
    const int64_t before = variational ? 0 : draws->time * rows->dims[1] * rows->dims[2];
    const float p = plan->desc.dropout;
    const uint64_t first = clseq__draw_block(CLSEQ__DRAW_DROPOUT, clseq__rnn_layer_at(plan, l, 0));
    return clseq__launch(plan->ctx, plan->drop, clseq__grid_for(plan->ctx, all),
                         CLSEQ__ARGS(CLSEQ__L(all / steps), CLSEQ__L(steps), CLSEQ__F(p),
                                     CLSEQ__F(1.0f / (1.0f - p)), CLSEQ__UL(draws->seed),
                                     CLSEQ__UL(draws->stream), CLSEQ__UL(first + (uint64_t)before / 4),
                                     CLSEQ__L(before % 4), CLSEQ__M(rows->buffer), CLSEQ__L(rows->offset)));
}

static between_view view_of(const clseq_tensor *rows)
{
    return (between_view){.at = rows->offset, .t = rows->strides[0], .b = rows->strides[1]};
}

clseq_status clseq__between_add(clseq_context *ctx, const clseq_tensor *from, const clseq_tensor *to)
{
    clseq__kernel *kernel = NULL;
    const between_sum sum = {
        .T = to->dims[0], .B = to->dims[1], .F = to->dims[2], .from = view_of(from), .to = view_of(to)};
    CLSEQ__RETURN_IF(clseq__kernel_get(ctx, FILE_NAME, NULL, ADD_ROWS, &kernel));
    return clseq__launch(ctx, kernel, clseq__grid_for(ctx, clseq_tensor_elements(to)),
                         CLSEQ__ARGS(CLSEQ__RECORD(&sum), CLSEQ__M(from->buffer), CLSEQ__M(to->buffer)));
}
