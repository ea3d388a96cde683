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
    {CLSEQ_SCHEDULE_TEAM, "team", true},
    {CLSEQ_SCHEDULE_GEMM_STEP, "gemm_step", false},
};
const int rnn_schedule_count = sizeof rnn_schedules / sizeof rnn_schedules[0];

bool rnn_schedule_expected(const clseq_context *ctx, const rnn_schedule *schedule)
{
    return !schedule->cpu_only || ctx->traits.is_cpu;
}

static bool has(const rnn_run *run, unsigned what)
{
    return !(run->options.without & what);
}

static void *array(size_t n, size_t size)
{
    void *p = calloc(n, size);
    if (p == NULL)
        abort();
    return p;
}

/* ---- the plan and what it says of states and weights ---- */

clseq_rnn_desc rnn_run_desc(const reference_rnn *net, const rnn_run_options *options, int64_t *widths)
{
    int cell = 0;
    while (reference_cell_at(cell) != net->cell)
        cell++;
    for (int l = 0; net->widths != NULL && l < net->L; l++)
        widths[l] = net->widths[l];
    return (clseq_rnn_desc){.cell = (clseq_cell)cell,
                            .input = net->I,
                            .hidden = net->H,
                            .layers = net->L,
                            .bias = net->bias == REFERENCE_BIAS_DOUBLE   ? CLSEQ_BIAS_BOTH
                                    : net->bias == REFERENCE_BIAS_SINGLE ? CLSEQ_BIAS_ONE
                                                                         : CLSEQ_BIAS_NONE,
                            .direction = net->direction == REFERENCE_FORWARD ? CLSEQ_DIRECTION_FORWARD
                                         : net->direction == REFERENCE_REVERSE
                                             ? CLSEQ_DIRECTION_REVERSE
                                             : CLSEQ_DIRECTION_BIDIRECTIONAL,
                            .merge = net->merge == REFERENCE_SUM ? CLSEQ_MERGE_SUM : CLSEQ_MERGE_CONCAT,
                            .schedule = options->schedule,
                            .projection = net->P,
                            .dropout = (float)net->dropout,
                            .variational_dropout = net->variational,
                            .residual = net->residual,
                            .layer_norm = net->layer_norm,
                            .cell_clip = (float)net->cell_clip,
                            .zoneout_h = (float)net->zoneout[0],
                            .zoneout_c = (float)net->zoneout[1],
                            .recurrent_dropout = (float)net->recurrent_dropout,
                            .one_hot = options->one_hot,
                            .widths = net->widths != NULL ? widths : NULL};
}

/* What the plan says of a tensor is what the case has in this place, by name and dims. */
static void must_agree(const rnn_case *c, int i, const char *name, int ndim, const int64_t *dims)
{
    const rnn_tensor *want = &c->tensor[i];
    bool same = ndim == want->ndim && strncmp(want->input, name, strlen(name)) == 0;
    for (int k = 0; same && k < ndim; k++)
        same = dims[k] == (int64_t)want->dims[k];
    if (!same) {
        fprintf(stderr, "tests: the plan's %s has %d dimensions or others than %s [%zu,%zu,%zu]\n", name,
                ndim, want->input, want->dims[0], want->dims[1], want->dims[2]);
        abort();
    }
}

static clseq_status make_plan(rnn_run *run)
{
    const reference_rnn *net = &run->c->net;
    int64_t *widths = array((size_t)net->L, sizeof *widths);
    const clseq_rnn_desc desc = rnn_run_desc(net, &run->options, widths);
    run->shape = (clseq_rnn_shape){.T = net->T + run->options.spare,
                                   .B = net->B,
                                   .mode = run->options.mode,
                                   .in_pieces = run->options.in_pieces};
    const clseq_status status = clseq_rnn_plan_create(run->ctx, &desc, &run->plan);
    free(widths);
    return status == CLSEQ_OK ? clseq_rnn_plan_sizes(run->plan, &run->shape, &run->sizes) : status;
}

/* ---- tensors ---- */

static guarded make(const rnn_run *run, int i, guarded_layout layout)
{
    const rnn_tensor *tensor = &run->c->tensor[i];
    int64_t dims[3];
    for (int k = 0; k < tensor->ndim; k++)
        dims[k] = (int64_t)tensor->dims[k];
    return guarded_create(run->ctx, CLSEQ_DTYPE_F32, tensor->ndim, dims, layout);
}

static guarded make_bytes(const rnn_run *run, int64_t bytes)
{
    return guarded_create(run->ctx, CLSEQ_DTYPE_U8, 1, &bytes, GUARDED_DENSE);
}

static void make_sequences(rnn_run *run)
{
    const reference_rnn *net = &run->c->net;
    if (run->options.one_hot)
        run->in[RNN_X] =
            guarded_create(run->ctx, CLSEQ_DTYPE_I32, 3, (int64_t[]){net->T, net->B, 1}, run->options.x);
    else
        run->in[RNN_X] = make(run, RNN_X, run->options.x);
    run->out[RNN_Y] = make(run, RNN_Y, run->options.y);
    if (has(run, RNN_NO_DX) && !run->options.one_hot)
        run->out[RNN_DX] = make(run, RNN_DX, run->options.x);
    if (has(run, RNN_NO_DY))
        run->in[RNN_DY] = make(run, RNN_DY, run->options.y);
}

static void make_states(rnn_run *run)
{
    const int states = clseq_rnn_state_count(run->plan);
    if (states != run->c->net.cell->states)
        abort();
    for (int s = 0; s < states; s++) {
        clseq_rnn_state state;
        MUST(clseq_rnn_state_info(run->plan, s, run->shape.B, &state));
        must_agree(run->c, RNN_INITIAL + s, state.name, state.ndim, state.dims);
        if (has(run, RNN_NO_INITIAL))
            run->in[RNN_INITIAL + s] = make(run, RNN_INITIAL + s, GUARDED_DENSE);
        if (has(run, RNN_NO_DFINAL))
            run->in[RNN_DFINAL + s] = make(run, RNN_DFINAL + s, GUARDED_DENSE);
        if (has(run, RNN_NO_DINITIAL))
            run->out[RNN_DINITIAL + s] = make(run, RNN_DINITIAL + s, GUARDED_DENSE);
        if (has(run, RNN_ALIAS | RNN_NO_FINAL))
            run->out[RNN_FINAL + s] = make(run, RNN_FINAL + s, GUARDED_DENSE);
        else if (!has(run, RNN_ALIAS))
            run->out[RNN_FINAL + s] = run->in[RNN_INITIAL + s];
    }
}

static void make_weights(rnn_run *run)
{
    if (clseq_rnn_weight_count(run->plan) != run->c->weights)
        abort();
    for (int w = 0; w < run->c->weights; w++) {
        const int i = RNN_WEIGHTS + w;
        clseq_rnn_weight weight;
        MUST(clseq_rnn_weight_info(run->plan, w, &weight));
        must_agree(run->c, i, weight.name, weight.ndim, weight.dims);
        run->in[i] = make(run, i, GUARDED_DENSE);
        if (has(run, RNN_NO_DWEIGHTS) && (weight.ndim == 2 || has(run, RNN_NO_DBIAS)))
            run->out[i] = make(run, i, GUARDED_DENSE);
    }
}

static void make_memory(rnn_run *run)
{
    run->packed = make_bytes(run, run->sizes.packed);
    run->workspace = make_bytes(run, run->sizes.workspace);
    for (int l = 0; l < run->c->net.L && run->options.mode == CLSEQ_MODE_TRAINING; l++) {
        int64_t bytes = 0;
        MUST(clseq_rnn_reserve_size(run->plan, &run->shape, l, &bytes));
        run->reserve[l] = make_bytes(run, bytes);
    }
}

rnn_run *rnn_run_create(clseq_context *ctx, const rnn_case *c, const rnn_run_options *options)
{
    rnn_run *run = array(1, sizeof *run);
    const size_t count = (size_t)c->count, layers = (size_t)c->net.L;
    run->ctx = ctx;
    run->c = c;
    run->options = *options;
    run->in = array(count, sizeof *run->in);
    run->out = array(count, sizeof *run->out);
    run->given = array(count, sizeof *run->given);
    run->written = array(count, sizeof *run->written);
    run->reserve = array(layers, sizeof *run->reserve);
    run->reserves = array(layers, sizeof *run->reserves);
    if (make_plan(run) != CLSEQ_OK) {
        rnn_run_destroy(run);
        return NULL;
    }
    make_sequences(run);
    make_states(run);
    make_weights(run);
    make_memory(run);
    const int64_t B = c->net.B;
    if (c->net.lengths != NULL)
        run->lengths = guarded_create(ctx, CLSEQ_DTYPE_I32, 1, &B, GUARDED_DENSE);
    rnn_run_write(run, c);
    return run;
}

void rnn_run_destroy(rnn_run *run)
{
    if (run == NULL)
        return;
    for (int i = 0; i < run->c->count; i++) {
        if (!has(run, RNN_ALIAS) && i >= RNN_FINAL && i < RNN_WEIGHTS)
            run->out[i] = (guarded){0};
        guarded_destroy(&run->in[i]);
        guarded_destroy(&run->out[i]);
    }
    for (int l = 0; l < run->c->net.L; l++)
        guarded_destroy(&run->reserve[l]);
    guarded_destroy(&run->lengths);
    guarded_destroy(&run->packed);
    guarded_destroy(&run->workspace);
    clseq_rnn_plan_destroy(run->plan);
    free(run->in);
    free(run->out);
    free(run->given);
    free(run->written);
    free(run->reserve);
    free(run->reserves);
    free(run);
}

/* ---- inputs ---- */

/* A sequence with NaN past the ends of its rows. */
static void write_sequence(const rnn_run *run, int i, const double *values)
{
    const reference_rnn *net = &run->c->net;
    const guarded *to = &run->in[i];
    const int F = (int)run->c->tensor[i].dims[2];
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
    int32_t *numbers = array((size_t)(net->T * net->B), sizeof *numbers);
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

/* Sets `given`, `written` and `reserves`. */
static void set_arrays(rnn_run *run)
{
    for (int i = 0; i < run->c->count; i++) {
        run->given[i] = run->in[i].tensor;
        run->written[i] = run->out[i].tensor;
    }
    for (int l = 0; l < run->c->net.L; l++)
        run->reserves[l] = run->reserve[l].tensor;
}

const clseq_tensor *rnn_run_weights(rnn_run *run)
{
    set_arrays(run);
    return run->given + RNN_WEIGHTS;
}

void rnn_run_write(rnn_run *run, const rnn_case *c)
{
    if (run->options.one_hot)
        write_numbers(run, c->in[RNN_X]);
    else
        write_sequence(run, RNN_X, c->in[RNN_X]);
    write_sequence(run, RNN_DY, c->in[RNN_DY]);
    for (int i = RNN_INITIAL; i < run->c->count; i++)
        if (i != RNN_DY)
            guarded_write_doubles(&run->in[i], c->in[i]);
    if (c->net.lengths != NULL)
        guarded_write(&run->lengths, c->net.lengths);
    guarded_poison(&run->packed);
    MUST(clseq_rnn_pack(run->plan, &run->shape, rnn_run_weights(run), &run->packed.tensor));
}

/* ---- passes ---- */

/* What the plan is given: numbers without their last dimension. */
static clseq_tensor x_of(const rnn_run *run)
{
    clseq_tensor x = run->in[RNN_X].tensor;
    if (run->options.one_hot)
        x.ndim = 2;
    return x;
}

clseq_rnn_forward_args rnn_run_forward_args(rnn_run *run)
{
    set_arrays(run);
    return (clseq_rnn_forward_args){.packed = run->packed.tensor,
                                    .x = x_of(run),
                                    .lengths = run->lengths.tensor,
                                    .initial = has(run, RNN_NO_INITIAL) ? run->given + RNN_INITIAL : NULL,
                                    .y = run->out[RNN_Y].tensor,
                                    .final = has(run, RNN_NO_FINAL) ? run->written + RNN_FINAL : NULL,
                                    .reserve = run->reserves,
                                    .workspace = run->workspace.tensor,
                                    .seed = run->c->net.seed,
                                    .stream = run->c->net.stream};
}

clseq_rnn_backward_args rnn_run_backward_args(rnn_run *run)
{
    set_arrays(run);
    return (clseq_rnn_backward_args){
        .packed = run->packed.tensor,
        .x = x_of(run),
        .lengths = run->lengths.tensor,
        .dy = run->in[RNN_DY].tensor,
        .dfinal = has(run, RNN_NO_DFINAL) ? run->given + RNN_DFINAL : NULL,
        .dx = run->out[RNN_DX].tensor,
        .dinitial = has(run, RNN_NO_DINITIAL) ? run->written + RNN_DINITIAL : NULL,
        .dweights = has(run, RNN_NO_DWEIGHTS) ? run->written + RNN_DWEIGHTS : NULL,
        .overwrite = run->options.overwrite,
        .reserve = run->reserves,
        .workspace = run->workspace.tensor};
}

void rnn_run_forward(rnn_run *run)
{
    const clseq_rnn_forward_args args = rnn_run_forward_args(run);
    guarded_poison(&run->out[RNN_Y]);
    for (int s = 0; s < REFERENCE_MAX_STATES && has(run, RNN_ALIAS); s++)
        guarded_poison(&run->out[RNN_FINAL + s]);
    for (int l = 0; l < run->c->net.L; l++)
        guarded_poison(&run->reserve[l]);
    guarded_poison(&run->workspace);
    MUST(clseq_rnn_forward(run->plan, &run->shape, &args));
}

void rnn_run_backward(rnn_run *run, bool keep)
{
    const clseq_rnn_backward_args args = rnn_run_backward_args(run);
    guarded_poison(&run->out[RNN_DX]);
    for (int s = 0; s < REFERENCE_MAX_STATES; s++)
        guarded_poison(&run->out[RNN_DINITIAL + s]);
    for (int i = RNN_DWEIGHTS; i < run->c->count && !keep; i++)
        (run->options.overwrite ? guarded_poison : guarded_zero)(&run->out[i]);
    guarded_poison(&run->workspace);
    MUST(clseq_rnn_backward(run->plan, &run->shape, &args));
}

/* ---- outputs ---- */

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
    const rnn_case *c = run->c;
    const char *name = rnn_output_name(c, i);
    float *got = guarded_read(&run->out[i]);
    const bool same = compare_floats_each(name, got, c->want[i], c->n[i], c->bound[i]);
    if (!same)
        snprintf(message, sizeof message, "%s", compare_message());
    free(got);
    return same && intact(name, &run->out[i]);
}

static bool memory_intact(const rnn_run *run)
{
    bool all = intact("packed", &run->packed) && intact("workspace", &run->workspace);
    for (int l = 0; l < run->c->net.L; l++)
        all = all && intact("reserve", &run->reserve[l]);
    return all;
}

bool rnn_run_matches_forward(rnn_run *run)
{
    for (int i = RNN_Y; i < RNN_WEIGHTS; i++)
        if (!matches(run, i))
            return false;
    return memory_intact(run);
}

bool rnn_run_matches(rnn_run *run)
{
    for (int i = 0; i < run->c->count; i++)
        if (!matches(run, i))
            return false;
    return memory_intact(run);
}

rnn_outputs rnn_run_outputs(const rnn_run *run)
{
    rnn_outputs outputs = {run->c, array((size_t)run->c->count, sizeof *outputs.data)};
    for (int i = 0; i < run->c->count; i++)
        if (run->out[i].tensor.buffer != NULL)
            outputs.data[i] = guarded_read(&run->out[i]);
    return outputs;
}

void rnn_outputs_free(rnn_outputs *outputs)
{
    for (int i = 0; outputs->data != NULL && i < outputs->c->count; i++)
        free(outputs->data[i]);
    free(outputs->data);
    *outputs = (rnn_outputs){NULL, NULL};
}

bool rnn_outputs_equal(const rnn_outputs *a, const rnn_outputs *b, bool forward_only)
{
    const rnn_case *c = a->c;
    for (int i = forward_only ? RNN_Y : 0; i < (forward_only ? RNN_WEIGHTS : c->count); i++)
        if (a->data[i] && b->data[i] &&
            !compare_bits(rnn_output_name(c, i), a->data[i], b->data[i], c->n[i])) {
            snprintf(message, sizeof message, "%s", compare_message());
            return false;
        }
    return true;
}
