/* How the schedule team cuts rows and units: what its model chooses, and what a user may ask for. */
#include "core/context.h"
#include "rnn/team_grid.h"
#include "support/device.h"
#include "support/guarded.h"

#include <clseq/rnn.h>
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static clseq__team_work work_of(int64_t rows, int64_t hidden, int directions)
{
    return (clseq__team_work){.rows = rows,
                              .input = hidden,
                              .hidden = hidden,
                              .output = hidden,
                              .gates = 4,
                              .phases = 1,
                              .directions = directions};
}

static clseq__team_grid chosen(int cores, int64_t rows, int64_t hidden, int blocks)
{
    const clseq__traits traits = {.groups = cores, .vector_width = 16};
    const clseq__team_work work = work_of(rows, hidden, 1);
    return clseq__team_choose(&traits, &work, blocks);
}

Test(rnn_team_grid, one_core_has_one_group)
{
    for (int64_t hidden = 16; hidden <= 4096; hidden *= 4)
        for (int64_t rows = 1; rows <= 64; rows *= 8) {
            const clseq__team_grid grid = chosen(1, rows, hidden, 0);
            cr_assert(grid.blocks == 1 && grid.members == 1, "B %d, H %d: %dx%d", (int)rows, (int)hidden,
                      grid.blocks, grid.members);
        }
}

/* Cut by rows where there are many, by units where each core would read a lot of weights for few rows. */
Test(rnn_team_grid, rows_first_then_units)
{
    static const struct row {
        int cores, rows, hidden, blocks, members;
    } rows[] = {
        {2, 1, 256, 1, 2},  {2, 8, 2048, 1, 2}, {2, 64, 128, 2, 1},
        {2, 32, 100, 2, 1}, {8, 64, 128, 8, 1}, {8, 1, 1024, 1, 8},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *r = &rows[i];
        const clseq__team_grid grid = chosen(r->cores, r->rows, r->hidden, 0);
        cr_assert(grid.blocks == r->blocks && grid.members == r->members,
                  "%d cores, B %d, H %d: %dx%d, expected %dx%d", r->cores, r->rows, r->hidden, grid.blocks,
                  grid.members, r->blocks, r->members);
    }
    const clseq__team_grid both = chosen(64, 64, 1024, 0);
    cr_assert(both.blocks > 1 && both.members > 1, "%dx%d", both.blocks, both.members);
}

Test(rnn_team_grid, no_more_groups_than_cores_rows_and_panels)
{
    for (int cores = 1; cores <= 128; cores = cores * 3 + 1)
        for (int64_t rows = 1; rows <= 100; rows = rows * 3 + 2)
            for (int64_t hidden = 1; hidden <= 2048; hidden = hidden * 5 + 3)
                for (int blocks = 0; blocks <= 2 && blocks <= cores && blocks <= rows; blocks++) {
                    const clseq__team_grid grid = chosen(cores, rows, hidden, blocks);
                    cr_assert(grid.blocks >= 1 && grid.members >= 1 && grid.blocks * grid.members <= cores &&
                                  grid.blocks <= rows && grid.members <= (hidden + 15) / 16 &&
                                  (blocks == 0 || grid.blocks == blocks),
                              "%d cores, B %d, H %d, %d blocks: %dx%d", cores, (int)rows, (int)hidden, blocks,
                              grid.blocks, grid.members);
                }
}

/* Two directions share the cores, whatever their number; where each has half of them, both finish in one turn. */
Test(rnn_team_grid, two_directions)
{
    for (int cores = 1; cores <= 33; cores = cores * 2 + 1)
        for (int64_t rows = 1; rows <= 64; rows *= 4)
            for (int64_t hidden = 16; hidden <= 2048; hidden *= 8) {
                const clseq__traits traits = {.groups = cores, .vector_width = 16};
                const clseq__team_work work = work_of(rows, hidden, 2);
                const clseq__team_grid grid = clseq__team_choose(&traits, &work, 0);
                cr_assert(grid.members == 1 || 2 * grid.blocks * grid.members <= cores,
                          "%d cores, B %d, H %d: %dx%d", cores, (int)rows, (int)hidden, grid.blocks,
                          grid.members);
            }
    const clseq__traits two = {.groups = 2, .vector_width = 16}, eight = {.groups = 8, .vector_width = 16};
    const clseq__team_work tiny = work_of(1, 32, 2), large = work_of(1, 1024, 2), many = work_of(64, 256, 2);
    const clseq__team_grid alone = clseq__team_choose(&two, &tiny, 0),
                           team = clseq__team_choose(&eight, &large, 0),
                           rows = clseq__team_choose(&eight, &many, 0);
    cr_assert(alone.blocks == 1 && alone.members == 1, "%dx%d", alone.blocks, alone.members);
    cr_assert(team.blocks == 1 && team.members == 4, "%dx%d", team.blocks, team.members);
    cr_assert(rows.blocks == 4 && rows.members == 1, "%dx%d", rows.blocks, rows.members);
    const clseq__team_cost half = clseq__team_cost_of(&eight, &many, (clseq__team_grid){4, 1}),
                           twice = clseq__team_cost_of(&eight, &many, (clseq__team_grid){8, 1});
    cr_assert(half.turns == 1 && twice.turns == 2);
    cr_assert_float_eq(twice.total, 2 * (twice.products + twice.input + twice.units), 1e-6);
}

/* The more groups share the units, the fewer weights each of them reads; and they meet at a price. */
Test(rnn_team_grid, what_a_grid_costs)
{
    const clseq__traits traits = {.groups = 4, .vector_width = 8};
    const clseq__team_work work = work_of(4, 512, 1);
    const clseq__team_cost one = clseq__team_cost_of(&traits, &work, (clseq__team_grid){4, 1});
    const clseq__team_cost four = clseq__team_cost_of(&traits, &work, (clseq__team_grid){1, 4});
    cr_assert_float_eq(one.bytes, 4 * 512 * 512 * 4.0, 1);
    cr_assert_float_eq(four.bytes * 4, one.bytes, 1);
    cr_assert(!one.in_l2 && four.in_l2);
    cr_assert(one.meeting == 0 && four.meeting > 0 && four.products < one.products);
    cr_assert_float_eq(four.total, four.products + four.input + four.units + four.meeting, 1e-6);
}

/* CLSEQ_TEAM is read when a context is made, and describe says what came of it. */
static void described(const char *wish, const char *expected)
{
    clseq_rnn_plan *plan = NULL;
    char text[2048];
    setenv("CLSEQ_TEAM", wish, 1);
    clseq_context *ctx = test_context();
    unsetenv("CLSEQ_TEAM");
    const clseq_rnn_desc desc = {.cell = CLSEQ_CELL_LSTM, .input = 3, .hidden = 5};
    const clseq_rnn_shape shape = {.T = 2, .B = 3, .mode = CLSEQ_MODE_TRAINING};
    MUST(clseq_rnn_plan_create(ctx, &desc, &plan));
    MUST(clseq_rnn_describe(plan, &shape, text, sizeof text));
    if (ctx->traits.is_cpu)
        cr_assert(strstr(text, expected), "CLSEQ_TEAM=%s: %s", wish, text);
    clseq_rnn_plan_destroy(plan);
    clseq_context_destroy(ctx);
}

Test(rnn_team_grid, a_wish_is_followed)
{
    described("2x3", "2 blocks of at most 2 batch rows, 3 work-groups each (CLSEQ_TEAM)");
    described("1x1", "1 block of at most 3 batch rows, 1 work-group each (CLSEQ_TEAM)");
    /* There are no more blocks than rows. */
    described("7x2", "3 blocks of at most 1 batch rows, 2 work-groups each (CLSEQ_TEAM)");
    described("", "(the least estimate)");
}

Test(rnn_team_grid, a_wish_that_is_none)
{
    static const char *const wishes[] = {"2",    "2x",    "x2",   "0x1", "1x0",
                                         "-1x2", "2x2x2", "2x2 ", "a",   "99999x1"};
    for (size_t i = 0; i < sizeof wishes / sizeof wishes[0]; i++) {
        clseq_context *ctx = NULL;
        setenv("CLSEQ_TEAM", wishes[i], 1);
        cr_assert_eq(clseq_context_create(NULL, &ctx), CLSEQ_INVALID_ARGUMENT, "%s", wishes[i]);
        cr_assert(strstr(clseq_last_error(), "CLSEQ_TEAM is \"") &&
                      strstr(clseq_last_error(), "expected RxU"),
                  "%s", clseq_last_error());
        cr_assert_null(ctx);
    }
    unsetenv("CLSEQ_TEAM");
}
