/*
 * What is special about the schedule team: any grid of groups, sequences that end inside a chunk, deep stacks whose
 * inference passes take turns in the same memory, and the number of launches it promises. Groups that come late or not at
 * all are in test_rnn_team_late.c.
 */
#include "core/context.h"
#include "reference/cells.h"
#include "support/device.h"
#include "support/rnn_run.h"
#include "support/rnn_variant.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static const int lengths[] = {37, 0, 110, 1, 109}, lengths_of_70[] = {70, 69, 0, 1, 38};

/* Five rows in two groups make chunks of about 53 steps: 110 of them end inside the third one. */
static const struct net {
    reference_rnn net;
    bool one_hot;
    int variant;
} nets[] = {
    {{.T = 110, .B = 5, .I = 3, .H = 6, .L = 1}, false, RNN_PLAIN},
    {{.T = 110, .B = 5, .I = 19, .H = 18, .L = 4, .lengths = lengths}, false, RNN_PLAIN},
    {{.T = 33, .B = 5, .I = 3, .H = 35, .L = 2}, false, RNN_PLAIN},
    {{.T = 2, .B = 170, .I = 4, .H = 5, .L = 3}, false, RNN_PLAIN},
    {{.T = 7, .B = 3, .I = 6, .H = 19, .L = 2}, true, RNN_PLAIN},
    {{.T = 110, .B = 5, .I = 3, .H = 9, .L = 3, .lengths = lengths}, false, RNN_REVERSE_WITH_OPTIONS},
    {{.T = 70, .B = 5, .I = 3, .H = 9, .L = 3}, false, RNN_BOTH_WITH_OPTIONS},
    {{.T = 110, .B = 5, .I = 4, .H = 10, .L = 2, .lengths = lengths}, false, RNN_SUMMED_WITH_OPTIONS},
    {{.T = 70, .B = 5, .I = 4, .H = 10, .L = 2}, false, RNN_NORMED},
    {{.T = 110, .B = 5, .I = 4, .H = 10, .L = 3, .lengths = lengths}, false, RNN_DROPPED},
    {{.T = 70, .B = 5, .I = 3, .H = 19, .L = 2, .lengths = lengths_of_70}, false, RNN_ZONEOUT},
    {{.T = 70, .B = 5, .I = 4, .H = 18, .L = 2}, false, RNN_ZONEOUT_WITH_OPTIONS},
};
enum { NETS = sizeof nets / sizeof nets[0] };

/* A net with its case for a cell, and the same in inference. */
typedef struct subject {
    clseq_context *ctx;
    const rnn_case *c, *inference;
    bool one_hot;
    char label[96];
} subject;

static bool skip(clseq_context *ctx)
{
    return !(clseq_context_device(ctx)->type & CL_DEVICE_TYPE_CPU) || test_small();
}

/* NULL where the cell has none of the net's options. */
static rnn_case *case_of(int i, int cell)
{
    int widths[RNN_VARIANT_LAYERS];
    reference_rnn net = nets[i].net;
    net.cell = reference_cell_at(cell);
    if (!rnn_variant_apply(&rnn_variants[nets[i].variant], &net, widths))
        return NULL;
    net.dropout = 0; /* between layers: not the schedule's */
    net.variational = false;
    rnn_case *c = rnn_case_create(&net, 7 + (uint64_t)i, 1e-5);
    for (int k = 0; nets[i].one_hot && k < net.T * net.B * net.I; k++)
        c->in[RNN_X][k] = k % net.I == k / net.I * 5 % net.I;
    rnn_case_run(c);
    rnn_case_bound(c);
    return c;
}

static rnn_run *run_of(const subject *of, clseq_mode mode)
{
    /* Gradients are written onto NaN, and the longer nets take several rounds of adding up. */
    const rnn_run_options options = {
        .schedule = CLSEQ_SCHEDULE_TEAM, .mode = mode, .overwrite = true, .one_hot = of->one_hot};
    const rnn_case *c = mode == CLSEQ_MODE_TRAINING ? of->c : of->inference;
    rnn_run *run = rnn_run_create(of->ctx, c, &options);
    cr_assert_not_null(run, "%s: %s", of->label, clseq_last_error());
    return run;
}

static rnn_outputs outputs_of(const subject *of, clseq_mode mode)
{
    rnn_run *run = run_of(of, mode);
    rnn_run_forward(run);
    cr_assert(rnn_run_matches_forward(run), "%s: %s", of->label, rnn_run_message());
    rnn_outputs outputs = rnn_run_outputs(run);
    rnn_run_destroy(run);
    return outputs;
}

/* Every cell over every net. */
static void over_nets(void (*check)(const subject *of))
{
    clseq_context *ctx = test_context();
    for (int i = 0; i < CLSEQ_CELL_COUNT * NETS && !skip(ctx); i++) {
        const int cell = i / NETS, net = i % NETS;
        rnn_case *c = case_of(net, cell);
        rnn_case *inference = c && reference_rnn_draws(&c->net) ? rnn_case_inference(c) : NULL;
        subject of = {ctx, c, inference ? inference : c, nets[net].one_hot, ""};
        snprintf(of.label, sizeof of.label, "%s, net %d", clseq_cell_name((clseq_cell)cell), net);
        if (c)
            check(&of);
        rnn_case_destroy(inference);
        rnn_case_destroy(c);
    }
    clseq_context_destroy(ctx);
}

/* What a grid makes in training, which is right; inference makes the same. */
static rnn_outputs trained(const subject *whole, int blocks, int members)
{
    subject of = *whole;
    snprintf(of.label + strlen(of.label), sizeof of.label - strlen(of.label), ", CLSEQ_TEAM=%dx%d", blocks,
             members);
    of.ctx->traits.team_blocks = blocks;
    of.ctx->traits.team_members = members;
    rnn_run *run = run_of(&of, CLSEQ_MODE_TRAINING);
    rnn_run_forward(run);
    cr_assert(rnn_run_matches_forward(run), "%s: %s", of.label, rnn_run_message());
    rnn_run_backward(run, false);
    cr_assert(rnn_run_matches(run), "%s: %s", of.label, rnn_run_message());
    rnn_outputs training = rnn_run_outputs(run), inference = outputs_of(&of, CLSEQ_MODE_INFERENCE);
    cr_assert(of.c != of.inference || rnn_outputs_equal(&training, &inference, true), "%s: inference: %s",
              of.label, rnn_run_message());
    rnn_outputs_free(&inference);
    rnn_run_destroy(run);
    return training;
}

/*
 * Nothing depends on the number of groups a block by one bit, nor on that of blocks, but for the order of rows in the
 * gradients of weights.
 */
static void any_grid(const subject *of)
{
    rnn_outputs one = trained(of, 1, 1);
    for (int blocks = 1; blocks <= 4; blocks++) {
        rnn_outputs alone = trained(of, blocks, 1);
        cr_assert(rnn_outputs_equal(&one, &alone, true), "%s, %d blocks: %s", of->label, blocks,
                  rnn_run_message());
        for (int members = 2; blocks * members <= 4; members++) {
            rnn_outputs team = trained(of, blocks, members);
            cr_assert(rnn_outputs_equal(&alone, &team, false), "%s, %d blocks of %d groups: %s", of->label,
                      blocks, members, rnn_run_message());
            rnn_outputs_free(&team);
        }
        rnn_outputs_free(&alone);
    }
    rnn_outputs_free(&one);
    of->ctx->traits.team_blocks = of->ctx->traits.team_members = 0;
}

Test(rnn_team, takes_any_grid)
{
    over_nets(any_grid);
}

/* Of many cores the model takes what it likes; 200 blocks are more than there are rows. */
static void any_number_of_cores(const subject *of)
{
    static const int cores[] = {1, 3, 8, 200};
    const int own = of->ctx->traits.groups;
    for (size_t i = 0; i < sizeof cores / sizeof cores[0]; i++) {
        of->ctx->traits.groups = cores[i];
        rnn_run *run = run_of(of, CLSEQ_MODE_TRAINING);
        rnn_run_forward(run);
        rnn_run_backward(run, false);
        cr_assert(rnn_run_matches(run), "%s, %d cores: %s", of->label, cores[i], rnn_run_message());
        rnn_run_destroy(run);
    }
    of->ctx->traits.groups = own;
}

Test(rnn_team, takes_any_number_of_cores)
{
    over_nets(any_number_of_cores);
}

/* Nor do the layers of an inference pass leave the workspace that they take turns in. */
static void inference_equals_training(const subject *of)
{
    rnn_outputs training = outputs_of(of, CLSEQ_MODE_TRAINING);
    rnn_outputs inference = outputs_of(of, CLSEQ_MODE_INFERENCE);
    cr_assert(of->c != of->inference || rnn_outputs_equal(&training, &inference, true), "%s: %s", of->label,
              rnn_run_message());
    rnn_outputs_free(&training);
    rnn_outputs_free(&inference);
}

Test(rnn_team, inference_takes_turns_in_its_memory)
{
    over_nets(inference_equals_training);
}

/* Weights of 150 units are passed in blocks where the first-level cache is said to be large. */
Test(rnn_team, blocks_of_weights_change_no_bit)
{
    static const int64_t l1_bytes[] = {32768, 49152};
    clseq_context *ctx = test_context();
    if (skip(ctx)) {
        clseq_context_destroy(ctx);
        cr_skip_test("schedule team is for CPUs");
    }
    const reference_rnn net = {
        .cell = reference_cell_find("lstm"), .T = 6, .B = 14, .I = 131, .H = 150, .L = 1};
    rnn_case *c = rnn_case_create(&net, 7, 0);
    rnn_case_run(c);
    rnn_case_bound(c);
    rnn_outputs outputs[2];
    for (int i = 0; i < 2; i++) {
        ctx->traits.l1_bytes = l1_bytes[i];
        outputs[i] = trained(&(subject){ctx, c, c, false, "150 units"}, 1, 1);
    }
    cr_assert(rnn_outputs_equal(&outputs[0], &outputs[1], false), "%s", rnn_run_message());
    for (int i = 0; i < 2; i++)
        rnn_outputs_free(&outputs[i]);
    rnn_case_destroy(c);
    clseq_context_destroy(ctx);
}

static uint64_t launches_so_far(clseq_context *ctx)
{
    clseq_context_stats stats;
    MUST(clseq_context_get_stats(ctx, &stats));
    return stats.launches + stats.clblast_calls;
}

/*
 * One launch a layer forward is promised, backward one and one a direction for the gradients of the weights, and no more
 * are made. What a second direction adds to the rows of the first one is another, and so is each option between two layers.
 */
static void keeps_its_promise(const subject *of)
{
    const bool team = of->ctx->traits.team_members > 1;
    rnn_run *run = run_of(of, CLSEQ_MODE_TRAINING);
    const uint64_t directions = (uint64_t)reference_rnn_directions(&of->c->net);
    const uint64_t layers = (uint64_t)of->c->net.L, two = directions == 2 ? layers : 0,
                   summed = of->c->net.merge == REFERENCE_SUM ? two : 0,
                   options = (of->c->net.dropout > 0) + of->c->net.residual,
                   y = summed + options * (layers - 1), dx = two + options * (layers - 1);
    const clseq_rnn_forward_args forward = rnn_run_forward_args(run);
    clseq_rnn_backward_args backward = rnn_run_backward_args(run);
    backward.dweights = NULL;
    char text[2048];
    cr_assert_eq(run->sizes.launches_forward, (int64_t)(layers + y), "%s", of->label);
    cr_assert_eq(run->sizes.launches_backward, (int64_t)(layers + directions * layers + dx), "%s", of->label);
    /* What is made for the first pass is made. */
    MUST(clseq_rnn_forward(run->plan, &run->shape, &forward));
    const uint64_t before = launches_so_far(of->ctx);
    MUST(clseq_rnn_forward(run->plan, &run->shape, &forward));
    const uint64_t between = launches_so_far(of->ctx);
    cr_assert_eq(between - before, layers + y, "%s: %d launches", of->label, (int)(between - before));
    MUST(clseq_rnn_backward(run->plan, &run->shape, &backward));
    cr_assert_eq(launches_so_far(of->ctx) - between, layers + dx, "%s: without weight gradients", of->label);
    MUST(clseq_rnn_describe(run->plan, &run->shape, text, sizeof text));
    cr_assert(strstr(text, team ? "2 work-groups each" : "1 work-group each") && strstr(text, "chunk"),
              "%s: %s", of->label, text);
    rnn_run_destroy(run);
}

static void keeps_its_promises(const subject *of)
{
    for (int members = 1; members <= 2; members++) {
        of->ctx->traits.team_blocks = 2;
        of->ctx->traits.team_members = members;
        keeps_its_promise(of);
    }
    of->ctx->traits.team_blocks = of->ctx->traits.team_members = 0;
}

Test(rnn_team, launches_what_it_promises)
{
    over_nets(keeps_its_promises);
}
