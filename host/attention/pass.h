/*
 * Where calls keep what, and what they are made of. All places count floats.
 *
 * Memory:                      Kept, in training in the reserve, in inference in the workspace, a row each for T queries:
 *   keys     [B][S][units_row]   queries    [T][B][query_row]
 *   values   [B][S][value_row]   projected  [T][B][units_row]   with the bias; `queries` where nothing is projected
 *   vector   [units_row]         alignment  [T][B][S]
 *   counts   [B][S] i32          hidden     [T][B][centre_row]  of predicted centres; later its gradient
 *   lengths  [B] i32             centres    [T][B]              later their gradients
 *                                before     [T+1][B][S]         with a location: a before each query
 *
 * Gathered in the reserve:     Scratch:
 *   dcontext    [T][B][value_row]  dscores    [T][B][S]
 *   dprojected  [T][B][units_row]  near       [B][S][units_row]  with a location: keys with where was looked before
 *   dkeys       [B][S][units_row]  dnear      [B][S][units_row]
 *   dvector     [B][units_row]     features   [B][S][C]
 *   dcentring   [B][centre_row]    dfeatures  [B][S][C]
 *   dbefore     [B][S]             copied     [B][S][key_row]    the keys, zeros where they do not count
 *   dfilter     [C][width]         dnormal    [units_row]        the gradient of the normalised v
 *   dlocation   [units][C]
 */
#ifndef CLSEQ_ATTENTION_PASS_H
#define CLSEQ_ATTENTION_PASS_H

#include "attention/plan.h"

typedef struct clseq__attention_places {
    int64_t keys, values, vector, counts, lengths, memory_end;
    int64_t queries, projected, alignment, hidden, centres, before, kept_end;
    int64_t dcontext, dprojected, dkeys, dvector, dcentring, dbefore, dfilter, dlocation, reserve_end;
    int64_t dscores, near, dnear, features, dfeatures, copied, dnormal, scratch_end;
} clseq__attention_places;

void clseq__attention_place(const clseq_attention_plan *plan, const clseq_attention_shape *shape,
                            clseq__attention_places *out);

/* A call that has been checked. Places count from the beginnings of the buffers. */
typedef struct clseq__attention_pass {
    const clseq_attention_plan *plan;
    clseq_context *ctx;
    const clseq_tensor *weights;
    int64_t T, S, B; /* of the shape */
    int64_t first, count;
    int64_t row; /* of `first` among the kept rows */
    cl_mem memory, kept, scratch;
    clseq__attention_places at;
} clseq__attention_pass;

/* `reserve` is none in inference and where nothing is kept. */
clseq__attention_pass clseq__attention_begin(const clseq_attention_plan *plan,
                                             const clseq_attention_shape *shape, const clseq_tensor *weights,
                                             const clseq_tensor *memory, const clseq_tensor *reserve,
                                             const clseq_tensor *workspace, int64_t first, int64_t count);

/* What kernels take of queries [t, t + count), t counted from the pass's first one. */
attention_record clseq__attention_record_of(const clseq__attention_pass *p, int64_t t, int64_t count);

/* Rows (i,j) of a tensor [i,j,n]; of packed rows of `width` numbers, `inner` of them to an i. */
attention_rows clseq__attention_rows_of(const clseq_tensor *x);
attention_rows clseq__attention_packed_rows(int64_t at, int64_t inner, int64_t width);

/* [i,j,n] of packed rows of `width` numbers. */
clseq_tensor clseq__attention_view(cl_mem buffer, int64_t at, int64_t i, int64_t j, int64_t n, int64_t width);

/* The place of the call's first row of kept rows [T][B][width]. */
static inline int64_t clseq__attention_row_at(const clseq__attention_pass *p, int64_t place, int64_t width)
{
    return place + p->row * p->B * width;
}

/* Copies x [outer,inner,n], zeros where counts (NULL: none) are 0, into rows filled up to `padded`. */
clseq_status clseq__attention_copy(clseq_context *ctx, clseq__kernel *kernel, const clseq_tensor *x,
                                   cl_mem counts, int64_t counts_at, cl_mem to, attention_rows rows,
                                   int64_t padded);

/* `rows` rows of x [n], or of zeros where there is none. */
clseq_status clseq__attention_fill(clseq_context *ctx, clseq__kernel *kernel, int64_t rows,
                                   const clseq_tensor *x, int64_t padded, cl_mem to, int64_t at);

/* Which keys [S,B] count, by lengths and a mask, either of which may be none. */
clseq_status clseq__attention_counts(clseq_context *ctx, clseq__kernel *kernel, int64_t S, int64_t B,
                                     const clseq_tensor *lengths, const clseq_tensor *mask, cl_mem to,
                                     int64_t counts_at, int64_t lengths_at);

/* Whether the rows of [i,j,n] lie evenly one after another. */
bool clseq__attention_is_even(const clseq_tensor *x);

/*
 * C(t) = A(t) op(W) + beta C(t) for each t of c [T,B,n] and a [T,B,k]. Rows are the same bits whatever T is: on devices whose
 * products do not promise that, and where rows lie unevenly, there is a product for each t.
 */
clseq_status clseq__attention_product(clseq_context *ctx, const clseq_tensor *a, const clseq_tensor *w,
                                      bool transpose_w, float beta, const clseq_tensor *c);

/* C += A^T B over all rows of a [i,j,m] and b [i,j,n], both packed; overwritten where `beta` is 0. */
clseq_status clseq__attention_outer(clseq_context *ctx, const clseq_tensor *a, const clseq_tensor *b,
                                    float beta, const clseq_tensor *c);

/* The attention_forward launch of queries [t, t + count) with keys that lie at `keys_at` of a buffer. */
clseq_status clseq__attention_ask(const clseq__attention_pass *p, int64_t t, int64_t count, cl_mem keys,
                                  int64_t keys_at, const clseq_attention_forward_args *args);

/* Zeroes what backward adds to in the reserve. */
clseq_status clseq__attention_clear(const clseq__attention_pass *p);

/* With a location: all queries of a call, one after another, forward; and one, t, before and after attention_dproject. */
clseq_status clseq__attention_locate(const clseq__attention_pass *p,
                                     const clseq_attention_forward_args *args);
clseq_status clseq__attention_locate_again(const clseq__attention_pass *p, int64_t t);
clseq_status clseq__attention_locate_backward(const clseq__attention_pass *p, int64_t t);

#endif
