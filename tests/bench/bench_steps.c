/*
 * bench_steps - a loop over the time steps of one recurrent layer, forward and backward with all gradients, in several ways, in
 * microseconds a step, on the device and (until everything is enqueued) on the host, and the launches of a step:
 *
 *     whole      the sequence at once, which a loop cannot
 *     pieces     a pass in pieces of one step; the gradients of the weights in one product at its end
 *     passes     a pass for each step, each with its gradients of the weights
 *     recur      the sequence at once, in a graph
 *     steps      clseq_recur_step, in a graph
 *
 *     bench_steps [--cell NAME] [--schedule NAME] [H [B [T]]]     lstm 256 64 50 without them
 */
#include "bench/bench.h"
#include <clseq/clseq.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_WEIGHTS = 16, MOST_STATES = 4, MOST_STEPS = 1000 };

typedef struct job {
    clseq_context *ctx;
    int64_t H, B, T;
    clseq_params *params;
    clseq_rnn *rnn;
    clseq_rnn_plan *plan;
    clseq_rnn_shape whole, pieces, step;
    clseq_rnn_buffers of_whole, of_pieces, of_steps[MOST_STEPS];
    clseq_tensor x, y, dy, dx, weights[MOST_WEIGHTS], dweights[MOST_WEIGHTS];
    clseq_tensor states[MOST_STATES], dstates[2][MOST_STATES];
    float *values; /* of x */
    double host;   /* seconds until the last run was enqueued */
} job;

static void check(clseq_status status)
{
    if (status == CLSEQ_OK)
        return;
    fprintf(stderr, "bench_steps: %s\n", clseq_last_error());
    exit(1);
}

static clseq_tensor tensor(const job *j, int ndim, const int64_t *dims)
{
    clseq_tensor t = {0};
    check(clseq_tensor_create(j->ctx, CLSEQ_DTYPE_F32, ndim, dims, &t));
    check(clseq_tensor_fill(j->ctx, &t, 0.01));
    return t;
}

static void create(job *j, const clseq_rnn_desc *desc)
{
    const int64_t sequence[] = {j->T, j->B, j->H};
    check(clseq_context_create(NULL, &j->ctx));
    check(clseq_params_create(j->ctx, 1, &j->params));
    check(clseq_rnn_new(j->params, "rnn", desc, NULL, &j->rnn));
    check(clseq_rnn_plan_create(j->ctx, desc, &j->plan));
    j->whole = (clseq_rnn_shape){.T = j->T, .B = j->B};
    j->pieces = (clseq_rnn_shape){.T = j->T, .B = j->B, .in_pieces = true};
    j->step = (clseq_rnn_shape){.T = 1, .B = j->B};
    check(clseq_rnn_buffers_create(j->plan, &j->whole, &j->of_whole));
    check(clseq_rnn_buffers_create(j->plan, &j->pieces, &j->of_pieces));
    for (int64_t t = 0; t < j->T; t++)
        check(clseq_rnn_buffers_create(j->plan, &j->step, &j->of_steps[t]));
    j->x = tensor(j, 3, sequence);
    j->y = tensor(j, 3, sequence);
    j->dy = tensor(j, 3, sequence);
    j->dx = tensor(j, 3, sequence);
    for (int64_t i = 0; i < clseq_rnn_weight_count(j->plan) && i < MOST_WEIGHTS; i++) {
        clseq_rnn_weight weight;
        check(clseq_rnn_weight_info(j->plan, i, &weight));
        j->weights[i] = tensor(j, weight.ndim, weight.dims);
        j->dweights[i] = tensor(j, weight.ndim, weight.dims);
    }
    for (int i = 0; i < clseq_rnn_state_count(j->plan) && i < MOST_STATES; i++) {
        clseq_rnn_state state;
        check(clseq_rnn_state_info(j->plan, i, j->B, &state));
        j->states[i] = tensor(j, state.ndim, state.dims);
        j->dstates[0][i] = tensor(j, state.ndim, state.dims);
        j->dstates[1][i] = tensor(j, state.ndim, state.dims);
    }
    j->values = calloc((size_t)(j->T * j->B * j->H), sizeof *j->values);
}

/* ---- plans ---- */

static clseq_rnn_forward_args forward_of(const job *j, const clseq_rnn_buffers *b, int64_t t, int64_t steps)
{
    return (clseq_rnn_forward_args){.packed = j->of_whole.packed,
                                    .x = clseq_tensor_slice(&j->x, 0, t, steps),
                                    .initial = j->states,
                                    .y = clseq_tensor_slice(&j->y, 0, t, steps),
                                    .final = j->states,
                                    .reserve = b->reserve,
                                    .workspace = b->workspace};
}

static clseq_rnn_backward_args backward_of(const job *j, const clseq_rnn_buffers *b, int64_t t, int64_t steps)
{
    return (clseq_rnn_backward_args){.packed = j->of_whole.packed,
                                     .x = clseq_tensor_slice(&j->x, 0, t, steps),
                                     .dy = clseq_tensor_slice(&j->dy, 0, t, steps),
                                     .dx = clseq_tensor_slice(&j->dx, 0, t, steps),
                                     .dfinal = j->dstates[t % 2],
                                     .dinitial = j->dstates[1 - t % 2],
                                     .reserve = b->reserve,
                                     .workspace = b->workspace};
}

static void pack(const job *j)
{
    check(clseq_rnn_pack(j->plan, &j->whole, j->weights, &j->of_whole.packed));
}

static void finish(job *j, double begin)
{
    j->host = bench_now() - begin;
    check(clseq_context_finish(j->ctx));
}

static void run_whole(void *user)
{
    job *j = user;
    const double begin = bench_now();
    const clseq_rnn_forward_args f = forward_of(j, &j->of_whole, 0, j->T);
    clseq_rnn_backward_args b = backward_of(j, &j->of_whole, 0, j->T);
    b.dweights = j->dweights;
    pack(j);
    check(clseq_rnn_forward(j->plan, &j->whole, &f));
    check(clseq_rnn_backward(j->plan, &j->whole, &b));
    finish(j, begin);
}

static void run_pieces(void *user)
{
    job *j = user;
    const double begin = bench_now();
    pack(j);
    for (int64_t t = 0; t < j->T; t++) {
        clseq_rnn_forward_args f = forward_of(j, &j->of_pieces, t, 1);
        f.first = t;
        f.count = 1;
        check(clseq_rnn_forward(j->plan, &j->pieces, &f));
    }
    for (int64_t t = j->T - 1; t >= 0; t--) {
        clseq_rnn_backward_args b = backward_of(j, &j->of_pieces, t, 1);
        b.first = t;
        b.count = 1;
        check(clseq_rnn_backward(j->plan, &j->pieces, &b));
    }
    check(clseq_rnn_weight_gradients(
        j->plan, &j->pieces,
        &(clseq_rnn_weight_gradients_args){
            .dweights = j->dweights, .reserve = j->of_pieces.reserve, .workspace = j->of_pieces.workspace}));
    finish(j, begin);
}

static void run_passes(void *user)
{
    job *j = user;
    const double begin = bench_now();
    pack(j);
    for (int64_t t = 0; t < j->T; t++) {
        const clseq_rnn_forward_args f = forward_of(j, &j->of_steps[t], t, 1);
        check(clseq_rnn_forward(j->plan, &j->step, &f));
    }
    for (int64_t t = j->T - 1; t >= 0; t--) {
        clseq_rnn_backward_args b = backward_of(j, &j->of_steps[t], t, 1);
        b.dweights = j->dweights;
        check(clseq_rnn_backward(j->plan, &j->step, &b));
    }
    finish(j, begin);
}

/* ---- graphs ---- */

/* Backward from the sum of y; packing counts, as after a step of an optimiser. */
static void end_graph(job *j, clseq_graph *g, clseq_var *y, double begin)
{
    check(clseq_backward(g, clseq_sum(g, y)));
    check(clseq_graph_end(g));
    finish(j, begin);
}

static clseq_var *begin_graph(job *j, clseq_graph **g)
{
    *g = clseq_graph_begin(j->ctx, CLSEQ_MODE_TRAINING);
    return clseq_require_grad(*g, clseq_input_f32(*g, j->values, 3, (int64_t[]){j->T, j->B, j->H}));
}

static void run_recur(void *user)
{
    job *j = user;
    const double begin = bench_now();
    clseq_graph *g = NULL;
    clseq_var *x = begin_graph(j, &g);
    end_graph(j, g, clseq_recur(g, j->rnn, x, NULL), begin);
}

static void run_steps(void *user)
{
    job *j = user;
    const double begin = bench_now();
    clseq_graph *g = NULL;
    clseq_var *x = begin_graph(j, &g), *state[MOST_STATES] = {NULL}, *y[MOST_STEPS];
    for (int64_t t = 0; t < j->T; t++)
        y[t] = clseq_recur_step(g, j->rnn, clseq_squeeze(g, clseq_slice(g, x, 0, t, 1), 0), state, state);
    end_graph(j, g, clseq_stack(g, y, (int)j->T, 0), begin);
}

/* ---- */

static uint64_t launches_of(const job *j)
{
    clseq_context_stats stats;
    check(clseq_context_get_stats(j->ctx, &stats));
    return stats.launches + stats.clblast_calls;
}

int main(int argc, char **argv)
{
    static job j = {.H = 256, .B = 64, .T = 50};
    static const char *names[] = {"whole", "pieces", "passes", "recur", "steps"};
    bench_candidate all[] = {
        {run_whole, &j, 0}, {run_pieces, &j, 0}, {run_passes, &j, 0}, {run_recur, &j, 0}, {run_steps, &j, 0}};
    enum { COUNT = sizeof all / sizeof all[0] };
    uint64_t launches[COUNT];
    double host[COUNT];
    clseq_rnn_desc desc = {0};
    int64_t *sizes[] = {&j.H, &j.B, &j.T};
    for (int i = 1, k = 0; i < argc; i++)
        if (strcmp(argv[i], "--cell") == 0 && i + 1 < argc)
            check(clseq_cell_find(argv[++i], &desc.cell));
        else if (strcmp(argv[i], "--schedule") == 0 && i + 1 < argc)
            check(clseq_schedule_find(argv[++i], &desc.schedule));
        else if (k < 3)
            *sizes[k++] = atoll(argv[i]);
    if (j.H < 1 || j.B < 1 || j.T < 1 || j.T > MOST_STEPS) {
        fprintf(stderr, "bench_steps: expected H, B and T of at least 1, T at most %d\n", MOST_STEPS);
        return 2;
    }
    desc.input = desc.hidden = j.H;
    create(&j, &desc);
    for (int i = 0; i < COUNT; i++) {
        all[i].run(&j);
        const uint64_t before = launches_of(&j);
        all[i].run(&j);
        launches[i] = launches_of(&j) - before;
        host[i] = j.host;
    }
    bench_compare(all, COUNT, (bench_plan){0});
    printf("%s, H %lld, B %lld, T %lld: microseconds a step\n", clseq_cell_name(desc.cell), (long long)j.H,
           (long long)j.B, (long long)j.T);
    for (int i = 0; i < COUNT; i++)
        printf("%-8s %9.1f   host %7.1f   launches %6.2f\n", names[i], all[i].seconds * 1e6 / (double)j.T,
               host[i] * 1e6 / (double)j.T, (double)launches[i] / (double)j.T);
    return 0;
}
