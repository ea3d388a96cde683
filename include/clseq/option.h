/*
 * Options: values of a program with a name, a type and a range, read from text and written as text.
 *
 *     int64_t hidden = 128;
 *     double lr = 1e-3;
 *     clseq_option options[] = {
 *         {.name = "hidden", .kind = CLSEQ_OPTION_WHOLE, .value = &hidden, .low = 1, .high = 4096},
 *         {.name = "lr", .kind = CLSEQ_OPTION_REAL, .value = &lr, .high = 1, .rule = CLSEQ_OPTION_CHANGES},
 *     };
 *     char text[64];
 *     clseq_option_read(&options[0], "256");
 *     clseq_option_write(&options[1], text, sizeof text);
 *     printf("hidden %d, lr %s\n", (int)hidden, text);
 *
 * A run (run.h) keeps its options in its checkpoint, and a run that is resumed has those of the first. The text of a
 * value is the same in every locale, and reading it gives the same value again, bit for bit.
 */
#ifndef CLSEQ_OPTION_H
#define CLSEQ_OPTION_H

#include <clseq/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum clseq_option_kind {
    /* const char * */
    CLSEQ_OPTION_TEXT = 0,
    /* int64_t, low..high, which are at most 2^53 */
    CLSEQ_OPTION_WHOLE = 1,
    /* double, low..high */
    CLSEQ_OPTION_REAL = 2,
    /* uint64_t, any */
    CLSEQ_OPTION_SEED = 3,
    /* bool, "0" or "1" */
    CLSEQ_OPTION_FLAG = 4,
    /* int, or an enum of its size: the index of a name */
    CLSEQ_OPTION_NAME = 5
} clseq_option_kind;

/* What becomes of an option when a run is resumed. */
typedef enum clseq_option_rule {
    /* The checkpoint's; another one that is given is refused. For what shapes the model and the order of its data. */
    CLSEQ_OPTION_STAYS = 0,
    /* The checkpoint's, unless another is given. */
    CLSEQ_OPTION_CHANGES = 1,
    /* Of one process only; it does not stand in the checkpoint. */
    CLSEQ_OPTION_PASSES = 2
} clseq_option_rule;

typedef struct clseq_option {
    const char *name;
    clseq_option_kind kind;
    /* Where the value is; of the type that `kind` tells. */
    void *value;
    /* WHOLE and REAL: both included. */
    double low, high;
    /* NAME: the names in their order, NULL behind the last one. */
    const char *(*name_of)(int index);
    clseq_option_rule rule;
    /* Whether somebody asked for this value; one that is only a default gives way to the checkpoint's without a word. */
    bool given;
} clseq_option;

/*
 * Sets the value; a TEXT is not copied. Numbers are decimal, without blanks. Errors: CLSEQ_INVALID_ARGUMENT for a text that
 * is none of the option's values, which then stays as it is.
 */
CLSEQ_API clseq_status clseq_option_read(const clseq_option *option, const char *text);

/* The value as text, "" for a TEXT that is NULL. Errors: CLSEQ_INVALID_ARGUMENT where `size` bytes are too few. */
CLSEQ_API clseq_status clseq_option_write(const clseq_option *option, char *text, size_t size);

/* The option's values in words: "a whole number from 1 to 4096". Errors: as clseq_option_write. */
CLSEQ_API clseq_status clseq_option_describe(const clseq_option *option, char *text, size_t size);

#ifdef __cplusplus
}
#endif
#endif
