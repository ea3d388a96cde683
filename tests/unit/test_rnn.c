/*
 * Recurrent layers on the device against the reference: every cell under every schedule over one table of
 * problems. A new cell or schedule is tested by its row.
 */
#include "reference/cells.h"
#include "support/device.h"
#include "support/rnn_run.h"

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
    bool small; /* run where devices are slow, too */
} problems[] = {
    {"one of each", {.T = 1, .B = 1, .I = 1, .H = 1, .L = 1}, {0}, false},
    {"small odd sizes", {.T = 3, .B = 2, .I = 5, .H = 3, .L = 1}, {0}, true},
    {"one step", {.T = 1, .B = 3, .I = 2, .H = 5, .L = 1}, {0}, false},
    {"one row", {.T = 6, .B = 1, .I = 3, .H = 17, .L = 1}, {0}, false},
    {"one row, by row",
     {.T = 6, .B = 1, .I = 3, .H = 17, .L = 1},
     {.x = GUARDED_BY_ROW, .y = GUARDED_BY_ROW},
     false},
    {"17 units", {.T = 7, .B = 5, .I = 4, .H = 17, .L = 1}, {0}, false},
    {"more input than units", {.T = 4, .B = 6, .I = 70, .H = 9, .L = 2}, {0}, false},
    {"100 units", {.T = 5, .B = 7, .I = 33, .H = 100, .L = 1}, {0}, false},
    {"a vector's width", {.T = 4, .B = 8, .I = 16, .H = 32, .L = 1}, {0}, false},
    {"many steps", {.T = 90, .B = 4, .I = 3, .H = 6, .L = 1}, {0}, false},
    {"many rows", {.T = 3, .B = 67, .I = 3, .H = 10, .L = 2}, {0}, false},
    {"681 units", {.T = 2, .B = 3, .I = 40, .H = 681, .L = 1}, {0}, false},
    {"single bias", {.T = 4, .B = 3, .I = 5, .H = 7, .L = 2, .bias = REFERENCE_BIAS_SINGLE}, {0}, false},
    {"no bias", {.T = 4, .B = 3, .I = 5, .H = 7, .L = 2, .bias = REFERENCE_BIAS_NONE}, {0}, false},
    {"two layers", {.T = 5, .B = 4, .I = 6, .H = 19, .L = 2}, {0}, false},
    {"three layers", {.T = 4, .B = 3, .I = 2, .H = 11, .L = 3}, {0}, false},
    {"lengths", {.T = 5, .B = 5, .I = 3, .H = 7, .L = 1, .lengths = mixed}, {0}, true},
    {"lengths, two layers", {.T = 40, .B = 7, .I = 5, .H = 13, .L = 2, .lengths = mixed_long}, {0}, false},
    {"lengths, by row",
     {.T = 5, .B = 5, .I = 3, .H = 7, .L = 2, .lengths = mixed},
     {.x = GUARDED_BY_ROW, .y = GUARDED_BY_ROW},
     false},
    {"nothing but empty rows", {.T = 3, .B = 2, .I = 3, .H = 4, .L = 2, .lengths = all_empty}, {0}, false},
    {"rows apart", {.T = 5, .B = 4, .I = 6, .H = 9, .L = 2}, {.x = GUARDED_APART, .y = GUARDED_APART}, false},
    {"x by row", {.T = 5, .B = 4, .I = 6, .H = 9, .L = 1}, {.x = GUARDED_BY_ROW}, false},
    {"y by row", {.T = 5, .B = 4, .I = 6, .H = 9, .L = 2}, {.y = GUARDED_BY_ROW}, false},
    {"by row, one step",
     {.T = 1, .B = 4, .I = 6, .H = 9, .L = 1},
     {.x = GUARDED_BY_ROW, .y = GUARDED_BY_ROW},
     false},
    {"no states",
     {.T = 4, .B = 3, .I = 5, .H = 6, .L = 2},
     {.without = NO_STATES | RNN_NO_DINITIAL | RNN_NO_FINAL},
     true},
    {"no initial states, their gradients yet",
     {.T = 4, .B = 3, .I = 5, .H = 6, .L = 1},
     {.without = NO_STATES},
     false},
    {"no dy", {.T = 4, .B = 3, .I = 5, .H = 6, .L = 2}, {.without = RNN_NO_DY}, false},
    {"no dy, lengths",
     {.T = 5, .B = 5, .I = 4, .H = 6, .L = 1, .lengths = mixed},
     {.without = RNN_NO_DY},
     false},
    {"no dx", {.T = 4, .B = 3, .I = 5, .H = 6, .L = 2}, {.without = RNN_NO_DX}, false},
    {"no parameter gradients", {.T = 4, .B = 3, .I = 5, .H = 6, .L = 2}, {.without = RNN_NO_DWEIGHTS}, false},
    {"no bias gradients", {.T = 4, .B = 3, .I = 5, .H = 6, .L = 2}, {.without = RNN_NO_DBIAS}, false},
    {"overwritten gradients", {.T = 4, .B = 3, .I = 5, .H = 18, .L = 2}, {.overwrite = true}, false},
    {"overwritten, long", {.T = 60, .B = 5, .I = 20, .H = 12, .L = 1}, {.overwrite = true}, false},
    {"overwritten, two blocks", {.T = 40, .B = 40, .I = 5, .H = 6, .L = 1}, {.overwrite = true}, false},
    {"numbers", {.T = 5, .B = 4, .I = 6, .H = 19, .L = 1}, {.one_hot = true}, true},
    {"numbers, one row", {.T = 5, .B = 1, .I = 6, .H = 19, .L = 1}, {.one_hot = true}, false},
    {"numbers, two layers, by row",
     {.T = 23, .B = 9, .I = 7, .H = 33, .L = 2},
     {.one_hot = true, .x = GUARDED_BY_ROW, .overwrite = true},
     false},
    {"numbers, lengths",
     {.T = 40, .B = 7, .I = 3, .H = 13, .L = 2, .lengths = mixed_long},
     {.one_hot = true},
     false},
    {"numbers, many kinds", {.T = 2, .B = 3, .I = 300, .H = 5, .L = 1}, {.one_hot = true}, false},
    {"final over initial",
     {.T = 4, .B = 3, .I = 5, .H = 6, .L = 2},
     {.without = RNN_ALIAS | RNN_NO_DX | RNN_NO_DINITIAL | RNN_NO_DWEIGHTS},
     false},
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

/* The problem for a cell, with zeros for what the device is not given. */
static rnn_case *case_of(const struct problem *p, int cell, uint64_t seed)
{
    reference_rnn net = p->net;
    net.cell = reference_cell_at(cell);
    rnn_case *c = rnn_case_create(&net, seed, 1e-5);
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

/* Twice the same bits, with other memory around; and the same output without keeping anything. */
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
    must(rnn_outputs_equal(&outputs[0], &outputs[2], true), label);
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
    const rnn_outputs twice = rnn_run_outputs(run);
    for (int i = RNN_DWEIGHTS; i < RNN_INPUTS; i++)
        for (size_t k = 0; twice.data[i] && k < twice.n[i]; k++)
            cr_assert(fabs(twice.data[i][k] - 2 * c->want[i][k]) <= 2.5 * c->bound[i][k],
                      "%s: after two passes %s[%zu] is %.9g, expected twice %.9g within %.3g", label,
                      rnn_output_name(i), k, (double)twice.data[i][k], c->want[i][k], 2.5 * c->bound[i][k]);
    rnn_outputs_free((rnn_outputs *)&twice);
    rnn_run_destroy(run);
}

/* One cell under one schedule: every `stride`-th problem, counted among the small ones where only those run. */
static void over_problems(clseq_context *ctx, const rnn_schedule *schedule, int cell, int stride,
                          check function)
{
    for (int i = 0, counted = 0; i < PROBLEMS; i++) {
        const struct problem *p = &problems[i];
        if ((test_small() && !p->small) || counted++ % stride != 0)
            continue;
        rnn_run_options options = p->options;
        char label[128];
        options.schedule = schedule->id;
        snprintf(label, sizeof label, "%s, %s, %s", schedule->name, clseq_cell_name((clseq_cell)cell),
                 p->title);
        rnn_case *c = case_of(p, cell, 100 + (uint64_t)i);
        function(ctx, c, &options, label);
        rnn_case_destroy(c);
    }
}

/* The first `cells` cells under the schedule `only`, or, when that is NULL, under all that the device has to run. */
static void over_table(const char *only, int cells, int stride, check function)
{
    clseq_context *ctx = test_context();
    for (int s = 0; s < rnn_schedule_count; s++) {
        const rnn_schedule *schedule = &rnn_schedules[s];
        if (!rnn_schedule_expected(ctx, schedule) || (only && strcmp(only, schedule->name) != 0))
            continue;
        for (int cell = 0; cell < cells; cell++)
            over_problems(ctx, schedule, cell, stride, function);
    }
    clseq_context_destroy(ctx);
}

Test(rnn, matches_the_reference)
{
    over_table(NULL, CLSEQ_CELL_COUNT, 1, against_reference);
}

/* The way that GPUs take. */
Test(rnn, matches_the_reference_with_clblast)
{
    setenv("CLSEQ_GEMM", "clblast", 1);
    over_table("gemm_step", CLSEQ_CELL_COUNT, test_small() ? PROBLEMS : 1, against_reference);
}

Test(rnn, gives_the_same_bits)
{
    over_table(NULL, CLSEQ_CELL_COUNT, 3, same_bits);
}

Test(rnn, accumulates_parameter_gradients)
{
    over_table(NULL, CLSEQ_CELL_COUNT, 3, accumulates);
}

/* A width that is not the device's own is slower, not different. LSTM and GRU, to spare compilations. */
static void with_vector_width(const char *width)
{
    if (test_small())
        cr_skip_test("only with the device's own width: others take slow devices minutes to compile");
    setenv("CLSEQ_VECTOR_WIDTH", width, 1);
    over_table(NULL, 2, 4, against_reference);
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
