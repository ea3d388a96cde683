/*
 * The schedule gemm_step: right on every device. The product of a layer's input is one over all steps; then a step
 * is, for each phase of the cell, a product, statistics of its norms, and a pointwise kernel. Backward the same way
 * back; the weight gradients are one product each over all T*B rows.
 *
 * All that a layer has of T steps lies in its own order (schedule.h), a row t*B + b for row b of the batch at step t.
 *
 * Kept by forward, in training in the reserve, in inference in the workspace:
 *   slots        [T*B][SLOTS*H]            pre-activations, then activations, then their gradients
 *   states       [T+1][B][O or H] each     number 0 the initial ones, number t+1 those after step t; of a pass in pieces
 *                [2][T][B][O or H]         those before the steps, then those after them: a step may begin with others than
 *                                          the one before it has ended with
 *   quantities   [QUANTITIES][T*B][H]
 *   m            [T*B][H]                  with a projection: what is projected
 *   statistics   [T*B][NORMS][2]           mean and 1 / standard deviation
 *   masked       [T+1][B][O]               with recurrent dropout: what products of h read in its place
 *   dparameters  [B][PARAMETERS*H]         by backward, as what follows: summed over the steps
 *   doutput      [T*B][O]                  with a projection: gradients of h', for dW_hr
 * The h of a layer, from number 1 on, is what a layer above reads as its chain; in inference with a chain h lies
 * there. Past a row's end it is carried on, where y has zeros; nothing of those steps reaches a result, for their
 * slots' gradients are 0.
 *
 * Scratch, in the workspace:
 *   sequence     [T*B][in]                 a copy of x, later dx
 *   dstates      [B][O or H] each          between two steps; backward only, as what follows
 *   dquantities  [QUANTITIES][B][H]
 *   dm           [B][H]                    with a projection
 *   dmasked      [B][O]                    with recurrent dropout
 *
 * Packed: w_ih [INPUT_COUNT*H][in] and w_hh, phase by phase, [COUNT*H][O], with rows in the order of the slots, w_hr
 * [O][H], bias [SLOTS*H], parameters [PARAMETERS*H].
 */
#ifndef CLSEQ_RNN_GEMM_STEP_H
#define CLSEQ_RNN_GEMM_STEP_H

#include "core/launch.h"
#include "rnn/gemm_step_record.h"
#include "rnn/schedule.h"
#include <clseq/gemm.h>

/* The kernels: enumerator, name, file below cl/rnn/, and the layers that have it. */
#define CLSEQ__GEMM_STEP_KERNELS(X)                                                         \
    X(ADD, "rnn_add", "gemm_step", true)                                                    \
    X(FILL_ROWS, "rnn_fill_rows", "gemm_step", true)                                        \
    X(ADD_COLUMNS, "rnn_add_columns", "gemm_step", true)                                    \
    X(SUM_COLUMNS, "rnn_sum_columns", "gemm_step", true)                                    \
    X(COPY_SEQUENCE, "rnn_copy_sequence", "gemm_step", true)                                \
    X(STEP_FORWARD, "rnn_step_forward", "gemm_step", true)                                  \
    X(STEP_BACKWARD, "rnn_step_backward", "gemm_step", true)                                \
    X(STEP_OUTPUT, "rnn_step_output", "gemm_step", layer->is_projected)                     \
    X(STEP_DOUTPUT, "rnn_step_doutput", "gemm_step", layer->is_projected)                   \
    X(MASK_INITIAL, "rnn_mask_initial", "gemm_step", layer->extras.recurrent_dropout > 0)   \
    X(MASK_GRADIENT, "rnn_mask_gradient", "gemm_step", layer->extras.recurrent_dropout > 0) \
    X(ROW_STATISTICS, "rnn_row_statistics", "gemm_step_norm", layer->cell->norms > 0)       \
    X(NORM_BACKWARD, "rnn_norm_backward", "gemm_step_norm", layer->cell->norms > 0)

enum {
#define CLSEQ__GEMM_STEP_ENUM(enumerator, name, file, has) CLSEQ__GEMM_STEP_##enumerator,
    CLSEQ__GEMM_STEP_KERNELS(CLSEQ__GEMM_STEP_ENUM)
#undef CLSEQ__GEMM_STEP_ENUM
        CLSEQ__GEMM_STEP_KERNEL_COUNT
};

/* What it makes for a layer. */
typedef struct clseq__gemm_step {
    clseq__kernel *kernels[CLSEQ__GEMM_STEP_KERNEL_COUNT];
} clseq__gemm_step;

/* A pass over a layer: all places count from the beginnings of the buffers. */
typedef struct clseq__gemm_step_pass {
    const clseq__rnn_layer *layer;
    const clseq__cell *cell;
    clseq_context *ctx;
    clseq__kernel *const *kernels;
    cl_mem lengths, packed, kept, scratch;
    cl_mem h;          /* kept, or the chain */
    bool masks;        /* products read a masked h */
    gemm_step_layer r; /* sizes and places */
    clseq_tensor x;    /* what the layer reads, [T*B,in]; none for tokens */
    cl_mem tokens;
} clseq__gemm_step_pass;

/* Where things lie in packed, kept and scratch, from `at` on in each; they return where they end. */
int64_t clseq__gemm_step_place_packed(const clseq__rnn_layer *layer, int64_t at, gemm_step_layer *r);
int64_t clseq__gemm_step_place_kept(const clseq__rnn_layer *layer, const clseq_rnn_shape *shape, int64_t at,
                                    gemm_step_layer *r);
int64_t clseq__gemm_step_place_scratch(const clseq__rnn_layer *layer, bool backward, int64_t at,
                                       gemm_step_layer *r);

/* The sizes of a layer at a shape, without places. */
gemm_step_layer clseq__gemm_step_layer_of(const clseq__rnn_layer *layer, const clseq_rnn_shape *shape);

/* A pass with all its places; x is not there yet. */
clseq__gemm_step_pass clseq__gemm_step_begin(const clseq__layer_pass *args, bool backward);

/* A matrix without gaps. */
clseq_tensor clseq__gemm_step_matrix(cl_mem buffer, int64_t at, int64_t rows, int64_t columns);

/* [steps*B,..]: state s before and after step t and those that follow; `count` slots from `slot` on at these steps; what the
 * product of a phase reads at them. [B,O]: its gradient at one step. */
clseq_tensor clseq__gemm_step_before(const clseq__gemm_step_pass *p, int s, int64_t t, int64_t steps);
clseq_tensor clseq__gemm_step_after(const clseq__gemm_step_pass *p, int s, int64_t t, int64_t steps);
clseq_tensor clseq__gemm_step_slots(const clseq__gemm_step_pass *p, int slot, int count, int64_t t,
                                    int64_t steps);
clseq_tensor clseq__gemm_step_operand(const clseq__gemm_step_pass *p, const clseq__phase *phase, int64_t t,
                                      int64_t steps);
clseq_tensor clseq__gemm_step_doperand(const clseq__gemm_step_pass *p, const clseq__phase *phase);

/* With a projection, [steps*B,..]: m, and the gradient of h', at step t and those that follow. */
clseq_tensor clseq__gemm_step_m(const clseq__gemm_step_pass *p, int64_t t, int64_t steps);
clseq_tensor clseq__gemm_step_doutput(const clseq__gemm_step_pass *p, int64_t t, int64_t steps);

/* The packed matrix that a phase multiplies with. */
int64_t clseq__gemm_step_w_hh(const clseq__gemm_step_pass *p, int phase);

/* Whether the source of norm k is the product of the input alone: its statistics are made for all steps at once. */
bool clseq__gemm_step_is_ahead(const clseq__cell *cell, int k);

/*
 * What the layer reads: where it lies, or, when its rows lie unevenly or in another order or end early, a copy in
 * the scratch with zeros past the ends. Tokens are read where they lie.
 */
clseq_status clseq__gemm_step_load_x(clseq__gemm_step_pass *p, const clseq__layer_pass *args);

/* A sequence of the caller's, as kernels see it; no tensor gives an empty one. */
gemm_step_view clseq__gemm_step_view(const clseq__rnn_layer *layer, const clseq_tensor *rows);

/* A sequence of `width` in the scratch or a chain. */
gemm_step_view clseq__gemm_step_dense(const clseq__gemm_step_pass *p, int64_t at, int64_t width);

/* Whether the T*B rows of a sequence lie evenly and in the layer's order, so that it is a matrix, *out; anything where it
 * is not. */
bool clseq__gemm_step_is_matrix(const clseq__rnn_layer *layer, const clseq_tensor *x, clseq_tensor *out);

/* Copies a sequence [T,B,in], with zeros past the ends of rows. */
clseq_status clseq__gemm_step_copy_sequence(const clseq__gemm_step_pass *p, cl_mem from_buffer,
                                            gemm_step_view from, cl_mem to_buffer, gemm_step_view to);

/* A grid of one group a row, and its bytes of local memory for each work-item's float. */
clseq__grid clseq__gemm_step_row_grid(const clseq_context *ctx, int64_t rows);

/* Copies or zeroes n floats; places in floats. */
clseq_status clseq__gemm_step_copy(clseq_context *ctx, cl_mem from, int64_t from_at, cl_mem to, int64_t to_at,
                                   int64_t n);
clseq_status clseq__gemm_step_zero(clseq_context *ctx, cl_mem buffer, int64_t at, int64_t n);

/* Copies a packed tensor of n floats; zeroes where there is none. */
clseq_status clseq__gemm_step_copy_or_zero(clseq_context *ctx, const clseq_tensor *from, cl_mem to,
                                           int64_t to_at, int64_t n);

clseq_status clseq__gemm_step_pack(const clseq__layer_pass *pass, const clseq_tensor *weights);
clseq_status clseq__gemm_step_forward(const clseq__layer_pass *pass, const clseq__layer_forward *args);
clseq_status clseq__gemm_step_backward(const clseq__layer_pass *pass, const clseq__layer_backward *args);
clseq_status clseq__gemm_step_weights(const clseq__layer_pass *pass, const clseq__layer_weights *args);

#endif
