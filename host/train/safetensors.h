/*
 * safetensors files: 8 bytes with the length of a JSON header (little-endian), the header, then the tensors' bytes.
 * The header maps names to {"dtype", "shape", "data_offsets"} and "__metadata__" to pairs of strings; offsets count
 * from the end of the header, and together the tensors cover the rest of the file without holes or overlaps.
 * Tensors of a machine with big-endian numbers are not supported: the format is little-endian.
 *
 * The format has no checksums. Files written here have one of each tensor in "__metadata__": under "clseq.xxh3.NAME" the
 * 64-bit XXH3 of the tensor's bytes as 16 hexadecimal digits, as `xxhsum -H3` prints it. Where one is there, reading
 * the tensor checks it.
 *
 * Opening takes memory in proportion to the header, a few times its size at most, whatever the header says. What is
 * shown of names goes through clseq__printable.
 */
#ifndef CLSEQ_TRAIN_SAFETENSORS_H
#define CLSEQ_TRAIN_SAFETENSORS_H

#include "core/error.h"
#include <clseq/tensor.h>
#include <stddef.h>
#include <stdint.h>

#define CLSEQ__ST_MAX_DIMS 8
#define CLSEQ__ST_CHECKSUM "clseq.xxh3." /* and the tensor's name: the key of its checksum */

typedef struct clseq__st_entry {
    const char *name;
    const char *dtype; /* "F32", ... as in the file */
    int ndim;
    bool has_checksum;
    int64_t dims[CLSEQ__ST_MAX_DIMS];
    uint64_t begin, end; /* bytes from the end of the header */
    uint64_t checksum;
} clseq__st_entry;

typedef struct clseq__st_reader clseq__st_reader;

/*
 * Opens a file and checks its whole header against itself and the file's size. CLSEQ_IO_ERROR, or CLSEQ_CORRUPT_FILE
 * with a sentence that says what is wrong.
 */
clseq_status clseq__st_open(const char *path, clseq__st_reader **out);

/* NULL is allowed. */
void clseq__st_close(clseq__st_reader *reader);

/* The tensors, in the order of their data; NULL for a name that is not there. */
size_t clseq__st_count(const clseq__st_reader *reader);
const clseq__st_entry *clseq__st_at(const clseq__st_reader *reader, size_t index);
const clseq__st_entry *clseq__st_find(const clseq__st_reader *reader, const char *name);

/*
 * The tensor of this name and shape into `entry` (NULL: not asked for). CLSEQ_NOT_FOUND or CLSEQ_INVALID_SHAPE where
 * there is none.
 */
clseq_status clseq__st_match(const clseq__st_reader *reader, const char *name, int ndim, const int64_t *dims,
                             const clseq__st_entry **entry);

/* A value of "__metadata__"; NULL when it is not there. */
const char *clseq__st_meta(const clseq__st_reader *reader, const char *key);

/* The path that the file was opened by, for sentences. */
const char *clseq__st_path(const clseq__st_reader *reader);

/* Reads a tensor's bytes, end - begin of them. CLSEQ_CORRUPT_FILE when they do not have their checksum. */
clseq_status clseq__st_read(clseq__st_reader *reader, const clseq__st_entry *entry, void *data);

/*
 * Reads a tensor as elements of one of the library's types: as floats what is F32, F64, F16 or BF16 (narrower types are
 * exact, F64 is rounded), as int32_t what is I32. Another type is CLSEQ_INVALID_DTYPE.
 */
clseq_status clseq__st_read_values(clseq__st_reader *reader, const clseq__st_entry *entry, clseq_dtype dtype,
                                   void *values);

/*
 * Writing: first all names and pairs, then begin, then the data of each tensor in the order of adding, each in one call
 * (`size` in bytes), then commit, which puts the checksums into the header and replaces the target. Destroying a writer that did not commit leaves nothing behind.
 */
typedef struct clseq__st_writer clseq__st_writer;

clseq_status clseq__st_writer_create(const char *path, clseq__st_writer **out);
clseq_status clseq__st_writer_meta(clseq__st_writer *writer, const char *key, const char *value);
clseq_status clseq__st_writer_add(clseq__st_writer *writer, const char *name, clseq_dtype dtype, int ndim,
                                  const int64_t *dims);
clseq_status clseq__st_writer_begin(clseq__st_writer *writer);
clseq_status clseq__st_writer_data(clseq__st_writer *writer, const void *values, size_t size);
clseq_status clseq__st_writer_commit(clseq__st_writer *writer);

/* NULL is allowed. */
void clseq__st_writer_destroy(clseq__st_writer *writer);

#endif
