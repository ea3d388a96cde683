/* Kernels by name: how includes are resolved, how programs are built, how launches check. */
#include <criterion/criterion.h>

#include "core/launch.h"
#include "core/source.h"
#include "support/device.h"
#include "support/faults.h"
#include "support/folder.h"
#include "support/kernel.h"
#include "support/log.h"
#include "support/outside.h"
#include <clseq/tensor.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char folder[FOLDER_PATH];

static void make_folder(void)
{
    folder_create(folder);
    setenv("CLSEQ_KERNEL_DIR", folder, 1);
    setenv("CLSEQ_CACHE", "off", 1);
}

static clseq__text resolved;

static void clean_up(void)
{
    free(resolved.data);
    folder_remove(folder);
}

TestSuite(core_program, .init = make_folder, .fini = clean_up);
TestSuite(core_program_misuse, .init = make_folder, .fini = clean_up);

/* The resolved text of main.cl, or the sentence of the failure; until the next call. */
static const char *resolve(const char *options)
{
    free(resolved.data);
    resolved = (clseq__text){0};
    return clseq__source_resolve(folder, "main.cl", options, &resolved) == CLSEQ_OK ? resolved.data
                                                                                    : clseq_last_error();
}

Test(core_program, an_include_stands_once_in_its_place)
{
    folder_write_text(folder, "main.cl",
                      "a\n#include \"x/one.clh\"\n  #  include  \"x/one.clh\" \n#include \"two.clh\"\nb");
    folder_write_text(folder, "x/one.clh", "1\n");
    folder_write_text(folder, "two.clh", "#include \"x/one.clh\"\n2");
    cr_assert_str_eq(resolve(""), "#line 1 \"main.cl\"\na\n"
                                  "#line 1 \"x/one.clh\"\n1\n#line 3 \"main.cl\"\n\n"
                                  "#line 1 \"two.clh\"\n\n2\n#line 5 \"main.cl\"\nb\n");
}

Test(core_program, a_file_that_includes_itself_ends)
{
    folder_write_text(folder, "main.cl", "#include \"main.cl\"\nx\n");
    cr_assert_str_eq(resolve(""), "#line 1 \"main.cl\"\n\nx\n");
}

Test(core_program, lines_that_only_look_like_includes_stay)
{
    const char *text = "// #include \"a\"\n#include <b>\n#included \"c\"\n#include \"d\n * #include \"e\"\n";
    char expected[256] = "#line 1 \"main.cl\"\n";
    folder_write_text(folder, "main.cl", text);
    cr_assert_str_eq(resolve(""), strcat(expected, text));
}

Test(core_program, names_in_paths_come_from_the_options)
{
    folder_write_text(folder, "main.cl", "#include \"cells/$CELL.$EXT\"\n");
    folder_write_text(folder, "cells/lstm.clh", "it\n");
    const char *expected = "#line 1 \"main.cl\"\n#line 1 \"cells/lstm.clh\"\nit\n#line 2 \"main.cl\"\n";
    cr_assert_str_eq(resolve("-DCELL=lstm -DEXT=clh"), expected);
    cr_assert_str_eq(resolve("-DCELLS=gru  -DEXT=clh -DXCELL=gru -DCELL=lstm"), expected);
    cr_assert(strstr(resolve("-DEXT=clh -DCELL"), "no -DCELL=") != NULL, "%s", clseq_last_error());
    cr_assert(strstr(resolve(NULL), "no -DCELL=") != NULL, "%s", clseq_last_error());
}

Test(core_program, a_missing_include_names_who_wants_it)
{
    folder_write_text(folder, "main.cl", "\n\n#include \"sub.clh\"\n");
    folder_write_text(folder, "sub.clh", "\n#include \"not/there.clh\"\n");
    const char *sentence = resolve("");
    cr_assert(strstr(sentence, "not/there.clh") != NULL, "%s", sentence);
    cr_assert(strstr(sentence, "sub.clh, line 2") != NULL, "%s", sentence);
    cr_assert(strstr(sentence, "main.cl, line 3") != NULL, "%s", sentence);
}

Test(core_program, what_is_embedded_is_what_the_folder_holds)
{
    static const char *const files[] = {"core/tensor.cl", "core/record.h"};
    clseq__text a, b;
    for (int i = 0; i < 2; i++) {
        a = b = (clseq__text){0};
        cr_assert_eq(clseq__source_resolve(NULL, files[i], "", &a), CLSEQ_OK, "%s", clseq_last_error());
        cr_assert_eq(clseq__source_resolve(CLSEQ_SOURCE_DIR "/cl", files[i], "", &b), CLSEQ_OK, "%s",
                     clseq_last_error());
        cr_assert_str_eq(a.data, b.data);
        free(a.data);
        free(b.data);
    }
    cr_assert_eq(clseq__source_resolve(NULL, "core/nothing.cl", "", &a), CLSEQ_NOT_FOUND);
    cr_assert(strstr(clseq_last_error(), "core/nothing.cl") != NULL);
}

static int run(clseq_context *ctx, const char *options)
{
    return kernel_value(ctx, "main.cl", options, "k");
}

Test(core_program, options_make_programs_and_each_is_built_once)
{
    folder_write_text(folder, "main.cl", "kernel void k(global int *y) { *y = N; }\n");
    clseq_context *ctx = test_context();
    clseq_context_stats stats;
    for (int round = 0; round < 2; round++) {
        cr_assert_eq(run(ctx, "-DN=3"), 3);
        cr_assert_eq(run(ctx, "-DN=4"), 4);
    }
    cr_assert_eq(clseq_context_get_stats(ctx, &stats), CLSEQ_OK);
    cr_assert_eq(stats.programs_built, 2);
    cr_assert_eq(stats.programs_loaded, 0);
    cr_assert(stats.build_seconds > 0);
    clseq_context_destroy(ctx);
}

/* What the faked answer is about, and what it is. */
static cl_uint faked;
static const char fake_text[] = "another one";

static cl_int platform_info(cl_platform_id platform, cl_platform_info what, size_t size, void *value,
                            size_t *actual)
{
    faults_answers.clGetPlatformInfo = NULL;
    cl_int code = clGetPlatformInfo(platform, what, size, value, actual);
    faults_answers.clGetPlatformInfo = platform_info;
    if (code == CL_SUCCESS && what == faked && value != NULL)
        snprintf(value, size, "%s", fake_text);
    return code;
}

static cl_int device_info(cl_device_id device, cl_device_info what, size_t size, void *value, size_t *actual)
{
    faults_answers.clGetDeviceInfo = NULL;
    cl_int code = clGetDeviceInfo(device, what, size, value, actual);
    faults_answers.clGetDeviceInfo = device_info;
    if (code == CL_SUCCESS && what == faked && value != NULL)
        snprintf(value, size, "%s", fake_text);
    return code;
}

/* The programs that a new context compiles for one kernel; the others come from the cache. */
static uint64_t built_by_new_context(void)
{
    clseq_context_stats stats = {0};
    clseq_context *ctx = test_context();
    cr_assert_eq(run(ctx, "-DN=3"), 3);
    cr_assert_eq(clseq_context_get_stats(ctx, &stats), CLSEQ_OK);
    clseq_context_destroy(ctx);
    return stats.programs_built;
}

Test(core_program, a_binary_of_another_driver_is_not_taken)
{
    static const cl_uint platform_texts[] = {CL_PLATFORM_NAME, CL_PLATFORM_VERSION};
    static const cl_uint device_texts[] = {CL_DEVICE_NAME, CL_DEVICE_VERSION, CL_DRIVER_VERSION};
    clseq_device_info device;
    char selector[32];
    /* Named by its place, as its names change. */
    cr_assert_eq(clseq_device_find(NULL, &device), CLSEQ_OK, "%s", clseq_last_error());
    snprintf(selector, sizeof selector, "%d:%d", device.platform_index, device.device_index);
    setenv("CLSEQ_DEVICE", selector, 1);
    setenv("CLSEQ_CACHE", "on", 1);
    setenv("CLSEQ_CACHE_DIR", folder, 1);
    folder_write_text(folder, "main.cl", "kernel void k(global int *y) { *y = N; }\n");
    cr_assert_eq(built_by_new_context(), 1);
    cr_assert_eq(built_by_new_context(), 0);
    faults_answers.clGetPlatformInfo = platform_info;
    faults_answers.clGetDeviceInfo = device_info;
    for (size_t i = 0; i < 5; i++) {
        faked = i < 2 ? platform_texts[i] : device_texts[i - 2];
        cr_assert_eq(built_by_new_context(), 1, "text %zu", i);
        cr_assert_eq(built_by_new_context(), 0, "text %zu", i);
    }
    faults_answers = (faults_answerers){0};
    cr_assert_eq(built_by_new_context(), 0);
}

Test(core_program, programs_know_the_shape_of_the_device)
{
    folder_write_text(folder, "main.cl",
                      "kernel void k(global int *y) { *y = VW * 10000 + CPU * 1000 + REGISTERS; }\n");
    setenv("CLSEQ_VECTOR_WIDTH", "8", 1);
    clseq_context *ctx = test_context();
    int cpu = (clseq_context_device(ctx)->type & CL_DEVICE_TYPE_CPU) != 0;
    cr_assert_eq(run(ctx, NULL), 80000 + cpu * 1000 + 16);
    clseq_context_destroy(ctx);
}

Test(core_program_misuse, a_build_failure_shows_file_and_line_of_the_mistake)
{
    folder_write_text(folder, "main.cl", "#include \"part.clh\"\nkernel void k(global int *y) { *y = 1; }\n");
    folder_write_text(folder, "part.clh", "\n\nint f(void) { return no_such_name; }\n");
    clseq_context *ctx = test_context();
    clseq__kernel *kernel = NULL;
    log_capture(CLSEQ_LOG_ERROR);
    cr_assert_eq(clseq__kernel_get(ctx, "main.cl", "-DN=1", "k", &kernel), CLSEQ_BUILD_FAILED);
    const char *sentence = clseq_last_error();
    cr_assert(strstr(sentence, "main.cl does not compile") != NULL, "%s", sentence);
    cr_assert(strstr(sentence, "-DN=1") != NULL, "%s", sentence);
    cr_assert(strstr(sentence, "no_such_name") != NULL, "%s", sentence);
    /* An interpreter, for which the small tests are, may not heed #line. */
    cr_assert(test_small() || strstr(sentence, "part.clh:3") != NULL, "%s", sentence);
    cr_assert(log_contains("no_such_name"), "%s", log_text());
    /* It may be asked for again, and the mistake may be mended meanwhile. */
    folder_write_text(folder, "part.clh", "\n");
    cr_assert_eq(run(ctx, "-DN=1"), 1);
    clseq_context_destroy(ctx);
}

/* Asks for a program while PoCL's cache is `below` a file; other platforms do not mind. */
static void with_a_file_in_the_place_of_the_cache(const char *below)
{
    char path[FOLDER_PATH + 64];
    clseq_context *ctx = NULL;
    clseq__kernel *kernel = NULL;
    folder_write_text(folder, "file", "");
    folder_write_text(folder, "main.cl", "kernel void k(global int *y) { *y = 1; }\n");
    snprintf(path, sizeof path, "%s/file%s", folder, below);
    setenv("POCL_CACHE_DIR", path, 1);
    if (clseq_context_create(NULL, &ctx) == CLSEQ_OK) {
        const bool pocl =
            strcmp(clseq_context_device(ctx)->platform_name, "Portable Computing Language") == 0;
        const clseq_status status = clseq__kernel_get(ctx, "main.cl", NULL, "k", &kernel);
        clseq_context_destroy(ctx);
        cr_assert_eq(status, pocl ? CLSEQ_BUILD_FAILED : CLSEQ_OK, "%s", clseq_last_error());
        if (!pocl)
            return;
    }
    cr_assert(strstr(clseq_last_error(), "; PoCL cannot write its cache ") != NULL, "%s", clseq_last_error());
    cr_assert(strstr(clseq_last_error(), path) != NULL, "%s", clseq_last_error());
    cr_assert(strstr(clseq_last_error(), "(Not a directory)") != NULL, "%s", clseq_last_error());
    cr_assert_null(strchr(clseq_last_error(), '\n'), "one sentence in one line: %s", clseq_last_error());
}

Test(core_program_misuse, a_file_is_no_cache_for_pocl)
{
    with_a_file_in_the_place_of_the_cache("");
}

Test(core_program_misuse, without_a_cache_pocl_has_no_device)
{
    with_a_file_in_the_place_of_the_cache("/below");
}

Test(core_program, a_kernel_that_is_not_there)
{
    folder_write_text(folder, "main.cl", "kernel void k(global int *y) { *y = 1; }\n");
    clseq_context *ctx = test_context();
    clseq__kernel *kernel = NULL;
    cr_assert_eq(clseq__kernel_get(ctx, "main.cl", NULL, "kk", &kernel), CLSEQ_NOT_FOUND);
    cr_assert(strstr(clseq_last_error(), "main.cl has no kernel kk") != NULL, "%s", clseq_last_error());
    cr_assert_eq(clseq__kernel_get(ctx, "other.cl", NULL, "k", &kernel), CLSEQ_NOT_FOUND);
    clseq_context_destroy(ctx);
}

Test(core_program, a_compile_is_announced)
{
    folder_write_text(folder, "main.cl", "kernel void k(global int *y) { *y = 1; }\n");
    clseq_context *ctx = test_context();
    log_capture(CLSEQ_LOG_INFO);
    run(ctx, NULL);
    cr_assert(strncmp(log_text(), "info: Compiling main.cl for ", 28) == 0, "%s", log_text());
    cr_assert(log_contains(clseq_context_device(ctx)->name), "%s", log_text());
    clseq_context_destroy(ctx);
}

Test(core_program_misuse, launches_check_their_arguments)
{
    folder_write_text(folder, "main.cl",
                      "kernel void k(global int *y, long n, local int *l, float f) { *y = n + (int)f; }\n");
    clseq_context *ctx = test_context();
    clseq__kernel *kernel = NULL;
    clseq_tensor y = {0};
    int32_t value = 0;
    clseq__grid one = CLSEQ__GRID1(1, 1);
    cr_assert_eq(clseq__kernel_get(ctx, "main.cl", NULL, "k", &kernel), CLSEQ_OK, "%s", clseq_last_error());
    cr_assert_eq(clseq_tensor_create(ctx, CLSEQ_DTYPE_I32, 1, (int64_t[]){1}, &y), CLSEQ_OK);
    cr_assert_eq(clseq__launch(ctx, kernel, one, CLSEQ__ARGS(CLSEQ__M(y.buffer), CLSEQ__L(1))),
                 CLSEQ_INVALID_ARGUMENT);
    cr_assert_str_eq(clseq_last_error(), "kernel k takes 4 arguments, 2 were given");
    cr_assert_neq(clseq__launch(ctx, kernel, one,
                                CLSEQ__ARGS(CLSEQ__M(y.buffer), CLSEQ__I(1), CLSEQ__LOCAL(16), CLSEQ__F(2))),
                  CLSEQ_OK);
    cr_assert(strstr(clseq_last_error(), "kernel k, argument 1 (4 bytes)") != NULL, "%s", clseq_last_error());
    cr_assert_eq(clseq__launch(ctx, kernel, one,
                               CLSEQ__ARGS(CLSEQ__M(y.buffer), CLSEQ__L(40), CLSEQ__LOCAL(16), CLSEQ__F(2))),
                 CLSEQ_OK, "%s", clseq_last_error());
    cr_assert_eq(clseq_tensor_read(ctx, &y, &value), CLSEQ_OK);
    cr_assert_eq(value, 42);
    /* A group larger than the device can run is refused, and no groups are nothing to do. */
    cr_assert_neq(clseq__launch(ctx, kernel, CLSEQ__GRID1(1, (size_t)1 << 40),
                                CLSEQ__ARGS(CLSEQ__M(y.buffer), CLSEQ__L(1), CLSEQ__LOCAL(16), CLSEQ__F(2))),
                  CLSEQ_OK);
    cr_assert(strstr(clseq_last_error(), "kernel k") != NULL, "%s", clseq_last_error());
    clseq_context_stats before, after;
    cr_assert_eq(clseq_context_get_stats(ctx, &before), CLSEQ_OK);
    cr_assert_eq(clseq__launch(ctx, kernel, CLSEQ__GRID2(3, 0, 1, 1),
                               CLSEQ__ARGS(CLSEQ__M(y.buffer), CLSEQ__L(1), CLSEQ__LOCAL(16), CLSEQ__F(2))),
                 CLSEQ_OK);
    cr_assert_eq(clseq_context_get_stats(ctx, &after), CLSEQ_OK);
    cr_assert_eq(after.launches, before.launches);
    clseq_tensor_destroy(ctx, &y);
    clseq_context_destroy(ctx);
}

Test(core_program, a_grid_covers_every_element_once)
{
    unsetenv("CLSEQ_KERNEL_DIR");
    clseq_context *ctx = test_context();
    static const int64_t sizes[] = {1, 2, 15, 16, 17, 255, 256, 257, 4095, 4096, 4097, 8191, 65537, 300001};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0] && !(test_small() && sizes[s] > 300); s++) {
        int64_t n = sizes[s];
        clseq__grid grid = clseq__grid_for(ctx, n);
        cr_assert(grid.dims == 1 && grid.groups[0] >= 1 && grid.local[0] >= 1);
        cr_assert(grid.local[0] <= clseq_context_device(ctx)->max_work_group_size);
        /* Every second element of a larger tensor, so that the kernel with FOR_EACH runs. */
        clseq_tensor y = {0};
        int32_t *got = calloc((size_t)n + 1, 8);
        cr_assert_eq(clseq_tensor_create(ctx, CLSEQ_DTYPE_I32, 2, (int64_t[]){n + 1, 2}, &y), CLSEQ_OK);
        cr_assert_eq(clseq_tensor_fill(ctx, &y, 7), CLSEQ_OK);
        clseq_tensor part = clseq_tensor_slice(&y, 1, 0, 1);
        part = clseq_tensor_slice(&part, 0, 0, n);
        cr_assert_eq(clseq_tensor_fill(ctx, &part, 9), CLSEQ_OK, "%s", clseq_last_error());
        cr_assert_eq(clseq_tensor_read(ctx, &y, got), CLSEQ_OK);
        for (int64_t i = 0; i < 2 * (n + 1); i++)
            cr_assert_eq(got[i], i % 2 == 0 && i < 2 * n ? 9 : 7, "n %lld, element %lld is %d", (long long)n,
                         (long long)i, got[i]);
        free(got);
        clseq_tensor_destroy(ctx, &y);
    }
    clseq_context_destroy(ctx);
}

Test(core_program, grids_of_absurd_sizes_stay_sane)
{
    clseq_context *ctx = test_context();
    clseq__grid none = clseq__grid_for(ctx, 0), most = clseq__grid_for(ctx, INT64_MAX);
    cr_assert_eq(none.groups[0], 1);
    /* One element more than a group takes has a second group. */
    cr_assert_eq(clseq__grid_for(ctx, 1).groups[0], 1);
    cr_assert(clseq__grid_for(ctx, 4097).groups[0] > 1);
    cr_assert(most.groups[0] >= 1 && most.groups[0] <= (size_t)1 << 20);
    clseq_context_destroy(ctx);
}

/* One argument too many is as wrong as one too few, and is named before OpenCL sees it. */
Test(core_program_misuse, launches_count_their_arguments)
{
    folder_write_text(folder, "main.cl", "kernel void k(global int *y) { *y = 1; }\n");
    clseq_context *ctx = test_context();
    clseq__kernel *kernel = NULL;
    cr_assert_eq(clseq__kernel_get(ctx, "main.cl", NULL, "k", &kernel), CLSEQ_OK, "%s", clseq_last_error());
    cr_assert_eq(clseq__launch(ctx, kernel, CLSEQ__GRID1(1, 1), CLSEQ__ARGS(CLSEQ__M(NULL), CLSEQ__I(1))),
                 CLSEQ_INVALID_ARGUMENT);
    cr_assert_str_eq(clseq_last_error(), "kernel k takes 1 arguments, 2 were given");
    clseq_context_destroy(ctx);
}

static clseq_context *wrap(const outside *o)
{
    clseq_context *ctx = NULL;
    cr_assert_eq(clseq_context_wrap(o->context, o->queue, NULL, &ctx), CLSEQ_OK, "%s", clseq_last_error());
    return ctx;
}

static clseq_context_stats stats_of(const clseq_context *ctx)
{
    clseq_context_stats stats = {0};
    cr_assert_eq(clseq_context_get_stats(ctx, &stats), CLSEQ_OK);
    return stats;
}

/* A program is built once for all contexts around one OpenCL context, and forgotten with the last of them. */
Test(core_program, contexts_around_one_opencl_context_share_programs)
{
    folder_write_text(folder, "main.cl", "kernel void k(global int *y) { *y = N; }\n");
    outside o = outside_create(0), beside = outside_beside(&o);
    clseq_context *a = wrap(&o), *b = wrap(&beside);
    cr_assert_eq(run(a, "-DN=3"), 3);
    cr_assert_eq(stats_of(a).programs_built, 1);
    cr_assert_eq(run(b, "-DN=3"), 3);
    cr_assert(stats_of(b).programs_built == 0 && stats_of(b).programs_loaded == 0);
    cr_assert_eq(run(b, "-DN=4"), 4, "other options make another program");
    cr_assert_eq(stats_of(b).programs_built, 1);
    clseq_context_destroy(a);
    cr_assert_eq(run(b, "-DN=3"), 3, "it stays with the one that is left");
    a = wrap(&o);
    cr_assert_eq(run(a, "-DN=3") + run(a, "-DN=4"), 7);
    cr_assert(stats_of(a).programs_built == 0 && stats_of(a).programs_loaded == 0);
    folder_write_text(folder, "main.cl", "kernel void k(global int *y) { *y = N + 1; }\n");
    clseq_context *c = wrap(&o);
    cr_assert_eq(run(c, "-DN=3"), 4, "another text is another program");
    cr_assert_eq(stats_of(c).programs_built, 1);
    clseq_context_destroy(a);
    clseq_context_destroy(b);
    clseq_context_destroy(c);
    a = wrap(&o);
    cr_assert_eq(run(a, "-DN=3"), 4);
    cr_assert_eq(stats_of(a).programs_built, 1, "with the last one it is gone");
    clseq_context_destroy(a);
    outside_release(&beside);
    outside_release(&o);
}

/* Programs are compiled for a shape of device, which the environment may change, and for one OpenCL context. */
Test(core_program, other_contexts_do_not_share_programs)
{
    folder_write_text(folder, "main.cl", "kernel void k(global int *y) { *y = VW; }\n");
    outside o = outside_create(0), other = outside_create(0);
    setenv("CLSEQ_VECTOR_WIDTH", "8", 1);
    clseq_context *a = wrap(&o), *b = wrap(&other);
    setenv("CLSEQ_VECTOR_WIDTH", "4", 1);
    clseq_context *c = wrap(&o);
    cr_assert_eq(run(a, NULL), 8);
    cr_assert_eq(run(b, NULL), 8);
    cr_assert_eq(run(c, NULL), 4);
    cr_assert(stats_of(b).programs_built == 1 && stats_of(c).programs_built == 1);
    clseq_context_destroy(a);
    clseq_context_destroy(b);
    clseq_context_destroy(c);
    outside_release(&other);
    outside_release(&o);
}

/* A program that does not compile for one context is tried again by the next. */
Test(core_program_misuse, a_build_that_failed_is_not_shared)
{
    folder_write_text(folder, "main.cl", "kernel void k(global int *y) { *y = no_such_name; }\n");
    outside o = outside_create(0);
    clseq_context *a = wrap(&o), *b = wrap(&o);
    clseq__kernel *kernel = NULL;
    cr_assert_eq(clseq__kernel_get(a, "main.cl", NULL, "k", &kernel), CLSEQ_BUILD_FAILED);
    cr_assert_eq(clseq__kernel_get(b, "main.cl", NULL, "k", &kernel), CLSEQ_BUILD_FAILED);
    cr_assert_eq(clseq__kernel_get(b, "main.cl", "-Dno_such_name=5", "k", &kernel), CLSEQ_OK, "%s",
                 clseq_last_error());
    cr_assert_eq(run(a, "-Dno_such_name=5"), 5);
    cr_assert_eq(stats_of(a).programs_built, 0);
    clseq_context_destroy(a);
    clseq_context_destroy(b);
    outside_release(&o);
}

/* What one of the threads below does, over and over: a context of its own, programs that all of them ask for. */
typedef struct worker {
    pthread_t thread;
    outside o;
    int rounds, wrong;
    uint64_t built;
} worker;

static int value_of(clseq_context *ctx, const char *options)
{
    clseq__kernel *kernel = NULL;
    clseq_tensor y = {0};
    int32_t value = -1;
    if (clseq__kernel_get(ctx, "main.cl", options, "k", &kernel) == CLSEQ_OK &&
        clseq_tensor_create(ctx, CLSEQ_DTYPE_I32, 1, (int64_t[]){1}, &y) == CLSEQ_OK &&
        clseq__launch(ctx, kernel, CLSEQ__GRID1(1, 1), CLSEQ__ARGS(CLSEQ__M(y.buffer))) == CLSEQ_OK)
        clseq_tensor_read(ctx, &y, &value);
    clseq_tensor_destroy(ctx, &y);
    return value;
}

static void *work(void *data)
{
    static const char *const options[] = {"-DN=0", "-DN=1"};
    worker *w = data;
    for (int round = 0; round < w->rounds; round++) {
        clseq_context *ctx = NULL;
        clseq_context_stats stats = {0};
        if (clseq_context_wrap(w->o.context, w->o.queue, NULL, &ctx) != CLSEQ_OK) {
            w->wrong++;
            continue;
        }
        for (int i = 0; i < 4; i++)
            w->wrong += value_of(ctx, options[i % 2]) != i % 2;
        clseq_context_get_stats(ctx, &stats);
        w->built += stats.programs_built;
        clseq_context_destroy(ctx);
    }
    return NULL;
}

Test(core_program, threads_that_share_programs_build_each_once)
{
    enum { WORKERS = 4 };
    folder_write_text(folder, "main.cl", "kernel void k(global int *y) { *y = N; }\n");
    outside o = outside_create(0);
    worker workers[WORKERS] = {0};
    uint64_t built = 0;
    clseq_context *keeper = wrap(&o);
    cr_assert_eq(run(keeper, "-DN=1"), 1);
    for (int i = 0; i < WORKERS; i++) {
        workers[i] = (worker){.o = outside_beside(&o), .rounds = test_small() ? 3 : 20};
        cr_assert_eq(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < WORKERS; i++) {
        pthread_join(workers[i].thread, NULL);
        cr_assert_eq(workers[i].wrong, 0, "thread %d", i);
        built += workers[i].built;
        outside_release(&workers[i].o);
    }
    /* The one that somebody keeps is never built again; the other one is when it was given up in between. */
    cr_assert(built >= 1 && built <= (uint64_t)(WORKERS * workers[0].rounds));
    cr_assert_eq(stats_of(keeper).programs_built, 1);
    clseq_context_destroy(keeper);
    outside_release(&o);
}
