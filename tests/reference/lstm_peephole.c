/*
 * LSTM with peepholes (Gers, Schraudolph, Schmidhuber 2002), gates i, f, g, o, states h, c, parameters of a unit
 * weight_ci, weight_cf, weight_co.
 *
 *   i, f = sigmoid(input + recurrent + weight_c. c)      g = tanh(input + recurrent)
 *   c' = f c + i g, clipped
 *   o = sigmoid(input + recurrent + weight_co c')        h' = o tanh(c')
 */
#include "activation.h"
#include "cells.h"

enum { I, F, G, O };    /* gates */
enum { H, C };          /* states */
enum { W_I, W_F, W_O }; /* parameters */

typedef struct gates {
    double i, f, g, o;
} gates;

/* The gates and c', before it is clipped. */
static gates gates_of(const reference_unit *u, double *unclipped)
{
    const double *w = u->parameter, c = u->previous[C];
    gates a;
    a.i = reference_sigmoid(u->input[I] + u->recurrent[I] + w[W_I] * c);
    a.f = reference_sigmoid(u->input[F] + u->recurrent[F] + w[W_F] * c);
    a.g = tanh(u->input[G] + u->recurrent[G]);
    *unclipped = a.f * c + a.i * a.g;
    a.o = reference_sigmoid(u->input[O] + u->recurrent[O] + w[W_O] * reference_clipped(*unclipped, u->clip));
    return a;
}

static void forward(reference_unit *u)
{
    const gates a = gates_of(u, &u->unclipped);
    u->next[C] = reference_clipped(u->unclipped, u->clip);
    u->next[H] = a.o * tanh(u->next[C]);
}

static void backward(const reference_unit *u, reference_unit *d)
{
    const double *w = u->parameter, c = u->previous[C], dh = d->next[H];
    double unclipped, slope[4];
    const gates a = gates_of(u, &unclipped);
    const double next_c = reference_clipped(unclipped, u->clip), tanh_c = tanh(next_c);

    slope[O] = dh * tanh_c * reference_dsigmoid(a.o);
    const double dc = (d->next[C] + dh * a.o * reference_dtanh(tanh_c) + slope[O] * w[W_O]) *
                      reference_dclipped(unclipped, u->clip);
    slope[I] = dc * a.g * reference_dsigmoid(a.i);
    slope[F] = dc * c * reference_dsigmoid(a.f);
    slope[G] = dc * a.i * reference_dtanh(a.g);
    for (int g = 0; g < 4; g++) {
        d->input[g] += slope[g];
        d->recurrent[g] += slope[g];
    }
    d->parameter[W_I] += slope[I] * c;
    d->parameter[W_F] += slope[F] * c;
    d->parameter[W_O] += slope[O] * next_c;
    d->previous[C] += dc * a.f + slope[I] * w[W_I] + slope[F] * w[W_F];
}

const reference_cell reference_lstm_peephole = {.name = "lstm_peephole",
                                                .gates = 4,
                                                .states = 2,
                                                .state_names = {"h", "c"},
                                                .parameter_names = {"weight_ci", "weight_cf", "weight_co"},
                                                .phases = {{forward, backward}},
                                                .clips = true};
