/*
 * Where steps of recurrent layers are kept for backward (recur_step.c).
 *
 * In training the steps of a layer over so many rows are a line, whatever their states are. They take places in blocks, passes in
 * pieces (clseq_rnn_weight_gradients), one after the other. A block is a node without outputs that stands on the tape below its
 * steps: it owns the reserves, and when backward comes to it, all of its steps have been gone back over and it makes the gradients
 * of the weights, one product for all of them. Blocks grow, so that a short loop has little memory and a long one few products.
 */
#ifndef CLSEQ_TRAIN_RECUR_BLOCK_H
#define CLSEQ_TRAIN_RECUR_BLOCK_H

#include "rnn/schedule.h"
#include "train/recur.h"

/* How steps are run, and where they draw from. */
typedef struct clseq__recur_run {
    clseq_rnn *rnn;
    clseq__layer_plan *use;
    clseq_rnn_shape shape;
    clseq_rnn_sizes sizes;
    clseq__pass_draws draws;
} clseq__recur_run;

/* Steps that have run, and those of them that backward has not. */
typedef struct clseq__recur_block {
    clseq__recur_run run;
    int64_t ran, left;
    clseq__node *node;
} clseq__recur_block;

/* Steps so far, and the block that has the last one that is kept; NULL: there is none. */
struct clseq__recur_line {
    const clseq__layer_plan *use;
    int64_t B;
    clseq__pass_draws draws;
    int64_t steps;
    clseq__recur_block *block;
    clseq__recur_line *previous; /* made in this graph */
};

/* What each call of a plan needs. */
clseq_status clseq__recur_borrow(clseq_graph *g, const clseq__recur_run *run, clseq_tensor *packed,
                                 clseq_tensor *workspace);

/* The line of the layer's steps over B rows. */
clseq_status clseq__recur_line_of(clseq_graph *g, const clseq__recur_call *call, int64_t B,
                                  clseq__recur_line **out);

/* The block with a place for the line's next step, run as `run` says but for its shape. */
clseq_status clseq__recur_take_block(clseq_graph *g, const clseq__recur_call *call, clseq__recur_line *line,
                                     const clseq__recur_run *run, clseq__recur_block **out);

/* Backward over steps [end, left) of the block, if there are any, which no gradient has reached. */
clseq_status clseq__recur_pass_over(clseq_graph *g, clseq__recur_block *block, int64_t end);

#endif
