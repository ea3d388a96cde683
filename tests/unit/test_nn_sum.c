/* clseq_nn_sum against the reference. */
#include "reference/nn.h"
#include "support/bounds.h"
#include "support/device.h"
#include "support/operand.h"

#include <clseq/nn.h>
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

Test(nn_sum, reference)
{
    static const int64_t sizes[] = {1, 3, 17, 100, 1023, 100003};
    static const float scales[] = {1, -0.375f, 0};
    clseq_context *ctx;
    for (int shape = 0; (ctx = test_context_shape(shape)) != NULL; shape++) {
        for (int s = 0; s < (test_small() ? 4 : 6); s++)
            for (int k = 0; k < 3; k++) {
                test_random random = test_random_seed((uint64_t)s);
                operand x = operand_random(ctx, &random, 1, &sizes[s], -2, 3);
                operand out = operand_output(ctx, 1, (int64_t[]){1});
                double magnitude = 0;
                for (size_t i = 0; i < x.n; i++)
                    magnitude += fabs(x.values[i]);
                const double want = scales[k] * reference_sum(x.values, x.n);
                const double bound = test_sum_bound((double)x.n, scales[k] * magnitude);
                float *first = NULL;
                for (int run = 0; run < 2; run++) {
                    operand_reset(&out);
                    MUST(clseq_nn_sum(ctx, &x.g.tensor, scales[k], &out.g.tensor));
                    operand_check("sum", &out, &want, &bound);
                    if (run == 0)
                        first = guarded_read(&out.g);
                }
                operand_check_bits("sum again", &out, first);
                free(first);
                operand_destroy(&x);
                operand_destroy(&out);
            }
        clseq_context_destroy(ctx);
    }
}

Test(nn_sum, bad_arguments)
{
    clseq_context *ctx = test_context_shape(0);
    clseq_tensor x = {0}, out = {0}, ints = {0};
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 2, (int64_t[]){4, 6}, &x));
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 1, (int64_t[]){1}, &out));
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_I32, 1, (int64_t[]){1}, &ints));
    const clseq_tensor inside = clseq_tensor_view(x.buffer, 5, CLSEQ_DTYPE_F32, 1, out.dims);
    cr_expect_eq(clseq_nn_sum(NULL, &x, 1, &out), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_nn_sum(ctx, NULL, 1, &out), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_nn_sum(ctx, &x, 1, NULL), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_nn_sum(ctx, &x, 1, &x), CLSEQ_INVALID_SHAPE);
    cr_expect_eq(clseq_nn_sum(ctx, &ints, 1, &out), CLSEQ_INVALID_DTYPE);
    cr_expect_eq(clseq_nn_sum(ctx, &x, 1, &inside), CLSEQ_INVALID_ARGUMENT);
    clseq_tensor_destroy(ctx, &x);
    clseq_tensor_destroy(ctx, &out);
    clseq_tensor_destroy(ctx, &ints);
    clseq_context_destroy(ctx);
}
