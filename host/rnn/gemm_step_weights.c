/* Weights in the schedule gemm_step, part by part: packing them, and their gradients. */
#include "core/error.h"
#include "linalg/reduce.h"
#include "rnn/gemm_step.h"

typedef clseq__gemm_step_pass pass;

/* Copies the gates of a weight, H rows of `row` floats each, in the order of the slots that take them. */
static clseq_status pack_gates(const pass *p, const clseq__slots *slots, const clseq_tensor *from,
                               int64_t row, int64_t to)
{
    clseq__slot_run runs[CLSEQ__MAX_GATES];
    const int count = clseq__slot_runs(slots, runs);
    const int64_t gate = p->r.H * row;
    for (int i = 0; i < count; i++)
        CLSEQ__RETURN_IF(clseq__gemm_step_copy(p->ctx, from->buffer, from->offset + runs[i].gate * gate,
                                               p->packed, to + (runs[i].slot - slots->slot) * gate,
                                               runs[i].count * gate));
    return CLSEQ_OK;
}

static clseq_status pack_input(const pass *p, const clseq__part *part, const clseq_tensor *weight)
{
    (void)part;
    return pack_gates(p, &p->cell->input, weight, p->r.in, p->r.w_ih);
}

static clseq_status pack_recurrent(const pass *p, const clseq__part *part, const clseq_tensor *weight)
{
    (void)part;
    for (int k = 0; k < p->cell->phases; k++)
        CLSEQ__RETURN_IF(
            pack_gates(p, &p->cell->phase[k].product, weight, p->r.O, clseq__gemm_step_w_hh(p, k)));
    return CLSEQ_OK;
}

static clseq_status pack_projection(const pass *p, const clseq__part *part, const clseq_tensor *weight)
{
    (void)part;
    return clseq__gemm_step_copy(p->ctx, weight->buffer, weight->offset, p->packed, p->r.w_hr,
                                 p->r.O * p->r.H);
}

/* Biases of the same slots add up. */
static clseq_status pack_slots(const pass *p, const clseq__part *part, const clseq_tensor *weight)
{
    clseq__slot_run runs[CLSEQ__MAX_GATES];
    const int count = clseq__slot_runs(&part->to, runs);
    for (int i = 0; i < count; i++) {
        const int64_t n = runs[i].count * p->r.H;
        CLSEQ__RETURN_IF(
            clseq__launch(p->ctx, p->kernels[CLSEQ__GEMM_STEP_ADD], clseq__grid_for(p->ctx, n),
                          CLSEQ__ARGS(CLSEQ__L(n), CLSEQ__M(weight->buffer),
                                      CLSEQ__L(weight->offset + runs[i].gate * p->r.H), CLSEQ__M(p->packed),
                                      CLSEQ__L(p->r.bias + runs[i].slot * p->r.H))));
    }
    return CLSEQ_OK;
}

static clseq_status pack_parameters(const pass *p, const clseq__part *part, const clseq_tensor *weight)
{
    return pack_gates(p, &part->to, weight, 1, p->r.parameters + part->to.slot * p->r.H);
}

/* dW [n][columns] = G^T X over all T*B rows, or += */
static clseq_status dmatrix(const pass *p, clseq_tensor g, clseq_tensor x, const clseq_tensor *dw,
                            int64_t row, bool overwrite)
{
    const int64_t columns = x.dims[1];
    const clseq_tensor c =
        clseq__gemm_step_matrix(dw->buffer, dw->offset + row * columns, g.dims[1], columns);
    return clseq_gemm(p->ctx, &(clseq_gemm_desc){.transpose_a = true}, 1.0f, &g, &x, overwrite ? 0.0f : 1.0f,
                      &c);
}

/* The gates of a matrix: runs of slots whose rows follow one another in it are taken together. */
static clseq_status dgates(const pass *p, const clseq__slots *slots, clseq_tensor x, const clseq_tensor *dw,
                           bool overwrite)
{
    clseq__slot_run runs[CLSEQ__MAX_GATES];
    const int count = clseq__slot_runs(slots, runs);
    for (int i = 0; i < count; i++)
        CLSEQ__RETURN_IF(dmatrix(p, clseq__gemm_step_slots(p, runs[i].slot, runs[i].count, 0, p->r.T), x, dw,
                                 runs[i].gate * p->r.H, overwrite));
    return CLSEQ_OK;
}

/* dW_ih of a layer that reads tokens. */
static clseq_status dcolumns(const pass *p, const clseq_tensor *dw, bool overwrite)
{
    clseq__slot_run runs[CLSEQ__MAX_GATES];
    const int count = clseq__slot_runs(&p->cell->input, runs);
    for (int i = 0; i < count; i++) {
        const int64_t rows = runs[i].count * p->r.H, row = runs[i].gate * p->r.H;
        CLSEQ__RETURN_IF(clseq__launch(
            p->ctx, p->kernels[CLSEQ__GEMM_STEP_SUM_COLUMNS], clseq__grid_for(p->ctx, rows),
            CLSEQ__ARGS(CLSEQ__RECORD(&p->r), CLSEQ__L(rows), CLSEQ__M(p->lengths), CLSEQ__M(p->tokens),
                        CLSEQ__M(p->kept),
                        CLSEQ__L(clseq__gemm_step_slots(p, runs[i].slot, runs[i].count, 0, p->r.T).offset),
                        CLSEQ__I(!overwrite), CLSEQ__M(dw->buffer), CLSEQ__L(dw->offset + row * p->r.in))));
    }
    return CLSEQ_OK;
}

static clseq_status dinput(const pass *p, const clseq__part *part, const clseq_tensor *dw, bool overwrite)
{
    (void)part;
    return p->layer->one_hot ? dcolumns(p, dw, overwrite) : dgates(p, &p->cell->input, p->x, dw, overwrite);
}

static clseq_status drecurrent(const pass *p, const clseq__part *part, const clseq_tensor *dw, bool overwrite)
{
    (void)part;
    for (int k = 0; k < p->cell->phases; k++) {
        const clseq__phase *phase = &p->cell->phase[k];
        if (phase->operand != CLSEQ__OPERAND_NONE)
            CLSEQ__RETURN_IF(
                dgates(p, &phase->product, clseq__gemm_step_operand(p, phase, 0, p->r.T), dw, overwrite));
    }
    return CLSEQ_OK;
}

static clseq_status dprojection(const pass *p, const clseq__part *part, const clseq_tensor *dw,
                                bool overwrite)
{
    (void)part;
    return dmatrix(p, clseq__gemm_step_doutput(p, 0, p->r.T), clseq__gemm_step_m(p, 0, p->r.T), dw, 0,
                   overwrite);
}

/* Sums the columns of a matrix whose column slot*H is that of `slots` number `slot`. */
static clseq_status dcolumn_sums(const pass *p, const clseq__slots *slots, clseq_tensor x,
                                 const clseq_tensor *dw, bool overwrite)
{
    clseq__slot_run runs[CLSEQ__MAX_GATES];
    const int count = clseq__slot_runs(slots, runs);
    const int64_t H = p->r.H;
    for (int i = 0; i < count; i++)
        CLSEQ__RETURN_IF(clseq__reduce_columns(p->ctx, x.buffer, x.offset + runs[i].slot * H, x.dims[0],
                                               runs[i].count * H, x.strides[0], dw->buffer,
                                               dw->offset + runs[i].gate * H, !overwrite));
    return CLSEQ_OK;
}

static clseq_status dslots(const pass *p, const clseq__part *part, const clseq_tensor *dw, bool overwrite)
{
    return dcolumn_sums(p, &part->to, clseq__gemm_step_slots(p, 0, p->cell->slots, 0, p->r.T), dw, overwrite);
}

static clseq_status dparameters(const pass *p, const clseq__part *part, const clseq_tensor *dw,
                                bool overwrite)
{
    return dcolumn_sums(
        p, &part->to,
        clseq__gemm_step_matrix(p->kept, p->r.dparameters, p->r.B, p->cell->parameters * p->r.H), dw,
        overwrite);
}

/* By role. */
static const struct {
    clseq_status (*pack)(const pass *p, const clseq__part *part, const clseq_tensor *weight);
    clseq_status (*gradient)(const pass *p, const clseq__part *part, const clseq_tensor *dw, bool overwrite);
} roles[] = {
    [CLSEQ__PART_INPUT] = {pack_input, dinput},
    [CLSEQ__PART_RECURRENT] = {pack_recurrent, drecurrent},
    [CLSEQ__PART_PROJECTION] = {pack_projection, dprojection},
    [CLSEQ__PART_SLOTS] = {pack_slots, dslots},
    [CLSEQ__PART_PARAMETERS] = {pack_parameters, dparameters},
};

clseq_status clseq__gemm_step_pack(const clseq__layer_pass *args, const clseq_tensor *weights)
{
    const pass p = clseq__gemm_step_begin(args, false);
    const clseq__rnn_layer *layer = p.layer;
    CLSEQ__RETURN_IF(clseq__gemm_step_zero(p.ctx, p.packed, p.r.bias, p.cell->slots * p.r.H));
    for (int i = 0; i < layer->part_count; i++)
        CLSEQ__RETURN_IF(roles[layer->parts[i].role].pack(&p, &layer->parts[i], &weights[i]));
    return CLSEQ_OK;
}

static clseq_status weights_of(const clseq__layer_pass *args, const clseq__layer_weights *io)
{
    const clseq__rnn_layer *layer = args->layer;
    pass p = clseq__gemm_step_begin(args, true);
    CLSEQ__RETURN_IF(clseq__gemm_step_load_x(&p, args));
    for (int i = 0; i < layer->part_count; i++)
        if (io->dweights[i].buffer)
            CLSEQ__RETURN_IF(
                roles[layer->parts[i].role].gradient(&p, &layer->parts[i], &io->dweights[i], io->overwrite));
    return CLSEQ_OK;
}

clseq_status clseq__gemm_step_weights(const clseq__layer_pass *args, const clseq__layer_weights *io)
{
    for (int d = 0; d < args->layer->directions; d++)
        CLSEQ__RETURN_IF(weights_of(&args[d], &io[d]));
    return CLSEQ_OK;
}
