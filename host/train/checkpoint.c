#include <clseq/checkpoint.h>

#include "core/tensor.h"
#include "train/layers.h"
#include "train/optimizer.h"
#include "train/params.h"
#include "train/safetensors.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_SIZE 384

/* Names of the file that are not parameters begin with one of these. */
#define OPTIMIZER_PREFIX "optimizer."
#define STATE_PREFIX "state."

/* One tensor on the device and its name in the file. */
typedef struct item {
    char name[NAME_SIZE];
    clseq_tensor tensor;
    const clseq__st_entry *entry; /* of the file that is being loaded */
    float *values;                /* read from it */
} item;

typedef struct items {
    clseq_context *ctx;
    item *all;
    size_t count, capacity;
} items;

static void items_release(items *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->all[i].values);
    free(list->all);
}

static clseq_status items_add(items *list, clseq_tensor tensor, const char *format, ...) CLSEQ__PRINTF(3, 4);

static clseq_status items_add(items *list, clseq_tensor tensor, const char *format, ...)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 32;
        item *all = realloc(list->all, capacity * sizeof *all);
        if (!all)
            return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "checkpoint: no memory for %zu names", capacity);
        list->all = all;
        list->capacity = capacity;
    }
    item *new = &list->all[list->count];
    *new = (item){.tensor = tensor};
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(new->name, sizeof new->name, format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= sizeof new->name)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "checkpoint: the name %.60s... is too long", new->name);
    list->count++;
    return CLSEQ_OK;
}

static clseq_status add_params(items *list, clseq_params *params)
{
    for (size_t i = 0; i < clseq_params_count(params); i++) {
        clseq_param *param = clseq_params_at(params, i);
        const char *name = clseq_param_name(param);
        clseq_tensor value;
        if (strncmp(name, OPTIMIZER_PREFIX, strlen(OPTIMIZER_PREFIX)) == 0 ||
            strncmp(name, STATE_PREFIX, strlen(STATE_PREFIX)) == 0)
            return clseq__error(
                CLSEQ_INVALID_ARGUMENT,
                "checkpoint: parameter %s begins with a prefix that the file keeps for itself", name);
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

static clseq_status add_states(items *list, const clseq_checkpoint *what)
{
    static const char *const letters[CLSEQ_RNN_MAX_STATES] = {"h", "c"};
    for (size_t i = 0; i < what->state_count; i++) {
        if (!what->states || !what->state_names || !what->states[i] || !what->state_names[i])
            return clseq__error(CLSEQ_INVALID_ARGUMENT, "checkpoint: state %zu or its name is NULL", i);
        for (int k = 0; k < what->states[i]->count; k++)
            CLSEQ__RETURN_IF(items_add(list, what->states[i]->tensors[k], STATE_PREFIX "%s.%s",
                                       what->state_names[i], letters[k]));
    }
    return CLSEQ_OK;
}

/* Everything that the caller names, in the order of the file. */
static clseq_status collect(const char *path, const clseq_checkpoint *what, items *list)
{
    if (!path || !what || !what->params)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "checkpoint: path, contents or params is NULL");
    CLSEQ__RETURN_IF(clseq__params_materialize(what->params));
    list->ctx = what->params->ctx;
    CLSEQ__RETURN_IF(add_params(list, what->params));
    if (what->optimizer)
        CLSEQ__RETURN_IF(add_moments(list, what->optimizer));
    return add_states(list, what);
}

/* ---- saving ---- */

static clseq_status write_meta(clseq__st_writer *writer, const clseq_checkpoint *what)
{
    char step[32];
    CLSEQ__RETURN_IF(clseq__st_writer_meta(writer, "clseq.version", clseq_version()));
    if (what->optimizer) {
        snprintf(step, sizeof step, "%lld", (long long)clseq_optimizer_steps(what->optimizer));
        CLSEQ__RETURN_IF(clseq__st_writer_meta(writer, "clseq.step", step));
        CLSEQ__RETURN_IF(clseq__st_writer_meta(writer, "clseq.optimizer", what->optimizer->rule->name));
    }
    for (size_t i = 0; i < what->meta_count; i++) {
        const clseq_meta *pair = &what->meta[i];
        if (!pair->key || !pair->value || strncmp(pair->key, "clseq.", 6) == 0)
            return clseq__error(
                CLSEQ_INVALID_ARGUMENT,
                "checkpoint: metadata %zu has key %s, expected a key and a value, the key not "
                "beginning with \"clseq.\"",
                i, pair->key ? pair->key : "NULL");
        CLSEQ__RETURN_IF(clseq__st_writer_meta(writer, pair->key, pair->value));
    }
    return CLSEQ_OK;
}

static clseq_status write_item(clseq__st_writer *writer, clseq_context *ctx, const item *one)
{
    clseq_status status = CLSEQ_OK;
    size_t count = (size_t)clseq_tensor_elements(&one->tensor);
    float *values = malloc(count * sizeof *values);
    if (!values)
        CLSEQ__FAIL(CLSEQ_OUT_OF_HOST_MEMORY, "checkpoint: no memory for %s, %zu floats", one->name, count);
    CLSEQ__TRY(clseq_tensor_read(ctx, &one->tensor, values));
    CLSEQ__TRY(clseq__st_writer_data(writer, values, count));
done:
    free(values);
    return status;
}

clseq_status clseq_checkpoint_save(const char *path, const clseq_checkpoint *what)
{
    clseq_status status = CLSEQ_OK;
    clseq__st_writer *writer = NULL;
    items list = {0};
    CLSEQ__TRY(collect(path, what, &list));
    CLSEQ__TRY(clseq__st_writer_create(path, &writer));
    CLSEQ__TRY(write_meta(writer, what));
    for (size_t i = 0; i < list.count; i++)
        CLSEQ__TRY(
            clseq__st_writer_add(writer, list.all[i].name, list.all[i].tensor.ndim, list.all[i].tensor.dims));
    CLSEQ__TRY(clseq__st_writer_begin(writer));
    for (size_t i = 0; i < list.count; i++)
        CLSEQ__TRY(write_item(writer, list.ctx, &list.all[i]));
    CLSEQ__TRY(clseq__st_writer_commit(writer));
done:
    clseq__st_writer_destroy(writer);
    items_release(&list);
    return status;
}

/* ---- loading ---- */

/* Finds the item's tensor in the file, under `name`, and checks its shape. */
static clseq_status match(const char *path, const clseq__st_reader *reader, const char *name, item *one)
{
    char wanted[CLSEQ__DIMS_TEXT], found[CLSEQ__DIMS_TEXT];
    one->entry = clseq__st_find(reader, name);
    if (!one->entry)
        return clseq__error(CLSEQ_NOT_FOUND, "%s: tensor %s is not in the file", path, name);
    bool same = one->entry->ndim == one->tensor.ndim;
    for (int i = 0; same && i < one->tensor.ndim; i++)
        same = one->entry->dims[i] == one->tensor.dims[i];
    if (same)
        return CLSEQ_OK;
    return clseq__error(CLSEQ_INVALID_SHAPE, "%s: tensor %s has shape %s, expected %s", path, name,
                        clseq__dims_text(found, one->entry->ndim, one->entry->dims),
                        clseq__dims_text(wanted, one->tensor.ndim, one->tensor.dims));
}

/* Reads everything that was matched, and only then changes the first tensor on the device. */
static clseq_status transfer(clseq__st_reader *reader, items *list)
{
    for (size_t i = 0; i < list->count; i++) {
        item *one = &list->all[i];
        size_t count = (size_t)clseq_tensor_elements(&one->tensor);
        one->values = malloc(count * sizeof *one->values);
        if (!one->values)
            return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "checkpoint: no memory for %s, %zu floats",
                                one->name, count);
        CLSEQ__RETURN_IF(clseq__st_read_floats(reader, one->entry, one->values));
    }
    for (size_t i = 0; i < list->count; i++)
        CLSEQ__RETURN_IF(clseq_tensor_write(list->ctx, &list->all[i].tensor, list->all[i].values));
    return CLSEQ_OK;
}

static bool has_prefix(const char *name, const char *prefix)
{
    return strncmp(name, prefix, strlen(prefix)) == 0;
}

/* Whether an entry that no item matched may be in the file: what this call does not load, but no parameter. */
static clseq_status check_leftovers(const char *path, const clseq__st_reader *reader, const items *list,
                                    const char *prefix, bool checkpoint)
{
    for (size_t i = 0; i < clseq__st_count(reader); i++) {
        const clseq__st_entry *entry = clseq__st_at(reader, i);
        bool taken = !has_prefix(entry->name, prefix) ||
                     (checkpoint &&
                      (has_prefix(entry->name, OPTIMIZER_PREFIX) || has_prefix(entry->name, STATE_PREFIX)));
        for (size_t k = 0; !taken && k < list->count; k++)
            taken = list->all[k].entry == entry;
        if (!taken)
            return clseq__error(CLSEQ_NOT_FOUND, "%s: tensor %s of the file has no parameter", path,
                                entry->name);
    }
    return CLSEQ_OK;
}

/* The step of the file, where there is an optimiser to load; its kind must be the same. */
static clseq_status read_step(const char *path, const clseq__st_reader *reader,
                              const clseq_optimizer *optimizer, long long *step)
{
    const char *kind = clseq__st_meta(reader, "clseq.optimizer"),
               *text = clseq__st_meta(reader, "clseq.step");
    char *end = NULL;
    if (!optimizer)
        return CLSEQ_OK;
    if (!kind || !text)
        return clseq__error(CLSEQ_NOT_FOUND, "%s: the file holds no optimiser", path);
    if (strcmp(kind, optimizer->rule->name) != 0)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: the file's optimiser is %s, expected %s", path, kind,
                            optimizer->rule->name);
    *step = strtoll(text, &end, 10);
    if (end == text || *end || *step < 0)
        return clseq__error(CLSEQ_CORRUPT_FILE, "%s: step \"%s\" is no number", path, text);
    return CLSEQ_OK;
}

clseq_status clseq_checkpoint_load(const char *path, const clseq_checkpoint *what)
{
    clseq_status status = CLSEQ_OK;
    clseq__st_reader *reader = NULL;
    items list = {0};
    long long step = 0;
    CLSEQ__TRY(collect(path, what, &list));
    CLSEQ__TRY(clseq__st_open(path, &reader));
    CLSEQ__TRY(read_step(path, reader, what->optimizer, &step));
    for (size_t i = 0; i < list.count; i++)
        CLSEQ__TRY(match(path, reader, list.all[i].name, &list.all[i]));
    CLSEQ__TRY(check_leftovers(path, reader, &list, "", true));
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
        return clseq__error(CLSEQ_NOT_FOUND, "params load: no parameter begins with \"%s\"", prefix);
    return CLSEQ_OK;
}

clseq_status clseq_params_load(clseq_params *params, const char *path, const char *from, const char *to)
{
    clseq_status status = CLSEQ_OK;
    clseq__st_reader *reader = NULL;
    items list = {0};
    char name[NAME_SIZE];
    if (!params || !path || !from || !to)
        CLSEQ__FAIL(CLSEQ_INVALID_ARGUMENT, "params load: params, path, from or to is NULL");
    CLSEQ__TRY(collect_prefix(params, to, &list));
    CLSEQ__TRY(clseq__st_open(path, &reader));
    for (size_t i = 0; i < list.count; i++) {
        if (snprintf(name, sizeof name, "%s%s", from, list.all[i].name + strlen(to)) >= (int)sizeof name)
            CLSEQ__FAIL(CLSEQ_INVALID_ARGUMENT, "params load: from \"%.60s...\" is too long", from);
        CLSEQ__TRY(match(path, reader, name, &list.all[i]));
    }
    CLSEQ__TRY(check_leftovers(path, reader, &list, from, false));
    CLSEQ__TRY(transfer(reader, &list));
    clseq_params_touch(params);
done:
    clseq__st_close(reader);
    items_release(&list);
    return status;
}

clseq_status clseq_checkpoint_meta(const char *path, const char *key, char *value, size_t size)
{
    clseq_status status = CLSEQ_OK;
    clseq__st_reader *reader = NULL;
    if (!path || !key || !value || size == 0)
        CLSEQ__FAIL(CLSEQ_INVALID_ARGUMENT, "checkpoint meta: path, key or value is NULL, or size is 0");
    CLSEQ__TRY(clseq__st_open(path, &reader));
    const char *found = clseq__st_meta(reader, key);
    if (!found)
        CLSEQ__FAIL(CLSEQ_NOT_FOUND, "%s: metadata %s is not in the file", path, key);
    if (strlen(found) >= size)
        CLSEQ__FAIL(CLSEQ_INVALID_ARGUMENT, "%s: metadata %s has %zu bytes, there is room for %zu", path, key,
                    strlen(found), size - 1);
    memcpy(value, found, strlen(found) + 1);
done:
    clseq__st_close(reader);
    return status;
}
