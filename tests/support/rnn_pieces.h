/*
 * rnn_pieces.h - runs a problem of rnn_run.h in pieces; afterwards its outputs are those of a whole pass.
 *
 *     rnn_run *run = rnn_run_create(ctx, c, &(rnn_run_options){.in_pieces = true});
 *     rnn_pieces_run(run, &(rnn_pieces){.steps = {1, 3, 2}, .count = 3});
 *     if (!rnn_run_matches(run)) ... rnn_run_message() ...
 */
#ifndef CLSEQ_TESTS_SUPPORT_RNN_PIECES_H
#define CLSEQ_TESTS_SUPPORT_RNN_PIECES_H

#include "rnn_run.h"

/* Steps of the pieces, again and again until the case has no more; the last one has what is left. */
typedef struct rnn_pieces {
    int steps[4], count;
    int unreached; /* steps at the end that are gone back over without dy and dfinal */
} rnn_pieces;

/* Poisons outputs, reserves and workspace, and the workspace again before each piece. */
void rnn_pieces_run(rnn_run *run, const rnn_pieces *pieces);

/* The calls that this makes: pieces [first, first + count) of the pass, whose states in and out are the caller's. */
clseq_rnn_forward_args rnn_pieces_forward_args(rnn_run *run, int first, int count);
clseq_rnn_backward_args rnn_pieces_backward_args(rnn_run *run, int first, int count);
clseq_rnn_weight_gradients_args rnn_pieces_weights_args(rnn_run *run);

#endif
