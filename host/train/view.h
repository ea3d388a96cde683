/* Views of tensors, as numbers: nothing here touches a device. */
#ifndef CLSEQ_TRAIN_VIEW_H
#define CLSEQ_TRAIN_VIEW_H

#include <clseq/tensor.h>

/* Dim i of the result is dim order[i] of x. */
clseq_tensor clseq__view_permute(const clseq_tensor *x, const int *order);

/* The same elements in the same order under other dims, where strides can say that; otherwise false. */
bool clseq__view_reshape(const clseq_tensor *x, int ndim, const int64_t *dims, clseq_tensor *out);

#endif
