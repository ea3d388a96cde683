#include "train/safetensors.h"

#include "core/array.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/names.h"
#include "core/text.h"
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX 8 /* bytes with the header's length */
#define DIGITS 16

struct clseq__st_writer {
    char *path;
    clseq__names keys, names;
    clseq__text pairs;   /* the members of "__metadata__", with zeros for checksums */
    clseq__text tensors; /* the members for the tensors */
    clseq__text header;  /* the whole of it, from begin on */
    size_t *checksums;   /* where those of each tensor stand in `pairs`, then in `header` */
    size_t count, capacity;
    size_t next;      /* tensor whose data come */
    uint64_t size;    /* bytes of all tensors */
    uint64_t written; /* bytes of tensors so far */
    clseq__file *file;
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
    w->path = clseq__text_copy(path);
    if (w->path)
        return CLSEQ_OK;
    clseq_status status = no_memory(w);
    clseq__st_writer_destroy(w);
    *out = NULL;
    return status;
}

/* A string as JSON, at the end of a text. */
static clseq_status add_string(const clseq__st_writer *w, clseq__text *text, const char *string)
{
    cJSON *item = cJSON_CreateStringReference(string);
    char *quoted = item ? cJSON_PrintUnformatted(item) : NULL;
    clseq_status status =
        quoted && clseq__text_add(text, quoted, strlen(quoted)) == CLSEQ_OK ? CLSEQ_OK : no_memory(w);
    cJSON_free(quoted);
    cJSON_Delete(item);
    return status;
}

/* "name": with a comma before it, unless it is the first. */
static clseq_status add_key(const clseq__st_writer *w, clseq__text *text, const char *name)
{
    if (text->size > 0 && clseq__text_add(text, ",", 1) != CLSEQ_OK)
        return no_memory(w);
    CLSEQ__RETURN_IF(add_string(w, text, name));
    return clseq__text_add(text, ":", 1) == CLSEQ_OK ? CLSEQ_OK : no_memory(w);
}

clseq_status clseq__st_writer_meta(clseq__st_writer *writer, const char *key, const char *value)
{
    if (clseq__names_find(&writer->keys, key))
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: metadata key %s is given twice", writer->path,
                            CLSEQ__SHOW(key));
    if (!clseq__names_add(&writer->keys, key, writer))
        return no_memory(writer);
    CLSEQ__RETURN_IF(add_key(writer, &writer->pairs, key));
    return add_string(writer, &writer->pairs, value);
}

/* The pair of a tensor's checksum, with zeros for now. */
static clseq_status add_checksum(clseq__st_writer *w, const char *name)
{
    clseq_status status = CLSEQ_OK;
    clseq__text key = {0};
    size_t *checksums = clseq__array_room(w->checksums, sizeof *checksums, w->count, &w->capacity);
    if (!checksums || clseq__text_print(&key, CLSEQ__ST_CHECKSUM "%s", name) != CLSEQ_OK)
        CLSEQ__TRY(no_memory(w));
    w->checksums = checksums;
    CLSEQ__TRY(clseq__st_writer_meta(w, key.data, "0000000000000000"));
    checksums[w->count++] = w->pairs.size - DIGITS - 1;
done:
    w->checksums = checksums ? checksums : w->checksums;
    free(key.data);
    return status;
}

/* What the format calls the types that are written. */
static const char *const dtypes[] = {[CLSEQ_DTYPE_F32] = "F32", [CLSEQ_DTYPE_I32] = "I32"};

/* "name":{"dtype":"F32","shape":[..],"data_offsets":[..]} */
static clseq_status add_tensor(clseq__st_writer *w, const char *name, clseq_dtype dtype, int ndim,
                               const int64_t *dims, uint64_t bytes)
{
    clseq__text *text = &w->tensors;
    CLSEQ__RETURN_IF(add_key(w, text, name));
    CLSEQ__RETURN_IF(clseq__text_print(text, "{\"dtype\":\"%s\",\"shape\":[", dtypes[dtype]));
    for (int i = 0; i < ndim; i++)
        CLSEQ__RETURN_IF(clseq__text_print(text, "%s%lld", i > 0 ? "," : "", (long long)dims[i]));
    return clseq__text_print(text, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)w->size,
                             (unsigned long long)(w->size + bytes));
}

clseq_status clseq__st_writer_add(clseq__st_writer *writer, const char *name, clseq_dtype dtype, int ndim,
                                  const int64_t *dims)
{
    uint64_t bytes = clseq_dtype_size(dtype);
    if (strcmp(name, "__metadata__") == 0 || clseq__names_find(&writer->names, name))
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: tensor name %s is taken", writer->path,
                            CLSEQ__SHOW(name));
    for (int i = 0; i < ndim; i++)
        bytes *= (uint64_t)dims[i];
    if (!clseq__names_add(&writer->names, name, writer))
        return no_memory(writer);
    CLSEQ__RETURN_IF(add_checksum(writer, name));
    CLSEQ__RETURN_IF(add_tensor(writer, name, dtype, ndim, dims, bytes));
    writer->size += bytes;
    return CLSEQ_OK;
}

/* Puts the header together: its length, both kinds of members, and spaces. */
static clseq_status make_header(clseq__st_writer *w)
{
    static const char opening[] = "{\"__metadata__\":{";
    clseq__text *text = &w->header;
    CLSEQ__RETURN_IF(clseq__text_print(text, "%*s%s", PREFIX, "", opening));
    CLSEQ__RETURN_IF(clseq__text_add(text, w->pairs.data, w->pairs.size));
    CLSEQ__RETURN_IF(clseq__text_print(text, "}%s", w->tensors.size > 0 ? "," : ""));
    CLSEQ__RETURN_IF(clseq__text_add(text, w->tensors.data, w->tensors.size));
    CLSEQ__RETURN_IF(clseq__text_print(text, "}"));
    /* The data begins at a multiple of 8, as the format asks. */
    CLSEQ__RETURN_IF(clseq__text_print(text, "%*s", (int)((8 - text->size % 8) % 8), ""));
    for (int i = 0; i < PREFIX; i++)
        text->data[i] = (char)((uint64_t)(text->size - PREFIX) >> 8 * i & 255);
    for (size_t i = 0; i < w->count; i++)
        w->checksums[i] += PREFIX + sizeof opening - 1;
    return CLSEQ_OK;
}

clseq_status clseq__st_writer_begin(clseq__st_writer *writer)
{
    if (make_header(writer) != CLSEQ_OK)
        return no_memory(writer);
    CLSEQ__RETURN_IF(clseq__file_begin(writer->path, &writer->file));
    return clseq__file_write(writer->file, writer->header.data, writer->header.size);
}

clseq_status clseq__st_writer_data(clseq__st_writer *writer, const void *values, size_t size)
{
    char digits[DIGITS + 1];
    if (writer->next == writer->count)
        return clseq__error(CLSEQ_INVALID_STATE, "%s: data of %zu tensors were written already", writer->path,
                            writer->count);
    snprintf(digits, sizeof digits, "%016llx", (unsigned long long)XXH3_64bits(values, size));
    memcpy(writer->header.data + writer->checksums[writer->next++], digits, DIGITS);
    writer->written += size;
    return clseq__file_write(writer->file, values, size);
}

clseq_status clseq__st_writer_commit(clseq__st_writer *writer)
{
    clseq__file *file = writer->file;
    if (writer->written != writer->size || writer->next != writer->count)
        return clseq__error(CLSEQ_INVALID_STATE,
                            "%s: %llu bytes of tensors were written, announced were %llu", writer->path,
                            (unsigned long long)writer->written, (unsigned long long)writer->size);
    CLSEQ__RETURN_IF(clseq__file_rewrite(file, 0, writer->header.data, writer->header.size));
    writer->file = NULL;
    return clseq__file_commit(file);
}

void clseq__st_writer_destroy(clseq__st_writer *writer)
{
    if (!writer)
        return;
    clseq__file_abandon(writer->file);
    clseq__names_clear(&writer->keys);
    clseq__names_clear(&writer->names);
    free(writer->pairs.data);
    free(writer->tensors.data);
    free(writer->header.data);
    free(writer->checksums);
    free(writer->path);
    free(writer);
}
