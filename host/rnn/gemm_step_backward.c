/* Backward pass of the schedule gemm_step. */
#include "core/error.h"
#include "rnn/gemm_step.h"

typedef clseq__gemm_step_pass pass;

/* C = G W + beta C: what reaches the operand of a product with the packed matrix at `w`, from the gradients of its
 * result. */
static clseq_status product_back(const pass *p, clseq_tensor g, int64_t w, float beta, clseq_tensor c)
{
    const clseq_tensor b = clseq__gemm_step_matrix(p->packed, w, g.dims[1], c.dims[1]);
    return clseq_gemm(p->ctx, NULL, 1.0f, &g, &b, beta, &c);
}

/* A norm of `steps` steps from t on. */
static clseq_status norm_back(const pass *p, int norm, int64_t t, int64_t steps)
{
    const int64_t rows = steps * p->r.B;
    const clseq__grid grid = clseq__gemm_step_row_grid(p->ctx, rows);
    return clseq__launch(p->ctx, p->kernels[CLSEQ__GEMM_STEP_NORM_BACKWARD], grid,
                         CLSEQ__ARGS(CLSEQ__RECORD(&p->r), CLSEQ__L(t * p->r.B), CLSEQ__L(rows),
                                     CLSEQ__I(norm), CLSEQ__M(p->packed), CLSEQ__M(p->kept),
                                     CLSEQ__LOCAL(grid.local[0] * sizeof(float))));
}

/* Phase number `number` of step t: its map, its norms, its product. `last`: what it read needs no gradient. */
static clseq_status phase_back(const pass *p, int number, int64_t t, cl_mem dy, bool last)
{
    const clseq__phase *phase = &p->cell->phase[number];
    const clseq__slots *from = &phase->product;
    CLSEQ__RETURN_IF(clseq__launch(p->ctx, p->kernels[CLSEQ__GEMM_STEP_STEP_BACKWARD],
                                   clseq__grid_for(p->ctx, p->r.B * p->r.H),
                                   CLSEQ__ARGS(CLSEQ__RECORD(&p->r), CLSEQ__L(t), CLSEQ__I(number),
                                               CLSEQ__M(p->lengths), CLSEQ__M(p->packed), CLSEQ__M(p->kept),
                                               CLSEQ__M(p->h), CLSEQ__M(dy), CLSEQ__M(p->scratch))));
    for (int k = phase->norm; k < phase->norm + phase->norms; k++)
        if (!clseq__gemm_step_is_ahead(p->cell, k))
            CLSEQ__RETURN_IF(norm_back(p, k, t, 1));
    if (phase->operand == CLSEQ__OPERAND_NONE || (phase->operand == CLSEQ__OPERAND_H && last))
        return CLSEQ_OK;
    const bool masks = p->masks && phase->operand == CLSEQ__OPERAND_H;
    CLSEQ__RETURN_IF(product_back(p, clseq__gemm_step_slots(p, from->slot, from->count, t, 1),
                                  clseq__gemm_step_w_hh(p, number), masks ? 0.0f : 1.0f,
                                  clseq__gemm_step_doperand(p, phase)));
    if (!masks)
        return CLSEQ_OK;
    return clseq__launch(p->ctx, p->kernels[CLSEQ__GEMM_STEP_MASK_GRADIENT],
                         clseq__grid_for(p->ctx, p->r.B * p->r.O),
                         CLSEQ__ARGS(CLSEQ__RECORD(&p->r), CLSEQ__M(p->scratch)));
}

/* dm = dh' W_hr at step t. */
static clseq_status project_back(const pass *p, int64_t t, cl_mem dy)
{
    const clseq_tensor dm = clseq__gemm_step_matrix(p->scratch, p->r.dm, p->r.B, p->r.H);
    CLSEQ__RETURN_IF(clseq__launch(p->ctx, p->kernels[CLSEQ__GEMM_STEP_STEP_DOUTPUT],
                                   clseq__grid_for(p->ctx, p->r.B * p->r.O),
                                   CLSEQ__ARGS(CLSEQ__RECORD(&p->r), CLSEQ__L(t), CLSEQ__M(p->lengths),
                                               CLSEQ__M(dy), CLSEQ__M(p->kept), CLSEQ__M(p->scratch))));
    return product_back(p, clseq__gemm_step_doutput(p, t, 1), p->r.w_hr, 0.0f, dm);
}

/* All steps, last to first; afterwards the scratch holds the gradients of the initial states. `begins`: no piece has gone back
 * before. */
static clseq_status steps_back(const pass *p, const clseq__layer_backward *io, cl_mem dy, bool begins)
{
    const clseq__cell *cell = p->cell;
    const int64_t H = p->r.H;
    for (int s = 0; s < cell->states; s++)
        CLSEQ__RETURN_IF(clseq__gemm_step_copy_or_zero(p->ctx, &io->dfinal[s], p->scratch, p->r.dstates[s],
                                                       p->r.B * clseq__rnn_state_width(p->layer, s)));
    CLSEQ__RETURN_IF(
        clseq__gemm_step_zero(p->ctx, p->scratch, p->r.dquantities, cell->quantities * p->r.B * H));
    if (begins)
        CLSEQ__RETURN_IF(
            clseq__gemm_step_zero(p->ctx, p->kept, p->r.dparameters, cell->parameters * p->r.B * H));
    for (int64_t t = p->r.T - 1; t >= 0; t--) {
        if (p->layer->is_projected)
            CLSEQ__RETURN_IF(project_back(p, t, dy));
        for (int k = cell->phases - 1; k >= 0; k--)
            CLSEQ__RETURN_IF(phase_back(p, k, t, dy, t == 0 && !io->dinitial[0].buffer));
    }
    for (int k = 0; k < cell->norms; k++)
        if (clseq__gemm_step_is_ahead(cell, k))
            CLSEQ__RETURN_IF(norm_back(p, k, 0, p->r.T));
    return CLSEQ_OK;
}

static clseq_status store_dinitial(const pass *p, const clseq_tensor *dinitial)
{
    for (int s = 0; s < p->cell->states; s++)
        if (dinitial[s].buffer)
            CLSEQ__RETURN_IF(clseq__gemm_step_copy(p->ctx, p->scratch, p->r.dstates[s], dinitial[s].buffer,
                                                   dinitial[s].offset,
                                                   p->r.B * clseq__rnn_state_width(p->layer, s)));
    return CLSEQ_OK;
}

/* Gradients of what the layer read: at once where they go, or by way of the scratch. */
static clseq_status input_gradients(const pass *p, const clseq__layer_backward *io)
{
    const clseq_tensor *rows = &io->dx.rows;
    const clseq__place *chained = &io->dx.chained;
    const clseq__slots *input = &p->cell->input;
    const int64_t in = p->r.in, T = p->r.T;
    clseq_tensor to = {0};
    if (!chained->buffer && !rows->buffer)
        return CLSEQ_OK;
    const bool direct = !chained->buffer && clseq__gemm_step_is_matrix(p->layer, rows, &to);
    if (chained->buffer)
        to = clseq__gemm_step_matrix(chained->buffer, chained->at, T * p->r.B, in);
    else if (!direct)
        to = clseq__gemm_step_matrix(p->scratch, p->r.sequence, T * p->r.B, in);
    CLSEQ__RETURN_IF(product_back(p, clseq__gemm_step_slots(p, input->slot, input->count, 0, T), p->r.w_ih,
                                  direct && io->add_dx ? 1.0f : 0.0f, to));
    if (chained->buffer || direct)
        return CLSEQ_OK;
    gemm_step_view view = clseq__gemm_step_view(p->layer, rows);
    view.add = io->add_dx;
    return clseq__gemm_step_copy_sequence(p, p->scratch, clseq__gemm_step_dense(p, to.offset, in),
                                          rows->buffer, view);
}

static clseq_status backward_one(const clseq__layer_pass *args, const clseq__layer_backward *io)
{
    pass p = clseq__gemm_step_begin(args, true);
    const clseq__place *chained = &io->dy.chained;
    p.r.output = chained->buffer ? clseq__gemm_step_dense(&p, chained->at, p.r.O)
                                 : clseq__gemm_step_view(p.layer, &io->dy.rows);
    CLSEQ__RETURN_IF(
        steps_back(&p, io, chained->buffer ? chained->buffer : io->dy.rows.buffer, !args->goes_on));
    CLSEQ__RETURN_IF(store_dinitial(&p, io->dinitial));
    return input_gradients(&p, io);
}

clseq_status clseq__gemm_step_backward(const clseq__layer_pass *args, const clseq__layer_backward *io)
{
    for (int d = 0; d < args->layer->directions; d++)
        CLSEQ__RETURN_IF(backward_one(&args[d], &io[d]));
    return CLSEQ_OK;
}
