/* Frozen parameters: by name and pattern; what an optimiser, clipping and checkpoints make of them. */
#include <criterion/criterion.h>

#include "support/compare.h"
#include "support/device.h"
#include "support/folder.h"
#include "support/graph.h"
#include "support/numeric.h"
#include "support/operand.h"
#include "support/store.h"
#include "train/optimizer.h"
#include <clseq/checkpoint.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COUNT = 6, STEPS = 3 };
static const char *const names[COUNT] = {"enc.weight", "enc.bias", "enc.0.bias",
                                         "dec.weight", "dec.bias", "d?c"};
static const int64_t elements[COUNT] = {200, 3, 64, 65, 1, 130};

static clseq_params *six(clseq_context *ctx)
{
    return store_of(ctx, COUNT, names, elements);
}

/* Which parameters are frozen, as a number whose bit i stands for parameter i. */
static unsigned frozen_of(const clseq_params *params)
{
    unsigned bits = 0;
    for (size_t i = 0; i < params->count; i++)
        bits |= (unsigned)clseq_param_is_frozen(params->all[i]) << i;
    return bits;
}

Test(frozen, names_and_patterns)
{
    static const struct {
        const char *pattern;
        bool frozen;
        size_t matched;
        unsigned after;
    } rows[] = {
        {"enc.*", true, 3, 007},       {"*.bias", true, 4, 027}, {"enc.bias", false, 1, 025},
        {"enc.?.bias", false, 1, 021}, {"*", false, 6, 000},     {"d?c", true, 1, 040},
        {"d\\?c", false, 1, 000},      {"*", true, 6, 077},      {"[de]*.weight", false, 2, 066},
    };
    clseq_context *ctx = test_context();
    clseq_params *params = six(ctx);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t matched = 99;
        EXPECT_OK(clseq_params_freeze(params, rows[i].pattern, rows[i].frozen, i % 2 ? NULL : &matched));
        cr_expect(i % 2 || matched == rows[i].matched, "%s matches %zu", rows[i].pattern, matched);
        cr_expect_eq(frozen_of(params), rows[i].after, "after %s: %o", rows[i].pattern, frozen_of(params));
    }
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
}

Test(frozen, errors)
{
    clseq_context *ctx = test_context();
    clseq_params *params = six(ctx);
    const float values[3] = {1, 2, 3};
    size_t matched = 99;
    EXPECT_ERROR(clseq_params_freeze(params, "*.bais", true, &matched), CLSEQ_NOT_FOUND,
                 "params freeze: no parameter matches \"*.bais\"");
    cr_expect_eq(matched, 0);
    EXPECT_ERROR(clseq_params_freeze(params, "enc", true, NULL), CLSEQ_NOT_FOUND, "\"enc\"");
    EXPECT_ERROR(clseq_params_freeze(params, NULL, true, NULL), CLSEQ_INVALID_ARGUMENT,
                 "params freeze: pattern is NULL");
    EXPECT_ERROR(clseq_params_freeze(NULL, "*", true, NULL), CLSEQ_INVALID_ARGUMENT,
                 "params freeze: params is NULL");
    EXPECT_ERROR(clseq_param_freeze(NULL, true), CLSEQ_INVALID_ARGUMENT, "param freeze: param is NULL");
    cr_expect(!clseq_param_is_frozen(NULL));
    cr_expect_eq(frozen_of(params), 0);
    EXPECT_OK(clseq_param_freeze(params->all[1], true));
    EXPECT_ERROR(clseq_param_set_grad(params->all[1], values), CLSEQ_INVALID_STATE,
                 "param set grad: enc.bias is frozen and has no gradient");
    EXPECT_OK(clseq_param_set(params->all[1], values));
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
}

/* A parameter can be frozen before the store has memory; one that is taken back leaves nothing behind. */
Test(frozen, before_the_first_use)
{
    clseq_context *ctx = test_context();
    clseq_params *params = NULL;
    clseq_param *w = NULL;
    EXPECT_OK(clseq_params_create(ctx, 1, &params));
    EXPECT_OK(clseq_params_add(params, "w", 1, (int64_t[]){3}, NULL, &w));
    EXPECT_OK(clseq_param_freeze(w, true));
    EXPECT_OK(clseq_param_freeze(w, true));
    cr_assert_eq(params->frozen_count, 1);
    cr_assert_null(params->values);
    clseq__params_drop(params, 0);
    cr_assert_eq(params->frozen_count, 0);
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
}

/* Both ways what was there of a gradient goes, and no other. */
Test(frozen, have_no_gradient)
{
    clseq_context *ctx = test_context();
    clseq_params *params = six(ctx);
    for (int frozen = 1; frozen >= 0; frozen--) {
        store_fill(params, params->grads, 1);
        float *want = store_read(params, params->grads);
        EXPECT_OK(clseq_param_freeze(params->all[2], frozen));
        float *got = store_read(params, params->grads);
        memset(want + params->all[2]->offset, 0, (size_t)elements[2] * sizeof *want);
        cr_assert(compare_bits("gradients", got, want, (size_t)params->flat), "%s", compare_message());
        free(want);
        free(got);
    }
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
}

#define ADAM .beta1 = 0.9f, .beta2 = 0.999f, .eps = 1e-8f

static const clseq_optimizer_desc settings[] = {
    {.kind = CLSEQ_OPTIMIZER_SGD, .lr = 0.1f, .weight_decay = 0.3f},
    {.kind = CLSEQ_OPTIMIZER_SGD, .lr = 0.1f, .momentum = 0.9f, .nesterov = true, .weight_decay = 0.3f},
    {.kind = CLSEQ_OPTIMIZER_ADAM, .lr = 0.01f, .weight_decay = 0.3f, ADAM},
    {.kind = CLSEQ_OPTIMIZER_ADAMW, .lr = 0.01f, .weight_decay = 0.3f, ADAM},
};
enum { SETTINGS = sizeof settings / sizeof settings[0] };

/* The store's values, then the optimiser's moments. */
enum { BUFFERS = 1 + CLSEQ__MOMENTS_MAX };

static void read_all(const clseq_optimizer *o, float *out[BUFFERS])
{
    out[0] = store_read(o->params, o->params->values);
    for (int m = 0; m < CLSEQ__MOMENTS_MAX; m++)
        out[1 + m] = m < o->rule->moments ? store_read(o->params, o->moments[m]) : NULL;
}

static void free_all(float *buffers[BUFFERS])
{
    for (int i = 0; i < BUFFERS; i++)
        free(buffers[i]);
}

/* STEPS more steps along random gradients; those of frozen parameters are zero, whatever is drawn. */
static void step(clseq_optimizer *o, uint64_t seed)
{
    clseq_params *params = o->params;
    for (uint64_t t = 0; t < STEPS; t++) {
        store_fill(params, params->grads, seed + t);
        for (size_t i = 0; i < params->count; i++) {
            clseq_tensor grad;
            MUST(clseq_param_grad(params->all[i], &grad));
            if (clseq_param_is_frozen(params->all[i]))
                MUST(clseq_tensor_fill(params->ctx, &grad, 0));
        }
        MUST(clseq_optimizer_step(o));
    }
}

/*
 * Steps, then some with every other parameter frozen, then all of them again. A frozen one and its moments stay bit for
 * bit, its neighbours do what they would do anyway.
 */
static void freeze_in_between(clseq_context *ctx, const clseq_optimizer_desc *desc)
{
    clseq_params *params[2] = {six(ctx), six(ctx)};
    clseq_optimizer *o[2];
    float *before[BUFFERS], *got[BUFFERS], *want[BUFFERS];
    for (int k = 0; k < 2; k++) {
        MUST(clseq_optimizer_create(params[k], desc, &o[k]));
        store_fill(params[k], params[k]->values, 7);
        step(o[k], 10);
    }
    read_all(o[0], before);
    for (size_t i = 0; i < COUNT; i += 2)
        MUST(clseq_param_freeze(params[0]->all[i], true));
    step(o[0], 20);
    step(o[1], 20);
    read_all(o[0], got);
    read_all(o[1], want);
    for (int b = 0; b <= o[0]->rule->moments; b++)
        for (size_t i = 0; i < COUNT; i++) {
            const clseq_param *p = params[0]->all[i];
            const float *expected = (i % 2 == 0 ? before : want)[b] + p->offset;
            cr_assert(compare_bits(p->name, got[b] + p->offset, expected, (size_t)p->elements),
                      "buffer %d: %s", b, compare_message());
        }
    MUST(clseq_params_freeze(params[0], "*", false, NULL));
    step(o[0], 30);
    free_all(want);
    read_all(o[0], want);
    for (size_t i = 0; i < COUNT; i++)
        cr_assert_neq(want[0][params[0]->all[i]->offset], got[0][params[0]->all[i]->offset],
                      "%s still stands", names[i]);
    free_all(before);
    free_all(got);
    free_all(want);
    for (int k = 0; k < 2; k++) {
        clseq_optimizer_destroy(o[k]);
        clseq_params_destroy(params[k]);
    }
}

Test(frozen, steps_leave_them_alone)
{
    clseq_context *ctx;
    for (int shape = 0; (ctx = test_context_shape(shape)) != NULL; shape++) {
        for (int s = 0; s < SETTINGS; s++)
            freeze_in_between(ctx, &settings[s]);
        clseq_context_destroy(ctx);
    }
}

/* With groups: what is frozen comes before what a group says. */
Test(frozen, in_groups)
{
    clseq_context *ctx = test_context();
    clseq_params *params = six(ctx);
    clseq_optimizer *o = NULL;
    clseq_optimizer_desc desc = settings[3];
    float *before[BUFFERS], *after[BUFFERS];
    desc.groups = &(clseq_param_group){"enc.*", 2, 1};
    desc.group_count = 1;
    MUST(clseq_optimizer_create(params, &desc, &o));
    store_fill(params, params->values, 7);
    step(o, 10);
    read_all(o, before);
    MUST(clseq_param_freeze(params->all[1], true));
    step(o, 20);
    read_all(o, after);
    for (int b = 0; b < BUFFERS; b++)
        for (size_t i = 0; i < COUNT; i++) {
            const int64_t at = params->all[i]->offset;
            cr_assert_eq(memcmp(before[b] + at, after[b] + at, (size_t)elements[i] * sizeof(float)) == 0,
                         i == 1, "buffer %d, %s", b, names[i]);
        }
    free_all(before);
    free_all(after);
    clseq_optimizer_destroy(o);
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
}

/* One launch a step, and nothing is allocated but once, whatever is frozen and freed. */
Test(frozen, a_step_is_one_launch)
{
    clseq_context *ctx = test_context();
    clseq_params *params = six(ctx);
    clseq_optimizer *o = NULL;
    clseq_context_stats start, before, after;
    MUST(clseq_context_get_stats(ctx, &start));
    MUST(clseq_optimizer_create(params, &settings[2], &o));
    for (int t = 0; t < 5; t++) {
        if (t > 0)
            MUST(clseq_param_freeze(params->all[t % 3], t < 4));
        MUST(clseq_context_get_stats(ctx, &before));
        MUST(clseq_optimizer_step(o));
        MUST(clseq_context_get_stats(ctx, &after));
        cr_assert_eq(after.launches, before.launches + 1);
        cr_assert(t < 2 || after.allocations == before.allocations);
    }
    clseq_optimizer_destroy(o);
    MUST(clseq_context_get_stats(ctx, &after));
    cr_assert_eq(after.bytes_in_use, start.bytes_in_use);
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
}

/* The norm and the factor are those of a store without the frozen parameters. */
Test(frozen, clipping_does_not_count_them)
{
    clseq_context *ctx;
    for (int shape = 0; (ctx = test_context_shape(shape)) != NULL; shape++) {
        clseq_params *params = six(ctx);
        clseq_context_stats before, after;
        double squares = 0;
        float norm = NAN;
        store_fill(params, params->grads, 3);
        float *start = store_read(params, params->grads);
        MUST(clseq_params_freeze(params, "enc.*", true, NULL));
        for (int64_t i = params->all[3]->offset; i < params->flat; i++)
            squares += (double)start[i] * start[i];
        MUST(clseq_clip_global_norm(params, 2, &norm));
        cr_assert_float_eq(norm, sqrt(squares), 1e-5 * sqrt(squares));
        float *got = store_read(params, params->grads);
        for (int64_t i = 0; i < params->flat; i++) {
            const double want = i < params->all[3]->offset ? 0 : start[i] * 2 / sqrt(squares);
            cr_assert_float_eq(got[i], want, 1e-5, "gradient %lld is %g, expected %g", (long long)i,
                               (double)got[i], want);
        }
        MUST(clseq_context_get_stats(ctx, &before));
        MUST(clseq_clip_norm(params, 1));
        MUST(clseq_context_get_stats(ctx, &after));
        cr_assert_leq(after.launches - before.launches, 3 * 3, "frozen parameters are scaled too");
        free(start);
        free(got);
        clseq_params_destroy(params);
        clseq_context_destroy(ctx);
    }
}

/* A file neither keeps nor changes what is frozen; it fills frozen parameters as any. */
Test(frozen, checkpoints)
{
    char folder[FOLDER_PATH], path[2 * FOLDER_PATH];
    clseq_context *ctx = test_context();
    clseq_params *from = six(ctx), *to = six(ctx);
    folder_create(folder);
    snprintf(path, sizeof path, "%s/model", folder);
    store_fill(from, from->values, 5);
    EXPECT_OK(clseq_params_freeze(from, "enc.*", true, NULL));
    EXPECT_OK(clseq_params_freeze(to, "dec.*", true, NULL));
    EXPECT_OK(clseq_checkpoint_save(path, &(clseq_checkpoint){.params = from}));
    EXPECT_OK(clseq_checkpoint_load(path, &(clseq_checkpoint){.params = to}));
    cr_assert_eq(frozen_of(to), 030);
    float *want = store_read(from, from->values), *got = store_read(to, to->values);
    cr_assert(compare_bits("values", got, want, (size_t)from->flat), "%s", compare_message());
    free(want);
    free(got);
    folder_remove(folder);
    clseq_params_destroy(from);
    clseq_params_destroy(to);
    clseq_context_destroy(ctx);
}
