/* Walks over strided and stretched operands: every element once, in as few dimensions as will do. */
#include "core/walk.h"
#include "support/device.h"
#include "support/random.h"
#include "support/record.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIMS(...) ((const int64_t[]){__VA_ARGS__})

Test(core_walk, lies_on_the_device_as_on_the_host)
{
    clseq_context *ctx = test_context();
    RECORD_CHECK(ctx, "core/walk_record.h", walk_operand, WALK_OPERAND);
    RECORD_CHECK(ctx, "core/walk_record.h", walk_record, WALK_RECORD);
    clseq_context_destroy(ctx);
}

/* The walk over packed views of the dims that `order` says, and sentences of its dims and strides. */
static const char *walk_text(int count, const clseq_tensor *const *operands)
{
    static char text[256];
    walk_record walk;
    size_t used = 0;
    clseq__walk_make(count, operands, &walk);
    for (int d = 0; d < (int)walk.dims; d++) {
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%lld:", d > 0 ? " " : "",
                                 (long long)walk.dim[d]);
        for (int k = 0; k < count; k++)
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%lld", k > 0 ? "," : "",
                                     (long long)walk.operand[k].stride[d]);
    }
    return text;
}

#define WALK_TEXT(...)                                                                      \
    walk_text(sizeof((const clseq_tensor *[]){__VA_ARGS__}) / sizeof(const clseq_tensor *), \
              (const clseq_tensor *[]){__VA_ARGS__})

Test(core_walk, joins_dims)
{
    const clseq_tensor x = clseq_tensor_view(NULL, 5, CLSEQ_DTYPE_F32, 4, DIMS(3, 1, 5, 7));
    const clseq_tensor one = clseq_tensor_view(NULL, 0, CLSEQ_DTYPE_F32, 3, DIMS(1, 1, 1));
    const clseq_tensor scalar = clseq_tensor_view(NULL, 0, CLSEQ_DTYPE_F32, 0, NULL);
    const clseq_tensor row = clseq_tensor_view(NULL, 0, CLSEQ_DTYPE_F32, 1, DIMS(7));
    const clseq_tensor column = clseq_tensor_view(NULL, 0, CLSEQ_DTYPE_F32, 3, DIMS(1, 5, 1));
    const clseq_tensor planes = clseq_tensor_view(NULL, 0, CLSEQ_DTYPE_F32, 4, DIMS(3, 1, 1, 1));
    const clseq_tensor wide_row = clseq__stretched(&row, 4, x.dims),
                       wide_column = clseq__stretched(&column, 4, x.dims);
    const clseq_tensor wide_planes = clseq__stretched(&planes, 4, x.dims);
    const clseq_tensor everywhere = clseq__stretched(&scalar, 4, x.dims);
    const clseq_tensor part = clseq_tensor_slice(&x, 3, 1, 6), turned = clseq_tensor_transpose(&x, 0, 3);
    const clseq_tensor target = clseq_tensor_view(NULL, 0, CLSEQ_DTYPE_F32, 4, DIMS(7, 1, 5, 3));
    cr_assert_str_eq(WALK_TEXT(&x), "105:1");
    cr_assert_str_eq(WALK_TEXT(&x, &x), "105:1,1");
    cr_assert_str_eq(WALK_TEXT(&one), "1:1");
    cr_assert_str_eq(WALK_TEXT(&scalar, &scalar), "1:1,1");
    cr_assert_str_eq(WALK_TEXT(&everywhere, &x), "105:0,1");
    cr_assert_str_eq(WALK_TEXT(&wide_row, &x), "7:1,1 15:0,7");
    cr_assert_str_eq(WALK_TEXT(&wide_column, &x), "7:0,1 5:1,7 3:0,35");
    cr_assert_str_eq(WALK_TEXT(&wide_planes, &x), "35:0,1 3:1,35");
    cr_assert_str_eq(WALK_TEXT(&part), "6:1 15:7");
    /* By the strides of what is written: two views in the same order are one run. */
    cr_assert_str_eq(WALK_TEXT(&turned, &turned), "105:1,1");
    cr_assert_str_eq(WALK_TEXT(&turned, &target), "3:35,1 5:7,3 7:1,15");
    cr_assert_str_eq(WALK_TEXT(&target, &turned), "7:15,1 5:3,7 3:1,35");
}

Test(core_walk, knows_what_is_packed)
{
    const clseq_tensor x = clseq_tensor_view(NULL, 0, CLSEQ_DTYPE_F32, 2, DIMS(3, 4));
    const clseq_tensor turned = clseq_tensor_transpose(&x, 0, 1), part = clseq_tensor_slice(&x, 1, 0, 3);
    const clseq_tensor line = clseq_tensor_slice(&x, 1, 2, 1), square = clseq_tensor_slice(&x, 0, 0, 1);
    const struct {
        const clseq_tensor *operands[2];
        bool is_packed;
    } cases[] = {{{&x, &x}, true},        {{&turned, &turned}, true}, {{&part, &part}, false},
                 {{&line, &line}, false}, {{&square, &square}, true}, {{&x, &x}, true}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        walk_record walk;
        clseq__walk_make(2, cases[i].operands, &walk);
        cr_assert_eq(clseq__walk_is_packed(&walk, 2), cases[i].is_packed, "case %zu", i);
    }
}

Test(core_walk, stretches_as_aligned_at_the_last_dim)
{
    static const struct {
        int ndim;
        int64_t dims[3];
        bool stretches; /* to [4,3,5] */
    } cases[] = {{0, {0}, true},       {1, {1}, true},       {1, {5}, true},       {1, {3}, false},
                 {2, {3, 5}, true},    {2, {3, 1}, true},    {2, {1, 5}, true},    {2, {4, 5}, false},
                 {3, {4, 3, 5}, true}, {3, {1, 1, 1}, true}, {3, {4, 1, 5}, true}, {3, {4, 3, 4}, false},
                 {3, {2, 3, 5}, false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const clseq_tensor x = clseq_tensor_view(NULL, 2, CLSEQ_DTYPE_F32, cases[i].ndim, cases[i].dims);
        cr_assert_eq(clseq__stretches(&x, 3, DIMS(4, 3, 5)), cases[i].stretches, "case %zu", i);
        if (x.ndim > 0)
            cr_assert(!clseq__stretches(&x, x.ndim - 1, DIMS(4, 3, 5)));
    }
}

/* A view of these dims with its dimensions in any order in memory, some with gaps, some of stride 0. */
static clseq_tensor draw_view(test_random *random, int ndim, const int64_t *dims, bool is_written)
{
    clseq_tensor x = clseq_tensor_view(NULL, test_random_int(random, 0, 9), CLSEQ_DTYPE_F32, ndim, dims);
    int order[CLSEQ_MAX_DIMS];
    int64_t stride = test_random_int(random, 0, 3) ? 1 : 2;
    for (int i = 0; i < ndim; i++)
        order[i] = ndim - 1 - i;
    for (int i = test_random_int(random, 0, 3) ? 0 : ndim; i > 1; i--) {
        const int j = test_random_int(random, 0, i - 1), other = order[j];
        order[j] = order[i - 1];
        order[i - 1] = other;
    }
    for (int i = 0; i < ndim; i++) {
        x.strides[order[i]] = !is_written && test_random_int(random, 0, 4) == 0 ? 0 : stride;
        stride *= dims[order[i]] + (test_random_int(random, 0, 4) == 0);
    }
    return x;
}

typedef struct places {
    int64_t at[WALK_OPERANDS];
} places;

static int by_places(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(places));
}

/* The places of all elements, as the tensors and as the walk say. */
static void places_of_tensors(int count, const clseq_tensor *const *x, places *out)
{
    int64_t i[CLSEQ_MAX_DIMS] = {0};
    for (int64_t n = clseq_tensor_elements(x[0]); n-- > 0; out++) {
        for (int k = 0; k < count; k++) {
            out->at[k] = x[k]->offset;
            for (int d = 0; d < x[k]->ndim; d++)
                out->at[k] += i[d] * x[k]->strides[d];
        }
        for (int d = x[0]->ndim - 1; d >= 0 && ++i[d] == x[0]->dims[d]; d--)
            i[d] = 0;
    }
}

static void places_of_walk(int count, const walk_record *walk, places *out)
{
    for (int64_t n = 0; n < walk->n; n++, out++)
        for (int k = 0; k < count; k++) {
            int64_t rest = n;
            out->at[k] = walk->operand[k].offset;
            for (int d = 0; d < walk->dims; rest /= walk->dim[d++])
                out->at[k] += rest % walk->dim[d] * walk->operand[k].stride[d];
        }
}

Test(core_walk, visits_every_element_once)
{
    test_random random = test_random_seed(3);
    for (int round = 0; round < 3000; round++) {
        const int ndim = test_random_int(&random, 0, CLSEQ_MAX_DIMS);
        const int count = test_random_int(&random, 1, WALK_OPERANDS);
        int64_t dims[CLSEQ_MAX_DIMS];
        clseq_tensor x[WALK_OPERANDS];
        const clseq_tensor *operands[WALK_OPERANDS];
        walk_record walk;
        for (int i = 0; i < ndim; i++)
            dims[i] = test_random_int(&random, 1, 4);
        for (int k = 0; k < count; k++) {
            x[k] = draw_view(&random, ndim, dims, k == count - 1);
            operands[k] = &x[k];
        }
        clseq__walk_make(count, operands, &walk);
        const int64_t n = clseq_tensor_elements(&x[0]);
        cr_assert_eq(walk.n, n);
        places *want = calloc((size_t)n, sizeof *want), *got = calloc((size_t)n, sizeof *got);
        places_of_tensors(count, operands, want);
        places_of_walk(count, &walk, got);
        qsort(want, (size_t)n, sizeof *want, by_places);
        qsort(got, (size_t)n, sizeof *got, by_places);
        cr_assert_eq(memcmp(want, got, (size_t)n * sizeof *want), 0, "round %d", round);
        free(want);
        free(got);
    }
}
