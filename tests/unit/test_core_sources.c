/* The kernels that the build embeds are the files below cl/, byte for byte. */
#include "core/program.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The file's bytes with a 0 behind them, to be freed by the caller; NULL when it cannot be read. */
static char *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    char *bytes = NULL;
    long end = -1;
    if (file != NULL && fseek(file, 0, SEEK_END) == 0 && (end = ftell(file)) >= 0 &&
        (bytes = calloc(1, (size_t)end + 1)) != NULL) {
        rewind(file);
        *size = fread(bytes, 1, (size_t)end, file);
    }
    if (file != NULL)
        fclose(file);
    return bytes;
}

Test(core_sources, equal_the_files)
{
    cr_assert_gt(clseq__source_count, 0);
    for (size_t i = 0; i < clseq__source_count; i++) {
        const clseq__source *source = &clseq__sources[i];
        char path[1024];
        size_t size = 0;
        snprintf(path, sizeof path, "%s/cl/%s", CLSEQ_SOURCE_DIR, source->name);
        char *bytes = read_file(path, &size);
        cr_assert_not_null(bytes, "%s cannot be read", path);
        cr_assert_eq(source->size, size, "%s: %zu bytes embedded, %zu in the file", source->name,
                     source->size, size);
        cr_assert_eq(memcmp(source->text, bytes, size + 1), 0, "%s: embedded text differs", source->name);
        free(bytes);
    }
}
