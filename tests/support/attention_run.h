/*
 * attention_run.h - runs a problem of reference/attention_case.h on the device, every tensor guarded and every output poisoned
 * before.
 *
 *     attention_run *run = attention_run_create(ctx, c, &(attention_run_options){.layout = GUARDED_BY_ROW});
 *     attention_run_forward(run);
 *     attention_run_backward(run);
 *     attention_run_check(run);
 *     attention_run_destroy(run);
 *
 * Keys and values that do not count are NaN. A failing device call, and a failing check, abort the test.
 */
#ifndef CLSEQ_TESTS_SUPPORT_ATTENTION_RUN_H
#define CLSEQ_TESTS_SUPPORT_ATTENTION_RUN_H

#include "guarded.h"
#include "reference/attention_case.h"

#include <clseq/attention.h>

typedef struct attention_run_options {
    clseq_mode mode;
    guarded_layout layout; /* of everything with rows */
    int64_t pieces;        /* queries a call; 0: all */
    int64_t spare;         /* queries for which there is room beside the case's */
} attention_run_options;

enum { ATTENTION_RUN_WEIGHTS = 8 };

typedef struct attention_run {
    clseq_context *ctx;
    const attention_case *c;
    attention_run_options options;
    clseq_attention_plan *plan;
    clseq_attention_shape shape;
    clseq_attention_sizes sizes;
    guarded in[ATTENTION_INITIAL + 1], out[ATTENTION_INITIAL + 1];
    guarded dcontext, dalignment, context, alignment;
    guarded weight[ATTENTION_RUN_WEIGHTS], dweight[ATTENTION_RUN_WEIGHTS];
    clseq_tensor weights[ATTENTION_RUN_WEIGHTS], dweights[ATTENTION_RUN_WEIGHTS];
    guarded lengths, mask, memory, reserve, workspace;
} attention_run;

/* The descriptor of a case. */
clseq_attention_desc attention_run_desc(const attention_case *c);

attention_run *attention_run_create(clseq_context *ctx, const attention_case *c,
                                    const attention_run_options *options);
void attention_run_destroy(attention_run *run);

/* Remembers and asks, in the pieces of the options. */
void attention_run_forward(attention_run *run);

/* Goes back in the same pieces, and makes the gradients, those of the weights onto zeros unless `keep` is set. */
void attention_run_backward(attention_run *run, bool keep);

/* Compares everything with the case and looks after canaries; forward alone in inference. */
void attention_run_check(const attention_run *run);

/* All outputs, packed one after another, for comparing runs bit by bit; free() it. */
float *attention_run_outputs(const attention_run *run, bool forward_only, size_t *n);

#endif
