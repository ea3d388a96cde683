#include "golden.h"

#include "numeric.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct golden {
    const char *file;
    golden_tensor *tensors;
    size_t count;
};

static void fail(const char *file, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "golden file %s: ", file);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
    abort();
}

/* Moves on to the next thing to read, over white space and comments. Returns 0 at the end of the file. */
static int skip_to_next(FILE *file)
{
    int c = fgetc(file);
    while (isspace(c) || c == '#') {
        const bool comment = c == '#';
        do
            c = fgetc(file);
        while (comment && c != '\n' && c != EOF);
    }
    ungetc(c, file);
    return c != EOF;
}

static golden_tensor read_tensor(FILE *file, const char *path)
{
    golden_tensor t = {.n = 1};
    if (fscanf(file, "%63s %d", t.name, &t.ndim) != 2 || t.ndim < 0 || t.ndim > GOLDEN_MAX_DIMS)
        fail(path, "no name and number of dimensions after tensor '%s'", t.name);
    for (int i = 0; i < t.ndim; i++) {
        if (fscanf(file, "%zu", &t.dims[i]) != 1)
            fail(path, "'%s' lacks dimension %d", t.name, i);
        t.n *= t.dims[i];
    }
    t.values = test_doubles(t.n);
    for (size_t i = 0; i < t.n; i++)
        if (fscanf(file, "%lf", &t.values[i]) != 1)
            fail(path, "'%s' ends after %zu of %zu values", t.name, i, t.n);
    return t;
}

golden *golden_open(const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", CLSEQ_TEST_GOLDEN, name);
    FILE *file = fopen(path, "r");
    golden *g = calloc(1, sizeof *g);
    if (file == NULL || g == NULL)
        fail(path, "cannot be opened");
    g->file = name;
    while (skip_to_next(file)) {
        g->tensors = realloc(g->tensors, (g->count + 1) * sizeof *g->tensors);
        if (g->tensors == NULL)
            fail(path, "no memory");
        g->tensors[g->count++] = read_tensor(file, path);
    }
    fclose(file);
    return g;
}

void golden_close(golden *g)
{
    for (size_t i = 0; g != NULL && i < g->count; i++)
        free(g->tensors[i].values);
    if (g != NULL)
        free(g->tensors);
    free(g);
}

static const golden_tensor *find(const golden *g, const char *name)
{
    for (size_t i = 0; i < g->count; i++)
        if (strcmp(g->tensors[i].name, name) == 0)
            return &g->tensors[i];
    return NULL;
}

bool golden_has(const golden *g, const char *name)
{
    return find(g, name) != NULL;
}

const golden_tensor *golden_get(const golden *g, const char *name)
{
    const golden_tensor *tensor = find(g, name);
    if (tensor == NULL)
        fail(g->file, "holds no tensor '%s'", name);
    return tensor;
}

const double *golden_values(const golden *g, const char *name, size_t n)
{
    const golden_tensor *t = golden_get(g, name);
    if (t->n != n)
        fail(g->file, "'%s' has %zu values, not %zu", name, t->n, n);
    return t->values;
}
