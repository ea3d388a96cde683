/*
 * What a call uses of which buffer: checks list it, argument by argument, and at the end whatever is written must share
 * memory with nothing else. The list belongs to the plan, so that calls allocate nothing.
 */
#ifndef CLSEQ_RNN_USES_H
#define CLSEQ_RNN_USES_H

#include "rnn/plan.h"

/* What an argument is an array of: who names its elements in sentences. */
typedef enum clseq__array_of { CLSEQ__ONE, CLSEQ__STATES, CLSEQ__WEIGHTS, CLSEQ__LAYERS } clseq__array_of;

/* An argument as sentences call it, put together only when there is one to say. */
typedef struct clseq__argument {
    const char *call, *name;
    clseq__array_of of;
    int64_t index;
} clseq__argument;

/* "rnn pack: weights[5] (weight_hh_l0_reverse)" into `text`, which is returned. */
#define CLSEQ__ARGUMENT_TEXT 128
const char *clseq__argument_text(const clseq_rnn_plan *plan, const clseq__argument *argument,
                                 char text[CLSEQ__ARGUMENT_TEXT]);

typedef struct clseq__uses clseq__uses;

/* Makes plan->uses, long enough for any call of this plan, whose cell and numbers of layers and weights are known. */
clseq_status clseq__uses_create(clseq_rnn_plan *plan);
void clseq__uses_destroy(clseq_rnn_plan *plan);

/* Begins the list of a call. */
void clseq__uses_begin(const clseq_rnn_plan *plan);

/* Adds a tensor that has been checked, or its first `bytes` bytes (0: all of it); nothing where there is none. What is
 * written comes after all that is read. */
void clseq__uses_add(const clseq_rnn_plan *plan, clseq__argument argument, const clseq_tensor *tensor,
                     int64_t bytes, bool is_written);

/* CLSEQ_INVALID_ARGUMENT where something that is written shares an element with another use of the list. */
clseq_status clseq__uses_check(const clseq_rnn_plan *plan);

#endif
