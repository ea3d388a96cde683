/*
 * What recurrent layers promise beside their values: PyTorch's conventions, steps that join to sequences, NaN that
 * stays where it is, gradients that are the slopes of the device's own outputs, no allocation, launches as announced.
 */
#include "reference/cells.h"
#include "reference/rnn_golden.h"
#include "support/device.h"
#include "support/rnn_run.h"
#include "support/rnn_variant.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a property must hold for. */
typedef struct subject {
    clseq_context *ctx;
    const rnn_schedule *schedule;
    int cell, variant;
    char label[96];
} subject;

/* Every cell with each of these variants, under every schedule. */
static void for_all(const int *variants, int count, void (*check)(const subject *of))
{
    clseq_context *ctx = test_context();
    for (int s = 0; s < rnn_schedule_count; s++)
        for (int i = 0; i < count * CLSEQ_CELL_COUNT && rnn_schedule_expected(ctx, &rnn_schedules[s]); i++) {
            subject of = {ctx, &rnn_schedules[s], i % CLSEQ_CELL_COUNT, variants[i / CLSEQ_CELL_COUNT], ""};
            int widths[RNN_VARIANT_LAYERS];
            reference_rnn any = {.cell = reference_cell_at(of.cell), .H = 2, .L = 2};
            if (!rnn_variant_apply(&rnn_variants[of.variant], &any, widths))
                continue;
            snprintf(of.label, sizeof of.label, "%s, %s, %s", of.schedule->name,
                     clseq_cell_name((clseq_cell)of.cell), rnn_variants[of.variant].title);
            check(&of);
        }
    clseq_context_destroy(ctx);
}

#define FOR_ALL(check, ...) \
    for_all((const int[]){__VA_ARGS__}, (int)(sizeof((const int[]){__VA_ARGS__}) / sizeof(int)), check)

static rnn_run *run_of(const subject *of, const rnn_case *c, rnn_run_options options)
{
    options.schedule = of->schedule->id;
    rnn_run *run = rnn_run_create(of->ctx, c, &options);
    cr_assert_not_null(run, "%s: %s", of->label, clseq_last_error());
    return run;
}

/* Sizes of a case; the subject's cell and variant come to it. */
static rnn_case *case_of(const subject *of, reference_rnn net, uint64_t seed, double margin)
{
    int widths[RNN_VARIANT_LAYERS];
    net.cell = reference_cell_at(of->cell);
    rnn_variant_apply(&rnn_variants[of->variant], &net, widths);
    rnn_case *c = rnn_case_create(&net, seed, margin);
    rnn_case_run(c);
    rnn_case_bound(c);
    return c;
}

/* ---- PyTorch's numbers ---- */

static void matches_golden(clseq_context *ctx, const rnn_golden *file, const rnn_schedule *schedule,
                           bool ragged)
{
    golden *g = golden_open(file->file);
    rnn_case *c = rnn_golden_case(g, file, ragged);
    rnn_case_run(c);
    rnn_case_bound(c);
    rnn_golden_want(g, c, ragged);
    rnn_run *run = rnn_run_create(ctx, c, &(rnn_run_options){.schedule = schedule->id});
    cr_assert_not_null(run, "%s, %s: %s", schedule->name, file->file, clseq_last_error());
    rnn_run_forward(run);
    rnn_run_backward(run, false);
    cr_assert(rnn_run_matches(run), "%s, %s%s: %s", schedule->name, file->file, ragged ? ", ragged" : "",
              rnn_run_message());
    rnn_run_destroy(run);
    rnn_case_destroy(c);
    golden_close(g);
}

Test(rnn_properties, match_pytorch)
{
    clseq_context *ctx = test_context();
    for (int s = 0; s < rnn_schedule_count; s++)
        for (int i = 0; i < 2 * rnn_golden_count && rnn_schedule_expected(ctx, &rnn_schedules[s]); i++)
            matches_golden(ctx, &rnn_goldens[i / 2], &rnn_schedules[s], i % 2);
    clseq_context_destroy(ctx);
}

/* ---- one step at a time ---- */

/* T calls of one step, each writing its final states over the initial ones, are one call of T steps. */
static void steps_join(const subject *of)
{
    rnn_case *c = case_of(of, (reference_rnn){.T = 6, .B = 3, .I = 4, .H = 10, .L = 2}, 5, 1e-5);
    rnn_run *run = run_of(of, c, (rnn_run_options){.mode = CLSEQ_MODE_INFERENCE, .without = RNN_ALIAS});
    const clseq_rnn_shape one = {.T = 1, .B = c->net.B, .mode = CLSEQ_MODE_INFERENCE};
    clseq_rnn_forward_args args = rnn_run_forward_args(run);
    const clseq_tensor x = args.x, y = args.y;
    args.final = args.initial;
    guarded_poison(&run->out[RNN_Y]);
    for (int t = 0; t < c->net.T; t++) {
        args.x = clseq_tensor_slice(&x, 0, t, 1);
        args.y = clseq_tensor_slice(&y, 0, t, 1);
        guarded_poison(&run->workspace);
        MUST(clseq_rnn_forward(run->plan, &one, &args));
    }
    cr_assert(rnn_run_matches_forward(run), "%s: %s", of->label, rnn_run_message());
    rnn_run_destroy(run);
    rnn_case_destroy(c);
}

Test(rnn_properties, steps_join_to_a_sequence)
{
    FOR_ALL(steps_join, RNN_PLAIN, RNN_PROJECTED, RNN_WIDTHS, RNN_NORMED);
}

/* ---- NaN ---- */

enum { NAN_T = 2, NAN_B = 4 };

/* Whether a NaN at step NAN_T of row NAN_B comes to y at this step: the second of two layers that read both ways sees
 * it everywhere. */
static bool is_reached(const reference_rnn *net, int t, int b)
{
    return b == NAN_B && (net->direction == REFERENCE_BIDIRECTIONAL ||
                          (net->direction == REFERENCE_FORWARD ? t >= NAN_T : t <= NAN_T));
}

/* A NaN in one row's input reaches everything of that row from then on, and nothing of the other rows. */
static void nan_stays_in_its_row(const subject *of)
{
    enum { T = 5, B = 7, I = 3 };
    rnn_case *c = case_of(of, (reference_rnn){.T = T, .B = B, .I = I, .H = 9, .L = 2}, 9, 1e-5);
    const int F = (int)c->tensor[RNN_Y].dims[2];
    rnn_outputs outputs[2];
    for (int bad = 0; bad < 2; bad++) {
        if (bad)
            c->in[RNN_X][(NAN_T * B + NAN_B) * I + 1] = NAN;
        rnn_run *run = run_of(of, c, (rnn_run_options){0});
        rnn_run_forward(run);
        rnn_run_backward(run, false);
        outputs[bad] = rnn_run_outputs(run);
        rnn_run_destroy(run);
    }
    const float *clean = outputs[0].data[RNN_Y], *dirty = outputs[1].data[RNN_Y];
    for (int i = 0; i < T * B * F; i++) {
        const bool reached = is_reached(&c->net, i / (B * F), i / F % B);
        cr_assert(reached ? isnan(dirty[i]) : memcmp(&clean[i], &dirty[i], sizeof clean[i]) == 0,
                  "%s: y[%d] is %g with a NaN in row %d at step %d, %g without", of->label, i,
                  (double)dirty[i], NAN_B, NAN_T, (double)clean[i]);
    }
    const float *clean_dx = outputs[0].data[RNN_DX], *dirty_dx = outputs[1].data[RNN_DX];
    for (int i = 0; i < T * B * I; i++)
        cr_assert(i / I % B == NAN_B || memcmp(&clean_dx[i], &dirty_dx[i], sizeof clean_dx[i]) == 0,
                  "%s: dx[%d] is %g with a NaN in row %d, %g without", of->label, i, (double)dirty_dx[i],
                  NAN_B, (double)clean_dx[i]);
    cr_assert(isnan(outputs[1].data[RNN_DWEIGHTS][1]), "%s: a NaN in x does not reach the weights' gradients",
              of->label);
    for (int i = 0; i < 2; i++)
        rnn_outputs_free(&outputs[i]);
    rnn_case_destroy(c);
}

Test(rnn_properties, nan_is_neither_swallowed_nor_spread)
{
    FOR_ALL(nan_stays_in_its_row, RNN_PLAIN, RNN_REVERSE_WITH_OPTIONS, RNN_BOTH_WITH_OPTIONS, RNN_SUMMED,
            RNN_NORMED, RNN_ZONEOUT);
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
static void gradients_are_slopes(const subject *of)
{
    const double h = 1.0 / 32;
    rnn_case *c = case_of(of, (reference_rnn){.T = 2, .B = 2, .I = 2, .H = 3, .L = 1}, 3, 0.15);
    rnn_run *run = run_of(of, c, (rnn_run_options){0});
    rnn_run_forward(run);
    rnn_run_backward(run, false);
    rnn_outputs gradients = rnn_run_outputs(run);
    for (int i = 0; i < c->count; i++) {
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
                      of->label, rnn_output_name(c, i), k, (double)gradients.data[i][k], slope);
        }
    }
    rnn_outputs_free(&gradients);
    rnn_run_destroy(run);
    rnn_case_destroy(c);
}

/* Not with layer normalisation: of three units it bends too much for such a step. */
Test(rnn_properties, gradients_are_slopes_of_the_outputs)
{
    FOR_ALL(gradients_are_slopes, RNN_PLAIN, RNN_PROJECTED);
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
static void costs_as_announced(const subject *of)
{
    if (test_small() && of->cell != CLSEQ_CELL_GRU)
        return; /* the cell with most launches; CLBlast is slow where devices are */
    const int T = test_small() ? 2 : 7;
    rnn_case *c = case_of(of, (reference_rnn){.T = T, .B = 4, .I = 5, .H = 12, .L = 2}, 1, 0);
    rnn_run *run = run_of(of, c, (rnn_run_options){0});
    rnn_run_forward(run);
    rnn_run_backward(run, false);
    const clseq_rnn_forward_args forward = rnn_run_forward_args(run);
    const clseq_rnn_backward_args backward = rnn_run_backward_args(run);
    const clseq_context_stats at_first = stats_of(of->ctx);
    MUST(clseq_rnn_forward(run->plan, &run->shape, &forward));
    const clseq_context_stats between = stats_of(of->ctx);
    check_launches(&at_first, &between, run->sizes.launches_forward, of->label, "forward");
    MUST(clseq_rnn_backward(run->plan, &run->shape, &backward));
    const clseq_context_stats at_last = stats_of(of->ctx);
    check_launches(&between, &at_last, run->sizes.launches_backward, of->label, "backward");
    rnn_run_destroy(run);
    rnn_case_destroy(c);
}

/* Through CLBlast a matrix product is one call; native ones may take several kernels. */
Test(rnn_properties, cost_what_they_announce)
{
    setenv("CLSEQ_GEMM", "clblast", 1);
    FOR_ALL(costs_as_announced, RNN_PLAIN, RNN_REVERSE_WITH_OPTIONS, RNN_BOTH_WITH_OPTIONS,
            RNN_SUMMED_WITH_OPTIONS, RNN_DROPPED, RNN_DROPPED_BOTH);
}

/* ---- one plan for many shapes ---- */

static void serves_all_shapes(const subject *of)
{
    static const int shapes[][2] = {{1, 1}, {9, 2}, {2, 11}};
    rnn_case *small = case_of(of, (reference_rnn){.T = 3, .B = 2, .I = 5, .H = 8, .L = 2}, 21, 1e-5);
    rnn_run *packed = run_of(of, small, (rnn_run_options){0});
    for (int i = 0; i < 3; i++) {
        const reference_rnn net = {.T = shapes[i][0], .B = shapes[i][1], .I = 5, .H = 8, .L = 2};
        rnn_case *c = case_of(of, net, 22, 0);
        for (int k = RNN_WEIGHTS; k < c->count; k++)
            memcpy(c->in[k], small->in[k], c->n[k] * sizeof(double));
        rnn_case_run(c);
        rnn_case_bound(c);
        rnn_run *run = run_of(of, c, (rnn_run_options){0});
        cr_assert_eq(run->sizes.packed, packed->sizes.packed, "%s: `packed` depends on T and B", of->label);
        guarded_destroy(&run->packed);
        run->packed = packed->packed;
        rnn_run_forward(run);
        cr_assert(rnn_run_matches_forward(run), "%s, T %d, B %d: %s", of->label, shapes[i][0], shapes[i][1],
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
    FOR_ALL(serves_all_shapes, RNN_PLAIN, RNN_BOTH_WITH_OPTIONS);
}

/* ---- some rows of a larger batch ---- */

/* x as the slice of a batch of more rows: steps that lie further apart than their rows need. */
static void reads_a_slice(const subject *of)
{
    rnn_case *c = case_of(of, (reference_rnn){.T = 6, .B = 3, .I = 4, .H = 10, .L = 2}, 15, 1e-5);
    rnn_run *run = run_of(of, c, (rnn_run_options){0});
    const clseq_tensor dense = run->in[RNN_X].tensor;
    clseq_tensor large = {0};
    MUST(clseq_tensor_create(of->ctx, CLSEQ_DTYPE_F32, 3, (int64_t[]){6, 5, 4}, &large));
    MUST(clseq_tensor_fill(of->ctx, &large, NAN));
    run->in[RNN_X].tensor = clseq_tensor_slice(&large, 1, 1, 3);
    MUST(clseq_tensor_copy(of->ctx, &dense, &run->in[RNN_X].tensor));
    rnn_run_forward(run);
    rnn_run_backward(run, false);
    run->in[RNN_X].tensor = dense;
    cr_assert(rnn_run_matches(run), "%s: %s", of->label, rnn_run_message());
    clseq_tensor_destroy(of->ctx, &large);
    rnn_run_destroy(run);
    rnn_case_destroy(c);
}

Test(rnn_properties, read_a_slice_of_a_batch)
{
    FOR_ALL(reads_a_slice, RNN_PLAIN, RNN_BOTH_WITH_OPTIONS);
}
