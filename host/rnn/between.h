/*
 * What becomes of a sequence [T,B,F] on its way from one layer to the next, or of its gradient on the way back: dropout, and
 * the sum with what the layer read. Each is one launch.
 */
#ifndef CLSEQ_RNN_BETWEEN_H
#define CLSEQ_RNN_BETWEEN_H

#include "rnn/plan.h"

/* The kernels that the plan's options need. */
clseq_status clseq__between_create(clseq_rnn_plan *plan);

/* The most launches of either pass. */
int64_t clseq__between_launches(const clseq_rnn_plan *plan, clseq_mode mode);

/* Dropout in place of what layer l hands to the next one, packed, or of its gradient; the first of the rows draws as those of
 * draws->time do. */
clseq_status clseq__between_drop(const clseq_rnn_plan *plan, int64_t l, const clseq__pass_draws *draws,
                                 const clseq_tensor *rows);

/* to += from, [T,B,F], both with any strides of steps and rows. The kernel is made when it is first needed. */
clseq_status clseq__between_add(clseq_context *ctx, const clseq_tensor *from, const clseq_tensor *to);

#endif
