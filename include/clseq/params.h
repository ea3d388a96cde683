/*
 * Parameters: named tensors with gradients, made from one seed.
 *
 *     clseq_context *ctx = NULL;
 *     clseq_params *params = NULL;
 *     clseq_param *w = NULL;
 *     clseq_context_create(NULL, &ctx);
 *     clseq_params_create(ctx, 42, &params);
 *     clseq_params_add(params, "out.weight", 2, (int64_t[]){10, 128},
 *                      &(clseq_init){.kind = CLSEQ_INIT_UNIFORM, .scale = 0.1f}, &w);
 *     clseq_params_destroy(params);
 *     clseq_context_destroy(ctx);
 *
 * All values lie in one buffer, and all gradients in another of the same layout, so that an optimiser step, a norm or
 * a clip is a few kernels for the whole model. Parameters are added first; the memory is made and the initial values
 * are drawn at the first use (a graph, an optimiser, a read), after which adding is CLSEQ_INVALID_STATE.
 * Names are dotted as PyTorch's ("lstm.weight_ih_l0") and are those of checkpoints. Initial values depend on the seed
 * and the name alone, not on the order of adding.
 */
#ifndef CLSEQ_PARAMS_H
#define CLSEQ_PARAMS_H

#include <clseq/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct clseq_params clseq_params;
typedef struct clseq_param clseq_param;

/*
 * fan_in is the last dimension; fan_out the one before (1 when there is none), or `block`. An orthogonal matrix has
 * orthonormal rows when it is at most as high as it is wide, else orthonormal columns; it needs two dimensions.
 */
typedef enum clseq_init_kind {
    /* What the layer says that it starts as; zeros for a parameter that clseq_params_add adds. Without scale and block. */
    CLSEQ_INIT_DEFAULT = 0,
    CLSEQ_INIT_ZERO = 1,
    /* scale */
    CLSEQ_INIT_CONSTANT = 2,
    /* Within -scale .. scale. */
    CLSEQ_INIT_UNIFORM = 3,
    /* Standard deviation scale. */
    CLSEQ_INIT_NORMAL = 4,
    /* Uniform within scale * sqrt(6/(fan_in+fan_out)); Glorot and Bengio 2010. */
    CLSEQ_INIT_XAVIER = 5,
    /* Each matrix orthogonal, times scale; Saxe et al. 2014. */
    CLSEQ_INIT_ORTHOGONAL = 6
} clseq_init_kind;

typedef struct clseq_init {
    clseq_init_kind kind;
    /* Taken as it stands. UNIFORM to ORTHOGONAL need one greater than 0; zeros are CLSEQ_INIT_ZERO. */
    float scale;
    /* Rows that form a matrix of their own, as those of a gate in a recurrent weight; 0: all. */
    int64_t block;
} clseq_init;

CLSEQ_API clseq_status clseq_params_create(clseq_context *ctx, uint64_t seed, clseq_params **out);

/*
 * Gives up the caller's handle; NULL is allowed. The store, with its parameters and layers, lives on as long as an optimiser
 * made from it, or a graph that has read it and was not ended, and is released with the last of them.
 */
CLSEQ_API void clseq_params_destroy(clseq_params *params);

/* Adds a parameter. The name must be new and not empty. `init` may be NULL: zeros. `out` may be NULL. */
CLSEQ_API clseq_status clseq_params_add(clseq_params *params, const char *name, int ndim, const int64_t *dims,
                                        const clseq_init *init, clseq_param **out);

/* The number of parameters, and of all their elements. */
CLSEQ_API size_t clseq_params_count(const clseq_params *params);
CLSEQ_API int64_t clseq_params_elements(const clseq_params *params);

/* A parameter by position (in the order of adding) or by name; NULL when there is none. */
CLSEQ_API clseq_param *clseq_params_at(const clseq_params *params, size_t index);
CLSEQ_API clseq_param *clseq_params_find(const clseq_params *params, const char *name);

CLSEQ_API const char *clseq_param_name(const clseq_param *param);

/* Views of a parameter's values and gradient, valid as long as the store. They make the memory when it is not there yet. */
CLSEQ_API clseq_status clseq_param_value(clseq_param *param, clseq_tensor *out);
CLSEQ_API clseq_status clseq_param_grad(clseq_param *param, clseq_tensor *out);

/* Sets values or gradient (=) from host memory, row-major, or reads them to it. These wait. */
CLSEQ_API clseq_status clseq_param_set(clseq_param *param, const float *values);
CLSEQ_API clseq_status clseq_param_set_grad(clseq_param *param, const float *grad);
CLSEQ_API clseq_status clseq_param_get(clseq_param *param, float *values);
CLSEQ_API clseq_status clseq_param_get_grad(clseq_param *param, float *grad);

/*
 * To be called by a program that changed values through a view on its own: what was derived from them (packed
 * weights) is made again at the next use. The library's own functions do it themselves.
 */
CLSEQ_API void clseq_params_touch(clseq_params *params);

/*
 * Freezes a parameter, or frees it again: frozen, it stays as it is. It has no gradient (zeros, which clseq_param_set_grad
 * refuses to change, and which a program leaves alone that has a view of it): operations add none, clipping counts none. An
 * optimiser's step changes neither it nor its moments, and does not decay it. Both ways what was there of a gradient is lost.
 * Values can still be set and loaded.
 *
 * To be called between steps: a graph that has read the store refuses backward afterwards, as after any change. What is
 * frozen belongs to the store in memory and is not part of a checkpoint: a program freezes again after loading.
 */
CLSEQ_API clseq_status clseq_param_freeze(clseq_param *param, bool frozen);
CLSEQ_API bool clseq_param_is_frozen(const clseq_param *param);

/*
 * The same for all parameters whose names match a pattern with * and ?, "encoder.*" or "*.bias", by the rules of fnmatch(3)
 * without flags (a * stands for dots too). `matched`: NULL, or receives how many there were; none is CLSEQ_NOT_FOUND.
 */
CLSEQ_API clseq_status clseq_params_freeze(clseq_params *params, const char *pattern, bool frozen,
                                           size_t *matched);

/* Sets all gradients to zero. An optimiser's step does so itself. */
CLSEQ_API clseq_status clseq_params_zero_grad(clseq_params *params);

/*
 * Clipping, in place on all gradients, without waiting. `value` clamps each element to -limit..limit; `norm` scales
 * each parameter whose own Euclidean norm exceeds the limit; `global_norm` scales all by limit/norm when the norm of
 * all together exceeds it (Pascanu, Mikolov, Bengio 2013). `norm_out`: NULL, or receives the global norm before
 * clipping, for which the call waits. NaN and infinity in the gradient stay visible: `value` leaves such elements
 * alone, the others leave everything as it is where the norm is not finite.
 */
CLSEQ_API clseq_status clseq_clip_value(clseq_params *params, float limit);
CLSEQ_API clseq_status clseq_clip_norm(clseq_params *params, float limit);
CLSEQ_API clseq_status clseq_clip_global_norm(clseq_params *params, float limit, float *norm_out);

#ifdef __cplusplus
}
#endif
#endif
