/*
 * Sizes are rounded up to classes, eight to a power of two, so that at most an eighth of a buffer is unused. A
 * request takes a waiting buffer of exactly its class or a new one: whoever repeats the same requests in the
 * same order finds a buffer for each from the second time on. (Taking larger ones would break that: a small
 * request may take what a large one, which comes later, has to have.) Changing sizes leave buffers behind that
 * nobody asks for any more; when a new buffer would make the context hold more than HELD_MAX times what was in
 * use at most, those unused for longest go first.
 */
#include "core/pool.h"

#include "core/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLASS_STEP_MIN 256
#define HELD_MAX 3
#define CANARY_SIZE 256
#define CANARY_BYTE 0xC5
#define POISON_BYTE 0xFF

typedef struct entry {
    cl_mem buffer; /* NULL: an empty place of the table */
    size_t size;
    size_t asked;
    uint64_t put; /* when it was given back, counted in buffers that were */
    bool holds;   /* in use, it is a reference to the context */
} entry;

struct clseq__pool {
    entry *waiting; /* by size, ascending */
    size_t waiting_count;
    size_t waiting_capacity;
    entry *used; /* hash table with open addressing, at most half full */
    size_t used_count;
    size_t used_capacity; /* a power of two */
    bool poison;
    bool canary;
    bool aborts; /* at the first canary that was overwritten */
    uint64_t puts;
    uint64_t violations;
};

clseq_status clseq__pool_create(clseq__pool **out)
{
    clseq__pool *pool = calloc(1, sizeof *pool);
    if (pool == NULL)
        return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "context create: no memory for the pool");
    pool->poison = clseq__env_is_on("CLSEQ_POOL_POISON");
    const char *canary = getenv("CLSEQ_POOL_CANARY");
    pool->aborts = canary != NULL && strcmp(canary, "abort") == 0;
    pool->canary = pool->aborts || clseq__env_is_on("CLSEQ_POOL_CANARY");
    *out = pool;
    return CLSEQ_OK;
}

void clseq__pool_destroy(clseq__pool *pool)
{
    if (pool == NULL)
        return;
    for (size_t i = 0; i < pool->waiting_count; i++)
        clReleaseMemObject(pool->waiting[i].buffer);
    for (size_t i = 0; i < pool->used_capacity; i++)
        if (pool->used[i].buffer != NULL) {
            clseq__log(CLSEQ_LOG_WARN, "context destroy: a buffer of %zu bytes was never given back",
                       pool->used[i].asked);
            clReleaseMemObject(pool->used[i].buffer);
        }
    free(pool->waiting);
    free(pool->used);
    free(pool);
}

uint64_t clseq__pool_violations(const clseq_context *ctx)
{
    return ctx->pool->violations;
}

/* The class of a size; 0 when it cannot be represented. */
static size_t class_of(size_t bytes)
{
    size_t step = CLASS_STEP_MIN;
    while (bytes / 16 >= step)
        step *= 2;
    size_t size = (bytes + step - 1) / step * step;
    return size >= bytes ? size : 0;
}

static size_t hash_of(const clseq__pool *pool, cl_mem buffer)
{
    return (size_t)(((uint64_t)(uintptr_t)buffer * 0x9E3779B97F4A7C15u) >> 20) & (pool->used_capacity - 1);
}

static void used_insert(clseq__pool *pool, entry e)
{
    size_t at = hash_of(pool, e.buffer);
    while (pool->used[at].buffer != NULL)
        at = (at + 1) & (pool->used_capacity - 1);
    pool->used[at] = e;
    pool->used_count++;
}

/* The place of a buffer that is in use, or NULL for one that is not the pool's. */
static entry *used_find(clseq__pool *pool, cl_mem buffer)
{
    if (pool->used_capacity == 0)
        return NULL;
    size_t at = hash_of(pool, buffer);
    while (pool->used[at].buffer != NULL && pool->used[at].buffer != buffer)
        at = (at + 1) & (pool->used_capacity - 1);
    return pool->used[at].buffer != NULL ? &pool->used[at] : NULL;
}

/* Makes room for one more entry in both lists, so that neither taking nor giving back can fail later. */
static clseq_status reserve(clseq__pool *pool)
{
    if (2 * (pool->used_count + 1) > pool->used_capacity) {
        size_t old_capacity = pool->used_capacity;
        entry *old = pool->used;
        entry *used = calloc(old_capacity > 0 ? 2 * old_capacity : 64, sizeof *used);
        if (used == NULL)
            return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "no memory for the list of buffers");
        pool->used = used;
        pool->used_capacity = old_capacity > 0 ? 2 * old_capacity : 64;
        pool->used_count = 0;
        for (size_t i = 0; i < old_capacity; i++)
            if (old[i].buffer != NULL)
                used_insert(pool, old[i]);
        free(old);
    }
    if (pool->waiting_count + pool->used_count + 1 > pool->waiting_capacity) {
        size_t capacity = pool->waiting_capacity > 0 ? 2 * pool->waiting_capacity : 64;
        entry *waiting = realloc(pool->waiting, capacity * sizeof *waiting);
        if (waiting == NULL)
            return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "no memory for the list of buffers");
        pool->waiting = waiting;
        pool->waiting_capacity = capacity;
    }
    return CLSEQ_OK;
}

/* The place of the first waiting buffer of at least `size` bytes. */
static size_t waiting_find(const clseq__pool *pool, size_t size)
{
    size_t low = 0, high = pool->waiting_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (pool->waiting[middle].size < size)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static entry waiting_remove(clseq__pool *pool, size_t at)
{
    entry e = pool->waiting[at];
    pool->waiting_count--;
    memmove(&pool->waiting[at], &pool->waiting[at + 1], (pool->waiting_count - at) * sizeof(entry));
    return e;
}

static bool waiting_take(clseq__pool *pool, size_t size, entry *out)
{
    size_t at = waiting_find(pool, size);
    if (at == pool->waiting_count || pool->waiting[at].size != size)
        return false;
    *out = waiting_remove(pool, at);
    return true;
}

static void waiting_insert(clseq__pool *pool, entry e)
{
    size_t at = waiting_find(pool, e.size);
    memmove(&pool->waiting[at + 1], &pool->waiting[at], (pool->waiting_count - at) * sizeof(entry));
    pool->waiting[at] = e;
    pool->waiting_count++;
}

clseq_status clseq_context_trim(clseq_context *ctx)
{
    CLSEQ__NEEDS("context trim", ctx);
    clseq__pool *pool = ctx->pool;
    /* The buffers' last uses may still be queued; waiting makes their memory free when this returns. */
    CLSEQ__RETURN_IF(clseq_context_finish(ctx));
    for (size_t i = 0; i < pool->waiting_count; i++) {
        ctx->stats.bytes_held -= pool->waiting[i].size;
        clReleaseMemObject(pool->waiting[i].buffer);
    }
    pool->waiting_count = 0;
    return CLSEQ_OK;
}

/* Gives waiting buffers back to the device until `size` bytes more are within what may be held. The commands
 * that still use them keep them until they have run. */
static void make_room(clseq_context *ctx, size_t size)
{
    clseq__pool *pool = ctx->pool;
    uint64_t in_use = ctx->stats.bytes_in_use + size;
    uint64_t most = in_use > ctx->stats.peak_in_use ? in_use : ctx->stats.peak_in_use;
    while (pool->waiting_count > 0 && ctx->stats.bytes_held + size > HELD_MAX * most) {
        size_t oldest = 0;
        for (size_t i = 1; i < pool->waiting_count; i++)
            if (pool->waiting[i].put < pool->waiting[oldest].put)
                oldest = i;
        entry e = waiting_remove(pool, oldest);
        ctx->stats.bytes_held -= e.size;
        clReleaseMemObject(e.buffer);
    }
}

/* A new buffer of the device; when it has no memory left, once more without the buffers that wait. */
static clseq_status allocate(clseq_context *ctx, size_t size, const char *what, cl_mem *out)
{
    int code = 0;
    make_room(ctx, size);
    cl_mem buffer = clCreateBuffer(ctx->cl, CL_MEM_READ_WRITE, size, NULL, &code);
    if (code == CL_MEM_OBJECT_ALLOCATION_FAILURE || code == CL_OUT_OF_RESOURCES) {
        CLSEQ__RETURN_IF(clseq_context_trim(ctx));
        buffer = clCreateBuffer(ctx->cl, CL_MEM_READ_WRITE, size, NULL, &code);
    }
    if (code == CL_MEM_OBJECT_ALLOCATION_FAILURE || code == CL_OUT_OF_RESOURCES)
        return clseq__error(CLSEQ_OUT_OF_DEVICE_MEMORY,
                            "%s: %s has no memory for %zu bytes more; %llu of its %llu are held by this "
                            "context",
                            what, ctx->device.name, size, (unsigned long long)ctx->stats.bytes_held,
                            (unsigned long long)ctx->device.global_memory);
    if (code != CL_SUCCESS)
        return clseq__error(clseq__cl_status(code), "%s: clCreateBuffer of %zu bytes gave %s", what, size,
                            clseq__cl_error_name(code));
    ctx->stats.allocations++;
    ctx->stats.bytes_held += size;
    *out = buffer;
    return CLSEQ_OK;
}

static clseq_status fill(clseq_context *ctx, cl_mem buffer, uint8_t byte, size_t offset, size_t bytes,
                         const char *what)
{
    int code = clEnqueueFillBuffer(ctx->queue, buffer, &byte, 1, offset, bytes, 0, NULL, NULL);
    return code == CL_SUCCESS ? CLSEQ_OK
                              : clseq__error(clseq__cl_status(code), "%s: fill of %zu bytes gave %s", what,
                                             bytes, clseq__cl_error_name(code));
}

clseq_status clseq__pool_get(clseq_context *ctx, size_t bytes, const char *what, cl_mem *out)
{
    clseq__pool *pool = ctx->pool;
    size_t canary = pool->canary ? CANARY_SIZE : 0;
    entry e = {.asked = bytes};
    if (bytes == 0)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: a buffer of 0 bytes", what);
    if (bytes > ctx->device.max_allocation)
        return clseq__error(CLSEQ_OUT_OF_DEVICE_MEMORY, "%s: %zu bytes, %s allows buffers of up to %llu",
                            what, bytes, ctx->device.name, (unsigned long long)ctx->device.max_allocation);
    CLSEQ__RETURN_IF(reserve(pool));
    e.size = class_of(bytes + canary);
    /* Just below the device's limit there is no room for rounding. */
    if (e.size == 0 || e.size > ctx->device.max_allocation)
        e.size = bytes + canary;
    if (!waiting_take(pool, e.size, &e))
        CLSEQ__RETURN_IF(allocate(ctx, e.size, what, &e.buffer));
    e.asked = bytes;
    clseq_status status = CLSEQ_OK;
    if (pool->poison)
        CLSEQ__TRY(fill(ctx, e.buffer, POISON_BYTE, 0, bytes, what));
    if (pool->canary)
        CLSEQ__TRY(fill(ctx, e.buffer, CANARY_BYTE, bytes, e.size - bytes, what));
    used_insert(pool, e);
    ctx->stats.bytes_in_use += e.size;
    if (ctx->stats.bytes_in_use > ctx->stats.peak_in_use)
        ctx->stats.peak_in_use = ctx->stats.bytes_in_use;
    *out = e.buffer;
    return CLSEQ_OK;
done: /* It was never in use, and has no canary to look for. */
    e.put = pool->puts++;
    waiting_insert(pool, e);
    return status;
}

void clseq__pool_hold(clseq_context *ctx, cl_mem buffer)
{
    entry *found = used_find(ctx->pool, buffer);
    if (found == NULL || found->holds)
        return;
    found->holds = true;
    clseq__context_retain(ctx);
}

/* Waits for the queue and looks whether anybody wrote behind the buffer's end. */
static void check_canary(clseq_context *ctx, const entry *e)
{
    uint8_t bytes[CANARY_SIZE];
    int code =
        clEnqueueReadBuffer(ctx->queue, e->buffer, CL_TRUE, e->asked, sizeof bytes, bytes, 0, NULL, NULL);
    if (code != CL_SUCCESS) {
        clseq__log(CLSEQ_LOG_ERROR, "pool: the canary of a buffer cannot be read: %s",
                   clseq__cl_error_name(code));
        return;
    }
    for (size_t i = 0; i < sizeof bytes; i++)
        if (bytes[i] != CANARY_BYTE) {
            ctx->pool->violations++;
            clseq__log(CLSEQ_LOG_ERROR, "pool: byte %zu of a buffer of %zu bytes was written", e->asked + i,
                       e->asked);
            if (ctx->pool->aborts) {
                fprintf(stderr, "clseq: byte %zu of a buffer of %zu bytes was written\n", e->asked + i,
                        e->asked);
                abort();
            }
            return;
        }
}

void clseq__pool_put(clseq_context *ctx, cl_mem buffer)
{
    if (buffer == NULL)
        return;
    clseq__pool *pool = ctx->pool;
    entry *found = used_find(pool, buffer);
    if (found == NULL) {
        clseq__log(CLSEQ_LOG_ERROR, "pool: a buffer is given back that is not in use");
        return;
    }
    entry e = *found;
    size_t mask = pool->used_capacity - 1, at = (size_t)(found - pool->used);
    /* Entries behind the hole that could stand in it move up, so that searches never stop early. */
    for (size_t next = (at + 1) & mask; pool->used[next].buffer != NULL; next = (next + 1) & mask)
        if (((next - hash_of(pool, pool->used[next].buffer)) & mask) >= ((next - at) & mask)) {
            pool->used[at] = pool->used[next];
            at = next;
        }
    pool->used[at].buffer = NULL;
    pool->used_count--;
    ctx->stats.bytes_in_use -= e.size;
    if (pool->canary)
        check_canary(ctx, &e);
    const bool held = e.holds;
    e.holds = false;
    e.put = pool->puts++;
    waiting_insert(pool, e);
    if (held)
        clseq__context_release(ctx);
}

clseq_status clseq__buffer_capacity(clseq_context *ctx, const char *what, cl_mem buffer, size_t *bytes)
{
    const entry *own = used_find(ctx->pool, buffer);
    if (own != NULL) {
        *bytes = own->asked;
        return CLSEQ_OK;
    }
    cl_context context = NULL;
    int code = clGetMemObjectInfo(buffer, CL_MEM_CONTEXT, sizeof context, &context, NULL);
    if (code == CL_SUCCESS)
        code = clGetMemObjectInfo(buffer, CL_MEM_SIZE, sizeof *bytes, bytes, NULL);
    if (code != CL_SUCCESS)
        return clseq__error(clseq__cl_status(code), "%s: its buffer is none (%s)", what,
                            clseq__cl_error_name(code));
    if (context != ctx->cl)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: its buffer belongs to another context", what);
    return CLSEQ_OK;
}
