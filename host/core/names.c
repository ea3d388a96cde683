#include "core/names.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

/* What the tree's nodes point to. */
typedef struct named {
    void *value;
    const char *name; /* `copy`, or the name that is looked for */
    char copy[];
} named;

static int by_name(const void *left, const void *right)
{
    const named *a = left, *b = right;
    return strcmp(a->name, b->name);
}

bool clseq__names_add(clseq__names *names, const char *name, void *value)
{
    const size_t size = strlen(name) + 1;
    named *new = malloc(sizeof *new + size);
    if (!new)
        return false;
    new->value = value;
    new->name = memcpy(new->copy, name, size);
    if (tsearch(new, &names->root, by_name))
        return true;
    free(new);
    return false;
}

/* A node of the tree begins with the pointer that it keeps. */
static named *find(const clseq__names *names, const char *name)
{
    const named wanted = {.name = name};
    named *const *node = tfind(&wanted, &names->root, by_name);
    return node ? *node : NULL;
}

void *clseq__names_find(const clseq__names *names, const char *name)
{
    const named *found = find(names, name);
    return found ? found->value : NULL;
}

static void remove_entry(clseq__names *names, named *old)
{
    tdelete(old, &names->root, by_name);
    free(old);
}

void clseq__names_remove(clseq__names *names, const char *name)
{
    named *found = find(names, name);
    if (found)
        remove_entry(names, found);
}

void clseq__names_clear(clseq__names *names)
{
    while (names->root)
        remove_entry(names, *(named **)names->root);
}
