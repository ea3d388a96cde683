/* What somebody else's first program would do: one product on the default device, checked, and the device's name. */
#include <clseq/clseq.h>
#include <stdio.h>
#include <string.h>

static clseq_status multiply(clseq_context *ctx, const float *a, const float *b, float *c)
{
    const int64_t dims[2] = {2, 2};
    clseq_tensor x = {0}, y = {0}, z = {0};
    clseq_status status = clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 2, dims, &x);
    if (status == CLSEQ_OK)
        status = clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 2, dims, &y);
    if (status == CLSEQ_OK)
        status = clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 2, dims, &z);
    if (status == CLSEQ_OK)
        status = clseq_tensor_write(ctx, &x, a);
    if (status == CLSEQ_OK)
        status = clseq_tensor_write(ctx, &y, b);
    if (status == CLSEQ_OK)
        status = clseq_gemm(ctx, NULL, 1.0f, &x, &y, 0.0f, &z);
    if (status == CLSEQ_OK)
        status = clseq_tensor_read(ctx, &z, c);
    clseq_tensor_destroy(ctx, &x);
    clseq_tensor_destroy(ctx, &y);
    clseq_tensor_destroy(ctx, &z);
    return status;
}

int main(void)
{
    const float a[4] = {1, 2, 3, 4}, b[4] = {5, 6, 7, 8}, expected[4] = {19, 22, 43, 50};
    float c[4] = {0};
    clseq_context *ctx = NULL;
    if (clseq_context_create(NULL, &ctx) != CLSEQ_OK || multiply(ctx, a, b, c) != CLSEQ_OK) {
        fprintf(stderr, "%s\n", clseq_last_error());
        clseq_context_destroy(ctx);
        return 1;
    }
    const clseq_device_info *device = clseq_context_device(ctx);
    printf("%s on %s, %s\n", device->name, device->platform_name, device->platform_version);
    clseq_context_destroy(ctx);
    if (memcmp(c, expected, sizeof c) != 0) {
        fprintf(stderr, "the product is %g %g %g %g, expected 19 22 43 50\n", c[0], c[1], c[2], c[3]);
        return 1;
    }
    return 0;
}
