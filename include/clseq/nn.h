/*
 * Stateless building blocks around the recurrent layers, forward and backward, over tensor views.
 *
 *     clseq_context *ctx = NULL;
 *     clseq_context_create(NULL, &ctx);
 *     clseq_tensor logits = {0}, targets = {0}, loss = {0}, saved = {0}, dlogits = {0};
 *     clseq_cross_entropy_desc desc = {.ignore = true, .ignore_index = -1};
 *     clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 2, (int64_t[]){3, 10}, &logits);
 *     clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 2, (int64_t[]){3, 10}, &dlogits);
 *     clseq_tensor_create(ctx, CLSEQ_DTYPE_I32, 1, (int64_t[]){3}, &targets);
 *     clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 1, (int64_t[]){1}, &loss);
 *     clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 1, (int64_t[]){4}, &saved);
 *     clseq_tensor_fill(ctx, &logits, 0);
 *     clseq_tensor_write(ctx, &targets, (int32_t[]){7, 0, -1});
 *     clseq_nn_cross_entropy_forward(ctx, &desc, &logits, &targets, &loss, &saved);
 *     clseq_nn_cross_entropy_backward(ctx, &desc, &logits, &targets, &saved, NULL, &dlogits);
 *     clseq_tensor *all[] = {&logits, &targets, &loss, &saved, &dlogits};
 *     for (int i = 0; i < 5; i++)
 *         clseq_tensor_destroy(ctx, all[i]);
 *     clseq_context_destroy(ctx);
 *
 * Every function checks its arguments and then only enqueues. All tensors are f32 and packed without gaps unless the
 * comment says otherwise. Gradients of activations are written (=); gradients of parameters are added (+=). An output
 * pointer that is NULL is not computed. Inputs and outputs must not overlap, except where `in place` is said: there
 * an output may be exactly the same view as the named input. N stands for the product of leading dimensions.
 *
 * Tokens and targets out of range: the device sees them only when it runs, when nothing can be refused any more. A token
 * outside of the table is no token: zeros, and no gradient. A target that is neither a class nor the ignored one has no
 * right answer: the loss is NaN, so that it is noticed wherever a loss is looked at, while its row gets no gradient (and
 * is not in the mean's divisor), so that no parameter is damaged. Nothing outside of a tensor is read or written. The
 * graph (graph.h) goes by the same rule, and refuses besides what it can see on the host.
 */
#ifndef CLSEQ_NN_H
#define CLSEQ_NN_H

#include <clseq/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * y[n,:] = table[tokens[n],:]     table [V,E], tokens [...] i32, y [...,E]
 * A token outside of 0..V-1 gives a row of zeros. backward: dtable[tokens[n],:] += dy[n,:], summed in
 * the order of n, without atomics.
 */
CLSEQ_API clseq_status clseq_nn_embedding_forward(clseq_context *ctx, const clseq_tensor *table,
                                                  const clseq_tensor *tokens, const clseq_tensor *y);
CLSEQ_API clseq_status clseq_nn_embedding_backward(clseq_context *ctx, const clseq_tensor *tokens,
                                                   const clseq_tensor *dy, const clseq_tensor *dtable);

/*
 * y = x W^T + b     x [...,in], w [out,in], b [out] or NULL, y [...,out]
 * backward: dx = dy W (=), dw += dy^T x, db += column sums of dy; each of the three may be NULL.
 */
CLSEQ_API clseq_status clseq_nn_affine_forward(clseq_context *ctx, const clseq_tensor *x,
                                               const clseq_tensor *w, const clseq_tensor *b,
                                               const clseq_tensor *y);
CLSEQ_API clseq_status clseq_nn_affine_backward(clseq_context *ctx, const clseq_tensor *x,
                                                const clseq_tensor *w, const clseq_tensor *dy,
                                                const clseq_tensor *dx, const clseq_tensor *dw,
                                                const clseq_tensor *db);

/*
 * Operations element by element. Those of one float input, a, those of two, a and b, and those with a mask m, an i32 tensor
 * in which anything but 0 is true, which stands in front of the floats in `in`. p and q are params[0] and params[1]; params
 * may be NULL for what stands in brackets.
 *
 *   ADD           p a + q b   [1, 1]                     ADD_SCALAR    a + p      [0]
 *   MUL           p a b       [1]                        MUL_SCALAR    p a        [1]
 *   DIV           a / b                                  DIV_SCALAR    a / p      [1]
 *   MINIMUM       the smaller one                        RECIPROCAL    1 / a
 *   MAXIMUM       the larger one                         EXP           e^a
 *   SAME          1 where a = b or both are NaN, else 0  LOG           ln a
 *   WHERE         a where m, b elsewhere                 SQRT          the square root of a
 *   MASKED_FILL   p where m, a elsewhere   [0]           SQUARE        a^2
 *   CLAMP         a within p and q   [-inf, inf]         ABS           |a|
 *   POW           a^p   [1]                              TANH, SIGMOID as in recurrent layers
 *   RELU          a above 0, else 0                      SILU          a / (1 + e^-a)
 *   LEAKY_RELU    a above 0, else p a   [0.01]           SOFTPLUS      ln(1 + e^a)
 *   ELU           a above 0, else p (e^a - 1)   [1]      GELU          a Phi(a), Phi of the normal distribution
 *                                                        GELU_TANH     a (1 + tanh(sqrt(2/pi) (a + 0.044715 a^3))) / 2
 *
 * At kinks gradients are: of RELU, LEAKY_RELU and ELU at 0 those of the side below, of ABS at 0 and of CLAMP at a bound none;
 * of MINIMUM and MAXIMUM half each where a = b. Of SAME there is none. NaN gives NaN. Outside of what a function is defined
 * for (logarithms, roots and powers of negative numbers) the value is NaN, at its poles infinite.
 */
typedef enum clseq_pointwise {
    CLSEQ_POINTWISE_ADD_SCALAR = 0,
    CLSEQ_POINTWISE_MUL_SCALAR = 1,
    CLSEQ_POINTWISE_DIV_SCALAR = 2,
    CLSEQ_POINTWISE_RECIPROCAL = 3,
    CLSEQ_POINTWISE_EXP = 4,
    CLSEQ_POINTWISE_LOG = 5,
    CLSEQ_POINTWISE_SQRT = 6,
    CLSEQ_POINTWISE_SQUARE = 7,
    CLSEQ_POINTWISE_ABS = 8,
    CLSEQ_POINTWISE_TANH = 9,
    CLSEQ_POINTWISE_SIGMOID = 10,
    CLSEQ_POINTWISE_RELU = 11,
    CLSEQ_POINTWISE_GELU = 12,
    CLSEQ_POINTWISE_GELU_TANH = 13,
    CLSEQ_POINTWISE_SILU = 14,
    CLSEQ_POINTWISE_SOFTPLUS = 15,
    CLSEQ_POINTWISE_LEAKY_RELU = 16,
    CLSEQ_POINTWISE_ELU = 17,
    CLSEQ_POINTWISE_CLAMP = 18,
    CLSEQ_POINTWISE_POW = 19,
    CLSEQ_POINTWISE_MASKED_FILL = 20,
    CLSEQ_POINTWISE_ADD = 21,
    CLSEQ_POINTWISE_MUL = 22,
    CLSEQ_POINTWISE_DIV = 23,
    CLSEQ_POINTWISE_MINIMUM = 24,
    CLSEQ_POINTWISE_MAXIMUM = 25,
    CLSEQ_POINTWISE_SAME = 26,
    CLSEQ_POINTWISE_WHERE = 27,
    CLSEQ_POINTWISE_COUNT = 28
} clseq_pointwise;

/* How many tensors `in` holds, the mask among them; 0 where there is no such row. */
CLSEQ_API int clseq_nn_pointwise_inputs(clseq_pointwise row);

/*
 * y = row(in). All tensors may have any strides; inputs are stretched to the dims of y as in NumPy: aligned at the last
 * dim, each dim the same, or 1, or missing in front. In place allowed (y may be the same view as an input).
 */
CLSEQ_API clseq_status clseq_nn_pointwise_forward(clseq_context *ctx, clseq_pointwise row,
                                                  const float *params, const clseq_tensor *in,
                                                  const clseq_tensor *y);

/*
 * dx = dy * (the derivative of the row by in[i]), or += where `accumulate`. dx has the dims of in[i]; where that was
 * stretched, the gradient is summed over where it went, in a fixed order. Read are only: y by TANH, SIGMOID, RELU, EXP, SQRT
 * and RECIPROCAL; of MUL the other input; of DIV b and, for its gradient, y; the mask of WHERE and MASKED_FILL; nothing by
 * ADD, SAME and the three with a scalar; and the float inputs by all others. What is not read may be left out (no buffer; y
 * or `in` NULL). In place allowed (dx may be the same view as dy) where nothing was stretched.
 */
CLSEQ_API clseq_status clseq_nn_pointwise_backward(clseq_context *ctx, clseq_pointwise row,
                                                   const float *params, const clseq_tensor *in,
                                                   const clseq_tensor *y, const clseq_tensor *dy, int i,
                                                   bool accumulate, const clseq_tensor *dx);

/* y = alpha a + beta b, as clseq_nn_pointwise_forward with ADD. b may be NULL (y = alpha a). */
CLSEQ_API clseq_status clseq_nn_add(clseq_context *ctx, float alpha, const clseq_tensor *a, float beta,
                                    const clseq_tensor *b, const clseq_tensor *y);

/*
 * Inverted dropout: y = x * mask / (1 - p), where element i is kept (mask 1) when Philox number i of (seed, stream) is
 * at least p; 0 <= p < 1. The mask is the same on every device and is made again instead of stored: backward is the
 * same call with dy for x. In place allowed.
 */
CLSEQ_API clseq_status clseq_nn_dropout(clseq_context *ctx, const clseq_tensor *x, float p, uint64_t seed,
                                        uint64_t stream, const clseq_tensor *y);

typedef struct clseq_cross_entropy_desc {
    bool ignore; /* rows whose target is ignore_index count nothing and get no gradient */
    int32_t ignore_index;
    bool sum; /* sum over rows instead of the mean over rows that count (0 when none does) */
} clseq_cross_entropy_desc;

/*
 * Softmax cross-entropy: loss = mean over rows of log(sum(exp(logits))) - logits[target], in natural logarithms.
 * logits [...,V], targets [...] i32 within 0..V-1 or ignored (any other makes the loss NaN), loss [1],
 * saved [N+1] (log-sum-exp of each row that counts, then the divisor), needed by backward. desc may be NULL.
 * backward: dlogits = dloss * (softmax - onehot) / divisor; dloss [1] or NULL for 1; in place allowed (dlogits = logits).
 */
CLSEQ_API clseq_status clseq_nn_cross_entropy_forward(clseq_context *ctx,
                                                      const clseq_cross_entropy_desc *desc,
                                                      const clseq_tensor *logits, const clseq_tensor *targets,
                                                      const clseq_tensor *loss, const clseq_tensor *saved);
CLSEQ_API clseq_status clseq_nn_cross_entropy_backward(clseq_context *ctx,
                                                       const clseq_cross_entropy_desc *desc,
                                                       const clseq_tensor *logits,
                                                       const clseq_tensor *targets, const clseq_tensor *saved,
                                                       const clseq_tensor *dloss,
                                                       const clseq_tensor *dlogits);

/*
 * Reductions over any dims. The result is always the same, bit for bit, on the same device: what makes it is cut into parts
 * that only depend on the shape. Errors of sums stay near 2^-24 of the sum of the magnitudes however long they are.
 */
typedef enum clseq_reduction {
    CLSEQ_REDUCE_SUM = 0,
    CLSEQ_REDUCE_MEAN = 1,
    CLSEQ_REDUCE_MAX = 2,
    CLSEQ_REDUCE_MIN = 3,
    CLSEQ_REDUCE_COUNT = 4
} clseq_reduction;

/*
 * y = x reduced over the dims that are 1 in y; y has as many dims as x. Any strides. NaN gives NaN.
 * backward: dx = (or += where `accumulate`) dy for the sum, dy / n for the mean of n elements; of the largest or smallest
 * element dy, which those that are equal to y share equally. x and y may be NULL for sum and mean, which do not read them.
 */
CLSEQ_API clseq_status clseq_nn_reduce_forward(clseq_context *ctx, clseq_reduction row, const clseq_tensor *x,
                                               const clseq_tensor *y);
CLSEQ_API clseq_status clseq_nn_reduce_backward(clseq_context *ctx, clseq_reduction row,
                                                const clseq_tensor *x, const clseq_tensor *y,
                                                const clseq_tensor *dy, bool accumulate,
                                                const clseq_tensor *dx);

/* out[0] = scale * sum of all elements of x, which may have any strides. out [1]. */
CLSEQ_API clseq_status clseq_nn_sum(clseq_context *ctx, const clseq_tensor *x, float scale,
                                    const clseq_tensor *out);

/*
 * What follows works along one dim of a tensor, number `dim` from the outermost on, or from behind where it is negative
 * (-1: the last). `_forward` and `_backward` come in pairs; k counts along the dim, and everything holds for each line of
 * it by itself.
 */

/*
 * softmax: y[k] = exp(x[k]) / sum over j of exp(x[j]). log_softmax: its natural logarithm. x and y of the same dims; in
 * place allowed (y = x). Numbers of any size are shifted by the line's largest first: y is as exact as differences of x
 * are. A line of nothing but -infinity (all masked) gives zeros, and -infinity as logarithms; softmax passes no gradient
 * through it. NaN or +infinity make their line NaN.
 * backward, from the output: dx[k] = y[k] (dy[k] - sum of y dy), or dy[k] - exp(y[k]) (sum of dy) of the logarithm; in
 * place allowed (dx = dy).
 */
CLSEQ_API clseq_status clseq_nn_softmax_forward(clseq_context *ctx, int dim, const clseq_tensor *x,
                                                const clseq_tensor *y);
CLSEQ_API clseq_status clseq_nn_softmax_backward(clseq_context *ctx, int dim, const clseq_tensor *y,
                                                 const clseq_tensor *dy, const clseq_tensor *dx);
CLSEQ_API clseq_status clseq_nn_log_softmax_forward(clseq_context *ctx, int dim, const clseq_tensor *x,
                                                    const clseq_tensor *y);
CLSEQ_API clseq_status clseq_nn_log_softmax_backward(clseq_context *ctx, int dim, const clseq_tensor *y,
                                                     const clseq_tensor *dy, const clseq_tensor *dx);

typedef enum clseq_norm_kind {
    CLSEQ_NORM_LAYER = 0, /* Ba, Kiros and Hinton 2016, "Layer Normalization" */
    CLSEQ_NORM_RMS = 1,   /* Zhang and Sennrich 2019, "Root Mean Square Layer Normalization" */
    CLSEQ_NORM_COUNT = 2
} clseq_norm_kind;

/*
 * Norms of rows: y = gain * (x - mean) / sqrt(variance + eps) + shift, with mean and variance (by n) of each row of x
 * [...,n]; RMS: y = gain * x / sqrt(mean of x^2 + eps) + shift. gain and shift [n] or NULL. saved [N,2] is what backward
 * needs of each row. In place allowed (y = x), where no backward follows. eps >= 0.
 * backward: dx (=), in place allowed (dx = dy); dgain and dshift (+=), added in a fixed order; each of the three may be NULL.
 */
CLSEQ_API clseq_status clseq_nn_norm_forward(clseq_context *ctx, clseq_norm_kind kind, float eps,
                                             const clseq_tensor *x, const clseq_tensor *gain,
                                             const clseq_tensor *shift, const clseq_tensor *y,
                                             const clseq_tensor *saved);
CLSEQ_API clseq_status clseq_nn_norm_backward(clseq_context *ctx, clseq_norm_kind kind, const clseq_tensor *x,
                                              const clseq_tensor *gain, const clseq_tensor *saved,
                                              const clseq_tensor *dy, const clseq_tensor *dx,
                                              const clseq_tensor *dgain, const clseq_tensor *dshift);

/*
 * Cumulative sums along a dim: y[k] = sum over j <= k of x[j]; over j < k where `exclusive`; from the end, so over j >= k
 * or j > k, where `reverse`. In place allowed. Sums are compensated: y[k] is within 3 2^-24 times the sum of its terms'
 * magnitudes, however many they are. backward: dx of dy is the same sum the other way round, `reverse` turned.
 */
CLSEQ_API clseq_status clseq_nn_cumsum(clseq_context *ctx, int dim, bool exclusive, bool reverse,
                                       const clseq_tensor *x, const clseq_tensor *y);

/*
 * y[k] = x[index[k]] along a dim: index i32 of any size along it, otherwise of x's dims; y of index's dims. An index out of
 * range gives 0 and no gradient. backward: dx[index[k]] is the sum of its dy[k] (=), added in the order of k, 0 where
 * no index points to.
 */
CLSEQ_API clseq_status clseq_nn_gather_forward(clseq_context *ctx, int dim, const clseq_tensor *x,
                                               const clseq_tensor *index, const clseq_tensor *y);
CLSEQ_API clseq_status clseq_nn_gather_backward(clseq_context *ctx, int dim, const clseq_tensor *index,
                                                const clseq_tensor *dy, const clseq_tensor *dx);

/*
 * What follows takes sequences x [T,B,...], of which the first lengths[b] steps of row b are there; lengths [B] i32, or
 * NULL for all T everywhere. Lengths are on the device and taken into 0..T. Steps past a row's end may be anything, NaN
 * too.
 *
 * reverse: y[t,b] = x[lengths[b]-1-t,b] of the steps that are there; the others stay where they are, y[t,b] = x[t,b].
 * backward is the same call with dy for x.
 */
CLSEQ_API clseq_status clseq_nn_reverse(clseq_context *ctx, const clseq_tensor *x,
                                        const clseq_tensor *lengths, const clseq_tensor *y);

typedef enum clseq_over_time {
    CLSEQ_OVER_TIME_LAST = 0, /* x[lengths[b]-1,b] */
    CLSEQ_OVER_TIME_MEAN = 1, /* the mean of the steps that are there */
    CLSEQ_OVER_TIME_MAX = 2,  /* element by element the largest of them; NaN counts as larger than all */
    CLSEQ_OVER_TIME_COUNT = 3
} clseq_over_time;

/*
 * y [B,...] from the steps of each row, 0 where its length is 0. step [B,...] i32, of MAX only (else NULL): the first step
 * where the largest stands, -1 where the length is 0; the gradient goes there, and backward takes it.
 * backward: dx [T,B,...] (=), 0 past a row's end.
 */
CLSEQ_API clseq_status clseq_nn_over_time_forward(clseq_context *ctx, clseq_over_time kind,
                                                  const clseq_tensor *x, const clseq_tensor *lengths,
                                                  const clseq_tensor *y, const clseq_tensor *step);
CLSEQ_API clseq_status clseq_nn_over_time_backward(clseq_context *ctx, clseq_over_time kind,
                                                   const clseq_tensor *lengths, const clseq_tensor *step,
                                                   const clseq_tensor *dy, const clseq_tensor *dx);

#ifdef __cplusplus
}
#endif
#endif
