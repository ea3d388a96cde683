/*
 * The command line, as a table of settings: values of the program with their names, types and ranges (clseq/option.h) and
 * words of help.
 *
 *     static int64_t hidden = 256;
 *     static bool lower;
 *     static setting table[] = {
 *         SETTING_WHOLE("hidden", &hidden, 1, 16384, STAYS, "N", "units of each layer"),
 *         SETTING_FLAG("lower", &lower, STAYS, "turn the text into lower case"),
 *     };
 *     parse_options(argc, argv, "Trains a model.", table, COUNT_OF(table));
 *
 * Each is an option --NAME VALUE (a flag takes no value); --help, which tells the defaults, --usage and abbreviations
 * come from argp. A default that is not within its range, or a text that is NULL, stands for no value.
 */
#ifndef CLSEQ_SAMPLES_OPTIONS_H
#define CLSEQ_SAMPLES_OPTIONS_H

#include <clseq/cells.h>
#include <clseq/option.h>

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

enum { MAX_OPTIONS = 64 };

typedef struct setting {
    clseq_option option;
    const char *argument, *help;
    int letter; /* a short option, 0: none */
} setting;

/* What a run that is resumed does with it. */
enum { STAYS = CLSEQ_OPTION_STAYS, CHANGES = CLSEQ_OPTION_CHANGES, PASSES = CLSEQ_OPTION_PASSES };

/* A row of a table; a place of another type than the kind's does not compile. A letter may follow the help. */
#define SETTING(kind_, type, name_, place, low_, high_, names, rule_, argument_, ...) \
    {                                                                                 \
        .option = {.name = name_,                                                     \
                   .kind = kind_,                                                     \
                   .value = 1 ? (place) : (type *)0,                                  \
                   .low = low_,                                                       \
                   .high = high_,                                                     \
                   .name_of = names,                                                  \
                   .rule = (clseq_option_rule)(rule_)},                               \
        .argument = argument_, .help = __VA_ARGS__                                    \
    }
#define SETTING_TEXT(name, place, rule, argument, ...) \
    SETTING(CLSEQ_OPTION_TEXT, const char *, name, place, 0, 0, NULL, rule, argument, __VA_ARGS__)
#define SETTING_WHOLE(name, place, low, high, rule, argument, ...) \
    SETTING(CLSEQ_OPTION_WHOLE, int64_t, name, place, low, high, NULL, rule, argument, __VA_ARGS__)
#define SETTING_REAL(name, place, low, high, rule, argument, ...) \
    SETTING(CLSEQ_OPTION_REAL, double, name, place, low, high, NULL, rule, argument, __VA_ARGS__)
#define SETTING_SEED(name, place, rule, argument, ...) \
    SETTING(CLSEQ_OPTION_SEED, uint64_t, name, place, 0, 0, NULL, rule, argument, __VA_ARGS__)
#define SETTING_FLAG(name, place, rule, ...) \
    SETTING(CLSEQ_OPTION_FLAG, bool, name, place, 0, 0, NULL, rule, NULL, __VA_ARGS__)
#define SETTING_NAME(name, type, place, names, rule, argument, ...) \
    SETTING(CLSEQ_OPTION_NAME, type, name, place, 0, 0, names, rule, argument, __VA_ARGS__)
#define SETTING_CELL(name, place, rule, argument, ...) \
    SETTING_NAME(name, clseq_cell, place, cell_name, rule, argument, __VA_ARGS__)

/* The names of cells by their numbers; NULL behind the last one. */
const char *cell_name(int index);

/* Sets values and marks which were given; ends the program with a sentence that names the option otherwise. */
void parse_options(int argc, char **argv, const char *summary, setting *table, size_t count);

#endif
