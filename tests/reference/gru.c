/*
 * GRU with the reset after the recurrent product (PyTorch, cuDNN), gates r, z, n, state h.
 *
 *   r, z = sigmoid(input + recurrent)     n = tanh(input + r recurrent)     h' = (1 - z) n + z h
 */
#include "activation.h"
#include "cells.h"

enum { R, Z, N }; /* gates */

static void gates_of(const double *input, const double *recurrent, double gate[3])
{
    gate[R] = reference_sigmoid(input[R] + recurrent[R]);
    gate[Z] = reference_sigmoid(input[Z] + recurrent[Z]);
    gate[N] = tanh(input[N] + gate[R] * recurrent[N]);
}

static void forward(const double *input, const double *recurrent, const double *previous, double *next)
{
    double gate[3];
    gates_of(input, recurrent, gate);
    next[0] = (1 - gate[Z]) * gate[N] + gate[Z] * previous[0];
}

static void backward(const double *input, const double *recurrent, const double *previous,
                     const double *dnext, double *dinput, double *drecurrent, double *dprevious)
{
    double gate[3];
    gates_of(input, recurrent, gate);
    dinput[N] = dnext[0] * (1 - gate[Z]) * reference_dtanh(gate[N]);
    dinput[Z] = dnext[0] * (previous[0] - gate[N]) * reference_dsigmoid(gate[Z]);
    dinput[R] = dinput[N] * recurrent[N] * reference_dsigmoid(gate[R]);
    drecurrent[N] = dinput[N] * gate[R];
    drecurrent[Z] = dinput[Z];
    drecurrent[R] = dinput[R];
    dprevious[0] = dnext[0] * gate[Z];
}

const reference_cell reference_gru = {"gru", 3, 1, forward, backward, false};
