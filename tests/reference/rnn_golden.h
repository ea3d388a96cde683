/*
 * rnn_golden.h - the golden files of recurrent layers (tests/golden), as problems of rnn_case.h.
 *
 *     for (int i = 0; i < rnn_golden_count; i++) {
 *         golden *g = golden_open(rnn_goldens[i].file);
 *         rnn_case *c = rnn_golden_case(g, &rnn_goldens[i], ragged);
 *         rnn_case_run(c), rnn_case_bound(c);
 *         rnn_golden_want(g, c, ragged);
 *         ... the device against c->want within c->bound ...
 *     }
 */
#ifndef CLSEQ_TESTS_REFERENCE_RNN_GOLDEN_H
#define CLSEQ_TESTS_REFERENCE_RNN_GOLDEN_H

#include "../support/golden.h"
#include "rnn_case.h"

typedef struct rnn_golden {
    const char *file, *cell;
} rnn_golden;

extern const rnn_golden rnn_goldens[];
extern const int rnn_golden_count;

/* The file's net with all of its inputs; `ragged`: with its lengths. */
rnn_case *rnn_golden_case(const golden *g, const rnn_golden *file, bool ragged);

/* Replaces c->want by what the file has. */
void rnn_golden_want(const golden *g, rnn_case *c, bool ragged);

#endif
