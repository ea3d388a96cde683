/* What somebody else's first program would do: numbers to the default device and back, and the device's name. */
#include <clseq/clseq.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
    const float sent[4] = {1, 2, 3, 4};
    float received[4] = {0};
    clseq_context *ctx = NULL;
    clseq_tensor x = {0};
    clseq_status status = clseq_context_create(NULL, &ctx);
    if (status == CLSEQ_OK)
        status = clseq_tensor_create(ctx, CLSEQ_F32, 1, (int64_t[]){4}, &x);
    if (status == CLSEQ_OK)
        status = clseq_tensor_write(ctx, &x, sent);
    if (status == CLSEQ_OK)
        status = clseq_tensor_read(ctx, &x, received);
    if (status == CLSEQ_OK) {
        const clseq_device_info *device = clseq_context_device(ctx);
        printf("%s on %s, %s\n", device->name, device->platform_name, device->platform_version);
    } else {
        fprintf(stderr, "%s\n", clseq_last_error());
    }
    clseq_tensor_destroy(ctx, &x);
    clseq_context_destroy(ctx);
    return status != CLSEQ_OK || memcmp(sent, received, sizeof sent) != 0;
}
