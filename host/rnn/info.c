/* What plans tell about themselves: schedules, weights, states. */
#include "core/error.h"
#include "core/text.h"
#include "rnn/plan.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *const schedule_names[] = {
    [CLSEQ_SCHEDULE_AUTO] = "auto",
    [CLSEQ_SCHEDULE_TEAM] = "team",
    [CLSEQ_SCHEDULE_GEMM_STEP] = "gemm_step",
};
enum { SCHEDULE_NAMES = sizeof schedule_names / sizeof schedule_names[0] };

const char *clseq_schedule_name(clseq_schedule schedule)
{
    return (int)schedule >= 0 && (int)schedule < SCHEDULE_NAMES ? schedule_names[schedule] : "unknown";
}

clseq_status clseq_schedule_find(const char *name, clseq_schedule *out)
{
    CLSEQ__NOT_NULL("schedule find", name);
    CLSEQ__NOT_NULL("schedule find", out);
    for (int i = 0; i < SCHEDULE_NAMES; i++)
        if (strcmp(schedule_names[i], name) == 0) {
            *out = (clseq_schedule)i;
            return CLSEQ_OK;
        }
    return clseq__error(CLSEQ_NOT_FOUND, "schedule find: name is \"%s\", expected auto, team or gemm_step",
                        CLSEQ__SHOW(name));
}

const clseq_rnn_desc *clseq_rnn_plan_description(const clseq_rnn_plan *plan)
{
    return plan ? &plan->desc : NULL;
}

bool clseq_rnn_one_hot_is_cheap(const clseq_rnn_plan *plan)
{
    return plan && plan->forms[0].schedule->looks_up;
}

int64_t clseq__rnn_features(const clseq_rnn_plan *plan, int64_t l)
{
    const int64_t output = clseq__rnn_layer_at(plan, l, 0)->output;
    return plan->desc.merge == CLSEQ_MERGE_SUM ? output : plan->directions * output;
}

int64_t clseq_rnn_output_size(const clseq_rnn_plan *plan)
{
    return plan ? clseq__rnn_features(plan, plan->desc.layers - 1) : 0;
}

int clseq__rnn_part_dims(const clseq__rnn_layer *layer, const clseq__part *part, int64_t dims[2])
{
    const int64_t rows = layer->cell->gates * layer->hidden;
    dims[0] = rows;
    dims[1] = 1;
    switch (part->role) {
    case CLSEQ__PART_INPUT:
        dims[1] = layer->input;
        return 2;
    case CLSEQ__PART_RECURRENT:
        dims[1] = layer->output;
        return 2;
    case CLSEQ__PART_PROJECTION:
        dims[0] = layer->output;
        dims[1] = layer->hidden;
        return 2;
    case CLSEQ__PART_SLOTS:
    case CLSEQ__PART_PARAMETERS:
        break;
    }
    /* As many gates as the part names. */
    int64_t gates = 0;
    for (int k = 0; k < part->to.count; k++)
        gates = part->to.gate[k] >= gates ? part->to.gate[k] + 1 : gates;
    dims[0] = gates * layer->hidden;
    return 1;
}

int64_t clseq_rnn_weight_count(const clseq_rnn_plan *plan)
{
    return plan ? plan->weights : 0;
}

clseq_status clseq_rnn_weight_info(const clseq_rnn_plan *plan, int64_t i, clseq_rnn_weight *out)
{
    CLSEQ__NEEDS("rnn weight info", plan);
    CLSEQ__NOT_NULL("rnn weight info", out);
    if (i < 0 || i >= plan->weights)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "rnn weight info: i is %" PRId64 ", expected 0..%" PRId64,
                            i, plan->weights - 1);
    /* All layers and directions have the same parts. */
    const int64_t at = i / plan->layers[0].part_count, l = at / plan->directions;
    const clseq__rnn_layer *layer = &plan->layers[at];
    const clseq__part *part = &layer->parts[i % layer->part_count];
    *out = (clseq_rnn_weight){.part = part->name, .kind = part->kind, .layer = l, .reverse = layer->reverse};
    out->ndim = clseq__rnn_part_dims(layer, part, out->dims);
    out->gate_rows = part->role == CLSEQ__PART_PROJECTION ? layer->output : layer->hidden;
    snprintf(out->name, sizeof out->name, "%s_l%" PRId64 "%s", part->name, l,
             at % plan->directions == 1 ? "_reverse" : "");
    return CLSEQ_OK;
}

int clseq_rnn_state_count(const clseq_rnn_plan *plan)
{
    return plan ? plan->cell->states : 0;
}

clseq_status clseq_rnn_state_info(const clseq_rnn_plan *plan, int i, int64_t B, clseq_rnn_state *out)
{
    CLSEQ__NEEDS("rnn state info", plan);
    CLSEQ__NOT_NULL("rnn state info", out);
    if (i < 0 || i >= plan->cell->states)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "rnn state info: i is %d, expected 0..%d", i,
                            plan->cell->states - 1);
    if (B < 1 || B > INT32_MAX)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "rnn state info: B is %" PRId64 ", expected 1 to %d", B,
                            INT32_MAX);
    const int64_t blocks = plan->desc.layers * plan->directions;
    *out = (clseq_rnn_state){.name = plan->cell->state[i], .ndim = 3};
    out->dims[0] = blocks;
    out->dims[1] = B;
    out->dims[2] = clseq__rnn_state_width(&plan->layers[0], i);
    int64_t widths = 0;
    for (int64_t k = 0; k < blocks; k++) {
        const int64_t width = clseq__rnn_state_width(&plan->layers[k], i);
        widths += width;
        if (width != out->dims[2])
            out->ndim = 1;
    }
    if (out->ndim == 1) {
        out->dims[0] = widths * B;
        out->dims[1] = out->dims[2] = 1;
    }
    return CLSEQ_OK;
}
