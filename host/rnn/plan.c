/* Plans of recurrent layers: what they are made of, and which schedules run them. */
#include "rnn/plan.h"
#include "core/error.h"
#include "core/text.h"
#include "rnn/between.h"
#include "rnn/check.h"
#include "rnn/reserve.h"
#include "rnn/uses.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* In order of preference: without a choice of the caller's those that are applicable are the plan's forms. */
static const clseq__rnn_schedule *const schedules[] = {
    &clseq__rnn_team,
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

static int64_t hidden_of(const clseq_rnn_desc *desc, int64_t l)
{
    return desc->widths ? desc->widths[l] : desc->hidden;
}

/* H of the widest layer of the chain that layer l belongs to: where rows are handed on each is one of its own. */
static int64_t widest_of(const clseq_rnn_plan *plan, int64_t l)
{
    int64_t widest = hidden_of(&plan->desc, l);
    for (int64_t i = 0; !plan->hands_rows && i < plan->desc.layers; i++)
        widest = hidden_of(&plan->desc, i) > widest ? hidden_of(&plan->desc, i) : widest;
    return widest;
}

/* The layers, without what schedules make for them. */
static void describe_layers(clseq_rnn_plan *plan)
{
    const clseq_rnn_desc *desc = &plan->desc;
    for (int64_t l = 0; l < desc->layers; l++)
        for (int d = 0; d < plan->directions; d++) {
            clseq__rnn_layer *layer = &plan->layers[l * plan->directions + d];
            layer->ctx = plan->ctx;
            layer->cell = plan->cell;
            layer->number = l;
            layer->hidden = hidden_of(desc, l);
            layer->widest = widest_of(plan, l);
            layer->is_projected = desc->projection > 0;
            layer->output = layer->is_projected ? desc->projection : layer->hidden;
            layer->input = l == 0 ? desc->input : clseq__rnn_features(plan, l - 1);
            layer->one_hot = l == 0 && desc->one_hot;
            layer->is_chained = l > 0 && !plan->hands_rows;
            layer->directions = plan->directions;
            layer->is_second = d == 1;
            layer->is_summed = plan->directions == 2 && desc->merge == CLSEQ_MERGE_SUM;
            layer->reverse = d == 1 || desc->direction == CLSEQ_DIRECTION_REVERSE;
            layer->part_count = clseq__cell_parts(plan->cell, desc->bias, layer->is_projected, layer->parts);
            layer->extras = clseq__cell_extras_of(desc);
            clseq__cell_options(plan->cell, layer->is_projected, &layer->extras, layer->options);
            plan->weights += layer->part_count;
            for (int s = 0; s < plan->cell->states && layer > plan->layers; s++)
                layer->state_at[s] = layer[-1].state_at[s] + clseq__rnn_state_width(&layer[-1], s);
        }
}

/* The plan's own copies of the descriptor and its layers. */
static clseq_status take_desc(clseq_rnn_plan *plan, const clseq_rnn_desc *desc)
{
    plan->desc = *desc;
    plan->desc.widths = NULL;
    plan->desc.layers = desc->layers ? desc->layers : 1;
    plan->directions = desc->direction == CLSEQ_DIRECTION_BIDIRECTIONAL ? 2 : 1;
    plan->hands_rows = plan->directions == 2 || desc->dropout > 0.0f || desc->residual;
    plan->cell = clseq__cell_of(desc->cell, desc->layer_norm);
    const size_t layers = (size_t)plan->desc.layers;
    plan->layers = calloc(layers * (size_t)plan->directions, sizeof *plan->layers);
    if (!plan->layers)
        return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "rnn plan: no memory for the layers");
    if (desc->widths) {
        int64_t *widths = malloc(layers * sizeof *widths);
        if (!widths)
            return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "rnn plan: no memory for the widths");
        memcpy(widths, desc->widths, layers * sizeof *widths);
        plan->desc.widths = widths;
    }
    describe_layers(plan);
    return clseq__uses_create(plan);
}

/* Where the parts of a pack begin. */
static void lay_out_pack(const clseq_rnn_plan *plan, clseq__rnn_form *form)
{
    const clseq_rnn_shape any = {.T = 1, .B = 1, .mode = CLSEQ_MODE_TRAINING};
    const int64_t layers = plan->desc.layers * plan->directions;
    for (int64_t i = 0; i < layers; i++) {
        clseq__layer_sizes sizes;
        clseq__layer_sizes_of(form, &plan->layers[i], &any, &sizes);
        form->packed_forward[i + 1] = form->packed_forward[i] + sizes.packed_forward;
        form->packed_backward[i + 1] = sizes.packed_backward;
    }
    form->packed_backward[0] = form->packed_forward[layers];
    for (int64_t i = 0; i < layers; i++)
        form->packed_backward[i + 1] += form->packed_backward[i];
}

/* What a schedule makes for all layers. */
static clseq_status add_form(clseq_rnn_plan *plan, const clseq__rnn_schedule *schedule, const char *why)
{
    const int64_t layers = plan->desc.layers * plan->directions;
    clseq__rnn_form *form = &plan->forms[plan->form_count++];
    *form = (clseq__rnn_form){.schedule = schedule, .why = why};
    form->data = calloc((size_t)layers, sizeof *form->data);
    form->packed_forward = calloc((size_t)layers + 1, sizeof *form->packed_forward);
    form->packed_backward = calloc((size_t)layers + 1, sizeof *form->packed_backward);
    if (!form->data || !form->packed_forward || !form->packed_backward)
        return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "rnn plan: no memory for a schedule");
    for (int64_t i = 0; i < layers; i++)
        CLSEQ__RETURN_IF(schedule->create(&plan->layers[i], &form->data[i]));
    lay_out_pack(plan, form);
    return CLSEQ_OK;
}

/* A schedule that somebody asked for must run or fail; nothing else is taken in its place. */
static clseq_status add_asked(clseq_rnn_plan *plan, const clseq__rnn_schedule *schedule, const char *asked)
{
    const char *why = "";
    if (!schedule->applicable(plan->ctx, &why))
        return clseq__error(CLSEQ_UNSUPPORTED, "rnn plan: %s asks for schedule %s, but %s", asked,
                            clseq_schedule_name(schedule->id), why);
    return add_form(plan, schedule, asked);
}

/*
 * The schedules that the caller's choice, or the device, leaves open. On the devices that there are so far the first of
 * them is the best for every shape, so the others are not made.
 */
static clseq_status choose(clseq_rnn_plan *plan)
{
    const char *name = getenv("CLSEQ_SCHEDULE");
    clseq_schedule asked = plan->desc.schedule;
    plan->forms = calloc(SCHEDULES, sizeof *plan->forms);
    if (!plan->forms)
        return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "rnn plan: no memory for the schedules");
    if (asked != CLSEQ_SCHEDULE_AUTO)
        return add_asked(plan, by_id(asked), "the descriptor");
    if (name && name[0]) {
        if (clseq_schedule_find(name, &asked) != CLSEQ_OK)
            return clseq__error(CLSEQ_INVALID_ARGUMENT,
                                "rnn plan: CLSEQ_SCHEDULE is \"%s\", expected auto, team or gemm_step",
                                CLSEQ__SHOW(name));
        if (asked != CLSEQ_SCHEDULE_AUTO)
            return add_asked(plan, by_id(asked), "CLSEQ_SCHEDULE");
    }
    for (int i = 0; i < SCHEDULES; i++) {
        const char *why = "";
        if (schedules[i]->applicable(plan->ctx, &why))
            return add_form(plan, schedules[i], why);
    }
    return clseq__error(CLSEQ_UNSUPPORTED, "rnn plan: no schedule runs on this device");
}

const clseq__rnn_form *clseq__rnn_form_of(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape)
{
    (void)shape;
    return &plan->forms[0];
}

clseq_status clseq_rnn_plan_create(clseq_context *ctx, const clseq_rnn_desc *desc, clseq_rnn_plan **out)
{
    clseq_status status = CLSEQ_OK;
    clseq_rnn_plan *plan = NULL;
    char text[CLSEQ__DESC_TEXT];
    CLSEQ__MAKES("rnn plan", out);
    CLSEQ__NEEDS("rnn plan", ctx);
    CLSEQ__TRY(clseq__rnn_check_desc(desc));
    plan = calloc(1, sizeof *plan);
    if (!plan)
        CLSEQ__FAIL(CLSEQ_OUT_OF_HOST_MEMORY, "rnn plan: no memory");
    plan->ctx = clseq__context_retain(ctx);
    CLSEQ__TRY(take_desc(plan, desc));
    CLSEQ__TRY(choose(plan));
    CLSEQ__TRY(clseq__between_create(plan));
    clseq__log(CLSEQ_LOG_INFO, "rnn: %s: schedule %s (%s)", clseq__rnn_desc_text(&plan->desc, text),
               clseq_schedule_name(plan->forms[0].schedule->id), plan->forms[0].why);
    *out = plan;
    plan = NULL;
done:
    clseq_rnn_plan_destroy(plan);
    return clseq__made("rnn plan", status);
}

void clseq_rnn_plan_destroy(clseq_rnn_plan *plan)
{
    if (!plan)
        return;
    for (int f = 0; f < plan->form_count; f++) {
        const clseq__rnn_form *form = &plan->forms[f];
        for (int64_t i = 0; form->data && i < plan->desc.layers * plan->directions; i++)
            form->schedule->destroy(form->data[i]);
        free(form->data);
        free(form->packed_forward);
        free(form->packed_backward);
    }
    clseq__reserve_plan_gone(plan);
    clseq__uses_destroy(plan);
    free(plan->forms);
    free(plan->layers);
    free((void *)plan->desc.widths);
    clseq__context_release(plan->ctx);
    free(plan);
}

clseq_status clseq_rnn_plan_schedule(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                     clseq_schedule *out)
{
    CLSEQ__RETURN_IF(clseq__rnn_check_shape("rnn schedule", plan, shape));
    CLSEQ__NOT_NULL("rnn schedule", out);
    *out = clseq__rnn_form_of(plan, shape)->schedule->id;
    return CLSEQ_OK;
}

clseq_status clseq_rnn_plan_sizes(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                  clseq_rnn_sizes *out)
{
    CLSEQ__RETURN_IF(clseq__rnn_check_shape("rnn sizes", plan, shape));
    CLSEQ__NOT_NULL("rnn sizes", out);
    clseq__stack_sizes(plan, shape, out);
    return clseq__rnn_check_sizes("rnn sizes", plan, out);
}

clseq_status clseq_rnn_reserve_size(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape, int64_t layer,
                                    int64_t *out)
{
    CLSEQ__RETURN_IF(clseq__rnn_check_shape("rnn reserve", plan, shape));
    CLSEQ__NOT_NULL("rnn reserve", out);
    if (layer < 0 || layer >= plan->desc.layers)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "rnn reserve: layer is %" PRId64 ", expected 0..%" PRId64,
                            layer, plan->desc.layers - 1);
    *out = clseq__stack_reserve(plan, shape, layer);
    return CLSEQ_OK;
}
