#include "common/corpus.h"
#include "common/program.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static void set_hash(corpus *c)
{
    XXH128_hash_t hash = XXH3_128bits(c->bytes, c->size);
    snprintf(c->hash, sizeof c->hash, "%016llx%016llx", (unsigned long long)hash.high64,
             (unsigned long long)hash.low64);
}

void corpus_read(corpus *c, const char *option, const char *path)
{
    size_t capacity = 0, got = 0;
    FILE *file = fopen(path, "rb");
    if (!file)
        fail("%s %s: cannot read it: %s", option, path, strerror(errno));
    do {
        if (c->size == capacity) {
            capacity = capacity ? 2 * capacity : 1 << 20;
            c->bytes = realloc(c->bytes, capacity);
            if (!c->bytes)
                fail("%s %s: no memory for %zu bytes", option, path, capacity);
        }
        got = fread(c->bytes + c->size, 1, capacity - c->size, file);
        c->size += got;
    } while (got > 0);
    if (ferror(file))
        fail("%s %s: cannot read it: %s", option, path, strerror(errno));
    fclose(file);
    if (c->size == 0)
        fail("%s %s: it is empty", option, path);
    char *real = realpath(path, NULL);
    snprintf(c->path, sizeof c->path, "%s", real ? real : path);
    free(real);
    set_hash(c);
}

void corpus_copy(corpus *c, const void *bytes, size_t size)
{
    c->bytes = allocate(size);
    c->size = size;
    memcpy(c->bytes, bytes, size);
    set_hash(c);
}

void corpus_encode(corpus *c, bool lower, double validation)
{
    if (lower)
        lower_ascii(c->bytes, c->size);
    check(clseq_vocabulary_from_bytes(&c->vocabulary, c->bytes, c->size));
    for (int i = 0; i < c->vocabulary.size; i++)
        snprintf(c->alphabet + 2 * i, 3, "%02x", (unsigned)c->vocabulary.byte_of[i]);
    c->tokens = allocate(c->size * sizeof *c->tokens);
    check(clseq_vocabulary_encode(&c->vocabulary, c->bytes, c->size, c->tokens));
    c->train_size = c->size - (size_t)((double)c->size * validation);
}

void lower_ascii(void *bytes, size_t size)
{
    uint8_t *b = bytes;
    for (size_t i = 0; i < size; i++)
        if (b[i] >= 'A' && b[i] <= 'Z')
            b[i] += 'a' - 'A';
}

void corpus_free(corpus *c)
{
    free(c->tokens);
    free(c->bytes);
}
