/* The files of a run: whether they can be written, and which are the same. */
#include "train/run.h"

#include "core/text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

char *clseq__run_best_path(clseq__arena *arena, const char *path)
{
    static const char word[] = ".best";
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *dot = strrchr(name, '.');
    const size_t length = strlen(path), stem = dot && dot > name ? (size_t)(dot - path) : length;
    char *best = clseq__arena_get(arena, length + sizeof word);
    if (best)
        snprintf(best, length + sizeof word, "%.*s%s%s", (int)stem, path, word, path + stem);
    return best;
}

/* A file that is replaced as a whole. A link to nothing could be a second name for another of the files. */
static clseq_status check_file(const char *kind, const char *path)
{
    struct stat facts;
    if (stat(path, &facts) != 0 && lstat(path, &facts) == 0)
        return clseq__error(CLSEQ_IO_ERROR, "run create: %s %s: is a symbolic link to nothing", kind, path);
    const clseq_status status = clseq_checkpoint_can_save(path);
    return status == CLSEQ_OK ? status : clseq__error(status, "run create: %s %s", kind, clseq_last_error());
}

/* The folder of a path, where it is a folder. */
static bool folder_of(const char *path, struct stat *facts)
{
    const char *slash = strrchr(path, '/');
    clseq__text folder = {0};
    bool found = false;
    if (!slash)
        return stat(".", facts) == 0;
    if (clseq__text_print(&folder, "%.*s", (int)(slash - path) + 1, path) == CLSEQ_OK)
        found = stat(folder.data, facts) == 0;
    free(folder.data);
    return found;
}

static bool same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Whether two paths mean the same regular file, there already or still to be made. */
static bool same_file(const char *a, const char *b)
{
    struct stat x, y;
    const bool a_is_there = stat(a, &x) == 0, b_is_there = stat(b, &y) == 0;
    if (a_is_there || b_is_there)
        return a_is_there && b_is_there && S_ISREG(x.st_mode) && same(&x, &y);
    const char *name_a = strrchr(a, '/') ? strrchr(a, '/') + 1 : a;
    const char *name_b = strrchr(b, '/') ? strrchr(b, '/') + 1 : b;
    return strcmp(name_a, name_b) == 0 && folder_of(a, &x) && folder_of(b, &y) && same(&x, &y);
}

clseq_status clseq__run_check_files(const clseq_run *run)
{
    const char *checkpoint = run->desc.checkpoint, *metrics = run->desc.metrics;
    struct stat facts;
    if (checkpoint) {
        CLSEQ__RETURN_IF(check_file("checkpoint", checkpoint));
        CLSEQ__RETURN_IF(check_file("checkpoint", run->best));
        if (same_file(checkpoint, run->best))
            return clseq__error(CLSEQ_INVALID_ARGUMENT,
                                "run create: checkpoint %s: it is the same file as %s, where the best goes",
                                checkpoint, run->best);
    }
    if (metrics && (stat(metrics, &facts) != 0 || !S_ISCHR(facts.st_mode)))
        CLSEQ__RETURN_IF(check_file("metrics", metrics));
    if (metrics && checkpoint && (same_file(metrics, checkpoint) || same_file(metrics, run->best)))
        return clseq__error(CLSEQ_INVALID_ARGUMENT,
                            "run create: metrics %s: the checkpoint goes there, expected another file",
                            metrics);
    return CLSEQ_OK;
}

const char *clseq_run_best_path(const clseq_run *run)
{
    return run ? run->best : NULL;
}

bool clseq_run_writes(const clseq_run *run, const char *path)
{
    if (!run || !path)
        return false;
    const char *const files[] = {run->desc.checkpoint, run->best, run->desc.metrics};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (files[i] && same_file(files[i], path))
            return true;
    return false;
}
