/* What the kernels between layers take beside their buffers. Sizes, strides and places count floats. */
#ifndef RNN_BETWEEN_RECORD_H
#define RNN_BETWEEN_RECORD_H

#include "core/record.h"

/* A sequence [T,B,F], its elements side by side. */
#define BETWEEN_VIEW(M) \
    M(clseq_long, at)   \
    M(clseq_long, t)    \
    M(clseq_long, b)
CLSEQ_RECORD(between_view, BETWEEN_VIEW);

/* A sum of two sequences. */
#define BETWEEN_SUM(M)    \
    M(clseq_long, T)      \
    M(clseq_long, B)      \
    M(clseq_long, F)      \
    M(between_view, from) \
    M(between_view, to)
CLSEQ_RECORD(between_sum, BETWEEN_SUM);

#endif
