/* clseq_nn_norm_forward and _backward against their references. */
#include "reference/norm.h"
#include "support/bounds.h"
#include "support/compare.h"
#include "support/device.h"
#include "support/numeric.h"
#include "support/operand.h"

#include <clseq/nn.h>
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct shape {
    int ndim;
    int64_t dims[CLSEQ_MAX_DIMS];
} shape;

static const shape shapes[] = {{1, {1}},
                               {1, {5}},
                               {2, {3, 17}},
                               {3, {2, 3, 16}},
                               {4, {2, 1, 5, 1}},
                               {2, {1, 33}},
                               {6, {2, 1, 2, 1, 3, 7}},
                               {2, {67, 8}}, /* the small ones end here */
                               {2, {300, 100}},
                               {2, {5, 3001}},
                               {1, {5000}},
                               {3, {50, 20, 65}},
                               {2, {3000, 3}}};

enum { SMALL = 8 };

/* Values of x within shift +- range; whether there are gain and shift, and whether outputs take the place of inputs. */
typedef struct setting {
    clseq_norm_kind kind;
    double eps, middle, range;
    bool gain, shift, in_place;
} setting;

/* What a run has: arguments, what is expected of them, and how far they may be off. */
typedef struct run {
    reference_row_norm norm;
    setting s;
    operand x, gain, shift, dy, y, dx, dgain, dshift, saved;
    double *out, *out_error; /* the rows without gain and shift, and how far they may be off */
    double *r, *r_error;     /* relative */
} run;

static double mean_of(const double *v, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += v[i];
    return sum / (double)n;
}

/*
 * out = (x - c - mean) r, where c is the row's first number: u |x - c| of the first difference, the mean's error and u of the
 * second. The variance is off by twice the mean of a difference times its error and by its sum, r by half of that, relative,
 * and by the 2 ulp of rsqrt.
 */
static void row_errors(const run *t, size_t row)
{
    const size_t n = t->norm.n;
    const double *x = t->x.values + row * n, c = t->norm.centred ? x[0] : 0, r = t->r[row];
    double *apart = test_doubles(n), *error = test_doubles(n), cross = 0;
    for (size_t i = 0; i < n; i++)
        apart[i] = fabs(x[i] - c);
    const double of_mean = t->norm.centred ? test_sum_bound((double)n + 2, mean_of(apart, n)) : 0;
    for (size_t i = 0; i < n; i++) {
        const double d = fabs(t->out[row * n + i] / r);
        error[i] =
            (t->norm.centred ? test_rounding_bound(1, apart[i]) + test_rounding_bound(1, d) : 0) + of_mean;
        cross += 2 * (d + error[i]) * error[i] / (double)n;
    }
    const double variance = 1 / (r * r);
    t->r_error[row] = (cross + test_sum_bound((double)n + 4, variance)) * r * r / 2 + test_ulp_bound(2, 1);
    for (size_t i = 0; i < n; i++) {
        const double out = t->out[row * n + i];
        t->out_error[row * n + i] =
            error[i] * r * (1 + t->r_error[row]) + fabs(out) * t->r_error[row] + test_rounding_bound(1, out);
    }
    free(apart);
    free(error);
}

static void check_forward(const run *t)
{
    const size_t n = t->norm.n;
    double *want = test_doubles(t->x.n), *bound = test_doubles(t->x.n);
    const double *gain = t->s.gain ? t->gain.values : NULL, *shift = t->s.shift ? t->shift.values : NULL;
    reference_row_norm_forward(t->norm, t->x.values, gain, shift, want);
    for (size_t i = 0; i < t->x.n; i++) {
        const double g = gain ? fabs(gain[i % n]) : 1, out = fabs(t->out[i]);
        bound[i] = g * t->out_error[i] + test_rounding_bound(1, g * out) + test_rounding_bound(1, want[i]);
    }
    operand_check("y", t->s.in_place ? &t->x : &t->y, want, bound);
    free(want);
    free(bound);
}

static void check_dx(const run *t, const double *want)
{
    const size_t n = t->norm.n;
    double *bound = test_doubles(t->x.n);
    for (size_t row = 0; row < t->norm.N; row++) {
        const double *dy = t->dy.values + row * n, *out = t->out + row * n, *error = t->out_error + row * n;
        double magnitude = 0, slope_magnitude = 0, slope_error = 0;
        for (size_t i = 0; i < n; i++) {
            const double e = fabs((t->s.gain ? t->gain.values[i] : 1) * dy[i]);
            magnitude += e / (double)n;
            slope_magnitude += e * fabs(out[i]) / (double)n;
            slope_error += e * error[i] / (double)n;
        }
        slope_error += test_sum_bound((double)n + 3, slope_magnitude);
        for (size_t i = 0; i < n; i++) {
            const double e = fabs((t->s.gain ? t->gain.values[i] : 1) * dy[i]), r = t->r[row];
            const double mean = t->norm.centred ? magnitude : 0;
            bound[row * n + i] = r * (test_rounding_bound(4, e + mean + fabs(out[i]) * slope_magnitude) +
                                      (t->norm.centred ? test_sum_bound((double)n + 3, magnitude) : 0) +
                                      (fabs(out[i]) + error[i]) * slope_error + slope_magnitude * error[i]) +
                                 fabs(want[row * n + i]) * t->r_error[row] +
                                 test_rounding_bound(1, want[row * n + i]);
        }
    }
    operand_check("dx", t->s.in_place ? &t->dy : &t->dx, want, bound);
    free(bound);
}

static void check_parameters(const run *t, const double *dgain, const double *dshift)
{
    const size_t n = t->norm.n, N = t->norm.N;
    double *of_gain = test_doubles(n), *of_shift = test_doubles(n);
    for (size_t j = 0; j < n; j++) {
        double magnitude = fabs(t->dgain.values[j]), shift_magnitude = fabs(t->dshift.values[j]), error = 0;
        for (size_t i = j; i < N * n; i += n) {
            magnitude += fabs(t->dy.values[i] * t->out[i]);
            error += fabs(t->dy.values[i]) * t->out_error[i];
            shift_magnitude += fabs(t->dy.values[i]);
        }
        of_gain[j] = error + test_sum_bound((double)N + 1, magnitude);
        of_shift[j] = test_sum_bound((double)N + 1, shift_magnitude);
    }
    operand_check("dgain", &t->dgain, dgain, of_gain);
    operand_check("dshift", &t->dshift, dshift, of_shift);
    free(of_gain);
    free(of_shift);
}

static void reset(run *t)
{
    operand *const all[] = {&t->x,  &t->gain,  &t->shift,  &t->dy,   &t->y,
                            &t->dx, &t->dgain, &t->dshift, &t->saved};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        operand_reset(all[i]);
}

/* Forward and backward once; backward reads the x that forward has read, so that goes first where y takes its place. */
static void call(clseq_context *ctx, run *t)
{
    const clseq_tensor *x = &t->x.g.tensor, *gain = t->s.gain ? &t->gain.g.tensor : NULL,
                       *shift = t->s.shift ? &t->shift.g.tensor : NULL;
    const clseq_tensor *dx = t->s.in_place ? &t->dy.g.tensor : &t->dx.g.tensor;
    reset(t);
    MUST(clseq_nn_norm_forward(ctx, t->s.kind, (float)t->s.eps, x, gain, shift, &t->y.g.tensor,
                               &t->saved.g.tensor));
    MUST(clseq_nn_norm_backward(ctx, t->s.kind, x, gain, &t->saved.g.tensor, &t->dy.g.tensor, dx,
                                &t->dgain.g.tensor, &t->dshift.g.tensor));
    if (t->s.in_place)
        MUST(clseq_nn_norm_forward(ctx, t->s.kind, (float)t->s.eps, x, gain, shift, x, &t->saved.g.tensor));
}

static void check(clseq_context *ctx, const shape *sh, setting s)
{
    const int64_t n = sh->dims[sh->ndim - 1];
    run t = {.s = s, .norm = {s.kind == CLSEQ_NORM_LAYER, (float)s.eps, 1, (size_t)n}};
    for (int i = 0; i < sh->ndim - 1; i++)
        t.norm.N *= (size_t)sh->dims[i];
    const int64_t N = (int64_t)t.norm.N;
    test_random random = test_random_seed((uint64_t)(N * 1000 + n));
    t.x = operand_random(ctx, &random, sh->ndim, sh->dims, s.middle - s.range, s.middle + s.range);
    t.dy = operand_random(ctx, &random, sh->ndim, sh->dims, -2, 2);
    t.gain = operand_random(ctx, &random, 1, &n, -2, 2);
    t.shift = operand_random(ctx, &random, 1, &n, -2, 2);
    t.dgain = operand_random(ctx, &random, 1, &n, -2, 2);
    t.dshift = operand_random(ctx, &random, 1, &n, -2, 2);
    t.y = operand_output(ctx, sh->ndim, sh->dims);
    t.dx = operand_output(ctx, sh->ndim, sh->dims);
    t.saved = operand_output(ctx, 2, (int64_t[]){N, 2});
    t.out = test_doubles(t.x.n);
    t.out_error = test_doubles(t.x.n);
    t.r = test_doubles(t.norm.N);
    t.r_error = test_doubles(t.norm.N);
    reference_row_norm_out(t.norm, t.x.values, t.out, t.r);
    for (size_t row = 0; row < t.norm.N; row++)
        row_errors(&t, row);
    double *dx = test_doubles(t.x.n), *dgain = test_doubles((size_t)n), *dshift = test_doubles((size_t)n);
    memcpy(dgain, t.dgain.values, (size_t)n * sizeof *dgain);
    memcpy(dshift, t.dshift.values, (size_t)n * sizeof *dshift);
    reference_row_norm_backward(t.norm, t.x.values, s.gain ? t.gain.values : NULL, t.dy.values, dx, dgain,
                                dshift);
    const operand *const written[] = {s.in_place ? &t.x : &t.y, s.in_place ? &t.dy : &t.dx, &t.dgain,
                                      &t.dshift, &t.saved};
    float *first[5];
    call(ctx, &t);
    check_forward(&t);
    check_dx(&t, dx);
    check_parameters(&t, dgain, dshift);
    for (int i = 0; i < 5; i++)
        first[i] = guarded_read(&written[i]->g);
    call(ctx, &t);
    for (int i = 0; i < 5; i++) {
        operand_check_bits("again", written[i], first[i]);
        free(first[i]);
    }
    operand *const all[] = {&t.x, &t.gain, &t.shift, &t.dy, &t.y, &t.dx, &t.dgain, &t.dshift, &t.saved};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        operand_destroy(all[i]);
    double *const memory[] = {t.out, t.out_error, t.r, t.r_error, dx, dgain, dshift};
    for (size_t i = 0; i < sizeof memory / sizeof memory[0]; i++)
        free(memory[i]);
}

Test(nn_norm, reference)
{
    static const setting settings[] = {
        {.eps = 1e-5, .range = 2, .gain = true, .shift = true},
        {.eps = 1e-5, .range = 2, .in_place = true},
        {.eps = 0.5, .middle = 3, .range = 1e-3, .gain = true, .in_place = true},
        /* A deviation of ten units in the last place of the mean. */
        {.eps = 1e-8, .middle = 1e4, .range = 1e-2, .shift = true},
        {.eps = 1e-5, .range = 1e4, .gain = true},
    };
    clseq_context *ctx;
    for (int shape_of_kernels = 0; (ctx = test_context_shape(shape_of_kernels)) != NULL; shape_of_kernels++) {
        for (size_t i = 0; i < (test_small() ? SMALL : sizeof shapes / sizeof shapes[0]); i++)
            for (size_t k = 0; k < sizeof settings / sizeof settings[0]; k++)
                for (clseq_norm_kind kind = 0; kind < CLSEQ_NORM_COUNT; kind++) {
                    setting s = settings[k];
                    s.kind = kind;
                    check(ctx, &shapes[i], s);
                }
        clseq_context_destroy(ctx);
    }
}
