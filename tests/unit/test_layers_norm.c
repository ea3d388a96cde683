/* Norms as layers: names, shapes and starting values of their parameters, and that they are used. */
#include <criterion/criterion.h>

#include "reference/norm.h"
#include "support/bounds.h"
#include "support/device.h"
#include "support/graph.h"
#include "support/numeric.h"
#include <math.h>
#include <stdlib.h>

enum { N = 2, n = 4 };

static void expect_param(clseq_params *params, const char *name, double value)
{
    clseq_param *param = clseq_params_find(params, name);
    clseq_tensor tensor = {0};
    cr_assert_not_null(param, "there is no %s", name);
    EXPECT_OK(clseq_param_value(param, &tensor));
    cr_assert(tensor.ndim == 1 && tensor.dims[0] == n, "%s is no [%d]", name, n);
    double *values = graph_param_values(param);
    for (int i = 0; i < n; i++)
        cr_assert_eq(values[i], value, "%s[%d] is %g", name, i, values[i]);
    free(values);
}

Test(layers_norm, parameters)
{
    clseq_context *ctx = test_context();
    clseq_params *params = NULL;
    clseq_norm *layer = NULL, *rms = NULL;
    EXPECT_OK(clseq_params_create(ctx, 9, &params));
    EXPECT_OK(clseq_norm_new(params, "norm", CLSEQ_NORM_LAYER, n, 1e-5f, &layer));
    EXPECT_OK(clseq_norm_new(params, "rms", CLSEQ_NORM_RMS, n, 1e-5f, &rms));
    cr_assert_eq(clseq_params_count(params), 3);
    expect_param(params, "norm.weight", 1);
    expect_param(params, "norm.bias", 0);
    expect_param(params, "rms.weight", 1);
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
}

/* Values, and gradients that are added to what the parameters have. */
Test(layers_norm, normalize)
{
    clseq_context *ctx = test_context();
    const double x[N * n] = {1, 2, -1, 0.5, -2, 3, 0.25, 1}, dy[N * n] = {1, -1, 0.5, 2, 0.25, -0.5, 1, 1};
    const double gain[n] = {0.5, -1, 2, 1}, shift[n] = {0.25, 1, -1, 0};
    for (clseq_norm_kind kind = 0; kind < CLSEQ_NORM_COUNT; kind++) {
        const reference_row_norm norm = {kind == CLSEQ_NORM_LAYER, 0.125, N, n};
        double y[N * n], dx[N * n], dgain[n] = {0}, dshift[n] = {0};
        clseq_params *params = NULL;
        clseq_norm *layer = NULL;
        EXPECT_OK(clseq_params_create(ctx, 9, &params));
        EXPECT_OK(clseq_norm_new(params, "norm", kind, n, 0.125f, &layer));
        clseq_param *bias = clseq_params_find(params, "norm.bias");
        graph_set_param(clseq_params_find(params, "norm.weight"), gain);
        if (bias)
            graph_set_param(bias, shift);
        reference_row_norm_forward(norm, x, gain, bias ? shift : NULL, y);
        for (int run = 0; run < 2; run++) {
            clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
            clseq_var *in = graph_input(g, x, 2, (int64_t[]){N, n}), *out = clseq_normalize(g, layer, in);
            reference_row_norm_backward(norm, x, gain, dy, dx, dgain, dshift);
            graph_expect_value("y", g, out, y, test_rounding_bound(20, 5));
            graph_backward(g, out, dy);
            graph_expect_grad("x", g, in, dx, test_rounding_bound(30, 5));
            graph_expect_param_grad(clseq_params_find(params, "norm.weight"), dgain,
                                    test_rounding_bound(40, 5));
            if (bias)
                graph_expect_param_grad(bias, dshift, test_rounding_bound(10, 5));
            graph_end(g);
        }
        clseq_params_destroy(params);
    }
    clseq_context_destroy(ctx);
}

Test(layers_norm, refusals)
{
    clseq_context *ctx = test_context();
    clseq_params *params = NULL;
    clseq_norm *layer = NULL;
    EXPECT_OK(clseq_params_create(ctx, 9, &params));
    EXPECT_ERROR(clseq_norm_new(NULL, "a", CLSEQ_NORM_LAYER, n, 1, &layer), CLSEQ_INVALID_ARGUMENT,
                 "norm new: params is NULL");
    EXPECT_ERROR(clseq_norm_new(params, NULL, CLSEQ_NORM_LAYER, n, 1, &layer), CLSEQ_INVALID_ARGUMENT,
                 "norm new: the name is NULL");
    EXPECT_ERROR(clseq_norm_new(params, "", CLSEQ_NORM_LAYER, n, 1, &layer), CLSEQ_INVALID_ARGUMENT,
                 "norm new: the name is empty");
    EXPECT_ERROR(clseq_norm_new(params, "a", CLSEQ_NORM_COUNT, n, 1, &layer), CLSEQ_INVALID_ARGUMENT,
                 "norm new: there is no norm 2");
    EXPECT_ERROR(clseq_norm_new(params, "a", CLSEQ_NORM_LAYER, n, -1, &layer), CLSEQ_INVALID_ARGUMENT,
                 "norm new: eps is -1, expected a number of at least 0");
    EXPECT_ERROR(clseq_norm_new(params, "a", CLSEQ_NORM_LAYER, n, NAN, &layer), CLSEQ_INVALID_ARGUMENT,
                 "norm new: eps is nan, expected a number of at least 0");
    EXPECT_ERROR(clseq_norm_new(params, "a", CLSEQ_NORM_LAYER, 0, 1, &layer), CLSEQ_INVALID_SHAPE,
                 "a.weight");
    EXPECT_OK(clseq_params_add(params, "a.bias", 1, (int64_t[]){1}, NULL, NULL));
    EXPECT_ERROR(clseq_norm_new(params, "a", CLSEQ_NORM_LAYER, n, 1, &layer), CLSEQ_INVALID_ARGUMENT,
                 "a.bias");
    cr_assert_eq(clseq_params_count(params), 1, "what could not be made left something behind");
    cr_assert_null(layer);
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
}
