/*
 * A context: one device, one in-order command queue, and what the library keeps for them (compiled programs,
 * a pool of buffers, the profile).
 *
 *     clseq_context *ctx = NULL;
 *     clseq_status status = clseq_context_create(NULL, &ctx);
 *     if (status != CLSEQ_OK)
 *         fprintf(stderr, "%s\n", clseq_last_error());
 *     else
 *         printf("running on %s\n", clseq_context_device(ctx)->name);
 *     clseq_context_destroy(ctx);
 *
 * Whatever is enqueued through a context goes to its queue, in order; no function waits unless its comment
 * says so. A program that has an OpenCL context and queue already wraps them (clseq_context_wrap) and goes on
 * enqueuing its own commands between those of the library.
 *
 * Lifetime: a context is counted. The handle that the caller got is one reference, and so is everything that the caller
 * got from it: tensors of clseq_tensor_create, packed operands, plans, parameter stores, states, meters, and a graph from
 * begin to end. It is released with the last of them, so that they may be destroyed in any order. Layers are their
 * store's; an optimiser holds its store, and a graph those stores that it has read from. A view holds nothing.
 *
 * Threads: a context and everything made from it belong to one thread at a time, for destroying too (whatever comes last
 * releases the context); different contexts may be used from different threads at once, around one OpenCL context as
 * well. Those share compiled programs: what one has compiled or loaded, the next one finds.
 *
 * Denormal numbers, those below 1.2e-38 in size, are zero to the library: its kernels ask the device to take them
 * and to write them as zeros (-cl-denorms-are-zero), because processors compute with them many times slower than
 * with others, and the gradients of long sequences fade into them. A device that is as fast with them may keep them.
 * Copies, and products through CLBlast, leave them as they are. The caller's own threads compute as ever.
 *
 * Environment variables, read when a context is made:
 *
 *     CLSEQ_DEVICE        the device, when no selector is given (see device.h)
 *     CLSEQ_CACHE_DIR     folder of compiled programs; default $XDG_CACHE_HOME/clseq or ~/.cache/clseq
 *     CLSEQ_CACHE         "off" compiles every time; "on" keeps binaries even on platforms that have a good
 *                         cache of their own and are slow to give them out (PoCL)
 *     CLSEQ_CACHE_MB      bound of that folder in MB, default 256; the entries unused for longest go first
 *     CLSEQ_KERNEL_DIR    reads kernels from this folder (a copy of the source tree's cl/), not the library
 *     CLSEQ_PROFILE       "1" measures every kernel (see clseq_context_profile)
 *     CLSEQ_VECTOR_WIDTH  4, 8 or 16: floats a vector in CPU kernels, instead of the device's own width; a CPU
 *                         device whose own width is 1 takes the kernels of GPUs unless this is set
 *     CLSEQ_GEMM          native or clblast (see gemm.h)
 *     CLSEQ_SCHEDULE      schedule of recurrent layers whose descriptor leaves it open (see rnn.h); read when
 *                         a plan is made
 *     CLSEQ_TEAM          RxU, as 2x4: schedule team cuts batch rows into R blocks (no more than there are rows), between U
 *                         work-groups each, instead of by its own estimate (see clseq_rnn_describe)
 *     CLSEQ_POOL_POISON   "1" fills every buffer that is handed out with NaN, to find reads before writes
 *     CLSEQ_POOL_CANARY   "1" watches the 256 bytes behind every buffer of the pool, to find writes beyond its end.
 *                         They are looked at when the buffer is given back (clseq_tensor_destroy, the end of what it
 *                         belongs to), which then waits for the queue. Where one has changed, a line of the log at level
 *                         error names the first such byte and the buffer's size; no status changes, the program goes on
 *                         and the buffer is used again. "abort" does the same, writes the line to stderr as well,
 *                         whatever the log is, and calls abort()
 */
#ifndef CLSEQ_CONTEXT_H
#define CLSEQ_CONTEXT_H

#include <clseq/device.h>
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct clseq_context clseq_context;

/* All zero is right for most programs. */
typedef struct clseq_context_desc {
    const char *device; /* selector; NULL: CLSEQ_DEVICE or the best device. Ignored by clseq_context_wrap. */
    const char *cache_dir; /* NULL: CLSEQ_CACHE_DIR or the default */
    bool no_cache;         /* compile every time */
    bool profile;          /* measure every kernel; a wrapped queue must have CL_QUEUE_PROFILING_ENABLE */
} clseq_context_desc;

/* Makes a context with an OpenCL context and queue of its own. `desc` may be NULL. */
CLSEQ_API clseq_status clseq_context_create(const clseq_context_desc *desc, clseq_context **out);

/*
 * Makes a context around the caller's OpenCL context and queue (retained as long as the context lives). The
 * queue must be in-order (otherwise CLSEQ_UNSUPPORTED); the device is the queue's. `desc` may be NULL.
 */
CLSEQ_API clseq_status clseq_context_wrap(cl_context context, cl_command_queue queue,
                                          const clseq_context_desc *desc, clseq_context **out);

/*
 * Waits for the queue and gives up the caller's reference; NULL is allowed. Without anything else made from the context
 * that releases it. Otherwise (the log says so at level info) all of that goes on working, and the last of it to be
 * destroyed waits for the queue and releases the context; until then `ctx` may still be passed to functions, above all to
 * clseq_tensor_destroy, but not to this one again.
 */
CLSEQ_API void clseq_context_destroy(clseq_context *ctx);

/* Waits until everything that was enqueued has run. */
CLSEQ_API clseq_status clseq_context_finish(clseq_context *ctx);

/* What the context runs on. The handles stay the context's; retain them to keep them longer. */
CLSEQ_API const clseq_device_info *clseq_context_device(const clseq_context *ctx);
CLSEQ_API cl_context clseq_context_cl_context(const clseq_context *ctx);
CLSEQ_API cl_command_queue clseq_context_queue(const clseq_context *ctx);

/* Counters since the context was made. */
typedef struct clseq_context_stats {
    uint64_t allocations;     /* buffers that were created on the device */
    uint64_t bytes_held;      /* bytes of buffers that exist now, in use or waiting in the pool */
    uint64_t bytes_in_use;    /* bytes of buffers that are in use now */
    uint64_t peak_in_use;     /* most bytes in use at one time */
    uint64_t launches;        /* kernels enqueued, those inside CLBlast not counted */
    uint64_t clblast_calls;   /* calls of CLBlast */
    uint64_t programs_built;  /* programs compiled from source */
    uint64_t programs_loaded; /* programs taken from the disk cache */
    double build_seconds;     /* spent compiling and loading programs */
} clseq_context_stats;

CLSEQ_API clseq_status clseq_context_get_stats(const clseq_context *ctx, clseq_context_stats *out);

/* Gives buffers that wait in the pool back to the device. Waits for the queue. */
CLSEQ_API clseq_status clseq_context_trim(clseq_context *ctx);

/* One row of the profile: a kernel, how often it ran, and its device time in seconds. */
typedef struct clseq_profile_row {
    const char *kernel; /* valid as long as the context lives */
    uint64_t calls;
    double seconds;
} clseq_profile_row;

/*
 * Where the time went, largest first; only of a context that profiles (otherwise CLSEQ_INVALID_STATE). Waits
 * for the queue. Writes up to `capacity` rows and the number that there is to `count`.
 */
CLSEQ_API clseq_status clseq_context_profile(clseq_context *ctx, clseq_profile_row *out, size_t capacity,
                                             size_t *count);

/* The same as a table of text, as much of it as fits into `size` bytes with its closing 0. */
CLSEQ_API clseq_status clseq_context_profile_text(clseq_context *ctx, char *text, size_t size);

/* Forgets what was measured so far. Waits for the queue. */
CLSEQ_API clseq_status clseq_context_profile_reset(clseq_context *ctx);

#ifdef __cplusplus
}
#endif
#endif
