/*
 * Batches of products through CLBlast, at the places where its version 1.5.3 goes wrong: SgemmStridedBatched reads a
 * matrix without gaps, whose sides its tiles divide, from the start of its buffer and with a stride of its own, on its
 * indirect path.
 */
#include <criterion/criterion.h>

#include "support/device.h"
#include "support/gemm_case.h"

/* The sides: divided by all tiles of CLBlast, and not. */
static const int64_t sides[] = {128, 24};

typedef struct placement {
    int64_t offset, pad;
    gemm_spread spread;
} placement;

static const placement placements[] = {{0, 0, GEMM_DENSE}, {64, 0, GEMM_DENSE}, {0, 0, GEMM_SAME},
                                       {0, 0, GEMM_GAPS},  {3, 5, GEMM_GAPS},   {8, 0, GEMM_SCATTERED}};
#define PLACEMENTS (sizeof placements / sizeof placements[0])

static gemm_operand_case operand_at(const placement *p, bool transpose)
{
    return (gemm_operand_case){
        .offset = p->offset, .pad = p->pad, .spread = p->spread, .transpose = transpose};
}

/* One of the three matrices is placed in every way, the others lie densely from the start. */
static void check_batches(const char *implementation, int64_t side)
{
    clseq_context *ctx = gemm_case_context(implementation, 0);
    test_random random = test_random_seed(5);
    for (size_t i = 0; ctx && i < 3 * PLACEMENTS * 4; i++) {
        const placement *p = &placements[i / 4 % PLACEMENTS];
        const size_t placed = i / 4 / PLACEMENTS;
        if (test_small() && i % 4 != placed)
            continue;
        gemm_case t = {.m = side, .n = side, .k = side, .batch = 3, .alpha = 1, .beta = i % 3 ? 0.5f : 0};
        t.a = operand_at(&placements[0], i & 1);
        t.b = operand_at(&placements[0], i & 2);
        if (placed == 0)
            t.a = operand_at(p, i & 1);
        else if (placed == 1)
            t.b = operand_at(p, i & 2);
        else
            t.c = operand_at(p, false);
        gemm_case_check(ctx, &t, &random);
    }
    clseq_context_destroy(ctx);
}

Test(gemm_strided, clblast_indirect_whole_tiles)
{
    if (!test_small())
        check_batches("clblast indirect", sides[0]);
}

Test(gemm_strided, clblast_indirect_parts_of_tiles)
{
    check_batches("clblast indirect", test_small() ? 5 : sides[1]);
}

Test(gemm_strided, clblast_direct)
{
    check_batches("clblast", test_small() ? 5 : sides[1]);
}

Test(gemm_strided, native)
{
    for (int i = 0; i < 2; i++)
        check_batches("native", test_small() ? 5 : sides[i]);
}

/* Interleaved matrices: rows of different products take turns, as the heads of an attention layer do. */
Test(gemm_strided, interleaved)
{
    static const char *const names[] = {"native", "clblast", "clblast indirect"};
    enum { M = 3, N = 4, K = 2, BATCH = 3 };
    float a[M * BATCH * K], b[BATCH * K * N], c[M * BATCH * N];
    for (int i = 0; i < M * BATCH * K; i++)
        a[i] = (float)(i % 5 - 2);
    for (int i = 0; i < BATCH * K * N; i++)
        b[i] = (float)(i % 7 - 3);
    for (int implementation = 0; implementation < 3; implementation++) {
        clseq_context *ctx = gemm_case_context(names[implementation], 0);
        if (!ctx)
            continue;
        clseq_tensor x = {0}, y = {0}, z = {0};
        cr_assert_eq(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 3, (int64_t[]){M, BATCH, K}, &x), CLSEQ_OK);
        cr_assert_eq(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 3, (int64_t[]){BATCH, K, N}, &y), CLSEQ_OK);
        cr_assert_eq(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 3, (int64_t[]){M, BATCH, N}, &z), CLSEQ_OK);
        cr_assert_eq(clseq_tensor_write(ctx, &x, a), CLSEQ_OK);
        cr_assert_eq(clseq_tensor_write(ctx, &y, b), CLSEQ_OK);
        const clseq_tensor left = clseq_tensor_transpose(&x, 0, 1), out = clseq_tensor_transpose(&z, 0, 1);
        cr_assert_eq(clseq_gemm(ctx, NULL, 1, &left, &y, 0, &out), CLSEQ_OK, "%s", clseq_last_error());
        cr_assert_eq(clseq_tensor_read(ctx, &z, c), CLSEQ_OK);
        for (int i = 0; i < M * BATCH * N; i++) {
            const int row = i / N / BATCH, product = i / N % BATCH, column = i % N;
            float want = 0;
            for (int k = 0; k < K; k++)
                want += a[(row * BATCH + product) * K + k] * b[(product * K + k) * N + column];
            cr_assert_eq(c[i], want, "%s: element %d is %g, expected %g", names[implementation], i, c[i],
                         want);
        }
        clseq_tensor_destroy(ctx, &x);
        clseq_tensor_destroy(ctx, &y);
        clseq_tensor_destroy(ctx, &z);
        clseq_context_destroy(ctx);
    }
}
