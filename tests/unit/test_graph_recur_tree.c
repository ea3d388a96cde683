/*
 * Steps of recurrent layers from states of any origin: loops in which something else becomes of the states, branches, several
 * loops and layers in one graph, steps that nobody reads. Each step is compared with the double-precision reference of that step,
 * which gets the states and gradients that the device's step got; the gradients of the weights are the sum over all steps.
 */
#include <criterion/criterion.h>

#include "reference/cells.h"
#include "support/bounds.h"
#include "support/compare.h"
#include "support/device.h"
#include "support/graph.h"
#include "support/graph_rnn.h"
#include "support/rnn_run.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { UNITS = 6, LAYERS = 2, MOST = 24, STATES = REFERENCE_MAX_STATES };

/* How a step gets its states, or what becomes of its outputs. */
enum {
    HALVED = 1, /* the states that the parent ended with, times 1/2 */
    FED = 2,    /* its x is the parent's y */
    UNREAD = 4  /* y and the final states are of no use to the loss, but for other steps */
};

typedef struct step {
    int layer, parent; /* parent -1: it begins with states of its own */
    int B;
    unsigned how;
} step;

typedef struct tree {
    const char *title;
    int count;
    step steps[MOST];
} tree;

static const tree trees[] = {
    {"states that are changed from step to step",
     10,
     {{0, -1, 3, 0},
      {0, 0, 3, HALVED},
      {0, 1, 3, HALVED | FED},
      {0, 2, 3, HALVED},
      {0, 3, 3, 0},
      {0, 4, 3, HALVED},
      {0, 5, 3, HALVED},
      {0, 6, 3, FED},
      {0, 7, 3, HALVED},
      {0, 8, 3, HALVED}}},
    {"branches",
     7,
     {{0, -1, 3, 0},
      {0, 0, 3, 0},
      {0, 0, 3, FED},
      {0, 1, 3, 0},
      {0, 2, 3, HALVED},
      {0, 1, 3, 0},
      {0, 0, 3, HALVED}}},
    {"loops side by side and one after the other",
     9,
     {{0, -1, 3, 0},
      {1, -1, 3, 0},
      {0, 0, 3, FED},
      {1, 1, 3, 0},
      {0, -1, 2, 0},
      {0, 2, 3, 0},
      {0, 4, 2, 0},
      {1, -1, 3, 0},
      {1, 7, 3, FED}}},
    {"steps that nobody reads",
     9,
     {{0, -1, 3, UNREAD},
      {0, -1, 3, 0},
      {0, 1, 3, 0},
      {0, 0, 3, UNREAD},
      {0, 2, 3, UNREAD},
      {0, 4, 3, 0},
      {1, -1, 3, UNREAD},
      {0, 5, 3, UNREAD},
      {0, 7, 3, UNREAD}}},
};
enum { TREES = sizeof trees / sizeof trees[0] };

/* A step on the device and in the reference. */
typedef struct node {
    rnn_case *c;
    clseq_var *x, *y, *initial[STATES], *final[STATES];
} node;

typedef struct forest {
    const tree *t;
    clseq_context *ctx;
    clseq_params *params;
    clseq_graph *g;
    clseq_rnn *rnn[LAYERS];
    rnn_case *weights[LAYERS]; /* has the layer's */
    node nodes[MOST];
    int states;
    int frozen; /* the layer that is; -1: none */
} forest;

static const char *layer_names[LAYERS] = {"first", "second"};

static reference_rnn net_of(int cell, int layer, int B)
{
    return (reference_rnn){
        .cell = reference_cell_at(cell), .T = 1, .B = B, .I = UNITS, .H = UNITS, .L = 1 + layer};
}

static clseq_param *param_of(const forest *f, int layer, int i)
{
    char name[64];
    snprintf(name, sizeof name, "%s.%s", layer_names[layer], rnn_input_name(f->weights[layer], i));
    return clseq_params_find(f->params, name);
}

static void create_layers(forest *f, int cell, clseq_schedule schedule)
{
    EXPECT_OK(clseq_params_create(f->ctx, 3, &f->params));
    for (int l = 0; l < LAYERS; l++) {
        const reference_rnn net = net_of(cell, l, 1);
        const clseq_rnn_desc desc = rnn_run_desc(&net, &(rnn_run_options){.schedule = schedule}, NULL);
        f->weights[l] = rnn_case_create(&net, 50 + (uint64_t)l, 1e-5);
        EXPECT_OK(clseq_rnn_new(f->params, layer_names[l], &desc, NULL, &f->rnn[l]));
    }
    for (int l = 0; l < LAYERS; l++)
        for (int i = RNN_WEIGHTS; i < f->weights[l]->count; i++)
            graph_set_param(param_of(f, l, i), f->weights[l]->in[i]);
}

/* The case of step k: x, dy and dfinal at random, the layer's weights. */
static rnn_case *case_of(const forest *f, int cell, int k)
{
    const step *s = &f->t->steps[k];
    const reference_rnn net = net_of(cell, s->layer, s->B);
    rnn_case *c = rnn_case_create(&net, 100 + (uint64_t)k, 1e-5);
    for (int i = RNN_WEIGHTS; i < c->count; i++)
        memcpy(c->in[i], f->weights[s->layer]->in[i], c->n[i] * sizeof(double));
    return c;
}

static clseq_var *halved(forest *f, clseq_var *x, const rnn_case *c, int place)
{
    double halves[256];
    int64_t dims[3];
    for (int d = 0; d < 3; d++)
        dims[d] = (int64_t)c->tensor[place].dims[d];
    for (size_t i = 0; i < c->n[place]; i++)
        halves[i] = 0.5;
    return clseq_mul(f->g, x, graph_input(f->g, halves, 3, dims));
}

static void run_step(forest *f, int k)
{
    const step *s = &f->t->steps[k];
    const node *parent = s->parent < 0 ? NULL : &f->nodes[s->parent];
    node *n = &f->nodes[k];
    const int64_t B = s->B;
    n->x = s->how & FED ? parent->y : graph_input(f->g, n->c->in[RNN_X], 2, (int64_t[]){B, UNITS});
    for (int i = 0; i < f->states; i++) {
        n->initial[i] = parent ? parent->final[i] : graph_rnn_input(f->g, n->c, RNN_INITIAL + i);
        if (s->how & HALVED)
            n->initial[i] = halved(f, n->initial[i], n->c, RNN_INITIAL + i);
    }
    n->y = clseq_require_grad(f->g, clseq_recur_step(f->g, f->rnn[s->layer], n->x, n->initial, n->final));
    for (int i = 0; i < f->states; i++)
        n->final[i] = clseq_require_grad(f->g, n->final[i]);
}

static clseq_var *times(forest *f, clseq_var *x, const rnn_case *c, int place, int ndim)
{
    int64_t dims[3];
    for (int d = 0; d < ndim; d++)
        dims[d] = (int64_t)c->tensor[place].dims[d + 3 - ndim];
    return clseq_sum(f->g, clseq_mul(f->g, x, graph_input(f->g, c->in[place], ndim, dims)));
}

/* Runs all steps, and backward from the sum of y dy and final dfinal of those that are read. */
static void run(forest *f)
{
    clseq_var *loss = NULL;
    for (int k = 0; k < f->t->count; k++)
        run_step(f, k);
    for (int k = 0; k < f->t->count; k++) {
        const node *n = &f->nodes[k];
        if (f->t->steps[k].how & UNREAD)
            continue;
        clseq_var *term = times(f, n->y, n->c, RNN_DY, 2);
        for (int i = 0; i < f->states; i++)
            term = clseq_add(f->g, term, times(f, n->final[i], n->c, RNN_DFINAL + i, 3));
        loss = loss ? clseq_add(f->g, loss, term) : term;
    }
    EXPECT_OK(clseq_backward(f->g, loss));
}

/* ---- the reference ---- */

static void take(const forest *f, const clseq_tensor *tensor, double *to)
{
    float values[256];
    EXPECT_OK(clseq_tensor_read(f->ctx, tensor, values));
    for (int64_t i = 0; i < clseq_tensor_elements(tensor); i++)
        to[i] = (double)values[i];
}

static void take_value(const forest *f, const clseq_var *x, double *to)
{
    clseq_tensor value;
    EXPECT_OK(clseq_var_value(f->g, x, &value));
    take(f, &value, to);
}

/* Zeros where no gradient has come. */
static void take_grad(const forest *f, const clseq_var *x, double *to, size_t n)
{
    clseq_tensor grad;
    memset(to, 0, n * sizeof *to);
    if (clseq_var_grad(f->g, x, &grad) == CLSEQ_OK)
        take(f, &grad, to);
}

/* What a gradient that several terms add up to should be, and how far it may be from that. */
typedef struct sum {
    double want[256], bound[256];
} sum;

static void add(sum *s, const double *want, const double *bound, double factor, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        s->want[i] += factor * want[i];
        s->bound[i] += factor * (bound ? bound[i] : 0) + MOST * TEST_EPS * fabs(want[i]);
    }
}

/* The gradient that has come to something of step k is its own term of the loss and what the steps that read it pass on. */
static void check_sum(const forest *f, const char *what, const double *got, const sum *want, size_t n)
{
    float floats[256];
    for (size_t i = 0; i < n; i++)
        floats[i] = (float)got[i];
    cr_assert(compare_floats_each(what, floats, want->want, n, want->bound), "%s: %s", f->t->title,
              compare_message());
}

static void check_outer_gradients(const forest *f, int k, const double own[][256])
{
    const node *n = &f->nodes[k];
    const bool is_read = !(f->t->steps[k].how & UNREAD);
    for (int place = RNN_DY; place < RNN_DFINAL + f->states; place++) {
        sum s = {{0}, {0}};
        if (is_read)
            add(&s, own[place], NULL, 1, n->c->n[place]);
        for (int child = k + 1; child < f->t->count; child++) {
            const step *as = &f->t->steps[child];
            const rnn_case *c = f->nodes[child].c;
            const int from = place == RNN_DY ? RNN_DX : RNN_DINITIAL + place - RNN_DFINAL;
            if (as->parent == k && (place != RNN_DY || as->how & FED))
                add(&s, c->want[from], c->bound[from], place != RNN_DY && as->how & HALVED ? 0.5 : 1,
                    n->c->n[place]);
        }
        check_sum(f, rnn_input_name(n->c, place), n->c->in[place], &s, n->c->n[place]);
    }
}

static void check_step(forest *f, int k, double own[][256])
{
    node *n = &f->nodes[k];
    rnn_case *c = n->c;
    take_value(f, n->x, c->in[RNN_X]);
    for (int place = RNN_DY; place < RNN_DFINAL + f->states; place++)
        memcpy(own[place], c->in[place], c->n[place] * sizeof(double));
    take_grad(f, n->y, c->in[RNN_DY], c->n[RNN_DY]);
    for (int i = 0; i < f->states; i++) {
        take_value(f, n->initial[i], c->in[RNN_INITIAL + i]);
        take_grad(f, n->final[i], c->in[RNN_DFINAL + i], c->n[RNN_DFINAL + i]);
    }
    rnn_case_run(c);
    rnn_case_bound(c);
    graph_expect_value_each("y", f->g, n->y, c->want[RNN_Y], c->bound[RNN_Y]);
    for (int i = 0; i < f->states; i++)
        graph_expect_value_each("final", f->g, n->final[i], c->want[RNN_FINAL + i], c->bound[RNN_FINAL + i]);
    clseq_tensor grad;
    if (!(f->t->steps[k].how & FED) && clseq_var_grad(f->g, n->x, &grad) == CLSEQ_OK)
        graph_expect_grad_each("dx", f->g, n->x, c->want[RNN_DX], c->bound[RNN_DX]);
    check_outer_gradients(f, k, (const double(*)[256])own);
}

/* A frozen layer has none. */
static void check_dweights(const forest *f, int layer)
{
    if (layer == f->frozen)
        return;
    for (int i = RNN_WEIGHTS; i < f->weights[layer]->count; i++) {
        sum s = {{0}, {0}};
        for (int k = 0; k < f->t->count; k++)
            if (f->t->steps[k].layer == layer)
                add(&s, f->nodes[k].c->want[i], f->nodes[k].c->bound[i], 1, f->nodes[k].c->n[i]);
        graph_expect_param_grad_each(param_of(f, layer, i), s.want, s.bound);
    }
}

static void check_tree(const tree *t, int cell, clseq_schedule schedule, int frozen)
{
    double own[RNN_WEIGHTS][256];
    forest f = {.t = t, .ctx = test_context(), .states = reference_cell_at(cell)->states, .frozen = frozen};
    create_layers(&f, cell, schedule);
    if (frozen >= 0)
        EXPECT_OK(clseq_params_freeze(f.params, frozen == 0 ? "first.*" : "second.*", true, NULL));
    for (int k = 0; k < t->count; k++)
        f.nodes[k].c = case_of(&f, cell, k);
    f.g = clseq_graph_begin(f.ctx, CLSEQ_MODE_TRAINING);
    run(&f);
    for (int k = t->count - 1; k >= 0; k--)
        check_step(&f, k, own);
    graph_end(f.g);
    for (int l = 0; l < LAYERS; l++) {
        check_dweights(&f, l);
        rnn_case_destroy(f.weights[l]);
    }
    for (int k = 0; k < t->count; k++)
        rnn_case_destroy(f.nodes[k].c);
    clseq_params_destroy(f.params);
    clseq_context_destroy(f.ctx);
}

Test(graph_recur_tree, steps_begin_with_any_states)
{
    for (int t = 0; t < TREES; t++)
        for (int cell = 0; cell < CLSEQ_CELL_COUNT; cell++)
            check_tree(&trees[t], cell, CLSEQ_SCHEDULE_AUTO, -1);
}

Test(graph_recur_tree, under_the_schedule_of_every_device)
{
    for (int t = 0; t < TREES; t++)
        check_tree(&trees[t], CLSEQ_CELL_GRU, CLSEQ_SCHEDULE_GEMM_STEP, -1);
}

/* Gradients go through a layer that is frozen. */
Test(graph_recur_tree, frozen_layers_pass_gradients_on)
{
    for (int t = 0; t < TREES; t++)
        for (int layer = 0; layer < LAYERS; layer++)
            check_tree(&trees[t], CLSEQ_CELL_LSTM, CLSEQ_SCHEDULE_AUTO, layer);
}
