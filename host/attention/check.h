/* Checks of everything that callers give to attention. */
#ifndef CLSEQ_ATTENTION_CHECK_H
#define CLSEQ_ATTENTION_CHECK_H

#include "attention/plan.h"

clseq_status clseq__attention_check_desc(const clseq_attention_desc *desc);

/* A number of a descriptor or a shape is in 1..2^31-1. */
clseq_status clseq__attention_check_range(const char *call, const char *name, int64_t value);
clseq_status clseq__attention_check_mode(const char *call, clseq_mode mode);

clseq_status clseq__attention_check_shape(const char *call, const clseq_attention_plan *plan,
                                          const clseq_attention_shape *shape);

/* first and count are queries of the shape, or both 0. */
clseq_status clseq__attention_check_part(const char *call, const clseq_attention_shape *shape, int64_t first,
                                         int64_t count);

/* The shape is one of training, which keeps what a way back needs. */
clseq_status clseq__attention_check_training(const char *call, clseq_mode mode);

/* A buffer of this many bytes is one that the device can make. */
clseq_status clseq__attention_check_bytes(const clseq_context *ctx, const char *call, const char *name,
                                          int64_t bytes);

/* What an argument must be, and what the call does with it. */
typedef struct clseq__attention_argument {
    const char *name;
    const clseq_tensor *tensor;
    bool needed, is_written;
    enum {
        CLSEQ__ATTENTION_ROWS,
        CLSEQ__ATTENTION_PACKED,
        CLSEQ__ATTENTION_ANY,
        CLSEQ__ATTENTION_BYTES
    } form;
    clseq_dtype dtype; /* of PACKED and ANY */
    int ndim;          /* BYTES: dims[0] bytes at least */
    int64_t dims[3];
    const char *part; /* of an array: which one, in brackets; or NULL */
} clseq__attention_argument;

/* Memory of so many floats, at least. */
static inline clseq__attention_argument clseq__attention_memory_of(const char *name,
                                                                   const clseq_tensor *tensor, bool needed,
                                                                   bool is_written, int64_t floats)
{
    return (clseq__attention_argument){.name = name,
                                       .tensor = tensor,
                                       .needed = needed,
                                       .is_written = is_written,
                                       .form = CLSEQ__ATTENTION_BYTES,
                                       .dims = {floats * (int64_t)sizeof(float)}};
}

/* The arguments of a call, in the order in which sentences are made of them. */
#define CLSEQ__ATTENTION_ARGUMENTS 32
typedef struct clseq__attention_list {
    const char *call;
    int count;
    clseq__attention_argument all[CLSEQ__ATTENTION_ARGUMENTS];
} clseq__attention_list;

void clseq__attention_add_argument(clseq__attention_list *list, clseq__attention_argument argument);

/* The weights, or their gradients where `is_written`, which may be missing. */
clseq_status clseq__attention_add_weights(clseq__attention_list *list, const clseq_attention_plan *plan,
                                          const char *name, const clseq_tensor *weights, bool is_written);

/* Every argument is what it must be, and what is written shares nothing with any other. */
clseq_status clseq__attention_check_arguments(clseq_context *ctx, const clseq__attention_list *list);

#endif
