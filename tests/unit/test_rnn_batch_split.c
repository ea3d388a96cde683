/*
 * What is special about the schedule batch_split: any number of work-groups, sequences that end inside a chunk, deep
 * stacks whose inference passes take turns in the same memory, and the number of launches it promises.
 */
#include "core/context.h"
#include "reference/cells.h"
#include "support/device.h"
#include "support/rnn_run.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static const int lengths[] = {37, 0, 90, 1, 89};

/* With B 5 a chunk has 32 steps: 90 of them end inside the third one. */
static const struct net {
    reference_rnn net;
    bool one_hot;
} nets[] = {
    {{.T = 90, .B = 5, .I = 3, .H = 6, .L = 1}, false},
    {{.T = 90, .B = 5, .I = 19, .H = 18, .L = 4, .lengths = lengths}, false},
    {{.T = 33, .B = 5, .I = 3, .H = 35, .L = 2}, false},
    {{.T = 2, .B = 170, .I = 4, .H = 5, .L = 3}, false},
    {{.T = 7, .B = 3, .I = 6, .H = 19, .L = 2}, true},
};
enum { NETS = sizeof nets / sizeof nets[0] };

static bool skip(clseq_context *ctx)
{
    return !(clseq_context_device(ctx)->type & CL_DEVICE_TYPE_CPU) || test_small();
}

static rnn_case *case_of(int i, int cell)
{
    reference_rnn net = nets[i].net;
    net.cell = reference_cell_at(cell);
    rnn_case *c = rnn_case_create(&net, 7 + (uint64_t)i, 1e-5);
    for (int k = 0; nets[i].one_hot && k < net.T * net.B * net.I; k++)
        c->in[RNN_X][k] = k % net.I == k / net.I * 5 % net.I;
    rnn_case_run(c);
    rnn_case_bound(c);
    return c;
}

/* Whether the case is that of a net whose x is numbers. */
static bool is_one_hot(const rnn_case *c)
{
    for (int i = 0; i < NETS; i++)
        if (nets[i].one_hot && nets[i].net.T == c->net.T && nets[i].net.B == c->net.B)
            return true;
    return false;
}

static rnn_run *run_of(clseq_context *ctx, const rnn_case *c, clseq_mode mode)
{
    /* Gradients are written onto NaN, and the longer nets take several rounds of adding up. */
    const rnn_run_options options = {
        .schedule = CLSEQ_SCHEDULE_BATCH_SPLIT, .mode = mode, .overwrite = true, .one_hot = is_one_hot(c)};
    rnn_run *run = rnn_run_create(ctx, c, &options);
    cr_assert_not_null(run, "%s", clseq_last_error());
    return run;
}

static rnn_outputs outputs_of(clseq_context *ctx, const rnn_case *c, clseq_mode mode)
{
    rnn_run *run = run_of(ctx, c, mode);
    rnn_run_forward(run);
    rnn_outputs outputs = rnn_run_outputs(run);
    rnn_run_destroy(run);
    return outputs;
}

/* Every cell over every net. */
static void over_nets(void (*check)(clseq_context *ctx, const rnn_case *c, const char *label))
{
    clseq_context *ctx = test_context();
    for (int cell = 0; cell < CLSEQ_CELL_COUNT && !skip(ctx); cell++) {
        for (int i = 0; i < NETS; i++) {
            char label[64];
            snprintf(label, sizeof label, "%s, net %d", clseq_cell_name((clseq_cell)cell), i);
            rnn_case *c = case_of(i, cell);
            check(ctx, c, label);
            rnn_case_destroy(c);
        }
    }
    clseq_context_destroy(ctx);
}

/* Outputs do not depend on the number of work-groups by one bit; gradients stay within their bounds. */
static void any_groups(clseq_context *ctx, const rnn_case *c, const char *label)
{
    static const int groups[] = {1, 2, 3, 8, 200};
    const int own = ctx->groups;
    rnn_outputs first = {0};
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        ctx->groups = groups[i];
        rnn_run *run = run_of(ctx, c, CLSEQ_MODE_TRAINING);
        rnn_run_forward(run);
        cr_assert(rnn_run_matches_forward(run), "%s, %d groups: %s", label, groups[i], rnn_run_message());
        rnn_outputs outputs = rnn_run_outputs(run);
        rnn_run_backward(run, false);
        cr_assert(rnn_run_matches(run), "%s, %d groups: %s", label, groups[i], rnn_run_message());
        rnn_run_destroy(run);
        if (i == 0) {
            first = outputs;
        } else {
            cr_assert(rnn_outputs_equal(&first, &outputs, true), "%s, %d groups: %s", label, groups[i],
                      rnn_run_message());
            rnn_outputs_free(&outputs);
        }
    }
    rnn_outputs_free(&first);
    ctx->groups = own;
}

Test(rnn_batch_split, takes_any_number_of_groups)
{
    over_nets(any_groups);
}

static void inference_equals_training(clseq_context *ctx, const rnn_case *c, const char *label)
{
    rnn_outputs training = outputs_of(ctx, c, CLSEQ_MODE_TRAINING);
    rnn_outputs inference = outputs_of(ctx, c, CLSEQ_MODE_INFERENCE);
    cr_assert(rnn_outputs_equal(&training, &inference, true), "%s: %s", label, rnn_run_message());
    rnn_outputs_free(&training);
    rnn_outputs_free(&inference);
}

Test(rnn_batch_split, inference_takes_turns_in_its_memory)
{
    over_nets(inference_equals_training);
}

static uint64_t launches_so_far(clseq_context *ctx)
{
    clseq_context_stats stats;
    cr_assert_eq(clseq_context_get_stats(ctx, &stats), CLSEQ_OK);
    return stats.launches + stats.clblast_calls;
}

/* One launch a layer forward and two backward are promised, and no more are made. */
static void keeps_its_promise(clseq_context *ctx, const rnn_case *c, const char *label)
{
    rnn_run *run = run_of(ctx, c, CLSEQ_MODE_TRAINING);
    const uint64_t layers = (uint64_t)c->net.L;
    clseq_rnn_weights dweights[RNN_CASE_LAYERS];
    const clseq_rnn_forward_args forward = rnn_run_forward_args(run);
    clseq_rnn_backward_args backward = rnn_run_backward_args(run, dweights);
    backward.dweights = NULL;
    char text[2048];
    cr_assert_eq(run->sizes.launches_forward, (int64_t)layers, "%s", label);
    cr_assert_eq(run->sizes.launches_backward, (int64_t)(2 * layers), "%s", label);
    const uint64_t before = launches_so_far(ctx);
    cr_assert_eq(clseq_rnn_forward(run->plan, &run->shape, &forward), CLSEQ_OK, "%s", clseq_last_error());
    cr_assert_eq(launches_so_far(ctx) - before, layers, "%s", label);
    cr_assert_eq(clseq_rnn_backward(run->plan, &run->shape, &backward), CLSEQ_OK, "%s", clseq_last_error());
    cr_assert_eq(launches_so_far(ctx) - before, 2 * layers, "%s: without parameter gradients", label);
    cr_assert_eq(clseq_rnn_describe(run->plan, &run->shape, text, sizeof text), CLSEQ_OK);
    cr_assert(strstr(text, "batch_split") && strstr(text, "chunks"), "%s: %s", label, text);
    rnn_run_destroy(run);
}

Test(rnn_batch_split, launches_what_it_promises)
{
    over_nets(keeps_its_promise);
}

/* Nor do the layers of an inference pass leave the workspace that they take turns in. */
static void inference_stays_inside(clseq_context *ctx, const rnn_case *c, const char *label)
{
    rnn_run *run = run_of(ctx, c, CLSEQ_MODE_INFERENCE);
    rnn_run_forward(run);
    cr_assert(rnn_run_matches_forward(run), "%s: %s", label, rnn_run_message());
    rnn_run_destroy(run);
}

Test(rnn_batch_split, inference_stays_inside_its_memory)
{
    over_nets(inference_stays_inside);
}
