#include "core/cache.h"

#include "core/array.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SUFFIX ".program"
#define HASH_DIGITS 32
#define NAME_LENGTH (HASH_DIGITS + sizeof SUFFIX - 1)
#define DEFAULT_MEGABYTES 256
/* The temporary file of an entry that is not stored again: when it is older than this, its process died. */
#define STALE_SECONDS 3600

struct clseq__cache {
    char *folder;
    uint64_t bound; /* bytes */
    bool forced;
};

typedef struct hash {
    uint64_t part[2];
} hash;

/* What stands before the payload, in the machine's own byte order: entries are not meant to travel. */
typedef struct header {
    char magic[8];
    hash key;
    uint64_t payload_size;
    hash payload;
} header;

static const char magic[8] = "clseqP2";

/* 128 bits that guard against damage and mix-ups, not against somebody who makes collisions on purpose. */
static hash hash_of(const void *data, size_t size)
{
    const XXH128_hash_t value = XXH3_128bits(data, size);
    return (hash){{value.high64, value.low64}};
}

static bool is_set(const char *text)
{
    return text != NULL && text[0] != '\0';
}

static bool same(const char *text, const char *other)
{
    return text != NULL && strcmp(text, other) == 0;
}

/* The folder that the arguments and the environment name into `folder`, which stays empty when none does. */
static clseq_status find_folder(const char *given, clseq__text *folder)
{
    const char *own = getenv("CLSEQ_CACHE_DIR"), *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (is_set(given))
        return clseq__text_print(folder, "%s", given);
    if (is_set(own))
        return clseq__text_print(folder, "%s", own);
    if (is_set(xdg))
        return clseq__text_print(folder, "%s/clseq", xdg);
    if (is_set(home))
        return clseq__text_print(folder, "%s/.cache/clseq", home);
    clseq__log(CLSEQ_LOG_DEBUG, "no cache of programs: CLSEQ_CACHE_DIR, XDG_CACHE_HOME and HOME are not set");
    return CLSEQ_OK;
}

static clseq_status read_bound(uint64_t *bound)
{
    const char *text = getenv("CLSEQ_CACHE_MB");
    *bound = (uint64_t)DEFAULT_MEGABYTES << 20;
    if (!is_set(text))
        return CLSEQ_OK;
    char *end = NULL;
    errno = 0;
    unsigned long long megabytes = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || megabytes > UINT64_MAX >> 20)
        return clseq__error(CLSEQ_INVALID_ARGUMENT,
                            "context create: CLSEQ_CACHE_MB is \"%s\", expected a number of megabytes", text);
    *bound = (uint64_t)megabytes << 20;
    return CLSEQ_OK;
}

clseq_status clseq__cache_open(const char *folder, clseq__cache **out)
{
    clseq_status status = CLSEQ_OK;
    clseq__text path = {0};
    clseq__cache *cache = NULL;
    const char *mode = getenv("CLSEQ_CACHE");
    *out = NULL;
    if (is_set(mode) && !same(mode, "off") && !same(mode, "on"))
        CLSEQ__FAIL(CLSEQ_INVALID_ARGUMENT, "context create: CLSEQ_CACHE is \"%s\", expected on or off",
                    mode);
    if (same(mode, "off"))
        goto done;
    CLSEQ__TRY(find_folder(folder, &path));
    if (path.data == NULL)
        goto done;
    cache = calloc(1, sizeof *cache);
    if (cache == NULL)
        CLSEQ__FAIL(CLSEQ_OUT_OF_HOST_MEMORY, "context create: no memory for the cache of programs");
    CLSEQ__TRY(read_bound(&cache->bound));
    cache->forced = same(mode, "on");
    cache->folder = path.data;
    path.data = NULL;
    *out = cache;
    cache = NULL;
done:
    clseq__cache_close(cache);
    free(path.data);
    return status;
}

void clseq__cache_close(clseq__cache *cache)
{
    if (cache == NULL)
        return;
    free(cache->folder);
    free(cache);
}

bool clseq__cache_forced(const clseq__cache *cache)
{
    return cache != NULL && cache->forced;
}

/* The path of an entry; NULL, with a line in the log, when there is no memory for it. */
static char *entry_path(const clseq__cache *cache, hash key)
{
    clseq__text path = {0};
    if (clseq__text_print(&path, "%s/%016llx%016llx%s", cache->folder, (unsigned long long)key.part[0],
                          (unsigned long long)key.part[1], SUFFIX) == CLSEQ_OK)
        return path.data;
    clseq__log(CLSEQ_LOG_WARN, "cache of programs: %s", clseq_last_error());
    free(path.data);
    return NULL;
}

/* Makes a folder and those above it. What cannot be made shows when a file is written. */
static void make_folder(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, 0777);
        *slash = '/';
    }
    (void)mkdir(path, 0777);
}

/* What is wrong with an entry, NULL when it is whole. `payload` becomes its payload. */
static const char *read_entry(FILE *file, hash key, unsigned char **payload, size_t *payload_size)
{
    struct stat facts;
    header head;
    if (fread(&head, sizeof head, 1, file) != 1)
        return "it is cut off";
    if (memcmp(head.magic, magic, sizeof magic) != 0)
        return "it does not begin like an entry";
    if (memcmp(&head.key, &key, sizeof key) != 0)
        return "it belongs to another program";
    if (fstat(fileno(file), &facts) != 0 || (uint64_t)facts.st_size != sizeof head + head.payload_size)
        return "its size is wrong";
    size_t size = (size_t)head.payload_size;
    unsigned char *data = malloc(size > 0 ? size : 1);
    if (data == NULL)
        return "there is no memory for it";
    hash found = {{0}};
    bool whole = fread(data, 1, size, file) == size;
    if (whole)
        found = hash_of(data, size);
    if (!whole || memcmp(&found, &head.payload, sizeof found) != 0) {
        free(data);
        return "its contents are damaged";
    }
    *payload = data;
    *payload_size = size;
    return NULL;
}

bool clseq__cache_load(clseq__cache *cache, const char *key, size_t key_size, unsigned char **payload,
                       size_t *payload_size)
{
    if (cache == NULL)
        return false;
    hash name = hash_of(key, key_size);
    char *path = entry_path(cache, name);
    const char *fault = "";
    FILE *file = path != NULL ? fopen(path, "rb") : NULL;
    if (file != NULL) {
        fault = read_entry(file, name, payload, payload_size);
        fclose(file);
        if (fault == NULL) {
            /* The time of the last use, by which the bound deletes. */
            (void)utimensat(AT_FDCWD, path, NULL, 0);
        } else {
            clseq__log(CLSEQ_LOG_WARN, "cache of programs: %s is deleted: %s", path, fault);
            (void)unlink(path);
        }
    } else if (path != NULL && errno != ENOENT) {
        clseq__log(CLSEQ_LOG_WARN, "cache of programs: %s cannot be read: %s", path, strerror(errno));
    }
    free(path);
    return fault == NULL;
}

typedef struct found_file {
    char name[NAME_LENGTH + 1];
    uint64_t size;
    struct timespec used;
} found_file;

static int by_use(const void *a, const void *b)
{
    const found_file *x = a, *y = b;
    if (x->used.tv_sec != y->used.tv_sec)
        return x->used.tv_sec < y->used.tv_sec ? -1 : 1;
    if (x->used.tv_nsec != y->used.tv_nsec)
        return x->used.tv_nsec < y->used.tv_nsec ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* Whether a name is that of an entry, or of an entry's temporary file. */
static bool is_entry_name(const char *name, bool *temporary)
{
    for (int i = 0; i < HASH_DIGITS; i++)
        if (strchr("0123456789abcdef", name[i]) == NULL || name[i] == '\0')
            return false;
    if (strncmp(name + HASH_DIGITS, SUFFIX, sizeof SUFFIX - 1) != 0)
        return false;
    *temporary = name[NAME_LENGTH] == '.';
    return *temporary || name[NAME_LENGTH] == '\0';
}

/* The entries of the folder into `files`; deletes what dead processes left. */
static bool list_entries(int folder, DIR *listing, found_file **files, size_t *count)
{
    size_t capacity = 0;
    for (struct dirent *at = readdir(listing); at != NULL; at = readdir(listing)) {
        struct stat facts;
        bool temporary = false;
        if (!is_entry_name(at->d_name, &temporary) || fstatat(folder, at->d_name, &facts, 0) != 0)
            continue;
        if (temporary) {
            if (facts.st_mtime + STALE_SECONDS < time(NULL))
                (void)unlinkat(folder, at->d_name, 0);
            continue;
        }
        found_file *more = clseq__array_room(*files, sizeof *more, *count, &capacity);
        if (more == NULL)
            return false;
        *files = more;
        found_file *file = &(*files)[(*count)++];
        memcpy(file->name, at->d_name, NAME_LENGTH + 1);
        file->size = (uint64_t)facts.st_size;
        file->used = facts.st_mtim;
    }
    return true;
}

/* Deletes the entries unused for longest until the rest is within the bound. */
static void keep_bound(const clseq__cache *cache)
{
    found_file *files = NULL;
    size_t count = 0;
    uint64_t sum = 0;
    DIR *listing = opendir(cache->folder);
    if (listing == NULL)
        return;
    if (list_entries(dirfd(listing), listing, &files, &count) && count > 0) {
        for (size_t i = 0; i < count; i++)
            sum += files[i].size;
        qsort(files, count, sizeof *files, by_use);
        for (size_t i = 0; i < count && sum > cache->bound; i++) {
            (void)unlinkat(dirfd(listing), files[i].name, 0);
            sum -= files[i].size;
        }
    }
    free(files);
    closedir(listing);
}

void clseq__cache_store(clseq__cache *cache, const char *key, size_t key_size, const unsigned char *payload,
                        size_t payload_size)
{
    if (cache == NULL)
        return;
    clseq_status status = CLSEQ_OK;
    clseq__file *file = NULL;
    header head = {.key = hash_of(key, key_size), .payload_size = payload_size};
    memcpy(head.magic, magic, sizeof magic);
    head.payload = hash_of(payload, payload_size);
    char *path = entry_path(cache, head.key);
    if (path == NULL)
        return;
    make_folder(cache->folder);
    CLSEQ__TRY(clseq__file_begin(path, &file));
    CLSEQ__TRY(clseq__file_write(file, &head, sizeof head));
    CLSEQ__TRY(clseq__file_write(file, payload, payload_size));
    status = clseq__file_commit(file);
    file = NULL;
done:
    clseq__file_abandon(file);
    if (status != CLSEQ_OK)
        clseq__log(CLSEQ_LOG_WARN, "cache of programs: %s", clseq_last_error());
    else
        keep_bound(cache);
    free(path);
}
