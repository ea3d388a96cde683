/* Which pass takes which packed weights: an inference pass those of either mode, a training pass its own. */
#include "reference/cells.h"
#include "support/device.h"
#include "support/rnn_run.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

/* Three layers, so that a layer's place depends on those before it; x as features and as numbers. */
static rnn_case *case_of(int cell, bool one_hot)
{
    const reference_rnn net = {
        .cell = reference_cell_at(cell), .T = 3, .B = 4, .I = 6, .H = 19, .L = test_small() ? 2 : 3};
    rnn_case *c = rnn_case_create(&net, 3, 1e-5);
    for (int i = 0; one_hot && i < net.T * net.B * net.I; i++)
        c->in[RNN_X][i] = i % net.I == i / net.I % net.I;
    rnn_case_run(c);
    rnn_case_bound(c);
    return c;
}

/* Outputs of an inference pass over a pack that a plan made for `mode`. */
static rnn_outputs with_pack_of(clseq_context *ctx, const rnn_case *c, rnn_run_options options,
                                clseq_mode mode, const char *label)
{
    options.mode = mode;
    rnn_run *packing = rnn_run_create(ctx, c, &options);
    options.mode = CLSEQ_MODE_INFERENCE;
    rnn_run *run = rnn_run_create(ctx, c, &options);
    cr_assert(packing && run, "%s: %s", label, clseq_last_error());
    const guarded own = run->packed;
    run->packed = packing->packed;
    rnn_run_forward(run);
    cr_assert(rnn_run_matches_forward(run), "%s: %s", label, rnn_run_message());
    const rnn_outputs outputs = rnn_run_outputs(run);
    run->packed = own;
    rnn_run_destroy(packing);
    rnn_run_destroy(run);
    return outputs;
}

/* A training pass with a pack of inference is refused by its size, where the schedule packs more for training. */
static void refuse_in_training(clseq_context *ctx, const rnn_case *c, rnn_run_options options,
                               const char *label)
{
    rnn_run *run = rnn_run_create(ctx, c, &options);
    clseq_rnn_sizes sizes;
    clseq_rnn_shape inference = run->shape;
    inference.mode = CLSEQ_MODE_INFERENCE;
    MUST(clseq_rnn_plan_sizes(run->plan, &inference, &sizes));
    const bool same = sizes.packed == run->sizes.packed;
    cr_assert(same == (options.schedule == CLSEQ_SCHEDULE_GEMM_STEP), "%s", label);
    clseq_rnn_forward_args forward = rnn_run_forward_args(run);
    clseq_rnn_backward_args backward = rnn_run_backward_args(run);
    MUST(clseq_rnn_forward(run->plan, &run->shape, &forward));
    forward.packed.dims[0] = backward.packed.dims[0] = sizes.packed;
    const clseq_status want = same ? CLSEQ_OK : CLSEQ_INVALID_SHAPE;
    cr_assert_eq(clseq_rnn_backward(run->plan, &run->shape, &backward), want, "%s: %s", label,
                 clseq_last_error());
    cr_assert(same || strstr(clseq_last_error(), "rnn backward: packed has"), "%s", clseq_last_error());
    cr_assert_eq(clseq_rnn_forward(run->plan, &run->shape, &forward), want, "%s: %s", label,
                 clseq_last_error());
    rnn_run_destroy(run);
}

Test(rnn_pack, inference_takes_a_pack_of_training)
{
    clseq_context *ctx = test_context();
    for (int s = 0; s < rnn_schedule_count; s++)
        for (int i = 0; i < 2 * CLSEQ_CELL_COUNT && rnn_schedule_expected(ctx, &rnn_schedules[s]); i++) {
            const int cell = i / 2;
            const rnn_run_options options = {.schedule = rnn_schedules[s].id, .one_hot = i % 2};
            char label[96];
            snprintf(label, sizeof label, "%s, %s%s", rnn_schedules[s].name,
                     clseq_cell_name((clseq_cell)cell), options.one_hot ? ", numbers" : "");
            rnn_case *c = case_of(cell, options.one_hot);
            rnn_outputs of_training = with_pack_of(ctx, c, options, CLSEQ_MODE_TRAINING, label);
            rnn_outputs of_inference = with_pack_of(ctx, c, options, CLSEQ_MODE_INFERENCE, label);
            cr_assert(rnn_outputs_equal(&of_training, &of_inference, true), "%s: %s", label,
                      rnn_run_message());
            refuse_in_training(ctx, c, options, label);
            rnn_outputs_free(&of_training);
            rnn_outputs_free(&of_inference);
            rnn_case_destroy(c);
        }
    clseq_context_destroy(ctx);
}
