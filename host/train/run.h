/*
 * What the parts of a run share: run.c is its course, run_begin.c its making, run_files.c the paths,
 * run_options.c and run_meta.c what stands in its checkpoint, run_best.c the best one, run_metrics.c the CSV, run_lines.c what people read.
 */
#ifndef CLSEQ_TRAIN_RUN_H
#define CLSEQ_TRAIN_RUN_H

#include "core/error.h"
#include "train/arena.h"
#include "train/meter.h"
#include "train/safetensors.h"
#include <clseq/run.h>

typedef enum clseq__run_phase {
    CLSEQ__RUN_CREATED,
    CLSEQ__RUN_BEGUN,
    CLSEQ__RUN_FAILED, /* to begin, or by a loss that is not finite */
    CLSEQ__RUN_FINISHED
} clseq__run_phase;

struct clseq_run {
    clseq_run_desc desc; /* what it points to is in the arena */
    clseq__arena arena;
    char *best; /* path; NULL: none */
    clseq__run_phase phase;
    clseq_checkpoint contents;
    clseq_meter *meter;   /* of the losses since the last row */
    int64_t epoch_length; /* steps in an epoch, 0: not known */

    /* Kept in the checkpoint, the losses since the last row too. */
    clseq_progress done;
    int64_t row_step; /* of the last row of metrics that a run without a stop has too */
    int64_t waited;   /* epochs with a validation since the best one */
    float parts[CLSEQ__METER_PARTS];

    /* Of this process. */
    bool stopped, saved; /* asked to end; nothing is new since the last checkpoint */
    double started, seconds_before;
    double row_time, line_time; /* of the last row of metrics, and of the last line about progress */
    int64_t row_units, line_units, line_steps; /* since then */
    double *values;                            /* of columns; NaN: none for the next row */
    double *shown;                             /* of columns, the last ones */
    FILE *csv;
    bool on_terminal, on_bar; /* and the last thing there is a line that is rewritten in place */
    char failure
        [1024]; /* the sentence of what failed the run, or of the first write that failed and ends it */
    clseq_status status; /* of what failed the run */
};

/* ---- run.c ---- */

/* The run has failed with the last sentence, which all later calls give too. Returns `status`. */
clseq_status clseq__run_fail(clseq_run *run, clseq_status status);
clseq_status clseq__run_not_finite(clseq_run *run, const char *operation, const char *what, double value);

/* ---- run_files.c ---- */

/* Whether the files of the run can be written, and are different ones. */
clseq_status clseq__run_check_files(const clseq_run *run);

/* "run.safetensors" becomes "run.best.safetensors"; a name without a dot gets ".best" at its end. NULL: no memory. */
char *clseq__run_best_path(clseq__arena *arena, const char *path);

/* ---- run_options.c ---- */

/* Sets options to what stands in the checkpoint; refuses those that were given and contradict it. */
clseq_status clseq__run_restore_options(clseq_run *run);

/* The value of an option from a checkpoint's metadata. CLSEQ_NOT_FOUND, or CLSEQ_CORRUPT_FILE for what is none of its values. */
clseq_status clseq__run_read(const clseq__st_reader *reader, const clseq_option *option);

/* ---- run_meta.c ---- */

/* Reads how far the run had come, for one that is resumed. */
clseq_status clseq__run_restore_progress(clseq_run *run);

/* Whether two pairs of the checkpoint would have the same key. */
clseq_status clseq__run_check_meta(clseq_run *run);

clseq_status clseq__run_save(clseq_run *run, const char *path);

/* Whether the best checkpoint is there and is what this run wrote last. */
clseq_status clseq__run_best_is_own(clseq_run *run, bool *own);

/* ---- run_best.c ---- */

/* Whether a validation is the best, which is saved then. */
clseq_status clseq__run_judge(clseq_run *run, double validation, bool *better);

/* ---- run_metrics.c ---- */

clseq_status clseq__metrics_check(const clseq_run *run);
clseq_status clseq__metrics_open(clseq_run *run);

/* A row; `validation` NULL and `rate` 0 leave their columns empty. */
void clseq__metrics_row(clseq_run *run, int64_t epoch, const double *validation, double rate);
void clseq__metrics_close(clseq_run *run);

/* ---- run_lines.c ---- */

/* Into `out`, flushed. */
void clseq__run_say(clseq_run *run, const char *format, ...) CLSEQ__PRINTF(2, 3);

/* Where the run stands, with the loss since the last row and units a second since the last line. */
void clseq__run_show(clseq_run *run, double loss, double rate, double seconds_per_step);

/* Leaves a line that was rewritten in place where it is. */
void clseq__run_end_line(clseq_run *run);

/* How long from one such line to the next. */
double clseq__run_pause(const clseq_run *run);

/* About an epoch that is over; `within`: about a part of it. */
void clseq__run_show_epoch(clseq_run *run, int64_t epoch, bool within, const double *validation);

/* Remembers a write that failed, with the system's reason. */
void clseq__run_note(clseq_run *run, const char *kind, const char *name);

/* printf into a file, with a point in numbers; false when it cannot be written. */
bool clseq__run_print(FILE *file, const char *format, ...) CLSEQ__PRINTF(2, 3);

#endif
