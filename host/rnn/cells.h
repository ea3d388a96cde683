/* What schedules know about a cell: the rows of CLSEQ_CELL_LIST as data. */
#ifndef CLSEQ_RNN_CELLS_H
#define CLSEQ_RNN_CELLS_H

#include <clseq/cells.h>
#include <stddef.h>

#define CLSEQ__MAX_SLOTS 8

/*
 * Per unit a cell sees `slots` places. The product of the input goes to the `gates` slots from x_slot on, that
 * of the last output to the `gates` slots from h_slot on. Slot x_slot + k takes rows [x_gates[k]*H,
 * (x_gates[k]+1)*H) of weight_ih and b_ih, slot h_slot + k those of h_gates[k] of weight_hh and b_hh.
 */
typedef struct clseq__cell {
    const char *name; /* also of cl/rnn/cells/NAME.clh */
    int gates, states, slots;
    int x_slot;
    int x_gates[CLSEQ__MAX_SLOTS];
    int h_slot;
    int h_gates[CLSEQ__MAX_SLOTS];
    int carries_h; /* h' also depends on h directly, beside the recurrent product */
} clseq__cell;

/* The description of a cell, NULL for a value that is none. */
const clseq__cell *clseq__cell_find(clseq_cell cell);

/*
 * The build options of kernels that work on this cell, as cl/rnn/cell.clh wants them: CELL GATES STATES SLOTS
 * X_SLOT X_GATES H_SLOT H_GATES CARRIES_H.
 */
#define CLSEQ__CELL_OPTIONS 192
void clseq__cell_options(const clseq__cell *cell, char text[CLSEQ__CELL_OPTIONS]);

/* Slots [first, first + count) of a range whose rows in the weights follow one another from gate `gate` on. */
typedef struct clseq__cell_run {
    int first, gate, count;
} clseq__cell_run;

/*
 * Cuts slots [slot, slot + gates) with gates `map` into the fewest such runs and returns their number; the
 * GRU's input slots n r z become {n}, {r z}.
 */
int clseq__cell_runs(const clseq__cell *cell, int slot, const int *map,
                     clseq__cell_run runs[CLSEQ__MAX_SLOTS]);

#endif
