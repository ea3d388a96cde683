/* How tests disturb the groups of a team (cl/core/team_control.h), and whether a device can show it. */
#ifndef CLSEQ_TESTS_SUPPORT_TEAM_TROUBLE_H
#define CLSEQ_TESTS_SUPPORT_TEAM_TROUBLE_H

#include "core/context.h"

#include "cl/core/team_control.h"

/* Every n-th of something is forced (0: none); a late member begins `delay` polls late. */
typedef struct team_trouble {
    const char *name;
    int drop, quit, late, delay;
    int patience; /* of who waits, in polls; for tests that set it */
} team_trouble;

/* Adds the probe's counts to `seen` and sets what is forced next, between launches of kernels with -DTEAM_PROBES=1. Returns
 * OpenCL's code. */
int team_trouble_set(clseq_context *ctx, cl_mem control, const team_trouble *next,
                     long seen[TEAM_PROBES_END]);

/* How often each combination is run: CLSEQ_TEST_TEAM_PASSES, or once for small shapes, or `usual`. */
int team_trouble_passes(int usual);

/* What others write while it is polled is a race to Oclgrind, so a launch has to have one group there. */
bool team_trouble_counts_as_race(const clseq_context *ctx);

#endif
