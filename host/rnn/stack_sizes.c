/* What the stack of layers needs for a shape. */
#include "rnn/between.h"
#include "rnn/floats.h"
#include "rnn/stack.h"
#include <string.h>

void clseq__layer_sizes_of(const clseq__rnn_form *form, const clseq__rnn_layer *layer,
                           const clseq_rnn_shape *shape, clseq__layer_sizes *out)
{
    memset(out, 0, sizeof *out);
    form->schedule->sizes(layer, shape, out);
    out->packed_forward = clseq__aligned(out->packed_forward);
    out->packed_backward = clseq__aligned(out->packed_backward);
    out->reserve = clseq__aligned(out->reserve);
    out->workspace = clseq__aligned(out->workspace);
}

void clseq__stack_layer_sizes(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                              const clseq__rnn_layer *layer, clseq__layer_sizes *out)
{
    clseq__layer_sizes_of(clseq__rnn_form_of(plan, shape), layer, shape, out);
}

int64_t clseq__stack_read_features(const clseq_rnn_plan *plan, int64_t l)
{
    const int64_t x = plan->desc.one_hot ? 1 : plan->desc.input;
    return l == 0 ? x : clseq__rnn_features(plan, l - 1);
}

int64_t clseq__stack_kept_rows(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape, int64_t l)
{
    const bool copies_x = clseq__rnn_form_of(plan, shape)->schedule->copies_x;
    const bool is_kept =
        l > 0 ? plan->hands_rows && !copies_x : shape->in_pieces && (!copies_x || plan->desc.one_hot);
    return is_kept ? clseq__aligned(shape->T * shape->B * clseq__stack_read_features(plan, l)) : 0;
}

clseq__stack_layout clseq__stack_layout_of(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape)
{
    const bool training = shape->mode == CLSEQ_MODE_TRAINING;
    clseq__stack_layout at = {0};
    for (int64_t i = 0; i < plan->desc.layers * plan->directions; i++) {
        const int64_t l = i / plan->directions;
        clseq__layer_sizes s;
        clseq__stack_layer_sizes(plan, shape, &plan->layers[i], &s);
        at.layer_workspace = clseq__larger(at.layer_workspace, s.workspace);
        at.launches_forward += s.launches_forward;
        at.launches_backward += s.launches_backward;
        if (plan->hands_rows && l > 0)
            at.between = clseq__larger(at.between, shape->T * shape->B * clseq__rnn_features(plan, l - 1));
        if (!plan->hands_rows && !training && l < plan->desc.layers - 1)
            at.between = clseq__larger(at.between, s.chain);
        if (!plan->hands_rows && training && l > 0)
            at.between = clseq__larger(at.between, s.dchain);
    }
    at.between = clseq__aligned(at.between);
    at.launches_forward += clseq__between_launches(plan, shape->mode);
    at.launches_forward += clseq__stack_kept_rows(plan, shape, 0) > 0; /* the copy of x */
    at.launches_backward += clseq__between_launches(plan, shape->mode);
    return at;
}

int64_t clseq__stack_reserve(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape, int64_t l)
{
    int64_t floats = clseq__stack_kept_rows(plan, shape, l);
    for (int d = 0; d < plan->directions; d++) {
        clseq__layer_sizes s;
        clseq__stack_layer_sizes(plan, shape, clseq__rnn_layer_at(plan, l, d), &s);
        floats += s.reserve;
    }
    return clseq__larger(floats, 1) * (int64_t)sizeof(float);
}

/* Two floating-point operations for each product of a weight and a number. */
static double flop_of(const clseq__rnn_layer *layer, double rows)
{
    const double inputs = (double)layer->output + (layer->one_hot ? 0 : (double)layer->input);
    const double hidden = (double)layer->hidden;
    const double projection = layer->is_projected ? hidden * (double)layer->output : 0;
    return 2.0 * rows * (layer->cell->gates * hidden * inputs + projection);
}

void clseq__stack_sizes(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape, clseq_rnn_sizes *out)
{
    const clseq__stack_layout at = clseq__stack_layout_of(plan, shape);
    const clseq__rnn_form *form = clseq__rnn_form_of(plan, shape);
    const int64_t layers = plan->desc.layers * plan->directions;
    const bool training = shape->mode == CLSEQ_MODE_TRAINING;
    const int64_t bytes = (int64_t)sizeof(float);
    memset(out, 0, sizeof *out);
    out->packed = bytes * (training ? form->packed_backward[layers] : form->packed_forward[layers]);
    out->workspace = bytes * clseq__larger(at.layer_workspace + 2 * at.between, 1);
    out->reserve = 1;
    for (int64_t l = 0; training && l < plan->desc.layers; l++)
        out->reserve = clseq__larger(out->reserve, clseq__stack_reserve(plan, shape, l));
    out->launches_forward = at.launches_forward;
    out->launches_backward = at.launches_backward;
    for (int64_t i = 0; i < layers; i++)
        out->flop_forward += flop_of(&plan->layers[i], (double)shape->T * (double)shape->B);
}
