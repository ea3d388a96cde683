/* What the calls of attention are made of. */
#include "attention/pass.h"
#include "core/error.h"
#include <clseq/gemm.h>
#include <string.h>

/* A buffer of bytes in floats. */
static int64_t floats_of(const clseq_tensor *bytes)
{
    return bytes->offset / (int64_t)sizeof(float);
}

/* Moves all places from `from` on, up to `to`, which is not one of them, on by so many floats. */
static void move(int64_t *from, const int64_t *to, int64_t by)
{
    for (; from < to; from++)
        *from += by;
}

clseq__attention_pass clseq__attention_begin(const clseq_attention_plan *plan,
                                             const clseq_attention_shape *shape, const clseq_tensor *weights,
                                             const clseq_tensor *memory, const clseq_tensor *reserve,
                                             const clseq_tensor *workspace, int64_t first, int64_t count)
{
    const bool training = shape->mode == CLSEQ_MODE_TRAINING;
    const clseq_tensor *kept = training ? reserve : workspace;
    clseq__attention_pass p = {.plan = plan,
                               .ctx = plan->ctx,
                               .weights = weights,
                               .T = shape->T,
                               .S = shape->S,
                               .B = shape->B,
                               .first = first,
                               .count = count ? count : shape->T,
                               .row = training ? first : 0,
                               .memory = memory->buffer,
                               .kept = kept->buffer,
                               .scratch = workspace->buffer};
    clseq__attention_place(plan, shape, &p.at);
    move(&p.at.keys, &p.at.memory_end, floats_of(memory));
    move(&p.at.queries, &p.at.dscores, floats_of(kept));
    move(&p.at.dscores, &p.at.scratch_end, floats_of(workspace));
    return p;
}

attention_rows clseq__attention_rows_of(const clseq_tensor *x)
{
    return (attention_rows){x->offset, {x->strides[0], x->strides[1]}};
}

attention_rows clseq__attention_packed_rows(int64_t at, int64_t inner, int64_t width)
{
    return (attention_rows){at, {inner * width, width}};
}

clseq_tensor clseq__attention_view(cl_mem buffer, int64_t at, int64_t i, int64_t j, int64_t n, int64_t width)
{
    clseq_tensor view = clseq_tensor_view(buffer, at, CLSEQ_DTYPE_F32, 3, (int64_t[]){i, j, n});
    view.strides[0] = j * width;
    view.strides[1] = width;
    return view;
}

attention_record clseq__attention_record_of(const clseq__attention_pass *p, int64_t t, int64_t count)
{
    const clseq_attention_plan *plan = p->plan;
    const clseq__attention_places *at = &p->at;
    const int64_t row = (p->row + t - p->first) * p->B, D = plan->desc.window_radius;
    attention_record r = {.T = count,
                          .S = p->S,
                          .B = p->B,
                          .value = plan->desc.value,
                          .units = plan->units_row,
                          .first = t,
                          .radius = D,
                          .vector = at->vector,
                          .counts = at->counts,
                          .lengths = at->lengths,
                          .dvector = at->dvector,
                          .carried = at->dbefore,
                          .window = (cl_int)plan->desc.window,
                          .rate = plan->desc.window_rate};
    /* 1 / (2 sigma^2), sigma = D/2 */
    r.sharpness = D ? (float)(2.0 / ((double)D * (double)D)) : 0.0f;
    r.queries = clseq__attention_packed_rows(at->projected + row * plan->units_row, p->B, plan->units_row);
    r.keys = clseq__attention_packed_rows(at->keys, p->S, plan->units_row);
    r.values = clseq__attention_packed_rows(at->values, p->S, plan->value_row);
    r.alignment = clseq__attention_packed_rows(at->alignment + row * p->S, p->B, p->S);
    r.centres = clseq__attention_packed_rows(at->centres + row, p->B, 1);
    r.context = clseq__attention_packed_rows(at->dcontext + row * plan->value_row, p->B, plan->value_row);
    r.dscores = clseq__attention_packed_rows(at->dscores + (t - p->first) * p->B * p->S, p->B, p->S);
    r.dqueries = clseq__attention_packed_rows(at->dprojected + row * plan->units_row, p->B, plan->units_row);
    r.dkeys = clseq__attention_packed_rows(at->dkeys, p->S, plan->units_row);
    return r;
}

clseq_status clseq__attention_copy(clseq_context *ctx, clseq__kernel *kernel, const clseq_tensor *x,
                                   cl_mem counts, int64_t counts_at, cl_mem to, attention_rows rows,
                                   int64_t padded)
{
    const attention_rows from = clseq__attention_rows_of(x);
    return clseq__launch(ctx, kernel, clseq__grid_for(ctx, x->dims[0] * x->dims[1] * padded),
                         CLSEQ__ARGS(CLSEQ__L(x->dims[0]), CLSEQ__L(x->dims[1]), CLSEQ__L(x->dims[2]),
                                     CLSEQ__L(padded), CLSEQ__M(x->buffer), CLSEQ__RECORD(&from),
                                     CLSEQ__M(counts), CLSEQ__L(counts_at), CLSEQ__M(to),
                                     CLSEQ__RECORD(&rows)));
}

clseq_status clseq__attention_fill(clseq_context *ctx, clseq__kernel *kernel, int64_t rows,
                                   const clseq_tensor *x, int64_t padded, cl_mem to, int64_t at)
{
    return clseq__launch(ctx, kernel, clseq__grid_for(ctx, rows * padded),
                         CLSEQ__ARGS(CLSEQ__L(rows), CLSEQ__L(x->buffer ? x->dims[0] : 0), CLSEQ__L(padded),
                                     CLSEQ__M(x->buffer), CLSEQ__L(x->offset), CLSEQ__M(to), CLSEQ__L(at)));
}

clseq_status clseq__attention_counts(clseq_context *ctx, clseq__kernel *kernel, int64_t S, int64_t B,
                                     const clseq_tensor *lengths, const clseq_tensor *mask, cl_mem to,
                                     int64_t counts_at, int64_t lengths_at)
{
    return clseq__launch(
        ctx, kernel, clseq__grid_for(ctx, S * B),
        CLSEQ__ARGS(CLSEQ__L(S), CLSEQ__L(B), CLSEQ__M(lengths->buffer), CLSEQ__L(lengths->offset),
                    CLSEQ__M(mask->buffer), CLSEQ__L(mask->offset), CLSEQ__L(mask->strides[0]),
                    CLSEQ__L(mask->strides[1]), CLSEQ__M(to), CLSEQ__L(counts_at), CLSEQ__L(lengths_at)));
}

/* Whether each row of a product is summed in an order that does not depend on how many rows there are: the native kernels'. */
static bool rows_are_independent(const clseq_context *ctx)
{
    return ctx->traits.is_cpu && strcmp(ctx->gemm_wish, "clblast") != 0;
}

bool clseq__attention_is_even(const clseq_tensor *x)
{
    return x->dims[0] == 1 || x->strides[0] == x->dims[1] * x->strides[1];
}

/* Rows [i,j,n] that lie evenly as a matrix. */
static clseq_tensor matrix_of(const clseq_tensor *x)
{
    clseq_tensor m = clseq_tensor_view(x->buffer, x->offset, x->dtype, 2,
                                       (int64_t[]){x->dims[0] * x->dims[1], x->dims[2]});
    m.strides[0] = x->dims[1] == 1 ? x->strides[0] : x->strides[1];
    return m;
}

clseq_status clseq__attention_product(clseq_context *ctx, const clseq_tensor *a, const clseq_tensor *w,
                                      bool transpose_w, float beta, const clseq_tensor *c)
{
    const clseq_gemm_desc desc = {.transpose_b = transpose_w};
    const bool at_once =
        rows_are_independent(ctx) && clseq__attention_is_even(a) && clseq__attention_is_even(c);
    for (int64_t t = 0; t < (at_once ? 1 : c->dims[0]); t++) {
        const clseq_tensor a_rows = at_once ? *a : clseq_tensor_slice(a, 0, t, 1);
        const clseq_tensor c_rows = at_once ? *c : clseq_tensor_slice(c, 0, t, 1);
        const clseq_tensor x = matrix_of(&a_rows), y = matrix_of(&c_rows);
        CLSEQ__RETURN_IF(clseq_gemm(ctx, &desc, 1.0f, &x, w, beta, &y));
    }
    return CLSEQ_OK;
}

clseq_status clseq__attention_outer(clseq_context *ctx, const clseq_tensor *a, const clseq_tensor *b,
                                    float beta, const clseq_tensor *c)
{
    const clseq_tensor x = matrix_of(a), y = matrix_of(b);
    return clseq_gemm(ctx, &(clseq_gemm_desc){.transpose_a = true}, 1.0f, &x, &y, beta, c);
}

clseq_status clseq__attention_clear(const clseq__attention_pass *p)
{
    const size_t size = sizeof(float);
    return clseq__fill_bytes(p->ctx, p->kept, (size_t)p->at.dkeys * size,
                             (size_t)(p->at.reserve_end - p->at.dkeys) * size, 0);
}
