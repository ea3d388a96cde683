/*
 * A setting: a value of a program with its name, type and range, read from text and written as text. Options of the
 * command line are settings, and so is what a checkpoint says about a run.
 *
 *     long long steps = 50;
 *     setting table[] = {{.name = "steps", .kind = SETTING_WHOLE, .value = &steps, .low = 1, .high = 65536}};
 *     char expected[SETTING_TEXT_SIZE];
 *     if (!setting_read(&table[0], "many", expected))
 *         printf("--steps many: expected %s\n", expected); // a whole number from 1 to 65536
 */
#ifndef CLSEQ_SAMPLES_SETTING_H
#define CLSEQ_SAMPLES_SETTING_H

#include <stdbool.h>
#include <stddef.h>

enum { SETTING_TEXT_SIZE = 4096 };

typedef enum {
    SETTING_TEXT,  /* const char * */
    SETTING_WHOLE, /* long long */
    SETTING_REAL,  /* double */
    SETTING_SEED,  /* uint64_t */
    SETTING_FLAG,  /* bool */
    SETTING_CELL   /* clseq_cell, by its name */
} setting_kind;

/* What becomes of a setting when a run is resumed (resume.h). */
typedef enum {
    RESUME_IGNORES, /* it is of this run only and does not stand in the checkpoint */
    RESUME_CHANGES, /* the checkpoint's, unless another is given */
    RESUME_KEEPS    /* the checkpoint's; another one is refused */
} resume_rule;

typedef struct setting {
    const char *name;
    setting_kind kind;
    void *value;
    double low, high;            /* of WHOLE and REAL, both included */
    const char *argument, *help; /* for --help */
    resume_rule resume;
    int letter; /* a short option, 0: none */
    bool given; /* on the command line */
} setting;

/* Sets the value (a TEXT is not copied). False when the text is none of its values: `expected` then says what would be. */
bool setting_read(const setting *s, const char *text, char expected[SETTING_TEXT_SIZE]);

/* The value as text that setting_read reads back to the same value. */
void setting_write(const setting *s, char text[SETTING_TEXT_SIZE]);

#endif
