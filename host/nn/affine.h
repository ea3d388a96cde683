/* clseq_nn_affine_forward and _backward with weights that may be packed. */
#ifndef CLSEQ_NN_AFFINE_H
#define CLSEQ_NN_AFFINE_H

#include <clseq/gemm.h>
#include <clseq/nn.h>

/* `packed`: w transposed, as operand B; NULL: w is read. The bits are the same. */
clseq_status clseq__affine_forward(clseq_context *ctx, const clseq_tensor *x, const clseq_tensor *w,
                                   const clseq_packed *packed, const clseq_tensor *b, const clseq_tensor *y);

/* `packed`: w, as operand B. */
clseq_status clseq__affine_backward(clseq_context *ctx, const clseq_tensor *x, const clseq_tensor *w,
                                    const clseq_packed *packed, const clseq_tensor *dy,
                                    const clseq_tensor *dx, const clseq_tensor *dw, const clseq_tensor *db);

#endif
