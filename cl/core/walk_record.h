/* How kernels walk over tensors of any strides: made by host/core/walk.c, followed by core/walk.clh. */
#ifndef CORE_WALK_RECORD_H
#define CORE_WALK_RECORD_H

#include "core/record.h"

/* As many dimensions as a tensor has, and most tensors that one kernel walks over. */
#define WALK_DIMS 6
#define WALK_OPERANDS 6

/* Where one tensor's elements stand; a stride of 0 where it is stretched. */
#define WALK_OPERAND(M)   \
    M(clseq_long, offset) \
    M(clseq_long, stride[WALK_DIMS])
CLSEQ_RECORD(walk_operand, WALK_OPERAND);

/* n elements of `dims` dimensions, dimension 0 the innermost: the other way round than in tensors. */
#define WALK_RECORD(M)            \
    M(clseq_long, n)              \
    M(clseq_long, dims)           \
    M(clseq_long, dim[WALK_DIMS]) \
    M(walk_operand, operand[WALK_OPERANDS])
CLSEQ_RECORD(walk_record, WALK_RECORD);

#endif
