/*
 * What schedules know about a cell, as data. A cell sees, for each unit, a few places:
 *
 *   slots       pre-activations, then activations, then gradients of the pre-activations
 *   states      h, and c where there is one, before and after the step
 *   quantities  values of a unit that a later product reads, as r*h of a GRU whose reset gate comes before it
 *   parameters  numbers of a unit that are no matrix: peepholes, gains
 *
 * A step is a list of phases; a phase ends where a unit needs other units' results:
 *
 *   1. a product, of h or of a quantity with blocks of rows of weight_hh, is added to some slots
 *   2. norms: the mean and variance of a row over slots; each adds gain * norm(source) to its target
 *   3. the map: cell_forward_K of cl/rnn/cells/NAME.clh, unit by unit
 *
 * The product of the layer's input with weight_ih goes into its slots before the first step, for many steps at once. All
 * slots start from their biases. Backward the phases run in reverse: map, norms, product.
 */
#ifndef CLSEQ_RNN_CELLS_H
#define CLSEQ_RNN_CELLS_H

#include <clseq/rnn.h>

enum {
    CLSEQ__MAX_GATES = 4,
    CLSEQ__MAX_SLOTS = 16,
    CLSEQ__MAX_STATES = 4,
    CLSEQ__MAX_PHASES = 3,
    CLSEQ__MAX_NORMS = 3,
    CLSEQ__MAX_PARTS = 12
};

/* What a product of a phase reads: h before the step (the first phase, and only that), a quantity k >= 0 that an earlier
 * phase has written, or nothing: the phase has no product. */
enum { CLSEQ__OPERAND_NONE = -2, CLSEQ__OPERAND_H = -1 };

/* Slots [slot, slot + count): slot + k takes gate gate[k], rows [gate[k]*H, (gate[k]+1)*H) of a weight. */
typedef struct clseq__slots {
    int slot, count;
    int gate[CLSEQ__MAX_GATES];
} clseq__slots;

/*
 * Values of a row, normalised: those of slots [source, source + count), all together. Value k times parameter gain + k is
 * added to slot target + k.
 */
typedef struct clseq__norm {
    int source, count, target, gain;
} clseq__norm;

typedef struct clseq__phase {
    int operand;
    clseq__slots product; /* gates of weight_hh; added to what the slots hold */
    int norm, norms;      /* the cell's norms [norm, norm + norms) stand before this phase's map */
} clseq__phase;

/* How a weight comes to its units. */
typedef enum clseq__part_role {
    CLSEQ__PART_INPUT = 0,      /* weight_ih, of the input's product */
    CLSEQ__PART_RECURRENT = 1,  /* weight_hh, of the phases' products */
    CLSEQ__PART_PROJECTION = 2, /* weight_hr */
    CLSEQ__PART_SLOTS = 3,      /* a bias: its gates are added to slots */
    CLSEQ__PART_PARAMETERS = 4  /* its gates are parameters of the units */
} clseq__part_role;

/* A weight of one layer and direction. */
typedef struct clseq__part {
    const char *name;
    clseq__part_role role;
    clseq_rnn_weight_kind kind;
    clseq__slots to; /* slots or parameters, for the last two */
} clseq__part;

typedef struct clseq__cell {
    clseq_cell id;
    bool layer_norm;  /* the row for descriptors with layer_norm */
    const char *name; /* of cl/rnn/cells/NAME.clh */
    int gates, slots, states, quantities, parameters, phases, norms;
    const char *state[CLSEQ__MAX_STATES]; /* names */
    int set_by[CLSEQ__MAX_STATES];        /* the phase whose map sets it */
    clseq__slots input;                   /* gates of weight_ih */
    clseq__slots bias_ih, bias_hh;        /* where the biases of the same rows are added */
    clseq__phase phase[CLSEQ__MAX_PHASES];
    clseq__norm norm[CLSEQ__MAX_NORMS];
    bool carries_h; /* a unit's h' also depends on its own h, beside the products */
    bool clips_c;   /* its maps make a c' that may be clipped */
    clseq__part
        own[CLSEQ__MAX_PARTS]; /* weights beside the matrices and their biases; the last has no name */
} clseq__cell;

/* The description of a cell; NULL for a value that is none, or that has no row with layer normalisation. */
const clseq__cell *clseq__cell_of(clseq_cell cell, bool layer_norm);

/* The weights of one layer and direction, in their order; returns their number. */
int clseq__cell_parts(const clseq__cell *cell, clseq_bias bias, bool is_projected,
                      clseq__part parts[CLSEQ__MAX_PARTS]);

/* Options that wrap a cell's maps (cl/rnn/cell.clh); 0: none. */
typedef struct clseq__cell_extras {
    float clip;                       /* the bound of c' */
    float zoneout[CLSEQ__MAX_STATES]; /* of each state the probability that a unit keeps it */
    float recurrent_dropout;          /* the probability that products read 0 in the place of a unit's h */
} clseq__cell_extras;

clseq__cell_extras clseq__cell_extras_of(const clseq_rnn_desc *desc);

/* The build options of kernels that include rnn/cell.clh, as that file lists them. */
#define CLSEQ__CELL_OPTIONS 768
void clseq__cell_options(const clseq__cell *cell, bool is_projected, const clseq__cell_extras *extras,
                         char text[CLSEQ__CELL_OPTIONS]);

/* Slots from `slot` on whose rows in the weights follow one another from gate `gate` on. */
typedef struct clseq__slot_run {
    int slot, gate, count;
} clseq__slot_run;

/* Cuts slots into the fewest such runs and returns their number; the GRU's input slots n r z become {n}, {r z}. */
int clseq__slot_runs(const clseq__slots *slots, clseq__slot_run runs[CLSEQ__MAX_GATES]);

#endif
