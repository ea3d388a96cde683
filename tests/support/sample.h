/* The programs of samples/ as a user runs them, each test in an empty folder of its own. */
#ifndef CLSEQ_TESTS_SUPPORT_SAMPLE_H
#define CLSEQ_TESTS_SUPPORT_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { SAMPLE_OUTPUT = 1 << 16 };

extern char sample_output[SAMPLE_OUTPUT]; /* of the last run, both streams */

/* For the fixtures of a suite: goes to a new folder that has a file "text" to learn from; deletes it. */
void sample_setup(void);
void sample_teardown(void);

/* Options of char_lm for a model and a text that take a second or two. */
extern const char *const sample_small[];

typedef struct sample_options {
    const char *program;   /* NULL: char_lm */
    const char *device;    /* for CLSEQ_DEVICE; NULL: that of the tests */
    const char *stdout_to; /* a file instead of `sample_output`; stderr still goes there */
    size_t file_limit; /* files of the program cannot grow beyond, as if the disk were full; 0: they can */
    bool own_group;    /* a process group, as a terminal would make */
    const char *pocl_cache; /* a folder */
    const char *tools;      /* a folder before those of PATH */
} sample_options;

/*
 * Starts a program with `first` and then `rest`, both NULL-terminated, `first` may be NULL. It is killed when it
 * takes a minute (ten with CLSEQ_TEST_SMALL).
 */
pid_t sample_start(const char *const *first, const char *const *rest, const sample_options *how);

/* Its exit code, or 128 + the signal that killed it, as a shell says. */
int sample_finish(pid_t child);

#define SAMPLE(first, ...) \
    sample_finish(sample_start((first), (const char *const[]){__VA_ARGS__, NULL}, &(sample_options){0}))

/* Copies what stands between the two lines around generated text in `sample_output`; "" when there is none. */
void sample_generated(char text[SAMPLE_OUTPUT]);

/* Files of the folder. */
void sample_write(const char *name, const void *data, size_t size);
bool sample_exists(const char *name);

/* Waits until the file is there, at most half a minute (ten with CLSEQ_TEST_SMALL). */
void sample_wait_for(const char *name);

/* A column of the metrics, rows where it is empty left out; the number of values. */
int sample_metrics(const char *path, const char *column, double *values, int most);

/* Replaces the value of a metadata key of a checkpoint; `value` as JSON writes it between quotes. */
void sample_set_meta(const char *path, const char *key, const char *value);

/* Whether two checkpoints have the same tensors, bit for bit; NULL, or the name of one that differs. */
const char *sample_difference(const char *left, const char *right);

#endif
