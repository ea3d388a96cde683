/*
 * The schedule team on threads that come late, are dropped, quit, or do not come at all: passes over a sequence give the
 * same bits as those of groups that work alone. The protocol itself is tested in test_core_team.c.
 */
#include "core/context.h"
#include "reference/cells.h"
#include "rnn/plan.h"
#include "rnn/team.h"
#include "support/device.h"
#include "support/rnn_run.h"
#include "support/rnn_variant.h"
#include "support/team_trouble.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

/* Sequences of several chunks, whose windows a late group must not leave: with norms, what is drawn, a projection, and two directions. */
static const struct net {
    reference_rnn net;
    int variant;
} nets[] = {
    {{.T = 110, .B = 5, .I = 19, .H = 35, .L = 2}, RNN_PLAIN},
    {{.T = 70, .B = 5, .I = 4, .H = 37, .L = 2}, RNN_ZONEOUT_WITH_OPTIONS},
    {{.T = 70, .B = 5, .I = 4, .H = 33, .L = 2}, RNN_BOTH_WITH_OPTIONS},
};
enum { NETS = sizeof nets / sizeof nets[0] };

static const team_trouble troubles[] = {
    {"none", 0, 0, 0, 0, 0},
    {"members dropped", 3, 0, 0, 0, 0},
    {"members that quit", 0, 4, 0, 0, 0},
    {"late members dropped", 2, 0, 3, 20000, 0},
    {"everything", 5, 7, 3, 3000, 0},
};
enum { TROUBLES = sizeof troubles / sizeof troubles[0] };

static rnn_run *run_of(clseq_context *ctx, const rnn_case *c, clseq_mode mode)
{
    const rnn_run_options options = {.schedule = CLSEQ_SCHEDULE_TEAM, .mode = mode, .overwrite = true};
    rnn_run *run = rnn_run_create(ctx, c, &options);
    cr_assert_not_null(run, "%s", clseq_last_error());
    return run;
}

static rnn_outputs outputs_of(rnn_run *run)
{
    rnn_run_forward(run);
    if (run->options.mode == CLSEQ_MODE_TRAINING)
        rnn_run_backward(run, false);
    cr_assert(rnn_run_matches_forward(run), "%s", rnn_run_message());
    return rnn_run_outputs(run);
}

/* Layers of a run whose kernels are still to be made are made with probes. */
static void put_probes(rnn_run *run)
{
    for (int64_t i = 0; i < run->plan->desc.layers * run->plan->directions; i++) {
        char *options = run->plan->layers[i].options;
        cr_assert_lt(strlen(options) + 20, sizeof run->plan->layers[i].options);
        strcat(options, " -DTEAM_PROBES=1");
    }
}

/* Sets what is forced in the next passes, and adds up what happened in those before. */
static void force(rnn_run *run, const team_trouble *t, long seen[TEAM_PROBES_END])
{
    /* Both directions of a layer share the launches of the first. */
    for (int64_t i = 0; i < run->plan->desc.layers * run->plan->directions; i += run->plan->directions) {
        const clseq__team *team = run->plan->forms[0].data[i];
        cr_assert_not_null(team->control);
        cr_assert_eq(team_trouble_set(run->ctx, team->control, t, seen), CL_SUCCESS);
    }
}

/* Passes of one case in one mode under every trouble, on grids with more groups than cores. */
static void under_trouble(clseq_context *ctx, const rnn_case *c, clseq_mode mode, long seen[TEAM_PROBES_END])
{
    static const int grids[][2] = {{1, 2}, {1, 3}, {2, 2}};
    for (size_t g = 0; g < (test_small() ? 1 : sizeof grids / sizeof grids[0]); g++) {
        ctx->traits.team_blocks = grids[g][0];
        ctx->traits.team_members = 1;
        rnn_run *alone = run_of(ctx, c, mode);
        rnn_outputs want = outputs_of(alone);
        ctx->traits.team_members = grids[g][1];
        rnn_run *run = run_of(ctx, c, mode);
        put_probes(run);
        for (int i = 0; i < TROUBLES * team_trouble_passes(8); i++) {
            const team_trouble *t = &troubles[i % TROUBLES];
            /* Any number of groups will do. */
            ctx->traits.team_groups = i % 4;
            rnn_outputs got = outputs_of(run);
            cr_assert(rnn_outputs_equal(&want, &got, false), "%dx%d, pass %d, after %s: %s",
                      ctx->traits.team_blocks, ctx->traits.team_members, i, t->name, rnn_run_message());
            rnn_outputs_free(&got);
            force(run, t, seen);
        }
        rnn_outputs_free(&want);
        rnn_run_destroy(run);
        rnn_run_destroy(alone);
    }
}

/* With so many threads where PoCL runs. */
static void with_threads(const char *threads, long seen[TEAM_PROBES_END])
{
    setenv("POCL_MAX_PTHREAD_COUNT", threads, 1);
    clseq_context *ctx = test_context();
    if (!ctx->traits.is_cpu || team_trouble_counts_as_race(ctx)) {
        clseq_context_destroy(ctx);
        cr_skip_test("teams are for CPUs, and Oclgrind counts what polls read as a race");
    }
    for (int i = 0; i < NETS; i++) {
        int widths[RNN_VARIANT_LAYERS];
        reference_rnn net = nets[i].net;
        net.cell = reference_cell_at(CLSEQ_CELL_LSTM);
        if (test_small()) {
            net.T = 40;
            net.H = 9;
        }
        cr_assert(rnn_variant_apply(&rnn_variants[nets[i].variant], &net, widths));
        rnn_case *c = rnn_case_create(&net, 11 + (uint64_t)i, 1e-5);
        rnn_case_run(c);
        rnn_case_bound(c);
        under_trouble(ctx, c, CLSEQ_MODE_TRAINING, seen);
        rnn_case *inference = rnn_case_inference(c);
        under_trouble(ctx, inference, CLSEQ_MODE_INFERENCE, seen);
        rnn_case_destroy(inference);
        rnn_case_destroy(c);
    }
    clseq_context_destroy(ctx);
}

/* One thread does the work of all groups, one after another. */
Test(rnn_team_late, one_thread)
{
    long seen[TEAM_PROBES_END] = {0};
    with_threads("1", seen);
    cr_assert_gt(seen[TEAM_LED], 0);
}

/* More threads than cores: members are late of their own accord, too. */
Test(rnn_team_late, more_threads_than_cores)
{
    long seen[TEAM_PROBES_END] = {0};
    with_threads("5", seen);
    cr_assert(test_small() || (seen[TEAM_ADMITTED] > 0 && seen[TEAM_DROPPED] > 0 && seen[TEAM_QUIT] > 0 &&
                               seen[TEAM_ADMITTED_LATE] > 0),
              "%ld admitted, %ld of them late, %ld dropped, %ld quit", seen[TEAM_ADMITTED],
              seen[TEAM_ADMITTED_LATE], seen[TEAM_DROPPED], seen[TEAM_QUIT]);
}
