/* The passes of batch_split: the launches of each layer with their arguments. */
#include "core/error.h"
#include "rnn/batch_split.h"

typedef clseq__batch_split_layer layer_place;

/* A tensor's buffer and offset. */
#define TENSOR(t) CLSEQ__M((t).buffer), CLSEQ__L((t).offset)

static clseq_status forward_layer(clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                  const clseq_rnn_forward_args *args, int64_t l)
{
    const clseq__batch_split *data = plan->data;
    const clseq__batch_split_shape s = clseq__batch_split_shape_of(plan, shape);
    const clseq__batch_split_packed w = clseq__batch_split_packed_of(plan, l);
    const layer_place at = clseq__batch_split_layer_of(plan, shape, l);
    const clseq_tensor *kept = shape->mode == CLSEQ_MODE_TRAINING ? &args->reserve : &args->workspace;
    const clseq_tensor none = {0}, *x = l == 0 ? &args->x : &none;
    const clseq_tensor *numbers = clseq__rnn_reads_numbers(plan, l) ? x : &none;
    const clseq_tensor *y = l == plan->desc.layers - 1 ? &args->y : &none;
    clseq_tensor initial[CLSEQ_RNN_MAX_STATES], final[CLSEQ_RNN_MAX_STATES];
    for (int k = 0; k < CLSEQ_RNN_MAX_STATES; k++) {
        initial[k] = clseq__rnn_layer_state(&args->initial[k], l);
        final[k] = clseq__rnn_layer_state(&args->final[k], l);
    }
    const int64_t p = args->packed.offset, o = kept->offset;
    return clseq__launch(
        plan->ctx, data->forward, CLSEQ__GRID1((size_t)s.groups, 1),
        CLSEQ__ARGS(CLSEQ__I(shape->T), CLSEQ__I(shape->B), CLSEQ__I(clseq__rnn_input(plan, l)),
                    CLSEQ__I(plan->desc.hidden), CLSEQ__I(s.tc), TENSOR(args->lengths),
                    CLSEQ__M(args->packed.buffer), CLSEQ__L(p + w.x), CLSEQ__L(p + w.h), CLSEQ__L(p + w.bias),
                    TENSOR(*(numbers->buffer ? &none : x)), TENSOR(*numbers), CLSEQ__L(x->strides[0]),
                    CLSEQ__L(x->strides[1]), CLSEQ__M(kept->buffer), CLSEQ__L(o + at.x.at),
                    CLSEQ__L(at.x.chunk), CLSEQ__L(at.x_panel), CLSEQ__L(o + at.gates.at),
                    CLSEQ__L(at.gates.chunk), CLSEQ__L(o + at.state[0].at), CLSEQ__L(at.state[0].chunk),
                    CLSEQ__L(o + at.state[1].at), CLSEQ__L(at.state[1].chunk), TENSOR(initial[0]),
                    TENSOR(initial[1]), TENSOR(final[0]), TENSOR(final[1]), TENSOR(*y),
                    CLSEQ__L(y->strides[0]), CLSEQ__L(y->strides[1])));
}

clseq_status clseq__batch_split_forward(clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                        const clseq_rnn_forward_args *args)
{
    for (int64_t l = 0; l < plan->desc.layers; l++)
        CLSEQ__RETURN_IF(forward_layer(plan, shape, args, l));
    return CLSEQ_OK;
}

/* A sequence that a kernel reads, row-major or in panels; floats from one to the next. */
typedef struct sequence {
    clseq_tensor data;
    int64_t chunk, step, row, panel, columns;
} sequence;

/* What comes from above: the caller's dy, or the panels that the layer above left. */
static sequence dy_of(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                      const clseq_rnn_backward_args *args, int64_t l)
{
    const clseq__batch_split_shape s = clseq__batch_split_shape_of(plan, shape);
    const int64_t VW = plan->ctx->vector_width, *strides = args->dy.strides;
    if (l == plan->desc.layers - 1)
        return (sequence){.data = args->dy,
                          .chunk = s.tc * strides[0],
                          .step = strides[0],
                          .row = strides[1],
                          .panel = VW,
                          .columns = plan->desc.hidden};
    sequence from = {.data = args->workspace,
                     .chunk = s.panels * s.gate_panel,
                     .step = shape->B * VW,
                     .row = VW,
                     .panel = s.gate_panel,
                     .columns = s.panels * VW};
    from.data.offset += clseq__batch_split_scratch_of(plan, shape).dsequence;
    return from;
}

static clseq_status backward_steps(clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                   const clseq_rnn_backward_args *args, int64_t l)
{
    const clseq__batch_split *data = plan->data;
    const clseq__batch_split_shape s = clseq__batch_split_shape_of(plan, shape);
    const clseq__batch_split_packed w = clseq__batch_split_packed_of(plan, l);
    const clseq__batch_split_scratch room = clseq__batch_split_scratch_of(plan, shape);
    const layer_place at = clseq__batch_split_layer_of(plan, shape, l);
    const sequence dy = dy_of(plan, shape, args, l);
    const clseq_tensor none = {0}, *dx = l == 0 ? &args->dx : &none;
    clseq_tensor dfinal[CLSEQ_RNN_MAX_STATES], dinitial[CLSEQ_RNN_MAX_STATES];
    for (int k = 0; k < CLSEQ_RNN_MAX_STATES; k++) {
        dfinal[k] = clseq__rnn_layer_state(&args->dfinal[k], l);
        dinitial[k] = clseq__rnn_layer_state(&args->dinitial[k], l);
    }
    const int64_t p = args->packed.offset, o = args->reserve.offset, work = args->workspace.offset;
    const int64_t panels = l == 0 ? room.dx : room.dsequence,
                  chunk = l == 0 ? 0 : dy_of(plan, shape, args, l - 1).chunk;
    return clseq__launch(
        plan->ctx, data->backward, CLSEQ__GRID1((size_t)s.groups, 1),
        CLSEQ__ARGS(
            CLSEQ__I(shape->T), CLSEQ__I(shape->B), CLSEQ__I(clseq__rnn_input(plan, l)),
            CLSEQ__I(plan->desc.hidden), CLSEQ__I(s.tc), TENSOR(args->lengths), CLSEQ__M(args->packed.buffer),
            CLSEQ__L(p + w.dx), CLSEQ__L(p + w.dh), CLSEQ__M(args->reserve.buffer), CLSEQ__L(o + at.gates.at),
            CLSEQ__L(o + at.state[0].at), CLSEQ__L(o + at.state[1].at), TENSOR(dy.data), CLSEQ__L(dy.chunk),
            CLSEQ__L(dy.step), CLSEQ__L(dy.row), CLSEQ__L(dy.panel), CLSEQ__I(dy.columns), TENSOR(dfinal[0]),
            TENSOR(dfinal[1]), TENSOR(dinitial[0]), TENSOR(dinitial[1]), CLSEQ__M(args->workspace.buffer),
            CLSEQ__L(work + room.dstate[0]), CLSEQ__L(work + room.dstate[1]), CLSEQ__L(work + room.db),
            CLSEQ__I(l > 0 || dx->buffer != NULL), CLSEQ__L(work + panels), CLSEQ__L(chunk), TENSOR(*dx),
            CLSEQ__L(dx->strides[0]), CLSEQ__L(dx->strides[1])));
}

static clseq_status backward_weights(clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                     const clseq_rnn_backward_args *args, int64_t l)
{
    const clseq__batch_split *data = plan->data;
    const clseq__batch_split_shape s = clseq__batch_split_shape_of(plan, shape);
    const clseq__batch_split_scratch room = clseq__batch_split_scratch_of(plan, shape);
    const layer_place at = clseq__batch_split_layer_of(plan, shape, l);
    const clseq_rnn_weights *dw = args->dweights ? &args->dweights[l] : NULL;
    const clseq_tensor none = {0}, *numbers = clseq__rnn_reads_numbers(plan, l) ? &args->x : &none;
    const int64_t o = args->reserve.offset;
    if (!dw || !(dw->w_ih.buffer || dw->w_hh.buffer || dw->b_ih.buffer || dw->b_hh.buffer))
        return CLSEQ_OK;
    return clseq__launch(
        plan->ctx, data->weights, CLSEQ__GRID1((size_t)plan->ctx->groups, 1),
        CLSEQ__ARGS(
            CLSEQ__I(shape->T), CLSEQ__I(shape->B), CLSEQ__I(clseq__rnn_input(plan, l)),
            CLSEQ__I(plan->desc.hidden), CLSEQ__I(s.tc), CLSEQ__I(clseq__batch_split_block(plan, shape)),
            CLSEQ__I(!args->overwrite), CLSEQ__M(args->reserve.buffer), CLSEQ__L(o + at.gates.at),
            CLSEQ__L(o + at.x.at), CLSEQ__L(at.x_panel), CLSEQ__L(at.x.chunk), TENSOR(*numbers),
            CLSEQ__L(numbers->strides[0]), CLSEQ__L(numbers->strides[1]), CLSEQ__L(o + at.state[0].at),
            CLSEQ__M(args->workspace.buffer), CLSEQ__L(args->workspace.offset + room.db), CLSEQ__I(s.groups),
            CLSEQ__L(args->workspace.offset + room.by_number), TENSOR(dw->w_ih), TENSOR(dw->w_hh),
            TENSOR(dw->b_ih), TENSOR(dw->b_hh)));
}

clseq_status clseq__batch_split_backward(clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                         const clseq_rnn_backward_args *args)
{
    for (int64_t l = plan->desc.layers - 1; l >= 0; l--) {
        CLSEQ__RETURN_IF(backward_steps(plan, shape, args, l));
        CLSEQ__RETURN_IF(backward_weights(plan, shape, args, l));
    }
    return CLSEQ_OK;
}
