#include "core/text.h"

#include <stdarg.h>
#include <stdint.h>
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

clseq_status clseq__text_read(clseq__text *text, FILE *file)
{
    char block[4096];
    size_t size = 0;
    while ((size = fread(block, 1, sizeof block, file)) > 0)
        CLSEQ__RETURN_IF(clseq__text_add(text, block, size));
    return clseq__text_add(text, "", 0);
}

char *clseq__text_copy(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = malloc(size);
    return copy != NULL ? memcpy(copy, text, size) : NULL;
}

/* The length of the UTF-8 sequence at `text` and its code point; 0 where there is none (Unicode 15, table 3-7). */
static size_t decode(const unsigned char *text, uint32_t *code)
{
    static const struct {
        unsigned char mask, lead; /* of the first byte */
        uint32_t least;           /* shorter sequences hold what is below */
    } lengths[] = {{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};
    for (size_t i = 0; i < 4; i++) {
        if ((text[0] & lengths[i].mask) != lengths[i].lead)
            continue;
        *code = text[0] & (unsigned char)~lengths[i].mask;
        for (size_t k = 1; k <= i; k++) {
            if ((text[k] & 0xc0) != 0x80)
                return 0;
            *code = *code << 6 | (text[k] & 0x3f);
        }
        const bool surrogate = *code >= 0xd800 && *code < 0xe000;
        return *code >= lengths[i].least && *code <= 0x10ffff && !surrogate ? i + 1 : 0;
    }
    return 0;
}

/* Characters that do something other than stand there: controls, invisible ones, marks of direction. */
static bool acts(uint32_t code)
{
    static const struct {
        uint32_t first, last;
    } ranges[] = {{0, 0x1f},        {'\\', '\\'},     {0x7f, 0x9f},     {0x61c, 0x61c},   {0x200b, 0x200f},
                  {0x2028, 0x202e}, {0x2060, 0x206f}, {0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xe0000, 0xe007f}};
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (code >= ranges[i].first && code <= ranges[i].last)
            return true;
    return false;
}

const char *clseq__printable(char out[CLSEQ__PRINTABLE], const char *text)
{
    static const char cut[] = "...";
    const unsigned char *at = (const unsigned char *)text;
    size_t used = 0, fits = 0; /* fits: how much leaves room for the dots */
    while (*at) {
        uint32_t code = 0;
        const size_t length = decode(at, &code), bytes = length > 0 ? length : 1;
        const bool plain = length > 0 && !acts(code);
        const size_t more = plain ? bytes : 4 * bytes;
        if (used + more >= CLSEQ__PRINTABLE) {
            memcpy(out + fits, cut, sizeof cut);
            return out;
        }
        if (plain)
            memcpy(out + used, at, bytes);
        for (size_t i = 0; !plain && i < bytes; i++)
            snprintf(out + used + 4 * i, 5, "\\x%02x", at[i]);
        at += bytes;
        used += more;
        fits = used + sizeof cut <= CLSEQ__PRINTABLE ? used : fits;
    }
    out[used] = '\0';
    return out;
}
