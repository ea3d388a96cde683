/*
 * Strided and stretched tensors for kernels that work element by element: a walk says where each element of each
 * operand stands, in as few dimensions as will do. The kernels' side is cl/core/walk.clh.
 */
#ifndef CLSEQ_CORE_WALK_H
#define CLSEQ_CORE_WALK_H

#include "core/walk_record.h"

#include <clseq/tensor.h>

/*
 * Whether x can be stretched to these dims: both are aligned at the last one, and each dim of x is the same or 1, or is
 * missing in front.
 */
bool clseq__stretches(const clseq_tensor *x, int ndim, const int64_t *dims);

/* x under these dims, to which it can be stretched, with strides of 0 where it is. */
clseq_tensor clseq__stretched(const clseq_tensor *x, int ndim, const int64_t *dims);

/* x with dims of 1 in front, `ndim` of them in all. */
clseq_tensor clseq__aligned(const clseq_tensor *x, int ndim);

/*
 * The walk over `count` checked operands (at most WALK_OPERANDS) of the same dims. Dims of 1 are dropped, the others go
 * by the strides of the last operand, the one that is written, and dims that lie within each other in every operand
 * become one. What is left is at least one dim: packed operands are one run.
 */
void clseq__walk_make(int count, const clseq_tensor *const *operands, walk_record *out);

/* Whether every one of `count` operands is one run without gaps. */
bool clseq__walk_is_packed(const walk_record *walk, int count);

#endif
