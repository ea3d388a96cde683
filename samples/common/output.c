#include "common/output.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static char failure[256];

static void note(bool fine)
{
    if (!fine && !failure[0])
        snprintf(failure, sizeof failure, "cannot write to standard output: %s", strerror(errno));
}

void say(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    note(vprintf(format, arguments) >= 0 && fflush(stdout) == 0); /* a failure belongs to its line */
    va_end(arguments);
}

void say_no_more(void)
{
    note(fclose(stdout) == 0);
}

const char *output_failure(void)
{
    return failure[0] ? failure : NULL;
}
