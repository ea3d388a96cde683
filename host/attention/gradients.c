/* The gradients of keys, values and weights, from what all queries have left in the reserve. */
#include "attention/check.h"
#include "attention/pass.h"
#include "core/error.h"
#include "linalg/reduce.h"
#include <clseq/gemm.h>
#include <inttypes.h>

typedef clseq__attention_pass pass;

static clseq_status check(const clseq_attention_plan *plan, const clseq_attention_shape *shape,
                          const clseq__attention_places *at, const clseq_attention_gradients_args *args)
{
    static const char call[] = "attention gradients";
    const int64_t S = shape->S, B = shape->B, K = plan->desc.key;
    clseq__attention_list list = {.call = call};
    const clseq__attention_argument all[] = {
        {.name = "keys", .tensor = &args->keys, .needed = true, .ndim = 3, .dims = {S, B, K}},
        clseq__attention_memory_of("memory", &args->memory, true, false, at->memory_end),
        {.name = "dkeys", .tensor = &args->dkeys, .is_written = true, .ndim = 3, .dims = {S, B, K}},
        {.name = "dvalues",
         .tensor = &args->dvalues,
         .is_written = true,
         .ndim = 3,
         .dims = {S, B, plan->desc.value}},
        clseq__attention_memory_of("reserve", &args->reserve, true, true, at->reserve_end),
        clseq__attention_memory_of("workspace", &args->workspace, true, true, at->scratch_end),
    };
    if (args->count < 0 || args->count > shape->T)
        return clseq__error(CLSEQ_INVALID_ARGUMENT,
                            "%s: count is %" PRId64 ", expected 1 to %" PRId64 ", or 0 for all", call,
                            args->count, shape->T);
    if (args->dvalues.buffer && plan->values_are_keys)
        return clseq__error(CLSEQ_INVALID_ARGUMENT,
                            "%s: dvalues are given, but in this plan the keys are the values: dkeys has both",
                            call);
    CLSEQ__RETURN_IF(clseq__attention_add_weights(&list, plan, "weights", args->weights, false));
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        clseq__attention_add_argument(&list, all[i]);
    CLSEQ__RETURN_IF(clseq__attention_add_weights(&list, plan, "dweights", args->dweights, true));
    return clseq__attention_check_arguments(plan->ctx, &list);
}

/* What is kept of all queries, or gathered of all keys. */
static clseq_tensor of_queries(const pass *p, int64_t at, int64_t n, int64_t width)
{
    return clseq__attention_view(p->kept, at, p->count, p->B, n, width);
}

static clseq_tensor of_keys(const pass *p, cl_mem buffer, int64_t at, int64_t n, int64_t width)
{
    return clseq__attention_view(buffer, at, p->B, p->S, n, width);
}

/* dkeys = what the score gives them. */
static clseq_status run_keys(const pass *p, const clseq_tensor *dkeys)
{
    const clseq_attention_plan *plan = p->plan;
    const clseq_tensor d = of_keys(p, p->kept, p->at.dkeys, plan->units, plan->units_row);
    const clseq_tensor out = clseq_tensor_transpose(dkeys, 0, 1);
    const clseq_tensor w = clseq__attention_weight_of(plan, p->weights, CLSEQ__ROLE_KEY);
    if (plan->kind->projects_keys)
        return clseq_gemm(p->ctx, NULL, 1.0f, &d, &w, 0.0f, &out);
    return clseq__attention_copy(p->ctx, plan->kernels[CLSEQ__ATTENTION_COPY_ROWS], &d, NULL, 0, out.buffer,
                                 clseq__attention_rows_of(&out), plan->units);
}

/* dvalues (=), or added to the gradient of the keys: a product for each row of the batch. */
static clseq_status run_values(const pass *p, const clseq_tensor *dvalues, bool add)
{
    const clseq_attention_plan *plan = p->plan;
    const clseq_tensor alignment = of_queries(p, p->at.alignment, p->S, p->S);
    const clseq_tensor dcontext = of_queries(p, p->at.dcontext, plan->desc.value, plan->value_row);
    const clseq_tensor a = clseq_tensor_transpose(&alignment, 0, 1),
                       d = clseq_tensor_transpose(&dcontext, 0, 1);
    const clseq_tensor out = clseq_tensor_transpose(dvalues, 0, 1);
    return clseq_gemm(p->ctx, &(clseq_gemm_desc){.transpose_a = true}, 1.0f, &a, &d, add ? 1.0f : 0.0f, &out);
}

static clseq_tensor wanted(const pass *p, const clseq_tensor *dweights, clseq__attention_role role)
{
    return clseq__attention_weight_of(p->plan, dweights, role);
}

/* out [n] += the sum of rows of `width` numbers. */
static clseq_status sum_rows(const pass *p, int64_t at, int64_t rows, int64_t width, const clseq_tensor *out)
{
    return clseq__reduce_columns(p->ctx, p->kept, at, rows, out->dims[0], width, out->buffer, out->offset,
                                 true);
}

/* W of queries, and the bias beside it. */
static clseq_status run_query_weights(const pass *p, const clseq_tensor *dweights)
{
    const clseq_attention_plan *plan = p->plan;
    const clseq_tensor dw = wanted(p, dweights, CLSEQ__ROLE_QUERY),
                       db = wanted(p, dweights, CLSEQ__ROLE_BIAS);
    const clseq_tensor d = of_queries(p, p->at.dprojected, plan->units, plan->units_row);
    const clseq_tensor q = of_queries(p, p->at.queries, plan->desc.query, plan->query_row);
    if (dw.buffer)
        CLSEQ__RETURN_IF(clseq__attention_outer(p->ctx, &d, &q, 1.0f, &dw));
    return db.buffer ? sum_rows(p, p->at.dprojected, p->count * p->B, plan->units_row, &db) : CLSEQ_OK;
}

/* Keys that do not count may be NaN, and are zeros in the copy. */
static clseq_status run_key_weights(const pass *p, const clseq_tensor *dweights, const clseq_tensor *keys)
{
    const clseq_attention_plan *plan = p->plan;
    const clseq_tensor dw = wanted(p, dweights, CLSEQ__ROLE_KEY), rows = clseq_tensor_transpose(keys, 0, 1);
    const clseq_tensor d = of_keys(p, p->kept, p->at.dkeys, plan->units, plan->units_row);
    const clseq_tensor k = of_keys(p, p->scratch, p->at.copied, plan->desc.key, plan->key_row);
    if (!dw.buffer)
        return CLSEQ_OK;
    CLSEQ__RETURN_IF(clseq__attention_copy(
        p->ctx, plan->kernels[CLSEQ__ATTENTION_COPY_ROWS], &rows, p->memory, p->at.counts, p->scratch,
        clseq__attention_packed_rows(p->at.copied, p->S, plan->key_row), plan->key_row));
    return clseq__attention_outer(p->ctx, &d, &k, 1.0f, &dw);
}

/* v, and its gain where it is normalised. */
static clseq_status run_vector(const pass *p, const clseq_tensor *dweights)
{
    const clseq_attention_plan *plan = p->plan;
    const clseq_tensor dv = wanted(p, dweights, CLSEQ__ROLE_VECTOR),
                       dg = wanted(p, dweights, CLSEQ__ROLE_GAIN);
    const clseq_tensor v = clseq__attention_weight_of(plan, p->weights, CLSEQ__ROLE_VECTOR);
    const clseq_tensor g = clseq__attention_weight_of(plan, p->weights, CLSEQ__ROLE_GAIN);
    if (!dv.buffer && !dg.buffer)
        return CLSEQ_OK;
    if (!plan->desc.normalise)
        return sum_rows(p, p->at.dvector, p->B, plan->units_row, &dv);
    CLSEQ__RETURN_IF(clseq__reduce_columns(p->ctx, p->kept, p->at.dvector, p->B, plan->units, plan->units_row,
                                           p->scratch, p->at.dnormal, false));
    return clseq__launch(p->ctx, plan->kernels[CLSEQ__ATTENTION_DVECTOR], clseq__attention_grid(p->ctx, 1),
                         CLSEQ__ARGS(CLSEQ__L(plan->units), CLSEQ__M(v.buffer), CLSEQ__L(v.offset),
                                     CLSEQ__M(g.buffer), CLSEQ__L(g.offset), CLSEQ__M(p->scratch),
                                     CLSEQ__L(p->at.dnormal), CLSEQ__M(dv.buffer), CLSEQ__L(dv.offset),
                                     CLSEQ__M(dg.buffer), CLSEQ__L(dg.offset),
                                     CLSEQ__LOCAL(clseq__attention_local(p->ctx))));
}

static clseq_status run_centres(const pass *p, const clseq_tensor *dweights)
{
    const clseq_attention_plan *plan = p->plan;
    const clseq_tensor dw = wanted(p, dweights, CLSEQ__ROLE_CENTRE);
    const clseq_tensor dv = wanted(p, dweights, CLSEQ__ROLE_CENTRE_VECTOR);
    const clseq_tensor d = of_queries(p, p->at.hidden, plan->desc.window_units, plan->centre_row);
    const clseq_tensor q = of_queries(p, p->at.queries, plan->desc.query, plan->query_row);
    if (dw.buffer)
        CLSEQ__RETURN_IF(clseq__attention_outer(p->ctx, &d, &q, 1.0f, &dw));
    return dv.buffer ? sum_rows(p, p->at.dcentring, p->B, plan->centre_row, &dv) : CLSEQ_OK;
}

/* What has been gathered step by step. */
static clseq_status run_gathered(const pass *p, int64_t at, const clseq_tensor *out)
{
    const int64_t n = clseq_tensor_elements(out);
    if (!out->buffer)
        return CLSEQ_OK;
    return clseq__launch(p->ctx, p->plan->kernels[CLSEQ__ATTENTION_ADD], clseq__grid_for(p->ctx, n),
                         CLSEQ__ARGS(CLSEQ__L(n), CLSEQ__M(p->kept), CLSEQ__L(at), CLSEQ__M(out->buffer),
                                     CLSEQ__L(out->offset)));
}

static clseq_status run_weights(const pass *p, const clseq_tensor *dweights, const clseq_tensor *keys)
{
    const clseq_tensor filter = wanted(p, dweights, CLSEQ__ROLE_FILTER);
    const clseq_tensor location = wanted(p, dweights, CLSEQ__ROLE_LOCATION);
    CLSEQ__RETURN_IF(run_query_weights(p, dweights));
    CLSEQ__RETURN_IF(run_key_weights(p, dweights, keys));
    CLSEQ__RETURN_IF(run_vector(p, dweights));
    CLSEQ__RETURN_IF(run_centres(p, dweights));
    CLSEQ__RETURN_IF(run_gathered(p, p->at.dfilter, &filter));
    return run_gathered(p, p->at.dlocation, &location);
}

clseq_status clseq_attention_gradients(clseq_attention_plan *plan, const clseq_attention_shape *shape,
                                       const clseq_attention_gradients_args *args)
{
    clseq__attention_places at;
    CLSEQ__RETURN_IF(clseq__attention_check_shape("attention gradients", plan, shape));
    CLSEQ__NOT_NULL("attention gradients", args);
    CLSEQ__RETURN_IF(clseq__attention_check_training("attention gradients", shape->mode));
    clseq__attention_place(plan, shape, &at);
    CLSEQ__RETURN_IF(check(plan, shape, &at, args));
    const pass p = clseq__attention_begin(plan, shape, args->weights, &args->memory, &args->reserve,
                                          &args->workspace, 0, args->count);
    if (args->dkeys.buffer)
        CLSEQ__RETURN_IF(run_keys(&p, &args->dkeys));
    if (args->dkeys.buffer && plan->values_are_keys)
        CLSEQ__RETURN_IF(run_values(&p, &args->dkeys, true));
    if (args->dvalues.buffer)
        CLSEQ__RETURN_IF(run_values(&p, &args->dvalues, false));
    return run_weights(&p, args->dweights, &args->keys);
}
