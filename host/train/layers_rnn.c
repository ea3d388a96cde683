/* Recurrent layers: their parameters. */
#include "train/layers.h"

#include "core/error.h"
#include <math.h>
#include <stddef.h>
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

/* The parameters of a layer: PyTorch's names, where they are kept, and how they start. */
static const struct {
    const char *name;
    size_t param;              /* in clseq__rnn_params */
    size_t init;               /* in clseq_rnn_init */
    enum { IN, H, ONE } width; /* columns; ONE: a vector */
    clseq_bias last;           /* the layer's kinds of bias up to this one have it */
} parts[] = {
    {"weight_ih", offsetof(clseq__rnn_params, w_ih), offsetof(clseq_rnn_init, input), IN, CLSEQ_BIAS_NONE},
    {"weight_hh", offsetof(clseq__rnn_params, w_hh), offsetof(clseq_rnn_init, recurrent), H, CLSEQ_BIAS_NONE},
    {"bias_ih", offsetof(clseq__rnn_params, b_ih), offsetof(clseq_rnn_init, bias), ONE, CLSEQ_BIAS_ONE},
    {"bias_hh", offsetof(clseq__rnn_params, b_hh), offsetof(clseq_rnn_init, bias), ONE, CLSEQ_BIAS_BOTH},
};

/* The block of rows of a cell's forget gate; 0: it has none. */
static const int forget_gates[CLSEQ_CELL_COUNT] = {[CLSEQ_CELL_LSTM] = 1};

/* What the program asked for, or PyTorch's choice; an orthogonal matrix a gate. */
static clseq_init choose(const clseq_init *asked, int64_t hidden)
{
    clseq_init init = *asked;
    if (init.kind == CLSEQ_INIT_DEFAULT && init.scale == 0.0f && init.block == 0) {
        init.kind = CLSEQ_INIT_UNIFORM;
        init.scale = (float)(1.0 / sqrt((double)hidden));
    }
    if (init.kind == CLSEQ_INIT_ORTHOGONAL && init.block == 0)
        init.block = hidden;
    return init;
}

/* The forget gate's biases: b_ih has the sum, b_hh nothing. */
static clseq_status preset_forget(const clseq_rnn *rnn, const clseq__rnn_params *layer,
                                  const clseq_init *forget)
{
    const int64_t hidden = rnn->desc.hidden, first = forget_gates[rnn->desc.cell] * hidden;
    if (forget->kind == CLSEQ_INIT_DEFAULT)
        return CLSEQ_OK;
    CLSEQ__RETURN_IF(clseq__param_preset(layer->b_ih, first, hidden, forget->scale));
    return layer->b_hh ? clseq__param_preset(layer->b_hh, first, hidden, 0.0f) : CLSEQ_OK;
}

/* Layer k's parameters. */
static clseq_status add_layer(clseq_rnn *rnn, const char *name, const clseq_rnn_init *init, int64_t k)
{
    const clseq_rnn_desc *desc = &rnn->desc;
    const int64_t columns[] = {[IN] = k == 0 ? desc->input : desc->hidden, [H] = desc->hidden};
    clseq__rnn_params *layer = &rnn->layers[k];
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        const clseq_init start = choose((const void *)((const char *)init + parts[i].init), desc->hidden);
        const int ndim = parts[i].width == ONE ? 1 : 2;
        const int64_t dims[] = {clseq_cell_gates(desc->cell) * desc->hidden,
                                ndim == 2 ? columns[parts[i].width] : 1};
        if (desc->bias > parts[i].last)
            continue;
        CLSEQ__RETURN_IF(add(rnn->params, name, parts[i].name, k, ndim, dims, &start,
                             (void *)((char *)layer + parts[i].param)));
    }
    return preset_forget(rnn, layer, &init->forget_bias);
}

static clseq_status check_forget(const char *name, const clseq_rnn_desc *desc, const clseq_init *forget)
{
    if (forget->kind == CLSEQ_INIT_DEFAULT && forget->scale == 0.0f && forget->block == 0)
        return CLSEQ_OK;
    if (!forget_gates[desc->cell])
        return clseq__error(CLSEQ_INVALID_ARGUMENT,
                            "rnn new: %s: forget_bias is for LSTM cells, this one is %s", name,
                            clseq_cell_name(desc->cell));
    if (desc->bias == CLSEQ_BIAS_NONE)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "rnn new: %s: forget_bias, but the layer has no bias",
                            name);
    if (forget->kind != CLSEQ_INIT_ZERO && forget->kind != CLSEQ_INIT_CONSTANT)
        return clseq__error(CLSEQ_INVALID_ARGUMENT,
                            "rnn new: %s: forget_bias has kind %d, expected CLSEQ_INIT_CONSTANT or "
                            "CLSEQ_INIT_ZERO",
                            name, (int)forget->kind);
    if (!isfinite(forget->scale) || (forget->kind == CLSEQ_INIT_ZERO && forget->scale != 0.0f))
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "rnn new: %s: forget_bias is %g, expected %s", name,
                            (double)forget->scale,
                            forget->kind == CLSEQ_INIT_ZERO ? "0 with CLSEQ_INIT_ZERO" : "a finite number");
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
    CLSEQ__TRY(check_forget(name, desc, &init->forget_bias));
    layers = (size_t)rnn->desc.layers;
    rnn->layers = calloc(layers, sizeof *rnn->layers);
    if (!rnn->layers)
        CLSEQ__FAIL(CLSEQ_OUT_OF_HOST_MEMORY, "rnn new: no memory for %s", name);
    for (int64_t k = 0; k < rnn->desc.layers; k++)
        CLSEQ__TRY(add_layer(rnn, name, init, k));
    rnn->own = clseq__params_since(params, before);
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
