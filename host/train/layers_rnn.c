/* Recurrent layers: their parameters. */
#include "train/layers.h"

#include "core/error.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void release(void *object)
{
    clseq_rnn *rnn = object;
    if (!rnn)
        return;
    clseq__rnn_way_destroy(rnn, rnn->way);
    free(rnn->layers);
    free(rnn);
}

/* "NAME.PART_lK" as a parameter. */
static clseq_status add(clseq_params *params, const char *layer, const char *part, int64_t k, int ndim,
                        const int64_t *dims, const clseq_init *init, clseq_param **out)
{
    char name[CLSEQ__PARAM_NAME_MAX + 2];
    snprintf(name, sizeof name, "%s.%s_l%lld", layer, part, (long long)k);
    return clseq_params_add(params, name, ndim, dims, init, out);
}

/* What the program asked for, or PyTorch's choice; an orthogonal matrix a gate. */
static clseq_init choose(const clseq_init *asked, int64_t hidden)
{
    clseq_init init = {.kind = CLSEQ_INIT_UNIFORM, .scale = (float)(1.0 / sqrt((double)hidden))};
    if (asked->kind == CLSEQ_INIT_ZERO)
        return init;
    init = *asked;
    if (init.kind == CLSEQ_INIT_ORTHOGONAL && init.block == 0)
        init.block = hidden;
    return init;
}

/* Layer k's parameters. */
static clseq_status add_layer(clseq_rnn *rnn, const char *name, const clseq_rnn_init *init, int64_t k)
{
    const clseq_rnn_desc *desc = &rnn->desc;
    const int64_t H = desc->hidden, rows = clseq_cell_gates(desc->cell) * H;
    const int64_t in = k == 0 ? desc->input : H;
    const clseq_init input = choose(&init->input, H), recurrent = choose(&init->recurrent, H);
    const clseq_init bias = choose(&(clseq_init){0}, H);
    clseq__rnn_params *layer = &rnn->layers[k];
    CLSEQ__RETURN_IF(add(rnn->params, name, "weight_ih", k, 2, (int64_t[]){rows, in}, &input, &layer->w_ih));
    CLSEQ__RETURN_IF(
        add(rnn->params, name, "weight_hh", k, 2, (int64_t[]){rows, H}, &recurrent, &layer->w_hh));
    if (desc->bias != CLSEQ_BIAS_NONE)
        CLSEQ__RETURN_IF(add(rnn->params, name, "bias_ih", k, 1, &rows, &bias, &layer->b_ih));
    if (desc->bias == CLSEQ_BIAS_BOTH)
        CLSEQ__RETURN_IF(add(rnn->params, name, "bias_hh", k, 1, &rows, &bias, &layer->b_hh));
    if (init->forget_bias == 0.0f)
        return CLSEQ_OK;
    /* Gates i f g o: the forget gate's rows are the second block. */
    CLSEQ__RETURN_IF(clseq__param_preset(layer->b_ih, H, H, init->forget_bias));
    return layer->b_hh ? clseq__param_preset(layer->b_hh, H, H, 0.0f) : CLSEQ_OK;
}

static clseq_status check_init(const char *name, const clseq_rnn_desc *desc, const clseq_rnn_init *init)
{
    if (init->forget_bias == 0.0f)
        return CLSEQ_OK;
    if (desc->cell != CLSEQ_CELL_LSTM)
        return clseq__error(CLSEQ_INVALID_ARGUMENT,
                            "rnn new: %s: forget_bias is for LSTM cells, this one is %s", name,
                            clseq_cell_name(desc->cell));
    if (desc->bias == CLSEQ_BIAS_NONE)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "rnn new: %s: forget_bias, but the layer has no bias",
                            name);
    if (!isfinite(init->forget_bias))
        return clseq__error(CLSEQ_INVALID_ARGUMENT,
                            "rnn new: %s: forget_bias is %g, expected a finite number", name,
                            (double)init->forget_bias);
    return CLSEQ_OK;
}

clseq_status clseq_rnn_new(clseq_params *params, const char *name, const clseq_rnn_desc *desc,
                           const clseq_rnn_init *init, clseq_rnn **out)
{
    static const clseq_rnn_init defaults = {0};
    clseq_status status = CLSEQ_OK;
    const size_t before = clseq_params_count(params);
    clseq_rnn *rnn = NULL;
    size_t layers = 0;
    CLSEQ__NEEDS("rnn new", params);
    if (!name || name[0] == '\0' || !desc || !out)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "rnn new: %s",
                            !desc   ? "desc is NULL"
                            : !out  ? "out is NULL"
                            : !name ? "the name is NULL"
                                    : "the name is empty");
    init = init ? init : &defaults;
    rnn = calloc(1, sizeof *rnn);
    if (!rnn)
        CLSEQ__FAIL(CLSEQ_OUT_OF_HOST_MEMORY, "rnn new: no memory for %s", name);
    rnn->params = params;
    rnn->desc = *desc;
    rnn->desc.layers = desc->layers == 0 ? 1 : desc->layers;
    CLSEQ__TRY(clseq__rnn_way_create(rnn, NULL, &rnn->way));
    CLSEQ__TRY(check_init(name, desc, init));
    layers = (size_t)rnn->desc.layers;
    rnn->layers = calloc(layers, sizeof *rnn->layers);
    if (!rnn->layers)
        CLSEQ__FAIL(CLSEQ_OUT_OF_HOST_MEMORY, "rnn new: no memory for %s", name);
    for (int64_t k = 0; k < rnn->desc.layers; k++)
        CLSEQ__TRY(add_layer(rnn, name, init, k));
    CLSEQ__TRY(clseq__params_own(params, rnn, release));
    *out = rnn;
    return clseq__made("rnn new", CLSEQ_OK);
done:
    clseq__params_drop(params, before);
    release(rnn);
    return clseq__made("rnn new", status);
}

const clseq_rnn_desc *clseq_rnn_description(const clseq_rnn *rnn)
{
    return rnn ? &rnn->desc : NULL;
}

const clseq_rnn_plan *clseq_rnn_plan_of(const clseq_rnn *rnn)
{
    return rnn ? rnn->way->plan : NULL;
}
