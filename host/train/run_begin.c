/* The making of a run: its descriptor, what it trains, and its end. */
#include "train/run.h"

#include "core/clock.h"
#include "train/option.h"
#include "train/params.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- copies ---- */

static clseq_status no_memory(const char *operation)
{
    return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "%s: no memory for the run", operation);
}

/* A copy in the run's own memory; NULL for `count` 0. */
static clseq_status copy(clseq_run *run, const char *operation, const void *array, size_t count, size_t size,
                         void *place)
{
    void *own = count > 0 ? clseq__arena_get(&run->arena, count * size) : NULL;
    if (count > 0 && !own)
        return no_memory(operation);
    if (own)
        memcpy(own, array, count * size);
    memcpy(place, &own, sizeof own);
    return CLSEQ_OK;
}

static clseq_status copy_text(clseq_run *run, const char *operation, const char **text)
{
    return *text ? copy(run, operation, *text, strlen(*text) + 1, 1, text) : CLSEQ_OK;
}

static clseq_status copy_desc(clseq_run *run, const clseq_run_desc *desc)
{
    static const char op[] = "run create";
    clseq_run_desc *d = &run->desc;
    clseq_option *options = NULL;
    clseq_run_column *columns = NULL;
    *d = *desc;
    CLSEQ__RETURN_IF(copy_text(run, op, &d->checkpoint));
    CLSEQ__RETURN_IF(copy_text(run, op, &d->metrics));
    CLSEQ__RETURN_IF(copy_text(run, op, &d->unit));
    CLSEQ__RETURN_IF(copy_text(run, op, &d->step_name));
    CLSEQ__RETURN_IF(copy(run, op, desc->options, desc->option_count, sizeof *options, &options));
    for (size_t i = 0; i < desc->option_count; i++)
        CLSEQ__RETURN_IF(copy_text(run, op, &options[i].name));
    CLSEQ__RETURN_IF(copy(run, op, desc->columns, desc->column_count, sizeof *columns, &columns));
    for (size_t i = 0; i < desc->column_count; i++)
        CLSEQ__RETURN_IF(copy_text(run, op, &columns[i].name));
    d->options = options;
    d->columns = columns;
    d->unit = d->unit ? d->unit : "step";
    d->step_name = d->step_name ? d->step_name : "batch";
    d->row_steps = d->row_steps > 0 ? d->row_steps : 100;
    return CLSEQ_OK;
}

/* What the program says of the run, beside the handles. */
static clseq_status copy_contents(clseq_run *run, const clseq_checkpoint *what)
{
    static const char op[] = "run begin";
    clseq_meta *meta = NULL;
    const char **names = NULL;
    clseq_checkpoint *c = &run->contents;
    *c = *what;
    CLSEQ__RETURN_IF(copy(run, op, what->states, what->state_count, sizeof *what->states, &c->states));
    CLSEQ__RETURN_IF(copy(run, op, what->state_names, what->state_count, sizeof *names, &names));
    for (size_t i = 0; i < what->state_count; i++)
        CLSEQ__RETURN_IF(copy_text(run, op, &names[i]));
    CLSEQ__RETURN_IF(copy(run, op, what->meta, what->meta_count, sizeof *meta, &meta));
    for (size_t i = 0; i < what->meta_count; i++) {
        CLSEQ__RETURN_IF(copy_text(run, op, &meta[i].key));
        CLSEQ__RETURN_IF(copy_text(run, op, &meta[i].value));
    }
    c->state_names = names;
    c->meta = meta;
    return CLSEQ_OK;
}

/* Arrays that hold nothing are NULL, and the other way round. */
static clseq_status check_array(const char *operation, const char *name, const void *array, size_t count)
{
    if (count > 0 && !array)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: %s is NULL, expected %zu", operation, name, count);
    return CLSEQ_OK;
}

/* ---- create ---- */

static clseq_status check_desc(const clseq_run_desc *d)
{
    static const char op[] = "run create";
    const struct {
        const char *name;
        double value;
    } limits[] = {{"epochs", (double)d->epochs},
                  {"steps", (double)d->steps},
                  {"minutes", d->minutes},
                  {"patience", (double)d->patience},
                  {"row_steps", (double)d->row_steps}};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        if (!(limits[i].value >= 0) || !isfinite(limits[i].value))
            return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: %s is %g, expected a number of at least 0", op,
                                limits[i].name, limits[i].value);
    if (d->resume && !d->checkpoint)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: checkpoint is NULL, from which to resume", op);
    CLSEQ__RETURN_IF(check_array(op, "options", d->options, d->option_count));
    CLSEQ__RETURN_IF(check_array(op, "columns", d->columns, d->column_count));
    for (size_t i = 0; i < d->option_count; i++)
        CLSEQ__RETURN_IF(clseq__option_check(op, &d->options[i]));
    return CLSEQ_OK;
}

/* Room for the values of columns, none of which is there yet. */
static clseq_status make_values(clseq_run *run)
{
    const size_t count = run->desc.column_count;
    run->values = clseq__arena_get(&run->arena, (2 * count + 1) * sizeof *run->values);
    if (!run->values)
        return no_memory("run create");
    run->shown = run->values + count;
    for (size_t i = 0; i < 2 * count; i++)
        run->values[i] = NAN;
    return CLSEQ_OK;
}

clseq_status clseq_run_create(const clseq_run_desc *desc, clseq_run **out)
{
    clseq_status status = CLSEQ_OK;
    clseq_run *run = NULL;
    CLSEQ__MAKES("run create", out);
    CLSEQ__NOT_NULL("run create", desc);
    CLSEQ__TRY(check_desc(desc));
    run = calloc(1, sizeof *run);
    if (!run)
        CLSEQ__TRY(no_memory("run create"));
    CLSEQ__TRY(copy_desc(run, desc));
    CLSEQ__TRY(clseq__metrics_check(run));
    CLSEQ__TRY(make_values(run));
    if (run->desc.checkpoint) {
        run->best = clseq__run_best_path(&run->arena, run->desc.checkpoint);
        if (!run->best)
            CLSEQ__TRY(no_memory("run create"));
    }
    CLSEQ__TRY(clseq__run_check_files(run));
    run->on_terminal = desc->out && isatty(fileno(desc->out));
    if (desc->resume)
        CLSEQ__TRY(clseq__run_restore_options(run));
    *out = run;
    run = NULL;
done:
    clseq_run_destroy(run);
    return clseq__made("run create", status);
}

void clseq_run_destroy(clseq_run *run)
{
    if (!run)
        return;
    clseq__metrics_close(run);
    clseq_meter_destroy(run->meter);
    clseq__arena_release(&run->arena);
    free(run);
}

/* ---- begin ---- */

static clseq_status load(clseq_run *run)
{
    clseq_progress *done = &run->done;
    CLSEQ__RETURN_IF(clseq__run_restore_progress(run));
    CLSEQ__RETURN_IF(clseq_checkpoint_load(run->desc.checkpoint, &run->contents));
    CLSEQ__RETURN_IF(clseq__meter_set(run->meter, run->parts));
    done->steps = clseq_optimizer_steps(run->contents.optimizer);
    run->row_step = run->row_step < 0 ? done->steps : run->row_step;
    if (run->row_step > done->steps)
        return clseq__error(CLSEQ_CORRUPT_FILE,
                            "%s is damaged: its \"row_step\" is %lld, expected at most %lld",
                            run->desc.checkpoint, (long long)run->row_step, (long long)done->steps);
    run->seconds_before = done->seconds;
    clseq__run_say(run, "resumed %s: epoch %lld, %s %lld", run->desc.checkpoint, (long long)done->epochs + 1,
                   run->desc.step_name, (long long)done->epoch_steps);
    if (run->epoch_length > 0)
        clseq__run_say(run, " of %lld", (long long)run->epoch_length);
    clseq__run_say(run, "\n");
    return CLSEQ_OK;
}

static clseq_status check_contents(const clseq_checkpoint *what, int64_t epoch_steps)
{
    static const char op[] = "run begin";
    CLSEQ__NOT_NULL(op, what);
    CLSEQ__NEEDS(op, what->params);
    CLSEQ__NEEDS(op, what->optimizer);
    CLSEQ__RETURN_IF(check_array(op, "what->states", what->states, what->state_count));
    CLSEQ__RETURN_IF(check_array(op, "what->state_names", what->state_names, what->state_count));
    CLSEQ__RETURN_IF(check_array(op, "what->meta", what->meta, what->meta_count));
    for (size_t i = 0; i < what->meta_count; i++)
        if (!what->meta[i].key || !what->meta[i].value)
            return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: what->meta[%zu].%s is NULL", op, i,
                                what->meta[i].key ? "value" : "key");
    if (epoch_steps < 0)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: epoch_steps is %lld, expected at least 0", op,
                            (long long)epoch_steps);
    return CLSEQ_OK;
}

clseq_status clseq_run_begin(clseq_run *run, const clseq_checkpoint *what, int64_t epoch_steps)
{
    clseq_status status = CLSEQ_OK;
    CLSEQ__NEEDS("run begin", run);
    if (run->phase != CLSEQ__RUN_CREATED)
        return clseq__error(CLSEQ_INVALID_STATE, "run begin: the run has begun already");
    CLSEQ__RETURN_IF(check_contents(what, epoch_steps));
    run->epoch_length = epoch_steps;
    run->done = (clseq_progress){.steps = clseq_optimizer_steps(what->optimizer)};
    run->row_step = run->done.steps;
    CLSEQ__TRY(copy_contents(run, what));
    CLSEQ__TRY(clseq__run_check_meta(run));
    CLSEQ__TRY(clseq_meter_create(what->params->ctx, &run->meter));
    if (run->desc.resume)
        CLSEQ__TRY(load(run));
    run->started = run->row_time = run->line_time = clseq__seconds();
    run->saved = true;
    run->phase = CLSEQ__RUN_BEGUN;
    if (!clseq_run_is_over(run))
        CLSEQ__TRY(clseq__metrics_open(run));
done:
    return status == CLSEQ_OK ? status : clseq__run_fail(run, status);
}
