/*
 * A graph's variables by handle. A handle (clseq_var *) points to nothing: it is the number of a block, which no other
 * block of the process ever had, and a place in that block. The blocks' memory is used again under new numbers, by the
 * next graph, or as soon as all variables of a block are gone; so a handle of a graph that has ended, of another one, or
 * of a variable that is gone, is never found.
 */
#ifndef CLSEQ_TRAIN_VAR_TABLE_H
#define CLSEQ_TRAIN_VAR_TABLE_H

#include <clseq/graph.h>

typedef struct clseq__var clseq__var;

typedef struct clseq__var_block {
    uintptr_t number;
    size_t live;      /* variables that are not gone */
    clseq__var *vars; /* [CLSEQ__BLOCK_VARS] */
} clseq__var_block;

/* A zeroed table is empty. */
typedef struct clseq__var_table {
    clseq__var_block *blocks; /* those in use by number, then those that only have memory */
    size_t capacity;          /* blocks that there is an entry for */
    size_t made;              /* blocks that have memory */
    size_t count;             /* blocks in use */
    size_t used;              /* places of the last one that were given out */
} clseq__var_table;

/* A zeroed variable with its handle; NULL when there is no memory. Its address stays until it is removed. */
clseq__var *clseq__vars_add(clseq__var_table *table);

/* The variable of a handle; NULL when it is none of the table's, or was released. */
clseq__var *clseq__vars_find(const clseq__var_table *table, const clseq_var *handle);

/* The variable that was given this handle is gone. */
void clseq__vars_remove(clseq__var_table *table, const clseq_var *handle);

/* The variables are gone, their memory stays. */
void clseq__vars_reset(clseq__var_table *table);

/* Frees everything. */
void clseq__vars_release(clseq__var_table *table);

#endif
