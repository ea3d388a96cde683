/*
 * Settings in the metadata of a checkpoint, so that a resumed run goes on with those of the first.
 *
 *     clseq_meta meta[MAX_META];
 *     size_t count = meta_write(table, COUNT_OF(table), meta, 0); // to save; meta_free afterwards
 *     resume_settings("run.safetensors", table, COUNT_OF(table)); // to go on
 */
#ifndef CLSEQ_SAMPLES_RESUME_H
#define CLSEQ_SAMPLES_RESUME_H

#include "common/setting.h"
#include <clseq/clseq.h>

enum { MAX_META = 64 };

/* Adds the settings that stand in a checkpoint as pairs from `count` on; returns the number of pairs then. */
size_t meta_write(const setting *table, size_t n, clseq_meta *meta, size_t count);
void meta_free(clseq_meta *meta, size_t count);

/*
 * Settings that the command line left open become those of the checkpoint; of those it gave, the ones that may change
 * are told in a line, the others must be equal. Fails with a sentence: the file cannot be read, a value is missing or
 * out of its range, a given option contradicts.
 */
void resume_settings(const char *path, const setting *table, size_t n);

/* The value of a key; fails when it is not there. The caller frees it. */
char *meta_read(const char *path, const char *key);

#endif
