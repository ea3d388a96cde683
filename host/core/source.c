#include "core/source.h"

#include "core/directive.h"
#include "core/program.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_SIZE 512
#define PLACES_MAX 256
#define DEPTH_MAX 16
#define BRANCHES_MAX 32

/* The branches of #if around a line, each with a number of its own: from the outermost to the innermost. */
typedef struct branches {
    int number[BRANCHES_MAX];
    int depth;
} branches;

/* A file that was put in, and the branches around it. */
typedef struct place {
    char file[PATH_SIZE];
    branches around;
} place;

/* One .cl file with its includes: what C calls a translation unit. */
typedef struct unit {
    const char *kernel_dir;
    const char *options;
    clseq__text text;
    clseq__text macros; /* names, each with a line end behind it */
    clseq__text own;    /* the same of static functions and records */
    bool contracts;     /* has a pragma about FP_CONTRACT */
    bool shared;        /* is one of several in a program */
    branches around;
    int branch_count;
    int place_count;
    place places[PLACES_MAX];
} unit;

static clseq_status read_whole(const char *path, clseq__text *out)
{
    clseq_status status = CLSEQ_OK;
    FILE *stream = fopen(path, "rb");
    if (stream == NULL)
        CLSEQ__FAIL(CLSEQ_NOT_FOUND, "kernel file %s cannot be read: %s", path, strerror(errno));
    CLSEQ__TRY(clseq__text_read(out, stream));
    if (ferror(stream))
        CLSEQ__FAIL(CLSEQ_IO_ERROR, "kernel file %s cannot be read: %s", path, strerror(errno));
done:
    if (stream != NULL)
        fclose(stream);
    return status;
}

/* The text of one file. `*storage` holds it when it comes from a folder. */
static clseq_status find_file(const unit *u, const char *file, clseq__text *storage, const char **text)
{
    if (u->kernel_dir != NULL) {
        char path[2 * PATH_SIZE];
        int size = snprintf(path, sizeof path, "%s/%s", u->kernel_dir, file);
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
static clseq_status expand_path(const unit *u, const char *file, const char *path, size_t length,
                                char out[PATH_SIZE])
{
    size_t used = 0;
    for (size_t i = 0; i < length;) {
        const char *part = path + i;
        size_t size = 1;
        if (path[i] == '$') {
            size_t name = 0;
            while (i + 1 + name < length && clseq__is_name_character(path[i + 1 + name]))
                name++;
            part = option_value(u->options, path + i + 1, name, &size);
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

/* Whether the list of names has this one. */
static bool has_name(const clseq__text *list, const char *name, size_t length)
{
    for (const char *at = list->data; at != NULL && *at != '\0'; at += strcspn(at, "\n") + 1)
        if (strcspn(at, "\n") == length && strncmp(at, name, length) == 0)
            return true;
    return false;
}

static clseq_status add_name(clseq__text *list, const char *name, size_t length)
{
    return has_name(list, name, length) ? CLSEQ_OK : clseq__text_print(list, "%.*s\n", (int)length, name);
}

/* Whether the program has what stands in the branches `outer` wherever it has what stands in `inner`. */
static bool encloses(const branches *outer, const branches *inner)
{
    return outer->depth <= inner->depth &&
           memcmp(outer->number, inner->number, (size_t)outer->depth * sizeof outer->number[0]) == 0;
}

static clseq_status add_file(unit *u, const char *file, int depth);

/*
 * Puts an included file in the place of its line, unless it is certain to stand before. Where branches of #if
 * decide, the compiler is asked: the file stands in both places, each time within a question for a macro that
 * says whether the other was taken.
 */
static clseq_status add_include(unit *u, const char *file, long line, const char *path, size_t length,
                                int depth)
{
    char expanded[PATH_SIZE], mark[64];
    int first = u->place_count;
    CLSEQ__RETURN_IF(expand_path(u, file, path, length, expanded));
    for (int i = u->place_count - 1; i >= 0; i--) {
        if (strcmp(u->places[i].file, expanded) != 0)
            continue;
        if (encloses(&u->places[i].around, &u->around))
            return clseq__text_add(&u->text, "\n", 1);
        first = i;
    }
    const bool asked = u->around.depth > 0 || first < u->place_count;
    if (asked) {
        int size = snprintf(mark, sizeof mark, "CLSEQ_INCLUDED_%d", first);
        CLSEQ__RETURN_IF(add_name(&u->macros, mark, (size_t)size));
        CLSEQ__RETURN_IF(clseq__text_print(&u->text, "#ifndef %s\n#define %s\n", mark, mark));
    }
    clseq_status status = add_file(u, expanded, depth + 1);
    if (status == CLSEQ_NOT_FOUND)
        return clseq__error(status, "%s (included by %s, line %ld)", clseq_last_error(), file, line);
    CLSEQ__RETURN_IF(status);
    return clseq__text_print(&u->text, "%s#line %ld \"%s\"\n", asked ? "#endif\n" : "", line + 1, file);
}

/* Follows #if, #else and #endif; a file's own begin at depth `base`. */
static clseq_status follow_branch(unit *u, clseq__line_kind kind, int base, const char *file, long line)
{
    branches *around = &u->around;
    if (kind != CLSEQ__LINE_IF && around->depth == base)
        return clseq__error(CLSEQ_BUILD_FAILED, "kernel file %s, line %ld: there is no #if before", file,
                            line);
    if (kind == CLSEQ__LINE_IF && around->depth == BRANCHES_MAX)
        return clseq__error(CLSEQ_UNSUPPORTED, "kernel file %s, line %ld: #if within more than %d others",
                            file, line, BRANCHES_MAX - 1);
    if (kind != CLSEQ__LINE_IF)
        around->depth--;
    if (kind != CLSEQ__LINE_ENDIF)
        around->number[around->depth++] = u->branch_count++;
    return CLSEQ_OK;
}

/* A pragma that lasts must be one whose end is known, or it would reach the files behind. */
static clseq_status note_pragma(unit *u, const char *text, size_t length, const char *file, long line)
{
    static const struct {
        const char *words;
        bool contracts;
    } known[] = {{"OPENCL FP_CONTRACT", true}, {"unroll", false}, {"nounroll", false}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        const size_t size = strlen(known[i].words);
        if (length >= size && strncmp(text, known[i].words, size) == 0) {
            u->contracts = u->contracts || known[i].contracts;
            return CLSEQ_OK;
        }
    }
    if (!u->shared)
        return CLSEQ_OK;
    return clseq__error(CLSEQ_UNSUPPORTED,
                        "kernel file %s, line %ld: #pragma %.*s would reach the other files of the program, "
                        "expected OPENCL FP_CONTRACT, unroll or nounroll",
                        file, line, (int)length, text);
}

/* Copies a line, having noted what of it would outlast the file. */
static clseq_status add_line(unit *u, const clseq__line *read, const char *text, size_t length, int base,
                             const char *file, long line)
{
    clseq__text *const lists[CLSEQ__LINE_KINDS] = {[CLSEQ__LINE_DEFINE] = &u->macros,
                                                   [CLSEQ__LINE_UNDEF] = &u->macros,
                                                   [CLSEQ__LINE_FUNCTION] = &u->own,
                                                   [CLSEQ__LINE_RECORD] = &u->own};
    if (lists[read->kind] != NULL)
        CLSEQ__RETURN_IF(add_name(lists[read->kind], read->text, read->length));
    if (read->kind == CLSEQ__LINE_IF || read->kind == CLSEQ__LINE_ELSE || read->kind == CLSEQ__LINE_ENDIF)
        CLSEQ__RETURN_IF(follow_branch(u, read->kind, base, file, line));
    if (read->kind == CLSEQ__LINE_PRAGMA)
        CLSEQ__RETURN_IF(note_pragma(u, read->text, read->length, file, line));
    CLSEQ__RETURN_IF(clseq__text_add(&u->text, text, length));
    return clseq__text_add(&u->text, "\n", 1);
}

static clseq_status add_file(unit *u, const char *file, int depth)
{
    clseq_status status = CLSEQ_OK;
    clseq__text storage = {0};
    clseq__line_state state = {0};
    const char *text = NULL;
    const int base = u->around.depth;
    if (depth > DEPTH_MAX || u->place_count == PLACES_MAX || strlen(file) >= PATH_SIZE)
        CLSEQ__FAIL(CLSEQ_INVALID_ARGUMENT, "kernel file %s: too many includes, or too deep", file);
    place *here = &u->places[u->place_count++];
    strcpy(here->file, file);
    here->around = u->around;
    CLSEQ__TRY(find_file(u, file, &storage, &text));
    CLSEQ__TRY(clseq__text_print(&u->text, "#line 1 \"%s\"\n", file));
    for (long line = 1; *text != '\0'; line++) {
        const size_t length = strcspn(text, "\n");
        const clseq__line read = clseq__line_read(&state, text, length);
        if (read.kind == CLSEQ__LINE_INCLUDE)
            CLSEQ__TRY(add_include(u, file, line, read.text, read.length, depth));
        else
            CLSEQ__TRY(add_line(u, &read, text, length, base, file, line));
        text += length + (text[length] == '\n');
    }
    if (state.in_comment || state.continued || u->around.depth != base)
        CLSEQ__FAIL(CLSEQ_BUILD_FAILED, "kernel file %s ends within %s", file,
                    state.in_comment  ? "a comment"
                    : state.continued ? "a line that goes on"
                                      : "an #if");
done:
    free(storage.data);
    return status;
}

/* A unit's name in the names of what is its own: that of the file without folders and end. */
static void stem_of(const char *file, char out[PATH_SIZE])
{
    const char *slash = strrchr(file, '/');
    snprintf(out, PATH_SIZE, "%s", slash != NULL ? slash + 1 : file);
    out[strcspn(out, ".")] = '\0';
    for (char *c = out; *c != '\0'; c++)
        *c = clseq__is_name_character(*c) ? *c : '_';
}

/* Prints a line for each name: `before`, the name, `after`. */
static clseq_status print_names(clseq__text *out, const clseq__text *names, const clseq__text *except,
                                const char *before, const char *after, bool again)
{
    for (const char *at = names->data; at != NULL && *at != '\0'; at += strcspn(at, "\n") + 1) {
        const int length = (int)strcspn(at, "\n");
        if (except == NULL || !has_name(except, at, (size_t)length))
            CLSEQ__RETURN_IF(
                clseq__text_print(out, "%s%.*s%s%.*s\n", before, length, at, after, again ? length : 0, at));
    }
    return CLSEQ_OK;
}

/*
 * Adds a unit to a program of several so that nothing of it reaches those behind: macros are as they were before
 * it (its names are undefined first, for compilers that do not know push_macro), its static functions and its records get
 * names of their own, and contraction is the compiler's default again.
 */
static clseq_status close_unit(const unit *u, const char *file, clseq__text *out)
{
    const clseq__text *macros = &u->macros, *own = &u->own;
    char stem[PATH_SIZE], renamed[PATH_SIZE + 8];
    stem_of(file, stem);
    snprintf(renamed, sizeof renamed, " %s__", stem);
    CLSEQ__RETURN_IF(print_names(out, macros, NULL, "#pragma push_macro(\"", "\")", false));
    CLSEQ__RETURN_IF(print_names(out, own, macros, "#define ", renamed, true));
    CLSEQ__RETURN_IF(clseq__text_add(out, u->text.data, u->text.size));
    CLSEQ__RETURN_IF(print_names(out, own, macros, "#undef ", "", false));
    CLSEQ__RETURN_IF(print_names(out, macros, NULL, "#undef ", "", false));
    CLSEQ__RETURN_IF(print_names(out, macros, NULL, "#pragma pop_macro(\"", "\")", false));
    return u->contracts ? clseq__text_print(out, "#pragma OPENCL FP_CONTRACT DEFAULT\n") : CLSEQ_OK;
}

/* One file with its includes, alone or as one of several in a program. */
static clseq_status add_unit(const char *kernel_dir, const char *file, const char *options, bool shared,
                             clseq__text *out)
{
    unit *u = calloc(1, sizeof *u);
    if (u == NULL)
        return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "kernel file %s: no memory to read it", file);
    u->kernel_dir = kernel_dir;
    u->options = options;
    u->shared = shared;
    clseq_status status = add_file(u, file, 0);
    if (status == CLSEQ_OK)
        status = shared ? close_unit(u, file, out) : clseq__text_add(out, u->text.data, u->text.size);
    free(u->text.data);
    free(u->macros.data);
    free(u->own.data);
    free(u);
    return status;
}

/* Every program file that the library has in a folder; `folder` ends in a slash. */
static clseq_status add_folder(const char *kernel_dir, const char *folder, const char *options,
                               clseq__text *out)
{
    bool found = false;
    for (size_t i = 0; i < clseq__source_count; i++) {
        const char *name = clseq__sources[i].name, *end = strrchr(name, '.');
        if (strncmp(name, folder, strlen(folder)) != 0 || !end || strcmp(end, ".cl") != 0)
            continue;
        found = true;
        CLSEQ__RETURN_IF(add_unit(kernel_dir, name, options, true, out));
    }
    return found ? CLSEQ_OK
                 : clseq__error(CLSEQ_NOT_FOUND, "kernel folder %s is not part of the library", folder);
}

clseq_status clseq__source_resolve(const char *kernel_dir, const char *file, const char *options,
                                   clseq__text *out)
{
    const size_t length = strlen(file);
    return length > 0 && file[length - 1] == '/' ? add_folder(kernel_dir, file, options, out)
                                                 : add_unit(kernel_dir, file, options, false, out);
}
