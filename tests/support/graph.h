/*
 * graph.h - graphs in tests: inputs from double arrays, and values and gradients compared with double arrays.
 *
 *     clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
 *     clseq_var *x = graph_input(g, x_values, 2, (int64_t[]){3, 4});
 *     clseq_var *y = clseq_tanh(g, x);
 *     graph_backward(g, y, dy);
 *     graph_expect_grad("dx", g, x, want, bound);
 *     graph_end(g);
 *
 * A failure fails the test at once.
 */
#ifndef CLSEQ_TESTS_SUPPORT_GRAPH_H
#define CLSEQ_TESTS_SUPPORT_GRAPH_H

#include <clseq/clseq.h>

/* Fails the test with the library's sentence unless the status is CLSEQ_OK. */
#define EXPECT_OK(call) graph_expect_ok((call), #call, __FILE__, __LINE__)
void graph_expect_ok(clseq_status status, const char *call, const char *file, int line);

/* Fails the test with this message unless the condition holds. */
#define EXPECT_THAT(condition, message) \
    graph_expect_that((condition), #condition, (message), __FILE__, __LINE__)
void graph_expect_that(bool holds, const char *condition, const char *message, const char *file, int line);

/* Fails the test unless the call gives this status and a sentence that contains `part`. */
#define EXPECT_ERROR(call, status, part) \
    graph_expect_error((call), (status), (part), #call, __FILE__, __LINE__)
void graph_expect_error(clseq_status came, clseq_status want, const char *part, const char *call,
                        const char *file, int line);

/* An f32 input whose gradient is asked for. */
clseq_var *graph_input(clseq_graph *g, const double *values, int ndim, const int64_t *dims);

/* clseq_backward_from one variable, with floats or doubles as its gradient. */
void graph_backward_floats(clseq_graph *g, clseq_var *y, const float *dy);
void graph_backward(clseq_graph *g, clseq_var *y, const double *dy);

/* Elements of a variable. */
size_t graph_elements(clseq_graph *g, const clseq_var *x);

/* Compares a variable's values, its gradient, or a parameter's gradient, each element within `bound`. */
void graph_expect_value(const char *name, clseq_graph *g, const clseq_var *x, const double *want,
                        double bound);
void graph_expect_grad(const char *name, clseq_graph *g, const clseq_var *x, const double *want,
                       double bound);
void graph_expect_param_grad(clseq_param *param, const double *want, double bound);

/* The same with a bound for each element. */
void graph_expect_value_each(const char *name, clseq_graph *g, const clseq_var *x, const double *want,
                             const double *bound);
void graph_expect_grad_each(const char *name, clseq_graph *g, const clseq_var *x, const double *want,
                            const double *bound);
void graph_expect_param_grad_each(clseq_param *param, const double *want, const double *bound);

/* Gives a parameter its values. */
void graph_set_param(clseq_param *param, const double *values);

/* A parameter's values as doubles, to be freed. */
double *graph_param_values(clseq_param *param);

/* Ends the graph, which must not have failed. */
void graph_end(clseq_graph *g);

#endif
