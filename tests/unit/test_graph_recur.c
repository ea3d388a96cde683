/*
 * Recurrent layers in a graph, for every cell: values and all gradients against the double-precision reference, with
 * lengths, initial and final states, several uses.
 */
#include <criterion/criterion.h>

#include "reference/cells.h"
#include "reference/rnn_case.h"
#include "support/compare.h"
#include "support/device.h"
#include "support/faults.h"
#include "support/graph.h"
#include "support/graph_rnn.h"
#include "support/numeric.h"
#include "support/random.h"
#include "support/rnn_variant.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct model {
    clseq_context *ctx;
    clseq_params *params;
    clseq_rnn *rnn;
} model;

static model create(int cell, int64_t input, int64_t hidden, int64_t layers, clseq_bias bias)
{
    model m = {.ctx = test_context()};
    EXPECT_OK(clseq_params_create(m.ctx, 3, &m.params));
    EXPECT_OK(clseq_rnn_new(
        m.params, "rnn",
        &(clseq_rnn_desc){
            .cell = (clseq_cell)cell, .input = input, .hidden = hidden, .layers = layers, .bias = bias},
        NULL, &m.rnn));
    return m;
}

static void destroy(model *m)
{
    clseq_params_destroy(m->params);
    clseq_context_destroy(m->ctx);
}

/* ---- against the reference ---- */

/* One case with everything given and asked for: x, initial states, lengths, gradients of y and of the final states. */
static void check_case(const reference_rnn *net)
{
    rnn_case *c = rnn_case_create(net, 11, 1e-5);
    model m = {.ctx = test_context()};
    rnn_case_run(c);
    rnn_case_bound(c);
    EXPECT_OK(clseq_params_create(m.ctx, 3, &m.params));
    m.rnn = graph_rnn_new(m.params, net, false);
    graph_rnn_set(m.params, c);
    clseq_graph *g = clseq_graph_begin(m.ctx, CLSEQ_MODE_TRAINING);
    graph_rnn_check(g, m.rnn, m.params, c, graph_rnn_input(g, c, RNN_X), true);
    destroy(&m);
    rnn_case_destroy(c);
}

Test(graph_recur, against_the_reference)
{
    const int lengths[] = {3, 0, 5};
    for (int cell = 0; cell < CLSEQ_CELL_COUNT; cell++) {
        const reference_cell *k = reference_cell_at(cell);
        check_case(&(reference_rnn){.cell = k, .T = 5, .B = 3, .I = 4, .H = 7, .L = 1});
        check_case(&(reference_rnn){.cell = k, .T = 5, .B = 3, .I = 4, .H = 7, .L = 2, .lengths = lengths});
        check_case(
            &(reference_rnn){.cell = k, .T = 1, .B = 1, .I = 1, .H = 1, .L = 1, .bias = REFERENCE_BIAS_NONE});
    }
}

/* Every option, and some together, with rows of their own lengths. */
Test(graph_recur, options_against_the_reference)
{
    const int lengths[] = {3, 0, 5};
    for (int cell = 0; cell < CLSEQ_CELL_COUNT; cell++)
        for (int v = RNN_PLAIN + 1; v < RNN_VARIANTS; v++) {
            int widths[RNN_VARIANT_LAYERS];
            reference_rnn net = {
                .cell = reference_cell_at(cell), .T = 5, .B = 3, .I = 4, .H = 7, .L = 2, .lengths = lengths};
            if (rnn_variant_apply(&rnn_variants[v], &net, widths))
                check_case(&net);
        }
}

/* ---- one layer used twice, states not given ---- */

/* The final state of one use starts the next; the same as a sequence of double length, gradients too. */
Test(graph_recur, final_states_start_the_next_use)
{
    enum { T = 6, B = 3, I = 4, H = 5, L = 2 };
    for (int cell = 0; cell < CLSEQ_CELL_COUNT; cell++) {
        rnn_case *c = rnn_case_create(
            &(reference_rnn){.cell = reference_cell_at(cell), .T = T, .B = B, .I = I, .H = H, .L = L}, 12,
            1e-5);
        model m = create(cell, I, H, L, CLSEQ_BIAS_BOTH);
        const int states = clseq_cell_states((clseq_cell)cell);
        clseq_var *middle[2] = {NULL}, *initial[2] = {NULL}, *end[2] = {NULL};
        const clseq_recur_opts first = {.initial = initial, .final = middle},
                               second = {.initial = middle, .final = end};
        rnn_case_run(c);
        rnn_case_bound(c);
        graph_rnn_set(m.params, c);
        clseq_graph *g = clseq_graph_begin(m.ctx, CLSEQ_MODE_TRAINING);
        clseq_var *x = graph_input(g, c->in[RNN_X], 3, (int64_t[]){T, B, I});
        clseq_var *loss = NULL;
        for (int i = 0; i < states; i++)
            initial[i] = graph_input(g, c->in[RNN_INITIAL + i], 3, (int64_t[]){L, B, H});
        clseq_var *y0 = clseq_recur(g, m.rnn, clseq_slice(g, x, 0, 0, 2), &first);
        clseq_var *y1 = clseq_recur(g, m.rnn, clseq_slice(g, x, 0, 2, T - 2), &second);
        clseq_var *y = clseq_concat(g, (clseq_var *[]){y0, y1}, 2, 0);
        graph_expect_value_each("y", g, y, c->want[RNN_Y], c->bound[RNN_Y]);
        loss = clseq_sum(g, clseq_mul(g, y, graph_input(g, c->in[RNN_DY], 3, (int64_t[]){T, B, H})));
        for (int i = 0; i < states; i++)
            loss = clseq_add(
                g, loss,
                clseq_sum(
                    g, clseq_mul(g, end[i], graph_input(g, c->in[RNN_DFINAL + i], 3, (int64_t[]){L, B, H}))));
        EXPECT_OK(clseq_backward(g, loss));
        graph_expect_grad_each("dx", g, x, c->want[RNN_DX], c->bound[RNN_DX]);
        for (int i = 0; i < states; i++)
            graph_expect_grad_each("dinitial", g, initial[i], c->want[RNN_DINITIAL + i],
                                   c->bound[RNN_DINITIAL + i]);
        graph_end(g);
        graph_rnn_expect_dweights(m.params, c);
        destroy(&m);
        rnn_case_destroy(c);
    }
}

/* Only final states are used; gradients of y are zeros then, and states that are not given are zeros. */
Test(graph_recur, only_final_states)
{
    enum { T = 4, B = 2, I = 3, H = 5, L = 1 };
    for (int cell = 0; cell < CLSEQ_CELL_COUNT; cell++) {
        rnn_case *c = rnn_case_create(
            &(reference_rnn){.cell = reference_cell_at(cell), .T = T, .B = B, .I = I, .H = H, .L = L}, 13,
            1e-5);
        model m = create(cell, I, H, L, CLSEQ_BIAS_BOTH);
        memset(c->in[RNN_DY], 0, c->n[RNN_DY] * sizeof(double));
        for (int i = 0; i < 2; i++) {
            if (c->in[RNN_INITIAL + i])
                memset(c->in[RNN_INITIAL + i], 0, c->n[RNN_INITIAL + i] * sizeof(double));
            if (i > 0 && c->in[RNN_DFINAL + i])
                memset(c->in[RNN_DFINAL + i], 0, c->n[RNN_DFINAL + i] * sizeof(double));
        }
        rnn_case_run(c);
        rnn_case_bound(c);
        graph_rnn_set(m.params, c);
        clseq_var *final[2] = {NULL};
        const clseq_recur_opts opts = {.final = final};
        clseq_graph *g = clseq_graph_begin(m.ctx, CLSEQ_MODE_TRAINING);
        clseq_var *x = graph_input(g, c->in[RNN_X], 3, (int64_t[]){T, B, I});
        cr_assert_not_null(clseq_recur(g, m.rnn, x, &opts));
        graph_backward(g, final[0], c->in[RNN_DFINAL]);
        graph_expect_grad_each("dx", g, x, c->want[RNN_DX], c->bound[RNN_DX]);
        graph_end(g);
        graph_rnn_expect_dweights(m.params, c);
        destroy(&m);
        rnn_case_destroy(c);
    }
}

/* ---- modes, weights, errors ---- */

/*
 * Inference gives the training's bits, and the other way round; after every second graph the weights change, which is
 * noticed by the next one in the same mode.
 */
Test(graph_recur, modes_and_changed_weights)
{
    enum { T = 4, B = 3, I = 5, H = 9, N = T * B * H };
    for (int cell = 0; cell < CLSEQ_CELL_COUNT; cell++) {
        model m = create(cell, I, H, 2, CLSEQ_BIAS_ONE);
        test_random random = test_random_seed(16);
        float x[T * B * I], y[6][N], w[4 * H * H];
        test_random_fill_float(&random, x, T * B * I, -1, 1);
        clseq_param *param = clseq_params_find(m.params, "rnn.weight_hh_l1");
        for (int i = 0; i < 6; i++) {
            clseq_graph *g =
                clseq_graph_begin(m.ctx, (i + 1) / 2 % 2 ? CLSEQ_MODE_INFERENCE : CLSEQ_MODE_TRAINING);
            EXPECT_OK(clseq_read(
                g, clseq_recur(g, m.rnn, clseq_input_f32(g, x, 3, (int64_t[]){T, B, I}), NULL), y[i]));
            graph_end(g);
            if (i % 2) {
                cr_assert(compare_bits("the other mode", y[i], y[i - 1], N), "%s", compare_message());
                EXPECT_OK(clseq_param_get(param, w));
                for (int64_t e = 0; e < clseq_cell_gates((clseq_cell)cell) * H * H; e++)
                    w[e] *= 1.5f;
                EXPECT_OK(clseq_param_set(param, w));
            } else if (i > 0) {
                cr_assert(!compare_bits("changed", y[i], y[i - 1], N),
                          "%s: the change of weights was not noticed", clseq_cell_name((clseq_cell)cell));
            }
        }
        destroy(&m);
    }
}

/* Ones after dropout in a graph in which this layer, if any, has run before. */
static void drop_after(const model *m, float dropped[60])
{
    static const float zeros[2 * 3 * 4];
    float ones[60];
    for (int i = 0; i < 60; i++)
        ones[i] = 1;
    clseq_graph *g = clseq_graph_begin(m->ctx, CLSEQ_MODE_TRAINING);
    clseq_graph_seed(g, 4, 5);
    if (m->rnn)
        cr_assert_not_null(clseq_recur(g, m->rnn, clseq_input_f32(g, zeros, 3, (int64_t[]){2, 3, 4}), NULL));
    EXPECT_OK(clseq_read(g, clseq_dropout(g, clseq_input_f32(g, ones, 1, (int64_t[]){60}), 0.5f), dropped));
    graph_end(g);
}

/* A layer that draws nothing leaves the streams of other operations as they are; one that draws takes its own. */
Test(graph_recur, takes_a_stream_where_it_draws)
{
    model m = create(CLSEQ_CELL_GRU, 4, 5, 2, CLSEQ_BIAS_BOTH), none = {.ctx = m.ctx}, drops = m;
    float want[60], got[60];
    EXPECT_OK(clseq_rnn_new(m.params, "drops",
                            &(clseq_rnn_desc){.input = 4, .hidden = 5, .layers = 2, .dropout = 0.5f}, NULL,
                            &drops.rnn));
    drop_after(&none, want);
    drop_after(&m, got);
    cr_assert(compare_bits("dropped", got, want, 60), "%s", compare_message());
    drop_after(&drops, got);
    cr_assert(!compare_bits("dropped", got, want, 60), "the layer and the operation draw the same numbers");
    destroy(&m);
}

#define EXPECT_RECUR_ERROR(options, status, sentence)                          \
    do {                                                                       \
        clseq_graph *g = clseq_graph_begin(m.ctx, CLSEQ_MODE_TRAINING);        \
        clseq_var *x = clseq_input_f32(g, zeros, 3, (int64_t[]){2, 3, 4});     \
        clseq_var *h = clseq_input_f32(g, zeros, 3, (int64_t[]){1, 3, 5});     \
        clseq_var *wrong = clseq_input_f32(g, zeros, 3, (int64_t[]){1, 5, 3}); \
        final = h;                                                             \
        (void)wrong;                                                           \
        cr_assert_null(clseq_recur(g, m.rnn, x, &(clseq_recur_opts)options));  \
        EXPECT_ERROR(clseq_graph_end(g), status, sentence);                    \
    } while (0)
#define OPTIONS(...) \
    {                \
        __VA_ARGS__  \
    }

Test(graph_recur, errors)
{
    static const float zeros[24];
    model m = create(CLSEQ_CELL_GRU, 4, 5, 1, CLSEQ_BIAS_BOTH),
          lstm = create(CLSEQ_CELL_LSTM, 4, 5, 1, CLSEQ_BIAS_BOTH);
    clseq_var *final = NULL;
    clseq_rnn *deep = NULL, *other_cell = NULL;
    clseq_state *two_rows = NULL, *two_layers = NULL, *foreign = NULL, *two_states = NULL, *fits = NULL;
    EXPECT_OK(clseq_rnn_new(m.params, "deep",
                            &(clseq_rnn_desc){.cell = CLSEQ_CELL_GRU, .input = 4, .hidden = 5, .layers = 2},
                            NULL, &deep));
    EXPECT_OK(clseq_rnn_new(m.params, "lstm",
                            &(clseq_rnn_desc){.cell = CLSEQ_CELL_LSTM, .input = 4, .hidden = 5}, NULL,
                            &other_cell));
    EXPECT_OK(clseq_state_create(m.rnn, 2, &two_rows));
    EXPECT_OK(clseq_state_create(deep, 3, &two_layers));
    EXPECT_OK(clseq_state_create(lstm.rnn, 3, &foreign));
    EXPECT_OK(clseq_state_create(other_cell, 3, &two_states));
    EXPECT_OK(clseq_state_create(m.rnn, 3, &fits));
    EXPECT_RECUR_ERROR(OPTIONS(.lengths = (int32_t[]){0, 2, 3}), CLSEQ_INVALID_ARGUMENT,
                       "recur: lengths[2] is 3, expected 0..T = 0..2");
    EXPECT_RECUR_ERROR(OPTIONS(.lengths = (int32_t[]){-1, 2, 2}), CLSEQ_INVALID_ARGUMENT,
                       "recur: lengths[0] is -1, expected 0..T = 0..2");
    EXPECT_RECUR_ERROR(OPTIONS(.initial = &wrong), CLSEQ_INVALID_SHAPE,
                       "recur: initial[0] (h) has shape [1,5,3], expected [L*D,B,width] = [1,3,5]");
    EXPECT_RECUR_ERROR(OPTIONS(.carry = fits, .initial = &h), CLSEQ_INVALID_ARGUMENT,
                       "recur: carry and initial[0] (h) are given, expected one of them");
    EXPECT_RECUR_ERROR(OPTIONS(.carry = two_rows), CLSEQ_INVALID_SHAPE,
                       "recur: carry has shape [1,2,5], expected [L*D,B,width] = [1,3,5]");
    EXPECT_RECUR_ERROR(OPTIONS(.carry = two_layers), CLSEQ_INVALID_SHAPE,
                       "recur: carry has shape [2,3,5], expected [L*D,B,width] = [1,3,5]");
    EXPECT_RECUR_ERROR(OPTIONS(.carry = foreign), CLSEQ_INVALID_ARGUMENT,
                       "recur: carry belongs to another context");
    EXPECT_RECUR_ERROR(OPTIONS(.carry = two_states), CLSEQ_INVALID_ARGUMENT,
                       "recur: carry has 2 states, expected the cell's 1");
    EXPECT_RECUR_ERROR(OPTIONS(.final = &final, .lengths = (int32_t[]){9, 9, 9}), CLSEQ_INVALID_ARGUMENT,
                       "recur: lengths[0] is 9");
    cr_assert_null(final, "a final state of an operation that failed must be NULL");
    clseq_state *all[] = {two_rows, two_layers, foreign, two_states, fits, NULL};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        clseq_state_destroy(all[i]);
    destroy(&m);
    destroy(&lstm);
}

/* The gradient of an initial state that `uses` passes begin from. */
static void initial_gradient(model *m, int uses, const float *x, const float *h, float *gradient)
{
    clseq_tensor dh = {0};
    clseq_graph *g = clseq_graph_begin(m->ctx, CLSEQ_MODE_TRAINING);
    clseq_var *in = clseq_input_f32(g, x, 3, (int64_t[]){3, 2, 4});
    clseq_var *initial = clseq_require_grad(g, clseq_input_f32(g, h, 3, (int64_t[]){1, 2, 5})), *y = NULL;
    clseq_var *const states[2] = {initial, NULL};
    for (int i = 0; i < uses; i++) {
        clseq_var *out = clseq_recur(g, m->rnn, in, &(clseq_recur_opts){.initial = states});
        y = y ? clseq_add(g, y, out) : out;
    }
    EXPECT_OK(clseq_backward(g, clseq_sum(g, y)));
    EXPECT_OK(clseq_var_grad(g, initial, &dh));
    EXPECT_OK(clseq_tensor_read(m->ctx, &dh, gradient));
    graph_end(g);
}

Test(graph_recur, an_initial_state_adds_up_its_gradients)
{
    for (int cell = 0; cell < CLSEQ_CELL_COUNT; cell++) {
        model m = create(cell, 4, 5, 1, CLSEQ_BIAS_BOTH);
        test_random random = test_random_seed(21);
        float x[24], h[10], once[10], twice[10];
        test_random_fill_float(&random, x, 24, -1, 1);
        test_random_fill_float(&random, h, 10, -1, 1);
        initial_gradient(&m, 1, x, h, once);
        initial_gradient(&m, 2, x, h, twice);
        for (int i = 0; i < 10; i++)
            cr_assert_eq(twice[i], 2 * once[i], "%s, element %d: %g, expected %g",
                         clseq_cell_name((clseq_cell)cell), i, (double)twice[i], 2 * (double)once[i]);
        destroy(&m);
    }
}

enum { REPACK_OUT = 3 * 2 * 5, REPACK_W = 4 * 5 * 5 };

/* A layer whose weights are two sets by turns, and what it gives for each. */
typedef struct repacking {
    model m;
    float x[24], w[2][REPACK_W], y[2][REPACK_OUT];
    int turn;
} repacking;

static clseq_status repacking_forward(repacking *r, float *y)
{
    clseq_graph *g = clseq_graph_begin(r->m.ctx, CLSEQ_MODE_INFERENCE);
    clseq_var *x = clseq_input_f32(g, r->x, 3, (int64_t[]){3, 2, 4});
    const clseq_status read = clseq_read(g, clseq_recur(g, r->m.rnn, x, NULL), y);
    const clseq_status ended = g ? clseq_graph_end(g) : CLSEQ_OUT_OF_HOST_MEMORY;
    return read != CLSEQ_OK ? read : ended;
}

/* Other weights and a pass; whatever failed, the next pass has the new weights. */
static clseq_status repack(void *data)
{
    repacking *r = data;
    float y[REPACK_OUT];
    clseq_status status = CLSEQ_OK, again = CLSEQ_OK;
    char sentence[500];
    r->turn = !r->turn;
    status = clseq_param_set(clseq_params_find(r->m.params, "rnn.weight_hh_l0"), r->w[r->turn]);
    if (status != CLSEQ_OK)
        return status;
    status = repacking_forward(r, y);
    snprintf(sentence, sizeof sentence, "%s", clseq_last_error());
    if (status != CLSEQ_OK)
        again = repacking_forward(r, y);
    if (again != CLSEQ_OK || memcmp(y, r->y[r->turn], sizeof y) != 0) {
        fprintf(stderr, "the pass after \"%s\" has other weights than were set\n", sentence);
        abort();
    }
    return status;
}

Test(graph_recur, packing_that_failed_is_done_again)
{
    repacking r = {.m = create(CLSEQ_CELL_LSTM, 4, 5, 1, CLSEQ_BIAS_BOTH)};
    test_random random = test_random_seed(22);
    test_random_fill_float(&random, r.x, 24, -1, 1);
    for (int i = 0; i < 2; i++) {
        test_random_fill_float(&random, r.w[i], REPACK_W, -1, 1);
        EXPECT_OK(clseq_param_set(clseq_params_find(r.m.params, "rnn.weight_hh_l0"), r.w[i]));
        EXPECT_OK(repacking_forward(&r, r.y[i]));
    }
    cr_assert(memcmp(r.y[0], r.y[1], sizeof r.y[0]) != 0);
    for (int i = 0; i < 3; i++)
        EXPECT_OK(repack(&r));
    cr_assert(faults_each(repack, &r), "%s", faults_message());
    cr_assert(faults_count() > 10, "%s", faults_message());
    destroy(&r.m);
}
