#include "cells.h"

#include <stddef.h>
#include <string.h>

#define ROW(enumerator, name, ...) &reference_##name,
static const reference_cell *const cells[] = {CLSEQ_CELL_LIST(ROW)};
#undef ROW

enum { CELLS = sizeof cells / sizeof cells[0] };

const reference_cell *reference_cell_at(int index)
{
    return index >= 0 && index < CELLS ? cells[index] : NULL;
}

const reference_cell *reference_cell_find(const char *name)
{
    for (int i = 0; i < CELLS; i++)
        if (strcmp(cells[i]->name, name) == 0)
            return cells[i];
    return NULL;
}
