/*
 * Recurrent layers over whole sequences, forward and backward, as plans: LSTM, GRU, plain RNN and their variants,
 * stacked, in one direction or two, with projection, layer normalisation, a clipped c, zoneout, dropout of what goes from
 * layer to layer or from step to step, or residual connections.
 *
 *     clseq_context *ctx = NULL;
 *     clseq_rnn_plan *plan = NULL;
 *     clseq_tensor x = {0}, y = {0}, weights[8] = {0};
 *     clseq_rnn_buffers buffers = {0};
 *     clseq_rnn_shape shape = {.T = 50, .B = 32, .mode = CLSEQ_MODE_INFERENCE};
 *     clseq_context_create(NULL, &ctx);
 *     clseq_rnn_plan_create(ctx, &(clseq_rnn_desc){.cell = CLSEQ_CELL_LSTM, .input = 64, .hidden = 128,
 *                                                  .layers = 2}, &plan);
 *     for (int64_t i = 0; i < clseq_rnn_weight_count(plan); i++) {
 *         clseq_rnn_weight weight;
 *         clseq_rnn_weight_info(plan, i, &weight);
 *         clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, weight.ndim, weight.dims, &weights[i]);
 *         clseq_tensor_fill(ctx, &weights[i], 0.01);
 *     }
 *     clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 3, (int64_t[]){50, 32, 64}, &x);
 *     clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 3, (int64_t[]){50, 32, clseq_rnn_output_size(plan)}, &y);
 *     clseq_tensor_fill(ctx, &x, 1.0);
 *     clseq_rnn_buffers_create(plan, &shape, &buffers);
 *     clseq_rnn_pack(plan, &shape, weights, &buffers.packed);
 *     clseq_rnn_forward(plan, &shape, &(clseq_rnn_forward_args){
 *         .packed = buffers.packed, .x = x, .y = y, .reserve = buffers.reserve, .workspace = buffers.workspace});
 *     clseq_rnn_buffers_destroy(plan, &buffers);
 *     clseq_tensor_destroy(ctx, &x);
 *     clseq_tensor_destroy(ctx, &y);
 *     for (int i = 0; i < 8; i++)
 *         clseq_tensor_destroy(ctx, &weights[i]);
 *     clseq_rnn_plan_destroy(plan);
 *     clseq_context_destroy(ctx);
 *
 * Letters: T time steps, B batch rows, I input features, H hidden units of a layer, P its projected size, O what it
 * puts out in one direction (P with a projection, else H), G gates of the cell, L layers, D directions (1 or 2).
 *
 * Sequences are [T,B,F] views whose last stride is 1; the other strides are free, so that a [B,T,F] array is passed
 * as its clseq_tensor_transpose(&array, 0, 1) without a copy. x has F = I; y has F = D*O of the last layer, the
 * forward direction's half first, or F = O where the directions are summed. A layer reads what the layer below puts
 * out.
 *
 * States are counted and named by the cell (clseq_rnn_state_count, clseq_rnn_state_info): h, then c where there is
 * one. A state is one tensor [L*D,B,W], packed without gaps, index l*D+d, W = O for h and H for every other; where
 * layers have different widths it is one of 1 dimension that holds the [B,W] blocks one after the other in that order.
 *
 * Weights are counted and described by the plan (clseq_rnn_weight_count, clseq_rnn_weight_info), layers outermost,
 * then directions, and in each:
 *
 *     weight_ih [G*H,in]   weight_hh [G*H,O]   bias_ih [G*H]   bias_hh [G*H]      as PyTorch's of the same names
 *     weight_hr [O,H]                                           with a projection  as PyTorch's
 *     weight_ci, weight_cf, weight_co [H]                       LSTM_PEEPHOLE
 *     gain_ih, gain_hh [G*H]   LSTM also gain_c, bias_c [H]     with layer_norm
 *
 * Rows of gates stand in the order that cells.h gives, which is PyTorch's. What is full-sized there (bias_ih and
 * bias_hh) is left out here by the bias mode.
 *
 * A plan is made once, where everything is checked; every other call only enqueues and allocates nothing on the
 * device. A plan belongs to its context's thread. The weights are read only by clseq_rnn_pack: pack again after
 * each change of them.
 *
 * What a call writes may share no element with anything else that it is given, unless said otherwise
 * (CLSEQ_INVALID_ARGUMENT); sequences whose rows take turns in one array, as columns of it, share none. Tensors lie
 * within what their buffer was asked for (CLSEQ_OUT_OF_BOUNDS), in buffers of the plan's context
 * (CLSEQ_INVALID_ARGUMENT). What cannot be checked without waiting for the device is the caller's: that `packed` holds
 * a pack, and that `reserve` is not written from outside between the passes.
 *
 * Rows may have lengths of their own, in any order, 0 too: steps past a row's end give zeros in y, leave the
 * states as they are and receive no gradient; final states are those after the row's last step. Kernels take a length
 * below 0 as 0 and one above T as T, so that a wrong one gives wrong results, never a read or write out of bounds
 * (clseq_recur, which sees the lengths on the host, refuses them). The reverse direction begins at each row's own end.
 */
#ifndef CLSEQ_RNN_H
#define CLSEQ_RNN_H

#include <clseq/cells.h>
#include <clseq/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/* "lstm"; "unknown" for a value that is none. A static string. */
CLSEQ_API const char *clseq_cell_name(clseq_cell cell);

/* The cell of a name: CLSEQ_NOT_FOUND, and a sentence that lists the names, where there is none. */
CLSEQ_API clseq_status clseq_cell_find(const char *name, clseq_cell *out);

/* G, and the number of states; 0 for a value that is none. */
CLSEQ_API int64_t clseq_cell_gates(clseq_cell cell);
CLSEQ_API int clseq_cell_states(clseq_cell cell);

typedef enum clseq_bias {
    /* bias_ih and bias_hh, as PyTorch and cuDNN. */
    CLSEQ_BIAS_BOTH = 0,
    /* bias_ih only. */
    CLSEQ_BIAS_ONE = 1,
    CLSEQ_BIAS_NONE = 2
} clseq_bias;

typedef enum clseq_direction {
    CLSEQ_DIRECTION_FORWARD = 0,
    /* Every row from its last step to its first; y stands in the order of x. */
    CLSEQ_DIRECTION_REVERSE = 1,
    CLSEQ_DIRECTION_BIDIRECTIONAL = 2
} clseq_direction;

/* What becomes of the two directions' outputs. */
typedef enum clseq_merge {
    /* Side by side, forward first. */
    CLSEQ_MERGE_CONCAT = 0,
    CLSEQ_MERGE_SUM = 1
} clseq_merge;

/* How a layer is run; every schedule computes the same thing. */
typedef enum clseq_schedule {
    /* The one that the environment variable CLSEQ_SCHEDULE names (in small letters; read when the plan is made), or
     * for each call the best for its T, B and mode on this device. */
    CLSEQ_SCHEDULE_AUTO = 0,
    /* One launch a layer and pass: groups own batch rows, or share their units in teams. CPU devices. */
    CLSEQ_SCHEDULE_TEAM = 1,
    /* A matrix product and a pointwise kernel a phase of a step. Every device. */
    CLSEQ_SCHEDULE_GEMM_STEP = 2
} clseq_schedule;

/* "team"; "unknown" for a value that is none. A static string. */
CLSEQ_API const char *clseq_schedule_name(clseq_schedule schedule);

/* The schedule of a name, "auto" too: CLSEQ_NOT_FOUND, and a sentence that lists the names, where there is none. */
CLSEQ_API clseq_status clseq_schedule_find(const char *name, clseq_schedule *out);

/* All zero is right but for `input` and `hidden`. */
typedef struct clseq_rnn_desc {
    clseq_cell cell;
    /* I, at least 1. */
    int64_t input;
    /* H of every layer, at least 1; not looked at where `widths` is given. */
    int64_t hidden;
    /* L; 0 means 1. */
    int64_t layers;
    clseq_bias bias;
    clseq_direction direction;
    clseq_merge merge;
    /* One that the device cannot run is CLSEQ_UNSUPPORTED. */
    clseq_schedule schedule;
    /* P, the size to which every layer's h is projected (Sak et al. 2014; PyTorch's proj_size): 1 to the H of every
     * layer (PyTorch: to one less); 0: no projection. Not for cells in which a unit's own h goes on beside the recurrent
     * product (the GRUs): CLSEQ_UNSUPPORTED. */
    int64_t projection;
    /* The probability, 0 <= dropout < 1, with which training makes each element of what a layer hands to the layer above
     * 0 (none of y); the others are scaled by 1/(1-dropout). PyTorch's dropout. Which ones follows from seed and stream of
     * clseq_rnn_forward_args. */
    float dropout;
    /* One mask for all steps of a row (Gal, Ghahramani 2016) instead of one for each; CLSEQ_INVALID_ARGUMENT without
     * dropout. */
    bool variational_dropout;
    /* From the second layer on a layer puts out h plus what it reads (Wu et al. 2016), which dropout, where there is any,
     * has been applied to; states are h alone. CLSEQ_INVALID_ARGUMENT where a layer puts out more or fewer features than
     * the one below. */
    bool residual;
    /* Layer normalisation (Ba, Kiros, Hinton 2016), over all G*H values of a row of each product and, in the LSTM, over
     * c': pre-activations are gain_ih*norm(x W) + b_ih + gain_hh*norm(h U) + b_hh, and h' = o*tanh(gain_c*norm(c') +
     * bias_c), with norm(v) = (v - mean(v)) / sqrt(var(v) + 1e-5). LSTM and GRU; CLSEQ_UNSUPPORTED for others. */
    bool layer_norm;
    /* The bound of c: c' is clamped to [-cell_clip, cell_clip] where it is made, so that h' and the next step see it so (Sak
     * et al. 2014; TensorFlow's cell_clip). No gradient passes a c' that reached the bound. 0: none; else finite, above 0.
     * Cells with a c; CLSEQ_UNSUPPORTED for others. */
    float cell_clip;
    /* Zoneout (Krueger et al. 2017): in training each unit keeps its h, or its c, of the step before with this probability,
     * in [0,1), each by itself: h(t) = k*h(t-1) + (1-k)*h~(t) with k = 1 or 0; what the cell computes of the step sees its
     * own new c~. In inference k is the probability. A unit keeps something else in each row, step, layer and direction, by
     * the random numbers of the arguments' seed and stream. zoneout_c: cells with a c. zoneout_h: not with a projection.
     * CLSEQ_UNSUPPORTED for others. */
    float zoneout_h, zoneout_c;
    /* Recurrent dropout (Gal and Ghahramani 2016; Keras' recurrent_dropout): in training the products with weight_hh read
     * h(t-1) times a mask, which is 0 with this probability, in [0,1), and else 1/(1 - recurrent_dropout): of each unit one
     * for all steps of a row and all gates, another one in each row, layer and direction, drawn as zoneout's. What a unit
     * takes of its own h beside these products is not masked: z*h of the GRUs; of GRU_RESET_BEFORE the products of r and z
     * read the masked h, while r*h, which that of n reads, is of h as it is. With a projection the projected h is masked.
     * Nothing in inference. */
    float recurrent_dropout;
    /* x is i32 [T,B]: the indices, 0..I-1, of the features that are 1 while all others are 0; any other number stands
     * for zeros. Nothing is multiplied for the first layer's input: its rows are looked up and its gradients summed.
     * No dx. */
    bool one_hot;
    /* [L], the H of each layer; NULL: `hidden` everywhere. Copied. */
    const int64_t *widths;
} clseq_rnn_desc;

typedef struct clseq_rnn_plan clseq_rnn_plan;

CLSEQ_API clseq_status clseq_rnn_plan_create(clseq_context *ctx, const clseq_rnn_desc *desc,
                                             clseq_rnn_plan **out);

/* NULL is allowed. What was enqueued goes on. */
CLSEQ_API void clseq_rnn_plan_destroy(clseq_rnn_plan *plan);

/* The descriptor, with `layers` at least 1 and `widths` the plan's own copy; NULL for NULL. */
CLSEQ_API const clseq_rnn_desc *clseq_rnn_plan_description(const clseq_rnn_plan *plan);

/* Whether the plan's schedules look rows of one_hot input up for far less than a product with features costs, so that a
 * table of the products of few kinds of rows pays. */
CLSEQ_API bool clseq_rnn_one_hot_is_cheap(const clseq_rnn_plan *plan);

/* What a weight is to its layer. */
typedef enum clseq_rnn_weight_kind {
    /* weight_ih: reads the layer's input. */
    CLSEQ_RNN_WEIGHT_INPUT = 0,
    /* weight_hh: reads h. */
    CLSEQ_RNN_WEIGHT_RECURRENT = 1,
    CLSEQ_RNN_WEIGHT_BIAS = 2,
    /* weight_hr. */
    CLSEQ_RNN_WEIGHT_PROJECTION = 3,
    /* A factor for each unit: peepholes. */
    CLSEQ_RNN_WEIGHT_UNIT = 4,
    /* A factor for each unit or gate of a normalised sum; starts as 1. */
    CLSEQ_RNN_WEIGHT_GAIN = 5,
    /* What is added to a normalised state; starts as 0. */
    CLSEQ_RNN_WEIGHT_SHIFT = 6
} clseq_rnn_weight_kind;

#define CLSEQ_RNN_WEIGHT_NAME 48

typedef struct clseq_rnn_weight {
    /* As PyTorch calls it: "weight_ih_l0", "weight_ih_l0_reverse". */
    char name[CLSEQ_RNN_WEIGHT_NAME];
    /* Without layer and direction: "weight_ih". A static string. */
    const char *part;
    clseq_rnn_weight_kind kind;
    int64_t layer;
    bool reverse;
    /* 1 or 2. */
    int ndim;
    int64_t dims[2];
    /* Rows that belong to one gate, H; a matrix has dims[0] / gate_rows gates one above the other. weight_hr: P. */
    int64_t gate_rows;
} clseq_rnn_weight;

/* The number of weights of all layers; 0 for NULL. */
CLSEQ_API int64_t clseq_rnn_weight_count(const clseq_rnn_plan *plan);

/* Weight number i, in the order of the arrays that pack and backward take. */
CLSEQ_API clseq_status clseq_rnn_weight_info(const clseq_rnn_plan *plan, int64_t i, clseq_rnn_weight *out);

typedef struct clseq_rnn_state {
    /* "h", "c". A static string. */
    const char *name;
    /* 3, [L*D,B,W]; or 1 where layers have different widths. */
    int ndim;
    int64_t dims[3];
} clseq_rnn_state;

/* The number of states; 0 for NULL. */
CLSEQ_API int clseq_rnn_state_count(const clseq_rnn_plan *plan);

/* State number i for B batch rows. */
CLSEQ_API clseq_status clseq_rnn_state_info(const clseq_rnn_plan *plan, int i, int64_t B,
                                            clseq_rnn_state *out);

/* Features of y: D*O or O of the last layer; 0 for NULL. */
CLSEQ_API int64_t clseq_rnn_output_size(const clseq_rnn_plan *plan);

typedef struct clseq_rnn_shape {
    /* At least 1. */
    int64_t T, B;
    clseq_mode mode;
    /* The pass runs piece by piece (clseq_rnn_weight_gradients); T is the most steps that all pieces may have together. Of
     * training, in forward direction; CLSEQ_UNSUPPORTED for others. */
    bool in_pieces;
} clseq_rnn_shape;

/* The schedule that a call with this shape takes. */
CLSEQ_API clseq_status clseq_rnn_plan_schedule(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                               clseq_schedule *out);

/* Sizes in bytes, never 0. */
typedef struct clseq_rnn_sizes {
    /* The weights in the order that the schedule wants, filled by clseq_rnn_pack; for inference as many as for
     * training or fewer. */
    int64_t packed;
    /* Of each layer's reserve, enough for the largest (clseq_rnn_reserve_size: exactly); written by forward and changed
     * by backward, in training. */
    int64_t reserve;
    /* Scratch, contents free between calls. */
    int64_t workspace;
    /* Kernels and matrix products a call, at most. */
    int64_t launches_forward;
    int64_t launches_backward;
    /* Two for each multiplication and addition of the products, as 2*G*H*(in+O)*T*B a layer and direction, without `in`
     * where x is one_hot; backward takes twice that. */
    double flop_forward;
} clseq_rnn_sizes;

/* What a call with this shape needs. `packed` depends on the schedule and the mode, not on T and B within one
 * schedule. Sizes that the device cannot address are CLSEQ_UNSUPPORTED, here and in every call: a buffer above the
 * device's largest allocation, or a layer's reserve of 2^31 floats or more. */
CLSEQ_API clseq_status clseq_rnn_plan_sizes(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                            clseq_rnn_sizes *out);

/* Bytes of one layer's reserve. */
CLSEQ_API clseq_status clseq_rnn_reserve_size(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                              int64_t layer, int64_t *out);

/* Which schedule runs, why, and what it costs, in words; as much as fits into `size` bytes with its closing
 * 0. */
CLSEQ_API clseq_status clseq_rnn_describe(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                          char *text, size_t size);

/*
 * What a call needs beside its operands: tensors of CLSEQ_DTYPE_U8 and one dimension. Programs may make them
 * themselves, larger or in one buffer (at offsets that are multiples of 64, else CLSEQ_INVALID_ARGUMENT), or with these
 * two functions.
 */
typedef struct clseq_rnn_buffers {
    clseq_tensor packed;
    /* [L]; NULL in inference. */
    clseq_tensor *reserve;
    clseq_tensor workspace;
} clseq_rnn_buffers;

CLSEQ_API clseq_status clseq_rnn_buffers_create(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                                clseq_rnn_buffers *out);

/* Zeroes *buffers. NULL, or one that is all zero, is allowed. */
CLSEQ_API void clseq_rnn_buffers_destroy(const clseq_rnn_plan *plan, clseq_rnn_buffers *buffers);

/*
 * Brings the weights, an array of clseq_rnn_weight_count f32 tensors packed without gaps, into `packed`. Enqueues
 * only. A pack may be used with any shape that takes the same schedule, by all plans with the same descriptor: one made
 * for training by the passes of either mode, one made for inference by inference passes, while training passes refuse
 * its size (CLSEQ_INVALID_SHAPE) where they need more.
 */
CLSEQ_API clseq_status clseq_rnn_pack(clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                      const clseq_tensor *weights, const clseq_tensor *packed);

/* What is none or missing has no buffer, or no array (tensor.h). */
typedef struct clseq_rnn_forward_args {
    /* in */
    clseq_tensor packed;
    /* in  [T,B,I]; with one_hot [T,B] i32, any strides */
    clseq_tensor x;
    /* in  [B] i32, each 0..T; none: all T */
    clseq_tensor lengths;
    /* in  [states]; missing: zeros */
    const clseq_tensor *initial;
    /* out [T,B,D*O] or [T,B,O] of the last layer */
    clseq_tensor y;
    /* out [states], each may be the same memory as its initial one; missing: not written */
    const clseq_tensor *final;
    /* out [L], kept for backward; not looked at in inference */
    const clseq_tensor *reserve;
    clseq_tensor workspace;
    /* What the pass draws are Philox numbers of (seed, stream), the same on every device and under every schedule; give
     * each pass a stream of its own. Kept with the reserves for backward, which draws them again. Not looked at in
     * inference, without an option that draws, and in pieces after the first one. */
    uint64_t seed, stream;
    /* The step of (seed, stream) that the pass's first one draws as: 0, or as many as have gone before in other passes that
     * go on with one another. Not negative. Kept and not looked at as seed and stream are. */
    int64_t time;
    /* In pieces: this one is steps [first, first + count) of the pass; both 0 otherwise. */
    int64_t first, count;
} clseq_rnn_forward_args;

/*
 * Enqueues the forward pass. In training the reserves then hold it for one backward pass, until another pass or
 * clseq_rnn_pack writes over one of them.
 */
CLSEQ_API clseq_status clseq_rnn_forward(clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                         const clseq_rnn_forward_args *args);

typedef struct clseq_rnn_backward_args {
    /* in, as in forward; one of training */
    clseq_tensor packed;
    /* in, as in forward */
    clseq_tensor x;
    /* in, as in forward */
    clseq_tensor lengths;
    /* in  as y; none: zeros */
    clseq_tensor dy;
    /* in  [states]; missing: zeros */
    const clseq_tensor *dfinal;
    /* out [T,B,I], written (=); none: not computed; none with one_hot */
    clseq_tensor dx;
    /* out [states], written (=); missing: not written */
    const clseq_tensor *dinitial;
    /* out [clseq_rnn_weight_count], added to (+=); NULL, or single tensors none: not computed */
    const clseq_tensor *dweights;
    /* Write dweights (=) instead of adding. */
    bool overwrite;
    /* in [L], and used up: one backward call for each forward call */
    const clseq_tensor *reserve;
    clseq_tensor workspace;
    /* In pieces, as in forward. */
    int64_t first, count;
} clseq_rnn_backward_args;

/*
 * Enqueues the backward pass of the last forward call with these reserves, at the same place of the same buffers (a copy
 * of one is none). The plan is that of the forward call, or another one of the same context with the same descriptor and
 * schedule, and T and B are the same. CLSEQ_INVALID_STATE, with nothing enqueued: a reserve holds the pass of another
 * descriptor, T or B, or none, because no forward call in training has filled it, because its backward pass has used it
 * up, or because something was written over it since. Any number of passes may wait at a time.
 */
CLSEQ_API clseq_status clseq_rnn_backward(clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                          const clseq_rnn_backward_args *args);

typedef struct clseq_rnn_weight_gradients_args {
    /* out [clseq_rnn_weight_count], added to (+=); single tensors none: not computed */
    const clseq_tensor *dweights;
    /* Write dweights (=) instead of adding. */
    bool overwrite;
    /* in [L], and used up */
    const clseq_tensor *reserve;
    clseq_tensor workspace;
} clseq_rnn_weight_gradients_args;

/*
 * A pass in pieces is for loops that do not know a step's input before the step before has run, as a decoder's. Its shape
 * says in_pieces; each forward call runs the next steps, [first, first + count), and when as many have run as are needed, T
 * or fewer, each backward call goes back over the last ones that have not been gone back over yet. In these calls x, y, dy
 * and dx have `count` steps, x is not looked at in backward (the reserves keep it), and there are no lengths and no
 * dweights. What goes from piece to piece are initial and final, dinitial and dfinal: a piece begins with the states that
 * it is given (missing: zeros), whichever they are. So in a reserve there may also stand steps of several sequences, or
 * steps between which something else became of the states. A piece whose steps no gradient has reached is gone back over
 * without dy and dfinal, that is with zeros.
 *
 *     clseq_rnn_forward(plan, &shape, &(clseq_rnn_forward_args){.., .first = t, .count = 1});      t = 0, 1, .., n-1
 *     clseq_rnn_backward(plan, &shape, &(clseq_rnn_backward_args){.., .first = t, .count = 1});    t = n-1, .., 1, 0
 *     clseq_rnn_weight_gradients(plan, &shape, &(clseq_rnn_weight_gradients_args){..});            once
 *
 * (A fragment.) At last this makes the gradients of the weights, one product over all steps that have run. A piece gives
 * the same bits as its steps in a whole pass.
 *
 * CLSEQ_INVALID_STATE, with nothing enqueued: steps come in another order, twice, or not at all; something was written over
 * a reserve, or it holds the pass of another descriptor, T or B.
 */
CLSEQ_API clseq_status clseq_rnn_weight_gradients(clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                                  const clseq_rnn_weight_gradients_args *args);

#ifdef __cplusplus
}
#endif
#endif
