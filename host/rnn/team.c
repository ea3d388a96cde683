/* The schedule team: its kernels and its layout. team.h tells how it works. */
#include "rnn/team.h"
#include "core/error.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Rows of a chunk, about: what a product works on at once, in cache, and the depth of the weights' gradients. */
#define CHUNK_ROWS 160
/* Rows that the weights' gradients sum up before they add to the result, for each float of a vector: a tile's
 * columns of so many rows stay in the second-level cache. */
#define SEGMENT_ROWS 80
/* Arrays begin at multiples of so many floats, a cache line. */
#define ALIGNED 16

static bool applicable(const clseq_context *ctx, const char **why)
{
    *why = ctx->is_cpu ? "the device is a CPU" : "the device is not a CPU";
    return ctx->is_cpu;
}

static clseq_status create(const clseq__rnn_layer *layer, void **data)
{
    clseq_status status = CLSEQ_OK;
    clseq_context *ctx = layer->ctx;
    clseq__team *team = calloc(1, sizeof *team);
    if (!team)
        return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "rnn plan: no memory");
    CLSEQ__TRY(clseq__kernel_get(ctx, "rnn/team_pack.cl", NULL, "team_pack", &team->pack));
    CLSEQ__TRY(clseq__kernel_get(ctx, "rnn/team_forward.cl", layer->options, "team_forward", &team->forward));
    CLSEQ__TRY(
        clseq__kernel_get(ctx, "rnn/team_backward.cl", layer->options, "team_backward", &team->backward));
    CLSEQ__TRY(clseq__kernel_get(ctx, "rnn/team_weights.cl", NULL, "team_weights", &team->weights));
    *data = team;
    team = NULL;
done:
    free(team);
    return status;
}

static void destroy(void *data)
{
    free(data);
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t panels_of(const clseq__rnn_layer *layer, int64_t columns)
{
    return (columns + layer->ctx->vector_width - 1) / layer->ctx->vector_width;
}

/* Takes `floats` from the end of a buffer. */
static int64_t take(int64_t *end, int64_t floats)
{
    const int64_t at = *end;
    *end = (at + floats + ALIGNED - 1) / ALIGNED * ALIGNED;
    return at;
}

/* An array with so many floats a batch row and chunk. */
static team_array take_array(int64_t *end, int64_t B, int64_t floats, int64_t chunks)
{
    const team_array a = {
        .at = take(end, B * floats * chunks), .row = floats * chunks, .chunk = chunks > 1 ? floats : 0};
    return a;
}

static clseq__team_packed packed_of(const clseq__rnn_layer *layer)
{
    const clseq__cell *cell = layer->cell;
    const int64_t VW = layer->ctx->vector_width, I = layer->input, H = layer->hidden, O = layer->output;
    const int64_t x_panels = panels_of(layer, I), panels = panels_of(layer, H),
                  h_panels = panels_of(layer, O);
    clseq__team_packed at = {.w_projection = -1, .back_x = -1, .back_projection = -1};
    at.w_x = take(&at.end, panels * cell->input.count * I * VW);
    at.units = take(&at.end, panels * (cell->slots + cell->parameters) * VW);
    if (!layer->one_hot)
        at.back_x = take(&at.back_end, x_panels * cell->input.count * H * VW);
    for (int p = 0; p < cell->phases; p++) {
        const clseq__phase *phase = &cell->phase[p];
        const bool reads_h = phase->operand == CLSEQ__OPERAND_H;
        at.w_h[p] = take(&at.end, panels * phase->product.count * (reads_h ? O : H) * VW);
        at.back_h[p] = take(&at.back_end, (reads_h ? h_panels : panels) * phase->product.count * H * VW);
    }
    if (layer->is_projected) {
        at.w_projection = take(&at.end, h_panels * H * VW);
        at.back_projection = take(&at.back_end, panels * O * VW);
    }
    return at;
}

/* Steps are cut into chunks of equal length, as far as they can be, so that the last one is not nearly empty. */
static void cut(const clseq__rnn_layer *layer, const clseq_rnn_shape *shape, clseq__team_layout *at)
{
    const int64_t groups = layer->ctx->groups, blocks = groups < shape->B ? groups : shape->B;
    const int64_t rows = (shape->B + blocks - 1) / blocks;
    const int64_t most = larger((CHUNK_ROWS + rows / 2) / rows, 1);
    const int64_t chunks = (shape->T + most - 1) / most, tc = (shape->T + chunks - 1) / chunks;
    at->chunks = (shape->T + tc - 1) / tc;
    at->segments = larger(SEGMENT_ROWS * layer->ctx->vector_width / (tc * rows), 1);
    at->sizes = (team_sizes){.T = (int)shape->T,
                             .B = (int)shape->B,
                             .I = (int)layer->input,
                             .H = (int)layer->hidden,
                             .O = (int)layer->output,
                             .tc = (int)tc,
                             .blocks = (int)blocks,
                             .reverse = layer->reverse};
}

clseq__team_layout clseq__team_layout_of(const clseq__rnn_layer *layer, const clseq_rnn_shape *shape)
{
    clseq__team_layout at = {0};
    const clseq__cell *cell = layer->cell;
    const bool training = shape->mode == CLSEQ_MODE_TRAINING;
    cut(layer, shape, &at);
    const int64_t B = shape->B, VW = layer->ctx->vector_width, tc = at.sizes.tc, chunks = at.chunks;
    const int64_t kept_chunks = training ? chunks : 1;
    /* Floats of one column panel, a batch row and chunk. */
    const int64_t panel = tc * VW, state_panel = (tc + 1) * VW;
    const int64_t x_panels = panels_of(layer, layer->input), panels = panels_of(layer, layer->hidden),
                  h_panels = panels_of(layer, layer->output);
    const int64_t quantities = cell->quantities + (layer->is_projected ? 1 : 0);
    const int64_t unit_rows = cell->slots + cell->parameters;
    at.kept.gates = take_array(&at.kept_end, B, cell->slots * panels * panel, kept_chunks);
    at.kept.h = take_array(&at.kept_end, B, h_panels * state_panel, kept_chunks);
    at.kept.states = take_array(&at.kept_end, B, (cell->states - 1) * panels * state_panel, kept_chunks);
    at.kept.quantities = take_array(&at.kept_end, B, quantities * panels * panel, kept_chunks);
    at.kept.statistics = take_array(&at.kept_end, B, 2 * cell->norms * tc, kept_chunks);
    if (!layer->one_hot && !layer->is_chained)
        at.x = take_array(&at.kept_end, B, x_panels * panel, kept_chunks);
    at.chain = take_array(&at.chain_end, B, h_panels * state_panel, chunks);
    at.chain_below = take_array(&(int64_t){0}, B, x_panels * state_panel, chunks);
    at.dchain = take_array(&(int64_t){0}, B, h_panels * panel, chunks);
    at.dchain_below = take_array(&at.dchain_end, B, x_panels * panel, chunks);
    if (!training) {
        at.workspace_end = at.kept_end;
    } else {
        at.dstates = take_array(&at.workspace_end, B, cell->states * larger(panels, h_panels) * VW, 1);
        at.dquantities = take_array(&at.workspace_end, B, cell->quantities * panels * VW, 1);
        if (layer->is_projected)
            at.dh = take_array(&at.workspace_end, B, h_panels * panel, chunks);
        if (!layer->is_chained)
            at.dx = take_array(&at.workspace_end, B, x_panels * panel, 1);
        at.db = take(&at.workspace_end, at.sizes.blocks * unit_rows * panels * VW);
        if (layer->one_hot)
            at.by_token = take(&at.workspace_end, layer->ctx->groups * layer->input * VW);
    }
    at.packed = packed_of(layer);
    return at;
}

static void sizes(const clseq__rnn_layer *layer, const clseq_rnn_shape *shape, clseq__layer_sizes *out)
{
    const clseq__team_layout at = clseq__team_layout_of(layer, shape);
    const bool training = shape->mode == CLSEQ_MODE_TRAINING;
    *out = (clseq__layer_sizes){.packed_forward = at.packed.end,
                                .packed_backward = training ? at.packed.back_end : 0,
                                .reserve = training ? at.kept_end : 0,
                                .workspace = at.workspace_end,
                                .chain = training ? 0 : at.chain_end,
                                .dchain = training ? at.dchain_end : 0,
                                .launches_forward = 1,
                                .launches_backward = 2};
}

static clseq__place output(const clseq__layer_pass *pass)
{
    const clseq_rnn_shape shape = {.T = pass->T, .B = pass->B, .mode = pass->mode};
    if (pass->mode == CLSEQ_MODE_INFERENCE)
        return pass->chain;
    return (clseq__place){pass->reserve.buffer,
                          pass->reserve.at + clseq__team_layout_of(pass->layer, &shape).kept.h.at};
}

static void describe(const clseq__rnn_layer *layer, const clseq_rnn_shape *shape, char *text, size_t size)
{
    const clseq_context *ctx = layer->ctx;
    const clseq__team_layout at = clseq__team_layout_of(layer, shape);
    const int rows = (at.sizes.B + at.sizes.blocks - 1) / at.sizes.blocks;
    snprintf(text, size,
             "one launch forward; backward one for all steps and one for the weights' gradients\n"
             "%d work-groups, each with at most %d batch rows\n"
             "%" PRId64 " chunks of %d steps, %d rows; vectors of %d floats in %d registers\n",
             at.sizes.blocks, rows, at.chunks, at.sizes.tc, at.sizes.tc * rows, ctx->vector_width,
             ctx->vector_registers);
}

const clseq__rnn_schedule clseq__rnn_team = {.id = CLSEQ_SCHEDULE_TEAM,
                                             .looks_up = true,
                                             .copies_x = true,
                                             .applicable = applicable,
                                             .create = create,
                                             .destroy = destroy,
                                             .sizes = sizes,
                                             .output = output,
                                             .pack = clseq__team_pack,
                                             .forward = clseq__team_forward,
                                             .backward = clseq__team_backward,
                                             .describe = describe};
