/* Gradient clipping against the reference and PyTorch. */
#include "reference/optim.h"
#include "support/bounds.h"
#include "support/compare.h"
#include "support/device.h"
#include "support/golden.h"
#include "support/numeric.h"
#include "support/operand.h"

#include "train/params.h"
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The last is enough for several work-groups on a CPU. */
enum { PARAMS = 4 };
static const int64_t counts[PARAMS] = {1, 3, 100, 9011};
enum { TOTAL = 1 + 3 + 100 + 9011 };

static clseq_params *four(clseq_context *ctx)
{
    clseq_params *params = NULL;
    char name[8];
    MUST(clseq_params_create(ctx, 1, &params));
    for (int i = 0; i < PARAMS; i++) {
        snprintf(name, sizeof name, "p%d", i);
        MUST(clseq_params_add(params, name, 1, &counts[i], NULL, NULL));
    }
    return params;
}

/* Gradients of all parameters, one after the other. */
static void load(clseq_params *params, const double *all)
{
    float *floats = test_floats_of(all, TOTAL), *at = floats;
    for (size_t i = 0; i < PARAMS; i++) {
        clseq_tensor view;
        MUST(clseq_param_grad(clseq_params_at(params, i), &view));
        MUST(clseq_tensor_write(params->ctx, &view, at));
        at += counts[i];
    }
    free(floats);
}

/* The same back; what lies between the parameters must be zero. */
static float *gradients_of(clseq_params *params)
{
    float *all = test_floats(TOTAL), *at = all, *flat = test_floats((size_t)params->flat);
    const clseq_tensor view = clseq_tensor_view(params->grads, 0, CLSEQ_DTYPE_F32, 1, &params->flat);
    MUST(clseq_tensor_read(params->ctx, &view, flat));
    for (size_t i = 0; i < PARAMS; i++) {
        const int64_t offset = params->all[i]->offset, end = offset + counts[i];
        memcpy(at, flat + offset, (size_t)counts[i] * sizeof *at);
        for (int64_t k = end; k < params->flat && k < end + CLSEQ__PARAM_ALIGN && k % CLSEQ__PARAM_ALIGN != 0;
             k++)
            cr_assert_eq(flat[k], 0, "gap %lld is %g", (long long)k, (double)flat[k]);
        at += counts[i];
    }
    free(flat);
    return all;
}

static double *random_gradients(uint64_t seed)
{
    test_random random = test_random_seed(seed);
    double *all = test_doubles(TOTAL);
    test_random_fill(&random, all, TOTAL, -2, 2);
    return all;
}

/* A factor is limit / sqrt(sum of squares): the sum's relative error is that of TOTAL terms, the rest a few roundings. */
static void scaled_bounds(const double *want, double *bound)
{
    for (size_t i = 0; i < TOTAL; i++)
        bound[i] = test_sum_bound(TOTAL, want[i]) + test_rounding_bound(10, want[i]);
}

static void check(clseq_params *params, const char *name, const double *want, const double *bound)
{
    float *got = gradients_of(params);
    cr_assert(compare_floats_each(name, got, want, TOTAL, bound), "%s", compare_message());
    free(got);
}

Test(clip, value)
{
    clseq_context *ctx;
    for (int shape = 0; (ctx = test_context_shape(shape)) != NULL; shape++) {
        clseq_params *params = four(ctx);
        double *want = random_gradients(1), *exact = test_doubles(TOTAL);
        load(params, want);
        reference_clip_value(0.75, want, TOTAL);
        MUST(clseq_clip_value(params, 0.75f));
        check(params, "clip value", want, exact);
        free(want);
        free(exact);
        clseq_params_destroy(params);
        clseq_context_destroy(ctx);
    }
}

Test(clip, norm_of_each)
{
    static const double limits[] = {0.01, 1.5, 20, 1e6};
    clseq_context *ctx;
    for (int shape = 0; (ctx = test_context_shape(shape)) != NULL; shape++) {
        clseq_params *params = four(ctx);
        for (int l = 0; l < 4; l += test_small() ? 2 : 1) {
            double *want = random_gradients(2), *at = want, *bound = test_doubles(TOTAL);
            const float limit = (float)limits[l];
            load(params, want);
            for (int i = 0; i < PARAMS; i++) {
                reference_clip_norm(limit, 0, at, (size_t)counts[i]);
                at += counts[i];
            }
            scaled_bounds(want, bound);
            MUST(clseq_clip_norm(params, limit));
            check(params, "clip norm", want, bound);
            free(want);
            free(bound);
        }
        clseq_params_destroy(params);
        clseq_context_destroy(ctx);
    }
}

Test(clip, global_norm)
{
    static const double limits[] = {0.01, 5, 100, 1e6};
    clseq_context *ctx;
    for (int shape = 0; (ctx = test_context_shape(shape)) != NULL; shape++) {
        clseq_params *params = four(ctx);
        for (int l = 0; l < 8; l += test_small() ? 3 : 1) {
            double *want = random_gradients(3), *bound = test_doubles(TOTAL);
            double *const all[] = {want};
            const float limit = (float)limits[l / 2];
            float norm = NAN;
            load(params, want);
            const double want_norm = reference_clip_global_norm(limit, 0, all, (size_t[]){TOTAL}, 1);
            scaled_bounds(want, bound);
            MUST(clseq_clip_global_norm(params, limit, l % 2 ? &norm : NULL));
            if (l % 2)
                cr_assert(fabs(norm - want_norm) <= test_sum_bound(TOTAL, want_norm), "norm %g, expected %g",
                          (double)norm, want_norm);
            check(params, "clip global norm", want, bound);
            free(want);
            free(bound);
        }
        clseq_params_destroy(params);
        clseq_context_destroy(ctx);
    }
}

/* The gradients after both clips by norm. */
static float *clipped(clseq_params *params, const double *source)
{
    load(params, source);
    MUST(clseq_clip_norm(params, 9));
    MUST(clseq_clip_global_norm(params, 0.3f, NULL));
    return gradients_of(params);
}

/* Below the limit nothing changes, not a bit; a second clip gives the same bits as the first on the same gradients. */
Test(clip, below_the_limit_and_repeats)
{
    clseq_context *ctx = test_context_shape(0);
    clseq_params *params = four(ctx);
    double *source = random_gradients(4);
    float *before = test_floats_of(source, TOTAL);
    load(params, source);
    MUST(clseq_clip_value(params, 3));
    MUST(clseq_clip_norm(params, 1e5f));
    MUST(clseq_clip_global_norm(params, 1e5f, NULL));
    float *same = gradients_of(params);
    cr_assert(compare_bits("gradients", same, before, TOTAL), "%s", compare_message());
    float *first = clipped(params, source), *second = clipped(params, source);
    cr_assert(compare_bits("gradients", second, first, TOTAL), "%s", compare_message());
    free(same);
    free(first);
    free(second);
    free(before);
    free(source);
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
}

/* What is not finite stays, and the norm tells. */
Test(clip, not_finite_stays_visible)
{
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    clseq_context *ctx;
    for (int shape = 0; (ctx = test_context_shape(shape)) != NULL; shape++) {
        clseq_params *params = four(ctx);
        for (int b = 0; b < 3; b++) {
            double *source = random_gradients(5), *clipped = test_doubles(TOTAL);
            float norm = 0;
            source[77] = bad[b];
            memcpy(clipped, source, TOTAL * sizeof *source);
            reference_clip_value(0.5, clipped, TOTAL);
            load(params, source);
            MUST(clseq_clip_global_norm(params, 0.5f, &norm));
            cr_assert(!isfinite(norm), "norm %g of gradients with %g", (double)norm, (double)bad[b]);
            MUST(clseq_clip_norm(params, 1e5f));
            MUST(clseq_clip_value(params, 0.5f));
            float *got = gradients_of(params);
            cr_assert(b == 0 ? isnan(got[77]) : got[77] == bad[b], "%g became %g", (double)bad[b],
                      (double)got[77]);
            for (int i = 0; i < TOTAL; i++)
                cr_assert(i == 77 || got[i] == (float)clipped[i], "element %d: %g, expected %g", i,
                          (double)got[i], clipped[i]);
            free(got);
            free(source);
            free(clipped);
        }
        clseq_params_destroy(params);
        clseq_context_destroy(ctx);
    }
}

/* Where squares overflow the norm is not finite: nothing is scaled to zero behind the program's back. */
Test(clip, overflow_leaves_everything)
{
    clseq_context *ctx;
    for (int shape = 0; (ctx = test_context_shape(shape)) != NULL; shape++) {
        clseq_params *params = four(ctx);
        double *want = random_gradients(6), *exact = test_doubles(TOTAL);
        float norm = 0;
        want[10] = 0x1p100;
        load(params, want);
        MUST(clseq_clip_global_norm(params, 0.5f, &norm));
        cr_assert(!isfinite(norm), "the norm is %g", (double)norm);
        check(params, "gradients", want, exact);
        free(want);
        free(exact);
        clseq_params_destroy(params);
        clseq_context_destroy(ctx);
    }
}

/* Gradients of zero have norm 0, and 0/0 does not occur. */
Test(clip, zeros)
{
    clseq_context *ctx = test_context_shape(0);
    clseq_params *params = four(ctx);
    float norm = NAN;
    double *zeros = test_doubles(TOTAL);
    MUST(clseq_clip_norm(params, 1));
    MUST(clseq_clip_global_norm(params, 1, &norm));
    cr_assert_eq(norm, 0);
    check(params, "zeros", zeros, zeros);
    free(zeros);
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
}

/* PyTorch's results; its factor is limit/(norm + 1e-6), ours limit/norm. */
Test(clip, golden)
{
    static const char *const cases[] = {"over/", "under/", "value/"};
    clseq_context *ctx = test_context_shape(0);
    golden *g = golden_open("clipping.txt");
    const golden_tensor *sources[2] = {golden_get(g, "a"), golden_get(g, "b")};
    for (int c = 0; c < 3; c++) {
        clseq_params *params = NULL;
        clseq_param *param[2];
        char key[GOLDEN_MAX_NAME];
        float norm = NAN;
        MUST(clseq_params_create(ctx, 1, &params));
        for (int i = 0; i < 2; i++)
            MUST(clseq_params_add(params, i ? "b" : "a", 1, (int64_t[]){(int64_t)sources[i]->n}, NULL,
                                  &param[i]));
        for (int i = 0; i < 2; i++) {
            clseq_tensor view;
            float *values = test_floats_of(sources[i]->values, sources[i]->n);
            MUST(clseq_param_grad(param[i], &view));
            MUST(clseq_tensor_write(ctx, &view, values));
            free(values);
        }
        snprintf(key, sizeof key, "%slimit", cases[c]);
        const float limit = (float)golden_values(g, key, 1)[0];
        if (c == 2) {
            MUST(clseq_clip_value(params, limit));
        } else {
            MUST(clseq_clip_global_norm(params, limit, &norm));
            snprintf(key, sizeof key, "%snorm", cases[c]);
            cr_assert(fabs(norm - golden_values(g, key, 1)[0]) <= 1e-6 * norm);
        }
        for (int i = 0; i < 2; i++) {
            float *got = test_floats(sources[i]->n);
            MUST(clseq_param_get_grad(param[i], got));
            snprintf(key, sizeof key, "%s%c", cases[c], "ab"[i]);
            cr_assert(compare_floats(key, got, golden_values(g, key, sources[i]->n), sources[i]->n, 2e-6),
                      "%s", compare_message());
            free(got);
        }
        clseq_params_destroy(params);
    }
    golden_close(g);
    clseq_context_destroy(ctx);
}

Test(clip, no_new_memory)
{
    clseq_context *ctx = test_context_shape(0);
    clseq_params *params = four(ctx);
    clseq_context_stats before, after;
    for (int run = 0; run < 3; run++) {
        MUST(clseq_clip_norm(params, 1));
        MUST(clseq_clip_global_norm(params, 1, NULL));
        MUST(clseq_clip_value(params, 1));
        MUST(clseq_context_get_stats(ctx, run == 0 ? &before : &after));
    }
    cr_assert_eq(before.allocations, after.allocations);
    cr_assert_eq(before.bytes_in_use, after.bytes_in_use);
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
}

Test(clip, bad_arguments)
{
    static const float bad[] = {0, -1, NAN};
    clseq_context *ctx = test_context_shape(0);
    clseq_params *params = four(ctx), *empty = NULL;
    for (int i = 0; i < 3; i++) {
        cr_expect_eq(clseq_clip_value(params, bad[i]), CLSEQ_INVALID_ARGUMENT);
        cr_expect_eq(clseq_clip_norm(params, bad[i]), CLSEQ_INVALID_ARGUMENT);
        cr_expect_eq(clseq_clip_global_norm(params, bad[i], NULL), CLSEQ_INVALID_ARGUMENT);
        cr_expect(strstr(clseq_last_error(), "clip global norm: limit is") != NULL, "%s", clseq_last_error());
    }
    cr_expect_eq(clseq_clip_value(NULL, 1), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_clip_norm(NULL, 1), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_clip_global_norm(NULL, 1, NULL), CLSEQ_INVALID_ARGUMENT);
    MUST(clseq_params_create(ctx, 1, &empty));
    cr_expect_eq(clseq_clip_value(empty, 1), CLSEQ_INVALID_STATE);
    clseq_params_destroy(empty);
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
}
