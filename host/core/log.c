/* Where lines of the log go: to the program's function, to stderr by CLSEQ_LOG, or nowhere. */
#include "core/error.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_SIZE 2048

enum { LEVEL_UNREAD = -2, LEVEL_OFF = -1 };

static const char *const level_names[] = {"error", "warn", "info", "debug"};

/* Set by clseq_set_log, which the caller keeps apart from all other calls. */
static clseq_log_fn log_fn;
static void *log_user;

/* The least grave level that is shown. Threads that find it unread all read the same environment. */
static atomic_int log_level = LEVEL_UNREAD;

static void write_to_stderr(clseq_log_level level, const char *line)
{
    fprintf(stderr, "clseq %s: %s\n", level_names[level], line);
}

static int level_of_environment(void)
{
    const char *text = getenv("CLSEQ_LOG");
    if (text == NULL)
        return LEVEL_OFF;
    for (int i = CLSEQ_LOG_ERROR; i <= CLSEQ_LOG_DEBUG; i++)
        if (strcmp(text, level_names[i]) == 0)
            return i;
    return LEVEL_OFF;
}

void clseq_set_log(clseq_log_fn fn, void *user, clseq_log_level level)
{
    log_fn = fn;
    log_user = user;
    atomic_store(&log_level, fn != NULL ? (int)level : LEVEL_OFF);
}

static int current_level(void)
{
    int level = atomic_load(&log_level);
    if (level == LEVEL_UNREAD) {
        level = level_of_environment();
        atomic_store(&log_level, level);
    }
    return level;
}

bool clseq__log_shows(clseq_log_level level)
{
    return (int)level <= current_level();
}

void clseq__log(clseq_log_level level, const char *format, ...)
{
    if (!clseq__log_shows(level))
        return;
    char line[LINE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (log_fn != NULL)
        log_fn(level, line, log_user);
    else
        write_to_stderr(level, line);
}

void clseq__log_text(clseq_log_level level, const char *text)
{
    if (!clseq__log_shows(level))
        return;
    while (*text != '\0') {
        size_t length = strcspn(text, "\n");
        if (length > 0)
            clseq__log(level, "%.*s", (int)(length < LINE_SIZE ? length : LINE_SIZE), text);
        text += length + (text[length] == '\n');
    }
}
