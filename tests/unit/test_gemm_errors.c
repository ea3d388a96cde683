/* What clseq_gemm and packing refuse, with which status and which words, and that nothing was enqueued then. */
#include <criterion/criterion.h>

#include "core/context.h"
#include "linalg/gemm_impl.h"
#include "support/device.h"

#include <clseq/gemm.h>
#include <stdlib.h>
#include <string.h>

#define HUGE_SIZE (INT64_MAX / 2)

static cl_mem new_buffer(clseq_context *ctx, size_t floats)
{
    cl_mem buffer =
        clCreateBuffer(clseq_context_cl_context(ctx), CL_MEM_READ_WRITE, floats * sizeof(float), NULL, NULL);
    cr_assert(buffer != NULL);
    const float zero = 0;
    cr_assert_eq(clEnqueueFillBuffer(clseq_context_queue(ctx), buffer, &zero, sizeof zero, 0,
                                     floats * sizeof zero, 0, NULL, NULL),
                 CL_SUCCESS);
    return buffer;
}

/* [4,3] by [3,5]: A of 12 floats, B of 15, C of 20. */
static clseq_gemm_args good_args(cl_mem a, cl_mem b, cl_mem c)
{
    return (clseq_gemm_args){.m = 4,
                             .n = 5,
                             .k = 3,
                             .alpha = 1,
                             .a = {.buffer = a, .ld = 3},
                             .b = {.buffer = b, .ld = 5},
                             .c = {.buffer = c, .ld = 5}};
}

static void expect(clseq_status got, clseq_status want, const char *words)
{
    cr_assert_eq(got, want, "%s: got %s, expected %s", words, clseq_status_name(got),
                 clseq_status_name(want));
    cr_assert(strstr(clseq_last_error(), words) != NULL, "expected \"%s\" in \"%s\"", words,
              clseq_last_error());
}

/* One field of the arguments set to a bad value. */
typedef struct bad_field {
    size_t offset;
    int64_t value;
    clseq_status status;
    const char *words;
} bad_field;

#define FIELD(name) offsetof(clseq_gemm_args, name)

static const bad_field bad_fields[] = {
    {FIELD(m), 0, CLSEQ_INVALID_ARGUMENT, "m, n, k are 0, 5, 3"},
    {FIELD(n), -1, CLSEQ_INVALID_ARGUMENT, "m, n, k are 4, -1, 3"},
    {FIELD(k), 0, CLSEQ_INVALID_ARGUMENT, "m, n, k are 4, 5, 0"},
    {FIELD(batch), -2, CLSEQ_INVALID_ARGUMENT, "batch -2"},
    {FIELD(a.offset), -1, CLSEQ_INVALID_ARGUMENT, "a has offset -1"},
    {FIELD(b.stride), -1, CLSEQ_INVALID_ARGUMENT, "b has offset 0 and stride -1"},
    {FIELD(a.ld), 2, CLSEQ_INVALID_ARGUMENT, "a has leading dimension 2, expected at least 3"},
    {FIELD(b.ld), 4, CLSEQ_INVALID_ARGUMENT, "b has leading dimension 4, expected at least 5"},
    {FIELD(c.ld), 0, CLSEQ_INVALID_ARGUMENT, "c has leading dimension 0, expected at least 5"},
    {FIELD(batch), 2, CLSEQ_INVALID_ARGUMENT, "c has stride 0"},
    {FIELD(a.offset), 1, CLSEQ_OUT_OF_BOUNDS, "a (1 stored as [4,3], offset 1"},
    {FIELD(b.offset), HUGE_SIZE, CLSEQ_OUT_OF_BOUNDS, "b (1 stored as [3,5]"},
    {FIELD(c.ld), 6, CLSEQ_OUT_OF_BOUNDS, "c (1 stored as [4,5], offset 0, leading dimension 6"},
    {FIELD(a.ld), HUGE_SIZE, CLSEQ_OUT_OF_BOUNDS, "a (1 stored as [4,3]"},
    {FIELD(m), HUGE_SIZE, CLSEQ_OUT_OF_BOUNDS, "a (1 stored as"},
    {FIELD(n), 6, CLSEQ_INVALID_ARGUMENT, "b has leading dimension 5, expected at least 6"},
};

Test(gemm_errors, fields)
{
    clseq_context *ctx = test_context();
    cl_mem a = new_buffer(ctx, 12), b = new_buffer(ctx, 15), c = new_buffer(ctx, 20);
    clseq_context_stats before, after;
    clseq_gemm_args args = good_args(a, b, c);
    cr_assert_eq(clseq_gemm(ctx, &args), CLSEQ_OK, "%s", clseq_last_error());
    cr_assert_eq(clseq_context_get_stats(ctx, &before), CLSEQ_OK);
    for (size_t i = 0; i < sizeof bad_fields / sizeof bad_fields[0]; i++) {
        const bad_field *bad = &bad_fields[i];
        args = good_args(a, b, c);
        memcpy((char *)&args + bad->offset, &bad->value, sizeof bad->value);
        expect(clseq_gemm(ctx, &args), bad->status, bad->words);
    }
    cr_assert_eq(clseq_context_get_stats(ctx, &after), CLSEQ_OK);
    cr_assert_eq(after.launches + after.clblast_calls, before.launches + before.clblast_calls);
    clReleaseMemObject(a);
    clReleaseMemObject(b);
    clReleaseMemObject(c);
    clseq_context_destroy(ctx);
}

Test(gemm_errors, batches_and_missing_things)
{
    clseq_context *ctx = test_context();
    cl_mem a = new_buffer(ctx, 12), b = new_buffer(ctx, 15), c = new_buffer(ctx, 40);
    const int64_t negative[2] = {0, -1}, far[2] = {0, 1};
    clseq_gemm_args args = good_args(a, b, c);
    args.batch = 2;
    args.c.stride = 20;
    cr_assert_eq(clseq_gemm(ctx, &args), CLSEQ_OK, "%s", clseq_last_error());
    args.a.stride = 1;
    expect(clseq_gemm(ctx, &args), CLSEQ_OUT_OF_BOUNDS, "a (2 stored as [4,3]");
    args.a.stride = HUGE_SIZE;
    expect(clseq_gemm(ctx, &args), CLSEQ_OUT_OF_BOUNDS, "a (2 stored as [4,3]");
    args.a.offsets = negative;
    expect(clseq_gemm(ctx, &args), CLSEQ_INVALID_ARGUMENT, "a has offset -1 for product 1");
    args.a.offsets = far;
    expect(clseq_gemm(ctx, &args), CLSEQ_OUT_OF_BOUNDS, "a (2 stored as [4,3]");

    args = good_args(NULL, b, c);
    expect(clseq_gemm(ctx, &args), CLSEQ_INVALID_ARGUMENT, "a has no buffer");
    args = good_args(a, b, c);
    args.c.transpose = true;
    expect(clseq_gemm(ctx, &args), CLSEQ_INVALID_ARGUMENT, "c can be neither transposed nor packed");
    expect(clseq_gemm(NULL, &args), CLSEQ_INVALID_ARGUMENT, "gemm: ctx is NULL");
    expect(clseq_gemm(ctx, NULL), CLSEQ_INVALID_ARGUMENT, "args is NULL");
    clReleaseMemObject(a);
    clReleaseMemObject(b);
    clReleaseMemObject(c);
    clseq_context_destroy(ctx);
}

static void check_packing(const char *implementation)
{
    setenv("CLSEQ_GEMM", implementation, 1);
    clseq_context *ctx = test_context(), *other = test_context();
    cl_mem a = new_buffer(ctx, 12), b = new_buffer(ctx, 15), c = new_buffer(ctx, 40);
    clseq_gemm_args args = good_args(a, b, c);
    clseq_packed *packed = NULL, *none = (clseq_packed *)&args;
    expect(clseq_gemm_pack(ctx, CLSEQ_OPERAND_A, &args.a, 5, 3, &none), CLSEQ_OUT_OF_BOUNDS,
           "a (1 stored as [5,3]");
    cr_assert(none == NULL, "a failing pack must leave NULL behind");
    expect(clseq_gemm_pack(ctx, CLSEQ_OPERAND_A, &args.a, 0, 3, &none), CLSEQ_INVALID_ARGUMENT,
           "rows and columns are 0 and 3");
    expect(clseq_gemm_pack(ctx, (clseq_operand)7, &args.a, 4, 3, &none), CLSEQ_INVALID_ARGUMENT,
           "operand is 7");
    expect(clseq_gemm_pack(ctx, CLSEQ_OPERAND_A, NULL, 4, 3, &none), CLSEQ_INVALID_ARGUMENT,
           "matrix is NULL");
    expect(clseq_gemm_pack(NULL, CLSEQ_OPERAND_A, &args.a, 4, 3, &none), CLSEQ_INVALID_ARGUMENT,
           "gemm pack: ctx is NULL");
    expect(clseq_gemm_pack(ctx, CLSEQ_OPERAND_A, &args.a, 4, 3, NULL), CLSEQ_INVALID_ARGUMENT, "out is NULL");
    cr_assert_eq(clseq_gemm_pack(ctx, CLSEQ_OPERAND_A, &args.a, 4, 3, &packed), CLSEQ_OK, "%s",
                 clseq_last_error());

    args.a.packed = packed;
    cr_assert_eq(clseq_gemm(ctx, &args), CLSEQ_OK, "%s", clseq_last_error());
    expect(clseq_gemm(other, &args), CLSEQ_INVALID_ARGUMENT, "a was packed in another context");
    expect(clseq_gemm_repack(packed, &args.a), CLSEQ_INVALID_ARGUMENT, "packed already");
    expect(clseq_gemm_repack(NULL, &args.b), CLSEQ_INVALID_ARGUMENT, "gemm repack: packed is NULL");
    args.m = 3;
    expect(clseq_gemm(ctx, &args), CLSEQ_INVALID_SHAPE, "a was packed as [4,3], expected [3,3]");
    args.m = 4;
    args.k = 2;
    expect(clseq_gemm(ctx, &args), CLSEQ_INVALID_SHAPE, "a was packed as [4,3], expected [4,2]");
    args.k = 3;
    args.batch = 2;
    args.c.stride = 20;
    expect(clseq_gemm(ctx, &args), CLSEQ_INVALID_ARGUMENT, "a is packed, which is for one product, not 2");
    args = good_args(a, b, c);
    args.b.packed = packed;
    expect(clseq_gemm(ctx, &args), CLSEQ_INVALID_ARGUMENT, "b was packed as the other operand");
    clseq_packed_destroy(packed);
    clseq_packed_destroy(NULL);
    clReleaseMemObject(a);
    clReleaseMemObject(b);
    clReleaseMemObject(c);
    clseq_context_destroy(other);
    clseq_context_destroy(ctx);
}

/* Matrices of one row that begin one element late: of buffers of the caller's, and of tensors, whose buffers are larger. */
Test(gemm_errors, one_row_beyond)
{
    enum { N = 5 };
    static const char *const words[] = {"a (1 stored as [1,1], offset 1", "b (1 stored as [1,5], offset 1",
                                        "c (1 stored as [1,5], offset 1"};
    clseq_context *ctx = test_context();
    for (int pooled = 0; pooled < 2; pooled++) {
        static const int64_t sizes[] = {1, N, N};
        clseq_tensor tensors[3] = {{0}};
        cl_mem buffers[3];
        for (int i = 0; i < 3; i++) {
            if (pooled)
                cr_assert_eq(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 1, &sizes[i], &tensors[i]), CLSEQ_OK);
            buffers[i] = pooled ? tensors[i].buffer : new_buffer(ctx, (size_t)sizes[i]);
        }
        clseq_gemm_args args = {.m = 1,
                                .n = N,
                                .k = 1,
                                .alpha = 1,
                                .a = {.buffer = buffers[0], .ld = 1},
                                .b = {.buffer = buffers[1], .ld = N},
                                .c = {.buffer = buffers[2], .ld = N}};
        clseq_matrix *matrices[] = {&args.a, &args.b, &args.c};
        cr_assert_eq(clseq_gemm(ctx, &args), CLSEQ_OK, "%s", clseq_last_error());
        for (int i = 0; i < 3; i++) {
            matrices[i]->offset = 1;
            expect(clseq_gemm(ctx, &args), CLSEQ_OUT_OF_BOUNDS, words[i]);
            matrices[i]->offset = 0;
        }
        for (int i = 0; i < 3; i++) {
            if (pooled)
                clseq_tensor_destroy(ctx, &tensors[i]);
            else
                clReleaseMemObject(buffers[i]);
        }
    }
    clseq_context_destroy(ctx);
}

Test(gemm_errors, buffers_of_another_context)
{
    clseq_context *ctx = test_context(), *other = test_context();
    cl_mem own = new_buffer(ctx, 20), foreign = new_buffer(other, 20), c = new_buffer(ctx, 20);
    clseq_gemm_args args = good_args(foreign, own, c);
    clseq_packed *packed = NULL;
    expect(clseq_gemm(ctx, &args), CLSEQ_INVALID_ARGUMENT, "gemm: a: its buffer belongs to another context");
    expect(clseq_gemm_pack(ctx, CLSEQ_OPERAND_A, &args.a, 4, 3, &packed), CLSEQ_INVALID_ARGUMENT,
           "gemm: a: its buffer belongs to another context");
    args = good_args(own, foreign, c);
    expect(clseq_gemm(ctx, &args), CLSEQ_INVALID_ARGUMENT, "gemm: b: its buffer belongs to another context");
    args = good_args(own, own, foreign);
    expect(clseq_gemm(ctx, &args), CLSEQ_INVALID_ARGUMENT, "gemm: c: its buffer belongs to another context");
    clReleaseMemObject(own);
    clReleaseMemObject(foreign);
    clReleaseMemObject(c);
    clseq_context_destroy(other);
    clseq_context_destroy(ctx);
}

/* Products in one buffer of 1000: where C may lie beside A [4,3] (or transposed) and B [3,5], and where not. */
static const struct placed {
    clseq_matrix a, b, c;
    int64_t batch;
    const char *words; /* NULL: allowed */
} placed[] = {
    {{.ld = 3}, {.offset = 12, .ld = 5}, {.offset = 27, .ld = 5}, 1, NULL},
    {{.ld = 3},
     {.offset = 12, .ld = 5},
     {.offset = 26, .ld = 5},
     1,
     "gemm: c overlaps b, expected memory of its own"},
    {{.offset = 20, .ld = 3}, {.offset = 40, .ld = 5}, {.ld = 5}, 1, NULL},
    {{.offset = 19, .ld = 3},
     {.offset = 40, .ld = 5},
     {.ld = 5},
     1,
     "gemm: c overlaps a, expected memory of its own"},
    {{.ld = 5}, {.offset = 40, .ld = 5}, {.ld = 5}, 1, "gemm: c overlaps a"},
    {{.offset = 40, .ld = 3}, {.ld = 5}, {.ld = 5}, 1, "gemm: c overlaps b"},
    /* columns of one array */
    {{.ld = 8}, {.offset = 100, .ld = 5}, {.offset = 3, .ld = 8}, 1, NULL},
    {{.ld = 8}, {.offset = 100, .ld = 5}, {.offset = 2, .ld = 8}, 1, "gemm: c overlaps a"},
    {{.offset = 5, .ld = 8}, {.offset = 100, .ld = 5}, {.ld = 8}, 1, NULL},
    {{.offset = 4, .ld = 8}, {.offset = 100, .ld = 5}, {.ld = 8}, 1, "gemm: c overlaps a"},
    {{.offset = 100, .ld = 3}, {.offset = 5, .ld = 10}, {.ld = 10}, 1, NULL},
    /* every second row */
    {{.offset = 100, .ld = 3}, {.offset = 5, .ld = 20}, {.ld = 10}, 1, NULL},
    {{.offset = 100, .ld = 3}, {.offset = 4, .ld = 20}, {.ld = 10}, 1, "gemm: c overlaps b"},
    /* transposed, A is stored as [3,4] */
    {{.ld = 9, .transpose = true}, {.offset = 100, .ld = 5}, {.offset = 4, .ld = 9}, 1, NULL},
    {{.ld = 9, .transpose = true}, {.offset = 100, .ld = 5}, {.offset = 3, .ld = 9}, 1, "gemm: c overlaps a"},
    /* batches: of dense matrices, of columns, of C in itself */
    {{.stride = 32, .ld = 3}, {.offset = 500, .ld = 5}, {.offset = 12, .stride = 32, .ld = 5}, 4, NULL},
    {{.stride = 31, .ld = 3},
     {.offset = 500, .ld = 5},
     {.offset = 12, .stride = 32, .ld = 5},
     4,
     "gemm: c overlaps a"},
    {{.offset = 500, .ld = 3}, {.offset = 600, .ld = 5}, {.stride = 5, .ld = 15}, 3, NULL},
    {{.offset = 500, .ld = 3},
     {.offset = 600, .ld = 5},
     {.stride = 4, .ld = 15},
     3,
     "gemm: c has stride 4, with which its 3 matrices [4,5]"},
    {{.offset = 500, .ld = 3}, {.offset = 600, .ld = 5}, {.stride = 5, .ld = 14}, 3, "gemm: c has stride 5"},
    {{.offset = 500, .ld = 3}, {.offset = 600, .ld = 5}, {.stride = 19, .ld = 5}, 2, "gemm: c has stride 19"},
};

Test(gemm_errors, overlaps)
{
    clseq_context *ctx = test_context();
    cl_mem all = new_buffer(ctx, 1000);
    for (size_t i = 0; i < sizeof placed / sizeof placed[0]; i++) {
        clseq_gemm_args args = {.m = 4,
                                .n = 5,
                                .k = 3,
                                .batch = placed[i].batch,
                                .alpha = 1,
                                .a = placed[i].a,
                                .b = placed[i].b,
                                .c = placed[i].c};
        args.a.buffer = args.b.buffer = args.c.buffer = all;
        const clseq_status got = clseq_gemm(ctx, &args);
        if (placed[i].words)
            expect(got, CLSEQ_INVALID_ARGUMENT, placed[i].words);
        else
            cr_assert_eq(got, CLSEQ_OK, "row %zu: %s", i, clseq_last_error());
    }
    clReleaseMemObject(all);
    clseq_context_destroy(ctx);
}

/* One product's A is where another product's C is. */
Test(gemm_errors, overlaps_by_offsets)
{
    clseq_context *ctx = test_context();
    cl_mem all = new_buffer(ctx, 200), b = new_buffer(ctx, 15);
    const int64_t of_a[] = {0, 70, 140}, of_c[] = {100, 20, 50}, near[] = {100, 20, 51};
    clseq_gemm_args args = good_args(all, b, all);
    args.batch = 3;
    args.a.offsets = of_a;
    args.c.offsets = of_c;
    cr_assert_eq(clseq_gemm(ctx, &args), CLSEQ_OK, "%s", clseq_last_error());
    args.c.offsets = near;
    expect(clseq_gemm(ctx, &args), CLSEQ_INVALID_ARGUMENT, "gemm: c overlaps a");
    clReleaseMemObject(all);
    clReleaseMemObject(b);
    clseq_context_destroy(ctx);
}

/* An operand that is packed by a copy of it may be overwritten, one of which only the place is kept may not. */
Test(gemm_errors, overlaps_what_is_packed)
{
    static const char *const names[] = {"native", "clblast"};
    for (int i = 0; i < 2; i++) {
        setenv("CLSEQ_GEMM", names[i], 1);
        clseq_context *ctx = test_context();
        if (i == 0 && !ctx->is_cpu) {
            clseq_context_destroy(ctx);
            continue;
        }
        cl_mem all = new_buffer(ctx, 40);
        clseq_gemm_args args = good_args(all, all, all);
        clseq_packed *packed = NULL;
        args.a.offset = 10;
        args.b.offset = 25;
        cr_assert_eq(clseq_gemm_pack(ctx, CLSEQ_OPERAND_A, &args.a, 4, 3, &packed), CLSEQ_OK);
        args.a.packed = packed;
        if (i == 0)
            cr_assert_eq(clseq_gemm(ctx, &args), CLSEQ_OK, "%s", clseq_last_error());
        else
            expect(clseq_gemm(ctx, &args), CLSEQ_INVALID_ARGUMENT, "gemm: c overlaps a");
        clseq_packed_destroy(packed);
        clReleaseMemObject(all);
        clseq_context_destroy(ctx);
    }
}

Test(gemm_errors, packing)
{
    clseq_context *ctx = test_context();
    const bool is_cpu = ctx->is_cpu;
    clseq_context_destroy(ctx);
    if (is_cpu)
        check_packing("native");
    check_packing("clblast");
}

/* What stood in CLSEQ_GEMM when the context was made must be a name, and must suit the device. */
static void check_choice(const char *name, bool must_be_cpu, clseq_status bad, const char *words)
{
    setenv("CLSEQ_GEMM", name, 1);
    clseq_context *ctx = test_context();
    setenv("CLSEQ_GEMM", "something else", 1);
    cl_mem a = new_buffer(ctx, 12), b = new_buffer(ctx, 15), c = new_buffer(ctx, 20);
    const clseq_gemm_args args = good_args(a, b, c);
    if (must_be_cpu && ctx->is_cpu)
        cr_assert_eq(clseq_gemm(ctx, &args), CLSEQ_OK, "%s", clseq_last_error());
    else
        expect(clseq_gemm(ctx, &args), bad, words);
    clReleaseMemObject(a);
    clReleaseMemObject(b);
    clReleaseMemObject(c);
    clseq_context_destroy(ctx);
}

Test(gemm_errors, choice)
{
    check_choice("fastest", false, CLSEQ_INVALID_ARGUMENT,
                 "CLSEQ_GEMM is \"fastest\", expected native or clblast");
    check_choice("native", true, CLSEQ_UNSUPPORTED, "CLSEQ_GEMM is \"native\"");
}

/* CLBlast counts in 32 bits, in its padded copies too: what is beyond that is refused, not computed wrongly. */
Test(gemm_errors, clblast_range)
{
    setenv("CLSEQ_GEMM", "clblast", 1);
    clseq_context *ctx = test_context();
    const size_t k = (size_t)1 << 23; /* with sides rounded up to 128 */
    cl_mem a = new_buffer(ctx, k), b = new_buffer(ctx, k), c = new_buffer(ctx, 1);
    const clseq_gemm_args args = {.m = 1,
                                  .n = 1,
                                  .k = (int64_t)k,
                                  .alpha = 1,
                                  .a = {.buffer = a, .ld = (int64_t)k},
                                  .b = {.buffer = b, .ld = 1},
                                  .c = {.buffer = c, .ld = 1}};
    expect(clseq_gemm(ctx, &args), CLSEQ_UNSUPPORTED, "2^31 elements");
    clReleaseMemObject(a);
    clReleaseMemObject(b);
    clReleaseMemObject(c);
    clseq_context_destroy(ctx);
}

/*
 * The same for where each matrix ends; the buffers would have to be of 8 GiB, so that the implementation is asked
 * itself. It refuses before it touches them.
 */
Test(gemm_errors, clblast_reach)
{
    static const char *const names[] = {"a", "b", "c"};
    clseq_context *ctx = test_context();
    cl_mem buffers[] = {new_buffer(ctx, 12), new_buffer(ctx, 15), new_buffer(ctx, 20)};
    static const int64_t sizes[] = {12, 15, 20};
    for (int i = 0; i < 3; i++) {
        clseq_gemm_args args = good_args(buffers[0], buffers[1], buffers[2]);
        clseq_matrix *matrices[] = {&args.a, &args.b, &args.c};
        args.batch = 1;
        matrices[i]->offset = INT32_MAX - sizes[i] + 1;
        cr_assert_eq(clseq__gemm_clblast.run(ctx, &args), CLSEQ_UNSUPPORTED, "%s: %s", names[i],
                     clseq_last_error());
        args.batch = 2;
        matrices[i]->offset = 0;
        matrices[i]->stride = INT32_MAX - sizes[i] + 1;
        cr_assert_eq(clseq__gemm_clblast.run(ctx, &args), CLSEQ_UNSUPPORTED, "%s: %s", names[i],
                     clseq_last_error());
    }
    for (int i = 0; i < 3; i++)
        clReleaseMemObject(buffers[i]);
    clseq_context_destroy(ctx);
}

/* CLBlast wants all parameters of a routine: what it says of one of them comes back as its own status. */
Test(gemm_errors, codes_of_clblast)
{
    const char *names[] = {"MWG"};
    const size_t values[] = {64};
    clseq_context *ctx = test_context();
    expect(clseq__clblast_override(ctx, "Xgemm", 1, names, values), CLSEQ_CLBLAST_ERROR,
           "CLBlast OverrideParameters failed with its code -20");
    clseq_context_destroy(ctx);
}

/* An offset below 0 is refused whatever the stride, and a square matrix knows as which operand it was packed. */
Test(gemm_errors, one_bad_of_two)
{
    clseq_context *ctx = test_context();
    cl_mem a = new_buffer(ctx, 100), b = new_buffer(ctx, 100), c = new_buffer(ctx, 100);
    clseq_gemm_args args = good_args(a, b, c);
    clseq_packed *packed = NULL;
    args.a.offset = -1;
    args.a.stride = 12;
    expect(clseq_gemm(ctx, &args), CLSEQ_INVALID_ARGUMENT, "a has offset -1 and stride 12");
    args.a.offset = 12;
    args.a.stride = -1;
    expect(clseq_gemm(ctx, &args), CLSEQ_INVALID_ARGUMENT, "a has offset 12 and stride -1");
    args = good_args(a, b, c);
    args.m = args.n = args.k = 3;
    cr_assert_eq(clseq_gemm_pack(ctx, CLSEQ_OPERAND_A, &args.a, 3, 3, &packed), CLSEQ_OK, "%s",
                 clseq_last_error());
    args.b.packed = packed;
    expect(clseq_gemm(ctx, &args), CLSEQ_INVALID_ARGUMENT, "b was packed as the other operand");
    clseq_packed_destroy(packed);
    clReleaseMemObject(a);
    clReleaseMemObject(b);
    clReleaseMemObject(c);
    clseq_context_destroy(ctx);
}
