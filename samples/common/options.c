#include "common/options.h"
#include "common/escape.h"
#include "common/program.h"
#include <argp.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_KEY = 1000 }; /* of options without a letter; argp has keys of its own beyond */

typedef struct {
    setting *table;
    size_t count;
} settings;

static int key_of(const settings *all, size_t i)
{
    return all->table[i].letter ? all->table[i].letter : FIRST_KEY + (int)i;
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    const settings *all = state->input;
    char expected[SETTING_TEXT_SIZE], shown[512];
    for (size_t i = 0; i < all->count; i++) {
        setting *s = &all->table[i];
        if (key_of(all, i) != key)
            continue;
        const char *quote = text && text[strcspn(text, " ")] == 0 && *text ? "" : "\"";
        if (!setting_read(s, s->argument ? text : "1", expected))
            argp_error(state, "--%s %s%s%s: expected %s", s->name, quote, escape(text, shown, sizeof shown),
                       quote, expected);
        s->given = true;
        return 0;
    }
    return ARGP_ERR_UNKNOWN;
}

void parse_options(int argc, char **argv, const char *summary, setting *table, size_t count)
{
    settings all = {table, count};
    struct argp_option list[MAX_OPTIONS + 1] = {{0}};
    if (count > MAX_OPTIONS)
        fail("options: %zu settings, expected at most %d", count, MAX_OPTIONS);
    for (size_t i = 0; i < count; i++)
        list[i] = (struct argp_option){
            .name = table[i].name, .key = key_of(&all, i), .arg = table[i].argument, .doc = table[i].help};
    const struct argp parser = {.options = list, .parser = parse_option, .doc = summary};
    argp_err_exit_status = EXIT_FAILURE; /* as for every other failure */
    argp_parse(&parser, argc, argv, 0, NULL, &all);
}
