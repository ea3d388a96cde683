#include "support/graph.h"

#include "support/compare.h"
#include "support/numeric.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Test support has no Criterion: an abort fails the test that it happens in. */
static void fail(const char *file, int line, const char *text, const char *detail)
{
    fprintf(stderr, "%s:%d: %s: %s\n", file, line, text, detail);
    abort();
}

void graph_expect_that(bool holds, const char *condition, const char *message, const char *file, int line)
{
    if (!holds)
        fail(file, line, condition, message);
}

void graph_expect_ok(clseq_status status, const char *call, const char *file, int line)
{
    if (status != CLSEQ_OK)
        fail(file, line, call, clseq_last_error());
}

void graph_expect_error(clseq_status came, clseq_status want, const char *part, const char *call,
                        const char *file, int line)
{
    if (came != want) {
        fprintf(stderr, "%s where %s was expected; ", clseq_status_name(came), clseq_status_name(want));
        fail(file, line, call, clseq_last_error());
    }
    if (!strstr(clseq_last_error(), part)) {
        fprintf(stderr, "\"%s\" is not part of the sentence; ", part);
        fail(file, line, call, clseq_last_error());
    }
}

clseq_var *graph_input(clseq_graph *g, const double *values, int ndim, const int64_t *dims)
{
    size_t n = 1;
    for (int i = 0; i < ndim; i++)
        n *= (size_t)dims[i];
    float *floats = test_floats_of(values, n);
    clseq_var *x = clseq_require_grad(g, clseq_input_f32(g, floats, ndim, dims));
    free(floats);
    EXPECT_OK(clseq_graph_status(g));
    return x;
}

size_t graph_elements(clseq_graph *g, const clseq_var *x)
{
    clseq_tensor value = {0};
    EXPECT_OK(clseq_var_value(g, x, &value));
    return (size_t)clseq_tensor_elements(&value);
}

void graph_backward_floats(clseq_graph *g, clseq_var *y, const float *dy)
{
    clseq_tensor value = {0};
    EXPECT_OK(clseq_var_value(g, y, &value));
    clseq_var *grad = clseq_input_f32(g, dy, value.ndim, value.dims);
    EXPECT_OK(clseq_backward_from(g, 1, &y, &grad));
}

void graph_backward(clseq_graph *g, clseq_var *y, const double *dy)
{
    EXPECT_OK(clseq_graph_status(g));
    float *floats = test_floats_of(dy, graph_elements(g, y));
    graph_backward_floats(g, y, floats);
    free(floats);
}

/* `bound` for all elements, or one for each. */
static void compare(const char *name, const float *got, const double *want, size_t n, double bound,
                    const double *bounds)
{
    const bool equal =
        bounds ? compare_floats_each(name, got, want, n, bounds) : compare_floats(name, got, want, n, bound);
    if (!equal)
        fail("comparison", 0, name, compare_message());
}

static void compare_value(const char *name, clseq_graph *g, const clseq_var *x, const double *want,
                          double bound, const double *bounds)
{
    EXPECT_OK(clseq_graph_status(g));
    const size_t n = graph_elements(g, x);
    float *got = test_floats(n);
    EXPECT_OK(clseq_read(g, x, got));
    compare(name, got, want, n, bound, bounds);
    free(got);
}

static void compare_grad(const char *name, clseq_graph *g, const clseq_var *x, const double *want,
                         double bound, const double *bounds)
{
    clseq_tensor grad = {0};
    EXPECT_OK(clseq_graph_status(g));
    EXPECT_OK(clseq_var_grad(g, x, &grad));
    const size_t n = graph_elements(g, x);
    float *got = test_floats(n);
    EXPECT_OK(clseq_read(g, clseq_input_tensor(g, &grad), got));
    compare(name, got, want, n, bound, bounds);
    free(got);
}

static void compare_param(clseq_param *param, const double *want, double bound, const double *bounds)
{
    clseq_tensor grad = {0};
    EXPECT_OK(clseq_param_grad(param, &grad));
    const size_t n = (size_t)clseq_tensor_elements(&grad);
    float *got = test_floats(n);
    EXPECT_OK(clseq_param_get_grad(param, got));
    compare(clseq_param_name(param), got, want, n, bound, bounds);
    free(got);
}

void graph_expect_value(const char *name, clseq_graph *g, const clseq_var *x, const double *want,
                        double bound)
{
    compare_value(name, g, x, want, bound, NULL);
}

void graph_expect_grad(const char *name, clseq_graph *g, const clseq_var *x, const double *want, double bound)
{
    compare_grad(name, g, x, want, bound, NULL);
}

void graph_expect_param_grad(clseq_param *param, const double *want, double bound)
{
    compare_param(param, want, bound, NULL);
}

void graph_expect_value_each(const char *name, clseq_graph *g, const clseq_var *x, const double *want,
                             const double *bound)
{
    compare_value(name, g, x, want, 0, bound);
}

void graph_expect_grad_each(const char *name, clseq_graph *g, const clseq_var *x, const double *want,
                            const double *bound)
{
    compare_grad(name, g, x, want, 0, bound);
}

void graph_expect_param_grad_each(clseq_param *param, const double *want, const double *bound)
{
    compare_param(param, want, 0, bound);
}

void graph_set_param(clseq_param *param, const double *values)
{
    clseq_tensor value = {0};
    EXPECT_OK(clseq_param_value(param, &value));
    float *floats = test_floats_of(values, (size_t)clseq_tensor_elements(&value));
    EXPECT_OK(clseq_param_set(param, floats));
    free(floats);
}

double *graph_param_values(clseq_param *param)
{
    clseq_tensor value = {0};
    EXPECT_OK(clseq_param_value(param, &value));
    const size_t n = (size_t)clseq_tensor_elements(&value);
    float *floats = test_floats(n);
    EXPECT_OK(clseq_param_get(param, floats));
    double *values = test_doubles_of(floats, n);
    free(floats);
    return values;
}

void graph_end(clseq_graph *g)
{
    EXPECT_OK(clseq_graph_end(g));
}
