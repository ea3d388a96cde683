/*
 * Which random numbers a pass of training draws. All are Philox numbers of the pass's own (seed, stream); the index of a
 * block of four of them is split, so that none is drawn for two things:
 *
 *     bits 59..61   what it is for
 *     bit  58       the direction
 *     bits 32..57   the layer
 *     bits  0..31   p / 4, where position p is number p % 4 of the block
 *
 * Positions are those of what is drawn, in an order that no schedule or device has a say in: element (t, b, f) of a
 * sequence of F features is (t*B + b)*F + f, with t in the order of time. A layer has fewer than 2^31 of them, because it
 * keeps its h (clseq__rnn_check_sizes), which leaves room for rows that begin with a block.
 */
#ifndef CLSEQ_RNN_DRAWS_H
#define CLSEQ_RNN_DRAWS_H

#include "rnn/schedule.h"

typedef enum clseq__draw {
    /* What a layer hands to the next one, both directions together: direction 0. Variational: t is 0. */
    CLSEQ__DRAW_DROPOUT,
} clseq__draw;

/* Whether passes with this descriptor draw at all. */
static inline bool clseq__rnn_draws(const clseq_rnn_desc *desc)
{
    return desc->dropout > 0.0f;
}

/* The first block of what is drawn for a layer in one direction. */
static inline uint64_t clseq__draw_block(clseq__draw draw, const clseq__rnn_layer *layer)
{
    return (uint64_t)draw << 59 | (uint64_t)layer->is_second << 58 | (uint64_t)layer->number << 32;
}

#endif
