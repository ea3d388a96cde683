/*
 * cells.h - the table of reference cells, derived from the library's list: row i is the cell of enumerator i.
 * A new cell is one file here that defines reference_NAME; without it the tests do not link.
 */
#ifndef CLSEQ_TESTS_REFERENCE_CELLS_H
#define CLSEQ_TESTS_REFERENCE_CELLS_H

#include "cell.h"

#include <clseq/cells.h>

#define REFERENCE_CELL_DECLARE(enumerator, name, ...) extern const reference_cell reference_##name;
CLSEQ_CELL_LIST(REFERENCE_CELL_DECLARE)
#undef REFERENCE_CELL_DECLARE

#endif
