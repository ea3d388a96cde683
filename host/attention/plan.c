/* Plans of attention: which weights they have and which kernels they run. */
#include "attention/plan.h"
#include "attention/check.h"
#include "core/error.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const clseq__attention_kind kinds[CLSEQ_ATTENTION_SCORE_COUNT] = {
    [CLSEQ_ATTENTION_SCORE_ADDITIVE] = {"additive", "additive", true, true, true},
    [CLSEQ_ATTENTION_SCORE_DOT] = {"dot", "dot", false, false, false},
    [CLSEQ_ATTENTION_SCORE_GENERAL] = {"general", "dot", false, false, true},
    [CLSEQ_ATTENTION_SCORE_CONCAT] = {"concat", "additive", true, true, true},
};

static const char *const windows[CLSEQ_ATTENTION_WINDOW_COUNT] = {
    [CLSEQ_ATTENTION_WINDOW_GLOBAL] = "global",
    [CLSEQ_ATTENTION_WINDOW_MONOTONIC] = "monotonic",
    [CLSEQ_ATTENTION_WINDOW_PREDICTED] = "predicted",
};

_Static_assert(CLSEQ_ATTENTION_WINDOW_GLOBAL == ATTENTION_GLOBAL &&
                   CLSEQ_ATTENTION_WINDOW_MONOTONIC == ATTENTION_MONOTONIC &&
                   CLSEQ_ATTENTION_WINDOW_PREDICTED == ATTENTION_PREDICTED,
               "kernels number windows as the header does");

const clseq__attention_kind *clseq__attention_kind_of(clseq_attention_score score)
{
    return &kinds[score];
}

const char *clseq_attention_score_name(clseq_attention_score score)
{
    return (int)score >= 0 && score < CLSEQ_ATTENTION_SCORE_COUNT ? kinds[score].name : "unknown";
}

const char *clseq_attention_window_name(clseq_attention_window window)
{
    return (int)window >= 0 && window < CLSEQ_ATTENTION_WINDOW_COUNT ? windows[window] : "unknown";
}

int64_t clseq__attention_row(int64_t n)
{
    return (n + ATTENTION_ROW - 1) / ATTENTION_ROW * ATTENTION_ROW;
}

/* Groups a core on a CPU: rows of different lengths take different times. */
#define GROUPS_A_CORE 4

clseq__grid clseq__attention_grid(const clseq_context *ctx, int64_t units)
{
    const bool cpu = ctx->traits.is_cpu;
    const int64_t most = (int64_t)ctx->traits.groups * (cpu ? GROUPS_A_CORE : 64);
    return CLSEQ__GRID1((size_t)(units < most ? units : most), cpu ? 1 : ATTENTION_GROUP_GPU);
}

size_t clseq__attention_local(const clseq_context *ctx)
{
    return ATTENTION_ITEMS(clseq__attention_grid(ctx, 1).local[0]) * sizeof(float);
}

clseq__grid clseq__attention_grid_alone(const clseq_context *ctx, int64_t units)
{
    if (ctx->traits.is_cpu)
        return clseq__attention_grid(ctx, units);
    const int64_t groups = (units + ATTENTION_GROUP_GPU - 1) / ATTENTION_GROUP_GPU;
    return clseq__attention_grid(ctx, groups);
}

static void add(clseq_attention_plan *plan, clseq__attention_role role, const char *name, int ndim,
                int64_t rows, int64_t columns)
{
    plan->roles[plan->weight_count] = role;
    plan->weights[plan->weight_count++] = (clseq_attention_weight){name, ndim, {rows, columns}};
}

/* The weights, in the order of the header. */
static void add_weights(clseq_attention_plan *plan)
{
    const clseq_attention_desc *d = &plan->desc;
    switch (d->score) {
    case CLSEQ_ATTENTION_SCORE_ADDITIVE:
        add(plan, CLSEQ__ROLE_QUERY, "weight_query", 2, d->units, d->query);
        add(plan, CLSEQ__ROLE_KEY, "weight_key", 2, d->units, d->key);
        if (d->bias)
            add(plan, CLSEQ__ROLE_BIAS, "bias", 1, d->units, 1);
        break;
    case CLSEQ_ATTENTION_SCORE_GENERAL:
        add(plan, CLSEQ__ROLE_KEY, "weight_key", 2, d->query, d->key);
        break;
    case CLSEQ_ATTENTION_SCORE_CONCAT:
        add(plan, CLSEQ__ROLE_BOTH, "weight_both", 2, d->units, d->query + d->key);
        break;
    case CLSEQ_ATTENTION_SCORE_DOT:
    case CLSEQ_ATTENTION_SCORE_COUNT:
        break;
    }
    if (plan->kind->has_units)
        add(plan, CLSEQ__ROLE_VECTOR, "weight_score", 1, d->units, 1);
    if (d->normalise)
        add(plan, CLSEQ__ROLE_GAIN, "gain_score", 1, 1, 1);
    if (d->window_units) {
        add(plan, CLSEQ__ROLE_CENTRE, "weight_centre", 2, d->window_units, d->query);
        add(plan, CLSEQ__ROLE_CENTRE_VECTOR, "score_centre", 1, d->window_units, 1);
    }
    if (d->location_channels) {
        add(plan, CLSEQ__ROLE_FILTER, "filter_location", 2, d->location_channels, d->location_width);
        add(plan, CLSEQ__ROLE_LOCATION, "weight_location", 2, d->units, d->location_channels);
    }
}

static void take_desc(clseq_attention_plan *plan, const clseq_attention_desc *desc)
{
    clseq_attention_desc *d = &plan->desc;
    *d = *desc;
    d->value = desc->value ? desc->value : desc->key;
    if (d->window == CLSEQ_ATTENTION_WINDOW_MONOTONIC && d->window_rate == 0)
        d->window_rate = 1;
    if (d->window == CLSEQ_ATTENTION_WINDOW_PREDICTED && d->window_units == 0)
        d->window_units = desc->query;
    plan->kind = clseq__attention_kind_of(desc->score);
    plan->values_are_keys = desc->value == 0;
    plan->units = plan->kind->has_units ? desc->units : desc->query;
    plan->units_row = clseq__attention_row(plan->units);
    plan->query_row = clseq__attention_row(d->query);
    plan->key_row = clseq__attention_row(d->key);
    plan->value_row = clseq__attention_row(d->value);
    plan->centre_row = clseq__attention_row(d->window_units);
    add_weights(plan);
}

/* The program of a score has all kernels; a plan looks up those that it runs. */
static clseq_status get_kernels(clseq_attention_plan *plan)
{
    const clseq_attention_desc *desc = &plan->desc;
    const struct {
        const char *name;
        bool has;
    } rows[] = {
#define CLSEQ__ATTENTION_ROW_(enumerator, name, has) {name, has},
        CLSEQ__ATTENTION_KERNELS(CLSEQ__ATTENTION_ROW_)
#undef CLSEQ__ATTENTION_ROW_
    };
    char options[32];
    snprintf(options, sizeof options, "-DSCORE=%s", plan->kind->kernels);
    for (int i = 0; i < CLSEQ__ATTENTION_KERNEL_COUNT; i++)
        if (rows[i].has)
            CLSEQ__RETURN_IF(
                clseq__kernel_get(plan->ctx, "attention/", options, rows[i].name, &plan->kernels[i]));
    return CLSEQ_OK;
}

clseq_status clseq_attention_plan_create(clseq_context *ctx, const clseq_attention_desc *desc,
                                         clseq_attention_plan **out)
{
    clseq_status status = CLSEQ_OK;
    clseq_attention_plan *plan = NULL;
    char text[CLSEQ__ATTENTION_TEXT];
    CLSEQ__MAKES("attention plan", out);
    CLSEQ__NEEDS("attention plan", ctx);
    CLSEQ__TRY(clseq__attention_check_desc(desc));
    plan = calloc(1, sizeof *plan);
    if (!plan)
        CLSEQ__FAIL(CLSEQ_OUT_OF_HOST_MEMORY, "attention plan: no memory");
    plan->ctx = clseq__context_retain(ctx);
    take_desc(plan, desc);
    CLSEQ__TRY(get_kernels(plan));
    clseq__log(CLSEQ_LOG_INFO, "attention: %s", clseq__attention_text(&plan->desc, text));
    *out = plan;
    plan = NULL;
done:
    clseq_attention_plan_destroy(plan);
    return clseq__made("attention plan", status);
}

void clseq_attention_plan_destroy(clseq_attention_plan *plan)
{
    if (!plan)
        return;
    clseq__context_release(plan->ctx);
    free(plan);
}

const clseq_attention_desc *clseq_attention_plan_description(const clseq_attention_plan *plan)
{
    return plan ? &plan->desc : NULL;
}

int clseq_attention_weight_count(const clseq_attention_plan *plan)
{
    return plan ? plan->weight_count : 0;
}

clseq_status clseq_attention_weight_info(const clseq_attention_plan *plan, int i, clseq_attention_weight *out)
{
    CLSEQ__NEEDS("attention weight info", plan);
    CLSEQ__NOT_NULL("attention weight info", out);
    if (i < 0 || i >= plan->weight_count)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "attention weight info: i is %d, expected 0..%d", i,
                            plan->weight_count - 1);
    *out = plan->weights[i];
    return CLSEQ_OK;
}

static clseq_tensor find(const clseq_attention_plan *plan, const clseq_tensor *weights,
                         clseq__attention_role role)
{
    for (int i = 0; weights && i < plan->weight_count; i++)
        if (plan->roles[i] == role)
            return weights[i];
    return (clseq_tensor){.buffer = NULL};
}

clseq_tensor clseq__attention_weight_of(const clseq_attention_plan *plan, const clseq_tensor *weights,
                                        clseq__attention_role role)
{
    const clseq_tensor both = find(plan, weights, CLSEQ__ROLE_BOTH);
    if (both.buffer && role == CLSEQ__ROLE_QUERY)
        return clseq_tensor_slice(&both, 1, 0, plan->desc.query);
    if (both.buffer && role == CLSEQ__ROLE_KEY)
        return clseq_tensor_slice(&both, 1, plan->desc.query, plan->desc.key);
    return find(plan, weights, role);
}
