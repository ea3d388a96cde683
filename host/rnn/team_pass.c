/* The passes of the schedule team over a layer: the records and launches. */
#include "core/error.h"
#include "core/team.h"
#include "rnn/team.h"

_Static_assert(TEAM_STATES >= CLSEQ__MAX_STATES && TEAM_PHASES >= CLSEQ__MAX_PHASES &&
                   TEAM_PARTS >= CLSEQ__MAX_PARTS,
               "records of the schedule team: expected room for every cell");

/* Kernel arguments that are put together one by one. */
typedef struct arguments {
    clseq__arg list[18 + TEAM_PARTS];
    size_t count;
} arguments;

static void add_buffer(arguments *a, cl_mem buffer)
{
    a->list[a->count++] = (clseq__arg)CLSEQ__M(buffer);
}

static team_array moved(team_array array, int64_t floats)
{
    array.at += floats;
    return array;
}

static team_kept kept_at(const team_kept *kept, int64_t at)
{
    return (team_kept){.gates = moved(kept->gates, at),
                       .h = moved(kept->h, at),
                       .states = moved(kept->states, at),
                       .quantities = moved(kept->quantities, at),
                       .statistics = moved(kept->statistics, at)};
}

static team_rows rows_of(const clseq_tensor *t)
{
    return (team_rows){.at = t->offset, .t = t->strides[0], .b = t->strides[1]};
}

static clseq_int gates_of(const clseq__slots *slots)
{
    clseq_int gates = 0;
    for (int k = 0; k < slots->count; k++)
        gates |= slots->gate[k] << (4 * k);
    return gates;
}

static clseq__team_layout layout_of(const clseq__layer_pass *pass)
{
    return clseq__team_layout_of(pass->layer,
                                 &(clseq_rnn_shape){.T = pass->T, .B = pass->B, .mode = pass->mode});
}

/* The matrices of part i, of which the phases' has one for each phase with a product; returns their number. */
static int matrices_of(const clseq__rnn_layer *layer, const clseq__team_packed *at, int i, int64_t forward,
                       int64_t backward, team_matrix *out)
{
    const clseq__cell *cell = layer->cell;
    const clseq_int H = (clseq_int)layer->hidden, O = (clseq_int)layer->output;
    const clseq__part_role role = layer->parts[i].role;
    int n = 0;
    if (role == CLSEQ__PART_INPUT)
        out[n++] = (team_matrix){.forward = at->w_x,
                                 .backward = at->back_x,
                                 .units = H,
                                 .columns = (clseq_int)layer->input,
                                 .count = cell->input.count,
                                 .gates = gates_of(&cell->input)};
    if (role == CLSEQ__PART_PROJECTION)
        out[n++] = (team_matrix){.forward = at->w_projection,
                                 .backward = at->back_projection,
                                 .units = O,
                                 .columns = H,
                                 .count = 1};
    for (int p = 0; role == CLSEQ__PART_RECURRENT && p < cell->phases; p++) {
        const clseq__phase *phase = &cell->phase[p];
        if (phase->operand != CLSEQ__OPERAND_NONE)
            out[n++] = (team_matrix){.forward = at->w_h[p],
                                     .backward = at->back_h[p],
                                     .units = H,
                                     .columns = phase->operand == CLSEQ__OPERAND_H ? O : H,
                                     .count = phase->product.count,
                                     .gates = gates_of(&phase->product)};
    }
    for (int k = 0; k < n; k++) {
        out[k].part = i;
        out[k].has_backward = out[k].backward >= 0 && backward >= 0;
        out[k].forward += forward;
        out[k].backward += backward;
    }
    return n;
}

/* Part i as numbers of units; false where it is a matrix. */
static bool vector_of(const clseq__rnn_layer *layer, int i, team_vector *out)
{
    const clseq__part *part = &layer->parts[i];
    if (part->role != CLSEQ__PART_SLOTS && part->role != CLSEQ__PART_PARAMETERS)
        return false;
    *out =
        (team_vector){.part = i,
                      .row = part->to.slot + (part->role == CLSEQ__PART_PARAMETERS ? layer->cell->slots : 0),
                      .count = part->to.count,
                      .gates = gates_of(&part->to)};
    return true;
}

clseq_status clseq__team_pack(const clseq__layer_pass *pass, const clseq_tensor *weights)
{
    const clseq__rnn_layer *layer = pass->layer;
    const clseq__team *team = pass->data;
    const clseq__team_layout at = layout_of(pass);
    const bool training = pass->mode == CLSEQ_MODE_TRAINING;
    team_pack_record r = {.units = pass->packed_forward.at + at.packed.units,
                          .rows = layer->cell->slots + layer->cell->parameters,
                          .H = (clseq_int)layer->hidden};
    arguments a = {.list = {CLSEQ__RECORD(&r)}, .count = 1};
    add_buffer(&a, pass->packed_forward.buffer);
    add_buffer(&a, training ? pass->packed_backward.buffer : pass->packed_forward.buffer);
    for (int i = 0; i < TEAM_PARTS; i++) {
        add_buffer(&a, i < layer->part_count ? weights[i].buffer : NULL);
        if (i >= layer->part_count)
            continue;
        team_matrix *matrix = &r.matrix[r.matrices];
        const int n = matrices_of(layer, &at.packed, i, pass->packed_forward.at,
                                  training ? pass->packed_backward.at : -1, matrix);
        for (int k = 0; k < n; k++)
            matrix[k].w = weights[i].offset;
        r.matrices += n;
        if (vector_of(layer, i, &r.vector[r.vectors]))
            r.vector[r.vectors++].w = weights[i].offset;
    }
    return clseq__launch(layer->ctx, team->pack, CLSEQ__GRID1((size_t)layer->ctx->traits.groups, 1), a.list,
                         a.count);
}

/* As many groups of one work-item as find work in a grid. */
static clseq_status launch(const clseq__rnn_layer *layer, clseq__kernel *kernel, clseq__team_grid grid,
                           const arguments *a)
{
    const int wished = grid.members > 1 ? layer->ctx->traits.team_groups : 0;
    const size_t groups = wished ? (size_t)wished : clseq__team_groups(grid.blocks, grid.members);
    return clseq__launch(layer->ctx, kernel, CLSEQ__GRID1(groups, 1), a->list, a->count);
}

static team_sharing sharing_at(const clseq__team_layout *at, int64_t floats)
{
    team_sharing sharing = at->sharing;
    sharing.scratch += floats;
    return sharing;
}

/*
 * What stands in the rows that a second direction adds to. A group that has its block to itself adds in place; a team
 * adds to a copy, as what one of its groups has done another one may do again.
 */
static clseq_status base_of(const clseq__layer_pass *pass, const clseq__team_layout *at,
                            const clseq_tensor *rows, const team_rows *copy, bool add, team_rows *out)
{
    *out = rows_of(rows);
    if (!add || at->grid.members == 1)
        return CLSEQ_OK;
    *out = *copy;
    out->at += pass->workspace.at;
    const clseq_tensor to =
        clseq_tensor_view(pass->workspace.buffer, out->at, CLSEQ_DTYPE_F32, 3, rows->dims);
    return clseq_tensor_copy(pass->layer->ctx, rows, &to);
}

clseq_status clseq__team_forward(const clseq__layer_pass *pass, const clseq__layer_forward *args)
{
    const clseq__rnn_layer *layer = pass->layer;
    clseq__team *team = pass->data;
    const clseq__team_layout at = layout_of(pass);
    const clseq__place kept = pass->mode == CLSEQ_MODE_TRAINING ? pass->reserve : pass->workspace;
    const bool chained = pass->x.chained.buffer != NULL;
    const int64_t packed = pass->packed_forward.at;
    cl_mem h = kept.buffer;
    team_forward_record r = {.sizes = at.sizes,
                             .sharing = sharing_at(&at, pass->workspace.at),
                             .lengths = pass->lengths.offset,
                             .kept = kept_at(&at.kept, kept.at),
                             .versions = moved(at.versions, pass->workspace.at),
                             .x = rows_of(&pass->x.rows),
                             .x_panels = moved(at.x, kept.at),
                             .y = rows_of(&args->y),
                             .w_x = packed + at.packed.w_x,
                             .w_projection = packed + at.packed.w_projection,
                             .units = packed + at.packed.units,
                             .x_from = layer->one_hot ? TEAM_FROM_TOKENS : TEAM_FROM_ROWS,
                             .add_y = args->add_y};
    CLSEQ__RETURN_IF(clseq__team_prepare(layer, team, at.grid, false));
    CLSEQ__RETURN_IF(base_of(pass, &at, &args->y, &at.base_y, args->add_y, &r.base_y));
    for (int p = 0; p < TEAM_PHASES; p++)
        r.w_h[p] = packed + at.packed.w_h[p];
    if (chained) {
        r.x_from = TEAM_FROM_PANELS;
        r.x_panels = moved(at.chain_below, pass->x.chained.at);
    }
    if (pass->chain.buffer) {
        h = pass->chain.buffer;
        r.kept.h = moved(at.chain, pass->chain.at);
    }
    arguments a = {.list = {CLSEQ__RECORD(&r)}, .count = 1};
    add_buffer(&a, pass->packed_forward.buffer);
    add_buffer(&a, pass->lengths.buffer);
    add_buffer(&a, chained ? pass->x.chained.buffer : pass->x.rows.buffer);
    add_buffer(&a, h);
    add_buffer(&a, kept.buffer);
    add_buffer(&a, pass->workspace.buffer);
    add_buffer(&a, team->control);
    add_buffer(&a, args->y.buffer);
    for (int s = 0; s < layer->cell->states; s++) {
        add_buffer(&a, args->initial[s].buffer);
        add_buffer(&a, args->final[s].buffer);
        r.initial[s] = args->initial[s].offset;
        r.final[s] = args->final[s].offset;
    }
    return launch(layer, team->forward[at.grid.members > 1], at.grid, &a);
}

/* Where dx goes, in panels, and from there to rows. */
static clseq_status set_dx(const clseq__layer_pass *pass, const clseq__layer_backward *args,
                           const clseq__team_layout *at, team_backward_record *r)
{
    r->keeps_dx = args->dx.chained.buffer != NULL;
    r->want_dx = r->keeps_dx || args->dx.rows.buffer != NULL;
    r->add_dx = args->add_dx;
    r->dx = rows_of(&args->dx.rows);
    r->dx_panels =
        r->keeps_dx ? moved(at->dchain_below, args->dx.chained.at) : moved(at->dx, pass->workspace.at);
    return base_of(pass, at, &args->dx.rows, &at->base_dx, args->add_dx && args->dx.rows.buffer, &r->base_dx);
}

static clseq_status backward_steps(const clseq__layer_pass *pass, const clseq__layer_backward *args,
                                   const clseq__team_layout *at)
{
    const clseq__rnn_layer *layer = pass->layer;
    clseq__team *team = pass->data;
    const bool chained = args->dy.chained.buffer != NULL, dx_chained = args->dx.chained.buffer != NULL;
    const int64_t work = pass->workspace.at, packed = pass->packed_backward.at;
    team_backward_record r = {.sizes = at->sizes,
                              .sharing = sharing_at(at, work),
                              .lengths = pass->lengths.offset,
                              .kept = kept_at(&at->kept, pass->reserve.at),
                              .dgates = moved(at->dgates, work),
                              .dy = rows_of(&args->dy.rows),
                              .dy_panels = moved(at->dchain, args->dy.chained.at),
                              .dh = moved(at->dh, work),
                              .dstates = moved(at->dstates, work),
                              .versions = moved(at->back_versions, work),
                              .means = moved(at->means, work),
                              .sums = work + at->sums,
                              .sums_floats = at->sums_floats,
                              .db = work + at->db,
                              .w_x = packed + at->packed.back_x,
                              .w_projection = packed + at->packed.back_projection,
                              .units = pass->packed_forward.at + at->packed.units,
                              .dy_from = chained ? TEAM_FROM_PANELS : TEAM_FROM_ROWS};
    arguments a = {.list = {CLSEQ__RECORD(&r)}, .count = 1};
    CLSEQ__RETURN_IF(clseq__team_prepare(layer, team, at->grid, true));
    CLSEQ__RETURN_IF(set_dx(pass, args, at, &r));
    for (int p = 0; p < TEAM_PHASES; p++)
        r.w_h[p] = packed + at->packed.back_h[p];
    add_buffer(&a, pass->packed_forward.buffer);
    add_buffer(&a, pass->packed_backward.buffer);
    add_buffer(&a, pass->lengths.buffer);
    add_buffer(&a, pass->reserve.buffer);
    add_buffer(&a, chained ? args->dy.chained.buffer : args->dy.rows.buffer);
    add_buffer(&a, pass->workspace.buffer);
    add_buffer(&a, team->control);
    add_buffer(&a, dx_chained ? args->dx.chained.buffer : pass->workspace.buffer);
    add_buffer(&a, args->dx.rows.buffer);
    for (int s = 0; s < layer->cell->states; s++) {
        add_buffer(&a, args->dfinal[s].buffer);
        add_buffer(&a, args->dinitial[s].buffer);
        r.dfinal[s] = args->dfinal[s].offset;
        r.dinitial[s] = args->dinitial[s].offset;
    }
    return launch(layer, team->backward[at->grid.members > 1], at->grid, &a);
}

/* Buffers of the weights' kernel, by number. */
enum { KEPT = 0, WORK = 1, BELOW = 2 };

/* Sets what a gradient sums over: dgates from `slot` on, and the rows of h before each step. */
static team_gradient recurrent_gradient(const clseq__layer_pass *pass, const clseq__team_layout *at, int slot)
{
    const bool in_place = at->grid.members == 1;
    return (team_gradient){.a = in_place ? moved(at->kept.gates, pass->reserve.at)
                                         : moved(at->dgates, pass->workspace.at),
                           .x = moved(at->kept.h, pass->reserve.at),
                           .a_buffer = in_place ? KEPT : WORK,
                           .x_buffer = KEPT,
                           .slot = slot,
                           .x_steps = at->sizes.tc + 1};
}

/* The same with a quantity in the place of h. */
static team_gradient quantity_gradient(const clseq__layer_pass *pass, const clseq__team_layout *at, int slot,
                                       int k)
{
    team_gradient g = recurrent_gradient(pass, at, slot);
    const int VW = pass->layer->ctx->traits.vector_width;
    g.x = moved(at->kept.quantities, pass->reserve.at);
    g.x_steps = at->sizes.tc;
    g.x_panel = k * ((at->sizes.H + VW - 1) / VW);
    return g;
}

static team_gradient input_gradient(const clseq__layer_pass *pass, const clseq__team_layout *at)
{
    team_gradient g = recurrent_gradient(pass, at, pass->layer->cell->input.slot);
    const bool chained = pass->x.chained.buffer != NULL;
    g.x = chained ? moved(at->chain_below, pass->x.chained.at) : moved(at->x, pass->reserve.at);
    g.x_buffer = chained ? BELOW : KEPT;
    g.x_steps = at->sizes.tc + (chained ? 1 : 0);
    g.x_skip = chained ? 1 : 0;
    return g;
}

static team_gradient projection_gradient(const clseq__layer_pass *pass, const clseq__team_layout *at)
{
    team_gradient g = quantity_gradient(pass, at, 0, pass->layer->cell->quantities);
    g.a = moved(at->dh, pass->workspace.at);
    g.a_buffer = WORK;
    return g;
}

/* The gradients of part i, as many as it has matrices; returns their number. */
static int gradients_of(const clseq__layer_pass *pass, const clseq__team_layout *at, int i, int64_t dw,
                        team_gradient *out)
{
    const clseq__cell *cell = pass->layer->cell;
    team_matrix matrix[TEAM_MATRICES];
    const int n = matrices_of(pass->layer, &at->packed, i, 0, -1, matrix);
    for (int k = 0, p = 0; k < n; k++, p++) {
        const clseq__part_role role = pass->layer->parts[i].role;
        while (role == CLSEQ__PART_RECURRENT && cell->phase[p].operand == CLSEQ__OPERAND_NONE)
            p++;
        const int slot = cell->phase[p].product.slot, operand = cell->phase[p].operand;
        out[k] = role == CLSEQ__PART_INPUT        ? input_gradient(pass, at)
                 : role == CLSEQ__PART_PROJECTION ? projection_gradient(pass, at)
                 : operand == CLSEQ__OPERAND_H    ? recurrent_gradient(pass, at, slot)
                                                  : quantity_gradient(pass, at, slot, operand);
        out[k].dw = dw;
        out[k].part = i;
        out[k].units = matrix[k].units;
        out[k].columns = matrix[k].columns;
        out[k].count = matrix[k].count;
        out[k].gates = matrix[k].gates;
    }
    return n;
}

static clseq_status backward_weights(const clseq__layer_pass *pass, const clseq__layer_backward *args,
                                     const clseq__team_layout *at)
{
    const clseq__rnn_layer *layer = pass->layer;
    const clseq__team *team = pass->data;
    const bool chained = pass->x.chained.buffer != NULL;
    team_weights_record r = {.sizes = at->sizes,
                             .lengths = pass->lengths.offset,
                             .tokens = rows_of(&pass->x.rows),
                             .by_token = pass->workspace.at + at->by_token,
                             .db = pass->workspace.at + at->db,
                             .rows = layer->cell->slots + layer->cell->parameters,
                             .segments = (clseq_int)at->segments,
                             .add = !args->overwrite};
    arguments a = {.list = {CLSEQ__RECORD(&r)}, .count = 1};
    add_buffer(&a, pass->lengths.buffer);
    add_buffer(&a, pass->reserve.buffer);
    add_buffer(&a, pass->workspace.buffer);
    add_buffer(&a, chained ? pass->x.chained.buffer : pass->x.rows.buffer);
    for (int i = 0; i < TEAM_PARTS; i++) {
        const clseq_tensor none = {0}, *dw = i < layer->part_count ? &args->dweights[i] : &none;
        add_buffer(&a, dw->buffer);
        if (!dw->buffer)
            continue;
        /* weight_ih is the first part of all cells, so that what reads tokens is gradient 0. */
        if (layer->parts[i].role == CLSEQ__PART_INPUT)
            r.has_tokens = layer->one_hot;
        r.gradients += gradients_of(pass, at, i, dw->offset, &r.gradient[r.gradients]);
        if (vector_of(layer, i, &r.vector[r.vectors]))
            r.vector[r.vectors++].w = dw->offset;
    }
    if (r.gradients + r.vectors == 0)
        return CLSEQ_OK;
    return clseq__launch(layer->ctx, team->weights, CLSEQ__GRID1((size_t)layer->ctx->traits.groups, 1),
                         a.list, a.count);
}

clseq_status clseq__team_backward(const clseq__layer_pass *pass, const clseq__layer_backward *args)
{
    const clseq__team_layout at = layout_of(pass);
    CLSEQ__RETURN_IF(backward_steps(pass, args, &at));
    return args->dweights ? backward_weights(pass, args, &at) : CLSEQ_OK;
}
