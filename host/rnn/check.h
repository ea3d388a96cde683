/*
 * Checks of everything that callers give to recurrent plans. They cost a few comparisons an argument. What can be wrong
 * with a descriptor stands in check_desc.c, with pieces of a pass in check_pieces.c, with the arguments of calls in check.c, with
 * where these lie in uses.h.
 */
#ifndef CLSEQ_RNN_CHECK_H
#define CLSEQ_RNN_CHECK_H

#include "rnn/plan.h"

/* Kernels count the elements of one step and of one weight matrix in 32 bits, everything else in 64. */
#define CLSEQ__STEP_LIMIT 2147483647.0

clseq_status clseq__rnn_check_range(const char *call, const char *name, int64_t value);

clseq_status clseq__rnn_check_desc(const clseq_rnn_desc *desc);

/* Plan and shape are there, T and B in range, and one step stays under what kernels count with. */
clseq_status clseq__rnn_check_shape(const char *call, const clseq_rnn_plan *plan,
                                    const clseq_rnn_shape *shape);

/* The shape of a pass in pieces is one that may be. */
clseq_status clseq__rnn_check_pieces(const char *call, const clseq_rnn_plan *plan,
                                     const clseq_rnn_shape *shape);

/* first and count are steps of the pass, in pieces, or nothing; in pieces there are no lengths. */
clseq_status clseq__rnn_check_part(const char *call, const clseq_rnn_shape *shape, int64_t first,
                                   int64_t count, const clseq_tensor *lengths);

/* `time` leaves random numbers for all that the pass draws. */
clseq_status clseq__rnn_check_time(const char *call, const clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                   int64_t time);

/* No buffer is larger than the device can make and address. */
clseq_status clseq__rnn_check_sizes(const char *call, const clseq_rnn_plan *plan,
                                    const clseq_rnn_sizes *sizes);

/* What the calls are given, whose shape and sizes have been checked. */
clseq_status clseq__rnn_check_pack(const clseq_rnn_plan *plan, const clseq_rnn_sizes *sizes,
                                   const clseq_tensor *weights, const clseq_tensor *packed);
clseq_status clseq__rnn_check_forward(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                      const clseq_rnn_sizes *sizes, const clseq_rnn_forward_args *args);
clseq_status clseq__rnn_check_weight_gradients(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                               const clseq_rnn_sizes *sizes,
                                               const clseq_rnn_weight_gradients_args *args);
clseq_status clseq__rnn_check_backward(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                       const clseq_rnn_sizes *sizes, const clseq_rnn_backward_args *args);

#endif
