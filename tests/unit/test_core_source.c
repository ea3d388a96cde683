/* What a file of kernels means: its includes, and the other files of its program. */
#include <criterion/criterion.h>

#include "core/program.h"
#include "core/source.h"
#include "support/device.h"
#include "support/folder.h"
#include "support/kernel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char folder[FOLDER_PATH];
static clseq_context *ctx;

/* Programs come from a folder of the test; "train/" has the files clip.cl, meter.cl and optimizer.cl. */
static void make_context(void)
{
    folder_create(folder);
    folder_write_text(folder, "train/clip.cl", "");
    folder_write_text(folder, "train/meter.cl", "");
    folder_write_text(folder, "train/optimizer.cl", "");
    setenv("CLSEQ_KERNEL_DIR", folder, 1);
    setenv("CLSEQ_CACHE", "off", 1);
    ctx = test_context();
}

static void clean_up(void)
{
    clseq_context_destroy(ctx);
    folder_remove(folder);
}

TestSuite(core_source, .init = make_context, .fini = clean_up);
TestSuite(core_source_misuse, .init = make_context, .fini = clean_up);

Test(core_source, an_include_that_is_left_out_does_not_count)
{
    folder_write_text(folder, "one.clh", "#define ONE 1\nstatic int one(void) { return ONE; }\n");
    folder_write_text(folder, "main.cl",
                      "#if 0\n#include \"one.clh\"\n#endif\n#include \"one.clh\"\n#include \"one.clh\"\n"
                      "kernel void k(global int *y) { *y = one(); }\n");
    cr_assert_eq(kernel_value(ctx, "main.cl", "", "k"), 1);
}

Test(core_source, an_include_stands_once_whatever_branch_is_taken)
{
    folder_write_text(folder, "one.clh", "static int one(void) { return 1; }\n");
    folder_write_text(folder, "both.clh", "#ifndef BOTH\n#define BOTH\n#include \"one.clh\"\n#endif\n");
    folder_write_text(folder, "main.cl",
                      "#if N == 1\n#include \"one.clh\"\n#elif N == 2\n#include \"both.clh\"\n#else\n"
                      "#include \"one.clh\"\n#include \"both.clh\"\n#endif\n#ifdef N\n#include \"both.clh\"\n"
                      "#include \"one.clh\"\n#endif\n#include \"one.clh\"\n"
                      "kernel void k(global int *y) { *y = one() + __LINE__; }\n");
    for (int n = 0; n < 4; n++) {
        char options[16];
        snprintf(options, sizeof options, n > 0 ? "-DN=%d" : "", n);
        cr_assert_eq(kernel_value(ctx, "main.cl", options, "k"), 15, "%s", options);
    }
}

Test(core_source, directives_in_comments_and_strings_are_none)
{
    folder_write_text(folder, "main.cl",
                      "/*\n#include \"nothing.clh\"\n#if 1\n*/ /* */ #define N 3 /*\n#endif */\n"
                      "// it's /* no comment\n#define TEXT \"/*\" // \\\"\n#define LONG \\\n#if\n"
                      "kernel void k(global int *y) { *y = N; }\n");
    cr_assert_eq(kernel_value(ctx, "main.cl", "", "k"), 3);
}

/* The first file does what it can to change what the second means. */
Test(core_source, macros_end_with_their_file)
{
    static const char *const values[][2] = {
        {"#define fma(a, b, c) 9\n", "(int)fma(2.0f, 3.0f, 4.0f)"}, /* a function of the language */
        {"#undef CHAR_BIT\n#define CHAR_BIT 7\n", "CHAR_BIT + 2"},  /* a macro of the compiler */
        {"#undef N\n#define N 7\n", "N"},                           /* an option */
        {"#undef N\n", "N"},
        {"#if 1\n#  define HIDDEN \\\n1\n#endif\n", "IS_DEFINED_HIDDEN"},
        {"#include \"other.clh\"\n", "IS_DEFINED_OTHER"}, /* a macro of an include */
        {"#define WIDE 4\n#include \"header.clh\"\n", "width()"},
    };
    static const int expected[] = {10, 10, 5, 5, 0, 0, 2};
    folder_write_text(folder, "other.clh", "#ifndef OTHER\n#define OTHER\n#endif\n");
    folder_write_text(folder, "header.clh",
                      "#ifndef WIDE\n#define WIDE 2\n#endif\nstatic int width(void) { return WIDE; }\n");
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        char second[512];
        snprintf(second, sizeof second,
                 "#include \"header.clh\"\n#ifdef HIDDEN\n#define IS_DEFINED_HIDDEN 1\n#else\n"
                 "#define IS_DEFINED_HIDDEN 0\n#endif\n#ifdef OTHER\n#define IS_DEFINED_OTHER 1\n#else\n"
                 "#define IS_DEFINED_OTHER 0\n#endif\nkernel void k(global int *y) { *y = %s; }\n",
                 values[i][1]);
        folder_write_text(folder, "train/clip.cl", values[i][0]);
        folder_write_text(folder, "train/meter.cl", second);
        clseq_context *fresh = test_context();
        cr_assert_eq(kernel_value(fresh, "train/meter.cl", "-DN=5", "k"), expected[i], "alone, %zu", i);
        cr_assert_eq(kernel_value(fresh, "train/", "-DN=5", "k"), expected[i], "behind %s", values[i][0]);
        clseq_context_destroy(fresh);
    }
}

/* A compiler that does not know push_macro still forgets them. */
Test(core_source, macros_are_undefined_too)
{
    clseq__text text = {0};
    folder_write_text(folder, "train/clip.cl", "#define A 1\n");
    cr_assert_eq(clseq__source_resolve(folder, "train/", "", &text), CLSEQ_OK, "%s", clseq_last_error());
    cr_assert_not_null(strstr(text.data, "#define A 1\n#undef A\n"), "%s", text.data);
    free(text.data);
}

Test(core_source, static_functions_belong_to_their_file)
{
    folder_write_text(folder, "train/clip.cl",
                      "static inline int f(void) { return 1; }\n"
                      "kernel void clip(global int *y) { *y = f(); }\n");
    folder_write_text(folder, "train/meter.cl",
                      "static int f(void)\n{\n    return 2;\n}\n"
                      "kernel void meter(global int *y) { *y = f(); }\n");
    cr_assert_eq(kernel_value(ctx, "train/", "", "clip"), 1);
    cr_assert_eq(kernel_value(ctx, "train/", "", "meter"), 2);
}

/* So that several files can take one record, or one name stand for two. */
Test(core_source, records_belong_to_their_file)
{
    folder_write_text(
        folder, "core/record.h",
        "#define CLSEQ_RECORD_MEMBER(type, name) type name;\n"
        "#define CLSEQ_RECORD(name, MEMBERS) typedef struct name { MEMBERS(CLSEQ_RECORD_MEMBER) } name\n");
    folder_write_text(
        folder, "pair.h",
        "#include \"core/record.h\"\n#define PAIR(M) M(int, a) M(int, b)\nCLSEQ_RECORD(pair, PAIR);\n");
    folder_write_text(
        folder, "train/clip.cl",
        "#include \"pair.h\"\nkernel void clip(global int *y) { pair p = {3, 4}; *y = p.a + p.b; }\n");
    folder_write_text(
        folder, "train/meter.cl",
        "#include \"pair.h\"\nkernel void meter(global int *y) { pair p = {5, 6}; *y = p.a * p.b; }\n");
    folder_write_text(folder, "train/optimizer.cl",
                      "#include \"core/record.h\"\n#define PAIR(M) M(int, c[3])\nCLSEQ_RECORD( pair, PAIR);\n"
                      "kernel void other(global int *y) { *y = (int)sizeof(pair); }\n");
    cr_assert_eq(kernel_value(ctx, "train/", "", "clip"), 7);
    cr_assert_eq(kernel_value(ctx, "train/", "", "meter"), 30);
    cr_assert_eq(kernel_value(ctx, "train/", "", "other"), 12);
}

/* The square of 1 + 2^-12 has a last bit that only a contracted difference still sees. */
static const char contracts[] = "kernel void k(global int *y)\n{\n"
                                "    const float x = 1.0f + get_global_size(0) * 0x1p-12f;\n"
                                "    *y = as_int(x * x - 1.0f);\n}\n";

Test(core_source, contraction_is_the_default_again)
{
    clseq__text text = {0};
    folder_write_text(folder, "train/clip.cl", "#pragma OPENCL FP_CONTRACT OFF\nkernel void off(void) {}\n");
    folder_write_text(folder, "train/meter.cl", contracts);
    cr_assert_eq(clseq__source_resolve(folder, "train/", "", &text), CLSEQ_OK, "%s", clseq_last_error());
    const char *off = strstr(text.data, "#pragma OPENCL FP_CONTRACT OFF");
    cr_assert(off != NULL && strstr(off, "#pragma OPENCL FP_CONTRACT DEFAULT") < strstr(off, "k(global"));
    cr_assert_not_null(strstr(off, "#pragma OPENCL FP_CONTRACT DEFAULT"), "%s", text.data);
    cr_assert_eq(kernel_value(ctx, "train/", "", "k"), kernel_value(ctx, "train/meter.cl", "", "k"));
    free(text.data);
}

/* A file of a folder that lives on what another includes would change with that. */
Test(core_source, every_file_of_the_library_s_folders_compiles_alone)
{
    static const char *const folders[] = {"nn/", "train/"};
    unsetenv("CLSEQ_KERNEL_DIR");
    clseq_context *own = test_context();
    for (size_t i = 0; i < clseq__source_count; i++)
        for (size_t f = 0; f < 2; f++) {
            const char *name = clseq__sources[i].name;
            clseq__kernel *none = NULL;
            if (strncmp(name, folders[f], strlen(folders[f])) != 0 || strcmp(strrchr(name, '.'), ".cl") != 0)
                continue;
            cr_assert_eq(clseq__kernel_get(own, name, NULL, "none", &none), CLSEQ_NOT_FOUND);
            cr_assert(strstr(clseq_last_error(), "has no kernel none") != NULL, "%s", clseq_last_error());
        }
    clseq_context_destroy(own);
}

Test(core_source_misuse, what_would_outlast_a_file_is_refused)
{
    static const char *const bad[][2] = {
        {"#pragma OPENCL EXTENSION cl_khr_fp64 : enable\n",
         "train/clip.cl, line 1: #pragma OPENCL EXTENSION"},
        {"\n#pragma pack(1)\n", "train/clip.cl, line 2: #pragma pack(1) would reach the other files"},
        {"/* no end\n", "train/clip.cl ends within a comment"},
        {"#if 1\n", "train/clip.cl ends within an #if"},
        {"#define A \\", "train/clip.cl ends within a line that goes on"},
        {"#endif\n", "train/clip.cl, line 1: there is no #if before"},
        {"#include \"half.clh\"\n#endif\n", "half.clh ends within an #if"},
        {"#if 1\n#include \"rest.clh\"\n", "rest.clh, line 1: there is no #if before"},
    };
    clseq__text text = {0};
    folder_write_text(folder, "half.clh", "#if 1\n");
    folder_write_text(folder, "rest.clh", "#else\n");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        folder_write_text(folder, "train/clip.cl", bad[i][0]);
        cr_assert_neq(clseq__source_resolve(folder, "train/", "", &text), CLSEQ_OK, "%s", bad[i][0]);
        cr_assert(strstr(clseq_last_error(), bad[i][1]) != NULL, "%s", clseq_last_error());
    }
    folder_write_text(folder, "train/clip.cl", "#pragma unroll\n#pragma OPENCL FP_CONTRACT ON\n");
    cr_assert_eq(clseq__source_resolve(folder, "train/", "", &text), CLSEQ_OK, "%s", clseq_last_error());
    /* Nobody is disturbed in a program of one file. */
    folder_write_text(folder, "main.cl", "#pragma OPENCL EXTENSION cl_khr_fp64 : enable\n");
    cr_assert_eq(clseq__source_resolve(folder, "main.cl", "", &text), CLSEQ_OK, "%s", clseq_last_error());
    free(text.data);
}

Test(core_source_misuse, includes_and_branches_without_end_are_refused)
{
    clseq__text text = {0}, deep = {0};
    for (int i = 0; i < 100; i++) {
        char name[32], body[64];
        snprintf(name, sizeof name, "chain/%d.clh", i);
        snprintf(body, sizeof body, "#include \"chain/%d.clh\"\n", i + 1);
        folder_write_text(folder, name, body);
        cr_assert_eq(clseq__text_print(&deep, "#if 1\n"), CLSEQ_OK);
    }
    cr_assert_eq(clseq__source_resolve(folder, "chain/0.clh", "", &text), CLSEQ_INVALID_ARGUMENT);
    cr_assert(strstr(clseq_last_error(), "too many includes, or too deep") != NULL, "%s", clseq_last_error());
    folder_write_text(folder, "main.cl", deep.data);
    cr_assert_eq(clseq__source_resolve(folder, "main.cl", "", &text), CLSEQ_UNSUPPORTED);
    cr_assert(strstr(clseq_last_error(), "main.cl, line 33: #if within more than") != NULL, "%s",
              clseq_last_error());
    free(text.data);
    free(deep.data);
}
