#include "core/program_table.h"

#include "core/error.h"
#include "core/hash.h"

#include <pthread.h>
#include <stdlib.h>

struct clseq__built {
    clseq__built *next;
    size_t references;
    cl_context context; /* of a context that holds the entry, so that no other one has this address */
    cl_device_id device;
    XXH128_hash_t key;
    pthread_mutex_t building; /* guards `program` */
    cl_program program;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards the list and all references */
static clseq__built *first;

static clseq__built *find(const clseq_context *ctx, XXH128_hash_t key)
{
    for (clseq__built *built = first; built != NULL; built = built->next)
        if (built->context == ctx->cl && built->device == ctx->device.device &&
            XXH128_isEqual(built->key, key))
            return built;
    return NULL;
}

static clseq__built *add(const clseq_context *ctx, XXH128_hash_t key)
{
    clseq__built *built = calloc(1, sizeof *built);
    if (built == NULL || pthread_mutex_init(&built->building, NULL) != 0) {
        free(built);
        return NULL;
    }
    built->next = first;
    built->context = ctx->cl;
    built->device = ctx->device.device;
    built->key = key;
    first = built;
    return built;
}

clseq_status clseq__built_take(const clseq_context *ctx, const char *key, size_t key_size, clseq__built **out)
{
    const XXH128_hash_t hash = XXH3_128bits(key, key_size);
    pthread_mutex_lock(&lock);
    clseq__built *built = find(ctx, hash);
    if (built == NULL)
        built = add(ctx, hash);
    if (built != NULL)
        built->references++;
    pthread_mutex_unlock(&lock);
    *out = built;
    return built != NULL ? CLSEQ_OK
                         : clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "no memory for the list of programs");
}

void clseq__built_release(clseq__built *built)
{
    if (built == NULL)
        return;
    pthread_mutex_lock(&lock);
    const bool last = --built->references == 0;
    for (clseq__built **at = &first; last && *at != NULL; at = &(*at)->next)
        if (*at == built) {
            *at = built->next;
            break;
        }
    pthread_mutex_unlock(&lock);
    if (!last)
        return;
    if (built->program != NULL)
        clReleaseProgram(built->program);
    pthread_mutex_destroy(&built->building);
    free(built);
}

cl_program *clseq__built_lock(clseq__built *built)
{
    pthread_mutex_lock(&built->building);
    return &built->program;
}

void clseq__built_unlock(clseq__built *built)
{
    pthread_mutex_unlock(&built->building);
}
