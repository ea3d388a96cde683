/*
 * Validates the references of recurrent layers by central differences. The loss is a random combination of
 * everything the layers put out, sum(dy y) + sum(dfinal final), so that swapped or cancelling errors show;
 * its numeric derivative is compared for every element of every input, initial state and parameter.
 */
#include "../reference/cells.h"

#include "../support/numeric.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Inputs of a problem and the gradients that backward gives for them, one tensor each. */
enum {
    X,
    INITIAL,
    LAYERS = INITIAL + REFERENCE_MAX_STATES,
    MAX_LAYERS = 2,
    TENSORS = LAYERS + 4 * MAX_LAYERS
};

typedef struct problem {
    reference_rnn net;
    const char *title;
    double *value[TENSORS], *gradient[TENSORS]; /* NULL where the problem has no such tensor */
    size_t n[TENSORS];
    double *dy, *y, *dfinal[REFERENCE_MAX_STATES], *final[REFERENCE_MAX_STATES];
    size_t y_n, state_n;
} problem;

static void add_tensor(problem *p, test_random *random, int which, size_t n)
{
    p->n[which] = n;
    p->value[which] = test_doubles(n);
    p->gradient[which] = test_doubles(n);
    test_random_fill(random, p->value[which], n, -0.9, 0.9);
}

/* The elements that a strided [T,B,F] array spans. */
static size_t span(reference_strides s, int T, int B, int F)
{
    if (s.t == 0 && s.b == 0)
        return (size_t)T * (size_t)B * (size_t)F;
    return (size_t)((T - 1) * s.t + (B - 1) * s.b + F);
}

static problem problem_create(const reference_rnn *net, const char *title, uint64_t seed)
{
    problem p = {.net = *net, .title = title};
    test_random random = test_random_seed(seed);
    const size_t rows = (size_t)net->cell->gates * (size_t)net->H;
    p.y_n = span(net->y, net->T, net->B, net->H);
    p.state_n = (size_t)net->L * (size_t)net->B * (size_t)net->H;
    add_tensor(&p, &random, X, span(net->x, net->T, net->B, net->I));
    for (int s = 0; s < net->cell->states; s++) {
        add_tensor(&p, &random, INITIAL + s, p.state_n);
        p.final[s] = test_doubles(p.state_n);
        p.dfinal[s] = test_doubles(p.state_n);
        test_random_fill(&random, p.dfinal[s], p.state_n, -1, 1);
    }
    for (int l = 0; l < net->L; l++) {
        add_tensor(&p, &random, LAYERS + 4 * l, rows * (size_t)(l == 0 ? net->I : net->H));
        add_tensor(&p, &random, LAYERS + 4 * l + 1, rows * (size_t)net->H);
        if (net->bias != REFERENCE_BIAS_NONE)
            add_tensor(&p, &random, LAYERS + 4 * l + 2, rows);
        if (net->bias == REFERENCE_BIAS_DOUBLE)
            add_tensor(&p, &random, LAYERS + 4 * l + 3, rows);
    }
    p.y = test_doubles(p.y_n);
    p.dy = test_doubles(p.y_n);
    test_random_fill(&random, p.dy, p.y_n, -1, 1);
    return p;
}

static void problem_destroy(problem *p)
{
    for (int i = 0; i < TENSORS; i++) {
        free(p->value[i]);
        free(p->gradient[i]);
    }
    for (int s = 0; s < REFERENCE_MAX_STATES; s++) {
        free(p->final[s]);
        free(p->dfinal[s]);
    }
    free(p->y);
    free(p->dy);
}

static void layers_of(double *const tensors[], reference_rnn_layer layers[MAX_LAYERS])
{
    for (int l = 0; l < MAX_LAYERS; l++) {
        double *const *t = tensors + LAYERS + 4 * l;
        layers[l] = (reference_rnn_layer){t[0], t[1], t[2], t[3]};
    }
}

static void forward(problem *p, double *margin)
{
    reference_rnn_layer layers[MAX_LAYERS];
    layers_of(p->value, layers);
    reference_rnn_forward(&p->net,
                          &(reference_rnn_forward_args){.layers = layers,
                                                        .x = p->value[X],
                                                        .initial = {p->value[INITIAL], p->value[INITIAL + 1]},
                                                        .y = p->y,
                                                        .final = {p->final[0], p->final[1]},
                                                        .margin = margin});
}

static void backward(problem *p)
{
    reference_rnn_layer layers[MAX_LAYERS], dlayers[MAX_LAYERS];
    layers_of(p->value, layers);
    layers_of(p->gradient, dlayers);
    reference_rnn_backward(
        &p->net, &(reference_rnn_backward_args){.layers = layers,
                                                .x = p->value[X],
                                                .initial = {p->value[INITIAL], p->value[INITIAL + 1]},
                                                .dy = p->dy,
                                                .dfinal = {p->dfinal[0], p->dfinal[1]},
                                                .dx = p->gradient[X],
                                                .dinitial = {p->gradient[INITIAL], p->gradient[INITIAL + 1]},
                                                .dlayers = dlayers});
}

static double loss(problem *p)
{
    double sum = 0;
    forward(p, NULL);
    for (size_t i = 0; i < p->y_n; i++)
        sum += p->dy[i] * p->y[i];
    for (int s = 0; s < p->net.cell->states; s++)
        for (size_t i = 0; i < p->state_n; i++)
            sum += p->dfinal[s][i] * p->final[s][i];
    return sum;
}

/*
 * Fourth-order central difference: with step h = 1e-3 its truncation error is h^4 f'''''/30, some 1e-13 times
 * the fifth derivative, and its rounding error 2^-53 |loss| / h, some 1e-12. The bound of 1e-8 leaves room
 * for fifth derivatives of 10^4 and still fails on any missing or wrong term of that size.
 */
static double numeric_derivative(problem *p, double *element)
{
    const double h = 1e-3, at = *element;
    double f[4];
    const double offset[4] = {-2 * h, -h, h, 2 * h};
    for (int i = 0; i < 4; i++) {
        *element = at + offset[i];
        f[i] = loss(p);
    }
    *element = at;
    return (f[0] - 8 * f[1] + 8 * f[2] - f[3]) / (12 * h);
}

static void check_gradients(const reference_rnn *net, const char *title)
{
    problem p = problem_create(net, title, 7);
    double margin = 0;
    for (uint64_t seed = 8; net->cell->has_kink && (forward(&p, &margin), margin < 0.02) && seed < 4000;
         seed++) {
        problem_destroy(&p); /* too near a kink for the steps of the differences: other data */
        p = problem_create(net, title, seed);
    }
    cr_assert(!net->cell->has_kink || margin >= 0.02, "%s %s: no data away from kinks", net->cell->name,
              title);
    backward(&p);
    for (int i = 0; i < TENSORS; i++)
        for (size_t k = 0; k < p.n[i]; k++) {
            const double expected = numeric_derivative(&p, &p.value[i][k]), got = p.gradient[i][k];
            const double bound = 1e-8 * (1 + fabs(expected));
            cr_assert(fabs(got - expected) <= bound,
                      "%s %s: gradient of tensor %d element %zu: %.17g, numeric %.17g", net->cell->name,
                      title, i, k, got, expected);
        }
    problem_destroy(&p);
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
    for (int c = 0; reference_cell_at(c) != NULL; c++)
        for (int i = 0; i < PROBLEMS; i++)
            for (int bias = REFERENCE_BIAS_DOUBLE; bias <= REFERENCE_BIAS_NONE; bias++) {
                reference_rnn net = problems[i].net;
                net.cell = reference_cell_at(c);
                net.bias = (reference_bias)bias;
                check_gradients(&net, problems[i].title);
            }
}

Test(reference_rnn, the_table_agrees_with_the_library_list)
{
#define CHECK_ROW(enumerator, cell_name, cell_gates, cell_states, ...)                                  \
    do {                                                                                                \
        const reference_cell *cell = reference_cell_find(#cell_name);                                   \
        cr_assert(cell != NULL && cell == reference_cell_at(CLSEQ_##enumerator), "%s has no reference", \
                  #cell_name);                                                                          \
        cr_assert(cell->gates == cell_gates && cell->states == cell_states, "%s: %d gates, %d states",  \
                  #cell_name, cell->gates, cell->states);                                               \
    } while (0);
    CLSEQ_CELL_LIST(CHECK_ROW)
#undef CHECK_ROW
    cr_assert(reference_cell_find("no such cell") == NULL);
}

/* Two calls add the same gradients twice; unwanted outputs change nothing else. */
Test(reference_rnn, parameter_gradients_accumulate)
{
    for (int c = 0; reference_cell_at(c) != NULL; c++) {
        const reference_rnn net = {.cell = reference_cell_at(c), .T = 3, .B = 2, .I = 2, .H = 3, .L = 2};
        problem p = problem_create(&net, "accumulation", 3);
        double *once[TENSORS];
        backward(&p);
        for (int i = 0; i < TENSORS; i++) {
            once[i] = test_doubles(p.n[i]);
            if (p.n[i] > 0)
                memcpy(once[i], p.gradient[i], p.n[i] * sizeof **once);
        }
        backward(&p);
        for (int i = 0; i < TENSORS; i++)
            for (size_t k = 0; k < p.n[i]; k++) {
                const double expected = (i < LAYERS ? 1 : 2) * once[i][k];
                cr_assert(fabs(p.gradient[i][k] - expected) <= 1e-12,
                          "%s tensor %d element %zu: %.17g, expected %.17g", net.cell->name, i, k,
                          p.gradient[i][k], expected);
            }
        for (int i = 0; i < TENSORS; i++)
            free(once[i]);
        problem_destroy(&p);
    }
}
