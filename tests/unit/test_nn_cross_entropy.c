/* clseq_nn_cross_entropy_forward and _backward against their references. */
#include "reference/nn.h"
#include "support/bounds.h"
#include "support/compare.h"
#include "support/device.h"
#include "support/golden.h"
#include "support/numeric.h"
#include "support/operand.h"

#include <clseq/nn.h>
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One case; `outside`: some targets are no classes. */
typedef struct setting {
    size_t N, V;
    clseq_cross_entropy_desc desc;
    double range, shift; /* logits within shift +- range */
    bool outside, dloss, in_place;
} setting;

static reference_cross_entropy reference_of(clseq_cross_entropy_desc desc)
{
    return (reference_cross_entropy){desc.ignore, desc.ignore_index, desc.sum};
}

static int32_t *draw_targets(test_random *random, const setting *s)
{
    int32_t *targets = calloc(s->N, sizeof *targets);
    cr_assert(targets != NULL);
    test_random_fill_int(random, targets, s->N, 0, (int)s->V - 1);
    for (size_t n = 0; n < s->N && s->outside; n++)
        if (test_random_int(random, 0, 3) == 0)
            targets[n] = test_random_int(random, 0, 1) ? (int32_t)s->V : -7;
    return targets;
}

/* Whether a target is neither a class nor the ignored one, so that there is no loss. */
static bool is_wrong(const setting *s, const int32_t *targets)
{
    bool wrong = false;
    for (size_t n = 0; n < s->N; n++)
        wrong = wrong || ((targets[n] < 0 || (size_t)targets[n] >= s->V) &&
                          !(s->desc.ignore && targets[n] == s->desc.ignore_index));
    return wrong;
}

static void check_loss(const setting *s, const int32_t *targets, const operand *loss, double want,
                       double bound)
{
    if (!is_wrong(s, targets)) {
        operand_check("loss", loss, &want, &bound);
        return;
    }
    float *got = guarded_read(&loss->g);
    cr_assert(isnan(got[0]), "the loss is %g with a target that is no class", (double)got[0]);
    free(got);
}

static double largest_of(const double *x, size_t n)
{
    double largest = 0;
    for (size_t i = 0; i < n; i++)
        largest = fmax(largest, fabs(x[i]));
    return largest;
}

/* How far dlogits may be off: by the softmax's error, and the rounding of subtraction and scaling. */
static void gradient_bounds(const setting *s, const double *logits, double scale, double *bound)
{
    const double largest = largest_of(logits, s->N * s->V);
    double *softmax = test_doubles(s->V);
    for (size_t n = 0; n < s->N; n++) {
        reference_softmax(logits + n * s->V, s->V, softmax);
        for (size_t v = 0; v < s->V; v++)
            bound[n * s->V + v] = fabs(scale) * (test_softmax_bound((double)s->V, largest, softmax[v]) +
                                                 test_rounding_bound(4, 1)) +
                                  TEST_TINY;
    }
    free(softmax);
}

static double divisor_of(const setting *s, const int32_t *targets)
{
    double count = 0;
    for (size_t n = 0; n < s->N; n++)
        count += targets[n] >= 0 && (size_t)targets[n] < s->V &&
                 !(s->desc.ignore && targets[n] == s->desc.ignore_index);
    return s->desc.sum || count == 0 ? 1 : count;
}

static void check(clseq_context *ctx, setting s)
{
    const int64_t dims[] = {1, (int64_t)s.N, (int64_t)s.V}, one = 1, saved_size = (int64_t)s.N + 1;
    test_random random = test_random_seed(s.N * 1000 + s.V);
    int32_t *values = draw_targets(&random, &s);
    operand logits = operand_random(ctx, &random, 3, dims, s.shift - s.range, s.shift + s.range);
    operand dloss = operand_random(ctx, &random, 1, &one, -3, 3), loss = operand_output(ctx, 1, &one);
    operand saved = operand_output(ctx, 1, &saved_size), out = operand_output(ctx, 3, dims);
    guarded targets = operand_tokens(ctx, 2, dims, values);
    const operand *dlogits = s.in_place ? &logits : &out;
    const double want =
        reference_cross_entropy_forward(reference_of(s.desc), logits.values, values, s.N, s.V);
    const double divisor = divisor_of(&s, values), scale = (s.dloss ? dloss.values[0] : 1) / divisor;
    const double bound = test_cross_entropy_bound(
        (double)s.N, (double)s.V, largest_of(logits.values, logits.n), s.desc.sum ? (double)s.N : 1, want);
    double *want_d = test_doubles(logits.n), *bounds = test_doubles(logits.n);
    float *first_loss = NULL, *first_saved = NULL, *first = NULL;
    reference_cross_entropy_backward(reference_of(s.desc), logits.values, values, s.N, s.V,
                                     s.dloss ? dloss.values[0] : 1, want_d);
    gradient_bounds(&s, logits.values, scale, bounds);
    for (int run = 0; run < 2; run++) {
        operand_reset(&logits);
        operand_reset(&loss);
        operand_reset(&saved);
        operand_reset(&out);
        MUST(clseq_nn_cross_entropy_forward(ctx, &s.desc, &logits.g.tensor, &targets.tensor, &loss.g.tensor,
                                            &saved.g.tensor));
        check_loss(&s, values, &loss, want, bound);
        MUST(clseq_nn_cross_entropy_backward(ctx, &s.desc, &logits.g.tensor, &targets.tensor, &saved.g.tensor,
                                             s.dloss ? &dloss.g.tensor : NULL, &dlogits->g.tensor));
        operand_check("dlogits", dlogits, want_d, bounds);
        if (run == 0) {
            first_loss = guarded_read(&loss.g);
            first_saved = guarded_read(&saved.g);
            first = guarded_read(&dlogits->g);
        }
    }
    operand_check_bits("loss again", &loss, first_loss);
    operand_check_bits("saved again", &saved, first_saved);
    operand_check_bits("dlogits again", dlogits, first);
    cr_assert_eq(first_saved[s.N], (float)divisor, "the divisor is %g, expected %g", (double)first_saved[s.N],
                 divisor);
    free(first_loss);
    free(first_saved);
    free(first);
    free(values);
    free(want_d);
    free(bounds);
    operand_destroy(&logits);
    operand_destroy(&dloss);
    operand_destroy(&loss);
    operand_destroy(&saved);
    operand_destroy(&out);
    guarded_destroy(&targets);
}

Test(nn_cross_entropy, reference)
{
    static const size_t sizes[][2] = {{1, 1},   {1, 3},    {3, 17},   {5, 16},   {7, 100},
                                      {17, 65}, {250, 64}, {3, 1023}, {2, 5000}, {1023, 3}};
    clseq_context *ctx;
    for (int shape = 0; (ctx = test_context_shape(shape)) != NULL; shape++) {
        for (size_t i = 0; i < (test_small() ? 4 : sizeof sizes / sizeof sizes[0]); i++) {
            setting s = {.N = sizes[i][0], .V = sizes[i][1], .range = 3};
            check(ctx, s);
            s.outside = s.dloss = true;
            check(ctx, s);
            s.desc = (clseq_cross_entropy_desc){.ignore = true, .ignore_index = 1, .sum = true};
            s.in_place = true;
            check(ctx, s);
            s.desc.sum = false;
            s.range = 60;
            check(ctx, s);
            s.shift = 3000;
            check(ctx, s);
            s.shift = -3000;
            check(ctx, s);
        }
        clseq_context_destroy(ctx);
    }
}

/* Nothing counts: loss and gradient are 0, not 0/0. */
Test(nn_cross_entropy, all_ignored)
{
    clseq_context *ctx;
    for (int shape = 0; (ctx = test_context_shape(shape)) != NULL; shape++) {
        const int64_t dims[] = {3, 5};
        const int32_t values[3] = {2, 2, 2};
        const clseq_cross_entropy_desc desc = {.ignore = true, .ignore_index = 2};
        test_random random = test_random_seed(1);
        operand logits = operand_random(ctx, &random, 2, dims, -3, 3), out = operand_output(ctx, 2, dims);
        operand loss = operand_output(ctx, 1, (int64_t[]){1}), saved = operand_output(ctx, 1, (int64_t[]){4});
        guarded targets = operand_tokens(ctx, 1, dims, values);
        const double zeros[15] = {0};
        MUST(clseq_nn_cross_entropy_forward(ctx, &desc, &logits.g.tensor, &targets.tensor, &loss.g.tensor,
                                            &saved.g.tensor));
        MUST(clseq_nn_cross_entropy_backward(ctx, &desc, &logits.g.tensor, &targets.tensor, &saved.g.tensor,
                                             NULL, &out.g.tensor));
        operand_check("loss", &loss, zeros, zeros);
        operand_check("dlogits", &out, zeros, zeros);
        operand_destroy(&logits);
        operand_destroy(&out);
        operand_destroy(&loss);
        operand_destroy(&saved);
        guarded_destroy(&targets);
        clseq_context_destroy(ctx);
    }
}

/* The loss of two rows of 20 logits, and the first row's gradient, after logit `at` of the first became `value`. */
static float loss_with(clseq_context *ctx, int at, float value, int32_t target, float gradient[20])
{
    float values[40];
    const int32_t tokens[2] = {target, 1};
    const clseq_cross_entropy_desc ignoring = {.ignore = true, .ignore_index = -1};
    const clseq_cross_entropy_desc *desc = target == -1 ? &ignoring : NULL;
    for (int i = 0; i < 40; i++)
        values[i] = 0.1f * (float)i;
    values[at] = value;
    guarded logits = guarded_create(ctx, CLSEQ_DTYPE_F32, 2, (int64_t[]){2, 20}, GUARDED_DENSE);
    guarded targets = operand_tokens(ctx, 1, (int64_t[]){2}, tokens);
    operand loss = operand_output(ctx, 1, (int64_t[]){1}), saved = operand_output(ctx, 1, (int64_t[]){3});
    guarded_write(&logits, values);
    MUST(clseq_nn_cross_entropy_forward(ctx, desc, &logits.tensor, &targets.tensor, &loss.g.tensor,
                                        &saved.g.tensor));
    MUST(clseq_nn_cross_entropy_backward(ctx, desc, &logits.tensor, &targets.tensor, &saved.g.tensor, NULL,
                                         &logits.tensor));
    float *got = guarded_read(&loss.g), *all = guarded_read(&logits), result = got[0];
    memcpy(gradient, all, 20 * sizeof *gradient);
    free(got);
    free(all);
    guarded_destroy(&logits);
    guarded_destroy(&targets);
    operand_destroy(&loss);
    operand_destroy(&saved);
    return result;
}

/* NaN and +infinity make the loss NaN, wherever they are; a class with logit -infinity has probability 0. */
Test(nn_cross_entropy, not_finite)
{
    clseq_context *ctx;
    float gradient[20];
    for (int shape = 0; (ctx = test_context_shape(shape)) != NULL; shape++) {
        for (int at = 0; at < 20; at += test_small() ? 7 : 1) {
            cr_expect(isnan(loss_with(ctx, at, NAN, 3, gradient)), "NaN at %d is lost", at);
            cr_expect(isnan(gradient[at]) && isnan(gradient[(at + 1) % 20]), "NaN at %d has a gradient", at);
            cr_expect(isnan(loss_with(ctx, at, INFINITY, 3, gradient)), "infinity at %d is lost", at);
            const float loss = loss_with(ctx, at, -INFINITY, 3, gradient);
            cr_expect(at == 3 ? loss == INFINITY : loss > 0 && loss < 10, "-infinity at %d: loss %g", at,
                      (double)loss);
            cr_expect(at == 3 ? gradient[at] == -0.5f : gradient[at] == 0, "-infinity at %d: gradient %g", at,
                      (double)gradient[at]);
        }
        cr_expect(isfinite(loss_with(ctx, 4, NAN, -1, gradient)), "NaN in a row that does not count");
        cr_expect_eq(gradient[4], 0);
        clseq_context_destroy(ctx);
    }
}

/* PyTorch's results, rounded to float. */
Test(nn_cross_entropy, golden)
{
    clseq_context *ctx = test_context_shape(0);
    golden *g = golden_open("cross_entropy.txt");
    const golden_tensor *source = golden_get(g, "logits");
    const size_t N = source->dims[0], V = source->dims[1];
    const int64_t dims[] = {(int64_t)N, (int64_t)V}, saved_size = (int64_t)N + 1;
    for (int sum = 0; sum <= 1; sum++)
        for (int i = 0; i <= 1; i++) {
            const clseq_cross_entropy_desc desc = {.ignore = true, .ignore_index = i ? 2 : -100, .sum = sum};
            char prefix[32], name[GOLDEN_MAX_NAME];
            int32_t *values = calloc(N, sizeof *values);
            cr_assert(values != NULL);
            snprintf(prefix, sizeof prefix, "%s/%d/", sum ? "sum" : "mean", (int)desc.ignore_index);
            snprintf(name, sizeof name, "%stargets", prefix);
            for (size_t n = 0; n < N; n++)
                values[n] = (int32_t)golden_values(g, name, N)[n];
            guarded logits = guarded_create(ctx, CLSEQ_DTYPE_F32, 2, dims, GUARDED_DENSE);
            guarded targets = operand_tokens(ctx, 1, dims, values);
            operand loss = operand_output(ctx, 1, (int64_t[]){1}),
                    saved = operand_output(ctx, 1, &saved_size);
            operand out = operand_output(ctx, 2, dims);
            double *bounds = test_doubles(N * V);
            guarded_write_doubles(&logits, source->values);
            MUST(clseq_nn_cross_entropy_forward(ctx, &desc, &logits.tensor, &targets.tensor, &loss.g.tensor,
                                                &saved.g.tensor));
            MUST(clseq_nn_cross_entropy_backward(ctx, &desc, &logits.tensor, &targets.tensor, &saved.g.tensor,
                                                 NULL, &out.g.tensor));
            snprintf(name, sizeof name, "%sloss", prefix);
            bounds[0] = 2e-6 * golden_values(g, name, 1)[0];
            operand_check(name, &loss, golden_values(g, name, 1), bounds);
            for (size_t k = 0; k < N * V; k++)
                bounds[k] = 2e-6;
            snprintf(name, sizeof name, "%sdlogits", prefix);
            operand_check(name, &out, golden_values(g, name, N * V), bounds);
            free(values);
            free(bounds);
            guarded_destroy(&logits);
            guarded_destroy(&targets);
            operand_destroy(&loss);
            operand_destroy(&saved);
            operand_destroy(&out);
        }
    golden_close(g);
    clseq_context_destroy(ctx);
}

/* Nothing is allocated after the first time. */
Test(nn_cross_entropy, no_new_memory)
{
    clseq_context *ctx = test_context_shape(0);
    const int64_t dims[] = {50, 65};
    clseq_context_stats before, after;
    test_random random = test_random_seed(1);
    int32_t values[50] = {0};
    operand logits = operand_random(ctx, &random, 2, dims, -3, 3);
    guarded targets = operand_tokens(ctx, 1, dims, values);
    operand loss = operand_output(ctx, 1, (int64_t[]){1}), saved = operand_output(ctx, 1, (int64_t[]){51});
    for (int run = 0; run < 3; run++) {
        MUST(clseq_nn_cross_entropy_forward(ctx, NULL, &logits.g.tensor, &targets.tensor, &loss.g.tensor,
                                            &saved.g.tensor));
        MUST(clseq_context_get_stats(ctx, run == 0 ? &before : &after));
    }
    cr_assert_eq(before.allocations, after.allocations);
    operand_destroy(&logits);
    operand_destroy(&loss);
    operand_destroy(&saved);
    guarded_destroy(&targets);
    clseq_context_destroy(ctx);
}

Test(nn_cross_entropy, bad_arguments)
{
    clseq_context *ctx = test_context_shape(0);
    clseq_tensor x = {0}, t = {0}, loss = {0}, saved = {0}, small = {0};
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 2, (int64_t[]){4, 6}, &x));
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_I32, 1, (int64_t[]){4}, &t));
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 1, (int64_t[]){1}, &loss));
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 1, (int64_t[]){5}, &saved));
    MUST(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 2, (int64_t[]){4, 5}, &small));
    const clseq_tensor scalar = clseq_tensor_view(x.buffer, 0, CLSEQ_DTYPE_F32, 0, NULL), none = {0};
    const clseq_tensor inside = clseq_tensor_slice(&saved, 0, 0, 1);
    cr_expect_eq(clseq_nn_cross_entropy_forward(NULL, NULL, &x, &t, &loss, &saved), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_nn_cross_entropy_forward(ctx, NULL, NULL, &t, &loss, &saved), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_nn_cross_entropy_forward(ctx, NULL, &x, &none, &loss, &saved), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_nn_cross_entropy_forward(ctx, NULL, &x, &t, NULL, &saved), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_nn_cross_entropy_forward(ctx, NULL, &x, &t, &loss, NULL), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_nn_cross_entropy_forward(ctx, NULL, &scalar, &t, &loss, &saved), CLSEQ_INVALID_SHAPE);
    cr_expect_eq(clseq_nn_cross_entropy_forward(ctx, NULL, &x, &loss, &loss, &saved), CLSEQ_INVALID_DTYPE);
    cr_expect_eq(clseq_nn_cross_entropy_forward(ctx, NULL, &x, &t, &saved, &saved), CLSEQ_INVALID_SHAPE);
    cr_expect_eq(clseq_nn_cross_entropy_forward(ctx, NULL, &x, &t, &inside, &saved), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_nn_cross_entropy_forward(ctx, NULL, &x, &t, &loss, &loss), CLSEQ_INVALID_SHAPE);
    cr_expect(strstr(clseq_last_error(), "cross entropy forward: saved has shape [1], expected [5]") != NULL,
              "%s", clseq_last_error());
    cr_expect_eq(clseq_nn_cross_entropy_backward(NULL, NULL, &x, &t, &saved, NULL, &x),
                 CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_nn_cross_entropy_backward(ctx, NULL, &x, NULL, &saved, NULL, &x),
                 CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_nn_cross_entropy_backward(ctx, NULL, &x, &t, &saved, NULL, &small),
                 CLSEQ_INVALID_SHAPE);
    cr_expect_eq(clseq_nn_cross_entropy_backward(ctx, NULL, &x, &t, &saved, NULL, NULL),
                 CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_nn_cross_entropy_backward(ctx, NULL, &x, &t, &saved, &saved, &x), CLSEQ_INVALID_SHAPE);
    clseq_tensor_destroy(ctx, &x);
    clseq_tensor_destroy(ctx, &t);
    clseq_tensor_destroy(ctx, &loss);
    clseq_tensor_destroy(ctx, &saved);
    clseq_tensor_destroy(ctx, &small);
    clseq_context_destroy(ctx);
}

/* No description is one of zeros: no class is ignored, the first neither. */
Test(nn_cross_entropy, without_a_description)
{
    clseq_context *ctx;
    for (int shape = 0; (ctx = test_context_shape(shape)) != NULL; shape++) {
        float gradient[20], got = loss_with(ctx, 5, 2, 0, gradient);
        cr_expect(got > 4.1f && got < 4.11f, "the loss is %g", (double)got);
        cr_expect(gradient[0] < -0.4f && gradient[1] > 0, "the gradient begins with %g, %g",
                  (double)gradient[0], (double)gradient[1]);
        clseq_context_destroy(ctx);
    }
}
