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

typedef enum clseq_activation {
    CLSEQ_ACTIVATION_TANH = 0,
    CLSEQ_ACTIVATION_SIGMOID = 1,
    CLSEQ_ACTIVATION_RELU = 2,
    CLSEQ_ACTIVATION_COUNT = 3
} clseq_activation;

/*
 * y = f(x), in place allowed (y = x). backward takes the output, from which all these derivatives follow:
 * dx = dy * f'(x), in place allowed (dx = dy).
 */
CLSEQ_API clseq_status clseq_nn_activation_forward(clseq_context *ctx, clseq_activation kind,
                                                   const clseq_tensor *x, const clseq_tensor *y);
CLSEQ_API clseq_status clseq_nn_activation_backward(clseq_context *ctx, clseq_activation kind,
                                                    const clseq_tensor *y, const clseq_tensor *dy,
                                                    const clseq_tensor *dx);

/* y = alpha a + beta b, element by element, same dims; in place allowed (y = a or y = b). b may be NULL (y = alpha a). */
CLSEQ_API clseq_status clseq_nn_add(clseq_context *ctx, float alpha, const clseq_tensor *a, float beta,
                                    const clseq_tensor *b, const clseq_tensor *y);

/* y = a * b, or y += a * b where `accumulate`, element by element, same dims; in place allowed (y = a or y = b). */
CLSEQ_API clseq_status clseq_nn_mul(clseq_context *ctx, const clseq_tensor *a, const clseq_tensor *b,
                                    bool accumulate, const clseq_tensor *y);

/* y = factor * scalar[0] * x, the scalar being a tensor of one element on the device; in place allowed. */
CLSEQ_API clseq_status clseq_nn_scale(clseq_context *ctx, const clseq_tensor *x, const clseq_tensor *scalar,
                                      float factor, const clseq_tensor *y);

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

/* out[0] = scale * sum of all elements of x, by a fixed tree: the same bits every time. out [1]. */
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
