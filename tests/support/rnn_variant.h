/*
 * rnn_variant.h - the options of recurrent layers, and some of them together, for tests that go through all.
 *
 *     int widths[RNN_VARIANT_LAYERS];
 *     reference_rnn net = {.cell = cell, .T = 5, .B = 3, .I = 7, .H = 17, .L = 2};
 *     if (rnn_variant_apply(&rnn_variants[i], &net, widths)) ... rnn_variants[i].title ...
 */
#ifndef CLSEQ_TESTS_SUPPORT_RNN_VARIANT_H
#define CLSEQ_TESTS_SUPPORT_RNN_VARIANT_H

#include "reference/rnn.h"

enum { RNN_VARIANT_LAYERS = 4 };

enum {
    RNN_PLAIN,
    RNN_REVERSE,
    RNN_BOTH,
    RNN_SUMMED,
    RNN_PROJECTED,
    RNN_WIDTHS,
    RNN_NORMED,
    RNN_REVERSE_WITH_OPTIONS,
    RNN_BOTH_WITH_OPTIONS,
    RNN_SUMMED_WITH_OPTIONS,
    RNN_DROPPED,
    RNN_DROPPED_BOTH,
    RNN_ZONEOUT,
    RNN_ZONEOUT_WITH_OPTIONS,
    RNN_VARIANTS
};

/* What a graph of this seed and step gives the first operation that draws. */
#define RNN_VARIANT_SEED 9
#define RNN_VARIANT_STEP 3
#define RNN_VARIANT_STREAM UINT64_C(0xd6c157a44c3816b9)

/* A projection is to half of the units; widths differ a little from layer to layer; dropout is of 3/8, between layers and of h;
 * c is clipped at 1/2; zoneout is of 1/4 of h and 3/8 of c. */
typedef struct rnn_variant {
    const char *title;
    reference_direction direction;
    reference_merge merge;
    bool projection, widths, layer_norm, cell_clip, zoneout, recurrent_dropout;
    bool residual, dropout, variational; /* of more than one layer */
} rnn_variant;

extern const rnn_variant rnn_variants[RNN_VARIANTS];

/* Gives a net those of the options that its cell has. False when that changes nothing though the variant is not the
 * plain one, and where a single layer is asked for what goes from one to the next: then there is nothing to test. `widths` must live as long as the net. */
bool rnn_variant_apply(const rnn_variant *variant, reference_rnn *net, int widths[RNN_VARIANT_LAYERS]);

#endif
