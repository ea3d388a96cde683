#include "train/safetensors.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct clseq__st_writer {
    char *path;
    cJSON *header;
    cJSON *meta;
    uint64_t size;    /* bytes of all tensors */
    uint64_t written; /* bytes of tensors so far */
    FILE *file;
    char *temporary;
};

static clseq_status no_memory(const clseq__st_writer *w)
{
    return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "%s: no memory for its header",
                        w->path ? w->path : "checkpoint");
}

clseq_status clseq__st_writer_create(const char *path, clseq__st_writer **out)
{
    clseq__st_writer *w = calloc(1, sizeof *w);
    *out = w;
    if (!w)
        return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "%s: no memory to write it", path);
    w->path = strdup(path);
    w->header = cJSON_CreateObject();
    w->meta = w->header ? cJSON_AddObjectToObject(w->header, "__metadata__") : NULL;
    if (w->path && w->meta)
        return CLSEQ_OK;
    clseq_status status = no_memory(w);
    clseq__st_writer_destroy(w);
    *out = NULL;
    return status;
}

clseq_status clseq__st_writer_meta(clseq__st_writer *writer, const char *key, const char *value)
{
    if (cJSON_GetObjectItemCaseSensitive(writer->meta, key))
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: metadata key %s is given twice", writer->path, key);
    return cJSON_AddStringToObject(writer->meta, key, value) ? CLSEQ_OK : no_memory(writer);
}

/* {"dtype":"F32","shape":[..],"data_offsets":[..]}, NULL without memory. */
static cJSON *entry_of(int ndim, const int64_t *dims, uint64_t begin, uint64_t end)
{
    cJSON *entry = cJSON_CreateObject();
    double offsets[2] = {(double)begin, (double)end};
    cJSON *shape = cJSON_CreateArray(), *places = cJSON_CreateDoubleArray(offsets, 2);
    bool complete = entry && shape && places && cJSON_AddStringToObject(entry, "dtype", "F32");
    for (int i = 0; complete && i < ndim; i++) {
        cJSON *dim = cJSON_CreateNumber((double)dims[i]);
        complete = dim && cJSON_AddItemToArray(shape, dim);
    }
    if (complete && cJSON_AddItemToObject(entry, "shape", shape)) {
        shape = NULL;
        if (cJSON_AddItemToObject(entry, "data_offsets", places))
            return entry;
    }
    cJSON_Delete(shape);
    cJSON_Delete(places);
    cJSON_Delete(entry);
    return NULL;
}

clseq_status clseq__st_writer_add(clseq__st_writer *writer, const char *name, int ndim, const int64_t *dims)
{
    uint64_t bytes = sizeof(float);
    if (strcmp(name, "__metadata__") == 0 || cJSON_GetObjectItemCaseSensitive(writer->header, name))
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: tensor name %s is taken", writer->path, name);
    for (int i = 0; i < ndim; i++)
        bytes *= (uint64_t)dims[i];
    cJSON *entry = entry_of(ndim, dims, writer->size, writer->size + bytes);
    if (!entry || !cJSON_AddItemToObject(writer->header, name, entry)) {
        cJSON_Delete(entry);
        return no_memory(writer);
    }
    writer->size += bytes;
    return CLSEQ_OK;
}

clseq_status clseq__st_writer_begin(clseq__st_writer *writer)
{
    clseq_status status = CLSEQ_OK;
    uint8_t prefix[8];
    char *text = cJSON_PrintUnformatted(writer->header);
    size_t length = text ? strlen(text) : 0;
    size_t padded = (length + 7) / 8 * 8; /* the data begins at a multiple of 8, as the format asks */
    if (!text)
        CLSEQ__TRY(no_memory(writer));
    for (int i = 0; i < 8; i++)
        prefix[i] = (uint8_t)((uint64_t)padded >> 8 * i);
    CLSEQ__TRY(clseq__file_begin(writer->path, &writer->file, &writer->temporary));
    CLSEQ__TRY(clseq__file_write(writer->path, writer->file, prefix, sizeof prefix));
    CLSEQ__TRY(clseq__file_write(writer->path, writer->file, text, length));
    CLSEQ__TRY(clseq__file_write(writer->path, writer->file, "       ", padded - length));
done:
    cJSON_free(text);
    return status;
}

clseq_status clseq__st_writer_data(clseq__st_writer *writer, const float *values, size_t count)
{
    writer->written += count * sizeof *values;
    return clseq__file_write(writer->path, writer->file, values, count * sizeof *values);
}

clseq_status clseq__st_writer_commit(clseq__st_writer *writer)
{
    FILE *file = writer->file;
    char *temporary = writer->temporary;
    if (writer->written != writer->size)
        return clseq__error(CLSEQ_INVALID_STATE,
                            "%s: %llu bytes of tensors were written, announced were %llu", writer->path,
                            (unsigned long long)writer->written, (unsigned long long)writer->size);
    writer->file = NULL;
    writer->temporary = NULL;
    return clseq__file_commit(writer->path, file, temporary);
}

void clseq__st_writer_destroy(clseq__st_writer *writer)
{
    if (!writer)
        return;
    clseq__file_abandon(writer->file, writer->temporary);
    cJSON_Delete(writer->header);
    free(writer->path);
    free(writer);
}
