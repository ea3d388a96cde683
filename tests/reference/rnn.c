/* The stack: layers and directions, what they hand to each other, and the caller's arrays. */
#include "rnn.h"

#include "../support/numeric.h"
#include "rnn_layer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One layer in one direction, with what it computed. */
typedef struct run {
    reference_layer layer;
    reference_trace value;
    int l, d;
} run;

static void must(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "tests: reference_rnn: %s\n", what);
    abort();
}

static void check(const reference_rnn *net)
{
    must(net->P == 0 || !net->cell->carries_h, "a cell that carries h has no projection");
    must(!net->layer_norm || net->cell->layer_norm, "this cell has no layer normalisation");
    must(net->dropout >= 0 && net->dropout < 1, "no such probability");
    for (int l = 1; l < net->L; l++)
        must(!net->residual || reference_rnn_outputs(net, l) == reference_rnn_outputs(net, l - 1),
             "residual layers of different sizes");
    must(net->cell_clip == 0 || net->cell->clips, "this cell clips no state");
    must(net->zoneout[0] == 0 || net->P == 0, "zoneout of h is not for projections");
}

bool reference_rnn_draws(const reference_rnn *net)
{
    bool draws = net->dropout > 0 || net->recurrent_dropout > 0;
    for (int s = 0; s < REFERENCE_MAX_STATES; s++)
        draws = draws || net->zoneout[s] > 0;
    return draws;
}

static bool is_reverse(const reference_rnn *net, int direction)
{
    return net->direction == REFERENCE_REVERSE || direction == 1;
}

static int length_of(const reference_rnn *net, int b)
{
    return net->lengths != NULL ? net->lengths[b] : net->T;
}

/* The step of the sequence that a layer sees as its own step t. */
static int time_of(const run *r, int t, int b)
{
    return is_reverse(r->layer.net, r->d) ? length_of(r->layer.net, b) - 1 - t : t;
}

static size_t at(const reference_rnn *net, reference_strides strides, size_t features, int t, int b)
{
    if (strides.t == 0 && strides.b == 0)
        return ((size_t)t * (size_t)net->B + (size_t)b) * features;
    return (size_t)(t * strides.t + b * strides.b);
}

static const reference_strides dense = {0, 0};

/* ---- runs ---- */

/* All L*D runs; weights and dweights are the caller's lists, the latter may be NULL. */
static run *runs_create(const reference_rnn *net, double *const *weights, double *const *dweights)
{
    const int D = reference_rnn_directions(net), count = reference_rnn_weight_count(net);
    run *runs = calloc((size_t)(net->L * D), sizeof *runs);
    must(runs != NULL, "no memory");
    check(net);
    for (int i = 0; i < count; i++) {
        const reference_weight w = reference_rnn_weight(net, i);
        reference_layer *layer = &runs[w.layer * D + w.direction].layer;
        layer->w[w.kind] = weights[i];
        layer->dw[w.kind] = dweights != NULL ? dweights[i] : NULL;
    }
    for (int i = 0; i < net->L * D; i++) {
        run *r = &runs[i];
        r->l = i / D;
        r->d = i % D;
        r->layer.net = net;
        r->layer.number = r->l;
        r->layer.direction = r->d;
        r->layer.inputs = (size_t)reference_rnn_inputs(net, r->l);
        r->layer.H = (size_t)reference_rnn_hidden(net, r->l);
        r->layer.width = (size_t)reference_rnn_state_width(net, 0, r->l);
        r->value = reference_trace_create(&r->layer);
    }
    return runs;
}

static void runs_destroy(const reference_rnn *net, run *runs)
{
    for (int i = 0; i < net->L * reference_rnn_directions(net); i++) {
        reference_trace_destroy(&runs[i].value);
    }
    free(runs);
}

/* ---- states: step 0 or T of a trace, from and to the caller's arrays ---- */

static double *state_rows(const run *r, const reference_trace *a, int state, int step)
{
    const reference_rnn *net = r->layer.net;
    return a->states[state] + (size_t)(step * net->B * reference_rnn_state_width(net, state, r->l));
}

static size_t state_bytes(const run *r, int state)
{
    const reference_rnn *net = r->layer.net;
    return (size_t)(net->B * reference_rnn_state_width(net, state, r->l)) * sizeof(double);
}

static void states_load(const run *r, double *const *source, reference_trace *a, int step)
{
    const reference_rnn *net = r->layer.net;
    for (int s = 0; s < net->cell->states; s++)
        if (source != NULL && source[s] != NULL)
            memcpy(state_rows(r, a, s, step), source[s] + reference_rnn_state_offset(net, s, r->l, r->d),
                   state_bytes(r, s));
}

static void states_store(const run *r, const reference_trace *a, int step, double *const *target)
{
    const reference_rnn *net = r->layer.net;
    for (int s = 0; s < net->cell->states; s++)
        if (target != NULL && target[s] != NULL)
            memcpy(target[s] + reference_rnn_state_offset(net, s, r->l, r->d), state_rows(r, a, s, step),
                   state_bytes(r, s));
}

/* ---- sequences ---- */

/* The sum of what two directions give; what comes first is added to 0, which is exact. */
static double sum_of(const reference_rnn *net, double a, double b)
{
    return a == 0 ? b : reference_round(net->rounding, a + b, fabs(a + b));
}

/* Where a direction's features begin in the layer's output. */
static size_t half_of(const run *r)
{
    return r->layer.net->merge == REFERENCE_CONCAT ? (size_t)r->d * r->layer.width : 0;
}

/* The rows of x as the run sees them. */
static void input_load(const run *r, const double *x, reference_strides strides)
{
    const reference_rnn *net = r->layer.net;
    const size_t n = r->layer.inputs;
    for (int b = 0; b < net->B; b++)
        for (int t = 0; t < length_of(net, b); t++)
            memcpy(r->value.x + at(net, dense, n, t, b), x + at(net, strides, n, time_of(r, t, b), b),
                   n * sizeof *x);
}

/* Adds the gradient of the run's input to that of x, which directions share. */
static void input_add_gradient(const run *r, const reference_trace *gradient, double *dx)
{
    const reference_rnn *net = r->layer.net;
    const size_t n = r->layer.inputs;
    for (int b = 0; b < net->B; b++)
        for (int t = 0; t < length_of(net, b); t++)
            for (size_t i = 0; i < n; i++) {
                double *to = &dx[at(net, dense, n, time_of(r, t, b), b) + i];
                *to = sum_of(net, *to, gradient->x[at(net, dense, n, t, b) + i]);
            }
}

/* Puts, or where directions are summed adds, the run's h into the layer's output y. */
static void output_add(const run *r, double *y)
{
    const reference_rnn *net = r->layer.net;
    const size_t n = (size_t)reference_rnn_outputs(net, r->l), width = r->layer.width;
    for (int b = 0; b < net->B; b++)
        for (int t = 0; t < length_of(net, b); t++)
            for (size_t i = 0; i < width; i++) {
                double *to = &y[at(net, dense, n, time_of(r, t, b), b) + half_of(r) + i];
                *to = sum_of(net, *to, state_rows(r, &r->value, 0, t + 1)[(size_t)b * width + i]);
            }
}

/* The gradient of the run's h, [T,B,width] in its own order of steps, from that of the layer's output. */
static double *output_gradient(const run *r, const double *dy)
{
    const reference_rnn *net = r->layer.net;
    const size_t n = (size_t)reference_rnn_outputs(net, r->l), width = r->layer.width;
    double *dh = test_doubles((size_t)(net->T * net->B) * width);
    for (int b = 0; b < net->B; b++)
        for (int t = 0; t < length_of(net, b); t++)
            memcpy(dh + at(net, dense, width, t, b), dy + at(net, dense, n, time_of(r, t, b), b) + half_of(r),
                   width * sizeof *dh);
    return dh;
}

static double *sequence_create(const reference_rnn *net, int features)
{
    return test_doubles((size_t)(net->T * net->B) * (size_t)features);
}

/* A dense copy of the caller's array, with zeros past the ends of rows; zeros where there is none. */
static double *sequence_load(const reference_rnn *net, const double *from, int features,
                             reference_strides strides)
{
    const size_t n = (size_t)features;
    double *to = sequence_create(net, features);
    for (int b = 0; b < net->B && from != NULL; b++)
        for (int t = 0; t < length_of(net, b); t++)
            memcpy(to + at(net, dense, n, t, b), from + at(net, strides, n, t, b), n * sizeof *to);
    return to;
}

/* A dense sequence into the caller's array, which may have strides. */
static void sequence_store(const reference_rnn *net, const double *from, int features, double *to,
                           reference_strides strides)
{
    const size_t n = (size_t)features;
    for (int t = 0; t < net->T && to != NULL; t++)
        for (int b = 0; b < net->B; b++)
            memcpy(to + at(net, strides, n, t, b), from + at(net, dense, n, t, b), n * sizeof *to);
}

/* to += from, of layer l's output */
static void sequence_add(const reference_rnn *net, int l, const double *from, double *to)
{
    const int n = net->T * net->B * reference_rnn_outputs(net, l);
    for (int i = 0; i < n; i++)
        to[i] = sum_of(net, to[i], from[i]);
}

/* Dropout of what layer l hands to the next one, or of its gradient. */
static void sequence_drop(const reference_rnn *net, int l, double *rows)
{
    const int F = reference_rnn_outputs(net, l);
    for (int i = 0; net->dropout > 0 && !net->inference && i < net->T * net->B * F; i++) {
        const double dropped = rows[i] * reference_rnn_mask(net, l, i / F / net->B, i / F % net->B, i % F);
        rows[i] = reference_round(net->rounding, dropped, 3 * fabs(dropped));
    }
}

/* ---- passes ---- */

/* Runs all layers; returns the output of the last one, to be freed. */
static double *run_forward(const reference_rnn *net, run *runs, const double *x, double *const *initial,
                           double *margin)
{
    const int D = reference_rnn_directions(net);
    double *below = NULL;
    for (int l = 0; l < net->L; l++) {
        double *y = sequence_create(net, reference_rnn_outputs(net, l));
        for (int d = 0; d < D; d++) {
            run *r = &runs[l * D + d];
            input_load(r, l == 0 ? x : below, l == 0 ? net->x : dense);
            states_load(r, initial, &r->value, 0);
            reference_layer_forward(&r->layer, &r->value, margin);
            output_add(r, y);
        }
        if (net->residual && l > 0)
            sequence_add(net, l, below, y);
        if (l < net->L - 1)
            sequence_drop(net, l, y);
        free(below);
        below = y;
    }
    return below;
}

void reference_rnn_forward(const reference_rnn *net, const reference_rnn_forward_args *args)
{
    run *runs = runs_create(net, args->weights, NULL);
    if (args->margin != NULL)
        *args->margin = INFINITY;
    double *y = run_forward(net, runs, args->x, args->initial, args->margin);
    sequence_store(net, y, reference_rnn_outputs(net, net->L - 1), args->y, net->y);
    for (int i = 0; i < net->L * reference_rnn_directions(net); i++)
        states_store(&runs[i], &runs[i].value, net->T, args->final);
    free(y);
    runs_destroy(net, runs);
}

void reference_rnn_backward(const reference_rnn *net, const reference_rnn_backward_args *args)
{
    const int D = reference_rnn_directions(net);
    must(!net->inference, "inference has no backward pass");
    run *runs = runs_create(net, args->weights, args->dweights);
    free(run_forward(net, runs, args->x, args->initial, NULL));

    /* the gradient of what layer l puts out */
    double *above = sequence_load(net, args->dy, reference_rnn_outputs(net, net->L - 1), net->y);
    for (int l = net->L - 1; l >= 0; l--) {
        if (l < net->L - 1)
            sequence_drop(net, l, above);
        double *dx = sequence_create(net, reference_rnn_inputs(net, l));
        for (int d = 0; d < D; d++) {
            const run *r = &runs[l * D + d];
            reference_trace gradient = reference_trace_create(&r->layer);
            double *dh = output_gradient(r, above);
            states_load(r, args->dfinal, &gradient, net->T);
            reference_layer_backward(&r->layer, &r->value, dh, &gradient);
            states_store(r, &gradient, 0, args->dinitial);
            input_add_gradient(r, &gradient, dx);
            free(dh);
            reference_trace_destroy(&gradient);
        }
        if (net->residual && l > 0)
            sequence_add(net, l, above, dx);
        free(above);
        above = dx;
    }
    sequence_store(net, above, net->I, args->dx, net->x);
    free(above);
    runs_destroy(net, runs);
}
