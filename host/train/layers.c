/* Embedding and linear layers: their parameters. */
#include "train/layers.h"

#include "core/error.h"
#include "core/tensor.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

clseq_status clseq__layer_add(clseq_params *params, const char *layer, const char *part, int ndim,
                              const int64_t *dims, const clseq_init *init, clseq_param **out)
{
    char name[CLSEQ__PARAM_NAME_MAX + 2];
    snprintf(name, sizeof name, "%s.%s", layer, part);
    return clseq_params_add(params, name, ndim, dims, init, out);
}

clseq_status clseq__layer_check(const char *function, const clseq_params *params, const char *name)
{
    CLSEQ__NEEDS(function, params);
    if (name && name[0] != '\0')
        return CLSEQ_OK;
    return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: the name is %s", function, name ? "empty" : "NULL");
}

/* A weight that another layer or the program made: of this store, and a matrix. */
static clseq_status check_weight(const char *function, const clseq_params *params, const clseq_param *weight,
                                 const char *shape)
{
    char text[CLSEQ__DIMS_TEXT];
    CLSEQ__NEEDS(function, params);
    CLSEQ__NEEDS(function, weight);
    if (weight->store != params)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: weight %s belongs to another store", function,
                            weight->name);
    if (weight->ndim != 2)
        return clseq__error(CLSEQ_INVALID_SHAPE, "%s: weight %s has shape %s, expected %s", function,
                            weight->name, clseq__dims_text(text, weight->ndim, weight->dims), shape);
    return CLSEQ_OK;
}

/* The layer around `weight`, or around one of these dims that it adds. */
static clseq_status make_embedding(clseq_params *params, const char *name, clseq_param *weight,
                                   const int64_t dims[2], clseq_embedding **out)
{
    clseq_status status = CLSEQ_OK;
    const size_t before = clseq_params_count(params);
    clseq_embedding *layer = calloc(1, sizeof *layer);
    if (!layer)
        return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "embedding new: no memory for %s", name);
    layer->params = params;
    layer->weight = weight;
    if (!weight)
        CLSEQ__TRY(clseq__layer_add(params, name, "weight", 2, dims,
                                    &(clseq_init){.kind = CLSEQ_INIT_NORMAL, .scale = 1.0f}, &layer->weight));
    layer->list = (clseq__param_list){&layer->weight, 1};
    CLSEQ__TRY(clseq__params_own(params, layer, free));
    *out = layer;
    return CLSEQ_OK;
done:
    clseq__params_drop(params, before);
    free(layer);
    return status;
}

clseq_status clseq_embedding_new(clseq_params *params, const char *name, int64_t vocabulary, int64_t features,
                                 clseq_embedding **out)
{
    static const char op[] = "embedding new";
    clseq_status status = CLSEQ_OK;
    CLSEQ__MAKES(op, out);
    CLSEQ__TRY(clseq__layer_check(op, params, name));
    CLSEQ__TRY(make_embedding(params, name, NULL, (int64_t[]){vocabulary, features}, out));
done:
    return clseq__made(op, status);
}

clseq_status clseq_embedding_new_tied(clseq_params *params, clseq_param *weight, clseq_embedding **out)
{
    static const char op[] = "embedding new tied";
    clseq_status status = CLSEQ_OK;
    CLSEQ__MAKES(op, out);
    CLSEQ__TRY(check_weight(op, params, weight, "[vocabulary,features]"));
    CLSEQ__TRY(make_embedding(params, weight->name, weight, weight->dims, out));
done:
    return clseq__made(op, status);
}

static void release_linear(void *object)
{
    clseq_linear *linear = object;
    clseq_packed_destroy(linear->forward.packed);
    clseq_packed_destroy(linear->backward.packed);
    free(linear);
}

/* The layer around `weight`, or around one of these dims that it adds, and its bias. */
static clseq_status make_linear(clseq_params *params, const char *name, clseq_param *weight,
                                const int64_t dims[2], bool bias, clseq_linear **out)
{
    clseq_status status = CLSEQ_OK;
    const size_t before = clseq_params_count(params);
    clseq_linear *layer = calloc(1, sizeof *layer);
    /* of sizes that are refused: any */
    const double fan_in = dims[1] > 0 ? (double)dims[1] : 1.0;
    const clseq_init init = {.kind = CLSEQ_INIT_UNIFORM, .scale = (float)(1.0 / sqrt(fan_in))};
    if (!layer)
        return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "linear new: no memory for %s", name);
    layer->params = params;
    layer->weight = weight;
    if (!weight)
        CLSEQ__TRY(clseq__layer_add(params, name, "weight", 2, dims, &init, &layer->weight));
    if (bias)
        CLSEQ__TRY(clseq__layer_add(params, name, "bias", 1, dims, &init, &layer->bias));
    layer->both[0] = layer->weight;
    layer->both[1] = layer->bias;
    layer->list = (clseq__param_list){layer->both, bias ? 2 : 1};
    CLSEQ__TRY(clseq__params_own(params, layer, release_linear));
    *out = layer;
    return CLSEQ_OK;
done:
    clseq__params_drop(params, before);
    free(layer);
    return status;
}

clseq_status clseq_linear_new(clseq_params *params, const char *name, int64_t in_features,
                              int64_t out_features, bool bias, clseq_linear **out)
{
    static const char op[] = "linear new";
    clseq_status status = CLSEQ_OK;
    CLSEQ__MAKES(op, out);
    CLSEQ__TRY(clseq__layer_check(op, params, name));
    CLSEQ__TRY(make_linear(params, name, NULL, (int64_t[]){out_features, in_features}, bias, out));
done:
    return clseq__made(op, status);
}

clseq_status clseq_linear_new_tied(clseq_params *params, const char *name, clseq_param *weight, bool bias,
                                   clseq_linear **out)
{
    static const char op[] = "linear new tied";
    clseq_status status = CLSEQ_OK;
    CLSEQ__MAKES(op, out);
    CLSEQ__TRY(clseq__layer_check(op, params, name));
    CLSEQ__TRY(check_weight(op, params, weight, "[out_features,in_features]"));
    CLSEQ__TRY(make_linear(params, name, weight, weight->dims, bias, out));
done:
    return clseq__made(op, status);
}

clseq_param *clseq_embedding_weight(const clseq_embedding *embedding)
{
    return embedding ? embedding->weight : NULL;
}

clseq_param *clseq_linear_weight(const clseq_linear *linear)
{
    return linear ? linear->weight : NULL;
}

clseq_param *clseq_linear_bias(const clseq_linear *linear)
{
    return linear ? linear->bias : NULL;
}
