/* Plans of attention: descriptors that are refused, what a plan tells, how much memory it asks for, and bad arguments. */
#include "attention/attention_record.h"
#include "support/attention_run.h"
#include "support/device.h"
#include "support/record.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

Test(attention_plan, descriptors_that_are_refused)
{
    static const struct {
        clseq_attention_desc desc;
        clseq_status status;
        const char *sentence;
    } rows[] = {
        {{.key = 3, .units = 4},
         CLSEQ_INVALID_ARGUMENT,
         "attention plan: query is 0, expected 1 to 2147483647"},
        {{.query = 2, .units = 4},
         CLSEQ_INVALID_ARGUMENT,
         "attention plan: key is 0, expected 1 to 2147483647"},
        {{.query = 2, .key = 3},
         CLSEQ_INVALID_ARGUMENT,
         "attention plan: units is 0, expected 1 to 2147483647"},
        {{.query = 2, .key = 3, .units = 1, .value = -1},
         CLSEQ_INVALID_ARGUMENT,
         "attention plan: value is -1, expected 1 to 2147483647"},
        {{.score = (clseq_attention_score)4, .query = 2, .key = 3},
         CLSEQ_INVALID_ARGUMENT,
         "attention plan: score is 4, which is no clseq_attention_score"},
        {{.query = 2, .key = 3, .units = 1, .window = (clseq_attention_window)-1},
         CLSEQ_INVALID_ARGUMENT,
         "attention plan: window is -1, which is no clseq_attention_window"},
        {{.score = CLSEQ_ATTENTION_SCORE_DOT, .query = 2, .key = 3},
         CLSEQ_INVALID_ARGUMENT,
         "attention plan: query is 2 and key is 3, expected as many: the score is their product"},
        {{.score = CLSEQ_ATTENTION_SCORE_DOT, .query = 2, .key = 2, .units = 5},
         CLSEQ_UNSUPPORTED,
         "attention plan: units is set, which does not go with score dot"},
        {{.score = CLSEQ_ATTENTION_SCORE_CONCAT, .query = 2, .key = 2, .units = 5, .bias = true},
         CLSEQ_UNSUPPORTED,
         "attention plan: bias is set, which does not go with score concat"},
        {{.score = CLSEQ_ATTENTION_SCORE_GENERAL, .query = 2, .key = 2, .normalise = true},
         CLSEQ_UNSUPPORTED,
         "attention plan: normalise is set, which does not go with score general"},
        {{.query = 2, .key = 3, .units = 1, .window_radius = 2},
         CLSEQ_UNSUPPORTED,
         "attention plan: window_radius is set, which does not go with window global"},
        {{.query = 2, .key = 3, .units = 1, .window = CLSEQ_ATTENTION_WINDOW_MONOTONIC},
         CLSEQ_INVALID_ARGUMENT,
         "attention plan: window_radius is 0, expected 1 to 2147483647"},
        {{.query = 2,
          .key = 3,
          .units = 1,
          .window = CLSEQ_ATTENTION_WINDOW_PREDICTED,
          .window_radius = 1,
          .window_rate = 1},
         CLSEQ_UNSUPPORTED,
         "attention plan: window_rate is set, which does not go with window predicted"},
        {{.query = 2,
          .key = 3,
          .units = 1,
          .window = CLSEQ_ATTENTION_WINDOW_MONOTONIC,
          .window_radius = 1,
          .window_rate = -1},
         CLSEQ_INVALID_ARGUMENT,
         "attention plan: window_rate is -1, expected 0 (one key a query) or a finite number above it"},
        {{.query = 2,
          .key = 3,
          .units = 1,
          .window = CLSEQ_ATTENTION_WINDOW_MONOTONIC,
          .window_radius = 1,
          .window_units = 1},
         CLSEQ_UNSUPPORTED,
         "attention plan: window_units is set, which does not go with window monotonic"},
        {{.query = 2, .key = 3, .units = 1, .location_width = 3},
         CLSEQ_UNSUPPORTED,
         "attention plan: location_width is set, which does not go with location_channels 0"},
        {{.query = 2, .key = 3, .units = 1, .location_channels = 2, .location_width = 4},
         CLSEQ_INVALID_ARGUMENT,
         "attention plan: location_width is 4, expected an odd number"},
        {{.query = 2, .key = 3, .units = 1, .location_channels = -2, .location_width = 3},
         CLSEQ_INVALID_ARGUMENT,
         "attention plan: location_channels is -2, expected 1 to 2147483647"},
        {{.score = CLSEQ_ATTENTION_SCORE_DOT,
          .query = 2,
          .key = 2,
          .location_channels = 2,
          .location_width = 3},
         CLSEQ_UNSUPPORTED,
         "attention plan: location_channels is set, which does not go with score dot"},
    };
    clseq_context *ctx = test_context();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        clseq_attention_plan *plan = NULL;
        cr_expect_eq(clseq_attention_plan_create(ctx, &rows[i].desc, &plan), rows[i].status, "%zu: %s", i,
                     clseq_last_error());
        cr_expect_str_eq(clseq_last_error(), rows[i].sentence);
        cr_expect_null(plan);
    }
    clseq_context_destroy(ctx);
}

Test(attention_plan, tells_its_weights_and_defaults)
{
    clseq_context *ctx = test_context();
    clseq_attention_plan *plan = NULL;
    const clseq_attention_desc desc = {.query = 2,
                                       .key = 3,
                                       .units = 5,
                                       .bias = true,
                                       .normalise = true,
                                       .window = CLSEQ_ATTENTION_WINDOW_PREDICTED,
                                       .window_radius = 4,
                                       .location_channels = 6,
                                       .location_width = 7};
    static const struct {
        const char *name;
        int ndim;
        int64_t dims[2];
    } weights[] = {
        {"weight_query", 2, {5, 2}}, {"weight_key", 2, {5, 3}},      {"bias", 1, {5}},
        {"weight_score", 1, {5}},    {"gain_score", 1, {1}},         {"weight_centre", 2, {2, 2}},
        {"score_centre", 1, {2}},    {"filter_location", 2, {6, 7}}, {"weight_location", 2, {5, 6}}};
    MUST(clseq_attention_plan_create(ctx, &desc, &plan));
    cr_assert_eq(clseq_attention_weight_count(plan), (int)(sizeof weights / sizeof weights[0]));
    for (int i = 0; i < clseq_attention_weight_count(plan); i++) {
        clseq_attention_weight w;
        MUST(clseq_attention_weight_info(plan, i, &w));
        cr_expect_str_eq(w.name, weights[i].name);
        cr_expect_eq(w.ndim, weights[i].ndim);
        for (int k = 0; k < w.ndim; k++)
            cr_expect_eq(w.dims[k], weights[i].dims[k]);
    }
    clseq_attention_weight w;
    cr_expect_eq(clseq_attention_weight_info(plan, 9, &w), CLSEQ_INVALID_ARGUMENT);
    cr_expect_str_eq(clseq_last_error(), "attention weight info: i is 9, expected 0..8");
    cr_expect_eq(clseq_attention_plan_description(plan)->value, 3);
    cr_expect_eq(clseq_attention_plan_description(plan)->window_units, 2);
    char text[512], few[9];
    const clseq_attention_shape shape = {3, 4, 5, CLSEQ_MODE_TRAINING};
    MUST(clseq_attention_describe(plan, &shape, text, sizeof text));
    cr_expect_not_null(
        strstr(text,
               "additive score (normalised), query 2, key 3, value 3, units 5, predicted window of +-4, "
               "location of 6 channels, width 7, T 3, S 4, B 5, training\n"),
        "%s", text);
    MUST(clseq_attention_describe(plan, &shape, few, sizeof few));
    cr_expect_str_eq(few, "additive");
    cr_expect_eq(clseq_attention_describe(plan, &shape, text, 0), CLSEQ_INVALID_ARGUMENT);
    clseq_attention_plan_destroy(plan);
    clseq_attention_plan_destroy(NULL);
    cr_expect_eq(clseq_attention_weight_count(NULL), 0);
    cr_expect_null(clseq_attention_plan_description(NULL));
    cr_expect_str_eq(clseq_attention_score_name(CLSEQ_ATTENTION_SCORE_GENERAL), "general");
    cr_expect_str_eq(clseq_attention_score_name((clseq_attention_score)9), "unknown");
    cr_expect_str_eq(clseq_attention_window_name(CLSEQ_ATTENTION_WINDOW_MONOTONIC), "monotonic");
    cr_expect_str_eq(clseq_attention_window_name((clseq_attention_window)-1), "unknown");
    clseq_context_destroy(ctx);
}

/* No array of T*S*B*A: what training asks for is of the order of T*S*B + (T+S)*B*A. */
Test(attention_plan, memory_grows_with_sums_not_with_products)
{
    clseq_context *ctx = test_context();
    static const clseq_attention_desc descs[] = {
        {.query = 64, .key = 64, .units = 64},
        {.score = CLSEQ_ATTENTION_SCORE_DOT, .query = 64, .key = 64},
        {.query = 64, .key = 64, .units = 64, .window = CLSEQ_ATTENTION_WINDOW_PREDICTED, .window_radius = 3},
        {.query = 64, .key = 64, .units = 64, .location_channels = 10, .location_width = 11},
    };
    for (size_t i = 0; i < sizeof descs / sizeof descs[0]; i++) {
        clseq_attention_plan *plan = NULL;
        clseq_attention_sizes sizes;
        const double T = 200, S = 300, B = 16, A = 64, floats = T * S * B + (T + S) * B * A;
        MUST(clseq_attention_plan_create(ctx, &descs[i], &plan));
        MUST(clseq_attention_plan_sizes(plan, &(clseq_attention_shape){200, 300, 16, CLSEQ_MODE_TRAINING},
                                        &sizes));
        cr_expect_lt((double)(sizes.memory + sizes.reserve + sizes.workspace), 4.0 * 6 * floats, "%zu", i);
        cr_expect_lt((double)(sizes.memory + sizes.reserve + sizes.workspace), 4.0 * T * S * B * A / 4, "%zu",
                     i);
        clseq_attention_plan_destroy(plan);
    }
    clseq_context_destroy(ctx);
}

Test(attention_plan, records_lie_on_the_device_as_on_the_host)
{
    clseq_context *ctx = test_context();
    RECORD_CHECK(ctx, "attention/attention_record.h", attention_rows, ATTENTION_ROWS);
    RECORD_CHECK(ctx, "attention/attention_record.h", attention_record, ATTENTION_RECORD);
    RECORD_CHECK(ctx, "attention/attention_record.h", attention_location, ATTENTION_LOCATION);
    cr_expect_leq(sizeof(attention_record) + 10 * sizeof(cl_mem), 1024);
    clseq_context_destroy(ctx);
}

/* ---- arguments ---- */

typedef struct scene {
    attention_case *c;
    attention_run *run;
    clseq_attention_memory_args memory;
    clseq_attention_forward_args forward;
    clseq_attention_backward_args backward;
    clseq_attention_gradients_args gradients;
} scene;

static scene scene_create(clseq_context *ctx, int variant, int64_t T)
{
    const attention_shape shape = {(size_t)T, 4, 2, 5, 3, 0, 6, 0};
    scene s = {.c = attention_case_create(&attention_variants[variant], &shape, ATTENTION_MIXED, 1)};
    s.run = attention_run_create(ctx, s.c, &(attention_run_options){.layout = GUARDED_DENSE});
    const attention_run *r = s.run;
    s.memory = (clseq_attention_memory_args){.weights = r->weights,
                                             .keys = r->in[ATTENTION_KEYS].tensor,
                                             .lengths = r->lengths.tensor,
                                             .memory = r->memory.tensor};
    s.forward = (clseq_attention_forward_args){.weights = r->weights,
                                               .memory = r->memory.tensor,
                                               .queries = r->in[ATTENTION_QUERIES].tensor,
                                               .context = r->context.tensor,
                                               .reserve = r->reserve.tensor,
                                               .workspace = r->workspace.tensor};
    s.backward = (clseq_attention_backward_args){.weights = r->weights,
                                                 .memory = r->memory.tensor,
                                                 .dcontext = r->dcontext.tensor,
                                                 .dqueries = r->out[ATTENTION_QUERIES].tensor,
                                                 .reserve = r->reserve.tensor,
                                                 .workspace = r->workspace.tensor};
    s.gradients = (clseq_attention_gradients_args){.weights = r->weights,
                                                   .keys = r->in[ATTENTION_KEYS].tensor,
                                                   .memory = r->memory.tensor,
                                                   .dkeys = r->out[ATTENTION_KEYS].tensor,
                                                   .dweights = r->dweights,
                                                   .reserve = r->reserve.tensor,
                                                   .workspace = r->workspace.tensor};
    return s;
}

static void scene_destroy(scene *s)
{
    attention_run_destroy(s->run);
    attention_case_destroy(s->c);
}

static void refused(clseq_status got, clseq_status expected, const char *sentence)
{
    cr_expect_eq(got, expected, "%s instead of %s: %s", clseq_status_name(got), sentence, clseq_last_error());
    cr_expect_str_eq(clseq_last_error(), sentence);
}

Test(attention_plan, arguments_that_are_refused)
{
    clseq_context *ctx = test_context();
    scene s = scene_create(ctx, 0, 3);
    clseq_attention_plan *plan = s.run->plan;
    const clseq_attention_shape *shape = &s.run->shape;
    clseq_attention_shape inference = *shape;
    inference.mode = CLSEQ_MODE_INFERENCE;
    const clseq_tensor none = {.buffer = NULL};

    clseq_attention_memory_args m = s.memory;
    refused(clseq_attention_remember(NULL, shape, &m), CLSEQ_INVALID_ARGUMENT,
            "attention remember: plan is NULL");
    refused(clseq_attention_remember(plan, NULL, &m), CLSEQ_INVALID_ARGUMENT,
            "attention remember: shape is NULL");
    refused(clseq_attention_remember(plan, shape, NULL), CLSEQ_INVALID_ARGUMENT,
            "attention remember: args is NULL");
    refused(clseq_attention_remember(plan, &(clseq_attention_shape){.T = 1, .S = 0, .B = 1}, &m),
            CLSEQ_INVALID_ARGUMENT, "attention remember: S is 0, expected 1 to 2147483647");
    m.keys = none;
    refused(clseq_attention_remember(plan, shape, &m), CLSEQ_INVALID_ARGUMENT,
            "attention remember: keys is NULL, expected f32 [4,2,3]");
    m = s.memory;
    m.weights = NULL;
    refused(clseq_attention_remember(plan, shape, &m), CLSEQ_INVALID_ARGUMENT,
            "attention remember: weights is NULL, expected 3 tensors");
    m = s.memory;
    m.values = m.keys;
    refused(clseq_attention_remember(plan, shape, &m), CLSEQ_INVALID_ARGUMENT,
            "attention remember: values are given, but in this plan the keys are the values");
    m = s.memory;
    m.mask = m.lengths;
    refused(clseq_attention_remember(plan, shape, &m), CLSEQ_INVALID_SHAPE,
            "attention remember: mask has 1 dimensions, expected 2: [4,2]");

    clseq_attention_forward_args f = s.forward;
    f.queries.dims[2] = 4;
    refused(clseq_attention_forward(plan, shape, &f), CLSEQ_INVALID_SHAPE,
            "attention forward: queries has shape [3,2,4], expected [3,2,5]");
    f = s.forward;
    f.first = 2;
    f.count = 2;
    refused(clseq_attention_forward(plan, shape, &f), CLSEQ_INVALID_ARGUMENT,
            "attention forward: first is 2, expected 0 to 1");
    f.count = 4;
    refused(clseq_attention_forward(plan, shape, &f), CLSEQ_INVALID_ARGUMENT,
            "attention forward: count is 4, expected 1 to 3, or 0 with first 0 for all");
    f = s.forward;
    f.initial = f.queries;
    refused(clseq_attention_forward(plan, shape, &f), CLSEQ_INVALID_ARGUMENT,
            "attention forward: initial is given, but the plan has no location");
    f = s.forward;
    f.context = f.queries;
    f.context.dims[2] = 3;
    refused(clseq_attention_forward(plan, shape, &f), CLSEQ_INVALID_ARGUMENT,
            "attention forward: context overlaps queries, expected memory of its own");
    f = s.forward;
    f.workspace.dims[0] = 64;
    cr_expect_eq(clseq_attention_forward(plan, shape, &f), CLSEQ_INVALID_SHAPE);
    cr_expect_not_null(
        strstr(clseq_last_error(), "attention forward: workspace has 64 bytes, expected at least "), "%s",
        clseq_last_error());
    f = s.forward;
    f.memory.offset += 4;
    cr_expect_neq(clseq_attention_forward(plan, shape, &f), CLSEQ_OK);

    clseq_attention_backward_args b = s.backward;
    refused(clseq_attention_backward(plan, &inference, &b), CLSEQ_INVALID_ARGUMENT,
            "attention backward: mode is CLSEQ_MODE_INFERENCE, which keeps nothing for a backward pass");
    b.dcontext = none;
    refused(clseq_attention_backward(plan, shape, &b), CLSEQ_INVALID_ARGUMENT,
            "attention backward: dcontext is NULL, expected f32 [3,2,3]");

    clseq_attention_gradients_args g = s.gradients;
    g.dvalues = g.dkeys;
    refused(
        clseq_attention_gradients(plan, shape, &g), CLSEQ_INVALID_ARGUMENT,
        "attention gradients: dvalues are given, but in this plan the keys are the values: dkeys has both");
    g = s.gradients;
    g.count = 4;
    refused(clseq_attention_gradients(plan, shape, &g), CLSEQ_INVALID_ARGUMENT,
            "attention gradients: count is 4, expected 1 to 3, or 0 for all");
    g = s.gradients;
    g.dkeys = g.keys;
    refused(clseq_attention_gradients(plan, shape, &g), CLSEQ_INVALID_ARGUMENT,
            "attention gradients: dkeys overlaps keys, expected memory of its own");
    clseq_tensor aliased[ATTENTION_RUN_WEIGHTS];
    memcpy(aliased, s.run->dweights, sizeof aliased);
    aliased[2] = s.run->weights[2];
    g = s.gradients;
    g.dweights = aliased;
    refused(clseq_attention_gradients(plan, shape, &g), CLSEQ_INVALID_ARGUMENT,
            "attention gradients: dweights (weight_score) overlaps weights (weight_score), expected memory "
            "of its own");
    scene_destroy(&s);
    clseq_context_destroy(ctx);
}

/* Gradients of weights add up, and those that nobody asks for are not made. */
Test(attention_plan, gradients_of_weights_add_up)
{
    clseq_context *ctx = test_context();
    for (int variant = 0; variant < attention_variant_count; variant++) {
        scene s = scene_create(ctx, variant, 3);
        size_t n = 0;
        for (int pass = 0; pass < 2; pass++) {
            attention_run_forward(s.run);
            attention_run_backward(s.run, pass > 0);
        }
        for (int place = ATTENTION_WEIGHT_QUERY; place < ATTENTION_PLACES; place++)
            for (size_t i = 0; i < s.c->n[place]; i++) {
                s.c->want[place][i] *= 2;
                s.c->bound[place][i] *= 3;
            }
        attention_run_check(s.run);
        attention_run_forward(s.run);
        clseq_attention_backward_args b = s.backward;
        clseq_attention_gradients_args g = s.gradients;
        b.dqueries = g.dkeys = (clseq_tensor){.buffer = NULL};
        g.dweights = NULL;
        float *before = attention_run_outputs(s.run, false, &n);
        MUST(clseq_attention_backward(s.run->plan, &s.run->shape, &b));
        MUST(clseq_attention_gradients(s.run->plan, &s.run->shape, &g));
        float *after = attention_run_outputs(s.run, false, &n);
        cr_expect_eq(memcmp(before, after, n * sizeof *before), 0, "%s", s.c->variant->name);
        free(before);
        free(after);
        scene_destroy(&s);
    }
    clseq_context_destroy(ctx);
}
