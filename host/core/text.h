/* Strings that grow, and copies of strings. */
#ifndef CLSEQ_CORE_TEXT_H
#define CLSEQ_CORE_TEXT_H

#include "core/error.h"

#include <stddef.h>
#include <stdio.h>

/* All zero is an empty text; `data` ends in 0 once something was added and is the owner's to free. */
typedef struct clseq__text {
    char *data;
    size_t size; /* characters before the closing 0 */
    size_t capacity;
} clseq__text;

clseq_status clseq__text_add(clseq__text *text, const char *part, size_t size);
clseq_status clseq__text_print(clseq__text *text, const char *format, ...) CLSEQ__PRINTF(2, 3);

/* What is left of a file; whether reading failed is to be asked by ferror. */
clseq_status clseq__text_read(clseq__text *text, FILE *file);

/* Room for a text as clseq__printable shows it. */
#define CLSEQ__PRINTABLE 128

/*
 * A text of unknown origin, such as a name from a file, as it may stand in a sentence or on a terminal: in valid UTF-8,
 * with control characters (and those that change the direction of what follows), bytes that are no UTF-8, and
 * backslashes as \xNN, cut with "..." where it is longer than `out`. Returns `out`.
 */
const char *clseq__printable(char out[CLSEQ__PRINTABLE], const char *text);

/* The same in an expression: memory that lives until the end of the block. */
#define CLSEQ__SHOW(text) clseq__printable((char[CLSEQ__PRINTABLE]){0}, text)

/* A copy that the caller frees; NULL when there is no memory for it. */
char *clseq__text_copy(const char *text);

#endif
