/*
 * The members of a JSON object one at a time, in the text itself. A tree of the whole header would take up to forty
 * times the header's size; this takes nothing, and what a member's value holds is left to cJSON.
 */
#ifndef CLSEQ_TRAIN_SAFETENSORS_SCAN_H
#define CLSEQ_TRAIN_SAFETENSORS_SCAN_H

#include <stdbool.h>
#include <stddef.h>

typedef struct clseq__st_scan {
    char *at, *end;
    bool first;
} clseq__st_scan;

typedef struct clseq__st_slice {
    char *text;
    size_t size;
} clseq__st_slice;

typedef enum clseq__st_next {
    CLSEQ__ST_MEMBER,
    CLSEQ__ST_END, /* and only white space follows */
    CLSEQ__ST_MALFORMED,
    CLSEQ__ST_TRAILING, /* something else follows */
} clseq__st_next;

/* Begins with a text that should be an object. */
clseq__st_scan clseq__st_scan_begin(clseq__st_slice object);

/* The next member; `key` is a string with its quotes, `value` any value, which is looked at no closer. */
clseq__st_next clseq__st_scan_next(clseq__st_scan *scan, clseq__st_slice *key, clseq__st_slice *value);

/*
 * What a string stands for, decoded in place and closed by a 0; NULL when the slice is no string, or one that a C
 * string cannot hold because there is a NUL in it. Slices behind it stay as they are.
 */
char *clseq__st_string(clseq__st_slice string);

#endif
