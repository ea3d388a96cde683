/* What the header of a safetensors file says, for safetensors_read.c. */
#ifndef CLSEQ_TRAIN_SAFETENSORS_HEADER_H
#define CLSEQ_TRAIN_SAFETENSORS_HEADER_H

#include "train/safetensors.h"

typedef struct clseq__st_pair {
    const char *key;
    const char *value;
} clseq__st_pair;

/* All zero is empty. Names, keys and values lie in the text that was parsed. */
typedef struct clseq__st_header {
    clseq__st_entry *entries; /* in the order of their data */
    size_t count, capacity;
    const clseq__st_entry **by_name;
    clseq__st_pair *pairs; /* of "__metadata__", in the order of their keys */
    size_t pair_count, pair_capacity;
} clseq__st_header;

/*
 * Parses `text`, which must stay and is changed, and checks it against itself and the `data_size` bytes that follow it
 * in the file. `path` is for sentences. The header is to be released also after a failure.
 */
clseq_status clseq__st_header_parse(const char *path, char *text, size_t size, uint64_t data_size,
                                    clseq__st_header *header);

void clseq__st_header_release(clseq__st_header *header);

/* NULL when it is not there. */
const clseq__st_entry *clseq__st_header_find(const clseq__st_header *header, const char *name);
const char *clseq__st_header_meta(const clseq__st_header *header, const char *key);

#endif
