/*
 * graph_rnn.h - problems of reference/rnn_case.h as recurrent layers of graphs.
 *
 *     clseq_rnn *rnn = graph_rnn_new(params, &c->net, false);
 *     graph_rnn_set(params, c);
 *     clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
 *     graph_rnn_check(g, rnn, params, c, graph_rnn_input(g, c, RNN_X), true);
 *
 * The layer's parameters are called "rnn.NAME" of the case's weights. A failure fails the test at once.
 */
#ifndef CLSEQ_TESTS_SUPPORT_GRAPH_RNN_H
#define CLSEQ_TESTS_SUPPORT_GRAPH_RNN_H

#include "reference/rnn_case.h"

#include <clseq/clseq.h>

/* A layer "rnn" of this net in the store; one_hot: its x are net->I kinds of numbers. */
clseq_rnn *graph_rnn_new(clseq_params *params, const reference_rnn *net, bool one_hot);

/* The parameter of the layer "rnn" that has this name in a case, see rnn_input_name(). */
clseq_param *graph_rnn_param(const clseq_params *params, const char *weight);

/* Gives the layer "rnn" the case's weights. */
void graph_rnn_set(const clseq_params *params, const rnn_case *c);

/* The case's input in this place, with the wish for its gradient. */
clseq_var *graph_rnn_input(clseq_graph *g, const rnn_case *c, int place);

/* What runs a layer over x: clseq_recur, or another way to do the same. */
typedef clseq_var *graph_recur_fn(clseq_graph *g, clseq_rnn *rnn, clseq_var *x, const clseq_recur_opts *opts);

/*
 * clseq_recur, or `recur`, over x with everything given: y and the final states are the case's within its bounds. In training also
 * the gradients of the initial states, with `wants_dx` of x, and of the layer's weights, which are zeros before. What the
 * layer draws is that of rnn_variant.h. Ends the graph.
 */
void graph_rnn_check(clseq_graph *g, clseq_rnn *rnn, const clseq_params *params, const rnn_case *c,
                     clseq_var *x, bool wants_dx);
void graph_rnn_check_with(graph_recur_fn *recur, clseq_graph *g, clseq_rnn *rnn, const clseq_params *params,
                          const rnn_case *c, clseq_var *x, bool wants_dx);

/* The gradients of the weights alone. */
void graph_rnn_expect_dweights(const clseq_params *params, const rnn_case *c);

#endif
