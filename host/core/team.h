/*
 * The host's side of teams (cl/core/team.clh): groups of one launch that share the work of row blocks.
 */
#ifndef CLSEQ_CORE_TEAM_H
#define CLSEQ_CORE_TEAM_H

#include "core/context.h"

/*
 * The control buffer of launches with up to `blocks` blocks and `members` members, from the pool and zeroed. Launches that
 * use it run one after another, as those of a context do; each leaves it zeroed for the next. The sentence of a failure
 * starts with `what`.
 */
clseq_status clseq__team_control_create(clseq_context *ctx, int blocks, int members, const char *what,
                                        cl_mem *control);

/*
 * How many groups of one work-item to launch: with one member (TEAM=0) one for each block, otherwise twice as many as find
 * work. Those that are over leave at once, or take the place of one that was late. Any other number gives the same results.
 */
size_t clseq__team_groups(int blocks, int members);

#endif
