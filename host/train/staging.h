/*
 * Host memory that values wait in until they have been copied to the device. Its chunks are used again as soon as their
 * copies have run and nobody holds them; a zeroed staging is empty.
 */
#ifndef CLSEQ_TRAIN_STAGING_H
#define CLSEQ_TRAIN_STAGING_H

#include <clseq/context.h>

typedef struct clseq__chunk clseq__chunk;

typedef struct clseq__staging {
    clseq__chunk *first;
    clseq__chunk *current; /* pieces come from here; NULL: from none yet */
} clseq__staging;

/* A piece of `bytes`, aligned for everything, of the chunk *chunk; NULL when there is no memory. */
void *clseq__staging_get(clseq__staging *staging, size_t bytes, clseq__chunk **chunk);

/* The event of the last copy out of the chunk, which stands for all before it (the queue is in-order). Takes it over. */
void clseq__staging_copied(clseq__chunk *chunk, cl_event copied);

/* The chunk stays as it is between the two. NULL is allowed. */
void clseq__staging_hold(clseq__chunk *chunk);
void clseq__staging_let_go(clseq__chunk *chunk);

/* A new graph begins, and nothing is held: waits for copies that the graph before the last one has asked for. */
clseq_status clseq__staging_begin(clseq__staging *staging);

/* Waits for all copies and frees everything. */
void clseq__staging_release(clseq__staging *staging);

#endif
