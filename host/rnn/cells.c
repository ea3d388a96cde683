/* The cell table: rows of CLSEQ_CELL_LIST with the gate digits as numbers. */
#include "rnn/cells.h"
#include <clseq/rnn.h>
#include <stdio.h>

/* Digit k of a map, 0 past its end. The last character of the literal is its closing 0. */
#define DIGIT(map, k) ((k) < sizeof(map) - 1 ? (map)[(k) < sizeof(map) ? (k) : 0] - '0' : 0)
#define DIGITS(map)                                                                               \
    {                                                                                             \
        DIGIT(map, 0), DIGIT(map, 1), DIGIT(map, 2), DIGIT(map, 3), DIGIT(map, 4), DIGIT(map, 5), \
            DIGIT(map, 6), DIGIT(map, 7)                                                          \
    }

static const clseq__cell cells[] = {
#define ROW(enumerator, name, gates, states, slots, x_slot, x_gates, h_slot, h_gates, carries_h) \
    {#name, gates, states, slots, x_slot, DIGITS(x_gates), h_slot, DIGITS(h_gates), carries_h},
    CLSEQ_CELL_LIST(ROW)
#undef ROW
};

#define FITS(enumerator, name, gates, states, slots, x_slot, x_gates, h_slot, h_gates, carries_h) \
    _Static_assert((slots) <= CLSEQ__MAX_SLOTS && (states) <= CLSEQ_RNN_MAX_STATES &&             \
                       (x_slot) + (gates) <= (slots) && (h_slot) + (gates) <= (slots) &&          \
                       sizeof(x_gates) == (gates) + 1 && sizeof(h_gates) == (gates) + 1,          \
                   "the row of " #name " contradicts itself");
CLSEQ_CELL_LIST(FITS)
#undef FITS

const clseq__cell *clseq__cell_find(clseq_cell cell)
{
    return (int)cell >= 0 && cell < CLSEQ_CELL_COUNT ? &cells[cell] : NULL;
}

int64_t clseq_cell_gates(clseq_cell cell)
{
    const clseq__cell *found = clseq__cell_find(cell);
    return found ? found->gates : 0;
}

int clseq_cell_states(clseq_cell cell)
{
    const clseq__cell *found = clseq__cell_find(cell);
    return found ? found->states : 0;
}

const char *clseq_cell_name(clseq_cell cell)
{
    const clseq__cell *found = clseq__cell_find(cell);
    return found ? found->name : "unknown";
}

static unsigned digits_of(const int *map, int count)
{
    unsigned digits = 0;
    for (int k = 0; k < count; k++)
        digits |= (unsigned)map[k] << (4 * k);
    return digits;
}

void clseq__cell_options(const clseq__cell *cell, char text[CLSEQ__CELL_OPTIONS])
{
    snprintf(
        text, CLSEQ__CELL_OPTIONS,
        "-DCELL=%s -DGATES=%d -DSTATES=%d -DSLOTS=%d -DX_SLOT=%d -DX_GATES=0x%x -DH_SLOT=%d -DH_GATES=0x%x "
        "-DCARRIES_H=%d",
        cell->name, cell->gates, cell->states, cell->slots, cell->x_slot,
        digits_of(cell->x_gates, cell->gates), cell->h_slot, digits_of(cell->h_gates, cell->gates),
        cell->carries_h);
}

int clseq__cell_runs(const clseq__cell *cell, int slot, const int *map,
                     clseq__cell_run runs[CLSEQ__MAX_SLOTS])
{
    int count = 0;
    for (int k = 0; k < cell->gates; k++) {
        if (count > 0 && runs[count - 1].gate + runs[count - 1].count == map[k])
            runs[count - 1].count++;
        else
            runs[count++] = (clseq__cell_run){.first = slot + k, .gate = map[k], .count = 1};
    }
    return count;
}
