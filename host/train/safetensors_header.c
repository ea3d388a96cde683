#include "train/safetensors_header.h"

#include "core/array.h"
#include "core/text.h"
#include "train/safetensors_scan.h"
#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of what the header says of one tensor: far more than eight sizes and two places need. */
#define ENTRY_LIMIT 4096

/* The header while it is parsed. */
typedef struct parser {
    const char *path;
    uint64_t data_size;
    clseq__st_header *header;
} parser;

/* The element types of the format and their sizes in bytes. */
typedef struct dtype {
    const char *name;
    unsigned size;
} dtype;

static const dtype dtypes[] = {{"F64", 8}, {"F32", 4}, {"F16", 2},  {"BF16", 2},    {"I64", 8},
                               {"I32", 4}, {"I16", 2}, {"I8", 1},   {"U64", 8},     {"U32", 4},
                               {"U16", 2}, {"U8", 1},  {"BOOL", 1}, {"F8_E4M3", 1}, {"F8_E5M2", 1}};

static const dtype *find_dtype(const cJSON *name)
{
    for (size_t i = 0; cJSON_IsString(name) && i < sizeof dtypes / sizeof *dtypes; i++)
        if (strcmp(dtypes[i].name, name->valuestring) == 0)
            return &dtypes[i];
    return NULL;
}

static clseq_status no_memory(const parser *p)
{
    return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "%s: no memory for its header", p->path);
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

static clseq_status parse_shape(const parser *p, const cJSON *shape, clseq__st_entry *entry,
                                uint64_t *elements)
{
    const cJSON *dim = NULL;
    *elements = 1;
    if (!cJSON_IsArray(shape) || cJSON_GetArraySize(shape) > CLSEQ__ST_MAX_DIMS)
        return clseq__error(CLSEQ_CORRUPT_FILE, "%s: tensor %s: the shape is not a list of at most %d sizes",
                            p->path, CLSEQ__SHOW(entry->name), CLSEQ__ST_MAX_DIMS);
    cJSON_ArrayForEach(dim, shape)
    {
        uint64_t size = 0;
        if (!size_of_json(dim, &size))
            return clseq__error(CLSEQ_CORRUPT_FILE, "%s: tensor %s: size %d of the shape is no size", p->path,
                                CLSEQ__SHOW(entry->name), entry->ndim);
        if (size > 0 && *elements > (UINT64_C(1) << 60) / size)
            return clseq__error(CLSEQ_CORRUPT_FILE, "%s: tensor %s: the shape is too large", p->path,
                                CLSEQ__SHOW(entry->name));
        *elements *= size;
        entry->dims[entry->ndim++] = (int64_t)size;
    }
    return CLSEQ_OK;
}

static clseq_status parse_entry(const parser *p, const cJSON *item, clseq__st_entry *entry)
{
    const dtype *type = find_dtype(cJSON_GetObjectItemCaseSensitive(item, "dtype"));
    const cJSON *offsets = cJSON_GetObjectItemCaseSensitive(item, "data_offsets");
    uint64_t elements = 0;
    if (!cJSON_IsObject(item) || !type)
        return clseq__error(CLSEQ_CORRUPT_FILE, "%s: tensor %s has no known dtype", p->path,
                            CLSEQ__SHOW(entry->name));
    entry->dtype = type->name;
    CLSEQ__RETURN_IF(parse_shape(p, cJSON_GetObjectItemCaseSensitive(item, "shape"), entry, &elements));
    if (!cJSON_IsArray(offsets) || cJSON_GetArraySize(offsets) != 2 ||
        !size_of_json(cJSON_GetArrayItem(offsets, 0), &entry->begin) ||
        !size_of_json(cJSON_GetArrayItem(offsets, 1), &entry->end) || entry->begin > entry->end ||
        entry->end > p->data_size)
        return clseq__error(
            CLSEQ_CORRUPT_FILE,
            "%s: tensor %s: data_offsets are not two places within the file's %llu data bytes", p->path,
            CLSEQ__SHOW(entry->name), (unsigned long long)p->data_size);
    if (entry->end - entry->begin != elements * type->size)
        return clseq__error(CLSEQ_CORRUPT_FILE,
                            "%s: tensor %s has %llu bytes of data, its shape and dtype need %llu", p->path,
                            CLSEQ__SHOW(entry->name), (unsigned long long)(entry->end - entry->begin),
                            (unsigned long long)(elements * type->size));
    return CLSEQ_OK;
}

/* One tensor: only its own few values become a tree. */
static clseq_status add_entry(parser *p, const char *name, clseq__st_slice value)
{
    clseq_status status = CLSEQ_OK;
    const char *end = NULL;
    cJSON *item = NULL;
    clseq__st_header *h = p->header;
    clseq__st_entry *entries = clseq__array_room(h->entries, sizeof *entries, h->count, &h->capacity);
    if (!entries)
        return no_memory(p);
    h->entries = entries;
    entries[h->count] = (clseq__st_entry){.name = name};
    if (value.size > ENTRY_LIMIT)
        return clseq__error(CLSEQ_CORRUPT_FILE,
                            "%s: tensor %s: the header has %zu bytes for it, expected at most %d", p->path,
                            CLSEQ__SHOW(name), value.size, ENTRY_LIMIT);
    item = cJSON_ParseWithLengthOpts(value.text, value.size, &end, false);
    if (!item || end != value.text + value.size)
        CLSEQ__FAIL(CLSEQ_CORRUPT_FILE, "%s: tensor %s: what the header says of it is not JSON", p->path,
                    CLSEQ__SHOW(name));
    CLSEQ__TRY(parse_entry(p, item, &entries[h->count]));
    h->count++;
done:
    cJSON_Delete(item);
    return status;
}

static clseq_status add_pair(parser *p, const char *key, clseq__st_slice value)
{
    clseq__st_header *h = p->header;
    clseq__st_pair *pairs = clseq__array_room(h->pairs, sizeof *pairs, h->pair_count, &h->pair_capacity);
    if (!pairs)
        return no_memory(p);
    h->pairs = pairs;
    pairs[h->pair_count] = (clseq__st_pair){.key = key, .value = clseq__st_string(value)};
    if (!pairs[h->pair_count++].value)
        return clseq__error(CLSEQ_CORRUPT_FILE,
                            "%s: __metadata__ %s is not a string, or one with a NUL in it", p->path,
                            CLSEQ__SHOW(key));
    return CLSEQ_OK;
}

/* Hands each member of an object to `add`. `what` is the object's name for sentences. */
static clseq_status each_member(parser *p, const char *what, clseq__st_slice object,
                                clseq_status (*add)(parser *, const char *, clseq__st_slice))
{
    clseq__st_scan scan = clseq__st_scan_begin(object);
    clseq__st_slice key, value;
    clseq__st_next next;
    while ((next = clseq__st_scan_next(&scan, &key, &value)) == CLSEQ__ST_MEMBER) {
        const char *name = clseq__st_string(key);
        if (!name)
            return clseq__error(CLSEQ_CORRUPT_FILE, "%s: a name in %s is not JSON, or has a NUL in it",
                                p->path, what);
        CLSEQ__RETURN_IF(add(p, name, value));
    }
    if (next == CLSEQ__ST_TRAILING)
        return clseq__error(CLSEQ_CORRUPT_FILE, "%s: something follows the JSON of %s", p->path, what);
    if (next == CLSEQ__ST_MALFORMED)
        return clseq__error(CLSEQ_CORRUPT_FILE, "%s: %s is not a JSON object", p->path, what);
    return CLSEQ_OK;
}

static clseq_status add_member(parser *p, const char *name, clseq__st_slice value)
{
    if (strcmp(name, "__metadata__") != 0)
        return add_entry(p, name, value);
    if (p->header->pair_count > 0)
        return clseq__error(CLSEQ_CORRUPT_FILE, "%s: __metadata__ stands in the header twice", p->path);
    return each_member(p, name, value, add_pair);
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
    const clseq__st_entry *const *a = left, *const *b = right;
    return strcmp((*a)->name, (*b)->name);
}

static int by_key(const void *left, const void *right)
{
    const clseq__st_pair *a = left, *b = right;
    return strcmp(a->key, b->key);
}

/* Sorts everything for look-ups; a name that stands there twice is an error. */
static clseq_status sort(const parser *p)
{
    clseq__st_header *h = p->header;
    h->by_name = malloc((h->count + 1) * sizeof *h->by_name);
    if (!h->by_name)
        return no_memory(p);
    if (h->count > 0)
        qsort(h->entries, h->count, sizeof *h->entries, by_place);
    for (size_t i = 0; i < h->count; i++)
        h->by_name[i] = &h->entries[i];
    qsort(h->by_name, h->count, sizeof *h->by_name, by_name);
    if (h->pair_count > 0)
        qsort(h->pairs, h->pair_count, sizeof *h->pairs, by_key);
    for (size_t i = 1; i < h->count; i++)
        if (by_name(&h->by_name[i - 1], &h->by_name[i]) == 0)
            return clseq__error(CLSEQ_CORRUPT_FILE, "%s: tensor %s stands in the header twice", p->path,
                                CLSEQ__SHOW(h->by_name[i]->name));
    for (size_t i = 1; i < h->pair_count; i++)
        if (by_key(&h->pairs[i - 1], &h->pairs[i]) == 0)
            return clseq__error(CLSEQ_CORRUPT_FILE, "%s: __metadata__ %s stands in the header twice", p->path,
                                CLSEQ__SHOW(h->pairs[i].key));
    return CLSEQ_OK;
}

static clseq_status check_coverage(const parser *p)
{
    uint64_t end = 0;
    for (size_t i = 0; i < p->header->count; i++) {
        const clseq__st_entry *entry = &p->header->entries[i];
        if (entry->begin != end)
            return clseq__error(CLSEQ_CORRUPT_FILE, "%s: tensor %s %s", p->path, CLSEQ__SHOW(entry->name),
                                entry->begin < end ? "overlaps another one" : "comes after a hole");
        end = entry->end;
    }
    if (end != p->data_size)
        return clseq__error(CLSEQ_CORRUPT_FILE, "%s: %llu bytes behind the last tensor belong to none",
                            p->path, (unsigned long long)(p->data_size - end));
    return CLSEQ_OK;
}

/* The checksums of the metadata, each to its tensor; one of a tensor that is not there says nothing. */
static clseq_status take_checksums(const parser *p)
{
    const size_t prefix = strlen(CLSEQ__ST_CHECKSUM);
    for (size_t i = 0; i < p->header->pair_count; i++) {
        const clseq__st_pair *pair = &p->header->pairs[i];
        clseq__st_entry *entry = NULL;
        if (strncmp(pair->key, CLSEQ__ST_CHECKSUM, prefix) == 0)
            entry = (clseq__st_entry *)clseq__st_header_find(p->header, pair->key + prefix);
        if (!entry)
            continue;
        if (strlen(pair->value) != 16 || strspn(pair->value, "0123456789abcdef") != 16)
            return clseq__error(CLSEQ_CORRUPT_FILE,
                                "%s: tensor %s has the checksum \"%s\", expected 16 hexadecimal digits",
                                p->path, CLSEQ__SHOW(entry->name), CLSEQ__SHOW(pair->value));
        entry->checksum = strtoull(pair->value, NULL, 16);
        entry->has_checksum = true;
    }
    return CLSEQ_OK;
}

clseq_status clseq__st_header_parse(const char *path, char *text, size_t size, uint64_t data_size,
                                    clseq__st_header *header)
{
    parser p = {path, data_size, header};
    CLSEQ__RETURN_IF(each_member(&p, "the header", (clseq__st_slice){text, size}, add_member));
    CLSEQ__RETURN_IF(sort(&p));
    CLSEQ__RETURN_IF(check_coverage(&p));
    return take_checksums(&p);
}

void clseq__st_header_release(clseq__st_header *header)
{
    free(header->entries);
    free(header->by_name);
    free(header->pairs);
}

const clseq__st_entry *clseq__st_header_find(const clseq__st_header *header, const char *name)
{
    const clseq__st_entry wanted = {.name = name}, *key = &wanted;
    const clseq__st_entry **found =
        bsearch(&key, header->by_name, header->count, sizeof *header->by_name, by_name);
    return found ? *found : NULL;
}

const char *clseq__st_header_meta(const clseq__st_header *header, const char *key)
{
    const clseq__st_pair wanted = {.key = key}, *found = NULL;
    if (header->pair_count > 0)
        found = bsearch(&wanted, header->pairs, header->pair_count, sizeof wanted, by_key);
    return found ? found->value : NULL;
}
