/* Recurrent layers: their parameters. */
#include "train/layers.h"

#include "core/error.h"
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void release(void *object)
{
    clseq_rnn *rnn = object;
    if (!rnn)
        return;
    clseq__layer_plan_destroy(rnn, rnn->plans);
    free(rnn->weights);
    free(rnn);
}

/* The gate of a cell that is its forget gate; 0: it has none. */
static const int forget_gates[CLSEQ_CELL_COUNT] = {[CLSEQ_CELL_LSTM] = 1, [CLSEQ_CELL_LSTM_PEEPHOLE] = 1};

/* How a kind of weight starts: as the program asked in this field of clseq_rnn_init, or, where it did not, like this. */
static const struct {
    size_t asked;
    clseq_init_kind kind;
    /* for CLSEQ_INIT_UNIFORM times 1/sqrt(H) */
    float scale;
} starts[] = {
    [CLSEQ_RNN_WEIGHT_INPUT] = {offsetof(clseq_rnn_init, input), CLSEQ_INIT_UNIFORM, 1.0f},
    [CLSEQ_RNN_WEIGHT_RECURRENT] = {offsetof(clseq_rnn_init, recurrent), CLSEQ_INIT_UNIFORM, 1.0f},
    [CLSEQ_RNN_WEIGHT_BIAS] = {offsetof(clseq_rnn_init, bias), CLSEQ_INIT_UNIFORM, 1.0f},
    [CLSEQ_RNN_WEIGHT_PROJECTION] = {offsetof(clseq_rnn_init, projection), CLSEQ_INIT_UNIFORM, 1.0f},
    [CLSEQ_RNN_WEIGHT_UNIT] = {offsetof(clseq_rnn_init, unit), CLSEQ_INIT_UNIFORM, 1.0f},
    [CLSEQ_RNN_WEIGHT_GAIN] = {offsetof(clseq_rnn_init, gain), CLSEQ_INIT_CONSTANT, 1.0f},
    [CLSEQ_RNN_WEIGHT_SHIFT] = {offsetof(clseq_rnn_init, shift), CLSEQ_INIT_ZERO, 0.0f},
};

static const clseq_init *asked_for(const clseq_rnn_init *init, size_t offset)
{
    return (const clseq_init *)(const void *)((const char *)init + offset);
}

/* Whether nothing was said. */
static bool is_default(const clseq_init *init)
{
    return init->kind == CLSEQ_INIT_DEFAULT && init->scale == 0.0f && init->block == 0;
}

/* What the program asked for, or the weight's own start; an orthogonal matrix a gate. */
static clseq_init choose(const clseq_rnn_init *asked, const clseq_rnn_weight *weight, int64_t hidden)
{
    clseq_init init = *asked_for(asked, starts[weight->kind].asked);
    if (is_default(&init)) {
        init.kind = starts[weight->kind].kind;
        init.scale = starts[weight->kind].scale;
        if (init.kind == CLSEQ_INIT_UNIFORM)
            init.scale = (float)(init.scale / sqrt((double)hidden));
    }
    if (init.kind == CLSEQ_INIT_ORTHOGONAL && init.block == 0)
        init.block = weight->gate_rows;
    return init;
}

/* The forget gate's biases: bias_ih has the sum, bias_hh nothing. */
static clseq_status preset_forget(clseq_param *param, clseq_cell cell, const clseq_rnn_weight *weight,
                                  const clseq_init *forget)
{
    const bool is_sum = strcmp(weight->part, "bias_ih") == 0;
    if (forget->kind == CLSEQ_INIT_DEFAULT)
        return CLSEQ_OK;
    return clseq__param_preset(param, forget_gates[cell] * weight->gate_rows, weight->gate_rows,
                               is_sum ? forget->scale : 0.0f);
}

/* All weights as parameters "NAME.weight_ih_l0", in the plan's order. */
static clseq_status add_weights(clseq_rnn *rnn, const char *name, const clseq_rnn_init *init)
{
    const clseq_rnn_plan *plan = rnn->plans->plan;
    const clseq_rnn_desc *desc = clseq_rnn_plan_description(plan);
    rnn->weights = calloc((size_t)rnn->weight_count, sizeof *rnn->weights);
    if (!rnn->weights)
        return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "rnn new: no memory for %s", name);
    for (int64_t i = 0; i < rnn->weight_count; i++) {
        char full[CLSEQ__PARAM_NAME_MAX + 2];
        clseq_rnn_weight weight;
        CLSEQ__RETURN_IF(clseq_rnn_weight_info(plan, i, &weight));
        const clseq_init start =
            choose(init, &weight, desc->widths ? desc->widths[weight.layer] : desc->hidden);
        snprintf(full, sizeof full, "%s.%s", name, weight.name);
        CLSEQ__RETURN_IF(
            clseq_params_add(rnn->params, full, weight.ndim, weight.dims, &start, &rnn->weights[i]));
        if (weight.kind == CLSEQ_RNN_WEIGHT_BIAS)
            CLSEQ__RETURN_IF(preset_forget(rnn->weights[i], desc->cell, &weight, &init->forget_bias));
    }
    return CLSEQ_OK;
}

static clseq_status check_forget(const char *name, const clseq_rnn_desc *desc, const clseq_init *forget)
{
    if (is_default(forget))
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
    CLSEQ__MAKES("rnn new", out);
    CLSEQ__NEEDS("rnn new", params);
    if (!name || name[0] == '\0' || !desc)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "rnn new: %s",
                            !desc   ? "desc is NULL"
                            : !name ? "the name is NULL"
                                    : "the name is empty");
    init = init ? init : &defaults;
    rnn = calloc(1, sizeof *rnn);
    if (!rnn)
        CLSEQ__FAIL(CLSEQ_OUT_OF_HOST_MEMORY, "rnn new: no memory for %s", name);
    rnn->params = params;
    CLSEQ__TRY(clseq__layer_plan_create(rnn, desc, NULL, &rnn->plans));
    CLSEQ__TRY(check_forget(name, desc, &init->forget_bias));
    CLSEQ__TRY(add_weights(rnn, name, init));
    rnn->list = (clseq__param_list){rnn->weights, (size_t)rnn->weight_count};
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
    return rnn ? clseq_rnn_plan_description(rnn->plans->plan) : NULL;
}

const clseq_rnn_plan *clseq_rnn_plan_of(const clseq_rnn *rnn)
{
    return rnn ? rnn->plans->plan : NULL;
}

clseq_param *clseq_rnn_param(const clseq_rnn *rnn, int64_t i)
{
    return rnn && i >= 0 && i < rnn->weight_count ? rnn->weights[i] : NULL;
}
