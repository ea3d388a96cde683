/* Forward pass of the schedule gemm_step. */
#include "core/error.h"
#include "rnn/gemm_step.h"

typedef clseq__gemm_step_pass pass;

/* C = A W^T + beta C, with the packed matrix at `w`. */
static clseq_status product(const pass *p, clseq_tensor a, int64_t w, float beta, clseq_tensor c)
{
    const clseq_tensor b = clseq__gemm_step_matrix(p->packed, w, c.dims[1], a.dims[1]);
    return clseq_gemm(p->ctx, &(clseq_gemm_desc){.transpose_b = true}, 1.0f, &a, &b, beta, &c);
}

/* The source of a norm in `steps` steps from t on, as rows of n numbers, and where its statistics go. */
static clseq_status statistics(const pass *p, int norm, int64_t t, int64_t steps)
{
    const clseq__norm *x = &p->cell->norm[norm];
    const int64_t first = t * p->r.B;
    const clseq_tensor from = clseq__gemm_step_slots(p, x->source, x->count, t, steps);
    const gemm_step_rows rows = {.rows = from.dims[0],
                                 .n = from.dims[1],
                                 .ld = from.strides[0],
                                 .at = from.offset,
                                 .out_ld = 2 * p->cell->norms,
                                 .out_at = p->r.statistics + (first * p->cell->norms + norm) * 2};
    const clseq__grid grid = clseq__gemm_step_row_grid(p->ctx, rows.rows);
    return clseq__launch(p->ctx, p->kernels[CLSEQ__GEMM_STEP_ROW_STATISTICS], grid,
                         CLSEQ__ARGS(CLSEQ__RECORD(&rows), CLSEQ__M(from.buffer), CLSEQ__M(p->kept),
                                     CLSEQ__LOCAL(grid.local[0] * sizeof(float))));
}

/* Slots of all steps without the products of their phases. */
static clseq_status project(const pass *p)
{
    const clseq__slots *input = &p->cell->input;
    const int64_t rows = p->r.T * p->r.B, width = p->cell->slots * p->r.H, n = input->count * p->r.H;
    CLSEQ__RETURN_IF(
        clseq__launch(p->ctx, p->kernels[CLSEQ__GEMM_STEP_FILL_ROWS], clseq__grid_for(p->ctx, rows * width),
                      CLSEQ__ARGS(CLSEQ__L(rows), CLSEQ__I(width), CLSEQ__M(p->packed), CLSEQ__L(p->r.bias),
                                  CLSEQ__M(p->kept), CLSEQ__L(p->r.slots))));
    if (p->layer->one_hot)
        CLSEQ__RETURN_IF(
            clseq__launch(p->ctx, p->kernels[CLSEQ__GEMM_STEP_ADD_COLUMNS], clseq__grid_for(p->ctx, rows * n),
                          CLSEQ__ARGS(CLSEQ__RECORD(&p->r), CLSEQ__M(p->lengths), CLSEQ__M(p->tokens),
                                      CLSEQ__M(p->packed), CLSEQ__M(p->kept))));
    else
        CLSEQ__RETURN_IF(product(p, p->x, p->r.w_ih, 1.0f,
                                 clseq__gemm_step_slots(p, input->slot, input->count, 0, p->r.T)));
    for (int k = 0; k < p->cell->norms; k++)
        if (clseq__gemm_step_is_ahead(p->cell, k))
            CLSEQ__RETURN_IF(statistics(p, k, 0, p->r.T));
    return CLSEQ_OK;
}

/* Phase number `number` of step t: its product, its norms, its map. */
static clseq_status run_phase(const pass *p, int number, int64_t t, cl_mem y)
{
    const clseq__phase *phase = &p->cell->phase[number];
    const clseq__slots *to = &phase->product;
    if (phase->operand != CLSEQ__OPERAND_NONE)
        CLSEQ__RETURN_IF(product(p, clseq__gemm_step_operand(p, phase, t, 1),
                                 clseq__gemm_step_w_hh(p, number), 1.0f,
                                 clseq__gemm_step_slots(p, to->slot, to->count, t, 1)));
    for (int k = phase->norm; k < phase->norm + phase->norms; k++)
        if (!clseq__gemm_step_is_ahead(p->cell, k))
            CLSEQ__RETURN_IF(statistics(p, k, t, 1));
    return clseq__launch(
        p->ctx, p->kernels[CLSEQ__GEMM_STEP_STEP_FORWARD], clseq__grid_for(p->ctx, p->r.B * p->r.H),
        CLSEQ__ARGS(CLSEQ__RECORD(&p->r), CLSEQ__L(t), CLSEQ__I(number), CLSEQ__M(p->lengths),
                    CLSEQ__M(p->packed), CLSEQ__M(p->kept), CLSEQ__M(p->h), CLSEQ__M(y)));
}

/* h' = m W_hr^T at step t, and y. */
static clseq_status project_output(const pass *p, int64_t t, cl_mem y)
{
    CLSEQ__RETURN_IF(
        product(p, clseq__gemm_step_m(p, t, 1), p->r.w_hr, 0.0f, clseq__gemm_step_after(p, 0, t, 1)));
    return clseq__launch(p->ctx, p->kernels[CLSEQ__GEMM_STEP_STEP_OUTPUT],
                         clseq__grid_for(p->ctx, p->r.B * p->r.O),
                         CLSEQ__ARGS(CLSEQ__RECORD(&p->r), CLSEQ__L(t), CLSEQ__M(p->lengths),
                                     CLSEQ__M(p->kept), CLSEQ__M(p->h), CLSEQ__M(y)));
}

/* Where states after a step are not those before the next one: they become so. */
static clseq_status carry_on(const pass *p, int64_t t)
{
    for (int s = 0; p->r.next > 1 && s < p->cell->states; s++) {
        const clseq_tensor from = clseq__gemm_step_after(p, s, t, 1),
                           to = clseq__gemm_step_before(p, s, t + 1, 1);
        CLSEQ__RETURN_IF(clseq__gemm_step_copy(p->ctx, from.buffer, from.offset, to.buffer, to.offset,
                                               clseq_tensor_elements(&from)));
    }
    return CLSEQ_OK;
}

static clseq_status forward_one(const clseq__layer_pass *args, const clseq__layer_forward *io)
{
    pass p = clseq__gemm_step_begin(args, false);
    const int states = p.cell->states;
    p.r.output = clseq__gemm_step_view(p.layer, &io->y);
    p.r.output.add = io->add_y;
    CLSEQ__RETURN_IF(clseq__gemm_step_load_x(&p, args));
    CLSEQ__RETURN_IF(project(&p));
    for (int s = 0; s < states; s++) {
        const clseq_tensor to = clseq__gemm_step_before(&p, s, 0, 1);
        CLSEQ__RETURN_IF(clseq__gemm_step_copy_or_zero(p.ctx, &io->initial[s], to.buffer, to.offset,
                                                       clseq_tensor_elements(&to)));
    }
    if (p.masks)
        CLSEQ__RETURN_IF(clseq__launch(p.ctx, p.kernels[CLSEQ__GEMM_STEP_MASK_INITIAL],
                                       clseq__grid_for(p.ctx, p.r.B * p.r.O),
                                       CLSEQ__ARGS(CLSEQ__RECORD(&p.r), CLSEQ__M(p.kept), CLSEQ__M(p.h))));
    for (int64_t t = 0; t < p.r.T; t++) {
        for (int k = 0; k < p.cell->phases; k++)
            CLSEQ__RETURN_IF(run_phase(&p, k, t, io->y.buffer));
        if (p.layer->is_projected)
            CLSEQ__RETURN_IF(project_output(&p, t, io->y.buffer));
        if (t < p.r.T - 1)
            CLSEQ__RETURN_IF(carry_on(&p, t));
    }
    for (int s = 0; s < states; s++) {
        const clseq_tensor from = clseq__gemm_step_after(&p, s, p.r.T - 1, 1);
        const clseq_tensor *to = &io->final[s];
        if (to->buffer)
            CLSEQ__RETURN_IF(clseq__gemm_step_copy(p.ctx, from.buffer, from.offset, to->buffer, to->offset,
                                                   clseq_tensor_elements(&from)));
    }
    return CLSEQ_OK;
}

clseq_status clseq__gemm_step_forward(const clseq__layer_pass *args, const clseq__layer_forward *io)
{
    for (int d = 0; d < args->layer->directions; d++)
        CLSEQ__RETURN_IF(forward_one(&args[d], &io[d]));
    return CLSEQ_OK;
}
