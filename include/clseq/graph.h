/*
 * A model is ordinary C: functions that add operations to a graph, which runs them at once and can then run backward.
 *
 *     clseq_context *ctx = NULL;
 *     clseq_params *params = NULL;
 *     clseq_linear *layer = NULL;
 *     float x[6] = {0};
 *     clseq_context_create(NULL, &ctx);
 *     clseq_params_create(ctx, 1, &params);
 *     clseq_linear_new(params, "layer", 3, 4, true, &layer);
 *     clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
 *     clseq_var *h = clseq_tanh(g, clseq_affine(g, layer, clseq_input_f32(g, x, 2, (int64_t[]){2, 3})));
 *     clseq_backward(g, clseq_mean(g, clseq_mul(g, h, h)));
 *     if (clseq_graph_end(g) != CLSEQ_OK)
 *         fprintf(stderr, "%s\n", clseq_last_error());
 *     clseq_params_destroy(params);
 *     clseq_context_destroy(ctx);
 *
 * Sticky errors: the first operation that fails marks the graph; it and all later ones return NULL and do nothing, and
 * a NULL graph is passed through in the same way. (A NULL variable in a graph that has not failed is a failure.) The
 * status and sentence of that first failure come out of clseq_backward and clseq_graph_end, so that a program checks
 * once a step.
 *
 * Nothing waits but what reads a value; clseq_graph_begin waits only while inputs of the graph before the last one are
 * still on their way to the device, so that a program is never more than two steps ahead of it. The memory of a graph
 * goes back to the context at clseq_graph_end and is used again: after the first two steps of a size nothing is
 * allocated, and after the first one nothing on the device but what a store keeps: weights of linear layers are packed when
 * the same values are multiplied by a second time. Graphs do not nest in one context: begin, end, begin, end.
 *
 * Variables live until clseq_graph_end, unless the program releases them before. A clseq_var pointer is a number that
 * points to nothing; with 64-bit pointers none is given out twice in a process (with 32-bit ones, not before 16 million
 * later graphs). One that is used after it was released, in any later graph, or in another context's, is therefore always
 * recognised and fails with CLSEQ_INVALID_STATE. That needs a graph to ask: a clseq_graph pointer itself is the context's
 * and goes with it.
 *
 * Variables have strides: what only looks at elements in another way (ops.h: transpose, slice, expand, ...) moves nothing.
 * An operation that needs them without gaps packs them first and says so in the log at level debug.
 *
 * Dropout masks, and what recurrent layers draw (rnn.h), come from the graph's random stream, (seed, step), which
 * clseq_graph_seed sets; a program that resumes at step n sets the same numbers again and gets the same masks.
 *
 * Tokens and targets out of range: those that come from host memory (clseq_input_i32, and what is sliced or reshaped from
 * it) are refused with a sentence. Those on the device (clseq_input_tensor) cannot be refused without waiting; there, as
 * in nn.h, a token outside of the table is no token, zeros without a gradient, and a target that is neither a class nor
 * the ignored one makes the loss NaN (clseq_meter_read says CLSEQ_NOT_FINITE), while its row gets no gradient.
 *
 * Parameters that operations of a graph have read must not change between them and clseq_backward, which says
 * CLSEQ_INVALID_STATE, names the operation and a parameter of the store, and adds nothing to any gradient.
 *
 * Tensors are row-major; [T,B,F] for sequences. Gradients of parameters are added to (+=) the store's.
 */
#ifndef CLSEQ_GRAPH_H
#define CLSEQ_GRAPH_H

#include <clseq/layers.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct clseq_graph clseq_graph;
typedef struct clseq_var clseq_var;

/* NULL on failure (clseq_last_error says why); the NULL may be used like a graph that has failed. */
CLSEQ_API clseq_graph *clseq_graph_begin(clseq_context *ctx, clseq_mode mode);

/* The status of the first failure since begin, and its sentence. Everything made in the graph is gone afterwards. */
CLSEQ_API clseq_status clseq_graph_end(clseq_graph *g);

/* The status so far. */
CLSEQ_API clseq_status clseq_graph_status(const clseq_graph *g);

/*
 * Where the masks of this graph's operations come from, to be called before the first that draws one. Without it:
 * seed 0, and a step that counts the context's graphs from 0.
 */
CLSEQ_API void clseq_graph_seed(clseq_graph *g, uint64_t seed, uint64_t step);

/*
 * Gradients of `loss` (one element) with respect to every parameter and every variable that asked for one. Enqueues only.
 * Errors: CLSEQ_INVALID_STATE in inference mode, when called twice, and where parameters have changed since they were
 * read; CLSEQ_INVALID_ARGUMENT where nothing above the loss wants a gradient.
 */
CLSEQ_API clseq_status clseq_backward(clseq_graph *g, clseq_var *loss);

/*
 * As above from `count` variables (at least 1) in one pass, each with a given gradient: what clseq_backward gives for the
 * sum over all i and elements of vars[i] * grads[i]. grads[i] is an f32 variable of the dims of vars[i] (an input, for
 * instance), whose values are copied and through which no gradient flows. It may be NULL for a variable of one element,
 * and `grads` for variables that are all such: 1. A variable that stands there twice gets both gradients. Every variable
 * must have something above it that wants a gradient, else CLSEQ_INVALID_ARGUMENT. All is checked before any gradient
 * is touched.
 */
CLSEQ_API clseq_status clseq_backward_from(clseq_graph *g, int count, clseq_var *const *vars,
                                           clseq_var *const *grads);

/*
 * Called on the host in the middle of backward, when the last kernel that adds to `param`'s gradient has been enqueued;
 * `ready` is complete when the gradient is. For sending gradients away while the rest of backward runs: enqueue the
 * transfer on a queue of your own that waits for `ready`. The event is the graph's; clRetainEvent keeps it beyond the
 * call. Several parameters may share one.
 *
 * The callback may read and change the gradient of `param` and of those it was called for before. It may not change
 * values of parameters (CLSEQ_INVALID_STATE from backward) nor end the graph (CLSEQ_INVALID_STATE from clseq_graph_end).
 * A status that is not CLSEQ_OK ends backward, which returns it; gradients are then incomplete.
 */
typedef clseq_status (*clseq_grad_ready_fn)(clseq_param *param, cl_event ready, void *user);

/*
 * From now on until clseq_graph_end, backward calls `fn` once for every parameter that it adds a gradient to (for frozen ones
 * never), however many
 * operations have read it, in the order in which the gradients become complete: those of the last operations come first.
 * `fn` NULL: no more. To be called before backward, else the graph fails with CLSEQ_INVALID_STATE. Without a hook nothing
 * is enqueued or flushed on its account.
 */
CLSEQ_API void clseq_graph_on_grad_ready(clseq_graph *g, clseq_grad_ready_fn fn, void *user);

/* Values from host memory, copied at once. Tokens and targets are i32. */
CLSEQ_API clseq_var *clseq_input_f32(clseq_graph *g, const float *values, int ndim, const int64_t *dims);
CLSEQ_API clseq_var *clseq_input_i32(clseq_graph *g, const int32_t *values, int ndim, const int64_t *dims);

/*
 * A tensor that is on the device already, of any strides: [B,T,F] seen as [T,B,F], for instance. It is used where it lies
 * and must stay as it is until clseq_graph_end.
 */
CLSEQ_API clseq_var *clseq_input_tensor(clseq_graph *g, const clseq_tensor *tensor);

/*
 * Asks for the gradient of x and keeps it until clseq_graph_end; returns x. An input is to be asked before it is used,
 * the output of clseq_embed before clseq_recur reads it, a variable in between at any time before backward.
 */
CLSEQ_API clseq_var *clseq_require_grad(clseq_graph *g, clseq_var *x);

/* A parameter as a variable; its gradient is added to the store's. A frozen one is a tensor like any other: it wants no
 * gradient, and with clseq_require_grad has one of the graph's. */
CLSEQ_API clseq_var *clseq_param_var(clseq_graph *g, clseq_param *param);

/*
 * Memory before the graph's end. A released variable cannot be used any more; its memory goes back as soon as nothing needs
 * it: in inference at once, in training when backward has been through what was made of it. NULL is passed over.
 *
 * A scope releases at its end all variables that were made since its begin, but for `count` of them, which become those
 * of the scope around it. Scopes nest. So a loop that decodes, in one graph, holds the memory of one step. A fragment:
 *
 *     for (int t = 0; t < 10000; t++) {
 *         clseq_scope_begin(g);
 *         clseq_var *before = state;
 *         state = step(g, state);
 *         clseq_scope_end(g, 1, &state);
 *         clseq_release(g, before);
 *     }
 */
CLSEQ_API void clseq_release(clseq_graph *g, clseq_var *x);
CLSEQ_API void clseq_scope_begin(clseq_graph *g);
CLSEQ_API void clseq_scope_end(clseq_graph *g, int count, clseq_var *const *keep);

/*
 * A part of a graph whose values are not kept for backward, which computes them again instead (checkpointing; Chen et al.
 * 2016): memory for one more forward pass of the part. `keep` are the variables made in it that are used after it; the
 * others are released. Gradients are the same bit for bit: what is drawn is drawn again. Parts do not nest, and what
 * changes something outside of the graph (clseq_recur with carry, clseq_state_store) is refused in them with CLSEQ_INVALID_STATE. In
 * inference a part is a scope. A fragment:
 *
 *     for (int l = 0; l < layers; l++) {
 *         clseq_recompute_begin(g);
 *         x = block(g, &model->blocks[l], x);
 *         clseq_recompute_end(g, 1, &x);
 *     }
 */
CLSEQ_API void clseq_recompute_begin(clseq_graph *g);
CLSEQ_API void clseq_recompute_end(clseq_graph *g, int count, clseq_var *const *keep);

/*
 * The variable's values on the device, valid until clseq_graph_end or its release; and, after clseq_backward, its gradient,
 * if it was asked for with clseq_require_grad and anything reached it (otherwise CLSEQ_INVALID_STATE). Both may have any
 * strides.
 */
CLSEQ_API clseq_status clseq_var_value(clseq_graph *g, const clseq_var *x, clseq_tensor *out);
CLSEQ_API clseq_status clseq_var_grad(clseq_graph *g, const clseq_var *x, clseq_tensor *out);

/* Copies values to host memory, row-major. These wait. */
CLSEQ_API clseq_status clseq_read(clseq_graph *g, const clseq_var *x, void *out);
CLSEQ_API clseq_status clseq_read_float(clseq_graph *g, const clseq_var *x, float *out);

/*
 * A meter adds up scalars on the device, so that a training loop looks at its loss now and then without waiting in
 * every step.
 */
typedef struct clseq_meter clseq_meter;

CLSEQ_API clseq_status clseq_meter_create(clseq_context *ctx, clseq_meter **out);

/* NULL is allowed. */
CLSEQ_API void clseq_meter_destroy(clseq_meter *meter);

/* Adds x (one element) times weight (at least 0), and weight to the count. */
CLSEQ_API void clseq_meter_add(clseq_graph *g, clseq_meter *meter, clseq_var *x, float weight);

/*
 * The weighted mean of what was added since the last reset (0 when nothing was); waits. When it is NaN or infinite:
 * the value is written and CLSEQ_NOT_FINITE returned.
 */
CLSEQ_API clseq_status clseq_meter_read(const clseq_meter *meter, double *mean);
CLSEQ_API clseq_status clseq_meter_reset(clseq_meter *meter);

#ifdef __cplusplus
}
#endif
#endif
