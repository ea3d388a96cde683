#include "common/paths.h"
#include "common/program.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *kind_of(mode_t mode)
{
    static const struct {
        mode_t type;
        const char *name;
    } kinds[] = {{S_IFDIR, "a folder"},
                 {S_IFCHR, "a device"},
                 {S_IFBLK, "a device"},
                 {S_IFIFO, "a named pipe"},
                 {S_IFSOCK, "a socket"}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if ((mode & S_IFMT) == kinds[i].type)
            return kinds[i].name;
    return "no regular file";
}

/* The folder that a file stands in; the caller frees it. */
static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t length = slash == path ? 1 : slash ? (size_t)(slash - path) : 1;
    char *folder = allocate(length + 1);
    memcpy(folder, slash ? path : ".", length);
    folder[length] = 0;
    return folder;
}

static void check_folder(const char *option, const char *path)
{
    struct stat info;
    char *folder = folder_of(path);
    if (stat(folder, &info) != 0)
        fail("%s %s: cannot write into its folder %s: %s", option, path, folder, strerror(errno));
    if (!S_ISDIR(info.st_mode))
        fail("%s %s: %s is no folder", option, path, folder);
    if (access(folder, W_OK | X_OK) != 0)
        fail("%s %s: cannot write into its folder %s: %s", option, path, folder, strerror(errno));
    free(folder);
}

void check_target(const char *option, const char *path, bool device_too)
{
    struct stat info;
    if (*path == 0)
        fail("%s \"\": expected the name of a file", option);
    if (stat(path, &info) == 0) {
        if (device_too && S_ISCHR(info.st_mode))
            return;
        if (!S_ISREG(info.st_mode))
            fail("%s %s: it is %s, expected a regular file or a name that is free", option, path,
                 kind_of(info.st_mode));
        char *real = realpath(path, NULL);
        check_folder(option, real ? real : path);
        free(real);
        return;
    }
    if (errno != ENOENT)
        fail("%s %s: %s", option, path, strerror(errno));
    if (path[strlen(path) - 1] == '/')
        fail("%s %s: it is a folder, expected a regular file or a name that is free", option, path);
    check_folder(option, path);
    if (lstat(path, &info) == 0)
        fail("%s %s: a symbolic link to nothing", option, path);
}

bool same_file(const char *a, const char *b)
{
    struct stat x, y;
    bool a_is_there = stat(a, &x) == 0, b_is_there = stat(b, &y) == 0;
    if (a_is_there || b_is_there)
        return a_is_there && b_is_there && S_ISREG(x.st_mode) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
    const char *name_a = strrchr(a, '/') ? strrchr(a, '/') + 1 : a;
    const char *name_b = strrchr(b, '/') ? strrchr(b, '/') + 1 : b;
    char *folder_a = folder_of(a), *folder_b = folder_of(b);
    bool same = strcmp(name_a, name_b) == 0 && stat(folder_a, &x) == 0 && stat(folder_b, &y) == 0 &&
                x.st_dev == y.st_dev && x.st_ino == y.st_ino;
    free(folder_a);
    free(folder_b);
    return same;
}

char *path_with_word(const char *path, const char *word)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *dot = strrchr(name, '.');
    size_t size = strlen(path) + strlen(word) + 2;
    size_t stem = dot && dot > name ? (size_t)(dot - path) : strlen(path);
    char *with = allocate(size);
    snprintf(with, size, "%.*s.%s%s", (int)stem, path, word, path + stem);
    return with;
}
