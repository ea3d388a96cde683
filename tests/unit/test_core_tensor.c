/* Views, their checks, and moving their elements. */
#include <criterion/criterion.h>

#include "core/tensor.h"
#include "support/device.h"

#include <clseq/nn.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DIMS(...) ((const int64_t[]){__VA_ARGS__})

/* Where element (i[0], i[1], ...) of a view stands in its buffer. */
static int64_t place_of(const clseq_tensor *t, const int64_t *i)
{
    int64_t place = t->offset;
    for (int d = 0; d < t->ndim; d++)
        place += i[d] * t->strides[d];
    return place;
}

/* The next index in row-major order; false after the last. */
static bool next_index(const clseq_tensor *t, int64_t *i)
{
    for (int d = t->ndim - 1; d >= 0; d--) {
        if (++i[d] < t->dims[d])
            return true;
        i[d] = 0;
    }
    return false;
}

Test(core_tensor, dtypes)
{
    cr_assert_eq(clseq_dtype_size(CLSEQ_DTYPE_F32), 4);
    cr_assert_eq(clseq_dtype_size(CLSEQ_DTYPE_I32), 4);
    cr_assert_str_eq(clseq_dtype_name(CLSEQ_DTYPE_F32), "f32");
    cr_assert_str_eq(clseq_dtype_name(CLSEQ_DTYPE_I32), "i32");
    cr_assert_eq(clseq_dtype_size(CLSEQ_DTYPE_U8), 1);
    cr_assert_str_eq(clseq_dtype_name(CLSEQ_DTYPE_U8), "u8");
    cr_assert_eq(clseq_dtype_size((clseq_dtype)99), 0);
    cr_assert_str_eq(clseq_dtype_name((clseq_dtype)-1), "unknown");
}

Test(core_tensor, views_slices_and_transposes)
{
    cl_mem buffer = (cl_mem)&buffer; /* never given to OpenCL here */
    clseq_tensor x = clseq_tensor_view(buffer, 10, CLSEQ_DTYPE_F32, 3, DIMS(2, 3, 4));
    cr_assert(x.strides[0] == 12 && x.strides[1] == 4 && x.strides[2] == 1 && x.offset == 10);
    cr_assert_eq(clseq_tensor_elements(&x), 24);
    cr_assert(clseq_tensor_is_contiguous(&x));

    clseq_tensor row = clseq_tensor_slice(&x, 1, 2, 1);
    cr_assert(row.offset == 18 && row.dims[1] == 1 && row.strides[0] == 12);
    cr_assert(!clseq_tensor_is_contiguous(&row));
    clseq_tensor last = clseq_tensor_slice(&x, 0, 1, 1);
    cr_assert(last.offset == 22 && clseq_tensor_is_contiguous(&last));

    clseq_tensor transposed = clseq_tensor_transpose(&x, 0, 2);
    cr_assert(transposed.dims[0] == 4 && transposed.dims[2] == 2 && transposed.strides[0] == 1 &&
              transposed.strides[2] == 12);
    cr_assert(!clseq_tensor_is_contiguous(&transposed));
    clseq_tensor back = clseq_tensor_transpose(&transposed, 2, 0);
    cr_assert_eq(memcmp(&back, &x, sizeof x), 0);

    clseq_tensor scalar = clseq_tensor_view(buffer, 3, CLSEQ_DTYPE_I32, 0, NULL);
    cr_assert(clseq_tensor_elements(&scalar) == 1 && clseq_tensor_is_contiguous(&scalar));
    /* The strides of dimensions of one element do not matter. */
    clseq_tensor ones = clseq_tensor_view(buffer, 0, CLSEQ_DTYPE_F32, 3, DIMS(1, 5, 1));
    ones.strides[0] = 77;
    ones.strides[2] = 99;
    cr_assert(clseq_tensor_is_contiguous(&ones));
    clseq_tensor large = clseq_tensor_view(buffer, 0, CLSEQ_DTYPE_F32, 3, DIMS(100000, 100000, 3));
    cr_assert(clseq_tensor_elements(&large) == 30000000000 && large.strides[0] == 300000);
}

Test(core_tensor, dims_text)
{
    char text[CLSEQ__DIMS_TEXT];
    cr_assert_str_eq(clseq__dims_text(text, 0, NULL), "[]");
    cr_assert_str_eq(clseq__dims_text(text, 3, DIMS(5, -1, 7)), "[5,?,7]");
    int64_t dims[CLSEQ_MAX_DIMS];
    char *longest = text + 1;
    for (int i = 0; i < CLSEQ_MAX_DIMS; i++)
        dims[i] = INT64_MAX;
    clseq__dims_text(text, CLSEQ_MAX_DIMS, dims);
    for (int i = 0; i < CLSEQ_MAX_DIMS; i++, longest += 20)
        cr_assert(strncmp(longest, "9223372036854775807,", 19) == 0 && strchr(",]", longest[19]), "%s", text);
    cr_assert_str_eq(longest, "");
}

enum { VIEWS = 24 };

/* Views of every kind into a buffer of dims [3,5,2,4], and of [3,5,2,2,1,2]. */
static size_t make_views(const clseq_tensor *x, clseq_tensor views[VIEWS])
{
    size_t n = 0;
    clseq_tensor part;
    views[n++] = *x;
    views[n++] = clseq_tensor_transpose(x, 0, 3);
    views[n++] = clseq_tensor_transpose(x, 1, 2);
    views[n++] = clseq_tensor_slice(x, 0, 1, 2);
    views[n++] = clseq_tensor_slice(x, 3, 1, 3);
    views[n++] = clseq_tensor_slice(x, 3, 2, 1);
    part = clseq_tensor_slice(x, 1, 2, 2);
    views[n++] = clseq_tensor_transpose(&part, 0, 1);
    part = clseq_tensor_slice(&part, 2, 1, 1);
    views[n++] = part;
    views[n] = clseq_tensor_view(x->buffer, 7, x->dtype, 2, DIMS(6, 5));
    views[n++].strides[0] = 16;
    views[n] = clseq_tensor_view(x->buffer, 3, x->dtype, 1, DIMS(13));
    views[n++].strides[0] = 9;
    views[n++] = clseq_tensor_view(x->buffer, 119, x->dtype, 0, NULL);
    views[n++] = clseq_tensor_view(x->buffer, 5, x->dtype, 3, DIMS(1, 1, 1));
    const clseq_tensor six = clseq_tensor_view(x->buffer, 0, x->dtype, 6, DIMS(3, 5, 2, 2, 1, 2));
    views[n++] = six;
    for (int dim = 0; dim < 5; dim++)
        views[n++] = clseq_tensor_transpose(&six, dim, dim + 1);
    part = clseq_tensor_transpose(&six, 0, 5);
    part = clseq_tensor_transpose(&part, 1, 3);
    views[n++] = clseq_tensor_slice(&part, 3, 1, 3);
    part = clseq_tensor_transpose(&views[n - 1], 2, 5);
    views[n++] = clseq_tensor_slice(&part, 2, 0, 2);
    return n;
}

Test(core_tensor, reading_writing_and_filling_any_view)
{
    enum { N = 3 * 5 * 2 * 4 };
    clseq_context *ctx = test_context();
    clseq_tensor x = {0}, views[VIEWS];
    int32_t before[N], after[N], packed[N];
    for (int i = 0; i < N; i++)
        before[i] = i;
    cr_assert_eq(clseq_tensor_create(ctx, CLSEQ_DTYPE_I32, 4, DIMS(3, 5, 2, 4), &x), CLSEQ_OK);
    size_t count = make_views(&x, views);
    for (size_t v = 0; v < count; v++) {
        int64_t i[CLSEQ_MAX_DIMS] = {0};
        int32_t n = 0;
        cr_assert_eq(clseq_tensor_write(ctx, &x, before), CLSEQ_OK);
        cr_assert_eq(clseq_tensor_read(ctx, &views[v], packed), CLSEQ_OK, "%s", clseq_last_error());
        do
            cr_assert_eq(packed[n], place_of(&views[v], i), "view %zu, element %d", v, n);
        while (n++, next_index(&views[v], i));
        cr_assert_eq(n, clseq_tensor_elements(&views[v]));

        /* Writing changes these elements and no others. */
        for (int k = 0; k < n; k++)
            packed[k] = 1000 + k;
        cr_assert_eq(clseq_tensor_write(ctx, &views[v], packed), CLSEQ_OK, "%s", clseq_last_error());
        cr_assert_eq(clseq_tensor_read(ctx, &x, after), CLSEQ_OK);
        n = 0;
        do {
            cr_assert_eq(after[place_of(&views[v], i)], 1000 + n, "view %zu, element %d", v, n);
            after[place_of(&views[v], i)] = (int32_t)place_of(&views[v], i);
        } while (n++, next_index(&views[v], i));
        cr_assert_eq(memcmp(after, before, sizeof before), 0, "view %zu: others were written", v);

        cr_assert_eq(clseq_tensor_write(ctx, &x, before), CLSEQ_OK);
        cr_assert_eq(clseq_tensor_fill(ctx, &views[v], -5), CLSEQ_OK, "%s", clseq_last_error());
        cr_assert_eq(clseq_tensor_read(ctx, &x, after), CLSEQ_OK);
        do {
            cr_assert_eq(after[place_of(&views[v], i)], -5, "view %zu", v);
            after[place_of(&views[v], i)] = (int32_t)place_of(&views[v], i);
        } while (next_index(&views[v], i));
        cr_assert_eq(memcmp(after, before, sizeof before), 0, "view %zu: others were filled", v);
    }
    clseq_tensor_destroy(ctx, &x);
    clseq_context_destroy(ctx);
}

Test(core_tensor, copying_between_any_views)
{
    enum { N = 3 * 5 * 2 * 4 };
    clseq_context *ctx = test_context();
    clseq_tensor x = {0}, y = {0}, from[VIEWS], to[VIEWS];
    int32_t values[N], zeros[N] = {0}, got[N];
    for (int i = 0; i < N; i++)
        values[i] = i + 1;
    cr_assert_eq(clseq_tensor_create(ctx, CLSEQ_DTYPE_I32, 4, DIMS(3, 5, 2, 4), &x), CLSEQ_OK);
    cr_assert_eq(clseq_tensor_create(ctx, CLSEQ_DTYPE_I32, 4, DIMS(3, 5, 2, 4), &y), CLSEQ_OK);
    cr_assert_eq(clseq_tensor_write(ctx, &x, values), CLSEQ_OK);
    size_t count = make_views(&x, from), copied = 0;
    make_views(&y, to);
    for (size_t a = 0; a < count; a++)
        for (size_t b = 0; b < count; b++) {
            clseq_tensor source = from[a], target = to[b];
            if (source.ndim != target.ndim ||
                memcmp(source.dims, target.dims, sizeof(int64_t) * (size_t)source.ndim) != 0)
                continue;
            int64_t i[CLSEQ_MAX_DIMS] = {0};
            cr_assert_eq(clseq_tensor_write(ctx, &y, zeros), CLSEQ_OK);
            cr_assert_eq(clseq_tensor_copy(ctx, &source, &target), CLSEQ_OK, "%s", clseq_last_error());
            cr_assert_eq(clseq_tensor_read(ctx, &y, got), CLSEQ_OK);
            do {
                cr_assert_eq(got[place_of(&target, i)], values[place_of(&source, i)], "views %zu, %zu", a, b);
                got[place_of(&target, i)] = 0;
            } while (next_index(&source, i));
            cr_assert_eq(memcmp(got, zeros, sizeof got), 0, "views %zu, %zu: others were written", a, b);
            copied++;
        }
    cr_assert(copied >= count);
    /* A transposed copy: packed into packed of exchanged dims. */
    clseq_tensor z = {0}, transposed = clseq_tensor_transpose(&x, 0, 3);
    cr_assert_eq(clseq_tensor_create(ctx, CLSEQ_DTYPE_I32, 4, transposed.dims, &z), CLSEQ_OK);
    cr_assert_eq(clseq_tensor_copy(ctx, &transposed, &z), CLSEQ_OK, "%s", clseq_last_error());
    cr_assert_eq(clseq_tensor_read(ctx, &z, got), CLSEQ_OK);
    int64_t i[CLSEQ_MAX_DIMS] = {0};
    int n = 0;
    do
        cr_assert_eq(got[n++], values[place_of(&transposed, i)]);
    while (next_index(&transposed, i));
    clseq_tensor_destroy(ctx, &x);
    clseq_tensor_destroy(ctx, &y);
    clseq_tensor_destroy(ctx, &z);
    clseq_context_destroy(ctx);
}

Test(core_tensor, values_are_rounded_to_the_type)
{
    static const struct {
        double value;
        int32_t integer;
        uint8_t byte;
    } cases[] = {{2.5, 2, 2},
                 {3.5, 4, 4},
                 {-1.4, -1, 0},
                 {254.6, 255, 255},
                 {256, 256, 255},
                 {1e300, INT32_MAX, 255},
                 {-1e300, INT32_MIN, 0},
                 {2147483647, INT32_MAX, 255},
                 {-2147483648.0, INT32_MIN, 0},
                 {NAN, INT32_MIN, 0}};
    clseq_context *ctx = test_context();
    clseq_tensor x = {0}, k = {0}, bytes = {0};
    cr_assert_eq(clseq_tensor_create(ctx, CLSEQ_DTYPE_U8, 1, DIMS(3), &bytes), CLSEQ_OK);
    cr_assert_eq(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 1, DIMS(3), &x), CLSEQ_OK);
    cr_assert_eq(clseq_tensor_create(ctx, CLSEQ_DTYPE_I32, 1, DIMS(3), &k), CLSEQ_OK);
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        float f[3];
        int32_t n[3];
        uint8_t u[3];
        cr_assert_eq(clseq_tensor_fill(ctx, &bytes, cases[c].value), CLSEQ_OK);
        cr_assert_eq(clseq_tensor_read(ctx, &bytes, u), CLSEQ_OK);
        cr_assert_eq(u[2], cases[c].byte, "%g became %d", cases[c].value, u[2]);
        cr_assert_eq(clseq_tensor_fill(ctx, &x, cases[c].value), CLSEQ_OK);
        cr_assert_eq(clseq_tensor_fill(ctx, &k, cases[c].value), CLSEQ_OK);
        cr_assert_eq(clseq_tensor_read(ctx, &x, f), CLSEQ_OK);
        cr_assert_eq(clseq_tensor_read(ctx, &k, n), CLSEQ_OK);
        float want = (float)cases[c].value;
        cr_assert(f[2] == want || (isnan(f[2]) && isnan(want)), "%g became %g", cases[c].value, (double)f[2]);
        cr_assert_eq(n[2], cases[c].integer, "%g became %d", cases[c].value, (int)n[2]);
    }
    clseq_tensor_destroy(ctx, &x);
    clseq_tensor_destroy(ctx, &k);
    clseq_tensor_destroy(ctx, &bytes);
    clseq_context_destroy(ctx);
}

/* Ranges of bytes that begin and end anywhere, as long as they are unbroken. */
Test(core_tensor, bytes_are_moved_and_filled)
{
    enum { N = 67 };
    clseq_context *ctx = test_context();
    clseq_tensor x = {0}, y = {0};
    uint8_t values[N], zeros[N] = {0}, got[N];
    for (int i = 0; i < N; i++)
        values[i] = (uint8_t)(3 * i + 1);
    cr_assert_eq(clseq_tensor_create(ctx, CLSEQ_DTYPE_U8, 1, DIMS(N), &x), CLSEQ_OK);
    cr_assert_eq(clseq_tensor_create(ctx, CLSEQ_DTYPE_U8, 1, DIMS(N), &y), CLSEQ_OK);
    cr_assert_eq(clseq_tensor_write(ctx, &x, values), CLSEQ_OK);
    for (int at = 0; at < 8; at++)
        for (int count = 1; at + count <= N; count += 5) {
            const clseq_tensor from = clseq_tensor_slice(&x, 0, at, count);
            const clseq_tensor to = clseq_tensor_view(y.buffer, at, CLSEQ_DTYPE_U8, 1, DIMS(count));
            cr_assert_eq(clseq_tensor_write(ctx, &y, zeros), CLSEQ_OK);
            cr_assert_eq(clseq_tensor_copy(ctx, &from, &to), CLSEQ_OK, "%s", clseq_last_error());
            cr_assert_eq(clseq_tensor_read(ctx, &y, got), CLSEQ_OK);
            for (int i = 0; i < N; i++)
                cr_assert_eq(got[i], i >= at && i < at + count ? values[i] : 0, "%d bytes at %d: byte %d",
                             count, at, i);
            cr_assert_eq(clseq_tensor_fill(ctx, &to, 170), CLSEQ_OK, "%s", clseq_last_error());
            cr_assert_eq(clseq_tensor_read(ctx, &y, got), CLSEQ_OK);
            for (int i = 0; i < N; i++)
                cr_assert_eq(got[i], i >= at && i < at + count ? 170 : 0, "%d bytes at %d: byte %d", count,
                             at, i);
        }
    clseq_tensor_destroy(ctx, &x);
    clseq_tensor_destroy(ctx, &y);
    clseq_context_destroy(ctx);
}

Test(core_tensor, create_refuses_what_cannot_be)
{
    clseq_context *ctx = test_context();
    clseq_tensor x = {0};
    cr_assert_eq(clseq_tensor_create(NULL, CLSEQ_DTYPE_F32, 1, DIMS(1), &x), CLSEQ_INVALID_ARGUMENT);
    cr_assert_eq(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 1, NULL, &x), CLSEQ_INVALID_ARGUMENT);
    cr_assert_eq(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 1, DIMS(1), NULL), CLSEQ_INVALID_ARGUMENT);
    cr_assert_eq(clseq_tensor_create(ctx, (clseq_dtype)9, 1, DIMS(1), &x), CLSEQ_INVALID_DTYPE);
    cr_assert_eq(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 7, DIMS(1, 1, 1, 1, 1, 1, 1), &x),
                 CLSEQ_INVALID_SHAPE);
    cr_assert_str_eq(clseq_last_error(), "tensor create: 7 dimensions, expected 0 to 6");
    cr_assert_eq(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, -1, DIMS(1), &x), CLSEQ_INVALID_SHAPE);
    cr_assert_eq(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 2, DIMS(3, 0), &x), CLSEQ_INVALID_SHAPE);
    cr_assert_str_eq(clseq_last_error(), "tensor create: dimension 1 is 0, expected at least 1");
    cr_assert_eq(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 2, DIMS(-2, 3), &x), CLSEQ_INVALID_SHAPE);
    /* More than 64 bits of bytes, more than 32, and more than there is. */
    cr_assert_eq(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 3, DIMS(1 << 30, 1 << 30, 4), &x),
                 CLSEQ_INVALID_SHAPE);
    cr_assert(strstr(clseq_last_error(), "[1073741824,1073741824,4]") != NULL, "%s", clseq_last_error());
    cr_assert_eq(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 2, DIMS(1 << 30, 1 << 20), &x),
                 CLSEQ_OUT_OF_DEVICE_MEMORY);
    cr_assert(strstr(clseq_last_error(), "[1073741824,1048576]: 4503599627370496 bytes") != NULL, "%s",
              clseq_last_error());
    cr_assert_null(x.buffer);
    clseq_tensor_destroy(ctx, &x);
    clseq_tensor_destroy(ctx, NULL);
    clseq_tensor_destroy(NULL, &x);
    clseq_context_destroy(ctx);
}

/* A tensor of dims [2,3,8] that lies in a buffer of exactly 48 elements. */
typedef struct fixture {
    clseq_context *ctx;
    clseq_tensor x;
} fixture;

static fixture fixture_create(void)
{
    fixture f = {test_context(), {0}};
    int code = 0;
    cl_mem buffer = clCreateBuffer(clseq_context_cl_context(f.ctx), CL_MEM_READ_WRITE, 48 * 4, NULL, &code);
    cr_assert_eq(code, CL_SUCCESS);
    f.x = clseq_tensor_view(buffer, 0, CLSEQ_DTYPE_F32, 3, DIMS(2, 3, 8));
    return f;
}

static void fixture_release(fixture *f)
{
    clReleaseMemObject(f->x.buffer);
    clseq_context_destroy(f->ctx);
}

static void expect(clseq_status came, clseq_status expected, const char *sentence)
{
    cr_assert_eq(came, expected, "%s (%s) instead of %s", clseq_status_name(came), clseq_last_error(),
                 clseq_status_name(expected));
    if (sentence != NULL)
        cr_assert_str_eq(clseq_last_error(), sentence);
}

Test(core_tensor, checks_say_what_came_and_what_was_expected)
{
    fixture f = fixture_create();
    clseq_tensor bad = f.x, none = {0};
    const char *what = "rnn forward: x";
    expect(clseq__tensor_check(f.ctx, what, &f.x, CLSEQ_DTYPE_F32, 3, DIMS(2, 3, 8), true), CLSEQ_OK, NULL);
    expect(clseq__tensor_check(f.ctx, what, &f.x, CLSEQ_DTYPE_F32, 3, DIMS(-1, 3, -1), true), CLSEQ_OK, NULL);
    expect(clseq__tensor_check(f.ctx, what, NULL, CLSEQ_DTYPE_F32, 3, DIMS(2, 3, 8), true),
           CLSEQ_INVALID_ARGUMENT, "rnn forward: x is NULL, expected f32 [2,3,8]");
    expect(clseq__tensor_check(f.ctx, what, &none, CLSEQ_DTYPE_I32, 2, DIMS(-1, 8), true),
           CLSEQ_INVALID_ARGUMENT, "rnn forward: x is NULL, expected i32 [?,8]");
    expect(clseq__tensor_check(f.ctx, what, &f.x, CLSEQ_DTYPE_I32, 3, DIMS(2, 3, 8), true),
           CLSEQ_INVALID_DTYPE, "rnn forward: x has type f32, expected i32");
    expect(clseq__tensor_check(f.ctx, what, &f.x, CLSEQ_DTYPE_F32, 2, DIMS(2, 3), true), CLSEQ_INVALID_SHAPE,
           "rnn forward: x has 3 dimensions, expected 2: [2,3]");
    expect(clseq__tensor_check(f.ctx, what, &f.x, CLSEQ_DTYPE_F32, 3, DIMS(2, 3, 7), true),
           CLSEQ_INVALID_SHAPE, "rnn forward: x has shape [2,3,8], expected [2,3,7]");
    bad.strides[1] = -8;
    expect(clseq__tensor_check(f.ctx, what, &bad, CLSEQ_DTYPE_F32, 3, DIMS(2, 3, 8), true),
           CLSEQ_INVALID_SHAPE, NULL);
    bad = f.x;
    bad.dims[0] = 0;
    expect(clseq__tensor_check(f.ctx, what, &bad, CLSEQ_DTYPE_F32, 3, DIMS(-1, 3, 8), true),
           CLSEQ_INVALID_SHAPE, "rnn forward: x: dimension 0 is 0, expected at least 1");
    bad = f.x;
    bad.ndim = 7;
    expect(clseq_tensor_fill(f.ctx, &bad, 0), CLSEQ_INVALID_SHAPE, NULL);
    bad = f.x;
    bad.dtype = (clseq_dtype)5;
    expect(clseq_tensor_fill(f.ctx, &bad, 0), CLSEQ_INVALID_DTYPE, NULL);
    /* Rows must be unbroken where that is asked; packed is more. */
    bad = clseq_tensor_transpose(&f.x, 1, 2);
    expect(clseq__tensor_check(f.ctx, what, &bad, CLSEQ_DTYPE_F32, 3, DIMS(2, 8, 3), false), CLSEQ_OK, NULL);
    expect(clseq__tensor_check(f.ctx, what, &bad, CLSEQ_DTYPE_F32, 3, DIMS(2, 8, 3), true),
           CLSEQ_INVALID_SHAPE, "rnn forward: x has stride 8 in its last dimension, expected 1");
    bad = clseq_tensor_slice(&f.x, 2, 0, 7);
    expect(clseq__tensor_check(f.ctx, what, &bad, CLSEQ_DTYPE_F32, 3, DIMS(2, 3, 7), true), CLSEQ_OK, NULL);
    expect(clseq__tensor_check_packed(f.ctx, what, &bad, CLSEQ_DTYPE_F32, 3, DIMS(2, 3, 7)),
           CLSEQ_INVALID_SHAPE, "rnn forward: x has shape [2,3,7] and strides [24,8,1], expected it packed");
    expect(clseq__tensor_check_packed(f.ctx, what, &f.x, CLSEQ_DTYPE_F32, 3, DIMS(2, 3, 8)), CLSEQ_OK, NULL);
    fixture_release(&f);
}

/* Bytes lie packed, within their buffer to the byte, and nothing computes with them. */
Test(core_tensor, bytes_are_memory_and_nothing_else)
{
    fixture f = fixture_create();
    const clseq_tensor bytes = clseq_tensor_view(f.x.buffer, 1, CLSEQ_DTYPE_U8, 2, DIMS(4, 47));
    const clseq_tensor all = clseq_tensor_view(f.x.buffer, 0, CLSEQ_DTYPE_U8, 3, DIMS(2, 3, 8));
    const clseq_tensor strided = clseq_tensor_slice(&bytes, 1, 0, 46);
    clseq_tensor beyond = bytes, packed = {0};
    uint8_t host[192] = {0};
    expect(clseq_tensor_read(f.ctx, &bytes, host), CLSEQ_OK, NULL);
    beyond.offset = 5;
    expect(clseq_tensor_fill(f.ctx, &beyond, 0), CLSEQ_OUT_OF_BOUNDS,
           "tensor fill: tensor has shape [4,47], strides [47,1] and offset 5: it reaches to byte 193 of a "
           "buffer of 192");
    cr_assert_eq(clseq_tensor_create(f.ctx, CLSEQ_DTYPE_U8, 2, DIMS(4, 46), &packed), CLSEQ_OK);
    expect(clseq_tensor_write(f.ctx, &strided, host), CLSEQ_INVALID_SHAPE,
           "tensor write: tensor has shape [4,46] and strides [47,1], expected it packed");
    expect(clseq_tensor_read(f.ctx, &strided, host), CLSEQ_INVALID_SHAPE,
           "tensor read: tensor has shape [4,46] and strides [47,1], expected it packed");
    expect(clseq_tensor_fill(f.ctx, &strided, 0), CLSEQ_INVALID_SHAPE,
           "tensor fill: tensor has shape [4,46] and strides [47,1], expected it packed");
    expect(clseq_tensor_copy(f.ctx, &strided, &packed), CLSEQ_INVALID_SHAPE,
           "tensor copy: from has shape [4,46] and strides [47,1], expected it packed");
    expect(clseq_tensor_copy(f.ctx, &packed, &strided), CLSEQ_INVALID_SHAPE,
           "tensor copy: to has shape [4,46] and strides [47,1], expected it packed");
    expect(clseq_tensor_copy(f.ctx, &all, &f.x), CLSEQ_INVALID_DTYPE,
           "tensor copy: to has type f32, expected u8");
    expect(clseq_nn_add(f.ctx, 1, &all, 1, &f.x, &f.x), CLSEQ_INVALID_DTYPE, NULL);
    expect(clseq_nn_reduce_forward(f.ctx, CLSEQ_REDUCE_SUM, &f.x, &all), CLSEQ_INVALID_DTYPE, NULL);
    expect(clseq_nn_dropout(f.ctx, &all, 0.5f, 1, 1, &f.x), CLSEQ_INVALID_DTYPE, NULL);
    expect(clseq_nn_pointwise_forward(f.ctx, CLSEQ_POINTWISE_TANH, NULL, &all, &f.x), CLSEQ_INVALID_DTYPE,
           NULL);
    const clseq_tensor table = clseq_tensor_view(f.x.buffer, 0, CLSEQ_DTYPE_F32, 2, DIMS(6, 8));
    expect(clseq_nn_embedding_forward(f.ctx, &table, &all, &f.x), CLSEQ_INVALID_DTYPE, NULL);
    expect(clseq_nn_sum(f.ctx, &all, 1, &f.x), CLSEQ_INVALID_DTYPE, NULL);
    clseq_tensor_destroy(f.ctx, &packed);
    fixture_release(&f);
}

Test(core_tensor, nothing_reaches_beyond_its_buffer)
{
    fixture f = fixture_create();
    const char *what = "x";
    clseq_tensor bad = f.x;
    bad.offset = 1;
    expect(clseq__tensor_check(f.ctx, what, &bad, CLSEQ_DTYPE_F32, 3, DIMS(2, 3, 8), true),
           CLSEQ_OUT_OF_BOUNDS,
           "x has shape [2,3,8], strides [24,8,1] and offset 1: it reaches to byte 196 of a buffer of 192");
    bad.offset = -1;
    expect(clseq__tensor_check(f.ctx, what, &bad, CLSEQ_DTYPE_F32, 3, DIMS(2, 3, 8), true),
           CLSEQ_OUT_OF_BOUNDS, "x starts at offset -1, expected at least 0");
    bad = f.x;
    bad.strides[0] = 25;
    expect(clseq__tensor_check(f.ctx, what, &bad, CLSEQ_DTYPE_F32, 3, DIMS(2, 3, 8), true),
           CLSEQ_OUT_OF_BOUNDS, NULL);
    /* The last element may be the buffer's last, whatever the stride of the outermost would reach. */
    bad = clseq_tensor_slice(&f.x, 0, 1, 1);
    bad.strides[0] = 1000000;
    expect(clseq__tensor_check(f.ctx, what, &bad, CLSEQ_DTYPE_F32, 3, DIMS(1, 3, 8), true), CLSEQ_OK, NULL);
    /* Stride 0 repeats an element. */
    bad = f.x;
    bad.strides[0] = 0;
    bad.dims[0] = 1000;
    expect(clseq__tensor_check(f.ctx, what, &bad, CLSEQ_DTYPE_F32, 3, DIMS(1000, 3, 8), true), CLSEQ_OK,
           NULL);
    /* Sums that wrap 64 bits, and those that wrap 32. */
    static const int64_t large[] = {INT64_MAX,        INT64_MAX / 2,    (int64_t)1 << 62,
                                    (int64_t)1 << 61, (int64_t)1 << 32, ((int64_t)1 << 32) - 48,
                                    (int64_t)1 << 31};
    for (size_t i = 0; i < sizeof large / sizeof large[0]; i++) {
        bad = f.x;
        bad.offset = large[i];
        expect(clseq_tensor_fill(f.ctx, &bad, 0), CLSEQ_OUT_OF_BOUNDS, NULL);
        bad = f.x;
        bad.strides[0] = large[i];
        expect(clseq_tensor_fill(f.ctx, &bad, 0), CLSEQ_OUT_OF_BOUNDS, NULL);
        bad = f.x;
        bad.dims[0] = large[i];
        expect(clseq_tensor_fill(f.ctx, &bad, 0), CLSEQ_OUT_OF_BOUNDS, NULL);
        bad.strides[0] = large[i];
        expect(clseq_tensor_fill(f.ctx, &bad, 0), CLSEQ_OUT_OF_BOUNDS, NULL);
    }
    clseq_tensor none = clseq_tensor_view(NULL, 0, CLSEQ_DTYPE_F32, 1, DIMS(1));
    float value = 0;
    expect(clseq_tensor_read(f.ctx, &none, &value), CLSEQ_INVALID_ARGUMENT,
           "tensor read: tensor is NULL, expected a tensor");
    fixture_release(&f);
}

Test(core_tensor, missing_arguments_of_transfers)
{
    fixture f = fixture_create();
    float values[48];
    clseq_tensor other = clseq_tensor_view(f.x.buffer, 0, CLSEQ_DTYPE_F32, 2, DIMS(6, 8));
    clseq_tensor integers = clseq_tensor_view(f.x.buffer, 0, CLSEQ_DTYPE_I32, 3, DIMS(2, 3, 8));
    expect(clseq_tensor_write(f.ctx, &f.x, NULL), CLSEQ_INVALID_ARGUMENT, "tensor write: host is NULL");
    expect(clseq_tensor_write(NULL, &f.x, values), CLSEQ_INVALID_ARGUMENT, "tensor write: ctx is NULL");
    expect(clseq_tensor_write(f.ctx, NULL, values), CLSEQ_INVALID_ARGUMENT, NULL);
    expect(clseq_tensor_read(f.ctx, &f.x, NULL), CLSEQ_INVALID_ARGUMENT, "tensor read: host is NULL");
    expect(clseq_tensor_read(NULL, &f.x, values), CLSEQ_INVALID_ARGUMENT, "tensor read: ctx is NULL");
    expect(clseq_tensor_fill(NULL, &f.x, 0), CLSEQ_INVALID_ARGUMENT, NULL);
    expect(clseq_tensor_fill(f.ctx, NULL, 0), CLSEQ_INVALID_ARGUMENT, NULL);
    expect(clseq_tensor_copy(NULL, &f.x, &f.x), CLSEQ_INVALID_ARGUMENT, NULL);
    expect(clseq_tensor_copy(f.ctx, &f.x, NULL), CLSEQ_INVALID_ARGUMENT, NULL);
    expect(clseq_tensor_copy(f.ctx, NULL, &f.x), CLSEQ_INVALID_ARGUMENT, NULL);
    expect(clseq_tensor_copy(f.ctx, &f.x, &other), CLSEQ_INVALID_SHAPE, NULL);
    expect(clseq_tensor_copy(f.ctx, &f.x, &integers), CLSEQ_INVALID_DTYPE, NULL);
    fixture_release(&f);
}

/* As far apart as the device's largest buffer allows: beyond 32 bits of bytes, or of elements, where it has them.
 * Only three rows are touched. */
Test(core_tensor, elements_far_apart)
{
    clseq_context *ctx = test_context();
    const clseq_device_info *device = clseq_context_device(ctx);
    uint64_t most = device->max_allocation < device->global_memory / 2 ? device->max_allocation
                                                                       : device->global_memory / 2;
    const uint64_t wanted = test_small() ? 1 << 20 : (uint64_t)9 << 30;
    int64_t stride = (int64_t)((most < wanted ? most : wanted) / 8) - 3;
    size_t bytes = 4 * (size_t)(1 + 2 * stride + 2);
    int code = 0;
    cl_mem buffer = clCreateBuffer(clseq_context_cl_context(ctx), CL_MEM_READ_WRITE, bytes, NULL, &code);
    cr_assert_eq(code, CL_SUCCESS, "a buffer of %zu bytes: %d", bytes, code);
    clseq_tensor x = clseq_tensor_view(buffer, 1, CLSEQ_DTYPE_I32, 2, DIMS(3, 2));
    x.strides[0] = stride;
    const int32_t in[] = {1, 2, 3, 4, 5, 6};
    int32_t out[6] = {0}, last[2] = {0};
    expect(clseq_tensor_write(ctx, &x, in), CLSEQ_OK, NULL);
    expect(clseq_tensor_read(ctx, &x, out), CLSEQ_OK, NULL);
    cr_assert_eq(memcmp(in, out, sizeof in), 0);
    cr_assert_eq(
        clEnqueueReadBuffer(clseq_context_queue(ctx), buffer, CL_TRUE, bytes - 8, 8, last, 0, NULL, NULL),
        CL_SUCCESS);
    cr_assert(last[0] == 5 && last[1] == 6);
    clReleaseMemObject(buffer);
    clseq_context_destroy(ctx);
}

/* Bounds are those of what was asked for, although the pool rounds sizes up. */
Test(core_tensor, a_view_one_row_beyond_its_tensor_is_refused)
{
    clseq_context *ctx = test_context();
    static const int64_t rows[] = {1, 3, 17, 129, 1000};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const int64_t n = rows[i];
        clseq_tensor x = {0}, beyond;
        cr_assert_eq(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 2, DIMS(n, 3), &x), CLSEQ_OK);
        beyond = clseq_tensor_view(x.buffer, 0, CLSEQ_DTYPE_F32, 2, DIMS(n + 1, 3));
        expect(clseq_tensor_fill(ctx, &beyond, 0), CLSEQ_OUT_OF_BOUNDS, NULL);
        beyond = clseq_tensor_view(x.buffer, 1, CLSEQ_DTYPE_F32, 2, DIMS(n, 3));
        expect(clseq_tensor_fill(ctx, &beyond, 0), CLSEQ_OUT_OF_BOUNDS, NULL);
        expect(clseq_tensor_fill(ctx, &x, 0), CLSEQ_OK, NULL);
        clseq_tensor_destroy(ctx, &x);
    }
    clseq_context_destroy(ctx);
}

/* One place may stand for many elements, but for no more than can be counted in bytes. */
Test(core_tensor, strides_of_zero_do_not_hide_how_many_elements_there_are)
{
    static const int64_t many[][CLSEQ_MAX_DIMS] = {{(int64_t)1 << 32, (int64_t)1 << 32, 1, 1},
                                                   {(int64_t)1 << 62, 1, 1, 1},
                                                   {INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX}};
    fixture f = fixture_create();
    clseq_tensor view = {.buffer = f.x.buffer, .dtype = CLSEQ_DTYPE_F32, .ndim = 4}, row;
    for (size_t i = 0; i < sizeof many / sizeof many[0]; i++) {
        memcpy(view.dims, many[i], sizeof view.dims);
        expect(clseq__tensor_check(f.ctx, "add: a", &view, CLSEQ_DTYPE_F32, 4, many[i], false),
               CLSEQ_OUT_OF_BOUNDS, NULL);
        cr_assert_str_eq(strrchr(clseq_last_error(), ':'), ": its size exceeds 63 bits");
        cr_assert_eq(clseq_tensor_elements(&view), i == 1 ? (int64_t)1 << 62 : INT64_MAX);
        cr_assert_not(clseq_tensor_is_contiguous(&view));
    }
    row = (clseq_tensor){
        .buffer = f.x.buffer, .dtype = CLSEQ_DTYPE_F32, .ndim = 2, .dims = {1000, 8}, .strides = {0, 1}};
    expect(clseq__tensor_check(f.ctx, "add: a", &row, CLSEQ_DTYPE_F32, 2, DIMS(1000, 8), true), CLSEQ_OK,
           NULL);
    fixture_release(&f);
}

Test(core_tensor_misuse, buffers_of_another_context_are_refused)
{
    fixture f = fixture_create(), other = fixture_create();
    clseq_tensor foreign = {0};
    float host[48] = {0};
    cr_assert_eq(clseq_tensor_create(other.ctx, CLSEQ_DTYPE_F32, 3, f.x.dims, &foreign), CLSEQ_OK);
    const clseq_tensor *const theirs[] = {&foreign, &other.x};
    for (int i = 0; i < 2; i++) {
        expect(clseq_tensor_fill(f.ctx, theirs[i], 0), CLSEQ_INVALID_ARGUMENT,
               "tensor fill: tensor: its buffer belongs to another context");
        expect(clseq_tensor_write(f.ctx, theirs[i], host), CLSEQ_INVALID_ARGUMENT,
               "tensor write: tensor: its buffer belongs to another context");
        expect(clseq_tensor_read(f.ctx, theirs[i], host), CLSEQ_INVALID_ARGUMENT,
               "tensor read: tensor: its buffer belongs to another context");
        expect(clseq_tensor_copy(f.ctx, theirs[i], &f.x), CLSEQ_INVALID_ARGUMENT,
               "tensor copy: from: its buffer belongs to another context");
        expect(clseq_tensor_copy(f.ctx, &f.x, theirs[i]), CLSEQ_INVALID_ARGUMENT,
               "tensor copy: to: its buffer belongs to another context");
    }
    clseq_tensor_destroy(other.ctx, &foreign);
    fixture_release(&other);
    fixture_release(&f);
}

/* Extents that fit into 63 bits one by one, and whose sum wraps around to a small number. */
Test(core_tensor, extents_that_wrap_around)
{
    fixture f = fixture_create();
    clseq_tensor bad = clseq_tensor_view(f.x.buffer, 2, CLSEQ_DTYPE_F32, 2, DIMS(2, 2));
    bad.strides[0] = bad.strides[1] = INT64_MAX;
    expect(clseq_tensor_fill(f.ctx, &bad, 0), CLSEQ_OUT_OF_BOUNDS, NULL);
    fixture_release(&f);
}
