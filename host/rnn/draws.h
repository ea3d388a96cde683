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
 *
 * What the maps of a cell draw has a block for each unit of a row at a step, of which state s takes number s: block
 * (t*B + b)*H + u, with t in the order of the layer's own steps. Recurrent dropout has one for each unit of h in a row,
 * block b*O + u, of which it takes number 0.
 */
#ifndef CLSEQ_RNN_DRAWS_H
#define CLSEQ_RNN_DRAWS_H

#include "rnn/cell_values.h"
#include "rnn/schedule.h"

typedef enum clseq__draw {
    /* What a layer hands to the next one, both directions together: direction 0. Variational: t is 0. */
    CLSEQ__DRAW_DROPOUT,
    CLSEQ__DRAW_ZONEOUT, /* what the units keep of their states */
    CLSEQ__DRAW_MASKS,   /* recurrent dropout */
} clseq__draw;

/* Whether passes with this descriptor draw at all. */
static inline bool clseq__rnn_draws(const clseq_rnn_desc *desc)
{
    return desc->dropout > 0 || desc->zoneout_h > 0 || desc->zoneout_c > 0 || desc->recurrent_dropout > 0;
}

/* From what is drawn for a layer in one direction to what is drawn in the other. */
#define CLSEQ__DRAWS_APART ((clseq_long)1 << 58)

/* The first block of what is drawn for a layer in one direction. */
static inline uint64_t clseq__draw_block(clseq__draw draw, const clseq__rnn_layer *layer)
{
    return (uint64_t)draw << 59 | (uint64_t)(layer->is_second ? CLSEQ__DRAWS_APART : 0) |
           (uint64_t)layer->number << 32;
}

/* What the options of the cell are in a pass over a layer, whose kernels count steps from pass->first on. */
static inline cell_values clseq__cell_values_of(const clseq__layer_pass *pass)
{
    const clseq__rnn_layer *layer = pass->layer;
    const int64_t before = (pass->draws.time + pass->first) * pass->shape.B * layer->hidden;
    cell_values x = {.seed = (clseq_long)pass->draws.seed,
                     .stream = (clseq_long)pass->draws.stream,
                     .first = (clseq_long)clseq__draw_block(CLSEQ__DRAW_ZONEOUT, layer) + before,
                     .rows = pass->shape.B,
                     .units = layer->hidden,
                     .masks = (clseq_long)clseq__draw_block(CLSEQ__DRAW_MASKS, layer),
                     .outputs = layer->output,
                     .clip = layer->extras.clip,
                     .dropout = layer->extras.recurrent_dropout,
                     .scale = 1.0f / (1.0f - layer->extras.recurrent_dropout),
                     .training = pass->shape.mode == CLSEQ_MODE_TRAINING};
    for (int s = 0; s < CLSEQ__MAX_STATES; s++)
        x.zoneout[s] = layer->extras.zoneout[s];
    return x;
}

#endif
