#include "common/output.h"
#include <errno.h>
#include <stdarg.h>
#include <string.h>

static char failure[768];

static void note(const char *name, bool fine)
{
    if (!fine && !failure[0])
        snprintf(failure, sizeof failure, "cannot write %s: %s", name, strerror(errno));
}

/* Flushed each time: these are lines of a report, and a failure belongs to its line. */
static void print_checked(FILE *file, const char *name, const char *format, va_list arguments)
{
    note(name, vfprintf(file, format, arguments) >= 0 && fflush(file) == 0);
}

output output_open(const char *option, const char *path, bool append)
{
    output out = {.file = fopen(path, append ? "a" : "w")};
    snprintf(out.name, sizeof out.name, "%s %s", option, path);
    if (!out.file)
        fail("cannot write %s: %s", out.name, strerror(errno));
    return out;
}

bool output_is_empty(const output *out)
{
    return fseek(out->file, 0, SEEK_END) != 0 || ftell(out->file) <= 0;
}

void output_print(output *out, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_checked(out->file, out->name, format, arguments);
    va_end(arguments);
}

void output_close(output *out)
{
    note(out->name, fclose(out->file) == 0);
    out->file = NULL;
}

static const char standard_output[] = "to standard output";

void say(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_checked(stdout, standard_output, format, arguments);
    va_end(arguments);
}

void say_no_more(void)
{
    note(standard_output, fclose(stdout) == 0);
}

const char *output_failure(void)
{
    return failure[0] ? failure : NULL;
}
