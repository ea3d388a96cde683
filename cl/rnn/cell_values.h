/* What the options that wrap the maps of a cell are in a pass over a layer (cl/rnn/cell.clh). */
#ifndef RNN_CELL_VALUES_H
#define RNN_CELL_VALUES_H

#include "core/record.h"

/*
 * clip: the bound of c'. zoneout: of each state, the probability that a unit keeps it. Random numbers are those of (seed,
 * stream): four for each unit, row and step, of which number s is of state s, in blocks from `first` on, [step][rows][units].
 * training: units are drawn; else they take the expectation.
 *
 * Recurrent dropout: products read h times 0, with probability `dropout`, or times `scale`; only in training. Of unit u of
 * h in row b that is number 0 of block `masks` + b * outputs + u.
 */
#define CELL_VALUES(M)         \
    M(clseq_long, seed)        \
    M(clseq_long, stream)      \
    M(clseq_long, first)       \
    M(clseq_long, rows)        \
    M(clseq_long, units)       \
    M(clseq_long, masks)       \
    M(clseq_long, outputs)     \
    M(clseq_float, clip)       \
    M(clseq_float, zoneout[4]) \
    M(clseq_float, dropout)    \
    M(clseq_float, scale)      \
    M(clseq_int, training)
CLSEQ_RECORD(cell_values, CELL_VALUES);

#endif
