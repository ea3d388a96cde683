/*
 * Passes in pieces: every cell with its options under every schedule gives the bits of the whole pass, whatever the pieces; a
 * piece begins with any states; and pieces in a wrong order are refused.
 */
#include "core/context.h"
#include "reference/cells.h"
#include "support/device.h"
#include "support/rnn_pieces.h"
#include "support/rnn_variant.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const rnn_pieces cuts[] = {{{1}, 1, 0}, {{2}, 1, 0}, {{3}, 1, 0}, {{1, 3, 2}, 3, 0}, {{100}, 1, 0}};
enum { CUTS = sizeof cuts / sizeof cuts[0] };

/* Problems: the plain one of each cell with all that follows, others only plain. Seven rows in two blocks are no whole vectors. */
static const struct problem {
    const char *title;
    reference_rnn net;
    rnn_run_options options;
    int variant;
} problems[] = {
    {"plain", {.T = 7, .B = 5, .I = 6, .H = 19, .L = 2}, {0}, RNN_PLAIN},
    {"one of each", {.T = 2, .B = 1, .I = 1, .H = 1, .L = 1}, {0}, RNN_PLAIN},
    {"by row",
     {.T = 5, .B = 3, .I = 7, .H = 33, .L = 1},
     {.x = GUARDED_BY_ROW, .y = GUARDED_BY_ROW, .overwrite = true, .spare = 3},
     RNN_PLAIN},
    {"numbers", {.T = 6, .B = 4, .I = 5, .H = 18, .L = 2}, {.one_hot = true, .spare = 1}, RNN_PLAIN},
    {"numbers, by row",
     {.T = 3, .B = 9, .I = 40, .H = 5, .L = 1},
     {.one_hot = true, .x = GUARDED_BY_ROW},
     RNN_PLAIN},
    {"without what need not be given",
     {.T = 5, .B = 4, .I = 3, .H = 7, .L = 2},
     {.without = RNN_NO_INITIAL | RNN_NO_DFINAL | RNN_NO_DX},
     RNN_PLAIN},
    {"no bias", {.T = 4, .B = 3, .I = 5, .H = 7, .L = 1, .bias = REFERENCE_BIAS_NONE}, {0}, RNN_PLAIN},
    {"projection", {.T = 7, .B = 5, .I = 6, .H = 19, .L = 2}, {.spare = 2}, RNN_PROJECTED},
    {"widths", {.T = 7, .B = 5, .I = 6, .H = 15, .L = 3}, {0}, RNN_WIDTHS},
    {"layer norm", {.T = 7, .B = 5, .I = 6, .H = 19, .L = 2}, {.spare = 2}, RNN_NORMED},
    {"options", {.T = 6, .B = 5, .I = 6, .H = 19, .L = 2}, {0}, RNN_BOTH_WITH_OPTIONS},
    /* A step between the layers has 5*17 or 5*18 numbers: it begins anywhere in a block of random numbers. */
    {"dropout", {.T = 7, .B = 5, .I = 17, .H = 17, .L = 3}, {.spare = 5}, RNN_DROPPED},
    {"variational dropout", {.T = 7, .B = 5, .I = 9, .H = 18, .L = 2}, {0}, RNN_DROPPED_BOTH},
    {"zoneout", {.T = 7, .B = 5, .I = 6, .H = 19, .L = 2}, {.spare = 1}, RNN_ZONEOUT},
    {"zoneout and options",
     {.T = 7, .B = 5, .I = 6, .H = 15, .L = 2},
     {.spare = 1},
     RNN_ZONEOUT_WITH_OPTIONS},
};
enum { PROBLEMS = sizeof problems / sizeof problems[0] };

static void clear(double *values, size_t n)
{
    for (size_t i = 0; i < n; i++)
        values[i] = 0;
}

/* A row of x has a single 1, now and then none. */
static void make_one_hot(rnn_case *c)
{
    for (int row = 0; row < c->net.T * c->net.B; row++)
        for (int i = 0; i < c->net.I; i++)
            c->in[RNN_X][row * c->net.I + i] = i == (row * 7 + row / 3) % (c->net.I + 1);
}

/* The problem of a cell, with zeros for what the device is not given; NULL where the cell has none of the options. */
static rnn_case *case_of(const struct problem *p, int cell)
{
    int widths[RNN_VARIANT_LAYERS];
    reference_rnn net = p->net;
    net.cell = reference_cell_at(cell);
    if (!rnn_variant_apply(&rnn_variants[p->variant], &net, widths))
        return NULL;
    net.direction = REFERENCE_FORWARD;
    net.merge = REFERENCE_CONCAT;
    rnn_case *c = rnn_case_create(&net, 11 + (uint64_t)(p - problems), 1e-5);
    for (int s = 0; s < REFERENCE_MAX_STATES; s++) {
        if (p->options.without & RNN_NO_INITIAL)
            clear(c->in[RNN_INITIAL + s], c->n[RNN_INITIAL + s]);
        if (p->options.without & RNN_NO_DFINAL)
            clear(c->in[RNN_DFINAL + s], c->n[RNN_DFINAL + s]);
    }
    if (p->options.one_hot)
        make_one_hot(c);
    rnn_case_run(c);
    rnn_case_bound(c);
    return c;
}

static rnn_run *run_of(clseq_context *ctx, const rnn_case *c, const rnn_run_options *options,
                       const char *label)
{
    rnn_run *run = rnn_run_create(ctx, c, options);
    cr_assert_not_null(run, "%s: %s", label, clseq_last_error());
    return run;
}

static rnn_outputs whole(clseq_context *ctx, const rnn_case *c, rnn_run_options options, const char *label)
{
    options.spare = 0;
    rnn_run *run = run_of(ctx, c, &options, label);
    rnn_run_forward(run);
    rnn_run_backward(run, false);
    rnn_outputs outputs = rnn_run_outputs(run);
    rnn_run_destroy(run);
    return outputs;
}

/* In pieces the outputs are within the reference's bounds, and the bits of the whole pass. */
static void check_cuts(clseq_context *ctx, const rnn_case *c, rnn_run_options options, const char *label)
{
    rnn_outputs expected = whole(ctx, c, options, label);
    options.in_pieces = true;
    rnn_run *run = run_of(ctx, c, &options, label);
    for (int i = 0; i < CUTS; i++) {
        rnn_pieces_run(run, &cuts[i]);
        cr_assert(rnn_run_matches(run), "%s, cut %d: %s", label, i, rnn_run_message());
        rnn_outputs got = rnn_run_outputs(run);
        cr_assert(rnn_outputs_equal(&got, &expected, false), "%s, cut %d: %s", label, i, rnn_run_message());
        rnn_outputs_free(&got);
    }
    rnn_run_destroy(run);
    rnn_outputs_free(&expected);
}

/* Blocks of rows, and groups of each, of the schedule team. */
static const int grids[][2] = {{1, 1}, {2, 1}, {2, 2}};

static void over_schedules(clseq_context *ctx, const struct problem *p, const rnn_case *c, const char *cell)
{
    rnn_run_options options = p->options;
    char label[128];
    for (int g = 0; g < 3 && ctx->traits.is_cpu; g++) {
        ctx->traits.team_blocks = grids[g][0];
        ctx->traits.team_members = grids[g][1];
        options.schedule = CLSEQ_SCHEDULE_TEAM;
        snprintf(label, sizeof label, "team %dx%d, %s, %s", grids[g][0], grids[g][1], cell, p->title);
        check_cuts(ctx, c, options, label);
    }
    ctx->traits.team_blocks = ctx->traits.team_members = 0;
    options.schedule = CLSEQ_SCHEDULE_GEMM_STEP;
    snprintf(label, sizeof label, "gemm_step, %s, %s", cell, p->title);
    check_cuts(ctx, c, options, label);
}

static void over_cells(int first_problem, int end)
{
    clseq_context *ctx = test_context();
    for (int i = first_problem; i < end; i++)
        for (int cell = 0; cell < CLSEQ_CELL_COUNT && !(test_small() && i != first_problem); cell++) {
            rnn_case *c = case_of(&problems[i], cell);
            if (c)
                over_schedules(ctx, &problems[i], c, clseq_cell_name((clseq_cell)cell));
            rnn_case_destroy(c);
        }
    clseq_context_destroy(ctx);
}

Test(rnn_steps, give_the_bits_of_the_whole)
{
    over_cells(0, 7);
}

Test(rnn_steps, give_the_bits_of_the_whole_with_options)
{
    over_cells(7, 11);
}

Test(rnn_steps, give_the_bits_of_the_whole_with_what_is_drawn)
{
    over_cells(11, PROBLEMS);
}

/* ---- states of any origin ---- */

/* Rows [first, first + B) of states [L,rows,W] in memory of their own, [L,B,W]; or back. */
static void move_rows(clseq_context *ctx, const clseq_tensor *all, int64_t first, int64_t B,
                      const clseq_tensor *own, bool back)
{
    const clseq_tensor part = clseq_tensor_slice(all, 1, first, B);
    MUST(back ? clseq_tensor_copy(ctx, own, &part) : clseq_tensor_copy(ctx, &part, own));
}

/* Some states of B rows, or gradients of them. */
typedef struct states {
    clseq_tensor of[REFERENCE_MAX_STATES];
} states;

static states states_create(clseq_context *ctx, const clseq_rnn_plan *plan, int64_t B)
{
    states s = {{{0}}};
    for (int i = 0; i < clseq_rnn_state_count(plan); i++) {
        clseq_rnn_state state;
        MUST(clseq_rnn_state_info(plan, i, B, &state));
        MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, state.ndim, state.dims, &s.of[i]));
    }
    return s;
}

static void states_destroy(clseq_context *ctx, states *s)
{
    for (int i = 0; i < REFERENCE_MAX_STATES; i++)
        clseq_tensor_destroy(ctx, &s->of[i]);
}

/* Rows of a run that step k of the loop has, as [1,B,F]. */
static clseq_tensor rows_of(const clseq_tensor *all, int64_t k, int64_t B)
{
    return clseq_tensor_slice(all, 1, k * B, B);
}

enum { LOOP = 4, ROWS = 3 };

/* A loop of LOOP steps of ROWS rows, each from states of its own. */
typedef struct loop {
    rnn_run *run; /* one step of all rows, whose tensors the loop reads and writes by turns */
    clseq_rnn_shape shape;
    clseq_rnn_buffers buffers;
    states in, out;
} loop;

static void loop_step(loop *l, int k)
{
    rnn_run *run = l->run;
    clseq_rnn_forward_args args = rnn_run_forward_args(run);
    const states final = l->out;
    for (int s = 0; s < clseq_rnn_state_count(run->plan); s++)
        move_rows(run->ctx, &args.initial[s], k * ROWS, ROWS, &l->in.of[s], false);
    const clseq_tensor *finals = args.final;
    args.x = rows_of(&args.x, k, ROWS);
    args.y = rows_of(&args.y, k, ROWS);
    args.initial = l->in.of;
    args.final = final.of;
    args.reserve = l->buffers.reserve;
    args.workspace = l->buffers.workspace;
    args.first = k;
    args.count = 1;
    MUST(clseq_rnn_forward(run->plan, &l->shape, &args));
    for (int s = 0; s < clseq_rnn_state_count(run->plan); s++)
        move_rows(run->ctx, &finals[s], k * ROWS, ROWS, &l->out.of[s], true);
}

static void loop_step_back(loop *l, int k)
{
    rnn_run *run = l->run;
    clseq_rnn_backward_args args = rnn_run_backward_args(run);
    const clseq_tensor *dinitials = args.dinitial;
    for (int s = 0; s < clseq_rnn_state_count(run->plan); s++)
        move_rows(run->ctx, &args.dfinal[s], k * ROWS, ROWS, &l->in.of[s], false);
    args.dy = rows_of(&args.dy, k, ROWS);
    args.dx = rows_of(&args.dx, k, ROWS);
    args.dfinal = l->in.of;
    args.dinitial = l->out.of;
    args.dweights = NULL;
    args.reserve = l->buffers.reserve;
    args.workspace = l->buffers.workspace;
    args.first = k;
    args.count = 1;
    MUST(clseq_rnn_backward(run->plan, &l->shape, &args));
    for (int s = 0; s < clseq_rnn_state_count(run->plan); s++)
        move_rows(run->ctx, &dinitials[s], k * ROWS, ROWS, &l->out.of[s], true);
}

/* What is one step of many rows to the reference is steps of some of them to the device. */
static void check_loop(clseq_context *ctx, const rnn_case *c, clseq_schedule schedule, const char *label)
{
    loop l = {.run = run_of(ctx, c, &(rnn_run_options){.schedule = schedule}, label)};
    clseq_rnn_plan *plan = l.run->plan;
    l.shape = (clseq_rnn_shape){.T = LOOP + 2, .B = ROWS, .in_pieces = true};
    MUST(clseq_rnn_buffers_create(plan, &l.shape, &l.buffers));
    l.in = states_create(ctx, plan, ROWS);
    l.out = states_create(ctx, plan, ROWS);
    for (int k = 0; k < LOOP; k++)
        loop_step(&l, k);
    for (int k = LOOP - 1; k >= 0; k--)
        loop_step_back(&l, k);
    for (int i = RNN_DWEIGHTS; i < c->count; i++)
        guarded_zero(&l.run->out[i]);
    clseq_rnn_weight_gradients_args args = rnn_pieces_weights_args(l.run);
    args.reserve = l.buffers.reserve;
    args.workspace = l.buffers.workspace;
    MUST(clseq_rnn_weight_gradients(plan, &l.shape, &args));
    cr_assert(rnn_run_matches(l.run), "%s: %s", label, rnn_run_message());
    states_destroy(ctx, &l.in);
    states_destroy(ctx, &l.out);
    clseq_rnn_buffers_destroy(plan, &l.buffers);
    rnn_run_destroy(l.run);
}

Test(rnn_steps, begin_with_any_states)
{
    clseq_context *ctx = test_context();
    for (int cell = 0; cell < CLSEQ_CELL_COUNT; cell++)
        for (int norm = 0; norm < 2; norm++) {
            reference_rnn net = {
                .cell = reference_cell_at(cell), .T = 1, .B = LOOP * ROWS, .I = 5, .H = 19, .L = 2};
            net.layer_norm = norm && net.cell->layer_norm;
            if (norm && !net.layer_norm)
                continue;
            rnn_case *c = rnn_case_create(&net, 5, 1e-5);
            rnn_case_run(c);
            rnn_case_bound(c);
            for (int s = 0; s < rnn_schedule_count; s++)
                if (rnn_schedule_expected(ctx, &rnn_schedules[s]))
                    check_loop(ctx, c, rnn_schedules[s].id, rnn_schedules[s].name);
            rnn_case_destroy(c);
        }
    clseq_context_destroy(ctx);
}

/* Steps that no gradient has reached are gone back over without one, and add nothing. */
Test(rnn_steps, may_get_no_gradient)
{
    clseq_context *ctx = test_context();
    const reference_rnn net = {.cell = reference_cell_find("lstm"), .T = 5, .B = 3, .I = 4, .H = 7, .L = 2};
    rnn_case *c = rnn_case_create(&net, 6, 0);
    for (int s = 0; s < REFERENCE_MAX_STATES; s++)
        clear(c->in[RNN_DFINAL + s], c->n[RNN_DFINAL + s]);
    const size_t step = (size_t)(net.B * net.H);
    clear(c->in[RNN_DY] + 3 * step, 2 * step);
    rnn_case_run(c);
    rnn_case_bound(c);
    for (int s = 0; s < rnn_schedule_count; s++) {
        if (!rnn_schedule_expected(ctx, &rnn_schedules[s]))
            continue;
        rnn_run *run = run_of(ctx, c, &(rnn_run_options){.schedule = rnn_schedules[s].id, .in_pieces = true},
                              rnn_schedules[s].name);
        rnn_pieces_run(run, &(rnn_pieces){{1}, 1, 2});
        cr_assert(rnn_run_matches(run), "%s: %s", rnn_schedules[s].name, rnn_run_message());
        rnn_run_destroy(run);
    }
    rnn_case_destroy(c);
    clseq_context_destroy(ctx);
}

/* A pass that goes on with another one, `time` later, draws what one pass of both draws. */
static void check_time(clseq_context *ctx, const rnn_case *c, clseq_schedule schedule, const char *label)
{
    rnn_run *run = run_of(ctx, c, &(rnn_run_options){.schedule = schedule}, label);
    rnn_run_forward(run);
    rnn_outputs expected = rnn_run_outputs(run);
    const clseq_rnn_forward_args both = rnn_run_forward_args(run);
    guarded_poison(&run->out[RNN_Y]);
    states between = states_create(ctx, run->plan, c->net.B);
    for (int part = 0; part < 2; part++) {
        clseq_rnn_forward_args args = both;
        const int64_t first = part ? 3 : 0, count = part ? c->net.T - 3 : 3;
        args.x = clseq_tensor_slice(&both.x, 0, first, count);
        args.y = clseq_tensor_slice(&both.y, 0, first, count);
        args.initial = part ? between.of : both.initial;
        args.final = part ? both.final : between.of;
        args.time = first;
        MUST(clseq_rnn_forward(run->plan, &(clseq_rnn_shape){.T = count, .B = c->net.B}, &args));
    }
    rnn_outputs got = rnn_run_outputs(run);
    cr_assert(rnn_outputs_equal(&got, &expected, true), "%s: %s", label, rnn_run_message());
    rnn_outputs_free(&got);
    rnn_outputs_free(&expected);
    states_destroy(ctx, &between);
    rnn_run_destroy(run);
}

Test(rnn_steps, draw_by_their_time)
{
    clseq_context *ctx = test_context();
    for (int i = 11; i < PROBLEMS; i++) {
        rnn_case *c = case_of(&problems[i], CLSEQ_CELL_LSTM);
        for (int s = 0; s < rnn_schedule_count; s++)
            if (rnn_schedule_expected(ctx, &rnn_schedules[s]))
                check_time(ctx, c, rnn_schedules[s].id, problems[i].title);
        rnn_case_destroy(c);
    }
    clseq_context_destroy(ctx);
}

static uint64_t launches_so_far(clseq_context *ctx)
{
    clseq_context_stats stats;
    MUST(clseq_context_get_stats(ctx, &stats));
    return stats.launches + stats.clblast_calls;
}

/* A piece launches no more than its plan says, and under the schedule team, but for a copy of tokens, one kernel a layer. */
static void check_launches(clseq_context *ctx, const rnn_case *c, clseq_schedule schedule, bool one_hot)
{
    const bool team = schedule == CLSEQ_SCHEDULE_TEAM;
    const rnn_run_options options = {.schedule = schedule, .in_pieces = true, .one_hot = one_hot};
    rnn_run *run = run_of(ctx, c, &options, "launches");
    const uint64_t layers = (uint64_t)c->net.L;
    for (int round = 0; round < 2; round++) { /* what is made for the first one is made */
        clseq_rnn_forward_args forward = rnn_pieces_forward_args(run, 0, 1);
        uint64_t before = launches_so_far(ctx), now;
        MUST(clseq_rnn_forward(run->plan, &run->shape, &forward));
        now = launches_so_far(ctx);
        cr_assert(round == 0 || now - before <= (uint64_t)run->sizes.launches_forward);
        cr_assert(round == 0 || !team || now - before == layers + one_hot, "%d launches",
                  (int)(now - before));
        forward = rnn_pieces_forward_args(run, 1, c->net.T - 1);
        before = launches_so_far(ctx);
        MUST(clseq_rnn_forward(run->plan, &run->shape, &forward));
        now = launches_so_far(ctx);
        cr_assert(round == 0 || now - before <= (uint64_t)run->sizes.launches_forward,
                  "%d launches, %d promised", (int)(now - before), (int)run->sizes.launches_forward);
        const clseq_rnn_backward_args backward = rnn_pieces_backward_args(run, 0, c->net.T);
        before = launches_so_far(ctx);
        MUST(clseq_rnn_backward(run->plan, &run->shape, &backward));
        now = launches_so_far(ctx);
        cr_assert(round == 0 || !team || now - before == layers);
        cr_assert(round == 0 || now - before <= (uint64_t)run->sizes.launches_backward);
        const clseq_rnn_weight_gradients_args weights = rnn_pieces_weights_args(run);
        MUST(clseq_rnn_weight_gradients(run->plan, &run->shape, &weights));
        cr_assert(round == 0 || !team || launches_so_far(ctx) - now == layers);
    }
    rnn_run_destroy(run);
}

Test(rnn_steps, launch_what_they_promise)
{
    clseq_context *ctx = test_context();
    for (int one_hot = 0; one_hot < 2; one_hot++) {
        const reference_rnn net = {
            .cell = reference_cell_find("gru"), .T = 5, .B = 3, .I = 4, .H = 7, .L = 1 + one_hot};
        rnn_case *c = rnn_case_create(&net, 6, 0);
        if (one_hot)
            make_one_hot(c);
        for (int s = 0; s < rnn_schedule_count; s++)
            if (rnn_schedule_expected(ctx, &rnn_schedules[s]))
                check_launches(ctx, c, rnn_schedules[s].id, one_hot == 1);
        rnn_case_destroy(c);
    }
    clseq_context_destroy(ctx);
}
