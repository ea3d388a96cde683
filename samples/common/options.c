#include "common/options.h"
#include "common/escape.h"
#include "common/program.h"
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_KEY = 1000, HELP_SIZE = 400 }; /* of options without a letter; argp has keys of its own beyond */

typedef struct settings {
    setting *table;
    size_t count;
} settings;

const char *cell_name(int index)
{
    return index < CLSEQ_CELL_COUNT ? clseq_cell_name((clseq_cell)index) : NULL;
}

static int key_of(const settings *all, size_t i)
{
    return all->table[i].letter ? all->table[i].letter : FIRST_KEY + (int)i;
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    const settings *all = state->input;
    char expected[1024], shown[512];
    for (size_t i = 0; i < all->count; i++) {
        setting *s = &all->table[i];
        if (key_of(all, i) != key)
            continue;
        const char *quote = text && text[strcspn(text, " ")] == 0 && *text ? "" : "\"";
        if (clseq_option_read(&s->option, s->argument ? text : "1") != CLSEQ_OK) {
            check(clseq_option_describe(&s->option, expected, sizeof expected));
            argp_error(state, "--%s %s%s%s: expected %s", s->option.name, quote,
                       escape(text, shown, sizeof shown), quote, expected);
        }
        s->option.given = true;
        return 0;
    }
    return ARGP_ERR_UNKNOWN;
}

/* Whether the value that is there is a default that may be told. */
static bool has_default(const clseq_option *o)
{
    switch (o->kind) {
    case CLSEQ_OPTION_TEXT:
        return *(const char **)o->value && **(const char **)o->value;
    case CLSEQ_OPTION_WHOLE:
        return (double)*(int64_t *)o->value >= o->low;
    case CLSEQ_OPTION_REAL:
        return *(double *)o->value >= o->low;
    default:
        return o->kind != CLSEQ_OPTION_FLAG;
    }
}

/* "units of each layer (256)" */
static const char *help_of(const setting *s, char text[HELP_SIZE])
{
    char value[128];
    if (!has_default(&s->option))
        return s->help;
    check(clseq_option_write(&s->option, value, sizeof value));
    snprintf(text, HELP_SIZE, "%s (%s)", s->help, value);
    return text;
}

void parse_options(int argc, char **argv, const char *summary, setting *table, size_t count)
{
    static char texts[MAX_OPTIONS][HELP_SIZE];
    settings all = {table, count};
    struct argp_option list[MAX_OPTIONS + 1] = {{0}};
    if (count > MAX_OPTIONS)
        fail("options: %zu settings, expected at most %d", count, MAX_OPTIONS);
    for (size_t i = 0; i < count; i++)
        list[i] = (struct argp_option){.name = table[i].option.name,
                                       .key = key_of(&all, i),
                                       .arg = table[i].argument,
                                       .doc = help_of(&table[i], texts[i])};
    const struct argp parser = {.options = list, .parser = parse_option, .doc = summary};
    argp_err_exit_status = EXIT_FAILURE; /* as for every other failure */
    argp_parse(&parser, argc, argv, 0, NULL, &all);
}
