#include "rnn_case.h"

#include "../support/bounds.h"
#include "../support/numeric.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* The elements that a [T,B,F] array with these strides spans. */
static size_t span(reference_strides s, int T, int B, int F)
{
    if (s.t == 0 && s.b == 0)
        return (size_t)T * (size_t)B * (size_t)F;
    return (size_t)((T - 1) * s.t + (B - 1) * s.b + F);
}

static void set_sizes(rnn_case *c)
{
    const reference_rnn *net = &c->net;
    const size_t rows = (size_t)net->cell->gates * (size_t)net->H;
    c->n[RNN_X] = span(net->x, net->T, net->B, net->I);
    c->n[RNN_DY] = span(net->y, net->T, net->B, net->H);
    for (int s = 0; s < net->cell->states; s++)
        c->n[RNN_INITIAL + s] = c->n[RNN_DFINAL + s] = (size_t)net->L * (size_t)net->B * (size_t)net->H;
    for (int l = 0; l < net->L; l++) {
        size_t *n = &c->n[RNN_WEIGHTS + 4 * l];
        n[0] = rows * (size_t)(l == 0 ? net->I : net->H);
        n[1] = rows * (size_t)net->H;
        n[2] = net->bias != REFERENCE_BIAS_NONE ? rows : 0;
        n[3] = net->bias == REFERENCE_BIAS_DOUBLE ? rows : 0;
    }
}

static void fill_inputs(rnn_case *c, uint64_t seed)
{
    test_random random = test_random_seed(seed);
    const double scale = 1 / sqrt(c->net.H);
    for (int i = 0; i < RNN_INPUTS; i++)
        if (c->n[i] > 0)
            test_random_fill(&random, c->in[i], c->n[i], i < RNN_WEIGHTS ? -1 : -scale,
                             i < RNN_WEIGHTS ? 1 : scale);
}

rnn_case *rnn_case_create(const reference_rnn *net, uint64_t seed, double margin)
{
    rnn_case *c = calloc(1, sizeof *c);
    if (c == NULL || net->L > RNN_CASE_LAYERS)
        abort();
    c->net = *net;
    set_sizes(c);
    for (int i = 0; i < RNN_INPUTS; i++)
        if (c->n[i] > 0) {
            c->in[i] = test_doubles(c->n[i]);
            c->want[i] = test_doubles(c->n[i]);
            c->bound[i] = test_doubles(c->n[i]);
        }
    for (uint64_t attempt = 0; attempt < 1000; attempt++) {
        fill_inputs(c, seed + (attempt << 32));
        if (!net->cell->has_kink)
            return c;
        rnn_case_run_forward(c);
        if (c->margin >= margin)
            return c;
    }
    fprintf(stderr, "tests: no %s data of T=%d B=%d H=%d stays %g away from kinks\n", net->cell->name, net->T,
            net->B, net->H, margin);
    abort();
}

void rnn_case_destroy(rnn_case *c)
{
    for (int i = 0; c != NULL && i < RNN_INPUTS; i++) {
        free(c->in[i]);
        free(c->want[i]);
        free(c->bound[i]);
    }
    free(c);
}

static void layers_of(double *const tensors[], reference_rnn_layer layers[RNN_CASE_LAYERS])
{
    for (int l = 0; l < RNN_CASE_LAYERS; l++) {
        double *const *t = tensors + RNN_WEIGHTS + 4 * l;
        layers[l] = (reference_rnn_layer){t[0], t[1], t[2], t[3]};
    }
}

static void run_forward(rnn_case *c, const reference_rnn *net, double *const out[])
{
    reference_rnn_layer layers[RNN_CASE_LAYERS];
    layers_of(c->in, layers);
    reference_rnn_forward(
        net, &(reference_rnn_forward_args){.layers = layers,
                                           .x = c->in[RNN_X],
                                           .initial = {c->in[RNN_INITIAL], c->in[RNN_INITIAL + 1]},
                                           .y = out[RNN_Y],
                                           .final = {out[RNN_FINAL], out[RNN_FINAL + 1]},
                                           .margin = net->rounding == NULL ? &c->margin : NULL});
}

/* Forward and backward of `net` into zeroed arrays. */
static void run(rnn_case *c, const reference_rnn *net, double *const out[])
{
    reference_rnn_layer layers[RNN_CASE_LAYERS], dlayers[RNN_CASE_LAYERS];
    layers_of(c->in, layers);
    layers_of(out, dlayers);
    run_forward(c, net, out);
    reference_rnn_backward(
        net, &(reference_rnn_backward_args){.layers = layers,
                                            .x = c->in[RNN_X],
                                            .initial = {c->in[RNN_INITIAL], c->in[RNN_INITIAL + 1]},
                                            .dy = c->in[RNN_DY],
                                            .dfinal = {c->in[RNN_DFINAL], c->in[RNN_DFINAL + 1]},
                                            .dx = out[RNN_DX],
                                            .dinitial = {out[RNN_DINITIAL], out[RNN_DINITIAL + 1]},
                                            .dlayers = dlayers});
}

static void clear(const rnn_case *c, double *const tensors[])
{
    for (int i = 0; i < RNN_INPUTS; i++)
        for (size_t k = 0; k < c->n[i]; k++)
            tensors[i][k] = 0;
}

void rnn_case_run(rnn_case *c)
{
    clear(c, c->want);
    run(c, &c->net, c->want);
}

void rnn_case_run_forward(rnn_case *c)
{
    run_forward(c, &c->net, c->want);
}

/* From the largest movement of each element to the bound of each element, see the head of rnn_case.h. */
static void bound_from_movement(double *bound, size_t n)
{
    double largest = 0;
    for (size_t k = 0; k < n; k++)
        largest = fmax(largest, bound[k]);
    for (size_t k = 0; k < n; k++)
        bound[k] = bound[k] > 0 ? RNN_BOUND_SAFETY * largest + TEST_TINY : 0;
}

void rnn_case_bound(rnn_case *c)
{
    reference_rounding rounding = {TEST_EPS, test_random_seed(0x5eed)};
    reference_rnn moved = c->net;
    double *out[RNN_INPUTS] = {NULL};
    moved.rounding = &rounding;
    for (int i = 0; i < RNN_INPUTS; i++)
        if (c->n[i] > 0)
            out[i] = test_doubles(c->n[i]);

    clear(c, c->bound);
    for (int r = 0; r < RNN_BOUND_RUNS; r++) {
        clear(c, out);
        run(c, &moved, out);
        for (int i = 0; i < RNN_INPUTS; i++)
            for (size_t k = 0; k < c->n[i]; k++)
                c->bound[i][k] = fmax(c->bound[i][k], fabs(out[i][k] - c->want[i][k]));
    }
    for (int i = 0; i < RNN_INPUTS; i++) {
        bound_from_movement(c->bound[i], c->n[i]);
        free(out[i]);
    }
}

#define LAYER_NAMES(d, l) d "weight_ih_l" #l, d "weight_hh_l" #l, d "bias_ih_l" #l, d "bias_hh_l" #l
#define ALL_LAYER_NAMES(d) LAYER_NAMES(d, 0), LAYER_NAMES(d, 1), LAYER_NAMES(d, 2), LAYER_NAMES(d, 3)

static const char *const input_names[RNN_INPUTS] = {"x", "h0", "c0", "dy", "dhn", "dcn", ALL_LAYER_NAMES("")};
static const char *const output_names[RNN_INPUTS] = {
    "dx", "dh0", "dc0", "y", "hn", "cn", ALL_LAYER_NAMES("d")};

const char *rnn_input_name(int index)
{
    return input_names[index];
}

const char *rnn_output_name(int index)
{
    return output_names[index];
}
