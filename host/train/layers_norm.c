/* Norms as layers: their parameters. */
#include "train/layers.h"

#include "core/error.h"
#include <math.h>
#include <stdlib.h>

static clseq_status check(const clseq_params *params, const char *name, clseq_norm_kind kind, float eps)
{
    CLSEQ__RETURN_IF(clseq__layer_check("norm new", params, name));
    if ((unsigned)kind >= CLSEQ_NORM_COUNT)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "norm new: there is no norm %d", (int)kind);
    if (!(eps >= 0.0f && eps < INFINITY))
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "norm new: eps is %g, expected a number of at least 0",
                            (double)eps);
    return CLSEQ_OK;
}

clseq_status clseq_norm_new(clseq_params *params, const char *name, clseq_norm_kind kind, int64_t features,
                            float eps, clseq_norm **out)
{
    clseq_status status = CLSEQ_OK;
    const size_t before = clseq_params_count(params);
    clseq_norm *layer = NULL;
    CLSEQ__MAKES("norm new", out);
    CLSEQ__RETURN_IF(check(params, name, kind, eps));
    layer = calloc(1, sizeof *layer);
    if (!layer)
        CLSEQ__FAIL(CLSEQ_OUT_OF_HOST_MEMORY, "norm new: no memory for %s", name);
    *layer = (clseq_norm){.params = params, .kind = kind, .eps = eps};
    CLSEQ__TRY(clseq__layer_add(params, name, "weight", 1, &features,
                                &(clseq_init){.kind = CLSEQ_INIT_CONSTANT, .scale = 1.0f}, &layer->weight));
    if (kind == CLSEQ_NORM_LAYER)
        CLSEQ__TRY(clseq__layer_add(params, name, "bias", 1, &features, NULL, &layer->bias));
    CLSEQ__TRY(clseq__params_own(params, layer, free));
    *out = layer;
    return clseq__made("norm new", CLSEQ_OK);
done:
    clseq__params_drop(params, before);
    free(layer);
    return clseq__made("norm new", status);
}
