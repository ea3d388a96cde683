/* Layouts of gemm_step, and what its passes have in common. */
#include "rnn/draws.h"
#include "rnn/gemm_step.h"

_Static_assert(GEMM_STEP_STATES == CLSEQ__MAX_STATES, "the record has a place for each state");

typedef clseq__gemm_step_pass pass;

/* The place of the next n floats. */
static int64_t take(int64_t *end, int64_t n)
{
    const int64_t at = *end;
    *end += n;
    return at;
}

gemm_step_layer clseq__gemm_step_layer_of(const clseq__rnn_layer *layer, const clseq_rnn_shape *shape)
{
    return (gemm_step_layer){.T = shape->T,
                             .B = shape->B,
                             .in = layer->input,
                             .H = layer->hidden,
                             .O = layer->output,
                             .next = shape->in_pieces ? shape->T : 1,
                             .quantity = shape->T * shape->B * layer->hidden};
}

int64_t clseq__gemm_step_place_packed(const clseq__rnn_layer *layer, int64_t at, gemm_step_layer *r)
{
    const clseq__cell *cell = layer->cell;
    int64_t end = at;
    r->w_ih = take(&end, cell->input.count * r->H * r->in);
    r->w_hh = end;
    for (int p = 0; p < cell->phases; p++)
        take(&end, cell->phase[p].product.count * r->H * r->O);
    r->w_hr = take(&end, layer->is_projected ? r->O * r->H : 0);
    r->bias = take(&end, cell->slots * r->H);
    r->parameters = take(&end, cell->parameters * r->H);
    return end;
}

int64_t clseq__gemm_step_place_kept(const clseq__rnn_layer *layer, const clseq_rnn_shape *shape, int64_t at,
                                    gemm_step_layer *r)
{
    const clseq__cell *cell = layer->cell;
    const int64_t rows = r->T * r->B;
    int64_t end = at;
    r->slots = take(&end, rows * cell->slots * r->H);
    for (int s = 0; s < cell->states; s++)
        r->states[s] = take(&end, (r->next + r->T) * r->B * clseq__rnn_state_width(layer, s));
    r->quantities = take(&end, cell->quantities * rows * r->H);
    r->m = take(&end, layer->is_projected ? rows * r->H : 0);
    r->statistics = take(&end, cell->norms * rows * 2);
    r->masked = take(&end, layer->extras.recurrent_dropout > 0 ? (r->T + 1) * r->B * r->O : 0);
    if (shape->mode == CLSEQ_MODE_TRAINING) {
        r->dparameters = take(&end, cell->parameters * r->B * r->H);
        r->doutput = take(&end, layer->is_projected ? rows * r->O : 0);
    }
    return end;
}

int64_t clseq__gemm_step_place_scratch(const clseq__rnn_layer *layer, bool backward, int64_t at,
                                       gemm_step_layer *r)
{
    const clseq__cell *cell = layer->cell;
    int64_t end = at;
    r->sequence = take(&end, layer->one_hot ? 0 : r->T * r->B * r->in);
    if (!backward)
        return end;
    for (int s = 0; s < cell->states; s++)
        r->dstates[s] = take(&end, r->B * clseq__rnn_state_width(layer, s));
    r->dquantities = take(&end, cell->quantities * r->B * r->H);
    r->dm = take(&end, layer->is_projected ? r->B * r->H : 0);
    r->dmasked = take(&end, layer->extras.recurrent_dropout > 0 ? r->B * r->O : 0);
    return end;
}

/* The places of steps from `first` on, of which there are `count`. */
static void begin_at(const clseq__rnn_layer *layer, int64_t first, int64_t count, gemm_step_layer *r)
{
    const int64_t rows = first * r->B;
    r->slots += rows * layer->cell->slots * r->H;
    for (int s = 0; s < layer->cell->states; s++)
        r->states[s] += rows * clseq__rnn_state_width(layer, s);
    r->quantities += rows * r->H;
    r->m += rows * r->H;
    r->statistics += rows * layer->cell->norms * 2;
    r->masked += rows * r->O;
    r->doutput += rows * r->O;
    r->T = count;
}

pass clseq__gemm_step_begin(const clseq__layer_pass *args, bool backward)
{
    const clseq__rnn_layer *layer = args->layer;
    const clseq__gemm_step *data = args->data;
    const bool training = args->shape.mode == CLSEQ_MODE_TRAINING;
    pass p = {.layer = layer,
              .cell = layer->cell,
              .ctx = layer->ctx,
              .kernels = data->kernels,
              .lengths = args->lengths.buffer,
              .packed = args->packed_forward.buffer,
              .scratch = args->workspace.buffer,
              .kept = training ? args->reserve.buffer : args->workspace.buffer,
              .r = clseq__gemm_step_layer_of(layer, &args->shape)};
    p.r.lengths = args->lengths.offset;
    p.r.values = clseq__cell_values_of(args);
    clseq__gemm_step_place_packed(layer, args->packed_forward.at, &p.r);
    const int64_t end = clseq__gemm_step_place_scratch(layer, backward, args->workspace.at, &p.r);
    clseq__gemm_step_place_kept(layer, &args->shape, training ? args->reserve.at : end, &p.r);
    begin_at(layer, args->first, args->count, &p.r);
    p.h = p.kept;
    p.masks = training && layer->extras.recurrent_dropout > 0;
    if (!training && args->chain.buffer) {
        p.h = args->chain.buffer;
        p.r.states[0] = args->chain.at;
    }
    return p;
}

clseq_tensor clseq__gemm_step_matrix(cl_mem buffer, int64_t at, int64_t rows, int64_t columns)
{
    return clseq_tensor_view(buffer, at, CLSEQ_DTYPE_F32, 2, (int64_t[]){rows, columns});
}

/* `steps` times B rows without gaps, from those of step t on. */
static clseq_tensor steps_of(const pass *p, cl_mem buffer, int64_t at, int64_t width, int64_t t,
                             int64_t steps)
{
    return clseq__gemm_step_matrix(buffer, at + t * p->r.B * width, steps * p->r.B, width);
}

clseq_tensor clseq__gemm_step_before(const pass *p, int s, int64_t t, int64_t steps)
{
    return steps_of(p, s == 0 ? p->h : p->kept, p->r.states[s], clseq__rnn_state_width(p->layer, s), t,
                    steps);
}

clseq_tensor clseq__gemm_step_after(const pass *p, int s, int64_t t, int64_t steps)
{
    return clseq__gemm_step_before(p, s, t + p->r.next, steps);
}

clseq_tensor clseq__gemm_step_slots(const pass *p, int slot, int count, int64_t t, int64_t steps)
{
    const clseq_tensor all = steps_of(p, p->kept, p->r.slots, p->cell->slots * p->r.H, t, steps);
    return clseq_tensor_slice(&all, 1, slot * p->r.H, count * p->r.H);
}

clseq_tensor clseq__gemm_step_operand(const pass *p, const clseq__phase *phase, int64_t t, int64_t steps)
{
    if (phase->operand == CLSEQ__OPERAND_H)
        return p->masks ? steps_of(p, p->kept, p->r.masked, p->r.O, t, steps)
                        : clseq__gemm_step_before(p, 0, t, steps);
    return steps_of(p, p->kept, p->r.quantities + phase->operand * p->r.quantity, p->r.H, t, steps);
}

clseq_tensor clseq__gemm_step_doperand(const pass *p, const clseq__phase *phase)
{
    if (phase->operand == CLSEQ__OPERAND_H)
        return steps_of(p, p->scratch, p->masks ? p->r.dmasked : p->r.dstates[0], p->r.O, 0, 1);
    return steps_of(p, p->scratch, p->r.dquantities, p->r.H, phase->operand, 1);
}

clseq_tensor clseq__gemm_step_m(const pass *p, int64_t t, int64_t steps)
{
    return steps_of(p, p->kept, p->r.m, p->r.H, t, steps);
}

clseq_tensor clseq__gemm_step_doutput(const pass *p, int64_t t, int64_t steps)
{
    return steps_of(p, p->kept, p->r.doutput, p->r.O, t, steps);
}

int64_t clseq__gemm_step_w_hh(const pass *p, int phase)
{
    int64_t rows = 0;
    for (int k = 0; k < phase; k++)
        rows += p->cell->phase[k].product.count * p->r.H;
    return p->r.w_hh + rows * p->r.O;
}

bool clseq__gemm_step_is_ahead(const clseq__cell *cell, int k)
{
    const clseq__norm *norm = &cell->norm[k];
    const clseq__slots *input = &cell->input;
    bool ahead = norm->source >= input->slot && norm->source + norm->count <= input->slot + input->count;
    for (int i = 0; i < cell->phases; i++) {
        const clseq__slots *product = &cell->phase[i].product;
        ahead = ahead && (norm->source + norm->count <= product->slot ||
                          product->slot + product->count <= norm->source);
    }
    return ahead;
}

gemm_step_view clseq__gemm_step_view(const clseq__rnn_layer *layer, const clseq_tensor *rows)
{
    return (gemm_step_view){
        .at = rows->offset, .t = rows->strides[0], .b = rows->strides[1], .reverse = layer->reverse};
}

gemm_step_view clseq__gemm_step_dense(const pass *p, int64_t at, int64_t width)
{
    return (gemm_step_view){.at = at, .t = p->r.B * width, .b = width};
}

bool clseq__gemm_step_is_matrix(const clseq__rnn_layer *layer, const clseq_tensor *x, clseq_tensor *out)
{
    const int64_t T = x->dims[0], B = x->dims[1], F = x->dims[2];
    const int64_t ld = B > 1 ? x->strides[1] : T > 1 ? x->strides[0] : F;
    *out = clseq__gemm_step_matrix(x->buffer, x->offset, T * B, F);
    out->strides[0] = ld;
    return ld >= F && (B == 1 || T == 1 || x->strides[0] == B * x->strides[1]) && !(layer->reverse && T > 1);
}

clseq_status clseq__gemm_step_load_x(pass *p, const clseq__layer_pass *args)
{
    const clseq_tensor *x = &args->x.rows;
    const clseq__place *chained = &args->x.chained;
    if (p->layer->one_hot) {
        p->tokens = x->buffer;
        p->r.tokens = clseq__gemm_step_view(p->layer, x);
        return CLSEQ_OK;
    }
    if (chained->buffer) {
        p->x = steps_of(p, chained->buffer, chained->at, p->r.in, 0, p->r.T);
        return CLSEQ_OK;
    }
    if (!p->lengths && clseq__gemm_step_is_matrix(p->layer, x, &p->x))
        return CLSEQ_OK;
    p->x = steps_of(p, p->scratch, p->r.sequence, p->r.in, 0, p->r.T);
    return clseq__gemm_step_copy_sequence(p, x->buffer, clseq__gemm_step_view(p->layer, x), p->scratch,
                                          clseq__gemm_step_dense(p, p->r.sequence, p->r.in));
}

clseq_status clseq__gemm_step_copy_sequence(const pass *p, cl_mem from_buffer, gemm_step_view from,
                                            cl_mem to_buffer, gemm_step_view to)
{
    const gemm_step_copy copy = {
        .T = p->r.T, .B = p->r.B, .F = p->r.in, .lengths = p->r.lengths, .from = from, .to = to};
    return clseq__launch(
        p->ctx, p->kernels[CLSEQ__GEMM_STEP_COPY_SEQUENCE], clseq__grid_for(p->ctx, copy.T * copy.B * copy.F),
        CLSEQ__ARGS(CLSEQ__RECORD(&copy), CLSEQ__M(p->lengths), CLSEQ__M(from_buffer), CLSEQ__M(to_buffer)));
}

clseq__grid clseq__gemm_step_row_grid(const clseq_context *ctx, int64_t rows)
{
    clseq__grid grid = clseq__grid_for(ctx, 1);
    const int64_t most = (int64_t)ctx->traits.groups * (ctx->traits.is_cpu ? 4 : 16);
    grid.groups[0] = (size_t)(rows < most ? rows : most);
    return grid;
}

clseq_status clseq__gemm_step_copy(clseq_context *ctx, cl_mem from, int64_t from_at, cl_mem to, int64_t to_at,
                                   int64_t n)
{
    return clseq__copy_bytes(ctx, from, (size_t)from_at * sizeof(float), to, (size_t)to_at * sizeof(float),
                             (size_t)n * sizeof(float));
}

clseq_status clseq__gemm_step_zero(clseq_context *ctx, cl_mem buffer, int64_t at, int64_t n)
{
    return clseq__fill_bytes(ctx, buffer, (size_t)at * sizeof(float), (size_t)n * sizeof(float), 0);
}

clseq_status clseq__gemm_step_copy_or_zero(clseq_context *ctx, const clseq_tensor *from, cl_mem to,
                                           int64_t to_at, int64_t n)
{
    return from->buffer ? clseq__gemm_step_copy(ctx, from->buffer, from->offset, to, to_at, n)
                        : clseq__gemm_step_zero(ctx, to, to_at, n);
}
