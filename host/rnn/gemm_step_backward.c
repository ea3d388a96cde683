/* Backward pass of the schedule gemm_step. */
#include "core/error.h"
#include "linalg/reduce.h"
#include "rnn/gemm_step.h"

typedef clseq__gemm_step_pass pass;

/* The workspace: x again (see load_x), gradients of a sequence, gradients of the states between two steps. */
typedef struct scratch {
    cl_mem buffer;
    int64_t x, sequence, states;
} scratch;

static scratch scratch_of(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape, const clseq_tensor *room)
{
    const int64_t rows = shape->T * shape->B, I = clseq__gemm_step_x_row(plan), H = plan->desc.hidden;
    const int64_t widest = plan->desc.layers > 1 && H > I ? H : I;
    return (scratch){.buffer = room->buffer,
                     .x = room->offset,
                     .sequence = room->offset + rows * I,
                     .states = room->offset + rows * (I + widest)};
}

/* Gate gradients of step t in place of its activations. */
static clseq_status step_gates(const pass *p, const scratch *room, int64_t t, const clseq_tensor *dy,
                               const clseq_tensor dfinal[CLSEQ_RNN_MAX_STATES])
{
    return clseq__launch(
        p->ctx, p->kernels[CLSEQ__GEMM_STEP_STEP_BACKWARD], clseq__grid_for(p->ctx, p->state),
        CLSEQ__ARGS(CLSEQ__I(p->T), CLSEQ__I(p->B), CLSEQ__I(p->H), CLSEQ__I(t), CLSEQ__M(p->lengths->buffer),
                    CLSEQ__L(p->lengths->offset), CLSEQ__M(p->kept),
                    CLSEQ__L(clseq__gemm_step_gates(p, 0, t).offset), CLSEQ__M(p->kept),
                    CLSEQ__L(clseq__gemm_step_state(p, 0, t)), CLSEQ__L((p->T + 1) * p->state),
                    CLSEQ__M(dy->buffer), CLSEQ__L(dy->offset + t * dy->strides[0]), CLSEQ__L(dy->strides[1]),
                    CLSEQ__M(dfinal[0].buffer), CLSEQ__L(dfinal[0].offset), CLSEQ__M(dfinal[1].buffer),
                    CLSEQ__L(dfinal[1].offset), CLSEQ__M(room->buffer), CLSEQ__L(room->states)));
}

/* C = dG W, or C += dG W: gradients of what was multiplied by a packed matrix of `columns` columns. */
static clseq_status product_back(const pass *p, int64_t rows, clseq_matrix gates, int64_t w, int64_t columns,
                                 float beta, clseq_matrix c)
{
    return clseq_gemm(p->ctx, &(clseq_gemm_args){.m = rows,
                                                 .n = columns,
                                                 .k = p->plan->cell->gates * p->H,
                                                 .alpha = 1.0f,
                                                 .beta = beta,
                                                 .a = gates,
                                                 .b = {.buffer = p->packed, .offset = w, .ld = columns},
                                                 .c = c});
}

/* All steps of a layer, last to first; afterwards the scratch holds the gradients of the initial states. */
static clseq_status steps(const pass *p, const scratch *room, const clseq_tensor *dy,
                          const clseq_tensor dfinal[CLSEQ_RNN_MAX_STATES], bool want_dh)
{
    const clseq__cell *cell = p->plan->cell;
    const clseq_matrix dh = {.buffer = room->buffer, .offset = room->states, .ld = p->H};
    CLSEQ__RETURN_IF(clseq__gemm_step_zero(p->ctx, room->buffer, room->states, cell->states * p->state));
    for (int64_t t = p->T - 1; t >= 0; t--) {
        CLSEQ__RETURN_IF(step_gates(p, room, t, dy, dfinal));
        if (t > 0 || want_dh)
            CLSEQ__RETURN_IF(product_back(p, p->B, clseq__gemm_step_gates(p, cell->h_slot, t),
                                          p->weights.w_hh, p->H, cell->carries_h ? 1.0f : 0.0f, dh));
    }
    return CLSEQ_OK;
}

static clseq_status store_dinitial(const pass *p, const scratch *room,
                                   const clseq_tensor dfinal[CLSEQ_RNN_MAX_STATES],
                                   const clseq_tensor dinitial[CLSEQ_RNN_MAX_STATES])
{
    for (int s = 0; s < p->plan->cell->states; s++)
        if (dinitial[s].buffer)
            CLSEQ__RETURN_IF(clseq__launch(
                p->ctx, p->kernels[CLSEQ__GEMM_STEP_DINITIAL], clseq__grid_for(p->ctx, p->state),
                CLSEQ__ARGS(CLSEQ__I(p->B), CLSEQ__I(p->H), CLSEQ__M(p->lengths->buffer),
                            CLSEQ__L(p->lengths->offset), CLSEQ__M(dfinal[s].buffer),
                            CLSEQ__L(dfinal[s].offset), CLSEQ__M(room->buffer),
                            CLSEQ__L(room->states + s * p->state), CLSEQ__M(dinitial[s].buffer),
                            CLSEQ__L(dinitial[s].offset))));
    return CLSEQ_OK;
}

/*
 * Gradients of one weight matrix and its bias: dW = dG^T X, db = column sums of dG, over all T*B rows. Runs of
 * slots whose rows follow one another in the matrix are taken together.
 */
static clseq_status weight_gradients(const pass *p, int slot, const int *map, clseq_matrix x, int64_t columns,
                                     const clseq_tensor *dw, const clseq_tensor *db, bool overwrite)
{
    clseq__cell_run runs[CLSEQ__MAX_SLOTS];
    const int count = clseq__cell_runs(p->plan->cell, slot, map, runs);
    for (int i = 0; i < count; i++) {
        const int64_t row = runs[i].gate * p->H, rows = runs[i].count * p->H;
        clseq_matrix gates = clseq__gemm_step_gates(p, runs[i].first, 0);
        gates.transpose = true;
        if (dw->buffer)
            CLSEQ__RETURN_IF(clseq_gemm(p->ctx, &(clseq_gemm_args){.m = rows,
                                                                   .n = columns,
                                                                   .k = p->T * p->B,
                                                                   .alpha = 1.0f,
                                                                   .beta = overwrite ? 0.0f : 1.0f,
                                                                   .a = gates,
                                                                   .b = x,
                                                                   .c = {.buffer = dw->buffer,
                                                                         .offset = dw->offset + row * columns,
                                                                         .ld = columns}}));
        if (db->buffer)
            CLSEQ__RETURN_IF(clseq__reduce_columns(p->ctx, gates.buffer, gates.offset, p->T * p->B, rows,
                                                   gates.ld, db->buffer, db->offset + row, !overwrite));
    }
    return CLSEQ_OK;
}

/* dW_ih of a layer that reads numbers. */
static clseq_status number_gradients(const pass *p, const clseq_tensor *dw, bool overwrite)
{
    const clseq_matrix gates = clseq__gemm_step_gates(p, p->plan->cell->x_slot, 0);
    return clseq__launch(
        p->ctx, p->kernels[CLSEQ__GEMM_STEP_SUM_COLUMNS],
        clseq__grid_for(p->ctx, p->plan->cell->gates * p->H),
        CLSEQ__ARGS(CLSEQ__L(p->T), CLSEQ__I(p->B), CLSEQ__I(p->H), CLSEQ__I(p->plan->desc.input),
                    CLSEQ__M(p->numbers.buffer), CLSEQ__L(p->numbers.offset), CLSEQ__L(p->numbers.strides[0]),
                    CLSEQ__L(p->numbers.strides[1]), CLSEQ__M(gates.buffer), CLSEQ__L(gates.offset),
                    CLSEQ__I(!overwrite), CLSEQ__M(dw->buffer), CLSEQ__L(dw->offset)));
}

/* Gradients of what the layer read: of the layer below into the scratch, of x where the caller wants it. */
static clseq_status input_gradients(const pass *p, const scratch *room, const clseq_tensor *dx)
{
    const int64_t in = clseq__rnn_input(p->plan, p->layer), dims[] = {p->T, p->B, in};
    const clseq_tensor dense = clseq_tensor_view(room->buffer, room->sequence, CLSEQ_DTYPE_F32, 3, dims);
    clseq_matrix to = {.buffer = room->buffer, .offset = room->sequence, .ld = in};
    const bool first = p->layer == 0;
    int64_t ld = 0;
    if (first && !dx->buffer)
        return CLSEQ_OK;
    const bool direct = first && clseq__gemm_step_is_matrix(dx, &ld);
    if (direct)
        to = (clseq_matrix){.buffer = dx->buffer, .offset = dx->offset, .ld = ld};
    CLSEQ__RETURN_IF(product_back(p, p->T * p->B, clseq__gemm_step_gates(p, p->plan->cell->x_slot, 0),
                                  p->weights.w_ih, in, 0.0f, to));
    return first && !direct ? clseq__gemm_step_copy_sequence(p, &(clseq_tensor){0}, &dense, dx) : CLSEQ_OK;
}

static clseq_status layer_backward(const pass *p, const scratch *room, const clseq_tensor *dy,
                                   const clseq_rnn_backward_args *args)
{
    static const clseq_rnn_weights no_weights = {{0}, {0}, {0}, {0}};
    static const clseq_tensor none = {0};
    const clseq_rnn_weights *dw = args->dweights ? &args->dweights[p->layer] : &no_weights;
    const clseq__cell *cell = p->plan->cell;
    const clseq_matrix h = {.buffer = p->kept, .offset = clseq__gemm_step_state(p, 0, 0), .ld = p->H};
    clseq_tensor dfinal[CLSEQ_RNN_MAX_STATES], dinitial[CLSEQ_RNN_MAX_STATES];
    for (int s = 0; s < CLSEQ_RNN_MAX_STATES; s++) {
        dfinal[s] = clseq__rnn_layer_state(&args->dfinal[s], p->layer);
        dinitial[s] = clseq__rnn_layer_state(&args->dinitial[s], p->layer);
    }
    CLSEQ__RETURN_IF(steps(p, room, dy, dfinal, dinitial[0].buffer));
    CLSEQ__RETURN_IF(store_dinitial(p, room, dfinal, dinitial));
    const bool numbers = clseq__rnn_reads_numbers(p->plan, p->layer);
    if (numbers && dw->w_ih.buffer)
        CLSEQ__RETURN_IF(number_gradients(p, &dw->w_ih, args->overwrite));
    CLSEQ__RETURN_IF(weight_gradients(p, cell->x_slot, cell->x_gates, p->x,
                                      clseq__rnn_input(p->plan, p->layer), numbers ? &none : &dw->w_ih,
                                      &dw->b_ih, args->overwrite));
    CLSEQ__RETURN_IF(
        weight_gradients(p, cell->h_slot, cell->h_gates, h, p->H, &dw->w_hh, &dw->b_hh, args->overwrite));
    return input_gradients(p, room, &args->dx);
}

clseq_status clseq__gemm_step_backward(clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                       const clseq_rnn_backward_args *args)
{
    pass p = clseq__gemm_step_begin(plan, shape, &args->packed, &args->lengths);
    const scratch room = scratch_of(plan, shape, &args->workspace);
    const int64_t size = clseq__gemm_step_layer_size(plan, shape), dims[] = {p.T, p.B, p.H};
    const clseq_tensor from_above = clseq_tensor_view(room.buffer, room.sequence, CLSEQ_DTYPE_F32, 3, dims);
    const clseq_tensor *dy = &args->dy;
    for (int64_t l = plan->desc.layers - 1; l >= 0; l--) {
        if (l > 0) {
            clseq__gemm_step_enter(&p, l - 1, args->reserve.buffer, args->reserve.offset + (l - 1) * size);
            p.x = clseq__gemm_step_outputs(&p);
        } else {
            CLSEQ__RETURN_IF(clseq__gemm_step_load_x(&p, &args->x, room.buffer, room.x));
        }
        clseq__gemm_step_enter(&p, l, args->reserve.buffer, args->reserve.offset + l * size);
        CLSEQ__RETURN_IF(layer_backward(&p, &room, dy, args));
        dy = &from_above;
    }
    return CLSEQ_OK;
}
