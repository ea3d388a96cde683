/* A plan in words. */
#include "core/error.h"
#include "rnn/check.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *plural(int64_t launches)
{
    return launches == 1 ? "" : "es";
}

clseq_status clseq_rnn_describe(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape, char *text,
                                size_t size)
{
    clseq_rnn_sizes sizes;
    CLSEQ__RETURN_IF(clseq__rnn_check_shape("rnn describe", plan, shape));
    if (!text || size == 0)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "rnn describe: %s",
                            text ? "size is 0, expected room for the text" : "text is NULL");
    CLSEQ__RETURN_IF(clseq_rnn_plan_sizes(plan, shape, &sizes));
    const clseq_rnn_desc *desc = &plan->desc;
    const double mib = sizeof(float) / 1048576.0;
    snprintf(text, size,
             "%s, %" PRId64 " layer%s, input %" PRId64 "%s, hidden %" PRId64 ", T %" PRId64 ", B %" PRId64
             ", %s\n"
             "schedule %s: %s\n"
             "forward: at most %" PRId64 " launch%s, %.3g GFLOP\n",
             plan->cell->name, desc->layers, desc->layers == 1 ? "" : "s", desc->input,
             desc->one_hot ? " (one-hot)" : "", desc->hidden, shape->T, shape->B,
             shape->mode == CLSEQ_MODE_TRAINING ? "training" : "inference", plan->schedule->name, plan->why,
             sizes.launches_forward, plural(sizes.launches_forward), sizes.flop_forward * 1e-9);
    if (shape->mode == CLSEQ_MODE_TRAINING)
        snprintf(text + strlen(text), size - strlen(text),
                 "backward: at most %" PRId64 " launch%s, %.3g GFLOP\n", sizes.launches_backward,
                 plural(sizes.launches_backward), 2 * sizes.flop_forward * 1e-9);
    snprintf(text + strlen(text), size - strlen(text),
             "memory: %.3f MiB packed weights, %.3f MiB reserve, %.3f MiB workspace\n",
             (double)sizes.packed * mib, (double)sizes.reserve * mib, (double)sizes.workspace * mib);
    plan->schedule->describe(plan, shape, text + strlen(text), size - strlen(text));
    return CLSEQ_OK;
}
