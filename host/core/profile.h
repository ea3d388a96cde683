/*
 * How long what was enqueued ran on the device, summed by name. A context that does not profile has none and
 * every function here does nothing.
 *
 * A command whose event is at hand:
 *
 *     cl_event event = NULL;
 *     clEnqueueNDRangeKernel(..., clseq__profiles(ctx) ? &event : NULL);
 *     clseq__profile_event(ctx, "gemm_tile", event);
 *
 * Several commands of somebody else's, for instance one call of CLBlast:
 *
 *     cl_event begin = clseq__profile_begin(ctx);
 *     ... enqueue ...
 *     clseq__profile_end(ctx, "clblast sgemm", begin);
 */
#ifndef CLSEQ_CORE_PROFILE_H
#define CLSEQ_CORE_PROFILE_H

#include "core/context.h"

clseq_status clseq__profile_create(clseq__profile **out);
void clseq__profile_destroy(clseq__profile *profile);

/* Whether the context measures. */
bool clseq__profiles(const clseq_context *ctx);

/* Adds one command to the row `name`, which is copied. Takes the event over; NULL is allowed. */
void clseq__profile_event(clseq_context *ctx, const char *name, cl_event event);

/* Marks the place in the queue where a span begins, and ends it as one call of the row `name`. */
cl_event clseq__profile_begin(clseq_context *ctx);
void clseq__profile_end(clseq_context *ctx, const char *name, cl_event begin);

#endif
