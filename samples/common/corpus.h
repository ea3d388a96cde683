/*
 * A text as tokens to learn from: its vocabulary, the part kept for validation, and the hash by which a resumed run
 * knows it again.
 *
 *     corpus c = {0};
 *     corpus_read(&c, "--text", "book.txt"); // or corpus_copy, of bytes in memory
 *     corpus_encode(&c, true, 0.05);         // in lower case; the last 5 % for validation
 *     corpus_free(&c);
 */
#ifndef CLSEQ_SAMPLES_CORPUS_H
#define CLSEQ_SAMPLES_CORPUS_H

#include <clseq/data.h>

typedef struct corpus {
    uint8_t *bytes;
    int32_t *tokens;
    size_t size, train_size; /* the rest is for validation */
    clseq_vocabulary vocabulary;
    char path[4096];    /* absolute; "" for bytes in memory */
    char hash[33];      /* XXH3 of 128 bits over the original bytes, in hex */
    char alphabet[513]; /* the vocabulary's bytes, in hex */
} corpus;

/* Fails with a sentence that names the option. Pipes can be read too. */
void corpus_read(corpus *c, const char *option, const char *path);
void corpus_copy(corpus *c, const void *bytes, size_t size);

/* What corpus_read found becomes tokens; `lower` turns A to Z into a to z before. */
void corpus_encode(corpus *c, bool lower, double validation);

void lower_ascii(void *bytes, size_t size);

void corpus_free(corpus *c);

#endif
