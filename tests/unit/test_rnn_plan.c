/* Plans of recurrent layers: every refusal and its sentence, the choice of a schedule, the table of cells. */
#include "rnn/cells.h"
#include "support/device.h"
#include "support/guarded.h"
#include "support/rnn_run.h"

#include <criterion/criterion.h>
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

/* ---- plans ---- */

static void refuse_plan(clseq_context *ctx, clseq_rnn_desc desc, clseq_status expected, const char *sentence)
{
    clseq_rnn_plan *plan = (clseq_rnn_plan *)&desc;
    refused(clseq_rnn_plan_create(ctx, &desc, &plan), expected, sentence);
    cr_assert_null(plan);
}

Test(rnn_plan, refuses_what_it_cannot_do)
{
    clseq_context *ctx = test_context();
    clseq_rnn_plan *plan = NULL;
    const clseq_rnn_desc good = {.input = 3, .hidden = 4};
    refused(clseq_rnn_plan_create(NULL, &good, &plan), CLSEQ_INVALID_ARGUMENT, "ctx is NULL");
    refused(clseq_rnn_plan_create(ctx, NULL, &plan), CLSEQ_INVALID_ARGUMENT, "desc is NULL");
    refused(clseq_rnn_plan_create(ctx, &good, NULL), CLSEQ_INVALID_ARGUMENT, "out is NULL");
    refuse_plan(ctx, (clseq_rnn_desc){.cell = CLSEQ_CELL_COUNT, .input = 3, .hidden = 4},
                CLSEQ_INVALID_ARGUMENT, "cell is");
    refuse_plan(ctx, (clseq_rnn_desc){.hidden = 4}, CLSEQ_INVALID_ARGUMENT, "input is 0");
    refuse_plan(ctx, (clseq_rnn_desc){.input = 4, .hidden = -1}, CLSEQ_INVALID_ARGUMENT, "hidden is -1");
    refuse_plan(ctx, (clseq_rnn_desc){.input = 4, .hidden = 4, .layers = -2}, CLSEQ_INVALID_ARGUMENT,
                "layers is -2");
    refuse_plan(ctx, (clseq_rnn_desc){.input = 4, .hidden = INT64_C(1) << 31}, CLSEQ_INVALID_ARGUMENT,
                "hidden is 2147483648");
    refuse_plan(ctx, (clseq_rnn_desc){.input = 4, .hidden = 60000}, CLSEQ_INVALID_ARGUMENT, "weight matrix");
    refuse_plan(ctx, (clseq_rnn_desc){.input = 4, .hidden = 4, .bias = (clseq_bias)7}, CLSEQ_INVALID_ARGUMENT,
                "bias is 7");
    refuse_plan(ctx, (clseq_rnn_desc){.input = 4, .hidden = 4, .schedule = (clseq_schedule)99},
                CLSEQ_INVALID_ARGUMENT, "schedule is 99");
    setenv("CLSEQ_SCHEDULE", "lucky", 1);
    refuse_plan(ctx, good, CLSEQ_INVALID_ARGUMENT, "\"lucky\"");
    clseq_rnn_plan_destroy(NULL);
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

/* ---- calls ---- */

/* Everything that a good call needs, to be spoilt one thing at a time. */
typedef struct good {
    clseq_context *ctx;
    clseq_rnn_plan *plan;
    rnn_case *c;
    rnn_run *run;
    clseq_rnn_shape shape;
    clseq_rnn_forward_args forward;
    clseq_rnn_backward_args backward;
    clseq_rnn_weights weights[2], dweights[2];
} good;

enum { T = 5, B = 3, I = 7, H = 4, L = 2 };

static const int lengths[] = {5, 0, 2};

static good good_create(const char *cell)
{
    good g = {.ctx = test_context(), .shape = {.T = T, .B = B}};
    g.c = rnn_case_create(&(reference_rnn){.cell = reference_cell_find(cell),
                                           .T = T,
                                           .B = B,
                                           .I = I,
                                           .H = H,
                                           .L = L,
                                           .bias = REFERENCE_BIAS_SINGLE,
                                           .lengths = lengths},
                          1, 0);
    g.run = rnn_run_create(g.ctx, g.c, &(rnn_run_options){.schedule = CLSEQ_SCHEDULE_AUTO});
    cr_assert_not_null(g.run, "%s", clseq_last_error());
    const rnn_run *run = g.run;
    clseq_rnn_weights all[RNN_CASE_LAYERS];
    g.plan = run->plan;
    for (int l = 0; l < L; l++) {
        const guarded *w = &run->in[RNN_WEIGHTS + 4 * l], *d = &run->out[RNN_DWEIGHTS + 4 * l];
        g.weights[l] = (clseq_rnn_weights){w[0].tensor, w[1].tensor, w[2].tensor, w[3].tensor};
        g.dweights[l] = (clseq_rnn_weights){d[0].tensor, d[1].tensor, d[2].tensor, d[3].tensor};
    }
    g.forward = rnn_run_forward_args(run);
    g.backward = rnn_run_backward_args(run, all);
    g.backward.dweights = NULL;
    return g;
}

static void good_destroy(good *g)
{
    rnn_run_destroy(g->run);
    rnn_case_destroy(g->c);
    clseq_context_destroy(g->ctx);
}

/* Ways to spoil a tensor, each with what must be said of it. */
static void spoil(clseq_tensor *tensor, int how)
{
    const int last = tensor->ndim - 1;
    switch (how) {
    case 0:
        tensor->dtype = tensor->dtype == CLSEQ_DTYPE_F32 ? CLSEQ_DTYPE_I32 : CLSEQ_DTYPE_F32;
        break;
    case 1:
        tensor->ndim--;
        break;
    case 2:
        tensor->dims[last]--;
        break;
    case 3:
        tensor->strides[last] = 0;
        break;
    default:
        tensor->offset = 1 << 20;
        break;
    }
}

/* Numbers in the place of x: nothing is multiplied, what fits features does not fit them, and no gradient comes back. */
Test(rnn_plan, one_hot)
{
    good g = good_create("gru");
    clseq_rnn_sizes sizes;
    clseq_rnn_plan *plan = NULL;
    const clseq_rnn_desc desc = {.cell = CLSEQ_CELL_GRU,
                                 .input = I,
                                 .hidden = H,
                                 .layers = L,
                                 .bias = CLSEQ_BIAS_ONE,
                                 .one_hot = true};
    clseq_rnn_forward_args forward = g.forward;
    clseq_rnn_backward_args backward = g.backward;
    MUST(clseq_rnn_plan_create(g.ctx, &desc, &plan));
    MUST(clseq_rnn_plan_sizes(plan, &g.shape, &sizes));
    cr_assert_float_eq(sizes.flop_forward, 2.0 * 3 * H * (H + 2 * H) * T * B, 0.5);
    refused(clseq_rnn_forward(plan, &g.shape, &forward), CLSEQ_INVALID_DTYPE, "rnn forward: x");
    forward.x.dtype = CLSEQ_DTYPE_I32;
    refused(clseq_rnn_forward(plan, &g.shape, &forward), CLSEQ_INVALID_SHAPE, "rnn forward: x");
    backward.x.dtype = CLSEQ_DTYPE_I32;
    backward.x.ndim = 2;
    refused(clseq_rnn_backward(plan, &g.shape, &backward), CLSEQ_INVALID_ARGUMENT, "dx is given");
    clseq_rnn_plan_destroy(plan);
    good_destroy(&g);
}

static const clseq_status spoilt[] = {CLSEQ_INVALID_DTYPE, CLSEQ_INVALID_SHAPE, CLSEQ_INVALID_SHAPE,
                                      CLSEQ_INVALID_SHAPE, CLSEQ_OUT_OF_BOUNDS};
enum { SPOILS = sizeof spoilt / sizeof spoilt[0] };

/* A tensor at `offset` of a copy of the arguments is spoilt in every way; the sentence must name it. */
static void refuse_forward(const good *g, size_t offset, const char *name)
{
    for (int how = 0; how < SPOILS; how++) {
        clseq_rnn_forward_args args = g->forward;
        spoil((clseq_tensor *)(void *)((char *)&args + offset), how);
        refused(clseq_rnn_forward(g->plan, &g->shape, &args), spoilt[how], name);
    }
}

static void refuse_backward(const good *g, size_t offset, const char *name)
{
    for (int how = 0; how < SPOILS; how++) {
        clseq_rnn_backward_args args = g->backward;
        spoil((clseq_tensor *)(void *)((char *)&args + offset), how);
        refused(clseq_rnn_backward(g->plan, &g->shape, &args), spoilt[how], name);
    }
}

#define F(member) offsetof(clseq_rnn_forward_args, member)
#define K(member) offsetof(clseq_rnn_backward_args, member)

Test(rnn_plan, refuses_wrong_tensors)
{
    good g = good_create("gru");
    refuse_forward(&g, F(packed), "rnn forward: packed");
    refuse_forward(&g, F(x), "rnn forward: x");
    refuse_forward(&g, F(lengths), "rnn forward: lengths");
    refuse_forward(&g, F(initial), "rnn forward: initial[0]");
    refuse_forward(&g, F(y), "rnn forward: y");
    refuse_forward(&g, F(final), "rnn forward: final[0]");
    refuse_forward(&g, F(reserve), "rnn forward: reserve");
    refuse_forward(&g, F(workspace), "rnn forward: workspace");
    refuse_backward(&g, K(packed), "rnn backward: packed");
    refuse_backward(&g, K(x), "rnn backward: x");
    refuse_backward(&g, K(lengths), "rnn backward: lengths");
    refuse_backward(&g, K(dy), "rnn backward: dy");
    refuse_backward(&g, K(dfinal), "rnn backward: dfinal[0]");
    refuse_backward(&g, K(dx), "rnn backward: dx");
    refuse_backward(&g, K(dinitial), "rnn backward: dinitial[0]");
    refuse_backward(&g, K(reserve), "rnn backward: reserve");
    refuse_backward(&g, K(workspace), "rnn backward: workspace");
    for (int how = 0; how < SPOILS; how++)
        for (int l = 0; l < L; l++)
            for (int k = 0; k < 3; k++) {
                static const char *const names[] = {"w_ih", "w_hh", "b_ih"};
                char name[32];
                clseq_rnn_weights w[] = {g.weights[0], g.weights[1]}, d[] = {g.dweights[0], g.dweights[1]};
                clseq_rnn_backward_args args = g.backward;
                args.dweights = d;
                spoil((&w[l].w_ih) + k, how);
                spoil((&d[l].w_ih) + k, how);
                snprintf(name, sizeof name, "weights[%d].%s", l, names[k]);
                refused(clseq_rnn_pack(g.plan, &g.shape, w, &g.run->packed.tensor), spoilt[how], name);
                refused(clseq_rnn_backward(g.plan, &g.shape, &args), spoilt[how], name);
            }
    good_destroy(&g);
}

/* What must be there, and what the cell, the bias mode or the mode of the pass has no place for. */
Test(rnn_plan, refuses_missing_and_needless_tensors)
{
    static const size_t needed[] = {F(packed), F(x), F(y), F(reserve), F(workspace)};
    static const size_t needed_back[] = {K(packed), K(x), K(reserve), K(workspace)};
    good g = good_create("gru");
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++) {
        clseq_rnn_forward_args args = g.forward;
        memset((char *)&args + needed[i], 0, sizeof(clseq_tensor));
        refused(clseq_rnn_forward(g.plan, &g.shape, &args), CLSEQ_INVALID_ARGUMENT, "is NULL");
    }
    for (size_t i = 0; i < sizeof needed_back / sizeof needed_back[0]; i++) {
        clseq_rnn_backward_args args = g.backward;
        memset((char *)&args + needed_back[i], 0, sizeof(clseq_tensor));
        refused(clseq_rnn_backward(g.plan, &g.shape, &args), CLSEQ_INVALID_ARGUMENT, "is NULL");
    }
    clseq_rnn_forward_args two_states = g.forward;
    two_states.initial[CLSEQ_STATE_C] = two_states.initial[CLSEQ_STATE_H];
    refused(clseq_rnn_forward(g.plan, &g.shape, &two_states), CLSEQ_INVALID_ARGUMENT, "initial[1]");
    clseq_rnn_backward_args two_back = g.backward;
    two_back.dinitial[CLSEQ_STATE_C] = two_back.dinitial[CLSEQ_STATE_H];
    refused(clseq_rnn_backward(g.plan, &g.shape, &two_back), CLSEQ_INVALID_ARGUMENT, "dinitial[1]");

    g.weights[1].b_hh = g.weights[1].b_ih;
    refused(clseq_rnn_pack(g.plan, &g.shape, g.weights, &g.run->packed.tensor), CLSEQ_INVALID_ARGUMENT,
            "weights[1].b_hh");
    g.weights[1].b_hh = (clseq_tensor){0};
    const clseq_tensor w_hh = g.weights[0].w_hh;
    g.weights[0].w_hh = (clseq_tensor){0};
    refused(clseq_rnn_pack(g.plan, &g.shape, g.weights, &g.run->packed.tensor), CLSEQ_INVALID_ARGUMENT,
            "weights[0].w_hh is NULL");
    refused(clseq_rnn_pack(g.plan, &g.shape, NULL, &g.run->packed.tensor), CLSEQ_INVALID_ARGUMENT,
            "rnn pack: weights is NULL");
    g.weights[0].w_hh = w_hh;
    refused(clseq_rnn_pack(g.plan, &g.shape, g.weights, NULL), CLSEQ_INVALID_ARGUMENT,
            "rnn pack: packed is NULL");
    good_destroy(&g);
}

Test(rnn_plan, refuses_wrong_shapes_and_memory)
{
    good g = good_create("lstm");
    clseq_rnn_sizes sizes;
    char text[64];
    static const clseq_rnn_shape bad[] = {{.T = 0, .B = B},
                                          {.T = T, .B = 0},
                                          {.T = -1, .B = B},
                                          {.T = INT64_C(1) << 40, .B = B},
                                          {.T = T, .B = INT64_C(1) << 31},
                                          {.T = T, .B = INT64_C(1) << 30},
                                          {.T = T, .B = B, .mode = (clseq_mode)5}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        refused(clseq_rnn_plan_sizes(g.plan, &bad[i], &sizes), CLSEQ_INVALID_ARGUMENT, "rnn sizes: ");
        refused(clseq_rnn_describe(g.plan, &bad[i], text, sizeof text), CLSEQ_INVALID_ARGUMENT,
                "rnn describe: ");
        refused(clseq_rnn_forward(g.plan, &bad[i], &g.forward), CLSEQ_INVALID_ARGUMENT, "rnn forward: ");
        refused(clseq_rnn_backward(g.plan, &bad[i], &g.backward), CLSEQ_INVALID_ARGUMENT, "rnn backward: ");
    }
    refused(clseq_rnn_plan_sizes(NULL, &g.shape, &sizes), CLSEQ_INVALID_ARGUMENT, "plan is NULL");
    refused(clseq_rnn_plan_sizes(g.plan, NULL, &sizes), CLSEQ_INVALID_ARGUMENT, "shape is NULL");
    refused(clseq_rnn_plan_sizes(g.plan, &g.shape, NULL), CLSEQ_INVALID_ARGUMENT, "rnn sizes: out is NULL");
    refused(clseq_rnn_describe(g.plan, &g.shape, NULL, 3), CLSEQ_INVALID_ARGUMENT,
            "rnn describe: text is NULL");
    refused(clseq_rnn_describe(g.plan, &g.shape, text, 0), CLSEQ_INVALID_ARGUMENT, "rnn describe: size is 0");
    refused(clseq_rnn_describe(NULL, &g.shape, text, 3), CLSEQ_INVALID_ARGUMENT,
            "rnn describe: plan is NULL");
    refused(clseq_rnn_forward(g.plan, &g.shape, NULL), CLSEQ_INVALID_ARGUMENT, "rnn forward: args is NULL");
    refused(clseq_rnn_backward(g.plan, &g.shape, NULL), CLSEQ_INVALID_ARGUMENT, "rnn backward: args is NULL");
    const clseq_rnn_shape inference = {.T = T, .B = B, .mode = CLSEQ_MODE_INFERENCE};
    refused(clseq_rnn_backward(g.plan, &inference, &g.backward), CLSEQ_INVALID_ARGUMENT,
            "CLSEQ_MODE_INFERENCE");

    clseq_rnn_forward_args forward = g.forward;
    forward.workspace.dims[0] = g.run->sizes.workspace - 1;
    refused(clseq_rnn_forward(g.plan, &g.shape, &forward), CLSEQ_INVALID_SHAPE, "at least");
    forward = g.forward;
    forward.y.strides[1] = H - 1; /* rows on top of each other */
    refused(clseq_rnn_forward(g.plan, &g.shape, &forward), CLSEQ_INVALID_SHAPE, "overlap");
    forward.y.strides[1] = H;
    forward.y.strides[0] = 0;
    refused(clseq_rnn_forward(g.plan, &g.shape, &forward), CLSEQ_INVALID_SHAPE, "overlap");
    clseq_rnn_backward_args backward = g.backward;
    backward.dx = backward.x;
    refused(clseq_rnn_backward(g.plan, &g.shape, &backward), CLSEQ_INVALID_ARGUMENT,
            "rnn backward: dx overlaps x");
    good_destroy(&g);
}

/* After all refusals the same objects still work. */
Test(rnn_plan, works_after_a_refusal)
{
    good g = good_create("lstm");
    refused(clseq_rnn_forward(g.plan, &g.shape, NULL), CLSEQ_INVALID_ARGUMENT, "rnn forward: args is NULL");
    MUST(clseq_rnn_forward(g.plan, &g.shape, &g.forward));
    MUST(clseq_rnn_backward(g.plan, &g.shape, &g.backward));
    MUST(clseq_context_finish(g.ctx));
    good_destroy(&g);
}

/* ---- cells ---- */

Test(rnn_plan, knows_its_cells)
{
    cr_assert_eq(clseq_cell_gates(CLSEQ_CELL_LSTM), 4);
    cr_assert_eq(clseq_cell_states(CLSEQ_CELL_LSTM), 2);
    cr_assert_eq(clseq_cell_gates(CLSEQ_CELL_GRU), 3);
    cr_assert_eq(clseq_cell_states(CLSEQ_CELL_RNN_RELU), 1);
    cr_assert_str_eq(clseq_cell_name(CLSEQ_CELL_RNN_TANH), "rnn_tanh");
    cr_assert_str_eq(clseq_cell_name((clseq_cell)77), "unknown");
    cr_assert_eq(clseq_cell_gates((clseq_cell)-1), 0);
    cr_assert_eq(clseq_cell_states((clseq_cell)77), 0);
    for (int cell = 0; cell < CLSEQ_CELL_COUNT; cell++) {
        const clseq__cell *found = clseq__cell_find((clseq_cell)cell);
        cr_assert_str_eq(found->name, clseq_cell_name((clseq_cell)cell));
        bool x[CLSEQ__MAX_SLOTS] = {false}, h[CLSEQ__MAX_SLOTS] = {false};
        for (int k = 0; k < found->gates; k++)
            x[found->x_gates[k]] = h[found->h_gates[k]] = true;
        for (int k = 0; k < found->gates; k++)
            cr_assert(x[k] && h[k], "%s: block %d of the weights goes nowhere", found->name, k);
    }
}

Test(rnn_plan, finds_runs_of_gates)
{
    clseq__cell_run runs[CLSEQ__MAX_SLOTS];
    const clseq__cell *gru = clseq__cell_find(CLSEQ_CELL_GRU), *lstm = clseq__cell_find(CLSEQ_CELL_LSTM);
    cr_assert_eq(clseq__cell_runs(lstm, 0, lstm->x_gates, runs), 1);
    cr_assert_eq(runs[0].count, 4);
    cr_assert_eq(clseq__cell_runs(gru, gru->x_slot, gru->x_gates, runs), 2);
    cr_assert(runs[0].first == 0 && runs[0].gate == 2 && runs[0].count == 1);
    cr_assert(runs[1].first == 1 && runs[1].gate == 0 && runs[1].count == 2);
    cr_assert_eq(clseq__cell_runs(gru, gru->h_slot, gru->h_gates, runs), 1);
    cr_assert(runs[0].first == 1 && runs[0].gate == 0 && runs[0].count == 3);
}

/* Rows of y that share a single element, by time and by row. */
Test(rnn_plan, refuses_rows_that_overlap_by_one)
{
    good g = good_create("gru");
    clseq_rnn_forward_args args = g.forward;
    args.y.strides[1] = H;
    args.y.strides[0] = B * H - 1;
    refused(clseq_rnn_forward(g.plan, &g.shape, &args), CLSEQ_INVALID_SHAPE, "elements overlap");
    args.y.strides[0] = H;
    args.y.strides[1] = T * H - 1;
    refused(clseq_rnn_forward(g.plan, &g.shape, &args), CLSEQ_INVALID_SHAPE, "elements overlap");
    good_destroy(&g);
}
