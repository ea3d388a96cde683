/*
 * GRU with the reset before the recurrent product (Cho et al. 2014; oneDNN's vanilla_gru, Keras with
 * reset_after=False, ONNX with linear_before_reset=0), gates r, z, n, state h.
 *
 *   r, z = sigmoid(input + recurrent)     n = tanh(input + (r h) U + b_hh)     h' = (1 - z) n + z h
 */
#include "activation.h"
#include "cells.h"

enum { R, Z, N }; /* gates */

static double sigmoid_of(const reference_unit *u, int gate)
{
    return reference_sigmoid(u->input[gate] + u->recurrent[gate]);
}

static void reset_forward(reference_unit *u)
{
    u->quantity = sigmoid_of(u, R) * u->previous[0];
}

static void reset_backward(const reference_unit *u, reference_unit *d)
{
    const double r = sigmoid_of(u, R), dr = d->quantity * u->previous[0] * reference_dsigmoid(r);
    d->input[R] += dr;
    d->recurrent[R] += dr;
    d->previous[0] += d->quantity * r;
}

static void h_forward(reference_unit *u)
{
    const double z = sigmoid_of(u, Z), n = tanh(u->input[N] + u->recurrent[N]);
    u->next[0] = (1 - z) * n + z * u->previous[0];
}

static void h_backward(const reference_unit *u, reference_unit *d)
{
    const double z = sigmoid_of(u, Z), n = tanh(u->input[N] + u->recurrent[N]), dh = d->next[0];
    const double dz = dh * (u->previous[0] - n) * reference_dsigmoid(z);
    const double dn = dh * (1 - z) * reference_dtanh(n);
    d->input[Z] += dz;
    d->recurrent[Z] += dz;
    d->input[N] += dn;
    d->recurrent[N] += dn;
    d->previous[0] += dh * z;
}

const reference_cell reference_gru_reset_before = {
    .name = "gru_reset_before",
    .gates = 3,
    .states = 1,
    .state_names = {"h"},
    .phases = {{reset_forward, reset_backward}, {h_forward, h_backward}},
    .gate_phase = {[N] = 1},
    .carries_h = true};
