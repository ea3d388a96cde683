/* The passes of the schedule team over a layer: the records and launches. */
#include "rnn/team_pass.h"
#include "core/error.h"
#include "core/team.h"
#include "rnn/between.h"
#include "rnn/draws.h"

_Static_assert(TEAM_STATES >= CLSEQ__MAX_STATES && TEAM_PHASES >= CLSEQ__MAX_PHASES &&
                   TEAM_PARTS >= CLSEQ__MAX_PARTS,
               "records of the schedule team: expected room for every cell");

static team_kept kept_at(const team_kept *kept, int64_t at)
{
    return (team_kept){.gates = clseq__array_moved(kept->gates, at),
                       .h = clseq__array_moved(kept->h, at),
                       .states = clseq__array_moved(kept->states, at),
                       .quantities = clseq__array_moved(kept->quantities, at),
                       .statistics = clseq__array_moved(kept->statistics, at),
                       .masked = clseq__array_moved(kept->masked, at)};
}

/* As many groups of one work-item as find work in the grids of all directions. */
static clseq_status launch(const clseq__rnn_layer *layer, clseq__kernel *kernel, clseq__team_grid grid,
                           const clseq__team_arguments *a)
{
    const int wished = grid.members > 1 ? layer->ctx->traits.team_groups : 0;
    const size_t groups =
        wished ? (size_t)wished : clseq__team_groups(layer->directions * grid.blocks, grid.members);
    return clseq__launch(layer->ctx, kernel, CLSEQ__GRID1(groups, 1), a->list, a->count);
}

static team_sharing sharing_at(const clseq__team_layout *at, int64_t floats)
{
    team_sharing sharing = at->sharing;
    sharing.scratch += floats;
    return sharing;
}

/* How far the second direction's things lie from the first one's. */
static team_second second_of(const clseq__layer_pass *pass, const clseq__team_layout *at)
{
    if (pass->layer->directions == 1)
        return (team_second){.directions = 1};
    return (team_second){
        .packed_forward = pass[1].packed_forward.at - pass->packed_forward.at,
        .packed_backward = pass[1].packed_backward.at - pass->packed_backward.at,
        .kept = pass->shape.mode == CLSEQ_MODE_TRAINING ? pass[1].reserve.at - pass->reserve.at : at->second,
        .work = at->second,
        .draws = CLSEQ__DRAWS_APART,
        .directions = 2};
}

/* Where the second direction puts rows that are to be added to those of the first, as both run at a time; else `rows`. */
static clseq_tensor apart(const clseq__layer_pass *pass, const clseq__team_layout *at,
                          const clseq_tensor *rows, bool add)
{
    if (!rows->buffer || !add)
        return *rows;
    return clseq_tensor_view(pass->workspace.buffer, pass->workspace.at + at->added, CLSEQ_DTYPE_F32, 3,
                             rows->dims);
}

/* Adds what the second direction has put there. */
static clseq_status add_apart(const clseq__layer_pass *pass, const clseq_tensor *second,
                              const clseq_tensor *rows, bool add)
{
    return rows->buffer && add ? clseq__between_add(pass->layer->ctx, second, rows) : CLSEQ_OK;
}

clseq_status clseq__team_forward(const clseq__layer_pass *pass, const clseq__layer_forward *args)
{
    const clseq__rnn_layer *layer = pass->layer;
    clseq__team *team = pass->data;
    const clseq__team_layout at = clseq__pass_layout(pass);
    const clseq__place kept = pass->shape.mode == CLSEQ_MODE_TRAINING ? pass->reserve : pass->workspace;
    const bool chained = pass->x.chained.buffer != NULL;
    const int64_t packed = pass->packed_forward.at;
    const bool two = layer->directions == 2, add = two && args[1].add_y;
    const clseq_tensor y_second = two ? apart(pass, &at, &args[1].y, add) : (clseq_tensor){0};
    cl_mem h = kept.buffer;
    team_forward_record r = {.sizes = at.sizes,
                             .second = second_of(pass, &at),
                             .sharing = sharing_at(&at, pass->workspace.at),
                             .lengths = pass->lengths.offset,
                             .kept = kept_at(&at.kept, kept.at),
                             .versions = clseq__array_moved(at.versions, pass->workspace.at),
                             .x = clseq__rows_of(&pass->x.rows),
                             .x_panels = clseq__array_moved(at.x, kept.at),
                             .y = {clseq__rows_of(&args->y), clseq__rows_of(&y_second)},
                             .w_x = packed + at.packed.w_x,
                             .w_projection = packed + at.packed.w_projection,
                             .units = packed + at.packed.units,
                             .values = clseq__cell_values_of(pass),
                             .x_from = layer->one_hot ? TEAM_FROM_TOKENS : TEAM_FROM_ROWS,
                             .first = (clseq_int)pass->first};
    CLSEQ__RETURN_IF(clseq__team_prepare(layer, team, at.grid, false));
    for (int p = 0; p < TEAM_PHASES; p++)
        r.w_h[p] = packed + at.packed.w_h[p];
    if (chained) {
        r.x_from = TEAM_FROM_PANELS;
        r.x_panels = clseq__array_moved(at.chain_below, pass->x.chained.at);
    }
    if (pass->chain.buffer) {
        h = pass->chain.buffer;
        r.kept.h = clseq__array_moved(at.chain, pass->chain.at);
    }
    clseq__team_arguments a = {.list = {CLSEQ__RECORD(&r)}, .count = 1};
    clseq__add_buffer(&a, pass->packed_forward.buffer);
    clseq__add_buffer(&a, pass->lengths.buffer);
    clseq__add_buffer(&a, chained ? pass->x.chained.buffer : pass->x.rows.buffer);
    clseq__add_buffer(&a, h);
    clseq__add_buffer(&a, kept.buffer);
    clseq__add_buffer(&a, pass->workspace.buffer);
    clseq__add_buffer(&a, team->control);
    clseq__add_buffer(&a, args->y.buffer);
    clseq__add_buffer(&a, y_second.buffer);
    for (int s = 0; s < layer->cell->states; s++) {
        clseq__add_buffer(&a, args->initial[s].buffer);
        clseq__add_buffer(&a, args->final[s].buffer);
        r.initial[s] = args->initial[s].offset;
        r.final[s] = args->final[s].offset;
    }
    CLSEQ__RETURN_IF(launch(layer, team->forward[at.grid.members > 1], at.grid, &a));
    return add_apart(pass, &y_second, &args->y, add);
}

/* Where dx goes, in panels, and from there to rows. */
static void set_dx(const clseq__layer_pass *pass, const clseq__layer_backward *args,
                   const clseq__team_layout *at, const clseq_tensor *dx_second, team_backward_record *r)
{
    r->keeps_dx = args->dx.chained.buffer != NULL;
    r->want_dx = r->keeps_dx || args->dx.rows.buffer != NULL;
    r->dx[0] = clseq__rows_of(&args->dx.rows);
    r->dx[1] = clseq__rows_of(dx_second);
    r->dx_panels = r->keeps_dx ? clseq__array_moved(at->dchain_below, args->dx.chained.at)
                               : clseq__array_moved(at->dx, pass->workspace.at);
}

clseq_status clseq__team_backward(const clseq__layer_pass *pass, const clseq__layer_backward *args)
{
    const clseq__rnn_layer *layer = pass->layer;
    const clseq__team_layout layout = clseq__pass_layout(pass), *at = &layout;
    clseq__team *team = pass->data;
    const bool chained = args->dy.chained.buffer != NULL, dx_chained = args->dx.chained.buffer != NULL;
    const int64_t work = pass->workspace.at, packed = pass->packed_backward.at,
                  lasting = clseq__lasting_place(pass).at;
    const bool two = layer->directions == 2, add = two && args[1].add_dx;
    const clseq_tensor dx_second = two ? apart(pass, at, &args[1].dx.rows, add) : (clseq_tensor){0};
    team_backward_record r = {.sizes = at->sizes,
                              .second = second_of(pass, at),
                              .sharing = sharing_at(at, work),
                              .lengths = pass->lengths.offset,
                              .kept = kept_at(&at->kept, pass->reserve.at),
                              .dgates = clseq__array_moved(at->dgates, lasting),
                              .dy = {clseq__rows_of(&args->dy.rows), clseq__rows_of(&args[two].dy.rows)},
                              .dy_panels = clseq__array_moved(at->dchain, args->dy.chained.at),
                              .dh = clseq__array_moved(at->dh, lasting),
                              .dstates = clseq__array_moved(at->dstates, work),
                              .versions = clseq__array_moved(at->back_versions, work),
                              .means = clseq__array_moved(at->means, work),
                              .sums = work + at->sums,
                              .sums_floats = at->sums_floats,
                              .db = lasting + at->db,
                              .w_x = packed + at->packed.back_x,
                              .w_projection = packed + at->packed.back_projection,
                              .units = pass->packed_forward.at + at->packed.units,
                              .values = clseq__cell_values_of(pass),
                              .dy_from = chained ? TEAM_FROM_PANELS : TEAM_FROM_ROWS,
                              .in_pieces = pass->shape.in_pieces,
                              .first = (clseq_int)pass->first,
                              .goes_on = pass->goes_on};
    clseq__team_arguments a = {.list = {CLSEQ__RECORD(&r)}, .count = 1};
    CLSEQ__RETURN_IF(clseq__team_prepare(layer, team, at->grid, true));
    set_dx(pass, args, at, &dx_second, &r);
    for (int p = 0; p < TEAM_PHASES; p++)
        r.w_h[p] = packed + at->packed.back_h[p];
    clseq__add_buffer(&a, pass->packed_forward.buffer);
    clseq__add_buffer(&a, pass->packed_backward.buffer);
    clseq__add_buffer(&a, pass->lengths.buffer);
    clseq__add_buffer(&a, pass->reserve.buffer);
    clseq__add_buffer(&a, chained ? args->dy.chained.buffer : args->dy.rows.buffer);
    clseq__add_buffer(&a, pass->workspace.buffer);
    clseq__add_buffer(&a, team->control);
    clseq__add_buffer(&a, dx_chained ? args->dx.chained.buffer : pass->workspace.buffer);
    clseq__add_buffer(&a, args->dx.rows.buffer);
    clseq__add_buffer(&a, dx_second.buffer);
    for (int s = 0; s < layer->cell->states; s++) {
        clseq__add_buffer(&a, args->dfinal[s].buffer);
        clseq__add_buffer(&a, args->dinitial[s].buffer);
        r.dfinal[s] = args->dfinal[s].offset;
        r.dinitial[s] = args->dinitial[s].offset;
    }
    CLSEQ__RETURN_IF(launch(layer, team->backward[at->grid.members > 1], at->grid, &a));
    return add_apart(pass, &dx_second, &args->dx.rows, add);
}
