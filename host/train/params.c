#include "train/params.h"

#include "core/array.h"
#include "core/context.h"
#include "core/error.h"
#include "core/launch.h"
#include "core/pool.h"
#include "core/tensor.h"
#include "core/text.h"
#include "train/safetensors.h"
#include <stdlib.h>
#include <string.h>

clseq_status clseq_params_create(clseq_context *ctx, uint64_t seed, clseq_params **out)
{
    CLSEQ__MAKES("params create", out);
    CLSEQ__NEEDS("params create", ctx);
    *out = calloc(1, sizeof **out);
    if (!*out)
        return clseq__made("params create",
                           clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "params create: no memory for the store"));
    (*out)->references = 1;
    (*out)->ctx = clseq__context_retain(ctx);
    (*out)->seed = seed;
    (*out)->frozen_version = 1;
    return clseq__made("params create", CLSEQ_OK);
}

clseq_params *clseq__params_retain(clseq_params *params)
{
    params->references++;
    return params;
}

void clseq_params_destroy(clseq_params *params)
{
    clseq__params_release(params);
}

void clseq__params_release(clseq_params *params)
{
    if (!params || --params->references > 0)
        return;
    for (size_t i = params->owned_count; i-- > 0;)
        params->owned[i].release(params->owned[i].object);
    clseq__pool_put(params->ctx, params->values);
    clseq__pool_put(params->ctx, params->grads);
    clseq__names_clear(&params->names);
    clseq__st_close(params->expected);
    for (size_t i = 0; i < params->count; i++)
        free(params->all[i]);
    free(params->all);
    free(params->owned);
    clseq__context_release(params->ctx);
    free(params);
}

clseq_status clseq__params_own(clseq_params *params, void *object, void (*release)(void *object))
{
    clseq__owned *owned =
        clseq__array_room(params->owned, sizeof *owned, params->owned_count, &params->owned_capacity);
    if (!owned)
        return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "params: no memory to take over a layer");
    params->owned = owned;
    owned[params->owned_count++] = (clseq__owned){object, release};
    return CLSEQ_OK;
}

static clseq_status check_name(const clseq_params *params, const char *name)
{
    if (!name || name[0] == '\0')
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "params add: the name is %s", name ? "empty" : "NULL");
    if (strlen(name) > CLSEQ__PARAM_NAME_MAX)
        return clseq__error(CLSEQ_INVALID_ARGUMENT,
                            "params add: the name \"%s\" has %zu bytes, expected at most %d",
                            CLSEQ__SHOW(name), strlen(name), CLSEQ__PARAM_NAME_MAX);
    if (clseq_params_find(params, name))
        return clseq__error(CLSEQ_INVALID_ARGUMENT,
                            "params add: there is a parameter with the name \"%s\" already", name);
    return CLSEQ_OK;
}

/* The number of elements, at most what one buffer of the device holds together with the `flat` floats before. */
static clseq_status check_dims(const clseq_params *params, const char *name, int ndim, const int64_t *dims,
                               int64_t *elements)
{
    const int64_t most = (int64_t)(clseq_context_device(params->ctx)->max_allocation / sizeof(float)) -
                         params->flat - CLSEQ__PARAM_ALIGN;
    if (ndim < 1 || ndim > CLSEQ_MAX_DIMS || !dims)
        return clseq__error(CLSEQ_INVALID_SHAPE, "params add: %s has %d dims%s, expected 1 to %d", name, ndim,
                            dims ? "" : " (NULL)", CLSEQ_MAX_DIMS);
    *elements = 1;
    for (int i = 0; i < ndim; i++) {
        if (dims[i] < 1)
            return clseq__error(CLSEQ_INVALID_SHAPE, "params add: dim %d of %s is %lld, expected at least 1",
                                i, name, (long long)dims[i]);
        if (dims[i] > most / *elements)
            return clseq__error(
                CLSEQ_OUT_OF_DEVICE_MEMORY,
                "params add: with %s the parameters exceed the device's largest buffer of %llu "
                "bytes",
                name, (unsigned long long)clseq_context_device(params->ctx)->max_allocation);
        *elements *= dims[i];
    }
    return CLSEQ_OK;
}

clseq_status clseq_params_add(clseq_params *params, const char *name, int ndim, const int64_t *dims,
                              const clseq_init *init, clseq_param **out)
{
    static const clseq_init zeros = {0};
    clseq_param *param = NULL;
    clseq_param **all = NULL;
    int64_t elements = 0;
    if (out)
        *out = NULL;
    CLSEQ__NEEDS("params add", params);
    CLSEQ__RETURN_IF(check_name(params, name));
    if (params->values)
        return clseq__error(CLSEQ_INVALID_STATE, "params add: %s comes too late, the store is in use already",
                            name);
    CLSEQ__RETURN_IF(check_dims(params, name, ndim, dims, &elements));
    if (params->expected)
        CLSEQ__RETURN_IF(clseq__st_match(params->expected, name, ndim, dims, NULL));
    CLSEQ__RETURN_IF(clseq__init_check(init ? init : &zeros, name, ndim, dims));
    all = clseq__array_room(params->all, sizeof *all, params->count, &params->capacity);
    if (all)
        params->all = all;
    param = calloc(1, sizeof *param);
    if (!all || !param || !clseq__names_add(&params->names, name, param)) {
        free(param);
        return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "params add: no memory for %s", name);
    }
    *param = (clseq_param){.store = params,
                           .ndim = ndim,
                           .elements = elements,
                           .offset = params->flat,
                           .init = init ? *init : zeros};
    memcpy(param->name, name, strlen(name) + 1);
    memcpy(param->dims, dims, (size_t)ndim * sizeof *dims);
    params->all[params->count++] = param;
    params->elements += elements;
    params->flat += (elements + CLSEQ__PARAM_ALIGN - 1) / CLSEQ__PARAM_ALIGN * CLSEQ__PARAM_ALIGN;
    if (out)
        *out = param;
    return CLSEQ_OK;
}

void clseq__params_drop(clseq_params *params, size_t count)
{
    if (params->values)
        return; /* adding is over */
    while (params->count > count) {
        clseq_param *param = params->all[--params->count];
        params->elements -= param->elements;
        params->flat = param->offset;
        params->frozen_count -= param->is_frozen;
        clseq__names_remove(&params->names, param->name);
        free(param);
    }
}

clseq_status clseq__param_preset(clseq_param *param, int64_t begin, int64_t count, float value)
{
    if (param->store->values)
        return clseq__error(CLSEQ_INVALID_STATE,
                            "params: the start of %s is set too late, the store is in use", param->name);
    if (begin < 0 || count < 0 || count > param->elements - begin)
        return clseq__error(CLSEQ_INVALID_ARGUMENT,
                            "params: elements %lld to %lld of %s are set, which has %lld", (long long)begin,
                            (long long)(begin + count), param->name, (long long)param->elements);
    param->preset_begin = begin;
    param->preset_count = count;
    param->preset_value = value;
    return CLSEQ_OK;
}

size_t clseq_params_count(const clseq_params *params)
{
    return params ? params->count : 0;
}

int64_t clseq_params_elements(const clseq_params *params)
{
    return params ? params->elements : 0;
}

clseq_param *clseq_params_at(const clseq_params *params, size_t index)
{
    return params && index < params->count ? params->all[index] : NULL;
}

clseq_param *clseq_params_find(const clseq_params *params, const char *name)
{
    return params && name ? clseq__names_find(&params->names, name) : NULL;
}

const char *clseq_param_name(const clseq_param *param)
{
    return param ? param->name : "";
}

/* The initial values of all parameters in host memory, with zeros in the gaps. */
static clseq_status draw(const clseq_params *params, float *flat)
{
    for (size_t i = 0; i < params->count; i++) {
        const clseq_param *param = params->all[i];
        CLSEQ__RETURN_IF(clseq__init_draw(param, flat + param->offset));
        for (int64_t k = 0; k < param->preset_count; k++)
            flat[param->offset + param->preset_begin + k] = param->preset_value;
    }
    return CLSEQ_OK;
}

clseq_status clseq__params_materialize(clseq_params *params)
{
    clseq_status status = CLSEQ_OK;
    const size_t bytes = (size_t)params->flat * sizeof(float);
    cl_mem values = NULL, grads = NULL;
    float *flat = NULL;
    clseq_tensor view;
    if (params->values)
        return CLSEQ_OK;
    if (params->count == 0)
        return clseq__error(CLSEQ_INVALID_STATE, "params: the store has no parameters yet");
    flat = calloc((size_t)params->flat, sizeof *flat);
    if (!flat)
        CLSEQ__FAIL(CLSEQ_OUT_OF_HOST_MEMORY, "params: no memory for %zu bytes of initial values", bytes);
    CLSEQ__TRY(draw(params, flat));
    CLSEQ__TRY(clseq__pool_get(params->ctx, bytes, "params: values", &values));
    CLSEQ__TRY(clseq__pool_get(params->ctx, bytes, "params: gradients", &grads));
    CLSEQ__TRY(clseq__fill_bytes(params->ctx, grads, 0, bytes, 0));
    view = clseq_tensor_view(values, 0, CLSEQ_DTYPE_F32, 1, &params->flat);
    CLSEQ__TRY(clseq_tensor_write(params->ctx, &view, flat));
    params->values = values;
    params->grads = grads;
    params->version++;
    values = grads = NULL;
    clseq__st_close(params->expected); /* adding is over */
    params->expected = NULL;
done:
    clseq__pool_put(params->ctx, values);
    clseq__pool_put(params->ctx, grads);
    free(flat);
    return status;
}

/* A view of the parameter's part of the values or of the gradients. */
static clseq_status view_of(const char *what, clseq_param *param, bool grad, clseq_tensor *out)
{
    CLSEQ__NEEDS(what, param);
    CLSEQ__NOT_NULL(what, out);
    CLSEQ__RETURN_IF(clseq__params_materialize(param->store));
    *out = clseq_tensor_view(grad ? param->store->grads : param->store->values, param->offset,
                             CLSEQ_DTYPE_F32, param->ndim, param->dims);
    return CLSEQ_OK;
}

clseq_status clseq_param_value(clseq_param *param, clseq_tensor *out)
{
    return view_of("param value", param, false, out);
}

clseq_status clseq_param_grad(clseq_param *param, clseq_tensor *out)
{
    return view_of("param grad", param, true, out);
}

static clseq_status write_from(const char *what, clseq_param *param, bool grad, const float *values)
{
    clseq_tensor view = {0};
    CLSEQ__RETURN_IF(view_of(what, param, grad, &view));
    if (!values)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: the %s for %s are NULL", what,
                            grad ? "gradients" : "values", param->name);
    if (grad && param->is_frozen)
        return clseq__error(CLSEQ_INVALID_STATE, "%s: %s is frozen and has no gradient", what, param->name);
    if (!grad)
        clseq_params_touch(param->store);
    return clseq_tensor_write(param->store->ctx, &view, values);
}

clseq_status clseq_param_set(clseq_param *param, const float *values)
{
    return write_from("param set", param, false, values);
}

clseq_status clseq_param_set_grad(clseq_param *param, const float *grad)
{
    return write_from("param set grad", param, true, grad);
}

static clseq_status read_to(const char *what, clseq_param *param, bool grad, float *out)
{
    clseq_tensor view = {0};
    CLSEQ__RETURN_IF(view_of(what, param, grad, &view));
    if (!out)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: the memory for %s is NULL", what, param->name);
    return clseq_tensor_read(param->store->ctx, &view, out);
}

clseq_status clseq_param_get(clseq_param *param, float *values)
{
    return read_to("param get", param, false, values);
}

clseq_status clseq_param_get_grad(clseq_param *param, float *grad)
{
    return read_to("param get grad", param, true, grad);
}

void clseq_params_touch(clseq_params *params)
{
    if (params)
        params->version++;
}

clseq_status clseq_params_zero_grad(clseq_params *params)
{
    CLSEQ__NEEDS("params zero grad", params);
    CLSEQ__RETURN_IF(clseq__params_materialize(params));
    return clseq__fill_bytes(params->ctx, params->grads, 0, (size_t)params->flat * sizeof(float), 0);
}
