/*
 * Kernels by name. A program is one .cl file, or all those of a folder ("nn/"), with build options; it is
 * compiled at its first use in a context, kept there, found there by other contexts around the same OpenCL context
 * (program_table.h), and kept on disk (cache.h). This is the only place that builds programs, and device quirks live
 * here.
 *
 * `#include "path.clh"` lines in kernels are resolved as text before the compiler sees them, against the
 * embedded sources (or CLSEQ_KERNEL_DIR), by path relative to cl/. A file is taken in once, where the compiler
 * comes to it first: an include in a branch of #if that is left out does not count. `$NAME` in such a path is
 * the value of the option -DNAME=value: with -DCELL=lstm, `#include "rnn/cells/$CELL.clh"` reads
 * rnn/cells/lstm.clh.
 *
 * The files of a folder are one program because each costs time at every start, and yet mean what they would
 * mean alone: each includes what it needs anew, its macros (those of its includes as well) end with it, functions
 * whose definitions begin with `static` are its own, so are the types of CLSEQ_RECORD lines, and `#pragma OPENCL
 * FP_CONTRACT` goes back to the default. What cannot end with a file is refused: other pragmas than that and unroll.
 * What two files both define in another way, a kernel, another type or a constant, is an error of the compiler.
 *
 * Every program is built with -cl-std=CL1.2, -cl-denorms-are-zero and, for the context's device, -DVW=floats a vector,
 * -DCPU=0 or 1 (CPU-shaped kernels), -DREGISTERS=vector registers and -DFMA=0 or 1 (fma() is an instruction).
 */
#ifndef CLSEQ_CORE_PROGRAM_H
#define CLSEQ_CORE_PROGRAM_H

#include "core/context.h"

/* The kernel sources, embedded at build time. */
typedef struct clseq__source {
    const char *name; /* path below cl/, for instance "rnn/team_forward.cl" */
    const char *text;
    size_t size;
} clseq__source;

extern const clseq__source clseq__sources[];
extern const size_t clseq__source_count;

typedef struct clseq__kernel {
    cl_kernel cl;
    char *name;
    cl_uint argument_count;
    struct clseq__program *program;
} clseq__kernel;

/*
 * The kernel `name` of the file or folder `file` built with `options` ("-DCELL=lstm -DGATES=4", NULL for none).
 * The handle stays valid until the context is destroyed; looking it up again is a table lookup, but plans keep
 * it.
 */
clseq_status clseq__kernel_get(clseq_context *ctx, const char *file, const char *options, const char *name,
                               clseq__kernel **out);

/* The list of programs of a new context, and its end. NULL is allowed. */
clseq_status clseq__programs_create(const clseq_context *ctx, const clseq_context_desc *desc,
                                    clseq__programs **out);
void clseq__programs_destroy(clseq__programs *programs);

#endif
