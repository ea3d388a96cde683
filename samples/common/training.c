#include "common/training.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_EPOCHS = 1000000000 };

training_options training;
static char minutes_help[100];

static const setting common_settings[] = {
    SETTING_TEXT("device", &training.device, PASSES, "SEL",
                 "OpenCL device, platform:device (see the sample `devices`)"),
    SETTING_SEED("seed", &training.seed, CHANGES, "N", "of initial weights and everything that is drawn"),
    SETTING_WHOLE("epochs", &training.epochs, 0, MAX_EPOCHS, PASSES, "N",
                  "times through the data (default: as --minutes allows)"),
    SETTING_REAL("minutes", &training.minutes, 0, 1e6, PASSES, "M", minutes_help),
    SETTING_WHOLE("patience", &training.patience, 0, MAX_EPOCHS, PASSES, "N",
                  "end after N epochs without a better validation; 0: never"),
    SETTING_REAL("lr", &training.lr, 1e-9, 10, CHANGES, "R", "learning rate"),
    SETTING_REAL("clip", &training.clip, 1e-6, 1e9, CHANGES, "NORM", "clip gradients to this global norm"),
    SETTING_TEXT(
        "checkpoint", &training.checkpoint, PASSES, "FILE",
        "written each epoch and on Ctrl-C; the best so far goes to FILE with .best before its ending"),
    SETTING_TEXT("metrics", &training.metrics, PASSES, "FILE", "losses and rates as CSV"),
    SETTING_FLAG("resume", &training.resume, PASSES, "go on from the checkpoint, with its options"),
    SETTING_FLAG("profile", &training.profile, PASSES, "print the device time of each kernel at the end"),
};

static clseq_run *make_run(const training_program *program, const setting *all, size_t count)
{
    clseq_run *run = NULL;
    clseq_option options[MAX_OPTIONS];
    for (size_t i = 0; i < count; i++)
        options[i] = all[i].option;
    const bool open = training.minutes < 0 && training.epochs < 0;
    const clseq_run_desc desc = {.checkpoint = training.checkpoint,
                                 .metrics = training.metrics,
                                 .resume = training.resume,
                                 .epochs = training.epochs > 0 ? training.epochs : 0,
                                 .minutes = open                   ? program->minutes
                                            : training.minutes > 0 ? training.minutes
                                                                   : 0,
                                 .patience = training.patience,
                                 .unit = program->unit,
                                 .step_name = program->step_name,
                                 .columns = program->columns,
                                 .column_count = program->column_count,
                                 .options = options,
                                 .option_count = count,
                                 .out = stdout};
    check(clseq_run_create(&desc, &run));
    if (training.epochs == 0 || training.minutes == 0)
        clseq_run_stop(run); /* what was learned is used */
    return run;
}

clseq_run *training_open(int argc, char **argv, const training_program *program, setting *table, size_t count)
{
    static char farewell[300];
    setting all[MAX_OPTIONS];
    program_begin(argv[0]);
    snprintf(farewell, sizeof farewell, "\n%s: interrupted before the first step\n", program_name());
    check(clseq_signals_watch(farewell));
    if (count + COUNT_OF(common_settings) > MAX_OPTIONS)
        fail("more than %d options", MAX_OPTIONS);
    snprintf(minutes_help, sizeof minutes_help, "train so long (%g, or without end when --epochs is given)",
             program->minutes);
    memcpy(all, table, count * sizeof *table);
    memcpy(all + count, common_settings, sizeof common_settings);
    count += COUNT_OF(common_settings);
    parse_options(argc, argv, program->summary, all, count);
    log_to_stderr();
    return make_run(program, all, count);
}

clseq_context *training_context(void)
{
    clseq_context *ctx = NULL;
    check(clseq_context_create(&(clseq_context_desc){.device = training.device, .profile = training.profile},
                               &ctx));
    return ctx;
}

/* What training draws depends on the seed; a model that is only used may draw with any. */
static void check_seed(const clseq_run *run)
{
    char stored[32];
    check(clseq_checkpoint_meta(training.checkpoint, "seed", stored, sizeof stored));
    if (!clseq_run_is_over(run) && strtoull(stored, NULL, 10) != training.seed)
        fail("--seed %llu: what the run in %s draws, as dropout does, goes on with %s; another one is for a "
             "model "
             "that does not learn, with --epochs 0",
             (unsigned long long)training.seed, training.checkpoint, stored);
}

void training_begin(clseq_run *run, const clseq_checkpoint *what, int64_t epoch_steps, bool draws)
{
    check(clseq_run_begin(run, what, epoch_steps));
    if (training.resume && draws)
        check_seed(run);
}

bool training_is_interrupted(void)
{
    return clseq_signals_came() || output_failure();
}

static void say_profile(clseq_context *ctx)
{
    char profile[4096];
    if (training.profile && clseq_context_profile_text(ctx, profile, sizeof profile) == CLSEQ_OK)
        say("\n%s", profile);
}

static void say_files(const clseq_run *run, const clseq_progress *done)
{
    if (done->own_steps > 0)
        say("wrote %s and %s\n", training.checkpoint, training.metrics);
    if (done->own_steps > 0 && done->best_step > 0)
        say("the best of it, with a validation loss of %.4f at step %lld, is in %s\n", done->best_loss,
            (long long)done->best_step, clseq_run_best_path(run));
}

int training_close(clseq_run *run, clseq_context *ctx)
{
    const clseq_progress done = clseq_run_progress(run);
    say_profile(ctx);
    say_files(run, &done);
    say_no_more();
    clseq_run_destroy(run);
    clseq_context_destroy(ctx);
    if (output_failure())
        fail("%s%s%s", output_failure(), done.own_steps > 0 ? "; the run itself is saved in " : "",
             done.own_steps > 0 ? training.checkpoint : "");
    if (clseq_signals_came())
        return 128 + clseq_signals_came();
    if (done.own_steps > 0 && done.steps > 1 && !(done.loss < done.first_loss)) /* one loss cannot fall */
        fail("the loss did not fall (%.4f at first, %.4f at last)", done.first_loss, done.loss);
    return EXIT_SUCCESS;
}
