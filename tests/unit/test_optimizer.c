/* Optimisers against the reference and PyTorch, step by step; learning rates. */
#include "reference/optim.h"
#include "support/bounds.h"
#include "support/compare.h"
#include "support/device.h"
#include "support/golden.h"
#include "support/numeric.h"
#include "support/operand.h"

#include "train/optimizer.h"
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PARAMS = 4, STEPS = 8 };
static const int64_t counts[PARAMS] = {1, 3, 100, 1023};
enum { TOTAL = 1 + 3 + 100 + 1023 };

/* A store of four parameters, all zero until load_values. */
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

/* The parameters' values (or gradients) one after the other, to or from the store. */
static void load(clseq_params *params, bool grad, const double *all)
{
    float *floats = test_floats_of(all, TOTAL), *at = floats;
    for (size_t i = 0; i < clseq_params_count(params); i++) {
        clseq_tensor view;
        MUST(grad ? clseq_param_grad(clseq_params_at(params, i), &view)
                  : clseq_param_value(clseq_params_at(params, i), &view));
        MUST(clseq_tensor_write(params->ctx, &view, at));
        at += clseq_tensor_elements(&view);
    }
    free(floats);
}

static float *values_of(clseq_params *params)
{
    float *all = test_floats(TOTAL), *at = all;
    for (size_t i = 0; i < clseq_params_count(params); i++) {
        MUST(clseq_param_get(clseq_params_at(params, i), at));
        at += clseq_params_at(params, i)->elements;
    }
    return all;
}

/* Everything between the parameters is still zero, and so is every gradient. */
static void check_gaps(clseq_params *params)
{
    const clseq_tensor view[] = {clseq_tensor_view(params->values, 0, CLSEQ_DTYPE_F32, 1, &params->flat),
                                 clseq_tensor_view(params->grads, 0, CLSEQ_DTYPE_F32, 1, &params->flat)};
    float *flat = test_floats((size_t)params->flat);
    for (int k = 0; k < 2; k++) {
        MUST(clseq_tensor_read(params->ctx, &view[k], flat));
        for (size_t i = 0; k == 0 && i < params->count; i++)
            memset(flat + params->all[i]->offset, 0, (size_t)params->all[i]->elements * sizeof *flat);
        for (int64_t i = 0; i < params->flat; i++)
            cr_assert_eq(flat[i], 0, "%s %lld is %g", k ? "gradient" : "gap", (long long)i, (double)flat[i]);
    }
    free(flat);
}

/* The reference's state for all elements, and how far the device's values may be off. */
typedef struct shadow {
    double *w, *m, *v, *largest, *bound; /* largest: |gradient| with decay so far */
} shadow;

static void shadow_step(shadow *s, const clseq_optimizer_desc *d, int t, double lr, const double *gradient)
{
    const bool adam = d->kind != CLSEQ_OPTIMIZER_SGD;
    const double decay = d->weight_decay;
    double *before = test_doubles(TOTAL);
    memcpy(before, s->w, TOTAL * sizeof *before);
    if (adam) {
        const reference_adam adam_numbers = {lr,     d->beta1, d->beta2,
                                             d->eps, decay,    d->kind == CLSEQ_OPTIMIZER_ADAMW};
        reference_adam_step(&adam_numbers, t, gradient, TOTAL, s->w, s->m, s->v);
    } else {
        const reference_sgd sgd = {lr, d->momentum, decay, d->nesterov};
        reference_sgd_step(&sgd, gradient, TOTAL, s->w, s->v);
    }
    for (size_t i = 0; i < TOTAL; i++) {
        s->largest[i] = fmax(s->largest[i], fabs(gradient[i]) + decay * fabs(before[i]));
        /* Errors of the moments grow with each step; square root and division are good to 3 units each. */
        const double size = adam ? s->largest[i] / (sqrt(s->v[i] / (1 - pow(d->beta2, t))) + d->eps)
                                 : s->largest[i] / (1 - d->momentum);
        s->bound[i] += test_rounding_bound(2, fmax(fabs(before[i]), fabs(s->w[i]))) +
                       test_rounding_bound(adam ? 2 * t + 16 : 2 * t + 4, lr * size);
    }
    free(before);
}

static shadow shadow_create(const double *start)
{
    shadow s = {test_doubles(TOTAL), test_doubles(TOTAL), test_doubles(TOTAL), test_doubles(TOTAL),
                test_doubles(TOTAL)};
    memcpy(s.w, start, TOTAL * sizeof *start);
    return s;
}

static void shadow_destroy(shadow *s)
{
    free(s->w);
    free(s->m);
    free(s->v);
    free(s->largest);
    free(s->bound);
}

/* STEPS steps along random gradients; the values at the end, for comparison of bits. */
static float *run(clseq_context *ctx, const clseq_optimizer_desc *desc, bool check)
{
    clseq_params *params = four(ctx);
    clseq_optimizer *optimizer = NULL;
    test_random random = test_random_seed(3);
    double *start = test_doubles(TOTAL), *gradient = test_doubles(TOTAL);
    test_random_fill(&random, start, TOTAL, -2, 2);
    load(params, false, start);
    shadow s = shadow_create(start);
    MUST(clseq_optimizer_create(params, desc, &optimizer));
    for (int t = 1; t <= STEPS; t++) {
        const uint64_t version = params->version;
        test_random_fill(&random, gradient, TOTAL, -1, 1);
        load(params, true, gradient);
        shadow_step(&s, &optimizer->desc, t, clseq_optimizer_lr(optimizer), gradient);
        MUST(clseq_optimizer_step(optimizer));
        cr_assert_eq(clseq_optimizer_steps(optimizer), t);
        cr_assert_eq(params->version, version + 1);
        float *got = values_of(params);
        cr_assert(!check || compare_floats_each("values", got, s.w, TOTAL, s.bound), "kind %d, step %d: %s",
                  (int)desc->kind, t, compare_message());
        free(got);
    }
    check_gaps(params);
    float *end = values_of(params);
    shadow_destroy(&s);
    free(start);
    free(gradient);
    clseq_optimizer_destroy(optimizer);
    clseq_params_destroy(params);
    return end;
}

static float rising_rate(int64_t step, void *user)
{
    (void)user;
    return 0.01f * (float)(step + 1);
}

/* PyTorch's numbers. */
#define ADAM .beta1 = 0.9f, .beta2 = 0.999f, .eps = 1e-8f

static const clseq_optimizer_desc settings[] = {
    {.kind = CLSEQ_OPTIMIZER_SGD, .lr = 0.1f},
    {.kind = CLSEQ_OPTIMIZER_SGD, .lr = 0.1f, .weight_decay = 0.3f},
    {.kind = CLSEQ_OPTIMIZER_SGD, .lr = 0.01f, .momentum = 0.9f},
    {.kind = CLSEQ_OPTIMIZER_SGD, .lr = 0.01f, .momentum = 0.9f, .nesterov = true, .weight_decay = 0.1f},
    {.kind = CLSEQ_OPTIMIZER_ADAM, .lr = 0.01f, ADAM},
    {.kind = CLSEQ_OPTIMIZER_ADAM,
     .lr = 0.3f,
     .beta1 = 0.5f,
     .beta2 = 0.9f,
     .eps = 1e-3f,
     .weight_decay = 0.1f},
    {.kind = CLSEQ_OPTIMIZER_ADAMW, .lr = 0.01f, .weight_decay = 0.5f, ADAM},
    {.kind = CLSEQ_OPTIMIZER_ADAMW, .lr = 0.01f, ADAM},
    /* A rate of its own each step, and another one in lr: decay goes by the former. */
    {.kind = CLSEQ_OPTIMIZER_ADAMW, .lr = 0.9f, .lr_at = rising_rate, .weight_decay = 0.5f, ADAM},
    {.kind = CLSEQ_OPTIMIZER_ADAM, .lr = 0.9f, .lr_at = rising_rate, .weight_decay = 0.5f, ADAM},
    {.kind = CLSEQ_OPTIMIZER_SGD, .lr = 0.9f, .lr_at = rising_rate, .weight_decay = 0.5f},
    /* numbers of 0 are 0 */
    {.kind = CLSEQ_OPTIMIZER_ADAM, .lr = 0.01f, .beta1 = 0, .beta2 = 0.999f, .eps = 1e-8f},
    {.kind = CLSEQ_OPTIMIZER_ADAM, .lr = 0.01f, .beta1 = 0.9f, .beta2 = 0, .eps = 1e-2f},
    {.kind = CLSEQ_OPTIMIZER_ADAMW, .lr = 0.01f, .beta1 = 0.9f, .beta2 = 0.999f, .eps = 0},
};
enum { SETTINGS = sizeof settings / sizeof settings[0] };

Test(optimizer, reference_and_repeats)
{
    clseq_context *ctx;
    for (int shape = 0; (ctx = test_context_shape(shape)) != NULL; shape++) {
        for (int i = 0; i < SETTINGS; i += test_small() ? 3 : 1) {
            float *first = run(ctx, &settings[i], true), *second = run(ctx, &settings[i], false);
            cr_assert(compare_bits("second run", second, first, TOTAL), "%s", compare_message());
            free(first);
            free(second);
        }
        clseq_context_destroy(ctx);
    }
}

/* Every trajectory of the golden file, in float. */
Test(optimizer, golden)
{
    static const struct {
        const char *name;
        clseq_optimizer_kind kind;
    } rows[] = {{"sgd", CLSEQ_OPTIMIZER_SGD},          {"sgd_momentum", CLSEQ_OPTIMIZER_SGD},
                {"sgd_nesterov", CLSEQ_OPTIMIZER_SGD}, {"adam", CLSEQ_OPTIMIZER_ADAM},
                {"adam_decay", CLSEQ_OPTIMIZER_ADAM},  {"adamw", CLSEQ_OPTIMIZER_ADAMW}};
    clseq_context *ctx = test_context_shape(0);
    golden *g = golden_open("optimizers.txt");
    const golden_tensor *gradients = golden_get(g, "gradients");
    const size_t steps = gradients->dims[0], n = gradients->dims[1];
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        char key[GOLDEN_MAX_NAME];
        snprintf(key, sizeof key, "%s/numbers", rows[row].name);
        const double *number = golden_values(g, key, rows[row].kind == CLSEQ_OPTIMIZER_SGD ? 4 : 5);
        clseq_optimizer_desc desc = {.kind = rows[row].kind, .lr = (float)number[0]};
        if (desc.kind == CLSEQ_OPTIMIZER_SGD) {
            desc.momentum = (float)number[1];
            desc.weight_decay = (float)number[2];
            desc.nesterov = number[3] != 0;
        } else {
            desc.beta1 = (float)number[1];
            desc.beta2 = (float)number[2];
            desc.eps = (float)number[3];
            desc.weight_decay = (float)number[4];
        }
        clseq_params *params = NULL;
        clseq_param *w = NULL;
        clseq_optimizer *optimizer = NULL;
        clseq_tensor grad;
        float *start = test_floats_of(golden_values(g, "start", n), n), *got = test_floats(n);
        MUST(clseq_params_create(ctx, 1, &params));
        MUST(clseq_params_add(params, "w", 1, (int64_t[]){(int64_t)n}, NULL, &w));
        MUST(clseq_param_set(w, start));
        MUST(clseq_param_grad(w, &grad));
        MUST(clseq_optimizer_create(params, &desc, &optimizer));
        snprintf(key, sizeof key, "%s/values", rows[row].name);
        const double *want = golden_values(g, key, steps * n);
        for (size_t t = 0; t < steps; t++) {
            float *gradient = test_floats_of(gradients->values + t * n, n);
            MUST(clseq_tensor_write(ctx, &grad, gradient));
            MUST(clseq_optimizer_step(optimizer));
            MUST(clseq_param_get(w, got));
            cr_assert(compare_floats(key, got, want + t * n, n, 1e-6), "step %zu: %s", t + 1,
                      compare_message());
            free(gradient);
        }
        free(start);
        free(got);
        clseq_optimizer_destroy(optimizer);
        clseq_params_destroy(params);
    }
    golden_close(g);
    clseq_context_destroy(ctx);
}

/* NaN in a gradient reaches its value and nothing else. */
Test(optimizer, nan_stays_visible)
{
    clseq_context *ctx = test_context_shape(0);
    for (int i = 0; i < SETTINGS; i++) {
        clseq_params *params = four(ctx);
        clseq_optimizer *optimizer = NULL;
        double *gradient = test_doubles(TOTAL);
        gradient[50] = NAN;
        MUST(clseq_optimizer_create(params, &settings[i], &optimizer));
        load(params, true, gradient);
        MUST(clseq_optimizer_step(optimizer));
        float *got = values_of(params);
        for (int k = 0; k < TOTAL; k++)
            cr_assert(k == 50 ? isnan(got[k]) : got[k] == 0, "setting %d: value %d is %g", i, k,
                      (double)got[k]);
        check_gaps(params);
        free(got);
        free(gradient);
        clseq_optimizer_destroy(optimizer);
        clseq_params_destroy(params);
    }
    clseq_context_destroy(ctx);
}

/* Copies all moments, through the views that checkpoints use. */
static void copy_moments(clseq_params *params, const clseq_optimizer *from, const clseq_optimizer *to)
{
    for (int m = 0; m < from->rule->moments; m++)
        for (size_t i = 0; i < clseq_params_count(params); i++) {
            const clseq_tensor a = clseq__optimizer_moment(from, m, clseq_params_at(params, i));
            const clseq_tensor b = clseq__optimizer_moment(to, m, clseq_params_at(params, i));
            MUST(clseq_tensor_copy(params->ctx, &a, &b));
        }
}

/* An optimiser that takes over moments and step count goes on as the first would have. */
Test(optimizer, resumes_bit_for_bit)
{
    clseq_context *ctx = test_context_shape(0);
    for (int i = 0; i < SETTINGS; i++) {
        float *ends[2];
        for (int resumed = 0; resumed < 2; resumed++) {
            clseq_params *params = four(ctx);
            clseq_optimizer *optimizer = NULL, *next = NULL;
            test_random random = test_random_seed(4);
            double *numbers = test_doubles(TOTAL);
            MUST(clseq_optimizer_create(params, &settings[i], &optimizer));
            for (int t = 0; t < 6; t++) {
                if (t == 3 && resumed) {
                    MUST(clseq_optimizer_create(params, &settings[i], &next));
                    copy_moments(params, optimizer, next);
                    clseq__optimizer_set_steps(next, clseq_optimizer_steps(optimizer));
                    clseq_optimizer_destroy(optimizer);
                    optimizer = next;
                }
                test_random_fill(&random, numbers, TOTAL, -1, 1);
                load(params, true, numbers);
                MUST(clseq_optimizer_step(optimizer));
            }
            ends[resumed] = values_of(params);
            free(numbers);
            clseq_optimizer_destroy(optimizer);
            clseq_params_destroy(params);
        }
        cr_assert(compare_bits("values", ends[1], ends[0], TOTAL), "setting %d: %s", i, compare_message());
        free(ends[0]);
        free(ends[1]);
    }
    clseq_context_destroy(ctx);
}

Test(optimizer, moments_have_names)
{
    static const char *const names[SETTINGS][3] = {
        {"sgd"},
        {"sgd"},
        {"sgd", "momentum_buffer"},
        {"sgd", "momentum_buffer"},
        {"adam", "exp_avg", "exp_avg_sq"},
        {"adam", "exp_avg", "exp_avg_sq"},
        {"adamw", "exp_avg", "exp_avg_sq"},
        {"adamw", "exp_avg", "exp_avg_sq"},
        {"adamw", "exp_avg", "exp_avg_sq"},
        {"adam", "exp_avg", "exp_avg_sq"},
        {"sgd"},
        {"adam", "exp_avg", "exp_avg_sq"},
        {"adam", "exp_avg", "exp_avg_sq"},
        {"adamw", "exp_avg", "exp_avg_sq"},
    };
    clseq_context *ctx = test_context_shape(0);
    clseq_params *params = four(ctx);
    for (int i = 0; i < SETTINGS; i++) {
        clseq_optimizer *optimizer = NULL;
        MUST(clseq_optimizer_create(params, &settings[i], &optimizer));
        cr_assert_str_eq(optimizer->rule->name, names[i][0]);
        cr_assert_eq(optimizer->rule->moments, names[i][1] == NULL ? 0 : names[i][2] == NULL ? 1 : 2);
        for (int m = 0; m < optimizer->rule->moments; m++) {
            cr_assert_str_eq(optimizer->rule->moment_names[m], names[i][m + 1]);
            cr_assert_not_null(optimizer->moments[m]);
        }
        clseq_optimizer_destroy(optimizer);
    }
    clseq_optimizer_destroy(NULL);
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
}

static int64_t asked[8], questions;

static float tenth_of_step(int64_t step, void *user)
{
    asked[questions++ % 8] = step;
    return *(float *)user * (float)step;
}

static float broken_rate(int64_t step, void *user)
{
    (void)step;
    return *(float *)user;
}

Test(optimizer, rate_of_each_step)
{
    clseq_context *ctx = test_context_shape(0);
    clseq_params *params = four(ctx);
    clseq_optimizer *optimizer = NULL;
    float tenth = 0.125f, value;
    double *ones = test_doubles(TOTAL);
    for (int i = 0; i < TOTAL; i++)
        ones[i] = 1;
    MUST(clseq_optimizer_create(params, &(clseq_optimizer_desc){.lr_at = tenth_of_step, .lr_user = &tenth},
                                &optimizer));
    for (int t = 0; t < 4; t++) {
        load(params, true, ones);
        MUST(clseq_optimizer_step(optimizer));
        cr_assert_eq(questions, t + 1);
        cr_assert_eq(asked[t], t);
    }
    MUST(clseq_param_get(clseq_params_at(params, 0), &value));
    cr_assert_eq(value, -0.125f * (0 + 1 + 2 + 3));
    cr_assert_eq(clseq_optimizer_lr(optimizer), 0.5f);
    MUST(clseq_optimizer_set_lr(optimizer, 0.25f));
    cr_assert_eq(clseq_optimizer_lr(optimizer), 0.25f);
    load(params, true, ones);
    MUST(clseq_optimizer_step(optimizer));
    MUST(clseq_param_get(clseq_params_at(params, 0), &value));
    cr_assert_eq(value, -1.0f);
    free(ones);
    clseq_optimizer_destroy(optimizer);
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
}

/* A rate that makes no sense fails the step, before anything changes. */
Test(optimizer, bad_rate_of_a_step)
{
    clseq_context *ctx = test_context_shape(0);
    clseq_params *params = four(ctx);
    static float bad[] = {-1, NAN, INFINITY};
    for (int i = 0; i < 3; i++) {
        clseq_optimizer *optimizer = NULL;
        MUST(clseq_optimizer_create(params, &(clseq_optimizer_desc){.lr_at = broken_rate, .lr_user = &bad[i]},
                                    &optimizer));
        const uint64_t version = params->version;
        cr_expect_eq(clseq_optimizer_step(optimizer), CLSEQ_INVALID_ARGUMENT);
        cr_expect_eq(clseq_optimizer_steps(optimizer), 0);
        cr_expect_eq(params->version, version);
        clseq_optimizer_destroy(optimizer);
    }
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
}

/* What a descriptor begins with; one that was filled by hand and forgot the numbers is told where they are. */
Test(optimizer, defaults)
{
    clseq_context *ctx = test_context_shape(0);
    clseq_params *params = four(ctx);
    clseq_optimizer *optimizer = NULL;
    for (int kind = 0; kind < CLSEQ_OPTIMIZER_COUNT; kind++) {
        const clseq_optimizer_desc desc = clseq_optimizer_desc_default((clseq_optimizer_kind)kind, 0.25f);
        const bool adam = kind != CLSEQ_OPTIMIZER_SGD;
        cr_expect(desc.kind == (clseq_optimizer_kind)kind && desc.lr == 0.25f && !desc.lr_at);
        cr_expect(desc.beta1 == (adam ? 0.9f : 0) && desc.beta2 == (adam ? 0.999f : 0));
        cr_expect(desc.eps == (adam ? 1e-8f : 0) && desc.momentum == 0 && !desc.nesterov);
        cr_expect_eq(desc.weight_decay, 0);
        MUST(clseq_optimizer_create(params, &desc, &optimizer));
        clseq_optimizer_destroy(optimizer);
        if (!adam)
            continue;
        cr_expect_eq(
            clseq_optimizer_create(
                params, &(clseq_optimizer_desc){.kind = (clseq_optimizer_kind)kind, .lr = 1}, &optimizer),
            CLSEQ_INVALID_ARGUMENT);
        cr_expect(strstr(clseq_last_error(), "beta2 and eps are 0, expected one of them greater, as "
                                             "clseq_optimizer_desc_default() makes them"),
                  "%s", clseq_last_error());
    }
    const clseq_optimizer_desc none = clseq_optimizer_desc_default(CLSEQ_OPTIMIZER_COUNT, 1);
    cr_expect_eq(clseq_optimizer_create(params, &none, &optimizer), CLSEQ_INVALID_ARGUMENT);
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
}

Test(optimizer, allocates_once_and_gives_back)
{
    clseq_context *ctx = test_context_shape(0);
    clseq_params *params = four(ctx);
    clseq_optimizer *optimizer = NULL;
    clseq_context_stats start, before, after;
    MUST(clseq_params_zero_grad(params));
    MUST(clseq_context_get_stats(ctx, &start));
    MUST(clseq_optimizer_create(params, &settings[4], &optimizer));
    MUST(clseq_context_get_stats(ctx, &before));
    for (int t = 0; t < 3; t++)
        MUST(clseq_optimizer_step(optimizer));
    MUST(clseq_context_get_stats(ctx, &after));
    cr_assert_eq(after.allocations, before.allocations);
    cr_assert_eq(after.launches, before.launches + 3, "a step is one launch");
    clseq_optimizer_destroy(optimizer);
    MUST(clseq_context_get_stats(ctx, &after));
    cr_assert_eq(after.bytes_in_use, start.bytes_in_use);
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
}

Test(optimizer, bad_arguments)
{
    static const clseq_optimizer_desc bad[] = {
        {.kind = CLSEQ_OPTIMIZER_COUNT, .lr = 0.1f},
        {.kind = (clseq_optimizer_kind)-1, .lr = 0.1f},
        {.lr = 0},
        {.lr = -1},
        {.lr = NAN},
        {.lr = INFINITY},
        {.lr = 0.1f, .momentum = 1},
        {.lr = 0.1f, .momentum = -0.1f},
        {.lr = 0.1f, .momentum = NAN},
        {.lr = 0.1f, .nesterov = true},
        {.lr = 0.1f, .weight_decay = -0.1f},
        {.lr = 0.1f, .weight_decay = NAN},
        {.kind = CLSEQ_OPTIMIZER_ADAM, .lr = 0.1f, .momentum = 0.9f, ADAM},
        {.kind = CLSEQ_OPTIMIZER_ADAM, .lr = 0.1f, .beta1 = 1, .beta2 = 0.9f, .eps = 1},
        {.kind = CLSEQ_OPTIMIZER_ADAM, .lr = 0.1f, .beta2 = -0.5f, .eps = 1},
        {.kind = CLSEQ_OPTIMIZER_ADAMW, .lr = 0.1f, .beta2 = NAN, .eps = 1},
        {.kind = CLSEQ_OPTIMIZER_ADAMW, .lr = 0.1f, .beta2 = 0.9f, .eps = -1e-8f},
        {.kind = CLSEQ_OPTIMIZER_ADAMW, .lr = 0.1f, .beta2 = 0.9f, .eps = INFINITY},
        {.kind = CLSEQ_OPTIMIZER_ADAM, .lr = 0.1f},
        {.kind = CLSEQ_OPTIMIZER_ADAMW, .lr = 0.1f, .beta1 = 0.5f},
    };
    clseq_context *ctx = test_context_shape(0);
    clseq_params *params = four(ctx), *empty = NULL;
    clseq_optimizer *optimizer = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_expect_eq(clseq_optimizer_create(params, &bad[i], &optimizer), CLSEQ_INVALID_ARGUMENT, "case %zu",
                     i);
        cr_expect_null(optimizer);
        cr_expect(strstr(clseq_last_error(), "optimizer create: ") != NULL, "%s", clseq_last_error());
    }
    MUST(clseq_params_create(ctx, 1, &empty));
    cr_expect_eq(clseq_optimizer_create(empty, &settings[0], &optimizer), CLSEQ_INVALID_STATE);
    cr_expect_eq(clseq_optimizer_create(NULL, &settings[0], &optimizer), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_optimizer_create(params, NULL, &optimizer), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_optimizer_create(params, &settings[0], NULL), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_optimizer_step(NULL), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_optimizer_set_lr(NULL, 1), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_optimizer_steps(NULL), 0);
    cr_expect(isnan(clseq_optimizer_lr(NULL)));
    MUST(clseq_optimizer_create(params, &settings[0], &optimizer));
    cr_expect_eq(clseq_optimizer_set_lr(optimizer, 0), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_optimizer_set_lr(optimizer, NAN), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_optimizer_lr(optimizer), 0.1f);
    clseq_optimizer_destroy(optimizer);
    clseq_params_destroy(empty);
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
}

typedef struct rate {
    clseq_lr_fn fn;
    clseq_lr lr;
    int64_t step;
    double want;
} rate;

Test(optimizer, ready_made_rates)
{
    static const rate rates[] = {
        {clseq_lr_constant, {.base = 2}, 0, 2},
        {clseq_lr_constant, {.base = 2}, 1000, 2},
        {clseq_lr_constant, {.base = 2, .warmup = 4}, 0, 0},
        {clseq_lr_constant, {.base = 2, .warmup = 4}, 1, 0.5},
        {clseq_lr_constant, {.base = 2, .warmup = 4}, 3, 1.5},
        {clseq_lr_constant, {.base = 2, .warmup = 4}, 4, 2},
        {clseq_lr_decay, {.base = 2, .period = 10, .factor = 0.5f}, 0, 2},
        {clseq_lr_decay, {.base = 2, .period = 10, .factor = 0.5f}, 9, 2},
        {clseq_lr_decay, {.base = 2, .period = 10, .factor = 0.5f}, 10, 1},
        {clseq_lr_decay, {.base = 2, .period = 10, .factor = 0.5f}, 25, 0.5},
        {clseq_lr_decay, {.base = 2, .warmup = 4, .period = 10, .factor = 0.5f}, 2, 1},
        {clseq_lr_decay, {.base = 2, .warmup = 4, .period = 10, .factor = 0.5f}, 13, 2},
        {clseq_lr_decay, {.base = 2, .warmup = 4, .period = 10, .factor = 0.5f}, 14, 1},
        {clseq_lr_decay, {.base = 2, .period = 0, .factor = 0.5f}, 14, 2},
        {clseq_lr_linear, {.base = 2, .period = 10, .factor = 0}, 0, 2},
        {clseq_lr_linear, {.base = 2, .period = 10, .factor = 0}, 5, 1},
        {clseq_lr_linear, {.base = 2, .period = 10, .factor = 0}, 10, 0},
        {clseq_lr_linear, {.base = 2, .period = 10, .factor = 0.5f}, 20, 1},
        {clseq_lr_linear, {.base = 2, .warmup = 2, .period = 10, .factor = 0}, 1, 1},
        {clseq_lr_linear, {.base = 2, .warmup = 2, .period = 10, .factor = 0}, 2, 2},
        {clseq_lr_linear, {.base = 2, .warmup = 2, .period = 10, .factor = 0}, 6, 1},
        {clseq_lr_linear, {.base = 2, .warmup = 8, .period = 4, .factor = 0.5f}, 4, 1},
        {clseq_lr_linear, {.base = 2, .warmup = 8, .period = 4, .factor = 0.5f}, 9, 1},
        {clseq_lr_cosine, {.base = 2, .period = 8, .factor = 0}, 0, 2},
        {clseq_lr_cosine, {.base = 2, .period = 8, .factor = 0}, 2, 1 + 0.70710678118654752},
        {clseq_lr_cosine, {.base = 2, .period = 8, .factor = 0}, 4, 1},
        {clseq_lr_cosine, {.base = 2, .period = 8, .factor = 0.1f}, 8, 0.2},
        {clseq_lr_cosine, {.base = 2, .period = 8, .factor = 0.1f}, 80, 0.2},
        {clseq_lr_cosine, {.base = 2, .warmup = 4, .period = 12, .factor = 0}, 3, 1.5},
        {clseq_lr_cosine, {.base = 2, .warmup = 4, .period = 12, .factor = 0}, 8, 1},
    };
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        clseq_lr lr = rates[i].lr;
        const float got = rates[i].fn(rates[i].step, &lr);
        cr_expect(fabs(got - rates[i].want) <= test_rounding_bound(4, 2), "case %zu gives %g, expected %g", i,
                  (double)got, rates[i].want);
    }
    static const clseq_lr_fn all[] = {clseq_lr_constant, clseq_lr_decay, clseq_lr_linear, clseq_lr_cosine};
    for (int i = 0; i < 4; i++)
        cr_expect(isnan(all[i](0, NULL)));
}

/* Between its ends the cosine mixes base and base*factor. */
Test(optimizer, cosine_to_a_rate_above_zero)
{
    clseq_lr lr = {.base = 2, .period = 8, .factor = 0.1f};
    static const double want[] = {2, 1.1 + 0.9 * 0.70710678118654752, 1.1, 1.1 - 0.9 * 0.70710678118654752,
                                  0.2};
    for (int i = 0; i < 5; i++) {
        const float got = clseq_lr_cosine(2 * i, &lr);
        cr_expect(fabs(got - want[i]) <= test_rounding_bound(4, 2), "step %d has %g, expected %g", 2 * i,
                  (double)got, want[i]);
    }
}
