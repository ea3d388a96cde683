/*
 * Text of others (names and bytes from a file, arguments) made fit for a terminal: control characters and what is not
 * UTF-8 become \n, \t or \x1b, as C writes them; everything else stays.
 *
 *     char shown[64];
 *     printf("the cell is \"%s\"\n", escape(cell, shown, sizeof shown));
 */
#ifndef CLSEQ_SAMPLES_ESCAPE_H
#define CLSEQ_SAMPLES_ESCAPE_H

#include <stdbool.h>
#include <stddef.h>

/* Writes as much as fits, with a closing 0, and returns `out`. Quotes and backslashes are escaped too. */
const char *escape(const char *text, char *out, size_t size);

/* The same for sentences of several lines: line ends, tabs, quotes and backslashes stay. */
const char *escape_lines(const char *text, char *out, size_t size);

/* Whether the text is well-formed UTF-8 without control characters. */
bool is_printable(const char *text);

#endif
