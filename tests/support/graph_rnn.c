#include "graph_rnn.h"

#include "graph.h"
#include "rnn_run.h"
#include "rnn_variant.h"
#include "train/graph.h"

#include <stdio.h>
#include <stdlib.h>

clseq_rnn *graph_rnn_new(clseq_params *params, const reference_rnn *net, bool one_hot)
{
    int64_t *widths = calloc((size_t)net->L, sizeof *widths);
    const rnn_run_options options = {.one_hot = one_hot};
    const clseq_rnn_desc desc = rnn_run_desc(net, &options, widths);
    clseq_rnn *rnn = NULL;
    EXPECT_OK(clseq_rnn_new(params, "rnn", &desc, NULL, &rnn));
    for (int l = 0; l < net->L; l++) /* the layer has a copy */
        widths[l] = -1;
    free(widths);
    return rnn;
}

clseq_param *graph_rnn_param(const clseq_params *params, const char *weight)
{
    char name[64];
    snprintf(name, sizeof name, "rnn.%s", weight);
    return clseq_params_find(params, name);
}

void graph_rnn_set(const clseq_params *params, const rnn_case *c)
{
    for (int i = RNN_WEIGHTS; i < c->count; i++)
        graph_set_param(graph_rnn_param(params, rnn_input_name(c, i)), c->in[i]);
}

clseq_var *graph_rnn_input(clseq_graph *g, const rnn_case *c, int place)
{
    int64_t dims[3] = {0};
    for (int k = 0; k < c->tensor[place].ndim; k++)
        dims[k] = (int64_t)c->tensor[place].dims[k];
    return graph_input(g, c->in[place], c->tensor[place].ndim, dims);
}

static clseq_var *dot(clseq_graph *g, clseq_var *value, const rnn_case *c, int place)
{
    return clseq_sum(g, clseq_mul(g, value, graph_rnn_input(g, c, place)));
}

void graph_rnn_expect_dweights(const clseq_params *params, const rnn_case *c)
{
    for (int i = RNN_WEIGHTS; i < c->count; i++)
        graph_expect_param_grad_each(graph_rnn_param(params, rnn_input_name(c, i)), c->want[i], c->bound[i]);
}

void graph_rnn_check(clseq_graph *g, clseq_rnn *rnn, const clseq_params *params, const rnn_case *c,
                     clseq_var *x, bool wants_dx)
{
    graph_rnn_check_with(clseq_recur, g, rnn, params, c, x, wants_dx);
}

void graph_rnn_check_with(graph_recur_fn *recur, clseq_graph *g, clseq_rnn *rnn, const clseq_params *params,
                          const rnn_case *c, clseq_var *x, bool wants_dx)
{
    const int states = c->net.cell->states;
    const bool training = g->mode == CLSEQ_MODE_TRAINING;
    clseq_var *initial[REFERENCE_MAX_STATES] = {NULL}, *final[REFERENCE_MAX_STATES] = {NULL};
    if (reference_rnn_draws(&c->net))
        clseq_graph_seed(g, RNN_VARIANT_SEED, RNN_VARIANT_STEP);
    for (int i = 0; i < states; i++)
        initial[i] = graph_rnn_input(g, c, RNN_INITIAL + i);
    clseq_var *y =
        recur(g, rnn, x, &(clseq_recur_opts){.lengths = c->net.lengths, .initial = initial, .final = final});
    graph_expect_value_each("y", g, y, c->want[RNN_Y], c->bound[RNN_Y]);
    /* loss = sum(y dy) + sum(final dfinal) sends back dy and dfinal */
    clseq_var *loss = dot(g, y, c, RNN_DY);
    for (int i = 0; i < states; i++) {
        graph_expect_value_each(rnn_output_name(c, RNN_FINAL + i), g, final[i], c->want[RNN_FINAL + i],
                                c->bound[RNN_FINAL + i]);
        loss = clseq_add(g, loss, dot(g, final[i], c, RNN_DFINAL + i));
    }
    if (training)
        EXPECT_OK(clseq_backward(g, loss));
    if (training && wants_dx)
        graph_expect_grad_each("dx", g, x, c->want[RNN_DX], c->bound[RNN_DX]);
    for (int i = 0; training && i < states; i++)
        graph_expect_grad_each(rnn_output_name(c, RNN_DINITIAL + i), g, initial[i], c->want[RNN_DINITIAL + i],
                               c->bound[RNN_DINITIAL + i]);
    graph_end(g);
    if (training)
        graph_rnn_expect_dweights(params, c);
}
