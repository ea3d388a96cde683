/* Sums over ranges and columns, against sums in double. */
#include <criterion/criterion.h>

#include "linalg/reduce.h"
#include "support/bounds.h"
#include "support/compare.h"
#include "support/device.h"
#include "support/numeric.h"
#include "support/random.h"

#include <clseq/tensor.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CANARY 12345.0f
#define MARGIN 3 /* canaries before and after a result */

static clseq_tensor device_floats(clseq_context *ctx, const float *values, int64_t n)
{
    clseq_tensor x = {0};
    cr_assert_eq(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 1, &n, &x), CLSEQ_OK, "%s", clseq_last_error());
    cr_assert_eq(clseq_tensor_write(ctx, &x, values), CLSEQ_OK, "%s", clseq_last_error());
    return x;
}

/* One sum of x[offset, offset + n) in a buffer whose neighbours are NaN; returns it. */
static float sum_of(clseq_context *ctx, const clseq_tensor *x, int64_t offset, int64_t n, bool squares)
{
    float values[2 * MARGIN + 1];
    for (int i = 0; i < 2 * MARGIN + 1; i++)
        values[i] = i == MARGIN ? NAN : CANARY;
    clseq_tensor out = device_floats(ctx, values, 2 * MARGIN + 1);
    clseq_status status = squares ? clseq__reduce_sum_squares(ctx, x->buffer, offset, n, out.buffer, MARGIN)
                                  : clseq__reduce_sum(ctx, x->buffer, offset, n, out.buffer, MARGIN);
    cr_assert_eq(status, CLSEQ_OK, "%s", clseq_last_error());
    cr_assert_eq(clseq_tensor_read(ctx, &out, values), CLSEQ_OK);
    for (int i = 0; i < 2 * MARGIN + 1; i++)
        cr_assert(i == MARGIN || values[i] == CANARY, "n = %d: element %d beside the sum was written", (int)n,
                  i);
    clseq_tensor_destroy(ctx, &out);
    return values[MARGIN];
}

/* Both sums of n numbers at an offset, twice; what stands around them is NaN. */
static void check_sums(clseq_context *ctx, int64_t n, test_random *random)
{
    const int64_t offset = 5;
    float *values = test_floats((size_t)(n + 2 * offset));
    double sum[2] = {0, 0}, magnitude[2] = {0, 0};
    for (int64_t i = 0; i < n + 2 * offset; i++) {
        values[i] = NAN;
        if (i < offset || i >= offset + n)
            continue;
        values[i] = (float)test_random_uniform(random, -1, 2);
        sum[0] += values[i];
        magnitude[0] += fabs(values[i]);
        sum[1] += (double)values[i] * values[i];
    }
    magnitude[1] = sum[1];
    clseq_tensor x = device_floats(ctx, values, n + 2 * offset);
    for (int squares = 0; squares < 2; squares++) {
        float got[2] = {sum_of(ctx, &x, offset, n, squares), sum_of(ctx, &x, offset, n, squares)};
        /* One rounding a summand, compensated sums of the parts, one more sum and the store. */
        double bound = test_rounding_bound(8, magnitude[squares]);
        cr_assert(compare_floats(squares ? "sum of squares" : "sum", got, &sum[squares], 1, bound),
                  "n = %d: %s", (int)n, compare_message());
        cr_assert(compare_bits("second sum", got + 1, got, 1), "n = %d: %s", (int)n, compare_message());
    }
    clseq_tensor_destroy(ctx, &x);
    free(values);
}

Test(reduce, sums)
{
    static const int64_t sizes[] = {1,  2,   3,   7,    8,    15,   16,   17,    63,     64,
                                    65, 100, 257, 1000, 4095, 4096, 4097, 40001, 1000003};
    clseq_context *ctx = test_context();
    test_random random = test_random_seed(1);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        if (sizes[i] <= (test_small() ? 300 : 2000000))
            check_sums(ctx, sizes[i], &random);
    }
    clseq_context_destroy(ctx);
}

/* A plain float sum of this many equal numbers stops growing long before the end. */
Test(reduce, long_sum_keeps_accuracy)
{
    const int64_t n = test_small() ? 5000 : 30000001;
    clseq_context *ctx = test_context();
    clseq_tensor x = {0};
    cr_assert_eq(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 1, &n, &x), CLSEQ_OK, "%s", clseq_last_error());
    cr_assert_eq(clseq_tensor_fill(ctx, &x, 0.1), CLSEQ_OK);
    for (int squares = 0; squares < 2; squares++) {
        float got = sum_of(ctx, &x, 0, n, squares);
        double want = (squares ? (double)0.1f * 0.1f : (double)0.1f) * (double)n;
        cr_assert(compare_floats("sum", &got, &want, 1, test_rounding_bound(8, want)), "%s",
                  compare_message());
    }
    clseq_tensor_destroy(ctx, &x);
    clseq_context_destroy(ctx);
}

typedef struct columns_case {
    int64_t rows, n, ld;
} columns_case;

static void check_columns(clseq_context *ctx, columns_case c, test_random *random)
{
    const int64_t offset = 4, size = offset + c.rows * c.ld;
    float *values = test_floats((size_t)size), *out = test_floats((size_t)c.n + 2 * MARGIN);
    double *sum = test_doubles((size_t)c.n), *bound = test_doubles((size_t)c.n);
    for (int64_t i = 0; i < size; i++)
        values[i] = NAN; /* between the rows too */
    for (int64_t r = 0; r < c.rows; r++) {
        for (int64_t j = 0; j < c.n; j++) {
            float v = (float)test_random_uniform(random, -1, 2);
            values[offset + r * c.ld + j] = v;
            sum[j] += v;
            bound[j] += fabs(v);
        }
    }
    for (int64_t j = 0; j < c.n + 2 * MARGIN; j++)
        out[j] = j < MARGIN || j >= MARGIN + c.n ? CANARY : NAN;
    clseq_tensor x = device_floats(ctx, values, size), y = device_floats(ctx, out, c.n + 2 * MARGIN);
    for (int add = 0; add < 2; add++) {
        cr_assert_eq(clseq__reduce_columns(ctx, x.buffer, offset, c.rows, c.n, c.ld, y.buffer, MARGIN, add),
                     CLSEQ_OK, "%s", clseq_last_error());
        cr_assert_eq(clseq_tensor_read(ctx, &y, out), CLSEQ_OK);
        for (int64_t j = 0; j < c.n; j++) {
            sum[j] *= 1 + add;
            bound[j] = add ? 2 * bound[j] + test_rounding_bound(1, sum[j])
                           : test_sum_bound((double)c.rows, bound[j]);
        }
        cr_assert(
            compare_floats_each(add ? "added columns" : "columns", out + MARGIN, sum, (size_t)c.n, bound),
            "[%d,%d]: %s", (int)c.rows, (int)c.n, compare_message());
        for (int i = 0; i < MARGIN; i++)
            cr_assert(out[i] == CANARY && out[MARGIN + c.n + i] == CANARY, "[%d,%d]: written outside",
                      (int)c.rows, (int)c.n);
    }
    clseq_tensor_destroy(ctx, &x);
    clseq_tensor_destroy(ctx, &y);
    free(values);
    free(out);
    free(sum);
    free(bound);
}

Test(reduce, columns)
{
    static const columns_case cases[] = {{1, 1, 1},       {1, 7, 7},      {5, 1, 1},        {3, 5, 9},
                                         {64, 3, 3},      {63, 17, 20},   {100, 64, 64},    {33, 513, 513},
                                         {200, 511, 600}, {3001, 40, 40}, {700, 1537, 1537}};
    clseq_context *ctx = test_context();
    test_random random = test_random_seed(2);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (cases[i].rows * cases[i].n <= (test_small() ? 1200 : 2000000))
            check_columns(ctx, cases[i], &random);
    }
    clseq_context_destroy(ctx);
}

/* Sums of many parts on many cores: the same bits every time. */
Test(reduce, columns_repeat_bit_for_bit)
{
    const int64_t rows = test_small() ? 70 : 2000, n = 33;
    clseq_context *ctx = test_context();
    test_random random = test_random_seed(3);
    float *values = test_floats((size_t)(rows * n)), first[33], again[33];
    test_random_fill_float(&random, values, (size_t)(rows * n), -1, 1);
    clseq_tensor x = device_floats(ctx, values, rows * n), y = device_floats(ctx, values, n);
    for (int run = 0; run < 4; run++) {
        cr_assert_eq(clseq__reduce_columns(ctx, x.buffer, 0, rows, n, n, y.buffer, 0, false), CLSEQ_OK);
        cr_assert_eq(clseq_tensor_read(ctx, &y, run ? again : first), CLSEQ_OK);
        cr_assert(run == 0 || compare_bits("columns", again, first, (size_t)n), "%s", compare_message());
    }
    clseq_tensor_destroy(ctx, &x);
    clseq_tensor_destroy(ctx, &y);
    free(values);
    clseq_context_destroy(ctx);
}

Test(reduce, bad_input)
{
    clseq_context *ctx = test_context();
    /* Not from the pool, whose buffers may be larger than what was asked for. */
    cl_mem x =
        clCreateBuffer(clseq_context_cl_context(ctx), CL_MEM_READ_WRITE, 12 * sizeof(float), NULL, NULL);
    cl_mem y =
        clCreateBuffer(clseq_context_cl_context(ctx), CL_MEM_READ_WRITE, 4 * sizeof(float), NULL, NULL);
    const int64_t huge = INT64_MAX;
    struct {
        clseq_status got, want;
    } calls[] = {
        {clseq__reduce_sum(ctx, NULL, 0, 1, y, 0), CLSEQ_INVALID_ARGUMENT},
        {clseq__reduce_sum(ctx, x, 0, 0, y, 0), CLSEQ_INVALID_ARGUMENT},
        {clseq__reduce_sum(ctx, x, -1, 1, y, 0), CLSEQ_INVALID_ARGUMENT},
        {clseq__reduce_sum(ctx, x, 1, 12, y, 0), CLSEQ_OUT_OF_BOUNDS},
        {clseq__reduce_sum(ctx, x, huge, huge, y, 0), CLSEQ_OUT_OF_BOUNDS},
        {clseq__reduce_sum_squares(ctx, x, 0, 12, y, 4), CLSEQ_OUT_OF_BOUNDS},
        {clseq__reduce_columns(ctx, x, 0, 3, 4, 3, y, 0, false), CLSEQ_INVALID_ARGUMENT},
        {clseq__reduce_columns(ctx, x, 0, 4, 4, 4, y, 0, false), CLSEQ_OUT_OF_BOUNDS},
        {clseq__reduce_columns(ctx, x, 0, huge, 4, huge, y, 0, false), CLSEQ_OUT_OF_BOUNDS},
        {clseq__reduce_columns(ctx, x, 0, 3, 4, 4, y, 1, false), CLSEQ_OUT_OF_BOUNDS},
    };
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
        cr_assert_eq(calls[i].got, calls[i].want, "call %zu gives %s, expected %s", i,
                     clseq_status_name(calls[i].got), clseq_status_name(calls[i].want));
    cr_assert(strstr(clseq_last_error(), "reduce: out") != NULL, "%s", clseq_last_error());
    clReleaseMemObject(x);
    clReleaseMemObject(y);
    clseq_context_destroy(ctx);
}
