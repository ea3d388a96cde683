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
