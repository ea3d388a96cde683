/*
 * Accuracy of the gate functions of cl/core/gates.clh, over a dense grid and for every vector width, against
 * double precision.
 */
#include "core/source.h"
#include "support/device.h"
#include "support/guarded.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * The quotient of polynomials is exact to 6e-9 of the value, its float evaluation adds about 3e-7, and a
 * division as exact as OpenCL demands, 2.5 units in the last place, another 3e-7.
 */
#define TANH_ERROR 6e-7
/* Denormal results may be flushed to zero. */
#define TINY 1.2e-38

static const char kernels[] = "kernel void gates(global const float *x, global float *y, int n)\n"
                              "{\n"
                              "    const int i = (int)get_global_id(0);\n"
                              "    const V v = LOAD(i, x);\n"
                              "    STORE(clseq_tanh(v), i, y);\n"
                              "    STORE(clseq_sigmoid(v), i, y + n);\n"
                              "    STORE(clseq_dtanh(clseq_tanh(v)), i, y + 2 * n);\n"
                              "    STORE(clseq_dsigmoid(clseq_sigmoid(v)), i, y + 3 * n);\n"
                              "}\n";
enum { TANH, SIGMOID, DTANH, DSIGMOID, FUNCTIONS };

static cl_kernel build(const clseq_context *ctx, int width, bool fma, cl_program *program)
{
    cl_int code = 0;
    cl_device_id device = clseq_context_device(ctx)->device;
    clseq__text gates = {0};
    char head[160];
    MUST(clseq__source_resolve(NULL, "core/gates.clh", "", &gates));
    if (width == 1)
        snprintf(head, sizeof head,
                 "#define V float\n#define LOAD(i, p) (p)[i]\n#define STORE(v, i, p) (p)[i] = (v)\n");
    else
        snprintf(head, sizeof head, "#define V float%d\n#define LOAD vload%d\n#define STORE vstore%d\n",
                 width, width, width);
    const char *texts[] = {head, gates.data, kernels};
    *program = clCreateProgramWithSource(clseq_context_cl_context(ctx), 3, texts, NULL, &code);
    cr_assert_eq(code, CL_SUCCESS);
    cr_assert_eq(clBuildProgram(*program, 1, &device, fma ? "-cl-std=CL1.2 -DFMA=1" : "-cl-std=CL1.2 -DFMA=0",
                                NULL, NULL),
                 CL_SUCCESS);
    cl_kernel kernel = clCreateKernel(*program, "gates", &code);
    cr_assert_eq(code, CL_SUCCESS);
    free(gates.data);
    return kernel;
}

/* Kernels multiply and add on devices that have no instruction for both (cl/core/fma.clh). */
static bool has_fma(const clseq_context *ctx)
{
    cl_device_fp_config config = 0;
    cr_assert_eq(clGetDeviceInfo(clseq_context_device(ctx)->device, CL_DEVICE_SINGLE_FP_CONFIG, sizeof config,
                                 &config, NULL),
                 CL_SUCCESS);
    return config & CL_FP_FMA;
}

/* All functions of n values, n a multiple of 16, in a new array [FUNCTIONS][n]. */
static float *evaluate(clseq_context *ctx, int width, bool fma, const float *x, int n)
{
    cl_program program = NULL;
    cl_kernel kernel = build(ctx, width, fma, &program);
    const int64_t in = n, out = (int64_t)FUNCTIONS * n;
    const size_t items = (size_t)(n / width);
    clseq_tensor dx, dy;
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 1, &in, &dx));
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 1, &out, &dy));
    MUST(clseq_tensor_write(ctx, &dx, x));
    const cl_int count = n;
    cr_assert_eq(clSetKernelArg(kernel, 0, sizeof dx.buffer, &dx.buffer), CL_SUCCESS);
    cr_assert_eq(clSetKernelArg(kernel, 1, sizeof dy.buffer, &dy.buffer), CL_SUCCESS);
    cr_assert_eq(clSetKernelArg(kernel, 2, sizeof count, &count), CL_SUCCESS);
    cr_assert_eq(
        clEnqueueNDRangeKernel(clseq_context_queue(ctx), kernel, 1, NULL, &items, NULL, 0, NULL, NULL),
        CL_SUCCESS);
    float *y = malloc((size_t)out * sizeof *y);
    cr_assert_not_null(y);
    MUST(clseq_tensor_read(ctx, &dy, y));
    clseq_tensor_destroy(ctx, &dx);
    clseq_tensor_destroy(ctx, &dy);
    clReleaseKernel(kernel);
    clReleaseProgram(program);
    return y;
}

/* Every `step`-th float from 2^-60 to 2^10, both signs, by turns. */
static float *grid(int step, int *n)
{
    const uint32_t from = 0x21800000u, to = 0x44800000u;
    *n = (int)((to - from) / (uint32_t)step) / 16 * 16;
    float *x = malloc((size_t)*n * sizeof *x);
    cr_assert_not_null(x);
    for (int i = 0; i < *n; i++) {
        const uint32_t bits = (from + (uint32_t)i * (uint32_t)step) | (i & 1 ? 0x80000000u : 0);
        memcpy(&x[i], &bits, sizeof bits);
    }
    return x;
}

static void check_value(const char *name, float x, float got, double want, double bound)
{
    cr_assert(fabs(got - want) <= bound, "%s(%.9g) = %.9g, expected %.9g within %.3g", name, (double)x,
              (double)got, want, bound);
}

static void check_accuracy(clseq_context *ctx, int width, bool fma, const float *x, int n)
{
    float *y = evaluate(ctx, width, fma, x, n);
    for (int i = 0; i < n; i++) {
        const double t = tanh(x[i]), s = 1 / (1 + exp(-(double)x[i]));
        check_value("tanh", x[i], y[TANH * n + i], t, TANH_ERROR * fabs(t) + TINY);
        check_value("sigmoid", x[i], y[SIGMOID * n + i], s, TANH_ERROR / 2 + 1e-7);
        check_value("1-tanh^2 of ", x[i], y[DTANH * n + i], 1 - t * t, 2.1 * TANH_ERROR + 1e-7);
        check_value("s-s^2 of ", x[i], y[DSIGMOID * n + i], s - s * s, TANH_ERROR / 2 + 2e-7);
        cr_assert(fabsf(y[TANH * n + i]) <= 1 && y[SIGMOID * n + i] >= 0 && y[SIGMOID * n + i] <= 1,
                  "a gate leaves its range at %.9g", (double)x[i]);
        cr_assert(y[DTANH * n + i] >= 0 && y[DSIGMOID * n + i] >= 0,
                  "a gate's derivative is negative at %.9g", (double)x[i]);
    }
    free(y);
}

Test(core_gates, are_accurate_for_every_vector_width)
{
    static const int widths[] = {1, 4, 8, 16};
    clseq_context *ctx = test_context();
    int n = 0;
    float *x = grid(test_small() ? 400009 : 601, &n);
    for (size_t w = 0; w < sizeof widths / sizeof widths[0]; w++)
        for (int fma = 0; fma <= has_fma(ctx); fma++)
            check_accuracy(ctx, widths[w], fma, x, n);
    free(x);
    clseq_context_destroy(ctx);
}

/* A NaN must come out as NaN: a clamp that swallows it would hide a broken training run. */
Test(core_gates, keep_nan_and_signs)
{
    const float special[16] = {NAN,   -NAN,   INFINITY, -INFINITY, 0.0f, -0.0f, 1e-45f, -1e-45f,
                               3e38f, -3e38f, 7.9f,     -7.9f,     8,    -8,    NAN,    1};
    clseq_context *ctx = test_context();
    for (int width = 1; width <= 16; width *= 4) {
        float *y = evaluate(ctx, width, has_fma(ctx), special, 16);
        for (int i = 0; i < FUNCTIONS * 16; i++)
            cr_assert_eq(isnan(y[i]) != 0, isnan(special[i % 16]) != 0, "width %d: function %d of %g is %g",
                         width, i / 16, (double)special[i % 16], (double)y[i]);
        for (int i = 0; i < 16; i++)
            cr_assert(isnan(special[i]) || signbit(special[i]) == signbit(y[i]), "width %d: tanh(%g) is %g",
                      width, (double)special[i], (double)y[i]);
        cr_assert(fabs(y[2] - 1) <= TANH_ERROR && fabs(y[3] + 1) <= TANH_ERROR);
        free(y);
    }
    clseq_context_destroy(ctx);
}
