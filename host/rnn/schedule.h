/*
 * A schedule is a way to run a whole stack of recurrent layers over a sequence. Every cell runs under every
 * schedule, and every schedule gives the same result. One file a schedule; one line in the table of plan.c
 * registers it.
 *
 * plan.c has checked every argument before a schedule sees it: tensors that are there have the right type and
 * dims, their last stride is 1, outputs do not overlap themselves, buffers are large enough. A tensor that is
 * not there has a NULL buffer.
 */
#ifndef CLSEQ_RNN_SCHEDULE_H
#define CLSEQ_RNN_SCHEDULE_H

#include "core/context.h"
#include "rnn/cells.h"
#include <clseq/rnn.h>

typedef struct clseq__rnn_schedule {
    const char *name; /* as CLSEQ_SCHEDULE names it */
    clseq_schedule id;
    bool
        looks_up; /* one_hot rows cost it far less than features: worth a table of products for each feature */

    /* Whether the device can run it; `why` gets half a sentence either way: "the device is a CPU". */
    bool (*applicable)(const clseq_context *ctx, const clseq_rnn_desc *desc, const char **why);

    /* Fills plan->data (kernels, tile sizes). On failure nothing is left behind. */
    clseq_status (*create)(clseq_rnn_plan *plan);
    void (*destroy)(clseq_rnn_plan *plan); /* plan->data may be NULL */

    /* packed, reserve, workspace (at least 1 each) and the launches; plan.c fills in the rest. */
    void (*sizes)(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape, clseq_rnn_sizes *out);

    clseq_status (*pack)(clseq_rnn_plan *plan, const clseq_rnn_shape *shape, const clseq_rnn_weights *weights,
                         const clseq_tensor *packed);
    clseq_status (*forward)(clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                            const clseq_rnn_forward_args *args);
    clseq_status (*backward)(clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                             const clseq_rnn_backward_args *args);

    /* What it does with this shape, in words: one or more lines, each with its newline, cut at `size`. */
    void (*describe)(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape, char *text, size_t size);
} clseq__rnn_schedule;

struct clseq_rnn_plan {
    clseq_context *ctx;
    clseq_rnn_desc desc; /* layers at least 1, schedule resolved */
    const clseq__cell *cell;
    const clseq__rnn_schedule *schedule;
    const char *why;                   /* this schedule was chosen */
    char options[CLSEQ__CELL_OPTIONS]; /* build options of kernels that include rnn/cell.clh */
    void *data;                        /* the schedule's own */
};

extern const clseq__rnn_schedule clseq__rnn_batch_split;
extern const clseq__rnn_schedule clseq__rnn_gemm_step;

/* Whether layer `layer` reads the numbers of features instead of features. */
static inline bool clseq__rnn_reads_numbers(const clseq_rnn_plan *plan, int64_t layer)
{
    return layer == 0 && plan->desc.one_hot;
}

/* Width of what layer `layer` reads: I for the first one, H for those above. */
static inline int64_t clseq__rnn_input(const clseq_rnn_plan *plan, int64_t layer)
{
    return layer == 0 ? plan->desc.input : plan->desc.hidden;
}

/* The [B,H] part of a state [L,B,H] that belongs to a layer; no tensor stays none. */
static inline clseq_tensor clseq__rnn_layer_state(const clseq_tensor *state, int64_t layer)
{
    clseq_tensor part = *state;
    if (part.buffer)
        part.offset += layer * part.strides[0];
    return part;
}

#endif
