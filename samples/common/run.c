#include "common/run.h"
#include "common/paths.h"
#include "common/progress.h"
#include "common/resume.h"
#include "common/signals.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PROGRESS_ROWS = 7 };

void run_check_files(run *r)
{
    r->best = path_with_word(r->checkpoint, "best");
    check_target("--checkpoint", r->checkpoint, false);
    check_target("--checkpoint", r->best, false);
    check_target("--metrics", r->metrics, true);
    if (same_file(r->metrics, r->checkpoint) || same_file(r->metrics, r->best))
        fail("--metrics %s: the checkpoint goes there, expected another file", r->metrics);
    if (same_file(r->checkpoint, r->best))
        fail("--checkpoint %s: it is the same file as %s, where the best goes", r->checkpoint, r->best);
}

/* ---- checkpoints ---- */

/* How far the run has come, as settings of its checkpoint. */
static void progress_settings(run *r, setting rows[PROGRESS_ROWS])
{
    const double most_steps = 9007199254740992.0; /* 2^53, which a double counts to */
    const setting all[PROGRESS_ROWS] = {
        {.name = "epoch", .kind = SETTING_WHOLE, .value = &r->epoch, .high = MAX_EPOCHS},
        {.name = "window", .kind = SETTING_WHOLE, .value = &r->window, .high = (double)r->windows},
        {.name = "loss", .kind = SETTING_REAL, .value = &r->loss, .high = 1e30},
        {.name = "first_loss", .kind = SETTING_REAL, .value = &r->first_loss, .high = 1e30},
        {.name = "best_loss", .kind = SETTING_REAL, .value = &r->best_loss, .high = 1e30},
        {.name = "best_step", .kind = SETTING_WHOLE, .value = &r->best_step, .high = most_steps},
        {.name = "seconds", .kind = SETTING_REAL, .value = &r->seconds, .high = 1e12}};
    for (int i = 0; i < PROGRESS_ROWS; i++) {
        rows[i] = all[i];
        rows[i].resume = RESUME_CHANGES;
    }
}

static void save(run *r, const char *path)
{
    clseq_meta meta[MAX_META];
    setting rows[PROGRESS_ROWS];
    size_t count = r->about_count;
    clseq_checkpoint all = r->contents;
    memcpy(meta, r->about, count * sizeof *meta);
    r->seconds = r->seconds_before + now() - r->started;
    progress_settings(r, rows);
    count = meta_write(r->options, r->option_count, meta, count);
    count = meta_write(rows, PROGRESS_ROWS, meta, count);
    all.meta = meta;
    all.meta_count = count;
    check(clseq_checkpoint_save(path, &all));
    meta_free(meta + r->about_count, count - r->about_count);
}

static void load(run *r)
{
    setting rows[PROGRESS_ROWS];
    progress_settings(r, rows);
    resume_settings(r->checkpoint, rows, PROGRESS_ROWS);
    check(clseq_checkpoint_load(r->checkpoint, &r->contents));
    r->seconds_before = r->seconds;
    say("resumed %s: epoch %lld, window %lld of %lld\n", r->checkpoint, r->epoch + 1, r->window, r->windows);
}

/* Whether the best checkpoint is what this run wrote there last. */
static bool best_is_ours(const run *r)
{
    char stored[SETTING_TEXT_SIZE], expected[SETTING_TEXT_SIZE];
    setting rows[PROGRESS_ROWS];
    run copy = *r;
    progress_settings(&copy, rows);
    for (int i = 0; i < PROGRESS_ROWS; i++) {
        if (strncmp(rows[i].name, "best_", 5) != 0)
            continue;
        setting_write(&rows[i], expected);
        if (clseq_checkpoint_meta(r->best, rows[i].name, stored, sizeof stored) != CLSEQ_OK ||
            strcmp(stored, expected) != 0)
            return false;
    }
    return true;
}

void run_take_best(const run *r)
{
    const clseq_checkpoint parameters = {.params = r->contents.params};
    if (r->best_step == 0 || r->best_step == clseq_optimizer_steps(r->contents.optimizer))
        return;
    if (best_is_ours(r) && clseq_checkpoint_load(r->best, &parameters) == CLSEQ_OK)
        say("back to step %lld, which had the lowest validation loss (%.4f)\n", r->best_step, r->best_loss);
    else
        say("%s is missing or of another run: the last step is used instead\n", r->best);
}

/* ---- reports ---- */

/* Waits for the device. A loss that is not finite ends the program. */
static void read_loss(run *r)
{
    if (clseq_meter_read(r->meter, &r->loss) != CLSEQ_OK)
        fail("the loss is no longer finite (%s); %s stays as it was", clseq_last_error(), r->checkpoint);
    if (r->first_loss == 0)
        r->first_loss = r->loss;
}

static void open_metrics(run *r, bool append)
{
    r->csv = output_open("--metrics", r->metrics, append);
    if (output_is_empty(&r->csv))
        output_print(&r->csv,
                     "step,epoch,window,seconds,loss,bits_per_char,validation_loss,chars_per_second\n");
}

/* One line; columns of `validation` and `rate` are empty when they are 0. */
static void write_metrics(run *r, long long epoch, double validation, double rate)
{
    char valid[32] = "", speed[32] = "";
    if (validation > 0)
        snprintf(valid, sizeof valid, "%.6f", validation);
    if (rate > 0)
        snprintf(speed, sizeof speed, "%.0f", rate);
    output_print(&r->csv, "%lld,%lld,%lld,%.3f,%.6f,%.6f,%s,%s\n",
                 (long long)clseq_optimizer_steps(r->contents.optimizer), epoch, r->window,
                 r->seconds_before + now() - r->started, r->loss, bits(r->loss), valid, speed);
}

/* Seconds until the run is over, by the clock or by the epochs, whichever comes first. */
static double time_left(const run *r, double seconds_per_step)
{
    double by_clock = r->minutes * 60 - (now() - r->started), by_epochs = INFINITY;
    if (r->epochs >= 0)
        by_epochs =
            seconds_per_step * ((double)(r->epochs - r->epoch) * (double)r->windows - (double)r->window);
    return fmax(0, fmin(by_clock, by_epochs));
}

static void report(run *r)
{
    const double seconds = now() - r->reported;
    const double rate = (double)(r->steps_to_report * r->window_tokens) / seconds;
    read_loss(r);
    check(clseq_meter_reset(r->meter));
    progress_show(&(progress){.epoch = r->epoch + 1,
                              .window = r->window,
                              .windows = r->windows,
                              .loss = r->loss,
                              .rate = rate,
                              .left = time_left(r, seconds / (double)r->steps_to_report)});
    write_metrics(r, r->epoch + 1, 0, rate);
    r->steps_to_report = 0;
    r->reported = now();
}

/* ---- the course of a run ---- */

void run_begin(run *r, bool resume)
{
    r->started = r->reported = now();
    if (resume)
        load(r);
    if (!run_is_over(r))
        open_metrics(r, resume);
}

bool run_is_over(const run *r)
{
    return signals_came() || output_failure() || now() - r->started >= r->minutes * 60 ||
           (r->epochs >= 0 && r->epoch >= r->epochs);
}

void run_step(run *r, long long window)
{
    r->window = window;
    r->steps_to_report++;
    if (!r->trained) {
        read_loss(r);
        signals_defer(); /* from here on there is something to save */
        r->trained = true;
    }
    if (now() - r->reported >= progress_pause() || window == r->windows || run_is_over(r))
        report(r);
}

/* `where`: the epoch, for people. */
static void judge(run *r, double validation, long long epoch, const char *where)
{
    if (!(validation > 0))
        return;
    if (r->best_step == 0 || validation < r->best_loss) {
        r->best_loss = validation;
        r->best_step = clseq_optimizer_steps(r->contents.optimizer);
        save(r, r->best);
    }
    progress_clear();
    say("epoch %lld%s: loss %.4f, validation %.4f (%.3f bits/char)\n", epoch, where, r->loss, validation,
        bits(validation));
    write_metrics(r, epoch, validation, 0);
}

void run_end_epoch(run *r, double validation)
{
    r->epoch++;
    r->window = 0;
    judge(r, validation, r->epoch, "");
    save(r, r->checkpoint);
    r->reported = now();
}

bool run_is_within_epoch(const run *r)
{
    return r->trained && r->window > 0 && !signals_came();
}

void run_end(run *r, double validation)
{
    judge(r, validation, r->epoch + 1, ", a part of it");
    progress_keep();
    if (r->trained)
        save(r, r->checkpoint);
}

int run_conclude(run *r)
{
    /* One step has one loss only, which cannot fall. */
    const bool fell = r->loss < r->first_loss || clseq_optimizer_steps(r->contents.optimizer) <= 1;
    if (r->csv.file)
        output_close(&r->csv);
    if (r->trained)
        say("wrote %s and %s\n", r->checkpoint, r->metrics);
    if (r->trained && r->best_step > 0)
        say("the best of it, with a validation loss of %.4f at step %lld, is in %s\n", r->best_loss,
            r->best_step, r->best);
    say_no_more();
    if (output_failure())
        fail("%s%s%s", output_failure(), r->trained ? "; the run itself is saved in " : "",
             r->trained ? r->checkpoint : "");
    if (signals_came())
        return signals_exit_code();
    if (r->trained && !fell)
        fail("the loss did not fall (%.4f at first, %.4f at last)", r->first_loss, r->loss);
    return EXIT_SUCCESS;
}

void run_free(run *r)
{
    free(r->best);
}
