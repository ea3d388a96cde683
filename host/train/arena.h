/*
 * Host memory that is handed out piece by piece and taken back all at once. Its chunks are kept, so that asking for
 * the same pieces again allocates nothing. A zeroed arena is empty.
 */
#ifndef CLSEQ_TRAIN_ARENA_H
#define CLSEQ_TRAIN_ARENA_H

#include <stddef.h>

typedef struct clseq__chunk clseq__chunk;

typedef struct clseq__arena {
    clseq__chunk *first;
    clseq__chunk *current; /* pieces come from here; NULL: nothing is handed out */
    size_t used;           /* bytes of the current chunk */
} clseq__arena;

/* A piece that is aligned for everything, with undefined contents; NULL when there is no memory. */
void *clseq__arena_get(clseq__arena *arena, size_t bytes);

/* Takes all pieces back. Their memory stays readable until it is handed out again. */
void clseq__arena_reset(clseq__arena *arena);

/* Frees everything. */
void clseq__arena_release(clseq__arena *arena);

#endif
