/*
 * The command line, from a table of settings.
 *
 *     parse_options(argc, argv, "Trains a model.", table, COUNT_OF(table));
 *
 * Each setting is an option --NAME VALUE (a flag takes no value); --help, --usage and abbreviations come from argp.
 */
#ifndef CLSEQ_SAMPLES_OPTIONS_H
#define CLSEQ_SAMPLES_OPTIONS_H

#include "common/setting.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

enum { MAX_OPTIONS = 40 };

/* Sets values and marks which were given; ends the program with a sentence that names the option otherwise. */
void parse_options(int argc, char **argv, const char *summary, setting *table, size_t count);

#endif
