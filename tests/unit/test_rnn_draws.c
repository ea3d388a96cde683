/*
 * What passes of training draw, zoneout and recurrent dropout, as outputs show it: with what rate, of what it depends and of
 * what not; and both beside a projection. Values and gradients are compared with the reference in test_rnn.c, under any
 * grid in test_rnn_team.c.
 */
#include "core/context.h"
#include "reference/cells.h"
#include "support/device.h"
#include "support/rnn_run.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double shares[] = {0.25, 0.375}; /* of h and c */

static void set_zoneout(reference_rnn *net)
{
    net->zoneout[0] = shares[0];
    net->zoneout[1] = net->cell->states > 1 ? shares[1] : 0;
}

/* Calls `check` for every schedule of the device. */
static void over_schedules(void (*check)(clseq_context *ctx, const rnn_schedule *schedule))
{
    clseq_context *ctx = test_context();
    for (int s = 0; s < rnn_schedule_count; s++)
        if (rnn_schedule_expected(ctx, &rnn_schedules[s]))
            check(ctx, &rnn_schedules[s]);
    clseq_context_destroy(ctx);
}

static rnn_run *run_of(clseq_context *ctx, const rnn_case *c, clseq_schedule schedule)
{
    rnn_run *run = rnn_run_create(ctx, c, &(rnn_run_options){.schedule = schedule});
    cr_assert_not_null(run, "%s", clseq_last_error());
    return run;
}

/* ---- masks ---- */

/* The state that marks a unit that was kept: no cell here makes it. */
#define MARK 7

enum { B = 20, H = 40, UNITS = B * H, RUNS = 4, STATES = 2 };

/* One step of two layers in two directions from states that are all MARK. */
static rnn_case *marked_case(uint64_t seed, uint64_t stream)
{
    reference_rnn net = {.cell = reference_cell_find("lstm"),
                         .T = 1,
                         .B = B,
                         .I = 2,
                         .H = H,
                         .L = 2,
                         .direction = REFERENCE_BIDIRECTIONAL,
                         .cell_clip = 1,
                         .seed = seed,
                         .stream = stream};
    set_zoneout(&net);
    rnn_case *c = rnn_case_create(&net, 3, 0);
    for (int s = 0; s < STATES; s++)
        for (size_t i = 0; i < c->n[RNN_INITIAL + s]; i++)
            c->in[RNN_INITIAL + s][i] = MARK;
    return c;
}

/* Which units kept their state: [state][layer, direction][B*H]. */
typedef struct masks {
    bool kept[STATES][RUNS][UNITS];
} masks;

static masks *masks_of(clseq_context *ctx, clseq_schedule schedule, uint64_t seed, uint64_t stream)
{
    masks *m = calloc(1, sizeof *m);
    rnn_case *c = marked_case(seed, stream);
    rnn_run *run = run_of(ctx, c, schedule);
    cr_assert_not_null(m);
    rnn_run_forward(run);
    for (int s = 0; s < STATES; s++) {
        float *final = guarded_read(&run->out[RNN_FINAL + s]);
        for (int r = 0; r < RUNS; r++)
            for (int i = 0; i < UNITS; i++)
                m->kept[s][r][i] = final[r * UNITS + i] == MARK;
        free(final);
    }
    rnn_run_destroy(run);
    rnn_case_destroy(c);
    return m;
}

/* `count` of n numbers that are each taken with probability p: within five standard deviations. */
static bool is_likely(int count, int n, double p)
{
    return fabs(count - n * p) <= 5 * sqrt(n * p * (1 - p));
}

/* Two masks have in common what independent ones have. */
static void check_pair(const masks *m, int a, int b)
{
    const bool *first = m->kept[a / RUNS][a % RUNS], *second = m->kept[b / RUNS][b % RUNS];
    int both = 0;
    for (int i = 0; i < UNITS; i++)
        both += first[i] && second[i];
    cr_assert(is_likely(both, UNITS, shares[a / RUNS] * shares[b / RUNS]),
              "state %d of run %d and state %d of run %d have %d of %d units in common", a / RUNS, a % RUNS,
              b / RUNS, b % RUNS, both, UNITS);
}

static void check_masks(clseq_context *ctx, const rnn_schedule *schedule)
{
    masks *m = masks_of(ctx, schedule->id, 1, 2);
    for (int a = 0; a < STATES * RUNS; a++) {
        int kept = 0;
        for (int i = 0; i < UNITS; i++)
            kept += m->kept[a / RUNS][a % RUNS][i];
        cr_assert(is_likely(kept, UNITS, shares[a / RUNS]), "%s: state %d of run %d keeps %d of %d units",
                  schedule->name, a / RUNS, a % RUNS, kept, UNITS);
        for (int b = 0; b < a; b++)
            check_pair(m, a, b);
    }
    free(m);
}

/* With their probabilities, and each layer, direction and state by itself. */
Test(rnn_draws, keeps_units_with_its_probabilities)
{
    over_schedules(check_masks);
}

/* A step keeps other units than those before it: inputs that grow tell which step a unit's h is of. */
static void check_steps(clseq_context *ctx, const rnn_schedule *schedule)
{
    enum { T = 9 };
    reference_rnn net = {
        .cell = reference_cell_find("rnn_tanh"), .T = T, .B = B, .I = 1, .H = H, .L = 1, .seed = 1};
    set_zoneout(&net);
    rnn_case *c = rnn_case_create(&net, 3, 0);
    for (int i = RNN_WEIGHTS; i < c->count; i++)
        for (size_t k = 0; k < c->n[i]; k++)
            c->in[i][k] = i == RNN_WEIGHTS; /* h~ = tanh(x) */
    for (int i = 0; i < T * B; i++)
        c->in[RNN_X][i] = (1 + i / B) / 16.0;
    rnn_run *run = run_of(ctx, c, schedule->id);
    rnn_run_forward(run);
    float *y = guarded_read(&run->out[RNN_Y]);
    for (int t = 1; t < T; t++) {
        int kept = 0, twice = 0;
        for (int i = 0; i < UNITS; i++) {
            const float *at = y + t * UNITS + i;
            kept += at[0] == at[-UNITS];
            twice += t > 1 && at[0] == at[-2 * UNITS];
        }
        cr_assert(is_likely(kept, UNITS, shares[0]), "%s: step %d keeps %d of %d units", schedule->name, t,
                  kept, UNITS);
        cr_assert(t == 1 || is_likely(twice, UNITS, shares[0] * shares[0]),
                  "%s: steps %d and %d both keep %d of %d units", schedule->name, t - 1, t, twice, UNITS);
    }
    free(y);
    rnn_run_destroy(run);
    rnn_case_destroy(c);
}

Test(rnn_draws, keeps_other_units_at_each_step)
{
    over_schedules(check_steps);
}

static bool same(const masks *a, const masks *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

/* The same seed and stream give the same masks under all schedules; another of either gives others. */
Test(rnn_draws, draws_from_its_seed_and_stream)
{
    clseq_context *ctx = test_context();
    masks *first = NULL;
    for (int s = 0; s < rnn_schedule_count; s++) {
        const clseq_schedule id = rnn_schedules[s].id;
        if (!rnn_schedule_expected(ctx, &rnn_schedules[s]))
            continue;
        masks *again = masks_of(ctx, id, 1, 2), *seed = masks_of(ctx, id, UINT64_C(1) << 40 | 1, 2),
              *stream = masks_of(ctx, id, 1, UINT64_C(1) << 40 | 2);
        first = first ? first : masks_of(ctx, id, 1, 2);
        cr_assert(same(first, again), "%s: the same seed gives other masks", rnn_schedules[s].name);
        cr_assert(!same(first, seed), "%s: another seed gives the same masks", rnn_schedules[s].name);
        cr_assert(!same(first, stream), "%s: another stream gives the same masks", rnn_schedules[s].name);
        free(again);
        free(seed);
        free(stream);
    }
    free(first);
    clseq_context_destroy(ctx);
}

/* ---- recurrent dropout ---- */

/*
 * Which units are dropped: h~ = tanh(h U) with U = 1 on the diagonal shows each unit's mask, at each step that begins with an
 * h that is not 0. Zeros stay, so that the masks of later steps are seen where those before keep.
 */
static void check_dropped(clseq_context *ctx, const rnn_schedule *schedule)
{
    enum { T = 5, D = 2 };
    const double share = 0.375;
    const reference_rnn net = {.cell = reference_cell_find("rnn_tanh"),
                               .T = T,
                               .B = B,
                               .I = 1,
                               .H = H,
                               .L = 1,
                               .direction = REFERENCE_BIDIRECTIONAL,
                               .recurrent_dropout = share,
                               .seed = 1};
    rnn_case *c = rnn_case_create(&net, 3, 0);
    for (int i = RNN_WEIGHTS; i < c->count; i++)
        for (size_t k = 0; k < c->n[i]; k++)
            c->in[i][k] = c->weight[i - RNN_WEIGHTS].kind == REFERENCE_WEIGHT_HH && k / H == k % H;
    for (size_t k = 0; k < c->n[RNN_INITIAL]; k++)
        c->in[RNN_INITIAL][k] = 0.5;
    rnn_run *run = run_of(ctx, c, schedule->id);
    rnn_run_forward(run);
    float *y = guarded_read(&run->out[RNN_Y]);
    int kept[D] = {0}, both = 0;
    for (int b = 0; b < B; b++)
        for (int u = 0; u < H; u++) {
            bool is_kept[D];
            for (int d = 0; d < D; d++) {
                is_kept[d] = y[((d ? T - 1 : 0) * B + b) * D * H + d * H + u] != 0;
                kept[d] += is_kept[d];
                for (int t = 0; t < T; t++)
                    cr_assert((y[(t * B + b) * D * H + d * H + u] != 0) == is_kept[d],
                              "%s: step %d of row %d has another mask", schedule->name, t, b);
            }
            both += is_kept[0] && is_kept[1];
        }
    for (int d = 0; d < D; d++)
        cr_assert(is_likely(kept[d], UNITS, 1 - share), "%s: direction %d keeps %d of %d units",
                  schedule->name, d, kept[d], UNITS);
    cr_assert(is_likely(both, UNITS, (1 - share) * (1 - share)), "%s: both directions keep %d of %d units",
              schedule->name, both, UNITS);
    free(y);
    rnn_run_destroy(run);
    rnn_case_destroy(c);
}

Test(rnn_draws, drops_the_same_units_at_all_steps)
{
    over_schedules(check_dropped);
}

/* ---- passes ---- */

/* All that draws, or recurrent dropout alone. */
static rnn_case *problem_of(const char *cell, int P, bool all, uint64_t seed)
{
    static const int lengths[] = {5, 0, 7, 3};
    reference_rnn net = {.cell = reference_cell_find(cell),
                         .T = 7,
                         .B = 4,
                         .I = 3,
                         .H = 21,
                         .L = 2,
                         .P = P,
                         .lengths = lengths,
                         .recurrent_dropout = 0.25,
                         .seed = seed};
    if (all)
        set_zoneout(&net);
    if (all && net.cell->clips)
        net.cell_clip = 0.5;
    if (P > 0)
        net.zoneout[0] = 0;
    rnn_case *c = rnn_case_create(&net, 5, 1e-5);
    rnn_case_run(c);
    rnn_case_bound(c);
    return c;
}

/* Backward passes that come in another order than their forward passes each find their own masks. */
static void check_order(clseq_context *ctx, const rnn_schedule *schedule)
{
    rnn_case *c[2];
    rnn_run *run[2];
    for (int i = 0; i < 2; i++) {
        c[i] = problem_of("lstm", 0, true, 1 + (uint64_t)i);
        run[i] = run_of(ctx, c[i], schedule->id);
        rnn_run_forward(run[i]);
    }
    for (int i = 0; i < 2; i++) {
        rnn_run_backward(run[i], false);
        cr_assert(rnn_run_matches(run[i]), "%s, pass %d: %s", schedule->name, i, rnn_run_message());
        rnn_run_destroy(run[i]);
        rnn_case_destroy(c[i]);
    }
}

Test(rnn_draws, waits_with_the_reserves)
{
    over_schedules(check_order);
}

/* With a projection zoneout is of c alone, and the projected h is dropped; dropout alone, of cells that carry h or not. */
static void check_others(clseq_context *ctx, const rnn_schedule *schedule)
{
    static const struct {
        const char *cell;
        int P;
        bool all;
    } others[] = {{"lstm", 6, true},
                  {"lstm_peephole", 6, true},
                  {"rnn_tanh", 0, false},
                  {"gru_reset_before", 0, false}};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        rnn_case *c = problem_of(others[i].cell, others[i].P, others[i].all, 1);
        rnn_run *run = run_of(ctx, c, schedule->id);
        rnn_run_forward(run);
        rnn_run_backward(run, false);
        cr_assert(rnn_run_matches(run), "%s, %s: %s", schedule->name, others[i].cell, rnn_run_message());
        rnn_run_destroy(run);
        rnn_case_destroy(c);
    }
}

Test(rnn_draws, what_other_tests_do_not_combine)
{
    over_schedules(check_others);
}
