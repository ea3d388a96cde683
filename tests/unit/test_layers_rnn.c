/* Recurrent layers of every cell and option: their parameters by name, shape and start, their states, their sentences. */
#include <criterion/criterion.h>

#include "reference/cells.h"
#include "support/device.h"
#include "support/graph.h"
#include "support/graph_rnn.h"
#include "support/numeric.h"
#include "support/rnn_variant.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { I = 5, H = 16, L = 2, B = 3 };

static clseq_params *store(clseq_context *ctx)
{
    clseq_params *params = NULL;
    EXPECT_OK(clseq_params_create(ctx, 9, &params));
    return params;
}

static size_t elements_of(clseq_param *param)
{
    clseq_tensor value = {0};
    EXPECT_OK(clseq_param_value(param, &value));
    return (size_t)clseq_tensor_elements(&value);
}

/* ---- parameters ---- */

/* What the plan and the reference say of weight i, the parameter is. */
static void expect_shape(clseq_param *param, const clseq_rnn_weight *weight, const reference_weight *want)
{
    char name[64];
    clseq_tensor value = {0};
    snprintf(name, sizeof name, "rnn.%s", want->name);
    cr_assert_str_eq(clseq_param_name(param), name);
    cr_assert_str_eq(weight->name, want->name);
    EXPECT_OK(clseq_param_value(param, &value));
    cr_assert(value.ndim == weight->ndim && value.ndim == want->ndim, "%s has %d dimensions", name,
              value.ndim);
    for (int k = 0; k < value.ndim; k++)
        cr_assert(value.dims[k] == weight->dims[k] && value.dims[k] == (int64_t)want->dims[k],
                  "%s: dimension %d is %d, the plan says %d, expected %zu", name, k, (int)value.dims[k],
                  (int)weight->dims[k], want->dims[k]);
}

/* Gains are 1, shifts 0; all others lie within 1/sqrt(H) of their layer and spread over more than half of it. */
static void expect_start(clseq_param *param, reference_weight_kind kind, int hidden)
{
    const bool is_gain = kind >= REFERENCE_GAIN_IH && kind <= REFERENCE_GAIN_STATE;
    const double bound = 1 / sqrt(hidden);
    double *values = graph_param_values(param), low = INFINITY, high = -INFINITY;
    for (size_t i = 0; i < elements_of(param); i++) {
        low = fmin(low, values[i]);
        high = fmax(high, values[i]);
    }
    if (is_gain || kind == REFERENCE_BIAS_STATE)
        cr_assert(low == is_gain && high == is_gain, "%s starts within %g..%g, expected %d",
                  clseq_param_name(param), low, high, is_gain);
    else
        cr_assert(low >= -bound * (1 + 1e-6) && low < -0.5 * bound && high > 0.5 * bound &&
                      high <= bound * (1 + 1e-6),
                  "%s starts within %g..%g, expected +-%g", clseq_param_name(param), low, high, bound);
    free(values);
}

static void check_parameters(clseq_context *ctx, const reference_rnn *net)
{
    clseq_params *params = store(ctx);
    const clseq_rnn_plan *plan = clseq_rnn_plan_of(graph_rnn_new(params, net, false));
    const int count = reference_rnn_weight_count(net);
    cr_assert_eq((int)clseq_params_count(params), count);
    cr_assert_eq((int)clseq_rnn_weight_count(plan), count);
    for (int i = 0; i < count; i++) {
        const reference_weight want = reference_rnn_weight(net, i);
        clseq_param *param = clseq_params_at(params, (size_t)i);
        clseq_rnn_weight weight;
        EXPECT_OK(clseq_rnn_weight_info(plan, i, &weight));
        expect_shape(param, &weight, &want);
        expect_start(param, want.kind, reference_rnn_hidden(net, want.layer));
    }
    clseq_params_destroy(params);
}

/* ---- states ---- */

/* Names, shapes and zeros; a state fits the plan's description of it. */
static void check_states(clseq_context *ctx, const reference_rnn *net)
{
    static const char *const names[] = {"h", "c"};
    clseq_params *params = store(ctx);
    clseq_rnn *rnn = graph_rnn_new(params, net, false);
    clseq_state *state = NULL;
    EXPECT_OK(clseq_state_create(rnn, B, &state));
    cr_assert_eq(clseq_state_count(state), net->cell->states);
    for (int i = 0; i < clseq_state_count(state); i++) {
        clseq_tensor tensor = {0};
        clseq_rnn_state info;
        cr_assert_str_eq(clseq_state_name(state, i), names[i]);
        EXPECT_OK(clseq_state_tensor(state, i, &tensor));
        EXPECT_OK(clseq_rnn_state_info(clseq_rnn_plan_of(rnn), i, B, &info));
        cr_assert_eq(tensor.ndim, info.ndim);
        cr_assert_eq(memcmp(tensor.dims, info.dims, (size_t)info.ndim * sizeof *info.dims), 0);
        const size_t n = reference_rnn_state_offset(net, i, net->L, 0);
        cr_assert_eq((size_t)clseq_tensor_elements(&tensor), n);
        float *values = test_floats(n);
        EXPECT_OK(clseq_tensor_read(ctx, &tensor, values));
        for (size_t e = 0; e < n; e++)
            cr_assert_eq(values[e], 0);
        free(values);
    }
    cr_assert_null(clseq_state_name(state, clseq_state_count(state)));
    cr_assert_null(clseq_state_name(state, -1));
    clseq_state_destroy(state);
    clseq_params_destroy(params);
}

Test(layers_rnn, parameters_and_states)
{
    clseq_context *ctx = test_context();
    for (int cell = 0; cell < CLSEQ_CELL_COUNT; cell++)
        for (int v = 0; v < RNN_VARIANTS; v++) {
            int widths[RNN_VARIANT_LAYERS];
            reference_rnn net = {.cell = reference_cell_at(cell), .T = 1, .B = B, .I = I, .H = H, .L = L};
            if (!rnn_variant_apply(&rnn_variants[v], &net, widths))
                continue;
            check_parameters(ctx, &net);
            check_states(ctx, &net);
        }
    cr_assert_eq(clseq_state_count(NULL), 0);
    cr_assert_null(clseq_state_name(NULL, 0));
    clseq_context_destroy(ctx);
}

/* The caller's array may change or go. */
Test(layers_rnn, widths_are_copied)
{
    clseq_context *ctx = test_context();
    clseq_params *params = store(ctx);
    clseq_rnn *rnn = NULL;
    int64_t widths[] = {4, 7};
    EXPECT_OK(clseq_rnn_new(
        params, "rnn", &(clseq_rnn_desc){.cell = CLSEQ_CELL_GRU, .input = I, .layers = 2, .widths = widths},
        NULL, &rnn));
    widths[0] = widths[1] = -1;
    const clseq_rnn_desc *desc = clseq_rnn_description(rnn);
    cr_assert(desc->widths != widths);
    cr_assert(desc->widths[0] == 4 && desc->widths[1] == 7);
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
}

/* ---- starts that programs ask for ---- */

#define TWOS                                    \
    {                                           \
        .kind = CLSEQ_INIT_CONSTANT, .scale = 2 \
    }

/* Each field changes the weights of its kind and no others. */
static void check_fields(clseq_context *ctx, const clseq_rnn_desc *desc)
{
    static const clseq_rnn_init inits[] = {
        [CLSEQ_RNN_WEIGHT_INPUT] = {.input = TWOS}, [CLSEQ_RNN_WEIGHT_RECURRENT] = {.recurrent = TWOS},
        [CLSEQ_RNN_WEIGHT_BIAS] = {.bias = TWOS},   [CLSEQ_RNN_WEIGHT_PROJECTION] = {.projection = TWOS},
        [CLSEQ_RNN_WEIGHT_UNIT] = {.unit = TWOS},   [CLSEQ_RNN_WEIGHT_GAIN] = {.gain = TWOS},
        [CLSEQ_RNN_WEIGHT_SHIFT] = {.shift = TWOS}};
    clseq_params *plain = store(ctx);
    clseq_rnn *rnn = NULL;
    EXPECT_OK(clseq_rnn_new(plain, "rnn", desc, NULL, &rnn));
    for (size_t kind = 0; kind < sizeof inits / sizeof *inits; kind++) {
        clseq_params *params = store(ctx);
        EXPECT_OK(clseq_rnn_new(params, "rnn", desc, &inits[kind], &rnn));
        for (size_t i = 0; i < clseq_params_count(params); i++) {
            clseq_param *param = clseq_params_at(params, i);
            clseq_rnn_weight weight;
            EXPECT_OK(clseq_rnn_weight_info(clseq_rnn_plan_of(rnn), (int64_t)i, &weight));
            double *got = graph_param_values(param);
            double *want = graph_param_values(clseq_params_at(plain, i));
            for (size_t e = 0; e < elements_of(param); e++)
                cr_assert(got[e] == ((size_t)weight.kind == kind ? 2 : want[e]),
                          "kind %zu: %s[%zu] is %g, by default %g", kind, clseq_param_name(param), e, got[e],
                          want[e]);
            free(got);
            free(want);
        }
        clseq_params_destroy(params);
    }
    clseq_params_destroy(plain);
}

Test(layers_rnn, each_field_of_the_start)
{
    clseq_context *ctx = test_context();
    check_fields(ctx, &(clseq_rnn_desc){.cell = CLSEQ_CELL_LSTM,
                                        .input = I,
                                        .hidden = H,
                                        .projection = 6,
                                        .layer_norm = true,
                                        .direction = CLSEQ_DIRECTION_BIDIRECTIONAL});
    check_fields(
        ctx, &(clseq_rnn_desc){.cell = CLSEQ_CELL_LSTM_PEEPHOLE, .input = I, .hidden = H, .projection = 6});
    clseq_context_destroy(ctx);
}

/* The forget gate's two biases, or its one, add up to what was asked for, in every layer and direction. */
static void check_forget_bias(clseq_context *ctx, const clseq_rnn_desc *desc)
{
    clseq_params *params = store(ctx), *plain = store(ctx);
    const clseq_rnn_init init = {.forget_bias = {.kind = CLSEQ_INIT_CONSTANT, .scale = 1.5f}};
    clseq_rnn *rnn = NULL;
    int biases = 0;
    EXPECT_OK(clseq_rnn_new(params, "rnn", desc, &init, &rnn));
    EXPECT_OK(clseq_rnn_new(plain, "rnn", desc, NULL, &rnn));
    for (size_t i = 0; i < clseq_params_count(params); i++) {
        clseq_param *param = clseq_params_at(params, i);
        clseq_rnn_weight weight;
        EXPECT_OK(clseq_rnn_weight_info(clseq_rnn_plan_of(rnn), (int64_t)i, &weight));
        const bool is_ih = strcmp(weight.part, "bias_ih") == 0, is_hh = strcmp(weight.part, "bias_hh") == 0;
        double *got = graph_param_values(param);
        double *want = graph_param_values(clseq_params_at(plain, i));
        for (size_t e = 0; e < elements_of(param); e++) {
            const bool is_forget = (is_ih || is_hh) && e / H == 1;
            const double expected = is_forget ? is_ih ? 1.5 : 0 : want[e];
            cr_assert(got[e] == expected, "%s[%zu] is %g, expected %g", clseq_param_name(param), e, got[e],
                      expected);
        }
        biases += is_ih || is_hh;
        free(got);
        free(want);
    }
    cr_assert_eq(biases, 2 * 2 * (desc->bias == CLSEQ_BIAS_BOTH ? 2 : 1));
    clseq_params_destroy(params);
    clseq_params_destroy(plain);
}

Test(layers_rnn, forget_bias)
{
    static const clseq_cell cells[] = {CLSEQ_CELL_LSTM, CLSEQ_CELL_LSTM_PEEPHOLE};
    clseq_context *ctx = test_context();
    for (int cell = 0; cell < 2; cell++)
        for (int bias = CLSEQ_BIAS_BOTH; bias <= CLSEQ_BIAS_ONE; bias++)
            check_forget_bias(ctx, &(clseq_rnn_desc){.cell = cells[cell],
                                                     .input = I,
                                                     .hidden = H,
                                                     .layers = 2,
                                                     .bias = (clseq_bias)bias,
                                                     .direction = CLSEQ_DIRECTION_BIDIRECTIONAL});
    clseq_context_destroy(ctx);
}

/* ---- errors ---- */

/* What cannot be made adds nothing to the store. */
Test(layers_rnn, errors)
{
    static const int64_t widths[] = {4, 0};
    static const clseq_rnn_init forget = {.forget_bias = {.kind = CLSEQ_INIT_ZERO}};
    static const clseq_rnn_init gain = {.gain = {.scale = 1}}, shift = {.shift = {.scale = 1}},
                                unit = {.unit = {.scale = 1}}, projection = {.projection = {.block = 2}};
    const clseq_rnn_desc normed = {
        .cell = CLSEQ_CELL_LSTM, .input = I, .hidden = H, .projection = 4, .layer_norm = true};
    const clseq_rnn_desc peephole = {.cell = CLSEQ_CELL_LSTM_PEEPHOLE, .input = I, .hidden = H};
    clseq_context *ctx = test_context();
    clseq_params *params = store(ctx);
    clseq_rnn *rnn = NULL;
    EXPECT_ERROR(
        clseq_rnn_new(params, "y",
                      &(clseq_rnn_desc){.cell = CLSEQ_CELL_GRU, .input = I, .hidden = H, .projection = 4},
                      NULL, &rnn),
        CLSEQ_UNSUPPORTED, "projection");
    EXPECT_ERROR(
        clseq_rnn_new(
            params, "y",
            &(clseq_rnn_desc){.cell = CLSEQ_CELL_LSTM_PEEPHOLE, .input = I, .hidden = H, .layer_norm = true},
            NULL, &rnn),
        CLSEQ_UNSUPPORTED, "layer_norm");
    EXPECT_ERROR(
        clseq_rnn_new(params, "y",
                      &(clseq_rnn_desc){.cell = CLSEQ_CELL_GRU, .input = I, .layers = 2, .widths = widths},
                      NULL, &rnn),
        CLSEQ_INVALID_ARGUMENT, "widths[1]");
    EXPECT_ERROR(
        clseq_rnn_new(params, "y",
                      &(clseq_rnn_desc){.cell = CLSEQ_CELL_GRU_RESET_BEFORE, .input = I, .hidden = H},
                      &forget, &rnn),
        CLSEQ_INVALID_ARGUMENT, "rnn new: y: forget_bias is for LSTM cells, this one is gru_reset_before");
    EXPECT_ERROR(clseq_rnn_new(params, "y", &normed, &gain, &rnn), CLSEQ_INVALID_ARGUMENT,
                 "y.gain_ih_l0: init has a scale or block");
    EXPECT_ERROR(clseq_rnn_new(params, "y", &normed, &shift, &rnn), CLSEQ_INVALID_ARGUMENT,
                 "y.bias_c_l0: init has a scale or block");
    EXPECT_ERROR(clseq_rnn_new(params, "y", &normed, &projection, &rnn), CLSEQ_INVALID_ARGUMENT,
                 "y.weight_hr_l0: init has a scale or block");
    EXPECT_ERROR(clseq_rnn_new(params, "y", &peephole, &unit, &rnn), CLSEQ_INVALID_ARGUMENT,
                 "y.weight_ci_l0: init has a scale or block");
    cr_assert_eq(clseq_params_count(params), 0);
    cr_assert_null(rnn);
    EXPECT_OK(clseq_rnn_new(params, "y", &normed, NULL, &rnn));
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
}
