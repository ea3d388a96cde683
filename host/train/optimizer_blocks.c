/* What differs from parameter to parameter in a step: groups, and what is frozen. Kernels get it as a table by block. */
#include "train/optimizer.h"

#include "core/error.h"
#include "core/pool.h"
#include "core/text.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static clseq_status check_group(const clseq_param_group *group, size_t i)
{
    if (!group->pattern)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "optimizer create: groups[%zu].pattern is NULL", i);
    if (!(group->lr_scale > 0.0f) || !isfinite(group->lr_scale))
        return clseq__error(CLSEQ_INVALID_ARGUMENT,
                            "optimizer create: groups[%zu].lr_scale is %g, expected a positive number "
                            "(clseq_params_freeze() is for parameters that stay as they are)",
                            i, (double)group->lr_scale);
    if (!(group->weight_decay >= 0.0f) || !isfinite(group->weight_decay))
        return clseq__error(
            CLSEQ_INVALID_ARGUMENT,
            "optimizer create: groups[%zu].weight_decay is %g, expected a number of at least 0", i,
            (double)group->weight_decay);
    return CLSEQ_OK;
}

/* Gives group i to the parameters that match and have none yet; one that gets nothing is a mistake. */
static clseq_status take_group(clseq_optimizer *o, const clseq_param_group *group, size_t i, bool *is_taken)
{
    size_t matched = 0, taken = 0;
    for (size_t k = 0; k < o->params->count; k++) {
        if (!clseq__param_matches(o->params->all[k], group->pattern))
            continue;
        matched++;
        if (is_taken[k])
            continue;
        taken++;
        is_taken[k] = true;
        o->own[k] = (clseq__group_rates){group->lr_scale, group->weight_decay};
    }
    if (matched == 0)
        return clseq__error(CLSEQ_NOT_FOUND, "optimizer create: groups[%zu]: no parameter matches \"%s\"", i,
                            CLSEQ__SHOW(group->pattern));
    if (taken == 0)
        return clseq__error(
            CLSEQ_INVALID_ARGUMENT,
            "optimizer create: groups[%zu]: every parameter that matches \"%s\" is in a group "
            "before it",
            i, CLSEQ__SHOW(group->pattern));
    return CLSEQ_OK;
}

clseq_status clseq__optimizer_take_groups(clseq_optimizer *optimizer, const clseq_param_group *groups,
                                          size_t count)
{
    clseq_status status = CLSEQ_OK;
    const size_t params = optimizer->params->count;
    bool *is_taken = NULL;
    if (count == 0)
        return CLSEQ_OK;
    if (!groups)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "optimizer create: groups is NULL, group_count %zu",
                            count);
    is_taken = calloc(params, sizeof *is_taken);
    optimizer->own = malloc(params * sizeof *optimizer->own);
    if (!is_taken || !optimizer->own)
        CLSEQ__FAIL(CLSEQ_OUT_OF_HOST_MEMORY, "optimizer create: no memory for the groups");
    for (size_t k = 0; k < params; k++)
        optimizer->own[k] = (clseq__group_rates){1.0f, optimizer->desc.weight_decay};
    for (size_t i = 0; i < count; i++) {
        CLSEQ__TRY(check_group(&groups[i], i));
        CLSEQ__TRY(take_group(optimizer, &groups[i], i, is_taken));
    }
done:
    free(is_taken);
    return status;
}

/* An entry for each block, gaps included. */
static void fill_table(const clseq_optimizer *o, float *table)
{
    for (size_t k = 0; k < o->params->count; k++) {
        const clseq_param *param = o->params->all[k];
        const int64_t end = k + 1 < o->params->count ? o->params->all[k + 1]->offset : o->params->flat;
        for (int64_t block = param->offset / STEP_BLOCK; block < end / STEP_BLOCK; block++) {
            table[2 * block] = param->is_frozen ? STEP_FROZEN : o->own ? o->own[k].lr_scale : 1.0f;
            table[2 * block + 1] = o->own ? o->own[k].weight_decay : o->desc.weight_decay;
        }
    }
}

static clseq_status make_table(clseq_optimizer *o)
{
    clseq_status status = CLSEQ_OK;
    char name[64];
    const int64_t floats = 2 * o->params->flat / STEP_BLOCK;
    float *table = malloc((size_t)floats * sizeof *table);
    clseq_tensor view;
    if (!table)
        return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "optimizer step: no memory for %lld blocks",
                            (long long)floats / 2);
    fill_table(o, table);
    snprintf(name, sizeof name, "%s_by_block", o->rule->kernel);
    CLSEQ__TRY(clseq__kernel_get(o->ctx, "train/", NULL, name, &o->kernel_by_block));
    if (!o->blocks)
        CLSEQ__TRY(
            clseq__pool_get(o->ctx, (size_t)floats * sizeof *table, "optimizer step: blocks", &o->blocks));
    view = clseq_tensor_view(o->blocks, 0, CLSEQ_DTYPE_F32, 1, &floats);
    CLSEQ__TRY(clseq_tensor_write(o->ctx, &view, table));
    o->blocks_version = o->params->frozen_version;
done:
    free(table);
    return status;
}

clseq_status clseq__optimizer_blocks(clseq_optimizer *optimizer, cl_mem *out)
{
    const clseq_params *params = optimizer->params;
    *out = NULL;
    if (!optimizer->own && params->frozen_count == 0)
        return CLSEQ_OK;
    if (!optimizer->blocks || optimizer->blocks_version != params->frozen_version)
        CLSEQ__RETURN_IF(make_table(optimizer));
    *out = optimizer->blocks;
    return CLSEQ_OK;
}
