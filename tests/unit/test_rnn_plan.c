/* Plans of recurrent layers: every refusal of a descriptor and its sentence, the choice of a schedule, its description. */
#include "core/context.h"
#include "rnn/plan.h"
#include "support/device.h"
#include "support/guarded.h"
#include "support/rnn_run.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void refused(clseq_status got, clseq_status expected, const char *sentence)
{
    cr_assert_eq(got, expected, "got %s (%s), expected %s", clseq_status_name(got), clseq_last_error(),
                 clseq_status_name(expected));
    cr_assert(strstr(clseq_last_error(), sentence) != NULL, "the sentence is \"%s\", expected \"%s\" in it",
              clseq_last_error(), sentence);
}

/* ---- descriptors ---- */

static void refuse_plan(clseq_context *ctx, clseq_rnn_desc desc, clseq_status expected, const char *sentence)
{
    clseq_rnn_plan *plan = (clseq_rnn_plan *)&desc;
    refused(clseq_rnn_plan_create(ctx, &desc, &plan), expected, sentence);
    cr_assert_null(plan);
}

static const int64_t no_width[] = {4, 0, 5}, no_last[] = {4, 5, 0}, one_too_wide[] = {4, INT64_C(1) << 31, 5},
                     wide_pair[] = {30000, 30000}, narrow[] = {4, 3, 5}, wider_last[] = {4, 4, 5};

/* Descriptors that are wrong, and what is said of each. */
static const struct {
    clseq_rnn_desc desc;
    clseq_status status;
    const char *sentence;
} wrong[] = {
    {{.cell = CLSEQ_CELL_COUNT, .input = 3, .hidden = 4},
     CLSEQ_INVALID_ARGUMENT,
     "rnn plan: cell is 6, expected 0 to 5"},
    {{.cell = (clseq_cell)-1, .input = 3, .hidden = 4},
     CLSEQ_INVALID_ARGUMENT,
     "rnn plan: cell is -1, expected 0 to 5"},
    {{.hidden = 4}, CLSEQ_INVALID_ARGUMENT, "rnn plan: input is 0, expected 1 to 2147483647"},
    {{.input = INT64_C(1) << 31, .hidden = 4}, CLSEQ_INVALID_ARGUMENT, "rnn plan: input is 2147483648"},
    {{.input = 4, .hidden = -1}, CLSEQ_INVALID_ARGUMENT, "rnn plan: hidden is -1, expected 1 to 2147483647"},
    {{.input = 4, .hidden = INT64_C(1) << 31}, CLSEQ_INVALID_ARGUMENT, "rnn plan: hidden is 2147483648"},
    {{.input = 4, .hidden = 4, .layers = -2},
     CLSEQ_INVALID_ARGUMENT,
     "rnn plan: layers is -2, expected 1 to 2147483647"},
    {{.input = 4, .layers = 3, .widths = no_width},
     CLSEQ_INVALID_ARGUMENT,
     "rnn plan: widths[1] is 0, expected 1 to 2147483647"},
    {{.input = 4, .layers = 3, .widths = no_last}, CLSEQ_INVALID_ARGUMENT, "rnn plan: widths[2] is 0"},
    {{.input = 4, .layers = 3, .widths = one_too_wide},
     CLSEQ_INVALID_ARGUMENT,
     "rnn plan: widths[1] is 2147483648"},
    {{.input = 4, .hidden = 60000},
     CLSEQ_INVALID_ARGUMENT,
     "rnn plan: input 4 and hidden 60000 of layer 0 make a weight matrix of 2^31 elements or more"},
    {{.input = 4, .layers = 2, .widths = wide_pair},
     CLSEQ_INVALID_ARGUMENT,
     "rnn plan: input 4 and hidden 30000 of layer 0 make a weight matrix"},
    /* Of two directions side by side, which a layer above reads. */
    {{.input = 4, .hidden = 20000, .layers = 2, .direction = CLSEQ_DIRECTION_BIDIRECTIONAL},
     CLSEQ_INVALID_ARGUMENT,
     "rnn plan: input 40000 and hidden 20000 of layer 1 make a weight matrix"},
    {{.input = 4, .hidden = 4, .bias = (clseq_bias)7},
     CLSEQ_INVALID_ARGUMENT,
     "rnn plan: bias is 7, which is no clseq_bias"},
    {{.input = 4, .hidden = 4, .bias = (clseq_bias)-1}, CLSEQ_INVALID_ARGUMENT, "rnn plan: bias is -1"},
    {{.input = 4, .hidden = 4, .direction = (clseq_direction)3},
     CLSEQ_INVALID_ARGUMENT,
     "rnn plan: direction is 3, which is no clseq_direction"},
    {{.input = 4, .hidden = 4, .merge = (clseq_merge)2},
     CLSEQ_INVALID_ARGUMENT,
     "rnn plan: merge is 2, which is no clseq_merge"},
    {{.input = 4, .hidden = 4, .schedule = (clseq_schedule)99},
     CLSEQ_INVALID_ARGUMENT,
     "rnn plan: schedule is 99, which is no clseq_schedule"},
    {{.input = 4, .hidden = 4, .projection = -1},
     CLSEQ_INVALID_ARGUMENT,
     "rnn plan: projection is -1, expected 0 (none) or 1 to hidden, which is 4"},
    {{.input = 4, .hidden = 4, .projection = 5},
     CLSEQ_INVALID_ARGUMENT,
     "rnn plan: projection is 5, expected 0 (none) or 1 to hidden, which is 4"},
    {{.input = 4, .layers = 3, .widths = narrow, .projection = 4},
     CLSEQ_INVALID_ARGUMENT,
     "rnn plan: projection is 4, expected 0 (none) or 1 to widths[1], which is 3"},
    {{.cell = CLSEQ_CELL_GRU, .input = 4, .hidden = 4, .projection = 2},
     CLSEQ_UNSUPPORTED,
     "rnn plan: projection is 2, but a unit of the cell gru carries its own h on, expected 0"},
    {{.cell = CLSEQ_CELL_GRU_RESET_BEFORE, .input = 4, .hidden = 4, .projection = 2},
     CLSEQ_UNSUPPORTED,
     "rnn plan: projection is 2, but a unit of the cell gru_reset_before carries its own h on"},
    {{.cell = CLSEQ_CELL_RNN_TANH, .input = 4, .hidden = 4, .layer_norm = true},
     CLSEQ_UNSUPPORTED,
     "rnn plan: layer_norm is set, but the cell rnn_tanh has no form with layer normalisation"},
    {{.cell = CLSEQ_CELL_LSTM_PEEPHOLE, .input = 4, .hidden = 4, .layer_norm = true},
     CLSEQ_UNSUPPORTED,
     "rnn plan: layer_norm is set, but the cell lstm_peephole has no form"},
    {{.input = 4, .hidden = 4, .dropout = -0.1f},
     CLSEQ_INVALID_ARGUMENT,
     "rnn plan: dropout is -0.1, expected at least 0 and less than 1"},
    {{.input = 4, .hidden = 4, .dropout = 1.0f}, CLSEQ_INVALID_ARGUMENT, "rnn plan: dropout is 1, expected"},
    {{.input = 4, .hidden = 4, .dropout = NAN}, CLSEQ_INVALID_ARGUMENT, "rnn plan: dropout is nan, expected"},
    {{.input = 4, .hidden = 4, .layers = 2, .variational_dropout = true},
     CLSEQ_INVALID_ARGUMENT,
     "rnn plan: variational_dropout is set, but dropout is 0, expected more"},
    {{.input = 4, .layers = 3, .widths = wider_last, .residual = true},
     CLSEQ_INVALID_ARGUMENT,
     "rnn plan: residual is set, but layer 2 reads 4 features and puts out 5, expected as many"},
    {{.input = 4,
      .layers = 3,
      .widths = wider_last,
      .direction = CLSEQ_DIRECTION_BIDIRECTIONAL,
      .residual = true},
     CLSEQ_INVALID_ARGUMENT,
     "rnn plan: residual is set, but layer 2 reads 8 features and puts out 10, expected as many"},
    {{.input = 4, .hidden = 4, .cell_clip = -0.5f},
     CLSEQ_INVALID_ARGUMENT,
     "rnn plan: cell_clip is -0.5, expected 0 (none) or a finite number above it"},
    {{.input = 4, .hidden = 4, .cell_clip = INFINITY},
     CLSEQ_INVALID_ARGUMENT,
     "rnn plan: cell_clip is inf, "},
    {{.input = 4, .hidden = 4, .cell_clip = NAN}, CLSEQ_INVALID_ARGUMENT, "rnn plan: cell_clip is nan, "},
    {{.cell = CLSEQ_CELL_GRU, .input = 4, .hidden = 4, .cell_clip = 1},
     CLSEQ_UNSUPPORTED,
     "rnn plan: cell_clip is 1, but the cell gru has no c to clip, expected 0"},
    {{.input = 4, .hidden = 4, .zoneout_h = 1},
     CLSEQ_INVALID_ARGUMENT,
     "rnn plan: zoneout_h is 1, expected at least 0 and less than 1"},
    {{.input = 4, .hidden = 4, .zoneout_c = -0.25f},
     CLSEQ_INVALID_ARGUMENT,
     "rnn plan: zoneout_c is -0.25, expected at least 0 and less than 1"},
    {{.input = 4, .hidden = 4, .zoneout_c = NAN}, CLSEQ_INVALID_ARGUMENT, "rnn plan: zoneout_c is nan, "},
    {{.cell = CLSEQ_CELL_GRU_RESET_BEFORE, .input = 4, .hidden = 4, .zoneout_c = 0.5f},
     CLSEQ_UNSUPPORTED,
     "rnn plan: zoneout_c is 0.5, but the cell gru_reset_before has no c, expected 0"},
    {{.input = 4, .hidden = 4, .recurrent_dropout = 1},
     CLSEQ_INVALID_ARGUMENT,
     "rnn plan: recurrent_dropout is 1, expected at least 0 and less than 1"},
    {{.input = 4, .hidden = 4, .recurrent_dropout = NAN},
     CLSEQ_INVALID_ARGUMENT,
     "rnn plan: recurrent_dropout is nan, "},
    {{.input = 4, .hidden = 4, .projection = 2, .zoneout_h = 0.5f},
     CLSEQ_UNSUPPORTED,
     "rnn plan: zoneout_h is 0.5, but h is projected, to 2, expected 0, or no projection"},
};

Test(rnn_plan, refuses_what_it_cannot_do)
{
    clseq_context *ctx = test_context();
    clseq_rnn_plan *plan = NULL;
    const clseq_rnn_desc good = {.input = 3, .hidden = 4};
    refused(clseq_rnn_plan_create(NULL, &good, &plan), CLSEQ_INVALID_ARGUMENT, "rnn plan: ctx is NULL");
    refused(clseq_rnn_plan_create(ctx, NULL, &plan), CLSEQ_INVALID_ARGUMENT, "rnn plan: desc is NULL");
    refused(clseq_rnn_plan_create(ctx, &good, NULL), CLSEQ_INVALID_ARGUMENT, "rnn plan: out is NULL");
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        refuse_plan(ctx, wrong[i].desc, wrong[i].status, wrong[i].sentence);
    setenv("CLSEQ_SCHEDULE", "lucky", 1);
    refuse_plan(ctx, good, CLSEQ_INVALID_ARGUMENT, "rnn plan: CLSEQ_SCHEDULE is \"lucky\"");
    clseq_rnn_plan_destroy(NULL);
    clseq_context_destroy(ctx);
}

/* What looks odd and is right. */
Test(rnn_plan, takes_what_is_odd)
{
    static const int64_t widths[] = {3, 5};
    const clseq_rnn_desc odd[] = {
        {.input = 3, .hidden = 4, .projection = 4},
        {.input = 3, .hidden = -7, .layers = 2, .widths = widths, .projection = 3},
        {.input = 3, .hidden = 4, .merge = CLSEQ_MERGE_SUM},
        {.cell = CLSEQ_CELL_GRU, .input = 3, .hidden = 4, .layer_norm = true, .bias = CLSEQ_BIAS_NONE},
        {.input = 3, .hidden = 4, .projection = 2, .cell_clip = 1e-30f, .zoneout_c = 0.99f}};
    clseq_context *ctx = test_context();
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        clseq_rnn_plan *plan = NULL;
        MUST(clseq_rnn_plan_create(ctx, &odd[i], &plan));
        clseq_rnn_plan_destroy(plan);
    }
    clseq_context_destroy(ctx);
}

/* ---- choice of a schedule ---- */

static char chosen[512];

static void keep_line(clseq_log_level level, const char *line, void *user)
{
    (void)user;
    if (level == CLSEQ_LOG_INFO && strstr(line, "schedule"))
        snprintf(chosen, sizeof chosen, "%s", line);
}

static void check_choice(clseq_context *ctx, clseq_schedule asked, const char *expected)
{
    clseq_rnn_plan *plan = NULL;
    char text[1024];
    const clseq_rnn_shape shape = {.T = 5, .B = 2};
    MUST(clseq_rnn_plan_create(ctx, &(clseq_rnn_desc){.input = 3, .hidden = 4, .schedule = asked}, &plan));
    cr_assert(strstr(chosen, expected), "the log says \"%s\", expected %s", chosen, expected);
    MUST(clseq_rnn_describe(plan, &shape, text, sizeof text));
    cr_assert(strstr(text, expected), "the description is \"%s\", expected %s in it", text, expected);
    cr_assert(!strstr(text, " 1 launches"), "%s", text);
    for (size_t size = 1; size < 400; size += 13) {
        memset(text, '#', sizeof text);
        MUST(clseq_rnn_describe(plan, &shape, text, size));
        cr_assert(memchr(text, 0, size) != NULL && text[size] == '#', "a description overflows %zu bytes",
                  size);
    }
    clseq_rnn_plan_destroy(plan);
}

Test(rnn_plan, chooses_by_device_environment_and_descriptor)
{
    clseq_context *ctx = test_context();
    clseq_set_log(keep_line, NULL, CLSEQ_LOG_INFO);
    unsetenv("CLSEQ_SCHEDULE");
    const char *first = NULL;
    for (int i = 0; i < rnn_schedule_count; i++) {
        const rnn_schedule *schedule = &rnn_schedules[i];
        if (!rnn_schedule_expected(ctx, schedule)) {
            refuse_plan(ctx, (clseq_rnn_desc){.input = 3, .hidden = 4, .schedule = schedule->id},
                        CLSEQ_UNSUPPORTED, schedule->name);
            continue;
        }
        first = first ? first : schedule->name;
        check_choice(ctx, schedule->id, schedule->name);
        setenv("CLSEQ_SCHEDULE", schedule->name, 1);
        check_choice(ctx, CLSEQ_SCHEDULE_AUTO, schedule->name);
        cr_assert(strstr(chosen, "CLSEQ_SCHEDULE"));
        unsetenv("CLSEQ_SCHEDULE");
    }
    check_choice(ctx, CLSEQ_SCHEDULE_AUTO, first);
    /* A descriptor that names one is not overruled by the environment. */
    setenv("CLSEQ_SCHEDULE", rnn_schedules[0].name, 1);
    check_choice(ctx, CLSEQ_SCHEDULE_GEMM_STEP, "gemm_step");
    clseq_set_log(NULL, NULL, CLSEQ_LOG_ERROR);
    clseq_context_destroy(ctx);
}

/* Which schedule a call takes, asked of the plan. */
Test(rnn_plan, tells_its_schedule)
{
    clseq_context *ctx = test_context();
    clseq_rnn_plan *plan = NULL;
    clseq_schedule got = CLSEQ_SCHEDULE_AUTO;
    const clseq_rnn_shape shape = {.T = 5, .B = 2}, bad = {.T = 0, .B = 2};
    for (int i = 0; i < rnn_schedule_count; i++) {
        if (!rnn_schedule_expected(ctx, &rnn_schedules[i]))
            continue;
        const clseq_rnn_desc desc = {.input = 3, .hidden = 4, .schedule = rnn_schedules[i].id};
        MUST(clseq_rnn_plan_create(ctx, &desc, &plan));
        MUST(clseq_rnn_plan_schedule(plan, &shape, &got));
        cr_assert_eq(got, rnn_schedules[i].id);
        refused(clseq_rnn_plan_schedule(plan, &shape, NULL), CLSEQ_INVALID_ARGUMENT,
                "rnn schedule: out is NULL");
        refused(clseq_rnn_plan_schedule(plan, &bad, &got), CLSEQ_INVALID_ARGUMENT, "rnn schedule: T is 0");
        clseq_rnn_plan_destroy(plan);
    }
    refused(clseq_rnn_plan_schedule(NULL, &shape, &got), CLSEQ_INVALID_ARGUMENT,
            "rnn schedule: plan is NULL");
    clseq_context_destroy(ctx);
}

/* ---- sizes ---- */

/* A buffer that the device cannot make, and a reserve that products cannot address, each by its name. */
Test(rnn_plan, refuses_sizes_beyond_the_device)
{
    clseq_context *ctx = test_context();
    clseq_rnn_plan *plan = NULL;
    clseq_rnn_sizes sizes, wanted;
    const clseq_rnn_shape small = {.T = 7, .B = 3}, large = {.T = 10000000, .B = 1000};
    const uint64_t limit = ctx->device.max_allocation;
    char text[64];
    MUST(clseq_rnn_plan_create(ctx, &(clseq_rnn_desc){.input = 8, .hidden = 16, .layers = 2}, &plan));
    MUST(clseq_rnn_plan_sizes(plan, &small, &wanted));
    const struct {
        int64_t bytes;
        const char *name;
    } buffers[] = {{wanted.packed, "packed"}, {wanted.reserve, "reserve"}, {wanted.workspace, "workspace"}};
    for (int i = 0; i < 3; i++) {
        char sentence[128];
        bool first = true;
        for (int k = 0; k < i; k++)
            first = first && buffers[k].bytes < buffers[i].bytes;
        ctx->device.max_allocation = (uint64_t)buffers[i].bytes - 1;
        snprintf(sentence, sizeof sentence, "rnn sizes: %s needs %" PRId64 " bytes, ", buffers[i].name,
                 buffers[i].bytes);
        refused(clseq_rnn_plan_sizes(plan, &small, &sizes), CLSEQ_UNSUPPORTED,
                first ? sentence : "rnn sizes: ");
        cr_assert(strstr(clseq_last_error(), "allows buffers of up to"), "%s", clseq_last_error());
    }
    ctx->device.max_allocation = UINT64_MAX;
    refused(clseq_rnn_plan_sizes(plan, &large, &sizes), CLSEQ_UNSUPPORTED,
            " bytes in one layer, expected fewer than 8589934592: products address a buffer with 32 bits");
    refused(clseq_rnn_describe(plan, &large, text, sizeof text), CLSEQ_UNSUPPORTED,
            "rnn describe: reserve needs");
    refused(clseq_rnn_pack(plan, &large, NULL, NULL), CLSEQ_UNSUPPORTED, "rnn pack: reserve needs");
    refused(clseq_rnn_forward(plan, &large, NULL), CLSEQ_UNSUPPORTED, "rnn forward: reserve needs");
    refused(clseq_rnn_backward(plan, &large, NULL), CLSEQ_UNSUPPORTED, "rnn backward: reserve needs");
    ctx->device.max_allocation = limit;
    MUST(clseq_rnn_plan_sizes(plan, &small, &sizes));
    clseq_rnn_plan_destroy(plan);
    clseq_context_destroy(ctx);
}

/* A reserve is as large as its layer needs, and the sizes tell the largest. */
Test(rnn_plan, sizes_reserves_by_layer)
{
    static const int64_t widths[] = {4, 40, 9};
    clseq_context *ctx = test_context();
    clseq_rnn_plan *plan = NULL;
    clseq_rnn_sizes sizes;
    const clseq_rnn_shape shape = {.T = 9, .B = 3};
    int64_t bytes[3], other = 0;
    MUST(clseq_rnn_plan_create(ctx, &(clseq_rnn_desc){.input = 2, .layers = 3, .widths = widths}, &plan));
    MUST(clseq_rnn_plan_sizes(plan, &shape, &sizes));
    for (int l = 0; l < 3; l++)
        MUST(clseq_rnn_reserve_size(plan, &shape, l, &bytes[l]));
    cr_assert(bytes[1] > bytes[0] && bytes[1] > bytes[2] && bytes[0] > 0);
    cr_assert_eq(sizes.reserve, bytes[1]);
    refused(clseq_rnn_reserve_size(plan, &shape, 3, &other), CLSEQ_INVALID_ARGUMENT, "layer is 3");
    refused(clseq_rnn_reserve_size(plan, &shape, -1, &other), CLSEQ_INVALID_ARGUMENT, "layer is -1");
    refused(clseq_rnn_reserve_size(plan, &shape, 0, NULL), CLSEQ_INVALID_ARGUMENT, "out is NULL");
    refused(clseq_rnn_reserve_size(NULL, &shape, 0, &other), CLSEQ_INVALID_ARGUMENT, "plan is NULL");
    clseq_rnn_plan_destroy(plan);
    clseq_context_destroy(ctx);
}

/* ---- descriptions ---- */

Test(rnn_plan, describes_every_option)
{
    static const int64_t widths[] = {6, 5, 5};
    static const struct {
        clseq_rnn_desc desc;
        const char *line;
    } cases[] = {
        {{.input = 3, .hidden = 4}, "lstm, 1 layer, input 3, hidden 4, T 5, B 2, training\n"},
        {{.cell = CLSEQ_CELL_GRU, .input = 3, .hidden = 4, .layers = 2, .one_hot = true, .layer_norm = true},
         "gru, 2 layers, input 3 (one-hot), hidden 4, layer_norm, T 5, B 2, training\n"},
        {{.input = 3, .hidden = 4, .direction = CLSEQ_DIRECTION_REVERSE},
         "lstm, 1 layer, reverse, input 3, hidden 4, T 5"},
        {{.input = 3,
          .layers = 3,
          .widths = widths,
          .projection = 2,
          .direction = CLSEQ_DIRECTION_BIDIRECTIONAL},
         "lstm, 3 layers, bidirectional, input 3, hidden 6 5 5, projection 2, T 5"},
        {{.input = 3, .hidden = 4, .direction = CLSEQ_DIRECTION_BIDIRECTIONAL, .merge = CLSEQ_MERGE_SUM},
         "lstm, 1 layer, bidirectional (sum), input 3, hidden 4, T 5"},
        {{.input = 3, .hidden = 4, .layers = 2, .dropout = 0.25f},
         "lstm, 2 layers, input 3, hidden 4, dropout 0.25, T 5"},
        {{.input = 3,
          .layers = 3,
          .widths = widths,
          .projection = 2,
          .dropout = 0.5f,
          .variational_dropout = true,
          .residual = true},
         "lstm, 3 layers, input 3, hidden 6 5 5, projection 2, variational dropout 0.5, residual, T 5"},
        {{.input = 3,
          .hidden = 4,
          .cell_clip = 3,
          .zoneout_h = 0.25f,
          .zoneout_c = 0.5f,
          .recurrent_dropout = 0.75f},
         "lstm, 1 layer, input 3, hidden 4, cell_clip 3, zoneout_h 0.25, zoneout_c 0.5, recurrent_dropout "
         "0.75, T 5"}};
    clseq_context *ctx = test_context();
    const clseq_rnn_shape shape = {.T = 5, .B = 2},
                          inference = {.T = 5, .B = 2, .mode = CLSEQ_MODE_INFERENCE};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        clseq_rnn_plan *plan = NULL;
        char text[4096];
        MUST(clseq_rnn_plan_create(ctx, &cases[i].desc, &plan));
        MUST(clseq_rnn_describe(plan, &shape, text, sizeof text));
        cr_assert(strncmp(text, cases[i].line, strlen(cases[i].line)) == 0, "%s", text);
        cr_assert(strstr(text, "\nforward: at most ") && strstr(text, "\nbackward: at most ") &&
                      strstr(text, "\nmemory: ") && strstr(text, " MiB reserve"),
                  "%s", text);
        MUST(clseq_rnn_describe(plan, &inference, text, sizeof text));
        cr_assert(!strstr(text, "backward:") && !strstr(text, "reserve") && strstr(text, "inference\n"), "%s",
                  text);
        clseq_rnn_plan_destroy(plan);
    }
    clseq_context_destroy(ctx);
}

static void tell_width(const clseq__rnn_layer *layer, const clseq_rnn_shape *shape, char *text, size_t size)
{
    (void)shape;
    snprintf(text, size, "width %" PRId64 "\n", layer->hidden);
}

/* Bytes stand in MiB; the schedule's lines come for the first layer, and again where a layer has others. */
Test(rnn_plan, describes_memory_and_layers)
{
    static const int64_t widths[] = {60, 60, 300, 300, 60};
    enum { L = sizeof widths / sizeof widths[0] };
    clseq_context *ctx = test_context();
    clseq_rnn_plan *plan = NULL;
    clseq_rnn_sizes sizes;
    char text[4096], last[512];
    const clseq_rnn_shape shape = {.T = 90, .B = 20};
    int64_t reserve = 0;
    const clseq_rnn_desc desc = {.input = 60, .layers = L, .widths = widths};
    MUST(clseq_rnn_plan_create(ctx, &desc, &plan));
    MUST(clseq_rnn_plan_sizes(plan, &shape, &sizes));
    for (int l = 0; l < L; l++) {
        int64_t bytes = 0;
        MUST(clseq_rnn_reserve_size(plan, &shape, l, &bytes));
        reserve += bytes;
    }
    clseq__rnn_schedule talking = *plan->forms[0].schedule;
    talking.describe = tell_width;
    plan->forms[0].schedule = &talking;
    snprintf(last, sizeof last,
             "memory: %.3f MiB packed weights, %.3f MiB reserve (%.3f MiB in the largest layer), %.3f MiB "
             "workspace\nwidth 60\nlayer 2:\nwidth 300\nlayer 4:\nwidth 60\n",
             (double)sizes.packed / 1048576, (double)reserve / 1048576, (double)sizes.reserve / 1048576,
             (double)sizes.workspace / 1048576);
    MUST(clseq_rnn_describe(plan, &shape, text, sizeof text));
    const char *memory = strstr(text, "memory: ");
    cr_assert_not_null(memory, "%s", text);
    cr_assert_str_eq(memory, last);
    clseq_rnn_plan_destroy(plan);
    clseq_context_destroy(ctx);
}
