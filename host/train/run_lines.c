/* What a run tells people: a bar on a terminal, plain lines elsewhere. */
#include "train/run.h"

#include "core/clock.h"
#include "core/locale.h"
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

enum { NAME_SIZE = 64 };

static bool print(FILE *file, const char *format, va_list arguments)
{
    const locale_t before = clseq__locale_enter();
    const bool fine = vfprintf(file, format, arguments) >= 0;
    clseq__locale_leave(before);
    return fine;
}

bool clseq__run_print(FILE *file, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const bool fine = print(file, format, arguments);
    va_end(arguments);
    return fine;
}

void clseq__run_note(clseq_run *run, const char *kind, const char *name)
{
    if (!run->failure[0])
        snprintf(run->failure, sizeof run->failure, "cannot write %s%s: %s", kind, name, strerror(errno));
}

static void note(clseq_run *run)
{
    clseq__run_note(run, "to ", run->desc.out == stdout ? "standard output" : "the run's stream");
}

static void add(clseq_run *run, const char *format, ...) CLSEQ__PRINTF(2, 3);

static void add(clseq_run *run, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (!print(run->desc.out, format, arguments))
        note(run);
    va_end(arguments);
}

/* Takes the bar away, if one is there. */
static void begin_line(clseq_run *run)
{
    if (run->on_bar)
        add(run, "\r\033[K");
    run->on_bar = false;
}

static void flush(clseq_run *run)
{
    if (fflush(run->desc.out) != 0)
        note(run);
}

void clseq__run_say(clseq_run *run, const char *format, ...)
{
    va_list arguments;
    if (!run->desc.out)
        return;
    begin_line(run);
    va_start(arguments, format);
    if (!print(run->desc.out, format, arguments))
        note(run);
    va_end(arguments);
    flush(run);
}

void clseq__run_end_line(clseq_run *run)
{
    if (!run->on_bar)
        return;
    add(run, "\n");
    run->on_bar = false;
    flush(run);
}

double clseq__run_pause(const clseq_run *run)
{
    return !run->desc.out ? INFINITY : run->on_terminal ? 0.25 : 5.0;
}

/* Seconds until the run is over, by what comes first; infinite where that cannot be known. */
static double time_left(const clseq_run *run, double seconds_per_step)
{
    const clseq_run_desc *d = &run->desc;
    const clseq_progress *done = &run->done;
    double left = INFINITY;
    if (d->minutes > 0)
        left = d->minutes * 60 - (clseq__seconds() - run->started);
    if (d->steps > 0)
        left = fmin(left, seconds_per_step * (double)(d->steps - done->steps));
    if (d->epochs > 0 && run->epoch_length > 0)
        left = fmin(left, seconds_per_step * ((double)(d->epochs - done->epochs) * (double)run->epoch_length -
                                              (double)done->epoch_steps));
    return fmax(0, left);
}

/* "bits_per_char" is called "bits/char"; other names stay. */
static const char *called(char out[NAME_SIZE], const char *name)
{
    static const char word[] = "_per_";
    const char *per = strstr(name, word);
    snprintf(out, NAME_SIZE, "%.*s%s%s", per ? (int)(per - name) : (int)strlen(name), name, per ? "/" : "",
             per ? per + sizeof word - 1 : "");
    return out;
}

/* " bits/char 1.551", on a terminal "  1.551 bits/char" */
static void add_figure(clseq_run *run, const char *name, const char *format, double value)
{
    add(run, run->on_terminal ? "  " : " %s ", name);
    add(run, format, value);
    add(run, run->on_terminal ? " %s" : "", name);
}

/* The columns that have a value. */
static void add_columns(clseq_run *run, double loss)
{
    char name[NAME_SIZE];
    for (size_t i = 0; i < run->desc.column_count; i++) {
        const clseq_run_column *column = &run->desc.columns[i];
        if (column->of_loss)
            add_figure(run, called(name, column->name), "%.3f", column->of_loss(loss));
        else if (!isnan(run->shown[i]))
            add_figure(run, called(name, column->name), "%.4g", run->shown[i]);
    }
}

static void add_bar(clseq_run *run, double part)
{
    static const char done[] = "########################", rest[] = "........................";
    const int width = sizeof done - 1, filled = (int)(width * fmin(part, 1));
    add(run, " [%.*s%.*s]", filled, done, width - filled, rest);
}

/* "epoch 2 window 899/1572", on a terminal "epoch 2 [###...]"; steps where the length of an epoch is not known. */
static void add_place(clseq_run *run)
{
    const bool epochs = run->epoch_length > 0;
    const long long step = epochs ? run->done.epoch_steps : run->done.steps,
                    all = epochs ? run->epoch_length : run->desc.steps;
    if (epochs)
        add(run, "epoch %lld", (long long)run->done.epochs + 1);
    if (run->on_terminal && all > 0)
        add_bar(run, (double)step / (double)all);
    else
        add(run, "%s%s %lld", epochs ? " " : "", epochs ? run->desc.step_name : "step", step);
    if (!run->on_terminal && all > 0)
        add(run, "/%lld", all);
}

void clseq__run_show(clseq_run *run, double loss, double rate, double seconds_per_step)
{
    const double left = time_left(run, seconds_per_step);
    char units[NAME_SIZE];
    if (!run->desc.out)
        return;
    snprintf(units, sizeof units, "%ss/s", run->desc.unit);
    add(run, "%s", run->on_terminal ? "\r" : "");
    add_place(run);
    add(run, " loss %.4f", loss);
    add_columns(run, loss);
    add_figure(run, units, rate < 100 ? "%.3g" : "%.0f", rate);
    if (isfinite(left) && run->on_terminal)
        add(run, "  %.0f:%02d left ", floor(left / 60), (int)fmod(left, 60));
    else if (isfinite(left))
        add(run, " left %.0fs", left);
    add(run, "%s", run->on_terminal ? "\033[K" : "\n");
    run->on_bar = run->on_terminal;
    flush(run);
}

void clseq__run_show_epoch(clseq_run *run, int64_t epoch, bool within, const double *validation)
{
    char name[NAME_SIZE];
    if (!run->desc.out)
        return;
    begin_line(run);
    add(run, "epoch %lld%s: loss %.4f", (long long)epoch, within ? ", a part of it" : "", run->done.loss);
    if (validation)
        add(run, ", validation %.4f", *validation);
    for (size_t i = 0; i < run->desc.column_count; i++) {
        const clseq_run_column *column = &run->desc.columns[i];
        if (column->of_loss && validation)
            add(run, " (%.3f %s)", column->of_loss(*validation), called(name, column->name));
        else if (!column->of_loss && !isnan(run->values[i]))
            add(run, ", %s %.4g", called(name, column->name), run->values[i]);
    }
    add(run, "\n");
    flush(run);
}
