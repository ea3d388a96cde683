/*
 * Scores that see where was looked before: for one query after another the keys get U f(s) added, f being features of `before`,
 * and take the place of the keys.
 */
#include "attention/pass.h"
#include "core/error.h"
#include <clseq/gemm.h>

/* Where `before` of query t is, and what is looked at before the pass's first query. */
static int64_t before_at(const clseq__attention_pass *p, int64_t t)
{
    return p->at.before + (p->row + t - p->first) * p->B * p->S;
}

static attention_location record_of(const clseq__attention_pass *p, int64_t t)
{
    const clseq_attention_desc *desc = &p->plan->desc;
    return (attention_location){.S = p->S,
                                .B = p->B,
                                .C = desc->location_channels,
                                .width = desc->location_width,
                                .before = before_at(p, t)};
}

/* A matrix without gaps between its rows of `width` numbers. */
static clseq_tensor matrix(cl_mem buffer, int64_t at, int64_t rows, int64_t columns, int64_t width)
{
    clseq_tensor m = clseq_tensor_view(buffer, at, CLSEQ_DTYPE_F32, 2, (int64_t[]){rows, columns});
    m.strides[0] = width;
    return m;
}

static clseq_tensor features_of(const clseq__attention_pass *p, int64_t at)
{
    const int64_t C = p->plan->desc.location_channels;
    return matrix(p->scratch, at, p->B * p->S, C, C);
}

clseq_status clseq__attention_locate_again(const clseq__attention_pass *p, int64_t t)
{
    const clseq_attention_plan *plan = p->plan;
    const int64_t keys = p->B * p->S, size = (int64_t)sizeof(float);
    const clseq_tensor filter = clseq__attention_weight_of(plan, p->weights, CLSEQ__ROLE_FILTER);
    const clseq_tensor u = clseq__attention_weight_of(plan, p->weights, CLSEQ__ROLE_LOCATION);
    const clseq_tensor f = features_of(p, p->at.features);
    const clseq_tensor near = matrix(p->scratch, p->at.near, keys, plan->units, plan->units_row);
    attention_location r = record_of(p, t);
    r.filter = filter.offset;
    r.features = p->at.features;
    CLSEQ__RETURN_IF(clseq__launch(
        p->ctx, plan->kernels[CLSEQ__ATTENTION_FEATURES], clseq__grid_for(p->ctx, keys * r.C * r.width),
        CLSEQ__ARGS(CLSEQ__RECORD(&r), CLSEQ__M(filter.buffer), CLSEQ__M(p->kept), CLSEQ__M(p->scratch))));
    CLSEQ__RETURN_IF(clseq__copy_bytes(p->ctx, p->memory, (size_t)(p->at.keys * size), p->scratch,
                                       (size_t)(p->at.near * size), (size_t)(keys * plan->units_row * size)));
    return clseq_gemm(p->ctx, &(clseq_gemm_desc){.transpose_b = true}, 1.0f, &f, &u, 1.0f, &near);
}

/* What was looked at before the pass's first query. */
static clseq_status begin(const clseq__attention_pass *p, const clseq_tensor *initial)
{
    const clseq_tensor to =
        clseq_tensor_view(p->kept, before_at(p, p->first), CLSEQ_DTYPE_F32, 2, (int64_t[]){p->B, p->S});
    return initial->buffer ? clseq_tensor_copy(p->ctx, initial, &to) : clseq_tensor_fill(p->ctx, &to, 0);
}

static clseq_status keep(const clseq__attention_pass *p, int64_t t)
{
    const int64_t n = p->B * p->S;
    const attention_record r = clseq__attention_record_of(p, t, 1);
    return clseq__launch(p->ctx, p->plan->kernels[CLSEQ__ATTENTION_BEFORE], clseq__grid_for(p->ctx, n),
                         CLSEQ__ARGS(CLSEQ__L(n), CLSEQ__I(p->plan->desc.location_sums), CLSEQ__M(p->kept),
                                     CLSEQ__L(r.alignment.at), CLSEQ__M(p->kept), CLSEQ__L(before_at(p, t)),
                                     CLSEQ__M(p->kept), CLSEQ__L(before_at(p, t + 1))));
}

clseq_status clseq__attention_locate(const clseq__attention_pass *p, const clseq_attention_forward_args *args)
{
    const int64_t end = p->first + p->count;
    if (p->row == 0)
        CLSEQ__RETURN_IF(begin(p, &args->initial));
    for (int64_t t = p->first; t < end; t++) {
        CLSEQ__RETURN_IF(clseq__attention_locate_again(p, t));
        CLSEQ__RETURN_IF(clseq__attention_ask(p, t, 1, p->scratch, p->at.near, args));
        CLSEQ__RETURN_IF(keep(p, t));
    }
    if (!args->final.buffer)
        return CLSEQ_OK;
    const clseq_tensor after =
        clseq_tensor_view(p->kept, before_at(p, end), CLSEQ_DTYPE_F32, 2, (int64_t[]){p->B, p->S});
    return clseq_tensor_copy(p->ctx, &after, &args->final);
}

/* dkeys += dnear, and on to weights and features. */
static clseq_status take_apart(const clseq__attention_pass *p)
{
    const clseq_attention_plan *plan = p->plan;
    const int64_t keys = p->B * p->S, n = keys * plan->units_row, C = plan->desc.location_channels;
    const clseq_tensor u = clseq__attention_weight_of(plan, p->weights, CLSEQ__ROLE_LOCATION);
    const clseq_tensor f = features_of(p, p->at.features), df = features_of(p, p->at.dfeatures);
    const clseq_tensor d = matrix(p->scratch, p->at.dnear, keys, plan->units, plan->units_row);
    const clseq_tensor du = matrix(p->kept, p->at.dlocation, plan->units, C, C);
    CLSEQ__RETURN_IF(clseq__launch(p->ctx, plan->kernels[CLSEQ__ATTENTION_ADD], clseq__grid_for(p->ctx, n),
                                   CLSEQ__ARGS(CLSEQ__L(n), CLSEQ__M(p->scratch), CLSEQ__L(p->at.dnear),
                                               CLSEQ__M(p->kept), CLSEQ__L(p->at.dkeys))));
    CLSEQ__RETURN_IF(clseq_gemm(p->ctx, &(clseq_gemm_desc){.transpose_a = true}, 1.0f, &d, &f, 1.0f, &du));
    return clseq_gemm(p->ctx, NULL, 1.0f, &d, &u, 0.0f, &df);
}

clseq_status clseq__attention_locate_backward(const clseq__attention_pass *p, int64_t t)
{
    const clseq_attention_plan *plan = p->plan;
    const clseq_tensor filter = clseq__attention_weight_of(plan, p->weights, CLSEQ__ROLE_FILTER);
    attention_location r = record_of(p, t);
    CLSEQ__RETURN_IF(take_apart(p));
    r.features = p->at.dfeatures;
    r.out = p->at.dfilter;
    CLSEQ__RETURN_IF(clseq__launch(
        p->ctx, plan->kernels[CLSEQ__ATTENTION_DFILTER], clseq__grid_for(p->ctx, r.C * r.width * r.B * r.S),
        CLSEQ__ARGS(CLSEQ__RECORD(&r), CLSEQ__M(p->kept), CLSEQ__M(p->scratch), CLSEQ__M(p->kept))));
    r.filter = filter.offset;
    r.out = p->at.dbefore;
    return clseq__launch(p->ctx, plan->kernels[CLSEQ__ATTENTION_DBEFORE],
                         clseq__grid_for(p->ctx, r.B * r.S * r.C * r.width),
                         CLSEQ__ARGS(CLSEQ__RECORD(&r), CLSEQ__M(filter.buffer), CLSEQ__M(p->scratch),
                                     CLSEQ__M(p->kept), CLSEQ__I(plan->desc.location_sums)));
}
