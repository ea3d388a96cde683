#include "core/file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static clseq_status io_error(const char *path, const char *what)
{
    return clseq__error(CLSEQ_IO_ERROR, "%s: %s: %s", path, what, strerror(errno));
}

/* mkstemp makes files that only their owner may read; a checkpoint gets the rights that any new file would have. */
static void usual_rights(int descriptor)
{
    mode_t mask = umask(0);
    umask(mask);
    (void)fchmod(descriptor, 0666 & ~mask);
}

clseq_status clseq__file_begin(const char *path, FILE **file, char **temporary)
{
    clseq_status status = CLSEQ_OK;
    int descriptor = -1;
    size_t length = strlen(path);
    char *name = malloc(length + sizeof ".XXXXXX");
    *file = NULL;
    *temporary = NULL;
    if (!name)
        CLSEQ__FAIL(CLSEQ_OUT_OF_HOST_MEMORY, "%s: no memory for a file name", path);
    memcpy(name, path, length);
    memcpy(name + length, ".XXXXXX", sizeof ".XXXXXX");
    descriptor = mkstemp(name);
    if (descriptor < 0)
        CLSEQ__TRY(io_error(path, "cannot create a file beside it"));
    usual_rights(descriptor);
    *file = fdopen(descriptor, "wb");
    if (!*file) {
        status = io_error(path, "cannot open for writing");
        close(descriptor);
        unlink(name);
        goto done;
    }
    *temporary = name;
    name = NULL;
done:
    free(name);
    return status;
}

clseq_status clseq__file_write(const char *path, FILE *file, const void *data, size_t size)
{
    if (size > 0 && fwrite(data, 1, size, file) != size)
        return io_error(path, "cannot write");
    return CLSEQ_OK;
}

/* The rename itself lasts only when the folder is on the disk too; file systems that cannot do that are left alone. */
static void flush_folder(char *path)
{
    char *slash = strrchr(path, '/');
    int folder;
    if (slash)
        slash[slash == path] = 0;
    folder = open(slash ? path : ".", O_RDONLY);
    if (folder >= 0) {
        (void)fsync(folder);
        close(folder);
    }
}

clseq_status clseq__file_commit(const char *path, FILE *file, char *temporary)
{
    clseq_status status = CLSEQ_OK;
    if (fflush(file) != 0 || fsync(fileno(file)) != 0) {
        status = io_error(path, "cannot write");
        clseq__file_abandon(file, temporary);
        return status;
    }
    if (fclose(file) != 0) {
        status = io_error(path, "cannot write");
        clseq__file_abandon(NULL, temporary);
        return status;
    }
    if (rename(temporary, path) != 0) {
        status = io_error(path, "cannot replace");
        clseq__file_abandon(NULL, temporary);
        return status;
    }
    flush_folder(temporary);
    free(temporary);
    return CLSEQ_OK;
}

void clseq__file_abandon(FILE *file, char *temporary)
{
    if (file)
        fclose(file);
    if (temporary)
        unlink(temporary);
    free(temporary);
}
