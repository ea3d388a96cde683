#include "common/setting.h"
#include <clseq/clseq.h>
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A decimal number and nothing else: no blanks, no "inf", "nan" or "0x10", which strtod would take too. */
static bool read_number(const char *text, double *value)
{
    char *end;
    if (*text == 0 || text[strspn(text, "+-.0123456789eE")] != 0)
        return false;
    *value = strtod(text, &end);
    return *end == 0;
}

static bool read_whole(const setting *s, const char *text, char *expected)
{
    double value = 0;
    snprintf(expected, SETTING_TEXT_SIZE, "a whole number from %.15g to %.15g", s->low, s->high);
    if (!read_number(text, &value) || !(value >= s->low && value <= s->high) || value != floor(value))
        return false;
    *(long long *)s->value = (long long)value;
    return true;
}

static bool read_real(const setting *s, const char *text, char *expected)
{
    double value = 0;
    snprintf(expected, SETTING_TEXT_SIZE, "a real number from %g to %g", s->low, s->high);
    if (!read_number(text, &value) || !(value >= s->low && value <= s->high))
        return false;
    *(double *)s->value = value;
    return true;
}

static bool read_seed(const setting *s, const char *text, char *expected)
{
    snprintf(expected, SETTING_TEXT_SIZE, "a whole number from 0 to %llu", (unsigned long long)UINT64_MAX);
    errno = 0;
    if (*text == 0 || text[strspn(text, "0123456789")] != 0)
        return false;
    unsigned long long value = strtoull(text, NULL, 10);
    if (errno == ERANGE)
        return false;
    *(uint64_t *)s->value = value;
    return true;
}

static bool read_flag(const setting *s, const char *text, char *expected)
{
    snprintf(expected, SETTING_TEXT_SIZE, "0 or 1");
    *(bool *)s->value = text[0] == '1';
    return strcmp(text, "0") == 0 || strcmp(text, "1") == 0;
}

static bool read_cell(const setting *s, const char *text, char *expected)
{
    size_t used = 0;
    for (int cell = 0; cell < CLSEQ_CELL_COUNT; cell++) {
        const char *name = clseq_cell_name((clseq_cell)cell);
        const char *before = cell == 0 ? "" : cell + 1 < CLSEQ_CELL_COUNT ? ", " : " or ";
        used += (size_t)snprintf(expected + used, SETTING_TEXT_SIZE - used, "%s%s", before, name);
        if (strcmp(name, text) == 0) {
            *(clseq_cell *)s->value = (clseq_cell)cell;
            return true;
        }
    }
    return false;
}

static bool read_text(const setting *s, const char *text, char *expected)
{
    (void)expected;
    *(const char **)s->value = text;
    return true;
}

static void write_text(const void *value, char *text)
{
    const char *string = *(const char *const *)value;
    snprintf(text, SETTING_TEXT_SIZE, "%s", string ? string : "");
}

static void write_whole(const void *value, char *text)
{
    snprintf(text, SETTING_TEXT_SIZE, "%lld", *(const long long *)value);
}

/* With as few digits as tell it from every other number. */
static void write_real(const void *value, char *text)
{
    const double number = *(const double *)value;
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, SETTING_TEXT_SIZE, "%.*g", digits, number);
        if (strtod(text, NULL) == number)
            return;
    }
}

static void write_seed(const void *value, char *text)
{
    snprintf(text, SETTING_TEXT_SIZE, "%llu", (unsigned long long)*(const uint64_t *)value);
}

static void write_flag(const void *value, char *text)
{
    snprintf(text, SETTING_TEXT_SIZE, "%d", *(const bool *)value);
}

static void write_cell(const void *value, char *text)
{
    snprintf(text, SETTING_TEXT_SIZE, "%s", clseq_cell_name(*(const clseq_cell *)value));
}

static const struct {
    bool (*read)(const setting *s, const char *text, char *expected);
    void (*write)(const void *value, char *text);
} kinds[] = {
    [SETTING_TEXT] = {read_text, write_text}, [SETTING_WHOLE] = {read_whole, write_whole},
    [SETTING_REAL] = {read_real, write_real}, [SETTING_SEED] = {read_seed, write_seed},
    [SETTING_FLAG] = {read_flag, write_flag}, [SETTING_CELL] = {read_cell, write_cell},
};

bool setting_read(const setting *s, const char *text, char expected[SETTING_TEXT_SIZE])
{
    return kinds[s->kind].read(s, text, expected);
}

void setting_write(const setting *s, char text[SETTING_TEXT_SIZE])
{
    kinds[s->kind].write(s->value, text);
}
