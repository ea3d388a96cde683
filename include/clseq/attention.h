/*
 * Attention over the keys of a sequence, forward and backward, as plans: additive and multiplicative scores, local windows,
 * scores that see where was looked before, and pooling over time.
 *
 *     clseq_context *ctx = NULL;
 *     clseq_attention_plan *plan = NULL;
 *     clseq_tensor keys = {0}, queries = {0}, context = {0}, weights[4] = {0};
 *     clseq_attention_buffers buffers = {0};
 *     const clseq_attention_shape shape = {.T = 5, .S = 20, .B = 8, .mode = CLSEQ_MODE_INFERENCE};
 *     clseq_context_create(NULL, &ctx);
 *     clseq_attention_plan_create(ctx, &(clseq_attention_desc){.query = 32, .key = 64, .units = 48, .bias = true}, &plan);
 *     for (int i = 0; i < clseq_attention_weight_count(plan); i++) {
 *         clseq_attention_weight weight;
 *         clseq_attention_weight_info(plan, i, &weight);
 *         clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, weight.ndim, weight.dims, &weights[i]);
 *         clseq_tensor_fill(ctx, &weights[i], 0.01);
 *     }
 *     clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 3, (int64_t[]){20, 8, 64}, &keys);
 *     clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 3, (int64_t[]){5, 8, 32}, &queries);
 *     clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 3, (int64_t[]){5, 8, 64}, &context);
 *     clseq_tensor_fill(ctx, &keys, 1.0);
 *     clseq_tensor_fill(ctx, &queries, 1.0);
 *     clseq_attention_buffers_create(plan, &shape, &buffers);
 *     clseq_attention_remember(plan, &shape, &(clseq_attention_memory_args){
 *         .weights = weights, .keys = keys, .memory = buffers.memory});
 *     clseq_attention_forward(plan, &shape, &(clseq_attention_forward_args){
 *         .weights = weights, .memory = buffers.memory, .queries = queries, .context = context,
 *         .workspace = buffers.workspace});
 *     clseq_attention_buffers_destroy(plan, &buffers);
 *     clseq_tensor_destroy(ctx, &keys);
 *     clseq_tensor_destroy(ctx, &queries);
 *     clseq_tensor_destroy(ctx, &context);
 *     for (int i = 0; i < 4; i++)
 *         clseq_tensor_destroy(ctx, &weights[i]);
 *     clseq_attention_plan_destroy(plan);
 *     clseq_context_destroy(ctx);
 *
 * Letters: T queries of a row one after another, S keys, B batch rows, Q features of a query, K of a key, V of a value, A
 * units of a score, D half of a window, P units of its prediction, C channels of a location.
 *
 *     score(t,s)      from query t and key s, by clseq_attention_score
 *     alignment(t,s)  softmax over the keys s that count at t: those of the row, within the window, not masked
 *     context(t)      the sum over s of alignment(t,s) value(s)
 *
 * Queries [T,B,Q], keys [S,B,K], values [S,B,V], alignments [T,B,S] and contexts [T,B,V] are views whose last stride is 1;
 * the other strides are free, so that a [B,S,K] array is passed as its clseq_tensor_transpose(&array, 0, 1) without a copy.
 *
 * Keys are projected once, by clseq_attention_remember, into a memory that any number of queries is then asked of, one or
 * many a call: as many calls of one query each give the same bits as one call of all of them, forward and backward (with
 * CLSEQ_GEMM=clblast on a CPU: as far as its products do). No array of T*S*B*A numbers is made.
 *
 * Rows may have lengths of their own, in any order, 0 too, and a mask: keys past a row's end, and masked ones, may be
 * anything, NaN too, and get no gradient. Where no key counts the alignment and the context are zeros, and no gradient
 * passes. Lengths are on the device and taken into 0..S.
 *
 * Every call only enqueues. Products take scratch from the context's pool; else nothing is allocated on the device. A plan
 * belongs to its context's thread. Sums are added in a fixed order: the same bits every time on the same device.
 *
 * What a call writes may share no element with anything else that it is given (CLSEQ_INVALID_ARGUMENT). Tensors lie within
 * what their buffer was asked for (CLSEQ_OUT_OF_BOUNDS), in buffers of the plan's context (CLSEQ_INVALID_ARGUMENT). That a
 * memory and a reserve hold what a call expects of them is the caller's.
 */
#ifndef CLSEQ_ATTENTION_H
#define CLSEQ_ATTENTION_H

#include <clseq/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Weights in the order in which they stand here, with the dims of the plan. */
typedef enum clseq_attention_score {
    /* v . tanh(Wq q + Wk k + b) (Bahdanau, Cho and Bengio 2015): weight_query [A,Q], weight_key [A,K], with `bias` bias [A],
     * weight_score [A]; with `normalise` also gain_score [1], and g v/|v| in place of v (Salimans and Kingma 2016). */
    CLSEQ_ATTENTION_SCORE_ADDITIVE = 0,
    /* q . k (Luong, Pham and Manning 2015), as the two that follow: no weights; Q = K. */
    CLSEQ_ATTENTION_SCORE_DOT = 1,
    /* q . (W k): weight_key [Q,K]. */
    CLSEQ_ATTENTION_SCORE_GENERAL = 2,
    /* v . tanh(W [q;k]): weight_both [A,Q+K], weight_score [A]. */
    CLSEQ_ATTENTION_SCORE_CONCAT = 3,
    CLSEQ_ATTENTION_SCORE_COUNT = 4
} clseq_attention_score;

/* Which keys count for a query, numbered from 0 as keys are. */
typedef enum clseq_attention_window {
    /* All of them. */
    CLSEQ_ATTENTION_WINDOW_GLOBAL = 0,
    /* Local-m of Luong et al.: those within D of the centre window_rate * t. */
    CLSEQ_ATTENTION_WINDOW_MONOTONIC = 1,
    /* Local-p of Luong et al.: those within D of the centre p(t) = n sigmoid(vp . tanh(Wp q)), n being the row's length; the
     * alignment is the softmax over them times exp(-(s - p)^2 / (2 (D/2)^2)), which gives the centre its gradient. Its weights come
     * after those of the score: weight_centre [P,Q], score_centre [P]. */
    CLSEQ_ATTENTION_WINDOW_PREDICTED = 2,
    CLSEQ_ATTENTION_WINDOW_COUNT = 3
} clseq_attention_window;

/* "additive", "monotonic"; "unknown" for a value that is none. Static strings. */
CLSEQ_API const char *clseq_attention_score_name(clseq_attention_score score);
CLSEQ_API const char *clseq_attention_window_name(clseq_attention_window window);

/* All zero is right but for `query`, `key` and, where there are any, `units`. */
typedef struct clseq_attention_desc {
    clseq_attention_score score;
    /* Q and K, at least 1. */
    int64_t query, key;
    /* V; 0: the keys are the values. */
    int64_t value;
    /* A of ADDITIVE and CONCAT, at least 1; 0 for others. */
    int64_t units;
    /* Of ADDITIVE. */
    bool bias, normalise;
    clseq_attention_window window;
    /* D, at least 1, of MONOTONIC and PREDICTED; 0 for GLOBAL. */
    int64_t window_radius;
    /* Keys that the centre of MONOTONIC goes on with each query, finite, above 0; 0: one. */
    float window_rate;
    /* P; 0: Q. */
    int64_t window_units;
    /* Location-sensitive scores (Chorowski et al. 2015), of ADDITIVE: v . tanh(Wq q + Wk k + U f + b), f(s,c) being the sum over j
     * of F[c,j] a(s + j - (width-1)/2), where a is the alignment of the query before, 0 outside of the keys. C; 0: none. The weights
     * come last: filter_location [C,width], weight_location [A,C]. */
    int64_t location_channels;
    /* An odd number. */
    int64_t location_width;
    /* a is the sum of the alignments of all queries before. */
    bool location_sums;
} clseq_attention_desc;

typedef struct clseq_attention_plan clseq_attention_plan;

CLSEQ_API clseq_status clseq_attention_plan_create(clseq_context *ctx, const clseq_attention_desc *desc,
                                                   clseq_attention_plan **out);

/* NULL is allowed. What was enqueued goes on. */
CLSEQ_API void clseq_attention_plan_destroy(clseq_attention_plan *plan);

/* The descriptor, with every default filled in; NULL for NULL. */
CLSEQ_API const clseq_attention_desc *clseq_attention_plan_description(const clseq_attention_plan *plan);

typedef struct clseq_attention_weight {
    /* "weight_query". A static string. */
    const char *name;
    /* 1 or 2. */
    int ndim;
    int64_t dims[2];
} clseq_attention_weight;

/* The number of weights; 0 for NULL. */
CLSEQ_API int clseq_attention_weight_count(const clseq_attention_plan *plan);

/* Weight number i, in the order of the arrays that calls take. */
CLSEQ_API clseq_status clseq_attention_weight_info(const clseq_attention_plan *plan, int i,
                                                   clseq_attention_weight *out);

typedef struct clseq_attention_shape {
    /* At least 1. T: the most queries of a call; in training of all calls of a pass together. */
    int64_t T, S, B;
    clseq_mode mode;
} clseq_attention_shape;

/* Sizes in bytes, never 0. */
typedef struct clseq_attention_sizes {
    /* By S and B alone. */
    int64_t memory;
    /* Of training: what the calls of a pass keep for its backward pass, and this for the gradients. */
    int64_t reserve;
    /* Scratch, contents free between calls. */
    int64_t workspace;
} clseq_attention_sizes;

/* What calls with this shape need. A buffer above the device's largest allocation is CLSEQ_UNSUPPORTED. */
CLSEQ_API clseq_status clseq_attention_plan_sizes(const clseq_attention_plan *plan,
                                                  const clseq_attention_shape *shape,
                                                  clseq_attention_sizes *out);

/* What the plan computes and what it costs, in words; as much as fits into `size` bytes with its closing 0. */
CLSEQ_API clseq_status clseq_attention_describe(const clseq_attention_plan *plan,
                                                const clseq_attention_shape *shape, char *text, size_t size);

/*
 * What calls need beside their operands: tensors of CLSEQ_DTYPE_U8 and one dimension. Programs may make them themselves,
 * larger or in one buffer (at offsets that are multiples of 64, else CLSEQ_INVALID_ARGUMENT), or with these two functions.
 */
typedef struct clseq_attention_buffers {
    clseq_tensor memory;
    clseq_tensor reserve; /* none in inference */
    clseq_tensor workspace;
} clseq_attention_buffers;

CLSEQ_API clseq_status clseq_attention_buffers_create(const clseq_attention_plan *plan,
                                                      const clseq_attention_shape *shape,
                                                      clseq_attention_buffers *out);

/* Zeroes *buffers. NULL, or one that is all zero, is allowed. */
CLSEQ_API void clseq_attention_buffers_destroy(const clseq_attention_plan *plan,
                                               clseq_attention_buffers *buffers);

/* In all that follows `weights` are clseq_attention_weight_count f32 tensors packed without gaps, or NULL where there are
 * none; they do not change from the memory to the gradients of a pass. What is none or missing has no buffer (tensor.h). */

typedef struct clseq_attention_memory_args {
    const clseq_tensor *weights;
    /* in  [S,B,K] */
    clseq_tensor keys;
    /* in  [S,B,V]; none where the keys are the values */
    clseq_tensor values;
    /* in  [B] i32; none: all S */
    clseq_tensor lengths;
    /* in  [S,B] i32, any strides, 0: does not count; none: all count */
    clseq_tensor mask;
    /* out */
    clseq_tensor memory;
} clseq_attention_memory_args;

/* Fills a memory: the keys, projected, the values, and which of them count. What it was made from need not live on. */
CLSEQ_API clseq_status clseq_attention_remember(clseq_attention_plan *plan,
                                                const clseq_attention_shape *shape,
                                                const clseq_attention_memory_args *args);

typedef struct clseq_attention_forward_args {
    const clseq_tensor *weights;
    clseq_tensor memory;
    /* in  [count,B,Q] */
    clseq_tensor queries;
    /* out [count,B,V] */
    clseq_tensor context;
    /* out [count,B,S]; none: not wanted */
    clseq_tensor alignment;
    /* With a location, in [B,S]: a before the first query, to which no gradient goes; none: zeros. Not looked at in training where
     * `first` is above 0: the reserve has it. */
    clseq_tensor initial;
    /* With a location, out [B,S]: a after the last query; none: not wanted. */
    clseq_tensor final;
    /* out, kept for backward; not looked at in inference */
    clseq_tensor reserve;
    clseq_tensor workspace;
    /* These are queries [first, first + count); both 0: all T. In inference `first` is any number, by which MONOTONIC goes. */
    int64_t first, count;
} clseq_attention_forward_args;

/*
 * Enqueues queries. In training the calls of a pass come in the order of queries, the first with `first` 0, on one reserve,
 * and as many queries as are needed, T or fewer.
 */
CLSEQ_API clseq_status clseq_attention_forward(clseq_attention_plan *plan, const clseq_attention_shape *shape,
                                               const clseq_attention_forward_args *args);

typedef struct clseq_attention_backward_args {
    const clseq_tensor *weights;
    clseq_tensor memory;
    /* in  [count,B,V] */
    clseq_tensor dcontext;
    /* in  [count,B,S]; none: zeros */
    clseq_tensor dalignment;
    /* out [count,B,Q], written (=); none: not computed */
    clseq_tensor dqueries;
    /* in and out */
    clseq_tensor reserve;
    clseq_tensor workspace;
    /* As in forward, of training. */
    int64_t first, count;
} clseq_attention_backward_args;

/*
 * Enqueues the way back over queries: the calls of a pass come in the opposite order, the last queries that have run first, cut
 * in any way; all queries that have run are gone back over, each once. What goes to keys, values and weights is gathered in the
 * reserve.
 */
CLSEQ_API clseq_status clseq_attention_backward(clseq_attention_plan *plan,
                                                const clseq_attention_shape *shape,
                                                const clseq_attention_backward_args *args);

typedef struct clseq_attention_gradients_args {
    const clseq_tensor *weights;
    /* in, as in remember */
    clseq_tensor keys, lengths, mask;
    clseq_tensor memory;
    /* out [S,B,K] and [S,B,V], written (=); none: not computed. Where the keys are the values dkeys has both. */
    clseq_tensor dkeys, dvalues;
    /* out [weights], added to (+=); NULL, or single tensors none: not computed */
    const clseq_tensor *dweights;
    /* in, and used up */
    clseq_tensor reserve;
    clseq_tensor workspace;
    /* Queries that have run; 0: T. */
    int64_t count;
} clseq_attention_gradients_args;

/* Enqueues, once a pass at its end, the gradients of keys, values and weights: one product each over all queries or keys. */
CLSEQ_API clseq_status clseq_attention_gradients(clseq_attention_plan *plan,
                                                 const clseq_attention_shape *shape,
                                                 const clseq_attention_gradients_args *args);

/*
 * Pooling over time: the steps of x [T,B,H] are keys and values, and there is no query.
 *
 *     score(s)        v . tanh(W x(s) + b)          W [A,H], b [A] or none, v [A]
 *     y               the sum over s of softmax(score)(s) x(s)                        [B,H]
 *     y(t), causal    the same over the steps s <= t                                  [T,B,H]
 *
 * in O(T) either way. Steps past a row's end, and masked ones, count as keys of attention do; where nothing counts y is 0, and
 * so is y(t) past a row's end.
 */
typedef struct clseq_attention_pool_desc {
    /* H and A, at least 1. */
    int64_t input, units;
    bool bias;
    bool causal;
} clseq_attention_pool_desc;

typedef struct clseq_attention_pool_shape {
    /* At least 1. */
    int64_t T, B;
    clseq_mode mode;
} clseq_attention_pool_shape;

typedef struct clseq_attention_pool_sizes {
    /* Of training. */
    int64_t reserve;
    int64_t workspace;
} clseq_attention_pool_sizes;

/* Bytes, never 0. */
CLSEQ_API clseq_status clseq_attention_pool_measure(clseq_context *ctx, const clseq_attention_pool_desc *desc,
                                                    const clseq_attention_pool_shape *shape,
                                                    clseq_attention_pool_sizes *out);

typedef struct clseq_attention_pool_forward_args {
    /* in  [A,H], [A] or none, [A], packed without gaps */
    clseq_tensor weight, bias, score;
    /* in  [T,B,H] */
    clseq_tensor x;
    /* in  [B] i32; none: all T */
    clseq_tensor lengths;
    /* in  [T,B] i32, any strides; none: all count */
    clseq_tensor mask;
    /* out [B,H]; causal: [T,B,H] */
    clseq_tensor y;
    /* out [B,T]; none: not wanted; none of causal */
    clseq_tensor alignment;
    /* out, kept for backward; not looked at in inference */
    clseq_tensor reserve;
    clseq_tensor workspace;
} clseq_attention_pool_forward_args;

CLSEQ_API clseq_status clseq_attention_pool_forward(clseq_context *ctx, const clseq_attention_pool_desc *desc,
                                                    const clseq_attention_pool_shape *shape,
                                                    const clseq_attention_pool_forward_args *args);

typedef struct clseq_attention_pool_backward_args {
    /* in, as in forward */
    clseq_tensor weight, score, x, lengths, mask;
    /* in  y of forward, of causal; else none */
    clseq_tensor y;
    /* in  as y of forward */
    clseq_tensor dy;
    /* out [T,B,H], written (=); none: not computed */
    clseq_tensor dx;
    /* out as weight, bias and score, added to (+=); none: not computed */
    clseq_tensor dweight, dbias, dscore;
    /* in, and used up: one backward call for each forward call */
    clseq_tensor reserve;
    clseq_tensor workspace;
} clseq_attention_pool_backward_args;

CLSEQ_API clseq_status clseq_attention_pool_backward(clseq_context *ctx,
                                                     const clseq_attention_pool_desc *desc,
                                                     const clseq_attention_pool_shape *shape,
                                                     const clseq_attention_pool_backward_args *args);

#ifdef __cplusplus
}
#endif
#endif
