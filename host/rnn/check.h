/* Checks of everything that callers give to recurrent plans. They cost no more than a few comparisons. */
#ifndef CLSEQ_RNN_CHECK_H
#define CLSEQ_RNN_CHECK_H

#include "rnn/schedule.h"

clseq_status clseq__rnn_check_desc(const clseq_rnn_desc *desc);

/* Plan and shape are there, T and B in range, and all sizes stay under what kernels count with. */
clseq_status clseq__rnn_check_shape(const char *call, const clseq_rnn_plan *plan,
                                    const clseq_rnn_shape *shape);

/* What clseq_rnn_pack is given. */
clseq_status clseq__rnn_check_pack(const clseq_rnn_plan *plan, const clseq_rnn_sizes *sizes,
                                   const clseq_rnn_weights *weights, const clseq_tensor *packed);

clseq_status clseq__rnn_check_forward(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                      const clseq_rnn_sizes *sizes, const clseq_rnn_forward_args *args);
clseq_status clseq__rnn_check_backward(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                       const clseq_rnn_sizes *sizes, const clseq_rnn_backward_args *args);

#endif
