/*
 * Compiled programs on disk. An entry is a file named by the hash of its key, which is a text that says all
 * that the program depends on. It is written under another name and renamed, so that processes may share the
 * folder, and checked against hashes when it is read; what does not match is deleted. Nothing here fails: a
 * cache that cannot be read or written says so in the log and the program is compiled.
 */
#ifndef CLSEQ_CORE_CACHE_H
#define CLSEQ_CORE_CACHE_H

#include "core/error.h"

#include <stddef.h>
#include <stdint.h>

typedef struct clseq__cache clseq__cache;

/*
 * The cache in `folder`, or in the folder that the environment names when that is NULL (see context.h). It is
 * made at the first write. `*out` is NULL, which all functions here take, when CLSEQ_CACHE is off or there is
 * no folder. Fails on environment variables that make no sense.
 */
clseq_status clseq__cache_open(const char *folder, clseq__cache **out);
void clseq__cache_close(clseq__cache *cache);

/* Whether CLSEQ_CACHE=on asks for entries even where they are known to cost more than they save. */
bool clseq__cache_forced(const clseq__cache *cache);

/* Whether there is an entry; its payload, which the caller frees, may have 0 bytes. */
bool clseq__cache_load(clseq__cache *cache, const char *key, size_t key_size, unsigned char **payload,
                       size_t *payload_size);

/* Writes an entry, in the place of an older one, and deletes those unused for longest while the folder is larger than its bound. */
void clseq__cache_store(clseq__cache *cache, const char *key, size_t key_size, const unsigned char *payload,
                        size_t payload_size);

#endif
