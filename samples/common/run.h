/*
 * A training run: when it is over, what it tells (progress, metrics) and what it keeps (the last checkpoint and the
 * best one), the same for every model.
 *
 *     run_check_files(&r);                          // before anything else
 *     run_begin(&r, resume);                        // when the model is made
 *     while (!run_is_over(&r)) {
 *         if (clseq_stream_next(&stream, inputs, targets)) {
 *             train_step();                         // adds its loss to r.meter
 *             run_step(&r, stream.position);
 *         } else {
 *             run_end_epoch(&r, validate());
 *         }
 *     }
 *     run_end(&r, run_is_within_epoch(&r) ? validate() : 0);
 *
 * Losses are in nats a token. A validation loss of 0 means that there is none.
 */
#ifndef CLSEQ_SAMPLES_RUN_H
#define CLSEQ_SAMPLES_RUN_H

#include "common/output.h"
#include "common/setting.h"
#include <clseq/clseq.h>

enum { RUN_ABOUT = 4, MAX_EPOCHS = 1000000000 };

typedef struct run {
    /* Set by the program. */
    const char *checkpoint, *metrics; /* paths */
    const setting *options;           /* those with a resume rule stand in the checkpoint */
    size_t option_count;
    long long epochs; /* the run ends after them; negative: never */
    double minutes;   /* of this process */
    clseq_checkpoint contents;
    clseq_meta about[RUN_ABOUT]; /* what else stands in the checkpoint */
    size_t about_count;
    clseq_meter *meter; /* of training losses */
    long long windows, window_tokens;

    /* Kept in the checkpoint. */
    long long epoch, window; /* that are done */
    double loss;             /* of the latest report */
    double first_loss;       /* of the very first step */
    double best_loss;        /* the lowest validation loss, and after which step; step 0: there is none yet */
    long long best_step;
    double seconds; /* of training */

    char *best; /* path of the best checkpoint: that of the last with .best before its ending */
    double started, seconds_before, reported;
    long long steps_to_report;
    bool trained; /* at least one step in this process */
    output csv;
} run;

/* Whether the files of the run can be written, and are different ones; fails with a sentence. */
void run_check_files(run *r);

/* Loads the checkpoint, when the run is resumed, and starts the clock. */
void run_begin(run *r, bool resume);

/* The clock, the epochs, a signal, or an output that fails. */
bool run_is_over(const run *r);

/* After each step; `window` is the number of windows of this epoch that are done. */
void run_step(run *r, long long window);

/* Validation decides which checkpoint is the best; both are saved. */
void run_end_epoch(run *r, double validation);

/* Whether the run ended before its epoch did, and should be judged all the same: not after a signal. */
bool run_is_within_epoch(const run *r);
void run_end(run *r, double validation);

/* Puts the best parameters back, for use after training. */
void run_take_best(const run *r);

/* Tells what was written, closes it, standard output too, and returns the program's exit code. */
int run_conclude(run *r);

void run_free(run *r);

#endif
