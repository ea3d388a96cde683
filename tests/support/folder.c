#include "support/folder.h"

#include <dirent.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static void fail(const char *what, const char *path)
{
    fprintf(stderr, "cannot %s %s\n", what, path);
    abort();
}

void folder_create(char path[FOLDER_PATH])
{
    const char *base = getenv("TMPDIR");
    snprintf(path, FOLDER_PATH, "%s/clseq-test-XXXXXX", base != NULL ? base : "/tmp");
    if (mkdtemp(path) == NULL)
        fail("make the folder", path);
}

static int remove_one(const char *path, const struct stat *facts, int kind, struct FTW *at)
{
    (void)facts;
    (void)kind;
    (void)at;
    return remove(path);
}

void folder_remove(const char *path)
{
    (void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void folder_write(const char *path, const char *name, const void *data, size_t size)
{
    char whole[2 * FOLDER_PATH];
    snprintf(whole, sizeof whole, "%s/%s", path, name);
    for (char *slash = strchr(whole + strlen(path) + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(whole, 0777);
        *slash = '/';
    }
    FILE *file = fopen(whole, "wb");
    if (file == NULL || fwrite(data, 1, size, file) != size || fclose(file) != 0)
        fail("write", whole);
}

void folder_write_text(const char *path, const char *name, const char *text)
{
    folder_write(path, name, text, strlen(text));
}

int folder_count(const char *path, const char *suffix, char first[FOLDER_PATH])
{
    int count = 0;
    DIR *listing = opendir(path);
    if (listing == NULL)
        return 0;
    for (struct dirent *at = readdir(listing); at != NULL; at = readdir(listing)) {
        size_t length = strlen(at->d_name), tail = strlen(suffix);
        if (length < tail || strcmp(at->d_name + length - tail, suffix) != 0 || at->d_name[0] == '.')
            continue;
        if (count++ == 0 && first != NULL)
            snprintf(first, FOLDER_PATH, "%s", at->d_name);
    }
    closedir(listing);
    return count;
}

void folder_limit_files(size_t bytes)
{
    struct rlimit limit;
    signal(SIGXFSZ, SIG_IGN);
    if (getrlimit(RLIMIT_FSIZE, &limit) != 0)
        fail("read", "the limit of file sizes");
    limit.rlim_cur = bytes > 0 ? bytes : limit.rlim_max;
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
        fail("set", "the limit of file sizes");
}
