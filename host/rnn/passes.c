/* The calls that run something of a plan: they check, keep the ledger of reserves, and pass on. */
#include "core/error.h"
#include "rnn/check.h"
#include "rnn/reserve.h"

/* The sizes of a call whose shape is fine. */
static clseq_status begin(const char *call, const clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                          clseq_rnn_sizes *sizes)
{
    CLSEQ__RETURN_IF(clseq__rnn_check_shape(call, plan, shape));
    clseq__stack_sizes(plan, shape, sizes);
    return clseq__rnn_check_sizes(call, plan, sizes);
}

clseq_status clseq_rnn_pack(clseq_rnn_plan *plan, const clseq_rnn_shape *shape, const clseq_tensor *weights,
                            const clseq_tensor *packed)
{
    clseq_rnn_sizes sizes;
    CLSEQ__RETURN_IF(begin("rnn pack", plan, shape, &sizes));
    CLSEQ__RETURN_IF(clseq__rnn_check_pack(plan, &sizes, weights, packed));
    clseq__reserve_written(plan->ctx, packed, sizes.packed);
    return clseq__stack_pack(plan, shape, weights, packed);
}

/* The part of the pass that a call runs: what it says in pieces, else everything. */
static clseq__rnn_part part_of(const clseq_rnn_shape *shape, int64_t first, int64_t count,
                               const clseq__pass_progress *at)
{
    return (clseq__rnn_part){.first = first,
                             .count = shape->in_pieces ? count : shape->T,
                             .goes_on = at->left < at->ran,
                             .draws = at->draws};
}

/* Of a pass that begins, or goes on with a piece. */
static clseq_status progress_of(clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                const clseq_rnn_forward_args *args, clseq__pass_progress *at)
{
    *at = (clseq__pass_progress){.draws = {.seed = args->seed, .stream = args->stream, .time = args->time}};
    if (args->first == 0)
        return CLSEQ_OK;
    CLSEQ__RETURN_IF(clseq__reserve_check("rnn forward", plan, shape, args->reserve, at));
    return clseq__progress_check_forward(at, args->first);
}

clseq_status clseq_rnn_forward(clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                               const clseq_rnn_forward_args *args)
{
    clseq_rnn_sizes sizes;
    clseq__pass_progress at;
    CLSEQ__RETURN_IF(begin("rnn forward", plan, shape, &sizes));
    CLSEQ__RETURN_IF(clseq__rnn_check_forward(plan, shape, &sizes, args));
    CLSEQ__RETURN_IF(progress_of(plan, shape, args, &at));
    const clseq__rnn_part part = part_of(shape, args->first, args->count, &at);
    clseq__reserve_written(plan->ctx, &args->workspace, sizes.workspace);
    if (shape->mode == CLSEQ_MODE_INFERENCE)
        return clseq__stack_forward(plan, shape, args, &part);
    CLSEQ__RETURN_IF(clseq__reserve_prepare(plan));
    clseq__reserve_all_written(plan, shape, args->reserve);
    CLSEQ__RETURN_IF(clseq__stack_forward(plan, shape, args, &part));
    at.ran = at.left = part.first + part.count;
    clseq__reserve_filled(plan, shape, args->reserve, &at);
    return CLSEQ_OK;
}

clseq_status clseq_rnn_backward(clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                const clseq_rnn_backward_args *args)
{
    clseq_rnn_sizes sizes;
    clseq__pass_progress at;
    CLSEQ__RETURN_IF(begin("rnn backward", plan, shape, &sizes));
    CLSEQ__RETURN_IF(clseq__rnn_check_backward(plan, shape, &sizes, args));
    CLSEQ__RETURN_IF(clseq__reserve_check("rnn backward", plan, shape, args->reserve, &at));
    if (shape->in_pieces)
        CLSEQ__RETURN_IF(clseq__progress_check_backward(&at, args->first, args->count));
    const clseq__rnn_part part = part_of(shape, args->first, args->count, &at);
    clseq__reserve_written(plan->ctx, &args->workspace, sizes.workspace);
    CLSEQ__RETURN_IF(clseq__reserve_prepare(plan));
    clseq__reserve_all_written(plan, shape, args->reserve);
    CLSEQ__RETURN_IF(clseq__stack_backward(plan, shape, args, &part));
    if (!shape->in_pieces)
        return CLSEQ_OK;
    at.left = args->first;
    clseq__reserve_filled(plan, shape, args->reserve, &at);
    return CLSEQ_OK;
}

clseq_status clseq_rnn_weight_gradients(clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                        const clseq_rnn_weight_gradients_args *args)
{
    static const char call[] = "rnn weight gradients";
    clseq_rnn_sizes sizes;
    clseq__pass_progress at;
    CLSEQ__RETURN_IF(begin(call, plan, shape, &sizes));
    CLSEQ__RETURN_IF(clseq__rnn_check_weight_gradients(plan, shape, &sizes, args));
    CLSEQ__RETURN_IF(clseq__reserve_check(call, plan, shape, args->reserve, &at));
    CLSEQ__RETURN_IF(clseq__progress_check_weights(&at));
    const clseq__rnn_part part = part_of(shape, 0, at.ran, &at);
    clseq__reserve_written(plan->ctx, &args->workspace, sizes.workspace);
    clseq__reserve_all_written(plan, shape, args->reserve);
    return clseq__stack_weights(plan, shape, args, &part);
}
