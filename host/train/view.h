/* Views of tensors, as numbers: nothing here touches a device. */
#ifndef CLSEQ_TRAIN_VIEW_H
#define CLSEQ_TRAIN_VIEW_H

#include <clseq/tensor.h>

/* Dim i of the result is dim order[i] of x. */
clseq_tensor clseq__view_permute(const clseq_tensor *x, const int *order);

/* Whether x, with dims of 1 in front where it has fewer, has these dims but for dims of 1; that view, with strides of 0
 * where a dim was stretched. */
bool clseq__view_expands(const clseq_tensor *x, int ndim, const int64_t *dims);
clseq_tensor clseq__view_expand(const clseq_tensor *x, int ndim, const int64_t *dims);

/* x with dims of 1 in front, as many as make `ndim`. */
clseq_tensor clseq__view_lead(const clseq_tensor *x, int ndim);

/* The same elements in the same order under other dims, where strides can say that; otherwise false. */
bool clseq__view_reshape(const clseq_tensor *x, int ndim, const int64_t *dims, clseq_tensor *out);

#endif
