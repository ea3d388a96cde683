/* Matrix products: every implementation against the same table of sizes, operands and options. */
#include <criterion/criterion.h>

#include "core/context.h"
#include "support/device.h"
#include "support/gemm_case.h"
#include "support/numeric.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Around the sizes of tiles (6 rows, 1 to 4 vectors of 4, 8 or 16) and of vectors. */
static const int64_t sides[] = {1, 2, 3, 5, 7, 16, 17, 31, 64, 100, 129};
static const int64_t small_sides[] = {1, 3, 6, 17};

static gemm_operand_case draw_operand(test_random *random, bool transposable)
{
    static const int64_t pads[] = {0, 0, 1, 3, 16}, offsets[] = {0, 0, 7, 32};
    gemm_operand_case x = {.offset = offsets[test_random_int(random, 0, 3)],
                           .pad = pads[test_random_int(random, 0, 4)],
                           .spread = (gemm_spread)test_random_int(random, GEMM_DENSE, GEMM_SCATTERED)};
    if (transposable) {
        x.transpose = test_random_int(random, 0, 1);
        x.packed = test_random_int(random, 0, 3) == 0;
    }
    return x;
}

/* A case of these sizes; everything else is drawn. */
static gemm_case draw_case(int64_t m, int64_t n, int64_t k, test_random *random)
{
    static const float scalars[] = {1, 1, -0.5f, 0};
    gemm_case t = {.m = m, .n = n, .k = k, .batch = test_random_int(random, 0, 3) == 0 ? 3 : 1};
    t.alpha = scalars[test_random_int(random, 0, 3)];
    t.beta = scalars[test_random_int(random, 1, 3)];
    t.a = draw_operand(random, true);
    t.b = draw_operand(random, true);
    t.c = draw_operand(random, false);
    if (t.batch > 1)
        t.a.packed = t.b.packed = false;
    return t;
}

/* Every m, n, k of the list; of the cases every `step`-th. */
static void check_sides(const char *implementation, int width, int step)
{
    const bool small = test_small();
    const int64_t *list = small ? small_sides : sides;
    const int count = small ? 4 : 11;
    clseq_context *ctx = gemm_case_context(implementation, width);
    test_random random = test_random_seed((uint64_t)width + 100);
    for (int i = 0; ctx && i < count * count * count; i++) {
        gemm_case t = draw_case(list[i % count], list[i / count % count], list[i / count / count], &random);
        if (i % step == 0)
            gemm_case_check(ctx, &t, &random);
    }
    clseq_context_destroy(ctx);
}

Test(gemm, native_sizes_width_4)
{
    check_sides("native", 4, test_small() ? 7 : 1);
}

Test(gemm, native_sizes_width_8)
{
    check_sides("native", 8, test_small() ? 7 : 1);
}

Test(gemm, native_sizes_width_16)
{
    check_sides("native", 16, test_small() ? 7 : 1);
}

Test(gemm, clblast_sizes)
{
    check_sides("clblast", 0, test_small() ? 16 : 7);
}

Test(gemm, clblast_indirect_sizes)
{
    check_sides("clblast indirect", 0, test_small() ? 16 : 7);
}

/* Every combination of transposed, packed and beta, at sizes that no tile and no vector divides. */
static void check_operands(const char *implementation, int width, int small_step)
{
    clseq_context *ctx = gemm_case_context(implementation, width);
    test_random random = test_random_seed(7);
    const int step = test_small() ? small_step : 1;
    for (int i = 0; ctx && i < 64; i += step) {
        gemm_case t = {.m = 23, .n = 37, .k = 41, .batch = 1, .alpha = 1.5f, .beta = i & 32 ? 1.0f : 0.0f};
        t.a = (gemm_operand_case){.offset = 3, .pad = 2, .transpose = i & 1, .packed = i & 2};
        t.b = (gemm_operand_case){.offset = 5, .pad = 4, .transpose = i & 4, .packed = i & 8};
        t.c = (gemm_operand_case){.offset = 1, .pad = i & 16 ? 6 : 0};
        t.a.spread = t.b.spread = i & 16 ? GEMM_SCATTERED : GEMM_DENSE;
        gemm_case_check(ctx, &t, &random);
    }
    clseq_context_destroy(ctx);
}

Test(gemm, native_operands)
{
    for (int width = 4; width <= 16; width *= 2)
        check_operands("native", width, 13);
}

Test(gemm, clblast_operands)
{
    check_operands("clblast", 0, 21);
    check_operands("clblast indirect", 0, 21);
}

/* Larger than every block of the native kernels in one direction or all. */
Test(gemm, native_blocks)
{
    static const int64_t sizes[][3] = {{1, 1, 5000},    {3, 2, 2049},    {5, 3000, 3},     {3001, 5, 7},
                                       {13, 700, 1500}, {200, 300, 530}, {61, 1030, 1030}, {1100, 300, 70},
                                       {70, 270, 1024}, {500, 33, 1025}};
    test_random random = test_random_seed(11);
    for (int width = 4; width <= 16 && !test_small(); width *= 2) {
        clseq_context *ctx = gemm_case_context("native", width);
        for (size_t i = 0; ctx && i < 4 * sizeof sizes / sizeof sizes[0]; i++) {
            const int64_t *s = sizes[i / 4];
            gemm_case t = {
                .m = s[0], .n = s[1], .k = s[2], .batch = 1, .alpha = -0.5f, .beta = i % 3 ? 1 : 0};
            t.a.transpose = i & 1;
            t.b.transpose = i & 2;
            t.b.packed = t.a.packed = i % 5 == 0;
            gemm_case_check(ctx, &t, &random);
        }
        clseq_context_destroy(ctx);
    }
}

/* The choice: what CLSEQ_GEMM says, and otherwise what the device suits; counted. */
Test(gemm, choice)
{
    const float one[4] = {1, 2, 3, 4};
    for (int i = 0; i < 3; i++) {
        static const char *const names[] = {"", "native", "clblast"};
        clseq_context *ctx = gemm_case_context(names[i], 0);
        if (!ctx)
            continue;
        const bool native = i == 1 || (i == 0 && ctx->traits.is_cpu);
        clseq_tensor x = {0}, y = {0};
        float got[4] = {0};
        cr_assert_eq(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 2, (int64_t[]){2, 2}, &x), CLSEQ_OK);
        cr_assert_eq(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 2, (int64_t[]){2, 2}, &y), CLSEQ_OK);
        cr_assert_eq(clseq_tensor_write(ctx, &x, one), CLSEQ_OK);
        cr_assert_eq(clseq_gemm(ctx, NULL, 1, &x, &x, 0, &y), CLSEQ_OK, "%s", clseq_last_error());
        cr_assert_eq(clseq_tensor_read(ctx, &y, got), CLSEQ_OK);
        cr_assert(got[0] == 7 && got[1] == 10 && got[2] == 15 && got[3] == 22);
        clseq_context_stats stats;
        cr_assert_eq(clseq_context_get_stats(ctx, &stats), CLSEQ_OK);
        cr_assert_eq(stats.clblast_calls, native ? 0 : 1, "\"%s\": %d calls of CLBlast", names[i],
                     (int)stats.clblast_calls);
        clseq_tensor_destroy(ctx, &x);
        clseq_tensor_destroy(ctx, &y);
        clseq_context_destroy(ctx);
    }
}

/* The second product of the same sizes takes no new memory from the device. */
Test(gemm, repeats_allocate_nothing)
{
    static const char *const names[] = {"native", "clblast"};
    for (int i = 0; i < 2; i++) {
        clseq_context *ctx = gemm_case_context(names[i], 0);
        if (!ctx)
            continue;
        const int64_t n = test_small() ? 20 : 200;
        clseq_tensor x = {0}, y = {0};
        cr_assert_eq(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 2, (int64_t[]){n, n}, &x), CLSEQ_OK);
        cr_assert_eq(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 2, (int64_t[]){n, n}, &y), CLSEQ_OK);
        cr_assert_eq(clseq_tensor_fill(ctx, &x, 1), CLSEQ_OK);
        const clseq_gemm_desc desc = {.transpose_a = true, .transpose_b = true};
        clseq_context_stats before, after;
        for (int run = 0; run < 3; run++) {
            cr_assert_eq(clseq_gemm(ctx, &desc, 1, &x, &x, 0, &y), CLSEQ_OK, "%s", clseq_last_error());
            cr_assert_eq(clseq_context_get_stats(ctx, run ? &after : &before), CLSEQ_OK);
        }
        cr_assert_eq(after.allocations, before.allocations);
        cr_assert_eq(after.bytes_in_use, before.bytes_in_use, "scratch did not go back");
        clseq_tensor_destroy(ctx, &x);
        clseq_tensor_destroy(ctx, &y);
        clseq_context_destroy(ctx);
    }
}

/* Two contexts, one after the other and side by side, as CLBlast's cache is one for the process. */
Test(gemm, contexts_do_not_disturb_each_other)
{
    test_random random = test_random_seed(3);
    gemm_case t = {.m = 20, .n = 30, .k = 10, .batch = 1, .alpha = 1, .beta = 0};
    clseq_context *first = gemm_case_context("clblast", 0), *second = gemm_case_context("clblast", 0);
    gemm_case_check(first, &t, &random);
    gemm_case_check(second, &t, &random);
    clseq_context_destroy(first);
    gemm_case_check(second, &t, &random);
    clseq_context_destroy(second);
    first = gemm_case_context("clblast", 0);
    gemm_case_check(first, &t, &random);
    clseq_context_destroy(first);
}
