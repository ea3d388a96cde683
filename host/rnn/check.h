/* Checks of everything that callers give to recurrent plans. They cost no more than a few comparisons. */
#ifndef CLSEQ_RNN_CHECK_H
#define CLSEQ_RNN_CHECK_H

#include "rnn/schedule.h"

clseq_status clseq__rnn_check_desc(const clseq_rnn_desc *desc);

/* Plan and shape are there, T and B in range, and all sizes stay under what kernels count with. */
clseq_status clseq__rnn_check_shape(const char *call, const clseq_rnn_plan *plan,
                                    const clseq_rnn_shape *shape);

/*
 * One set of weights a layer, or of their gradients where `optional` is set: then every tensor may be missing.
 * `what` names the call and the argument, "rnn pack: weights".
 */
clseq_status clseq__rnn_check_weights(const char *what, const clseq_rnn_plan *plan,
                                      const clseq_rnn_weights *weights, bool optional);

/* A buffer of the caller's for the library's own use: [at least `need`], packed. */
clseq_status clseq__rnn_check_room(const char *what, const clseq_tensor *tensor, int64_t need);

clseq_status clseq__rnn_check_forward(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                      const clseq_rnn_sizes *sizes, const clseq_rnn_forward_args *args);
clseq_status clseq__rnn_check_backward(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                       const clseq_rnn_sizes *sizes, const clseq_rnn_backward_args *args);

#endif
