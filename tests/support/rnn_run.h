/*
 * rnn_run.h - runs a problem of reference/rnn_case.h on the device, every tensor guarded and every output
 * poisoned before.
 *
 *     rnn_run *run = rnn_run_create(ctx, c, &(rnn_run_options){.schedule = CLSEQ_SCHEDULE_GEMM_STEP});
 *     rnn_run_forward(run);
 *     rnn_run_backward(run);
 *     if (!rnn_run_matches(run)) ... rnn_run_message() ...
 *     rnn_run_destroy(run);
 *
 * Where rows have lengths, the device's x and dy hold NaN past the ends of the rows.
 */
#ifndef CLSEQ_TESTS_SUPPORT_RNN_RUN_H
#define CLSEQ_TESTS_SUPPORT_RNN_RUN_H

#include "guarded.h"
#include "reference/rnn_case.h"

#include <clseq/rnn.h>

/* Inputs and outputs that are left out, bits: inputs must be 0 in the case's arrays then. */
enum {
    RNN_NO_INITIAL = 1,
    RNN_NO_DY = 2,
    RNN_NO_DFINAL = 4,
    RNN_NO_DX = 8,
    RNN_NO_DINITIAL = 16,
    RNN_NO_DWEIGHTS = 32,
    RNN_NO_DBIAS = 64, /* of the weights' gradients, the matrices only */
    RNN_NO_FINAL = 128,
    RNN_ALIAS = 256 /* final states are written over the initial ones */
};

typedef struct rnn_run_options {
    clseq_schedule schedule;
    clseq_mode mode;
    guarded_layout x, y; /* of x and dx, of y and dy */
    unsigned without;    /* RNN_NO_... */
    bool overwrite;      /* weight gradients are written onto NaN instead of added onto zeros */
    bool one_hot;   /* the case's x has one 1 a row or none: the device gets numbers, [B,T] with x by row */
    bool in_pieces; /* for rnn_pieces.h */
    int spare;      /* steps for which there is room beside the case's, in pieces */
} rnn_run_options;

typedef struct rnn_run {
    clseq_context *ctx;
    const rnn_case *c;
    rnn_run_options options;
    clseq_rnn_plan *plan;
    clseq_rnn_shape shape;
    clseq_rnn_sizes sizes;
    guarded *in, *out; /* [c->count] in the places of rnn_case.h */
    guarded lengths, packed, workspace;
    guarded *reserve; /* [L]; not there in inference */
    /* Their tensors as calls take them, [c->count] and [L]; set where arguments are asked for. */
    clseq_tensor *given, *written, *reserves;
} rnn_run;

/* The schedules that tests go through, one row each. */
typedef struct rnn_schedule {
    clseq_schedule id;
    const char *name;
    bool cpu_only; /* CPU-shaped kernels: refused with CLSEQ_UNSUPPORTED on other devices, and only there */
} rnn_schedule;

extern const rnn_schedule rnn_schedules[];
extern const int rnn_schedule_count;

/* Whether the context's device has to run it. */
bool rnn_schedule_expected(const clseq_context *ctx, const rnn_schedule *schedule);

/* The descriptor of a net's plan; `widths` gets those of the net's layers and must live as long. */
clseq_rnn_desc rnn_run_desc(const reference_rnn *net, const rnn_run_options *options, int64_t *widths);

/* NULL when the plan cannot be made (clseq_last_error says why). Weights are packed. */
rnn_run *rnn_run_create(clseq_context *ctx, const rnn_case *c, const rnn_run_options *options);
void rnn_run_destroy(rnn_run *run);

/* Writes a case's inputs (those of the run's case or of one with the same sizes) and packs the weights. */
void rnn_run_write(rnn_run *run, const rnn_case *c);

/* What the passes are given; arrays in it are the run's `given`, `written` and `reserves`. */
clseq_rnn_forward_args rnn_run_forward_args(rnn_run *run);
clseq_rnn_backward_args rnn_run_backward_args(rnn_run *run);

/* The weights as pack takes them. */
const clseq_tensor *rnn_run_weights(rnn_run *run);

/* Poison the outputs and the memory for the library's own use, then run. */
void rnn_run_forward(rnn_run *run);

/* Weight gradients are set to zero or NaN before, unless `keep` is set. */
void rnn_run_backward(rnn_run *run, bool keep);

/*
 * Compares everything that was computed with the case's `want`, forward alone or backward too, and looks after
 * the canaries. The message names the tensor.
 */
bool rnn_run_matches_forward(rnn_run *run);
bool rnn_run_matches(rnn_run *run);
const char *rnn_run_message(void);

/* All outputs, for comparing runs bit by bit: what the output in each place of the case has, or NULL. The case must
 * live as long. */
typedef struct rnn_outputs {
    const rnn_case *c;
    float **data; /* [c->count] */
} rnn_outputs;

rnn_outputs rnn_run_outputs(const rnn_run *run);
void rnn_outputs_free(rnn_outputs *outputs);

/* Whether outputs that both have are equal bit for bit, y and the final states alone or all. */
bool rnn_outputs_equal(const rnn_outputs *a, const rnn_outputs *b, bool forward_only);

#endif
