/* Plans of recurrent layers: which schedule runs them, and the calls that check and pass on. */
#include "core/error.h"
#include "rnn/check.h"
#include "rnn/reserve.h"
#include "rnn/schedule.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* In order of preference: without a choice of the caller's the first one that is applicable runs. */
static const clseq__rnn_schedule *const schedules[] = {
    &clseq__rnn_batch_split,
    &clseq__rnn_gemm_step,
};
enum { SCHEDULES = sizeof schedules / sizeof schedules[0] };

static const clseq__rnn_schedule *by_id(clseq_schedule id)
{
    for (int i = 0; i < SCHEDULES; i++)
        if (schedules[i]->id == id)
            return schedules[i];
    return NULL;
}

static const clseq__rnn_schedule *by_name(const char *name)
{
    for (int i = 0; i < SCHEDULES; i++)
        if (strcmp(schedules[i]->name, name) == 0)
            return schedules[i];
    return NULL;
}

/* A schedule that somebody asked for must run or fail; nothing else is taken in its place. */
static clseq_status take(clseq_rnn_plan *plan, const clseq__rnn_schedule *schedule, const char *asked)
{
    const char *why = "";
    if (!schedule->applicable(plan->ctx, &plan->desc, &why))
        return clseq__error(CLSEQ_UNSUPPORTED, "rnn plan: %s asks for schedule %s, but %s", asked,
                            schedule->name, why);
    plan->schedule = schedule;
    plan->why = asked;
    return CLSEQ_OK;
}

static clseq_status choose(clseq_rnn_plan *plan)
{
    const char *name = getenv("CLSEQ_SCHEDULE");
    if (plan->desc.schedule != CLSEQ_SCHEDULE_AUTO) {
        const clseq__rnn_schedule *schedule = by_id(plan->desc.schedule);
        if (!schedule)
            return clseq__error(CLSEQ_INVALID_ARGUMENT,
                                "rnn plan: schedule is %d, which is no clseq_schedule",
                                (int)plan->desc.schedule);
        return take(plan, schedule, "the descriptor");
    }
    if (name && name[0]) {
        const clseq__rnn_schedule *schedule = by_name(name);
        if (!schedule)
            return clseq__error(CLSEQ_INVALID_ARGUMENT,
                                "rnn plan: CLSEQ_SCHEDULE is \"%s\", expected batch_split or gemm_step",
                                name);
        return take(plan, schedule, "CLSEQ_SCHEDULE");
    }
    for (int i = 0; i < SCHEDULES; i++)
        if (schedules[i]->applicable(plan->ctx, &plan->desc, &plan->why)) {
            plan->schedule = schedules[i];
            return CLSEQ_OK;
        }
    return clseq__error(CLSEQ_UNSUPPORTED, "rnn plan: no schedule runs on this device");
}

clseq_status clseq_rnn_plan_create(clseq_context *ctx, const clseq_rnn_desc *desc, clseq_rnn_plan **out)
{
    clseq_status status = CLSEQ_OK;
    clseq_rnn_plan *plan = NULL;
    CLSEQ__NEEDS("rnn plan", ctx);
    CLSEQ__NOT_NULL("rnn plan", out);
    *out = NULL;
    CLSEQ__RETURN_IF(clseq__rnn_check_desc(desc));
    plan = calloc(1, sizeof *plan);
    if (!plan)
        return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "rnn plan: no memory");
    plan->ctx = ctx;
    plan->desc = *desc;
    plan->desc.layers = desc->layers ? desc->layers : 1;
    plan->cell = clseq__cell_find(desc->cell);
    clseq__cell_options(plan->cell, plan->options);
    CLSEQ__TRY(choose(plan));
    plan->desc.schedule = plan->schedule->id;
    clseq__log(CLSEQ_LOG_INFO,
               "rnn: %s, %" PRId64 " layer%s, input %" PRId64 "%s, hidden %" PRId64 ": schedule %s (%s)",
               plan->cell->name, plan->desc.layers, plan->desc.layers == 1 ? "" : "s", plan->desc.input,
               plan->desc.one_hot ? " (one-hot)" : "", plan->desc.hidden, plan->schedule->name, plan->why);
    CLSEQ__TRY(plan->schedule->create(plan));
    *out = plan;
    plan = NULL;
done:
    clseq_rnn_plan_destroy(plan);
    return status;
}

void clseq_rnn_plan_destroy(clseq_rnn_plan *plan)
{
    if (plan && plan->schedule)
        plan->schedule->destroy(plan);
    free(plan);
}

/* The sizes of a shape that has been checked. */
static void sizes_of(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape, clseq_rnn_sizes *out)
{
    const double rows = (double)shape->T * (double)shape->B;
    memset(out, 0, sizeof *out);
    plan->schedule->sizes(plan, shape, out);
    for (int64_t l = 0; l < plan->desc.layers; l++)
        out->flop_forward +=
            2.0 * plan->cell->gates * (double)plan->desc.hidden * rows *
            (double)(plan->desc.hidden + (clseq__rnn_reads_numbers(plan, l) ? 0 : clseq__rnn_input(plan, l)));
}

clseq_status clseq_rnn_plan_sizes(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                  clseq_rnn_sizes *out)
{
    CLSEQ__RETURN_IF(clseq__rnn_check_shape("rnn sizes", plan, shape));
    CLSEQ__NOT_NULL("rnn sizes", out);
    sizes_of(plan, shape, out);
    return CLSEQ_OK;
}

clseq_status clseq_rnn_pack(clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                            const clseq_rnn_weights *weights, const clseq_tensor *packed)
{
    clseq_rnn_sizes sizes;
    CLSEQ__RETURN_IF(clseq__rnn_check_shape("rnn pack", plan, shape));
    sizes_of(plan, shape, &sizes);
    CLSEQ__RETURN_IF(clseq__rnn_check_pack(plan, &sizes, weights, packed));
    clseq__reserve_written(plan->ctx, packed, sizes.packed);
    return plan->schedule->pack(plan, shape, weights, packed);
}

clseq_status clseq_rnn_forward(clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                               const clseq_rnn_forward_args *args)
{
    clseq_rnn_sizes sizes;
    CLSEQ__RETURN_IF(clseq__rnn_check_shape("rnn forward", plan, shape));
    sizes_of(plan, shape, &sizes);
    CLSEQ__RETURN_IF(clseq__rnn_check_forward(plan, shape, &sizes, args));
    clseq__reserve_written(plan->ctx, &args->workspace, sizes.workspace);
    if (shape->mode == CLSEQ_MODE_INFERENCE)
        return plan->schedule->forward(plan, shape, args);
    CLSEQ__RETURN_IF(clseq__reserve_prepare(plan->ctx));
    clseq__reserve_written(plan->ctx, &args->reserve, sizes.reserve);
    CLSEQ__RETURN_IF(plan->schedule->forward(plan, shape, args));
    clseq__reserve_filled(plan, shape, &args->reserve, sizes.reserve);
    return CLSEQ_OK;
}

clseq_status clseq_rnn_backward(clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                const clseq_rnn_backward_args *args)
{
    clseq_rnn_sizes sizes;
    CLSEQ__RETURN_IF(clseq__rnn_check_shape("rnn backward", plan, shape));
    sizes_of(plan, shape, &sizes);
    CLSEQ__RETURN_IF(clseq__rnn_check_backward(plan, shape, &sizes, args));
    CLSEQ__RETURN_IF(clseq__reserve_check(plan, shape, &args->reserve));
    clseq__reserve_written(plan->ctx, &args->workspace, sizes.workspace);
    clseq__reserve_written(plan->ctx, &args->reserve, sizes.reserve);
    return plan->schedule->backward(plan, shape, args);
}
