#include "core/file.h"

#include "core/text.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MARK ".clseq-" /* between the target's name and the digits of its temporary file */
#define DIGITS 8
#define LINKS_MAX 40  /* as the kernel follows */
#define NAMES_MAX 100 /* that are tried */

struct clseq__file {
    char *path;      /* as the caller wrote it, for sentences */
    char *target;    /* where the links lead */
    char *temporary; /* NULL before it is made */
    FILE *stream;
};

static clseq_status io_error(const char *path, const char *what)
{
    return clseq__error(CLSEQ_IO_ERROR, "%s: %s: %s", path, what, strerror(errno));
}

static clseq_status no_memory(const char *path)
{
    return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "%s: no memory for a file name", path);
}

/* The part of a path up to its last slash, which may be empty. */
static int folder_length(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? (int)(slash - path) + 1 : 0;
}

/* Replaces `path`, a symbolic link, by what it names. */
static clseq_status step_along(const char *asked, char **path)
{
    char link[4096];
    clseq__text next = {0};
    const ssize_t length = readlink(*path, link, sizeof link);
    if (length < 0)
        return io_error(asked, "cannot read the link");
    if (length == (ssize_t)sizeof link)
        return clseq__error(CLSEQ_IO_ERROR, "%s: the link is longer than %zu bytes", asked, sizeof link);
    if (clseq__text_print(&next, "%.*s%.*s", link[0] == '/' ? 0 : folder_length(*path), *path, (int)length,
                          link) != CLSEQ_OK)
        return no_memory(asked);
    free(*path);
    *path = next.data;
    return CLSEQ_OK;
}

/* Where `path` leads when its last part is a link, or a link to a link. */
static clseq_status follow(const char *path, char **target)
{
    struct stat facts;
    *target = clseq__text_copy(path);
    if (!*target)
        return no_memory(path);
    for (int links = 0; lstat(*target, &facts) == 0 && S_ISLNK(facts.st_mode); links++) {
        if (links == LINKS_MAX)
            return clseq__error(CLSEQ_IO_ERROR, "%s: %s", path, strerror(ELOOP));
        CLSEQ__RETURN_IF(step_along(path, target));
    }
    return CLSEQ_OK;
}

static const char *kind_of(mode_t mode)
{
    static const struct {
        mode_t kind;
        const char *name;
    } kinds[] = {{S_IFDIR, "a folder"},        {S_IFCHR, "a character device"}, {S_IFBLK, "a block device"},
                 {S_IFIFO, "a pipe (a fifo)"}, {S_IFSOCK, "a socket"},          {S_IFLNK, "a symbolic link"}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if ((mode & S_IFMT) == kinds[i].kind)
            return kinds[i].name;
    return "of an unknown kind";
}

/* Whether the target may be replaced; `facts` are those of the one that is there, with st_nlink 0 where none is. */
static clseq_status check_target(const char *path, const char *target, struct stat *facts)
{
    struct stat found;
    *facts = (struct stat){0};
    if (path[0] == '\0')
        return clseq__error(CLSEQ_IO_ERROR, "the path is empty, expected that of a file");
    if (stat(path, facts) != 0) {
        if (errno != ENOENT)
            return io_error(path, "cannot be looked at");
        *facts = (struct stat){0};
        return CLSEQ_OK;
    }
    if (!S_ISREG(facts->st_mode))
        return clseq__error(CLSEQ_IO_ERROR, "%s: is %s, expected a regular file or none", path,
                            kind_of(facts->st_mode));
    /* Links below /proc name files that have no place any more. */
    if (lstat(target, &found) != 0 || found.st_dev != facts->st_dev || found.st_ino != facts->st_ino)
        return clseq__error(CLSEQ_IO_ERROR, "%s: the link names %s, which is another file", path, target);
    return CLSEQ_OK;
}

/* ---- temporary files ---- */

static bool is_temporary(const char *name, const char *base)
{
    const size_t length = strlen(base);
    if (strncmp(name, base, length) != 0 || strncmp(name + length, MARK, sizeof MARK - 1) != 0)
        return false;
    name += length + sizeof MARK - 1;
    return strspn(name, "0123456789abcdef") == DIGITS && name[DIGITS] == '\0';
}

/* Deletes a temporary file unless a living process holds it. Locks end with the process, names with nobody. */
static void remove_if_stale(int folder, const char *name)
{
    const int flags = O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    struct stat facts;
    int descriptor = openat(folder, name, flags | O_RDWR); /* locks over a network need it */
    if (descriptor < 0)
        descriptor = openat(folder, name, flags | O_RDONLY);
    if (descriptor < 0)
        return;
    if (fstat(descriptor, &facts) == 0 && S_ISREG(facts.st_mode) && flock(descriptor, LOCK_EX | LOCK_NB) == 0)
        (void)unlinkat(folder, name, 0);
    close(descriptor);
}

/* Opens the folder of `target`; -1 when that fails, with errno. */
static int open_folder(const char *target, int flags)
{
    const int length = folder_length(target);
    clseq__text folder = {0};
    int descriptor = -1;
    errno = ENOMEM;
    if (clseq__text_print(&folder, "%.*s", length > 0 ? length : 1, length > 0 ? target : ".") == CLSEQ_OK)
        descriptor = open(folder.data, flags | O_RDONLY | O_CLOEXEC);
    free(folder.data);
    return descriptor;
}

static void remove_stale(const char *target)
{
    const char *base = target + folder_length(target);
    const int folder = open_folder(target, O_DIRECTORY);
    DIR *listing = folder >= 0 ? fdopendir(folder) : NULL;
    if (!listing) {
        if (folder >= 0)
            close(folder);
        return; /* a folder that may be written but not listed */
    }
    for (struct dirent *at = readdir(listing); at; at = readdir(listing))
        if (is_temporary(at->d_name, base))
            remove_if_stale(dirfd(listing), at->d_name);
    closedir(listing);
}

/* Digits that no other call is likely to use; open's O_EXCL is what makes sure. */
static uint32_t draw_digits(void)
{
    static atomic_uint calls;
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    uint64_t mix = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec + ((uint64_t)getpid() << 32) +
                   ((uint64_t)atomic_fetch_add(&calls, 1) << 20);
    return (uint32_t)(mix * 0x9E3779B97F4A7C15u >> 32);
}

/*
 * Makes and locks the file `name`; -1 with errno EEXIST when another name must be tried: it is there, or another
 * process that looks for stale files was between the making and the locking, and has it or has deleted it.
 */
static int create_locked(const char *name, mode_t mode)
{
    struct stat facts;
    const int descriptor = open(name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (descriptor < 0)
        return -1;
    const bool taken = flock(descriptor, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    if (!taken && fstat(descriptor, &facts) == 0 && facts.st_nlink > 0)
        return descriptor;
    close(descriptor);
    errno = EEXIST;
    return -1;
}

/*
 * Hands the rights of the file that is replaced on to the new one, its owner and group where that is permitted. With
 * another owner it does nothing in the owner's name, and another group may do no more than everybody.
 */
static void inherit(int descriptor, const struct stat *old)
{
    const bool owner = fchown(descriptor, old->st_uid, old->st_gid) == 0;
    const bool group = owner || fchown(descriptor, (uid_t)-1, old->st_gid) == 0;
    mode_t mode = old->st_mode & (owner ? 07777 : 0777);
    if (!group)
        mode &= ~(mode_t)070 | (mode & 07) << 3;
    (void)fchmod(descriptor, mode);
}

static clseq_status open_temporary(clseq__file *file, const struct stat *old)
{
    int descriptor = -1;
    clseq__text name = {0};
    const bool replaces = old->st_nlink > 0;
    for (int i = 0; descriptor < 0 && i < NAMES_MAX; i++) {
        name.size = 0;
        if (clseq__text_print(&name, "%s" MARK "%08x", file->target, (unsigned)draw_digits()) != CLSEQ_OK) {
            free(name.data);
            return no_memory(file->path);
        }
        /* Nobody else reads it before it has the rights of the old file. */
        descriptor = create_locked(name.data, replaces ? 0600 : 0666);
        if (descriptor < 0 && errno != EEXIST)
            break;
    }
    if (descriptor < 0) {
        clseq_status status = io_error(file->path, "cannot create a file beside it");
        free(name.data);
        return status;
    }
    file->temporary = name.data;
    if (replaces)
        inherit(descriptor, old);
    file->stream = fdopen(descriptor, "wb");
    if (file->stream)
        return CLSEQ_OK;
    clseq_status status = io_error(file->path, "cannot open for writing");
    close(descriptor);
    return status;
}

/* ---- the file ---- */

clseq_status clseq__file_begin(const char *path, clseq__file **out)
{
    clseq_status status = CLSEQ_OK;
    struct stat old;
    clseq__file *file = calloc(1, sizeof *file);
    *out = NULL;
    if (!file || !(file->path = clseq__text_copy(path)))
        CLSEQ__TRY(no_memory(path));
    CLSEQ__TRY(follow(path, &file->target));
    CLSEQ__TRY(check_target(path, file->target, &old));
    remove_stale(file->target);
    CLSEQ__TRY(open_temporary(file, &old));
    *out = file;
    file = NULL;
done:
    clseq__file_abandon(file);
    return status;
}

clseq_status clseq__file_write(clseq__file *file, const void *data, size_t size)
{
    if (size > 0 && fwrite(data, 1, size, file->stream) != size)
        return io_error(file->path, "cannot write");
    return CLSEQ_OK;
}

clseq_status clseq__file_rewrite(clseq__file *file, size_t offset, const void *data, size_t size)
{
    if (fseeko(file->stream, (off_t)offset, SEEK_SET) != 0)
        return io_error(file->path, "cannot write");
    CLSEQ__RETURN_IF(clseq__file_write(file, data, size));
    return fseeko(file->stream, 0, SEEK_END) == 0 ? CLSEQ_OK : io_error(file->path, "cannot write");
}

/* The rename itself lasts only when the folder is on the disk too; file systems that cannot do that are left alone. */
static void flush_folder(const char *target)
{
    const int folder = open_folder(target, 0);
    if (folder < 0)
        return;
    (void)fsync(folder);
    close(folder);
}

clseq_status clseq__file_commit(clseq__file *file)
{
    clseq_status status = CLSEQ_OK;
    if (fflush(file->stream) != 0 || fsync(fileno(file->stream)) != 0)
        CLSEQ__TRY(io_error(file->path, "cannot write"));
    /* Before the close, which ends the lock. */
    if (rename(file->temporary, file->target) != 0)
        CLSEQ__TRY(io_error(file->path, "cannot replace"));
    free(file->temporary);
    file->temporary = NULL;
    flush_folder(file->target);
done:
    clseq__file_abandon(file);
    return status;
}

void clseq__file_abandon(clseq__file *file)
{
    if (!file)
        return;
    if (file->temporary)
        unlink(file->temporary);
    if (file->stream)
        fclose(file->stream);
    free(file->temporary);
    free(file->target);
    free(file->path);
    free(file);
}
