/* The weight of a linear layer packed for its products, made anew when the store's values have changed. */
#ifndef CLSEQ_TRAIN_LINEAR_PACKED_H
#define CLSEQ_TRAIN_LINEAR_PACKED_H

#include "train/params.h"
#include <clseq/gemm.h>

/* For one product: x W^T or dy W. All zero is not packed yet. */
typedef struct clseq__linear_packed {
    clseq_packed *packed;
    uint64_t version; /* of the store, that `packed` has the values of */
    uint64_t asked;   /* the last one that was asked for */
} clseq__linear_packed;

/*
 * The packed weight for a product of so many rows, or NULL where reading it as it lies costs less: packing takes about as
 * long as a product saves by it, so that it begins with the second product of the same values, and what it saves is little
 * where there are many rows.
 */
clseq_status clseq__linear_packed_get(clseq__linear_packed *p, const clseq_param *weight, bool transpose,
                                      int64_t rows, const clseq_packed **out);

#endif
