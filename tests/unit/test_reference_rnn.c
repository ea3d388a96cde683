/*
 * Validates the references of recurrent layers by central differences. The loss is a random combination of
 * everything the layers put out, sum(dy y) + sum(dfinal final), so that swapped or cancelling errors show;
 * its numeric derivative is compared for every element of every input, initial state and parameter.
 */
#include "../reference/cells.h"
#include "../reference/rnn_case.h"
#include "../support/compare.h"
#include "../support/numeric.h"

#include <clseq/rnn.h>
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double loss_of(rnn_case *c)
{
    double sum = 0;
    rnn_case_run_forward(c);
    for (int i = RNN_Y; i < RNN_WEIGHTS; i++) /* y and the final states, against dy and dfinal */
        for (size_t k = 0; k < c->n[i]; k++)
            sum += c->in[i][k] * c->want[i][k];
    return sum;
}

/* The tensors whose gradients backward gives. */
static bool has_gradient(int i)
{
    return i < RNN_DY || i >= RNN_WEIGHTS;
}

/*
 * The derivative of the loss by *element, an eighth-order central difference. Layer normalisation divides by standard
 * deviations of down to sqrt(REFERENCE_NORM_EPS) = 0.003, one after another where it normalises products and states,
 * so that the loss may bend within 2e-5. Truncation: (STEP/2e-5)^8 = 1e-8 of what bends so, and of the rest nothing.
 * Rounding: 2^-53/STEP = 6e-11 of the loss. No kink is nearer than 2000 steps.
 */
#define STEP 2e-6

static double derivative_of_loss(rnn_case *c, double *element)
{
    static const double weights[] = {4.0 / 5, -1.0 / 5, 4.0 / 105, -1.0 / 280};
    const double start = *element;
    double sum = 0;
    for (int i = 0; i < 4; i++) {
        *element = start + (i + 1) * STEP;
        sum += weights[i] * loss_of(c);
        *element = start - (i + 1) * STEP;
        sum -= weights[i] * loss_of(c);
    }
    *element = start;
    return sum / STEP;
}

static void check_gradients(const reference_rnn *net, const char *title)
{
    rnn_case *c = rnn_case_create(net, 7, 2000 * STEP);
    rnn_case_run(c);
    for (int i = 0; i < c->count; i++)
        for (size_t k = 0; has_gradient(i) && k < c->n[i]; k++) {
            const double got = c->want[i][k], expected = derivative_of_loss(c, &c->in[i][k]);
            cr_assert(fabs(got - expected) <= TEST_DERIVATIVE_BOUND(expected),
                      "%s %s, bias mode %d: %s[%zu] is %.17g, numerically %.17g", net->cell->name, title,
                      (int)net->bias, rnn_output_name(c, i), k, got, expected);
        }
    rnn_case_destroy(c);
}

static const int mixed_lengths[] = {3, 0, 1, 2};
static const int widths[] = {3, 1, 2};

static const struct {
    const char *title;
    reference_rnn net;
} problems[] = {
    {"small odd sizes", {.T = 3, .B = 2, .I = 3, .H = 5, .L = 1}},
    {"one step", {.T = 1, .B = 2, .I = 3, .H = 5, .L = 1}},
    {"one of each", {.T = 1, .B = 1, .I = 1, .H = 1, .L = 1}},
    {"two layers", {.T = 3, .B = 2, .I = 3, .H = 4, .L = 2}},
    {"mixed lengths", {.T = 3, .B = 4, .I = 2, .H = 3, .L = 1, .lengths = mixed_lengths}},
    {"two layers, mixed lengths", {.T = 3, .B = 4, .I = 2, .H = 3, .L = 2, .lengths = mixed_lengths}},
    {"batch first with gaps", {.T = 3, .B = 2, .I = 3, .H = 2, .L = 1, .x = {4, 13}, .y = {3, 10}}},
    {"three layers of different widths",
     {.T = 3, .B = 4, .I = 2, .L = 3, .widths = widths, .lengths = mixed_lengths}},
};

enum { PROBLEMS = sizeof problems / sizeof problems[0] };

static const struct {
    const char *title;
    reference_direction direction;
    reference_merge merge;
} directions[] = {
    {"forward", REFERENCE_FORWARD, REFERENCE_CONCAT},
    {"reverse", REFERENCE_REVERSE, REFERENCE_CONCAT},
    {"both directions beside each other", REFERENCE_BIDIRECTIONAL, REFERENCE_CONCAT},
    {"the sum of both directions", REFERENCE_BIDIRECTIONAL, REFERENCE_SUM},
};

enum { DIRECTIONS = sizeof directions / sizeof directions[0] };

static void check_direction(reference_rnn net, int d, const char *title)
{
    char text[128];
    net.direction = directions[d].direction;
    net.merge = directions[d].merge;
    if (net.y.t != 0 && net.direction == REFERENCE_BIDIRECTIONAL)
        net.y = (reference_strides){2 * net.y.t, 2 * net.y.b};
    snprintf(text, sizeof text, "%s, %s%s%s%s", title, directions[d].title, net.P > 0 ? ", projected" : "",
             net.layer_norm ? ", layer norm" : "", reference_rnn_draws(&net) ? ", drawing" : "");
    check_gradients(&net, text);
}

/* Options that wrap the cell. */
static void wrap(reference_rnn *net)
{
    net->cell_clip = net->cell->clips ? 0.5 : 0;
    net->zoneout[0] = net->P == 0 ? 0.25 : 0;
    net->zoneout[1] = net->cell->states > 1 ? 0.375 : 0;
    net->recurrent_dropout = 0.375;
    net->seed = 5;
    net->stream = 6;
}

/* All problems in all directions; fewer biases change nothing in a direction of their own and run forward only. */
static void check_cell(const reference_cell *cell, int P, bool layer_norm, bool wrapped)
{
    if ((P > 0 && cell->carries_h) || (layer_norm && !cell->layer_norm))
        return;
    for (int i = 0; i < PROBLEMS; i++)
        for (int bias = REFERENCE_BIAS_DOUBLE; bias <= REFERENCE_BIAS_NONE; bias++)
            for (int d = 0; d < (bias == REFERENCE_BIAS_DOUBLE ? DIRECTIONS : 1); d++) {
                reference_rnn net = problems[i].net;
                net.cell = cell;
                net.bias = (reference_bias)bias;
                net.P = P;
                net.layer_norm = layer_norm;
                if (wrapped)
                    wrap(&net);
                check_direction(net, d, problems[i].title);
            }
}

static void check_cells(int P, bool layer_norm, bool wrapped)
{
    for (int cell = 0; reference_cell_at(cell) != NULL; cell++)
        check_cell(reference_cell_at(cell), P, layer_norm, wrapped);
}

Test(reference_rnn, gradients_equal_central_differences)
{
    check_cells(0, false, false);
}

Test(reference_rnn, gradients_with_a_projection_equal_central_differences)
{
    check_cells(2, false, false);
}

Test(reference_rnn, gradients_with_layer_normalisation_equal_central_differences)
{
    check_cells(0, true, false);
}

Test(reference_rnn, gradients_with_both_equal_central_differences)
{
    check_cells(2, true, false);
}

Test(reference_rnn, gradients_with_options_that_draw_equal_central_differences)
{
    check_cells(0, false, true);
}

Test(reference_rnn, gradients_with_all_options_equal_central_differences)
{
    check_cells(2, false, true);
    check_cells(0, true, true);
}

/* Dropout and residual connections, which no cell knows of; masks are the same in each evaluation. */
Test(reference_rnn, gradients_between_layers_equal_central_differences)
{
    for (int i = 0; i < PROBLEMS; i++)
        for (int d = 0; d < DIRECTIONS; d++)
            for (int option = 1; option < 8 && problems[i].net.L > 1; option++) {
                reference_rnn net = problems[i].net;
                net.cell = reference_cell_find(option % 2 ? "lstm" : "rnn_tanh");
                net.residual = net.widths == NULL && option & 1;
                net.dropout = option & 6 ? 0.375 : 0;
                net.variational = option & 4;
                net.seed = (uint64_t)option;
                check_direction(net, d, problems[i].title);
            }
}

/* The masks drop about as many as they should, and with one for all steps the same ones in each. */
Test(reference_rnn, masks_of_dropout)
{
    enum { STEPS = 40, ROWS = 5, FEATURES = 7, ALL = STEPS * ROWS * FEATURES };
    reference_rnn net = {.cell = reference_cell_find("gru"), .T = STEPS, .B = ROWS, .H = FEATURES, .L = 2};
    int kept = 0, steady = 0;
    net.dropout = 0.25;
    for (int i = 0; i < ALL; i++) {
        const int t = i / FEATURES / ROWS, b = i / FEATURES % ROWS, f = i % FEATURES;
        net.variational = false;
        const double mask = reference_rnn_mask(&net, 0, t, b, f);
        cr_assert(mask == 0 || mask == 1 / 0.75);
        kept += mask > 0;
        net.variational = true;
        steady += reference_rnn_mask(&net, 0, t, b, f) == reference_rnn_mask(&net, 0, 0, b, f);
    }
    cr_assert(fabs(kept - 0.75 * ALL) < 5 * sqrt(0.75 * 0.25 * ALL), "%d of %d are kept", kept, ALL);
    cr_assert_eq(steady, ALL);
}

Test(reference_rnn, the_table_agrees_with_the_library_list)
{
#define CHECK_ROW(enumerator, cell_name, ...)                                                                \
    do {                                                                                                     \
        const reference_cell *cell = reference_cell_find(#cell_name);                                        \
        cr_assert(cell != NULL && cell == reference_cell_at(CLSEQ_CELL_##enumerator), "%s has no reference", \
                  #cell_name);                                                                               \
        cr_assert(cell->gates == clseq_cell_gates(CLSEQ_CELL_##enumerator) &&                                \
                      cell->states == clseq_cell_states(CLSEQ_CELL_##enumerator),                            \
                  "%s: %d gates, %d states", #cell_name, cell->gates, cell->states);                         \
    } while (0);
    CLSEQ_CELL_LIST(CHECK_ROW)
#undef CHECK_ROW
    cr_assert(reference_cell_find("no such cell") == NULL);
}

/* Where rows end: outputs and their gradients are zero, an empty row's final states are its initial ones. */
Test(reference_rnn, steps_past_a_row_end_do_nothing)
{
    for (int cell = 0; reference_cell_at(cell) != NULL; cell++) {
        const reference_rnn net = {.cell = reference_cell_at(cell),
                                   .T = 3,
                                   .B = 4,
                                   .I = 2,
                                   .H = 3,
                                   .L = 1,
                                   .lengths = mixed_lengths};
        rnn_case *c = rnn_case_create(&net, 5, 0);
        for (size_t k = 0; k < c->n[RNN_Y]; k++)
            c->want[RNN_Y][k] = NAN;
        rnn_case_run_forward(c); /* must write all of y */
        for (int t = 0; t < net.T; t++)
            for (int b = 0; b < net.B; b++)
                for (int j = 0; j < net.H && t >= mixed_lengths[b]; j++)
                    cr_assert(c->want[RNN_Y][(t * net.B + b) * net.H + j] == 0, "y at t=%d b=%d", t, b);
        rnn_case_run(c);
        for (int t = 0; t < net.T; t++)
            for (int b = 0; b < net.B; b++)
                for (int i = 0; i < net.I && t >= mixed_lengths[b]; i++)
                    cr_assert(c->want[RNN_DX][(t * net.B + b) * net.I + i] == 0, "dx at t=%d b=%d", t, b);
        for (int s = 0; s < net.cell->states; s++)
            for (int j = 0; j < net.H; j++) /* row 1 is empty */
                cr_assert(c->want[RNN_FINAL + s][net.H + j] == c->in[RNN_INITIAL + s][net.H + j] &&
                          c->want[RNN_DINITIAL + s][net.H + j] == c->in[RNN_DFINAL + s][net.H + j]);
        rnn_case_destroy(c);
    }
}

/* Parameter gradients are added to what is there, those of inputs and states replace it. */
Test(reference_rnn, parameter_gradients_accumulate)
{
    for (int cell = 0; reference_cell_at(cell) != NULL; cell++) {
        const reference_rnn net = {.cell = reference_cell_at(cell), .T = 3, .B = 2, .I = 2, .H = 3, .L = 1};
        rnn_case *c = rnn_case_create(&net, 3, 0);
        rnn_case_run(c);
        double **sum = calloc((size_t)c->count, sizeof *sum);
        cr_assert(sum != NULL);
        for (int i = 0; i < c->count; i++) {
            sum[i] = test_doubles(c->n[i]);
            for (size_t k = 0; k < c->n[i]; k++)
                sum[i][k] = 10;
        }
        double *bias_hh = sum[RNN_WEIGHTS + 3];
        sum[RNN_WEIGHTS + 3] = NULL; /* not wanted */
        reference_rnn_backward(&net, &(reference_rnn_backward_args){.weights = c->in + RNN_WEIGHTS,
                                                                    .x = c->in[RNN_X],
                                                                    .initial = c->in + RNN_INITIAL,
                                                                    .dy = c->in[RNN_DY],
                                                                    .dfinal = c->in + RNN_DFINAL,
                                                                    .dx = sum[RNN_DX],
                                                                    .dweights = sum + RNN_WEIGHTS});
        sum[RNN_WEIGHTS + 3] = bias_hh;
        for (int i = RNN_WEIGHTS; i < c->count; i++)
            for (size_t k = 0; k < c->n[i]; k++)
                sum[i][k] -= i != RNN_WEIGHTS + 3 ? 10 : 0;
        for (size_t k = 0; k < c->n[RNN_WEIGHTS + 3]; k++)
            cr_assert(bias_hh[k] == 10);
        for (int i = RNN_X; i < c->count; i++)
            if (i == RNN_X || (i >= RNN_WEIGHTS && i != RNN_WEIGHTS + 3))
                cr_assert(compare_doubles(rnn_output_name(c, i), sum[i], c->want[i], c->n[i],
                                          i == RNN_X ? 0 : 1e-13),
                          "%s: %s", net.cell->name, compare_message());
        for (int i = 0; i < c->count; i++)
            free(sum[i]);
        free(sum);
        rnn_case_destroy(c);
    }
}
