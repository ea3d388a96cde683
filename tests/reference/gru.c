/*
 * GRU with the reset after the recurrent product (PyTorch, cuDNN), gates r, z, n, state h.
 *
 *   r, z = sigmoid(input + recurrent)     n = tanh(input + r recurrent)     h' = (1 - z) n + z h
 */
#include "activation.h"
#include "cells.h"

enum { R, Z, N }; /* gates */

typedef struct gates {
    double r, z, n;
} gates;

static gates gates_of(const reference_unit *u)
{
    gates a;
    a.r = reference_sigmoid(u->input[R] + u->recurrent[R]);
    a.z = reference_sigmoid(u->input[Z] + u->recurrent[Z]);
    a.n = tanh(u->input[N] + a.r * u->recurrent[N]);
    return a;
}

static void forward(reference_unit *u)
{
    const gates a = gates_of(u);
    u->next[0] = (1 - a.z) * a.n + a.z * u->previous[0];
}

static void backward(const reference_unit *u, reference_unit *d)
{
    const gates a = gates_of(u);
    const double dh = d->next[0], dn = dh * (1 - a.z) * reference_dtanh(a.n);
    const double dz = dh * (u->previous[0] - a.n) * reference_dsigmoid(a.z);
    const double dr = dn * u->recurrent[N] * reference_dsigmoid(a.r);
    d->input[R] += dr;
    d->recurrent[R] += dr;
    d->input[Z] += dz;
    d->recurrent[Z] += dz;
    d->input[N] += dn;
    d->recurrent[N] += dn * a.r;
    d->previous[0] += dh * a.z;
}

const reference_cell reference_gru = {.name = "gru",
                                      .gates = 3,
                                      .states = 1,
                                      .state_names = {"h"},
                                      .phases = {{forward, backward}},
                                      .carries_h = true,
                                      .layer_norm = true};
