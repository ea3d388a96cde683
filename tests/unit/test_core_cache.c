/* Compiled programs on disk: entries by themselves, then contexts that use them. */
#include <criterion/criterion.h>

#include "core/cache.h"
#include "core/launch.h"
#include "support/device.h"
#include "support/folder.h"
#include "support/log.h"
#include <clseq/tensor.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SUFFIX ".program"

static char folder[FOLDER_PATH];        /* of the cache */
static char kernel_folder[FOLDER_PATH]; /* of main.cl */

static void make_folders(void)
{
    folder_create(folder);
    folder_create(kernel_folder);
    setenv("CLSEQ_CACHE_DIR", folder, 1);
    setenv("CLSEQ_KERNEL_DIR", kernel_folder, 1);
    /* Binaries even on platforms where they do not pay. */
    setenv("CLSEQ_CACHE", "on", 1);
    unsetenv("CLSEQ_CACHE_MB");
    folder_write_text(kernel_folder, "main.cl", "kernel void k(global int *y) { *y = N; }\n");
}

static void remove_folders(void)
{
    folder_remove(folder);
    folder_remove(kernel_folder);
}

TestSuite(core_cache, .init = make_folders, .fini = remove_folders);
TestSuite(core_cache_misuse, .init = make_folders, .fini = remove_folders);

static clseq__cache *cache_open(const char *path)
{
    clseq__cache *cache = NULL;
    cr_assert_eq(clseq__cache_open(path, &cache), CLSEQ_OK, "%s", clseq_last_error());
    return cache;
}

/* Whether the entry `key` is there and holds `expected`. */
static bool holds(clseq__cache *cache, const char *key, const char *expected)
{
    unsigned char *payload = NULL;
    size_t size = 0;
    if (!clseq__cache_load(cache, key, strlen(key), &payload, &size))
        return false;
    bool same = size == strlen(expected) && memcmp(payload, expected, size) == 0;
    cr_assert(same, "the entry %s holds %zu bytes, expected \"%s\"", key, size, expected);
    free(payload);
    return same;
}

static void store(clseq__cache *cache, const char *key, const char *payload)
{
    clseq__cache_store(cache, key, strlen(key), (const unsigned char *)payload, strlen(payload));
}

static void entry_path(char path[2 * FOLDER_PATH])
{
    char name[FOLDER_PATH];
    cr_assert_eq(folder_count(folder, SUFFIX, name), 1);
    snprintf(path, 2 * FOLDER_PATH, "%s/%s", folder, name);
}

Test(core_cache, an_entry_comes_back)
{
    clseq__cache *cache = cache_open(NULL);
    cr_assert(!holds(cache, "a", ""));
    store(cache, "a", "payload of a");
    store(cache, "b", "");
    store(cache, "c", "three");
    store(cache, "c", "four"); /* replaces */
    cr_assert(holds(cache, "a", "payload of a") && holds(cache, "b", "") && holds(cache, "c", "four"));
    cr_assert_eq(folder_count(folder, SUFFIX, NULL), 3);
    cr_assert_eq(folder_count(folder, "", NULL), 3, "temporary files are left");
    clseq__cache_close(cache);
}

Test(core_cache, keys_that_differ_a_little_are_different_entries)
{
    clseq__cache *cache = cache_open(NULL);
    char key[64];
    memset(key, 'x', sizeof key);
    for (size_t size = 1; size < 40; size++)
        clseq__cache_store(cache, key, size, (const unsigned char *)"", 0);
    for (size_t i = 0; i < 40; i++) {
        key[i] = 'y';
        clseq__cache_store(cache, key, 40, (const unsigned char *)"", 0);
        key[i] = 'x';
    }
    cr_assert_eq(folder_count(folder, SUFFIX, NULL), 39 + 40);
    clseq__cache_close(cache);
}

Test(core_cache, a_damaged_entry_is_deleted)
{
    char path[2 * FOLDER_PATH];
    clseq__cache *cache = cache_open(NULL);
    store(cache, "key", "payload");
    entry_path(path);
    struct stat facts;
    cr_assert_eq(stat(path, &facts), 0);
    for (off_t at = 0; at < facts.st_size; at++) {
        store(cache, "key", "payload");
        int file = open(path, O_RDWR);
        unsigned char byte = 0;
        cr_assert(pread(file, &byte, 1, at) == 1);
        byte ^= (unsigned char)(1 << at % 8);
        cr_assert(pwrite(file, &byte, 1, at) == 1);
        close(file);
        log_capture(CLSEQ_LOG_WARN);
        cr_assert(!holds(cache, "key", "payload"), "byte %d", (int)at);
        cr_assert(log_contains("is deleted"), "%s", log_text());
        cr_assert_eq(access(path, F_OK), -1);
    }
    clseq__cache_close(cache);
}

Test(core_cache, an_entry_that_is_cut_off_or_longer_is_deleted)
{
    char path[2 * FOLDER_PATH];
    clseq__cache *cache = cache_open(NULL);
    store(cache, "key", "payload");
    entry_path(path);
    struct stat facts;
    cr_assert_eq(stat(path, &facts), 0);
    for (off_t size = 0; size <= facts.st_size + 1; size++) {
        store(cache, "key", "payload");
        cr_assert_eq(truncate(path, size), 0);
        cr_assert_eq(holds(cache, "key", "payload"), size == facts.st_size);
        cr_assert_eq(access(path, F_OK), size == facts.st_size ? 0 : -1);
    }
    clseq__cache_close(cache);
}

Test(core_cache, an_entry_under_a_wrong_name_is_refused)
{
    char path[2 * FOLDER_PATH], other[2 * FOLDER_PATH];
    clseq__cache *cache = cache_open(NULL);
    store(cache, "one", "1");
    entry_path(path);
    snprintf(other, sizeof other, "%s/kept", folder);
    cr_assert_eq(rename(path, other), 0);
    store(cache, "two", "2");
    entry_path(path);
    cr_assert_eq(rename(other, path), 0);
    cr_assert(!holds(cache, "two", "1"));
    clseq__cache_close(cache);
}

/* Makes an entry look as if it was used so many seconds ago. */
static void age(const char *path, int seconds)
{
    struct timespec times[2] = {{.tv_sec = time(NULL) - seconds}, {.tv_sec = time(NULL) - seconds}};
    cr_assert_eq(utimensat(AT_FDCWD, path, times, 0), 0);
}

Test(core_cache, the_bound_deletes_what_was_unused_for_longest)
{
    enum { COUNT = 5 };
    setenv("CLSEQ_CACHE_MB", "1", 1);
    clseq__cache *cache = cache_open(NULL);
    const size_t size = 300000; /* three fit, four do not */
    unsigned char *payload = calloc(size, 1);
    char first[2 * FOLDER_PATH], foreign[2 * FOLDER_PATH];
    char stale[2 * FOLDER_PATH + 8], fresh[2 * FOLDER_PATH + 8];
    clseq__cache_store(cache, "0", 1, payload, size);
    entry_path(first);
    folder_write_text(folder, "somebody_elses.program", "x");
    snprintf(foreign, sizeof foreign, "%s/somebody_elses.program", folder);
    age(foreign, 1000000);
    /* What a process left that died while it wrote, and what one is writing now. */
    snprintf(stale, sizeof stale, "%s.AbCdEf", first);
    folder_write_text(folder, strrchr(stale, '/') + 1, "x");
    age(stale, 100000);
    snprintf(fresh, sizeof fresh, "%s.GhIjKl", first);
    folder_write_text(folder, strrchr(fresh, '/') + 1, "x");

    age(first, 300);
    clseq__cache_store(cache, "1", 1, payload, size);
    cr_assert_eq(access(stale, F_OK), -1);
    cr_assert_eq(access(fresh, F_OK), 0);
    /* A use makes the oldest the newest. */
    unsigned char *back = NULL;
    size_t back_size = 0;
    cr_assert(clseq__cache_load(cache, "0", 1, &back, &back_size) && back_size == size);
    free(back);
    clseq__cache_store(cache, "2", 1, payload, size);
    clseq__cache_store(cache, "3", 1, payload, size);
    static const char *const keys[] = {"0", "1", "2", "3"};
    static const bool kept[] = {true, false, true, true};
    for (int i = 0; i < 4; i++) {
        bool there = clseq__cache_load(cache, keys[i], 1, &back, &back_size);
        cr_assert_eq(there, kept[i], "entry %d", i);
        if (there)
            free(back);
    }
    cr_assert_eq(access(foreign, F_OK), 0, "files of others stay");
    free(payload);
    clseq__cache_close(cache);
}

/* The entry that is there, called `last` from now on, as if used at `use`. */
static void set_aside(const char *last, char path[2 * FOLDER_PATH], const struct timespec *use)
{
    const struct timespec times[2] = {*use, *use};
    char aside[2 * FOLDER_PATH];
    entry_path(path);
    cr_assert_eq(utimensat(AT_FDCWD, path, times, 0), 0);
    snprintf(aside, sizeof aside, "%s/%s", folder, last);
    cr_assert_eq(rename(path, aside), 0);
}

/* Ages in whole seconds, with parts of a second that say the opposite. */
Test(core_cache, seconds_count_before_their_parts)
{
    setenv("CLSEQ_CACHE_MB", "1", 1);
    const size_t size = 400000; /* two fit, three do not */
    const time_t now = time(NULL);
    const struct timespec uses[2] = {{.tv_sec = now - 200, .tv_nsec = 900000000},
                                     {.tv_sec = now - 100, .tv_nsec = 100000000}};
    unsigned char *payload = calloc(size, 1);
    for (int older = 0; older < 2; older++) {
        char path[2][2 * FOLDER_PATH], aside[2 * FOLDER_PATH];
        clseq__cache *cache = cache_open(NULL);
        for (int i = 0; i < 2; i++) {
            clseq__cache_store(cache, i ? "b" : "a", 1, payload, size);
            set_aside(i ? "aside_b" : "aside_a", path[i], &uses[i ^ older]);
        }
        for (int i = 0; i < 2; i++) {
            snprintf(aside, sizeof aside, "%s/%s", folder, i ? "aside_b" : "aside_a");
            cr_assert_eq(rename(aside, path[i]), 0);
        }
        clseq__cache_store(cache, "c", 1, payload, size);
        cr_assert_eq(access(path[older], F_OK), -1, "the older entry stayed");
        cr_assert_eq(access(path[!older], F_OK), 0, "the newer entry was deleted");
        clseq__cache_close(cache);
        folder_remove(folder);
        cr_assert_eq(mkdir(folder, 0700), 0);
    }
    free(payload);
}

Test(core_cache, a_folder_that_cannot_be_used_is_a_line_in_the_log)
{
    char path[2 * FOLDER_PATH];
    folder_write_text(folder, "file", "x");
    snprintf(path, sizeof path, "%s/file/below", folder);
    log_capture(CLSEQ_LOG_WARN);
    clseq__cache *cache = cache_open(path);
    store(cache, "a", "1");
    cr_assert(log_contains("cache of programs"), "%s", log_text());
    cr_assert(!holds(cache, "a", "1"));
    clseq__cache_close(cache);
}

Test(core_cache, folders_are_made_and_chosen)
{
    char path[2 * FOLDER_PATH], below[3 * FOLDER_PATH];
    snprintf(path, sizeof path, "%s/x/y", folder);
    clseq__cache *cache = cache_open(path);
    store(cache, "a", "1");
    cr_assert_eq(folder_count(path, SUFFIX, NULL), 1);
    clseq__cache_close(cache);

    static const char *const variables[] = {"XDG_CACHE_HOME", "HOME"};
    static const char *const below_them[] = {"clseq", ".cache/clseq"};
    unsetenv("CLSEQ_CACHE_DIR");
    for (int i = 0; i < 2; i++) {
        setenv(variables[i], folder, 1);
        cache = cache_open(NULL);
        store(cache, "a", "1");
        clseq__cache_close(cache);
        snprintf(below, sizeof below, "%s/%s", folder, below_them[i]);
        cr_assert_eq(folder_count(below, SUFFIX, NULL), 1);
        unsetenv(variables[i]);
    }
    cr_assert_null(cache_open(NULL));
}

Test(core_cache, the_environment_is_checked)
{
    clseq__cache *cache = NULL;
    setenv("CLSEQ_CACHE", "off", 1);
    cr_assert_null(cache_open(NULL));
    cr_assert(!clseq__cache_forced(NULL));
    clseq__cache_store(NULL, "a", 1, NULL, 0);
    clseq__cache_close(NULL);
    setenv("CLSEQ_CACHE", "maybe", 1);
    cr_assert_eq(clseq__cache_open(NULL, &cache), CLSEQ_INVALID_ARGUMENT);
    cr_assert(strstr(clseq_last_error(), "maybe") != NULL, "%s", clseq_last_error());
    setenv("CLSEQ_CACHE", "", 1);
    static const char *const wrong[] = {"-1", "many", "5MB", "99999999999999999999", " 3"};
    for (size_t i = 0; i < 5; i++) {
        setenv("CLSEQ_CACHE_MB", wrong[i], 1);
        cr_assert_eq(clseq__cache_open(NULL, &cache), CLSEQ_INVALID_ARGUMENT, "%s", wrong[i]);
        cr_assert(strstr(clseq_last_error(), wrong[i]) != NULL, "%s", clseq_last_error());
    }
    clseq_context *ctx = NULL;
    cr_assert_eq(clseq_context_create(NULL, &ctx), CLSEQ_INVALID_ARGUMENT);
    cr_assert_null(ctx);
}

/* Runs the kernel of main.cl in a new context; returns what it wrote and what it took to make the program. */
static int run(const clseq_context_desc *desc, const char *options, clseq_context_stats *stats)
{
    clseq_context *ctx = test_context_with(desc);
    clseq__kernel *kernel = NULL;
    clseq_tensor y = {0};
    int32_t value = 0;
    cr_assert_eq(clseq__kernel_get(ctx, "main.cl", options, "k", &kernel), CLSEQ_OK, "%s",
                 clseq_last_error());
    cr_assert_eq(clseq_tensor_create(ctx, CLSEQ_DTYPE_I32, 1, (int64_t[]){1}, &y), CLSEQ_OK);
    cr_assert_eq(clseq__launch(ctx, kernel, CLSEQ__GRID1(1, 1), CLSEQ__ARGS(CLSEQ__M(y.buffer))), CLSEQ_OK,
                 "%s", clseq_last_error());
    cr_assert_eq(clseq_tensor_read(ctx, &y, &value), CLSEQ_OK);
    cr_assert_eq(clseq_context_get_stats(ctx, stats), CLSEQ_OK);
    clseq_tensor_destroy(ctx, &y);
    clseq_context_destroy(ctx);
    return value;
}

Test(core_cache, the_second_context_loads_what_the_first_built)
{
    clseq_context_stats stats;
    cr_assert_eq(run(NULL, "-DN=5", &stats), 5);
    cr_assert(stats.programs_built == 1 && stats.programs_loaded == 0);
    cr_assert_eq(folder_count(folder, SUFFIX, NULL), 1);
    log_capture(CLSEQ_LOG_INFO);
    cr_assert_eq(run(NULL, "-DN=5", &stats), 5);
    cr_assert(stats.programs_built == 0 && stats.programs_loaded == 1, "built %d, loaded %d; log: %s",
              (int)stats.programs_built, (int)stats.programs_loaded, log_text());
    cr_assert(!log_contains("Compiling"), "%s", log_text());
}

Test(core_cache, other_options_or_sources_are_other_programs)
{
    clseq_context_stats stats;
    run(NULL, "-DN=5", &stats);
    cr_assert_eq(run(NULL, "-DN=6", &stats), 6);
    cr_assert_eq(stats.programs_built, 1);
    folder_write_text(kernel_folder, "main.cl", "kernel void k(global int *y) { *y = N + 1; }\n");
    cr_assert_eq(run(NULL, "-DN=6", &stats), 7);
    cr_assert_eq(stats.programs_built, 1);
    /* Also when only an included file changes. */
    folder_write_text(kernel_folder, "main.cl",
                      "#include \"sub.clh\"\nkernel void k(global int *y) { *y = M; }\n");
    folder_write_text(kernel_folder, "sub.clh", "#define M 1\n");
    cr_assert_eq(run(NULL, "", &stats), 1);
    folder_write_text(kernel_folder, "sub.clh", "#define M 2\n");
    cr_assert_eq(run(NULL, "", &stats), 2);
    cr_assert_eq(folder_count(folder, SUFFIX, NULL), 5);
}

Test(core_cache, damage_is_repaired_by_compiling_again)
{
    clseq_context_stats stats;
    char path[2 * FOLDER_PATH];
    run(NULL, "-DN=5", &stats);
    entry_path(path);
    struct stat facts;
    cr_assert_eq(stat(path, &facts), 0);
    cr_assert_eq(truncate(path, facts.st_size / 2), 0);
    log_capture(CLSEQ_LOG_INFO);
    cr_assert_eq(run(NULL, "-DN=5", &stats), 5);
    cr_assert(stats.programs_built == 1 && stats.programs_loaded == 0);
    cr_assert(log_contains("is deleted") && log_contains("Compiling main.cl"), "%s", log_text());
    cr_assert_eq(run(NULL, "-DN=5", &stats), 5);
    cr_assert_eq(stats.programs_loaded, 1);
}

/* A whole entry with a binary that the driver cannot use, as after an update that keeps its version. */
Test(core_cache_misuse, a_binary_that_the_driver_refuses_is_compiled_again)
{
    clseq_context_stats stats;
    clseq_device_info device;
    char path[2 * FOLDER_PATH], other[2 * FOLDER_PATH], kept[2 * FOLDER_PATH];
    unsigned char head[24]; /* magic and key */
    /* Mesa's Rust driver does not refuse, it ends the process. */
    cr_assert_eq(clseq_device_find(NULL, &device), CLSEQ_OK);
    if (strcmp(device.platform_name, "rusticl") == 0)
        return;
    run(NULL, "-DN=5", &stats);
    /* The program's key is not known here. An entry with contents that no driver takes gets its head. */
    entry_path(path);
    snprintf(kept, sizeof kept, "%s/kept", folder);
    cr_assert_eq(rename(path, kept), 0);
    clseq__cache *cache = cache_open(NULL);
    store(cache, "other", "this is no program");
    clseq__cache_close(cache);
    entry_path(other);
    FILE *from = fopen(kept, "rb"), *to = fopen(other, "r+b");
    cr_assert_eq(fread(head, 1, sizeof head, from), sizeof head);
    cr_assert_eq(fwrite(head, 1, sizeof head, to), sizeof head);
    fclose(from);
    fclose(to);
    cr_assert_eq(rename(other, path), 0);
    log_capture(CLSEQ_LOG_INFO);
    cr_assert_eq(run(NULL, "-DN=5", &stats), 5);
    cr_assert(log_contains("refuses the cached binary of main.cl"), "%s", log_text());
    cr_assert(stats.programs_built == 1 && stats.programs_loaded == 0);
    cr_assert_eq(run(NULL, "-DN=5", &stats), 5);
    cr_assert_eq(stats.programs_loaded, 1);
}

Test(core_cache, it_can_be_turned_off)
{
    clseq_context_stats stats;
    cr_assert_eq(run(&(clseq_context_desc){.no_cache = true}, "-DN=5", &stats), 5);
    cr_assert_eq(folder_count(folder, SUFFIX, NULL), 0);
    run(NULL, "-DN=5", &stats);
    setenv("CLSEQ_CACHE", "off", 1);
    cr_assert_eq(run(NULL, "-DN=5", &stats), 5);
    cr_assert(stats.programs_built == 1 && stats.programs_loaded == 0);
}

Test(core_cache, the_descriptor_names_the_folder)
{
    clseq_context_stats stats;
    char path[2 * FOLDER_PATH];
    snprintf(path, sizeof path, "%s/mine", folder);
    run(&(clseq_context_desc){.cache_dir = path}, "-DN=5", &stats);
    cr_assert_eq(folder_count(path, SUFFIX, NULL), 1);
    cr_assert_eq(folder_count(folder, SUFFIX, NULL), 0);
}

/* Left to itself the cache may keep binaries or rely on the driver's own cache; a program is announced once. */
Test(core_cache, without_a_word_a_compile_is_announced_once)
{
    clseq_context_stats stats;
    unsetenv("CLSEQ_CACHE");
    log_capture(CLSEQ_LOG_INFO);
    cr_assert_eq(run(NULL, "-DN=5", &stats), 5);
    cr_assert(log_contains("Compiling main.cl"), "%s", log_text());
    log_capture(CLSEQ_LOG_INFO);
    cr_assert_eq(run(NULL, "-DN=5", &stats), 5);
    cr_assert(!log_contains("Compiling"), "%s", log_text());
    cr_assert_eq(stats.programs_built + stats.programs_loaded, 1);
}

Test(core_cache, every_device_has_its_own_programs)
{
    /* Makes PoCL show two devices that differ in their names; other platforms show what they have. */
    setenv("POCL_DEVICES", "pthread basic", 1);
    clseq_device_info devices[8];
    size_t count = 0;
    cr_assert_eq(clseq_device_list(devices, 8, &count), CLSEQ_OK, "%s", clseq_last_error());
    for (size_t i = 0; i < count && i < 8; i++) {
        char selector[32];
        clseq_context_stats stats;
        bool new = true;
        for (size_t j = 0; j < i; j++)
            new = new &&strcmp(devices[i].name, devices[j].name) != 0;
        snprintf(selector, sizeof selector, "%d:%d", devices[i].platform_index, devices[i].device_index);
        cr_assert_eq(run(&(clseq_context_desc){.device = selector}, "-DN=5", &stats), 5);
        cr_assert_eq(stats.programs_built, (uint64_t) new, "device %s", devices[i].name);
    }
}

/* What one of several processes does: use programs while another deletes or cuts the entries. */
static int one_process(int number)
{
    for (int round = 0; round < 4; round++) {
        clseq_context_stats stats;
        char options[32], name[FOLDER_PATH], path[2 * FOLDER_PATH];
        snprintf(options, sizeof options, "-DN=%d", 1 + round % 2);
        if (run(NULL, options, &stats) != 1 + round % 2)
            return 1;
        if (number < 2 && folder_count(folder, SUFFIX, name) > 0) {
            snprintf(path, sizeof path, "%s/%s", folder, name);
            if (number == 0)
                (void)unlink(path);
            else
                (void)!truncate(path, 100);
        }
    }
    return 0;
}

Test(core_cache, processes_share_a_folder)
{
    enum { PROCESSES = 4 };
    pid_t children[PROCESSES];
    for (int i = 0; i < PROCESSES; i++) {
        children[i] = fork();
        cr_assert(children[i] >= 0);
        if (children[i] == 0)
            _exit(one_process(i));
    }
    for (int i = 0; i < PROCESSES; i++) {
        int result = -1;
        cr_assert_eq(waitpid(children[i], &result, 0), children[i]);
        cr_assert(WIFEXITED(result) && WEXITSTATUS(result) == 0, "process %d ended with %d", i, result);
    }
    cr_assert_eq(folder_count(folder, "", NULL), folder_count(folder, SUFFIX, NULL),
                 "temporary files are left");
}
