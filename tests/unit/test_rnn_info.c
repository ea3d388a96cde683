/* What plans tell of their weights, states, outputs and schedules: names, shapes and order, literally PyTorch's. */
#include "support/device.h"
#include "support/guarded.h"

#include <clseq/rnn.h>
#include <criterion/criterion.h>
#include <string.h>

static void refused(clseq_status got, clseq_status expected, const char *sentence)
{
    cr_assert_eq(got, expected, "got %s (%s), expected %s", clseq_status_name(got), clseq_last_error(),
                 clseq_status_name(expected));
    cr_assert(strstr(clseq_last_error(), sentence) != NULL, "the sentence is \"%s\", expected \"%s\" in it",
              clseq_last_error(), sentence);
}

/* ---- weights ---- */

/* nn.LSTM(7, 5, num_layers=2, bidirectional=True, proj_size=3).named_parameters(), bar the order of its biases' names. */
static const clseq_rnn_weight lstm_weights[] = {
    {"weight_ih_l0", "weight_ih", CLSEQ_RNN_WEIGHT_INPUT, 0, false, 2, {20, 7}, 5},
    {"weight_hh_l0", "weight_hh", CLSEQ_RNN_WEIGHT_RECURRENT, 0, false, 2, {20, 3}, 5},
    {"bias_ih_l0", "bias_ih", CLSEQ_RNN_WEIGHT_BIAS, 0, false, 1, {20, 1}, 5},
    {"bias_hh_l0", "bias_hh", CLSEQ_RNN_WEIGHT_BIAS, 0, false, 1, {20, 1}, 5},
    {"weight_hr_l0", "weight_hr", CLSEQ_RNN_WEIGHT_PROJECTION, 0, false, 2, {3, 5}, 3},
    {"weight_ih_l0_reverse", "weight_ih", CLSEQ_RNN_WEIGHT_INPUT, 0, true, 2, {20, 7}, 5},
    {"weight_hh_l0_reverse", "weight_hh", CLSEQ_RNN_WEIGHT_RECURRENT, 0, true, 2, {20, 3}, 5},
    {"bias_ih_l0_reverse", "bias_ih", CLSEQ_RNN_WEIGHT_BIAS, 0, true, 1, {20, 1}, 5},
    {"bias_hh_l0_reverse", "bias_hh", CLSEQ_RNN_WEIGHT_BIAS, 0, true, 1, {20, 1}, 5},
    {"weight_hr_l0_reverse", "weight_hr", CLSEQ_RNN_WEIGHT_PROJECTION, 0, true, 2, {3, 5}, 3},
    {"weight_ih_l1", "weight_ih", CLSEQ_RNN_WEIGHT_INPUT, 1, false, 2, {20, 6}, 5},
    {"weight_hh_l1", "weight_hh", CLSEQ_RNN_WEIGHT_RECURRENT, 1, false, 2, {20, 3}, 5},
    {"bias_ih_l1", "bias_ih", CLSEQ_RNN_WEIGHT_BIAS, 1, false, 1, {20, 1}, 5},
    {"bias_hh_l1", "bias_hh", CLSEQ_RNN_WEIGHT_BIAS, 1, false, 1, {20, 1}, 5},
    {"weight_hr_l1", "weight_hr", CLSEQ_RNN_WEIGHT_PROJECTION, 1, false, 2, {3, 5}, 3},
    {"weight_ih_l1_reverse", "weight_ih", CLSEQ_RNN_WEIGHT_INPUT, 1, true, 2, {20, 6}, 5},
    {"weight_hh_l1_reverse", "weight_hh", CLSEQ_RNN_WEIGHT_RECURRENT, 1, true, 2, {20, 3}, 5},
    {"bias_ih_l1_reverse", "bias_ih", CLSEQ_RNN_WEIGHT_BIAS, 1, true, 1, {20, 1}, 5},
    {"bias_hh_l1_reverse", "bias_hh", CLSEQ_RNN_WEIGHT_BIAS, 1, true, 1, {20, 1}, 5},
    {"weight_hr_l1_reverse", "weight_hr", CLSEQ_RNN_WEIGHT_PROJECTION, 1, true, 2, {3, 5}, 3},
};

static const clseq_rnn_weight peephole_weights[] = {
    {"weight_ih_l0", "weight_ih", CLSEQ_RNN_WEIGHT_INPUT, 0, true, 2, {20, 7}, 5},
    {"weight_hh_l0", "weight_hh", CLSEQ_RNN_WEIGHT_RECURRENT, 0, true, 2, {20, 5}, 5},
    {"bias_ih_l0", "bias_ih", CLSEQ_RNN_WEIGHT_BIAS, 0, true, 1, {20, 1}, 5},
    {"weight_ci_l0", "weight_ci", CLSEQ_RNN_WEIGHT_UNIT, 0, true, 1, {5, 1}, 5},
    {"weight_cf_l0", "weight_cf", CLSEQ_RNN_WEIGHT_UNIT, 0, true, 1, {5, 1}, 5},
    {"weight_co_l0", "weight_co", CLSEQ_RNN_WEIGHT_UNIT, 0, true, 1, {5, 1}, 5},
};

static const clseq_rnn_weight norm_weights[] = {
    {"weight_ih_l0", "weight_ih", CLSEQ_RNN_WEIGHT_INPUT, 0, false, 2, {20, 7}, 5},
    {"weight_hh_l0", "weight_hh", CLSEQ_RNN_WEIGHT_RECURRENT, 0, false, 2, {20, 5}, 5},
    {"gain_ih_l0", "gain_ih", CLSEQ_RNN_WEIGHT_GAIN, 0, false, 1, {20, 1}, 5},
    {"gain_hh_l0", "gain_hh", CLSEQ_RNN_WEIGHT_GAIN, 0, false, 1, {20, 1}, 5},
    {"gain_c_l0", "gain_c", CLSEQ_RNN_WEIGHT_GAIN, 0, false, 1, {5, 1}, 5},
    {"bias_c_l0", "bias_c", CLSEQ_RNN_WEIGHT_SHIFT, 0, false, 1, {5, 1}, 5},
};

static const clseq_rnn_weight gru_weights[] = {
    {"weight_ih_l0", "weight_ih", CLSEQ_RNN_WEIGHT_INPUT, 0, false, 2, {12, 7}, 4},
    {"weight_hh_l0", "weight_hh", CLSEQ_RNN_WEIGHT_RECURRENT, 0, false, 2, {12, 4}, 4},
    {"bias_ih_l0", "bias_ih", CLSEQ_RNN_WEIGHT_BIAS, 0, false, 1, {12, 1}, 4},
    {"bias_hh_l0", "bias_hh", CLSEQ_RNN_WEIGHT_BIAS, 0, false, 1, {12, 1}, 4},
    {"weight_ih_l1", "weight_ih", CLSEQ_RNN_WEIGHT_INPUT, 1, false, 2, {18, 4}, 6},
    {"weight_hh_l1", "weight_hh", CLSEQ_RNN_WEIGHT_RECURRENT, 1, false, 2, {18, 6}, 6},
    {"bias_ih_l1", "bias_ih", CLSEQ_RNN_WEIGHT_BIAS, 1, false, 1, {18, 1}, 6},
    {"bias_hh_l1", "bias_hh", CLSEQ_RNN_WEIGHT_BIAS, 1, false, 1, {18, 1}, 6},
};

static const int64_t widths[] = {4, 6};

#define TABLE(weights) weights, (int)(sizeof weights / sizeof weights[0])

static const struct {
    clseq_rnn_desc desc;
    const clseq_rnn_weight *weights;
    int count;
} tables[] = {
    {{.input = 7, .hidden = 5, .layers = 2, .direction = CLSEQ_DIRECTION_BIDIRECTIONAL, .projection = 3},
     TABLE(lstm_weights)},
    {{.cell = CLSEQ_CELL_LSTM_PEEPHOLE,
      .input = 7,
      .hidden = 5,
      .bias = CLSEQ_BIAS_ONE,
      .direction = CLSEQ_DIRECTION_REVERSE},
     TABLE(peephole_weights)},
    {{.input = 7, .hidden = 5, .bias = CLSEQ_BIAS_NONE, .layer_norm = true}, TABLE(norm_weights)},
    {{.cell = CLSEQ_CELL_GRU, .input = 7, .layers = 2, .widths = widths}, TABLE(gru_weights)},
};

static void check_weight(const clseq_rnn_weight *got, const clseq_rnn_weight *want)
{
    cr_assert_str_eq(got->name, want->name);
    cr_assert_str_eq(got->part, want->part, "%s", want->name);
    cr_assert(got->kind == want->kind && got->layer == want->layer && got->reverse == want->reverse, "%s",
              want->name);
    cr_assert(got->ndim == want->ndim && got->dims[0] == want->dims[0] &&
                  (want->ndim == 1 || got->dims[1] == want->dims[1]),
              "%s has shape [%d,%d], expected [%d,%d]", want->name, (int)got->dims[0], (int)got->dims[1],
              (int)want->dims[0], (int)want->dims[1]);
    cr_assert_eq(got->gate_rows, want->gate_rows, "%s", want->name);
}

Test(rnn_info, weights_are_those_of_pytorch_in_their_order)
{
    clseq_context *ctx = test_context();
    for (size_t t = 0; t < sizeof tables / sizeof tables[0]; t++) {
        clseq_rnn_plan *plan = NULL;
        MUST(clseq_rnn_plan_create(ctx, &tables[t].desc, &plan));
        cr_assert_eq(clseq_rnn_weight_count(plan), tables[t].count);
        for (int i = 0; i < tables[t].count; i++) {
            clseq_rnn_weight weight;
            MUST(clseq_rnn_weight_info(plan, i, &weight));
            check_weight(&weight, &tables[t].weights[i]);
        }
        clseq_rnn_plan_destroy(plan);
    }
    clseq_context_destroy(ctx);
}

/* ---- states and outputs ---- */

static const int64_t unequal[] = {5, 5, 9};

static const struct {
    clseq_rnn_desc desc;
    int states;
    clseq_rnn_state state[2]; /* for 3 rows */
    int64_t features;
} states[] = {
    {{.input = 7, .hidden = 5, .layers = 2, .direction = CLSEQ_DIRECTION_BIDIRECTIONAL, .projection = 3},
     2,
     {{"h", 3, {4, 3, 3}}, {"c", 3, {4, 3, 5}}},
     6},
    {{.input = 7,
      .hidden = 5,
      .direction = CLSEQ_DIRECTION_BIDIRECTIONAL,
      .merge = CLSEQ_MERGE_SUM,
      .cell = CLSEQ_CELL_GRU},
     1,
     {{"h", 3, {2, 3, 5}}},
     5},
    {{.input = 7,
      .hidden = 5,
      .direction = CLSEQ_DIRECTION_REVERSE,
      .merge = CLSEQ_MERGE_SUM,
      .cell = CLSEQ_CELL_RNN_RELU},
     1,
     {{"h", 3, {1, 3, 5}}},
     5},
    {{.input = 7, .layers = 3, .widths = unequal, .cell = CLSEQ_CELL_LSTM_PEEPHOLE},
     2,
     {{"h", 1, {19 * 3}}, {"c", 1, {19 * 3}}},
     9},
    {{.input = 7,
      .layers = 3,
      .widths = unequal,
      .projection = 4,
      .direction = CLSEQ_DIRECTION_BIDIRECTIONAL},
     2,
     {{"h", 3, {6, 3, 4}}, {"c", 1, {2 * 19 * 3}}},
     8},
    {{.input = 7, .layers = 2, .widths = unequal}, 2, {{"h", 3, {2, 3, 5}}, {"c", 3, {2, 3, 5}}}, 5},
};

Test(rnn_info, states_and_outputs)
{
    clseq_context *ctx = test_context();
    for (size_t t = 0; t < sizeof states / sizeof states[0]; t++) {
        clseq_rnn_plan *plan = NULL;
        MUST(clseq_rnn_plan_create(ctx, &states[t].desc, &plan));
        cr_assert_eq(clseq_rnn_state_count(plan), states[t].states);
        cr_assert_eq(clseq_rnn_output_size(plan), states[t].features);
        for (int s = 0; s < states[t].states; s++) {
            const clseq_rnn_state *want = &states[t].state[s];
            clseq_rnn_state got;
            MUST(clseq_rnn_state_info(plan, s, 3, &got));
            cr_assert_str_eq(got.name, want->name);
            cr_assert_eq(got.ndim, want->ndim, "plan %zu: %s", t, want->name);
            for (int k = 0; k < want->ndim; k++)
                cr_assert_eq(got.dims[k], want->dims[k], "plan %zu: %s", t, want->name);
        }
        clseq_rnn_plan_destroy(plan);
    }
    clseq_context_destroy(ctx);
}

/* ---- refusals ---- */

Test(rnn_info, refuses_what_is_not_there)
{
    clseq_context *ctx = test_context();
    clseq_rnn_plan *plan = NULL;
    clseq_rnn_weight weight;
    clseq_rnn_state state;
    MUST(clseq_rnn_plan_create(ctx, &(clseq_rnn_desc){.input = 3, .hidden = 4}, &plan));
    refused(clseq_rnn_weight_info(plan, 4, &weight), CLSEQ_INVALID_ARGUMENT, "rnn weight info: i is 4");
    refused(clseq_rnn_weight_info(plan, -1, &weight), CLSEQ_INVALID_ARGUMENT, "rnn weight info: i is -1");
    refused(clseq_rnn_weight_info(plan, 0, NULL), CLSEQ_INVALID_ARGUMENT, "rnn weight info: out is NULL");
    refused(clseq_rnn_weight_info(NULL, 0, &weight), CLSEQ_INVALID_ARGUMENT, "rnn weight info: plan is NULL");
    refused(clseq_rnn_state_info(plan, 2, 1, &state), CLSEQ_INVALID_ARGUMENT, "rnn state info: i is 2");
    refused(clseq_rnn_state_info(plan, -1, 1, &state), CLSEQ_INVALID_ARGUMENT, "rnn state info: i is -1");
    refused(clseq_rnn_state_info(plan, 0, 0, &state), CLSEQ_INVALID_ARGUMENT, "rnn state info: B is 0");
    refused(clseq_rnn_state_info(plan, 0, 1, NULL), CLSEQ_INVALID_ARGUMENT, "rnn state info: out is NULL");
    refused(clseq_rnn_state_info(NULL, 0, 1, &state), CLSEQ_INVALID_ARGUMENT, "rnn state info: plan is NULL");
    cr_assert(clseq_rnn_weight_count(NULL) == 0 && clseq_rnn_state_count(NULL) == 0 &&
              clseq_rnn_output_size(NULL) == 0);
    clseq_rnn_plan_destroy(plan);
    clseq_context_destroy(ctx);
}

/* ---- names ---- */

Test(rnn_info, schedules_are_found_by_their_names)
{
    static const char *const names[] = {"auto", "team", "gemm_step"};
    clseq_schedule found = CLSEQ_SCHEDULE_AUTO;
    for (int i = 0; i < 3; i++) {
        cr_assert_str_eq(clseq_schedule_name((clseq_schedule)i), names[i]);
        MUST(clseq_schedule_find(names[i], &found));
        cr_assert_eq(found, i);
    }
    cr_assert_str_eq(clseq_schedule_name((clseq_schedule)3), "unknown");
    cr_assert_str_eq(clseq_schedule_name((clseq_schedule)-1), "unknown");
    refused(clseq_schedule_find("gemm", &found), CLSEQ_NOT_FOUND,
            "schedule find: name is \"gemm\", expected auto, team or gemm_step");
    refused(clseq_schedule_find(NULL, &found), CLSEQ_INVALID_ARGUMENT, "schedule find: name is NULL");
    refused(clseq_schedule_find("team", NULL), CLSEQ_INVALID_ARGUMENT, "schedule find: out is NULL");
}

Test(rnn_info, cells_are_found_by_their_names)
{
    static const struct {
        const char *name;
        int gates, states;
    } cells[] = {{"lstm", 4, 2},
                 {"gru", 3, 1},
                 {"rnn_tanh", 1, 1},
                 {"rnn_relu", 1, 1},
                 {"gru_reset_before", 3, 1},
                 {"lstm_peephole", 4, 2}};
    clseq_cell found = CLSEQ_CELL_COUNT;
    cr_assert_eq(sizeof cells / sizeof cells[0], CLSEQ_CELL_COUNT);
    for (int i = 0; i < CLSEQ_CELL_COUNT; i++) {
        cr_assert_str_eq(clseq_cell_name((clseq_cell)i), cells[i].name);
        cr_assert_eq(clseq_cell_gates((clseq_cell)i), cells[i].gates);
        cr_assert_eq(clseq_cell_states((clseq_cell)i), cells[i].states);
        MUST(clseq_cell_find(cells[i].name, &found));
        cr_assert_eq(found, i);
    }
    cr_assert_str_eq(clseq_cell_name((clseq_cell)77), "unknown");
    cr_assert_str_eq(clseq_cell_name((clseq_cell)-1), "unknown");
    cr_assert(clseq_cell_gates((clseq_cell)-1) == 0 && clseq_cell_states((clseq_cell)77) == 0);
    refused(clseq_cell_find("lstm_", &found), CLSEQ_NOT_FOUND,
            "cell find: name is \"lstm_\", expected one of lstm, gru, rnn_tanh, rnn_relu, gru_reset_before, "
            "lstm_peephole");
    refused(clseq_cell_find(NULL, &found), CLSEQ_INVALID_ARGUMENT, "cell find: name is NULL");
    refused(clseq_cell_find("lstm", NULL), CLSEQ_INVALID_ARGUMENT, "cell find: out is NULL");
}
