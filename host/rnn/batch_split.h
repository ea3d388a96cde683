/*
 * The schedule batch_split for CPU devices: one launch a layer forward, two backward. cl/rnn/batch_split.clh
 * shows the layout of what is kept, cl/rnn/batch_split.cl and batch_split_backward.cl tell what the kernels do.
 */
#ifndef CLSEQ_RNN_BATCH_SPLIT_H
#define CLSEQ_RNN_BATCH_SPLIT_H

#include "core/launch.h"
#include "rnn/schedule.h"

/* What a plan holds. */
typedef struct clseq__batch_split {
    clseq__kernel *pack, *forward, *backward, *weights;
} clseq__batch_split;

/* Where a layer's things lie in `packed`; dx and dh, of the backward pass, only in training, dx where x is no number. */
typedef struct clseq__batch_split_packed {
    int64_t x, h, bias;
    int64_t forward_end; /* of the forward pass's parts of all layers: all that inference has */
    int64_t dx, dh;
    int64_t end; /* of the layer's part of the backward pass */
} clseq__batch_split_packed;

clseq__batch_split_packed clseq__batch_split_packed_of(const clseq_rnn_plan *plan, int64_t layer);

/* A run of chunks: where the first one begins and how far apart they lie; 0 where only one is kept. */
typedef struct clseq__batch_split_chunks {
    int64_t at, chunk;
} clseq__batch_split_chunks;

/* Sizes of a shape, in floats unless said otherwise. */
typedef struct clseq__batch_split_shape {
    int64_t tc, chunks;              /* steps a chunk, chunks */
    int64_t panels, x_panels;        /* vectors of H and of I columns */
    int64_t gate_panel, state_panel; /* one panel of a chunk: of gates, x and dx; of states */
    int64_t gates, state, x; /* a chunk's gates, one state, and x of the first layer (one_hot: none) */
    int groups;              /* of the kernels that own batch rows */
    int64_t launches_forward, launches_backward;
} clseq__batch_split_shape;

clseq__batch_split_shape clseq__batch_split_shape_of(const clseq_rnn_plan *plan,
                                                     const clseq_rnn_shape *shape);

/* Where a layer's things lie in the reserve (training) or the workspace (inference), and what it reads. */
typedef struct clseq__batch_split_layer {
    clseq__batch_split_chunks x, gates, state[CLSEQ_RNN_MAX_STATES];
    int64_t x_panel; /* from one panel of x to the next */
    int64_t end;     /* of all layers up to this one */
} clseq__batch_split_layer;

clseq__batch_split_layer clseq__batch_split_layer_of(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                                     int64_t layer);

/* Where the backward pass works in the workspace. */
typedef struct clseq__batch_split_scratch {
    int64_t dstate[CLSEQ_RNN_MAX_STATES]; /* [panel][B][VW] */
    int64_t db;                           /* [group][slot][panel][VW] */
    int64_t dx;                           /* one chunk of the first layer's dx */
    int64_t by_number;                    /* one_hot: [group of the weights' kernel][I][VW] */
    int64_t dsequence;                    /* all chunks of what goes from a layer to the one below */
    int64_t end;
} clseq__batch_split_scratch;

clseq__batch_split_scratch clseq__batch_split_scratch_of(const clseq_rnn_plan *plan,
                                                         const clseq_rnn_shape *shape);

/* Chunks that the weight gradients sum up before they add to the result. */
int64_t clseq__batch_split_block(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape);

clseq_status clseq__batch_split_forward(clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                        const clseq_rnn_forward_args *args);
clseq_status clseq__batch_split_backward(clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                         const clseq_rnn_backward_args *args);

#endif
