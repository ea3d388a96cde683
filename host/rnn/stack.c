/*
 * The stack: layers and directions over schedules that run one layer in one direction.
 *
 * Layers of one direction form a chain: each reads what the schedule keeps of the layer below, where it lies. With two
 * directions, or where something becomes of it on its way (between.h), a layer's output goes to a sequence [T,B,F] in the
 * order of time, directions side by side or summed, which the layer above reads; gradients come back the same way.
 */
#include "rnn/stack.h"
#include "core/error.h"
#include "rnn/between.h"
#include "rnn/floats.h"

/* A call over the stack. */
typedef struct call {
    const clseq_rnn_plan *plan;
    const clseq_rnn_shape *shape;
    const clseq__rnn_form *form;
    clseq__stack_layout at;
    clseq__place packed, workspace;
    clseq_tensor x, lengths;
    const clseq_tensor *reserve;
    int64_t first, count;
    bool goes_on;
    clseq__pass_draws draws;
} call;

/* Tensors of bytes begin at multiples of floats: check.c. */
static clseq__place place_of(const clseq_tensor *bytes)
{
    return (clseq__place){bytes->buffer, bytes->offset / (int64_t)sizeof(float)};
}

static clseq__place moved(clseq__place place, int64_t floats)
{
    place.at += floats;
    return place;
}

/* What goes from layer l to the next one, or back to layer l, lies in one of two places by turns. */
static clseq__place between(const call *c, int64_t l)
{
    return moved(c->workspace, c->at.layer_workspace + l % 2 * c->at.between);
}

/* [T,B,features of layer l] at a place. */
static clseq_tensor rows_at(const call *c, clseq__place place, int64_t l)
{
    const int64_t dims[] = {c->count, c->shape->B, clseq__rnn_features(c->plan, l)};
    return clseq_tensor_view(place.buffer, place.at, CLSEQ_DTYPE_F32, 3, dims);
}

/* Where the reserve of layer l keeps what it reads at the call's first step. */
static clseq__place kept_place(const call *c, int64_t l)
{
    const int64_t kept = clseq__stack_kept_rows(c->plan, c->shape, l),
                  row = clseq__stack_read_features(c->plan, l);
    const int64_t whole = clseq__stack_reserve(c->plan, c->shape, l) / (int64_t)sizeof(float);
    return moved(place_of(&c->reserve[l]), whole - kept + c->first * c->shape->B * row);
}

/* The sequence that goes from layer l to the next one, where it is no chain. */
static clseq_tensor rows_between(const call *c, int64_t l)
{
    if (c->shape->mode == CLSEQ_MODE_TRAINING && !c->form->schedule->copies_x)
        return rows_at(c, kept_place(c, l + 1), l);
    return rows_at(c, between(c, l), l);
}

/* The columns of a sequence that belong to direction d of layer l. */
static clseq_tensor part_of(const call *c, const clseq_tensor *rows, int64_t l, int d)
{
    const int64_t output = clseq__rnn_layer_at(c->plan, l, d)->output;
    if (!rows->buffer || c->plan->directions == 1 || c->plan->desc.merge == CLSEQ_MERGE_SUM)
        return *rows;
    return clseq_tensor_slice(rows, 2, d * output, output);
}

/* The [B,W] part of state s that belongs to layer l in direction d; none stays none. */
static clseq_tensor state_part(const call *c, const clseq_tensor *states, int s, int64_t l, int d)
{
    const int64_t B = c->shape->B, index = l * c->plan->directions + d;
    const clseq__rnn_layer *layer = &c->plan->layers[index];
    if (!states || !states[s].buffer)
        return (clseq_tensor){0};
    const int64_t dims[] = {B, clseq__rnn_state_width(layer, s)};
    return clseq_tensor_view(states[s].buffer, states[s].offset + B * layer->state_at[s], CLSEQ_DTYPE_F32, 2,
                             dims);
}

/* The pass over layer l in direction d, all but what it reads. */
static clseq__layer_pass bare_pass(const call *c, int64_t l, int d)
{
    const clseq_rnn_plan *plan = c->plan;
    const int64_t index = l * plan->directions + d;
    const bool training = c->shape->mode == CLSEQ_MODE_TRAINING;
    clseq__layer_pass pass = {.layer = &plan->layers[index],
                              .data = c->form->data[index],
                              .shape = *c->shape,
                              .first = c->first,
                              .count = c->count,
                              .goes_on = c->goes_on,
                              .draws = c->draws,
                              .lengths = c->lengths,
                              .packed_forward = moved(c->packed, c->form->packed_forward[index]),
                              .packed_backward = moved(c->packed, c->form->packed_backward[index]),
                              .workspace = c->workspace};
    if (training && c->reserve) {
        clseq__layer_sizes s;
        pass.reserve = place_of(&c->reserve[l]);
        clseq__stack_layer_sizes(plan, c->shape, pass.layer, &s);
        pass.reserve.at += d * s.reserve;
    } else if (!training && !plan->hands_rows && l < plan->desc.layers - 1) {
        pass.chain = between(c, l);
    }
    return pass;
}

/* The pass over layer l in direction d. */
static clseq__layer_pass pass_of(const call *c, int64_t l, int d)
{
    clseq__layer_pass pass = bare_pass(c, l, d);
    if (l == 0) {
        pass.x.rows = c->x;
    } else if (c->plan->hands_rows) {
        pass.x.rows = rows_between(c, l - 1);
    } else {
        const clseq__layer_pass below = bare_pass(c, l - 1, 0);
        pass.x.chained = c->form->schedule->output(&below);
    }
    return pass;
}

/* Over all steps. */
static call call_of(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape)
{
    return (call){.plan = plan,
                  .shape = shape,
                  .form = clseq__rnn_form_of(plan, shape),
                  .at = clseq__stack_layout_of(plan, shape),
                  .count = shape->T};
}

/* Over the steps that it is for. */
static call call_over(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape, const clseq__rnn_part *part)
{
    call c = call_of(plan, shape);
    c.first = part->first;
    c.count = part->count;
    c.goes_on = part->goes_on;
    c.draws = part->draws;
    return c;
}

clseq_status clseq__stack_pack(clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                               const clseq_tensor *weights, const clseq_tensor *packed)
{
    call c = call_of(plan, shape);
    c.packed = place_of(packed);
    for (int64_t l = 0; l < plan->desc.layers; l++)
        for (int d = 0; d < plan->directions; d++) {
            const clseq__layer_pass pass = bare_pass(&c, l, d);
            CLSEQ__RETURN_IF(c.form->schedule->pack(&pass, weights));
            weights += pass.layer->part_count;
        }
    return CLSEQ_OK;
}

/* What layer l puts out in both directions, for the caller or for the layer above; none in a chain. */
static clseq_tensor output_rows(const call *c, const clseq_tensor *y, int64_t l)
{
    if (l == c->plan->desc.layers - 1)
        return *y;
    return c->plan->hands_rows ? rows_between(c, l) : (clseq_tensor){0};
}

/* Dropout on the way up or down. */
static clseq_status drop(const call *c, int64_t l, const clseq_tensor *rows)
{
    clseq__pass_draws draws = c->draws;
    draws.time += c->first;
    return clseq__between_drop(c->plan, l, &draws, rows);
}

/* What becomes of the output of layer l: the sum with what the layer read, then, on the way to the next one, dropout. */
static clseq_status finish_output(const call *c, const clseq_tensor *rows, int64_t l)
{
    const clseq_rnn_desc *desc = &c->plan->desc;
    if (desc->residual && l > 0) {
        const clseq_tensor below = rows_between(c, l - 1);
        CLSEQ__RETURN_IF(clseq__between_add(c->plan->ctx, &below, rows));
    }
    if (desc->dropout > 0.0f && l < desc->layers - 1 && c->shape->mode == CLSEQ_MODE_TRAINING)
        CLSEQ__RETURN_IF(drop(c, l, rows));
    return CLSEQ_OK;
}

/* x of the call's steps as the reserve keeps it. */
static clseq_tensor kept_x(const call *c)
{
    const bool one_hot = c->plan->desc.one_hot;
    const clseq__place place = kept_place(c, 0);
    const int64_t dims[] = {c->count, c->shape->B, c->plan->desc.input};
    return clseq_tensor_view(place.buffer, place.at, one_hot ? CLSEQ_DTYPE_I32 : CLSEQ_DTYPE_F32,
                             one_hot ? 2 : 3, dims);
}

/* What the first layer reads: x, or its copy in the reserve. */
static clseq_status take_x(call *c, const clseq_tensor *x)
{
    c->x = *x;
    if (c->shape->mode == CLSEQ_MODE_INFERENCE || clseq__stack_kept_rows(c->plan, c->shape, 0) == 0)
        return CLSEQ_OK;
    c->x = kept_x(c);
    return clseq_tensor_copy(c->plan->ctx, x, &c->x);
}

clseq_status clseq__stack_forward(clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                  const clseq_rnn_forward_args *args, const clseq__rnn_part *part)
{
    call c = call_over(plan, shape, part);
    c.packed = place_of(&args->packed);
    c.workspace = place_of(&args->workspace);
    c.lengths = args->lengths;
    c.reserve = args->reserve;
    CLSEQ__RETURN_IF(take_x(&c, &args->x));
    for (int64_t l = 0; l < plan->desc.layers; l++) {
        const clseq_tensor rows = output_rows(&c, &args->y, l);
        clseq__layer_pass pass[2];
        clseq__layer_forward f[2];
        for (int d = 0; d < plan->directions; d++) {
            pass[d] = pass_of(&c, l, d);
            f[d] = (clseq__layer_forward){.y = part_of(&c, &rows, l, d),
                                          .add_y = d == 1 && pass[d].layer->is_summed};
            for (int s = 0; s < plan->cell->states; s++) {
                f[d].initial[s] = state_part(&c, args->initial, s, l, d);
                f[d].final[s] = state_part(&c, args->final, s, l, d);
            }
        }
        CLSEQ__RETURN_IF(c.form->schedule->forward(pass, f));
        CLSEQ__RETURN_IF(finish_output(&c, &rows, l));
    }
    return CLSEQ_OK;
}

/* The gradient of what layer l put out, for its direction d. */
static clseq__sequence gradient_above(const call *c, const clseq_tensor *dy, int64_t l, int d)
{
    if (l == c->plan->desc.layers - 1)
        return (clseq__sequence){.rows = part_of(c, dy, l, d)};
    if (!c->plan->hands_rows)
        return (clseq__sequence){.chained = between(c, l)};
    const clseq_tensor rows = rows_at(c, between(c, l), l);
    return (clseq__sequence){.rows = part_of(c, &rows, l, d)};
}

/* Where the gradient of what layer l reads goes. */
static clseq__sequence gradient_below(const call *c, const clseq_tensor *dx, int64_t l)
{
    if (l == 0)
        return (clseq__sequence){.rows = *dx};
    if (!c->plan->hands_rows)
        return (clseq__sequence){.chained = between(c, l - 1)};
    return (clseq__sequence){.rows = rows_at(c, between(c, l - 1), l - 1)};
}

/* finish_output backward: what the layer above has left for layer l to read goes through dropout .. */
static clseq_status begin_gradient(const call *c, int64_t l)
{
    if (!(c->plan->desc.dropout > 0.0f) || l == c->plan->desc.layers - 1)
        return CLSEQ_OK;
    const clseq_tensor rows = rows_at(c, between(c, l), l);
    return drop(c, l, &rows);
}

/* .. and, when the layer has read it, past the layer to what that reads. */
static clseq_status end_gradient(const call *c, const clseq_tensor *dy, int64_t l)
{
    if (!c->plan->desc.residual || l == 0)
        return CLSEQ_OK;
    const clseq_tensor above = l == c->plan->desc.layers - 1 ? *dy : rows_at(c, between(c, l), l);
    const clseq_tensor below = rows_at(c, between(c, l - 1), l - 1);
    return above.buffer ? clseq__between_add(c->plan->ctx, &above, &below) : CLSEQ_OK;
}

/* The gradients of the weights of layer l, whose passes have run; `dweights` are those of all layers. */
static clseq_status weights_of(const call *c, const clseq__layer_pass *pass, int64_t l,
                               const clseq_tensor *dweights, bool overwrite)
{
    clseq__layer_weights w[2];
    for (int d = 0; d < c->plan->directions; d++) {
        const int64_t first = (l * c->plan->directions + d) * pass[d].layer->part_count;
        w[d] = (clseq__layer_weights){.dweights = dweights + first, .overwrite = overwrite};
    }
    return c->form->schedule->weights(pass, w);
}

clseq_status clseq__stack_weights(clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                  const clseq_rnn_weight_gradients_args *args, const clseq__rnn_part *part)
{
    call c = call_over(plan, shape, part);
    c.workspace = place_of(&args->workspace);
    c.reserve = args->reserve;
    if (clseq__stack_kept_rows(plan, shape, 0) > 0)
        c.x = kept_x(&c);
    for (int64_t l = plan->desc.layers - 1; l >= 0; l--) {
        const clseq__layer_pass pass = pass_of(&c, l, 0);
        CLSEQ__RETURN_IF(weights_of(&c, &pass, l, args->dweights, args->overwrite));
    }
    return CLSEQ_OK;
}

clseq_status clseq__stack_backward(clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                   const clseq_rnn_backward_args *args, const clseq__rnn_part *part)
{
    call c = call_over(plan, shape, part);
    c.packed = place_of(&args->packed);
    c.workspace = place_of(&args->workspace);
    c.x = args->x;
    c.lengths = args->lengths;
    c.reserve = args->reserve;
    for (int64_t l = plan->desc.layers - 1; l >= 0; l--) {
        CLSEQ__RETURN_IF(begin_gradient(&c, l));
        clseq__layer_pass pass[2];
        clseq__layer_backward b[2];
        for (int d = 0; d < plan->directions; d++) {
            pass[d] = pass_of(&c, l, d);
            b[d] = (clseq__layer_backward){.dy = gradient_above(&c, &args->dy, l, d),
                                           .dx = gradient_below(&c, &args->dx, l),
                                           .add_dx = d == 1};
            for (int s = 0; s < plan->cell->states; s++) {
                b[d].dfinal[s] = state_part(&c, args->dfinal, s, l, d);
                b[d].dinitial[s] = state_part(&c, args->dinitial, s, l, d);
            }
        }
        CLSEQ__RETURN_IF(c.form->schedule->backward(pass, b));
        if (args->dweights)
            CLSEQ__RETURN_IF(weights_of(&c, pass, l, args->dweights, args->overwrite));
        CLSEQ__RETURN_IF(end_gradient(&c, &args->dy, l));
    }
    return CLSEQ_OK;
}
