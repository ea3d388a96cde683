#include "train/safetensors.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define HEADER_LIMIT (UINT64_C(100) << 20) /* bytes; the format's own bound is about this */

struct clseq__st_reader {
    char *path;
    FILE *file;
    uint64_t data_start; /* of the first tensor's bytes in the file */
    uint64_t data_size;
    cJSON *header; /* owns all names */
    const cJSON *meta;
    clseq__st_entry *entries;
    size_t count;
};

/* The element types of the format and their sizes in bytes. */
static const struct {
    const char *name;
    unsigned size;
} dtypes[] = {{"F64", 8}, {"F32", 4}, {"F16", 2},  {"BF16", 2},    {"I64", 8},
              {"I32", 4}, {"I16", 2}, {"I8", 1},   {"U64", 8},     {"U32", 4},
              {"U16", 2}, {"U8", 1},  {"BOOL", 1}, {"F8_E4M3", 1}, {"F8_E5M2", 1}};

static unsigned dtype_size(const char *name)
{
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
        if (strcmp(dtypes[i].name, name) == 0)
            return dtypes[i].size;
    return 0;
}

static clseq_status read_error(const clseq__st_reader *r)
{
    if (ferror(r->file))
        return clseq__error(CLSEQ_IO_ERROR, "%s: cannot read: %s", r->path, strerror(errno));
    return clseq__error(CLSEQ_CORRUPT_FILE, "%s: the file ends too early", r->path);
}

/* A number of the header that must be a size: whole, not negative, exact in a double. */
static bool size_of_json(const cJSON *item, uint64_t *out)
{
    double value = cJSON_IsNumber(item) ? item->valuedouble : -1;
    if (!(value >= 0 && value <= 0x1p53) || value != floor(value))
        return false;
    *out = (uint64_t)value;
    return true;
}

static clseq_status parse_shape(const clseq__st_reader *r, const cJSON *shape, clseq__st_entry *entry,
                                uint64_t *elements)
{
    const cJSON *dim = NULL;
    *elements = 1;
    if (!cJSON_IsArray(shape) || cJSON_GetArraySize(shape) > CLSEQ__ST_MAX_DIMS)
        return clseq__error(CLSEQ_CORRUPT_FILE, "%s: tensor %s: the shape is not a list of at most %d sizes",
                            r->path, entry->name, CLSEQ__ST_MAX_DIMS);
    cJSON_ArrayForEach(dim, shape)
    {
        uint64_t size = 0;
        if (!size_of_json(dim, &size))
            return clseq__error(CLSEQ_CORRUPT_FILE, "%s: tensor %s: size %d of the shape is no size", r->path,
                                entry->name, entry->ndim);
        if (size > 0 && *elements > (UINT64_C(1) << 60) / size)
            return clseq__error(CLSEQ_CORRUPT_FILE, "%s: tensor %s: the shape is too large", r->path,
                                entry->name);
        *elements *= size;
        entry->dims[entry->ndim++] = (int64_t)size;
    }
    return CLSEQ_OK;
}

static clseq_status parse_entry(const clseq__st_reader *r, const cJSON *item, clseq__st_entry *entry)
{
    const cJSON *dtype = cJSON_GetObjectItemCaseSensitive(item, "dtype");
    const cJSON *offsets = cJSON_GetObjectItemCaseSensitive(item, "data_offsets");
    uint64_t elements = 0;
    entry->name = item->string;
    if (!cJSON_IsObject(item) || !cJSON_IsString(dtype) || dtype_size(dtype->valuestring) == 0)
        return clseq__error(CLSEQ_CORRUPT_FILE, "%s: tensor %s has no known dtype", r->path, entry->name);
    entry->dtype = dtype->valuestring;
    CLSEQ__RETURN_IF(parse_shape(r, cJSON_GetObjectItemCaseSensitive(item, "shape"), entry, &elements));
    if (!cJSON_IsArray(offsets) || cJSON_GetArraySize(offsets) != 2 ||
        !size_of_json(cJSON_GetArrayItem(offsets, 0), &entry->begin) ||
        !size_of_json(cJSON_GetArrayItem(offsets, 1), &entry->end) || entry->begin > entry->end ||
        entry->end > r->data_size)
        return clseq__error(
            CLSEQ_CORRUPT_FILE,
            "%s: tensor %s: data_offsets are not two places within the file's %llu data bytes", r->path,
            entry->name, (unsigned long long)r->data_size);
    if (entry->end - entry->begin != elements * dtype_size(entry->dtype))
        return clseq__error(CLSEQ_CORRUPT_FILE,
                            "%s: tensor %s has %llu bytes of data, its shape and dtype need %llu", r->path,
                            entry->name, (unsigned long long)(entry->end - entry->begin),
                            (unsigned long long)(elements * dtype_size(entry->dtype)));
    return CLSEQ_OK;
}

static int by_place(const void *left, const void *right)
{
    const clseq__st_entry *a = left, *b = right;
    if (a->begin != b->begin)
        return a->begin < b->begin ? -1 : 1;
    return a->end < b->end ? -1 : a->end > b->end;
}

static int by_name(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

static clseq_status check_names_differ(const clseq__st_reader *r)
{
    clseq_status status = CLSEQ_OK;
    const char **names = malloc((r->count + 1) * sizeof *names);
    if (!names)
        return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "%s: no memory for its header", r->path);
    for (size_t i = 0; i < r->count; i++)
        names[i] = r->entries[i].name;
    qsort(names, r->count, sizeof *names, by_name);
    for (size_t i = 1; i < r->count; i++)
        if (strcmp(names[i - 1], names[i]) == 0)
            CLSEQ__FAIL(CLSEQ_CORRUPT_FILE, "%s: tensor %s stands in the header twice", r->path, names[i]);
done:
    free(names);
    return status;
}

static clseq_status check_coverage(const clseq__st_reader *r)
{
    uint64_t end = 0;
    for (size_t i = 0; i < r->count; i++) {
        if (r->entries[i].begin != end)
            return clseq__error(CLSEQ_CORRUPT_FILE, "%s: tensor %s %s", r->path, r->entries[i].name,
                                r->entries[i].begin < end ? "overlaps another one" : "comes after a hole");
        end = r->entries[i].end;
    }
    if (end != r->data_size)
        return clseq__error(CLSEQ_CORRUPT_FILE, "%s: %llu bytes behind the last tensor belong to none",
                            r->path, (unsigned long long)(r->data_size - end));
    return CLSEQ_OK;
}

static clseq_status parse_meta(clseq__st_reader *r, const cJSON *meta)
{
    const cJSON *pair = NULL;
    if (!cJSON_IsObject(meta))
        return clseq__error(CLSEQ_CORRUPT_FILE, "%s: __metadata__ is not an object", r->path);
    cJSON_ArrayForEach(pair, meta)
    {
        if (!cJSON_IsString(pair))
            return clseq__error(CLSEQ_CORRUPT_FILE, "%s: __metadata__ %s is not a string", r->path,
                                pair->string);
    }
    r->meta = meta;
    return CLSEQ_OK;
}

static clseq_status parse_header(clseq__st_reader *r, const char *text, size_t size)
{
    const cJSON *item = NULL;
    const char *end = NULL;
    r->header = cJSON_ParseWithLengthOpts(text, size, &end, false);
    if (!cJSON_IsObject(r->header))
        return clseq__error(CLSEQ_CORRUPT_FILE, "%s: the header is not a JSON object", r->path);
    for (; end < text + size; end++)
        if (!strchr(" \t\r\n", *end) || !*end)
            return clseq__error(CLSEQ_CORRUPT_FILE, "%s: something follows the header's JSON", r->path);
    r->entries = calloc((size_t)cJSON_GetArraySize(r->header) + 1, sizeof *r->entries);
    if (!r->entries)
        return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "%s: no memory for its header", r->path);
    cJSON_ArrayForEach(item, r->header)
    {
        if (strcmp(item->string, "__metadata__") == 0)
            CLSEQ__RETURN_IF(parse_meta(r, item));
        else
            CLSEQ__RETURN_IF(parse_entry(r, item, &r->entries[r->count++]));
    }
    qsort(r->entries, r->count, sizeof *r->entries, by_place);
    CLSEQ__RETURN_IF(check_names_differ(r));
    return check_coverage(r);
}

static clseq_status read_header(clseq__st_reader *r)
{
    clseq_status status = CLSEQ_OK;
    struct stat info;
    uint8_t prefix[8];
    uint64_t size = 0;
    char *text = NULL;
    if (fstat(fileno(r->file), &info) != 0 || !S_ISREG(info.st_mode))
        CLSEQ__FAIL(CLSEQ_IO_ERROR, "%s: not a regular file", r->path);
    if (fread(prefix, 1, sizeof prefix, r->file) != sizeof prefix)
        CLSEQ__TRY(read_error(r));
    for (int i = 7; i >= 0; i--)
        size = size << 8 | prefix[i];
    if (size < 2 || size > HEADER_LIMIT || size > (uint64_t)info.st_size - sizeof prefix)
        CLSEQ__FAIL(CLSEQ_CORRUPT_FILE, "%s: a header of %llu bytes does not fit a file of %lld bytes",
                    r->path, (unsigned long long)size, (long long)info.st_size);
    r->data_start = sizeof prefix + size;
    r->data_size = (uint64_t)info.st_size - r->data_start;
    text = malloc(size + 1);
    if (!text)
        CLSEQ__FAIL(CLSEQ_OUT_OF_HOST_MEMORY, "%s: no memory for its header", r->path);
    if (fread(text, 1, size, r->file) != size)
        CLSEQ__TRY(read_error(r));
    text[size] = 0;
    CLSEQ__TRY(parse_header(r, text, size));
done:
    free(text);
    return status;
}

clseq_status clseq__st_open(const char *path, clseq__st_reader **out)
{
    clseq_status status = CLSEQ_OK;
    clseq__st_reader *r = calloc(1, sizeof *r);
    *out = NULL;
    if (!r || !(r->path = strdup(path)))
        CLSEQ__FAIL(CLSEQ_OUT_OF_HOST_MEMORY, "%s: no memory to open it", path);
    r->file = fopen(path, "rb");
    if (!r->file)
        CLSEQ__FAIL(CLSEQ_IO_ERROR, "%s: cannot open: %s", path, strerror(errno));
    CLSEQ__TRY(read_header(r));
    *out = r;
    r = NULL;
done:
    clseq__st_close(r);
    return status;
}

void clseq__st_close(clseq__st_reader *reader)
{
    if (!reader)
        return;
    if (reader->file)
        fclose(reader->file);
    cJSON_Delete(reader->header);
    free(reader->entries);
    free(reader->path);
    free(reader);
}

size_t clseq__st_count(const clseq__st_reader *reader)
{
    return reader->count;
}

const clseq__st_entry *clseq__st_at(const clseq__st_reader *reader, size_t index)
{
    return index < reader->count ? &reader->entries[index] : NULL;
}

const clseq__st_entry *clseq__st_find(const clseq__st_reader *reader, const char *name)
{
    for (size_t i = 0; i < reader->count; i++)
        if (strcmp(reader->entries[i].name, name) == 0)
            return &reader->entries[i];
    return NULL;
}

const char *clseq__st_meta(const clseq__st_reader *reader, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(reader->meta, key);
    return item ? item->valuestring : NULL;
}

clseq_status clseq__st_read(clseq__st_reader *reader, const clseq__st_entry *entry, void *data)
{
    size_t size = (size_t)(entry->end - entry->begin);
    if (fseeko(reader->file, (off_t)(reader->data_start + entry->begin), SEEK_SET) != 0 ||
        fread(data, 1, size, reader->file) != size)
        return read_error(reader);
    return CLSEQ_OK;
}
