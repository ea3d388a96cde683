/*
 * Tests the testers: an honest float implementation stays within the bounds of rnn_case.h, and each of a row
 * of small mistakes does not.
 */
#include "../reference/cells.h"
#include "../reference/nn.h"
#include "../reference/rnn_case.h"
#include "../support/bounds.h"
#include "../support/compare.h"
#include "../support/numeric.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static float sigmoidf(float x)
{
    return 1 / (1 + expf(-x));
}

static float dotf(float start, const float *a, const float *b, int n)
{
    for (int i = 0; i < n; i++)
        start += a[i] * b[i];
    return start;
}

/* One layer of LSTM in plain float, as a simple implementation would write it. h and c [B,H] are updated. */
static void float_lstm(const reference_rnn *net, float *const in[], float *h, float *c, float *y)
{
    const int H = net->H, I = net->I;
    float *next = test_floats((size_t)H), pre[4];
    for (int t = 0; t < net->T; t++)
        for (int b = 0; b < net->B; b++) {
            for (int j = 0; j < H; j++) {
                for (int g = 0; g < 4; g++) {
                    const int r = g * H + j;
                    pre[g] = dotf(in[RNN_WEIGHTS + 2][r] + in[RNN_WEIGHTS + 3][r], in[RNN_WEIGHTS] + r * I,
                                  in[RNN_X] + (t * net->B + b) * I, I);
                    pre[g] = dotf(pre[g], in[RNN_WEIGHTS + 1] + r * H, h + b * H, H);
                }
                float *cell = &c[b * H + j];
                *cell = sigmoidf(pre[1]) * *cell + sigmoidf(pre[0]) * tanhf(pre[2]);
                next[j] = sigmoidf(pre[3]) * tanhf(*cell);
            }
            memcpy(h + b * H, next, (size_t)H * sizeof *h);
            memcpy(y + (t * net->B + b) * H, next, (size_t)H * sizeof *y);
        }
    free(next);
}

static const reference_rnn shapes[] = {
    {.T = 1, .B = 1, .I = 1, .H = 1, .L = 1},
    {.T = 3, .B = 2, .I = 3, .H = 5, .L = 1},
    {.T = 40, .B = 2, .I = 20, .H = 32, .L = 1},
};

enum { SHAPES = sizeof shapes / sizeof shapes[0] };

Test(reference_bounds, a_float_lstm_is_within_the_bounds_and_not_far_below)
{
    for (int i = 0; i < SHAPES; i++)
        for (uint64_t seed = 0; seed < 5; seed++) {
            reference_rnn net = shapes[i];
            net.cell = &reference_lstm;
            rnn_case *c = rnn_case_create(&net, seed, 0);
            rnn_case_run(c);
            rnn_case_bound(c);
            float **in = calloc((size_t)c->count, sizeof *in);
            cr_assert(in != NULL);
            for (int k = 0; k < c->count; k++)
                in[k] = test_floats_of(c->in[k], c->n[k]);
            float *y = test_floats(c->n[RNN_Y]);
            float_lstm(&net, in, in[RNN_INITIAL], in[RNN_INITIAL + 1], y);
            const int places[] = {RNN_Y, RNN_FINAL, RNN_FINAL + 1};
            float *const got[] = {y, in[RNN_INITIAL], in[RNN_INITIAL + 1]};
            compare_reset();
            for (int k = 0; k < 3; k++)
                cr_assert(compare_floats_each(rnn_output_name(c, places[k]), got[k], c->want[places[k]],
                                              c->n[places[k]], c->bound[places[k]]),
                          "shape %d: %s", i, compare_message());
            cr_assert(compare_worst_ratio() < 0.5 && (i == 0 || compare_worst_ratio() > 0.01),
                      "shape %d: the bound is not tight: error/bound is %g", i, compare_worst_ratio());
            for (int k = 0; k < c->count; k++)
                free(in[k]);
            free(in);
            free(y);
            rnn_case_destroy(c);
        }
}

/*
 * Mistakes, each a cell that differs from the right one in a single small term. They are compared with the
 * right cell's results in double, so that nothing but the mistake counts. A mistake is made after what the right cell
 * does in a phase.
 */
static const reference_cell *right;

static int last_phase(const reference_cell *cell)
{
    int phase = 0;
    while (phase + 1 < REFERENCE_MAX_PHASES && cell->phases[phase + 1].forward != NULL)
        phase++;
    return phase;
}

/* A state with 14 good bits. */
static void forward_coarse(reference_unit *u)
{
    right->phases[last_phase(right)].forward(u);
    u->next[right->states - 1] *= 1 + 0x1p-14;
}

/* The gradient of the first gate of one unit with the wrong sign, at steps where the state happens to be
 * positive. */
static void backward_sign(const reference_unit *u, reference_unit *d)
{
    right->phases[0].backward(u, d);
    if (u->previous[0] > 0)
        d->input[0] = -d->input[0];
}

/* The direct way back to the previous state is forgotten (LSTM: dc f; GRU: dh z). */
static void backward_no_direct(const reference_unit *u, reference_unit *d)
{
    right->phases[0].backward(u, d);
    d->previous[right->states - 1] *= 0.9999;
}

/* A derivative computed from a value with 12 good bits, as with a half-precision table. */
static void backward_coarse(const reference_unit *u, reference_unit *d)
{
    right->phases[0].backward(u, d);
    d->input[right->gates - 1] *= 1 + 0x1p-12;
}

/* The same for the gradient of a parameter of a unit. */
static void backward_parameter(const reference_unit *u, reference_unit *d)
{
    right->phases[0].backward(u, d);
    d->parameter[0] *= 1 + 0x1p-12;
}

/* A backward mistake changes at least one gradient, a forward mistake the outputs. */
static const struct {
    const char *what;
    void (*forward)(reference_unit *);                          /* in place of the last phase's */
    void (*backward)(const reference_unit *, reference_unit *); /* in place of the first phase's */
    bool needs_direct, needs_parameter;
} mistakes[] = {
    {"a sign in one gate's gradient", NULL, backward_sign, false, false},
    {"a direct path that is 0.9999 of itself", NULL, backward_no_direct, true, false},
    {"a gradient of 12 bits", NULL, backward_coarse, false, false},
    {"a state of 14 bits", forward_coarse, NULL, false, false},
    {"a parameter's gradient of 12 bits", NULL, backward_parameter, false, true},
};

enum { MISTAKES = sizeof mistakes / sizeof mistakes[0] };

static reference_cell wrong_cell(int mistake)
{
    reference_cell wrong = *right;
    if (mistakes[mistake].forward != NULL)
        wrong.phases[last_phase(right)].forward = mistakes[mistake].forward;
    if (mistakes[mistake].backward != NULL)
        wrong.phases[0].backward = mistakes[mistake].backward;
    return wrong;
}

static bool within_bounds(const rnn_case *c, const rnn_case *other)
{
    for (int i = 0; i < c->count; i++)
        if (c->n[i] > 0 &&
            !compare_doubles_each(rnn_output_name(c, i), other->want[i], c->want[i], c->n[i], c->bound[i]))
            return false;
    return true;
}

/* Whether the last state reaches its previous value beside the recurrent product. */
static bool has_direct_path(const reference_cell *cell)
{
    const reference_unit u = {.previous = {1, 1, 1, 1}};
    reference_unit d = {.next = {1, 1, 1, 1}};
    for (int phase = last_phase(cell); phase >= 0; phase--)
        cell->phases[phase].backward(&u, &d);
    return d.previous[cell->states - 1] != 0;
}

/* Every option that the bounds have to hold for. */
static const struct {
    reference_direction direction;
    int P;
    bool layer_norm;
} options[] = {
    {REFERENCE_FORWARD, 0, false},
    {REFERENCE_BIDIRECTIONAL, 0, false},
    {REFERENCE_FORWARD, 4, false},
    {REFERENCE_FORWARD, 0, true},
};

enum { OPTIONS = sizeof options / sizeof options[0] };

static void must_fail(const reference_rnn *net, int mistake)
{
    if ((mistakes[mistake].needs_direct && !has_direct_path(right)) ||
        (mistakes[mistake].needs_parameter && right->parameter_names[0] == NULL) ||
        (mistakes[mistake].backward == backward_sign && net->P > 0)) /* it looks at the unit's h */
        return;
    rnn_case *c = rnn_case_create(net, 11, 1e-5);
    rnn_case_run(c);
    rnn_case_bound(c);
    cr_assert(within_bounds(c, c));

    const reference_cell wrong = wrong_cell(mistake);
    reference_rnn wrong_net = *net;
    wrong_net.cell = &wrong;
    rnn_case *other = rnn_case_create(&wrong_net, 11, 0);
    for (int k = 0; k < c->count; k++)
        for (size_t e = 0; e < c->n[k]; e++)
            other->in[k][e] = c->in[k][e];
    rnn_case_run(other);
    cr_assert(!within_bounds(c, other), "%s, T=%d, direction %d, P=%d%s: %s passes", right->name, net->T,
              (int)net->direction, net->P, net->layer_norm ? ", layer norm" : "", mistakes[mistake].what);
    rnn_case_destroy(other);
    rnn_case_destroy(c);
}

Test(reference_bounds, small_mistakes_fail)
{
    static const int lengths[] = {40, 7};
    for (int cell = 0; reference_cell_at(cell) != NULL; cell++)
        for (int i = 1; i < SHAPES; i++)
            for (int o = 0; o < OPTIONS; o++)
                for (int m = 0; m < MISTAKES; m++) {
                    reference_rnn net = shapes[i];
                    net.cell = right = reference_cell_at(cell);
                    net.lengths = net.T == 40 ? lengths : NULL;
                    net.direction = options[o].direction;
                    net.P = options[o].P;
                    net.layer_norm = options[o].layer_norm;
                    if ((net.P > 0 && right->carries_h) || (net.layer_norm && !right->layer_norm))
                        continue;
                    must_fail(&net, m);
                }
}

/* A float sum of k products within its bound, a sum without its last product not. */
Test(reference_bounds, sums)
{
    test_random random = test_random_seed(1);
    for (int k = 1; k <= 4096; k = k * 3 + 1) {
        float *a = test_floats((size_t)k), *b = test_floats((size_t)k);
        test_random_fill_float(&random, a, (size_t)k, -1, 1);
        test_random_fill_float(&random, b, (size_t)k, -1, 1);
        double exact = 0, magnitude = 0;
        float sum = 0;
        for (int i = 0; i < k; i++) {
            exact += (double)a[i] * b[i];
            magnitude += fabs((double)a[i] * b[i]);
            sum += a[i] * b[i];
        }
        const double bound = test_gemm_bound(k, magnitude);
        const double short_of_one = exact - (double)a[k - 1] * b[k - 1];
        cr_assert(compare_floats("sum", &sum, &exact, 1, bound), "k=%d: %s", k, compare_message());
        cr_assert(!compare_doubles("sum", &short_of_one, &exact, 1, bound), "k=%d: a missing product passes",
                  k);
        free(a);
        free(b);
    }
}

/* Cross-entropy in plain float: log-sum-exp of each row, then softmax as exp(x - log_sum_exp). Returns the mean. */
static float float_cross_entropy(const float *logits, const int32_t *targets, int N, int V, float *softmax)
{
    float loss = 0;
    for (int n = 0; n < N; n++) {
        const float *x = logits + n * V;
        float largest = x[0], sum = 0;
        for (int v = 1; v < V; v++)
            largest = fmaxf(largest, x[v]);
        for (int v = 0; v < V; v++)
            sum += expf(x[v] - largest);
        const float lse = largest + logf(sum);
        for (int v = 0; v < V; v++)
            softmax[n * V + v] = expf(x[v] - lse);
        loss += lse - x[targets[n]];
    }
    return loss / (float)N;
}

Test(reference_bounds, a_float_cross_entropy_is_within_its_bounds_and_not_far_below)
{
    enum { N = 37 };
    static const int widths[] = {2, 5, 97, 1000};
    const double limits[] = {0.1, 3, 30};
    for (int i = 0; i < 12; i++) {
        const int V = widths[i % 4];
        const double limit = limits[i / 4];
        const size_t n = (size_t)(N * V);
        test_random random = test_random_seed((uint64_t)i);
        double *logits = test_doubles(n), *softmax = test_doubles(n), *bound = test_doubles(n);
        int32_t targets[N];
        test_random_fill(&random, logits, n, -limit, limit);
        test_random_fill_int(&random, targets, N, 0, V - 1);
        float *x = test_floats_of(logits, n), *p = test_floats(n);
        const float got = float_cross_entropy(x, targets, N, V, p);
        const double want =
            reference_cross_entropy_forward((reference_cross_entropy){0}, logits, targets, N, (size_t)V);
        compare_reset();
        cr_assert(compare_floats("loss", &got, &want, 1, test_cross_entropy_bound(N, V, limit, 1, want)),
                  "V=%d: %s", V, compare_message());
        for (int row = 0; row < N; row++)
            reference_softmax(logits + row * V, (size_t)V, softmax + row * V);
        for (size_t k = 0; k < n; k++)
            bound[k] = test_softmax_bound(V, limit, softmax[k]);
        cr_assert(compare_floats_each("softmax", p, softmax, n, bound), "V=%d: %s", V, compare_message());
        cr_assert(compare_worst_ratio() < 0.7 && compare_worst_ratio() > 0.01, "V=%d: error/bound is %g", V,
                  compare_worst_ratio());
        free(logits);
        free(softmax);
        free(bound);
        free(x);
        free(p);
    }
}

Test(reference_bounds, comparisons_reject_what_they_must)
{
    const float got[] = {1, NAN, 3}, fine[] = {1, 2, 3}, infinite[] = {INFINITY}, minus[] = {-0.0f},
                zero[] = {0};
    const double want[] = {1, 2, 3}, bounds[] = {0, 1e9, 0}, no_bound[] = {NAN, NAN, NAN},
                 infinity[] = {INFINITY};
    cr_assert(compare_floats("same", fine, want, 3, 0));
    cr_assert(compare_floats("infinite", infinite, infinity, 1, 0));
    cr_assert(!compare_floats("infinite", infinite, want, 1, 1e30));
    cr_assert(!compare_floats("nan", got, want, 3, INFINITY));
    cr_assert(!compare_floats_each("nan", got, want, 3, bounds));
    cr_assert(strstr(compare_message(), "nan: 1 of 3 elements differ; first [1]: got") != NULL, "%s",
              compare_message());
    cr_assert(!compare_floats_each("bound", fine, want, 3, no_bound));
    cr_assert(compare_bits("bits", fine, fine, 3) && compare_bits("bits", got, got, 3));
    cr_assert(!compare_bits("bits", minus, zero, 1));
    cr_assert(strstr(compare_message(), "bits[0]") != NULL);
    cr_assert(compare_ints("ints", (int32_t[]){1, 2}, (int32_t[]){1, 2}, 2));
    cr_assert(!compare_ints("ints", (int32_t[]){1, 2}, (int32_t[]){1, 3}, 2));
}
