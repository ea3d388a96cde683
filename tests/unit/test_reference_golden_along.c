/* The references of what works along a dim, on rows, and over time against what PyTorch computed in double. */
#include "../reference/along.h"
#include "../reference/norm.h"
#include "../reference/sequence.h"
#include "../support/compare.h"
#include "../support/golden.h"
#include "../support/numeric.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#define AGREEMENT 1e-13

static void same(const golden *g, const char *prefix, const char *name, const double *got, size_t n)
{
    char full[GOLDEN_MAX_NAME];
    snprintf(full, sizeof full, "%s/%s", prefix, name);
    cr_assert(compare_doubles(full, got, golden_values(g, full, n), n, AGREEMENT), "%s", compare_message());
}

static int32_t *integers(const golden *g, const char *name)
{
    const golden_tensor *t = golden_get(g, name);
    int32_t *out = calloc(t->n, sizeof *out);
    cr_assert(out != NULL);
    for (size_t i = 0; i < t->n; i++)
        out[i] = (int32_t)t->values[i];
    return out;
}

Test(reference_golden_along, softmax_and_cumsum)
{
    static const struct {
        const char *name;
        bool is_sum, flags[2];
    } rows[] = {{"softmax", false, {false, false}},      {"log_softmax", false, {true, false}},
                {"cumsum", true, {false, false}},        {"cumsum_exclusive", true, {true, false}},
                {"cumsum_reverse", true, {false, true}}, {"cumsum_exclusive_reverse", true, {true, true}}};
    golden *g = golden_open("along.txt");
    const golden_tensor *x = golden_get(g, "x");
    const reference_along a = {x->dims[0], x->dims[1], x->dims[2]};
    const double *dy = golden_values(g, "dy", x->n);
    double *y = test_doubles(x->n), *dx = test_doubles(x->n);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const bool *flags = rows[i].flags;
        if (rows[i].is_sum) {
            reference_cumsum(a, flags[0], flags[1], x->values, y, NULL);
            reference_cumsum(a, flags[0], !flags[1], dy, dx, NULL);
        } else {
            reference_softmax_forward(a, flags[0], x->values, y);
            reference_softmax_backward(a, flags[0], y, dy, dx);
        }
        same(g, rows[i].name, "y", y, x->n);
        same(g, rows[i].name, "dx", dx, x->n);
    }
    free(y);
    free(dx);
    golden_close(g);
}

Test(reference_golden_along, gather)
{
    golden *g = golden_open("along.txt");
    const golden_tensor *x = golden_get(g, "x"), *dy = golden_get(g, "dpicked");
    const reference_along a = {x->dims[0], x->dims[1], x->dims[2]};
    int32_t *index = integers(g, "index");
    double *y = test_doubles(dy->n), *dx = test_doubles(x->n);
    reference_gather_forward(a, dy->dims[1], x->values, index, y);
    reference_gather_backward(a, dy->dims[1], index, dy->values, dx, NULL, NULL);
    same(g, "gather", "y", y, dy->n);
    same(g, "gather", "dx", dx, x->n);
    free(index);
    free(y);
    free(dx);
    golden_close(g);
}

Test(reference_golden_along, norms)
{
    golden *g = golden_open("norms.txt");
    const golden_tensor *x = golden_get(g, "x");
    const size_t N = x->dims[0], n = x->dims[1];
    const double *gain = golden_values(g, "gain", n), *dy = golden_values(g, "dy", N * n);
    for (int centred = 0; centred < 2; centred++) {
        const char *prefix = centred ? "layer" : "rms";
        const reference_row_norm norm = {centred, 0x1p-6, N, n};
        double *y = test_doubles(N * n), *dx = test_doubles(N * n), *d = test_doubles(2 * n);
        reference_row_norm_forward(norm, x->values, gain, centred ? golden_values(g, "shift", n) : NULL, y);
        reference_row_norm_backward(norm, x->values, gain, dy, dx, d, d + n);
        same(g, prefix, "y", y, N * n);
        same(g, prefix, "dx", dx, N * n);
        same(g, prefix, "dgain", d, n);
        if (centred)
            same(g, prefix, "dshift", d + n, n);
        free(y);
        free(dx);
        free(d);
    }
    golden_close(g);
}

Test(reference_golden_along, sequences)
{
    static const char *const names[] = {"last", "mean", "max"};
    golden *g = golden_open("sequences.txt");
    const golden_tensor *x = golden_get(g, "x");
    int32_t *lengths = integers(g, "lengths");
    const reference_sequence s = {x->dims[0], x->dims[1], x->dims[2], lengths};
    const double *dsteps = golden_values(g, "dsteps", x->n), *drows = golden_values(g, "drows", s.B * s.F);
    double *y = test_doubles(x->n), *dx = test_doubles(x->n);
    reference_reverse(&s, x->values, y);
    reference_reverse(&s, dsteps, dx);
    same(g, "reverse", "y", y, x->n);
    same(g, "reverse", "dx", dx, x->n);
    for (reference_over_time kind = REFERENCE_LAST; kind <= REFERENCE_MAX; kind++) {
        reference_over_time_forward(&s, kind, x->values, y);
        reference_over_time_backward(&s, kind, x->values, drows, dx);
        same(g, names[kind], "y", y, s.B * s.F);
        same(g, names[kind], "dx", dx, x->n);
    }
    free(lengths);
    free(y);
    free(dx);
    golden_close(g);
}
