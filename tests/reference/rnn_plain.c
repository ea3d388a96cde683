/* The plain recurrent cells (Elman 1990): h' = tanh or relu of (input + recurrent). */
#include "activation.h"
#include "cells.h"

static void forward_tanh(reference_unit *u)
{
    u->next[0] = tanh(u->input[0] + u->recurrent[0]);
}

static void backward_tanh(const reference_unit *u, reference_unit *d)
{
    const double slope = d->next[0] * reference_dtanh(tanh(u->input[0] + u->recurrent[0]));
    d->input[0] += slope;
    d->recurrent[0] += slope;
}

static void forward_relu(reference_unit *u)
{
    u->next[0] = reference_relu(u->input[0] + u->recurrent[0]);
}

static void backward_relu(const reference_unit *u, reference_unit *d)
{
    const double slope = d->next[0] * reference_drelu(reference_relu(u->input[0] + u->recurrent[0]));
    d->input[0] += slope;
    d->recurrent[0] += slope;
}

const reference_cell reference_rnn_tanh = {.name = "rnn_tanh",
                                           .gates = 1,
                                           .states = 1,
                                           .state_names = {"h"},
                                           .phases = {{forward_tanh, backward_tanh}}};
const reference_cell reference_rnn_relu = {.name = "rnn_relu",
                                           .gates = 1,
                                           .states = 1,
                                           .state_names = {"h"},
                                           .phases = {{forward_relu, backward_relu}},
                                           .has_kink = true};
