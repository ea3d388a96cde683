#include "train/safetensors.h"

#include "core/hash.h"
#include "core/tensor.h"
#include "core/text.h"
#include "train/safetensors_header.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define HEADER_LIMIT (UINT64_C(100) << 20) /* bytes; the format's own bound is about this */

struct clseq__st_reader {
    char *path;
    FILE *file;
    uint64_t data_start; /* of the first tensor's bytes in the file */
    char *text;          /* of the header; owns all names */
    clseq__st_header header;
};

static clseq_status read_error(const clseq__st_reader *r)
{
    if (ferror(r->file))
        return clseq__error(CLSEQ_IO_ERROR, "%s: cannot read: %s", r->path, strerror(errno));
    return clseq__error(CLSEQ_CORRUPT_FILE, "%s: the file ends too early", r->path);
}

static clseq_status read_header(clseq__st_reader *r)
{
    struct stat info;
    uint8_t prefix[8];
    uint64_t size = 0;
    if (fstat(fileno(r->file), &info) != 0 || !S_ISREG(info.st_mode))
        return clseq__error(CLSEQ_IO_ERROR, "%s: not a regular file", r->path);
    if (fread(prefix, 1, sizeof prefix, r->file) != sizeof prefix)
        return read_error(r);
    for (int i = 7; i >= 0; i--)
        size = size << 8 | prefix[i];
    if (size < 2 || size > HEADER_LIMIT || size > (uint64_t)info.st_size - sizeof prefix)
        return clseq__error(CLSEQ_CORRUPT_FILE,
                            "%s: a header of %llu bytes does not fit a file of %lld bytes", r->path,
                            (unsigned long long)size, (long long)info.st_size);
    r->data_start = sizeof prefix + size;
    r->text = malloc(size + 1);
    if (!r->text)
        return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "%s: no memory for its header", r->path);
    if (fread(r->text, 1, size, r->file) != size)
        return read_error(r);
    r->text[size] = 0;
    return clseq__st_header_parse(r->path, r->text, size, (uint64_t)info.st_size - r->data_start, &r->header);
}

clseq_status clseq__st_open(const char *path, clseq__st_reader **out)
{
    clseq_status status = CLSEQ_OK;
    clseq__st_reader *r = calloc(1, sizeof *r);
    *out = NULL;
    if (!r || !(r->path = clseq__text_copy(path)))
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
    clseq__st_header_release(&reader->header);
    free(reader->text);
    free(reader->path);
    free(reader);
}

size_t clseq__st_count(const clseq__st_reader *reader)
{
    return reader->header.count;
}

const clseq__st_entry *clseq__st_at(const clseq__st_reader *reader, size_t index)
{
    return index < reader->header.count ? &reader->header.entries[index] : NULL;
}

const clseq__st_entry *clseq__st_find(const clseq__st_reader *reader, const char *name)
{
    return clseq__st_header_find(&reader->header, name);
}

clseq_status clseq__st_match(const clseq__st_reader *reader, const char *name, int ndim, const int64_t *dims,
                             const clseq__st_entry **entry)
{
    char wanted[CLSEQ__DIMS_TEXT], there[CLSEQ__DIMS_TEXT];
    const clseq__st_entry *found = clseq__st_find(reader, name);
    if (!found)
        return clseq__error(CLSEQ_NOT_FOUND, "%s: tensor %s is not in the file", reader->path,
                            CLSEQ__SHOW(name));
    bool same = found->ndim == ndim;
    for (int i = 0; same && i < ndim; i++)
        same = found->dims[i] == dims[i];
    if (!same)
        return clseq__error(CLSEQ_INVALID_SHAPE, "%s: tensor %s has shape %s, expected %s", reader->path,
                            CLSEQ__SHOW(name), clseq__dims_text(there, found->ndim, found->dims),
                            clseq__dims_text(wanted, ndim, dims));
    if (entry)
        *entry = found;
    return CLSEQ_OK;
}

const char *clseq__st_meta(const clseq__st_reader *reader, const char *key)
{
    return clseq__st_header_meta(&reader->header, key);
}

const char *clseq__st_path(const clseq__st_reader *reader)
{
    return reader->path;
}

clseq_status clseq__st_read(clseq__st_reader *reader, const clseq__st_entry *entry, void *data)
{
    const size_t size = (size_t)(entry->end - entry->begin);
    if (fseeko(reader->file, (off_t)(reader->data_start + entry->begin), SEEK_SET) != 0 ||
        fread(data, 1, size, reader->file) != size)
        return read_error(reader);
    const uint64_t checksum = entry->has_checksum ? XXH3_64bits(data, size) : 0;
    if (checksum != entry->checksum)
        return clseq__error(CLSEQ_CORRUPT_FILE,
                            "%s: tensor %s is damaged: its bytes have the checksum %016llx, expected %016llx",
                            reader->path, CLSEQ__SHOW(entry->name), (unsigned long long)checksum,
                            (unsigned long long)entry->checksum);
    return CLSEQ_OK;
}
