#include "common/escape.h"
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* The length of the well-formed UTF-8 character that begins here; 0 for a byte that begins none, and for C1 controls. */
static size_t character_length(const uint8_t *p)
{
    /* Lead bytes from `first` to `last`; the range of the second byte; Unicode 15, table 3-7. */
    static const struct {
        uint8_t first, last, low, high, length;
    } rows[] = {{0x20, 0x7e, 0, 0, 1},       {0xc2, 0xc2, 0xa0, 0xbf, 2}, {0xc3, 0xdf, 0x80, 0xbf, 2},
                {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3},
                {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4},
                {0xf4, 0xf4, 0x80, 0x8f, 4}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (p[0] < rows[i].first || p[0] > rows[i].last)
            continue;
        if (rows[i].length > 1 && (p[1] < rows[i].low || p[1] > rows[i].high))
            return 0;
        for (size_t k = 2; k < rows[i].length; k++)
            if (p[k] < 0x80 || p[k] > 0xbf)
                return 0;
        return rows[i].length;
    }
    return 0;
}

static const char *escape_except(const char *text, const char *kept, char *out, size_t size)
{
    static const char letters[] = "\n\t\r\"\\", names[] = "ntr\"\\";
    const uint8_t *p = (const uint8_t *)text;
    size_t used = 0;
    out[0] = 0;
    while (*p) {
        char piece[8];
        size_t length = character_length(p);
        const char *letter = strchr(letters, *p);
        if (strchr(kept, *p) || (length > 0 && !letter)) {
            length = length > 0 ? length : 1;
            memcpy(piece, p, length);
            piece[length] = 0;
        } else {
            length = 1;
            if (letter)
                snprintf(piece, sizeof piece, "\\%c", names[letter - letters]);
            else
                snprintf(piece, sizeof piece, "\\x%02x", *p);
        }
        size_t needed = strlen(piece);
        if (used + needed >= size)
            break;
        memcpy(out + used, piece, needed + 1);
        used += needed;
        p += length;
    }
    return out;
}

const char *escape(const char *text, char *out, size_t size)
{
    return escape_except(text, "", out, size);
}

const char *escape_lines(const char *text, char *out, size_t size)
{
    return escape_except(text, "\n\t\"\\", out, size);
}

bool is_printable(const char *text)
{
    const uint8_t *p = (const uint8_t *)text;
    size_t length = 1;
    for (; *p && length > 0; p += length)
        length = character_length(p);
    return length > 0;
}
