/* Initial values: their distributions, orthogonality, and what they depend on. */
#include "support/compare.h"
#include "support/device.h"
#include "support/guarded.h"
#include "support/numeric.h"

#include <clseq/params.h>
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The initial values of one parameter. */
static float *drawn(clseq_context *ctx, uint64_t seed, const char *name, int ndim, const int64_t *dims,
                    clseq_init init)
{
    clseq_params *params = NULL;
    clseq_param *param = NULL;
    size_t n = 1;
    for (int i = 0; i < ndim; i++)
        n *= (size_t)dims[i];
    float *values = test_floats(n);
    MUST(clseq_params_create(ctx, seed, &params));
    MUST(clseq_params_add(params, name, ndim, dims, &init, &param));
    MUST(clseq_param_get(param, values));
    clseq_params_destroy(params);
    return values;
}

/* Mean of the k-th powers. */
static double moment(const float *x, size_t n, int k)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += pow(x[i], k);
    return sum / (double)n;
}

/*
 * Within five standard deviations of what 100000 draws of a distribution with this variance and fourth moment give.
 * Odd moments are 0.
 */
static void check_moments(const char *name, const float *x, size_t n, double variance, double fourth,
                          double eighth)
{
    const double N = (double)n;
    cr_expect(fabs(moment(x, n, 1)) <= 5 * sqrt(variance / N), "%s: mean %g", name, moment(x, n, 1));
    cr_expect(fabs(moment(x, n, 2) - variance) <= 5 * sqrt((fourth - variance * variance) / N),
              "%s: variance %g, expected %g", name, moment(x, n, 2), variance);
    cr_expect(fabs(moment(x, n, 4) - fourth) <= 5 * sqrt((eighth - fourth * fourth) / N),
              "%s: fourth moment %g, expected %g", name, moment(x, n, 4), fourth);
}

static void check_uniform(const char *name, const float *x, size_t n, double bound)
{
    double largest = 0;
    for (size_t i = 0; i < n; i++)
        largest = fmax(largest, fabs(x[i]));
    cr_expect(largest <= bound * (1 + 1e-6), "%s: %g is beyond %g", name, largest, bound);
    cr_expect(largest >= bound * 0.999, "%s: nothing above %g of %g", name, largest, bound);
    check_moments(name, x, n, pow(bound, 2) / 3, pow(bound, 4) / 5, pow(bound, 8) / 9);
}

Test(init, distributions)
{
    clseq_context *ctx = test_context();
    const int64_t dims[] = {400, 250};
    const size_t n = 100000;
    float *x = drawn(ctx, 1, "w", 2, dims, (clseq_init){.kind = CLSEQ_INIT_UNIFORM, .scale = 0.3f});
    check_uniform("uniform", x, n, 0.3);
    free(x);
    x = drawn(ctx, 2, "w", 2, dims, (clseq_init){.kind = CLSEQ_INIT_NORMAL, .scale = 2});
    check_moments("normal", x, n, 4, 3 * 16, 105 * 256);
    free(x);
    x = drawn(ctx, 3, "w", 2, dims, (clseq_init){.kind = CLSEQ_INIT_XAVIER, .scale = 1});
    check_uniform("xavier", x, n, sqrt(6.0 / 650));
    free(x);
    x = drawn(ctx, 3, "w", 2, dims, (clseq_init){.kind = CLSEQ_INIT_XAVIER, .scale = 0.5f, .block = 100});
    check_uniform("xavier of blocks", x, n, 0.5 * sqrt(6.0 / 350));
    free(x);
    x = drawn(ctx, 4, "w", 1, (int64_t[]){100000}, (clseq_init){.kind = CLSEQ_INIT_XAVIER, .scale = 1});
    check_uniform("xavier of a vector", x, n, sqrt(6.0 / 100001));
    free(x);
    x = drawn(ctx, 5, "w", 2, dims, (clseq_init){.kind = CLSEQ_INIT_CONSTANT, .scale = -3});
    for (size_t i = 0; i < n; i++)
        cr_assert_eq(x[i], -3);
    free(x);
    clseq_context_destroy(ctx);
}

/* Rows (or columns, where the matrix is higher than wide) of each block are orthonormal times scale. */
static void check_orthogonal(clseq_context *ctx, int64_t rows, int64_t columns, int64_t block, float scale)
{
    const int64_t dims[] = {rows, columns}, R = block > 0 ? block : rows;
    const double norm = (double)scale * scale;
    float *x = drawn(ctx, 9, "w", 2, dims,
                     (clseq_init){.kind = CLSEQ_INIT_ORTHOGONAL, .scale = scale, .block = block});
    for (int64_t b = 0; b < rows / R; b++) {
        const float *m = x + b * R * columns;
        const bool by_rows = R <= columns;
        const int64_t count = by_rows ? R : columns, length = by_rows ? columns : R;
        for (int64_t i = 0; i < count; i++)
            for (int64_t j = 0; j <= i; j++) {
                double dot = 0;
                for (int64_t k = 0; k < length; k++)
                    dot += by_rows ? (double)m[i * columns + k] * m[j * columns + k]
                                   : (double)m[k * columns + i] * m[k * columns + j];
                /* Rounding to float alone: 2^-24 of each element. */
                cr_assert(fabs(dot - (i == j ? norm : 0)) <= 3e-7 * norm,
                          "[%lld,%lld] block %lld: %lld and %lld have product %g", (long long)rows,
                          (long long)columns, (long long)b, (long long)i, (long long)j, dot);
            }
    }
    free(x);
}

Test(init, orthogonal)
{
    clseq_context *ctx = test_context();
    check_orthogonal(ctx, 1, 1, 0, 1);
    check_orthogonal(ctx, 1, 17, 0, 1);
    check_orthogonal(ctx, 17, 1, 0, 1);
    check_orthogonal(ctx, 5, 12, 0, 2.5f);
    check_orthogonal(ctx, 12, 5, 0, 2.5f);
    check_orthogonal(ctx, 300, 300, 0, 1);
    check_orthogonal(ctx, 400, 100, 100, 1);
    check_orthogonal(ctx, 12, 40, 3, 1);
    check_orthogonal(ctx, 40, 3, 10, 1);
    clseq_context_destroy(ctx);
}

/* The blocks of one parameter are different rotations, and neither is the identity. */
Test(init, orthogonal_blocks_differ)
{
    clseq_context *ctx = test_context();
    const int64_t dims[] = {16, 8};
    float *x =
        drawn(ctx, 9, "w", 2, dims, (clseq_init){.kind = CLSEQ_INIT_ORTHOGONAL, .scale = 1, .block = 8});
    double apart = 0, diagonal = 0;
    for (int i = 0; i < 64; i++)
        apart = fmax(apart, fabs((double)x[i] - x[64 + i]));
    for (int i = 0; i < 8; i++)
        diagonal = fmax(diagonal, fabs(1 - x[9 * i]));
    cr_assert_gt(apart, 0.1);
    cr_assert_gt(diagonal, 0.1);
    free(x);
    clseq_context_destroy(ctx);
}

/* The same seed and name give the same bits whatever was added before; another seed or name gives others. */
Test(init, depends_on_seed_and_name_alone)
{
    clseq_context *ctx = test_context();
    const int64_t dims[] = {6, 7};
    static const clseq_init inits[] = {{.kind = CLSEQ_INIT_UNIFORM, .scale = 1},
                                       {.kind = CLSEQ_INIT_NORMAL, .scale = 1},
                                       {.kind = CLSEQ_INIT_XAVIER, .scale = 1},
                                       {.kind = CLSEQ_INIT_ORTHOGONAL, .scale = 1}};
    for (size_t i = 0; i < sizeof inits / sizeof inits[0]; i++) {
        clseq_params *params = NULL;
        clseq_param *w = NULL;
        float late[42], *first = drawn(ctx, 7, "lstm.w", 2, dims, inits[i]);
        MUST(clseq_params_create(ctx, 7, &params));
        MUST(clseq_params_add(params, "other", 1, (int64_t[]){1000}, &inits[0], NULL));
        MUST(clseq_params_add(params, "lstm.w", 2, dims, &inits[i], &w));
        MUST(clseq_param_get(w, late));
        cr_expect(compare_bits("added later", late, first, 42), "%s", compare_message());
        clseq_params_destroy(params);
        float *seed = drawn(ctx, 8, "lstm.w", 2, dims, inits[i]),
              *name = drawn(ctx, 7, "lstm.v", 2, dims, inits[i]);
        cr_expect(memcmp(first, seed, 42 * sizeof *first) != 0, "another seed, the same values");
        cr_expect(memcmp(first, name, 42 * sizeof *first) != 0, "another name, the same values");
        free(first);
        free(seed);
        free(name);
    }
    clseq_context_destroy(ctx);
}

Test(init, bad_arguments)
{
    clseq_context *ctx = test_context();
    clseq_params *params = NULL;
    const int64_t dims[] = {12, 5};
    static const clseq_init bad[] = {{.kind = (clseq_init_kind)99},
                                     {.kind = (clseq_init_kind)-1},
                                     {.kind = CLSEQ_INIT_UNIFORM, .scale = NAN},
                                     {.kind = CLSEQ_INIT_CONSTANT, .scale = INFINITY},
                                     {.kind = CLSEQ_INIT_NORMAL, .scale = -1},
                                     {.kind = CLSEQ_INIT_ORTHOGONAL, .scale = 1, .block = 5},
                                     {.kind = CLSEQ_INIT_XAVIER, .scale = 1, .block = -1}};
    MUST(clseq_params_create(ctx, 7, &params));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_expect_eq(clseq_params_add(params, "w", 2, dims, &bad[i], NULL), CLSEQ_INVALID_ARGUMENT,
                     "case %zu", i);
    cr_expect_eq(clseq_params_add(params, "w", 1, dims,
                                  &(clseq_init){.kind = CLSEQ_INIT_ORTHOGONAL, .scale = 1}, NULL),
                 CLSEQ_INVALID_SHAPE);
    cr_expect_eq(clseq_params_count(params), 0);
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
}

/* Zeros are a kind of their own, a constant may be 0, and a start that is drawn says how wide. */
Test(init, zeros_and_scales)
{
    clseq_context *ctx = test_context();
    clseq_params *params = NULL;
    const int64_t dims[] = {3, 4};
    static const clseq_init zeros[] = {
        {0}, {.kind = CLSEQ_INIT_ZERO}, {.kind = CLSEQ_INIT_CONSTANT, .scale = 0}};
    for (size_t i = 0; i < sizeof zeros / sizeof zeros[0]; i++) {
        float *x = drawn(ctx, 7, "w", 2, dims, zeros[i]);
        for (int k = 0; k < 12; k++)
            cr_expect(x[k] == 0, "initialiser %zu: element %d is %g", i, k, (double)x[k]);
        free(x);
    }
    MUST(clseq_params_create(ctx, 7, &params));
    for (int kind = CLSEQ_INIT_UNIFORM; kind <= CLSEQ_INIT_ORTHOGONAL; kind++) {
        const clseq_init init = {.kind = (clseq_init_kind)kind};
        cr_expect_eq(clseq_params_add(params, "w", 2, dims, &init, NULL), CLSEQ_INVALID_ARGUMENT);
        cr_expect(strstr(clseq_last_error(), "params add: w: init.scale is 0, expected greater than 0 (zeros "
                                             "are CLSEQ_INIT_ZERO)"),
                  "%s", clseq_last_error());
    }
    const clseq_init wide = {.scale = 1}, blocks = {.kind = CLSEQ_INIT_ZERO, .block = 1};
    cr_expect_eq(clseq_params_add(params, "w", 2, dims, &wide, NULL), CLSEQ_INVALID_ARGUMENT);
    cr_expect(strstr(clseq_last_error(), "CLSEQ_INIT_DEFAULT, takes none"), "%s", clseq_last_error());
    cr_expect_eq(clseq_params_add(params, "w", 2, dims, &blocks, NULL), CLSEQ_INVALID_ARGUMENT);
    cr_expect(strstr(clseq_last_error(), "CLSEQ_INIT_ZERO, takes none"), "%s", clseq_last_error());
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
}

/* No number is used twice: each element has one of its own. */
Test(init, draws_each_element_anew)
{
    enum { N = 600 };
    clseq_context *ctx = test_context();
    static const clseq_init inits[] = {{.kind = CLSEQ_INIT_UNIFORM, .scale = 1},
                                       {.kind = CLSEQ_INIT_NORMAL, .scale = 1},
                                       {.kind = CLSEQ_INIT_XAVIER, .scale = 1},
                                       {.kind = CLSEQ_INIT_ORTHOGONAL, .scale = 1}};
    for (size_t i = 0; i < sizeof inits / sizeof inits[0]; i++) {
        float *x = drawn(ctx, 7, "w", 2, (int64_t[]){20, N / 20}, inits[i]);
        for (int k = 0; k < N; k++)
            for (int j = 0; j < k; j++)
                cr_assert(x[j] != x[k], "initialiser %zu: elements %d and %d are %g", i, j, k, (double)x[j]);
        free(x);
    }
    clseq_context_destroy(ctx);
}
