/*
 * Which reserves hold a forward pass that waits for its backward pass, by what the calls of a context were given: the
 * host knows it without waiting for the device. A pass has an entry for each layer's reserve, made by the forward pass and
 * taken away by its backward pass or by whatever else is written over it through plans, so that there are as many as
 * reserves are in flight. A pass of which one entry is gone is lost.
 */
#ifndef CLSEQ_RNN_RESERVE_H
#define CLSEQ_RNN_RESERVE_H

#include "rnn/plan.h"

/* Makes room for the entries of one more pass, so that clseq__reserve_filled cannot fail. */
clseq_status clseq__reserve_prepare(clseq_rnn_plan *plan);

/* `bytes` bytes of a tensor are written: entries that they touch are no more. */
void clseq__reserve_written(clseq_context *ctx, const clseq_tensor *tensor, int64_t bytes);

/* A pass of this shape writes all its reserves, [L]. */
void clseq__reserve_all_written(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                const clseq_tensor *reserve);

/* A forward pass of this plan and shape has been enqueued into reserves that were said to be written before. Its seed and
 * stream are kept. */
void clseq__reserve_filled(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                           const clseq_rnn_forward_args *args);

/* CLSEQ_INVALID_STATE unless the reserves hold, layer by layer, one pass of a plan like this one and this shape; its seed
 * and stream. */
clseq_status clseq__reserve_check(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                  const clseq_tensor *reserve, uint64_t *seed, uint64_t *stream);

/* A plan is destroyed; its passes go on waiting. */
void clseq__reserve_plan_gone(clseq_rnn_plan *plan);

#endif
