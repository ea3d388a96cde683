/*
 * Recurrent layers on the device against the reference: every cell under every schedule, with every option that it has,
 * over one table of problems. A new cell, schedule, option or problem is tested by its row.
 */
#include "reference/cells.h"
#include "support/device.h"
#include "support/rnn_run.h"
#include "support/rnn_variant.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int mixed[] = {3, 0, 5, 1, 4};
static const int mixed_long[] = {23, 0, 40, 1, 40, 7, 39};
static const int all_empty[] = {0, 0};

#define NO_STATES (RNN_NO_INITIAL | RNN_NO_DFINAL)

/* The problems: sizes, and what differs from the plain case of everything given and everything asked for. */
static const struct problem {
    const char *title;
    reference_rnn net;
    rnn_run_options options;
    bool small;       /* run where devices are slow, too */
    bool options_too; /* with all options, others without any */
} problems[] = {
    {"one of each", {.T = 1, .B = 1, .I = 1, .H = 1, .L = 1}, {0}, false, true},
    {"small odd sizes", {.T = 3, .B = 2, .I = 5, .H = 3, .L = 1}, {0}, true, true},
    {"one step", {.T = 1, .B = 3, .I = 2, .H = 5, .L = 1}, {0}, false, false},
    {"one step, two layers", {.T = 1, .B = 3, .I = 2, .H = 5, .L = 2}, {0}, false, true},
    {"one row", {.T = 6, .B = 1, .I = 3, .H = 17, .L = 1}, {0}, false, false},
    {"one row, two layers", {.T = 6, .B = 1, .I = 3, .H = 17, .L = 2}, {0}, false, true},
    {"one row, by row",
     {.T = 6, .B = 1, .I = 3, .H = 17, .L = 1},
     {.x = GUARDED_BY_ROW, .y = GUARDED_BY_ROW},
     false,
     false},
    {"17 units", {.T = 7, .B = 5, .I = 4, .H = 17, .L = 1}, {0}, false, false},
    {"more input than units", {.T = 4, .B = 6, .I = 70, .H = 9, .L = 2}, {0}, false, true},
    {"100 units", {.T = 5, .B = 7, .I = 33, .H = 100, .L = 1}, {0}, false, true},
    {"a vector's width", {.T = 4, .B = 8, .I = 16, .H = 32, .L = 1}, {0}, false, false},
    {"many steps", {.T = 90, .B = 4, .I = 3, .H = 6, .L = 1}, {0}, false, true},
    {"many rows", {.T = 3, .B = 67, .I = 3, .H = 10, .L = 2}, {0}, false, true},
    {"681 units", {.T = 2, .B = 3, .I = 40, .H = 681, .L = 1}, {0}, false, false},
    {"single bias",
     {.T = 4, .B = 3, .I = 5, .H = 7, .L = 2, .bias = REFERENCE_BIAS_SINGLE},
     {0},
     false,
     true},
    {"no bias", {.T = 4, .B = 3, .I = 5, .H = 7, .L = 2, .bias = REFERENCE_BIAS_NONE}, {0}, false, true},
    {"two layers", {.T = 5, .B = 4, .I = 6, .H = 19, .L = 2}, {0}, false, false},
    {"three layers", {.T = 4, .B = 3, .I = 2, .H = 11, .L = 3}, {0}, false, true},
    {"lengths", {.T = 5, .B = 5, .I = 3, .H = 7, .L = 1, .lengths = mixed}, {0}, true, true},
    {"lengths, two layers",
     {.T = 40, .B = 7, .I = 5, .H = 13, .L = 2, .lengths = mixed_long},
     {0},
     false,
     true},
    {"lengths, by row",
     {.T = 5, .B = 5, .I = 3, .H = 7, .L = 2, .lengths = mixed},
     {.x = GUARDED_BY_ROW, .y = GUARDED_BY_ROW},
     false,
     true},
    {"nothing but empty rows",
     {.T = 3, .B = 2, .I = 3, .H = 4, .L = 2, .lengths = all_empty},
     {0},
     false,
     true},
    {"rows apart",
     {.T = 5, .B = 4, .I = 6, .H = 9, .L = 2},
     {.x = GUARDED_APART, .y = GUARDED_APART},
     false,
     true},
    {"x by row", {.T = 5, .B = 4, .I = 6, .H = 9, .L = 1}, {.x = GUARDED_BY_ROW}, false, false},
    {"y by row", {.T = 5, .B = 4, .I = 6, .H = 9, .L = 2}, {.y = GUARDED_BY_ROW}, false, false},
    {"by row, one step",
     {.T = 1, .B = 4, .I = 6, .H = 9, .L = 1},
     {.x = GUARDED_BY_ROW, .y = GUARDED_BY_ROW},
     false,
     false},
    {"no states",
     {.T = 4, .B = 3, .I = 5, .H = 6, .L = 2},
     {.without = NO_STATES | RNN_NO_DINITIAL | RNN_NO_FINAL},
     true,
     true},
    {"no initial states, their gradients yet",
     {.T = 4, .B = 3, .I = 5, .H = 6, .L = 1},
     {.without = NO_STATES},
     false,
     true},
    {"no dy", {.T = 4, .B = 3, .I = 5, .H = 6, .L = 2}, {.without = RNN_NO_DY}, false, true},
    {"no dy, lengths",
     {.T = 5, .B = 5, .I = 4, .H = 6, .L = 1, .lengths = mixed},
     {.without = RNN_NO_DY},
     false,
     false},
    {"no dx", {.T = 4, .B = 3, .I = 5, .H = 6, .L = 2}, {.without = RNN_NO_DX}, false, true},
    {"no weight gradients",
     {.T = 4, .B = 3, .I = 5, .H = 6, .L = 2},
     {.without = RNN_NO_DWEIGHTS},
     false,
     true},
    {"no bias gradients", {.T = 4, .B = 3, .I = 5, .H = 6, .L = 2}, {.without = RNN_NO_DBIAS}, false, true},
    {"overwritten gradients", {.T = 4, .B = 3, .I = 5, .H = 18, .L = 2}, {.overwrite = true}, false, true},
    {"overwritten, long", {.T = 60, .B = 5, .I = 20, .H = 12, .L = 1}, {.overwrite = true}, false, false},
    {"overwritten, two blocks",
     {.T = 40, .B = 40, .I = 5, .H = 6, .L = 1},
     {.overwrite = true},
     false,
     false},
    {"numbers", {.T = 5, .B = 4, .I = 6, .H = 19, .L = 1}, {.one_hot = true}, true, false},
    {"numbers, one row", {.T = 5, .B = 1, .I = 6, .H = 19, .L = 1}, {.one_hot = true}, false, false},
    {"numbers, two layers, by row",
     {.T = 23, .B = 9, .I = 7, .H = 33, .L = 2},
     {.one_hot = true, .x = GUARDED_BY_ROW, .overwrite = true},
     false,
     true},
    {"numbers, lengths",
     {.T = 40, .B = 7, .I = 3, .H = 13, .L = 2, .lengths = mixed_long},
     {.one_hot = true},
     false,
     true},
    {"numbers, many kinds", {.T = 2, .B = 3, .I = 300, .H = 5, .L = 1}, {.one_hot = true}, false, false},
    {"final over initial",
     {.T = 4, .B = 3, .I = 5, .H = 6, .L = 2},
     {.without = RNN_ALIAS | RNN_NO_DX | RNN_NO_DINITIAL | RNN_NO_DWEIGHTS},
     false,
     true},
};
enum { PROBLEMS = sizeof problems / sizeof problems[0] };

static void clear(double *values, size_t n)
{
    for (size_t i = 0; i < n; i++)
        values[i] = 0;
}

/* A row of x has a single 1, anywhere, and now and then nothing. */
static void make_one_hot(rnn_case *c)
{
    double *x = c->in[RNN_X];
    const int I = c->net.I;
    for (int row = 0; row < c->net.T * c->net.B; row++) {
        const int number = (row * 7 + row / 5) % (I + 1);
        for (int i = 0; i < I; i++)
            x[row * I + i] = i == number;
    }
}

/* The problem of a net, with zeros for what the device is not given. */
static rnn_case *case_of(const struct problem *p, const reference_rnn *net, uint64_t seed)
{
    rnn_case *c = rnn_case_create(net, seed, 1e-5);
    for (int s = 0; s < REFERENCE_MAX_STATES; s++) {
        if (p->options.without & RNN_NO_INITIAL)
            clear(c->in[RNN_INITIAL + s], c->n[RNN_INITIAL + s]);
        if (p->options.without & RNN_NO_DFINAL)
            clear(c->in[RNN_DFINAL + s], c->n[RNN_DFINAL + s]);
    }
    if (p->options.one_hot)
        make_one_hot(c);
    if (p->options.without & RNN_NO_DY)
        clear(c->in[RNN_DY], c->n[RNN_DY]);
    rnn_case_run(c);
    rnn_case_bound(c);
    return c;
}

typedef void (*check)(clseq_context *ctx, const rnn_case *c, const rnn_run_options *options,
                      const char *label);

static void must(bool condition, const char *label)
{
    cr_assert(condition, "%s: %s", label, rnn_run_message());
}

static void against_reference(clseq_context *ctx, const rnn_case *c, const rnn_run_options *options,
                              const char *label)
{
    rnn_run *run = rnn_run_create(ctx, c, options);
    cr_assert_not_null(run, "%s: %s", label, clseq_last_error());
    rnn_run_forward(run);
    must(rnn_run_matches_forward(run), label);
    rnn_run_backward(run, false);
    must(rnn_run_matches(run), label);
    rnn_run_destroy(run);
}

/* Both modes, which are different things where training draws. */
static void inference_too(clseq_context *ctx, const rnn_case *c, const rnn_run_options *options,
                          const char *label)
{
    rnn_case *same = rnn_case_inference(c);
    rnn_run_options with = *options;
    with.mode = CLSEQ_MODE_INFERENCE;
    against_reference(ctx, c, options, label);
    rnn_run *run = rnn_run_create(ctx, same, &with);
    cr_assert_not_null(run, "%s: %s", label, clseq_last_error());
    rnn_run_forward(run);
    must(rnn_run_matches_forward(run), label);
    rnn_run_destroy(run);
    rnn_case_destroy(same);
}

/* Twice the same bits, with other memory around; and the same output without keeping anything, where nothing is drawn. */
static void same_bits(clseq_context *ctx, const rnn_case *c, const rnn_run_options *options,
                      const char *label)
{
    rnn_outputs outputs[3];
    for (int i = 0; i < 3; i++) {
        rnn_run_options with = *options;
        with.mode = i < 2 ? CLSEQ_MODE_TRAINING : CLSEQ_MODE_INFERENCE;
        rnn_run *run = rnn_run_create(ctx, c, &with);
        cr_assert_not_null(run, "%s: %s", label, clseq_last_error());
        rnn_run_forward(run);
        if (i < 2)
            rnn_run_backward(run, false);
        outputs[i] = rnn_run_outputs(run);
        rnn_run_destroy(run);
    }
    must(rnn_outputs_equal(&outputs[0], &outputs[1], false), label);
    must(reference_rnn_draws(&c->net) || rnn_outputs_equal(&outputs[0], &outputs[2], true), label);
    for (int i = 0; i < 3; i++)
        rnn_outputs_free(&outputs[i]);
}

/* A second pass adds the same again: twice the gradients, and rounding of one more addition. */
static void accumulates(clseq_context *ctx, const rnn_case *c, const rnn_run_options *options,
                        const char *label)
{
    if (options->overwrite || options->without & (RNN_ALIAS | RNN_NO_DWEIGHTS))
        return;
    rnn_run *run = rnn_run_create(ctx, c, options);
    cr_assert_not_null(run, "%s: %s", label, clseq_last_error());
    for (int pass = 0; pass < 2; pass++) {
        rnn_run_forward(run);
        rnn_run_backward(run, pass == 1);
    }
    rnn_outputs twice = rnn_run_outputs(run);
    for (int i = RNN_DWEIGHTS; i < c->count; i++)
        for (size_t k = 0; twice.data[i] && k < c->n[i]; k++)
            cr_assert(fabs(twice.data[i][k] - 2 * c->want[i][k]) <= 2.5 * c->bound[i][k],
                      "%s: after two passes %s[%zu] is %.9g, expected twice %.9g within %.3g", label,
                      rnn_output_name(c, i), k, (double)twice.data[i][k], c->want[i][k],
                      2.5 * c->bound[i][k]);
    rnn_outputs_free(&twice);
    rnn_run_destroy(run);
}

/* What a test goes through: every `stride`-th problem of the first `cells` cells, counted among the small ones where only
 * those run. */
typedef struct range {
    const char *schedule; /* NULL: all that the device has to run */
    int cells, stride;
    int variant; /* RNN_PLAIN, ... */
    check function;
} range;

static void over_schedules(clseq_context *ctx, const range *r, const struct problem *p, int cell,
                           uint64_t seed)
{
    const rnn_variant *variant = &rnn_variants[r->variant];
    int widths[RNN_VARIANT_LAYERS];
    reference_rnn net = p->net;
    net.cell = reference_cell_at(cell);
    if (!rnn_variant_apply(variant, &net, widths))
        return;
    rnn_case *c = case_of(p, &net, seed);
    for (int s = 0; s < rnn_schedule_count; s++) {
        const rnn_schedule *schedule = &rnn_schedules[s];
        rnn_run_options options = p->options;
        char label[160];
        if (!rnn_schedule_expected(ctx, schedule) ||
            (r->schedule && strcmp(r->schedule, schedule->name) != 0))
            continue;
        options.schedule = schedule->id;
        snprintf(label, sizeof label, "%s, %s, %s, %s", schedule->name, clseq_cell_name((clseq_cell)cell),
                 p->title, variant->title);
        r->function(ctx, c, &options, label);
    }
    rnn_case_destroy(c);
}

static void over_table(range r)
{
    clseq_context *ctx = test_context();
    for (int cell = 0; cell < r.cells; cell++)
        for (int i = 0, counted = 0; i < PROBLEMS; i++) {
            const struct problem *p = &problems[i];
            if ((test_small() && !p->small) || (r.variant != RNN_PLAIN && !p->options_too) ||
                counted++ % r.stride != 0)
                continue;
            over_schedules(ctx, &r, p, cell, 100 + (uint64_t)i);
        }
    clseq_context_destroy(ctx);
}

Test(rnn, matches_the_reference)
{
    over_table((range){NULL, CLSEQ_CELL_COUNT, 1, RNN_PLAIN, against_reference});
}

/* Each variant by itself, so that they run side by side; those that others contain are left to PyTorch's numbers. */
#define VARIANT(name, variant)                                                      \
    Test(rnn, matches_the_reference_##name)                                         \
    {                                                                               \
        over_table((range){NULL, CLSEQ_CELL_COUNT, 1, variant, against_reference}); \
    }
VARIANT(with_a_projection, RNN_PROJECTED)
VARIANT(with_layer_normalisation, RNN_NORMED)
VARIANT(in_reverse_with_options, RNN_REVERSE_WITH_OPTIONS)
VARIANT(in_both_directions_with_options, RNN_BOTH_WITH_OPTIONS)
VARIANT(with_directions_summed_and_options, RNN_SUMMED_WITH_OPTIONS)
VARIANT(with_dropout, RNN_DROPPED)
VARIANT(with_dropout_in_both_directions, RNN_DROPPED_BOTH)

Test(rnn, matches_the_reference_with_zoneout)
{
    over_table((range){NULL, CLSEQ_CELL_COUNT, 1, RNN_ZONEOUT, inference_too});
}

Test(rnn, matches_the_reference_with_zoneout_and_options)
{
    over_table((range){NULL, CLSEQ_CELL_COUNT, 1, RNN_ZONEOUT_WITH_OPTIONS, inference_too});
}

/* The way that GPUs take. */
Test(rnn, matches_the_reference_with_clblast)
{
    setenv("CLSEQ_GEMM", "clblast", 1);
    over_table(
        (range){"gemm_step", CLSEQ_CELL_COUNT, test_small() ? PROBLEMS : 1, RNN_PLAIN, against_reference});
}

Test(rnn, matches_the_reference_with_clblast_and_options)
{
    setenv("CLSEQ_GEMM", "clblast", 1);
    over_table((range){"gemm_step", CLSEQ_CELL_COUNT, test_small() ? PROBLEMS : 4, RNN_BOTH_WITH_OPTIONS,
                       against_reference});
}

Test(rnn, gives_the_same_bits)
{
    over_table((range){NULL, CLSEQ_CELL_COUNT, 3, RNN_PLAIN, same_bits});
}

Test(rnn, gives_the_same_bits_with_options)
{
    over_table((range){NULL, CLSEQ_CELL_COUNT, 4, RNN_BOTH_WITH_OPTIONS, same_bits});
    over_table((range){NULL, CLSEQ_CELL_COUNT, 4, RNN_SUMMED, same_bits});
    over_table((range){NULL, CLSEQ_CELL_COUNT, 5, RNN_DROPPED, same_bits});
    over_table((range){NULL, CLSEQ_CELL_COUNT, 5, RNN_ZONEOUT, same_bits});
}

Test(rnn, accumulates_weight_gradients)
{
    over_table((range){NULL, CLSEQ_CELL_COUNT, 3, RNN_PLAIN, accumulates});
}

Test(rnn, accumulates_weight_gradients_with_options)
{
    over_table((range){NULL, CLSEQ_CELL_COUNT, 5, RNN_BOTH_WITH_OPTIONS, accumulates});
    over_table((range){NULL, CLSEQ_CELL_COUNT, 5, RNN_REVERSE_WITH_OPTIONS, accumulates});
}

/* A width that is not the device's own is slower, not different. LSTM and GRU, to spare compilations. */
static void with_vector_width(const char *width)
{
    if (test_small())
        cr_skip_test("only with the device's own width: others take slow devices minutes to compile");
    setenv("CLSEQ_VECTOR_WIDTH", width, 1);
    over_table((range){NULL, 2, 4, RNN_PLAIN, against_reference});
    over_table((range){NULL, 2, 9, RNN_SUMMED_WITH_OPTIONS, against_reference});
}

Test(rnn, matches_with_vectors_of_4)
{
    with_vector_width("4");
}

Test(rnn, matches_with_vectors_of_8)
{
    with_vector_width("8");
}

Test(rnn, matches_with_vectors_of_16)
{
    with_vector_width("16");
}
