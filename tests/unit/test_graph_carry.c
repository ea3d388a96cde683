/*
 * States that are carried over graphs, for every cell and option: windows of a sequence against the whole of it, bit for
 * bit, and what carry refuses.
 */
#include <criterion/criterion.h>

#include "reference/cells.h"
#include "support/bounds.h"
#include "support/compare.h"
#include "support/device.h"
#include "support/graph.h"
#include "support/graph_rnn.h"
#include "support/numeric.h"
#include "support/random.h"
#include "support/rnn_variant.h"
#include <stdlib.h>

typedef struct model {
    clseq_context *ctx;
    clseq_params *params;
    clseq_rnn *rnn;
} model;

static model create(const reference_rnn *net)
{
    model m = {.ctx = test_context()};
    EXPECT_OK(clseq_params_create(m.ctx, 3, &m.params));
    m.rnn = graph_rnn_new(m.params, net, false);
    return m;
}

static void destroy(model *m)
{
    clseq_params_destroy(m->params);
    clseq_context_destroy(m->ctx);
}

/* ---- windows ---- */

enum { T = 9, WINDOW = 3, B = 4, I = 5, H = 6, L = 2 };

/* State number i, to be freed. */
static float *read_state(const model *m, const clseq_state *state, int i, size_t *n)
{
    clseq_tensor tensor = {0};
    EXPECT_OK(clseq_state_tensor(state, i, &tensor));
    *n = (size_t)clseq_tensor_elements(&tensor);
    float *values = test_floats(*n);
    EXPECT_OK(clseq_tensor_read(m->ctx, &tensor, values));
    return values;
}

static void expect_state(const model *m, const clseq_state *state, int i, const float *want)
{
    size_t n = 0;
    float *got = read_state(m, state, i, &n);
    cr_assert(compare_bits(clseq_state_name(state, i), got, want, n), "%s", compare_message());
    free(got);
}

/* Steps [from, from+count) of x, from what is carried; y is written. Where `ask`, the final states are variables too. */
static void run(const model *m, clseq_mode mode, const float *x, int from, int count, clseq_state *carry,
                bool ask, float *y)
{
    clseq_var *final[REFERENCE_MAX_STATES] = {NULL};
    const int64_t width = clseq_rnn_output_size(clseq_rnn_plan_of(m->rnn));
    clseq_graph *g = clseq_graph_begin(m->ctx, mode);
    clseq_var *in = clseq_input_f32(g, x + from * B * I, 3, (int64_t[]){count, B, I});
    clseq_var *out =
        clseq_recur(g, m->rnn, in, &(clseq_recur_opts){.carry = carry, .final = ask ? final : NULL});
    EXPECT_OK(clseq_read(g, out, y + from * B * width));
    for (int i = 0; ask && i < clseq_state_count(carry); i++) {
        float *values = test_floats(graph_elements(g, final[i]));
        EXPECT_OK(clseq_read(g, final[i], values));
        expect_state(m, carry, i, values);
        free(values);
    }
    graph_end(g);
}

/* The windows in the direction's order, in graphs of their own: what the whole sequence gives, bit for bit. */
static void check_windows(const model *m, bool reverse, clseq_mode mode, const char *title)
{
    const size_t n = (size_t)(T * B * clseq_rnn_output_size(clseq_rnn_plan_of(m->rnn)));
    float x[T * B * I], *whole = test_floats(n), *parts = test_floats(n);
    clseq_state *carry = NULL, *once = NULL;
    test_random random = test_random_seed(14);
    test_random_fill_float(&random, x, T * B * I, -1, 1);
    EXPECT_OK(clseq_state_create(m->rnn, B, &carry));
    EXPECT_OK(clseq_state_create(m->rnn, B, &once));
    for (int round = 0; round < 2; round++) { /* after a reset it begins anew */
        run(m, mode, x, 0, T, once, false, whole);
        for (int t = 0; t < T; t += WINDOW)
            run(m, mode, x, reverse ? T - WINDOW - t : t, WINDOW, carry, t == WINDOW, parts);
        cr_assert(compare_bits(title, parts, whole, n), "%s", compare_message());
        for (int i = 0; i < clseq_state_count(once); i++) {
            size_t elements = 0;
            float *want = read_state(m, once, i, &elements);
            expect_state(m, carry, i, want);
            free(want);
        }
        EXPECT_OK(clseq_state_reset(carry));
        EXPECT_OK(clseq_state_reset(once));
    }
    clseq_state_destroy(carry);
    clseq_state_destroy(once);
    free(whole);
    free(parts);
}

/* A layer with two directions is refused: the two would need the windows in opposite orders. */
static void check_refused(const model *m)
{
    static const float zeros[T * B * I];
    clseq_state *carry = NULL;
    EXPECT_OK(clseq_state_create(m->rnn, B, &carry));
    clseq_graph *g = clseq_graph_begin(m->ctx, CLSEQ_MODE_INFERENCE);
    clseq_var *x = clseq_input_f32(g, zeros, 3, (int64_t[]){T, B, I});
    cr_assert_null(clseq_recur(g, m->rnn, x, &(clseq_recur_opts){.carry = carry}));
    EXPECT_ERROR(clseq_graph_end(g), CLSEQ_INVALID_ARGUMENT,
                 "recur: carry is for layers of one direction, this one has two; use initial and final");
    clseq_state_destroy(carry);
}

Test(graph_carry, over_graphs)
{
    for (int cell = 0; cell < CLSEQ_CELL_COUNT; cell++)
        for (int v = 0; v < RNN_VARIANTS; v++) {
            int widths[RNN_VARIANT_LAYERS];
            reference_rnn net = {.cell = reference_cell_at(cell), .T = T, .B = B, .I = I, .H = H, .L = L};
            if (!rnn_variant_apply(&rnn_variants[v], &net, widths))
                continue;
            /* windows draw their own */
            net.dropout = net.zoneout[0] = net.zoneout[1] = net.recurrent_dropout = 0;
            net.variational = false;
            model m = create(&net);
            if (net.direction == REFERENCE_BIDIRECTIONAL)
                check_refused(&m);
            else
                for (int mode = 0; mode < 2; mode++)
                    check_windows(&m, net.direction == REFERENCE_REVERSE, (clseq_mode)mode,
                                  rnn_variants[v].title);
            destroy(&m);
        }
}

/* One array for the states that come in and those that go out: each use begins where the one before ended. */
Test(graph_carry, states_as_variables_in_one_array)
{
    const reference_rnn net = {
        .cell = reference_cell_at(CLSEQ_CELL_LSTM), .T = T, .B = B, .I = I, .H = H, .L = L};
    model m = create(&net);
    float x[T * B * I], whole[T * B * H], parts[T * B * H];
    test_random random = test_random_seed(17);
    test_random_fill_float(&random, x, T * B * I, -1, 1);
    clseq_graph *g = clseq_graph_begin(m.ctx, CLSEQ_MODE_TRAINING);
    clseq_var *states[REFERENCE_MAX_STATES] = {NULL};
    EXPECT_OK(
        clseq_read(g, clseq_recur(g, m.rnn, clseq_input_f32(g, x, 3, (int64_t[]){T, B, I}), NULL), whole));
    for (int t = 0; t < T; t += WINDOW) {
        clseq_var *in = clseq_input_f32(g, x + t * B * I, 3, (int64_t[]){WINDOW, B, I});
        clseq_var *y = clseq_recur(g, m.rnn, in, &(clseq_recur_opts){.initial = states, .final = states});
        EXPECT_OK(clseq_read(g, y, parts + t * B * H));
    }
    cr_assert(compare_bits("y", parts, whole, T * B * H), "%s", compare_message());
    graph_end(g);
    destroy(&m);
}

/* ---- gradients ---- */

/* No gradient flows through carry: the second window's is that of a sequence that begins there. */
Test(graph_carry, stops_the_gradient)
{
    const reference_rnn net = {
        .cell = reference_cell_at(CLSEQ_CELL_LSTM), .T = T, .B = B, .I = I, .H = H, .L = 1};
    model m = create(&net);
    test_random random = test_random_seed(15);
    float x[2][T * B * I], dy[T * B * H], with_carry[4 * H * H], with_initial[4 * H * H];
    clseq_state *carry = NULL;
    clseq_param *w = graph_rnn_param(m.params, "weight_hh_l0");
    float h[B * H], c[B * H];
    clseq_tensor tensor = {0};
    for (int i = 0; i < 2; i++)
        test_random_fill_float(&random, x[i], T * B * I, -1, 1);
    test_random_fill_float(&random, dy, T * B * H, -1, 1);
    EXPECT_OK(clseq_state_create(m.rnn, B, &carry));
    for (int i = 0; i < 2; i++) {
        clseq_graph *g = clseq_graph_begin(m.ctx, CLSEQ_MODE_TRAINING);
        if (i == 1) {
            EXPECT_OK(clseq_state_tensor(carry, 0, &tensor));
            EXPECT_OK(clseq_tensor_read(m.ctx, &tensor, h));
            EXPECT_OK(clseq_state_tensor(carry, 1, &tensor));
            EXPECT_OK(clseq_tensor_read(m.ctx, &tensor, c));
        }
        EXPECT_OK(clseq_params_zero_grad(m.params));
        clseq_var *y = clseq_recur(g, m.rnn, clseq_input_f32(g, x[i], 3, (int64_t[]){T, B, I}),
                                   &(clseq_recur_opts){.carry = carry});
        graph_backward_floats(g, y, dy);
        graph_end(g);
    }
    EXPECT_OK(clseq_param_get_grad(w, with_carry));
    EXPECT_OK(clseq_params_zero_grad(m.params));
    clseq_graph *g = clseq_graph_begin(m.ctx, CLSEQ_MODE_TRAINING);
    const int64_t dims[] = {1, B, H};
    clseq_var *initial[] = {clseq_input_f32(g, h, 3, dims), clseq_input_f32(g, c, 3, dims)};
    const clseq_recur_opts opts = {.initial = initial};
    clseq_var *y = clseq_recur(g, m.rnn, clseq_input_f32(g, x[1], 3, (int64_t[]){T, B, I}), &opts);
    graph_backward_floats(g, y, dy);
    graph_end(g);
    EXPECT_OK(clseq_param_get_grad(w, with_initial));
    cr_assert(compare_bits("dw", with_carry, with_initial, 4 * H * H), "%s", compare_message());
    clseq_state_destroy(carry);
    destroy(&m);
}

/* ---- initial states that are learned: one parameter for all batch rows ---- */

enum { ROWS = 3, STEPS = 4, IN = 2, UNITS = 5 };

/* dh [ROWS,UNITS] or, of the parameter, [UNITS]. */
static void initial_gradient(clseq_context *ctx, clseq_rnn *rnn, clseq_param *start, const float *x,
                             const float *h, float *dh)
{
    clseq_tensor grad;
    clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
    clseq_var *in = clseq_input_f32(g, x, 3, (int64_t[]){STEPS, ROWS, IN});
    clseq_var *initial = start ? clseq_expand(g, clseq_param_var(g, start), 3, (int64_t[]){1, ROWS, UNITS})
                               : clseq_require_grad(g, clseq_input_f32(g, h, 3, (int64_t[]){1, ROWS, UNITS}));
    clseq_var *y = clseq_recur(g, rnn, in, &(clseq_recur_opts){.initial = &initial});
    EXPECT_OK(clseq_backward(g, clseq_sum(g, clseq_mul(g, y, y))));
    if (start) {
        EXPECT_OK(clseq_param_get_grad(start, dh));
    } else {
        EXPECT_OK(clseq_var_grad(g, initial, &grad));
        EXPECT_OK(clseq_tensor_read(ctx, &grad, dh));
    }
    graph_end(g);
}

Test(graph_carry, a_learned_initial_state_gets_the_sum_over_rows)
{
    clseq_context *ctx = test_context();
    clseq_params *params = NULL;
    clseq_rnn *rnn = NULL;
    clseq_param *start = NULL;
    test_random random = test_random_seed(8);
    float x[STEPS * ROWS * IN], h[ROWS * UNITS], dh[ROWS * UNITS], dstart[UNITS];
    double want[UNITS] = {0}, bound[UNITS] = {0};
    test_random_fill_float(&random, x, STEPS * ROWS * IN, -1, 1);
    test_random_fill_float(&random, h, UNITS, -1, 1);
    EXPECT_OK(clseq_params_create(ctx, 2, &params));
    EXPECT_OK(clseq_rnn_new(
        params, "rnn", &(clseq_rnn_desc){.cell = CLSEQ_CELL_GRU, .input = IN, .hidden = UNITS}, NULL, &rnn));
    EXPECT_OK(clseq_params_add(params, "start", 3, (int64_t[]){1, 1, UNITS}, NULL, &start));
    EXPECT_OK(clseq_param_set(start, h));
    for (int b = 1; b < ROWS; b++)
        memcpy(h + b * UNITS, h, UNITS * sizeof *h);
    initial_gradient(ctx, rnn, start, x, h, dstart);
    initial_gradient(ctx, rnn, NULL, x, h, dh);
    for (int b = 0; b < ROWS; b++)
        for (int u = 0; u < UNITS; u++) {
            want[u] += dh[b * UNITS + u];
            bound[u] += test_rounding_bound(ROWS, dh[b * UNITS + u]);
        }
    cr_assert(compare_floats_each("start", dstart, want, UNITS, bound), "%s", compare_message());
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
}
