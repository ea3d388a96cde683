/*
 * rnn.h - recurrent layers in double precision: obvious C, the yardstick for every kernel.
 *
 * Dimension letters: T time steps, B batch rows, I input features, H hidden units, G gates of the cell, L
 * layers. Gate orders and parameter layouts are PyTorch's: weight_ih [G*H, in], weight_hh [G*H, H], biases
 * [G*H]; layer 0 has in = I, every later layer has in = H and reads the outputs of the layer before it.
 *
 *     reference_rnn net = {.cell = reference_cell_find("lstm"), .T = T, .B = B, .I = I, .H = H, .L = 1,
 *                          .bias = REFERENCE_BIAS_DOUBLE, .lengths = lengths};
 *     reference_rnn_layer layer = {weight_ih, weight_hh, bias_ih, bias_hh};
 *     reference_rnn_forward(&net, &(reference_rnn_forward_args){.layers = &layer, .x = x, .y = y});
 *
 * Backward runs the forward pass again for what it needs, so there is nothing to keep between the two. The
 * functions abort when memory runs out; they are test code.
 */
#ifndef CLSEQ_TESTS_REFERENCE_RNN_H
#define CLSEQ_TESTS_REFERENCE_RNN_H

#include "rounding.h"

#include <stdbool.h>
#include <stddef.h>

enum { REFERENCE_MAX_STATES = 2, REFERENCE_MAX_GATES = 4 };

/*
 * A cell: what happens to one hidden unit of one batch row at one time step.
 *
 *   input[g]      x W + b_ih of gate g          recurrent[g]  h U + b_hh of gate g
 *   previous[s]   the unit's states before      next[s]       and after the step; state 0 is always h
 *
 * backward is given the gradient of every new state and writes those of both pre-activations and, in
 * dprevious, what reaches the previous states of this unit directly; what flows through h U is added by the
 * caller.
 */
typedef struct reference_cell {
    const char *name;
    int gates;
    int states;
    void (*forward)(const double *input, const double *recurrent, const double *previous, double *next);
    void (*backward)(const double *input, const double *recurrent, const double *previous,
                     const double *dnext, double *dinput, double *drecurrent, double *dprevious);
    bool has_kink; /* not differentiable where input + recurrent = 0, as with relu */
} reference_cell;

/* The reference of the library's cell of this name ("lstm", "gru", ...), or NULL. */
const reference_cell *reference_cell_find(const char *name);

/* The cell at this place of the library's list (a clseq_cell); NULL when index is past the end. */
const reference_cell *reference_cell_at(int index);

typedef enum reference_bias {
    REFERENCE_BIAS_DOUBLE, /* b_ih and b_hh */
    REFERENCE_BIAS_SINGLE, /* b_ih alone */
    REFERENCE_BIAS_NONE,
} reference_bias;

/* Strides of a sequence in elements; its features are dense. Both 0: dense [T,B,F]. */
typedef struct reference_strides {
    ptrdiff_t t, b;
} reference_strides;

typedef struct reference_rnn {
    const reference_cell *cell;
    int T, B, I, H, L;
    reference_bias bias;
    const int *lengths;           /* [B] real steps of each row, any order, 0 allowed; NULL: T everywhere */
    reference_strides x, y;       /* of x and dx, of y and dy */
    reference_rounding *rounding; /* NULL: exact */
} reference_rnn;

/* One layer's parameters, or their gradients. Biases that the bias mode does not have are never touched. */
typedef struct reference_rnn_layer {
    double *weight_ih; /* [G*H, I], later layers [G*H, H] */
    double *weight_hh; /* [G*H, H] */
    double *bias_ih;   /* [G*H] */
    double *bias_hh;   /* [G*H] */
} reference_rnn_layer;

typedef struct reference_rnn_forward_args {
    const reference_rnn_layer *layers;           /* [L] */
    const double *x;                             /* [T,B,I] */
    const double *initial[REFERENCE_MAX_STATES]; /* [L,B,H] each; NULL: zeros */
    double *y;                                   /* out [T,B,H], zeros past a row's end; NULL: not wanted */
    double *final[REFERENCE_MAX_STATES];         /* out [L,B,H] after the last real step; NULL: not wanted */
    double *margin; /* out: the smallest |input + recurrent| that was met, see below */
} reference_rnn_forward_args;

/*
 * Forward. `margin` (optional) tells how near a cell with a kink came to it: where it is smaller than the
 * errors that a test allows, that test's data is unsuitable.
 */
void reference_rnn_forward(const reference_rnn *net, const reference_rnn_forward_args *args);

typedef struct reference_rnn_backward_args {
    const reference_rnn_layer *layers;           /* [L] */
    const double *x;                             /* [T,B,I] */
    const double *initial[REFERENCE_MAX_STATES]; /* [L,B,H]; NULL: zeros */
    const double *dy; /* [T,B,H]; what lies past a row's end is not read; NULL: zeros */
    const double *dfinal[REFERENCE_MAX_STATES]; /* [L,B,H]; NULL: zeros */
    double *dx;                                 /* out (=) [T,B,I]; NULL: not wanted */
    double *dinitial[REFERENCE_MAX_STATES];     /* out (=) [L,B,H]; NULL: not wanted */
    const reference_rnn_layer *dlayers;         /* accumulated (+=) [L]; NULL, here or inside: not wanted */
} reference_rnn_backward_args;

void reference_rnn_backward(const reference_rnn *net, const reference_rnn_backward_args *args);

#endif
