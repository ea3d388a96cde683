#include "common/corpus.h"
#include "common/escape.h"
#include "common/program.h"
#include "common/training.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

static void set_hash(corpus *c)
{
    XXH128_hash_t hash = XXH3_128bits(c->bytes, c->size);
    snprintf(c->hash, sizeof c->hash, "%016llx%016llx", (unsigned long long)hash.high64,
             (unsigned long long)hash.low64);
}

static void read_file(corpus *c, const char *path)
{
    size_t capacity = 0, got = 0;
    FILE *file = fopen(path, "rb");
    if (!file)
        fail("--text %s: cannot read it: %s", path, strerror(errno));
    do {
        if (c->size == capacity) {
            capacity = capacity ? 2 * capacity : 1 << 20;
            c->bytes = realloc(c->bytes, capacity);
            if (!c->bytes)
                fail("--text %s: no memory for %zu bytes", path, capacity);
        }
        got = fread(c->bytes + c->size, 1, capacity - c->size, file);
        c->size += got;
    } while (got > 0);
    if (ferror(file))
        fail("--text %s: cannot read it: %s", path, strerror(errno));
    fclose(file);
    if (c->size == 0)
        fail("--text %s: it is empty", path);
    char *real = realpath(path, NULL);
    snprintf(c->path, sizeof c->path, "%s", real ? real : path);
    free(real);
    set_hash(c);
}

static void copy_bytes(corpus *c, const void *bytes, size_t size)
{
    c->bytes = allocate(size);
    c->size = size;
    memcpy(c->bytes, bytes, size);
    set_hash(c);
}

static void encode(corpus *c, bool lower, double validation)
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

/* The value of a key of the checkpoint. The caller frees it. */
static char *read_meta(const char *key)
{
    enum { SIZE = 4096 };
    char *value = allocate(SIZE);
    check(clseq_checkpoint_meta(training.checkpoint, key, value, SIZE));
    return value;
}

/* The text of a resumed run, found by the path in the checkpoint unless another is given, and known by its hash. */
static void find_text(corpus *c, const corpus_options *o, const void *built_in, size_t size)
{
    struct stat info;
    char *path = training.resume && !o->text ? read_meta("text") : NULL;
    char *hash = training.resume ? read_meta("text_hash") : NULL;
    if (path && *path && (stat(path, &info) != 0 || !S_ISREG(info.st_mode)))
        fail("%s: its text was %s, which is no file now; give it with --text", training.checkpoint, path);
    if (o->text || (path && *path))
        read_file(c, o->text ? o->text : path);
    else
        copy_bytes(c, built_in, size);
    if (hash && strcmp(hash, c->hash) != 0)
        fail("%s%s is not the text that the run in %s learns from: its hash is %s, expected %s",
             c->path[0] ? "--text " : "", corpus_name(c), training.checkpoint, c->hash, hash);
    free(path);
    free(hash);
}

void corpus_open(corpus *c, const corpus_options *o, const void *built_in, size_t size, const clseq_run *run)
{
    find_text(c, o, built_in, size);
    if (c->path[0] && clseq_run_writes(run, c->path))
        fail("--text %s: --checkpoint or --metrics would overwrite it, expected another file", c->path);
    encode(c, o->lower, o->validation);
}

const char *corpus_name(const corpus *c)
{
    return c->path[0] ? c->path : "the library's source code";
}

void corpus_meta(const corpus *c, clseq_meta meta[CORPUS_META])
{
    meta[0] = (clseq_meta){"text", is_printable(c->path) ? c->path : ""};
    meta[1] = (clseq_meta){"text_hash", c->hash};
    meta[2] = (clseq_meta){"vocabulary", c->alphabet};
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
