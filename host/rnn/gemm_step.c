/* The schedule gemm_step: its plan, packing and forward pass. gemm_step.h tells how it works. */
#include "rnn/gemm_step.h"
#include "core/error.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

typedef clseq__gemm_step_pass pass;

static bool applicable(const clseq_context *ctx, const clseq_rnn_desc *desc, const char **why)
{
    (void)ctx;
    (void)desc;
    *why = "it runs on every device";
    return true;
}

static clseq_status create(clseq_rnn_plan *plan)
{
    static const char *const names[] = {
#define NAME(enumerator, name) name,
        CLSEQ__GEMM_STEP_KERNELS(NAME)
#undef NAME
    };
    clseq_status status = CLSEQ_OK;
    clseq__gemm_step *data = calloc(1, sizeof *data);
    if (!data)
        return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "rnn plan: no memory");
    for (int i = 0; i < CLSEQ__GEMM_STEP_KERNEL_COUNT; i++)
        CLSEQ__TRY(
            clseq__kernel_get(plan->ctx, "rnn/gemm_step.cl", plan->options, names[i], &data->kernels[i]));
    plan->data = data;
    data = NULL;
done:
    free(data);
    return status;
}

static void destroy(clseq_rnn_plan *plan)
{
    free(plan->data);
    plan->data = NULL;
}

static void sizes(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape, clseq_rnn_sizes *out)
{
    const int64_t T = shape->T, rows = T * shape->B, H = plan->desc.hidden, I = clseq__gemm_step_x_row(plan);
    const int64_t L = plan->desc.layers, gates = plan->cell->gates, states = plan->cell->states;
    const bool training = shape->mode == CLSEQ_MODE_TRAINING;
    const int64_t kept = clseq__gemm_step_layer_size(plan, shape);
    const int64_t gradients = rows * (L > 1 && H > I ? H : I) + states * shape->B * H;
    out->packed = clseq__gemm_step_packed_of(plan, L - 1).end;
    out->reserve = training ? L * kept : 1;
    out->workspace = rows * I + (training ? gradients : kept);
    /* x; bias and projection, states in and out, steps */
    out->launches_forward = 1 + L * (2 + 2 * states + 2 * T);
    /* x and dx; steps, zeros and dinitial, dx, two products and two column sums (of two kernels) a gate */
    out->launches_backward = 2 + L * (2 * T + 2 * states + 1 + 6 * gates);
}

/* Copies the blocks of a weight matrix, whose rows have `row` elements, in the order of the slots. */
static clseq_status pack_matrix(const clseq_rnn_plan *plan, const int *map, const clseq_tensor *from,
                                int64_t row, cl_mem to, int64_t to_offset)
{
    clseq__cell_run runs[CLSEQ__MAX_SLOTS];
    const int count = clseq__cell_runs(plan->cell, 0, map, runs);
    const int64_t block = plan->desc.hidden * row;
    for (int i = 0; i < count; i++)
        CLSEQ__RETURN_IF(clseq__gemm_step_copy(plan->ctx, from->buffer, from->offset + runs[i].gate * block,
                                               to, to_offset + runs[i].first * block, runs[i].count * block));
    return CLSEQ_OK;
}

static clseq_status pack(clseq_rnn_plan *plan, const clseq_rnn_shape *shape, const clseq_rnn_weights *weights,
                         const clseq_tensor *packed)
{
    const clseq__gemm_step *data = plan->data;
    const clseq__cell *cell = plan->cell;
    const int64_t H = plan->desc.hidden, o = packed->offset;
    (void)shape;
    for (int64_t l = 0; l < plan->desc.layers; l++) {
        const clseq_rnn_weights *w = &weights[l];
        const clseq__gemm_step_packed at = clseq__gemm_step_packed_of(plan, l);
        CLSEQ__RETURN_IF(pack_matrix(plan, cell->x_gates, &w->w_ih, clseq__rnn_input(plan, l), packed->buffer,
                                     o + at.w_ih));
        CLSEQ__RETURN_IF(pack_matrix(plan, cell->h_gates, &w->w_hh, H, packed->buffer, o + at.w_hh));
        CLSEQ__RETURN_IF(clseq__launch(
            plan->ctx, data->kernels[CLSEQ__GEMM_STEP_PACK_BIAS], clseq__grid_for(plan->ctx, cell->slots * H),
            CLSEQ__ARGS(CLSEQ__I(H), CLSEQ__M(w->b_ih.buffer), CLSEQ__L(w->b_ih.offset),
                        CLSEQ__M(w->b_hh.buffer), CLSEQ__L(w->b_hh.offset), CLSEQ__M(packed->buffer),
                        CLSEQ__L(o + at.bias))));
    }
    return CLSEQ_OK;
}

/* C += A W^T, with the gates as C and packed weights of `in` columns as W. */
static clseq_status add_product(const pass *p, int64_t rows, clseq_matrix a, int64_t in, int64_t w,
                                clseq_matrix gates)
{
    return clseq_gemm(p->ctx,
                      &(clseq_gemm_args){.m = rows,
                                         .n = p->plan->cell->gates * p->H,
                                         .k = in,
                                         .alpha = 1.0f,
                                         .beta = 1.0f,
                                         .a = a,
                                         .b = {.buffer = p->packed, .offset = w, .ld = in, .transpose = true},
                                         .c = gates});
}

/* Pre-activations of all steps without their recurrent part. */
static clseq_status project(const pass *p)
{
    const int64_t rows = p->T * p->B;
    CLSEQ__RETURN_IF(clseq__launch(
        p->ctx, p->kernels[CLSEQ__GEMM_STEP_FILL_ROWS], clseq__grid_for(p->ctx, rows * p->width),
        CLSEQ__ARGS(CLSEQ__L(rows), CLSEQ__I(p->width), CLSEQ__M(p->packed), CLSEQ__L(p->weights.bias),
                    CLSEQ__M(p->kept), CLSEQ__L(p->gates))));
    if (clseq__rnn_reads_numbers(p->plan, p->layer)) {
        const clseq_matrix gates = clseq__gemm_step_gates(p, p->plan->cell->x_slot, 0);
        return clseq__launch(
            p->ctx, p->kernels[CLSEQ__GEMM_STEP_ADD_COLUMNS],
            clseq__grid_for(p->ctx, rows * p->plan->cell->gates * p->H),
            CLSEQ__ARGS(CLSEQ__L(rows), CLSEQ__I(p->B), CLSEQ__I(p->H), CLSEQ__I(p->plan->desc.input),
                        CLSEQ__M(p->lengths->buffer), CLSEQ__L(p->lengths->offset),
                        CLSEQ__M(p->numbers.buffer), CLSEQ__L(p->numbers.offset),
                        CLSEQ__L(p->numbers.strides[0]), CLSEQ__L(p->numbers.strides[1]), CLSEQ__M(p->packed),
                        CLSEQ__L(p->weights.w_ih), CLSEQ__M(gates.buffer), CLSEQ__L(gates.offset)));
    }
    return add_product(p, rows, p->x, clseq__rnn_input(p->plan, p->layer), p->weights.w_ih,
                       clseq__gemm_step_gates(p, p->plan->cell->x_slot, 0));
}

static clseq_status step(const pass *p, int64_t t, const clseq_tensor *y)
{
    const clseq_matrix h = {.buffer = p->kept, .offset = clseq__gemm_step_state(p, 0, t), .ld = p->H};
    CLSEQ__RETURN_IF(
        add_product(p, p->B, h, p->H, p->weights.w_hh, clseq__gemm_step_gates(p, p->plan->cell->h_slot, t)));
    return clseq__launch(p->ctx, p->kernels[CLSEQ__GEMM_STEP_STEP_FORWARD], clseq__grid_for(p->ctx, p->state),
                         CLSEQ__ARGS(CLSEQ__I(p->B), CLSEQ__I(p->H), CLSEQ__I(t),
                                     CLSEQ__M(p->lengths->buffer), CLSEQ__L(p->lengths->offset),
                                     CLSEQ__M(p->kept), CLSEQ__L(clseq__gemm_step_gates(p, 0, t).offset),
                                     CLSEQ__M(p->kept), CLSEQ__L(h.offset), CLSEQ__L((p->T + 1) * p->state),
                                     CLSEQ__M(y->buffer), CLSEQ__L(y->offset + t * y->strides[0]),
                                     CLSEQ__L(y->strides[1])));
}

static clseq_status layer_forward(const pass *p, const clseq_rnn_forward_args *args)
{
    const clseq_tensor none = {0};
    const bool top = p->layer == p->plan->desc.layers - 1;
    CLSEQ__RETURN_IF(project(p));
    for (int s = 0; s < p->plan->cell->states; s++) {
        const clseq_tensor initial = clseq__rnn_layer_state(&args->initial[s], p->layer);
        const int64_t to = clseq__gemm_step_state(p, s, 0);
        if (initial.buffer)
            CLSEQ__RETURN_IF(
                clseq__gemm_step_copy(p->ctx, initial.buffer, initial.offset, p->kept, to, p->state));
        else
            CLSEQ__RETURN_IF(clseq__gemm_step_zero(p->ctx, p->kept, to, p->state));
    }
    for (int64_t t = 0; t < p->T; t++)
        CLSEQ__RETURN_IF(step(p, t, top ? &args->y : &none));
    for (int s = 0; s < p->plan->cell->states; s++) {
        const clseq_tensor final = clseq__rnn_layer_state(&args->final[s], p->layer);
        if (final.buffer)
            CLSEQ__RETURN_IF(clseq__gemm_step_copy(p->ctx, p->kept, clseq__gemm_step_state(p, s, p->T),
                                                   final.buffer, final.offset, p->state));
    }
    return CLSEQ_OK;
}

static clseq_status forward(clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                            const clseq_rnn_forward_args *args)
{
    pass p = clseq__gemm_step_begin(plan, shape, &args->packed, &args->lengths);
    const bool training = shape->mode == CLSEQ_MODE_TRAINING;
    const clseq_tensor *room = &args->workspace, *kept = training ? &args->reserve : room;
    /* In inference the layers follow x in the workspace, each in the place of the one below. */
    const int64_t first = training ? 0 : p.T * p.B * clseq__gemm_step_x_row(plan);
    const int64_t next = training ? clseq__gemm_step_layer_size(plan, shape) : 0;
    CLSEQ__RETURN_IF(clseq__gemm_step_load_x(&p, &args->x, room->buffer, room->offset));
    for (int64_t l = 0; l < plan->desc.layers; l++) {
        clseq__gemm_step_enter(&p, l, kept->buffer, kept->offset + first + l * next);
        CLSEQ__RETURN_IF(layer_forward(&p, args));
        p.x = clseq__gemm_step_outputs(&p);
    }
    return CLSEQ_OK;
}

static void describe(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape, char *text, size_t size)
{
    snprintf(text, size,
             "a layer: one product of [%" PRId64 ",in] by [in,%" PRId64 "], then %" PRId64
             " times one of [%" PRId64 ",%" PRId64 "] by [%" PRId64 ",%" PRId64 "] and a pointwise kernel\n",
             shape->T * shape->B, plan->cell->gates * plan->desc.hidden, shape->T, shape->B,
             plan->desc.hidden, plan->desc.hidden, plan->cell->gates * plan->desc.hidden);
}

const clseq__rnn_schedule clseq__rnn_gemm_step = {.name = "gemm_step",
                                                  .id = CLSEQ_SCHEDULE_GEMM_STEP,
                                                  .applicable = applicable,
                                                  .create = create,
                                                  .destroy = destroy,
                                                  .sizes = sizes,
                                                  .pack = pack,
                                                  .forward = forward,
                                                  .backward = clseq__gemm_step_backward,
                                                  .describe = describe};
