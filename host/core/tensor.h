/* Checks of tensors that come from outside. `what` is the operation and argument, "rnn forward: x". */
#ifndef CLSEQ_CORE_TENSOR_H
#define CLSEQ_CORE_TENSOR_H

#include <clseq/tensor.h>

/*
 * The tensor is there, has this type and exactly these dims (-1: any, at least 1), its strides are not
 * negative and, where `rows` is set, its last stride is 1, and it lies within its buffer, which is the context's.
 */
clseq_status clseq__tensor_check(clseq_context *ctx, const char *what, const clseq_tensor *tensor,
                                 clseq_dtype dtype, int ndim, const int64_t *dims, bool rows);

/* As above, and packed without gaps. */
clseq_status clseq__tensor_check_packed(clseq_context *ctx, const char *what, const clseq_tensor *tensor,
                                        clseq_dtype dtype, int ndim, const int64_t *dims);

/* "[5,3,7]" into `text`, which is returned. */
#define CLSEQ__DIMS_TEXT (CLSEQ_MAX_DIMS * 20 + 3)
char *clseq__dims_text(char text[CLSEQ__DIMS_TEXT], int ndim, const int64_t *dims);

#endif
