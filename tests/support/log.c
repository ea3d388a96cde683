#include "support/log.h"

#include <stdio.h>
#include <string.h>

static char kept[1 << 16];
static size_t used;

static void keep(clseq_log_level level, const char *line, void *user)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    (void)user;
    int size = snprintf(kept + used, sizeof kept - used, "%s: %s\n", names[level], line);
    used = size > 0 && used + (size_t)size < sizeof kept ? used + (size_t)size : used;
    kept[used] = '\0';
}

void log_capture(clseq_log_level level)
{
    used = 0;
    kept[0] = '\0';
    clseq_set_log(keep, NULL, level);
}

bool log_contains(const char *part)
{
    return strstr(kept, part) != NULL;
}

const char *log_text(void)
{
    return kept;
}
