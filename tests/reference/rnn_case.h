/*
 * rnn_case.h - a whole random problem for recurrent layers: inputs, expected outputs and error bounds.
 *
 *     rnn_case *c = rnn_case_create(&(reference_rnn){.cell = cell, .T = 5, .B = 3, .I = 7, .H = 17, .L = 2},
 * 1, 1e-5); rnn_case_run(c); rnn_case_bound(c);
 *     ... run the device on float copies of c->in[...] ...
 *     for (int i = 0; i < RNN_INPUTS; i++)
 *         compare_floats_each(rnn_output_name(i), got[i], c->want[i], c->n[i], c->bound[i]);
 *
 * Inputs are exact floats. A tensor that the problem does not have (c of a cell without one, biases that the
 * bias mode lacks, layers past L) is NULL with a size of 0. Arrays are laid out as reference/rnn.h says.
 *
 * Where the bounds come from. Float errors of a recurrent layer pass through every later step, grow or fade
 * with the weights, and have no useful closed bound: the worst case multiplies by |U| at every step and soon
 * allows anything. Instead the double-precision reference is run again with every intermediate result moved
 * at random by the size of its float rounding error (u = 2^-24): a sum of products by u sum|a b|, which is
 * the size of the error of adding k products one after another and more than that of any better order, and a
 * state or a gradient that comes out of a cell's formulas by 2 u of its operands. Derivative factors such as
 * 1 - s^2 have errors of u times what they multiply, not of u times themselves, and are moved by that. The
 * largest movement in a tensor over RNN_BOUND_RUNS runs is what rounding does to this very problem; the bound
 * is RNN_BOUND_SAFETY times that for every element of the tensor, room for exp and tanh of a few ulp. An
 * element that never moves (a step past a row's end, the state of an empty row) has the bound 0: it must be
 * exact. Typical bounds are 1e-6 of the largest element, so that one wrong sign in one gate of one step
 * fails.
 */
#ifndef CLSEQ_TESTS_REFERENCE_RNN_CASE_H
#define CLSEQ_TESTS_REFERENCE_RNN_CASE_H

#include "rnn.h"

#include <stdint.h>

enum { RNN_CASE_LAYERS = 4, RNN_BOUND_RUNS = 8, RNN_BOUND_SAFETY = 8 };

/* Inputs. RNN_WEIGHTS + 4*l + 0..3 are weight_ih, weight_hh, bias_ih and bias_hh of layer l. */
enum {
    RNN_X,
    RNN_INITIAL,
    RNN_DY = RNN_INITIAL + REFERENCE_MAX_STATES,
    RNN_DFINAL,
    RNN_WEIGHTS = RNN_DFINAL + REFERENCE_MAX_STATES,
    RNN_INPUTS = RNN_WEIGHTS + 4 * RNN_CASE_LAYERS
};

/* Outputs, each in the place of the input whose shape it has: y in that of dy, gradients in that of their
 * inputs. */
enum {
    RNN_DX = RNN_X,
    RNN_DINITIAL = RNN_INITIAL,
    RNN_Y = RNN_DY,
    RNN_FINAL = RNN_DFINAL,
    RNN_DWEIGHTS = RNN_WEIGHTS
};

typedef struct rnn_case {
    reference_rnn net;
    size_t n[RNN_INPUTS];      /* elements of input i, and of the output in its place */
    double *in[RNN_INPUTS];    /* may be changed before rnn_case_run; NULL pointers to be left */
    double *want[RNN_INPUTS];  /* outputs */
    double *bound[RNN_INPUTS]; /* of the outputs; the parameter gradients' are for accumulation onto zeros */
    double margin;             /* how near a cell with a kink came to it */
} rnn_case;

/*
 * Inputs uniform in [-1,1), weights and biases in +-1/sqrt(H) as PyTorch begins. For a cell with a kink other
 * data is drawn until it stays `margin` away from it. net->lengths must live as long as the case.
 */
rnn_case *rnn_case_create(const reference_rnn *net, uint64_t seed, double margin);
void rnn_case_destroy(rnn_case *c);

/* Computes `want` from `in`. Every gradient starts from zero. */
void rnn_case_run(rnn_case *c);

/* Only y and the final states, for central differences. */
void rnn_case_run_forward(rnn_case *c);

/* Computes `bound`; needs `want`. */
void rnn_case_bound(rnn_case *c);

/* "dy", "weight_hh_l1" and "y", "dweight_hh_l1". Static strings. */
const char *rnn_input_name(int index);
const char *rnn_output_name(int index);

#endif
