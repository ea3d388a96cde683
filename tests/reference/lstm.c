/*
 * LSTM (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000), gates i, f, g, o, states
 * h, c.
 *
 *   i, f, o = sigmoid(input + recurrent)     g = tanh(input + recurrent)
 *   c' = f c + i g                           h' = o tanh(c')
 */
#include "activation.h"
#include "cells.h"

enum { I, F, G, O }; /* gates */
enum { H, C };       /* states */

static void gates_of(const double *input, const double *recurrent, double gate[4])
{
    gate[I] = reference_sigmoid(input[I] + recurrent[I]);
    gate[F] = reference_sigmoid(input[F] + recurrent[F]);
    gate[G] = tanh(input[G] + recurrent[G]);
    gate[O] = reference_sigmoid(input[O] + recurrent[O]);
}

static void forward(const double *input, const double *recurrent, const double *previous, double *next)
{
    double gate[4];
    gates_of(input, recurrent, gate);
    next[C] = gate[F] * previous[C] + gate[I] * gate[G];
    next[H] = gate[O] * tanh(next[C]);
}

static void backward(const double *input, const double *recurrent, const double *previous,
                     const double *dnext, double *dinput, double *drecurrent, double *dprevious)
{
    double gate[4];
    gates_of(input, recurrent, gate);
    const double tanh_c = tanh(gate[F] * previous[C] + gate[I] * gate[G]);
    const double dc = dnext[C] + dnext[H] * gate[O] * reference_dtanh(tanh_c);

    dinput[I] = dc * gate[G] * reference_dsigmoid(gate[I]);
    dinput[F] = dc * previous[C] * reference_dsigmoid(gate[F]);
    dinput[G] = dc * gate[I] * reference_dtanh(gate[G]);
    dinput[O] = dnext[H] * tanh_c * reference_dsigmoid(gate[O]);
    for (int g = 0; g < 4; g++)
        drecurrent[g] = dinput[g];
    dprevious[H] = 0;
    dprevious[C] = dc * gate[F];
}

const reference_cell reference_lstm = {"lstm", 4, 2, forward, backward, false};
