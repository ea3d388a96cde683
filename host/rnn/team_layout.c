/* Where the schedule team keeps things for a shape, and how it cuts rows, units and time. cl/rnn/team.clh shows the layout. */
#include "rnn/floats.h"
#include "rnn/team.h"

/* Rows of a chunk, about: what a product works on at once, in cache, and the depth of the weights' gradients. */
#define CHUNK_ROWS 160
/* Rows that the weights' gradients sum up before they add to the result, for each float of a vector: a tile's
 * columns of so many rows stay in the second-level cache. */
#define SEGMENT_ROWS 80
/* Panels of a product that a group sums at once, at most. */
#define TILE_PANELS 4
/* Parts of a chunk's products, at most. */
#define PARTS 8
/* Polls, of 1 to 3 ns, for which groups wait for one that is late: a few for each product of a vector, and no fewer and no
 * more than these. */
#define LEAST_PATIENCE 40000
#define PATIENCE 100000000

static int64_t panels_of(const clseq__rnn_layer *layer, int64_t columns)
{
    return clseq__divided(columns, layer->ctx->traits.vector_width);
}

/* How chunks of time take places: each its own, two by turns, one for all. */
typedef enum turns { OWN = -1, ONE = 0, TWO = 1 } turns;

/* An array with so many floats a batch row and chunk. */
static team_array take_array(int64_t *end, const clseq__team_layout *at, int64_t floats, turns places)
{
    const int64_t chunks = places == OWN ? at->chunks : (int64_t)places + 1;
    return (team_array){.at = clseq__take(end, at->sizes.B * floats * chunks),
                        .row = floats * chunks,
                        .chunk = floats,
                        .places = places};
}

static clseq__team_packed packed_of(const clseq__rnn_layer *layer)
{
    const clseq__cell *cell = layer->cell;
    const int64_t VW = layer->ctx->traits.vector_width, I = layer->input, H = layer->hidden,
                  O = layer->output;
    const int64_t x_panels = panels_of(layer, I), panels = panels_of(layer, H),
                  h_panels = panels_of(layer, O);
    clseq__team_packed at = {.w_projection = -1, .back_x = -1, .back_projection = -1};
    at.w_x = clseq__take(&at.end, panels * cell->input.count * I * VW);
    at.units = clseq__take(&at.end, panels * (cell->slots + cell->parameters) * VW);
    if (!layer->one_hot)
        at.back_x = clseq__take(&at.back_end, x_panels * cell->input.count * H * VW);
    for (int p = 0; p < cell->phases; p++) {
        const clseq__phase *phase = &cell->phase[p];
        const bool reads_h = phase->operand == CLSEQ__OPERAND_H;
        at.w_h[p] = clseq__take(&at.end, panels * phase->product.count * (reads_h ? O : H) * VW);
        at.back_h[p] =
            clseq__take(&at.back_end, (reads_h ? h_panels : panels) * phase->product.count * H * VW);
    }
    if (layer->is_projected) {
        at.w_projection = clseq__take(&at.end, h_panels * H * VW);
        at.back_projection = clseq__take(&at.back_end, panels * O * VW);
    }
    return at;
}

clseq__team_work clseq__team_work_of(const clseq__rnn_layer *layer, const clseq_rnn_shape *shape)
{
    return (clseq__team_work){.rows = shape->B,
                              .input = layer->one_hot ? 0 : layer->input,
                              .hidden = layer->hidden,
                              .output = layer->output,
                              .gates = layer->cell->gates,
                              .phases = layer->cell->phases,
                              .directions = layer->directions};
}

static int at_most(int n, int64_t most)
{
    return n < most ? n : (int)most;
}

/* All layers of a chain have the same blocks, which go by the widest one; what a layer reads has no say. */
static clseq__team_grid grid_of(const clseq__rnn_layer *layer, const clseq_rnn_shape *shape)
{
    const clseq__traits *traits = &layer->ctx->traits;
    clseq__team_work own = clseq__team_work_of(layer, shape), widest = own;
    if (traits->team_blocks)
        return (clseq__team_grid){.blocks = at_most(traits->team_blocks, shape->B),
                                  .members = traits->team_members};
    own.input = widest.input = 0;
    widest.hidden = widest.output = layer->widest;
    const clseq__team_grid grid = clseq__team_choose(traits, &widest, 0);
    const bool is_widest = own.hidden == layer->widest && own.output == layer->widest;
    return is_widest ? grid : clseq__team_choose(traits, &own, grid.blocks);
}

/*
 * Steps are cut into chunks of equal length, as far as they can be, so that the last one is not nearly empty; in pieces each step
 * is a chunk of its own, which keeps the states that it begins with. A team takes
 * the products of a chunk in parts, so that a group that comes late waits for one of them at most.
 */
static void cut(const clseq__rnn_layer *layer, const clseq_rnn_shape *shape, clseq__team_layout *at)
{
    at->grid = grid_of(layer, shape);
    const int64_t rows = clseq__divided(shape->B, at->grid.blocks);
    const int64_t most = shape->in_pieces ? 1 : clseq__larger((CHUNK_ROWS + rows / 2) / rows, 1);
    const int64_t tc = clseq__divided(shape->T, clseq__divided(shape->T, most));
    const int64_t panels = clseq__divided(panels_of(layer, layer->hidden), at->grid.members);
    const int64_t vectors = panels * layer->cell->gates * rows;
    at->rows = rows;
    at->chunks = clseq__divided(shape->T, tc);
    at->segments = clseq__larger(SEGMENT_ROWS * layer->ctx->traits.vector_width / (tc * rows), 1);
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
        .parts = at->grid.members > 1 ? at_most(PARTS, clseq__larger(panels / 2, 1)) : 1,
        .patience = at_most(PATIENCE, LEAST_PATIENCE + vectors * clseq__larger(layer->output, layer->hidden)),
        .chunk_patience = at_most(PATIENCE, LEAST_PATIENCE + vectors * tc * layer->input)};
}

/* What backward leaves for the gradients of the weights. */
static void take_lasting(const clseq__rnn_layer *layer, int64_t *end, clseq__team_layout *at)
{
    const clseq__cell *cell = layer->cell;
    const int64_t VW = layer->ctx->traits.vector_width, panel = at->sizes.tc * VW;
    const int64_t panels = panels_of(layer, layer->hidden), h_panels = panels_of(layer, layer->output);
    if (layer->is_projected)
        at->dh = take_array(end, at, h_panels * panel, OWN);
    if (at->grid.members > 1)
        at->dgates = take_array(end, at, cell->slots * panels * panel, OWN);
    at->db = clseq__take(end, at->grid.blocks * (cell->slots + cell->parameters) * panels * VW);
}

/* What a layer keeps of a pass: in training of all chunks, in inference of one; states of two, as a team carries them over. */
static void take_kept(const clseq__rnn_layer *layer, bool training, clseq__team_layout *at)
{
    const clseq__cell *cell = layer->cell;
    const int64_t VW = layer->ctx->traits.vector_width, tc = at->sizes.tc;
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
    if (training && layer->extras.recurrent_dropout > 0)
        at->kept.masked = take_array(end, at, h_panels * state_panel, OWN);
    if (!layer->one_hot && !layer->is_chained)
        at->x = take_array(end, at, x_panels * panel, each);
    at->chain = take_array(&at->chain_end, at, h_panels * state_panel, OWN);
    at->chain_below = take_array(&(int64_t){0}, at, x_panels * state_panel, OWN);
    at->dchain = take_array(&(int64_t){0}, at, h_panels * panel, OWN);
    at->dchain_below = take_array(&at->dchain_end, at, x_panels * panel, OWN);
}

/* What forward of a team needs beside what is kept: of slots all that its steps write but the last. */
static void take_forward(const clseq__rnn_layer *layer, int64_t *end, clseq__team_layout *at)
{
    const clseq__cell *cell = layer->cell;
    const int64_t slot = panels_of(layer, layer->hidden) * at->sizes.tc * layer->ctx->traits.vector_width;
    int64_t versions = 0;
    if (at->grid.members == 1)
        return;
    for (int p = 0; p < cell->phases; p++)
        versions +=
            TEAM_VERSIONS_FORWARD(cell->phase[p].norms, cell->phase[p].operand != CLSEQ__OPERAND_NONE);
    at->versions = take_array(end, at, versions * cell->slots * slot, ONE);
}

static void take_backward(const clseq__rnn_layer *layer, int64_t *end, clseq__team_layout *at)
{
    const clseq__cell *cell = layer->cell;
    const int64_t VW = layer->ctx->traits.vector_width, panel = at->sizes.tc * VW;
    const int64_t x_panels = panels_of(layer, layer->input), panels = panels_of(layer, layer->hidden),
                  h_panels = panels_of(layer, layer->output);
    int64_t versions = 0; /* of slots and gradients of states, between the first and the last */
    for (int p = 0; p < cell->phases; p++)
        versions += TEAM_VERSIONS_BACKWARD(cell->phase[p].norms);
    at->means = take_array(end, at, 2 * cell->norms * at->sizes.tc, ONE);
    if (at->grid.members > 1) {
        at->dstates = take_array(end, at, cell->states * panels * panel, TWO);
        at->back_versions =
            take_array(end, at, (versions - 1) * (cell->slots + cell->states) * panels * panel, ONE);
        at->sums_floats = 2 * at->sizes.tc * (cell->slots + cell->phases * cell->parameters) * panels * VW;
        at->sums = clseq__take(end, at->sums_floats * at->grid.blocks);
    } else {
        at->dstates = take_array(end, at, cell->states * clseq__larger(panels, h_panels) * VW, ONE);
        if (!layer->is_chained)
            at->dx = take_array(end, at, x_panels * panel, ONE);
    }
    if (layer->one_hot)
        at->by_token = clseq__take(end, layer->ctx->traits.groups * layer->input * VW);
}

/* Where a group sums: the slots of a step's panels, or what a product of a chunk makes at once. */
static void take_scratch(const clseq__rnn_layer *layer, int64_t *end, clseq__team_layout *at)
{
    const int64_t step = clseq__larger(layer->cell->slots, 2) * at->rows, chunk = at->sizes.tc * at->rows;
    const int64_t groups = (int64_t)at->grid.blocks * at->grid.members;
    if (at->grid.members == 1 && layer->cell->quantities == 0 && !(layer->extras.recurrent_dropout > 0))
        return;
    at->sharing.floats = (1 + TILE_PANELS * clseq__larger(step, chunk)) * layer->ctx->traits.vector_width;
    at->sharing.scratch = clseq__take(end, at->sharing.floats * groups);
}

/* The same for a second direction, and what it puts out, or dx, where the first one's rows take it up. */
static void take_second(const clseq__rnn_layer *layer, const clseq_rnn_shape *shape, clseq__team_layout *at)
{
    const int64_t y = layer->is_summed ? layer->output : 0;
    const int64_t dx = shape->mode == CLSEQ_MODE_TRAINING && !layer->one_hot ? layer->input : 0;
    at->second = at->workspace_end;
    at->workspace_end *= 2;
    at->added = clseq__take(&at->workspace_end, shape->T * shape->B * clseq__larger(y, dx));
}

clseq__team_layout clseq__team_layout_of(const clseq__rnn_layer *layer, const clseq_rnn_shape *shape)
{
    clseq__team_layout at = {0};
    const bool training = shape->mode == CLSEQ_MODE_TRAINING;
    cut(layer, shape, &at);
    take_kept(layer, training, &at);
    at.workspace_end = training ? 0 : at.kept_end;
    if (training)
        take_lasting(layer, shape->in_pieces ? &at.kept_end : &at.workspace_end, &at);
    take_scratch(layer, &at.workspace_end, &at);
    int64_t forward_end = at.workspace_end;
    take_forward(layer, &forward_end, &at);
    if (training)
        take_backward(layer, &at.workspace_end, &at);
    at.workspace_end = clseq__larger(at.workspace_end, forward_end);
    if (layer->directions == 2)
        take_second(layer, shape, &at);
    at.packed = packed_of(layer);
    return at;
}
