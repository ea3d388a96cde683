#include "core/pocl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define PATH_SIZE 1024

bool clseq__is_pocl(const char *name, const char *version)
{
    return strstr(version, "PoCL") != NULL || strcmp(name, "Portable Computing Language") == 0;
}

/* The folder, whether it exists or not; false when no variable says where. */
static bool cache_folder(char path[PATH_SIZE])
{
    static const struct {
        const char *variable, *below;
    } places[] = {
        {"POCL_CACHE_DIR", ""}, {"XDG_CACHE_HOME", "/pocl/kcache"}, {"HOME", "/.cache/pocl/kcache"}};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        const char *value = getenv(places[i].variable);
        if (value == NULL || value[0] == '\0')
            continue;
        int size = snprintf(path, PATH_SIZE, "%s%s", value, places[i].below);
        return size > 0 && size < PATH_SIZE;
    }
    return false;
}

/* Why nothing can be written to a folder, or made in its place; 0 when it can. */
static int why_not_writable(const char *folder)
{
    char path[PATH_SIZE];
    struct stat entry;
    struct statvfs disk;
    snprintf(path, sizeof path, "%s", folder);
    /* What is missing is made in the nearest folder that exists. */
    while (stat(path, &entry) != 0) {
        char *slash = strrchr(path, '/');
        if (errno != ENOENT || strcmp(path, "/") == 0)
            return errno;
        if (slash == NULL)
            strcpy(path, ".");
        else
            slash[slash == path] = '\0';
    }
    if (!S_ISDIR(entry.st_mode))
        return ENOTDIR;
    if (access(path, W_OK | X_OK) != 0)
        return errno;
    return statvfs(path, &disk) == 0 && disk.f_bavail == 0 ? ENOSPC : 0;
}

void clseq__pocl_cache_trouble(char *text, size_t size)
{
    char path[PATH_SIZE];
    const int reason = cache_folder(path) ? why_not_writable(path) : 0;
    text[0] = '\0';
    if (reason != 0)
        snprintf(text, size,
                 "; PoCL cannot write its cache %s (%s), set POCL_CACHE_DIR to a folder that can be written",
                 path, strerror(reason));
}
