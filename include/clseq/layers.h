/*
 * Layers: parameters that belong together, with the names that PyTorch's modules would give them.
 *
 *     clseq_context *ctx = NULL;
 *     clseq_params *params = NULL;
 *     clseq_embedding *embed = NULL;
 *     clseq_rnn *lstm = NULL;
 *     clseq_linear *out = NULL;
 *     clseq_context_create(NULL, &ctx);
 *     clseq_params_create(ctx, 1, &params);
 *     clseq_embedding_new(params, "embed", 64, 128, &embed);
 *     clseq_rnn_new(params, "lstm", &(clseq_rnn_desc){.cell = CLSEQ_CELL_LSTM, .input = 128, .hidden = 256, .layers = 2}, NULL, &lstm);
 *     clseq_linear_new(params, "out", 256, 64, true, &out);
 *     clseq_params_destroy(params);
 *     clseq_context_destroy(ctx);
 *
 * A layer belongs to its parameter store and is released with it. A layer that cannot be made, because a name is taken
 * or a size is wrong, adds nothing to the store.
 */
#ifndef CLSEQ_LAYERS_H
#define CLSEQ_LAYERS_H

#include <clseq/nn.h>
#include <clseq/params.h>
#include <clseq/rnn.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct clseq_embedding clseq_embedding;
typedef struct clseq_linear clseq_linear;
typedef struct clseq_rnn clseq_rnn;
typedef struct clseq_norm clseq_norm;

/* NAME.weight [V,E], standard normal. */
CLSEQ_API clseq_status clseq_embedding_new(clseq_params *params, const char *name, int64_t vocabulary,
                                           int64_t features, clseq_embedding **out);

/*
 * NAME.weight [out_features,in_features] and, with bias, NAME.bias [out_features], both uniform within
 * 1/sqrt(in_features).
 */
CLSEQ_API clseq_status clseq_linear_new(clseq_params *params, const char *name, int64_t in_features,
                                        int64_t out_features, bool bias, clseq_linear **out);

/*
 * Layers around a weight that is there already, of the same store: an embedding's that is to be the last layer's too (Press
 * and Wolf 2017; Inan et al. 2017), or a parameter of the program's. It keeps its name and its start, is once in the store and in
 * checkpoints, and its gradient is the sum of what all layers add. The linear layer adds NAME.bias alone, uniform within
 * 1/sqrt(in_features), and nothing without bias; `weight` is [out_features,in_features]. The embedding adds nothing; `weight`
 * is [V,E].
 *
 *     clseq_linear_new_tied(params, "out", clseq_embedding_weight(embed), true, &out);
 *
 * A layer that is used several times, in one graph or in many, is the same layer each time and needs none of this.
 */
CLSEQ_API clseq_status clseq_linear_new_tied(clseq_params *params, const char *name, clseq_param *weight,
                                             bool bias, clseq_linear **out);
CLSEQ_API clseq_status clseq_embedding_new_tied(clseq_params *params, clseq_param *weight,
                                                clseq_embedding **out);

/* A layer's parameters; NULL for one that it has not. */
CLSEQ_API clseq_param *clseq_embedding_weight(const clseq_embedding *embedding);
CLSEQ_API clseq_param *clseq_linear_weight(const clseq_linear *linear);
CLSEQ_API clseq_param *clseq_linear_bias(const clseq_linear *linear);

/* NAME.weight [features], ones, and, of a layer norm, NAME.bias [features], zeros. */
CLSEQ_API clseq_status clseq_norm_new(clseq_params *params, const char *name, clseq_norm_kind kind,
                                      int64_t features, float eps, clseq_norm **out);

/*
 * How a recurrent layer starts. All zero is PyTorch's start: everything uniform within 1/sqrt(H), gains 1 and shifts 0,
 * which is what CLSEQ_INIT_DEFAULT stands for here. Orthogonal matrices are one for each gate where `block` is 0.
 */
typedef struct clseq_rnn_init {
    /* weight_ih */
    clseq_init input;
    /* weight_hh */
    clseq_init recurrent;
    /* bias_ih and bias_hh */
    clseq_init bias;
    /* weight_hr; orthogonal: one matrix */
    clseq_init projection;
    /* peepholes */
    clseq_init unit;
    /* gain_*: by default 1 */
    clseq_init gain;
    /* bias_c: by default 0 */
    clseq_init shift;
    /* What the sum of an LSTM's forget gate's biases starts as, CLSEQ_INIT_CONSTANT or _ZERO; by default as `bias`. */
    clseq_init forget_bias;
} clseq_rnn_init;

/* The weights of the descriptor (rnn.h) as parameters NAME.weight_ih_l0, ..., NAME.weight_ih_l0_reverse. `init` may be NULL. */
CLSEQ_API clseq_status clseq_rnn_new(clseq_params *params, const char *name, const clseq_rnn_desc *desc,
                                     const clseq_rnn_init *init, clseq_rnn **out);

/* The parameter that is weight number i of clseq_rnn_weight_info; NULL where there is none. */
CLSEQ_API clseq_param *clseq_rnn_param(const clseq_rnn *rnn, int64_t i);

CLSEQ_API const clseq_rnn_desc *clseq_rnn_description(const clseq_rnn *rnn);

/* The plan behind the layer, for clseq_rnn_describe. */
CLSEQ_API const clseq_rnn_plan *clseq_rnn_plan_of(const clseq_rnn *rnn);

/*
 * Named tensors that outlive a graph and are part of checkpoints: the states of a recurrent layer, for truncated
 * back-propagation through time and for generation, or whatever else a program carries from one graph to the next. They
 * start as zeros.
 */
typedef struct clseq_state clseq_state;

typedef struct clseq_state_desc {
    /* New within the state, not empty, copied; "state.STATE.NAME" in checkpoints. */
    const char *name;
    /* CLSEQ_DTYPE_F32 or CLSEQ_DTYPE_I32. */
    clseq_dtype dtype;
    int ndim;
    int64_t dims[CLSEQ_MAX_DIMS];
} clseq_state_desc;

/*
 * `count` tensors, at least 1. A fragment:
 *
 *     clseq_state_create_from(ctx, 2, (const clseq_state_desc[]){{"keys", CLSEQ_DTYPE_F32, 3, {100, 8, 64}},
 *                                                                {"length", CLSEQ_DTYPE_I32, 1, {8}}}, &state);
 */
CLSEQ_API clseq_status clseq_state_create_from(clseq_context *ctx, int count, const clseq_state_desc *states,
                                               clseq_state **out);

/*
 * The states of a recurrent layer for B rows, of the names and dims that clseq_rnn_state_info gives. They fit every layer
 * with states of the same dims, and need the layer and its store no more.
 */
CLSEQ_API clseq_status clseq_state_create(const clseq_rnn *rnn, int64_t B, clseq_state **out);

/* NULL is allowed. */
CLSEQ_API void clseq_state_destroy(clseq_state *state);

/* Sets all tensors to zero. Enqueues only. */
CLSEQ_API clseq_status clseq_state_reset(clseq_state *state);

/* How many tensors there are, and the name of number i, "h" or "c" of recurrent layers; 0 and NULL where there is none. */
CLSEQ_API int clseq_state_count(const clseq_state *state);
CLSEQ_API const char *clseq_state_name(const clseq_state *state, int i);

/* The number of the tensor of this name; -1 where there is none. */
CLSEQ_API int clseq_state_find(const clseq_state *state, const char *name);

/* Tensor number i, which may be read and written and is the state's. */
CLSEQ_API clseq_status clseq_state_tensor(const clseq_state *state, int i, clseq_tensor *out);

#ifdef __cplusplus
}
#endif
#endif
