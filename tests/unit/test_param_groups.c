/* Groups of parameters with rates and decays of their own: PyTorch's numbers, and the same bits as a model apart. */
#include <criterion/criterion.h>

#include "support/compare.h"
#include "support/device.h"
#include "support/golden.h"
#include "support/graph.h"
#include "support/numeric.h"
#include "support/operand.h"
#include "support/record.h"
#include "support/store.h"
#include "train/optimizer.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 5 };

/* PyTorch's numbers. */
#define ADAM .beta1 = 0.9f, .beta2 = 0.999f, .eps = 1e-8f

/* Each rule, with everything that it reads. */
static const clseq_optimizer_desc settings[] = {
    {.kind = CLSEQ_OPTIMIZER_SGD, .lr = 0.1f, .weight_decay = 0.3f},
    {.kind = CLSEQ_OPTIMIZER_SGD, .lr = 0.1f, .momentum = 0.9f, .nesterov = true, .weight_decay = 0.3f},
    {.kind = CLSEQ_OPTIMIZER_ADAM, .lr = 0.01f, .weight_decay = 0.3f, ADAM},
    {.kind = CLSEQ_OPTIMIZER_ADAMW, .lr = 0.01f, .weight_decay = 0.3f, ADAM},
};
enum { SETTINGS = sizeof settings / sizeof settings[0] };

Test(param_groups, step_record_is_the_same_on_the_device)
{
    clseq_context *ctx = test_context();
    RECORD_CHECK(ctx, "train/step_record.h", step_record, STEP_RECORD);
    clseq_context_destroy(ctx);
}

/* ---- PyTorch ---- */

enum { NAMES = 5 };
static const char *const names[NAMES] = {"a.weight", "a.bias", "norm.gain", "norm.bias", "b.weight"};
static const int64_t elements[NAMES] = {6, 2, 3, 3, 70};
static const clseq_param_group golden_groups[] = {{"*.bias", 0.5f, 0}, {"norm.*", 2, 0.03125f}};

/* The gradients of step t, or the start where there is no t, into the parameters. */
static void load(clseq_params *params, golden *g, const char *what, size_t t)
{
    for (size_t i = 0; i < NAMES; i++) {
        char key[GOLDEN_MAX_NAME];
        snprintf(key, sizeof key, "%s/%s", what, names[i]);
        float *floats =
            test_floats_of(golden_get(g, key)->values + t * (size_t)elements[i], (size_t)elements[i]);
        MUST(strcmp(what, "start") == 0 ? clseq_param_set(params->all[i], floats)
                                        : clseq_param_set_grad(params->all[i], floats));
        free(floats);
    }
}

static void check(clseq_params *params, golden *g, const char *row, size_t t)
{
    for (size_t i = 0; i < NAMES; i++) {
        char key[GOLDEN_MAX_NAME];
        const size_t n = (size_t)elements[i];
        float *got = test_floats(n);
        snprintf(key, sizeof key, "%s/%s", row, names[i]);
        const double *want = golden_values(g, key, STEPS * n);
        MUST(clseq_param_get(params->all[i], got));
        cr_assert(compare_floats(key, got, want + t * n, n, 1e-6), "step %zu: %s", t + 1, compare_message());
        free(got);
    }
}

Test(param_groups, golden)
{
    static const struct {
        const char *name;
        clseq_optimizer_kind kind;
    } rows[] = {{"sgd_momentum", CLSEQ_OPTIMIZER_SGD},
                {"adam", CLSEQ_OPTIMIZER_ADAM},
                {"adamw", CLSEQ_OPTIMIZER_ADAMW}};
    clseq_context *ctx;
    golden *g = golden_open("optimizer_groups.txt");
    for (int shape = 0; (ctx = test_context_shape(shape)) != NULL; shape++) {
        for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
            char key[GOLDEN_MAX_NAME];
            const bool adam = rows[row].kind != CLSEQ_OPTIMIZER_SGD;
            clseq_params *params = store_of(ctx, NAMES, names, elements);
            clseq_optimizer *optimizer = NULL;
            snprintf(key, sizeof key, "%s/numbers", rows[row].name);
            const double *number = golden_values(g, key, adam ? 5 : 3);
            clseq_optimizer_desc desc = {.kind = rows[row].kind,
                                         .lr = (float)number[0],
                                         .momentum = adam ? 0 : (float)number[1],
                                         .weight_decay = (float)number[adam ? 4 : 2],
                                         .groups = golden_groups,
                                         .group_count = 2};
            if (adam) {
                desc.beta1 = (float)number[1];
                desc.beta2 = (float)number[2];
                desc.eps = (float)number[3];
            }
            load(params, g, "start", 0);
            MUST(clseq_optimizer_create(params, &desc, &optimizer));
            for (size_t t = 0; t < STEPS; t++) {
                load(params, g, "gradients", t);
                MUST(clseq_optimizer_step(optimizer));
                check(params, g, rows[row].name, t);
            }
            clseq_optimizer_destroy(optimizer);
            clseq_params_destroy(params);
        }
        clseq_context_destroy(ctx);
    }
    golden_close(g);
}

/* ---- many parameters ---- */

enum { MANY = 300 };

/* w0, b0, w1, b1, ..: weights of up to three blocks, biases of less than one. */
static clseq_params *many(clseq_context *ctx, int count)
{
    static char text[MANY][16];
    const char *name[MANY];
    int64_t n[MANY];
    for (int i = 0; i < count; i++) {
        snprintf(text[i], sizeof text[i], "l%d.%s", i / 2, i % 2 ? "bias" : "weight");
        name[i] = text[i];
        n[i] = i % 2 ? 1 + i % 7 : 1 + i * 37 % 190;
    }
    return store_of(ctx, (size_t)count, name, n);
}

/* Steps along random gradients from a random start, by this descriptor. */
static float *run(clseq_context *ctx, int count, const clseq_optimizer_desc *desc)
{
    clseq_params *params = many(ctx, count);
    clseq_optimizer *optimizer = NULL;
    clseq_context_stats before, after;
    MUST(clseq_optimizer_create(params, desc, &optimizer));
    store_fill(params, params->values, 1);
    for (int t = 0; t < STEPS; t++) {
        store_fill(params, params->grads, 2 + (uint64_t)t);
        MUST(clseq_context_get_stats(ctx, &before));
        MUST(clseq_optimizer_step(optimizer));
        MUST(clseq_context_get_stats(ctx, &after));
        cr_assert_eq(after.launches, before.launches + 1, "a step is one launch");
    }
    float *values = store_read(params, params->values), *grads = store_read(params, params->grads);
    for (int64_t i = 0; i < params->flat; i++)
        cr_assert_eq(grads[i], 0, "gradient %lld is %g", (long long)i, (double)grads[i]);
    free(grads);
    clseq_optimizer_destroy(optimizer);
    clseq_params_destroy(params);
    return values;
}

/*
 * A group's parameters move as they would in a model where all have the group's numbers: bit for bit, as the factors are
 * powers of two. What lies between parameters stays zero.
 */
Test(param_groups, bits_are_those_of_a_model_apart)
{
    static const clseq_param_group groups[] = {
        {"l1?.bias", 0.5f, 0}, {"*.bias", 2, 0.125f}, {"l7.*", 1, 0.5f}};
    const int count = test_small() ? 30 : MANY;
    clseq_context *ctx;
    for (int shape = 0; (ctx = test_context_shape(shape)) != NULL; shape++) {
        for (int s = 0; s < SETTINGS; s++) {
            clseq_optimizer_desc desc = settings[s];
            float *apart[4], *got = NULL;
            for (int k = 0; k < 4; k++) {
                clseq_optimizer_desc alone = settings[s];
                alone.lr *= k < 3 ? groups[k].lr_scale : 1;
                alone.weight_decay = k < 3 ? groups[k].weight_decay : alone.weight_decay;
                apart[k] = run(ctx, count, &alone);
            }
            desc.groups = groups;
            desc.group_count = 3;
            got = run(ctx, count, &desc);
            clseq_params *params = many(ctx, count);
            for (int i = 0; i < count; i++) {
                const clseq_param *p = params->all[i];
                const bool bias = i % 2 == 1, ten = i / 2 >= 10 && i / 2 < 20;
                const float *want = apart[bias && ten ? 0 : bias ? 1 : i / 2 == 7 ? 2 : 3];
                cr_assert(compare_bits(p->name, got + p->offset, want + p->offset, (size_t)p->elements),
                          "setting %d: %s", s, compare_message());
                memset(got + p->offset, 0, (size_t)p->elements * sizeof *got);
            }
            for (int64_t i = 0; i < params->flat; i++)
                cr_assert_eq(got[i], 0, "gap %lld is %g", (long long)i, (double)got[i]);
            clseq_params_destroy(params);
            for (int k = 0; k < 4; k++)
                free(apart[k]);
            free(got);
        }
        clseq_context_destroy(ctx);
    }
}

/* A schedule and a rate that is set apply to all groups, each with its factor. */
static float rising_rate(int64_t step, void *user)
{
    (void)user;
    return 0.25f * (float)(step + 1);
}

Test(param_groups, factors_are_of_the_rate_of_the_step)
{
    clseq_context *ctx = test_context();
    clseq_params *params = store_of(ctx, 2, (const char *const[]){"w", "b"}, (const int64_t[]){1, 1});
    clseq_optimizer *optimizer = NULL;
    const clseq_param_group half = {"b", 0.5f, 0};
    const float one = 1;
    float w, b;
    MUST(clseq_optimizer_create(
        params, &(clseq_optimizer_desc){.lr_at = rising_rate, .groups = &half, .group_count = 1},
        &optimizer));
    for (int t = 0; t < 3; t++) {
        if (t == 2)
            MUST(clseq_optimizer_set_lr(optimizer, 2));
        MUST(clseq_param_set_grad(params->all[0], &one));
        MUST(clseq_param_set_grad(params->all[1], &one));
        MUST(clseq_optimizer_step(optimizer));
    }
    MUST(clseq_param_get(params->all[0], &w));
    MUST(clseq_param_get(params->all[1], &b));
    cr_assert_eq(w, -(0.25f + 0.5f + 2));
    cr_assert_eq(b, w / 2);
    clseq_optimizer_destroy(optimizer);
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
}

/* The descriptor's memory is the caller's again when the optimiser is made. */
Test(param_groups, are_read_once)
{
    clseq_context *ctx = test_context();
    clseq_params *params = store_of(ctx, 2, (const char *const[]){"w", "b"}, (const int64_t[]){1, 1});
    clseq_optimizer *optimizer = NULL;
    char pattern[] = "b";
    clseq_param_group group = {pattern, 0.5f, 0};
    const float one = 1;
    float b;
    MUST(clseq_optimizer_create(params, &(clseq_optimizer_desc){.lr = 1, .groups = &group, .group_count = 1},
                                &optimizer));
    pattern[0] = 'w';
    group = (clseq_param_group){NULL, NAN, NAN};
    MUST(clseq_param_set_grad(params->all[1], &one));
    MUST(clseq_optimizer_step(optimizer));
    MUST(clseq_param_get(params->all[1], &b));
    cr_assert_eq(b, -0.5f);
    clseq_optimizer_destroy(optimizer);
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
}

Test(param_groups, allocate_once_and_give_back)
{
    clseq_context *ctx = test_context();
    clseq_params *params = many(ctx, 30);
    clseq_optimizer *optimizer = NULL;
    clseq_optimizer_desc desc = settings[2];
    clseq_context_stats start, before, after;
    MUST(clseq_context_get_stats(ctx, &start));
    desc.groups = &(clseq_param_group){"*.bias", 1, 0};
    desc.group_count = 1;
    MUST(clseq_optimizer_create(params, &desc, &optimizer));
    MUST(clseq_optimizer_step(optimizer));
    MUST(clseq_context_get_stats(ctx, &before));
    for (int t = 0; t < 3; t++)
        MUST(clseq_optimizer_step(optimizer));
    MUST(clseq_context_get_stats(ctx, &after));
    cr_assert_eq(after.allocations, before.allocations);
    clseq_optimizer_destroy(optimizer);
    MUST(clseq_context_get_stats(ctx, &after));
    cr_assert_eq(after.bytes_in_use, start.bytes_in_use);
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
}

Test(param_groups, errors)
{
    static const struct {
        clseq_param_group groups[2];
        clseq_status status;
        const char *sentence;
    } rows[] = {
        {{{"*", 1, 0}, {NULL, 1, 0}}, CLSEQ_INVALID_ARGUMENT, "optimizer create: groups[1].pattern is NULL"},
        {{{"*.bais", 1, 0}}, CLSEQ_NOT_FOUND, "optimizer create: groups[0]: no parameter matches \"*.bais\""},
        {{{"l1.*", 1, 0}, {"b*", 1, 0}}, CLSEQ_NOT_FOUND, "groups[1]: no parameter matches \"b*\""},
        {{{"*", 1, 0}, {"l0.*", 1, 0}},
         CLSEQ_INVALID_ARGUMENT,
         "optimizer create: groups[1]: every parameter that matches \"l0.*\" is in a group before it"},
        {{{"l0.*", 0, 0}},
         CLSEQ_INVALID_ARGUMENT,
         "optimizer create: groups[0].lr_scale is 0, expected a positive number"},
        {{{"l0.*", -1, 0}}, CLSEQ_INVALID_ARGUMENT, "groups[0].lr_scale is -1"},
        {{{"l0.*", NAN, 0}}, CLSEQ_INVALID_ARGUMENT, "groups[0].lr_scale is nan"},
        {{{"l0.*", INFINITY, 0}}, CLSEQ_INVALID_ARGUMENT, "groups[0].lr_scale is inf"},
        {{{"l0.*", 1, -1}},
         CLSEQ_INVALID_ARGUMENT,
         "optimizer create: groups[0].weight_decay is -1, expected a number of at least 0"},
        {{{"l0.*", 1, NAN}}, CLSEQ_INVALID_ARGUMENT, "groups[0].weight_decay is nan"},
        {{{"l0.*", 1, INFINITY}}, CLSEQ_INVALID_ARGUMENT, "groups[0].weight_decay is inf"},
    };
    clseq_context *ctx = test_context();
    clseq_params *params = many(ctx, 4);
    clseq_optimizer *optimizer = NULL;
    clseq_optimizer_desc desc = {.lr = 1};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        desc.groups = rows[i].groups;
        desc.group_count = rows[i].groups[1].pattern || i == 0 ? 2 : 1;
        EXPECT_ERROR(clseq_optimizer_create(params, &desc, &optimizer), rows[i].status, rows[i].sentence);
        cr_assert_null(optimizer);
    }
    desc.groups = NULL;
    desc.group_count = 3;
    EXPECT_ERROR(clseq_optimizer_create(params, &desc, &optimizer), CLSEQ_INVALID_ARGUMENT,
                 "optimizer create: groups is NULL, group_count 3");
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
}
