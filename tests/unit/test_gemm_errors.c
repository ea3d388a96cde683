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

/* The arguments of a product. */
typedef struct product {
    clseq_gemm_desc desc;
    clseq_tensor a, b, c;
} product;

static clseq_tensor matrix_of(cl_mem buffer, int64_t rows, int64_t columns)
{
    return clseq_tensor_view(buffer, 0, CLSEQ_DTYPE_F32, 2, (int64_t[]){rows, columns});
}

/* So many of the matrix, one after another. */
static clseq_tensor batch_of(const clseq_tensor *matrix, int64_t batch)
{
    return clseq_tensor_view(matrix->buffer, matrix->offset, CLSEQ_DTYPE_F32, 3,
                             (int64_t[]){batch, matrix->dims[0], matrix->dims[1]});
}

/* [4,3] by [3,5]: A of 12 floats, B of 15, C of 20. */
static product good_product(cl_mem a, cl_mem b, cl_mem c)
{
    return (product){.a = matrix_of(a, 4, 3), .b = matrix_of(b, 3, 5), .c = matrix_of(c, 4, 5)};
}

static clseq_status run(clseq_context *ctx, const product *x)
{
    return clseq_gemm(ctx, &x->desc, 1, x->desc.packed_a ? NULL : &x->a, x->desc.packed_b ? NULL : &x->b, 0,
                      &x->c);
}

static void expect(clseq_status got, clseq_status want, const char *words)
{
    cr_assert_eq(got, want, "%s: got %s, expected %s", words, clseq_status_name(got),
                 clseq_status_name(want));
    cr_assert(strstr(clseq_last_error(), words) != NULL, "expected \"%s\" in \"%s\"", words,
              clseq_last_error());
}

static void end(clseq_context *ctx, cl_mem a, cl_mem b, cl_mem c)
{
    clReleaseMemObject(a);
    clReleaseMemObject(b);
    clReleaseMemObject(c);
    clseq_context_destroy(ctx);
}

/* One field of the arguments set to a bad value. */
typedef struct bad_field {
    size_t offset, size;
    int64_t value;
    clseq_status status;
    const char *words;
} bad_field;

#define FIELD(name) offsetof(product, name), sizeof(((product *)NULL)->name)

static const bad_field bad_fields[] = {
    {FIELD(a.dtype), CLSEQ_DTYPE_I32, CLSEQ_INVALID_DTYPE, "gemm: a has type i32, expected f32"},
    {FIELD(b.dtype), CLSEQ_DTYPE_U8, CLSEQ_INVALID_DTYPE, "gemm: b has type u8, expected f32"},
    {FIELD(c.dtype), CLSEQ_DTYPE_I32, CLSEQ_INVALID_DTYPE, "gemm: c has type i32, expected f32"},
    {FIELD(a.ndim), 1, CLSEQ_INVALID_SHAPE, "gemm: a has 1 dimensions, expected 2: [4,?]"},
    {FIELD(b.ndim), 4, CLSEQ_INVALID_SHAPE, "gemm: b has 4 dimensions, expected 2: [3,5]"},
    {FIELD(c.ndim), 0, CLSEQ_INVALID_SHAPE, "gemm: c has 0 dimensions, expected 2"},
    {FIELD(a.dims[0]), 0, CLSEQ_INVALID_SHAPE, "gemm: a has shape [0,3], expected [4,?]"},
    {FIELD(a.dims[1]), -1, CLSEQ_INVALID_SHAPE, "gemm: a: dimension 1 is -1, expected at least 1"},
    {FIELD(c.dims[0]), 0, CLSEQ_INVALID_SHAPE, "gemm: c: dimension 0 is 0, expected at least 1"},
    {FIELD(a.dims[0]), 3, CLSEQ_INVALID_SHAPE, "gemm: a has shape [3,3], expected [4,?]"},
    {FIELD(a.dims[1]), 2, CLSEQ_INVALID_SHAPE, "gemm: b has shape [3,5], expected [2,5]"},
    {FIELD(b.dims[0]), 2, CLSEQ_INVALID_SHAPE, "gemm: b has shape [2,5], expected [3,5]"},
    {FIELD(b.dims[1]), 4, CLSEQ_INVALID_SHAPE, "gemm: b has shape [3,4], expected [3,5]"},
    {FIELD(c.dims[0]), 3, CLSEQ_INVALID_SHAPE, "gemm: a has shape [4,3], expected [3,?]"},
    {FIELD(c.dims[1]), 4, CLSEQ_INVALID_SHAPE, "gemm: b has shape [3,5], expected [3,4]"},
    {FIELD(desc.transpose_a), 1, CLSEQ_INVALID_SHAPE, "gemm: a has shape [4,3], expected [?,4]"},
    {FIELD(desc.transpose_b), 1, CLSEQ_INVALID_SHAPE, "gemm: b has shape [3,5], expected [5,3]"},
    {FIELD(a.strides[0]), -1, CLSEQ_INVALID_SHAPE, "gemm: a has shape [4,3] and stride -1 in dimension 0"},
    {FIELD(a.strides[0]), 2, CLSEQ_INVALID_SHAPE, "gemm: a has rows 2 apart, expected at least 3"},
    {FIELD(b.strides[0]), 4, CLSEQ_INVALID_SHAPE, "gemm: b has rows 4 apart, expected at least 5"},
    {FIELD(c.strides[0]), 0, CLSEQ_INVALID_SHAPE, "gemm: c has rows 0 apart, expected at least 5"},
    {FIELD(b.strides[1]), 0, CLSEQ_INVALID_SHAPE, "gemm: b has stride 0 in its last dimension, expected 1"},
    {FIELD(a.offset), -1, CLSEQ_OUT_OF_BOUNDS, "gemm: a starts at offset -1"},
    {FIELD(a.offset), 1, CLSEQ_OUT_OF_BOUNDS, "gemm: a has shape [4,3], strides [3,1] and offset 1"},
    {FIELD(b.offset), HUGE_SIZE, CLSEQ_OUT_OF_BOUNDS, "gemm: b has shape [3,5]"},
    {FIELD(c.strides[0]), 6, CLSEQ_OUT_OF_BOUNDS, "gemm: c has shape [4,5], strides [6,1] and offset 0"},
    {FIELD(a.strides[0]), HUGE_SIZE, CLSEQ_OUT_OF_BOUNDS, "gemm: a has shape [4,3]"},
    {FIELD(c.dims[0]), HUGE_SIZE, CLSEQ_OUT_OF_BOUNDS, "gemm: c has shape ["},
};

static void set_field(product *x, const bad_field *bad)
{
    char *at = (char *)x + bad->offset;
    const int32_t small = (int32_t)bad->value;
    if (bad->size == sizeof bad->value)
        memcpy(at, &bad->value, sizeof bad->value);
    else if (bad->size == sizeof small)
        memcpy(at, &small, sizeof small);
    else
        *(bool *)at = bad->value != 0;
}

Test(gemm_errors, fields)
{
    clseq_context *ctx = test_context();
    cl_mem a = new_buffer(ctx, 12), b = new_buffer(ctx, 15), c = new_buffer(ctx, 20);
    clseq_context_stats before, after;
    product x = good_product(a, b, c);
    cr_assert_eq(run(ctx, &x), CLSEQ_OK, "%s", clseq_last_error());
    cr_assert_eq(clseq_context_get_stats(ctx, &before), CLSEQ_OK);
    for (size_t i = 0; i < sizeof bad_fields / sizeof bad_fields[0]; i++) {
        x = good_product(a, b, c);
        set_field(&x, &bad_fields[i]);
        expect(run(ctx, &x), bad_fields[i].status, bad_fields[i].words);
    }
    cr_assert_eq(clseq_context_get_stats(ctx, &after), CLSEQ_OK);
    cr_assert_eq(after.launches + after.clblast_calls, before.launches + before.clblast_calls);
    end(ctx, a, b, c);
}

Test(gemm_errors, missing_things)
{
    clseq_context *ctx = test_context();
    cl_mem a = new_buffer(ctx, 12), b = new_buffer(ctx, 15), c = new_buffer(ctx, 20);
    const product x = good_product(a, b, c);
    const clseq_tensor none = {0};
    cr_assert_eq(clseq_gemm(ctx, NULL, 1, &x.a, &x.b, 0, &x.c), CLSEQ_OK, "%s", clseq_last_error());
    expect(clseq_gemm(ctx, NULL, 1, NULL, &x.b, 0, &x.c), CLSEQ_INVALID_ARGUMENT,
           "gemm: a is NULL, expected f32 [4,?]");
    expect(clseq_gemm(ctx, NULL, 1, &x.a, NULL, 0, &x.c), CLSEQ_INVALID_ARGUMENT,
           "gemm: b is NULL, expected f32 [3,5]");
    expect(clseq_gemm(ctx, NULL, 1, &x.a, &none, 0, &x.c), CLSEQ_INVALID_ARGUMENT,
           "gemm: b is NULL, expected f32 [3,5]");
    expect(clseq_gemm(ctx, NULL, 1, &x.a, &x.b, 0, NULL), CLSEQ_INVALID_ARGUMENT,
           "gemm: c is NULL, expected f32 [?,?]");
    expect(clseq_gemm(NULL, NULL, 1, &x.a, &x.b, 0, &x.c), CLSEQ_INVALID_ARGUMENT, "gemm: ctx is NULL");
    end(ctx, a, b, c);
}

Test(gemm_errors, batches)
{
    clseq_context *ctx = test_context();
    cl_mem a = new_buffer(ctx, 12), b = new_buffer(ctx, 15), c = new_buffer(ctx, 40);
    product x = good_product(a, b, c);
    x.a = batch_of(&x.a, 2);
    expect(run(ctx, &x), CLSEQ_INVALID_SHAPE, "gemm: a has shape [2,4,3], expected [1,4,?]");
    x.c = batch_of(&x.c, 2);
    expect(run(ctx, &x), CLSEQ_OUT_OF_BOUNDS, "gemm: a has shape [2,4,3], strides [12,3,1]");
    x.a.strides[0] = 0;
    cr_assert_eq(run(ctx, &x), CLSEQ_OK, "%s", clseq_last_error());
    x.a.strides[0] = 1;
    expect(run(ctx, &x), CLSEQ_OUT_OF_BOUNDS, "gemm: a has shape [2,4,3], strides [1,3,1]");
    x.a.strides[0] = HUGE_SIZE;
    expect(run(ctx, &x), CLSEQ_OUT_OF_BOUNDS, "gemm: a has shape [2,4,3]");
    x.a.strides[0] = -1;
    expect(run(ctx, &x), CLSEQ_INVALID_SHAPE, "gemm: a has shape [2,4,3] and stride -1 in dimension 0");
    x.a.strides[0] = 0;
    x.a.dims[0] = 3;
    expect(run(ctx, &x), CLSEQ_INVALID_SHAPE, "gemm: a has shape [3,4,3], expected [2,4,?]");
    x.a.dims[0] = 2;
    x.c.strides[0] = 0;
    expect(run(ctx, &x), CLSEQ_INVALID_ARGUMENT, "gemm: c has stride 0, but each of the 2 products");
    x.c.dims[0] = 0;
    expect(run(ctx, &x), CLSEQ_INVALID_SHAPE, "gemm: c: dimension 0 is 0");
    end(ctx, a, b, c);
}

/* Offsets take the place of the stride; each of them counts from the tensor's own offset. */
Test(gemm_errors, offsets)
{
    static const struct {
        int64_t offset, offsets[2];
        clseq_status status;
        const char *words;
    } rows[] = {
        {0, {0, 3}, CLSEQ_OK, NULL},
        {1, {2, 0}, CLSEQ_OK, NULL},
        {0, {0, -1}, CLSEQ_INVALID_ARGUMENT, "gemm: a has offset -1 for product 1"},
        {3, {-1, 0}, CLSEQ_INVALID_ARGUMENT, "gemm: a has offset -1 for product 0"},
        {0, {4, 0}, CLSEQ_OUT_OF_BOUNDS, "strides [0,3,1] and offset 4"},
        {1, {0, 3}, CLSEQ_OUT_OF_BOUNDS, "strides [0,3,1] and offset 4"},
        {-1, {1, 1}, CLSEQ_OUT_OF_BOUNDS, "gemm: a starts at offset -1"},
        {1, {0, INT64_MAX}, CLSEQ_OUT_OF_BOUNDS, "its size exceeds 63 bits"},
    };
    clseq_context *ctx = test_context();
    cl_mem a = new_buffer(ctx, 15), b = new_buffer(ctx, 15), c = new_buffer(ctx, 40);
    product x = good_product(a, b, c);
    x.a = batch_of(&x.a, 2);
    x.c = batch_of(&x.c, 2);
    x.a.strides[0] = HUGE_SIZE;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        x.a.offset = rows[i].offset;
        x.desc.offsets_a = rows[i].offsets;
        const clseq_status got = run(ctx, &x);
        if (rows[i].words)
            expect(got, rows[i].status, rows[i].words);
        else
            cr_assert_eq(got, CLSEQ_OK, "row %zu: %s", i, clseq_last_error());
    }
    end(ctx, a, b, c);
}

/* A stride of rows counts nothing where there is one row, nor that of columns where there is one. */
Test(gemm_errors, strides_that_count_nothing)
{
    clseq_context *ctx = test_context();
    cl_mem a = new_buffer(ctx, 3), b = new_buffer(ctx, 3), c = new_buffer(ctx, 1);
    product x = {.a = matrix_of(a, 1, 3), .b = matrix_of(b, 3, 1), .c = matrix_of(c, 1, 1)};
    x.a.strides[0] = HUGE_SIZE;
    x.b.strides[1] = HUGE_SIZE;
    x.c.strides[0] = x.c.strides[1] = 0;
    cr_assert_eq(run(ctx, &x), CLSEQ_OK, "%s", clseq_last_error());
    end(ctx, a, b, c);
}

/* The descriptor says what is transposed, not the strides. */
Test(gemm_errors, transposed_views)
{
    clseq_context *ctx = test_context();
    cl_mem a = new_buffer(ctx, 12), b = new_buffer(ctx, 15), c = new_buffer(ctx, 20);
    product x = good_product(a, b, c);
    const clseq_tensor stored = matrix_of(a, 3, 4);
    x.a = clseq_tensor_transpose(&stored, 0, 1);
    expect(run(ctx, &x), CLSEQ_INVALID_SHAPE, "gemm: a has stride 4 in its last dimension, expected 1");
    x.a = stored;
    x.desc.transpose_a = true;
    cr_assert_eq(run(ctx, &x), CLSEQ_OK, "%s", clseq_last_error());
    end(ctx, a, b, c);
}

static void check_packing(const char *implementation)
{
    setenv("CLSEQ_GEMM", implementation, 1);
    clseq_context *ctx = test_context(), *other = test_context();
    cl_mem a = new_buffer(ctx, 12), b = new_buffer(ctx, 15), c = new_buffer(ctx, 40);
    cl_mem other_b = new_buffer(other, 15), other_c = new_buffer(other, 20);
    product x = good_product(a, b, c);
    clseq_packed *packed = NULL, *none = (clseq_packed *)&x;
    const clseq_tensor large = matrix_of(a, 5, 3), small = matrix_of(a, 3, 4), batch = batch_of(&small, 2);
    expect(clseq_gemm_pack(ctx, CLSEQ_OPERAND_A, &large, false, &none), CLSEQ_OUT_OF_BOUNDS,
           "gemm pack: matrix has shape [5,3], strides [3,1]");
    cr_assert(none == NULL, "a failing pack must leave NULL behind");
    expect(clseq_gemm_pack(ctx, (clseq_operand)7, &x.a, false, &none), CLSEQ_INVALID_ARGUMENT,
           "operand is 7");
    expect(clseq_gemm_pack(ctx, CLSEQ_OPERAND_A, NULL, false, &none), CLSEQ_INVALID_ARGUMENT,
           "gemm pack: matrix is NULL, expected f32 [?,?]");
    expect(clseq_gemm_pack(ctx, CLSEQ_OPERAND_A, &batch, false, &none), CLSEQ_INVALID_SHAPE,
           "gemm pack: matrix has shape [2,3,4], expected [1,?,?]");
    expect(clseq_gemm_pack(NULL, CLSEQ_OPERAND_A, &x.a, false, &none), CLSEQ_INVALID_ARGUMENT,
           "gemm pack: ctx is NULL");
    expect(clseq_gemm_pack(ctx, CLSEQ_OPERAND_A, &x.a, false, NULL), CLSEQ_INVALID_ARGUMENT, "out is NULL");
    cr_assert_eq(clseq_gemm_pack(ctx, CLSEQ_OPERAND_A, &x.a, false, &packed), CLSEQ_OK, "%s",
                 clseq_last_error());

    x.desc.packed_a = packed;
    cr_assert_eq(run(ctx, &x), CLSEQ_OK, "%s", clseq_last_error());
    expect(clseq_gemm(ctx, &x.desc, 1, &x.a, &x.b, 0, &x.c), CLSEQ_INVALID_ARGUMENT,
           "gemm: a is there as a tensor and packed, expected one of the two");
    const clseq_tensor foreign_b = matrix_of(other_b, 3, 5), foreign_c = matrix_of(other_c, 4, 5);
    expect(clseq_gemm(other, &x.desc, 1, NULL, &foreign_b, 0, &foreign_c), CLSEQ_INVALID_ARGUMENT,
           "gemm: a was packed in another context");
    expect(clseq_gemm_repack(packed, &small), CLSEQ_INVALID_SHAPE,
           "gemm repack: matrix has shape [3,4], expected [4,3]");
    expect(clseq_gemm_repack(packed, NULL), CLSEQ_INVALID_ARGUMENT,
           "gemm repack: matrix is NULL, expected f32 [4,3]");
    expect(clseq_gemm_repack(NULL, &x.b), CLSEQ_INVALID_ARGUMENT, "gemm repack: packed is NULL");
    x.c = matrix_of(c, 3, 5);
    expect(run(ctx, &x), CLSEQ_INVALID_SHAPE, "gemm: a was packed as [4,3], expected [3,?]");
    x.c = matrix_of(c, 4, 5);
    x.b = matrix_of(b, 2, 5);
    expect(run(ctx, &x), CLSEQ_INVALID_SHAPE, "gemm: b has shape [2,5], expected [3,5]");
    x.b = matrix_of(b, 3, 5);
    x.c = batch_of(&x.c, 2);
    expect(run(ctx, &x), CLSEQ_INVALID_ARGUMENT, "gemm: a is packed, which is for one product, not 2");
    x = good_product(a, b, c);
    x.desc.packed_b = packed;
    expect(run(ctx, &x), CLSEQ_INVALID_ARGUMENT, "gemm: b was packed as the other operand");
    clseq_packed_destroy(packed);
    clseq_packed_destroy(NULL);
    cr_assert_eq(clseq_gemm_pack(ctx, CLSEQ_OPERAND_B, &x.b, true, &packed), CLSEQ_OK);
    x = (product){.desc = {.packed_b = packed}, .a = matrix_of(a, 2, 5), .c = matrix_of(c, 2, 3)};
    cr_assert_eq(run(ctx, &x), CLSEQ_OK, "%s", clseq_last_error());
    x.a = matrix_of(a, 2, 4);
    expect(run(ctx, &x), CLSEQ_INVALID_SHAPE, "gemm: b was packed as [5,3], expected [4,3]");
    x.a = matrix_of(a, 2, 5);
    x.c = matrix_of(c, 2, 4);
    expect(run(ctx, &x), CLSEQ_INVALID_SHAPE, "gemm: b was packed as [5,3], expected [5,4]");
    clseq_packed_destroy(packed);
    clReleaseMemObject(a);
    clReleaseMemObject(b);
    clReleaseMemObject(c);
    clReleaseMemObject(other_b);
    clReleaseMemObject(other_c);
    clseq_context_destroy(other);
    clseq_context_destroy(ctx);
}

/* Matrices of one row that begin one element late: of buffers of the caller's, and of tensors, whose buffers are larger. */
Test(gemm_errors, one_row_beyond)
{
    enum { N = 5 };
    static const char *const words[] = {"gemm: a has shape [1,1], strides [1,1] and offset 1",
                                        "gemm: b has shape [1,5], strides [5,1] and offset 1",
                                        "gemm: c has shape [1,5], strides [5,1] and offset 1"};
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
        product x = {.a = matrix_of(buffers[0], 1, 1),
                     .b = matrix_of(buffers[1], 1, N),
                     .c = matrix_of(buffers[2], 1, N)};
        clseq_tensor *matrices[] = {&x.a, &x.b, &x.c};
        cr_assert_eq(run(ctx, &x), CLSEQ_OK, "%s", clseq_last_error());
        for (int i = 0; i < 3; i++) {
            matrices[i]->offset = 1;
            expect(run(ctx, &x), CLSEQ_OUT_OF_BOUNDS, words[i]);
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
    product x = good_product(foreign, own, c);
    clseq_packed *packed = NULL;
    expect(run(ctx, &x), CLSEQ_INVALID_ARGUMENT, "gemm: a: its buffer belongs to another context");
    expect(clseq_gemm_pack(ctx, CLSEQ_OPERAND_A, &x.a, false, &packed), CLSEQ_INVALID_ARGUMENT,
           "gemm pack: matrix: its buffer belongs to another context");
    x = good_product(own, foreign, c);
    expect(run(ctx, &x), CLSEQ_INVALID_ARGUMENT, "gemm: b: its buffer belongs to another context");
    x = good_product(own, own, foreign);
    expect(run(ctx, &x), CLSEQ_INVALID_ARGUMENT, "gemm: c: its buffer belongs to another context");
    clReleaseMemObject(own);
    clReleaseMemObject(foreign);
    clReleaseMemObject(c);
    clseq_context_destroy(other);
    clseq_context_destroy(ctx);
}

/* Products in one buffer of 1000: where C may lie beside A [4,3] (or transposed) and B [3,5], and where not. */
typedef struct place {
    int64_t offset, ld, stride;
    bool transpose;
} place;

static const struct placed {
    place a, b, c;
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

static clseq_tensor tensor_at(cl_mem buffer, const place *at, int64_t batch, int64_t rows, int64_t columns)
{
    const int64_t dims[] = {batch, at->transpose ? columns : rows, at->transpose ? rows : columns};
    clseq_tensor tensor = clseq_tensor_view(buffer, at->offset, CLSEQ_DTYPE_F32, 3, dims);
    tensor.strides[0] = at->stride;
    tensor.strides[1] = at->ld;
    return tensor;
}

Test(gemm_errors, overlaps)
{
    clseq_context *ctx = test_context();
    cl_mem all = new_buffer(ctx, 1000);
    for (size_t i = 0; i < sizeof placed / sizeof placed[0]; i++) {
        const product x = {.desc = {.transpose_a = placed[i].a.transpose},
                           .a = tensor_at(all, &placed[i].a, placed[i].batch, 4, 3),
                           .b = tensor_at(all, &placed[i].b, placed[i].batch, 3, 5),
                           .c = tensor_at(all, &placed[i].c, placed[i].batch, 4, 5)};
        const clseq_status got = run(ctx, &x);
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
    product x = good_product(all, b, all);
    x.c = batch_of(&x.c, 3);
    x.desc.offsets_a = of_a;
    x.desc.offsets_c = of_c;
    cr_assert_eq(run(ctx, &x), CLSEQ_OK, "%s", clseq_last_error());
    x.desc.offsets_c = near;
    expect(run(ctx, &x), CLSEQ_INVALID_ARGUMENT, "gemm: c overlaps a");
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
        if (i == 0 && !ctx->traits.is_cpu) {
            clseq_context_destroy(ctx);
            continue;
        }
        cl_mem all = new_buffer(ctx, 40);
        product x = good_product(all, all, all);
        clseq_packed *packed = NULL;
        x.a.offset = 10;
        x.b.offset = 25;
        cr_assert_eq(clseq_gemm_pack(ctx, CLSEQ_OPERAND_A, &x.a, false, &packed), CLSEQ_OK);
        x.desc.packed_a = packed;
        if (i == 0)
            cr_assert_eq(run(ctx, &x), CLSEQ_OK, "%s", clseq_last_error());
        else
            expect(run(ctx, &x), CLSEQ_INVALID_ARGUMENT, "gemm: c overlaps a");
        clseq_packed_destroy(packed);
        clReleaseMemObject(all);
        clseq_context_destroy(ctx);
    }
}

Test(gemm_errors, packing)
{
    clseq_context *ctx = test_context();
    const bool is_cpu = ctx->traits.is_cpu;
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
    const product x = good_product(a, b, c);
    if (must_be_cpu && ctx->traits.is_cpu)
        cr_assert_eq(run(ctx, &x), CLSEQ_OK, "%s", clseq_last_error());
    else
        expect(run(ctx, &x), bad, words);
    end(ctx, a, b, c);
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
    const product x = {
        .a = matrix_of(a, 1, (int64_t)k), .b = matrix_of(b, (int64_t)k, 1), .c = matrix_of(c, 1, 1)};
    expect(run(ctx, &x), CLSEQ_UNSUPPORTED, "2^31 elements");
    end(ctx, a, b, c);
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
        clseq__product x = {.m = 4,
                            .n = 5,
                            .k = 3,
                            .batch = 1,
                            .alpha = 1,
                            .a = {.buffer = buffers[0], .rows = 4, .columns = 3, .ld = 3},
                            .b = {.buffer = buffers[1], .rows = 3, .columns = 5, .ld = 5},
                            .c = {.buffer = buffers[2], .rows = 4, .columns = 5, .ld = 5}};
        clseq__matrix *matrices[] = {&x.a, &x.b, &x.c};
        matrices[i]->offset = INT32_MAX - sizes[i] + 1;
        cr_assert_eq(clseq__gemm_clblast.run(ctx, &x), CLSEQ_UNSUPPORTED, "%s: %s", names[i],
                     clseq_last_error());
        x.batch = 2;
        matrices[i]->offset = 0;
        matrices[i]->stride = INT32_MAX - sizes[i] + 1;
        cr_assert_eq(clseq__gemm_clblast.run(ctx, &x), CLSEQ_UNSUPPORTED, "%s: %s", names[i],
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

/* A square matrix knows as which operand it was packed. */
Test(gemm_errors, square_of_the_other_operand)
{
    clseq_context *ctx = test_context();
    cl_mem a = new_buffer(ctx, 9), c = new_buffer(ctx, 9);
    product x = {.a = matrix_of(a, 3, 3), .c = matrix_of(c, 3, 3)};
    clseq_packed *packed = NULL;
    cr_assert_eq(clseq_gemm_pack(ctx, CLSEQ_OPERAND_A, &x.a, false, &packed), CLSEQ_OK, "%s",
                 clseq_last_error());
    x.desc.packed_b = packed;
    expect(run(ctx, &x), CLSEQ_INVALID_ARGUMENT, "gemm: b was packed as the other operand");
    clseq_packed_destroy(packed);
    clReleaseMemObject(a);
    clReleaseMemObject(c);
    clseq_context_destroy(ctx);
}
