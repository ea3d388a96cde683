#include "train/arena.h"

#include <stdint.h>
#include <stdlib.h>

#define ALIGN 64
#define CHUNK_MIN (64 * 1024)

/* The data follows at the next multiple of ALIGN. */
struct clseq__chunk {
    clseq__chunk *next;
    size_t size; /* of the data */
};

static unsigned char *data_of(clseq__chunk *chunk)
{
    uintptr_t end = (uintptr_t)(chunk + 1);
    return (unsigned char *)(chunk + 1) + (ALIGN - end % ALIGN) % ALIGN;
}

/* A new chunk behind the current one. */
static clseq__chunk *add_chunk(clseq__arena *arena, size_t bytes)
{
    clseq__chunk **place = arena->current ? &arena->current->next : &arena->first;
    size_t size = bytes > CHUNK_MIN ? bytes : CHUNK_MIN;
    clseq__chunk *chunk = size < SIZE_MAX / 2 ? malloc(sizeof *chunk + ALIGN + size) : NULL;
    if (!chunk)
        return NULL;
    chunk->size = size;
    chunk->next = *place;
    *place = chunk;
    return chunk;
}

void *clseq__arena_get(clseq__arena *arena, size_t bytes)
{
    clseq__chunk *chunk = arena->current;
    bytes = bytes > SIZE_MAX / 2 ? bytes : (bytes + ALIGN - 1) / ALIGN * ALIGN;
    if (!chunk || bytes > chunk->size - arena->used) {
        chunk = chunk ? chunk->next : arena->first;
        while (chunk && chunk->size < bytes)
            chunk = chunk->next;
        if (!chunk)
            chunk = add_chunk(arena, bytes);
        if (!chunk)
            return NULL;
        arena->current = chunk;
        arena->used = 0;
    }
    arena->used += bytes;
    return data_of(chunk) + arena->used - bytes;
}

void clseq__arena_reset(clseq__arena *arena)
{
    arena->current = NULL;
    arena->used = 0;
}

void clseq__arena_release(clseq__arena *arena)
{
    clseq__chunk *next = NULL;
    for (clseq__chunk *chunk = arena->first; chunk; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
    *arena = (clseq__arena){0};
}
