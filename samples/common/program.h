/*
 * How a program of this folder fails: one sentence on stderr, exit code 1. And what each of them needs besides:
 * memory, a clock, the library's log.
 *
 *     check(clseq_context_create(NULL, &ctx));
 *     if (!file)
 *         fail("--text %s: %s", path, strerror(errno));
 */
#ifndef CLSEQ_SAMPLES_PROGRAM_H
#define CLSEQ_SAMPLES_PROGRAM_H

#include <clseq/clseq.h>
#include <stddef.h>

#if defined(__GNUC__)
#define PRINTF_LIKE(at, first) __attribute__((format(printf, at, first)))
#define NORETURN __attribute__((noreturn))
#else
#define PRINTF_LIKE(at, first)
#define NORETURN
#endif

/* Keeps the name for the sentences of `fail`: the last part of argv[0]. The first thing that main does. */
void program_begin(const char *name);
const char *program_name(void);

/* The sentence may quote anything: what would act on a terminal is escaped. */
void fail(const char *format, ...) PRINTF_LIKE(1, 2) NORETURN;

/* Fails with the library's sentence unless the status is CLSEQ_OK. */
void check(clseq_status status);

/* Memory that is there; fails otherwise. The caller frees it. */
void *allocate(size_t bytes);

/* Seconds of a clock that only goes forward. */
double now(void);

/* The library's lines from info level on, on stderr. */
void log_to_stderr(void);

#endif
