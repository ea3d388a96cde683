/* clseq_nn_dropout: the mask is the host's Philox, and what is kept is scaled. */
#include "core/random.h"
#include "reference/nn.h"
#include "support/bounds.h"
#include "support/device.h"
#include "support/numeric.h"
#include "support/operand.h"

#include <clseq/nn.h>
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void check(clseq_context *ctx, int64_t n, float p, uint64_t seed, uint64_t stream, bool in_place)
{
    test_random random = test_random_seed(seed + (uint64_t)n);
    operand x = operand_random(ctx, &random, 1, &n, -3, 3), out = operand_output(ctx, 1, &n);
    const operand *y = in_place ? &x : &out;
    double *want = test_doubles(x.n), *bound = test_doubles(x.n);
    bool *kept = calloc(x.n, sizeof *kept);
    float *first = NULL;
    cr_assert(kept != NULL);
    reference_dropout_mask(seed, stream, p, x.n, kept);
    for (size_t i = 0; i < x.n; i++)
        cr_assert_eq(kept[i], clseq__random_uniform(seed, stream, i) >= p, "the host differs at %zu", i);
    reference_dropout(x.values, kept, p, x.n, want);
    for (size_t i = 0; i < x.n; i++)
        bound[i] = kept[i] ? test_rounding_bound(4, want[i]) : 0;
    for (int run = 0; run < 2; run++) {
        operand_reset(&x);
        operand_reset(&out);
        MUST(clseq_nn_dropout(ctx, &x.g.tensor, p, seed, stream, &y->g.tensor));
        operand_check("y", y, want, bound);
        if (run == 0)
            first = guarded_read(&y->g);
    }
    operand_check_bits("y again", y, first);
    free(first);
    free(kept);
    free(want);
    free(bound);
    operand_destroy(&x);
    operand_destroy(&out);
}

Test(nn_dropout, reference)
{
    static const int64_t sizes[] = {1, 3, 4, 17, 100, 1023, 20011};
    clseq_context *ctx;
    for (int shape = 0; (ctx = test_context_shape(shape)) != NULL; shape++) {
        for (size_t s = 0; s < (test_small() ? 5 : sizeof sizes / sizeof sizes[0]); s++)
            for (int in_place = 0; in_place < 2; in_place++) {
                check(ctx, sizes[s], 0, 1, 2, in_place);
                check(ctx, sizes[s], 0.2f, 0x123456789abcdef0u, 7, in_place);
                check(ctx, sizes[s], 0.999f, 3, 0xfedcba9876543210u, in_place);
                /* p is the first element's own number: at least p, it is kept. */
                check(ctx, sizes[s], clseq__random_uniform(5, 6, 0), 5, 6, in_place);
            }
        clseq_context_destroy(ctx);
    }
}

/* The share of ones that is kept lies within five standard deviations, and streams are unrelated. */
Test(nn_dropout, keeps_its_share)
{
    clseq_context *ctx = test_context_shape(0);
    const int N = test_small() ? 2000 : 100000;
    const int64_t n = N;
    const float p = 0.3f;
    guarded x = guarded_create(ctx, CLSEQ_DTYPE_F32, 1, &n, GUARDED_DENSE);
    float *masks[2] = {NULL, NULL};
    float *ones = test_floats((size_t)N);
    int kept[2] = {0, 0}, both = 0;
    for (int i = 0; i < N; i++)
        ones[i] = 1;
    for (int s = 0; s < 2; s++) {
        guarded_write(&x, ones);
        MUST(clseq_nn_dropout(ctx, &x.tensor, p, 42, (uint64_t)s, &x.tensor));
        masks[s] = guarded_read(&x);
    }
    for (int i = 0; i < N; i++) {
        kept[0] += masks[0][i] != 0;
        kept[1] += masks[1][i] != 0;
        both += masks[0][i] != 0 && masks[1][i] != 0;
    }
    for (int s = 0; s < 2; s++)
        cr_expect(fabs(kept[s] - 0.7 * N) < 5 * sqrt(0.7 * 0.3 * N), "stream %d keeps %d of %d", s, kept[s],
                  N);
    cr_expect(fabs(both - 0.49 * N) < 5 * sqrt(0.49 * 0.51 * N), "both streams keep %d of %d", both, N);
    free(ones);
    free(masks[0]);
    free(masks[1]);
    guarded_destroy(&x);
    clseq_context_destroy(ctx);
}

Test(nn_dropout, bad_arguments)
{
    clseq_context *ctx = test_context_shape(0);
    clseq_tensor x = {0}, y = {0};
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 1, (int64_t[]){24}, &x));
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 1, (int64_t[]){23}, &y));
    static const float bad[] = {-0.1f, 1.0f, 1.5f, NAN};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_expect_eq(clseq_nn_dropout(ctx, &x, bad[i], 0, 0, &x), CLSEQ_INVALID_ARGUMENT);
    cr_expect(strstr(clseq_last_error(), "dropout: p is") != NULL, "%s", clseq_last_error());
    cr_expect_eq(clseq_nn_dropout(NULL, &x, 0.5f, 0, 0, &x), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_nn_dropout(ctx, NULL, 0.5f, 0, 0, &x), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_nn_dropout(ctx, &x, 0.5f, 0, 0, NULL), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_nn_dropout(ctx, &x, 0.5f, 0, 0, &y), CLSEQ_INVALID_SHAPE);
    clseq_tensor_destroy(ctx, &x);
    clseq_tensor_destroy(ctx, &y);
    clseq_context_destroy(ctx);
}
