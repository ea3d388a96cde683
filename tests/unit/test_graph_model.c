/*
 * A whole model, embedding -> recurrent layers -> affine -> cross-entropy, for every cell: loss and every parameter's
 * gradient against the references chained by hand, and against differences of the loss itself.
 *
 * Bounds as in reference/rnn_case.h: the chain is run again with every intermediate result moved by the size of its
 * float rounding error, and the bound is RNN_BOUND_SAFETY times the largest movement that was seen in a tensor.
 */
#include <criterion/criterion.h>

#include "reference/cells.h"
#include "reference/nn.h"
#include "reference/rnn_case.h"
#include "support/bounds.h"
#include "support/device.h"
#include "support/graph.h"
#include "support/numeric.h"
#include "support/random.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { T = 6, B = 3, V = 8, E = 5, H = 7, L = 2, N = T * B, PARAMS_MAX = 3 + REFERENCE_WEIGHT_KINDS * L };

typedef struct model {
    clseq_context *ctx;
    clseq_params *params;
    clseq_embedding *embed;
    clseq_rnn *rnn;
    clseq_linear *out;
    int cell;
    int lengths[B];
    int32_t tokens[N], targets[N];
    size_t count;               /* of parameters */
    double *values[PARAMS_MAX]; /* [count] embed.weight, rnn's in the plan's order, out.weight, out.bias */
} model;

static size_t elements_of(clseq_param *param)
{
    clseq_tensor value = {0};
    EXPECT_OK(clseq_param_value(param, &value));
    return (size_t)clseq_tensor_elements(&value);
}

static reference_rnn net_of(const model *m, reference_rounding *r)
{
    return (reference_rnn){.cell = reference_cell_at(m->cell),
                           .T = T,
                           .B = B,
                           .I = E,
                           .H = H,
                           .L = L,
                           .lengths = m->lengths,
                           .rounding = r};
}

/* Peepholes see c, which the default start leaves too small for a gradient that differences could show. */
static const clseq_rnn_init starts[CLSEQ_CELL_COUNT] = {
    [CLSEQ_CELL_LSTM_PEEPHOLE] = {.input = {.kind = CLSEQ_INIT_UNIFORM, .scale = 1.5f}}};

static model create(int cell)
{
    model m = {.ctx = test_context(), .cell = cell, .lengths = {4, 6, 1}};
    test_random random = test_random_seed(21);
    EXPECT_OK(clseq_params_create(m.ctx, 2, &m.params));
    EXPECT_OK(clseq_embedding_new(m.params, "embed", V, E, &m.embed));
    EXPECT_OK(clseq_rnn_new(m.params, "rnn",
                            &(clseq_rnn_desc){.cell = (clseq_cell)cell, .input = E, .hidden = H, .layers = L},
                            &starts[cell], &m.rnn));
    EXPECT_OK(clseq_linear_new(m.params, "out", H, V, true, &m.out));
    const reference_rnn net = net_of(&m, NULL);
    m.count = clseq_params_count(m.params);
    cr_assert_eq(m.count, 3 + (size_t)reference_rnn_weight_count(&net));
    for (size_t i = 0; i < m.count; i++)
        m.values[i] = graph_param_values(clseq_params_at(m.params, i));
    test_random_fill_int(&random, m.tokens, N, 0, V - 1);
    test_random_fill_int(&random, m.targets, N, 0, V - 1);
    for (int n = 0; n < N; n++)
        if (n / B >= m.lengths[n % B])
            m.targets[n] = -1;
    return m;
}

static void destroy(model *m)
{
    for (size_t i = 0; i < m->count; i++)
        free(m->values[i]);
    clseq_params_destroy(m->params);
    clseq_context_destroy(m->ctx);
}

/* ---- the chain of references ---- */

static const reference_cross_entropy entropy = {.ignore = true, .ignore_index = -1};

static void round_each(reference_rounding *r, double *values, const double *scale, size_t n)
{
    for (size_t i = 0; i < n; i++)
        values[i] = reference_round(r, values[i], fabs(scale[i]));
}

static double *magnitudes(const double *values, size_t n)
{
    double *out = test_doubles(n);
    for (size_t i = 0; i < n; i++)
        out[i] = fabs(values[i]);
    return out;
}

/* dx =, dw and db +=, moved by the rounding of their sums. */
static void affine_backward(reference_rounding *r, const double *x, const double *w, const double *dy,
                            double *dx, double *dw, double *db)
{
    double *ax = magnitudes(x, N * H), *aw = magnitudes(w, V * H), *ady = magnitudes(dy, N * V);
    double *sx = test_doubles(N * H), *sw = test_doubles(V * H), *sb = test_doubles(V);
    reference_affine_backward(x, w, dy, N, H, V, dx, dw, db);
    reference_affine_backward(ax, aw, ady, N, H, V, sx, sw, sb);
    round_each(r, dx, sx, N * H);
    round_each(r, dw, sw, V * H);
    round_each(r, db, sb, V);
    double *all[] = {ax, aw, ady, sx, sw, sb};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i]);
}

/* The softmax's gradient, moved by a few roundings of the probability and of the 1 that is taken from it. */
static double entropy_of(reference_rounding *r, const model *m, const double *logits, double *dlogits)
{
    reference_cross_entropy_backward(entropy, logits, m->targets, N, V, 1, dlogits);
    for (int i = 0; i < N * V; i++)
        dlogits[i] = reference_round(r, dlogits[i], 8 * fabs(dlogits[i]) + (dlogits[i] < 0 ? 8.0 / N : 0));
    return reference_cross_entropy_forward(entropy, logits, m->targets, N, V);
}

/* The loss, and the gradients of all parameters (written). */
static double chain(const model *m, reference_rounding *r, double *const grads[PARAMS_MAX])
{
    const reference_rnn net = net_of(m, r);
    double x[N * E], y[N * H], logits[N * V], scale[N * V], dlogits[N * V], dy[N * H], dx[N * E],
        table[V * E];
    for (size_t i = 0; i < m->count; i++)
        memset(grads[i], 0, elements_of(clseq_params_at(m->params, i)) * sizeof(double));
    const double *w = m->values[m->count - 2], *b = m->values[m->count - 1];
    reference_embedding_forward(m->values[0], V, E, m->tokens, N, x);
    reference_rnn_forward(&net, &(reference_rnn_forward_args){.weights = m->values + 1, .x = x, .y = y});
    reference_affine_forward(y, w, b, N, H, V, logits, scale);
    round_each(r, logits, scale, N * V);
    const double loss = entropy_of(r, m, logits, dlogits);
    affine_backward(r, y, w, dlogits, dy, grads[m->count - 2], grads[m->count - 1]);
    reference_rnn_backward(&net,
                           &(reference_rnn_backward_args){
                               .weights = m->values + 1, .x = x, .dy = dy, .dx = dx, .dweights = grads + 1});
    reference_embedding_backward(m->tokens, N, dx, V, E, grads[0], table);
    round_each(r, grads[0], table, V * E);
    return reference_round(r, loss, 8 + loss);
}

/* ---- the device ---- */

static clseq_var *loss_of(clseq_graph *g, const model *m)
{
    const int64_t dims[] = {T, B};
    clseq_var *x = clseq_embed(g, m->embed, clseq_input_i32(g, m->tokens, 2, dims));
    clseq_var *y = clseq_recur(g, m->rnn, x, &(clseq_recur_opts){.lengths = m->lengths});
    return clseq_cross_entropy(g, clseq_affine(g, m->out, y), clseq_input_i32(g, m->targets, 2, dims),
                               &(clseq_cross_entropy_desc){.ignore = true, .ignore_index = -1});
}

static double max_difference(const double *a, const double *b, size_t n)
{
    double largest = 0;
    for (size_t i = 0; i < n; i++)
        largest = fmax(largest, fabs(a[i] - b[i]));
    return largest;
}

Test(graph_model, gradients_against_the_references)
{
    for (int cell = 0; cell < CLSEQ_CELL_COUNT; cell++) {
        model m = create(cell);
        double *want[PARAMS_MAX], *moved[PARAMS_MAX], bounds[PARAMS_MAX] = {0}, loss_bound = 0;
        for (size_t i = 0; i < m.count; i++) {
            want[i] = test_doubles(elements_of(clseq_params_at(m.params, i)));
            moved[i] = test_doubles(elements_of(clseq_params_at(m.params, i)));
        }
        const double loss = chain(&m, NULL, want);
        for (uint64_t run = 0; run < RNN_BOUND_RUNS; run++) {
            reference_rounding rounding = {TEST_EPS, test_random_seed(run)};
            loss_bound = fmax(loss_bound, fabs(chain(&m, &rounding, moved) - loss));
            for (size_t i = 0; i < m.count; i++)
                bounds[i] = fmax(
                    bounds[i], max_difference(moved[i], want[i], elements_of(clseq_params_at(m.params, i))));
        }
        clseq_graph *g = clseq_graph_begin(m.ctx, CLSEQ_MODE_TRAINING);
        clseq_var *l = loss_of(g, &m);
        graph_expect_value("loss", g, l, &loss, RNN_BOUND_SAFETY * loss_bound);
        EXPECT_OK(clseq_backward(g, l));
        graph_end(g);
        for (size_t i = 0; i < m.count; i++) {
            cr_assert(bounds[i] < 1e-4, "the bound %g of parameter %zu says nothing", bounds[i], i);
            graph_expect_param_grad(clseq_params_at(m.params, i), want[i], RNN_BOUND_SAFETY * bounds[i]);
            free(want[i]);
            free(moved[i]);
        }
        destroy(&m);
    }
}

/* The loss with parameter `param` moved by `step` along `direction`. */
static double loss_along(model *m, clseq_param *param, const double *values, const double *direction,
                         double step)
{
    const size_t n = elements_of(param);
    float *moved = test_floats(n), loss = 0;
    for (size_t i = 0; i < n; i++)
        moved[i] = (float)(values[i] + step * direction[i]);
    EXPECT_OK(clseq_param_set(param, moved));
    clseq_graph *g = clseq_graph_begin(m->ctx, CLSEQ_MODE_INFERENCE);
    EXPECT_OK(clseq_read_float(g, loss_of(g, m), &loss));
    graph_end(g);
    free(moved);
    return loss;
}

static double dot(const double *a, const double *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

/*
 * Nothing but the library: the loss changes along a direction as the gradient says, for the gradient's own direction
 * and a random one, a parameter at a time. Float rounding of the loss is 2e-7 of 2, over 2 * 0.02; the third
 * derivative adds some promille.
 */
Test(graph_model, gradients_against_differences)
{
    const double step = 0.02;
    for (int cell = 0; cell < (test_small() ? 1 : CLSEQ_CELL_COUNT); cell++) {
        model m = create(cell);
        test_random random = test_random_seed(22);
        clseq_graph *g = clseq_graph_begin(m.ctx, CLSEQ_MODE_TRAINING);
        EXPECT_OK(clseq_backward(g, loss_of(g, &m)));
        graph_end(g);
        for (size_t i = 0; i < m.count; i++) {
            clseq_param *param = clseq_params_at(m.params, i);
            const size_t n = elements_of(param);
            float *floats = test_floats(n);
            EXPECT_OK(clseq_param_get_grad(param, floats));
            double *grad = test_doubles_of(floats, n), *direction = test_doubles(n);
            const double norm = sqrt(dot(grad, grad, n));
            cr_assert(norm > 1e-3, "the gradient of %s is %g", clseq_param_name(param), norm);
            for (int is_random = 0; is_random < 2; is_random++) {
                test_random_fill(&random, direction, n, -1, 1);
                if (!is_random)
                    memcpy(direction, grad, n * sizeof *grad);
                const double length = sqrt(dot(direction, direction, n));
                for (size_t k = 0; k < n; k++)
                    direction[k] /= length;
                const double want = dot(grad, direction, n);
                const double difference = (loss_along(&m, param, m.values[i], direction, step) -
                                           loss_along(&m, param, m.values[i], direction, -step)) /
                                          (2 * step);
                cr_assert(fabs(difference - want) <= 0.02 * norm + 5e-5,
                          "%s of %s: %g, expected %g (norm %g)", clseq_param_name(param),
                          clseq_cell_name((clseq_cell)cell), difference, want, norm);
            }
            loss_along(&m, param, m.values[i], grad, 0);
            free(floats);
            free(grad);
            free(direction);
        }
        destroy(&m);
    }
}

/* A second backward pass adds to the gradients; a parameter that is also a variable of its own gets both parts. */
Test(graph_model, gradients_accumulate)
{
    model m = create(CLSEQ_CELL_GRU);
    const size_t last = m.count - 2;
    clseq_param *w = clseq_params_at(m.params, last);
    float *once[PARAMS_MAX];
    clseq_graph *g = clseq_graph_begin(m.ctx, CLSEQ_MODE_TRAINING);
    EXPECT_OK(clseq_backward(g, loss_of(g, &m)));
    graph_end(g);
    for (size_t i = 0; i < m.count; i++) {
        once[i] = test_floats(elements_of(clseq_params_at(m.params, i)));
        EXPECT_OK(clseq_param_get_grad(clseq_params_at(m.params, i), once[i]));
    }
    g = clseq_graph_begin(m.ctx, CLSEQ_MODE_TRAINING);
    clseq_var *v = clseq_param_var(g, w);
    EXPECT_OK(clseq_backward(g, clseq_add(g, loss_of(g, &m), clseq_sum(g, clseq_mul(g, v, v)))));
    graph_end(g);
    for (size_t i = 0; i < m.count; i++) {
        const size_t n = elements_of(clseq_params_at(m.params, i));
        double *want = test_doubles_of(once[i], n), largest = 1;
        for (size_t k = 0; k < n; k++) {
            want[k] = 2 * want[k] + (i == last ? 2 * m.values[i][k] : 0);
            largest = fmax(largest, fabs(want[k]));
        }
        /* the order of the sums differs: a sum over N rows begins at what is there */
        graph_expect_param_grad(clseq_params_at(m.params, i), want, test_sum_bound(N, largest));
        free(want);
        free(once[i]);
    }
    destroy(&m);
}
