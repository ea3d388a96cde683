/*
 * LSTM (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000), gates i, f, g, o, states
 * h, c.
 *
 *   i, f, o = sigmoid(input + recurrent)     g = tanh(input + recurrent)
 *   c' = f c + i g, clipped                  h' = o tanh(c')
 *
 * With layer normalisation h' = o tanh(gain_c norm(c') + bias_c).
 */
#include "activation.h"
#include "cells.h"

enum { I, F, G, O }; /* gates */
enum { H, C };       /* states */

static double sigmoid_of(const reference_unit *u, int gate)
{
    return reference_sigmoid(u->input[gate] + u->recurrent[gate]);
}

static double tanh_of(const reference_unit *u, int gate)
{
    return tanh(u->input[gate] + u->recurrent[gate]);
}

static void add_to_gate(reference_unit *d, int gate, double gradient)
{
    d->input[gate] += gradient;
    d->recurrent[gate] += gradient;
}

static double new_c(const reference_unit *u)
{
    return sigmoid_of(u, F) * u->previous[C] + sigmoid_of(u, I) * tanh_of(u, G);
}

static void c_forward(reference_unit *u)
{
    u->unclipped = new_c(u);
    u->next[C] = reference_clipped(u->unclipped, u->clip);
}

static void c_backward(const reference_unit *u, reference_unit *d)
{
    const double i = sigmoid_of(u, I), f = sigmoid_of(u, F), g = tanh_of(u, G);
    const double dc = d->next[C] * reference_dclipped(new_c(u), u->clip);
    add_to_gate(d, I, dc * g * reference_dsigmoid(i));
    add_to_gate(d, F, dc * u->previous[C] * reference_dsigmoid(f));
    add_to_gate(d, G, dc * i * reference_dtanh(g));
    d->previous[C] += dc * f;
}

static void h_forward(reference_unit *u)
{
    u->next[H] = sigmoid_of(u, O) * tanh(u->normed);
}

static void h_backward(const reference_unit *u, reference_unit *d)
{
    const double o = sigmoid_of(u, O), tanh_c = tanh(u->normed), dh = d->next[H];
    add_to_gate(d, O, dh * tanh_c * reference_dsigmoid(o));
    d->normed += dh * o * reference_dtanh(tanh_c);
}

const reference_cell reference_lstm = {.name = "lstm",
                                       .gates = 4,
                                       .states = 2,
                                       .state_names = {"h", "c"},
                                       .phases = {{c_forward, c_backward}, {h_forward, h_backward}},
                                       .normed_state = C,
                                       .layer_norm = true,
                                       .clips = true};
