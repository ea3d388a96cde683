/* Philox: known vectors, host against device, and whether the numbers look random. */
#include <criterion/criterion.h>

#include "core/context.h"
#include "core/launch.h"
#include "core/random.h"
#include "support/device.h"
#include "support/folder.h"
#include <clseq/tensor.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The vectors that the authors of Philox publish for philox4x32-10. */
static const struct {
    uint64_t seed, stream, index;
    uint32_t out[4];
} vectors[] = {
    {0, 0, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
    {UINT64_MAX, UINT64_MAX, UINT64_MAX, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
    {0x299f31d0a4093822,
     0x0370734413198a2e,
     0x85a308d3243f6a88,
     {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
};

Test(core_random, known_vectors)
{
    for (size_t v = 0; v < sizeof vectors / sizeof vectors[0]; v++) {
        uint32_t out[4];
        clseq__philox(vectors[v].seed, vectors[v].stream, vectors[v].index, out);
        for (int i = 0; i < 4; i++)
            cr_assert_eq(out[i], vectors[v].out[i], "vector %zu, number %d: %08x, expected %08x", v, i,
                         (unsigned)out[i], (unsigned)vectors[v].out[i]);
    }
}

static const char kernel_text[] =
    "#include \"core/philox.clh\"\n"
    "kernel void draw(ulong seed, ulong stream, ulong first, global uint *bits, global float *one,\n"
    "                 global float *four)\n"
    "{\n"
    "    ulong i = get_global_id(0);\n"
    "    vstore4(philox(seed, stream, first + i), i, bits);\n"
    "    vstore4(random_uniform4(seed, stream, first + i), i, four);\n"
    "    for (int j = 0; j < 4; j++)\n"
    "        one[4 * i + j] = random_uniform(seed, stream, 4 * (first + i) + j);\n"
    "}\n";

/* What kernels of a folder of their own include. */
static void write_core(const char *folder)
{
    for (size_t i = 0; i < clseq__source_count; i++)
        if (strncmp(clseq__sources[i].name, "core/", 5) == 0)
            folder_write(folder, clseq__sources[i].name, clseq__sources[i].text, clseq__sources[i].size);
}

Test(core_random, the_device_draws_the_same_bits)
{
    enum { BLOCKS = 64 };
    static const struct {
        uint64_t seed, stream, first;
    } cases[] = {{0, 0, 0}, {42, 7, 1000}, {0x123456789abcdef0, 0xfedcba9876543210, 0xFFFFFFF0}};
    char folder[FOLDER_PATH];
    folder_create(folder);
    write_core(folder);
    folder_write_text(folder, "draw.cl", kernel_text);
    setenv("CLSEQ_KERNEL_DIR", folder, 1);
    clseq_context *ctx = test_context();
    clseq__kernel *kernel = NULL;
    clseq_tensor bits = {0}, one = {0}, four = {0};
    const int64_t n[] = {4 * BLOCKS};
    cr_assert_eq(clseq__kernel_get(ctx, "draw.cl", NULL, "draw", &kernel), CLSEQ_OK, "%s",
                 clseq_last_error());
    cr_assert_eq(clseq_tensor_create(ctx, CLSEQ_DTYPE_I32, 1, n, &bits), CLSEQ_OK);
    cr_assert_eq(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 1, n, &one), CLSEQ_OK);
    cr_assert_eq(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 1, n, &four), CLSEQ_OK);
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        uint32_t got[4 * BLOCKS];
        float got_one[4 * BLOCKS], got_four[4 * BLOCKS];
        cr_assert_eq(clseq__launch(ctx, kernel, CLSEQ__GRID1(BLOCKS, 1),
                                   CLSEQ__ARGS(CLSEQ__UL(cases[c].seed), CLSEQ__UL(cases[c].stream),
                                               CLSEQ__UL(cases[c].first), CLSEQ__M(bits.buffer),
                                               CLSEQ__M(one.buffer), CLSEQ__M(four.buffer))),
                     CLSEQ_OK, "%s", clseq_last_error());
        cr_assert_eq(clseq_tensor_read(ctx, &bits, got), CLSEQ_OK);
        cr_assert_eq(clseq_tensor_read(ctx, &one, got_one), CLSEQ_OK);
        cr_assert_eq(clseq_tensor_read(ctx, &four, got_four), CLSEQ_OK);
        for (uint64_t i = 0; i < 4 * BLOCKS; i++) {
            uint32_t block[4];
            clseq__philox(cases[c].seed, cases[c].stream, cases[c].first + i / 4, block);
            float uniform = clseq__random_uniform(cases[c].seed, cases[c].stream, 4 * cases[c].first + i);
            cr_assert_eq(got[i], block[i % 4], "case %zu, number %d", c, (int)i);
            cr_assert_eq(got_one[i], uniform, "case %zu, number %d: %a, expected %a", c, (int)i,
                         (double)got_one[i], (double)uniform);
            cr_assert_eq(got_four[i], uniform, "case %zu, number %d: %a, expected %a", c, (int)i,
                         (double)got_four[i], (double)uniform);
        }
    }
    clseq_tensor_destroy(ctx, &bits);
    clseq_tensor_destroy(ctx, &one);
    clseq_tensor_destroy(ctx, &four);
    clseq_context_destroy(ctx);
    folder_remove(folder);
}

/* Bounds are five standard deviations of each moment for n independent numbers. */
Test(core_random, uniform_numbers_fill_the_interval_evenly)
{
    enum { N = 100000, BINS = 64 };
    int bins[BINS] = {0};
    double sum = 0;
    for (uint64_t i = 0; i < N; i++) {
        float x = clseq__random_uniform(5, 6, i);
        cr_assert(x >= 0 && x < 1, "number %d is %g", (int)i, (double)x);
        cr_assert_eq(x * 0x1p24f, floorf(x * 0x1p24f));
        bins[(int)(x * BINS)]++;
        sum += x;
    }
    cr_assert(fabs(sum / N - 0.5) <= 5 * sqrt(1.0 / 12 / N), "the mean is %g", sum / N);
    for (int i = 0; i < BINS; i++)
        cr_assert(fabs(bins[i] - (double)N / BINS) <= 5 * sqrt((double)N / BINS), "bin %d holds %d", i,
                  bins[i]);
}

Test(core_random, normal_numbers_have_the_moments_of_the_normal_law)
{
    enum { N = 100000 };
    double sums[5] = {0}, neighbours = 0, last = 0;
    int beyond = 0;
    for (uint64_t i = 0; i < N; i++) {
        double x = clseq__random_normal(5, 6, i);
        cr_assert(isfinite(x));
        for (int power = 1; power <= 4; power++)
            sums[power] += pow(x, power);
        neighbours += x * last;
        last = x;
        beyond += fabs(x) > 2;
    }
    cr_assert(fabs(sums[1] / N) <= 5 * sqrt(1.0 / N), "mean %g", sums[1] / N);
    cr_assert(fabs(sums[2] / N - 1) <= 5 * sqrt(2.0 / N), "variance %g", sums[2] / N);
    cr_assert(fabs(sums[3] / N) <= 5 * sqrt(15.0 / N), "third moment %g", sums[3] / N);
    cr_assert(fabs(sums[4] / N - 3) <= 5 * sqrt(96.0 / N), "fourth moment %g", sums[4] / N);
    cr_assert(fabs(neighbours / N) <= 5 * sqrt(1.0 / N), "neighbours correlate by %g", neighbours / N);
    cr_assert(fabs((double)beyond / N - 0.0455) <= 5 * sqrt(0.0455 / N), "%d are beyond 2", beyond);
}

Test(core_random, seeds_and_streams_differ)
{
    uint32_t a[4], b[4], c[4], d[4];
    clseq__philox(1, 1, 1, a);
    clseq__philox(2, 1, 1, b);
    clseq__philox(1, 2, 1, c);
    clseq__philox(1, 1, 2, d);
    cr_assert(memcmp(a, b, 16) != 0 && memcmp(a, c, 16) != 0 && memcmp(a, d, 16) != 0 &&
              memcmp(b, c, 16) != 0);
}

/* Box and Muller's pairs: numbers 0 and 1 of a block from its first half, 2 and 3 from its second. */
Test(core_random, normal_numbers_are_box_and_muller_s)
{
    for (uint64_t i = 0; i < 64; i++) {
        uint32_t block[4];
        clseq__philox(7, 3, i / 4, block);
        const double u = (block[i % 4 < 2 ? 0 : 2] + 1.0) / 4294967296.0;
        const double angle = 2 * 3.14159265358979323846 * block[i % 4 < 2 ? 1 : 3] / 4294967296.0;
        const double expected = sqrt(-2 * log(u)) * (i % 2 != 0 ? sin(angle) : cos(angle));
        cr_assert_float_eq(clseq__random_normal(7, 3, i), expected, 1e-6, "number %d", (int)i);
    }
}

/* Kernels over vectors make a block in each lane: the same numbers, where the counter's lower half overflows as well. */
Test(core_random, vectors_draw_the_same_numbers)
{
    static const char text[] = "#include \"core/philox_lanes.clh\"\n"
                               "kernel void draw(ulong seed, ulong stream, ulong block, global float *out)\n"
                               "{\n"
                               "    V number[4];\n"
                               "    random_uniform_lanes(seed, stream, block, number);\n"
                               "    for (int k = 0; k < 4; k++)\n"
                               "        STORE(number[k], out + k * LANES);\n"
                               "}\n";
    static const uint64_t blocks[] = {0, 1000, 0xFFFFFFFE, 0x1FFFFFFFF};
    const int64_t n = 64;
    char folder[FOLDER_PATH];
    clseq__kernel *kernel = NULL;
    clseq_tensor out = {0};
    float got[64];
    folder_create(folder);
    write_core(folder);
    folder_write_text(folder, "lanes.cl", text);
    setenv("CLSEQ_KERNEL_DIR", folder, 1);
    clseq_context *ctx = test_context();
    if (!ctx->traits.is_cpu) {
        clseq_context_destroy(ctx);
        folder_remove(folder);
        cr_skip_test("the device's kernels are not over vectors");
    }
    const uint64_t count = 4 * (uint64_t)ctx->traits.vector_width;
    cr_assert_eq(clseq__kernel_get(ctx, "lanes.cl", NULL, "draw", &kernel), CLSEQ_OK, "%s",
                 clseq_last_error());
    cr_assert_eq(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 1, &n, &out), CLSEQ_OK);
    for (size_t b = 0; b < sizeof blocks / sizeof blocks[0]; b++) {
        cr_assert_eq(clseq__launch(ctx, kernel, CLSEQ__GRID1(1, 1),
                                   CLSEQ__ARGS(CLSEQ__UL(42), CLSEQ__UL(7), CLSEQ__UL(blocks[b]),
                                               CLSEQ__M(out.buffer))),
                     CLSEQ_OK, "%s", clseq_last_error());
        cr_assert_eq(clseq_tensor_read(ctx, &out, got), CLSEQ_OK);
        for (uint64_t i = 0; i < count; i++) {
            const float want = clseq__random_uniform(42, 7, 4 * blocks[b] + i);
            cr_assert_eq(got[i], want, "from block %zu on, number %d: %a, expected %a", b, (int)i,
                         (double)got[i], (double)want);
        }
    }
    clseq_tensor_destroy(ctx, &out);
    clseq_context_destroy(ctx);
    folder_remove(folder);
}
