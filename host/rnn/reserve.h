/*
 * Which reserves hold a forward pass that waits for its backward pass, by what the calls of a context were given: the
 * host knows it without waiting for the device. A pass has an entry for each layer's reserve, made by the forward pass and
 * taken away by its backward pass or by whatever else is written over it through plans, so that there are as many as
 * reserves are in flight. A pass of which one entry is gone is lost. Each piece of a pass makes its entries anew, so that a call
 * that has failed on its way leaves none.
 */
#ifndef CLSEQ_RNN_RESERVE_H
#define CLSEQ_RNN_RESERVE_H

#include "rnn/plan.h"

/* How far a pass is: steps that forward has run, and those of them that backward has not. */
typedef struct clseq__pass_progress {
    clseq__pass_draws draws;
    int64_t ran, left;
} clseq__pass_progress;

/* CLSEQ_INVALID_STATE unless a piece is the next one of a pass in pieces, forward from step `first` on, or backward; or all are
 * done but the weights' gradients. */
clseq_status clseq__progress_check_forward(const clseq__pass_progress *at, int64_t first);
clseq_status clseq__progress_check_backward(const clseq__pass_progress *at, int64_t first, int64_t count);
clseq_status clseq__progress_check_weights(const clseq__pass_progress *at);

/* Makes room for the entries of one more pass, so that clseq__reserve_filled cannot fail. */
clseq_status clseq__reserve_prepare(clseq_rnn_plan *plan);

/* `bytes` bytes of a tensor are written: entries that they touch are no more. */
void clseq__reserve_written(clseq_context *ctx, const clseq_tensor *tensor, int64_t bytes);

/* A pass of this shape writes all its reserves, [L]. */
void clseq__reserve_all_written(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                const clseq_tensor *reserve);

/* A pass of this plan and shape, or its next piece, has been enqueued into reserves that were said to be written before. */
void clseq__reserve_filled(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                           const clseq_tensor *reserve, const clseq__pass_progress *at);

/* CLSEQ_INVALID_STATE unless the reserves hold, layer by layer, one pass of a plan like this one and this shape; how far it is. */
clseq_status clseq__reserve_check(const char *call, const clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                  const clseq_tensor *reserve, clseq__pass_progress *at);

/* A plan is destroyed; its passes go on waiting. */
void clseq__reserve_plan_gone(clseq_rnn_plan *plan);

#endif
