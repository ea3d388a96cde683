/* Pooling over time: what forward (pool.c) and backward (pool_backward.c) share. */
#ifndef CLSEQ_ATTENTION_POOL_H
#define CLSEQ_ATTENTION_POOL_H

#include "attention/check.h"
#include "attention/pass.h"

enum {
    CLSEQ__POOL_COUNTS,
    CLSEQ__POOL_COPY_ROWS,
    CLSEQ__POOL_FILL_ROWS,
    CLSEQ__POOL_FORWARD,
    CLSEQ__POOL_SCORES,
    CLSEQ__POOL_DSCORES,
    CLSEQ__POOL_DPROJECT,
    CLSEQ__POOL_PARTS,
    CLSEQ__POOL_CAUSAL,
    CLSEQ__POOL_CAUSAL_BACKWARD,
    CLSEQ__POOL_SPREAD,
    CLSEQ__POOL_KERNELS
};

/*
 * A call. Pooling is attention whose one query is the bias. Steps are projected in the order of time, as each is read once. Kept:
 * projected [T][B][row], query and vector [row], alignment [B][T] (causal: the scores), parts [B][T][2] of causal, counts [B][T] and
 * lengths [B] (i32). Scratch: copied [T][B][H], dscores [B][T], dquery and dvector [B][row], carried [B][H].
 */
typedef struct clseq__pool_pass {
    clseq_context *ctx;
    const clseq_attention_pool_desc *desc;
    int64_t T, B, row; /* `row`: the units of a step, filled up */
    cl_mem kept, scratch;
    /* kept */
    int64_t projected, query, vector, alignment, parts, counts, lengths, kept_end;
    /* scratch */
    int64_t copied, dscores, dquery, dvector, carried, scratch_end;
} clseq__pool_pass;

/* The arguments that both ways have; `bias` NULL: backward has none. */
typedef struct clseq__pool_given {
    const clseq_tensor *weight, *bias, *score, *x, *lengths, *mask, *reserve, *workspace;
} clseq__pool_given;

/* Descriptor and shape are right; a pass with its places. */
clseq_status clseq__pool_begin(const char *call, clseq_context *ctx, const clseq_attention_pool_desc *desc,
                               const clseq_attention_pool_shape *shape, clseq__pool_pass *p);

void clseq__pool_list(clseq__attention_list *list, const clseq__pool_pass *p, const clseq__pool_given *g,
                      clseq_mode mode);

/* An argument [B,H], or [T,B,H] where it is causal. */
clseq__attention_argument clseq__pool_like_y(const clseq__pool_pass *p, const char *name,
                                             const clseq_tensor *tensor, bool is_written);

/* Moves places to where the buffers' tensors begin. */
void clseq__pool_use(clseq__pool_pass *p, clseq_mode mode, const clseq_tensor *reserve,
                     const clseq_tensor *workspace);

clseq_status clseq__pool_kernel(const clseq__pool_pass *p, int kernel, clseq__kernel **out);

/* What kernels take: steps are keys and values, and the query is the same for all rows. */
attention_record clseq__pool_record(const clseq__pool_pass *p, const clseq_tensor *x);

/* y as rows (t,b), of which there is one for each b where it is not causal. */
attention_rows clseq__pool_rows_of_y(const clseq__pool_pass *p, const clseq_tensor *y);

/* Steps as they are projected, [T,B,units]. */
clseq_tensor clseq__pool_projected(const clseq__pool_pass *p);

#endif
