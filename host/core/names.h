/*
 * Names and what they stand for, in the balanced tree of POSIX (tsearch): looking one up among n takes log n
 * comparisons whatever the names are, also those that somebody chose to be slow.
 */
#ifndef CLSEQ_CORE_NAMES_H
#define CLSEQ_CORE_NAMES_H

#include <stdbool.h>

/* All zero is empty. */
typedef struct clseq__names {
    void *root;
} clseq__names;

/* Adds a name that is not there yet, as a copy; `value` must not be NULL. False when there is no memory. */
bool clseq__names_add(clseq__names *names, const char *name, void *value);

/* What the name stands for; NULL when it is not there. */
void *clseq__names_find(const clseq__names *names, const char *name);

void clseq__names_remove(clseq__names *names, const char *name);

/* Removes all names and their memory. */
void clseq__names_clear(clseq__names *names);

#endif
