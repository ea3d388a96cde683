/* Strings that grow, and copies of strings. */
#ifndef CLSEQ_CORE_TEXT_H
#define CLSEQ_CORE_TEXT_H

#include "core/error.h"

#include <stddef.h>

/* All zero is an empty text; `data` ends in 0 once something was added and is the owner's to free. */
typedef struct clseq__text {
    char *data;
    size_t size; /* characters before the closing 0 */
    size_t capacity;
} clseq__text;

clseq_status clseq__text_add(clseq__text *text, const char *part, size_t size);
clseq_status clseq__text_print(clseq__text *text, const char *format, ...) CLSEQ__PRINTF(2, 3);

/* A copy that the caller frees; NULL when there is no memory for it. */
char *clseq__text_copy(const char *text);

#endif
