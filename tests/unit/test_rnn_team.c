/*
 * What is special about the schedule team: any number of work-groups, sequences that end inside a chunk, deep stacks whose
 * inference passes take turns in the same memory, and the number of launches it promises.
 */
#include "core/context.h"
#include "reference/cells.h"
#include "support/device.h"
#include "support/rnn_run.h"
#include "support/rnn_variant.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static const int lengths[] = {37, 0, 110, 1, 109};

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
};
enum { NETS = sizeof nets / sizeof nets[0] };

/* A net with its case for a cell. */
typedef struct subject {
    clseq_context *ctx;
    const rnn_case *c;
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
    rnn_run *run = rnn_run_create(of->ctx, of->c, &options);
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
        subject of = {ctx, c, nets[net].one_hot, ""};
        snprintf(of.label, sizeof of.label, "%s, net %d", clseq_cell_name((clseq_cell)cell), net);
        if (c)
            check(&of);
        rnn_case_destroy(c);
    }
    clseq_context_destroy(ctx);
}

/* Outputs do not depend on the number of work-groups by one bit; gradients stay within their bounds. */
static void any_groups(const subject *of)
{
    static const int groups[] = {1, 2, 3, 8, 200};
    const int own = of->ctx->groups;
    rnn_outputs first = {NULL, NULL};
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        of->ctx->groups = groups[i];
        rnn_run *run = run_of(of, CLSEQ_MODE_TRAINING);
        rnn_run_forward(run);
        cr_assert(rnn_run_matches_forward(run), "%s, %d groups: %s", of->label, groups[i], rnn_run_message());
        rnn_outputs outputs = rnn_run_outputs(run);
        rnn_run_backward(run, false);
        cr_assert(rnn_run_matches(run), "%s, %d groups: %s", of->label, groups[i], rnn_run_message());
        rnn_run_destroy(run);
        if (i == 0) {
            first = outputs;
        } else {
            cr_assert(rnn_outputs_equal(&first, &outputs, true), "%s, %d groups: %s", of->label, groups[i],
                      rnn_run_message());
            rnn_outputs_free(&outputs);
        }
    }
    rnn_outputs_free(&first);
    of->ctx->groups = own;
}

Test(rnn_team, takes_any_number_of_groups)
{
    over_nets(any_groups);
}

/* Nor do the layers of an inference pass leave the workspace that they take turns in. */
static void inference_equals_training(const subject *of)
{
    rnn_outputs training = outputs_of(of, CLSEQ_MODE_TRAINING);
    rnn_outputs inference = outputs_of(of, CLSEQ_MODE_INFERENCE);
    cr_assert(rnn_outputs_equal(&training, &inference, true), "%s: %s", of->label, rnn_run_message());
    rnn_outputs_free(&training);
    rnn_outputs_free(&inference);
}

Test(rnn_team, inference_takes_turns_in_its_memory)
{
    over_nets(inference_equals_training);
}

static uint64_t launches_so_far(clseq_context *ctx)
{
    clseq_context_stats stats;
    MUST(clseq_context_get_stats(ctx, &stats));
    return stats.launches + stats.clblast_calls;
}

/* One launch a layer and direction forward and two backward are promised, and no more are made. */
static void keeps_its_promise(const subject *of)
{
    rnn_run *run = run_of(of, CLSEQ_MODE_TRAINING);
    const uint64_t layers = (uint64_t)(of->c->net.L * reference_rnn_directions(&of->c->net));
    const clseq_rnn_forward_args forward = rnn_run_forward_args(run);
    clseq_rnn_backward_args backward = rnn_run_backward_args(run);
    backward.dweights = NULL;
    char text[2048];
    cr_assert_eq(run->sizes.launches_forward, (int64_t)layers, "%s", of->label);
    cr_assert_eq(run->sizes.launches_backward, (int64_t)(2 * layers), "%s", of->label);
    const uint64_t before = launches_so_far(of->ctx);
    MUST(clseq_rnn_forward(run->plan, &run->shape, &forward));
    cr_assert_eq(launches_so_far(of->ctx) - before, layers, "%s", of->label);
    MUST(clseq_rnn_backward(run->plan, &run->shape, &backward));
    cr_assert_eq(launches_so_far(of->ctx) - before, 2 * layers, "%s: without weight gradients", of->label);
    MUST(clseq_rnn_describe(run->plan, &run->shape, text, sizeof text));
    cr_assert(strstr(text, "schedule team") && strstr(text, "chunk"), "%s: %s", of->label, text);
    rnn_run_destroy(run);
}

Test(rnn_team, launches_what_it_promises)
{
    over_nets(keeps_its_promise);
}
