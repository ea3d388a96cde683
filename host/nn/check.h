/*
 * Checks of arguments that the operations of host/nn share. `what` is the operation and the argument, "dropout: x", a
 * prefix of the sentence of a failure.
 */
#ifndef CLSEQ_NN_CHECK_H
#define CLSEQ_NN_CHECK_H

#include <clseq/tensor.h>

/* A packed tensor of any shape. */
clseq_status clseq__check_any(clseq_context *ctx, const char *what, const clseq_tensor *tensor,
                              clseq_dtype dtype);

/* A tensor of any shape and any strides. */
clseq_status clseq__check_strided(clseq_context *ctx, const char *what, const clseq_tensor *tensor,
                                  clseq_dtype dtype);

/* A tensor of any strides that can be stretched to these dims (core/walk.h). */
clseq_status clseq__check_stretches(clseq_context *ctx, const char *what, const clseq_tensor *tensor,
                                    clseq_dtype dtype, int ndim, const int64_t *dims);

/* A packed f32 tensor of the same dims as `like`, which was checked before. */
clseq_status clseq__check_like(clseq_context *ctx, const char *what, const clseq_tensor *tensor,
                               const clseq_tensor *like);

/* A packed tensor [..., last], `leading` standing for the dots; last -1: any. */
clseq_status clseq__check_rows(clseq_context *ctx, const char *what, const clseq_tensor *tensor,
                               clseq_dtype dtype, int leading_count, const int64_t *leading, int64_t last);

/* A tensor of exactly one element, of any number of dimensions. */
clseq_status clseq__check_scalar(clseq_context *ctx, const char *what, const clseq_tensor *tensor);

/* No two elements of a checked tensor stand in one place. */
clseq_status clseq__check_written(const char *what, const clseq_tensor *out);

/* Two checked tensors share no element; with `same`, they may also be the same view. */
clseq_status clseq__check_apart(const char *what, const clseq_tensor *out, const char *other,
                                const clseq_tensor *in, bool same);

/* Two arguments of a kernel: the buffer of a tensor and where in it that begins; NULL and 0 where the tensor is NULL. */
#define CLSEQ__PLACE(t) CLSEQ__M((t) ? (t)->buffer : NULL), CLSEQ__L((t) ? (t)->offset : 0)

#endif
