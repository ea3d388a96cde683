/* Whether views share elements, against marks in an array. */
#include "core/overlap.h"
#include "support/random.h"

#include <criterion/criterion.h>
#include <string.h>

enum { SIZE = 4096 };

/* Elements of x as marks; false when one is marked twice. */
static bool mark(const clseq__runs *x, unsigned char marks[SIZE])
{
    int64_t i[CLSEQ_MAX_DIMS] = {0}, begin = x->offset;
    bool once = true;
    for (int d = x->dims; d >= 0;) {
        for (int64_t at = begin; at < begin + x->length; at++) {
            cr_assert(at >= 0 && at < SIZE && at < clseq__runs_end(x));
            once &= marks[at] == 0;
            marks[at] = 1;
        }
        for (d = x->dims - 1; d >= 0 && ++i[d] == x->count[d]; d--) {
            begin -= (x->count[d] - 1) * x->stride[d];
            i[d] = 0;
        }
        begin += d >= 0 ? x->stride[d] : 0;
    }
    return once;
}

/* The more indices, the smaller their counts: marks take their time. */
static clseq__runs draw(test_random *random)
{
    static const int64_t strides[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 16, 20, 30, 40, 60};
    static const int most[CLSEQ_MAX_DIMS + 1] = {1, 9, 6, 5, 4, 3, 2};
    clseq__runs x = {.buffer = (cl_mem)&strides};
    x.offset = test_random_int(random, 0, 60);
    x.dims = test_random_int(random, 0, CLSEQ_MAX_DIMS);
    for (int i = 0; i < x.dims; i++) {
        x.count[i] = test_random_int(random, 1, most[x.dims]);
        x.stride[i] = strides[test_random_int(random, 0, 16)];
    }
    x.length = test_random_int(random, 1, x.dims > 2 ? 3 : 9);
    return x;
}

Test(core_overlap, agrees_with_marks)
{
    test_random random = test_random_seed(1);
    int shared = 0, apart = 0;
    for (int round = 0; round < 200000; round++) {
        static unsigned char of_a[SIZE], of_b[SIZE];
        clseq__runs a = draw(&random), b = draw(&random);
        if (round % 3 == 0 && a.dims <= b.dims)
            memcpy(b.stride, a.stride, (size_t)a.dims * sizeof b.stride[0]);
        memset(of_a, 0, sizeof of_a);
        memset(of_b, 0, sizeof of_b);
        const bool once = mark(&a, of_a);
        mark(&b, of_b);
        bool want = false;
        for (int i = 0; i < SIZE; i++)
            want |= of_a[i] && of_b[i];
        cr_assert_eq(clseq__runs_overlap(&a, &b), want, "round %d", round);
        cr_assert_eq(clseq__runs_overlap(&b, &a), want, "round %d", round);
        cr_assert_eq(clseq__runs_collide(&a), !once, "round %d", round);
        *(want ? &shared : &apart) += 1;
    }
    cr_assert(shared > 10000 && apart > 10000, "%d share, %d do not", shared, apart);
}

Test(core_overlap, other_buffers_are_apart)
{
    int one = 0, two = 0;
    const clseq__runs a = {.buffer = (cl_mem)&one, .length = 5}, b = {.buffer = (cl_mem)&two, .length = 5};
    cr_assert(clseq__runs_overlap(&a, &a) && !clseq__runs_overlap(&a, &b));
}

/* A tensor's elements: packed, in rows, transposed, without rows. */
Test(core_overlap, takes_tensors)
{
    const int64_t dims[] = {3, 4, 5};
    const clseq_tensor whole = clseq_tensor_view(NULL, 7, CLSEQ_DTYPE_F32, 3, dims);
    const clseq_tensor part = clseq_tensor_slice(&whole, 2, 1, 3);
    const clseq_tensor transposed = clseq_tensor_transpose(&part, 0, 1);
    const clseq_tensor column = clseq_tensor_slice(&whole, 2, 4, 1);
    clseq_tensor flat = column;
    flat.ndim = 2;
    const clseq_tensor *const tensors[] = {&whole, &part, &transposed, &column, &flat};
    const int bytes[] = {240, 144, 144, 48, 48};
    for (int i = 0; i < 5; i++) {
        static unsigned char marks[SIZE];
        const clseq__runs runs = clseq__runs_of(tensors[i]);
        int count = 0;
        memset(marks, 0, sizeof marks);
        cr_assert(mark(&runs, marks), "tensor %d", i);
        for (int at = 0; at < SIZE; at++)
            count += marks[at];
        cr_assert_eq(count, bytes[i], "tensor %d has %d bytes", i, count);
    }
    const clseq__runs a = clseq__runs_of(&part), b = clseq__runs_of(&column), c = clseq__runs_of(&transposed);
    cr_assert(!clseq__runs_overlap(&a, &b) && !clseq__runs_overlap(&c, &b) && clseq__runs_overlap(&a, &c));
}

/* Parts of large views that take turns in one array, of as many dimensions as there are: found at once, not by trying. */
Test(core_overlap, knows_large_views_apart)
{
    const int64_t dims[] = {40, 30, 20, 30, 50, 64};
    const clseq_tensor whole = clseq_tensor_view(NULL, 0, CLSEQ_DTYPE_F32, 6, dims);
    for (int dim = 0; dim < 6; dim++) {
        const clseq_tensor low = clseq_tensor_slice(&whole, dim, 0, dims[dim] / 2);
        const clseq_tensor high = clseq_tensor_slice(&whole, dim, dims[dim] / 2, dims[dim] / 2);
        const clseq_tensor last = clseq_tensor_slice(&whole, dim, dims[dim] / 2 - 1, 1);
        const clseq_tensor turned = clseq_tensor_transpose(&last, (dim + 1) % 6, (dim + 2) % 6);
        const clseq__runs a = clseq__runs_of(&low), b = clseq__runs_of(&high), c = clseq__runs_of(&turned);
        cr_assert(!clseq__runs_overlap(&a, &b) && !clseq__runs_overlap(&b, &c), "dimension %d", dim);
        cr_assert(clseq__runs_overlap(&a, &c), "dimension %d", dim);
        cr_assert(!clseq__runs_collide(&a) && !clseq__runs_collide(&c), "dimension %d", dim);
    }
}

/* Bytes beside elements of four bytes: places are the same whatever the type. */
Test(core_overlap, compares_tensors_of_any_types)
{
    const clseq_tensor floats = clseq_tensor_view(NULL, 16, CLSEQ_DTYPE_F32, 2, (int64_t[]){2, 8});
    const clseq__runs a = clseq__runs_of(&floats);
    for (int64_t at = 0; at < 160; at++) {
        const clseq_tensor bytes = clseq_tensor_view(NULL, at, CLSEQ_DTYPE_U8, 1, (int64_t[]){3});
        const clseq__runs b = clseq__runs_of(&bytes);
        cr_assert_eq(clseq__runs_overlap(&a, &b), at > 61 && at < 128, "byte %d", (int)at);
    }
}
