/*
 * What recurrent layers promise beside their values: PyTorch's conventions, steps that join to sequences, NaN that
 * stays where it is, gradients that are the slopes of the device's own outputs, no allocation, launches as announced.
 */
#include "reference/cells.h"
#include "support/device.h"
#include "support/golden.h"
#include "support/rnn_run.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void (*check)(clseq_context *ctx, const rnn_schedule *schedule, int cell, const char *label);

static void for_all(check function)
{
    clseq_context *ctx = test_context();
    for (int s = 0; s < rnn_schedule_count; s++)
        for (int cell = 0; cell < CLSEQ_CELL_COUNT && rnn_schedule_expected(ctx, &rnn_schedules[s]); cell++) {
            char label[64];
            snprintf(label, sizeof label, "%s, %s", rnn_schedules[s].name, clseq_cell_name((clseq_cell)cell));
            function(ctx, &rnn_schedules[s], cell, label);
        }
    clseq_context_destroy(ctx);
}

static rnn_run *run_of(clseq_context *ctx, const rnn_case *c, const rnn_run_options *options,
                       const char *label)
{
    rnn_run *run = rnn_run_create(ctx, c, options);
    cr_assert_not_null(run, "%s: %s", label, clseq_last_error());
    return run;
}

/* ---- PyTorch's numbers ---- */

static void golden_matches(clseq_context *ctx, const rnn_schedule *schedule, int cell, const golden *g,
                           const int *lengths, const char *label)
{
    const golden_tensor *x = golden_get(g, "x"), *h0 = golden_get(g, "h0");
    const reference_rnn net = {.cell = reference_cell_at(cell),
                               .T = (int)x->dims[0],
                               .B = (int)x->dims[1],
                               .I = (int)x->dims[2],
                               .H = (int)h0->dims[2],
                               .L = (int)h0->dims[0],
                               .lengths = lengths};
    rnn_case *c = rnn_case_create(&net, 1, 0);
    for (int i = 0; i < RNN_INPUTS; i++)
        if (c->n[i] > 0)
            memcpy(c->in[i], golden_values(g, rnn_input_name(i), c->n[i]), c->n[i] * sizeof(double));
    rnn_case_run(c);
    rnn_case_bound(c);
    for (int i = 0; i < RNN_INPUTS; i++) {
        char name[GOLDEN_MAX_NAME];
        snprintf(name, sizeof name, "%s%s", lengths ? "ragged/" : "full/", rnn_output_name(i));
        if (c->n[i] > 0)
            memcpy(c->want[i], golden_values(g, name, c->n[i]), c->n[i] * sizeof(double));
    }
    rnn_run *run = run_of(ctx, c, &(rnn_run_options){.schedule = schedule->id}, label);
    rnn_run_forward(run);
    rnn_run_backward(run, false);
    cr_assert(rnn_run_matches(run), "%s: %s", label, rnn_run_message());
    rnn_run_destroy(run);
    rnn_case_destroy(c);
}

static void matches_pytorch(clseq_context *ctx, const rnn_schedule *schedule, int cell, const char *label)
{
    char file[GOLDEN_MAX_NAME];
    int lengths[16];
    snprintf(file, sizeof file, "%s.txt", clseq_cell_name((clseq_cell)cell));
    golden *g = golden_open(file);
    const size_t B = golden_get(g, "x")->dims[1];
    cr_assert(B <= 16);
    for (size_t b = 0; b < B; b++)
        lengths[b] = (int)golden_values(g, "lengths", B)[b];
    golden_matches(ctx, schedule, cell, g, NULL, label);
    golden_matches(ctx, schedule, cell, g, lengths, label);
    golden_close(g);
}

Test(rnn_properties, match_pytorch)
{
    for_all(matches_pytorch);
}

/* ---- one step at a time ---- */

static rnn_case *plain_case(int cell, int T, int B, int I, int H, int L, uint64_t seed, double margin)
{
    rnn_case *c = rnn_case_create(
        &(reference_rnn){.cell = reference_cell_at(cell), .T = T, .B = B, .I = I, .H = H, .L = L}, seed,
        margin);
    rnn_case_run(c);
    rnn_case_bound(c);
    return c;
}

/* T calls of one step, each writing its final states over the initial ones, are one call of T steps. */
static void steps_join(clseq_context *ctx, const rnn_schedule *schedule, int cell, const char *label)
{
    rnn_case *c = plain_case(cell, 6, 3, 4, 10, 2, 5, 1e-5);
    rnn_run *run = run_of(
        ctx, c,
        &(rnn_run_options){.schedule = schedule->id, .mode = CLSEQ_MODE_INFERENCE, .without = RNN_ALIAS},
        label);
    const clseq_rnn_shape one = {.T = 1, .B = c->net.B, .mode = CLSEQ_MODE_INFERENCE};
    guarded_poison(&run->out[RNN_Y]);
    for (int t = 0; t < c->net.T; t++) {
        const clseq_tensor h = run->in[RNN_INITIAL].tensor, s = run->in[RNN_INITIAL + 1].tensor;
        guarded_poison(&run->workspace);
        MUST(clseq_rnn_forward(
            run->plan, &one,
            &(clseq_rnn_forward_args){.packed = run->packed.tensor,
                                      .x = clseq_tensor_slice(&run->in[RNN_X].tensor, 0, t, 1),
                                      .initial = {h, s},
                                      .y = clseq_tensor_slice(&run->out[RNN_Y].tensor, 0, t, 1),
                                      .final = {h, s},
                                      .workspace = run->workspace.tensor}));
    }
    cr_assert(rnn_run_matches_forward(run), "%s: %s", label, rnn_run_message());
    rnn_run_destroy(run);
    rnn_case_destroy(c);
}

Test(rnn_properties, steps_join_to_a_sequence)
{
    for_all(steps_join);
}

/* ---- NaN ---- */

/* A NaN in one row's input reaches everything of that row from then on, and nothing of the other rows. */
static void nan_stays_in_its_row(clseq_context *ctx, const rnn_schedule *schedule, int cell,
                                 const char *label)
{
    enum { T = 5, B = 7, I = 3, H = 9, BAD_T = 2, BAD_B = 4 };
    rnn_case *c = plain_case(cell, T, B, I, H, 2, 9, 1e-5);
    rnn_outputs outputs[2];
    for (int bad = 0; bad < 2; bad++) {
        if (bad)
            c->in[RNN_X][(BAD_T * B + BAD_B) * I + 1] = NAN;
        rnn_run *run = run_of(ctx, c, &(rnn_run_options){.schedule = schedule->id}, label);
        rnn_run_forward(run);
        rnn_run_backward(run, false);
        outputs[bad] = rnn_run_outputs(run);
        rnn_run_destroy(run);
    }
    const float *clean = outputs[0].data[RNN_Y], *dirty = outputs[1].data[RNN_Y];
    for (int i = 0; i < T * B * H; i++) {
        const bool reached = i / H % B == BAD_B && i / (B * H) >= BAD_T;
        cr_assert(reached ? isnan(dirty[i]) : memcmp(&clean[i], &dirty[i], sizeof clean[i]) == 0,
                  "%s: y[%d] is %g with a NaN in row %d at step %d, %g without", label, i, (double)dirty[i],
                  BAD_B, BAD_T, (double)clean[i]);
    }
    const float *clean_dx = outputs[0].data[RNN_DX], *dirty_dx = outputs[1].data[RNN_DX];
    for (int i = 0; i < T * B * I; i++)
        cr_assert(i / I % B == BAD_B || memcmp(&clean_dx[i], &dirty_dx[i], sizeof clean_dx[i]) == 0,
                  "%s: dx[%d] is %g with a NaN in row %d, %g without", label, i, (double)dirty_dx[i], BAD_B,
                  (double)clean_dx[i]);
    cr_assert(isnan(outputs[1].data[RNN_DWEIGHTS][1]), "%s: a NaN in x does not reach the weights' gradients",
              label);
    for (int i = 0; i < 2; i++)
        rnn_outputs_free(&outputs[i]);
    rnn_case_destroy(c);
}

Test(rnn_properties, nan_is_neither_swallowed_nor_spread)
{
    for_all(nan_stays_in_its_row);
}

/* ---- slopes ---- */

/* What the gradients belong to: sum(dy y) + sum(dfinal final), summed in double from the device's outputs. */
static double loss(rnn_run *run, const rnn_case *c)
{
    double sum = 0;
    rnn_run_write(run, c);
    rnn_run_forward(run);
    for (int i = RNN_DY; i < RNN_WEIGHTS; i++) {
        if (run->out[i].tensor.buffer == NULL)
            continue;
        float *got = guarded_read(&run->out[i]);
        for (size_t k = 0; k < c->n[i]; k++)
            sum += c->in[i][k] * got[k];
        free(got);
    }
    return sum;
}

/*
 * Fourth-order central differences with step 1/32, exact in float. Rounding: the outputs, about 20 of size 1, have
 * errors of 1e-6 together, times 1.5/h: 5e-5. Truncation: h^4/30 times a fifth derivative, 3e-8 of it. A wrong sign
 * or a missing term is 0.1 and more somewhere.
 */
static void gradients_are_slopes(clseq_context *ctx, const rnn_schedule *schedule, int cell,
                                 const char *label)
{
    const double h = 1.0 / 32;
    rnn_case *c = plain_case(cell, 2, 2, 2, 3, 1, 3, 0.15);
    rnn_run *run = run_of(ctx, c, &(rnn_run_options){.schedule = schedule->id}, label);
    rnn_run_forward(run);
    rnn_run_backward(run, false);
    rnn_outputs gradients = rnn_run_outputs(run);
    for (int i = 0; i < RNN_INPUTS; i++) {
        if (i >= RNN_DY && i < RNN_WEIGHTS)
            continue;
        for (size_t k = 0; k < c->n[i]; k += test_small() ? 11 : 1) {
            const double at = c->in[i][k], offset[] = {-2 * h, -h, h, 2 * h};
            double f[4];
            for (int j = 0; j < 4; j++) {
                c->in[i][k] = at + offset[j];
                f[j] = loss(run, c);
            }
            c->in[i][k] = at;
            const double slope = (f[0] - 8 * f[1] + 8 * f[2] - f[3]) / (12 * h);
            cr_assert(fabs(gradients.data[i][k] - slope) <= 5e-4, "%s: %s[%zu] is %.6g, the slope is %.6g",
                      label, rnn_output_name(i), k, (double)gradients.data[i][k], slope);
        }
    }
    rnn_outputs_free(&gradients);
    rnn_run_destroy(run);
    rnn_case_destroy(c);
}

Test(rnn_properties, gradients_are_slopes_of_the_outputs)
{
    for_all(gradients_are_slopes);
}

/* ---- costs ---- */

static clseq_context_stats stats_of(clseq_context *ctx)
{
    clseq_context_stats stats;
    MUST(clseq_context_get_stats(ctx, &stats));
    return stats;
}

static void check_launches(const clseq_context_stats *before, const clseq_context_stats *after,
                           int64_t announced, const char *label, const char *pass)
{
    const uint64_t launches =
        after->launches - before->launches + after->clblast_calls - before->clblast_calls;
    cr_assert(launches > 0 && launches <= (uint64_t)announced,
              "%s: %s took %llu launches, %lld were announced", label, pass, (unsigned long long)launches,
              (long long)announced);
    cr_assert_eq(after->allocations, before->allocations, "%s: %s allocated", label, pass);
}

/* From the second pass on nothing is allocated; launches stay within what the plan announces. */
static void costs_as_announced(clseq_context *ctx, const rnn_schedule *schedule, int cell, const char *label)
{
    if (test_small() && cell != CLSEQ_CELL_GRU)
        return; /* the cell with most launches; CLBlast is slow where devices are */
    rnn_case *c = plain_case(cell, test_small() ? 2 : 7, 4, 5, 12, 2, 1, 0);
    rnn_run *run = run_of(ctx, c, &(rnn_run_options){.schedule = schedule->id}, label);
    rnn_run_forward(run);
    rnn_run_backward(run, false);
    const clseq_rnn_forward_args forward = {.packed = run->packed.tensor,
                                            .x = run->in[RNN_X].tensor,
                                            .initial = {run->in[RNN_INITIAL].tensor},
                                            .y = run->out[RNN_Y].tensor,
                                            .final = {run->out[RNN_FINAL].tensor},
                                            .reserve = run->reserve.tensor,
                                            .workspace = run->workspace.tensor};
    clseq_rnn_weights dweights[2];
    for (int l = 0; l < 2; l++) {
        const guarded *d = &run->out[RNN_DWEIGHTS + 4 * l];
        dweights[l] = (clseq_rnn_weights){d[0].tensor, d[1].tensor, d[2].tensor, d[3].tensor};
    }
    const clseq_rnn_backward_args backward = {.packed = run->packed.tensor,
                                              .x = run->in[RNN_X].tensor,
                                              .dy = run->in[RNN_DY].tensor,
                                              .dfinal = {run->in[RNN_DFINAL].tensor},
                                              .dx = run->out[RNN_DX].tensor,
                                              .dinitial = {run->out[RNN_DINITIAL].tensor},
                                              .dweights = dweights,
                                              .reserve = run->reserve.tensor,
                                              .workspace = run->workspace.tensor};
    const clseq_context_stats at_first = stats_of(ctx);
    MUST(clseq_rnn_forward(run->plan, &run->shape, &forward));
    const clseq_context_stats between = stats_of(ctx);
    check_launches(&at_first, &between, run->sizes.launches_forward, label, "forward");
    MUST(clseq_rnn_backward(run->plan, &run->shape, &backward));
    const clseq_context_stats at_last = stats_of(ctx);
    check_launches(&between, &at_last, run->sizes.launches_backward, label, "backward");
    rnn_run_destroy(run);
    rnn_case_destroy(c);
}

/* Through CLBlast a matrix product is one call; native ones may take several kernels. */
Test(rnn_properties, cost_what_they_announce)
{
    setenv("CLSEQ_GEMM", "clblast", 1);
    for_all(costs_as_announced);
}

/* ---- one plan for many shapes ---- */

static void serves_all_shapes(clseq_context *ctx, const rnn_schedule *schedule, int cell, const char *label)
{
    static const int shapes[][2] = {{1, 1}, {9, 2}, {2, 11}};
    rnn_case *small = plain_case(cell, 3, 2, 5, 8, 2, 21, 1e-5);
    rnn_run *packed = run_of(ctx, small, &(rnn_run_options){.schedule = schedule->id}, label);
    for (int i = 0; i < 3; i++) {
        rnn_case *c = rnn_case_create(&(reference_rnn){.cell = reference_cell_at(cell),
                                                       .T = shapes[i][0],
                                                       .B = shapes[i][1],
                                                       .I = 5,
                                                       .H = 8,
                                                       .L = 2},
                                      22, 0);
        for (int k = RNN_WEIGHTS; k < RNN_INPUTS; k++)
            if (c->n[k] > 0)
                memcpy(c->in[k], small->in[k], c->n[k] * sizeof(double));
        rnn_case_run(c);
        rnn_case_bound(c);
        rnn_run *run = run_of(ctx, c, &(rnn_run_options){.schedule = schedule->id}, label);
        cr_assert_eq(run->sizes.packed, packed->sizes.packed, "%s: `packed` depends on T and B", label);
        guarded_destroy(&run->packed);
        run->packed = packed->packed;
        rnn_run_forward(run);
        cr_assert(rnn_run_matches_forward(run), "%s, T %d, B %d: %s", label, shapes[i][0], shapes[i][1],
                  rnn_run_message());
        run->packed = (guarded){0};
        rnn_run_destroy(run);
        rnn_case_destroy(c);
    }
    rnn_run_destroy(packed);
    rnn_case_destroy(small);
}

Test(rnn_properties, weights_are_packed_once_for_all_shapes)
{
    for_all(serves_all_shapes);
}

/* ---- some rows of a larger batch ---- */

/* x as the slice of a batch of more rows: steps that lie further apart than their rows need. */
static void reads_a_slice(clseq_context *ctx, const rnn_schedule *schedule, int cell, const char *label)
{
    rnn_case *c = plain_case(cell, 6, 3, 4, 10, 2, 15, 1e-5);
    rnn_run *run = run_of(ctx, c, &(rnn_run_options){.schedule = schedule->id}, label);
    const clseq_tensor dense = run->in[RNN_X].tensor;
    clseq_tensor large = {0};
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 3, (int64_t[]){6, 5, 4}, &large));
    MUST(clseq_tensor_fill(ctx, &large, NAN));
    run->in[RNN_X].tensor = clseq_tensor_slice(&large, 1, 1, 3);
    MUST(clseq_tensor_copy(ctx, &dense, &run->in[RNN_X].tensor));
    rnn_run_forward(run);
    rnn_run_backward(run, false);
    run->in[RNN_X].tensor = dense;
    cr_assert(rnn_run_matches(run), "%s: %s", label, rnn_run_message());
    clseq_tensor_destroy(ctx, &large);
    rnn_run_destroy(run);
    rnn_case_destroy(c);
}

Test(rnn_properties, read_a_slice_of_a_batch)
{
    for_all(reads_a_slice);
}
