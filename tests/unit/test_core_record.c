/* Records of arguments: the same on host and device, and passed to kernels whole. */
#include "core/launch.h"
#include "support/device.h"
#include "support/folder.h"
#include "support/guarded.h"
#include "support/record.h"
#include "support/record_example.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define EXAMPLE "../tests/support/record_example.h"

Test(core_record, lies_on_the_device_as_on_the_host)
{
    clseq_context *ctx = test_context();
    cr_assert_gt(sizeof(example_record), 400);
    RECORD_CHECK(ctx, EXAMPLE, example_view, EXAMPLE_VIEW);
    RECORD_CHECK(ctx, EXAMPLE, example_record, EXAMPLE_RECORD);
    clseq_context_destroy(ctx);
}

static const char *difference(clseq_context *ctx, const char *list, size_t size, const record_member *members,
                              size_t count)
{
    const char *sentence =
        record_difference(ctx, &(record_layout){EXAMPLE, "example_view", list, size, members, count});
    return sentence != NULL ? sentence : "";
}

/* What the check is for: sizes, places and holes. */
Test(core_record, differences_are_named)
{
    clseq_context *ctx = test_context();
    record_member m[] = {{"at", 0, 8}, {"stride", 8, 8}, {"rows", 16, 4}, {"scale", 20, 4}};
    cr_assert_str_eq(difference(ctx, "EXAMPLE_VIEW", 24, m, 4), "");
    m[1].at = 4;
    cr_assert_str_eq(difference(ctx, "EXAMPLE_VIEW", 24, m, 4),
                     "example_view.stride is 8 bytes at 4 on the host, 8 at 8 on the device");
    m[1] = (record_member){"stride", 8, 4};
    m[2].size = 8; /* as if the two had each other's size */
    cr_assert_str_eq(difference(ctx, "EXAMPLE_VIEW", 24, m, 4),
                     "example_view.stride is 4 bytes at 8 on the host, 8 at 8 on the device");
    const record_member holes[] = {{"one", 0, 4}, {"number", 8, 8}, {"two", 16, 4}};
    cr_assert_str_eq(record_difference(ctx, &(record_layout){EXAMPLE, "example_holes", "EXAMPLE_HOLES",
                                                             sizeof(example_holes), holes, 3}),
                     "example_holes is 24 bytes and its members are 16: expected no holes");
    clseq_context_destroy(ctx);
}

/* The host's bytes are the kernel's as they were at the launch. */
Test(core_record, is_copied_by_the_launch)
{
    static const char text[] = "typedef struct pair { int a, b; } pair;\n"
                               "kernel void k(pair r, global int *y) { *y += r.a * r.b; }\n";
    char folder[FOLDER_PATH];
    folder_create(folder);
    folder_write_text(folder, "main.cl", text);
    setenv("CLSEQ_KERNEL_DIR", folder, 1);
    setenv("CLSEQ_CACHE", "off", 1);
    clseq_context *ctx = test_context();
    clseq__kernel *kernel = NULL;
    clseq_tensor y = {0};
    int32_t value = 0;
    struct {
        cl_int a, b;
    } pair = {0, 3};
    MUST(clseq__kernel_get(ctx, "main.cl", NULL, "k", &kernel));
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_I32, 1, (int64_t[]){1}, &y));
    MUST(clseq_tensor_fill(ctx, &y, 0));
    for (pair.a = 1; pair.a <= 4; pair.a++)
        MUST(clseq__launch(ctx, kernel, CLSEQ__GRID1(1, 1),
                           CLSEQ__ARGS(CLSEQ__RECORD(&pair), CLSEQ__M(y.buffer))));
    MUST(clseq_tensor_read(ctx, &y, &value));
    cr_assert_eq(value, 3 * (1 + 2 + 3 + 4));
    clseq_tensor_destroy(ctx, &y);
    clseq_context_destroy(ctx);
    folder_remove(folder);
}
