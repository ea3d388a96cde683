/*
 * What stacks of recurrent layers draw and add between layers, seen through layers whose output is known: the masks of
 * dropout, number by number, how often and how independently they drop, and which pass they belong to. Values and gradients
 * of dropout and of residual connections are compared with the reference where all options are (test_rnn).
 */
#include "reference/cells.h"
#include "rnn/between_record.h"
#include "support/device.h"
#include "support/operand.h"
#include "support/record.h"
#include "support/rnn_run.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

Test(rnn_between, records_lie_on_the_device_as_on_the_host)
{
    clseq_context *ctx = test_context();
    RECORD_CHECK(ctx, "rnn/between_record.h", between_view, BETWEEN_VIEW);
    RECORD_CHECK(ctx, "rnn/between_record.h", between_sum, BETWEEN_SUM);
    clseq_context_destroy(ctx);
}

/* ---- layers whose output is known ---- */

enum { T = 6, B = 5, F = 13, N = T * B * F };

static const reference_rnn dropping = {.T = T, .B = B, .I = F, .H = F, .L = 2, .dropout = 0.5, .seed = 77};

static void fill(double *values, size_t n, double value)
{
    for (size_t i = 0; i < n; i++)
        values[i] = value;
}

/* Layer l puts out what it reads, which must not be negative; or 1 everywhere. */
static void set_layer(const rnn_case *c, int l, bool passes_on)
{
    for (int i = 0; i < c->weights; i++)
        if (c->weight[i].layer == l)
            fill(c->in[RNN_WEIGHTS + i], c->n[RNN_WEIGHTS + i], 0);
    double *w_ih = c->in[rnn_case_weight(c, REFERENCE_WEIGHT_IH, l, 0)];
    for (int f = 0; passes_on && f < F; f++)
        w_ih[f * F + f] = 1;
    if (!passes_on)
        fill(c->in[rnn_case_weight(c, REFERENCE_BIAS_IH, l, 0)], F, 1);
}

/* A relu stack over ones, whose layers but the second last pass on what they read: y is what dropout leaves of the ones that
 * the second last layer puts out. */
static rnn_case *ones_of(reference_rnn net)
{
    net.cell = reference_cell_find("rnn_relu");
    rnn_case *c = rnn_case_create(&net, 1, 0);
    fill(c->in[RNN_X], c->n[RNN_X], 1);
    fill(c->in[RNN_INITIAL], c->n[RNN_INITIAL], 0);
    for (int l = 0; l < net.L; l++)
        set_layer(c, l, l != net.L - 2);
    return c;
}

/* What is left of them, [T,B,F]: to be freed. */
static float *left_of_ones(clseq_context *ctx, const reference_rnn *net, clseq_schedule schedule)
{
    rnn_case *c = ones_of(*net);
    rnn_run *run = rnn_run_create(ctx, c, &(rnn_run_options){.schedule = schedule});
    cr_assert_not_null(run, "%s", clseq_last_error());
    rnn_run_forward(run);
    float *y = guarded_read(&run->out[RNN_Y]);
    rnn_run_destroy(run);
    rnn_case_destroy(c);
    return y;
}

static void check_masks(clseq_context *ctx, clseq_schedule schedule, const reference_rnn *net)
{
    float *y = left_of_ones(ctx, net, schedule);
    for (int i = 0; i < N; i++) {
        const int t = i / F / B, b = i / F % B, f = i % F;
        const double want = reference_rnn_mask(net, net->L - 2, t, b, f);
        cr_assert(y[i] == (float)want, "%s, %d layers: %g at t=%d b=%d f=%d, expected %g",
                  clseq_schedule_name(schedule), net->L, (double)y[i], t, b, f, want);
    }
    free(y);
}

/* One mask for each step and one for all steps, under large seeds, between the first and between later layers. */
Test(rnn_between, masks_are_the_announced_numbers)
{
    clseq_context *ctx;
    for (int shape = 0; (ctx = test_context_shape(shape)) != NULL; shape++) {
        for (int s = 0; s < rnn_schedule_count; s++)
            for (int i = 0; i < 4 && rnn_schedule_expected(ctx, &rnn_schedules[s]); i++) {
                reference_rnn net = dropping;
                net.L = 2 + i % 2;
                net.variational = i / 2;
                net.seed = 0x123456789abcdef0u;
                net.stream = 0xfedcba9876543210u;
                check_masks(ctx, rnn_schedules[s].id, &net);
            }
        clseq_context_destroy(ctx);
    }
}

/* ---- how often, and how independently ---- */

/* Elements of N that are kept, and that both keep: within five standard deviations of what independent ones do. */
static void check_share(const char *what, const float *one, const float *other, double p)
{
    int kept = 0, both = 0;
    for (int i = 0; i < N; i++) {
        kept += one[i] != 0;
        both += one[i] != 0 && other[i] != 0;
    }
    const double share = 1 - p, square = share * share;
    cr_expect(fabs(kept - share * N) < 5 * sqrt(share * p * N), "%s: %d of %d are kept", what, kept, N);
    cr_expect(fabs(both - square * N) < 5 * sqrt(square * (1 - square) * N), "%s: both keep %d of %d", what,
              both, N);
}

/* Masks of other passes, seeds and layers, and those of the same one a row, a step or a feature further on. */
Test(rnn_between, masks_are_independent)
{
    clseq_context *ctx = test_context();
    reference_rnn net = dropping, other[4] = {dropping, dropping, dropping, dropping};
    static const char *const what[] = {"streams", "seeds", "layers", "high words of streams"};
    static const struct {
        const char *what;
        int distance;
    } moved[] = {{"features", 1}, {"blocks", 4}, {"rows", F}, {"steps", B * F}};
    other[0].stream = 1;
    other[1].seed++;
    other[2].L = 3;
    other[3].stream = UINT64_C(1) << 32;
    float *one = left_of_ones(ctx, &net, CLSEQ_SCHEDULE_AUTO), turned[N];
    for (int i = 0; i < 4; i++) {
        float *two = left_of_ones(ctx, &other[i], CLSEQ_SCHEDULE_AUTO);
        check_share(what[i], one, two, net.dropout);
        free(two);
    }
    for (int i = 0; i < 4; i++) {
        for (int k = 0; k < N; k++)
            turned[k] = one[(k + moved[i].distance) % N];
        check_share(moved[i].what, one, turned, net.dropout);
    }
    free(one);
    clseq_context_destroy(ctx);
}

/* ---- which pass a mask belongs to ---- */

/* Three layers with both options, over rows of different lengths. */
static reference_rnn stack_of(const char *cell)
{
    static const int lengths[] = {4, 0, 2};
    return (reference_rnn){.cell = reference_cell_find(cell),
                           .T = 4,
                           .B = 3,
                           .I = 5,
                           .H = 7,
                           .L = 3,
                           .lengths = lengths,
                           .residual = true,
                           .dropout = 0.5,
                           .seed = 3};
}

static rnn_case *case_of(const reference_rnn *net, uint64_t stream)
{
    reference_rnn with = *net;
    with.stream = stream;
    rnn_case *c = rnn_case_create(&with, 5, 0);
    rnn_case_run(c);
    rnn_case_bound(c);
    return c;
}

/* Two passes are in flight, each with a stream of its own, and go back in either order. y takes turns with other rows, and
 * dy is NaN past the ends of rows, which residual connections lead past every layer. */
Test(rnn_between, backward_draws_what_its_forward_pass_drew)
{
    clseq_context *ctx = test_context();
    const reference_rnn net = stack_of("gru");
    for (int last = 0; last < 2; last++) {
        rnn_case *c[] = {case_of(&net, 1), case_of(&net, 2)};
        rnn_run *run[2] = {NULL, NULL};
        for (int i = 0; i < 2; i++) {
            run[i] = rnn_run_create(ctx, c[i], &(rnn_run_options){.y = GUARDED_BY_ROW});
            cr_assert_not_null(run[i], "%s", clseq_last_error());
            rnn_run_forward(run[i]);
        }
        for (int i = 0; i < 2; i++)
            rnn_run_backward(run[i == last], false);
        for (int i = 0; i < 2; i++) {
            cr_assert(rnn_run_matches(run[i]), "pass %d: %s", i, rnn_run_message());
            rnn_run_destroy(run[i]);
            rnn_case_destroy(c[i]);
        }
    }
    clseq_context_destroy(ctx);
}

/* Inference draws nothing and scales nothing. */
Test(rnn_between, inference_drops_nothing)
{
    clseq_context *ctx = test_context();
    const reference_rnn net = stack_of("lstm");
    for (int s = 0; s < rnn_schedule_count; s++) {
        if (!rnn_schedule_expected(ctx, &rnn_schedules[s]))
            continue;
        rnn_case *c = rnn_case_create(&net, 5, 0);
        rnn_run *run = rnn_run_create(
            ctx, c, &(rnn_run_options){.schedule = rnn_schedules[s].id, .mode = CLSEQ_MODE_INFERENCE});
        cr_assert_not_null(run, "%s", clseq_last_error());
        c->net.dropout = 0;
        rnn_case_run(c);
        rnn_case_bound(c);
        rnn_run_forward(run);
        cr_assert(rnn_run_matches_forward(run), "%s: %s", rnn_schedules[s].name, rnn_run_message());
        rnn_run_destroy(run);
        rnn_case_destroy(c);
    }
    clseq_context_destroy(ctx);
}

/* A launch for each option between two layers, in the modes that have it, and no memory beside what two directions hand
 * on. */
Test(rnn_between, options_cost_what_they_need)
{
    enum { LAYERS = 3 };
    clseq_context *ctx = test_context();
    static const clseq_rnn_desc with[] = {
        {.input = 8, .hidden = 8, .layers = LAYERS, .direction = CLSEQ_DIRECTION_BIDIRECTIONAL},
        {.input = 8,
         .hidden = 8,
         .layers = LAYERS,
         .direction = CLSEQ_DIRECTION_BIDIRECTIONAL,
         .dropout = 0.5f},
        {.input = 8,
         .hidden = 8,
         .layers = LAYERS,
         .direction = CLSEQ_DIRECTION_BIDIRECTIONAL,
         .residual = true},
        {.input = 8,
         .hidden = 8,
         .layers = LAYERS,
         .direction = CLSEQ_DIRECTION_BIDIRECTIONAL,
         .dropout = 0.5f,
         .residual = true}};
    static const int training[] = {0, 1, 1, 2}, inference[] = {0, 0, 1, 1};
    for (int mode = 0; mode < 2; mode++) {
        const clseq_rnn_shape shape = {.T = 5, .B = 4, .mode = (clseq_mode)mode};
        const int *launches = shape.mode == CLSEQ_MODE_TRAINING ? training : inference;
        clseq_rnn_sizes sizes[4];
        for (int i = 0; i < 4; i++) {
            clseq_rnn_plan *plan = NULL;
            MUST(clseq_rnn_plan_create(ctx, &with[i], &plan));
            MUST(clseq_rnn_plan_sizes(plan, &shape, &sizes[i]));
            clseq_rnn_plan_destroy(plan);
            const int64_t more = launches[i] * (LAYERS - 1);
            cr_expect_eq(sizes[i].launches_forward, sizes[0].launches_forward + more);
            cr_expect_eq(sizes[i].launches_backward, sizes[0].launches_backward + more);
            cr_expect_eq(sizes[i].workspace, sizes[0].workspace);
            cr_expect_eq(sizes[i].reserve, sizes[0].reserve);
            cr_expect_eq(sizes[i].packed, sizes[0].packed);
        }
    }
    clseq_context_destroy(ctx);
}
