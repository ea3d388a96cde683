#include "train/option.h"

#include "core/locale.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A decimal number and nothing else: no blanks, no "inf", "nan" or "0x10", which strtod would take too. */
static bool parse_number(const char *text, double *value)
{
    char *end = NULL;
    if (*text == '\0' || text[strspn(text, "+-.0123456789eE")] != '\0')
        return false;
    *value = strtod(text, &end);
    return *end == '\0';
}

static bool parse_within(const clseq_option *o, const char *text, double *value)
{
    return parse_number(text, value) && *value >= o->low && *value <= o->high;
}

static bool parse_text(const clseq_option *o, const char *text)
{
    *(const char **)o->value = text;
    return true;
}

static bool parse_whole(const clseq_option *o, const char *text)
{
    double value = 0;
    if (!parse_within(o, text, &value) || value != floor(value))
        return false;
    *(int64_t *)o->value = (int64_t)value;
    return true;
}

static bool parse_real(const clseq_option *o, const char *text)
{
    double value = 0;
    if (!parse_within(o, text, &value))
        return false;
    *(double *)o->value = value;
    return true;
}

static bool parse_seed(const clseq_option *o, const char *text)
{
    errno = 0;
    if (*text == '\0' || text[strspn(text, "0123456789")] != '\0')
        return false;
    const uintmax_t value = strtoumax(text, NULL, 10);
    if (errno == ERANGE || value > UINT64_MAX)
        return false;
    *(uint64_t *)o->value = (uint64_t)value;
    return true;
}

static bool parse_flag(const clseq_option *o, const char *text)
{
    if (strcmp(text, "0") != 0 && strcmp(text, "1") != 0)
        return false;
    *(bool *)o->value = text[0] == '1';
    return true;
}

static bool parse_name(const clseq_option *o, const char *text)
{
    for (int i = 0; o->name_of(i); i++) {
        if (strcmp(o->name_of(i), text) != 0)
            continue;
        *(int *)o->value = i;
        return true;
    }
    return false;
}

static clseq_status print_text(const clseq_option *o, clseq__text *text)
{
    const char *value = *(const char *const *)o->value;
    return clseq__text_print(text, "%s", value ? value : "");
}

static clseq_status print_whole(const clseq_option *o, clseq__text *text)
{
    return clseq__text_print(text, "%" PRId64, *(const int64_t *)o->value);
}

/* With as few digits as tell it from every other number. */
static clseq_status print_real(const clseq_option *o, clseq__text *text)
{
    const double value = *(const double *)o->value;
    char shortest[32];
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(shortest, sizeof shortest, "%.*g", digits, value);
        if (strtod(shortest, NULL) == value)
            break;
    }
    return clseq__text_print(text, "%s", shortest);
}

static clseq_status print_seed(const clseq_option *o, clseq__text *text)
{
    return clseq__text_print(text, "%" PRIu64, *(const uint64_t *)o->value);
}

static clseq_status print_flag(const clseq_option *o, clseq__text *text)
{
    return clseq__text_print(text, "%d", *(const bool *)o->value);
}

static clseq_status print_name(const clseq_option *o, clseq__text *text)
{
    const int value = *(const int *)o->value;
    for (int i = 0; i <= value && o->name_of(i); i++)
        if (i == value)
            return clseq__text_print(text, "%s", o->name_of(i));
    return clseq__error(CLSEQ_INVALID_ARGUMENT, "option %s is %d, for which there is no name", o->name,
                        value);
}

static clseq_status print_any(const clseq_option *o, clseq__text *text)
{
    (void)o;
    return clseq__text_print(text, "any text");
}

static clseq_status print_wholes(const clseq_option *o, clseq__text *text)
{
    return clseq__text_print(text, "a whole number from %.0f to %.0f", o->low, o->high);
}

static clseq_status print_reals(const clseq_option *o, clseq__text *text)
{
    return clseq__text_print(text, "a real number from %g to %g", o->low, o->high);
}

static clseq_status print_seeds(const clseq_option *o, clseq__text *text)
{
    (void)o;
    return clseq__text_print(text, "a whole number from 0 to %" PRIu64, UINT64_MAX);
}

static clseq_status print_flags(const clseq_option *o, clseq__text *text)
{
    (void)o;
    return clseq__text_print(text, "0 or 1");
}

/* "lstm, gru or rnn_tanh" */
static clseq_status print_names(const clseq_option *o, clseq__text *text)
{
    for (int i = 0; o->name_of(i); i++) {
        const char *before = i == 0 ? "" : o->name_of(i + 1) ? ", " : " or ";
        CLSEQ__RETURN_IF(clseq__text_print(text, "%s%s", before, o->name_of(i)));
    }
    return CLSEQ_OK;
}

static const struct {
    bool (*parse)(const clseq_option *o, const char *text);
    clseq_status (*print)(const clseq_option *o, clseq__text *text);
    clseq_status (*print_values)(const clseq_option *o, clseq__text *text);
} kinds[] = {
    [CLSEQ_OPTION_TEXT] = {parse_text, print_text, print_any},
    [CLSEQ_OPTION_WHOLE] = {parse_whole, print_whole, print_wholes},
    [CLSEQ_OPTION_REAL] = {parse_real, print_real, print_reals},
    [CLSEQ_OPTION_SEED] = {parse_seed, print_seed, print_seeds},
    [CLSEQ_OPTION_FLAG] = {parse_flag, print_flag, print_flags},
    [CLSEQ_OPTION_NAME] = {parse_name, print_name, print_names},
};

clseq_status clseq__option_check(const char *operation, const clseq_option *option)
{
    const char *name = option->name ? option->name : "";
    if (!*name || !option->value)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: option \"%s\" has no %s", operation, name,
                            *name ? "value" : "name");
    if ((unsigned)option->kind >= sizeof kinds / sizeof *kinds ||
        (unsigned)option->rule > CLSEQ_OPTION_PASSES)
        return clseq__error(CLSEQ_INVALID_ARGUMENT,
                            "%s: option %s has kind %d and rule %d, which are unknown", operation, name,
                            (int)option->kind, (int)option->rule);
    if (option->kind == CLSEQ_OPTION_NAME && !option->name_of)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: option %s has no name_of", operation, name);
    return CLSEQ_OK;
}

clseq_status clseq__option_print(const clseq_option *option, clseq__text *text)
{
    const locale_t before = clseq__locale_enter();
    const clseq_status status = kinds[option->kind].print(option, text);
    clseq__locale_leave(before);
    return status;
}

clseq_status clseq__option_print_values(const clseq_option *option, clseq__text *text)
{
    const locale_t before = clseq__locale_enter();
    const clseq_status status = kinds[option->kind].print_values(option, text);
    clseq__locale_leave(before);
    return status;
}

bool clseq__option_parse(const clseq_option *option, const char *text)
{
    const locale_t before = clseq__locale_enter();
    const bool fits = kinds[option->kind].parse(option, text);
    clseq__locale_leave(before);
    return fits;
}

clseq_status clseq_option_read(const clseq_option *option, const char *text)
{
    clseq_status status = CLSEQ_OK;
    clseq__text values = {0};
    CLSEQ__NOT_NULL("option read", option);
    CLSEQ__NOT_NULL("option read", text);
    CLSEQ__TRY(clseq__option_check("option read", option));
    if (!clseq__option_parse(option, text)) {
        CLSEQ__TRY(clseq__option_print_values(option, &values));
        CLSEQ__FAIL(CLSEQ_INVALID_ARGUMENT, "option read: %s is \"%s\", expected %s", option->name,
                    CLSEQ__SHOW(text), values.data);
    }
done:
    free(values.data);
    return status;
}

/* What `print` makes of the option, in the caller's memory. */
static clseq_status print_to(const char *operation, const clseq_option *option,
                             clseq_status (*print)(const clseq_option *option, clseq__text *text), char *out,
                             size_t size)
{
    clseq_status status = CLSEQ_OK;
    clseq__text text = {0};
    CLSEQ__NOT_NULL(operation, option);
    CLSEQ__NOT_NULL(operation, out);
    CLSEQ__TRY(clseq__option_check(operation, option));
    CLSEQ__TRY(print(option, &text));
    if (text.size >= size)
        CLSEQ__FAIL(CLSEQ_INVALID_ARGUMENT, "%s: size is %zu, expected at least %zu for %s", operation, size,
                    text.size + 1, option->name);
    memcpy(out, text.data, text.size + 1);
done:
    free(text.data);
    return status;
}

clseq_status clseq_option_write(const clseq_option *option, char *text, size_t size)
{
    return print_to("option write", option, clseq__option_print, text, size);
}

clseq_status clseq_option_describe(const clseq_option *option, char *text, size_t size)
{
    return print_to("option describe", option, clseq__option_print_values, text, size);
}
