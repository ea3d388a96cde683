/*
 * The operations of graphs (graph.h). Each adds a variable to the graph and enqueues what computes it.
 *
 *     clseq_context *ctx = NULL;
 *     float x[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, sum[9];
 *     clseq_context_create(NULL, &ctx);
 *     clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_INFERENCE);
 *     clseq_var *a = clseq_input_f32(g, x, 2, (int64_t[]){3, 4});
 *     clseq_var *scores = clseq_matmul(g, a, clseq_transpose(g, a, 0, 1)); // [3,3]
 *     clseq_read(g, scores, sum);
 *     if (clseq_graph_end(g) != CLSEQ_OK)
 *         fprintf(stderr, "%s\n", clseq_last_error());
 *     clseq_context_destroy(ctx);
 *
 * Variables may have any strides. A dimension `dim` counts from the end where it is negative: -1 is the last one. Two
 * shapes broadcast as in NumPy: aligned at the last dimension, a dimension of 1, or one that is not there, stretches to the
 * other's; gradients are summed over what was stretched. Masks and indices are i32 variables. Lengths are in host memory,
 * copied at once, each 0..T, checked; NULL: all T.
 *
 * Errors are sticky, as graph.h says: CLSEQ_INVALID_SHAPE for shapes that do not fit, CLSEQ_INVALID_DTYPE, and
 * CLSEQ_INVALID_ARGUMENT for what is NULL or out of range, in a sentence that begins with the operation.
 */
#ifndef CLSEQ_OPS_H
#define CLSEQ_OPS_H

#include <clseq/graph.h>
#include <clseq/nn.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- layers ---- */

/* tokens [...] i32 -> [...,E]. Tokens outside of 0..V-1: see above. */
CLSEQ_API clseq_var *clseq_embed(clseq_graph *g, const clseq_embedding *embedding, clseq_var *tokens);

/* [...,in] -> [...,out]. Where the weight is multiplied by at most 128 rows several times before it changes, as by the steps of a
 * decoder, it is packed once for all of them, in memory that its store keeps (once for each direction). */
CLSEQ_API clseq_var *clseq_affine(clseq_graph *g, const clseq_linear *linear, clseq_var *x);

typedef struct clseq_recur_opts {
    /* [B], host memory, copied at once; each 0..T, checked; NULL: all T */
    const int32_t *lengths;
    /* Initial states are taken from here and final ones put here; no gradient flows. The windows of a long sequence come
     * one after the other, for a layer of reverse direction the last one first; a bidirectional layer has no such order:
     * CLSEQ_INVALID_ARGUMENT. */
    clseq_state *carry;
    /* [states], of the dims that clseq_rnn_state_info gives, instead of carry; gradients flow. NULL, or entries that are
     * NULL: zeros. */
    clseq_var *const *initial;
    /* [states], receives the final states as variables (NULL on failure); may be the same array as initial; NULL: not
     * wanted. */
    clseq_var **final;
} clseq_recur_opts;

/*
 * x [T,B,I], or for a one_hot layer [T,B] i32 -> the outputs of the last layer [T,B,clseq_rnn_output_size]. `opts` may be NULL.
 *
 * Where x comes straight from clseq_embed, with tokens [T,B], and the vocabulary is at most half of T*B, schedules for
 * CPU devices multiply the input once for each row of the table instead of once for each token. Results and gradients
 * are the same but for rounding.
 */
CLSEQ_API clseq_var *clseq_recur(clseq_graph *g, clseq_rnn *rnn, clseq_var *x, const clseq_recur_opts *opts);

/*
 * One step of all layers, for loops in which the next input is made of what came out: x [B,I], or for a one_hot layer [B] i32
 * -> [B,clseq_rnn_output_size]. States in and out are those of clseq_recur_opts, and `final` may be the array `initial`. They may
 * have come from anywhere: another operation, or a step that others have gone on from, too. A step gives the same bits as that
 * step of clseq_recur, and the gradients of the weights are made at the end of backward, for all steps together. What a layer's
 * steps draw is what the steps of one sequence would, in the order in which a graph makes them.
 *
 * Layers in forward direction; in training not between clseq_recompute_begin and _end (CLSEQ_UNSUPPORTED).
 */
CLSEQ_API clseq_var *clseq_recur_step(clseq_graph *g, clseq_rnn *rnn, clseq_var *x, clseq_var *const *initial,
                                      clseq_var **final);

/* ---- named states (layers.h) ---- */

/* A copy of what is in the state's tensor of this name now. */
CLSEQ_API clseq_var *clseq_state_load(clseq_graph *g, const clseq_state *state, const char *name);

/*
 * Copies x, of the tensor's type and dims, to the state's tensor of this name; no gradient flows. So a state goes from graph
 * to graph as clseq_recur's carry does, for whatever a program computes. A name that is not there is CLSEQ_NOT_FOUND.
 */
CLSEQ_API void clseq_state_store(clseq_graph *g, clseq_state *state, const char *name, clseq_var *x);

/* ---- the same elements in another way: nothing is moved, any type ---- */

/* The same elements, in row-major order, under other dims of the same product; one of them may be -1: what is left. Strided
 * elements are packed first where strides cannot say the result. */
CLSEQ_API clseq_var *clseq_reshape(clseq_graph *g, clseq_var *x, int ndim, const int64_t *dims);

/* With one more dim of 1, in front of which `dim` others stand; without dim `dim`, which is 1. */
CLSEQ_API clseq_var *clseq_unsqueeze(clseq_graph *g, clseq_var *x, int dim);
CLSEQ_API clseq_var *clseq_squeeze(clseq_graph *g, clseq_var *x, int dim);

/* Two dims exchanged; dim i of the result is dim order[i] of x [ndim]. */
CLSEQ_API clseq_var *clseq_transpose(clseq_graph *g, clseq_var *x, int dim0, int dim1);
CLSEQ_API clseq_var *clseq_permute(clseq_graph *g, clseq_var *x, const int *order);

/* Indices [start, start+length) of dimension dim. */
CLSEQ_API clseq_var *clseq_slice(clseq_graph *g, clseq_var *x, int dim, int64_t start, int64_t length);

/* x cut along dimension dim into `count` parts of these lengths (NULL: equal ones), written to out [count] (NULLs on
 * failure). */
CLSEQ_API void clseq_split(clseq_graph *g, clseq_var *x, int dim, int count, const int64_t *lengths,
                           clseq_var **out);

/* x broadcast to these dims. */
CLSEQ_API clseq_var *clseq_expand(clseq_graph *g, clseq_var *x, int ndim, const int64_t *dims);

/* The same values, through which no gradient flows. */
CLSEQ_API clseq_var *clseq_detach(clseq_graph *g, clseq_var *x);

/* x itself where it lies without gaps, else a copy that does. */
CLSEQ_API clseq_var *clseq_contiguous(clseq_graph *g, clseq_var *x);

/* ---- putting together: copies, any type ---- */

/* `count` variables, at least one, of the same type, one after the other along dimension dim; or side by side along a new
 * dimension dim. */
CLSEQ_API clseq_var *clseq_concat(clseq_graph *g, clseq_var *const *xs, int count, int dim);
CLSEQ_API clseq_var *clseq_stack(clseq_graph *g, clseq_var *const *xs, int count, int dim);

/* ---- products ---- */

/*
 * a [...,m,k] times b [...,k,n] -> [...,m,n], the leading dims broadcast. Transposed and sliced operands are read where
 * they lie, as long as one of the last two strides is 1. With b from clseq_param_var a layer shares its weight with another
 * (weight tying).
 */
CLSEQ_API clseq_var *clseq_matmul(clseq_graph *g, clseq_var *a, clseq_var *b);

/* ---- element by element ---- */

/*
 * Of two variables, which broadcast: a + b, a - b, a b, a / b, the smaller one, the larger one. Where both are equal the
 * gradients of the last two are half each. A gradient of a sum that needs no summing is handed on without a copy.
 */
CLSEQ_API clseq_var *clseq_add(clseq_graph *g, clseq_var *a, clseq_var *b);
CLSEQ_API clseq_var *clseq_sub(clseq_graph *g, clseq_var *a, clseq_var *b);
CLSEQ_API clseq_var *clseq_mul(clseq_graph *g, clseq_var *a, clseq_var *b);
CLSEQ_API clseq_var *clseq_div(clseq_graph *g, clseq_var *a, clseq_var *b);
CLSEQ_API clseq_var *clseq_minimum(clseq_graph *g, clseq_var *a, clseq_var *b);
CLSEQ_API clseq_var *clseq_maximum(clseq_graph *g, clseq_var *a, clseq_var *b);

/* With a number. */
CLSEQ_API clseq_var *clseq_add_scalar(clseq_graph *g, clseq_var *x, float number);
CLSEQ_API clseq_var *clseq_sub_scalar(clseq_graph *g, clseq_var *x, float number);
CLSEQ_API clseq_var *clseq_mul_scalar(clseq_graph *g, clseq_var *x, float number);
CLSEQ_API clseq_var *clseq_div_scalar(clseq_graph *g, clseq_var *x, float number);

/* -x, 1 / x, e^x, ln x, the square root, x^2, |x| (at 0 without a gradient). Outside of what they are defined for the value
 * is NaN, at poles infinite, and gradients are what the derivative gives there: dx = -dy y^2, dy y, dy / x, dy / (2 y). */
CLSEQ_API clseq_var *clseq_neg(clseq_graph *g, clseq_var *x);
CLSEQ_API clseq_var *clseq_reciprocal(clseq_graph *g, clseq_var *x);
CLSEQ_API clseq_var *clseq_exp(clseq_graph *g, clseq_var *x);
CLSEQ_API clseq_var *clseq_log(clseq_graph *g, clseq_var *x);
CLSEQ_API clseq_var *clseq_sqrt(clseq_graph *g, clseq_var *x);
CLSEQ_API clseq_var *clseq_square(clseq_graph *g, clseq_var *x);
CLSEQ_API clseq_var *clseq_abs(clseq_graph *g, clseq_var *x);

/* x^exponent for x above 0; of x below 0 for whole exponents. dx = dy exponent x^(exponent - 1), 0 for exponent 0. */
CLSEQ_API clseq_var *clseq_pow(clseq_graph *g, clseq_var *x, float exponent);

/* x, but at least low and at most high; gradients come through between these, not at them. low <= high. */
CLSEQ_API clseq_var *clseq_clamp(clseq_graph *g, clseq_var *x, float low, float high);

/*
 * Activations. At 0 the gradient is that of the side below: 0, slope, alpha.
 *   sigmoid 1 / (1 + e^-x)                  gelu       x Phi(x), Phi the normal distribution's
 *   relu    x above 0, else 0               gelu_tanh  x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2
 *   leaky_relu  x above 0, else slope x     silu       x sigmoid(x)
 *   elu     x above 0, else alpha (e^x - 1) softplus   ln(1 + e^x)
 * Hendrycks and Gimpel 2016 (gelu), Elfwing and others 2018 (silu), Clevert and others 2016 (elu).
 */
CLSEQ_API clseq_var *clseq_tanh(clseq_graph *g, clseq_var *x);
CLSEQ_API clseq_var *clseq_sigmoid(clseq_graph *g, clseq_var *x);
CLSEQ_API clseq_var *clseq_relu(clseq_graph *g, clseq_var *x);
CLSEQ_API clseq_var *clseq_gelu(clseq_graph *g, clseq_var *x);
CLSEQ_API clseq_var *clseq_gelu_tanh(clseq_graph *g, clseq_var *x);
CLSEQ_API clseq_var *clseq_silu(clseq_graph *g, clseq_var *x);
CLSEQ_API clseq_var *clseq_softplus(clseq_graph *g, clseq_var *x);
CLSEQ_API clseq_var *clseq_leaky_relu(clseq_graph *g, clseq_var *x, float slope);
CLSEQ_API clseq_var *clseq_elu(clseq_graph *g, clseq_var *x, float alpha);

/* a where the mask is not 0 and b elsewhere; value where the mask is not 0 and x elsewhere. Everything broadcasts. The
 * gradient goes where the value came from. */
CLSEQ_API clseq_var *clseq_where(clseq_graph *g, clseq_var *mask, clseq_var *a, clseq_var *b);
CLSEQ_API clseq_var *clseq_masked_fill(clseq_graph *g, clseq_var *x, clseq_var *mask, float value);

/* Inverted dropout with probability p in training, x itself in inference and for p = 0. */
CLSEQ_API clseq_var *clseq_dropout(clseq_graph *g, clseq_var *x, float p);

/* ---- reductions ---- */

/* Over all elements -> [1]. */
CLSEQ_API clseq_var *clseq_mean(clseq_graph *g, clseq_var *x);
CLSEQ_API clseq_var *clseq_sum(clseq_graph *g, clseq_var *x);

/*
 * Over the `count` dimensions that `dims` lists, each once. They stay as dims of 1 where `keep`, else they are not in the
 * result; without any left that is [1]. Always in the same order; sums are compensated. Gradients: dy to each element; dy / n
 * to each of n; dy to the largest or smallest one, which those that are equal share equally. NaN is larger and smaller than
 * all.
 */
CLSEQ_API clseq_var *clseq_sum_over(clseq_graph *g, clseq_var *x, int count, const int *dims, bool keep);
CLSEQ_API clseq_var *clseq_mean_over(clseq_graph *g, clseq_var *x, int count, const int *dims, bool keep);
CLSEQ_API clseq_var *clseq_max_over(clseq_graph *g, clseq_var *x, int count, const int *dims, bool keep);
CLSEQ_API clseq_var *clseq_min_over(clseq_graph *g, clseq_var *x, int count, const int *dims, bool keep);

/* ---- along a dim: k counts along dimension dim, for each line of it by itself ---- */

/*
 * y[k] = exp(x[k]) / sum over j of exp(x[j]), and its natural logarithm. A line of nothing but -infinity, all masked, gives
 * zeros, and as logarithms -infinity; no gradient comes through that softmax.
 * Gradients: dx[k] = y[k] (dy[k] - sum of y dy); dx[k] = dy[k] - exp(y[k]) (sum of dy).
 */
CLSEQ_API clseq_var *clseq_softmax(clseq_graph *g, clseq_var *x, int dim);
CLSEQ_API clseq_var *clseq_log_softmax(clseq_graph *g, clseq_var *x, int dim);

/* y[k] = sum over j <= k of x[j], compensated, so as exact for long lines as for short ones. Gradient: dx[k] = sum over
 * j >= k of dy[j]. */
CLSEQ_API clseq_var *clseq_cumsum(clseq_graph *g, clseq_var *x, int dim);

/*
 * y[k] = x[indices[k]]: indices i32 with x's dims, but any number of them along dim; y has their dims. Gradient: x[i] gets
 * the sum of dy[k] over the k with indices[k] = i, in their order. Indices outside of 0..n-1 (n: x's along dim) are refused
 * where they are known on the host; others give 0 and no gradient.
 */
CLSEQ_API clseq_var *clseq_gather(clseq_graph *g, clseq_var *x, int dim, clseq_var *indices);

/* ---- norms ---- */

/*
 * Over the last dim, of n: y = gain * (x - mean) / sqrt(variance + eps) + shift, the variance by n; and
 * y = gain * x / sqrt(mean of x^2 + eps). gain and shift are variables [n], as clseq_param_var gives, or NULL: 1 and 0.
 * Gradients go to x, gain and shift. Ba, Kiros and Hinton 2016; Zhang and Sennrich 2019.
 */
CLSEQ_API clseq_var *clseq_layer_norm(clseq_graph *g, clseq_var *x, clseq_var *gain, clseq_var *shift,
                                      float eps);
CLSEQ_API clseq_var *clseq_rms_norm(clseq_graph *g, clseq_var *x, clseq_var *gain, float eps);

/* One of the two with the parameters of a layer. */
CLSEQ_API clseq_var *clseq_normalize(clseq_graph *g, const clseq_norm *norm, clseq_var *x);

/* ---- sequences x [T,B,...]: the first lengths[b] steps of row b are there ---- */

/* The steps that are there in reverse order; those past a row's end stay what and where they are, with their gradients. */
CLSEQ_API clseq_var *clseq_reverse(clseq_graph *g, clseq_var *x, const int32_t *lengths);

/*
 * -> [B,...]: the last step that is there; the mean of those; element by element the largest of them, NaN being larger than
 * all. 0 where the length is 0. Gradients: dy to that step; dy / lengths[b] to each; dy to the first step where the largest
 * stands; 0 to all others.
 */
CLSEQ_API clseq_var *clseq_last(clseq_graph *g, clseq_var *x, const int32_t *lengths);
CLSEQ_API clseq_var *clseq_mean_over_time(clseq_graph *g, clseq_var *x, const int32_t *lengths);
CLSEQ_API clseq_var *clseq_max_over_time(clseq_graph *g, clseq_var *x, const int32_t *lengths);

/* ---- losses ---- */

/* logits [...,V], targets [...] i32 -> [1]. `desc` may be NULL. Targets that are neither 0..V-1 nor ignored: see above. */
CLSEQ_API clseq_var *clseq_cross_entropy(clseq_graph *g, clseq_var *logits, clseq_var *targets,
                                         const clseq_cross_entropy_desc *desc);

#ifdef __cplusplus
}
#endif
#endif
