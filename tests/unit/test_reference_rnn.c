/*
 * Validates the references of recurrent layers by central differences. The loss is a random combination of
 * everything the layers put out, sum(dy y) + sum(dfinal final), so that swapped or cancelling errors show;
 * its numeric derivative is compared for every element of every input, initial state and parameter.
 */
#include "../reference/cells.h"
#include "../reference/rnn_case.h"
#include "../support/compare.h"
#include "../support/numeric.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

static double loss_of(void *context)
{
    rnn_case *c = context;
    double sum = 0;
    rnn_case_run_forward(c);
    for (int i = RNN_Y; i < RNN_WEIGHTS;
         i++) /* y and the final states, against dy and dfinal in the same places */
        for (size_t k = 0; k < c->n[i]; k++)
            sum += c->in[i][k] * c->want[i][k];
    return sum;
}

/* The tensors whose gradients backward gives. */
static bool has_gradient(int i)
{
    return i < RNN_DY || i >= RNN_WEIGHTS;
}

static void check_gradients(const reference_rnn *net, const char *title)
{
    rnn_case *c = rnn_case_create(net, 7, 0.02);
    rnn_case_run(c);
    for (int i = 0; i < RNN_INPUTS; i++)
        for (size_t k = 0; has_gradient(i) && k < c->n[i]; k++) {
            const double got = c->want[i][k], expected = test_derivative(loss_of, c, &c->in[i][k]);
            cr_assert(fabs(got - expected) <= TEST_DERIVATIVE_BOUND(expected),
                      "%s %s, bias mode %d: %s[%zu] is %.17g, numerically %.17g", net->cell->name, title,
                      (int)net->bias, rnn_output_name(i), k, got, expected);
        }
    rnn_case_destroy(c);
}

static const int mixed_lengths[] = {3, 0, 1, 2};

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
};

enum { PROBLEMS = sizeof problems / sizeof problems[0] };

Test(reference_rnn, gradients_equal_central_differences)
{
    for (int cell = 0; reference_cell_at(cell) != NULL; cell++)
        for (int i = 0; i < PROBLEMS; i++)
            for (int bias = REFERENCE_BIAS_DOUBLE; bias <= REFERENCE_BIAS_NONE; bias++) {
                reference_rnn net = problems[i].net;
                net.cell = reference_cell_at(cell);
                net.bias = (reference_bias)bias;
                check_gradients(&net, problems[i].title);
            }
}

Test(reference_rnn, the_table_agrees_with_the_library_list)
{
#define CHECK_ROW(enumerator, cell_name, cell_gates, cell_states, ...)                                       \
    do {                                                                                                     \
        const reference_cell *cell = reference_cell_find(#cell_name);                                        \
        cr_assert(cell != NULL && cell == reference_cell_at(CLSEQ_CELL_##enumerator), "%s has no reference", \
                  #cell_name);                                                                               \
        cr_assert(cell->gates == cell_gates && cell->states == cell_states, "%s: %d gates, %d states",       \
                  #cell_name, cell->gates, cell->states);                                                    \
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
        double *sum[RNN_INPUTS];
        for (int i = 0; i < RNN_INPUTS; i++) {
            sum[i] = test_doubles(c->n[i]);
            for (size_t k = 0; k < c->n[i]; k++)
                sum[i][k] = 10;
        }
        const double **in = (const double **)c->in;
        const reference_rnn_layer p = {c->in[RNN_WEIGHTS], c->in[RNN_WEIGHTS + 1], c->in[RNN_WEIGHTS + 2],
                                       c->in[RNN_WEIGHTS + 3]};
        const reference_rnn_layer dp = {sum[RNN_WEIGHTS], sum[RNN_WEIGHTS + 1], sum[RNN_WEIGHTS + 2], NULL};
        reference_rnn_backward(
            &net, &(reference_rnn_backward_args){.layers = &p,
                                                 .x = in[RNN_X],
                                                 .initial = {in[RNN_INITIAL], in[RNN_INITIAL + 1]},
                                                 .dy = in[RNN_DY],
                                                 .dfinal = {in[RNN_DFINAL], in[RNN_DFINAL + 1]},
                                                 .dx = sum[RNN_DX],
                                                 .dlayers = &dp});
        for (int i = RNN_WEIGHTS; i < RNN_WEIGHTS + 3; i++)
            for (size_t k = 0; k < c->n[i]; k++)
                sum[i][k] -= 10;
        const int written[] = {RNN_DX, RNN_WEIGHTS, RNN_WEIGHTS + 1, RNN_WEIGHTS + 2};
        for (int w = 0; w < 4; w++)
            cr_assert(compare_doubles(rnn_output_name(written[w]), sum[written[w]], c->want[written[w]],
                                      c->n[written[w]], w == 0 ? 0 : 1e-13),
                      "%s: %s", net.cell->name, compare_message());
        for (int i = 0; i < RNN_INPUTS; i++)
            free(sum[i]);
        rnn_case_destroy(c);
    }
}
