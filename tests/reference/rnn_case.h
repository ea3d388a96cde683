/*
 * rnn_case.h - a whole random problem for recurrent layers: inputs, expected outputs and error bounds.
 *
 *     rnn_case *c = rnn_case_create(&(reference_rnn){.cell = cell, .T = 5, .B = 3, .I = 7, .H = 17, .L = 2,
 *                                                    .direction = REFERENCE_BIDIRECTIONAL}, 1, 1e-5);
 *     rnn_case_run(c);
 *     rnn_case_bound(c);
 *     ... run the device on float copies of c->in[...], shaped as c->tensor[...] says ...
 *     for (int i = 0; i < c->count; i++)
 *         compare_floats_each(rnn_output_name(c, i), got[i], c->want[i], c->n[i], c->bound[i]);
 *
 * Inputs are exact floats. A state that the cell does not have is NULL with a size of 0; every other tensor up
 * to `count` is there. Arrays are laid out as reference/rnn.h says.
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

enum { RNN_BOUND_RUNS = 8, RNN_BOUND_SAFETY = 8 };

/* Places of inputs: RNN_INITIAL + s and RNN_DFINAL + s of state s, RNN_WEIGHTS + i of weight i of the net. */
enum {
    RNN_X,
    RNN_INITIAL,
    RNN_DY = RNN_INITIAL + REFERENCE_MAX_STATES,
    RNN_DFINAL,
    RNN_WEIGHTS = RNN_DFINAL + REFERENCE_MAX_STATES
};

/* Places of outputs, each that of the input whose shape it has: y in that of dy, gradients in that of their
 * inputs. */
enum {
    RNN_DX = RNN_X,
    RNN_DINITIAL = RNN_INITIAL,
    RNN_Y = RNN_DY,
    RNN_FINAL = RNN_DFINAL,
    RNN_DWEIGHTS = RNN_WEIGHTS
};

/* An input and the output in its place. */
typedef struct rnn_tensor {
    char input[48], output[48]; /* "dy" and "y", "weight_hh_l1_reverse" and "dweight_hh_l1_reverse" */
    int ndim;                   /* 0: not there */
    size_t dims[3];             /* states of layers with different widths have one dimension, see rnn.h */
} rnn_tensor;

typedef struct rnn_case {
    reference_rnn net;        /* with lengths and widths of the case's own */
    int count;                /* places: RNN_WEIGHTS + weights */
    int weights;              /* reference_rnn_weight_count(&net) */
    reference_weight *weight; /* [weights] which layer, direction and kind each is */
    rnn_tensor *tensor;       /* [count] */
    size_t *n;                /* [count] elements in memory: those of `dims`, of a sequence with its gaps */
    double **in;              /* [count] may be changed before rnn_case_run; NULL pointers to be left */
    double **want;            /* [count] outputs */
    double **bound; /* [count] of the outputs; the weights' gradients' are for accumulation onto zeros */
    double margin;  /* how near anything came to a kink */
} rnn_case;

/*
 * Inputs uniform in [-1,1), weights and biases in +-1/sqrt(hidden) as PyTorch begins, gains of layer normalisation
 * in 1 +- 0.5. For a cell with a kink, or a clipped state, other data is drawn until it stays `margin` away from it. What
 * net->lengths and net->widths point to is copied.
 */
rnn_case *rnn_case_create(const reference_rnn *net, uint64_t seed, double margin);
void rnn_case_destroy(rnn_case *c);

/* The same problem in inference: with y and the final states alone, and their bounds. */
rnn_case *rnn_case_inference(const rnn_case *c);

/* Computes `want` from `in`. Every gradient starts from zero; of inference there are none. */
void rnn_case_run(rnn_case *c);

/* Only y and the final states, for central differences. */
void rnn_case_run_forward(rnn_case *c);

/* Computes `bound`; needs `want`. */
void rnn_case_bound(rnn_case *c);

/* The place of the weight of this kind in this layer and direction; -1 when the net has none. */
int rnn_case_weight(const rnn_case *c, reference_weight_kind kind, int layer, int direction);

/* c->tensor[index].input and .output */
const char *rnn_input_name(const rnn_case *c, int index);
const char *rnn_output_name(const rnn_case *c, int index);

#endif
