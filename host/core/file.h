/*
 * Whole files, without half-written ones: a file is written under a temporary name beside its target, flushed to the
 * disk and renamed, so that readers and crashes see the old file or the new one.
 */
#ifndef CLSEQ_CORE_FILE_H
#define CLSEQ_CORE_FILE_H

#include "core/error.h"
#include <stddef.h>
#include <stdio.h>

/* Opens a temporary file beside `path` for writing. `*temporary` is its name, to be freed by commit or abandon. */
clseq_status clseq__file_begin(const char *path, FILE **file, char **temporary);

/* Flushes, closes and renames to `path`; on failure nothing of the new file is left. Frees `temporary` in any case. */
clseq_status clseq__file_commit(const char *path, FILE *file, char *temporary);

/* Closes and deletes the temporary file. NULLs are allowed. */
void clseq__file_abandon(FILE *file, char *temporary);

/* fwrite with a status. */
clseq_status clseq__file_write(const char *path, FILE *file, const void *data, size_t size);

#endif
