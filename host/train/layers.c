/* Embedding and linear layers: their parameters. */
#include "train/layers.h"

#include "core/error.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* "NAME.PART" as a parameter. */
static clseq_status add(clseq_params *params, const char *layer, const char *part, int ndim,
                        const int64_t *dims, const clseq_init *init, clseq_param **out)
{
    char name[CLSEQ__PARAM_NAME_MAX + 2];
    snprintf(name, sizeof name, "%s.%s", layer, part);
    return clseq_params_add(params, name, ndim, dims, init, out);
}

static clseq_status check(const char *function, const clseq_params *params, const char *name)
{
    CLSEQ__NEEDS(function, params);
    if (name && name[0] != '\0')
        return CLSEQ_OK;
    return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: the name is %s", function, name ? "empty" : "NULL");
}

clseq_status clseq_embedding_new(clseq_params *params, const char *name, int64_t vocabulary, int64_t features,
                                 clseq_embedding **out)
{
    clseq_status status = CLSEQ_OK;
    const size_t before = clseq_params_count(params);
    clseq_embedding *layer = NULL;
    CLSEQ__MAKES("embedding new", out);
    CLSEQ__RETURN_IF(check("embedding new", params, name));
    layer = calloc(1, sizeof *layer);
    if (!layer)
        CLSEQ__FAIL(CLSEQ_OUT_OF_HOST_MEMORY, "embedding new: no memory for %s", name);
    layer->params = params;
    CLSEQ__TRY(add(params, name, "weight", 2, (int64_t[]){vocabulary, features},
                   &(clseq_init){.kind = CLSEQ_INIT_NORMAL, .scale = 1.0f}, &layer->weight));
    layer->own = clseq__params_since(params, before);
    CLSEQ__TRY(clseq__params_own(params, layer, free));
    *out = layer;
    return clseq__made("embedding new", CLSEQ_OK);
done:
    clseq__params_drop(params, before);
    free(layer);
    return clseq__made("embedding new", status);
}

clseq_status clseq_linear_new(clseq_params *params, const char *name, int64_t in_features,
                              int64_t out_features, bool bias, clseq_linear **out)
{
    clseq_status status = CLSEQ_OK;
    const size_t before = clseq_params_count(params);
    clseq_linear *layer = NULL;
    /* of sizes that are refused: any */
    const double fan_in = in_features > 0 ? (double)in_features : 1.0;
    clseq_init init = {.kind = CLSEQ_INIT_UNIFORM, .scale = (float)(1.0 / sqrt(fan_in))};
    CLSEQ__MAKES("linear new", out);
    CLSEQ__RETURN_IF(check("linear new", params, name));
    layer = calloc(1, sizeof *layer);
    if (!layer)
        CLSEQ__FAIL(CLSEQ_OUT_OF_HOST_MEMORY, "linear new: no memory for %s", name);
    layer->params = params;
    CLSEQ__TRY(add(params, name, "weight", 2, (int64_t[]){out_features, in_features}, &init, &layer->weight));
    if (bias)
        CLSEQ__TRY(add(params, name, "bias", 1, &out_features, &init, &layer->bias));
    layer->own = clseq__params_since(params, before);
    CLSEQ__TRY(clseq__params_own(params, layer, free));
    *out = layer;
    return clseq__made("linear new", CLSEQ_OK);
done:
    clseq__params_drop(params, before);
    free(layer);
    return clseq__made("linear new", status);
}
