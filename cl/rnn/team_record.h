/*
 * What the kernels of the schedule team take beside their buffers; host/rnn/team_pass.c fills it in. Offsets (`at`) and
 * strides count floats. team.clh shows where things lie.
 */
#ifndef RNN_TEAM_RECORD_H
#define RNN_TEAM_RECORD_H

#include "core/record.h"
#include "rnn/cell_values.h"

/* States, phases, products of matrices, and weights at most; host/rnn/cells.h has the same numbers. */
#define TEAM_STATES 4
#define TEAM_PHASES 3
#define TEAM_MATRICES 5
#define TEAM_PARTS 12
#define TEAM_VECTORS 8

/*
 * An array of all batch rows over all steps. That of the block of rows [r0,r1) begins at `at` + r0 * `row`, and its
 * chunks lie (r1 - r0) * `chunk` apart. Chunk i of time has place i & `places`: -1 each its own, 1 two that they take by
 * turns, 0 one for all.
 */
#define TEAM_ARRAY(M)    \
    M(clseq_long, at)    \
    M(clseq_long, row)   \
    M(clseq_long, chunk) \
    M(clseq_long, places)
CLSEQ_RECORD(team_array, TEAM_ARRAY);

/* A tensor [T,B,columns]. */
#define TEAM_ROWS(M)  \
    M(clseq_long, at) \
    M(clseq_long, t)  \
    M(clseq_long, b)
CLSEQ_RECORD(team_rows, TEAM_ROWS);

/* Sizes: T (of a piece of a pass: its own), B, in, H, O; steps a chunk; blocks of rows; whether rows run from their last step to
 * their first. */
#define TEAM_SIZES(M)    \
    M(clseq_int, T)      \
    M(clseq_int, B)      \
    M(clseq_int, I)      \
    M(clseq_int, H)      \
    M(clseq_int, O)      \
    M(clseq_int, tc)     \
    M(clseq_int, blocks) \
    M(clseq_int, reverse)
CLSEQ_RECORD(team_sizes, TEAM_SIZES);

/*
 * How a block is shared out: to at most `members` groups. What a whole chunk takes one product for is cut into `parts`
 * steps; polls that a group may be late in such a step, and in others. Scratch of a group: `scratch` + slot * `floats`.
 */
#define TEAM_SHARING(M)    \
    M(clseq_long, scratch) \
    M(clseq_long, floats)  \
    M(clseq_int, members)  \
    M(clseq_int, parts)    \
    M(clseq_int, patience) \
    M(clseq_int, chunk_patience)
CLSEQ_RECORD(team_sharing, TEAM_SHARING);

/*
 * Two directions of a layer may share a launch: the second has the blocks [sizes.blocks, 2 * sizes.blocks), runs in
 * reverse, and finds its own things so far behind the first one's in the buffers of weights, of what is kept, and of the
 * workspace, and its random numbers. directions: 1, or 2.
 */
#define TEAM_SECOND(M)             \
    M(clseq_long, packed_forward)  \
    M(clseq_long, packed_backward) \
    M(clseq_long, kept)            \
    M(clseq_long, work)            \
    M(clseq_long, draws)           \
    M(clseq_int, directions)       \
    M(clseq_int, none)
CLSEQ_RECORD(team_second, TEAM_SECOND);

/*
 * Steps of a team for a phase, and how many times they write its slots anew. Forward: the products and then the map panel
 * by panel; where the phase has norms products, statistics and map one after the other. Backward: the map; means and norms.
 */
#define TEAM_STEPS_FORWARD(norms, has_product) ((norms) > 0 ? 2 + (has_product) : 1)
#define TEAM_STEPS_BACKWARD(norms) ((norms) > 0 ? 3 : 1)
#define TEAM_VERSIONS_FORWARD(norms, has_product) ((norms) > 0 ? 1 + (has_product) : 1)
#define TEAM_VERSIONS_BACKWARD(norms) ((norms) > 0 ? 2 : 1)

/* What a layer keeps of a pass. `states`: those after h. `quantities`: m is the last one where there is a projection.
 * `masked`: with recurrent dropout, what products of h read in its place. */
#define TEAM_KEPT(M)          \
    M(team_array, gates)      \
    M(team_array, h)          \
    M(team_array, states)     \
    M(team_array, quantities) \
    M(team_array, statistics) \
    M(team_array, masked)
CLSEQ_RECORD(team_kept, TEAM_KEPT);

/* Where a sequence comes from. */
#define TEAM_NONE 0
#define TEAM_FROM_ROWS 1
#define TEAM_FROM_TOKENS 2
#define TEAM_FROM_PANELS 3

/* versions: what the slots hold before they hold what is kept. y: of each direction, in a buffer of its own. first: of a piece of
 * a pass, the chunk that it begins with in arrays where each has its place. */
#define TEAM_FORWARD(M)                 \
    M(team_sizes, sizes)                \
    M(team_second, second)              \
    M(team_sharing, sharing)            \
    M(clseq_long, lengths)              \
    M(team_kept, kept)                  \
    M(team_array, versions)             \
    M(team_rows, x)                     \
    M(team_array, x_panels)             \
    M(team_rows, y[2])                  \
    M(clseq_long, w_x)                  \
    M(clseq_long, w_h[TEAM_PHASES])     \
    M(clseq_long, w_projection)         \
    M(clseq_long, units)                \
    M(clseq_long, initial[TEAM_STATES]) \
    M(clseq_long, final[TEAM_STATES])   \
    M(cell_values, values)              \
    M(clseq_int, x_from)                \
    M(clseq_int, first)
CLSEQ_RECORD(team_forward_record, TEAM_FORWARD);

/*
 * dgates: they take the place of the activations where one group has the block to itself. dh: of all steps, with a
 * projection. dy, dx: of each direction, dx in a buffer of its own. dstates: what goes from step to step; versions: that and
 * the slots on their way through a step. means: of the norms. sums: those of gradients of biases and parameters on their way,
 * sums_floats a block; db: in the end. first: as in forward. in_pieces: dgates, dh and db lie beside what forward has kept, else
 * in the workspace. goes_on: db holds the sums of the pieces after this one, which those of this one are added to.
 */
#define TEAM_BACKWARD(M)                 \
    M(team_sizes, sizes)                 \
    M(team_second, second)               \
    M(team_sharing, sharing)             \
    M(clseq_long, lengths)               \
    M(team_kept, kept)                   \
    M(team_array, dgates)                \
    M(team_rows, dy[2])                  \
    M(team_array, dy_panels)             \
    M(team_rows, dx[2])                  \
    M(team_array, dx_panels)             \
    M(team_array, dh)                    \
    M(team_array, dstates)               \
    M(team_array, versions)              \
    M(team_array, means)                 \
    M(clseq_long, sums)                  \
    M(clseq_long, sums_floats)           \
    M(clseq_long, db)                    \
    M(clseq_long, w_x)                   \
    M(clseq_long, w_h[TEAM_PHASES])      \
    M(clseq_long, w_projection)          \
    M(clseq_long, units)                 \
    M(clseq_long, dfinal[TEAM_STATES])   \
    M(clseq_long, dinitial[TEAM_STATES]) \
    M(cell_values, values)               \
    M(clseq_int, dy_from)                \
    M(clseq_int, want_dx)                \
    M(clseq_int, keeps_dx)               \
    M(clseq_int, in_pieces)              \
    M(clseq_int, first)                  \
    M(clseq_int, goes_on)
CLSEQ_RECORD(team_backward_record, TEAM_BACKWARD);

/*
 * A matrix [gates * units][columns], weight number `part`, of which `count` gates are used, gate (gates >> 4*k & 15) as
 * number k. In `forward` it lies [unit panel][k][columns][VW], in `backward`, where has_backward,
 * [column panel][k][units][VW].
 */
#define TEAM_MATRIX(M)         \
    M(clseq_long, w)           \
    M(clseq_long, forward)     \
    M(clseq_long, backward)    \
    M(clseq_int, part)         \
    M(clseq_int, has_backward) \
    M(clseq_int, units)        \
    M(clseq_int, columns)      \
    M(clseq_int, count)        \
    M(clseq_int, gates)
CLSEQ_RECORD(team_matrix, TEAM_MATRIX);

/* Weight number `part`, numbers of units: its gate number k belongs to row `row` + k of all that a unit has, its biases
 * by slot, then its parameters. */
#define TEAM_VECTOR(M)  \
    M(clseq_long, w)    \
    M(clseq_int, part)  \
    M(clseq_int, row)   \
    M(clseq_int, count) \
    M(clseq_int, gates)
CLSEQ_RECORD(team_vector, TEAM_VECTOR);

#define TEAM_PACK(M)                      \
    M(team_matrix, matrix[TEAM_MATRICES]) \
    M(team_vector, vector[TEAM_VECTORS])  \
    M(clseq_long, units)                  \
    M(clseq_int, matrices)                \
    M(clseq_int, vectors)                 \
    M(clseq_int, rows)                    \
    M(clseq_int, H)
CLSEQ_RECORD(team_pack_record, TEAM_PACK);

/*
 * dW[gate * units + u][column] (+)= the sum over all rows of `a` (slot `slot` + k, unit u) times `x` (column), for gate
 * number k. Buffers by number: 0 what forward kept, 1 the workspace, 2 what the layer below kept. x begins with panel
 * x_panel; its panels hold x_steps steps, of which the first x_skip are not used. by_token: x is tokens.
 */
#define TEAM_GRADIENT(M)   \
    M(team_array, a)       \
    M(team_array, x)       \
    M(clseq_long, dw)      \
    M(clseq_int, a_buffer) \
    M(clseq_int, x_buffer) \
    M(clseq_int, part)     \
    M(clseq_int, slot)     \
    M(clseq_int, units)    \
    M(clseq_int, columns)  \
    M(clseq_int, count)    \
    M(clseq_int, gates)    \
    M(clseq_int, x_steps)  \
    M(clseq_int, x_skip)   \
    M(clseq_int, x_panel)  \
    M(clseq_int, by_token)
CLSEQ_RECORD(team_gradient, TEAM_GRADIENT);

/* by_token: scratch of the gradient that has it. db_buffer: by number. segments: chunks that are summed before they are added. */
#define TEAM_WEIGHTS(M)                       \
    M(team_sizes, sizes)                      \
    M(clseq_long, lengths)                    \
    M(team_gradient, gradient[TEAM_MATRICES]) \
    M(team_vector, vector[TEAM_VECTORS])      \
    M(team_rows, tokens)                      \
    M(clseq_long, by_token)                   \
    M(clseq_long, db)                         \
    M(clseq_int, gradients)                   \
    M(clseq_int, vectors)                     \
    M(clseq_int, rows)                        \
    M(clseq_int, segments)                    \
    M(clseq_int, db_buffer)                   \
    M(clseq_int, add)
CLSEQ_RECORD(team_weights_record, TEAM_WEIGHTS);

#endif
