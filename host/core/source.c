#include "core/source.h"

#include "core/program.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_SIZE 512
#define FILES_MAX 64
#define DEPTH_MAX 16

/* What one program has taken in so far. */
typedef struct resolver {
    const char *kernel_dir;
    const char *options;
    clseq__text *out;
    char seen[FILES_MAX][PATH_SIZE];
    int seen_count;
} resolver;

static clseq_status read_whole(const char *path, clseq__text *out)
{
    clseq_status status = CLSEQ_OK;
    FILE *stream = fopen(path, "rb");
    if (stream == NULL)
        CLSEQ__FAIL(CLSEQ_NOT_FOUND, "kernel file %s cannot be read: %s", path, strerror(errno));
    char block[4096];
    size_t size;
    while ((size = fread(block, 1, sizeof block, stream)) > 0)
        CLSEQ__TRY(clseq__text_add(out, block, size));
    if (ferror(stream))
        CLSEQ__FAIL(CLSEQ_IO_ERROR, "kernel file %s cannot be read: %s", path, strerror(errno));
    CLSEQ__TRY(clseq__text_add(out, "", 0));
done:
    if (stream != NULL)
        fclose(stream);
    return status;
}

/* The text of one file. `*storage` holds it when it comes from a folder. */
static clseq_status find_file(const resolver *r, const char *file, clseq__text *storage, const char **text)
{
    if (r->kernel_dir != NULL) {
        char path[2 * PATH_SIZE];
        int size = snprintf(path, sizeof path, "%s/%s", r->kernel_dir, file);
        if (size < 0 || (size_t)size >= sizeof path)
            return clseq__error(CLSEQ_INVALID_ARGUMENT, "the path of kernel file %s is too long", file);
        CLSEQ__RETURN_IF(read_whole(path, storage));
        *text = storage->data;
        return CLSEQ_OK;
    }
    for (size_t i = 0; i < clseq__source_count; i++)
        if (strcmp(clseq__sources[i].name, file) == 0) {
            *text = clseq__sources[i].text;
            return CLSEQ_OK;
        }
    return clseq__error(CLSEQ_NOT_FOUND, "kernel file %s is not part of the library", file);
}

static bool is_name_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* The value of -DNAME=value in `options`, NULL when it is not there. */
static const char *option_value(const char *options, const char *name, size_t length, size_t *value_length)
{
    for (const char *at = options; at != NULL && *at != '\0';) {
        at += strspn(at, " ");
        size_t size = strcspn(at, " ");
        if (size > length + 3 && strncmp(at, "-D", 2) == 0 && strncmp(at + 2, name, length) == 0 &&
            at[2 + length] == '=') {
            *value_length = size - length - 3;
            return at + length + 3;
        }
        at += size;
    }
    return NULL;
}

/* Copies an include's path with the values of its $NAMEs. */
static clseq_status expand_path(const resolver *r, const char *file, const char *path, size_t length,
                                char out[PATH_SIZE])
{
    size_t used = 0;
    for (size_t i = 0; i < length;) {
        const char *part = path + i;
        size_t size = 1;
        if (path[i] == '$') {
            size_t name = 0;
            while (i + 1 + name < length && is_name_character(path[i + 1 + name]))
                name++;
            part = option_value(r->options, path + i + 1, name, &size);
            if (part == NULL)
                return clseq__error(CLSEQ_NOT_FOUND,
                                    "kernel file %s includes \"%.*s\", but the options have no -D%.*s=", file,
                                    (int)length, path, (int)name, path + i + 1);
            i += name;
        }
        i++;
        if (used + size >= PATH_SIZE)
            return clseq__error(CLSEQ_INVALID_ARGUMENT, "kernel file %s has an include that is too long",
                                file);
        memcpy(out + used, part, size);
        used += size;
    }
    out[used] = '\0';
    return CLSEQ_OK;
}

/* Whether a line is `#include "path"`; gives the path. */
static bool is_include(const char *line, size_t length, const char **path, size_t *path_length)
{
    static const char word[] = "include";
    const char *end = line + length;
    while (line < end && (*line == ' ' || *line == '\t'))
        line++;
    if (line == end || *line++ != '#')
        return false;
    while (line < end && (*line == ' ' || *line == '\t'))
        line++;
    if ((size_t)(end - line) < sizeof word - 1 || strncmp(line, word, sizeof word - 1) != 0)
        return false;
    line += sizeof word - 1;
    while (line < end && (*line == ' ' || *line == '\t'))
        line++;
    if (line == end || *line++ != '"')
        return false;
    const char *close = memchr(line, '"', (size_t)(end - line));
    if (close == NULL)
        return false;
    *path = line;
    *path_length = (size_t)(close - line);
    return true;
}

static clseq_status add_file(resolver *r, const char *file, int depth);

/* Puts an included file in the place of its line, unless the program has it already. */
static clseq_status add_include(resolver *r, const char *file, long line, const char *path, size_t length,
                                int depth)
{
    char expanded[PATH_SIZE];
    CLSEQ__RETURN_IF(expand_path(r, file, path, length, expanded));
    for (int i = 0; i < r->seen_count; i++)
        if (strcmp(r->seen[i], expanded) == 0)
            return clseq__text_add(r->out, "\n", 1);
    clseq_status status = add_file(r, expanded, depth + 1);
    if (status == CLSEQ_NOT_FOUND)
        return clseq__error(status, "%s (included by %s, line %ld)", clseq_last_error(), file, line);
    CLSEQ__RETURN_IF(status);
    return clseq__text_print(r->out, "#line %ld \"%s\"\n", line + 1, file);
}

static clseq_status add_file(resolver *r, const char *file, int depth)
{
    clseq_status status = CLSEQ_OK;
    clseq__text storage = {0};
    const char *text = NULL;
    if (depth > DEPTH_MAX || r->seen_count == FILES_MAX || strlen(file) >= PATH_SIZE)
        CLSEQ__FAIL(CLSEQ_INVALID_ARGUMENT, "kernel file %s: too many includes, or too deep", file);
    strcpy(r->seen[r->seen_count++], file);
    CLSEQ__TRY(find_file(r, file, &storage, &text));
    CLSEQ__TRY(clseq__text_print(r->out, "#line 1 \"%s\"\n", file));
    for (long line = 1; *text != '\0'; line++) {
        const char *path = NULL;
        size_t path_length = 0, length = strcspn(text, "\n");
        if (is_include(text, length, &path, &path_length)) {
            CLSEQ__TRY(add_include(r, file, line, path, path_length, depth));
        } else {
            CLSEQ__TRY(clseq__text_add(r->out, text, length));
            CLSEQ__TRY(clseq__text_add(r->out, "\n", 1));
        }
        text += length + (text[length] == '\n');
    }
done:
    free(storage.data);
    return status;
}

/* Every program file that the library has in a folder; `folder` ends in a slash. */
static clseq_status add_folder(resolver *r, const char *folder)
{
    bool found = false;
    for (size_t i = 0; i < clseq__source_count; i++) {
        const char *name = clseq__sources[i].name, *end = strrchr(name, '.');
        if (strncmp(name, folder, strlen(folder)) != 0 || !end || strcmp(end, ".cl") != 0)
            continue;
        found = true;
        CLSEQ__RETURN_IF(add_file(r, name, 0));
    }
    return found ? CLSEQ_OK
                 : clseq__error(CLSEQ_NOT_FOUND, "kernel folder %s is not part of the library", folder);
}

clseq_status clseq__source_resolve(const char *kernel_dir, const char *file, const char *options,
                                   clseq__text *out)
{
    resolver *r = calloc(1, sizeof *r);
    if (r == NULL)
        return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "kernel file %s: no memory to read it", file);
    r->kernel_dir = kernel_dir;
    r->options = options;
    r->out = out;
    const size_t length = strlen(file);
    const bool is_folder = length > 0 && file[length - 1] == '/';
    clseq_status status = is_folder ? add_folder(r, file) : add_file(r, file, 0);
    free(r);
    return status;
}
