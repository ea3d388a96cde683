#include "cells.h"

#include <string.h>

#define ROW(enumerator, name, ...) &reference_##name,
static const reference_cell *const cells[CLSEQ_CELL_COUNT] = {CLSEQ_CELL_LIST(ROW)};
#undef ROW

const reference_cell *reference_cell_at(int index)
{
    return index >= 0 && index < CLSEQ_CELL_COUNT ? cells[index] : NULL;
}

const reference_cell *reference_cell_find(const char *name)
{
    for (int i = 0; i < CLSEQ_CELL_COUNT; i++)
        if (strcmp(cells[i]->name, name) == 0)
            return cells[i];
    return NULL;
}
