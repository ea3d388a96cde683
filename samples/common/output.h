/*
 * What a program says, with every write checked: a full disk or a closed pipe is noticed at the line it happens to, and
 * remembered, so that the program can save its work before it fails.
 *
 *     say("%d parameters\n", count);
 *     say_no_more();
 *     if (output_failure())
 *         fail("%s", output_failure());
 */
#ifndef CLSEQ_SAMPLES_OUTPUT_H
#define CLSEQ_SAMPLES_OUTPUT_H

#include "common/program.h"

/* To standard output. */
void say(const char *format, ...) PRINTF_LIKE(1, 2);

/* Closes standard output, which may tell that something was not written. */
void say_no_more(void);

/* The sentence about the first write that failed; NULL while none has. */
const char *output_failure(void);

#endif
