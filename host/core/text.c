#include "core/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Makes room for `more` characters and the closing 0. */
static clseq_status reserve(clseq__text *text, size_t more)
{
    if (text->size + more < text->capacity)
        return CLSEQ_OK;
    size_t capacity = text->capacity > 0 ? text->capacity : 1024;
    while (capacity <= text->size + more)
        capacity *= 2;
    char *data = realloc(text->data, capacity);
    if (data == NULL)
        return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "no memory for a text of %zu bytes", capacity);
    text->data = data;
    text->capacity = capacity;
    return CLSEQ_OK;
}

clseq_status clseq__text_add(clseq__text *text, const char *part, size_t size)
{
    CLSEQ__RETURN_IF(reserve(text, size));
    if (size > 0)
        memcpy(text->data + text->size, part, size);
    text->size += size;
    text->data[text->size] = '\0';
    return CLSEQ_OK;
}

clseq_status clseq__text_print(clseq__text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (size < 0)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "the format \"%s\" cannot be printed", format);
    CLSEQ__RETURN_IF(reserve(text, (size_t)size));
    va_start(arguments, format);
    vsnprintf(text->data + text->size, (size_t)size + 1, format, arguments);
    va_end(arguments);
    text->size += (size_t)size;
    return CLSEQ_OK;
}

char *clseq__text_copy(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = malloc(size);
    return copy != NULL ? memcpy(copy, text, size) : NULL;
}
