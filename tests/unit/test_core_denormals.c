/*
 * Denormal numbers: every program asks for zeros in their place. It is a request: a device may keep them, and what it
 * gives is then exact. CPU runtimes follow it, where denormal numbers would cost twenty times a normal one's time.
 */
#include "core/launch.h"
#include "support/device.h"
#include "support/folder.h"
#include "support/log.h"

#include <clseq/gemm.h>
#include <clseq/tensor.h>
#include <criterion/criterion.h>
#include <float.h>
#include <stdlib.h>
#include <string.h>

static const char kernel_text[] = "kernel void scale(global const float *x, float by, global float *y)\n"
                                  "{\n"
                                  "    y[get_global_id(0)] = x[get_global_id(0)] * by;\n"
                                  "}\n";

enum { N = 4 };

/* Normal numbers whose halves are not, with signs; and one whose half is. */
static const float numbers[N] = {FLT_MIN, -1.5f * FLT_MIN, 1.25f * FLT_MIN, 4.0f * FLT_MIN};

static bool flushes(const clseq_context *ctx)
{
    const char *platform = clseq_context_device(ctx)->platform_name;
    return strstr(platform, "Portable Computing Language") || strstr(platform, "Intel");
}

/* Halves of the numbers, each exact or, where a denormal number would be, zero. */
static void check_scale(clseq_context *ctx, const char *when)
{
    clseq__kernel *kernel = NULL;
    clseq_tensor x = {0}, y = {0};
    float got[N];
    cr_assert_eq(clseq__kernel_get(ctx, "scale.cl", NULL, "scale", &kernel), CLSEQ_OK, "%s",
                 clseq_last_error());
    cr_assert_eq(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 1, (int64_t[]){N}, &x), CLSEQ_OK);
    cr_assert_eq(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 1, (int64_t[]){N}, &y), CLSEQ_OK);
    cr_assert_eq(clseq_tensor_write(ctx, &x, numbers), CLSEQ_OK);
    cr_assert_eq(clseq__launch(ctx, kernel, CLSEQ__GRID1(N, 1),
                               CLSEQ__ARGS(CLSEQ__M(x.buffer), CLSEQ__F(0.5f), CLSEQ__M(y.buffer))),
                 CLSEQ_OK, "%s", clseq_last_error());
    cr_assert_eq(clseq_tensor_read(ctx, &y, got), CLSEQ_OK);
    for (int i = 0; i < N; i++) {
        const float want = 0.5f * numbers[i];
        const bool is_normal = want >= FLT_MIN || want <= -FLT_MIN;
        cr_assert(got[i] == want || (!is_normal && got[i] == 0), "%s: half of %g is %g", when,
                  (double)numbers[i], (double)got[i]);
        cr_assert(is_normal || !flushes(ctx) || got[i] == 0, "%s: half of %g is %g, expected 0", when,
                  (double)numbers[i], (double)got[i]);
    }
    clseq_tensor_destroy(ctx, &x);
    clseq_tensor_destroy(ctx, &y);
}

/* CLBlast's programs are built with its own options: what they do stays with them. */
static void multiply_by_clblast(clseq_context *ctx)
{
    const float tiny[2] = {FLT_MIN, 0.5f};
    float got = -1;
    clseq_tensor x = {0}, y = {0};
    cr_assert_eq(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 2, (int64_t[]){2, 1}, &x), CLSEQ_OK);
    cr_assert_eq(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 2, (int64_t[]){1, 1}, &y), CLSEQ_OK);
    cr_assert_eq(clseq_tensor_write(ctx, &x, tiny), CLSEQ_OK);
    const clseq_tensor a = clseq_tensor_slice(&x, 0, 0, 1), b = clseq_tensor_slice(&x, 0, 1, 1);
    cr_assert_eq(clseq_gemm(ctx, NULL, 1, &a, &b, 0, &y), CLSEQ_OK, "%s", clseq_last_error());
    cr_assert_eq(clseq_tensor_read(ctx, &y, &got), CLSEQ_OK);
    cr_assert(got == 0 || got == 0.5f * FLT_MIN, "%g", (double)got);
    clseq_tensor_destroy(ctx, &x);
    clseq_tensor_destroy(ctx, &y);
}

Test(core_denormals, are_zero)
{
    char folder[FOLDER_PATH];
    folder_create(folder);
    folder_write_text(folder, "scale.cl", kernel_text);
    setenv("CLSEQ_KERNEL_DIR", folder, 1);
    setenv("CLSEQ_CACHE", "off", 1);
    setenv("CLSEQ_GEMM", "clblast", 1);
    log_capture(CLSEQ_LOG_DEBUG);
    clseq_context *ctx = test_context();
    check_scale(ctx, "at first");
    cr_assert(log_contains("-cl-denorms-are-zero"), "%s", log_text());
    multiply_by_clblast(ctx);
    check_scale(ctx, "after CLBlast");
    /* The caller's own arithmetic is as it was. */
    volatile float host = FLT_MIN;
    host *= 0.5f;
    cr_assert(host > 0);
    clseq_context_destroy(ctx);
    folder_remove(folder);
}
