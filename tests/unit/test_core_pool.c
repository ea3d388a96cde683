/* Buffers that are used again. */
#include <criterion/criterion.h>

#include "core/launch.h"
#include "core/pool.h"
#include "support/device.h"
#include "support/log.h"
#include <clseq/tensor.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* Sizes and counts are those of buffers that nobody watches; tests that want canaries or poison ask for it. */
static void watch_nothing(void)
{
    unsetenv("CLSEQ_POOL_POISON");
    unsetenv("CLSEQ_POOL_CANARY");
}

TestSuite(core_pool, .init = watch_nothing);

static clseq_context_stats stats_of(const clseq_context *ctx)
{
    clseq_context_stats stats;
    cr_assert_eq(clseq_context_get_stats(ctx, &stats), CLSEQ_OK);
    return stats;
}

static cl_mem get(clseq_context *ctx, size_t bytes)
{
    cl_mem buffer = NULL;
    cr_assert_eq(clseq__pool_get(ctx, bytes, "test", &buffer), CLSEQ_OK, "%s", clseq_last_error());
    return buffer;
}

static size_t size_of(cl_mem buffer)
{
    size_t size = 0;
    cr_assert_eq(clGetMemObjectInfo(buffer, CL_MEM_SIZE, sizeof size, &size, NULL), CL_SUCCESS);
    return size;
}

Test(core_pool, a_buffer_is_large_enough_and_wastes_little)
{
    clseq_context *ctx = test_context();
    for (size_t bytes = 1; bytes < 3000000; bytes += bytes / 7 + 1) {
        cl_mem buffer = get(ctx, bytes);
        size_t size = size_of(buffer);
        cr_assert(size >= bytes, "%zu bytes for %zu", size, bytes);
        cr_assert(bytes < 2048 ? size < bytes + 256 : size - bytes <= size / 8, "%zu bytes for %zu", size,
                  bytes);
        clseq__pool_put(ctx, buffer);
        cr_assert_eq(clseq_context_trim(ctx), CLSEQ_OK);
    }
    cr_assert_eq(stats_of(ctx).bytes_held, 0);
    clseq_context_destroy(ctx);
}

Test(core_pool, a_buffer_may_be_used_as_far_as_it_was_asked_for)
{
    clseq_context *ctx = test_context();
    size_t bytes = 0;
    for (size_t asked = 1; asked < 3000000; asked += asked / 3 + 1) {
        cl_mem buffers[] = {get(ctx, asked), get(ctx, asked + 1), get(ctx, asked)};
        for (size_t i = 0; i < 3; i++) {
            cr_assert_eq(clseq__buffer_capacity(ctx, "test: x", buffers[i], &bytes), CLSEQ_OK);
            cr_assert_eq(bytes, asked + (i == 1), "%zu bytes for %zu", bytes, asked + (i == 1));
        }
        for (size_t i = 0; i < 3; i++)
            clseq__pool_put(ctx, buffers[i]);
    }
    clseq_context_destroy(ctx);
}

Test(core_pool, a_buffer_of_the_caller_has_its_size)
{
    clseq_context *ctx = test_context();
    size_t bytes = 0;
    int code = 0;
    cl_mem own = clCreateBuffer(clseq_context_cl_context(ctx), CL_MEM_READ_WRITE, 1000, NULL, &code);
    cr_assert_eq(code, CL_SUCCESS);
    cr_assert_eq(clseq__buffer_capacity(ctx, "test: x", own, &bytes), CLSEQ_OK);
    cr_assert_eq(bytes, 1000);
    clReleaseMemObject(own);
    clseq_context_destroy(ctx);
}

Test(core_pool_misuse, a_buffer_of_another_context_is_refused)
{
    clseq_context *ctx = test_context(), *other = test_context();
    cl_mem buffer = get(other, 1000);
    size_t bytes = 0;
    cr_assert_eq(clseq__buffer_capacity(ctx, "test: x", buffer, &bytes), CLSEQ_INVALID_ARGUMENT);
    cr_assert_str_eq(clseq_last_error(), "test: x: its buffer belongs to another context");
    clseq__pool_put(other, buffer);
    clseq_context_destroy(other);
    clseq_context_destroy(ctx);
}

Test(core_pool, equal_needs_meet_equal_buffers)
{
    clseq_context *ctx = test_context();
    cl_mem a = get(ctx, 100000), b = get(ctx, 100000);
    cr_assert_neq(a, b);
    clseq__pool_put(ctx, a);
    cr_assert_eq(get(ctx, 99999), a);
    cr_assert_eq(stats_of(ctx).allocations, 2);
    clseq__pool_put(ctx, a);
    clseq__pool_put(ctx, b);
    clseq__pool_put(ctx, NULL);
    clseq_context_destroy(ctx);
}

Test(core_pool, changing_sizes_do_not_pile_up)
{
    clseq_context *ctx = test_context();
    const size_t base = 1 << 16;
    size_t largest = 0;
    for (size_t i = 0; i < 300; i++) {
        cl_mem buffer = get(ctx, base + i * 7919 % 300 * 1024);
        largest = size_of(buffer) > largest ? size_of(buffer) : largest;
        clseq__pool_put(ctx, buffer);
        cr_assert(stats_of(ctx).bytes_held <= 3 * largest);
    }
    cr_assert_eq(stats_of(ctx).peak_in_use, largest);
    clseq_context_destroy(ctx);
}

Test(core_pool, what_is_used_all_the_time_stays)
{
    clseq_context *ctx = test_context();
    cl_mem always = get(ctx, 5000);
    clseq__pool_put(ctx, always);
    for (size_t i = 0; i < 300; i++) {
        clseq__pool_put(ctx, get(ctx, (1 << 16) + i * 7919 % 300 * 1024));
        uint64_t before = stats_of(ctx).allocations;
        clseq__pool_put(ctx, get(ctx, 5000));
        cr_assert_eq(stats_of(ctx).allocations, before, "round %zu", i);
    }
    clseq_context_destroy(ctx);
}

Test(core_pool, counters)
{
    clseq_context *ctx = test_context();
    cl_mem a = get(ctx, 4096), b = get(ctx, 8192);
    size_t sum = size_of(a) + size_of(b), size_a = size_of(a);
    clseq_context_stats stats = stats_of(ctx);
    cr_assert(stats.allocations == 2 && stats.bytes_held == sum && stats.bytes_in_use == sum &&
              stats.peak_in_use == sum);
    clseq__pool_put(ctx, b);
    stats = stats_of(ctx);
    cr_assert(stats.bytes_held == sum && stats.bytes_in_use == size_a && stats.peak_in_use == sum);
    cr_assert_eq(clseq_context_trim(ctx), CLSEQ_OK);
    stats = stats_of(ctx);
    cr_assert(stats.bytes_held == size_a && stats.bytes_in_use == size_a && stats.peak_in_use == sum);
    clseq__pool_put(ctx, a);
    clseq_context_destroy(ctx);
}

/* One step of a random but repeatable pattern of sizes and lifetimes. */
static void step(clseq_context *ctx, uint32_t seed)
{
    enum { SLOTS = 200 };
    cl_mem slots[SLOTS] = {NULL};
    for (int i = 0; i < 2000; i++) {
        seed = seed * 1664525u + 1013904223u;
        int slot = (int)(seed >> 8) % SLOTS;
        clseq__pool_put(ctx, slots[slot]);
        slots[slot] = NULL;
        seed = seed * 1664525u + 1013904223u;
        if (seed >> 31)
            slots[slot] = get(ctx, 1 + ((seed >> 4) & 0xFFF) * (1 + (seed >> 20 & 31)));
    }
    for (int i = 0; i < SLOTS; i++)
        clseq__pool_put(ctx, slots[i]);
}

Test(core_pool, a_repeated_step_allocates_nothing)
{
    for (uint32_t seed = 1; seed < 20; seed++) {
        clseq_context *ctx = test_context();
        step(ctx, seed);
        uint64_t before = stats_of(ctx).allocations;
        cr_assert(before > 100);
        for (int repeat = 0; repeat < 3; repeat++)
            step(ctx, seed);
        cr_assert_eq(stats_of(ctx).allocations, before, "seed %u: %llu, then %llu", (unsigned)seed,
                     (unsigned long long)before, (unsigned long long)stats_of(ctx).allocations);
        cr_assert_eq(stats_of(ctx).bytes_in_use, 0);
        clseq_context_destroy(ctx);
    }
}

Test(core_pool, a_buffer_is_never_handed_out_twice)
{
    enum { COUNT = 500 };
    clseq_context *ctx = test_context();
    cl_mem held[COUNT];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < COUNT; i++) {
            held[i] = get(ctx, (size_t)(i % 5 + 1) * 1000);
            for (int j = 0; j < i; j++)
                cr_assert_neq(held[i], held[j]);
        }
        /* In another order than they came. */
        for (int i = 0; i < COUNT; i++)
            clseq__pool_put(ctx, held[i * 7 % COUNT]);
        cr_assert_eq(stats_of(ctx).bytes_in_use, 0);
    }
    cr_assert_eq(stats_of(ctx).allocations, COUNT);
    clseq_context_destroy(ctx);
}

Test(core_pool, what_cannot_be_had_says_so)
{
    clseq_context *ctx = test_context();
    cl_mem buffer = NULL;
    cr_assert_eq(clseq__pool_get(ctx, 0, "rnn plan: workspace", &buffer), CLSEQ_INVALID_ARGUMENT);
    cr_assert_str_eq(clseq_last_error(), "rnn plan: workspace: a buffer of 0 bytes");
    cr_assert_eq(clseq__pool_get(ctx, SIZE_MAX, "rnn plan: workspace", &buffer), CLSEQ_OUT_OF_DEVICE_MEMORY);
    cr_assert(strstr(clseq_last_error(), "rnn plan: workspace: 18446744073709551615 bytes") != NULL, "%s",
              clseq_last_error());
    size_t limit = (size_t)clseq_context_device(ctx)->max_allocation;
    cr_assert_eq(clseq__pool_get(ctx, limit + 1, "x", &buffer), CLSEQ_OUT_OF_DEVICE_MEMORY);
    cr_assert_null(buffer);
    cr_assert_eq(stats_of(ctx).bytes_held, 0);
    clseq_context_destroy(ctx);
}

Test(core_pool, a_stranger_is_refused_and_a_lost_buffer_is_named)
{
    clseq_context *ctx = test_context();
    log_capture(CLSEQ_LOG_WARN);
    clseq__pool_put(ctx, (cl_mem)&ctx);
    cr_assert(log_contains("not in use"), "%s", log_text());
    cl_mem a = get(ctx, 12345);
    clseq__pool_put(ctx, a);
    log_capture(CLSEQ_LOG_WARN);
    clseq__pool_put(ctx, a);
    cr_assert(log_contains("not in use"), "%s", log_text());
    get(ctx, 12345);
    clseq_context_destroy(ctx);
    cr_assert(log_contains("a buffer of 12345 bytes was never given back"), "%s", log_text());
}

Test(core_pool, poison_is_in_every_buffer)
{
    setenv("CLSEQ_POOL_POISON", "1", 1);
    clseq_context *ctx = test_context();
    for (int round = 0; round < 2; round++) {
        clseq_tensor x = {0};
        float values[333];
        cr_assert_eq(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 1, (int64_t[]){333}, &x), CLSEQ_OK);
        cr_assert_eq(clseq_tensor_read(ctx, &x, values), CLSEQ_OK);
        for (int i = 0; i < 333; i++)
            cr_assert(values[i] != values[i], "element %d is %g in round %d", i, (double)values[i], round);
        cr_assert_eq(clseq_tensor_fill(ctx, &x, 1), CLSEQ_OK);
        clseq_tensor_destroy(ctx, &x);
    }
    cr_assert_eq(stats_of(ctx).allocations, 1);
    clseq_context_destroy(ctx);
}

Test(core_pool, canaries_see_a_write_beyond_the_end)
{
    setenv("CLSEQ_POOL_CANARY", "1", 1);
    clseq_context *ctx = test_context();
    log_capture(CLSEQ_LOG_ERROR);
    static const size_t sizes[] = {4, 1000, 1024, 100004};
    for (size_t i = 0; i < 4; i++) {
        cl_mem buffer = get(ctx, sizes[i]);
        cr_assert_eq(clseq__fill_bytes(ctx, buffer, 0, sizes[i], 0), CLSEQ_OK);
        clseq__pool_put(ctx, buffer);
        cr_assert_eq(clseq__pool_violations(ctx), i, "%s", log_text());
        buffer = get(ctx, sizes[i]);
        cr_assert_eq(clseq__fill_bytes(ctx, buffer, 0, sizes[i] + 4, 0), CLSEQ_OK);
        clseq__pool_put(ctx, buffer);
        cr_assert_eq(clseq__pool_violations(ctx), i + 1);
    }
    cr_assert(log_contains("byte 1000 of a buffer of 1000 bytes was written"), "%s", log_text());
    clseq_context_destroy(ctx);
}

/* Writes one word behind a buffer and gives it back. */
static void overrun(void)
{
    clseq_context *ctx = test_context();
    cl_mem buffer = get(ctx, 1000);
    cr_assert_eq(clseq__fill_bytes(ctx, buffer, 0, 1004, 0), CLSEQ_OK);
    clseq__pool_put(ctx, buffer);
    cr_assert_eq(clseq__pool_violations(ctx), 1);
    clseq_context_destroy(ctx);
}

Test(core_pool, an_overrun_ends_the_process_where_that_is_asked_for, .signal = SIGABRT)
{
    setenv("CLSEQ_POOL_CANARY", "abort", 1);
    overrun();
}

Test(core_pool, an_overrun_ends_nothing_otherwise)
{
    setenv("CLSEQ_POOL_CANARY", "1", 1);
    overrun();
}
