/* Layouts of gemm_step, and what its passes have in common. */
#include "rnn/gemm_step.h"

clseq__gemm_step_packed clseq__gemm_step_packed_of(const clseq_rnn_plan *plan, int64_t layer)
{
    const int64_t H = plan->desc.hidden, rows = plan->cell->gates * H;
    const int64_t rest = rows * H + plan->cell->slots * H;
    const int64_t first = rows * plan->desc.input + rest, other = rows * H + rest;
    clseq__gemm_step_packed at;
    at.w_ih = layer == 0 ? 0 : first + (layer - 1) * other;
    at.w_hh = at.w_ih + rows * clseq__rnn_input(plan, layer);
    at.bias = at.w_hh + rows * H;
    at.end = at.bias + plan->cell->slots * H;
    return at;
}

int64_t clseq__gemm_step_layer_size(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape)
{
    const int64_t T = shape->T, row = shape->B * plan->desc.hidden;
    return (T * plan->cell->slots + (T + 1) * plan->cell->states) * row;
}

clseq__gemm_step_pass clseq__gemm_step_begin(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                             const clseq_tensor *packed, const clseq_tensor *lengths)
{
    const clseq__gemm_step *data = plan->data;
    const int64_t H = plan->desc.hidden;
    return (clseq__gemm_step_pass){.plan = plan,
                                   .ctx = plan->ctx,
                                   .kernels = data->kernels,
                                   .T = shape->T,
                                   .B = shape->B,
                                   .H = H,
                                   .width = plan->cell->slots * H,
                                   .state = shape->B * H,
                                   .lengths = lengths,
                                   .packed = packed->buffer,
                                   .packed_offset = packed->offset};
}

void clseq__gemm_step_enter(clseq__gemm_step_pass *p, int64_t layer, cl_mem kept, int64_t offset)
{
    const clseq__gemm_step_packed at = clseq__gemm_step_packed_of(p->plan, layer);
    const int64_t o = p->packed_offset;
    p->layer = layer;
    p->weights = (clseq__gemm_step_packed){o + at.w_ih, o + at.w_hh, o + at.bias, o + at.end};
    p->kept = kept;
    p->gates = offset;
    p->states = offset + p->T * p->B * p->width;
}

int64_t clseq__gemm_step_state(const clseq__gemm_step_pass *p, int s, int64_t t)
{
    return p->states + (s * (p->T + 1) + t) * p->state;
}

clseq_matrix clseq__gemm_step_outputs(const clseq__gemm_step_pass *p)
{
    return (clseq_matrix){.buffer = p->kept, .offset = clseq__gemm_step_state(p, 0, 1), .ld = p->H};
}

clseq_matrix clseq__gemm_step_gates(const clseq__gemm_step_pass *p, int slot, int64_t t)
{
    return (clseq_matrix){
        .buffer = p->kept, .offset = p->gates + t * p->B * p->width + slot * p->H, .ld = p->width};
}

bool clseq__gemm_step_is_matrix(const clseq_tensor *x, int64_t *ld)
{
    const int64_t T = x->dims[0], B = x->dims[1], F = x->dims[2];
    *ld = B > 1 ? x->strides[1] : T > 1 ? x->strides[0] : F;
    return *ld >= F && (B == 1 || T == 1 || x->strides[0] == B * x->strides[1]);
}

int64_t clseq__gemm_step_x_row(const clseq_rnn_plan *plan)
{
    return plan->desc.one_hot ? 0 : plan->desc.input;
}

clseq_status clseq__gemm_step_load_x(clseq__gemm_step_pass *p, const clseq_tensor *x, cl_mem room,
                                     int64_t room_offset)
{
    if (p->plan->desc.one_hot) {
        p->numbers = *x;
        return CLSEQ_OK;
    }
    p->x = (clseq_matrix){.buffer = x->buffer, .offset = x->offset};
    if (!p->lengths->buffer && clseq__gemm_step_is_matrix(x, &p->x.ld))
        return CLSEQ_OK;
    const clseq_tensor copy = clseq_tensor_view(room, room_offset, CLSEQ_DTYPE_F32, 3, x->dims);
    p->x = (clseq_matrix){.buffer = room, .offset = room_offset, .ld = x->dims[2]};
    return clseq__gemm_step_copy_sequence(p, p->lengths, x, &copy);
}

clseq_status clseq__gemm_step_copy_sequence(const clseq__gemm_step_pass *p, const clseq_tensor *lengths,
                                            const clseq_tensor *from, const clseq_tensor *to)
{
    const int64_t F = from->dims[2];
    return clseq__launch(
        p->ctx, p->kernels[CLSEQ__GEMM_STEP_COPY_SEQUENCE], clseq__grid_for(p->ctx, p->T * p->B * F),
        CLSEQ__ARGS(CLSEQ__L(p->T), CLSEQ__I(p->B), CLSEQ__I(F), CLSEQ__M(lengths->buffer),
                    CLSEQ__L(lengths->offset), CLSEQ__M(from->buffer), CLSEQ__L(from->offset),
                    CLSEQ__L(from->strides[0]), CLSEQ__L(from->strides[1]), CLSEQ__M(to->buffer),
                    CLSEQ__L(to->offset), CLSEQ__L(to->strides[0]), CLSEQ__L(to->strides[1])));
}

clseq_status clseq__gemm_step_copy(clseq_context *ctx, cl_mem from, int64_t from_offset, cl_mem to,
                                   int64_t to_offset, int64_t n)
{
    return clseq__copy_bytes(ctx, from, (size_t)from_offset * sizeof(float), to,
                             (size_t)to_offset * sizeof(float), (size_t)n * sizeof(float));
}

clseq_status clseq__gemm_step_zero(clseq_context *ctx, cl_mem buffer, int64_t offset, int64_t n)
{
    return clseq__fill_bytes(ctx, buffer, (size_t)offset * sizeof(float), (size_t)n * sizeof(float), 0);
}
