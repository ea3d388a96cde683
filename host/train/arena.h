/*
 * Host memory that is handed out piece by piece and taken back all at once, or piece by piece for the next one of that
 * size. Its blocks are kept, so that asking for the same pieces again allocates nothing. A zeroed arena is empty.
 */
#ifndef CLSEQ_TRAIN_ARENA_H
#define CLSEQ_TRAIN_ARENA_H

#include <stddef.h>

/* Sizes of small pieces, multiples of 64 bytes, that are handed out again one by one. */
#define CLSEQ__ARENA_CLASSES 32

typedef struct clseq__arena_block clseq__arena_block;

typedef struct clseq__arena {
    clseq__arena_block *first;
    clseq__arena_block *current;       /* pieces come from here; NULL: nothing is handed out */
    size_t used;                       /* bytes of the current block */
    void *spare[CLSEQ__ARENA_CLASSES]; /* pieces that came back, each with a pointer to the next one in it */
} clseq__arena;

/* A piece that is aligned for everything, with undefined contents; NULL when there is no memory. */
void *clseq__arena_get(clseq__arena *arena, size_t bytes);

/* Takes one piece back, which has these bytes; a large one stays until the reset. */
void clseq__arena_put(clseq__arena *arena, void *piece, size_t bytes);

/* Takes all pieces back. Their memory stays readable until it is handed out again. */
void clseq__arena_reset(clseq__arena *arena);

/* Frees everything. */
void clseq__arena_release(clseq__arena *arena);

#endif
