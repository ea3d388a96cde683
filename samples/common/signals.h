/*
 * Ctrl-C and its like (SIGINT, SIGTERM, SIGHUP) for programs that have something to save: the first one asks the
 * program to come to an end, a second one ends it at once.
 *
 *     signals_begin();            // first of all, before there are threads
 *     ... start ...               // a signal ends the program at once: there is nothing to save yet
 *     signals_defer();
 *     while (!signals_came())     // from now on a signal only sets this
 *         step();
 *     return signals_came() ? signals_exit_code() : 0;
 *
 * The signals are blocked in every thread and taken by one thread of their own. An OpenCL implementation that compiles
 * would not survive them otherwise: LLVM has handlers of its own, which delete the files that it is writing, and a
 * Ctrl-C, which a terminal sends to all processes of the group, kills the linker that it waits for. Either one looks
 * like a program that does not compile.
 */
#ifndef CLSEQ_SAMPLES_SIGNALS_H
#define CLSEQ_SAMPLES_SIGNALS_H

#include <stdbool.h>

void signals_begin(void);
void signals_defer(void);
bool signals_came(void);

/* What a shell reports for a program that the signal killed: 128 + its number. */
int signals_exit_code(void);

#endif
