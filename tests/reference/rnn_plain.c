/* The plain recurrent cells (Elman 1990): h' = tanh or relu of (input + recurrent). */
#include "activation.h"
#include "cells.h"

static void forward_tanh(const double *input, const double *recurrent, const double *previous, double *next)
{
    (void)previous;
    next[0] = tanh(input[0] + recurrent[0]);
}

static void backward_tanh(const double *input, const double *recurrent, const double *previous,
                          const double *dnext, double *dinput, double *drecurrent, double *dprevious)
{
    (void)previous;
    dinput[0] = drecurrent[0] = dnext[0] * reference_dtanh(tanh(input[0] + recurrent[0]));
    dprevious[0] = 0;
}

static void forward_relu(const double *input, const double *recurrent, const double *previous, double *next)
{
    (void)previous;
    next[0] = reference_relu(input[0] + recurrent[0]);
}

static void backward_relu(const double *input, const double *recurrent, const double *previous,
                          const double *dnext, double *dinput, double *drecurrent, double *dprevious)
{
    (void)previous;
    dinput[0] = drecurrent[0] = dnext[0] * reference_drelu(reference_relu(input[0] + recurrent[0]));
    dprevious[0] = 0;
}

const reference_cell reference_rnn_tanh = {"rnn_tanh", 1, 1, forward_tanh, backward_tanh, false};
const reference_cell reference_rnn_relu = {"rnn_relu", 1, 1, forward_relu, backward_relu, true};
