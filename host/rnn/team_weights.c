/* The gradients of the weights under the schedule team: which sums of which arrays they are. */
#include "core/error.h"
#include "rnn/team_pass.h"

/* Buffers of the weights' kernel, by number. */
enum { KEPT = 0, WORK = 1, BELOW = 2 };

/* The buffer that has what backward leaves. */
static int lasting(const clseq__layer_pass *pass)
{
    return pass->shape.in_pieces ? KEPT : WORK;
}

/* Sets what a gradient sums over: dgates from `slot` on, and the rows of h, or of what is read in its place, before each
 * step. */
static team_gradient recurrent_gradient(const clseq__layer_pass *pass, const clseq__team_layout *at, int slot)
{
    const bool in_place = at->grid.members == 1, masks = pass->layer->extras.recurrent_dropout > 0;
    return (team_gradient){.a = in_place ? clseq__array_moved(at->kept.gates, pass->reserve.at)
                                         : clseq__array_moved(at->dgates, clseq__lasting_place(pass).at),
                           .x = clseq__array_moved(masks ? at->kept.masked : at->kept.h, pass->reserve.at),
                           .a_buffer = in_place ? KEPT : lasting(pass),
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
    g.x = clseq__array_moved(at->kept.quantities, pass->reserve.at);
    g.x_steps = at->sizes.tc;
    g.x_panel = k * ((at->sizes.H + VW - 1) / VW);
    return g;
}

static team_gradient input_gradient(const clseq__layer_pass *pass, const clseq__team_layout *at)
{
    team_gradient g = recurrent_gradient(pass, at, pass->layer->cell->input.slot);
    const bool chained = pass->x.chained.buffer != NULL;
    g.x = chained ? clseq__array_moved(at->chain_below, pass->x.chained.at)
                  : clseq__array_moved(at->x, pass->reserve.at);
    g.x_buffer = chained ? BELOW : KEPT;
    g.x_steps = at->sizes.tc + (chained ? 1 : 0);
    g.x_skip = chained ? 1 : 0;
    g.by_token = pass->layer->one_hot;
    return g;
}

static team_gradient projection_gradient(const clseq__layer_pass *pass, const clseq__team_layout *at)
{
    team_gradient g = quantity_gradient(pass, at, 0, pass->layer->cell->quantities);
    g.a = clseq__array_moved(at->dh, clseq__lasting_place(pass).at);
    g.a_buffer = lasting(pass);
    return g;
}

/* The gradients of part i, as many as it has matrices; returns their number. */
static int gradients_of(const clseq__layer_pass *pass, const clseq__team_layout *at, int i, int64_t dw,
                        team_gradient *out)
{
    const clseq__cell *cell = pass->layer->cell;
    team_matrix matrix[TEAM_MATRICES];
    const int n = clseq__team_matrices(pass->layer, &at->packed, i, 0, -1, matrix);
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

/* One direction; `at` is the layout of both. */
static clseq_status weights_of(const clseq__layer_pass *pass, const clseq__layer_weights *args,
                               const clseq__team_layout *at)
{
    const clseq__rnn_layer *layer = pass->layer;
    const clseq__team *team = pass->data;
    const bool chained = pass->x.chained.buffer != NULL;
    team_weights_record r = {.sizes = at->sizes,
                             .lengths = pass->lengths.offset,
                             .tokens = clseq__rows_of(&pass->x.rows),
                             .by_token = pass->workspace.at + at->by_token,
                             .db = clseq__lasting_place(pass).at + at->db,
                             .rows = layer->cell->slots + layer->cell->parameters,
                             .segments = (clseq_int)at->segments,
                             .add = !args->overwrite,
                             .db_buffer = lasting(pass)};
    clseq__team_arguments a = {.list = {CLSEQ__RECORD(&r)}, .count = 1};
    r.sizes.reverse = layer->reverse;
    clseq__add_buffer(&a, pass->lengths.buffer);
    clseq__add_buffer(&a, pass->reserve.buffer);
    clseq__add_buffer(&a, pass->workspace.buffer);
    clseq__add_buffer(&a, chained ? pass->x.chained.buffer : pass->x.rows.buffer);
    for (int i = 0; i < TEAM_PARTS; i++) {
        const clseq_tensor none = {0}, *dw = i < layer->part_count ? &args->dweights[i] : &none;
        clseq__add_buffer(&a, dw->buffer);
        if (!dw->buffer)
            continue;
        r.gradients += gradients_of(pass, at, i, dw->offset, &r.gradient[r.gradients]);
        if (clseq__team_vector(layer, i, &r.vector[r.vectors]))
            r.vector[r.vectors++].w = dw->offset;
    }
    if (r.gradients + r.vectors == 0)
        return CLSEQ_OK;
    return clseq__launch(layer->ctx, team->weights, CLSEQ__GRID1((size_t)layer->ctx->traits.groups, 1),
                         a.list, a.count);
}

clseq_status clseq__team_weights(const clseq__layer_pass *pass, const clseq__layer_weights *args)
{
    const clseq__team_layout at = clseq__pass_layout(pass);
    for (int d = 0; d < pass->layer->directions; d++) {
        clseq__layer_pass own = pass[d];
        own.workspace.at += d * at.second;
        CLSEQ__RETURN_IF(weights_of(&own, &args[d], &at));
    }
    return CLSEQ_OK;
}
