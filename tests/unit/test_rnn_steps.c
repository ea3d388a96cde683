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

static const rnn_pieces cuts[] = {{{1}, 1}, {{2}, 1}, {{3}, 1}, {{1, 3, 2}, 3}, {{100}, 1}};
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

static rnn_run *run_of(clseq_context *ctx, const rnn_case *c, const rnn_run_options *options, const char *label)
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
