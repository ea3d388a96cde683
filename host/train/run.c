/* The course of a run: steps, ends of epochs, and when it is over. */
#include "train/run.h"

#include "core/clock.h"
#include <math.h>
#include <string.h>

static clseq_status check_phase(const char *operation, const clseq_run *run)
{
    CLSEQ__NEEDS(operation, run);
    if (run->phase == CLSEQ__RUN_FAILED)
        return clseq__error(run->status, "%s", run->failure);
    if (run->phase != CLSEQ__RUN_BEGUN)
        return clseq__error(CLSEQ_INVALID_STATE, "%s: the run %s", operation,
                            run->phase == CLSEQ__RUN_CREATED ? "has not begun" : "is finished");
    return CLSEQ_OK;
}

clseq_status clseq__run_fail(clseq_run *run, clseq_status status)
{
    snprintf(run->failure, sizeof run->failure, "%s", clseq_last_error());
    run->status = status;
    run->phase = CLSEQ__RUN_FAILED;
    return status;
}

clseq_status clseq__run_not_finite(clseq_run *run, const char *operation, const char *what, double value)
{
    const char *path = run->desc.checkpoint;
    clseq__error(CLSEQ_NOT_FINITE, "%s: the %s is no longer finite, it is %g at step %lld%s%s", operation,
                 what, value, (long long)run->done.steps, path ? "; checkpoints stay as they were: " : "",
                 path ? path : "");
    return clseq__run_fail(run, CLSEQ_NOT_FINITE);
}

/* ---- losses ---- */

/* The mean loss since the last row. Waits. One that is not finite ends the run. */
static clseq_status read_loss(clseq_run *run, const char *operation, double *loss)
{
    CLSEQ__RETURN_IF(clseq__meter_get(run->meter, run->parts));
    if (clseq__meter_weight(run->parts) == 0.0)
        return clseq__error(CLSEQ_INVALID_STATE,
                            "%s: no loss was added to the run's meter (clseq_run_meter) since step %lld",
                            operation, (long long)run->row_step);
    *loss = clseq__meter_mean(run->parts);
    return isfinite(*loss) ? CLSEQ_OK : clseq__run_not_finite(run, operation, "loss", *loss);
}

static double rate_of(int64_t count, double since)
{
    const double seconds = clseq__seconds() - since;
    return seconds > 0 ? (double)count / seconds : 0;
}

/* `stays`: a run without a stop has this row too; its losses are told, and the next row begins. */
static clseq_status write_row(clseq_run *run, const char *operation, bool stays)
{
    CLSEQ__RETURN_IF(read_loss(run, operation, &run->done.loss));
    clseq__metrics_row(run, run->done.epochs + 1, NULL, rate_of(run->row_units, run->row_time));
    if (!stays)
        return CLSEQ_OK;
    CLSEQ__RETURN_IF(clseq_meter_reset(run->meter));
    memset(run->parts, 0, sizeof run->parts);
    run->row_step = run->done.steps;
    run->row_time = clseq__seconds();
    run->row_units = 0;
    return CLSEQ_OK;
}

/* What is left of an epoch beyond the last full row belongs to that row: a row of few steps says little. */
static bool row_is_due(const clseq_run *run)
{
    const int64_t left = run->epoch_length - run->done.epoch_steps;
    return run->done.epoch_steps % run->desc.row_steps == 0 && (left <= 0 || left >= run->desc.row_steps);
}

/* The row that is due at this step, and the line that is due at this time. */
static clseq_status tell(clseq_run *run)
{
    const clseq_progress *done = &run->done;
    const bool first = done->own_steps == 1;
    const bool ends = done->epoch_steps == run->epoch_length; /* the epoch, if its length is known */
    const bool row = ends || row_is_due(run);
    const double now = clseq__seconds();
    const bool line = ends || now - run->line_time >= clseq__run_pause(run) || clseq_run_is_over(run);
    double loss = 0;
    if (first || (line && !row))
        CLSEQ__RETURN_IF(read_loss(run, "run step", &loss));
    if (first && !run->desc.resume)
        run->done.first_loss = loss;
    clseq_signals_defer(); /* the device has done a step: its programs are compiled, and there is something to save */
    if (row)
        CLSEQ__RETURN_IF(write_row(run, "run step", true));
    if (!line)
        return CLSEQ_OK;
    const double seconds = clseq__seconds() - run->line_time;
    clseq__run_show(run, row ? done->loss : loss, rate_of(run->line_units, run->line_time),
                    seconds / (double)run->line_steps);
    run->line_time = clseq__seconds();
    run->line_steps = run->line_units = 0;
    return CLSEQ_OK;
}

/* ---- the course ---- */

clseq_status clseq_run_step(clseq_run *run, int64_t units)
{
    CLSEQ__RETURN_IF(check_phase("run step", run));
    if (units < 0)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "run step: units is %lld, expected at least 0",
                            (long long)units);
    run->saved = false;
    run->done.steps = clseq_optimizer_steps(run->contents.optimizer);
    run->done.epoch_steps++;
    run->done.own_steps++;
    run->row_units += units;
    run->line_steps++;
    run->line_units += units;
    return tell(run);
}

/* Saves the last checkpoint, and the best where this validation says so. */
static clseq_status judge_and_save(clseq_run *run, bool within, const double *validation)
{
    const int64_t epoch = run->done.epochs + within;
    bool better = false;
    if (validation)
        CLSEQ__RETURN_IF(clseq__run_judge(run, *validation, &better));
    if (better)
        run->waited = 0;
    else if (validation && !within)
        run->waited++;
    if (!within || validation)
        clseq__run_show_epoch(run, epoch, within, validation);
    if (validation)
        clseq__metrics_row(run, epoch, validation, 0);
    if (run->desc.checkpoint)
        CLSEQ__RETURN_IF(clseq__run_save(run, run->desc.checkpoint));
    run->saved = true;
    return CLSEQ_OK;
}

clseq_status clseq_run_end_epoch(clseq_run *run, const double *validation)
{
    CLSEQ__RETURN_IF(check_phase("run end epoch", run));
    if (run->done.epoch_steps == 0)
        return clseq__error(CLSEQ_INVALID_STATE, "run end epoch: the epoch has no step yet");
    if (run->done.steps > run->row_step)
        CLSEQ__RETURN_IF(write_row(run, "run end epoch", true));
    if (validation && !isfinite(*validation))
        return clseq__run_not_finite(run, "run end epoch", "validation loss", *validation);
    run->done.epochs++;
    run->done.epoch_steps = 0;
    CLSEQ__RETURN_IF(judge_and_save(run, false, validation));
    run->line_time = run->row_time = clseq__seconds();
    run->line_steps = run->line_units = run->row_units = 0;
    if (run->desc.patience > 0 && run->waited >= run->desc.patience)
        clseq__run_say(run, "no better validation since epoch %lld: the run ends\n",
                       (long long)(run->done.epochs - run->waited));
    return CLSEQ_OK;
}

bool clseq_run_is_over(const clseq_run *run)
{
    if (!run || run->phase != CLSEQ__RUN_BEGUN)
        return true;
    const clseq_run_desc *d = &run->desc;
    const clseq_progress *done = &run->done;
    return run->stopped || clseq_signals_came() || run->failure[0] ||
           (d->minutes > 0 && clseq__seconds() - run->started >= d->minutes * 60) ||
           (d->steps > 0 && done->steps >= d->steps) || (d->epochs > 0 && done->epochs >= d->epochs) ||
           (d->patience > 0 && run->waited >= d->patience);
}

void clseq_run_stop(clseq_run *run)
{
    if (run)
        run->stopped = true;
}

bool clseq_run_is_within_epoch(const clseq_run *run)
{
    return run && run->phase == CLSEQ__RUN_BEGUN && !run->saved && run->done.epoch_steps > 0 &&
           !clseq_signals_came();
}

/* What was learned since the last checkpoint. */
static clseq_status finish_part(clseq_run *run, const double *validation)
{
    if (run->done.steps > run->row_step)
        CLSEQ__RETURN_IF(write_row(run, "run finish", false));
    if (validation && !isfinite(*validation))
        return clseq__run_not_finite(run, "run finish", "validation loss", *validation);
    return judge_and_save(run, true, validation);
}

clseq_status clseq_run_finish(clseq_run *run, const double *validation)
{
    clseq_status status = check_phase("run finish", run);
    if (status == CLSEQ_OK && !run->saved)
        status = finish_part(run, validation);
    if (status != CLSEQ_OK)
        return status;
    clseq__run_end_line(run);
    clseq__metrics_close(run);
    run->phase = CLSEQ__RUN_FINISHED;
    if (!run->failure[0])
        return CLSEQ_OK;
    const bool told = run->desc.checkpoint && run->done.own_steps > 0;
    return clseq__error(CLSEQ_IO_ERROR, "run finish: %s%s%s", run->failure,
                        told ? "; the run itself is saved in " : "", told ? run->desc.checkpoint : "");
}

clseq_meter *clseq_run_meter(clseq_run *run)
{
    return run ? run->meter : NULL;
}

clseq_progress clseq_run_progress(const clseq_run *run)
{
    clseq_progress done = {0};
    if (!run)
        return done;
    done = run->done;
    if (run->phase == CLSEQ__RUN_BEGUN)
        done.seconds = run->seconds_before + clseq__seconds() - run->started;
    return done;
}
