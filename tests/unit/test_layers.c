/* Layers: the names, shapes and starting values of their parameters, and states. */
#include <criterion/criterion.h>

#include "support/device.h"
#include "support/graph.h"
#include "support/numeric.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static clseq_params *store(clseq_context *ctx)
{
    clseq_params *params = NULL;
    EXPECT_OK(clseq_params_create(ctx, 9, &params));
    return params;
}

/* The parameter `index` has this name and these dims. */
static void expect_param(const clseq_params *params, size_t index, const char *name, int ndim, int64_t d0,
                         int64_t d1)
{
    clseq_tensor value = {0};
    clseq_param *param = clseq_params_at(params, index);
    cr_assert_not_null(param, "there is no parameter %zu", index);
    cr_assert_str_eq(clseq_param_name(param), name);
    EXPECT_OK(clseq_param_value(param, &value));
    cr_assert_eq(value.ndim, ndim);
    cr_assert_eq(value.dims[0], d0);
    cr_assert(ndim == 1 || value.dims[1] == d1);
}

/* All elements lie within +-bound and spread over most of it. */
static void expect_uniform(const char *name, const double *values, size_t n, double bound)
{
    double low = INFINITY, high = -INFINITY;
    for (size_t i = 0; i < n; i++) {
        low = fmin(low, values[i]);
        high = fmax(high, values[i]);
        cr_assert(fabs(values[i]) <= bound * (1 + 1e-6), "%s[%zu] is %g, bound %g", name, i, values[i],
                  bound);
    }
    cr_assert(low < -0.7 * bound && high > 0.7 * bound, "%s lies within %g and %g, bound %g", name, low, high,
              bound);
}

static void expect_uniform_param(const clseq_params *params, const char *name, double bound)
{
    clseq_param *param = clseq_params_find(params, name);
    clseq_tensor value = {0};
    cr_assert_not_null(param, "%s", name);
    EXPECT_OK(clseq_param_value(param, &value));
    double *values = graph_param_values(param);
    expect_uniform(name, values, (size_t)clseq_tensor_elements(&value), bound);
    free(values);
}

Test(layers, names_and_shapes)
{
    clseq_context *ctx = test_context();
    clseq_params *params = store(ctx);
    clseq_embedding *embed = NULL;
    clseq_linear *with = NULL, *without = NULL;
    clseq_rnn *lstm = NULL, *gru = NULL, *tanh_cell = NULL;
    EXPECT_OK(clseq_embedding_new(params, "embed", 10, 6, &embed));
    EXPECT_OK(clseq_linear_new(params, "a", 5, 3, true, &with));
    EXPECT_OK(clseq_linear_new(params, "b", 5, 3, false, &without));
    EXPECT_OK(clseq_rnn_new(params, "net.lstm",
                            &(clseq_rnn_desc){.cell = CLSEQ_CELL_LSTM, .input = 6, .hidden = 8, .layers = 2},
                            NULL, &lstm));
    EXPECT_OK(clseq_rnn_new(
        params, "gru",
        &(clseq_rnn_desc){.cell = CLSEQ_CELL_GRU, .input = 6, .hidden = 8, .bias = CLSEQ_BIAS_ONE}, NULL,
        &gru));
    EXPECT_OK(clseq_rnn_new(
        params, "rnn",
        &(clseq_rnn_desc){.cell = CLSEQ_CELL_RNN_TANH, .input = 6, .hidden = 8, .bias = CLSEQ_BIAS_NONE},
        NULL, &tanh_cell));
    size_t i = 0;
    expect_param(params, i++, "embed.weight", 2, 10, 6);
    expect_param(params, i++, "a.weight", 2, 3, 5);
    expect_param(params, i++, "a.bias", 1, 3, 0);
    expect_param(params, i++, "b.weight", 2, 3, 5);
    expect_param(params, i++, "net.lstm.weight_ih_l0", 2, 32, 6);
    expect_param(params, i++, "net.lstm.weight_hh_l0", 2, 32, 8);
    expect_param(params, i++, "net.lstm.bias_ih_l0", 1, 32, 0);
    expect_param(params, i++, "net.lstm.bias_hh_l0", 1, 32, 0);
    expect_param(params, i++, "net.lstm.weight_ih_l1", 2, 32, 8);
    expect_param(params, i++, "net.lstm.weight_hh_l1", 2, 32, 8);
    expect_param(params, i++, "net.lstm.bias_ih_l1", 1, 32, 0);
    expect_param(params, i++, "net.lstm.bias_hh_l1", 1, 32, 0);
    expect_param(params, i++, "gru.weight_ih_l0", 2, 24, 6);
    expect_param(params, i++, "gru.weight_hh_l0", 2, 24, 8);
    expect_param(params, i++, "gru.bias_ih_l0", 1, 24, 0);
    expect_param(params, i++, "rnn.weight_ih_l0", 2, 8, 6);
    expect_param(params, i++, "rnn.weight_hh_l0", 2, 8, 8);
    cr_assert_eq(clseq_params_count(params), i);
    cr_assert_eq(clseq_rnn_description(lstm)->layers, 2);
    cr_assert_eq(clseq_rnn_description(gru)->layers, 1);
    char text[1000];
    EXPECT_OK(
        clseq_rnn_describe(clseq_rnn_plan_of(lstm), &(clseq_rnn_shape){.T = 3, .B = 2}, text, sizeof text));
    cr_assert(strlen(text) > 0);
    cr_assert_null(clseq_rnn_description(NULL));
    cr_assert_null(clseq_rnn_plan_of(NULL));
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
}

/* PyTorch's: embedding standard normal, linear within 1/sqrt(in), recurrent layers within 1/sqrt(H). */
Test(layers, starting_values)
{
    enum { V = 40, E = 50 };
    clseq_context *ctx = test_context();
    clseq_params *params = store(ctx);
    clseq_embedding *embed = NULL;
    clseq_linear *linear = NULL;
    clseq_rnn *gru = NULL;
    EXPECT_OK(clseq_embedding_new(params, "embed", V, E, &embed));
    EXPECT_OK(clseq_linear_new(params, "out", 25, 64, true, &linear));
    EXPECT_OK(clseq_rnn_new(params, "gru",
                            &(clseq_rnn_desc){.cell = CLSEQ_CELL_GRU, .input = 30, .hidden = 16, .layers = 2},
                            NULL, &gru));
    double *values = graph_param_values(clseq_params_at(params, 0)), sum = 0, squares = 0;
    for (int i = 0; i < V * E; i++) {
        sum += values[i];
        squares += values[i] * values[i];
    }
    /* mean 0 +- 1/sqrt(2000), variance 1 +- sqrt(2/2000); five standard deviations */
    cr_assert(fabs(sum / (V * E)) < 5 * 0.0224, "mean %g", sum / (V * E));
    cr_assert(fabs(squares / (V * E) - 1) < 5 * 0.0316, "variance %g", squares / (V * E));
    free(values);
    expect_uniform_param(params, "out.weight", 1 / sqrt(25));
    expect_uniform_param(params, "out.bias", 1 / sqrt(25));
    for (size_t i = 3; i < clseq_params_count(params); i++)
        expect_uniform_param(params, clseq_param_name(clseq_params_at(params, i)), 1 / sqrt(16));
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
}

/* Rows [from, from+count) of a matrix, times their transpose, are the identity. */
static void expect_orthonormal(const double *m, int from, int count, int columns)
{
    for (int a = 0; a < count; a++)
        for (int b = 0; b < count; b++) {
            double dot = 0;
            for (int k = 0; k < columns; k++)
                dot += m[(from + a) * columns + k] * m[(from + b) * columns + k];
            cr_assert(fabs(dot - (a == b)) < 1e-5, "rows %d and %d: %g", from + a, from + b, dot);
        }
}

Test(layers, recurrent_starting_values)
{
    enum { H = 6, I = 10 };
    clseq_context *ctx = test_context();
    clseq_params *params = store(ctx), *plain = store(ctx);
    clseq_rnn *lstm = NULL;
    const clseq_rnn_desc desc = {.cell = CLSEQ_CELL_LSTM, .input = I, .hidden = H, .layers = 2};
    const clseq_rnn_init init = {.input = {.kind = CLSEQ_INIT_XAVIER, .scale = 1, .block = H},
                                 .recurrent = {.kind = CLSEQ_INIT_ORTHOGONAL, .scale = 1},
                                 .forget_bias = {.kind = CLSEQ_INIT_CONSTANT, .scale = 1.5f}};
    EXPECT_OK(clseq_rnn_new(params, "lstm", &desc, &init, &lstm));
    EXPECT_OK(clseq_rnn_new(plain, "lstm", &desc, NULL, &lstm));
    for (int layer = 0; layer < 2; layer++) {
        const size_t first = (size_t)layer * 4;
        double *w = graph_param_values(clseq_params_at(params, first + 1));
        for (int gate = 0; gate < 4; gate++)
            expect_orthonormal(w, gate * H, H, H);
        free(w);
        expect_uniform_param(params, clseq_param_name(clseq_params_at(params, first)),
                             sqrt(6.0 / (H + (layer == 0 ? I : H))));
        for (size_t part = 2; part < 4; part++) {
            double *b = graph_param_values(clseq_params_at(params, first + part));
            double *unchanged = graph_param_values(clseq_params_at(plain, first + part));
            for (int i = 0; i < 4 * H; i++) {
                const double want = i / H != 1 ? unchanged[i] : part == 2 ? 1.5 : 0.0;
                cr_assert(b[i] == want, "%s[%d] is %g, expected %g",
                          clseq_param_name(clseq_params_at(params, first + part)), i, b[i], want);
            }
            free(b);
            free(unchanged);
        }
    }
    clseq_params_destroy(params);
    clseq_params_destroy(plain);
    clseq_context_destroy(ctx);
}

/* weight_hr [P,H] is one orthogonal matrix. */
Test(layers, orthogonal_projection)
{
    enum { H = 6, P = 4 };
    clseq_context *ctx = test_context();
    clseq_params *params = store(ctx);
    clseq_rnn *lstm = NULL;
    const clseq_rnn_init init = {.projection = {.kind = CLSEQ_INIT_ORTHOGONAL, .scale = 1}};
    EXPECT_OK(clseq_rnn_new(
        params, "lstm", &(clseq_rnn_desc){.cell = CLSEQ_CELL_LSTM, .input = 3, .hidden = H, .projection = P},
        &init, &lstm));
    double *w = graph_param_values(clseq_params_find(params, "lstm.weight_hr_l0"));
    expect_orthonormal(w, 0, P, H);
    free(w);
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
}

/* Each parameter may start as zeros, the forget gate's bias as zero among others that are not. */
Test(layers, recurrent_zeros)
{
    enum { H = 6 };
    static const char *const names[] = {"lstm.weight_ih_l0", "lstm.weight_hh_l0", "lstm.bias_ih_l0",
                                        "lstm.bias_hh_l0"};
    static const clseq_init zero = {.kind = CLSEQ_INIT_ZERO}, one = {.kind = CLSEQ_INIT_CONSTANT, .scale = 1};
    static const clseq_rnn_init inits[] = {{.input = zero},
                                           {.recurrent = zero},
                                           {.bias = zero},
                                           {.forget_bias = zero},
                                           {.bias = zero, .forget_bias = one}};
    /* The parameters that are zeros, and those whose forget gate's block is something else: of which sum. */
    static const bool is_zero[][4] = {
        {true}, {false, true}, {false, false, true, true}, {false}, {false, false, true, true}};
    static const double forget[] = {NAN, NAN, 0, 0, 1};
    clseq_context *ctx = test_context();
    for (int i = 0; i < 5; i++) {
        clseq_params *params = store(ctx);
        clseq_rnn *lstm = NULL;
        EXPECT_OK(clseq_rnn_new(params, "lstm",
                                &(clseq_rnn_desc){.cell = CLSEQ_CELL_LSTM, .input = 5, .hidden = H},
                                &inits[i], &lstm));
        double sums[H] = {0};
        for (int p = 0; p < 4; p++) {
            double *values = graph_param_values(clseq_params_find(params, names[p]));
            for (int k = 0; k < 4 * H; k++) {
                const bool is_forget = p >= 2 && k / H == 1;
                if (is_forget)
                    sums[k - H] += values[k];
                if (!is_forget || isnan(forget[i]))
                    cr_expect((values[k] == 0) == is_zero[i][p], "case %d: %s[%d] is %g", i, names[p], k,
                              values[k]);
            }
            free(values);
        }
        for (int k = 0; k < H && !isnan(forget[i]); k++)
            cr_expect(sums[k] == forget[i], "case %d: unit %d forgets with %g", i, k, sums[k]);
        clseq_params_destroy(params);
    }
    clseq_context_destroy(ctx);
}

/* What cannot be made adds nothing to the store. */
Test(layers, errors)
{
    clseq_context *ctx = test_context();
    clseq_params *params = store(ctx);
    clseq_embedding *embed = NULL;
    clseq_linear *linear = NULL;
    clseq_rnn *rnn = NULL;
    const clseq_rnn_desc lstm = {.cell = CLSEQ_CELL_LSTM, .input = 3, .hidden = 4, .layers = 2};
    const clseq_rnn_desc gru = {.cell = CLSEQ_CELL_GRU, .input = 3, .hidden = 4};
    const clseq_rnn_desc no_bias = {
        .cell = CLSEQ_CELL_LSTM, .input = 3, .hidden = 4, .bias = CLSEQ_BIAS_NONE};
    const clseq_rnn_init forget = {.forget_bias = {.kind = CLSEQ_INIT_ZERO}};
    const clseq_rnn_init endless = {.forget_bias = {.kind = CLSEQ_INIT_CONSTANT, .scale = INFINITY}};
    const clseq_rnn_init spread = {.forget_bias = {.kind = CLSEQ_INIT_NORMAL, .scale = 1}};
    const clseq_rnn_init no_kind = {.forget_bias = {.scale = 1}};
    const clseq_rnn_init zero_of_one = {.forget_bias = {.kind = CLSEQ_INIT_ZERO, .scale = 1}};
    const clseq_rnn_init no_input_kind = {.input = {.scale = 1}};
    const clseq_rnn_init bad_block = {.recurrent = {.kind = CLSEQ_INIT_ORTHOGONAL, .scale = 1, .block = 3}};
    char long_name[400];
    memset(long_name, 'x', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    EXPECT_OK(clseq_params_add(params, "x.bias_hh_l1", 1, (int64_t[]){3}, NULL, NULL));
    EXPECT_OK(clseq_params_add(params, "x.bias", 1, (int64_t[]){3}, NULL, NULL));

    EXPECT_ERROR(clseq_rnn_new(params, "x", &lstm, NULL, &rnn), CLSEQ_INVALID_ARGUMENT, "x.bias_hh_l1");
    EXPECT_ERROR(clseq_linear_new(params, "x", 3, 4, true, &linear), CLSEQ_INVALID_ARGUMENT, "x.bias");
    EXPECT_ERROR(clseq_linear_new(params, "y", 3, 0, true, &linear), CLSEQ_INVALID_SHAPE, "y.weight");
    EXPECT_ERROR(clseq_linear_new(params, "y", -1, 3, true, &linear), CLSEQ_INVALID_SHAPE, "y.weight");
    EXPECT_ERROR(clseq_embedding_new(params, "y", 0, 3, &embed), CLSEQ_INVALID_SHAPE, "y.weight");
    EXPECT_ERROR(clseq_embedding_new(params, "y", (int64_t)1 << 40, (int64_t)1 << 40, &embed),
                 CLSEQ_OUT_OF_DEVICE_MEMORY, "y.weight");
    EXPECT_ERROR(clseq_embedding_new(params, long_name, 3, 3, &embed), CLSEQ_INVALID_ARGUMENT, "bytes");
    EXPECT_ERROR(clseq_rnn_new(params, long_name, &lstm, NULL, &rnn), CLSEQ_INVALID_ARGUMENT, "bytes");
    EXPECT_ERROR(clseq_embedding_new(params, "", 3, 3, &embed), CLSEQ_INVALID_ARGUMENT,
                 "embedding new: the name is empty");
    EXPECT_ERROR(clseq_embedding_new(NULL, "y", 3, 3, &embed), CLSEQ_INVALID_ARGUMENT,
                 "embedding new: params is NULL");
    EXPECT_ERROR(clseq_embedding_new(params, NULL, 3, 3, &embed), CLSEQ_INVALID_ARGUMENT,
                 "embedding new: the name is NULL");
    EXPECT_ERROR(clseq_linear_new(params, "y", 3, 3, true, NULL), CLSEQ_INVALID_ARGUMENT,
                 "linear new: out is NULL");
    EXPECT_ERROR(clseq_rnn_new(params, "y", NULL, NULL, &rnn), CLSEQ_INVALID_ARGUMENT,
                 "rnn new: desc is NULL");
    EXPECT_ERROR(clseq_rnn_new(NULL, "y", &lstm, NULL, &rnn), CLSEQ_INVALID_ARGUMENT,
                 "rnn new: params is NULL");
    EXPECT_ERROR(clseq_rnn_new(params, "y", &(clseq_rnn_desc){.input = 3}, NULL, &rnn),
                 CLSEQ_INVALID_ARGUMENT, "hidden");
    EXPECT_ERROR(clseq_rnn_new(params, "y", &gru, &forget, &rnn), CLSEQ_INVALID_ARGUMENT,
                 "rnn new: y: forget_bias is for LSTM cells, this one is gru");
    EXPECT_ERROR(clseq_rnn_new(params, "y", &no_bias, &forget, &rnn), CLSEQ_INVALID_ARGUMENT,
                 "rnn new: y: forget_bias, but the layer has no bias");
    EXPECT_ERROR(clseq_rnn_new(params, "y", &lstm, &endless, &rnn), CLSEQ_INVALID_ARGUMENT,
                 "rnn new: y: forget_bias is inf, expected a finite number");
    EXPECT_ERROR(clseq_rnn_new(params, "y", &lstm, &spread, &rnn), CLSEQ_INVALID_ARGUMENT,
                 "rnn new: y: forget_bias has kind 4, expected CLSEQ_INIT_CONSTANT or CLSEQ_INIT_ZERO");
    EXPECT_ERROR(clseq_rnn_new(params, "y", &lstm, &no_kind, &rnn), CLSEQ_INVALID_ARGUMENT,
                 "rnn new: y: forget_bias has kind 0");
    EXPECT_ERROR(clseq_rnn_new(params, "y", &lstm, &zero_of_one, &rnn), CLSEQ_INVALID_ARGUMENT,
                 "rnn new: y: forget_bias is 1, expected 0 with CLSEQ_INIT_ZERO");
    EXPECT_ERROR(clseq_rnn_new(params, "y", &lstm, &no_input_kind, &rnn), CLSEQ_INVALID_ARGUMENT,
                 "y.weight_ih_l0: init has a scale or block");
    EXPECT_ERROR(clseq_rnn_new(params, "y", &lstm, &bad_block, &rnn), CLSEQ_INVALID_ARGUMENT, "init.block");
    cr_assert_eq(clseq_params_count(params), 2);
    cr_assert_eq(clseq_params_elements(params), 6);

    /* and the store is as usable as before */
    EXPECT_OK(clseq_linear_new(params, "y", 3, 4, true, &linear));
    expect_param(params, 2, "y.weight", 2, 4, 3);
    EXPECT_ERROR(clseq_linear_new(params, "late", 3, 4, true, &linear), CLSEQ_INVALID_STATE, "late.weight");
    cr_assert_eq(clseq_params_count(params), 4);
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
}

/* ---- states ---- */

Test(layers, states)
{
    enum { B = 3, H = 4, L = 2, N = L * B * H };
    clseq_context *ctx = test_context();
    clseq_params *params = store(ctx);
    clseq_rnn *lstm = NULL, *gru = NULL;
    clseq_state *state = NULL, *none = NULL;
    clseq_tensor tensor = {0};
    float values[N];
    EXPECT_OK(clseq_rnn_new(params, "lstm",
                            &(clseq_rnn_desc){.cell = CLSEQ_CELL_LSTM, .input = 3, .hidden = H, .layers = L},
                            NULL, &lstm));
    EXPECT_OK(clseq_rnn_new(params, "gru", &(clseq_rnn_desc){.cell = CLSEQ_CELL_GRU, .input = 3, .hidden = H},
                            NULL, &gru));
    EXPECT_OK(clseq_state_create(lstm, B, &state));
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 2; i++) {
            EXPECT_OK(clseq_state_tensor(state, i, &tensor));
            cr_assert_eq(tensor.ndim, 3);
            cr_assert(tensor.dims[0] == L && tensor.dims[1] == B && tensor.dims[2] == H);
            EXPECT_OK(clseq_tensor_read(ctx, &tensor, values));
            for (int e = 0; e < N; e++)
                cr_assert(values[e] == 0);
            EXPECT_OK(clseq_tensor_fill(ctx, &tensor, 3));
            if (i == 1)
                EXPECT_OK(clseq_state_reset(state));
        }
    clseq_state_destroy(state);
    EXPECT_OK(clseq_state_create(gru, B, &state));
    EXPECT_ERROR(clseq_state_tensor(state, 1, &tensor), CLSEQ_INVALID_ARGUMENT,
                 "state tensor: there is no state 1, there are 1");
    EXPECT_ERROR(clseq_state_tensor(state, -1, &tensor), CLSEQ_INVALID_ARGUMENT, "there is no state -1");
    EXPECT_ERROR(clseq_state_tensor(state, 0, NULL), CLSEQ_INVALID_ARGUMENT, "state tensor: out is NULL");
    EXPECT_ERROR(clseq_state_tensor(NULL, 0, &tensor), CLSEQ_INVALID_ARGUMENT, "state tensor: state is NULL");
    EXPECT_ERROR(clseq_state_create(NULL, 1, &none), CLSEQ_INVALID_ARGUMENT, "state create: rnn is NULL");
    EXPECT_ERROR(clseq_state_create(gru, 1, NULL), CLSEQ_INVALID_ARGUMENT, "state create: out is NULL");
    EXPECT_ERROR(clseq_state_reset(NULL), CLSEQ_INVALID_ARGUMENT, "state reset: state is NULL");
    clseq_state_destroy(state);
    EXPECT_ERROR(clseq_state_create(gru, 0, &none), CLSEQ_INVALID_SHAPE,
                 "state create: B is 0, expected at least 1");
    clseq_state_destroy(NULL);
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
}
