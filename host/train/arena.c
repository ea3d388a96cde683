#include "train/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ALIGN 64
#define BLOCK_MIN (64 * 1024)

/* The class of pieces of this many bytes, a multiple of ALIGN; CLSEQ__ARENA_CLASSES and more: none. */
static size_t class_of(size_t bytes)
{
    return bytes / ALIGN - 1;
}

static size_t round_up(size_t bytes)
{
    const size_t rounded = bytes > SIZE_MAX / 2 ? bytes : (bytes + ALIGN - 1) / ALIGN * ALIGN;
    return rounded > 0 ? rounded : ALIGN;
}

/* The data follows at the next multiple of ALIGN. */
struct clseq__arena_block {
    clseq__arena_block *next;
    size_t size; /* of the data */
};

static unsigned char *data_of(clseq__arena_block *block)
{
    uintptr_t end = (uintptr_t)(block + 1);
    return (unsigned char *)(block + 1) + (ALIGN - end % ALIGN) % ALIGN;
}

/* A new block behind the current one. */
static clseq__arena_block *add_block(clseq__arena *arena, size_t bytes)
{
    clseq__arena_block **place = arena->current ? &arena->current->next : &arena->first;
    size_t size = bytes > BLOCK_MIN ? bytes : BLOCK_MIN;
    clseq__arena_block *block = size < SIZE_MAX / 2 ? malloc(sizeof *block + ALIGN + size) : NULL;
    if (!block)
        return NULL;
    block->size = size;
    block->next = *place;
    *place = block;
    return block;
}

void *clseq__arena_get(clseq__arena *arena, size_t bytes)
{
    clseq__arena_block *block = arena->current;
    bytes = round_up(bytes);
    if (class_of(bytes) < CLSEQ__ARENA_CLASSES && arena->spare[class_of(bytes)]) {
        void **piece = arena->spare[class_of(bytes)];
        arena->spare[class_of(bytes)] = *piece;
        return piece;
    }
    if (!block || bytes > block->size - arena->used) {
        block = block ? block->next : arena->first;
        while (block && block->size < bytes)
            block = block->next;
        if (!block)
            block = add_block(arena, bytes);
        if (!block)
            return NULL;
        arena->current = block;
        arena->used = 0;
    }
    arena->used += bytes;
    return data_of(block) + arena->used - bytes;
}

void clseq__arena_put(clseq__arena *arena, void *piece, size_t bytes)
{
    const size_t class = class_of(round_up(bytes));
    if (class >= CLSEQ__ARENA_CLASSES)
        return;
    *(void **)piece = arena->spare[class];
    arena->spare[class] = piece;
}

void clseq__arena_reset(clseq__arena *arena)
{
    memset(arena->spare, 0, sizeof arena->spare);
    arena->current = NULL;
    arena->used = 0;
}

void clseq__arena_release(clseq__arena *arena)
{
    clseq__arena_block *next = NULL;
    for (clseq__arena_block *block = arena->first; block; block = next) {
        next = block->next;
        free(block);
    }
    *arena = (clseq__arena){0};
}
