#include <clseq/checkpoint.h>

#include "core/array.h"
#include "core/file.h"
#include "core/tensor.h"
#include "core/text.h"
#include "train/layers.h"
#include "train/optimizer.h"
#include "train/params.h"
#include "train/safetensors.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Names of the file that are not parameters begin with one of these. */
#define OPTIMIZER_PREFIX "optimizer."
#define STATE_PREFIX "state."

/* Keys of the metadata that are the library's. */
#define META_PREFIX "clseq."

/* Steps that a file may claim: as many as a double counts exactly, far below where 64 bits overflow. */
#define STEPS_MAX (INT64_C(1) << 53)

/* One tensor on the device and its name in the file. */
typedef struct item {
    char *name;
    clseq_tensor tensor;
    const clseq__st_entry *entry; /* of the file that is being loaded */
    void *values;                 /* read from it */
} item;

typedef struct items {
    clseq_context *ctx;
    item *all;
    size_t count, capacity;
} items;

static void items_release(items *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->all[i].name);
        free(list->all[i].values);
    }
    free(list->all);
}

static clseq_status items_add(items *list, clseq_tensor tensor, const char *format, ...) CLSEQ__PRINTF(3, 4);

static clseq_status items_add(items *list, clseq_tensor tensor, const char *format, ...)
{
    va_list arguments;
    item *all = clseq__array_room(list->all, sizeof *all, list->count, &list->capacity);
    if (!all)
        return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "checkpoint: no memory for %zu names", list->count + 1);
    list->all = all;
    va_start(arguments, format);
    const size_t size = (size_t)vsnprintf(NULL, 0, format, arguments) + 1;
    va_end(arguments);
    item new = {.tensor = tensor, .name = malloc(size)};
    if (!new.name)
        return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "checkpoint: no memory for %zu names", list->count + 1);
    va_start(arguments, format);
    vsnprintf(new.name, size, format, arguments);
    va_end(arguments);
    all[list->count++] = new;
    return CLSEQ_OK;
}

static bool has_prefix(const char *name, const char *prefix)
{
    return strncmp(name, prefix, strlen(prefix)) == 0;
}

/* Whether the file keeps a name for what is no parameter. */
static bool is_reserved(const char *name)
{
    return has_prefix(name, OPTIMIZER_PREFIX) || has_prefix(name, STATE_PREFIX);
}

static clseq_status add_params(items *list, clseq_params *params)
{
    for (size_t i = 0; i < clseq_params_count(params); i++) {
        clseq_param *param = clseq_params_at(params, i);
        const char *name = clseq_param_name(param);
        clseq_tensor value;
        if (is_reserved(name))
            return clseq__error(
                CLSEQ_INVALID_ARGUMENT,
                "checkpoint: parameter %s begins with a prefix that the file keeps for itself",
                CLSEQ__SHOW(name));
        CLSEQ__RETURN_IF(clseq_param_value(param, &value));
        CLSEQ__RETURN_IF(items_add(list, value, "%s", name));
    }
    return CLSEQ_OK;
}

static clseq_status add_moments(items *list, const clseq_optimizer *optimizer)
{
    for (int i = 0; i < optimizer->rule->moments; i++) {
        for (size_t k = 0; k < clseq_params_count(optimizer->params); k++) {
            const clseq_param *param = clseq_params_at(optimizer->params, k);
            CLSEQ__RETURN_IF(items_add(list, clseq__optimizer_moment(optimizer, i, param),
                                       OPTIMIZER_PREFIX "%s.%s", optimizer->rule->moment_names[i],
                                       clseq_param_name(param)));
        }
    }
    return CLSEQ_OK;
}

static clseq_status add_states(const char *operation, const clseq_checkpoint *what, items *list)
{
    if (what->state_count > 0) {
        CLSEQ__NOT_NULL(operation, what->states);
        CLSEQ__NOT_NULL(operation, what->state_names);
    }
    for (size_t i = 0; i < what->state_count; i++) {
        if (!what->states[i] || !what->state_names[i])
            return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: %s[%zu] is NULL", operation,
                                what->states[i] ? "what->state_names" : "what->states", i);
        for (int k = 0; k < what->states[i]->count; k++)
            CLSEQ__RETURN_IF(items_add(list, what->states[i]->tensors[k], STATE_PREFIX "%s.%s",
                                       what->state_names[i], what->states[i]->names[k]));
    }
    return CLSEQ_OK;
}

/* Everything that the caller names, in the order of the file. */
static clseq_status collect(const char *operation, const char *path, const clseq_checkpoint *what,
                            items *list)
{
    CLSEQ__NOT_NULL(operation, path);
    CLSEQ__NOT_NULL(operation, what);
    CLSEQ__NEEDS(operation, what->params);
    CLSEQ__RETURN_IF(clseq__params_materialize(what->params));
    list->ctx = what->params->ctx;
    CLSEQ__RETURN_IF(add_params(list, what->params));
    if (what->optimizer)
        CLSEQ__RETURN_IF(add_moments(list, what->optimizer));
    return add_states(operation, what, list);
}

/* ---- saving ---- */

static clseq_status write_meta(clseq__st_writer *writer, const clseq_checkpoint *what)
{
    char step[32];
    CLSEQ__RETURN_IF(clseq__st_writer_meta(writer, META_PREFIX "version", clseq_version()));
    if (what->optimizer) {
        snprintf(step, sizeof step, "%lld", (long long)clseq_optimizer_steps(what->optimizer));
        CLSEQ__RETURN_IF(clseq__st_writer_meta(writer, META_PREFIX "step", step));
        CLSEQ__RETURN_IF(clseq__st_writer_meta(writer, META_PREFIX "optimizer", what->optimizer->rule->name));
    }
    if (what->meta_count > 0)
        CLSEQ__NOT_NULL("checkpoint save", what->meta);
    for (size_t i = 0; i < what->meta_count; i++) {
        const clseq_meta *pair = &what->meta[i];
        if (!pair->key || !pair->value)
            return clseq__error(CLSEQ_INVALID_ARGUMENT, "checkpoint save: what->meta[%zu].%s is NULL", i,
                                pair->key ? "value" : "key");
        if (has_prefix(pair->key, META_PREFIX))
            return clseq__error(CLSEQ_INVALID_ARGUMENT,
                                "checkpoint save: what->meta[%zu].key is %s, expected none that begins with "
                                "\"" META_PREFIX "\"",
                                i, CLSEQ__SHOW(pair->key));
        CLSEQ__RETURN_IF(clseq__st_writer_meta(writer, pair->key, pair->value));
    }
    return CLSEQ_OK;
}

static size_t size_of(const item *one)
{
    return (size_t)clseq_tensor_elements(&one->tensor) * clseq_dtype_size(one->tensor.dtype);
}

static clseq_status write_item(clseq__st_writer *writer, clseq_context *ctx, const item *one)
{
    clseq_status status = CLSEQ_OK;
    const size_t size = size_of(one);
    void *values = malloc(size);
    if (!values)
        CLSEQ__FAIL(CLSEQ_OUT_OF_HOST_MEMORY, "checkpoint: no memory for %s, %zu bytes",
                    CLSEQ__SHOW(one->name), size);
    CLSEQ__TRY(clseq_tensor_read(ctx, &one->tensor, values));
    CLSEQ__TRY(clseq__st_writer_data(writer, values, size));
done:
    free(values);
    return status;
}

clseq_status clseq_checkpoint_save(const char *path, const clseq_checkpoint *what)
{
    clseq_status status = CLSEQ_OK;
    clseq__st_writer *writer = NULL;
    items list = {0};
    CLSEQ__TRY(collect("checkpoint save", path, what, &list));
    CLSEQ__TRY(clseq__st_writer_create(path, &writer));
    CLSEQ__TRY(write_meta(writer, what));
    for (size_t i = 0; i < list.count; i++) {
        const clseq_tensor *tensor = &list.all[i].tensor;
        CLSEQ__TRY(clseq__st_writer_add(writer, list.all[i].name, tensor->dtype, tensor->ndim, tensor->dims));
    }
    CLSEQ__TRY(clseq__st_writer_begin(writer));
    for (size_t i = 0; i < list.count; i++)
        CLSEQ__TRY(write_item(writer, list.ctx, &list.all[i]));
    CLSEQ__TRY(clseq__st_writer_commit(writer));
done:
    clseq__st_writer_destroy(writer);
    items_release(&list);
    return status;
}

clseq_status clseq_checkpoint_can_save(const char *path)
{
    clseq__file *file = NULL;
    CLSEQ__NOT_NULL("checkpoint can save", path);
    CLSEQ__RETURN_IF(clseq__file_begin(path, &file));
    clseq__file_abandon(file);
    return CLSEQ_OK;
}

/* ---- loading ---- */

/* Finds the item's tensor in the file, under `name`, and checks its shape. */
static clseq_status match(const clseq__st_reader *reader, const char *name, item *one)
{
    return clseq__st_match(reader, name, one->tensor.ndim, one->tensor.dims, &one->entry);
}

/* Reads everything that was matched, and only then changes the first tensor on the device. */
static clseq_status transfer(clseq__st_reader *reader, items *list)
{
    for (size_t i = 0; i < list->count; i++) {
        item *one = &list->all[i];
        one->values = malloc(size_of(one));
        if (!one->values)
            return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "checkpoint: no memory for %s, %zu bytes",
                                CLSEQ__SHOW(one->name), size_of(one));
        CLSEQ__RETURN_IF(clseq__st_read_values(reader, one->entry, one->tensor.dtype, one->values));
    }
    for (size_t i = 0; i < list->count; i++)
        CLSEQ__RETURN_IF(clseq_tensor_write(list->ctx, &list->all[i].tensor, list->all[i].values));
    return CLSEQ_OK;
}

/*
 * Every tensor of the file whose name begins with `prefix` must have been matched. Those of a checkpoint that are no
 * parameters may be left out.
 */
static clseq_status check_leftovers(const clseq__st_reader *reader, const items *list, const char *prefix,
                                    bool checkpoint)
{
    clseq_status status = CLSEQ_OK;
    const size_t count = clseq__st_count(reader);
    bool *matched = calloc(count + 1, sizeof *matched);
    if (!matched)
        return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "checkpoint: no memory for %zu names", count);
    for (size_t i = 0; i < list->count; i++)
        matched[list->all[i].entry - clseq__st_at(reader, 0)] = true;
    for (size_t i = 0; i < count; i++) {
        const char *name = clseq__st_at(reader, i)->name;
        if (!matched[i] && has_prefix(name, prefix) && !(checkpoint && is_reserved(name)))
            CLSEQ__FAIL(CLSEQ_NOT_FOUND, "%s: tensor %s of the file has no parameter", clseq__st_path(reader),
                        CLSEQ__SHOW(name));
    }
done:
    free(matched);
    return status;
}

/* The step of the file, where there is an optimiser to load; its kind must be the same. */
static clseq_status read_step(const clseq__st_reader *reader, const clseq_optimizer *optimizer, int64_t *step)
{
    const char *path = clseq__st_path(reader), *kind = clseq__st_meta(reader, META_PREFIX "optimizer");
    const char *text = clseq__st_meta(reader, META_PREFIX "step");
    if (!optimizer)
        return CLSEQ_OK;
    if (!kind || !text)
        return clseq__error(CLSEQ_NOT_FOUND, "%s: the file holds no optimiser", path);
    if (strcmp(kind, optimizer->rule->name) != 0)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: the file's optimiser is %s, expected %s", path,
                            CLSEQ__SHOW(kind), optimizer->rule->name);
    /* Digits alone, so that neither a sign nor NaN comes through; what does not fit 64 bits is the largest number. */
    if (text[0] != '\0' && text[strspn(text, "0123456789")] == '\0')
        *step = strtoll(text, NULL, 10);
    else
        *step = -1;
    if (*step < 0 || *step > STEPS_MAX)
        return clseq__error(CLSEQ_CORRUPT_FILE,
                            "%s: the file's step is \"%s\", expected a whole number from 0 to %lld", path,
                            CLSEQ__SHOW(text), (long long)STEPS_MAX);
    return CLSEQ_OK;
}

clseq_status clseq_checkpoint_load(const char *path, const clseq_checkpoint *what)
{
    clseq_status status = CLSEQ_OK;
    clseq__st_reader *reader = NULL;
    items list = {0};
    int64_t step = 0;
    CLSEQ__TRY(collect("checkpoint load", path, what, &list));
    CLSEQ__TRY(clseq__st_open(path, &reader));
    CLSEQ__TRY(read_step(reader, what->optimizer, &step));
    for (size_t i = 0; i < list.count; i++)
        CLSEQ__TRY(match(reader, list.all[i].name, &list.all[i]));
    CLSEQ__TRY(check_leftovers(reader, &list, "", true));
    CLSEQ__TRY(transfer(reader, &list));
    if (what->optimizer)
        clseq__optimizer_set_steps(what->optimizer, step);
    clseq_params_touch(what->params);
done:
    clseq__st_close(reader);
    items_release(&list);
    return status;
}

/* The parameters whose names begin with `prefix`. */
static clseq_status collect_prefix(clseq_params *params, const char *prefix, items *list)
{
    CLSEQ__RETURN_IF(clseq__params_materialize(params));
    list->ctx = params->ctx;
    for (size_t i = 0; i < clseq_params_count(params); i++) {
        clseq_param *param = clseq_params_at(params, i);
        clseq_tensor value;
        if (!has_prefix(clseq_param_name(param), prefix))
            continue;
        CLSEQ__RETURN_IF(clseq_param_value(param, &value));
        CLSEQ__RETURN_IF(items_add(list, value, "%s", clseq_param_name(param)));
    }
    if (list->count == 0)
        return clseq__error(CLSEQ_NOT_FOUND, "params load: no parameter begins with \"%s\"",
                            CLSEQ__SHOW(prefix));
    return CLSEQ_OK;
}

clseq_status clseq_params_load(clseq_params *params, const char *path, const char *from, const char *to)
{
    clseq_status status = CLSEQ_OK;
    clseq__st_reader *reader = NULL;
    items list = {0};
    clseq__text name = {0};
    CLSEQ__NEEDS("params load", params);
    CLSEQ__NOT_NULL("params load", path);
    CLSEQ__NOT_NULL("params load", from);
    CLSEQ__NOT_NULL("params load", to);
    CLSEQ__TRY(collect_prefix(params, to, &list));
    CLSEQ__TRY(clseq__st_open(path, &reader));
    for (size_t i = 0; i < list.count; i++) {
        name.size = 0;
        CLSEQ__TRY(clseq__text_print(&name, "%s%s", from, list.all[i].name + strlen(to)));
        CLSEQ__TRY(match(reader, name.data, &list.all[i]));
    }
    CLSEQ__TRY(check_leftovers(reader, &list, from, false));
    CLSEQ__TRY(transfer(reader, &list));
    clseq_params_touch(params);
done:
    clseq__st_close(reader);
    items_release(&list);
    free(name.data);
    return status;
}

clseq_status clseq_params_expect(clseq_params *params, const char *path)
{
    CLSEQ__NEEDS("params expect", params);
    CLSEQ__NOT_NULL("params expect", path);
    if (params->count > 0 || params->expected)
        return clseq__error(CLSEQ_INVALID_STATE,
                            "params expect: %s, expected a store to which nothing was added yet",
                            params->expected ? "the store has a file already" : "the store has parameters");
    return clseq__st_open(path, &params->expected);
}

clseq_status clseq_checkpoint_meta(const char *path, const char *key, char *value, size_t size)
{
    clseq_status status = CLSEQ_OK;
    clseq__st_reader *reader = NULL;
    CLSEQ__NOT_NULL("checkpoint meta", path);
    CLSEQ__NOT_NULL("checkpoint meta", key);
    CLSEQ__NOT_NULL("checkpoint meta", value);
    if (size == 0)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "checkpoint meta: size is 0, expected at least 1");
    CLSEQ__TRY(clseq__st_open(path, &reader));
    const char *found = clseq__st_meta(reader, key);
    if (!found)
        CLSEQ__FAIL(CLSEQ_NOT_FOUND, "%s: metadata %s is not in the file", path, CLSEQ__SHOW(key));
    if (strlen(found) >= size)
        CLSEQ__FAIL(CLSEQ_INVALID_ARGUMENT, "%s: metadata %s has %zu bytes, there is room for %zu", path,
                    CLSEQ__SHOW(key), strlen(found), size - 1);
    memcpy(value, found, strlen(found) + 1);
done:
    clseq__st_close(reader);
    return status;
}
