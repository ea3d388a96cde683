#include "attention_run.h"

#include "compare.h"
#include "core/context.h"
#include "numeric.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fail(const attention_run *run, const char *message)
{
    fprintf(stderr, "%s, %s kernels: %s\n", run->c->variant->name, run->ctx->traits.is_cpu ? "CPU" : "GPU",
            message);
    abort();
}

/* ---- weights ---- */

/* Which places the columns of a weight are. */
typedef struct weight_places {
    const char *name;
    int count, place[2];
} weight_places;

static const weight_places places[] = {
    {"weight_query", 1, {ATTENTION_WEIGHT_QUERY}},
    {"weight_key", 1, {ATTENTION_WEIGHT_KEY}},
    {"bias", 1, {ATTENTION_BIAS}},
    {"weight_score", 1, {ATTENTION_VECTOR}},
    {"gain_score", 1, {ATTENTION_GAIN}},
    {"weight_both", 2, {ATTENTION_WEIGHT_QUERY, ATTENTION_WEIGHT_KEY}},
    {"weight_centre", 1, {ATTENTION_CENTRE}},
    {"score_centre", 1, {ATTENTION_CENTRE_VECTOR}},
    {"filter_location", 1, {ATTENTION_FILTER}},
    {"weight_location", 1, {ATTENTION_LOCATION}},
};

static const weight_places *places_of(const attention_run *run, int i)
{
    clseq_attention_weight weight;
    MUST(clseq_attention_weight_info(run->plan, i, &weight));
    for (size_t k = 0; k < sizeof places / sizeof places[0]; k++)
        if (strcmp(places[k].name, weight.name) == 0)
            return &places[k];
    fail(run, weight.name);
    return NULL;
}

/* What a case has for weight i, column parts side by side, in a new array. */
static double *gather(const attention_run *run, int i, double *const from[])
{
    const weight_places *w = places_of(run, i);
    const size_t n = (size_t)run->weight[i].n;
    size_t rows = w->count == 2 ? (size_t)run->weight[i].tensor.dims[0] : 1, at = 0, all = 0;
    double *out = test_doubles(n);
    for (int p = 0; p < w->count; p++)
        all += run->c->n[w->place[p]];
    if (all != n)
        fail(run, w->name);
    for (size_t r = 0; r < rows; r++)
        for (int p = 0; p < w->count; p++) {
            const size_t columns = run->c->n[w->place[p]] / rows;
            memcpy(out + at, from[w->place[p]] + r * columns, columns * sizeof *out);
            at += columns;
        }
    return out;
}

/* ---- making ---- */

clseq_attention_desc attention_run_desc(const attention_case *c)
{
    const reference_attention *a = &c->a;
    return (clseq_attention_desc){.score = (clseq_attention_score)c->variant->score,
                                  .query = (int64_t)a->Q,
                                  .key = (int64_t)a->K,
                                  .value = (int64_t)a->V,
                                  .units = (int64_t)a->A,
                                  .bias = a->bias,
                                  .normalise = a->normalise,
                                  .window = (clseq_attention_window)a->window,
                                  .window_radius = (int64_t)a->radius,
                                  .window_rate = a->rate == 1 ? 0 : (float)a->rate,
                                  .window_units = a->P == a->Q ? 0 : (int64_t)a->P,
                                  .location_channels = (int64_t)a->C,
                                  .location_width = (int64_t)a->width,
                                  .location_sums = a->sums};
}

static guarded rows(const attention_run *run, size_t i, size_t j, size_t n)
{
    return guarded_create(run->ctx, CLSEQ_DTYPE_F32, 3, (int64_t[]){(int64_t)i, (int64_t)j, (int64_t)n},
                          run->options.layout);
}

static guarded bytes(const attention_run *run, int64_t n)
{
    return guarded_create(run->ctx, CLSEQ_DTYPE_U8, 1, &n, GUARDED_DENSE);
}

/* NaN where a key does not count. */
static void write_keys(const attention_run *run, int place, size_t n)
{
    const attention_case *c = run->c;
    float *values = test_floats_of(c->in[place], c->n[place]);
    for (size_t i = 0; i < c->n[place]; i++)
        if (!attention_case_counts(c, i / n / c->a.B, i / n % c->a.B))
            values[i] = NAN;
    guarded_write(&run->in[place], values);
    free(values);
}

static void make_rows(attention_run *run)
{
    const reference_attention *a = &run->c->a;
    const size_t V = a->V ? a->V : a->K;
    const struct {
        guarded *g;
        size_t i, n;
    } all[] = {{&run->in[ATTENTION_QUERIES], a->T, a->Q},
               {&run->out[ATTENTION_QUERIES], a->T, a->Q},
               {&run->in[ATTENTION_KEYS], a->S, a->K},
               {&run->out[ATTENTION_KEYS], a->S, a->K},
               {&run->in[ATTENTION_VALUES], a->S, a->V},
               {&run->out[ATTENTION_VALUES], a->S, a->V},
               {&run->dcontext, a->T, V},
               {&run->context, a->T, V},
               {&run->dalignment, a->T, a->S},
               {&run->alignment, a->T, a->S}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (all[i].n > 0)
            *all[i].g = rows(run, all[i].i, a->B, all[i].n);
    guarded_write_doubles(&run->in[ATTENTION_QUERIES], run->c->in[ATTENTION_QUERIES]);
    guarded_write_doubles(&run->dcontext, run->c->in[ATTENTION_DCONTEXT]);
    guarded_write_doubles(&run->dalignment, run->c->in[ATTENTION_DALIGNMENT]);
    write_keys(run, ATTENTION_KEYS, a->K);
    if (a->V > 0)
        write_keys(run, ATTENTION_VALUES, a->V);
}

static void make_rest(attention_run *run)
{
    const attention_case *c = run->c;
    const int64_t B = (int64_t)c->a.B, S = (int64_t)c->a.S;
    if (c->a.C) {
        run->in[ATTENTION_INITIAL] =
            guarded_create(run->ctx, CLSEQ_DTYPE_F32, 2, (int64_t[]){B, S}, GUARDED_APART);
        run->out[ATTENTION_INITIAL] =
            guarded_create(run->ctx, CLSEQ_DTYPE_F32, 2, (int64_t[]){B, S}, GUARDED_APART);
        guarded_write_doubles(&run->in[ATTENTION_INITIAL], c->in[ATTENTION_INITIAL]);
    }
    if (c->lengths) {
        run->lengths = guarded_create(run->ctx, CLSEQ_DTYPE_I32, 1, &B, GUARDED_DENSE);
        guarded_write(&run->lengths, c->lengths);
    }
    if (c->mask) {
        run->mask = guarded_create(run->ctx, CLSEQ_DTYPE_I32, 2, (int64_t[]){S, B}, GUARDED_APART);
        guarded_write(&run->mask, c->mask);
    }
    for (int i = 0; i < clseq_attention_weight_count(run->plan); i++) {
        clseq_attention_weight weight;
        MUST(clseq_attention_weight_info(run->plan, i, &weight));
        run->weight[i] = guarded_create(run->ctx, CLSEQ_DTYPE_F32, weight.ndim, weight.dims, GUARDED_DENSE);
        run->dweight[i] = guarded_create(run->ctx, CLSEQ_DTYPE_F32, weight.ndim, weight.dims, GUARDED_DENSE);
        run->weights[i] = run->weight[i].tensor;
        run->dweights[i] = run->dweight[i].tensor;
        double *values = gather(run, i, c->in);
        guarded_write_doubles(&run->weight[i], values);
        free(values);
    }
    run->memory = bytes(run, run->sizes.memory);
    if (run->options.mode == CLSEQ_MODE_TRAINING)
        run->reserve = bytes(run, run->sizes.reserve);
    run->workspace = bytes(run, run->sizes.workspace);
}

attention_run *attention_run_create(clseq_context *ctx, const attention_case *c,
                                    const attention_run_options *options)
{
    attention_run *run = calloc(1, sizeof *run);
    const clseq_attention_desc desc = attention_run_desc(c);
    if (run == NULL)
        abort();
    run->ctx = ctx;
    run->c = c;
    run->options = *options;
    run->shape = (clseq_attention_shape){(int64_t)c->a.T + options->spare, (int64_t)c->a.S, (int64_t)c->a.B,
                                         options->mode};
    MUST(clseq_attention_plan_create(ctx, &desc, &run->plan));
    MUST(clseq_attention_plan_sizes(run->plan, &run->shape, &run->sizes));
    make_rows(run);
    make_rest(run);
    return run;
}

void attention_run_destroy(attention_run *run)
{
    guarded *all[] = {&run->dcontext, &run->dalignment, &run->context, &run->alignment, &run->lengths,
                      &run->mask,     &run->memory,     &run->reserve, &run->workspace};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        guarded_destroy(all[i]);
    for (int i = 0; i <= ATTENTION_INITIAL; i++) {
        guarded_destroy(&run->in[i]);
        guarded_destroy(&run->out[i]);
    }
    for (int i = 0; i < ATTENTION_RUN_WEIGHTS; i++) {
        guarded_destroy(&run->weight[i]);
        guarded_destroy(&run->dweight[i]);
    }
    clseq_attention_plan_destroy(run->plan);
    free(run);
}

/* ---- passes ---- */

static int64_t piece_of(const attention_run *run)
{
    return run->options.pieces ? run->options.pieces : (int64_t)run->c->a.T;
}

static clseq_tensor part(const guarded *g, int64_t first, int64_t count)
{
    return g->tensor.buffer ? clseq_tensor_slice(&g->tensor, 0, first, count) : g->tensor;
}

void attention_run_forward(attention_run *run)
{
    guarded *const written[] = {&run->context, &run->alignment, &run->out[ATTENTION_INITIAL], &run->memory,
                                &run->reserve};
    const int64_t T = (int64_t)run->c->a.T, piece = piece_of(run);
    for (size_t i = 0; i < sizeof written / sizeof written[0]; i++)
        guarded_poison(written[i]);
    MUST(clseq_attention_remember(run->plan, &run->shape,
                                  &(clseq_attention_memory_args){.weights = run->weights,
                                                                 .keys = run->in[ATTENTION_KEYS].tensor,
                                                                 .values = run->in[ATTENTION_VALUES].tensor,
                                                                 .lengths = run->lengths.tensor,
                                                                 .mask = run->mask.tensor,
                                                                 .memory = run->memory.tensor}));
    for (int64_t first = 0; first < T; first += piece) {
        const int64_t count = piece < T - first ? piece : T - first;
        /* In inference what was looked at goes from call to call through the caller's hands. */
        const bool hands_on = first > 0 && run->options.mode == CLSEQ_MODE_INFERENCE && run->c->a.C;
        if (hands_on)
            MUST(clseq_tensor_copy(run->ctx, &run->out[ATTENTION_INITIAL].tensor,
                                   &run->in[ATTENTION_INITIAL].tensor));
        guarded_poison(&run->workspace);
        MUST(clseq_attention_forward(
            run->plan, &run->shape,
            &(clseq_attention_forward_args){.weights = run->weights,
                                            .memory = run->memory.tensor,
                                            .queries = part(&run->in[ATTENTION_QUERIES], first, count),
                                            .context = part(&run->context, first, count),
                                            .alignment = part(&run->alignment, first, count),
                                            .initial = run->in[ATTENTION_INITIAL].tensor,
                                            .final = run->out[ATTENTION_INITIAL].tensor,
                                            .reserve = run->reserve.tensor,
                                            .workspace = run->workspace.tensor,
                                            .first = first,
                                            .count = count}));
    }
}

void attention_run_backward(attention_run *run, bool keep)
{
    const int64_t T = (int64_t)run->c->a.T, piece = piece_of(run);
    for (int i = 0; i < ATTENTION_INITIAL; i++)
        guarded_poison(&run->out[i]);
    for (int i = 0; i < ATTENTION_RUN_WEIGHTS && !keep; i++)
        guarded_zero(&run->dweight[i]);
    for (int64_t end = T; end > 0; end -= piece) {
        const int64_t count = piece < end ? piece : end, first = end - count;
        guarded_poison(&run->workspace);
        MUST(clseq_attention_backward(
            run->plan, &run->shape,
            &(clseq_attention_backward_args){.weights = run->weights,
                                             .memory = run->memory.tensor,
                                             .dcontext = part(&run->dcontext, first, count),
                                             .dalignment = part(&run->dalignment, first, count),
                                             .dqueries = part(&run->out[ATTENTION_QUERIES], first, count),
                                             .reserve = run->reserve.tensor,
                                             .workspace = run->workspace.tensor,
                                             .first = first,
                                             .count = count}));
    }
    guarded_poison(&run->workspace);
    MUST(clseq_attention_gradients(
        run->plan, &run->shape,
        &(clseq_attention_gradients_args){.weights = run->weights,
                                          .keys = run->in[ATTENTION_KEYS].tensor,
                                          .memory = run->memory.tensor,
                                          .dkeys = run->out[ATTENTION_KEYS].tensor,
                                          .dvalues = run->out[ATTENTION_VALUES].tensor,
                                          .dweights = run->dweights,
                                          .reserve = run->reserve.tensor,
                                          .workspace = run->workspace.tensor,
                                          .count = T}));
}

/* ---- outputs ---- */

static void check_tensor(const attention_run *run, const char *name, const guarded *g, const double *want,
                         const double *bound)
{
    if (!g->tensor.buffer)
        return;
    float *got = guarded_read(g);
    if (!compare_floats_each(name, got, want, (size_t)g->n, bound))
        fail(run, compare_message());
    if (!guarded_intact(name, g))
        fail(run, guarded_message());
    free(got);
}

static void check_place(const attention_run *run, int place, const guarded *g)
{
    check_tensor(run, attention_output_name(place), g, run->c->want[place], run->c->bound[place]);
}

void attention_run_check(const attention_run *run)
{
    check_place(run, ATTENTION_DCONTEXT, &run->context);
    check_place(run, ATTENTION_DALIGNMENT, &run->alignment);
    check_place(run, ATTENTION_INITIAL, &run->out[ATTENTION_INITIAL]);
    const guarded *memory[] = {&run->memory, &run->reserve, &run->workspace};
    for (size_t i = 0; i < sizeof memory / sizeof memory[0]; i++)
        if (!guarded_intact("memory", memory[i]))
            fail(run, guarded_message());
    if (run->options.mode == CLSEQ_MODE_INFERENCE)
        return;
    for (int place = 0; place < ATTENTION_INITIAL; place++)
        check_place(run, place, &run->out[place]);
    for (int i = 0; i < clseq_attention_weight_count(run->plan); i++) {
        double *want = gather(run, i, run->c->want), *bound = gather(run, i, run->c->bound);
        check_tensor(run, places_of(run, i)->name, &run->dweight[i], want, bound);
        free(want);
        free(bound);
    }
}

float *attention_run_outputs(const attention_run *run, bool forward_only, size_t *n)
{
    const guarded *all[5 + ATTENTION_INITIAL + ATTENTION_RUN_WEIGHTS] = {&run->context, &run->alignment,
                                                                         &run->out[ATTENTION_INITIAL]};
    int count = 3;
    for (int i = 0; i < ATTENTION_INITIAL && !forward_only; i++)
        all[count++] = &run->out[i];
    for (int i = 0; i < ATTENTION_RUN_WEIGHTS && !forward_only; i++)
        all[count++] = &run->dweight[i];
    *n = 0;
    for (int i = 0; i < count; i++)
        *n += all[i]->tensor.buffer ? (size_t)all[i]->n : 0;
    float *out = test_floats(*n), *at = out;
    for (int i = 0; i < count; i++) {
        if (!all[i]->tensor.buffer)
            continue;
        float *values = guarded_read(all[i]);
        memcpy(at, values, (size_t)all[i]->n * sizeof *at);
        at += all[i]->n;
        free(values);
    }
    return out;
}
