/*
 * Kernels by name. A program is one .cl file with build options; it is compiled at its first use in a
 * context, kept there, and kept on disk (cache.h). This is the only place that builds programs, and device
 * quirks live here.
 *
 * `#include "path.clh"` lines in kernels are resolved against the embedded sources (or CLSEQ_KERNEL_DIR), by
 * path relative to cl/, each file at most once a program.
 */
#ifndef CLSEQ_CORE_PROGRAM_H
#define CLSEQ_CORE_PROGRAM_H

#include "core/context.h"

/* The kernel sources, embedded at build time. */
typedef struct clseq__source {
    const char *name; /* path below cl/, for instance "rnn/batch_split.cl" */
    const char *text;
    size_t size;
} clseq__source;

extern const clseq__source clseq__sources[];
extern const size_t clseq__source_count;

typedef struct clseq__kernel clseq__kernel;

/*
 * The kernel `name` of the file `file` built with `options` ("-DCELL=lstm -DGATES=4", NULL for none; -cl-std
 * and the vector width macros VW and CPU are added here). The handle stays valid until the context is
 * destroyed; looking it up again is a table lookup, but plans keep it.
 */
clseq_status clseq__kernel_get(clseq_context *ctx, const char *file, const char *options, const char *name,
                               clseq__kernel **out);

#endif
