/* Parameters by patterns of their names, and those that are frozen. */
#include "train/params.h"

#include "core/error.h"
#include "core/launch.h"
#include "core/text.h"
#include <fnmatch.h>

bool clseq__param_matches(const clseq_param *param, const char *pattern)
{
    return fnmatch(pattern, param->name, 0) == 0;
}

/*
 * The gradient of a frozen parameter is zero, so that what looks at all gradients at once need not know what is frozen. What
 * graphs have read is out of date: they have been made for what was trained then.
 */
static clseq_status freeze(clseq_param *param, bool frozen)
{
    clseq_params *store = param->store;
    if (param->is_frozen == frozen)
        return CLSEQ_OK;
    if (store->grads)
        CLSEQ__RETURN_IF(clseq__fill_bytes(store->ctx, store->grads, (size_t)param->offset * sizeof(float),
                                           (size_t)param->elements * sizeof(float), 0));
    param->is_frozen = frozen;
    store->frozen_count += frozen ? 1 : (size_t)-1;
    store->frozen_version++;
    clseq_params_touch(store);
    return CLSEQ_OK;
}

clseq_status clseq_param_freeze(clseq_param *param, bool frozen)
{
    CLSEQ__NEEDS("param freeze", param);
    return freeze(param, frozen);
}

clseq_status clseq_params_freeze(clseq_params *params, const char *pattern, bool frozen, size_t *matched)
{
    size_t count = 0;
    if (matched)
        *matched = 0;
    CLSEQ__NEEDS("params freeze", params);
    CLSEQ__NOT_NULL("params freeze", pattern);
    for (size_t i = 0; i < params->count; i++) {
        if (!clseq__param_matches(params->all[i], pattern))
            continue;
        CLSEQ__RETURN_IF(freeze(params->all[i], frozen));
        count++;
    }
    if (count == 0)
        return clseq__error(CLSEQ_NOT_FOUND, "params freeze: no parameter matches \"%s\"",
                            CLSEQ__SHOW(pattern));
    if (matched)
        *matched = count;
    return CLSEQ_OK;
}

bool clseq_param_is_frozen(const clseq_param *param)
{
    return param && param->is_frozen;
}

bool clseq__params_are_trained(const clseq__param_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        if (!list->all[i]->is_frozen)
            return true;
    return false;
}

clseq_status clseq__param_wanted_grad(clseq_param *param, clseq_tensor *out)
{
    *out = (clseq_tensor){0};
    return param->is_frozen ? CLSEQ_OK : clseq_param_grad(param, out);
}
