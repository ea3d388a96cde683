#include "common/program.h"
#include "common/escape.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *program = "sample";

void program_begin(const char *name)
{
    const char *slash = strrchr(name, '/');
    program = slash ? slash + 1 : name;
}

const char *program_name(void)
{
    return program;
}

void fail(const char *format, ...)
{
    char sentence[8192], shown[16384];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    fprintf(stderr, "%s: %s\n", program, escape_lines(sentence, shown, sizeof shown));
    exit(EXIT_FAILURE);
}

void check(clseq_status status)
{
    if (status != CLSEQ_OK)
        fail("%s", clseq_last_error());
}

void *allocate(size_t bytes)
{
    void *memory = malloc(bytes ? bytes : 1);
    if (!memory)
        fail("no memory for %zu bytes", bytes);
    return memory;
}

double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void log_line(clseq_log_level level, const char *line, void *user)
{
    char shown[4096];
    (void)level;
    (void)user;
    fprintf(stderr, "%s\n", escape_lines(line, shown, sizeof shown));
}

void log_to_stderr(void)
{
    clseq_set_log(log_line, NULL, CLSEQ_LOG_INFO);
}
