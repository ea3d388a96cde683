/*
 * Recurrent layers over whole sequences, forward and backward: LSTM, GRU and plain RNN, stacked, as plans.
 *
 *     clseq_context *ctx = NULL;
 *     clseq_tensor x = {0}, y = {0}, packed = {0}, reserve = {0}, workspace = {0};
 *     clseq_rnn_weights weights[2] = {0};
 *     clseq_rnn_plan *plan = NULL;
 *     clseq_rnn_shape shape = {.T = 50, .B = 32, .mode = CLSEQ_MODE_TRAINING};
 *     clseq_rnn_sizes sizes;
 *     clseq_rnn_plan_create(ctx, &(clseq_rnn_desc){.cell = CLSEQ_CELL_LSTM, .input = 64, .hidden = 128,
 *                                                  .layers = 2}, &plan);
 *     clseq_rnn_plan_sizes(plan, &shape, &sizes);
 *     clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 1, &sizes.packed, &packed);
 *     clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 1, &sizes.reserve, &reserve);
 *     clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 1, &sizes.workspace, &workspace);
 *     clseq_rnn_pack(plan, &shape, weights, &packed);
 *     clseq_rnn_forward(plan, &shape, &(clseq_rnn_forward_args){
 *         .packed = packed, .x = x, .y = y, .reserve = reserve, .workspace = workspace});
 *     clseq_rnn_plan_destroy(plan);
 *
 * Letters: T time steps, B batch rows, I input features, H hidden units, G gates of the cell, L layers.
 * Sequences are [T,B,F] views whose last stride is 1; the other strides are free, so that a [B,T,F] array is
 * passed as its clseq_tensor_transpose(&array, 0, 1) without a copy. States are [L,B,H], packed without gaps.
 * Equations, gate orders and weight shapes are PyTorch's (LSTM: Hochreiter and Schmidhuber 1997 with forget
 * gates, Gers et al. 2000; GRU: Cho et al. 2014 in the form with the reset gate after the recurrent product);
 * cells.h lists them.
 *
 * A plan is made once, where everything is checked; every other call only enqueues and allocates nothing on the
 * device. A plan belongs to its context's thread. The weights are read only by clseq_rnn_pack: pack again after
 * each change of them.
 *
 * What a call writes may share no element with anything else that it is given, unless said otherwise
 * (CLSEQ_INVALID_ARGUMENT); sequences whose rows take turns in one array, as columns of it, share none. Tensors lie
 * within what their buffer was asked for (CLSEQ_OUT_OF_BOUNDS), in buffers of the plan's context
 * (CLSEQ_INVALID_ARGUMENT). What cannot be checked without waiting for the device is the caller's: that lengths are
 * in range, that `packed` holds a pack, and that `reserve` is not written from outside between the passes.
 *
 * Rows may have lengths of their own, in any order, 0 too: steps past a row's end give zeros in y, leave the
 * states as they are and receive no gradient; final states are those after the row's last step.
 */
#ifndef CLSEQ_RNN_H
#define CLSEQ_RNN_H

#include <clseq/cells.h>
#include <clseq/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CLSEQ_RNN_MAX_STATES 2
#define CLSEQ_STATE_H 0
#define CLSEQ_STATE_C 1

typedef enum clseq_bias {
    CLSEQ_BIAS_BOTH = 0, /* b_ih and b_hh, as PyTorch and cuDNN */
    CLSEQ_BIAS_ONE = 1,  /* b_ih only */
    CLSEQ_BIAS_NONE = 2
} clseq_bias;

/* How a sequence is run; every schedule computes the same thing. */
typedef enum clseq_schedule {
    /* The one that the environment variable CLSEQ_SCHEDULE names (in small letters), or the best for the device's
     * features; the log says which and why. */
    CLSEQ_SCHEDULE_AUTO = 0,
    /* One launch a layer and pass: groups own batch rows. CPU devices. */
    CLSEQ_SCHEDULE_BATCH_SPLIT = 1,
    /* A matrix product and a pointwise kernel a step. Every device. */
    CLSEQ_SCHEDULE_GEMM_STEP = 2
} clseq_schedule;

typedef struct clseq_rnn_desc {
    clseq_cell cell;
    int64_t input;  /* I, at least 1 */
    int64_t hidden; /* H, at least 1 */
    int64_t layers; /* L; 0 means 1 */
    clseq_bias bias;
    clseq_schedule schedule; /* one that the device cannot run is CLSEQ_UNSUPPORTED */
    bool one_hot; /* x is i32 [T,B]: the numbers, 0..I-1, of the features that are 1 while all others
                                are 0; any other number stands for zeros. Nothing is multiplied for the first
                                layer's input: its rows are looked up and its gradients summed. No dx. */
} clseq_rnn_desc;

typedef struct clseq_rnn_plan clseq_rnn_plan;

CLSEQ_API clseq_status clseq_rnn_plan_create(clseq_context *ctx, const clseq_rnn_desc *desc,
                                             clseq_rnn_plan **out);

/* NULL is allowed. What was enqueued goes on. */
CLSEQ_API void clseq_rnn_plan_destroy(clseq_rnn_plan *plan);

/* G of the cell and the number of its states. */
CLSEQ_API int64_t clseq_cell_gates(clseq_cell cell);
CLSEQ_API int clseq_cell_states(clseq_cell cell);

/* "lstm"; "unknown" for a value that is none. A static string. */
CLSEQ_API const char *clseq_cell_name(clseq_cell cell);

typedef struct clseq_rnn_shape {
    int64_t T, B; /* at least 1 */
    clseq_mode mode;
} clseq_rnn_shape;

/* In elements of float, to be allocated by the caller as 1-dimensional tensors; never 0. */
typedef struct clseq_rnn_sizes {
    /* The weights in the order that the schedule wants, filled by clseq_rnn_pack; for inference as many as for
     * training or fewer. */
    int64_t packed;
    int64_t reserve;          /* written by forward and changed by backward, in training; 1 in inference */
    int64_t workspace;        /* scratch, contents free between calls */
    int64_t launches_forward; /* kernels and matrix products a call */
    int64_t launches_backward;
    double
        flop_forward; /* 2*G*H*(I+H)*T*B a layer, without I where x is one_hot; backward takes twice that */
} clseq_rnn_sizes;

/* What a call with this shape needs. `packed` depends on the schedule and the mode, not on T and B within one
 * schedule. */
CLSEQ_API clseq_status clseq_rnn_plan_sizes(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                            clseq_rnn_sizes *out);

/* Which schedule runs, why, and what it costs, in words; as much as fits into `size` bytes with its closing
 * 0. */
CLSEQ_API clseq_status clseq_rnn_describe(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                          char *text, size_t size);

/* One layer's parameters or their gradients, each packed without gaps; `in` is I for the first layer, else H.
 */
typedef struct clseq_rnn_weights {
    clseq_tensor w_ih; /* [G*H, in] */
    clseq_tensor w_hh; /* [G*H, H] */
    clseq_tensor b_ih; /* [G*H]; none with CLSEQ_BIAS_NONE */
    clseq_tensor b_hh; /* [G*H]; only with CLSEQ_BIAS_BOTH */
} clseq_rnn_weights;

/*
 * Brings the parameters of all L layers into `packed`. Enqueues only. Of `shape` only the mode counts. A pack may be used
 * with any T and B by all plans with the same descriptor: one made for training by the passes of either mode, one made
 * for inference by inference passes, while training passes refuse its size (CLSEQ_INVALID_SHAPE) where they need more.
 */
CLSEQ_API clseq_status clseq_rnn_pack(clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                      const clseq_rnn_weights *weights, const clseq_tensor *packed);

typedef struct clseq_rnn_forward_args {
    clseq_tensor packed;                        /* in */
    clseq_tensor x;                             /* in  [T,B,I]; with one_hot [T,B] i32, any strides */
    clseq_tensor lengths;                       /* in  [B] i32, each 0..T (not checked); none: all T */
    clseq_tensor initial[CLSEQ_RNN_MAX_STATES]; /* in  [L,B,H] each; none: zeros */
    clseq_tensor y;                             /* out [T,B,H], of the last layer */
    clseq_tensor final[CLSEQ_RNN_MAX_STATES];   /* out [L,B,H] each, may be the same memory as initial; none:
                                                   not written */
    clseq_tensor reserve;                       /* out, kept for backward; none in inference */
    clseq_tensor workspace;
} clseq_rnn_forward_args;

/*
 * Enqueues the forward pass. In training `reserve` then holds it for one backward pass, until another pass or
 * clseq_rnn_pack writes over it.
 */
CLSEQ_API clseq_status clseq_rnn_forward(clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                         const clseq_rnn_forward_args *args);

typedef struct clseq_rnn_backward_args {
    clseq_tensor packed;                         /* in, as in forward; one of training */
    clseq_tensor x;                              /* in, as in forward */
    clseq_tensor lengths;                        /* in, as in forward */
    clseq_tensor dy;                             /* in  [T,B,H]; none: zeros */
    clseq_tensor dfinal[CLSEQ_RNN_MAX_STATES];   /* in  [L,B,H]; none: zeros */
    clseq_tensor dx;                             /* out [T,B,I], written (=); none: not computed; none with
                                                    one_hot */
    clseq_tensor dinitial[CLSEQ_RNN_MAX_STATES]; /* out [L,B,H], written (=); none: not written */
    const clseq_rnn_weights
        *dweights;        /* out [L], added to (+=); NULL, or single tensors none: not computed */
    bool overwrite;       /* write dweights (=) instead of adding */
    clseq_tensor reserve; /* in, and used up: one backward call for each forward call */
    clseq_tensor workspace;
} clseq_rnn_backward_args;

/*
 * Enqueues the backward pass of the last forward call with this reserve, at the same place of the same buffer (a copy of
 * it is none). The plan is that of the forward call, or another one of the same context with the same descriptor and
 * schedule, and T and B are the same. CLSEQ_INVALID_STATE, with nothing enqueued: the reserve holds the pass of another
 * descriptor, T or B, or none, because no forward call in training has filled it, because its backward pass has used it
 * up, or because something was written over it since. Any number of reserves may wait at a time.
 */
CLSEQ_API clseq_status clseq_rnn_backward(clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                          const clseq_rnn_backward_args *args);

#ifdef __cplusplus
}
#endif
#endif
