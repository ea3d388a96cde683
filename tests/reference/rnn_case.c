#include "rnn_case.h"

#include "../support/bounds.h"
#include "../support/numeric.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *memory(size_t n, size_t size)
{
    void *p = calloc(n, size);
    if (p == NULL)
        abort();
    return p;
}

/* ---- shapes and names ---- */

/* The elements that a [T,B,F] array with these strides spans. */
static size_t span(reference_strides s, const size_t dims[3])
{
    if (s.t == 0 && s.b == 0)
        return dims[0] * dims[1] * dims[2];
    return (dims[0] - 1) * (size_t)s.t + (dims[1] - 1) * (size_t)s.b + dims[2];
}

static void set_sequence(rnn_case *c, int index, const char *input, const char *output, int features,
                         reference_strides strides)
{
    const reference_rnn *net = &c->net;
    rnn_tensor tensor = {.ndim = 3, .dims = {(size_t)net->T, (size_t)net->B, (size_t)features}};
    snprintf(tensor.input, sizeof tensor.input, "%s", input);
    snprintf(tensor.output, sizeof tensor.output, "%s", output);
    c->n[index] = span(strides, tensor.dims);
    c->tensor[index] = tensor;
}

/* Whether all layers' states can stand in one [L*D,B,width] array. */
static bool same_widths(const reference_rnn *net, int state)
{
    for (int l = 1; l < net->L; l++)
        if (reference_rnn_state_width(net, state, l) != reference_rnn_state_width(net, state, 0))
            return false;
    return true;
}

static void set_state(rnn_case *c, int state)
{
    const reference_rnn *net = &c->net;
    const char *name = net->cell->state_names[state];
    const size_t n = reference_rnn_state_offset(net, state, net->L, 0);
    rnn_tensor initial = {.ndim = 1, .dims = {n}}, final;
    if (same_widths(net, state))
        initial = (rnn_tensor){.ndim = 3,
                               .dims = {(size_t)(net->L * reference_rnn_directions(net)), (size_t)net->B,
                                        (size_t)reference_rnn_state_width(net, state, 0)}};
    final = initial;
    snprintf(initial.input, sizeof initial.input, "%s0", name);
    snprintf(initial.output, sizeof initial.output, "d%s0", name);
    snprintf(final.input, sizeof final.input, "d%sn", name);
    snprintf(final.output, sizeof final.output, "%sn", name);
    c->tensor[RNN_INITIAL + state] = initial;
    c->tensor[RNN_DFINAL + state] = final;
    c->n[RNN_INITIAL + state] = c->n[RNN_DFINAL + state] = n;
}

static void set_weight(rnn_case *c, int i)
{
    const reference_weight w = reference_rnn_weight(&c->net, i);
    rnn_tensor tensor = {.ndim = w.ndim, .dims = {w.dims[0], w.dims[1]}};
    snprintf(tensor.input, sizeof tensor.input, "%s", w.name);
    snprintf(tensor.output, sizeof tensor.output, "d%s", w.name);
    c->weight[i] = w;
    c->tensor[RNN_WEIGHTS + i] = tensor;
    c->n[RNN_WEIGHTS + i] = w.n;
}

static void set_shapes(rnn_case *c)
{
    const reference_rnn *net = &c->net;
    set_sequence(c, RNN_X, "x", "dx", net->I, net->x);
    set_sequence(c, RNN_DY, "dy", "y", reference_rnn_outputs(net, net->L - 1), net->y);
    for (int s = 0; s < net->cell->states; s++)
        set_state(c, s);
    for (int i = 0; i < c->weights; i++)
        set_weight(c, i);
}

const char *rnn_input_name(const rnn_case *c, int index)
{
    return c->tensor[index].input;
}

const char *rnn_output_name(const rnn_case *c, int index)
{
    return c->tensor[index].output;
}

int rnn_case_weight(const rnn_case *c, reference_weight_kind kind, int layer, int direction)
{
    for (int i = 0; i < c->weights; i++)
        if (c->weight[i].kind == kind && c->weight[i].layer == layer && c->weight[i].direction == direction)
            return RNN_WEIGHTS + i;
    return -1;
}

/* ---- creation ---- */

static bool is_gain(reference_weight_kind kind)
{
    return kind == REFERENCE_GAIN_IH || kind == REFERENCE_GAIN_HH || kind == REFERENCE_GAIN_STATE;
}

static void fill_inputs(rnn_case *c, uint64_t seed)
{
    test_random random = test_random_seed(seed);
    for (int i = 0; i < RNN_WEIGHTS; i++)
        test_random_fill(&random, c->in[i], c->n[i], -1, 1);
    for (int i = 0; i < c->weights; i++) {
        const bool gain = is_gain(c->weight[i].kind);
        const double limit = gain ? 0.5 : 1 / sqrt(reference_rnn_hidden(&c->net, c->weight[i].layer));
        test_random_fill(&random, c->in[RNN_WEIGHTS + i], c->n[RNN_WEIGHTS + i], gain - limit, gain + limit);
    }
}

/* A copy of n ints; NULL of NULL. */
static const int *copy_of(const int *values, int n)
{
    int *copy = values != NULL ? memory((size_t)n, sizeof *copy) : NULL;
    if (copy != NULL)
        memcpy(copy, values, (size_t)n * sizeof *copy);
    return copy;
}

static double **arrays_create(const rnn_case *c)
{
    double **arrays = memory((size_t)c->count, sizeof *arrays);
    for (int i = 0; i < c->count; i++)
        arrays[i] = c->n[i] > 0 ? test_doubles(c->n[i]) : NULL;
    return arrays;
}

static void arrays_free(const rnn_case *c, double **arrays)
{
    for (int i = 0; i < c->count; i++)
        free(arrays[i]);
    free(arrays);
}

rnn_case *rnn_case_create(const reference_rnn *net, uint64_t seed, double margin)
{
    rnn_case *c = memory(1, sizeof *c);
    c->net = *net;
    c->net.lengths = copy_of(net->lengths, net->B);
    c->net.widths = copy_of(net->widths, net->L);
    c->weights = reference_rnn_weight_count(net);
    c->count = RNN_WEIGHTS + c->weights;
    c->weight = memory((size_t)c->weights, sizeof *c->weight);
    c->tensor = memory((size_t)c->count, sizeof *c->tensor);
    c->n = memory((size_t)c->count, sizeof *c->n);
    set_shapes(c);
    c->in = arrays_create(c);
    c->want = arrays_create(c);
    c->bound = arrays_create(c);
    for (uint64_t attempt = 0; attempt < 1000; attempt++) {
        fill_inputs(c, seed + (attempt << 32));
        if (!net->cell->has_kink && net->cell_clip == 0)
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
    if (c == NULL)
        return;
    arrays_free(c, c->in);
    arrays_free(c, c->want);
    arrays_free(c, c->bound);
    free((void *)c->net.lengths);
    free((void *)c->net.widths);
    free(c->weight);
    free(c->tensor);
    free(c->n);
    free(c);
}

/* ---- results ---- */

static void run_forward(rnn_case *c, const reference_rnn *net, double *const out[])
{
    reference_rnn_forward(net,
                          &(reference_rnn_forward_args){.weights = c->in + RNN_WEIGHTS,
                                                        .x = c->in[RNN_X],
                                                        .initial = c->in + RNN_INITIAL,
                                                        .y = out[RNN_Y],
                                                        .final = out + RNN_FINAL,
                                                        .margin = net->rounding == NULL ? &c->margin : NULL});
}

/* Forward and backward of `net` into zeroed arrays. */
static void run(rnn_case *c, const reference_rnn *net, double *const out[])
{
    run_forward(c, net, out);
    if (net->inference)
        return;
    reference_rnn_backward(net, &(reference_rnn_backward_args){.weights = c->in + RNN_WEIGHTS,
                                                               .x = c->in[RNN_X],
                                                               .initial = c->in + RNN_INITIAL,
                                                               .dy = c->in[RNN_DY],
                                                               .dfinal = c->in + RNN_DFINAL,
                                                               .dx = out[RNN_DX],
                                                               .dinitial = out + RNN_DINITIAL,
                                                               .dweights = out + RNN_DWEIGHTS});
}

static void clear(const rnn_case *c, double *const arrays[])
{
    for (int i = 0; i < c->count; i++)
        for (size_t k = 0; k < c->n[i]; k++)
            arrays[i][k] = 0;
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
    double **out = arrays_create(c);
    moved.rounding = &rounding;

    clear(c, c->bound);
    for (int r = 0; r < RNN_BOUND_RUNS; r++) {
        clear(c, out);
        run(c, &moved, out);
        for (int i = 0; i < c->count; i++)
            for (size_t k = 0; k < c->n[i]; k++)
                c->bound[i][k] = fmax(c->bound[i][k], fabs(out[i][k] - c->want[i][k]));
    }
    for (int i = 0; i < c->count; i++)
        bound_from_movement(c->bound[i], c->n[i]);
    arrays_free(c, out);
}

rnn_case *rnn_case_inference(const rnn_case *c)
{
    reference_rnn net = c->net;
    net.inference = true;
    rnn_case *other = rnn_case_create(&net, 0, 0);
    for (int i = 0; i < c->count; i++)
        if (c->n[i] > 0)
            memcpy(other->in[i], c->in[i], c->n[i] * sizeof *c->in[i]);
    rnn_case_run(other);
    rnn_case_bound(other);
    return other;
}
