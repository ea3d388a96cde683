#include <criterion/criterion.h>

#include "support/device.h"
#include <clseq/tensor.h>

Test(core_tensor, strided_round_trip)
{
    clseq_context *ctx = test_context();
    clseq_tensor x = {0};
    int32_t in[24], out[24];
    for (int i = 0; i < 24; i++)
        in[i] = i;
    cr_assert_eq(clseq_tensor_create(ctx, CLSEQ_I32, 3, (int64_t[]){2, 3, 4}, &x), CLSEQ_OK, "%s",
                 clseq_last_error());
    cr_assert_eq(clseq_tensor_write(ctx, &x, in), CLSEQ_OK, "%s", clseq_last_error());
    clseq_tensor t = clseq_tensor_transpose(&x, 0, 2);
    cr_assert_eq(clseq_tensor_read(ctx, &t, out), CLSEQ_OK, "%s", clseq_last_error());
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 3; j++)
            for (int k = 0; k < 2; k++)
                cr_assert_eq(out[(i * 3 + j) * 2 + k], in[(k * 3 + j) * 4 + i]);
    clseq_tensor_destroy(ctx, &x);
    clseq_context_destroy(ctx);
}
