/*
 * Steps of recurrent layers in a graph: a loop over time is the layer over the sequence, bit for bit, for every cell and option;
 * steps from states of any origin are in test_graph_recur_tree.c.
 */
#include <criterion/criterion.h>

#include "reference/cells.h"
#include "support/compare.h"
#include "support/device.h"
#include "support/faults.h"
#include "support/graph.h"
#include "support/graph_rnn.h"
#include "support/random.h"
#include "support/rnn_variant.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_STEPS = 80 };

/* clseq_recur over x [T,B,I], or [T,B] numbers, by steps. */
static clseq_var *loop(clseq_graph *g, clseq_rnn *rnn, clseq_var *x, const clseq_recur_opts *opts)
{
    clseq_var *state[REFERENCE_MAX_STATES] = {NULL}, *y[MOST_STEPS] = {NULL};
    clseq_tensor value;
    const int states = clseq_rnn_state_count(clseq_rnn_plan_of(rnn));
    EXPECT_OK(clseq_var_value(g, x, &value));
    for (int i = 0; opts->initial && i < states; i++)
        state[i] = opts->initial[i];
    for (int64_t t = 0; t < value.dims[0]; t++)
        y[t] = clseq_recur_step(g, rnn, clseq_squeeze(g, clseq_slice(g, x, 0, t, 1), 0), state, state);
    for (int i = 0; opts->final && i < states; i++)
        opts->final[i] = state[i];
    return clseq_stack(g, y, (int)value.dims[0], 0);
}

typedef struct model {
    clseq_context *ctx;
    clseq_params *params;
    clseq_rnn *rnn;
} model;

static model create(const reference_rnn *net, const rnn_case *c, bool one_hot)
{
    model m = {.ctx = test_context()};
    EXPECT_OK(clseq_params_create(m.ctx, 3, &m.params));
    m.rnn = graph_rnn_new(m.params, net, one_hot);
    graph_rnn_set(m.params, c);
    return m;
}

static void destroy(model *m)
{
    clseq_params_destroy(m->params);
    clseq_context_destroy(m->ctx);
}

/* ---- the same as the layer over the sequence ---- */

/* Copies of all that comes out of a loop or a sequence; in the places of rnn_case.h. */
typedef struct results {
    const rnn_case *c;
    float **data;
} results;

static float *read(clseq_context *ctx, const clseq_tensor *tensor)
{
    float *values = calloc((size_t)clseq_tensor_elements(tensor), sizeof *values);
    EXPECT_OK(clseq_tensor_read(ctx, tensor, values));
    return values;
}

static void keep_value(const model *m, clseq_graph *g, const clseq_var *x, results *r, int place)
{
    clseq_tensor value;
    EXPECT_OK(clseq_var_value(g, x, &value));
    r->data[place] = read(m->ctx, &value);
}

static void keep_grad(const model *m, clseq_graph *g, const clseq_var *x, results *r, int place)
{
    clseq_tensor grad;
    EXPECT_OK(clseq_var_grad(g, x, &grad));
    r->data[place] = read(m->ctx, &grad);
}

static void keep_dweights(const model *m, results *r)
{
    for (int i = RNN_DWEIGHTS; i < r->c->count; i++) {
        clseq_tensor grad;
        EXPECT_OK(clseq_param_grad(graph_rnn_param(m->params, rnn_input_name(r->c, i)), &grad));
        r->data[i] = read(m->ctx, &grad);
    }
}

/* One case by `recur`, with everything asked for. */
static results run(const rnn_case *c, graph_recur_fn *recur)
{
    model m = create(&c->net, c, false);
    results r = {c, calloc((size_t)c->count, sizeof *r.data)};
    const int states = c->net.cell->states;
    clseq_var *initial[REFERENCE_MAX_STATES], *vars[1 + REFERENCE_MAX_STATES],
        *grads[1 + REFERENCE_MAX_STATES];
    clseq_graph *g = clseq_graph_begin(m.ctx, CLSEQ_MODE_TRAINING);
    clseq_graph_seed(g, RNN_VARIANT_SEED, RNN_VARIANT_STEP);
    clseq_var *x = graph_rnn_input(g, c, RNN_X);
    for (int i = 0; i < states; i++)
        initial[i] = graph_rnn_input(g, c, RNN_INITIAL + i);
    vars[0] = recur(g, m.rnn, x, &(clseq_recur_opts){.initial = initial, .final = vars + 1});
    for (int i = 0; i <= states; i++) {
        grads[i] = graph_rnn_input(g, c, i == 0 ? RNN_DY : RNN_DFINAL + i - 1);
        keep_value(&m, g, vars[i], &r, i == 0 ? RNN_Y : RNN_FINAL + i - 1);
    }
    EXPECT_OK(clseq_backward_from(g, 1 + states, vars, grads));
    keep_grad(&m, g, x, &r, RNN_DX);
    for (int i = 0; i < states; i++)
        keep_grad(&m, g, initial[i], &r, RNN_DINITIAL + i);
    graph_end(g);
    keep_dweights(&m, &r);
    destroy(&m);
    return r;
}

static void results_free(results *r)
{
    for (int i = 0; i < r->c->count; i++)
        free(r->data[i]);
    free(r->data);
}

/* `count` places have the same bits in both. */
static void expect_equal(const results *got, const results *want, int count)
{
    for (int i = 0; i < count; i++)
        if (want->data[i])
            cr_assert(compare_bits(rnn_output_name(want->c, i), got->data[i], want->data[i], want->c->n[i]),
                      "%s: %s", want->c->net.cell->name, compare_message());
}

static rnn_case *case_of(const reference_rnn *net)
{
    rnn_case *c = rnn_case_create(net, 11, 1e-5);
    rnn_case_run(c);
    rnn_case_bound(c);
    return c;
}

static void check_case(const reference_rnn *net)
{
    rnn_case *c = case_of(net);
    model m = create(net, c, false);
    clseq_graph *g = clseq_graph_begin(m.ctx, CLSEQ_MODE_TRAINING);
    graph_rnn_check_with(loop, g, m.rnn, m.params, c, graph_rnn_input(g, c, RNN_X), true);
    results whole = run(c, clseq_recur), steps = run(c, loop);
    /* The gradients of the weights add up blocks of steps, where there are several. */
    expect_equal(&steps, &whole, net->T <= 8 ? c->count : RNN_DWEIGHTS);
    results_free(&whole);
    results_free(&steps);
    destroy(&m);
    rnn_case_destroy(c);
}

Test(graph_recur_step, is_a_step_of_the_sequence)
{
    for (int cell = 0; cell < CLSEQ_CELL_COUNT; cell++) {
        const reference_cell *k = reference_cell_at(cell);
        check_case(&(reference_rnn){.cell = k, .T = 5, .B = 3, .I = 4, .H = 7, .L = 1});
        check_case(&(reference_rnn){.cell = k, .T = 8, .B = 3, .I = 4, .H = 7, .L = 2});
        check_case(
            &(reference_rnn){.cell = k, .T = 1, .B = 1, .I = 1, .H = 1, .L = 1, .bias = REFERENCE_BIAS_NONE});
    }
}

/* Longer than blocks of steps are. */
Test(graph_recur_step, goes_on_for_long)
{
    check_case(
        &(reference_rnn){.cell = reference_cell_find("lstm"), .T = 75, .B = 2, .I = 3, .H = 5, .L = 2});
}

Test(graph_recur_step, has_all_options)
{
    for (int cell = 0; cell < CLSEQ_CELL_COUNT; cell++)
        for (int v = RNN_PLAIN + 1; v < RNN_VARIANTS; v++) {
            int widths[RNN_VARIANT_LAYERS];
            /* Nine steps take two blocks. */
            reference_rnn net = {.cell = reference_cell_at(cell), .T = 9, .B = 3, .I = 4, .H = 7, .L = 2};
            if (!rnn_variant_apply(&rnn_variants[v], &net, widths) || net.direction == REFERENCE_REVERSE)
                continue;
            net.direction = REFERENCE_FORWARD;
            net.merge = REFERENCE_CONCAT;
            check_case(&net);
        }
}

/* ---- tokens ---- */

enum { V = 5 };

/* Numbers of a one_hot layer. */
Test(graph_recur_step, reads_numbers)
{
    const reference_rnn net = {.cell = reference_cell_find("gru"), .T = 10, .B = 4, .I = V, .H = 7, .L = 2};
    rnn_case *c = rnn_case_create(&net, 3, 0);
    int32_t numbers[10 * 4];
    for (int row = 0; row < net.T * net.B; row++) {
        numbers[row] = row * 7 % V;
        for (int i = 0; i < V; i++)
            c->in[RNN_X][row * V + i] = i == numbers[row];
    }
    rnn_case_run(c);
    rnn_case_bound(c);
    model m = create(&net, c, true);
    clseq_graph *g = clseq_graph_begin(m.ctx, CLSEQ_MODE_TRAINING);
    graph_rnn_check_with(loop, g, m.rnn, m.params, c,
                         clseq_input_i32(g, numbers, 2, (int64_t[]){net.T, net.B}), false);
    destroy(&m);
    rnn_case_destroy(c);
}

/* Each step looks its tokens up by itself: B rows of a table of V. */
static clseq_var *lookups(clseq_graph *g, clseq_rnn *rnn, const clseq_embedding *embed, const int32_t *tokens,
                          int64_t T, int64_t B)
{
    clseq_var *state[REFERENCE_MAX_STATES] = {NULL}, *y[MOST_STEPS];
    for (int64_t t = 0; t < T; t++) {
        clseq_var *x = clseq_embed(g, embed, clseq_input_i32(g, tokens + t * B, 1, &B));
        y[t] = clseq_recur_step(g, rnn, x, state, state);
    }
    return clseq_stack(g, y, (int)T, 0);
}

/* Through the table, where that pays: the reference multiplies its rows. Bounds are doubled, as products are made in another order. */
Test(graph_recur_step, reads_tables_of_embeddings)
{
    enum { T = 10, B = 12, E = 3 };
    const reference_rnn net = {.cell = reference_cell_find("lstm"), .T = T, .B = B, .I = E, .H = 7, .L = 1};
    rnn_case *c = rnn_case_create(&net, 4, 0);
    test_random random = test_random_seed(4);
    double table[V * E], dtable[V * E] = {0}, bound[V * E] = {0};
    int32_t tokens[T * B];
    clseq_embedding *embed = NULL;
    test_random_fill(&random, table, V * E, -1, 1);
    memset(c->in[RNN_INITIAL], 0, c->n[RNN_INITIAL] * sizeof(double));
    memset(c->in[RNN_INITIAL + 1], 0, c->n[RNN_INITIAL + 1] * sizeof(double));
    memset(c->in[RNN_DFINAL], 0, c->n[RNN_DFINAL] * sizeof(double));
    memset(c->in[RNN_DFINAL + 1], 0, c->n[RNN_DFINAL + 1] * sizeof(double));
    for (int row = 0; row < T * B; row++) {
        tokens[row] = test_random_int(&random, 0, V - 2);
        memcpy(&c->in[RNN_X][row * E], &table[tokens[row] * E], E * sizeof(double));
    }
    rnn_case_run(c);
    rnn_case_bound(c);
    for (int i = 0; i < c->count; i++)
        for (size_t k = 0; c->bound[i] && k < c->n[i]; k++)
            c->bound[i][k] *= 2;
    for (int i = 0; i < T * B * E; i++) {
        dtable[tokens[i / E] * E + i % E] += c->want[RNN_DX][i];
        bound[tokens[i / E] * E + i % E] += c->bound[RNN_DX][i];
    }
    model m = {.ctx = test_context()};
    EXPECT_OK(clseq_params_create(m.ctx, 3, &m.params));
    EXPECT_OK(clseq_embedding_new(m.params, "embed", V, E, &embed));
    m.rnn = graph_rnn_new(m.params, &net, false);
    graph_rnn_set(m.params, c);
    graph_set_param(clseq_params_find(m.params, "embed.weight"), table);
    clseq_graph *g = clseq_graph_begin(m.ctx, CLSEQ_MODE_TRAINING);
    clseq_var *y = lookups(g, m.rnn, embed, tokens, T, B);
    graph_expect_value_each("y", g, y, c->want[RNN_Y], c->bound[RNN_Y]);
    graph_backward(g, y, c->in[RNN_DY]);
    graph_end(g);
    graph_rnn_expect_dweights(m.params, c);
    graph_expect_param_grad_each(clseq_params_find(m.params, "embed.weight"), dtable, bound);
    destroy(&m);
    rnn_case_destroy(c);
}

/* ---- inference ---- */

/* The memory of a step is all that a loop holds, and it ends where the sequence does. */
Test(graph_recur_step, runs_for_ever_in_inference)
{
    enum { B = 2, H = 5, CHECKED = 40 };
    const int steps = test_small() ? 60 : 10000;
    const reference_rnn net = {
        .cell = reference_cell_find("lstm"), .T = CHECKED, .B = B, .I = 3, .H = H, .L = 2, .inference = true};
    rnn_case *c = rnn_case_create(&net, 5, 0);
    rnn_case_run(c);
    rnn_case_bound(c);
    model m = create(&net, c, false);
    clseq_graph *g = clseq_graph_begin(m.ctx, CLSEQ_MODE_INFERENCE);
    clseq_var *x = graph_rnn_input(g, c, RNN_X), *state[2];
    clseq_context_stats first = {0}, now;
    for (int i = 0; i < 2; i++)
        state[i] = graph_rnn_input(g, c, RNN_INITIAL + i);
    for (int t = 0; t < steps; t++) {
        clseq_var *before[2] = {state[0], state[1]};
        clseq_scope_begin(g);
        clseq_var *y = clseq_recur_step(g, m.rnn, clseq_squeeze(g, clseq_slice(g, x, 0, t % CHECKED, 1), 0),
                                        state, state);
        if (t < CHECKED)
            graph_expect_value_each("y", g, y, c->want[RNN_Y] + t * B * H, c->bound[RNN_Y] + t * B * H);
        clseq_scope_end(g, 2, state);
        for (int i = 0; i < 2; i++)
            clseq_release(g, before[i]);
        if (t == 50)
            EXPECT_OK(clseq_context_get_stats(m.ctx, &first));
    }
    EXPECT_OK(clseq_context_get_stats(m.ctx, &now));
    cr_assert_eq(now.allocations, first.allocations);
    cr_assert_eq(now.bytes_in_use, first.bytes_in_use);
    graph_end(g);
    destroy(&m);
    rnn_case_destroy(c);
}

/* ---- layers that are not trained ---- */

/* A loop in which the x of steps in `wanted`, bit t for step t, want their gradients, and nothing of others gets one. */
static clseq_var *frozen_loop(clseq_graph *g, clseq_rnn *rnn, const float *x, int64_t B, int64_t I, int64_t T,
                              unsigned wanted)
{
    clseq_var *state[2] = {NULL}, *y[MOST_STEPS];
    for (int64_t t = 0; t < T; t++) {
        clseq_var *row = clseq_input_f32(g, x + t * B * I, 2, (int64_t[]){B, I});
        const bool is_wanted = wanted >> t & 1;
        for (int i = 0; i < 2 && t > 0 && !is_wanted; i++)
            state[i] = clseq_detach(g, state[i]);
        y[t] = clseq_recur_step(g, rnn, is_wanted ? clseq_require_grad(g, row) : row, state, state);
    }
    return clseq_stack(g, y, (int)T, 0);
}

enum { FROZEN_STEPS = 12, FROZEN_ROWS = 2, FROZEN_INPUT = 3 };

/* y of a graph of its own, by the loop or, without `wanted`, by the sequence; *bytes: what was in use for it. */
static float *run_frozen(const model *m, const float *x, const unsigned *wanted, uint64_t *bytes)
{
    const int64_t dims[] = {FROZEN_STEPS, FROZEN_ROWS, FROZEN_INPUT};
    clseq_tensor value;
    clseq_context_stats before, after;
    clseq_graph *g = clseq_graph_begin(m->ctx, CLSEQ_MODE_TRAINING);
    clseq_graph_seed(g, 1, 2);
    EXPECT_OK(clseq_context_get_stats(m->ctx, &before));
    clseq_var *y = wanted ? frozen_loop(g, m->rnn, x, FROZEN_ROWS, FROZEN_INPUT, FROZEN_STEPS, *wanted)
                          : clseq_recur(g, m->rnn, clseq_input_f32(g, x, 3, dims), NULL);
    EXPECT_OK(clseq_context_get_stats(m->ctx, &after));
    EXPECT_OK(clseq_var_value(g, y, &value));
    float *got = read(m->ctx, &value);
    graph_end(g);
    *bytes = after.bytes_in_use - before.bytes_in_use;
    return got;
}

/* Steps through which no gradient will go draw as they would otherwise, in whichever order they come, and keep nothing. */
Test(graph_recur_step, keeps_nothing_of_frozen_layers)
{
    static const unsigned wanted[] = {0xfff, 0xff8, 0xe00, 0x333, 0x8c1, 0};
    enum { COUNT = sizeof wanted / sizeof wanted[0] };
    const reference_rnn net = {.cell = reference_cell_find("lstm"),
                               .T = FROZEN_STEPS,
                               .B = FROZEN_ROWS,
                               .I = FROZEN_INPUT,
                               .H = 5,
                               .L = 2,
                               .zoneout = {0.5, 0.5}};
    rnn_case *c = rnn_case_create(&net, 1, 0);
    model m = create(&net, c, false);
    float x[FROZEN_STEPS * FROZEN_ROWS * FROZEN_INPUT];
    uint64_t bytes[COUNT] = {0}, of_sequence = 0;
    for (size_t i = 0; i < c->n[RNN_X]; i++)
        x[i] = (float)c->in[RNN_X][i];
    EXPECT_OK(clseq_params_freeze(m.params, "*", true, NULL));
    float *want = run_frozen(&m, x, NULL, &of_sequence);
    for (int i = 0; i < COUNT; i++) {
        float *got = run_frozen(&m, x, &wanted[i], &bytes[i]);
        cr_assert(compare_bits("y", got, want, c->n[RNN_Y]), "wanted 0x%x: %s", wanted[i], compare_message());
        free(got);
    }
    cr_assert_lt(bytes[COUNT - 1], bytes[0]);
    free(want);
    destroy(&m);
    rnn_case_destroy(c);
}

/* ---- when gradients are complete ---- */

typedef struct told {
    clseq_context *ctx;
    int count;
    double sum; /* of all gradients that were complete */
} told;

static double sum_of(clseq_context *ctx, clseq_param *param)
{
    clseq_tensor grad;
    double sum = 0;
    EXPECT_OK(clseq_param_grad(param, &grad));
    float *values = read(ctx, &grad);
    for (int64_t i = 0; i < clseq_tensor_elements(&grad); i++)
        sum += fabs((double)values[i]);
    free(values);
    return sum;
}

static clseq_status note(clseq_param *param, cl_event ready, void *user)
{
    told *t = user;
    (void)ready;
    t->count++;
    t->sum += sum_of(t->ctx, param);
    return CLSEQ_OK;
}

/* Once a parameter, after its block of steps, with all that the steps give it. */
Test(graph_recur_step, tells_complete_gradients)
{
    const reference_rnn net = {.cell = reference_cell_find("lstm"), .T = 20, .B = 2, .I = 3, .H = 5, .L = 1};
    rnn_case *c = case_of(&net);
    model m = create(&net, c, false);
    told t = {.ctx = m.ctx};
    double all = 0;
    clseq_graph *g = clseq_graph_begin(m.ctx, CLSEQ_MODE_TRAINING);
    clseq_graph_on_grad_ready(g, note, &t);
    clseq_var *y = loop(g, m.rnn, graph_rnn_input(g, c, RNN_X), &(clseq_recur_opts){0});
    graph_backward(g, y, c->in[RNN_DY]);
    graph_end(g);
    for (int i = RNN_DWEIGHTS; i < c->count; i++)
        all += sum_of(m.ctx, graph_rnn_param(m.params, rnn_input_name(c, i)));
    cr_assert_eq(t.count, c->weights);
    cr_assert(all > 0 && t.sum == all, "gradients of %g were told, expected %g", t.sum, all);
    destroy(&m);
    rnn_case_destroy(c);
}

/* ---- memory, and calls that fail ---- */

/* A graph with a loop over two blocks of a layer whose step draws, forward and backward. */
static clseq_status train(void *data)
{
    const model *m = data;
    static const float x[2 * 3] = {0.1f, 0.2f, 0.3f, 0.4f, 0.5f, 0.6f};
    clseq_var *state[2] = {NULL}, *y = NULL;
    clseq_graph *g = clseq_graph_begin(m->ctx, CLSEQ_MODE_TRAINING);
    for (int t = 0; t < 10; t++)
        y = clseq_recur_step(g, m->rnn, clseq_input_f32(g, x, 2, (int64_t[]){2, 3}), state, state);
    clseq_backward(g, clseq_sum(g, y));
    return g ? clseq_graph_end(g) : CLSEQ_OUT_OF_HOST_MEMORY;
}

Test(graph_recur_step, allocates_nothing_after_the_first_loop)
{
    const reference_rnn net = {
        .cell = reference_cell_find("lstm"), .T = 1, .B = 2, .I = 3, .H = 5, .L = 2, .zoneout = {0.5, 0.5}};
    rnn_case *c = rnn_case_create(&net, 1, 0);
    model m = create(&net, c, false);
    clseq_context_stats first, now;
    EXPECT_OK(train(&m));
    EXPECT_OK(train(&m));
    EXPECT_OK(clseq_context_get_stats(m.ctx, &first));
    const long allocations = faults_allocations();
    for (int i = 0; i < 5; i++)
        EXPECT_OK(train(&m));
    EXPECT_OK(clseq_context_get_stats(m.ctx, &now));
    cr_assert_eq(faults_allocations(), allocations, "%ld host allocations",
                 faults_allocations() - allocations);
    cr_assert_eq(now.allocations, first.allocations);
    cr_assert_eq(now.bytes_in_use, first.bytes_in_use);
    cr_assert(faults_each(train, &m), "%s", faults_message());
    destroy(&m);
    rnn_case_destroy(c);
}

/* ---- what is refused ---- */

typedef struct layers {
    clseq_context *ctx, *other;
    clseq_params *params, *others;
    clseq_rnn *lstm, *reverse, *both, *foreign, *numbers;
} layers;

static clseq_rnn *layer(clseq_params *params, const char *name, clseq_rnn_desc desc)
{
    clseq_rnn *rnn = NULL;
    desc.input = 3;
    desc.hidden = 4;
    EXPECT_OK(clseq_rnn_new(params, name, &desc, NULL, &rnn));
    return rnn;
}

static layers create_layers(void)
{
    layers l = {.ctx = test_context(), .other = test_context()};
    EXPECT_OK(clseq_params_create(l.ctx, 1, &l.params));
    EXPECT_OK(clseq_params_create(l.other, 1, &l.others));
    l.lstm = layer(l.params, "lstm", (clseq_rnn_desc){0});
    l.reverse = layer(l.params, "reverse", (clseq_rnn_desc){.direction = CLSEQ_DIRECTION_REVERSE});
    l.both = layer(l.params, "both", (clseq_rnn_desc){.direction = CLSEQ_DIRECTION_BIDIRECTIONAL});
    l.numbers = layer(l.params, "numbers", (clseq_rnn_desc){.one_hot = true});
    l.foreign = layer(l.others, "foreign", (clseq_rnn_desc){0});
    return l;
}

static void destroy_layers(layers *l)
{
    clseq_params_destroy(l->params);
    clseq_params_destroy(l->others);
    clseq_context_destroy(l->ctx);
    clseq_context_destroy(l->other);
}

static clseq_var *zeros(clseq_graph *g, int ndim, const int64_t *dims)
{
    static const float none[64];
    return clseq_input_f32(g, none, ndim, dims);
}

/* What each of these does in a graph of its own. */
static clseq_var *without_layer(clseq_graph *g, const layers *l)
{
    (void)l;
    return clseq_recur_step(g, NULL, zeros(g, 2, (int64_t[]){2, 3}), NULL, NULL);
}

static clseq_var *of_another_context(clseq_graph *g, const layers *l)
{
    return clseq_recur_step(g, l->foreign, zeros(g, 2, (int64_t[]){2, 3}), NULL, NULL);
}

static clseq_var *without_x(clseq_graph *g, const layers *l)
{
    return clseq_recur_step(g, l->lstm, NULL, NULL, NULL);
}

static clseq_var *of_a_sequence(clseq_graph *g, const layers *l)
{
    return clseq_recur_step(g, l->lstm, zeros(g, 3, (int64_t[]){1, 2, 3}), NULL, NULL);
}

static clseq_var *of_other_features(clseq_graph *g, const layers *l)
{
    return clseq_recur_step(g, l->lstm, zeros(g, 2, (int64_t[]){2, 4}), NULL, NULL);
}

static clseq_var *of_numbers_in_a_sequence(clseq_graph *g, const layers *l)
{
    static const int32_t numbers[] = {0, 1};
    return clseq_recur_step(g, l->numbers, clseq_input_i32(g, numbers, 2, (int64_t[]){1, 2}), NULL, NULL);
}

static clseq_var *in_reverse(clseq_graph *g, const layers *l)
{
    return clseq_recur_step(g, l->reverse, zeros(g, 2, (int64_t[]){2, 3}), NULL, NULL);
}

static clseq_var *in_both_directions(clseq_graph *g, const layers *l)
{
    return clseq_recur_step(g, l->both, zeros(g, 2, (int64_t[]){2, 3}), NULL, NULL);
}

static clseq_var *from_another_state(clseq_graph *g, const layers *l)
{
    clseq_var *initial[2] = {NULL, zeros(g, 3, (int64_t[]){1, 3, 4})}, *final[2] = {NULL};
    return clseq_recur_step(g, l->lstm, zeros(g, 2, (int64_t[]){2, 3}), initial, final);
}

static clseq_var *in_a_part(clseq_graph *g, const layers *l)
{
    clseq_recompute_begin(g);
    return clseq_recur_step(g, l->lstm, zeros(g, 2, (int64_t[]){2, 3}), NULL, NULL);
}

static const struct {
    clseq_var *(*step)(clseq_graph *g, const layers *l);
    clseq_status status;
    const char *sentence;
} refused[] = {
    {without_layer, CLSEQ_INVALID_ARGUMENT, "recur step: rnn is NULL"},
    {of_another_context, CLSEQ_INVALID_ARGUMENT, "recur step: rnn belongs to another context"},
    {without_x, CLSEQ_INVALID_ARGUMENT, "recur step: x is NULL"},
    {of_a_sequence, CLSEQ_INVALID_SHAPE, "recur step: x has shape [1,2,3], expected [B,3]"},
    {of_other_features, CLSEQ_INVALID_SHAPE, "recur step: x has shape [2,4], expected [B,3]"},
    {of_numbers_in_a_sequence, CLSEQ_INVALID_SHAPE, "recur step: x has shape [1,2], expected [B]"},
    {in_reverse, CLSEQ_UNSUPPORTED, "recur step: rnn runs in reverse, expected one in forward direction"},
    {in_both_directions, CLSEQ_UNSUPPORTED, "recur step: rnn has two directions, expected one in forward"},
    {from_another_state, CLSEQ_INVALID_SHAPE,
     "recur step: initial[1] (c) has shape [1,3,4], expected [L*D,B,width] = [1,2,4]"},
    {in_a_part, CLSEQ_UNSUPPORTED,
     "recur step: steps are not for a part of the graph that is computed twice"},
};

Test(graph_recur_step, refuses)
{
    layers l = create_layers();
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        clseq_graph *g = clseq_graph_begin(l.ctx, CLSEQ_MODE_TRAINING);
        cr_assert_null(refused[i].step(g, &l));
        EXPECT_ERROR(clseq_graph_status(g), refused[i].status, refused[i].sentence);
        clseq_graph_end(g);
    }
    destroy_layers(&l);
}

/* After a failure the final states are NULL. */
Test(graph_recur_step, gives_no_states_on_failure)
{
    layers l = create_layers();
    clseq_graph *g = clseq_graph_begin(l.ctx, CLSEQ_MODE_TRAINING);
    clseq_var *some = zeros(g, 1, (int64_t[]){1}), *state[2] = {NULL, NULL}, *final[2] = {some, some};
    cr_assert_null(clseq_recur_step(NULL, l.lstm, NULL, state, final));
    cr_assert(!final[0] && !final[1]);
    final[0] = final[1] = some;
    for (int i = 0; i < 2; i++) {
        cr_assert_null(clseq_recur_step(g, l.lstm, some, state, final));
        cr_assert(!final[0] && !final[1]);
        final[0] = final[1] = some;
    }
    clseq_graph_end(g);
    destroy_layers(&l);
}
