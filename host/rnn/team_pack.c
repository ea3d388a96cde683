/* The weights of the schedule team: how parts of a layer become matrices and numbers of units, and their pack. */
#include "core/error.h"
#include "rnn/team_pass.h"

static clseq_int gates_of(const clseq__slots *slots)
{
    clseq_int gates = 0;
    for (int k = 0; k < slots->count; k++)
        gates |= slots->gate[k] << (4 * k);
    return gates;
}

int clseq__team_matrices(const clseq__rnn_layer *layer, const clseq__team_packed *at, int i, int64_t forward,
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

bool clseq__team_vector(const clseq__rnn_layer *layer, int i, team_vector *out)
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
    const clseq__team_layout at = clseq__pass_layout(pass);
    const bool training = pass->shape.mode == CLSEQ_MODE_TRAINING;
    team_pack_record r = {.units = pass->packed_forward.at + at.packed.units,
                          .rows = layer->cell->slots + layer->cell->parameters,
                          .H = (clseq_int)layer->hidden};
    clseq__team_arguments a = {.list = {CLSEQ__RECORD(&r)}, .count = 1};
    clseq__add_buffer(&a, pass->packed_forward.buffer);
    clseq__add_buffer(&a, training ? pass->packed_backward.buffer : pass->packed_forward.buffer);
    for (int i = 0; i < TEAM_PARTS; i++) {
        clseq__add_buffer(&a, i < layer->part_count ? weights[i].buffer : NULL);
        if (i >= layer->part_count)
            continue;
        team_matrix *matrix = &r.matrix[r.matrices];
        const int n = clseq__team_matrices(layer, &at.packed, i, pass->packed_forward.at,
                                           training ? pass->packed_backward.at : -1, matrix);
        for (int k = 0; k < n; k++)
            matrix[k].w = weights[i].offset;
        r.matrices += n;
        if (clseq__team_vector(layer, i, &r.vector[r.vectors]))
            r.vector[r.vectors++].w = weights[i].offset;
    }
    return clseq__launch(layer->ctx, team->pack, CLSEQ__GRID1((size_t)layer->ctx->traits.groups, 1), a.list,
                         a.count);
}
