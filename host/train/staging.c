#include "train/staging.h"

#include "core/error.h"
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#define ALIGN 64
#define CHUNK_MIN ((size_t)64 * 1024)

struct clseq__chunk {
    clseq__chunk *next;
    unsigned char *data; /* within the chunk, aligned */
    size_t size, used;
    cl_event copied; /* the last copy out of it; NULL: there was none yet */
    int holds;
    int age; /* graphs that have begun since it was written to */
};

static clseq__chunk *add_chunk(clseq__staging *staging, size_t bytes)
{
    const size_t size = bytes > CHUNK_MIN ? bytes : CHUNK_MIN;
    clseq__chunk *chunk = size < SIZE_MAX / 2 ? malloc(sizeof *chunk + ALIGN + size) : NULL;
    if (!chunk)
        return NULL;
    const uintptr_t end = (uintptr_t)(chunk + 1);
    *chunk = (clseq__chunk){.next = staging->first, .size = size};
    chunk->data = (unsigned char *)(chunk + 1) + (ALIGN - end % ALIGN) % ALIGN;
    staging->first = chunk;
    return chunk;
}

/*
 * Whether it may be written over. What the graph before has written is left alone even when it has been copied, so that how
 * much memory is made does not depend on time.
 */
static bool is_free(const clseq__chunk *chunk)
{
    cl_int state = CL_QUEUED;
    if (chunk->holds > 0 || chunk->age == 1)
        return false;
    return !chunk->copied || chunk->age > 1 ||
           (clGetEventInfo(chunk->copied, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof state, &state, NULL) ==
                CL_SUCCESS &&
            state == CL_COMPLETE);
}

/* Another chunk that has room: one that is free, or a new one. */
static clseq__chunk *next_chunk(clseq__staging *staging, size_t bytes)
{
    for (clseq__chunk *chunk = staging->first; chunk; chunk = chunk->next)
        if (chunk != staging->current && chunk->size >= bytes && is_free(chunk)) {
            chunk->used = 0;
            return chunk;
        }
    return add_chunk(staging, bytes);
}

void *clseq__staging_get(clseq__staging *staging, size_t bytes, clseq__chunk **chunk)
{
    clseq__chunk *current = staging->current;
    bytes = bytes > SIZE_MAX / 2 ? bytes : (bytes + ALIGN - 1) / ALIGN * ALIGN;
    if (!current || bytes > current->size - current->used)
        current = next_chunk(staging, bytes);
    if (!current)
        return NULL;
    staging->current = current;
    current->used += bytes;
    current->age = 0;
    *chunk = current;
    return current->data + current->used - bytes;
}

void clseq__staging_copied(clseq__chunk *chunk, cl_event copied)
{
    if (chunk->copied)
        clReleaseEvent(chunk->copied);
    chunk->copied = copied;
}

void clseq__staging_hold(clseq__chunk *chunk)
{
    if (chunk)
        chunk->holds++;
}

void clseq__staging_let_go(clseq__chunk *chunk)
{
    if (chunk)
        chunk->holds--;
}

clseq_status clseq__staging_begin(clseq__staging *staging)
{
    clseq_status status = CLSEQ_OK;
    staging->current = NULL;
    for (clseq__chunk *chunk = staging->first; chunk; chunk = chunk->next) {
        chunk->holds = 0;
        if (++chunk->age == 2 && chunk->copied)
            CLSEQ__TRY_CL(clWaitForEvents(1, &chunk->copied));
    }
done:
    return status;
}

void clseq__staging_release(clseq__staging *staging)
{
    clseq__chunk *next = NULL;
    for (clseq__chunk *chunk = staging->first; chunk; chunk = next) {
        next = chunk->next;
        if (chunk->copied) {
            clWaitForEvents(1, &chunk->copied);
            clReleaseEvent(chunk->copied);
        }
        free(chunk);
    }
    *staging = (clseq__staging){0};
}
