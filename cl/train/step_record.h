/* What an optimiser's step takes beside its buffers: for cl/train/optimizer.cl and host/train, C and OpenCL C. */
#ifndef TRAIN_STEP_RECORD_H
#define TRAIN_STEP_RECORD_H

#include "core/record.h"

/*
 * n: floats, a multiple of STEP_BLOCK. rate: of the step, with the corrections that a rule makes to it. decay: of the
 * weights, times `coupled` in the gradient and times `decoupled`, 0 or the rate without corrections, in the value. The
 * rest is the rule's: beta1 is the momentum of SGD, rest1 and rest2 are 1 - beta. `unused` fills a hole.
 */
#define STEP_RECORD(M)         \
    M(clseq_long, n)           \
    M(clseq_float, rate)       \
    M(clseq_float, decay)      \
    M(clseq_float, coupled)    \
    M(clseq_float, decoupled)  \
    M(clseq_float, beta1)      \
    M(clseq_float, rest1)      \
    M(clseq_float, beta2)      \
    M(clseq_float, rest2)      \
    M(clseq_float, correction) \
    M(clseq_float, eps)        \
    M(clseq_int, nesterov)     \
    M(clseq_int, unused)
CLSEQ_RECORD(step_record, STEP_RECORD);

/* Floats that share an entry of the table by block, {factor on the rate, decay}; parameters begin at multiples of it. */
#define STEP_BLOCK 64
/* The factor that stands for: stays as it is. */
#define STEP_FROZEN (-1.0f)

#endif
