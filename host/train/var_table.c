#include "train/var_table.h"

#include "core/array.h"
#include "train/graph.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define PLACE_BITS 8
#define BLOCK_VARS ((size_t)1 << PLACE_BITS)

/* Process-wide, as variables of one context's graph must not be taken for those of another's. */
static _Atomic uint64_t last_number;

/* Numbers leave room for the place and are not 0, so that no handle is NULL. */
static uintptr_t new_number(void)
{
    uintptr_t number = 0;
    while (number == 0)
        number = (uintptr_t)(atomic_fetch_add(&last_number, 1) + 1) & (UINTPTR_MAX >> PLACE_BITS);
    return number;
}

/* Memory for one more block, unless it is there. */
static bool make_block(clseq__var_table *table)
{
    if (table->count < table->made)
        return true;
    clseq__var_block *blocks =
        clseq__array_room(table->blocks, sizeof *blocks, table->made, &table->capacity);
    if (!blocks)
        return false;
    table->blocks = blocks;
    clseq__var *vars = malloc(BLOCK_VARS * sizeof *vars);
    if (!vars)
        return false;
    table->blocks[table->made++].vars = vars;
    return true;
}

clseq__var *clseq__vars_add(clseq__var_table *table)
{
    if (table->count == 0 || table->used == BLOCK_VARS) {
        if (table->count > 0 && table->blocks[table->count - 1].live == 0)
            table->count--; /* the last one, which had to stay while it was */
        if (!make_block(table))
            return NULL;
        table->blocks[table->count].live = 0;
        table->blocks[table->count++].number = new_number();
        table->used = 0;
    }
    clseq__var_block *block = &table->blocks[table->count - 1];
    clseq__var *x = &block->vars[table->used];
    *x = (clseq__var){.handle = (clseq_var *)(block->number << PLACE_BITS | table->used)};
    block->live++;
    table->used++;
    return x;
}

/* The place of the block with this number, or `count`. Numbers go up but where they wrap around with 32-bit pointers, so
 * the way from the last one on is right, and short: handles are young. */
static size_t block_of(const clseq__var_table *table, const clseq_var *handle)
{
    const uintptr_t number = (uintptr_t)handle >> PLACE_BITS;
    for (size_t i = table->count; i-- > 0;)
        if (table->blocks[i].number == number)
            return i;
    return table->count;
}

clseq__var *clseq__vars_find(const clseq__var_table *table, const clseq_var *handle)
{
    const size_t place = (uintptr_t)handle & (BLOCK_VARS - 1), i = block_of(table, handle);
    if (i == table->count || (i + 1 == table->count && place >= table->used))
        return NULL;
    clseq__var *x = &table->blocks[i].vars[place];
    return x->handle == handle && !x->is_released ? x : NULL;
}

void clseq__vars_remove(clseq__var_table *table, const clseq_var *handle)
{
    const size_t place = (uintptr_t)handle & (BLOCK_VARS - 1), i = block_of(table, handle);
    clseq__var_block block = table->blocks[i];
    block.vars[place].handle = NULL;
    table->blocks[i].live = --block.live;
    if (block.live > 0 || i + 1 == table->count)
        return;
    table->count--;
    memmove(&table->blocks[i], &table->blocks[i + 1], (table->count - i) * sizeof block);
    table->blocks[table->count] = block;
}

void clseq__vars_reset(clseq__var_table *table)
{
    table->count = 0;
    table->used = 0;
}

void clseq__vars_release(clseq__var_table *table)
{
    for (size_t i = 0; i < table->made; i++)
        free(table->blocks[i].vars);
    free(table->blocks);
    *table = (clseq__var_table){0};
}
