#include "rnn_run.h"

#include "compare.h"
#include "core/context.h"
#include "numeric.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char message[1280];

const char *rnn_run_message(void)
{
    return message;
}

const rnn_schedule rnn_schedules[] = {
    {CLSEQ_SCHEDULE_BATCH_SPLIT, "batch_split", true},
    {CLSEQ_SCHEDULE_GEMM_STEP, "gemm_step", false},
};
const int rnn_schedule_count = sizeof rnn_schedules / sizeof rnn_schedules[0];

bool rnn_schedule_expected(const clseq_context *ctx, const rnn_schedule *schedule)
{
    return !schedule->cpu_only || ctx->is_cpu;
}

static bool has(const rnn_run *run, unsigned what)
{
    return !(run->options.without & what);
}

static guarded make(const rnn_run *run, int ndim, const int64_t *dims, guarded_layout layout)
{
    return guarded_create(run->ctx, CLSEQ_DTYPE_F32, ndim, dims, layout);
}

static void make_sequences(rnn_run *run)
{
    const reference_rnn *net = &run->c->net;
    const int64_t x[] = {net->T, net->B, net->I}, y[] = {net->T, net->B, net->H};
    if (run->options.one_hot)
        run->in[RNN_X] =
            guarded_create(run->ctx, CLSEQ_DTYPE_I32, 3, (int64_t[]){net->T, net->B, 1}, run->options.x);
    else
        run->in[RNN_X] = make(run, 3, x, run->options.x);
    run->out[RNN_Y] = make(run, 3, y, run->options.y);
    if (has(run, RNN_NO_DX) && !run->options.one_hot)
        run->out[RNN_DX] = make(run, 3, x, run->options.x);
    if (has(run, RNN_NO_DY))
        run->in[RNN_DY] = make(run, 3, y, run->options.y);
}

static void make_states(rnn_run *run)
{
    const reference_rnn *net = &run->c->net;
    const int64_t dims[] = {net->L, net->B, net->H};
    for (int s = 0; s < net->cell->states; s++) {
        if (has(run, RNN_NO_INITIAL))
            run->in[RNN_INITIAL + s] = make(run, 3, dims, GUARDED_DENSE);
        if (has(run, RNN_NO_DFINAL))
            run->in[RNN_DFINAL + s] = make(run, 3, dims, GUARDED_DENSE);
        if (has(run, RNN_NO_DINITIAL))
            run->out[RNN_DINITIAL + s] = make(run, 3, dims, GUARDED_DENSE);
        if (has(run, RNN_ALIAS | RNN_NO_FINAL))
            run->out[RNN_FINAL + s] = make(run, 3, dims, GUARDED_DENSE);
        else if (!has(run, RNN_ALIAS))
            run->out[RNN_FINAL + s] = run->in[RNN_INITIAL + s];
    }
}

static void make_parameters(rnn_run *run)
{
    const reference_rnn *net = &run->c->net;
    const int64_t rows = (int64_t)net->cell->gates * net->H;
    for (int l = 0; l < net->L; l++)
        for (int k = 0; k < 4; k++) {
            const int i = RNN_WEIGHTS + 4 * l + k;
            const int64_t dims[] = {rows, k == 0 && l == 0 ? net->I : net->H};
            if (run->c->n[i] == 0)
                continue;
            run->in[i] = make(run, k < 2 ? 2 : 1, dims, GUARDED_DENSE);
            if (has(run, RNN_NO_DWEIGHTS) && (k < 2 || has(run, RNN_NO_DBIAS)))
                run->out[i] = make(run, k < 2 ? 2 : 1, dims, GUARDED_DENSE);
        }
}

static clseq_status make_plan(rnn_run *run)
{
    const reference_rnn *net = &run->c->net;
    int cell = 0;
    while (reference_cell_at(cell) != net->cell)
        cell++;
    const clseq_rnn_desc desc = {.cell = (clseq_cell)cell,
                                 .input = net->I,
                                 .hidden = net->H,
                                 .layers = net->L,
                                 .bias = net->bias == REFERENCE_BIAS_DOUBLE   ? CLSEQ_BIAS_BOTH
                                         : net->bias == REFERENCE_BIAS_SINGLE ? CLSEQ_BIAS_ONE
                                                                              : CLSEQ_BIAS_NONE,
                                 .schedule = run->options.schedule,
                                 .one_hot = run->options.one_hot};
    run->shape = (clseq_rnn_shape){.T = net->T, .B = net->B, .mode = run->options.mode};
    const clseq_status status = clseq_rnn_plan_create(run->ctx, &desc, &run->plan);
    return status == CLSEQ_OK ? clseq_rnn_plan_sizes(run->plan, &run->shape, &run->sizes) : status;
}

rnn_run *rnn_run_create(clseq_context *ctx, const rnn_case *c, const rnn_run_options *options)
{
    rnn_run *run = calloc(1, sizeof *run);
    if (run == NULL)
        abort();
    run->ctx = ctx;
    run->c = c;
    run->options = *options;
    if (make_plan(run) != CLSEQ_OK) {
        rnn_run_destroy(run);
        return NULL;
    }
    make_sequences(run);
    make_states(run);
    make_parameters(run);
    const int64_t B = c->net.B;
    if (c->net.lengths != NULL)
        run->lengths = guarded_create(ctx, CLSEQ_DTYPE_I32, 1, &B, GUARDED_DENSE);
    run->packed = make(run, 1, &run->sizes.packed, GUARDED_DENSE);
    run->workspace = make(run, 1, &run->sizes.workspace, GUARDED_DENSE);
    if (options->mode == CLSEQ_MODE_TRAINING)
        run->reserve = make(run, 1, &run->sizes.reserve, GUARDED_DENSE);
    rnn_run_write(run, c);
    return run;
}

void rnn_run_destroy(rnn_run *run)
{
    if (run == NULL)
        return;
    for (int i = 0; i < RNN_INPUTS; i++) {
        if (run->out[i].whole.buffer != NULL && run->options.without & RNN_ALIAS && i >= RNN_FINAL &&
            i < RNN_WEIGHTS)
            run->out[i] = (guarded){0};
        guarded_destroy(&run->in[i]);
        guarded_destroy(&run->out[i]);
    }
    guarded_destroy(&run->lengths);
    guarded_destroy(&run->packed);
    guarded_destroy(&run->reserve);
    guarded_destroy(&run->workspace);
    clseq_rnn_plan_destroy(run->plan);
    free(run);
}

/* A sequence with NaN past the ends of its rows. */
static void write_sequence(const rnn_run *run, const guarded *to, const double *values, int F)
{
    const reference_rnn *net = &run->c->net;
    if (to->tensor.buffer == NULL)
        return;
    float *floats = test_floats_of(values, (size_t)to->n);
    for (int t = 0; net->lengths != NULL && t < net->T; t++)
        for (int b = 0; b < net->B; b++)
            for (int f = 0; f < F && t >= net->lengths[b]; f++)
                floats[(t * net->B + b) * F + f] = NAN;
    guarded_write(to, floats);
    free(floats);
}

/* The numbers of the ones; rows of zeros, and steps past the ends of rows, get numbers that name nothing. */
static void write_numbers(const rnn_run *run, const double *x)
{
    const reference_rnn *net = &run->c->net;
    int32_t *numbers = calloc((size_t)(net->T * net->B), sizeof *numbers);
    if (numbers == NULL)
        abort();
    for (int row = 0; row < net->T * net->B; row++) {
        const bool past = net->lengths != NULL && row / net->B >= net->lengths[row % net->B];
        int number = 0;
        while (number < net->I && x[row * net->I + number] == 0)
            number++;
        numbers[row] = number < net->I && !past ? number : row % 2 ? net->I : INT32_MIN;
    }
    guarded_write(&run->in[RNN_X], numbers);
    free(numbers);
}

static void layers_of(const guarded *tensors, clseq_rnn_weights layers[RNN_CASE_LAYERS])
{
    for (int l = 0; l < RNN_CASE_LAYERS; l++) {
        const guarded *t = tensors + RNN_WEIGHTS + 4 * l;
        layers[l] = (clseq_rnn_weights){t[0].tensor, t[1].tensor, t[2].tensor, t[3].tensor};
    }
}

void rnn_run_write(rnn_run *run, const rnn_case *c)
{
    clseq_rnn_weights weights[RNN_CASE_LAYERS];
    if (run->options.one_hot)
        write_numbers(run, c->in[RNN_X]);
    else
        write_sequence(run, &run->in[RNN_X], c->in[RNN_X], c->net.I);
    write_sequence(run, &run->in[RNN_DY], c->in[RNN_DY], c->net.H);
    for (int i = RNN_INITIAL; i < RNN_INPUTS; i++)
        if (i != RNN_DY)
            guarded_write_doubles(&run->in[i], c->in[i]);
    if (c->net.lengths != NULL)
        guarded_write(&run->lengths, c->net.lengths);
    layers_of(run->in, weights);
    guarded_poison(&run->packed);
    MUST(clseq_rnn_pack(run->plan, &run->shape, weights, &run->packed.tensor));
}

/* What the plan is given: numbers without their last dimension. */
static clseq_tensor x_of(const rnn_run *run)
{
    clseq_tensor x = run->in[RNN_X].tensor;
    if (run->options.one_hot)
        x.ndim = 2;
    return x;
}

clseq_rnn_forward_args rnn_run_forward_args(const rnn_run *run)
{
    return (clseq_rnn_forward_args){.packed = run->packed.tensor,
                                    .x = x_of(run),
                                    .lengths = run->lengths.tensor,
                                    .initial = {run->in[RNN_INITIAL].tensor, run->in[RNN_INITIAL + 1].tensor},
                                    .y = run->out[RNN_Y].tensor,
                                    .final = {run->out[RNN_FINAL].tensor, run->out[RNN_FINAL + 1].tensor},
                                    .reserve = run->reserve.tensor,
                                    .workspace = run->workspace.tensor};
}

clseq_rnn_backward_args rnn_run_backward_args(const rnn_run *run, clseq_rnn_weights dweights[RNN_CASE_LAYERS])
{
    layers_of(run->out, dweights);
    return (clseq_rnn_backward_args){
        .packed = run->packed.tensor,
        .x = x_of(run),
        .lengths = run->lengths.tensor,
        .dy = run->in[RNN_DY].tensor,
        .dfinal = {run->in[RNN_DFINAL].tensor, run->in[RNN_DFINAL + 1].tensor},
        .dx = run->out[RNN_DX].tensor,
        .dinitial = {run->out[RNN_DINITIAL].tensor, run->out[RNN_DINITIAL + 1].tensor},
        .dweights = has(run, RNN_NO_DWEIGHTS) ? dweights : NULL,
        .overwrite = run->options.overwrite,
        .reserve = run->reserve.tensor,
        .workspace = run->workspace.tensor};
}

void rnn_run_forward(rnn_run *run)
{
    const clseq_rnn_forward_args args = rnn_run_forward_args(run);
    guarded_poison(&run->out[RNN_Y]);
    for (int s = 0; s < REFERENCE_MAX_STATES && has(run, RNN_ALIAS); s++)
        guarded_poison(&run->out[RNN_FINAL + s]);
    guarded_poison(&run->reserve);
    guarded_poison(&run->workspace);
    MUST(clseq_rnn_forward(run->plan, &run->shape, &args));
}

void rnn_run_backward(rnn_run *run, bool keep)
{
    clseq_rnn_weights dweights[RNN_CASE_LAYERS];
    const clseq_rnn_backward_args args = rnn_run_backward_args(run, dweights);
    guarded_poison(&run->out[RNN_DX]);
    for (int s = 0; s < REFERENCE_MAX_STATES; s++)
        guarded_poison(&run->out[RNN_DINITIAL + s]);
    for (int i = RNN_DWEIGHTS; i < RNN_INPUTS && !keep; i++)
        (run->options.overwrite ? guarded_poison : guarded_zero)(&run->out[i]);
    guarded_poison(&run->workspace);
    MUST(clseq_rnn_backward(run->plan, &run->shape, &args));
}

static bool intact(const char *name, const guarded *g)
{
    if (guarded_intact(name, g))
        return true;
    snprintf(message, sizeof message, "%s", guarded_message());
    return false;
}

static bool matches(const rnn_run *run, int i)
{
    if (run->out[i].tensor.buffer == NULL)
        return true;
    float *got = guarded_read(&run->out[i]);
    const bool same =
        compare_floats_each(rnn_output_name(i), got, run->c->want[i], run->c->n[i], run->c->bound[i]);
    if (!same)
        snprintf(message, sizeof message, "%s", compare_message());
    free(got);
    return same && intact(rnn_output_name(i), &run->out[i]);
}

static bool rooms_intact(const rnn_run *run)
{
    return intact("packed", &run->packed) && intact("reserve", &run->reserve) &&
           intact("workspace", &run->workspace);
}

bool rnn_run_matches_forward(rnn_run *run)
{
    for (int i = RNN_Y; i < RNN_WEIGHTS; i++)
        if (!matches(run, i))
            return false;
    return rooms_intact(run);
}

bool rnn_run_matches(rnn_run *run)
{
    for (int i = 0; i < RNN_INPUTS; i++)
        if (!matches(run, i))
            return false;
    return rooms_intact(run);
}

rnn_outputs rnn_run_outputs(const rnn_run *run)
{
    rnn_outputs outputs = {{NULL}, {0}};
    for (int i = 0; i < RNN_INPUTS; i++)
        if (run->out[i].tensor.buffer != NULL) {
            outputs.data[i] = guarded_read(&run->out[i]);
            outputs.n[i] = (size_t)run->out[i].n;
        }
    return outputs;
}

void rnn_outputs_free(rnn_outputs *outputs)
{
    for (int i = 0; i < RNN_INPUTS; i++)
        free(outputs->data[i]);
    *outputs = (rnn_outputs){{NULL}, {0}};
}

bool rnn_outputs_equal(const rnn_outputs *a, const rnn_outputs *b, bool forward_only)
{
    for (int i = forward_only ? RNN_Y : 0; i < (forward_only ? RNN_WEIGHTS : RNN_INPUTS); i++)
        if (a->data[i] && b->data[i] && !compare_bits(rnn_output_name(i), a->data[i], b->data[i], a->n[i])) {
            snprintf(message, sizeof message, "%s", compare_message());
            return false;
        }
    return true;
}
