/* What a plan holds: its layers in all directions, and the schedules that may run them. */
#ifndef CLSEQ_RNN_PLAN_H
#define CLSEQ_RNN_PLAN_H

#include "rnn/schedule.h"

/* A schedule with what it made for each layer. */
typedef struct clseq__rnn_form {
    const clseq__rnn_schedule *schedule;
    const char *why; /* it was chosen */
    void **data;     /* [L*D] */
    /* [L*D+1] each, where in a pack the layers' parts of the forward and of the backward pass begin, in floats; the last is
     * where they end. */
    int64_t *packed_forward, *packed_backward;
} clseq__rnn_form;

struct clseq_rnn_plan {
    clseq_context *ctx;
    clseq_rnn_desc desc; /* layers at least 1; widths NULL or the plan's own copy */
    int directions;      /* D */
    bool hands_rows;     /* from layer to layer, in the order of time; else layers form a chain */
    const clseq__cell *cell;
    clseq__rnn_layer *layers;   /* [L*D], index l*D+d */
    int64_t weights;            /* the number of weights of all layers */
    struct clseq__kernel *drop; /* between layers (between.h); NULL: the plan has no dropout */
    clseq__rnn_form *forms;     /* those that calls may choose from, the best first */
    int form_count;
    /* What a call is given (uses.h); made by clseq__uses_create when cell, layers and weights are known. */
    struct clseq__uses *uses;
    /* In the ledger of reserves (reserve.h), from the first pass of training on; clseq__reserve_plan_gone. */
    struct clseq__pass_key *pass_key;
};

/* The one that a call with this shape takes. */
const clseq__rnn_form *clseq__rnn_form_of(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape);

/* Layer l in direction d (0: the first or only one). */
static inline const clseq__rnn_layer *clseq__rnn_layer_at(const clseq_rnn_plan *plan, int64_t l, int d)
{
    return &plan->layers[l * plan->directions + d];
}

/* Features that layer l puts out in all directions together. */
int64_t clseq__rnn_features(const clseq_rnn_plan *plan, int64_t l);

/* "lstm, 2 layers, bidirectional, input 3, hidden 4" and what else the descriptor says but the schedule, into `text`,
 * which is returned; many widths are cut (describe.c). */
#define CLSEQ__DESC_TEXT 320
const char *clseq__rnn_desc_text(const clseq_rnn_desc *desc, char text[CLSEQ__DESC_TEXT]);

/* Dims of a weight of a layer; returns their number. */
int clseq__rnn_part_dims(const clseq__rnn_layer *layer, const clseq__part *part, int64_t dims[2]);

/* What a layer needs, each part a multiple of a cache line. */
void clseq__layer_sizes_of(const clseq__rnn_form *form, const clseq__rnn_layer *layer,
                           const clseq_rnn_shape *shape, clseq__layer_sizes *out);

/* Sizes of a shape that has been checked, in bytes. */
void clseq__stack_sizes(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape, clseq_rnn_sizes *out);
int64_t clseq__stack_reserve(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape, int64_t l);

/* What a call runs of a pass: all of it, or a piece. */
typedef struct clseq__rnn_part {
    int64_t first, count; /* of a layer's pass (schedule.h), as what follows */
    bool goes_on;
    clseq__pass_draws draws;
} clseq__rnn_part;

clseq_status clseq__stack_pack(clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                               const clseq_tensor *weights, const clseq_tensor *packed);
clseq_status clseq__stack_forward(clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                  const clseq_rnn_forward_args *args, const clseq__rnn_part *part);
clseq_status clseq__stack_backward(clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                   const clseq_rnn_backward_args *args, const clseq__rnn_part *part);
/* Of a pass in pieces that backward has run: `part` has all steps that have run. */
clseq_status clseq__stack_weights(clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                  const clseq_rnn_weight_gradients_args *args, const clseq__rnn_part *part);

#endif
