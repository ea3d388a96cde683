/* The schedule team: its kernels and its layout. team.h tells how it works. */
#include "rnn/team.h"
#include "core/error.h"
#include "core/pool.h"
#include "core/team.h"
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
/* Panels of a product that a group sums at once, at most. */
#define TILE_PANELS 4
/* Parts of a chunk's products, at most. */
#define PARTS 8
/* Polls, of 1 to 3 ns, for which groups wait for one that is late: a few for each product of a vector, and no fewer and no
 * more than these. */
#define LEAST_PATIENCE 40000
#define PATIENCE 100000000

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
    team->ctx = ctx;
    CLSEQ__TRY(clseq__kernel_get(ctx, "rnn/team_pack.cl", NULL, "team_pack", &team->pack));
    CLSEQ__TRY(clseq__kernel_get(ctx, "rnn/team_weights.cl", NULL, "team_weights", &team->weights));
    *data = team;
    team = NULL;
done:
    free(team);
    return status;
}

static void destroy(void *data)
{
    clseq__team *team = data;
    if (team && team->control)
        clseq__pool_put(team->ctx, team->control);
    free(team);
}

clseq_status clseq__team_prepare(const clseq__rnn_layer *layer, clseq__team *team, clseq__team_grid grid,
                                 bool backward)
{
    const int t = grid.members > 1;
    clseq__kernel **kernel = backward ? &team->backward[t] : &team->forward[t];
    char options[CLSEQ__CELL_OPTIONS + 10];
    if (!*kernel) {
        snprintf(options, sizeof options, "%s -DTEAM=%d", layer->options, t);
        CLSEQ__RETURN_IF(clseq__kernel_get(layer->ctx,
                                           backward ? "rnn/team_backward.cl" : "rnn/team_forward.cl", options,
                                           backward ? "team_backward" : "team_forward", kernel));
    }
    if (!t || (team->control && grid.blocks <= team->grid.blocks && grid.members <= team->grid.members))
        return CLSEQ_OK;
    if (team->control)
        clseq__pool_put(layer->ctx, team->control);
    team->control = NULL;
    team->grid.blocks = grid.blocks > team->grid.blocks ? grid.blocks : team->grid.blocks;
    team->grid.members = grid.members > team->grid.members ? grid.members : team->grid.members;
    return clseq__team_control_create(layer->ctx, team->grid.blocks, team->grid.members, "rnn team",
                                      &team->control);
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

/* How chunks of time take places: each its own, two by turns, one for all. */
typedef enum turns { OWN = -1, ONE = 0, TWO = 1 } turns;

/* An array with so many floats a batch row and chunk. */
static team_array take_array(int64_t *end, const clseq__team_layout *at, int64_t floats, turns places)
{
    const int64_t chunks = places == OWN ? at->chunks : (int64_t)places + 1;
    return (team_array){.at = take(end, at->sizes.B * floats * chunks),
                        .row = floats * chunks,
                        .chunk = floats,
                        .places = places};
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

static int at_most(int n, int64_t most)
{
    return n < most ? n : (int)most;
}

static clseq__team_work work_of(const clseq__rnn_layer *layer, const clseq_rnn_shape *shape)
{
    return (clseq__team_work){.rows = shape->B,
                              .input = layer->one_hot ? 0 : layer->input,
                              .hidden = layer->hidden,
                              .output = layer->output,
                              .gates = layer->cell->gates,
                              .phases = layer->cell->phases};
}

static clseq__team_grid grid_of(const clseq__rnn_layer *layer, const clseq_rnn_shape *shape)
{
    const clseq_context *ctx = layer->ctx;
    const clseq__team_machine machine = clseq__team_machine_of(ctx);
    const clseq__team_work own = work_of(layer, shape);
    clseq__team_work all = own;
    if (ctx->team_blocks)
        return (clseq__team_grid){.blocks = at_most(ctx->team_blocks, shape->B),
                                  .members = ctx->team_members};
    /* All layers of a chain have the same blocks. */
    all.input = all.hidden = all.output = layer->widest;
    return clseq__team_choose(&machine, &own, clseq__team_choose(&machine, &all, 0).blocks);
}

/*
 * Steps are cut into chunks of equal length, as far as they can be, so that the last one is not nearly empty. A team takes
 * the products of a chunk in parts, so that a group that comes late waits for one of them at most.
 */
static void cut(const clseq__rnn_layer *layer, const clseq_rnn_shape *shape, clseq__team_layout *at)
{
    at->grid = grid_of(layer, shape);
    const int64_t rows = (shape->B + at->grid.blocks - 1) / at->grid.blocks;
    const int64_t most = larger((CHUNK_ROWS + rows / 2) / rows, 1);
    const int64_t chunks = (shape->T + most - 1) / most, tc = (shape->T + chunks - 1) / chunks;
    const int64_t panels = (panels_of(layer, layer->hidden) + at->grid.members - 1) / at->grid.members;
    const int64_t vectors = panels * layer->cell->gates * rows;
    at->chunks = (shape->T + tc - 1) / tc;
    at->segments = larger(SEGMENT_ROWS * layer->ctx->vector_width / (tc * rows), 1);
    at->sizes = (team_sizes){.T = (int)shape->T,
                             .B = (int)shape->B,
                             .I = (int)layer->input,
                             .H = (int)layer->hidden,
                             .O = (int)layer->output,
                             .tc = (int)tc,
                             .blocks = at->grid.blocks,
                             .reverse = layer->reverse};
    at->sharing = (team_sharing){
        .members = at->grid.members,
        .parts = at->grid.members > 1 ? at_most(PARTS, larger(panels / 2, 1)) : 1,
        .patience = at_most(PATIENCE, LEAST_PATIENCE + vectors * larger(layer->output, layer->hidden)),
        .chunk_patience = at_most(PATIENCE, LEAST_PATIENCE + vectors * tc * layer->input)};
}

/* What a layer keeps of a pass: in training of all chunks, in inference of one; states of two, as a team carries them over. */
static void take_kept(const clseq__rnn_layer *layer, bool training, clseq__team_layout *at)
{
    const clseq__cell *cell = layer->cell;
    const int64_t VW = layer->ctx->vector_width, tc = at->sizes.tc;
    const int64_t panel = tc * VW, state_panel = (tc + 1) * VW;
    const int64_t x_panels = panels_of(layer, layer->input), panels = panels_of(layer, layer->hidden),
                  h_panels = panels_of(layer, layer->output);
    const int64_t quantities = cell->quantities + (layer->is_projected ? 1 : 0);
    const turns each = training ? OWN : ONE, carried = training ? OWN : at->grid.members > 1 ? TWO : ONE;
    int64_t *end = &at->kept_end;
    at->kept.gates = take_array(end, at, cell->slots * panels * panel, each);
    at->kept.h = take_array(end, at, h_panels * state_panel, carried);
    at->kept.states = take_array(end, at, (cell->states - 1) * panels * state_panel, carried);
    at->kept.quantities = take_array(end, at, quantities * panels * panel, each);
    at->kept.statistics = take_array(end, at, 2 * cell->norms * tc, each);
    if (!layer->one_hot && !layer->is_chained)
        at->x = take_array(end, at, x_panels * panel, each);
    at->chain = take_array(&at->chain_end, at, h_panels * state_panel, OWN);
    at->chain_below = take_array(&(int64_t){0}, at, x_panels * state_panel, OWN);
    at->dchain = take_array(&(int64_t){0}, at, h_panels * panel, OWN);
    at->dchain_below = take_array(&at->dchain_end, at, x_panels * panel, OWN);
}

/* Rows [T,B,columns] that stood where a second direction adds, as a team must not change what it reads. */
static team_rows take_base(int64_t *end, const clseq__team_layout *at, int64_t columns)
{
    const team_rows rows = {.at = take(end, (int64_t)at->sizes.T * at->sizes.B * columns),
                            .t = at->sizes.B * columns,
                            .b = columns};
    return rows;
}

/* How many times forward and backward write the slots of a step. */
static void count_versions(const clseq__cell *cell, int64_t *forward, int64_t *backward)
{
    *forward = *backward = 0;
    for (int p = 0; p < cell->phases; p++) {
        const clseq__phase *phase = &cell->phase[p];
        *forward += TEAM_VERSIONS_FORWARD(phase->norms, phase->operand != CLSEQ__OPERAND_NONE);
        *backward += TEAM_VERSIONS_BACKWARD(phase->norms);
    }
}

/* What forward of a team needs beside what is kept. */
static void take_forward(const clseq__rnn_layer *layer, int64_t *end, clseq__team_layout *at)
{
    int64_t forward, backward;
    count_versions(layer->cell, &forward, &backward);
    if (at->grid.members == 1)
        return;
    at->versions = take_array(end, at,
                              forward * layer->cell->slots * panels_of(layer, layer->hidden) * at->sizes.tc *
                                  layer->ctx->vector_width,
                              ONE);
    if (layer->is_second)
        at->base_y = take_base(end, at, layer->output);
}

static void take_backward(const clseq__rnn_layer *layer, int64_t *end, clseq__team_layout *at)
{
    const clseq__cell *cell = layer->cell;
    const int64_t VW = layer->ctx->vector_width, panel = at->sizes.tc * VW;
    const int64_t x_panels = panels_of(layer, layer->input), panels = panels_of(layer, layer->hidden),
                  h_panels = panels_of(layer, layer->output);
    const int64_t unit_rows = cell->slots + cell->parameters;
    const bool team = at->grid.members > 1;
    int64_t forward, backward;
    count_versions(cell, &forward, &backward);
    if (layer->is_projected)
        at->dh = take_array(end, at, h_panels * panel, OWN);
    at->means = take_array(end, at, 2 * cell->norms * at->sizes.tc, ONE);
    if (team) {
        at->dgates = take_array(end, at, cell->slots * panels * panel, OWN);
        at->dstates = take_array(end, at, cell->states * panels * panel, TWO);
        at->back_versions =
            take_array(end, at, (backward - 1) * (cell->slots + cell->states) * panels * panel, ONE);
        at->sums_floats = 2 * at->sizes.tc * (cell->slots + cell->phases * cell->parameters) * panels * VW;
        at->sums = take(end, at->sums_floats * at->grid.blocks);
        if (layer->is_second)
            at->base_dx = take_base(end, at, layer->input);
    } else {
        at->dstates = take_array(end, at, cell->states * larger(panels, h_panels) * VW, ONE);
        if (!layer->is_chained)
            at->dx = take_array(end, at, x_panels * panel, ONE);
    }
    at->db = take(end, at->grid.blocks * unit_rows * panels * VW);
    if (layer->one_hot)
        at->by_token = take(end, layer->ctx->groups * layer->input * VW);
}

/* Where a group sums: the slots of a step's panels, or what a product of a chunk makes at once. */
static void take_scratch(const clseq__rnn_layer *layer, int64_t *end, clseq__team_layout *at)
{
    const int64_t rows = (at->sizes.B + at->grid.blocks - 1) / at->grid.blocks;
    const int64_t step = larger(layer->cell->slots, 2) * rows, chunk = at->sizes.tc * rows;
    const int64_t groups = (int64_t)at->grid.blocks * at->grid.members;
    if (at->grid.members == 1 && layer->cell->quantities == 0)
        return;
    at->sharing.floats = (1 + TILE_PANELS * larger(step, chunk)) * layer->ctx->vector_width;
    at->sharing.scratch = take(end, at->sharing.floats * groups);
}

clseq__team_layout clseq__team_layout_of(const clseq__rnn_layer *layer, const clseq_rnn_shape *shape)
{
    clseq__team_layout at = {0};
    const bool training = shape->mode == CLSEQ_MODE_TRAINING;
    cut(layer, shape, &at);
    take_kept(layer, training, &at);
    at.workspace_end = training ? 0 : at.kept_end;
    take_scratch(layer, &at.workspace_end, &at);
    int64_t forward_end = at.workspace_end;
    take_forward(layer, &forward_end, &at);
    if (training)
        take_backward(layer, &at.workspace_end, &at);
    at.workspace_end = larger(at.workspace_end, forward_end);
    at.packed = packed_of(layer);
    return at;
}

static void sizes(const clseq__rnn_layer *layer, const clseq_rnn_shape *shape, clseq__layer_sizes *out)
{
    const clseq__team_layout at = clseq__team_layout_of(layer, shape);
    const bool training = shape->mode == CLSEQ_MODE_TRAINING;
    /* What a second direction adds to is copied. */
    const int copies = at.grid.members > 1 && layer->is_second;
    *out = (clseq__layer_sizes){.packed_forward = at.packed.end,
                                .packed_backward = training ? at.packed.back_end : 0,
                                .reserve = training ? at.kept_end : 0,
                                .workspace = at.workspace_end,
                                .chain = training ? 0 : at.chain_end,
                                .dchain = training ? at.dchain_end : 0,
                                .launches_forward = 1 + copies,
                                .launches_backward = 2 + copies};
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
    const clseq__team_machine machine = clseq__team_machine_of(ctx);
    const clseq__team_work work = work_of(layer, shape);
    const clseq__team_cost cost = clseq__team_cost_of(&machine, &work, at.grid);
    snprintf(text, size,
             "one launch forward; backward one for all steps and one for the weights' gradients\n"
             "%d block%s of at most %d batch rows, %d work-group%s each (%s)\n"
             "estimate of a step: %.2f us (products %.2f, input %.2f, units %.2f, meeting %.2f); "
             "%.0f KiB of weights a group, %s the second-level cache\n"
             "%" PRId64 " chunks of %d steps, %d rows; vectors of %d floats in %d registers\n",
             at.sizes.blocks, at.sizes.blocks == 1 ? "" : "s", rows, at.grid.members,
             at.grid.members == 1 ? "" : "s", ctx->team_blocks ? "CLSEQ_TEAM" : "the least estimate",
             cost.total * 1e-3, cost.products * 1e-3, cost.input * 1e-3, cost.units * 1e-3,
             cost.meeting * 1e-3, cost.bytes / 1024, cost.in_l2 ? "in" : "beyond", at.chunks, at.sizes.tc,
             at.sizes.tc * rows, ctx->vector_width, ctx->vector_registers);
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
