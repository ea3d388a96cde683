/*
 * cell.h - a recurrent cell: what happens to one hidden unit of one batch row at one time step.
 *
 * A cell has one or two phases; between them units see each other's results. Before the first phase a layer
 * has computed, for every gate g,
 *
 *   input[g] = x W + b_ih      recurrent[g] = h U + b_hh
 *
 * (with layer normalisation gain * norm(product) in place of the product). A gate with gate_phase 1 gets its
 * recurrent[g] = q U + b_hh only before the second phase, q being the `quantity` that the first phase left in
 * every unit. Also before the second phase, the state `normed_state` is normalised over the units into
 * `normed`; a net without layer normalisation copies it there.
 *
 * What the layer makes of `next` after the last phase (zoneout) is not the cell's affair.
 */
#ifndef CLSEQ_TESTS_REFERENCE_CELL_H
#define CLSEQ_TESTS_REFERENCE_CELL_H

#include <stdbool.h>

enum {
    REFERENCE_MAX_STATES = 4,
    REFERENCE_MAX_GATES = 4,
    REFERENCE_MAX_PARAMETERS = 4,
    REFERENCE_MAX_PHASES = 2
};

/* The numbers of a unit, or their gradients. */
typedef struct reference_unit {
    double input[REFERENCE_MAX_GATES], recurrent[REFERENCE_MAX_GATES];
    double previous[REFERENCE_MAX_STATES]; /* before the step; that of h is 0 where there is a projection */
    double parameter[REFERENCE_MAX_PARAMETERS];
    double quantity, normed;
    double clip;                       /* the bound of a c' of cells that clip; 0: none. Only of values */
    double unclipped;                  /* forward: that c' before */
    double next[REFERENCE_MAX_STATES]; /* after the step; state 0 is always h */
} reference_unit;

/*
 * forward writes `next` and `quantity`, as far as they belong to its phase. backward is given the values u and,
 * in d, the gradients of what forward wrote; it adds (+=) those of what forward read.
 */
typedef struct reference_phase {
    void (*forward)(reference_unit *u);
    void (*backward)(const reference_unit *u, reference_unit *d);
} reference_phase;

typedef struct reference_cell {
    const char *name;
    int gates, states;
    const char *state_names[REFERENCE_MAX_STATES];         /* "h" first */
    const char *parameter_names[REFERENCE_MAX_PARAMETERS]; /* of a unit; NULL ends the list */
    reference_phase phases[REFERENCE_MAX_PHASES];          /* one without forward ends the list */
    int gate_phase[REFERENCE_MAX_GATES];
    int normed_state; /* 0: none, as h is what the last phase computes */
    bool carries_h;   /* h' depends on the unit's own h, so that both must be of one width: no projection */
    bool layer_norm;  /* may be run with layer normalisation */
    bool clips;       /* clamps a new state to +-clip */
    bool has_kink;    /* not differentiable where input + recurrent = 0, as with relu */
} reference_cell;

/* The reference of the library's cell of this name ("lstm", "gru", ...), or NULL. */
const reference_cell *reference_cell_find(const char *name);

/* The cell at this place of the library's list (a clseq_cell), then those to come; NULL past the end. */
const reference_cell *reference_cell_at(int index);

#endif
