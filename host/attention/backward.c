/* Queries, backward. */
#include "attention/check.h"
#include "attention/pass.h"
#include "core/error.h"

static clseq_status check(const clseq_attention_plan *plan, const clseq_attention_shape *shape,
                          const clseq__attention_places *at, const clseq_attention_backward_args *args)
{
    static const char call[] = "attention backward";
    const int64_t S = shape->S, B = shape->B, count = args->count ? args->count : shape->T;
    clseq__attention_list list = {.call = call};
    const clseq__attention_argument all[] = {
        clseq__attention_memory_of("memory", &args->memory, true, false, at->memory_end),
        {.name = "dcontext",
         .tensor = &args->dcontext,
         .needed = true,
         .ndim = 3,
         .dims = {count, B, plan->desc.value}},
        {.name = "dalignment", .tensor = &args->dalignment, .ndim = 3, .dims = {count, B, S}},
        {.name = "dqueries",
         .tensor = &args->dqueries,
         .is_written = true,
         .ndim = 3,
         .dims = {count, B, plan->desc.query}},
        clseq__attention_memory_of("reserve", &args->reserve, true, true, at->reserve_end),
        clseq__attention_memory_of("workspace", &args->workspace, true, true, at->scratch_end),
    };
    CLSEQ__RETURN_IF(clseq__attention_add_weights(&list, plan, "weights", args->weights, false));
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        clseq__attention_add_argument(&list, all[i]);
    return clseq__attention_check_arguments(plan->ctx, &list);
}

/* From the gradients of contexts and alignments those of the scores, of queries [t, t + count). */
static clseq_status run_dscores(const clseq__attention_pass *p, int64_t t, int64_t count,
                                const clseq_tensor *dalignment)
{
    const clseq_tensor given = clseq_tensor_slice(dalignment, 0, t - p->first, count);
    attention_record r = clseq__attention_record_of(p, t, count);
    r.given = clseq__attention_rows_of(&given);
    r.has_given = given.buffer != NULL;
    r.has_carried = p->plan->desc.location_channels > 0;
    return clseq__launch(
        p->ctx, p->plan->kernels[CLSEQ__ATTENTION_DSCORES], clseq__attention_grid(p->ctx, count * p->B),
        CLSEQ__ARGS(CLSEQ__RECORD(&r), CLSEQ__M(p->kept), CLSEQ__M(p->memory), CLSEQ__M(p->memory),
                    CLSEQ__M(p->kept), CLSEQ__M(p->kept), CLSEQ__M(given.buffer), CLSEQ__M(p->kept),
                    CLSEQ__M(p->scratch), CLSEQ__LOCAL(clseq__attention_local(p->ctx))));
}

/* Features that a unit of work has where each vector is one. */
static int64_t vector_width(const clseq__attention_pass *p)
{
    return p->ctx->traits.is_cpu ? p->ctx->traits.vector_width : 1;
}

/* And those of what the score has seen. */
static clseq_status run_dproject(const clseq__attention_pass *p, const attention_record *r, cl_mem keys,
                                 cl_mem dkeys)
{
    return clseq__launch(p->ctx, p->plan->kernels[CLSEQ__ATTENTION_DPROJECT],
                         clseq__attention_grid_alone(p->ctx, p->B * r->units / vector_width(p)),
                         CLSEQ__ARGS(CLSEQ__RECORD(r), CLSEQ__M(p->kept), CLSEQ__M(keys), CLSEQ__M(p->memory),
                                     CLSEQ__M(p->memory), CLSEQ__M(p->scratch), CLSEQ__M(p->kept),
                                     CLSEQ__M(dkeys), CLSEQ__M(p->kept)));
}

static clseq_status run_centres(const clseq__attention_pass *p)
{
    const clseq_attention_plan *plan = p->plan;
    const int64_t P = plan->desc.window_units, row = plan->centre_row;
    const int64_t hidden = clseq__attention_row_at(p, p->at.hidden, row);
    const int64_t centres = clseq__attention_row_at(p, p->at.centres, 1);
    const clseq_tensor v = clseq__attention_weight_of(plan, p->weights, CLSEQ__ROLE_CENTRE_VECTOR);
    CLSEQ__RETURN_IF(clseq__launch(
        p->ctx, plan->kernels[CLSEQ__ATTENTION_DCENTRE], clseq__attention_grid(p->ctx, p->count * p->B),
        CLSEQ__ARGS(CLSEQ__L(p->count), CLSEQ__L(p->B), CLSEQ__L(P), CLSEQ__L(row), CLSEQ__M(v.buffer),
                    CLSEQ__L(v.offset), CLSEQ__M(p->kept), CLSEQ__L(hidden), CLSEQ__M(p->memory),
                    CLSEQ__L(p->at.lengths), CLSEQ__M(p->kept), CLSEQ__L(centres),
                    CLSEQ__LOCAL(clseq__attention_local(p->ctx)))));
    return clseq__launch(p->ctx, plan->kernels[CLSEQ__ATTENTION_DHIDDEN],
                         clseq__attention_grid_alone(p->ctx, p->B * row / vector_width(p)),
                         CLSEQ__ARGS(CLSEQ__L(p->count), CLSEQ__L(p->B), CLSEQ__L(P), CLSEQ__L(row),
                                     CLSEQ__M(v.buffer), CLSEQ__L(v.offset), CLSEQ__M(p->kept),
                                     CLSEQ__L(hidden), CLSEQ__M(p->kept), CLSEQ__L(centres),
                                     CLSEQ__M(p->kept), CLSEQ__L(p->at.dcentring),
                                     CLSEQ__I(p->first + p->count == p->T)));
}

static clseq_status run_all(const clseq__attention_pass *p, const clseq_tensor *dalignment)
{
    attention_record r = clseq__attention_record_of(p, p->first, p->count);
    r.fresh = p->first + p->count == p->T;
    CLSEQ__RETURN_IF(run_dscores(p, p->first, p->count, dalignment));
    return run_dproject(p, &r, p->memory, p->kept);
}

/* With a location one query after another: each passes on to the alignment of the one before. */
static clseq_status run_each(const clseq__attention_pass *p, const clseq_tensor *dalignment)
{
    const size_t bytes = (size_t)(p->B * p->S * p->plan->units_row) * sizeof(float);
    for (int64_t t = p->first + p->count - 1; t >= p->first; t--) {
        attention_record r = clseq__attention_record_of(p, t, 1);
        r.keys.at = p->at.near;
        r.dkeys.at = p->at.dnear;
        CLSEQ__RETURN_IF(run_dscores(p, t, 1, dalignment));
        CLSEQ__RETURN_IF(clseq__attention_locate_again(p, t));
        CLSEQ__RETURN_IF(
            clseq__fill_bytes(p->ctx, p->scratch, (size_t)p->at.dnear * sizeof(float), bytes, 0));
        CLSEQ__RETURN_IF(run_dproject(p, &r, p->scratch, p->scratch));
        CLSEQ__RETURN_IF(clseq__attention_locate_backward(p, t));
    }
    return CLSEQ_OK;
}

static clseq_status queries_of(const clseq__attention_pass *p, const clseq_tensor *dqueries)
{
    const clseq_attention_plan *plan = p->plan;
    const int64_t at = clseq__attention_row_at(p, p->at.dprojected, plan->units_row);
    const clseq_tensor d = clseq__attention_view(p->kept, at, p->count, p->B, plan->units, plan->units_row);
    const clseq_tensor w = clseq__attention_weight_of(plan, p->weights, CLSEQ__ROLE_QUERY);
    const clseq_tensor w_centre = clseq__attention_weight_of(plan, p->weights, CLSEQ__ROLE_CENTRE);
    const clseq_tensor hidden =
        clseq__attention_view(p->kept, clseq__attention_row_at(p, p->at.hidden, plan->centre_row), p->count,
                              p->B, plan->desc.window_units, plan->centre_row);
    CLSEQ__RETURN_IF(plan->kind->projects_queries
                         ? clseq__attention_product(p->ctx, &d, &w, false, 0.0f, dqueries)
                         : clseq__attention_copy(p->ctx, plan->kernels[CLSEQ__ATTENTION_COPY_ROWS], &d, NULL,
                                                 0, dqueries->buffer, clseq__attention_rows_of(dqueries),
                                                 plan->units));
    if (!w_centre.buffer)
        return CLSEQ_OK;
    return clseq__attention_product(p->ctx, &hidden, &w_centre, false, 1.0f, dqueries);
}

clseq_status clseq_attention_backward(clseq_attention_plan *plan, const clseq_attention_shape *shape,
                                      const clseq_attention_backward_args *args)
{
    clseq__attention_places at;
    CLSEQ__RETURN_IF(clseq__attention_check_shape("attention backward", plan, shape));
    CLSEQ__NOT_NULL("attention backward", args);
    CLSEQ__RETURN_IF(clseq__attention_check_training("attention backward", shape->mode));
    CLSEQ__RETURN_IF(clseq__attention_check_part("attention backward", shape, args->first, args->count));
    clseq__attention_place(plan, shape, &at);
    CLSEQ__RETURN_IF(check(plan, shape, &at, args));
    const clseq__attention_pass p =
        clseq__attention_begin(plan, shape, args->weights, &args->memory, &args->reserve, &args->workspace,
                               args->first, args->count);
    const bool located = plan->desc.location_channels > 0;
    const attention_rows rows = clseq__attention_packed_rows(
        clseq__attention_row_at(&p, p.at.dcontext, plan->value_row), p.B, plan->value_row);
    if (located && p.first + p.count == p.T)
        CLSEQ__RETURN_IF(clseq__attention_clear(&p));
    CLSEQ__RETURN_IF(clseq__attention_copy(p.ctx, plan->kernels[CLSEQ__ATTENTION_COPY_ROWS], &args->dcontext,
                                           NULL, 0, p.kept, rows, plan->value_row));
    CLSEQ__RETURN_IF(located ? run_each(&p, &args->dalignment) : run_all(&p, &args->dalignment));
    if (plan->desc.window == CLSEQ_ATTENTION_WINDOW_PREDICTED)
        CLSEQ__RETURN_IF(run_centres(&p));
    return args->dqueries.buffer ? queries_of(&p, &args->dqueries) : CLSEQ_OK;
}
