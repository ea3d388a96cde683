/*
 * Accuracy of cl/core/exp.clh over a dense grid, for every vector width and for GPUs; and that
 * cl/core/elementwise.clh touches no more than n elements.
 */
#include "core/source.h"
#include "support/bounds.h"
#include "support/device.h"
#include "support/guarded.h"
#include "support/numeric.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char kernels[] =
    "kernel void exps(long n, global const float *x, long x_offset, global float *y, long y_offset)\n"
    "{\n"
    "    FOR_EACH_VECTOR(i, n)\n"
    "    {\n"
    "        store(clseq_exp(load(x + x_offset, i, n)), y + y_offset, i, n);\n"
    "    }\n"
    "}\n";

/* width 1 stands for the kernels of GPUs. */
static cl_kernel build(const clseq_context *ctx, int width, cl_program *program)
{
    cl_int code = 0;
    cl_device_id device = clseq_context_device(ctx)->device;
    clseq__text elementwise = {0}, exponential = {0};
    char options[64];
    MUST(clseq__source_resolve(NULL, "core/elementwise.clh", "", &elementwise));
    MUST(clseq__source_resolve(NULL, "core/exp.clh", "", &exponential));
    snprintf(options, sizeof options, "-cl-std=CL1.2 -DVW=%d -DCPU=%d", width, width > 1);
    const char *texts[] = {elementwise.data, exponential.data, kernels};
    *program = clCreateProgramWithSource(clseq_context_cl_context(ctx), 3, texts, NULL, &code);
    cr_assert_eq(code, CL_SUCCESS);
    cr_assert_eq(clBuildProgram(*program, 1, &device, options, NULL, NULL), CL_SUCCESS);
    cl_kernel kernel = clCreateKernel(*program, "exps", &code);
    cr_assert_eq(code, CL_SUCCESS);
    free(elementwise.data);
    free(exponential.data);
    return kernel;
}

/* y = exp(x) for n numbers, with canaries around both. */
static float *evaluate(clseq_context *ctx, int width, const float *x, int64_t n)
{
    cl_program program = NULL;
    cl_kernel kernel = build(ctx, width, &program);
    guarded in = guarded_create(ctx, CLSEQ_DTYPE_F32, 1, &n, GUARDED_DENSE);
    guarded out = guarded_create(ctx, CLSEQ_DTYPE_F32, 1, &n, GUARDED_DENSE);
    const cl_long count = n, in_offset = in.tensor.offset, out_offset = out.tensor.offset;
    const size_t local = width > 1 ? 1 : 64, global = 3 * local;
    guarded_write(&in, x);
    guarded_poison(&out);
    clSetKernelArg(kernel, 0, sizeof count, &count);
    clSetKernelArg(kernel, 1, sizeof(cl_mem), &in.tensor.buffer);
    clSetKernelArg(kernel, 2, sizeof in_offset, &in_offset);
    clSetKernelArg(kernel, 3, sizeof(cl_mem), &out.tensor.buffer);
    clSetKernelArg(kernel, 4, sizeof out_offset, &out_offset);
    cr_assert_eq(
        clEnqueueNDRangeKernel(clseq_context_queue(ctx), kernel, 1, NULL, &global, &local, 0, NULL, NULL),
        CL_SUCCESS);
    float *y = guarded_read(&out);
    cr_assert(guarded_intact("y", &out), "%s", guarded_message());
    guarded_destroy(&in);
    guarded_destroy(&out);
    clReleaseKernel(kernel);
    clReleaseProgram(program);
    return y;
}

static const int widths[] = {1, 4, 8, 16};

/* The header promises 8.3e-8 of the value, and 0 below -87.33, where the value is 1.2e-38. */
Test(nn_exp, is_accurate)
{
    clseq_context *ctx = test_context();
    const int64_t n = test_small() ? 5003 : 1000003;
    float *x = test_floats((size_t)n);
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)(-90 + 178 * (double)i / (double)(n - 1));
    for (int w = 0; w < 4; w++) {
        double worst = 0;
        float *y = evaluate(ctx, widths[w], x, n);
        for (int64_t i = 0; i < n; i++) {
            const double want = exp(x[i]), error = fabs(y[i] - want);
            cr_assert(error <= (x[i] < -87.33f ? 1.3e-38 : 8.3e-8 * want),
                      "width %d: exp(%.9g) is %.9g, not %.9g", widths[w], (double)x[i], (double)y[i], want);
            if (x[i] >= -87.33f)
                worst = fmax(worst, error / want);
        }
        cr_assert(worst > 4e-8, "the largest error is %g: less than rounding allows, is this the function?",
                  worst);
        free(y);
    }
    free(x);
    clseq_context_destroy(ctx);
}

Test(nn_exp, special_values)
{
    static const float x[] = {0, -0.0f, -INFINITY, -1e30f, NAN, 1e-30f, -1e-45f};
    static const double want[] = {1, 1, 0, 0, NAN, 1, 1};
    clseq_context *ctx = test_context();
    for (int w = 0; w < 4; w++) {
        float *y = evaluate(ctx, widths[w], x, 7);
        for (int i = 0; i < 7; i++)
            cr_assert(isnan(want[i]) ? isnan(y[i]) : y[i] == want[i], "width %d: exp(%g) is %g", widths[w],
                      (double)x[i], (double)y[i]);
        free(y);
    }
    clseq_context_destroy(ctx);
}

Test(nn_exp, every_length)
{
    clseq_context *ctx = test_context();
    float x[70];
    for (int i = 0; i < 70; i++)
        x[i] = -0.1f * (float)i;
    for (int w = 0; w < 4; w++)
        for (int64_t n = 1; n < 70; n += n < 34 ? 1 : 7) {
            float *y = evaluate(ctx, widths[w], x, n);
            for (int i = 0; i < n; i++)
                cr_assert(fabs(y[i] - exp(x[i])) <= 8.3e-8, "width %d: exp(%g) is %g", widths[w],
                          (double)x[i], (double)y[i]);
            free(y);
        }
    clseq_context_destroy(ctx);
}
