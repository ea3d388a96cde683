/*
 * What a program writes, with every write checked: a full disk or a closed pipe is noticed at the line it happens to,
 * and remembered, so that the program can save its work before it fails.
 *
 *     output metrics = output_open("--metrics", "run.csv", false);
 *     output_print(&metrics, "%d,%f\n", step, loss);
 *     say("step %d\n", step);
 *     output_close(&metrics);
 *     if (output_failure())
 *         fail("%s", output_failure());
 */
#ifndef CLSEQ_SAMPLES_OUTPUT_H
#define CLSEQ_SAMPLES_OUTPUT_H

#include "common/program.h"
#include <stdbool.h>
#include <stdio.h>

typedef struct output {
    FILE *file;
    char name[512]; /* for sentences */
} output;

/* A new file, or the end of an old one; fails with a sentence that names the option. */
output output_open(const char *option, const char *path, bool append);

/* Whether nothing stands in the file yet. */
bool output_is_empty(const output *out);

void output_print(output *out, const char *format, ...) PRINTF_LIKE(2, 3);
void output_close(output *out);

/* To standard output. */
void say(const char *format, ...) PRINTF_LIKE(1, 2);

/* Closes standard output, which may tell that something was not written. */
void say_no_more(void);

/* The sentence about the first write that failed; NULL while none has. */
const char *output_failure(void);

#endif
