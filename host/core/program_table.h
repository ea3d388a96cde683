/*
 * Built programs of the process, found again by every context around the same OpenCL context and device. Kernels are
 * not here: their arguments belong to one thread at a time, so each context makes its own.
 */
#ifndef CLSEQ_CORE_PROGRAM_TABLE_H
#define CLSEQ_CORE_PROGRAM_TABLE_H

#include "core/context.h"

typedef struct clseq__built clseq__built;

/*
 * The entry of a program for the context's OpenCL context and device, made when there is none; `key` is a text that says
 * all that the program depends on. The entry is held until clseq__built_release, which takes NULL; the last one to
 * hold it releases the program.
 */
clseq_status clseq__built_take(const clseq_context *ctx, const char *key, size_t key_size,
                               clseq__built **out);
void clseq__built_release(clseq__built *built);

/*
 * The program, NULL while nobody has built it, for the calling thread alone until clseq__built_unlock: others that want
 * the same one wait and need not build it. Whoever finds NULL may build it and put it here; then it is the entry's.
 */
cl_program *clseq__built_lock(clseq__built *built);
void clseq__built_unlock(clseq__built *built);

#endif
