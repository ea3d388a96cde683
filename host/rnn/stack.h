/*
 * Where the stack of layers (stack.c) keeps things for a shape.
 *
 * packed     [forward part of each layer][backward part of each layer, training]: a pack of training begins with one of
 *            inference
 * reserve l  [direction] what its schedule keeps; then what the layer reads [T,B,in or none], where the schedule does not keep it
 *            itself: such a sequence between layers, or in pieces x
 * workspace  of the layer's schedule, then two places that layers take by turns for what goes from one to the next
 */
#ifndef CLSEQ_RNN_STACK_H
#define CLSEQ_RNN_STACK_H

#include "rnn/plan.h"

/* In floats. */
typedef struct clseq__stack_layout {
    int64_t layer_workspace; /* the largest */
    int64_t between;         /* of one of the two places */
    int64_t launches_forward, launches_backward;
} clseq__stack_layout;

clseq__stack_layout clseq__stack_layout_of(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape);

void clseq__stack_layer_sizes(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                              const clseq__rnn_layer *layer, clseq__layer_sizes *out);

/* Numbers of a row of what layer l reads. */
int64_t clseq__stack_read_features(const clseq_rnn_plan *plan, int64_t l);

/* Numbers of the sequence that layer l reads, where the reserve keeps it; else 0. */
int64_t clseq__stack_kept_rows(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape, int64_t l);

#endif
