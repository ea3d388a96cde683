/* What the library said to its log, kept as one text for tests to search. */
#ifndef CLSEQ_TESTS_SUPPORT_LOG_H
#define CLSEQ_TESTS_SUPPORT_LOG_H

#include <clseq/status.h>
#include <stdbool.h>

/* Keeps lines of this level and all graver ones from now on, and forgets those kept before. */
void log_capture(clseq_log_level level);

/* Whether a kept line contains `part`. */
bool log_contains(const char *part);

/* All kept lines, each "level: line\n". */
const char *log_text(void);

#endif
