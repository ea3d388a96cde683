/*
 * rnn.h - recurrent layers in double precision: obvious C, the yardstick for every kernel.
 *
 * Dimension letters: T time steps, B batch rows, I input features, H hidden units, P features of a projection,
 * G gates of the cell, S states of the cell, L layers, D directions (1 or 2). The width of h is P where there
 * is a projection and H where there is none; every other state has width H.
 *
 *     double *weights[] = {weight_ih, weight_hh, bias_ih, bias_hh}, *initial[] = {h0, c0};
 *     reference_rnn net = {.cell = reference_cell_find("lstm"), .T = T, .B = B, .I = I, .H = H, .L = 1,
 *                          .bias = REFERENCE_BIAS_DOUBLE, .lengths = lengths};
 *     reference_rnn_forward(&net, &(reference_rnn_forward_args){
 *         .weights = weights, .x = x, .initial = initial, .y = y});
 *
 * Weights are a flat list, layer by layer, in a layer the forward direction before the reverse one, and there
 * in the order of reference_weight_kind, as far as the net has them. reference_rnn_weight() tells name and
 * dimensions of each. Gate orders, layouts and names are PyTorch's.
 *
 * A state's array is [L*D,B,width], row l*D+d that of layer l and direction d; where layers have different
 * widths, the [B,width] blocks follow one another in the same order.
 *
 * The reverse direction begins at each row's own last step: it sees the steps len-1 .. 0, and its output of
 * step t stands in y at t. Its final state is that after step 0.
 *
 * Backward runs the forward pass again for what it needs, so there is nothing to keep between the two. The
 * functions abort when memory runs out or a net makes no sense; they are test code.
 */
#ifndef CLSEQ_TESTS_REFERENCE_RNN_H
#define CLSEQ_TESTS_REFERENCE_RNN_H

#include "cell.h"
#include "rounding.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum reference_bias {
    REFERENCE_BIAS_DOUBLE, /* b_ih and b_hh */
    REFERENCE_BIAS_SINGLE, /* b_ih alone */
    REFERENCE_BIAS_NONE,
} reference_bias;

typedef enum reference_direction {
    REFERENCE_FORWARD,
    REFERENCE_REVERSE,
    REFERENCE_BIDIRECTIONAL
} reference_direction;

/* What a bidirectional layer puts out. */
typedef enum reference_merge {
    REFERENCE_CONCAT, /* both directions beside each other, forward first: [T,B,2*width] */
    REFERENCE_SUM     /* [T,B,width] */
} reference_merge;

/* Strides of a sequence in elements; its features are dense. Both 0: dense [T,B,F]. */
typedef struct reference_strides {
    ptrdiff_t t, b;
} reference_strides;

typedef struct reference_rnn {
    const reference_cell *cell;
    int T, B, I, H, L;
    const int *widths; /* [L] hidden units of each layer; NULL: H everywhere */
    int P;             /* h' = W_hr (what the cell calls h'); 0: no projection. Not with cells that carry h */
    bool layer_norm;   /* only cells that have it */
    bool residual;    /* from the second layer on the output is h plus what the layer reads; of equal sizes */
    double dropout;   /* of what layers hand to the next one; 0: none */
    bool variational; /* one mask for all steps of a row */
    double cell_clip; /* of cells that clip; 0: none */
    double zoneout[REFERENCE_MAX_STATES]; /* of each state; of h not with a projection */
    double recurrent_dropout; /* of h before its products: one mask for all steps of a row; 0: none */
    bool inference;           /* zoneout is the probabilities' expectation, nothing is dropped; no backward */
    uint64_t seed, stream;    /* of what is drawn; see reference_rnn_mask */
    reference_direction direction;
    reference_merge merge;
    reference_bias bias;
    const int *lengths;           /* [B] real steps of each row, any order, 0 allowed; NULL: T everywhere */
    reference_strides x, y;       /* of x and dx, of y and dy */
    reference_rounding *rounding; /* NULL: exact */
} reference_rnn;

/* Layer normalisation (Ba, Kiros, Hinton 2016): (v - mean) / sqrt(var + eps), var with 1/n. */
#define REFERENCE_NORM_EPS 1e-5

/* ---- sizes ---- */

int reference_rnn_directions(const reference_rnn *net);         /* D */
int reference_rnn_hidden(const reference_rnn *net, int layer);  /* hidden units of this layer */
int reference_rnn_inputs(const reference_rnn *net, int layer);  /* features that this layer reads */
int reference_rnn_outputs(const reference_rnn *net, int layer); /* features of its output, both directions */

/* Features of a state in this layer. */
int reference_rnn_state_width(const reference_rnn *net, int state, int layer);

/* Where the block of this layer and direction begins in a state's array; of (L, 0): the size of the array. */
size_t reference_rnn_state_offset(const reference_rnn *net, int state, int layer, int direction);

/* ---- weights ---- */

typedef enum reference_weight_kind {
    REFERENCE_WEIGHT_IH, /* weight_ih [G*H, inputs] */
    REFERENCE_WEIGHT_HH, /* weight_hh [G*H, width of h] */
    REFERENCE_BIAS_IH,   /* bias_ih [G*H] */
    REFERENCE_BIAS_HH,   /* bias_hh [G*H] */
    REFERENCE_WEIGHT_HR, /* weight_hr [P, H] */
    REFERENCE_PARAMETER, /* the cell's parameters of a unit [H] each, of its own names */
    REFERENCE_GAIN_IH = REFERENCE_PARAMETER + REFERENCE_MAX_PARAMETERS, /* gain_ih [G*H] */
    REFERENCE_GAIN_HH,                                                  /* gain_hh [G*H] */
    REFERENCE_GAIN_STATE, /* gain_c [H], of the state that the cell normalises */
    REFERENCE_BIAS_STATE, /* bias_c [H] */
    REFERENCE_WEIGHT_KINDS
} reference_weight_kind;

typedef struct reference_weight {
    reference_weight_kind kind;
    int layer, direction;
    char name[40]; /* "weight_ih_l0", "gain_c_l1_reverse" */
    int ndim;
    size_t dims[2], n;
} reference_weight;

int reference_rnn_weight_count(const reference_rnn *net);
reference_weight reference_rnn_weight(const reference_rnn *net, int index);

/* ---- dropout ---- */

/*
 * What dropout multiplies feature f of what a layer hands to the next one by, at step t of row b: 0 or 1/(1-dropout). It is
 * kept where Philox number (layer << 34) + (t*B + b)*features + f of (seed, stream) is at least `dropout`; with `variational`
 * t counts as 0.
 */
double reference_rnn_mask(const reference_rnn *net, int layer, int t, int b, int f);

/* ---- passes ---- */

typedef struct reference_rnn_forward_args {
    double *const *weights; /* [reference_rnn_weight_count] */
    const double *x;        /* [T,B,I] */
    double *const *initial; /* [S]; NULL, here or inside: zeros */
    double *y;              /* out [T,B,outputs], zeros past a row's end; NULL: not wanted */
    double *const *final;   /* out [S] after the last real step; NULL, here or inside: not wanted */
    double *margin;         /* out: the nearest that anything came to a kink, see below */
} reference_rnn_forward_args;

/* Whether a pass of training draws random numbers. */
bool reference_rnn_draws(const reference_rnn *net);

/*
 * Forward. `margin` (optional) tells how near a cell with a kink came to it, or a clipped state to its bound: where it is
 * smaller than the errors that a test allows, that test's data is unsuitable.
 */
void reference_rnn_forward(const reference_rnn *net, const reference_rnn_forward_args *args);

typedef struct reference_rnn_backward_args {
    double *const *weights;  /* [reference_rnn_weight_count] */
    const double *x;         /* [T,B,I] */
    double *const *initial;  /* [S]; NULL, here or inside: zeros */
    const double *dy;        /* [T,B,outputs]; what lies past a row's end is not read; NULL: zeros */
    double *const *dfinal;   /* [S]; NULL, here or inside: zeros */
    double *dx;              /* out (=) [T,B,I]; NULL: not wanted */
    double *const *dinitial; /* out (=) [S]; NULL, here or inside: not wanted */
    double *const *dweights; /* accumulated (+=); NULL, here or inside: not wanted */
} reference_rnn_backward_args;

void reference_rnn_backward(const reference_rnn *net, const reference_rnn_backward_args *args);

#endif
