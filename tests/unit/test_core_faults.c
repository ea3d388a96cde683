/* Every call of OpenCL and of the allocator fails once: what follows is a status, a sentence and no leak. */
#include <criterion/criterion.h>

#include "core/context.h"
#include "core/error.h"
#include "core/profile.h"
#include "support/device.h"
#include "support/faults.h"
#include "support/folder.h"
#include <clseq/tensor.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char folder[FOLDER_PATH];

static void make_folder(void)
{
    folder_create(folder);
    setenv("CLSEQ_CACHE_DIR", folder, 1);
}

static void remove_folder(void)
{
    folder_remove(folder);
}

TestSuite(core_faults, .init = make_folder, .fini = remove_folder);

/* Says that results are wrong although every status was CLSEQ_OK; no fault may lead here. */
static clseq_status wrong(const char *what)
{
    fprintf(stderr, "%s is wrong although no status says so\n", what);
    abort();
}

/* Fills one column of a tensor and copies it to another. */
static clseq_status use(clseq_context *ctx)
{
    clseq_status status = CLSEQ_OK;
    clseq_tensor x = {0}, y = {0}, column;
    const float in[6] = {1, 2, 3, 4, 5, 6};
    float out[6] = {0};
    cl_event begin = NULL;
    CLSEQ__TRY(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 2, (int64_t[]){3, 2}, &x));
    CLSEQ__TRY(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 2, (int64_t[]){3, 1}, &y));
    CLSEQ__TRY(clseq_tensor_write(ctx, &x, in));
    column = clseq_tensor_slice(&x, 1, 1, 1);
    CLSEQ__TRY(clseq_tensor_copy(ctx, &column, &y));
    CLSEQ__TRY(clseq_tensor_read(ctx, &y, out));
    if (out[0] != 2 || out[1] != 4 || out[2] != 6)
        status = wrong("the copy");
    begin = clseq__profile_begin(ctx);
    CLSEQ__TRY(clseq_tensor_fill(ctx, &column, 9));
    CLSEQ__TRY(clseq_tensor_fill(ctx, &y, 8));
    clseq__profile_end(ctx, "both fills", begin);
    begin = NULL;
    CLSEQ__TRY(clseq_tensor_read(ctx, &column, out));
    if (out[0] != 9 || out[2] != 9)
        status = wrong("the fill");
    CLSEQ__TRY(clseq_tensor_write(ctx, &column, in));
    CLSEQ__TRY(clseq_tensor_read(ctx, &column, out));
    if (out[0] != 1 || out[2] != 3)
        status = wrong("what was written");
    CLSEQ__TRY(clseq_context_trim(ctx));
done:
    if (begin != NULL)
        clReleaseEvent(begin);
    clseq_tensor_destroy(ctx, &x);
    clseq_tensor_destroy(ctx, &y);
    return status;
}

/* Everything that the core does, in a context of its own. */
static clseq_status create_and_use(void *desc)
{
    clseq_status status = CLSEQ_OK;
    clseq_context *ctx = NULL;
    clseq_context_stats stats;
    char text[2000];
    CLSEQ__TRY(clseq_context_create(desc, &ctx));
    CLSEQ__TRY(use(ctx));
    CLSEQ__TRY(clseq_context_get_stats(ctx, &stats));
    if (stats.bytes_in_use != 0)
        status = wrong("the count of bytes in use");
    if (((const clseq_context_desc *)desc)->profile)
        CLSEQ__TRY(clseq_context_profile_text(ctx, text, sizeof text));
done:
    clseq_context_destroy(ctx);
    return status;
}

Test(core_faults, without_a_cache)
{
    clseq_context_desc desc = {.no_cache = true};
    cr_assert_eq(create_and_use(&desc), CLSEQ_OK, "%s", clseq_last_error());
    cr_assert(faults_each(create_and_use, &desc), "%s", faults_message());
    cr_assert(faults_count() > 50, "%s", faults_message());
}

Test(core_faults, measuring_and_loading_from_the_cache)
{
    setenv("CLSEQ_CACHE", "on", 1);
    clseq_context_desc desc = {.profile = true};
    cr_assert_eq(create_and_use(&desc), CLSEQ_OK, "%s", clseq_last_error());
    cr_assert(faults_each(create_and_use, &desc), "%s", faults_message());
    cr_assert(faults_count() > 50, "%s", faults_message());
    /* A cache or a profile that fails does no harm. */
    cr_assert(faults_survived() > 0, "%s", faults_message());
}

/* With an empty cache folder each time, so that programs are written. */
static clseq_status create_and_store(void *desc)
{
    folder_remove(folder);
    return create_and_use(desc);
}

Test(core_faults, writing_the_cache)
{
    clseq_context_desc desc = {0};
    cr_assert(faults_each(create_and_store, &desc), "%s", faults_message());
    cr_assert(faults_survived() > 0, "%s", faults_message());
}

/* An OpenCL context and queue from outside. */
typedef struct outside {
    cl_context context;
    cl_command_queue queue;
} outside;

static clseq_status wrap_and_use(void *data)
{
    const outside *o = data;
    clseq_status status = CLSEQ_OK;
    clseq_context *ctx = NULL;
    CLSEQ__TRY(clseq_context_wrap(o->context, o->queue, NULL, &ctx));
    CLSEQ__TRY(use(ctx));
done:
    clseq_context_destroy(ctx);
    return status;
}

Test(core_faults, around_a_queue)
{
    clseq_context *owner = test_context();
    outside o = {clseq_context_cl_context(owner), clseq_context_queue(owner)};
    cr_assert(faults_each(wrap_and_use, &o), "%s", faults_message());
    clseq_context_destroy(owner);
}

/* A scenario that leaks must be found, or the tests above prove nothing. */
static clseq_status leak_memory(void *data)
{
    void *block = malloc(10);
    *(void **)data = block;
    return block != NULL ? CLSEQ_OK : clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "no memory");
}

static clseq_status say_nothing(void *data)
{
    void *block = malloc(10);
    *(void **)data = block; /* seen from outside, so that the compiler keeps the call */
    if (block == NULL)
        return CLSEQ_OUT_OF_HOST_MEMORY;
    free(block);
    return CLSEQ_OK;
}

static clseq_status leak_a_buffer(void *data)
{
    int code = 0;
    cl_mem buffer = clCreateBuffer(data, CL_MEM_READ_WRITE, 64, NULL, &code);
    return buffer != NULL ? CLSEQ_OK : clseq__error(CLSEQ_OUT_OF_DEVICE_MEMORY, "no memory");
}

Test(core_faults, leaks_and_silence_are_found)
{
    void *leaked = NULL;
    cr_assert(!faults_each(leak_memory, &leaked));
    cr_assert(strstr(faults_message(), "1 blocks of memory are left") != NULL, "%s", faults_message());
    free(leaked);
    cr_assert(!faults_each(say_nothing, &leaked));
    cr_assert(strstr(faults_message(), "without a sentence") != NULL, "%s", faults_message());
    clseq_context *ctx = test_context();
    cr_assert(!faults_each(leak_a_buffer, clseq_context_cl_context(ctx)));
    cr_assert(strstr(faults_message(), "1 OpenCL objects") != NULL, "%s", faults_message());
    clseq_context_destroy(ctx);
}

/* With buffers that are filled when they are handed out: one that cannot be filled is given back. */
static clseq_status use_filled(void *data)
{
    clseq_status status = CLSEQ_OK;
    clseq_context *ctx = NULL;
    clseq_context_stats stats = {0};
    CLSEQ__TRY(clseq_context_create(data, &ctx));
    CLSEQ__TRY(use(ctx));
done:
    if (ctx != NULL) {
        clseq_context_get_stats(ctx, &stats);
        if (stats.bytes_in_use != 0)
            wrong("the count of bytes in use");
    }
    clseq_context_destroy(ctx);
    return status;
}

Test(core_faults, filling_buffers)
{
    setenv("CLSEQ_POOL_POISON", "1", 1);
    setenv("CLSEQ_POOL_CANARY", "1", 1);
    cr_assert(faults_each(use_filled, NULL), "%s", faults_message());
    cr_assert(faults_count() > 50, "%s", faults_message());
}
