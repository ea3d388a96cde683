/* The schedule batch_split: its plan, layout and packing. batch_split.h tells how it works. */
#include "rnn/batch_split.h"
#include "core/error.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Rows of a chunk, about: what a product works on at once, in cache, and the depth of the weight gradients. */
#define CHUNK_ROWS 160
/* Rows that the weight gradients sum up before they add to the result, for each float of a vector: a tile's
 * columns of so many rows stay in the second-level cache. */
#define BLOCK_ROWS 80

static bool applicable(const clseq_context *ctx, const clseq_rnn_desc *desc, const char **why)
{
    (void)desc;
    *why = ctx->is_cpu ? "the device is a CPU" : "the device is not a CPU";
    return ctx->is_cpu;
}

static clseq_status create(clseq_rnn_plan *plan)
{
    clseq_status status = CLSEQ_OK;
    clseq_context *ctx = plan->ctx;
    const char *options = plan->options;
    clseq__batch_split *data = calloc(1, sizeof *data);
    if (!data)
        return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "rnn plan: no memory");
    CLSEQ__TRY(clseq__kernel_get(ctx, "rnn/batch_split.cl", options, "batch_split_pack", &data->pack));
    CLSEQ__TRY(clseq__kernel_get(ctx, "rnn/batch_split.cl", options, "batch_split_forward", &data->forward));
    CLSEQ__TRY(clseq__kernel_get(ctx, "rnn/batch_split_backward.cl", options, "batch_split_backward",
                                 &data->backward));
    CLSEQ__TRY(
        clseq__kernel_get(ctx, "rnn/batch_split_weights.cl", options, "batch_split_weights", &data->weights));
    plan->data = data;
    data = NULL;
done:
    free(data);
    return status;
}

static void destroy(clseq_rnn_plan *plan)
{
    free(plan->data);
    plan->data = NULL;
}

static int64_t panels_of(const clseq_rnn_plan *plan, int64_t columns)
{
    return (columns + plan->ctx->vector_width - 1) / plan->ctx->vector_width;
}

/* The forward pass's parts of all layers come first, so that a pack of training begins with one of inference. */
clseq__batch_split_packed clseq__batch_split_packed_of(const clseq_rnn_plan *plan, int64_t layer)
{
    clseq__batch_split_packed at = {0};
    const int64_t VW = plan->ctx->vector_width, H = plan->desc.hidden, G = plan->cell->gates;
    const int64_t panels = panels_of(plan, H), w_hh = panels * G * H * VW;
    const int64_t rest = w_hh + plan->cell->slots * panels * VW; /* of the forward part, behind w_ih */
    const int64_t first = panels * G * plan->desc.input * VW + rest;
    const int64_t first_dx =
        clseq__rnn_reads_numbers(plan, 0) ? 0 : panels_of(plan, plan->desc.input) * G * H * VW;
    at.x = layer == 0 ? 0 : first + (layer - 1) * (w_hh + rest);
    at.h = at.x + panels * G * clseq__rnn_input(plan, layer) * VW;
    at.bias = at.h + w_hh;
    at.forward_end = first + (plan->desc.layers - 1) * (w_hh + rest);
    at.dx = at.forward_end + (layer == 0 ? 0 : first_dx + w_hh + (layer - 1) * 2 * w_hh);
    at.dh = at.dx + (layer == 0 ? first_dx : w_hh);
    at.end = at.dh + w_hh;
    return at;
}

clseq__batch_split_shape clseq__batch_split_shape_of(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape)
{
    clseq__batch_split_shape s = {0};
    const int64_t VW = plan->ctx->vector_width, T = shape->T, B = shape->B;
    s.tc = (CHUNK_ROWS + B / 2) / B;
    s.tc = s.tc < 1 ? 1 : s.tc > T ? T : s.tc;
    s.chunks = (T + s.tc - 1) / s.tc;
    s.panels = panels_of(plan, plan->desc.hidden);
    s.x_panels = plan->desc.one_hot ? 0 : panels_of(plan, plan->desc.input);
    s.gate_panel = s.tc * B * VW;
    s.state_panel = (s.tc + 1) * B * VW;
    s.gates = plan->cell->slots * s.panels * s.gate_panel;
    s.state = s.panels * s.state_panel;
    s.x = s.x_panels * s.gate_panel;
    s.groups = plan->ctx->groups < B ? plan->ctx->groups : (int)B;
    s.launches_forward = plan->desc.layers;
    s.launches_backward = 2 * plan->desc.layers;
    return s;
}

/* What a layer reads: x, or h of the layer below from its first step on. */
static void find_x(const clseq__batch_split_shape *s, const clseq_rnn_plan *plan,
                   const clseq_rnn_shape *shape, clseq__batch_split_chunks below, int64_t layer,
                   clseq__batch_split_layer *out)
{
    if (layer == 0) {
        out->x = (clseq__batch_split_chunks){0, shape->mode == CLSEQ_MODE_TRAINING ? s->x : 0};
        out->x_panel = s->gate_panel;
    } else {
        out->x = below;
        out->x.at += shape->B * plan->ctx->vector_width;
        out->x_panel = s->state_panel;
    }
}

/* In training: x, then each layer's gates and states, all chunks of each. */
static clseq__batch_split_layer training_layer(const clseq__batch_split_shape *s, const clseq_rnn_plan *plan,
                                               const clseq_rnn_shape *shape, int64_t layer)
{
    const int states = plan->cell->states;
    const int64_t size = s->chunks * (s->gates + states * s->state);
    clseq__batch_split_layer at = {0};
    at.gates = (clseq__batch_split_chunks){s->chunks * s->x + layer * size, s->gates};
    for (int k = 0; k < states; k++)
        at.state[k] =
            (clseq__batch_split_chunks){at.gates.at + s->chunks * (s->gates + k * s->state), s->state};
    at.end = at.gates.at + size;
    const clseq__batch_split_chunks below = {at.state[CLSEQ_STATE_H].at - size, s->state};
    find_x(s, plan, shape, below, layer, &at);
    return at;
}

/*
 * In inference: one chunk of x, gates and each state, which all chunks and layers take in turn. Only the h that the
 * next layer reads is kept whole, in two places by turns.
 */
static clseq__batch_split_layer inference_layer(const clseq__batch_split_shape *s, const clseq_rnn_plan *plan,
                                                const clseq_rnn_shape *shape, int64_t layer)
{
    const int64_t L = plan->desc.layers;
    const int64_t whole = s->x + s->gates + plan->cell->states * s->state; /* where the whole h begin */
    clseq__batch_split_layer at = {0};
    at.gates.at = s->x;
    for (int k = 0; k < plan->cell->states; k++)
        at.state[k].at = at.gates.at + s->gates + k * s->state;
    if (layer < L - 1)
        at.state[CLSEQ_STATE_H] =
            (clseq__batch_split_chunks){whole + layer % 2 * s->chunks * s->state, s->state};
    at.end = whole + (L > 2 ? 2 : L - 1) * s->chunks * s->state;
    const clseq__batch_split_chunks below = {whole + (layer + 1) % 2 * s->chunks * s->state, s->state};
    find_x(s, plan, shape, below, layer, &at);
    return at;
}

clseq__batch_split_layer clseq__batch_split_layer_of(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                                     int64_t layer)
{
    const clseq__batch_split_shape s = clseq__batch_split_shape_of(plan, shape);
    return shape->mode == CLSEQ_MODE_TRAINING ? training_layer(&s, plan, shape, layer)
                                              : inference_layer(&s, plan, shape, layer);
}

clseq__batch_split_scratch clseq__batch_split_scratch_of(const clseq_rnn_plan *plan,
                                                         const clseq_rnn_shape *shape)
{
    const clseq__batch_split_shape s = clseq__batch_split_shape_of(plan, shape);
    const int64_t VW = plan->ctx->vector_width, dstate = s.panels * shape->B * VW;
    clseq__batch_split_scratch at = {0};
    for (int k = 0; k < plan->cell->states; k++)
        at.dstate[k] = k * dstate;
    at.db = plan->cell->states * dstate;
    at.dx = at.db + s.groups * plan->cell->slots * s.panels * VW;
    at.by_number = at.dx + s.x;
    at.dsequence = at.by_number + (plan->desc.one_hot ? plan->ctx->groups * plan->desc.input * VW : 0);
    at.end = at.dsequence + (plan->desc.layers > 1 ? s.chunks * s.panels * s.gate_panel : 0);
    return at;
}

int64_t clseq__batch_split_block(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape)
{
    const int64_t rows = clseq__batch_split_shape_of(plan, shape).tc * shape->B;
    const int64_t most = BLOCK_ROWS * plan->ctx->vector_width;
    return rows < most ? most / rows : 1;
}

static void sizes(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape, clseq_rnn_sizes *out)
{
    const clseq__batch_split_shape s = clseq__batch_split_shape_of(plan, shape);
    const int64_t kept = clseq__batch_split_layer_of(plan, shape, plan->desc.layers - 1).end;
    const bool training = shape->mode == CLSEQ_MODE_TRAINING;
    const clseq__batch_split_packed packed = clseq__batch_split_packed_of(plan, plan->desc.layers - 1);
    out->packed = training ? packed.end : packed.forward_end;
    out->reserve = training ? kept : 1;
    out->workspace = training ? clseq__batch_split_scratch_of(plan, shape).end : kept;
    out->launches_forward = s.launches_forward;
    out->launches_backward = s.launches_backward;
}

static clseq_status pack(clseq_rnn_plan *plan, const clseq_rnn_shape *shape, const clseq_rnn_weights *weights,
                         const clseq_tensor *packed)
{
    const clseq__batch_split *data = plan->data;
    const int64_t o = packed->offset;
    const bool training = shape->mode == CLSEQ_MODE_TRAINING;
    for (int64_t l = 0; l < plan->desc.layers; l++) {
        const clseq_rnn_weights *w = &weights[l];
        const clseq__batch_split_packed at = clseq__batch_split_packed_of(plan, l);
        CLSEQ__RETURN_IF(clseq__launch(
            plan->ctx, data->pack, CLSEQ__GRID1((size_t)plan->ctx->groups, 1),
            CLSEQ__ARGS(CLSEQ__I(clseq__rnn_input(plan, l)), CLSEQ__I(plan->desc.hidden),
                        CLSEQ__I(training && !clseq__rnn_reads_numbers(plan, l)), CLSEQ__I(training),
                        CLSEQ__M(w->w_ih.buffer), CLSEQ__L(w->w_ih.offset), CLSEQ__M(w->w_hh.buffer),
                        CLSEQ__L(w->w_hh.offset), CLSEQ__M(w->b_ih.buffer), CLSEQ__L(w->b_ih.offset),
                        CLSEQ__M(w->b_hh.buffer), CLSEQ__L(w->b_hh.offset), CLSEQ__M(packed->buffer),
                        CLSEQ__L(o + at.x), CLSEQ__L(o + at.h), CLSEQ__L(o + at.dx), CLSEQ__L(o + at.dh),
                        CLSEQ__L(o + at.bias))));
    }
    return CLSEQ_OK;
}

static void describe(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape, char *text, size_t size)
{
    const clseq_context *ctx = plan->ctx;
    const clseq__batch_split_shape s = clseq__batch_split_shape_of(plan, shape);
    snprintf(text, size,
             "a layer: one launch forward; backward one for all steps and one for the parameters' gradients\n"
             "%d work-groups, each with at most %" PRId64 " batch rows\n"
             "%" PRId64 " chunks of %" PRId64 " steps, %" PRId64
             " rows; vectors of %d floats in %d registers\n",
             s.groups, (shape->B + s.groups - 1) / s.groups, s.chunks, s.tc, s.tc * shape->B,
             ctx->vector_width, ctx->vector_registers);
}

const clseq__rnn_schedule clseq__rnn_batch_split = {.name = "batch_split",
                                                    .id = CLSEQ_SCHEDULE_BATCH_SPLIT,
                                                    .looks_up = true,
                                                    .applicable = applicable,
                                                    .create = create,
                                                    .destroy = destroy,
                                                    .sizes = sizes,
                                                    .pack = pack,
                                                    .forward = clseq__batch_split_forward,
                                                    .backward = clseq__batch_split_backward,
                                                    .describe = describe};
