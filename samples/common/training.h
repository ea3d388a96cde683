/*
 * What every program that trains does around its model: the options that all of them take, beside those of its own; a
 * run (clseq/run.h) made from them; and the end, with the exit code that a shell expects.
 *
 *     static setting table[] = {SETTING_WHOLE("hidden", &hidden, 1, 4096, STAYS, "N", "units")};
 *
 *     training = (training_options){TRAINING_DEFAULTS("model"), .lr = 1e-3, .clip = 5};
 *     clseq_run *run = training_open(argc, argv, &(training_program){.summary = "Trains a model."}, table, COUNT_OF(table));
 *     clseq_context *ctx = training_context();
 *     ... make the model with training.seed, an optimiser with training.lr ...
 *     training_begin(run, &(clseq_checkpoint){.params = params, .optimizer = adam}, steps_in_an_epoch, false);
 *     while (!clseq_run_is_over(run))
 *         ... clseq_run_step ... clseq_run_end_epoch ...
 *     check(clseq_run_finish(run, NULL));
 *     ... use the model ...
 *     return training_close(run, ctx);
 *
 * Everything here fails with a sentence and exit code 1.
 */
#ifndef CLSEQ_SAMPLES_TRAINING_H
#define CLSEQ_SAMPLES_TRAINING_H

#include "common/options.h"
#include "common/output.h"
#include <clseq/clseq.h>

/* Values of the common options. A program sets its defaults before anything else. */
typedef struct training_options {
    const char *device, *checkpoint, *metrics;
    bool resume, profile;
    int64_t epochs, patience; /* epochs < 0: none are given */
    double minutes;           /* < 0: none are given */
    double lr, clip;
    uint64_t seed;
} training_options;

/* What most programs begin with, for initialisers. */
#define TRAINING_DEFAULTS(name) \
    .checkpoint = name ".safetensors", .metrics = name ".csv", .epochs = -1, .minutes = -1, .seed = 1

extern training_options training;

typedef struct training_program {
    const char *summary;          /* for --help */
    double minutes;               /* to train where neither --epochs nor --minutes are given */
    const char *unit, *step_name; /* of the run */
    const clseq_run_column *columns;
    size_t column_count;
} training_program;

/*
 * The first thing that main does: watches signals, reads the command line, sends the library's log to stderr, and makes the
 * run. With --resume, options that were not given are then those of the checkpoint.
 */
clseq_run *training_open(int argc, char **argv, const training_program *program, setting *table,
                         size_t count);

/* A context by --device and --profile. */
clseq_context *training_context(void);

/* Begins the run. `draws`: training depends on --seed beyond its start, as with dropout, so that it must stay to go on. */
void training_begin(clseq_run *run, const clseq_checkpoint *what, int64_t epoch_steps, bool draws);

/* Whether to hurry: a signal came, or nobody reads what is said. */
bool training_is_interrupted(void);

/*
 * Prints the profile, tells what was written, closes standard output, destroys the run and the context, and returns the
 * exit code: that of a signal, or 1 when the loss did not fall.
 */
int training_close(clseq_run *run, clseq_context *ctx);

#endif
