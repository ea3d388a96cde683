/*
 * What a parameter store holds. Layers, the graph, optimisers and checkpoints of host/train look inside.
 *
 * Values and gradients lie in two buffers of `flat` floats with one layout: parameter i begins at its offset, a
 * multiple of CLSEQ__PARAM_ALIGN. The gaps between parameters are zero in both buffers and stay zero, so that whole
 * buffers can be summed and updated at once.
 */
#ifndef CLSEQ_TRAIN_PARAMS_H
#define CLSEQ_TRAIN_PARAMS_H

#include "core/names.h"
#include <clseq/params.h>

#define CLSEQ__PARAM_ALIGN 64
#define CLSEQ__PARAM_NAME_MAX 255

struct clseq_param {
    clseq_params *store;
    char name[CLSEQ__PARAM_NAME_MAX + 1];
    int ndim;
    int64_t dims[CLSEQ_MAX_DIMS];
    int64_t elements;
    int64_t offset; /* of the first element, in floats, in both buffers */
    clseq_init init;
    /* Elements that start as a constant instead, see clseq__param_preset. */
    int64_t preset_begin, preset_count;
    float preset_value;
    /* During a backward pass with a hook: operations that may still add to the gradient, and whether one has. */
    size_t awaited;
    bool is_reached;
    bool is_frozen;
};

/* Those of a layer, to which its operation adds gradients; some may be other layers' too. */
typedef struct clseq__param_list {
    clseq_param *const *all;
    size_t count;
} clseq__param_list;

/* Something that lives as long as the store, for instance a layer. */
typedef struct clseq__owned {
    void *object;
    void (*release)(void *object);
} clseq__owned;

struct clseq_params {
    size_t references; /* the caller's, and one each of what holds it */
    clseq_context *ctx;
    uint64_t seed;
    clseq_param **all; /* in the order of adding */
    size_t count, capacity;
    clseq__names names; /* of all */
    /* NULL, or the file that every parameter must be in, while they are added. */
    struct clseq__st_reader *expected;
    int64_t elements; /* of all parameters */
    int64_t flat;     /* floats of each buffer, gaps included */
    cl_mem values;    /* NULL until the store is used */
    cl_mem grads;
    uint64_t version; /* goes up with every change of values: what is derived from them compares it */
    size_t frozen_count;
    uint64_t frozen_version; /* begins at 1 and goes up with every change of what is frozen */
    clseq__owned *owned;
    size_t owned_count, owned_capacity;
};

/*
 * Makes the memory and the initial values unless they are there. Everything that uses the buffers calls it first.
 * A store without parameters is CLSEQ_INVALID_STATE. Waits for the upload when it makes them.
 */
clseq_status clseq__params_materialize(clseq_params *params);

/* A reference to the store, and its end: the last one releases it. */
clseq_params *clseq__params_retain(clseq_params *params);
void clseq__params_release(clseq_params *params);

/*
 * Hands an object over: release(object) is called when the store ends, the last one first, while the buffers
 * are still there. On failure the object stays the caller's.
 */
clseq_status clseq__params_own(clseq_params *params, void *object, void (*release)(void *object));

/*
 * Elements [begin, begin+count) of the parameter start as `value` instead of what its initialiser draws (the other
 * elements do not change by it). One range a parameter, before the memory is made.
 */
clseq_status clseq__param_preset(clseq_param *param, int64_t begin, int64_t count, float value);

/* Takes back what was added after the first `count` parameters, for a layer that could not be made. */
void clseq__params_drop(clseq_params *params, size_t count);

/* Whether one of them wants a gradient. (frozen.c) */
bool clseq__params_are_trained(const clseq__param_list *list);

/* Where the gradient is added to: no tensor for a frozen parameter. (frozen.c) */
clseq_status clseq__param_wanted_grad(clseq_param *param, clseq_tensor *out);

/* Whether the name is one of a pattern, as fnmatch(3) has it. (frozen.c) */
bool clseq__param_matches(const clseq_param *param, const char *pattern);

/* Checks an initialiser for a parameter of these dims; the sentence starts with "params add: NAME". (init.c) */
clseq_status clseq__init_check(const clseq_init *init, const char *name, int ndim, const int64_t *dims);

/* Draws the parameter's initial values, from its store's seed and its name alone. (init.c) */
clseq_status clseq__init_draw(const clseq_param *param, float *out);

#endif
