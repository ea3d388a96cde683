/* The buffers of a plan's calls, made and freed together. */
#include "reference/cells.h"
#include "support/device.h"
#include "support/rnn_run.h"

#include <criterion/criterion.h>
#include <string.h>

enum { L = 3 };

static clseq_rnn_plan *plan_of(clseq_context *ctx)
{
    static const int64_t widths[L] = {4, 30, 7};
    clseq_rnn_plan *plan = NULL;
    MUST(clseq_rnn_plan_create(ctx, &(clseq_rnn_desc){.input = 2, .layers = L, .widths = widths}, &plan));
    return plan;
}

static void must_hold(const clseq_tensor *tensor, int64_t bytes)
{
    cr_assert(tensor->buffer && tensor->dtype == CLSEQ_DTYPE_U8 && tensor->ndim == 1 &&
              tensor->dims[0] == bytes);
}

Test(rnn_buffers, are_as_large_as_the_plan_says)
{
    clseq_context *ctx = test_context();
    clseq_rnn_plan *plan = plan_of(ctx);
    for (int m = 0; m < 2; m++) {
        const clseq_rnn_shape shape = {
            .T = 5, .B = 3, .mode = m ? CLSEQ_MODE_INFERENCE : CLSEQ_MODE_TRAINING};
        clseq_rnn_buffers buffers;
        clseq_rnn_sizes sizes;
        clseq_context_stats before, after;
        MUST(clseq_context_get_stats(ctx, &before));
        MUST(clseq_rnn_plan_sizes(plan, &shape, &sizes));
        MUST(clseq_rnn_buffers_create(plan, &shape, &buffers));
        must_hold(&buffers.packed, sizes.packed);
        must_hold(&buffers.workspace, sizes.workspace);
        cr_assert_eq(buffers.reserve != NULL, m == 0);
        for (int l = 0; l < L && m == 0; l++) {
            int64_t bytes = 0;
            MUST(clseq_rnn_reserve_size(plan, &shape, l, &bytes));
            must_hold(&buffers.reserve[l], bytes);
        }
        clseq_rnn_buffers_destroy(plan, &buffers);
        cr_assert(!buffers.packed.buffer && !buffers.reserve && !buffers.workspace.buffer);
        clseq_rnn_buffers_destroy(plan, &buffers);
        MUST(clseq_context_get_stats(ctx, &after));
        cr_assert_eq(after.bytes_in_use, before.bytes_in_use);
    }
    clseq_rnn_buffers_destroy(plan, NULL);
    clseq_rnn_buffers_destroy(NULL, NULL);
    clseq_rnn_plan_destroy(plan);
    clseq_context_destroy(ctx);
}

/* A training step with them, as rnn.h shows it. */
Test(rnn_buffers, serve_all_calls)
{
    clseq_context *ctx = test_context();
    rnn_case *c = rnn_case_create(
        &(reference_rnn){.cell = reference_cell_find("gru"), .T = 4, .B = 3, .I = 2, .H = 5, .L = 2}, 3, 0);
    rnn_case_run(c);
    rnn_case_bound(c);
    rnn_run *run = rnn_run_create(ctx, c, &(rnn_run_options){.schedule = CLSEQ_SCHEDULE_AUTO});
    clseq_rnn_buffers buffers;
    MUST(clseq_rnn_buffers_create(run->plan, &run->shape, &buffers));
    MUST(clseq_rnn_pack(run->plan, &run->shape, rnn_run_weights(run), &buffers.packed));
    clseq_rnn_forward_args forward = rnn_run_forward_args(run);
    clseq_rnn_backward_args backward = rnn_run_backward_args(run);
    forward.packed = backward.packed = buffers.packed;
    forward.reserve = backward.reserve = buffers.reserve;
    forward.workspace = backward.workspace = buffers.workspace;
    for (int i = RNN_DWEIGHTS; i < c->count; i++)
        guarded_zero(&run->out[i]);
    MUST(clseq_rnn_forward(run->plan, &run->shape, &forward));
    MUST(clseq_rnn_backward(run->plan, &run->shape, &backward));
    cr_assert(rnn_run_matches(run), "%s", rnn_run_message());
    clseq_rnn_buffers_destroy(run->plan, &buffers);
    rnn_run_destroy(run);
    rnn_case_destroy(c);
    clseq_context_destroy(ctx);
}

static void refused(clseq_status got, clseq_status expected, const char *sentence)
{
    cr_assert_eq(got, expected, "got %s: %s", clseq_status_name(got), clseq_last_error());
    cr_assert(strstr(clseq_last_error(), sentence), "the sentence is \"%s\", expected \"%s\" in it",
              clseq_last_error(), sentence);
}

/* Nothing is left behind in what a failed call was given. */
Test(rnn_buffers, are_none_after_a_failure)
{
    clseq_context *ctx = test_context();
    clseq_rnn_plan *plan = plan_of(ctx);
    const clseq_rnn_shape good = {.T = 5, .B = 3}, bad = {.T = 0, .B = 3};
    clseq_rnn_buffers buffers;
    memset(&buffers, 1, sizeof buffers);
    refused(clseq_rnn_buffers_create(plan, &bad, &buffers), CLSEQ_INVALID_ARGUMENT, "T is 0");
    cr_assert(!buffers.packed.buffer && !buffers.reserve && !buffers.workspace.buffer);
    refused(clseq_rnn_buffers_create(plan, NULL, &buffers), CLSEQ_INVALID_ARGUMENT, "shape is NULL");
    refused(clseq_rnn_buffers_create(plan, &good, NULL), CLSEQ_INVALID_ARGUMENT, "rnn buffers: out is NULL");
    refused(clseq_rnn_buffers_create(NULL, &good, &buffers), CLSEQ_INVALID_ARGUMENT,
            "rnn buffers: plan is NULL");
    clseq_rnn_plan_destroy(plan);
    clseq_context_destroy(ctx);
}
