/*
 * The schedule team for CPU devices: one launch a layer forward, two backward. Batch rows are cut into R blocks and the
 * units of each between U groups, which meet after each phase (cl/core/team.clh); team_grid.h tells how R and U are chosen.
 * cl/rnn/team.clh shows the layout of what is kept, cl/rnn/team_forward.cl and team_backward.cl tell what the kernels do.
 */
#ifndef CLSEQ_RNN_TEAM_H
#define CLSEQ_RNN_TEAM_H

#include "core/launch.h"
#include "rnn/schedule.h"
#include "rnn/team_grid.h"
#include "rnn/team_record.h"

/* What a plan holds for a layer. Steps are made when a shape first needs them: [0] one group a block, [1] several. */
typedef struct clseq__team {
    clseq_context *ctx;
    clseq__kernel *pack, *weights;
    clseq__kernel *forward[2], *backward[2];
    cl_mem control;        /* of launches with several groups a block; NULL until there is one */
    clseq__team_grid grid; /* that it is large enough for, the blocks of all directions */
} clseq__team;

/* The weights, in floats from where the forward and the backward part begin; -1: it has none. */
typedef struct clseq__team_packed {
    int64_t w_x, w_h[TEAM_PHASES], w_projection, units, end;
    int64_t back_x, back_h[TEAM_PHASES], back_projection, back_end;
} clseq__team_packed;

/* Where a layer's things lie for a shape, in floats. */
typedef struct clseq__team_layout {
    team_sizes sizes;
    clseq__team_grid grid;
    team_sharing sharing;
    int64_t rows, chunks; /* of a block, at most */
    /* In the reserve in training, else in the workspace. */
    team_kept kept;
    team_array x; /* the layer's copy of what it reads */
    int64_t kept_end;
    /* In the workspace, after what is kept where that lies there. Of both passes: what is on its way in a team, and
     * scratch. */
    team_array versions;
    /* Of backward, what gradients of weights are made of: in pieces in the reserve. */
    team_array dgates, dh;
    int64_t db;
    /* And what nothing needs any more then. */
    team_array dstates, back_versions, means, dx;
    int64_t sums, sums_floats, by_token;
    /* A second direction has the same again, `second` further on; what it adds to the rows of the first comes last. */
    int64_t second, added, workspace_end;
    /* Between layers, all chunks: h of this layer, and of the one below; gradients of both. */
    team_array chain, chain_below, dchain, dchain_below;
    int64_t chain_end, dchain_end; /* of chain and dchain_below */
    int64_t segments; /* chunks that the weights' gradients sum up before they add to the result */
    clseq__team_packed packed;
} clseq__team_layout;

/* What the model of a grid looks at. */
clseq__team_work clseq__team_work_of(const clseq__rnn_layer *layer, const clseq_rnn_shape *shape);

clseq__team_layout clseq__team_layout_of(const clseq__rnn_layer *layer, const clseq_rnn_shape *shape);

/* Makes the kernel of a pass, and the control buffer, where they are not there yet. */
clseq_status clseq__team_prepare(const clseq__rnn_layer *layer, clseq__team *team, clseq__team_grid grid,
                                 bool backward);

clseq_status clseq__team_pack(const clseq__layer_pass *pass, const clseq_tensor *weights);
clseq_status clseq__team_forward(const clseq__layer_pass *pass, const clseq__layer_forward *args);
clseq_status clseq__team_backward(const clseq__layer_pass *pass, const clseq__layer_backward *args);
clseq_status clseq__team_weights(const clseq__layer_pass *pass, const clseq__layer_weights *args);

#endif
