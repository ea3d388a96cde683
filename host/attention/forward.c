/* Queries, forward. */
#include "attention/check.h"
#include "attention/pass.h"
#include "core/error.h"

static clseq_status check(const clseq_attention_plan *plan, const clseq_attention_shape *shape,
                          const clseq__attention_places *at, const clseq_attention_forward_args *args)
{
    static const char call[] = "attention forward";
    const int64_t S = shape->S, B = shape->B, count = args->count ? args->count : shape->T;
    const bool training = shape->mode == CLSEQ_MODE_TRAINING, located = plan->desc.location_channels > 0;
    const clseq_tensor none = {.buffer = NULL};
    clseq__attention_list list = {.call = call};
    const clseq__attention_argument all[] = {
        clseq__attention_memory_of("memory", &args->memory, true, false, at->memory_end),
        {.name = "queries",
         .tensor = &args->queries,
         .needed = true,
         .ndim = 3,
         .dims = {count, B, plan->desc.query}},
        {.name = "initial", .tensor = &args->initial, .ndim = 2, .dims = {B, S}},
        {.name = "context",
         .tensor = &args->context,
         .needed = true,
         .is_written = true,
         .ndim = 3,
         .dims = {count, B, plan->desc.value}},
        {.name = "alignment",
         .tensor = &args->alignment,
         .is_written = true,
         .ndim = 3,
         .dims = {count, B, S}},
        {.name = "final", .tensor = &args->final, .is_written = true, .ndim = 2, .dims = {B, S}},
        clseq__attention_memory_of("reserve", training ? &args->reserve : &none, training, true,
                                   at->reserve_end),
        clseq__attention_memory_of("workspace", &args->workspace, true, true, at->scratch_end),
    };
    if (!located && (args->initial.buffer || args->final.buffer))
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: %s is given, but the plan has no location", call,
                            args->initial.buffer ? "initial" : "final");
    CLSEQ__RETURN_IF(clseq__attention_add_weights(&list, plan, "weights", args->weights, false));
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        clseq__attention_add_argument(&list, all[i]);
    return clseq__attention_check_arguments(plan->ctx, &list);
}

/* The queries as the score and the predicted centres see them. */
static clseq_status project(const clseq__attention_pass *p, const clseq_tensor *queries)
{
    const clseq_attention_plan *plan = p->plan;
    const int64_t at = clseq__attention_row_at(p, p->at.queries, plan->query_row);
    const int64_t to = clseq__attention_row_at(p, p->at.projected, plan->units_row);
    const clseq_tensor bias = clseq__attention_weight_of(plan, p->weights, CLSEQ__ROLE_BIAS);
    const clseq_tensor w = clseq__attention_weight_of(plan, p->weights, CLSEQ__ROLE_QUERY);
    const clseq_tensor x =
        clseq__attention_view(p->kept, at, p->count, p->B, plan->desc.query, plan->query_row);
    CLSEQ__RETURN_IF(
        clseq__attention_copy(p->ctx, plan->kernels[CLSEQ__ATTENTION_COPY_ROWS], queries, NULL, 0, p->kept,
                              clseq__attention_packed_rows(at, p->B, plan->query_row), plan->query_row));
    if (!plan->kind->projects_queries)
        return CLSEQ_OK;
    const clseq_tensor y = clseq__attention_view(p->kept, to, p->count, p->B, plan->units, plan->units_row);
    CLSEQ__RETURN_IF(clseq__attention_fill(p->ctx, plan->kernels[CLSEQ__ATTENTION_FILL_ROWS], p->count * p->B,
                                           &bias, plan->units_row, p->kept, to));
    return clseq__attention_product(p->ctx, &x, &w, true, 1.0f, &y);
}

static clseq_status predict_centres(const clseq__attention_pass *p)
{
    const clseq_attention_plan *plan = p->plan;
    const int64_t P = plan->desc.window_units,
                  at = clseq__attention_row_at(p, p->at.queries, plan->query_row);
    const int64_t hidden = clseq__attention_row_at(p, p->at.hidden, plan->centre_row);
    const clseq_tensor w = clseq__attention_weight_of(plan, p->weights, CLSEQ__ROLE_CENTRE);
    const clseq_tensor v = clseq__attention_weight_of(plan, p->weights, CLSEQ__ROLE_CENTRE_VECTOR);
    const clseq_tensor x =
        clseq__attention_view(p->kept, at, p->count, p->B, plan->desc.query, plan->query_row);
    const clseq_tensor y = clseq__attention_view(p->kept, hidden, p->count, p->B, P, plan->centre_row);
    CLSEQ__RETURN_IF(clseq__attention_product(p->ctx, &x, &w, true, 0.0f, &y));
    return clseq__launch(
        p->ctx, plan->kernels[CLSEQ__ATTENTION_CENTRE], clseq__attention_grid(p->ctx, p->count * p->B),
        CLSEQ__ARGS(CLSEQ__L(p->count), CLSEQ__L(p->B), CLSEQ__L(P), CLSEQ__L(plan->centre_row),
                    CLSEQ__M(v.buffer), CLSEQ__L(v.offset), CLSEQ__M(p->kept), CLSEQ__L(hidden),
                    CLSEQ__M(p->memory), CLSEQ__L(p->at.lengths), CLSEQ__M(p->kept),
                    CLSEQ__L(clseq__attention_row_at(p, p->at.centres, 1)),
                    CLSEQ__LOCAL(clseq__attention_local(p->ctx))));
}

clseq_status clseq__attention_ask(const clseq__attention_pass *p, int64_t t, int64_t count, cl_mem keys,
                                  int64_t keys_at, const clseq_attention_forward_args *args)
{
    const clseq_tensor context = clseq_tensor_slice(&args->context, 0, t - p->first, count);
    const clseq_tensor given = clseq_tensor_slice(&args->alignment, 0, t - p->first, count);
    attention_record r = clseq__attention_record_of(p, t, count);
    r.keys.at = keys_at;
    r.context = clseq__attention_rows_of(&context);
    r.given = clseq__attention_rows_of(&given);
    r.has_given = given.buffer != NULL;
    return clseq__launch(p->ctx, p->plan->kernels[CLSEQ__ATTENTION_FORWARD],
                         clseq__attention_grid(p->ctx, count * p->B),
                         CLSEQ__ARGS(CLSEQ__RECORD(&r), CLSEQ__M(p->kept), CLSEQ__M(keys),
                                     CLSEQ__M(p->memory), CLSEQ__M(p->memory), CLSEQ__M(p->memory),
                                     CLSEQ__M(p->kept), CLSEQ__M(p->kept), CLSEQ__M(given.buffer),
                                     CLSEQ__M(context.buffer), CLSEQ__LOCAL(clseq__attention_local(p->ctx))));
}

clseq_status clseq_attention_forward(clseq_attention_plan *plan, const clseq_attention_shape *shape,
                                     const clseq_attention_forward_args *args)
{
    clseq__attention_places at;
    CLSEQ__RETURN_IF(clseq__attention_check_shape("attention forward", plan, shape));
    CLSEQ__NOT_NULL("attention forward", args);
    CLSEQ__RETURN_IF(clseq__attention_check_part("attention forward", shape, args->first, args->count));
    clseq__attention_place(plan, shape, &at);
    CLSEQ__RETURN_IF(check(plan, shape, &at, args));
    const clseq__attention_pass p =
        clseq__attention_begin(plan, shape, args->weights, &args->memory, &args->reserve, &args->workspace,
                               args->first, args->count);
    /* Backward adds from the last query that has run on, which is not the shape's last one where calls may have stopped before. */
    if (shape->mode == CLSEQ_MODE_TRAINING && p.first == 0 && p.count < p.T)
        CLSEQ__RETURN_IF(clseq__attention_clear(&p));
    CLSEQ__RETURN_IF(project(&p, &args->queries));
    if (plan->desc.window == CLSEQ_ATTENTION_WINDOW_PREDICTED)
        CLSEQ__RETURN_IF(predict_centres(&p));
    if (plan->desc.location_channels)
        return clseq__attention_locate(&p, args);
    return clseq__attention_ask(&p, p.first, p.count, p.memory, p.at.keys, args);
}
