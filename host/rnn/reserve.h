/*
 * Which reserves hold a forward pass that waits for its backward pass, by what the calls of a context were given: the
 * host knows it without waiting for the device. An entry is made by the forward pass and taken away by its backward pass
 * or by whatever else is written over it through plans, so that there are as many as passes are in flight.
 */
#ifndef CLSEQ_RNN_RESERVE_H
#define CLSEQ_RNN_RESERVE_H

#include "rnn/schedule.h"

/* Makes room for one more entry, so that clseq__reserve_filled cannot fail. */
clseq_status clseq__reserve_prepare(clseq_context *ctx);

/* `count` floats of a buffer are written: entries that they touch are no more. */
void clseq__reserve_written(clseq_context *ctx, const clseq_tensor *tensor, int64_t count);

/* A forward pass of this plan and shape has been enqueued that keeps `count` floats in `reserve`, which were said to be
 * written before. */
void clseq__reserve_filled(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                           const clseq_tensor *reserve, int64_t count);

/* CLSEQ_INVALID_STATE unless the reserve holds a pass of a plan like this one and this shape. */
clseq_status clseq__reserve_check(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                  const clseq_tensor *reserve);

#endif
