/*
 * Whole files, without half-written ones: a file is written under a temporary name beside its target, flushed to the
 * disk and renamed, so that readers and crashes see the old file or the new one.
 *
 * A symbolic link is followed: what it names is replaced, also where that is not there yet. Something that is there and
 * is no regular file is refused. A file that is replaced hands its mode on, and its owner and group as far as this
 * process may give them away; a new one has the rights that the umask leaves.
 *
 * The temporary file is called TARGET.clseq-XXXXXXXX with eight hexadecimal digits, and this process holds an flock(2)
 * on it until it has become the target. One that nobody holds was left by a process that died: the next begin for the
 * same target deletes it. File systems without locks keep theirs.
 */
#ifndef CLSEQ_CORE_FILE_H
#define CLSEQ_CORE_FILE_H

#include "core/error.h"
#include <stddef.h>

typedef struct clseq__file clseq__file;

/* Opens a temporary file beside the target of `path`. Errors: CLSEQ_IO_ERROR, CLSEQ_OUT_OF_HOST_MEMORY. */
clseq_status clseq__file_begin(const char *path, clseq__file **out);

/* fwrite with a status. */
clseq_status clseq__file_write(clseq__file *file, const void *data, size_t size);

/* As write, over what was written `offset` bytes from the start; what is written next goes on at the end. */
clseq_status clseq__file_rewrite(clseq__file *file, size_t offset, const void *data, size_t size);

/* Flushes, renames to the target and closes; on failure nothing of the new file is left. Frees `file` in any case. */
clseq_status clseq__file_commit(clseq__file *file);

/* Closes and deletes the temporary file. NULL is allowed. */
void clseq__file_abandon(clseq__file *file);

#endif
