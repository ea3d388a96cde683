/*
 * What a context holds. Only host/core looks inside; other folders use the functions of the headers beside this one.
 *
 * A context is counted: the caller's handle is one reference, and so is everything that is made from it and given to the
 * caller. The count is no atomic number, as all of that belongs to one thread at a time.
 */
#ifndef CLSEQ_CORE_CONTEXT_H
#define CLSEQ_CORE_CONTEXT_H

#include "core/traits.h"

#include <clseq/context.h>

typedef struct clseq__pool clseq__pool;
typedef struct clseq__programs clseq__programs;
typedef struct clseq__profile clseq__profile;

struct clseq_context {
    size_t references;
    clseq_device_info device;
    cl_context cl;
    cl_command_queue queue;
    clseq__traits traits;
    clseq__pool *pool;
    clseq__programs *programs;
    clseq__profile *profile; /* NULL: not measured */
    clseq_context_stats stats;
    /* A slot for the training level: graph memory that is kept between steps, released with the context. */
    void *graphs;
    void (*release_graphs)(void *graphs);
    /* One for rnn: the forward passes that wait for their backward pass (rnn/reserve.h). */
    void *reserves;
    void (*release_reserves)(void *reserves);
    /* Slots for linalg: the implementation of matrix products that was chosen, and what is called before the
     * OpenCL context is released (CLBlast forgets what it keeps for it). */
    const struct clseq__gemm_implementation *gemm;
    char gemm_wish[32]; /* CLSEQ_GEMM when the context was made */
    void (*release_gemm)(clseq_context *ctx);
};

/*
 * A reference for what is made from the context, and its end, which comes after everything else that the thing has to do
 * with the context: the last one waits for the queue and releases all. NULL is allowed.
 */
clseq_context *clseq__context_retain(clseq_context *ctx);
void clseq__context_release(clseq_context *ctx);

/* Whether an environment variable is "1". */
bool clseq__env_is_on(const char *variable);

#endif
