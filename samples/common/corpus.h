/*
 * A text as tokens to learn from: its vocabulary, the part kept for validation, and the hash by which a resumed run
 * knows it again.
 *
 *     static corpus_options o = {.validation = 0.05};
 *     static setting table[] = {CORPUS_SETTINGS(o)};
 *     corpus c = {0};
 *     corpus_open(&c, &o, built_in, sizeof built_in, run);
 *     corpus_free(&c);
 */
#ifndef CLSEQ_SAMPLES_CORPUS_H
#define CLSEQ_SAMPLES_CORPUS_H

#include "common/options.h"
#include <clseq/clseq.h>

typedef struct corpus_options {
    const char *text;
    bool lower;
    double validation;
} corpus_options;

/* A resumed run knows its text by its hash, wherever it is. */
#define CORPUS_SETTINGS(o)                                                         \
    SETTING_TEXT("text", &(o).text, PASSES, "FILE",                                \
                 "learn from this file (default: the library's source code)"),     \
        SETTING_FLAG("lower", &(o).lower, STAYS, "turn the text into lower case"), \
        SETTING_REAL("validation", &(o).validation, 0, 0.5, STAYS, "PART",         \
                     "part of the text kept for validation")

enum { CORPUS_META = 3 }; /* pairs of a checkpoint */

typedef struct corpus {
    uint8_t *bytes;
    int32_t *tokens;
    size_t size, train_size; /* the rest is for validation */
    clseq_vocabulary vocabulary;
    char path[4096];    /* absolute; "" for bytes in memory */
    char hash[33];      /* XXH3 of 128 bits over the original bytes, in hex */
    char alphabet[513]; /* the vocabulary's bytes, in hex */
} corpus;

/*
 * Reads the text of --text, of the run that is resumed, or else the built-in one, and encodes it. Fails with a sentence,
 * also where the run learns from another text or would overwrite this one. Pipes can be read too.
 */
void corpus_open(corpus *c, const corpus_options *o, const void *built_in, size_t size, const clseq_run *run);

/* Where the text is from, for people. */
const char *corpus_name(const corpus *c);

/* What a checkpoint says of the text; a path that JSON cannot hold is left out. */
void corpus_meta(const corpus *c, clseq_meta meta[CORPUS_META]);

void lower_ascii(void *bytes, size_t size);

void corpus_free(corpus *c);

#endif
