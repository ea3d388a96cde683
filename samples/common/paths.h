/*
 * Whether a file that is written at the end of a long run can be written, found out at its start.
 *
 *     check_target("--checkpoint", "run.safetensors", false);
 *     if (same_file("run.safetensors", "text.txt"))
 *         fail("--checkpoint and --text are the same file");
 */
#ifndef CLSEQ_SAMPLES_PATHS_H
#define CLSEQ_SAMPLES_PATHS_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Fails with a sentence that names the option unless `path` is a regular file, or a name that is free, in a folder
 * that can be written. Symbolic links are followed. `device_too`: a character device such as /dev/null is as good.
 */
void check_target(const char *option, const char *path, bool device_too);

/* Whether two names mean the same regular file, there already or still to be made. */
bool same_file(const char *a, const char *b);

/* "run.safetensors" with "best" is "run.best.safetensors", a name without a dot gets the word at its end. The caller frees it. */
char *path_with_word(const char *path, const char *word);

#endif
