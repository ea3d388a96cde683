/*
 * The schedule gemm_step: right on every device. The input projection of a layer is one product over all
 * steps; then a product and a pointwise kernel a step. Backward the same way back, and the weight gradients are
 * one product each over all T*B rows.
 *
 * A layer keeps (in the reserve when training; in inference all layers use the same place in the workspace):
 *   gates   [T*B][SLOTS*H]          pre-activations, then activations, then their gradients
 *   states  [STATES][T+1][B][H]     number 0 the initial ones, number t+1 those after step t
 * The h of a layer, from number 1 on, is what the layer above reads. Past a row's end it is carried on, where y
 * has zeros; nothing of those steps reaches a result, for their gate gradients are 0.
 *
 * Packed, a layer: w_ih [G*H][in] and w_hh [G*H][H] with rows in the order of the slots, bias [SLOTS*H].
 */
#ifndef CLSEQ_RNN_GEMM_STEP_H
#define CLSEQ_RNN_GEMM_STEP_H

#include "core/launch.h"
#include "rnn/schedule.h"
#include <clseq/gemm.h>

/* The kernels of cl/rnn/gemm_step.cl. */
#define CLSEQ__GEMM_STEP_KERNELS(X)       \
    X(PACK_BIAS, "rnn_pack_bias")         \
    X(FILL_ROWS, "rnn_fill_rows")         \
    X(ADD_COLUMNS, "rnn_add_columns")     \
    X(SUM_COLUMNS, "rnn_sum_columns")     \
    X(COPY_SEQUENCE, "rnn_copy_sequence") \
    X(STEP_FORWARD, "rnn_step_forward")   \
    X(STEP_BACKWARD, "rnn_step_backward") \
    X(DINITIAL, "rnn_dinitial")

enum {
#define CLSEQ__GEMM_STEP_ENUM(enumerator, name) CLSEQ__GEMM_STEP_##enumerator,
    CLSEQ__GEMM_STEP_KERNELS(CLSEQ__GEMM_STEP_ENUM)
#undef CLSEQ__GEMM_STEP_ENUM
        CLSEQ__GEMM_STEP_KERNEL_COUNT
};

/* What a plan holds. */
typedef struct clseq__gemm_step {
    clseq__kernel *kernels[CLSEQ__GEMM_STEP_KERNEL_COUNT];
} clseq__gemm_step;

/* Where a layer's things lie in `packed`, counted from its beginning; `end` is where the next layer begins. */
typedef struct clseq__gemm_step_packed {
    int64_t w_ih, w_hh, bias, end;
} clseq__gemm_step_packed;

clseq__gemm_step_packed clseq__gemm_step_packed_of(const clseq_rnn_plan *plan, int64_t layer);

/* Elements of the gates and states of a layer. */
int64_t clseq__gemm_step_layer_size(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape);

/* A pass over the layers, standing at one of them. Offsets count from the beginnings of the buffers. */
typedef struct clseq__gemm_step_pass {
    const clseq_rnn_plan *plan;
    clseq_context *ctx;
    clseq__kernel *const *kernels;
    int64_t T, B, H, layer;
    int64_t width; /* SLOTS*H, of a row of gates */
    int64_t state; /* B*H, of one state */
    const clseq_tensor *lengths;
    cl_mem packed;
    int64_t packed_offset;
    clseq__gemm_step_packed weights; /* of the layer, packed_offset included */
    cl_mem kept;                     /* buffer of gates and states */
    int64_t gates, states;           /* where they begin in it */
    clseq_matrix x;                  /* what the layer reads, [T*B, in]; none for numbers */
    clseq_tensor numbers;            /* [T,B], what a layer reads that reads numbers */
} clseq__gemm_step_pass;

clseq__gemm_step_pass clseq__gemm_step_begin(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                             const clseq_tensor *packed, const clseq_tensor *lengths);

/* Goes to a layer whose gates and states begin at `offset` of `kept`. */
void clseq__gemm_step_enter(clseq__gemm_step_pass *p, int64_t layer, cl_mem kept, int64_t offset);

/* Offset of state s after t steps. */
int64_t clseq__gemm_step_state(const clseq__gemm_step_pass *p, int s, int64_t t);

/* What the layer puts out, as a matrix [T*B, H]: its h after each step. */
clseq_matrix clseq__gemm_step_outputs(const clseq__gemm_step_pass *p);

/* The gates from slot `slot` on, of step t and all after it, as a matrix. */
clseq_matrix clseq__gemm_step_gates(const clseq__gemm_step_pass *p, int slot, int64_t t);

/* Floats of a row of x and dx in the workspace: none where x is numbers. */
int64_t clseq__gemm_step_x_row(const clseq_rnn_plan *plan);

/*
 * x of the first layer as a matrix, into p->x: where it lies, or, when its rows lie unevenly or end early, a
 * copy in `room` with zeros past the ends. Numbers go into p->numbers.
 */
clseq_status clseq__gemm_step_load_x(clseq__gemm_step_pass *p, const clseq_tensor *x, cl_mem room,
                                     int64_t room_offset);

/* Whether the T*B rows of a sequence lie evenly, so that it is a matrix with leading dimension `ld`. */
bool clseq__gemm_step_is_matrix(const clseq_tensor *x, int64_t *ld);

/* Copies a sequence [T,B,F] by its strides of T and B; zeros past the ends of rows where `lengths` has a buffer. */
clseq_status clseq__gemm_step_copy_sequence(const clseq__gemm_step_pass *p, const clseq_tensor *lengths,
                                            const clseq_tensor *from, const clseq_tensor *to);

/* Copies or zeroes n floats; offsets in floats. */
clseq_status clseq__gemm_step_copy(clseq_context *ctx, cl_mem from, int64_t from_offset, cl_mem to,
                                   int64_t to_offset, int64_t n);
clseq_status clseq__gemm_step_zero(clseq_context *ctx, cl_mem buffer, int64_t offset, int64_t n);

clseq_status clseq__gemm_step_backward(clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                       const clseq_rnn_backward_args *args);

#endif
