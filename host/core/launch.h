/*
 * The one way to run a kernel. Arguments are a compound literal list in the kernel's order:
 *
 *     CLSEQ__TRY(clseq__launch(
 *         ctx, kernel, CLSEQ__GRID1(groups, 1),
 *         CLSEQ__ARGS(CLSEQ__I(T), CLSEQ__L(stride), CLSEQ__F(alpha), CLSEQ__M(x.buffer))));
 *
 * The number and sizes of the arguments are checked against the kernel; a NULL buffer is passed on as NULL. A record
 * (cl/core/record.h) is passed whole, and may be changed as soon as the launch returns; PoCL does not look at its size.
 * A grid without groups is nothing to do.
 */
#ifndef CLSEQ_CORE_LAUNCH_H
#define CLSEQ_CORE_LAUNCH_H

#include "core/program.h"

typedef struct clseq__arg {
    size_t size; /* of the value; sizeof(cl_mem) for a buffer */
    enum {
        CLSEQ__ARG_VALUE,
        CLSEQ__ARG_LOCAL, /* `size` bytes of local memory */
        CLSEQ__ARG_BYTES  /* those that `bytes` points to */
    } kind;
    union {
        cl_int i;
        cl_uint u;
        cl_long l;
        cl_ulong ul;
        cl_float f;
        cl_mem m;
        const void *bytes;
    } value;
} clseq__arg;

/* One initialiser of a clseq__arg. */
#define CLSEQ__ARG(size, kind, member, x) \
    {                                     \
        (size), CLSEQ__ARG_##kind,        \
        {                                 \
            .member = (x)                 \
        }                                 \
    }
#define CLSEQ__I(x) CLSEQ__ARG(sizeof(cl_int), VALUE, i, (cl_int)(x))
#define CLSEQ__U(x) CLSEQ__ARG(sizeof(cl_uint), VALUE, u, (cl_uint)(x))
#define CLSEQ__L(x) CLSEQ__ARG(sizeof(cl_long), VALUE, l, (cl_long)(x))
#define CLSEQ__UL(x) CLSEQ__ARG(sizeof(cl_ulong), VALUE, ul, (cl_ulong)(x))
#define CLSEQ__F(x) CLSEQ__ARG(sizeof(cl_float), VALUE, f, (cl_float)(x))
#define CLSEQ__M(x) CLSEQ__ARG(sizeof(cl_mem), VALUE, m, x)
#define CLSEQ__LOCAL(size) CLSEQ__ARG(size, LOCAL, i, 0)
#define CLSEQ__BYTES(pointer, size) CLSEQ__ARG(size, BYTES, bytes, pointer)
#define CLSEQ__RECORD(pointer) CLSEQ__BYTES(pointer, sizeof *(pointer))
#define CLSEQ__ARGS(...) \
    (const clseq__arg[]){__VA_ARGS__}, sizeof((const clseq__arg[]){__VA_ARGS__}) / sizeof(clseq__arg)

typedef struct clseq__grid {
    int dims;
    size_t groups[3]; /* work-groups in each dimension */
    size_t local[3];  /* work-items a group in each dimension */
} clseq__grid;

#define CLSEQ__GRID1(groups_, local_) ((clseq__grid){1, {(groups_), 1, 1}, {(local_), 1, 1}})
#define CLSEQ__GRID2(gx, gy, lx, ly) ((clseq__grid){2, {(gx), (gy), 1}, {(lx), (ly), 1}})

clseq_status clseq__launch(clseq_context *ctx, clseq__kernel *kernel, clseq__grid grid,
                           const clseq__arg *args, size_t count);

/*
 * A grid for `n` independent elements, whose kernel is a FOR_EACH of cl/core/grid.clh: on a CPU a few groups
 * of one work-item that each walk an unbroken run of elements, on a GPU many groups of 256.
 */
clseq__grid clseq__grid_for(const clseq_context *ctx, int64_t n);

/*
 * An event that is complete when all that was enqueued so far is. What was enqueued is flushed, so that other queues may
 * wait for it. To be released. `what` begins the sentence.
 */
clseq_status clseq__mark(clseq_context *ctx, const char *what, cl_event *out);

/* Copies and fills of plain ranges, in bytes; they are counted and measured like kernels. A range that does not begin
 * and end at multiples of the pattern's size is for patterns of four equal bytes. */
clseq_status clseq__fill_bytes(clseq_context *ctx, cl_mem buffer, size_t offset, size_t bytes,
                               uint32_t pattern);
clseq_status clseq__copy_bytes(clseq_context *ctx, cl_mem from, size_t from_offset, cl_mem to,
                               size_t to_offset, size_t bytes);

#endif
