/*
 * A training run: when it is over, what it tells (lines, a table of metrics), what it keeps (the last checkpoint and the
 * best one), and how it goes on when it was stopped, the same for every model.
 *
 *     clseq_context *ctx = NULL;
 *     clseq_params *params = NULL;
 *     clseq_linear *out = NULL;
 *     clseq_optimizer *sgd = NULL;
 *     clseq_run *run = NULL;
 *     int64_t features = 3;
 *     const float x[6] = {1, 2, 3, 4, 5, 6};
 *     clseq_option options[] = {
 *         {.name = "features", .kind = CLSEQ_OPTION_WHOLE, .value = &features, .low = 1, .high = 100}};
 *     clseq_run_desc desc = {.checkpoint = "model.safetensors", .metrics = "model.csv", .epochs = 2, .unit = "row",
 *                            .options = options, .option_count = 1, .out = stdout};
 *     clseq_run_create(&desc, &run);
 *     clseq_context_create(NULL, &ctx);
 *     clseq_params_create(ctx, 1, &params);
 *     clseq_linear_new(params, "out", features, 1, true, &out);
 *     clseq_optimizer_desc rule = clseq_optimizer_desc_default(CLSEQ_OPTIMIZER_SGD, 1e-3f);
 *     clseq_optimizer_create(params, &rule, &sgd);
 *     clseq_run_begin(run, &(clseq_checkpoint){.params = params, .optimizer = sgd}, 5);
 *     while (!clseq_run_is_over(run)) {
 *         if (clseq_run_progress(run).epoch_steps == 5) {
 *             clseq_run_end_epoch(run, NULL);
 *             continue;
 *         }
 *         clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
 *         clseq_var *y = clseq_affine(g, out, clseq_input_f32(g, x, 2, (int64_t[]){2, features}));
 *         clseq_var *loss = clseq_mean(g, clseq_mul(g, y, y));
 *         clseq_meter_add(g, clseq_run_meter(run), loss, 1.0f);
 *         clseq_backward(g, loss);
 *         clseq_graph_end(g);
 *         clseq_optimizer_step(sgd);
 *         clseq_run_step(run, 2);
 *     }
 *     if (clseq_run_finish(run, NULL) != CLSEQ_OK)
 *         fprintf(stderr, "%s\n", clseq_last_error());
 *     clseq_run_destroy(run);
 *     clseq_optimizer_destroy(sgd);
 *     clseq_params_destroy(params);
 *     clseq_context_destroy(ctx);
 *
 * The order of calls is create, begin, any number of steps and ends of epochs, finish, destroy; what comes out of turn is
 * CLSEQ_INVALID_STATE. Losses are means over what a step reads, in nats where they are cross-entropies; the lower the
 * better. The run counts steps as the optimiser does: one clseq_run_step for each clseq_optimizer_step.
 *
 * Resuming. With `resume`, create sets the options to what stands in the checkpoint, so that the model can be made from
 * them, and begin loads the rest. From there the run goes on as if it had never stopped, bit for bit, if the program goes
 * on in its data after `epoch_steps` steps of the epoch and draws by the number of the step. Training that is stopped
 * within an epoch keeps the losses of the row of metrics that it was in. A validation of an epoch's part, which
 * clseq_run_finish may be given, counts for the best checkpoint; it is the one thing that a run without the stop does not have.
 *
 * Metrics are a CSV with the columns step, epoch, batch (or step_name: steps of the epoch), seconds, loss, those of the
 * program, validation_loss, and UNITs_per_second. There is a row every `row_steps` steps and at the end of an epoch, where
 * fewer are left, with the mean loss since the row before; one for each validation; and one for what was left when the run was stopped. Which
 * rows there are follows from the steps, never from the clock. Each is written whole and flushed. A run that is resumed
 * continues the file: rows of steps that the checkpoint does not know, and the row of the stop, make room for those to come.
 *
 * A loss or a validation that is NaN or infinite is CLSEQ_NOT_FINITE: the run is over, and its checkpoints stay as they
 * were. A write to `out` or to the metrics that fails (a full disk, a reader that has left) also ends the run, but not before
 * clseq_run_finish has saved the checkpoint; that then returns CLSEQ_IO_ERROR.
 */
#ifndef CLSEQ_RUN_H
#define CLSEQ_RUN_H

#include <clseq/checkpoint.h>
#include <clseq/graph.h>
#include <clseq/option.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct clseq_run clseq_run;

/* A column of the metrics. In lines, "a_per_b" is called "a/b". */
typedef struct clseq_run_column {
    /* Letters, digits, '_', '-' and '.'. */
    const char *name;
    /* NULL: clseq_run_set_column gives the values. Otherwise the column is this function of the loss, as bits or perplexity. */
    double (*of_loss)(double loss);
} clseq_run_column;

/* All zero is a run without end, files and words. Strings and arrays are copied. */
typedef struct clseq_run_desc {
    /* Where the last checkpoint goes; the best goes to the same name with ".best" before its ending. NULL: no checkpoints. */
    const char *checkpoint;
    /* NULL: no file of metrics. */
    const char *metrics;
    /* Go on from `checkpoint`. */
    bool resume;
    /* The run ends after so many epochs or steps in all, or minutes of this process; 0: not by this. */
    int64_t epochs;
    int64_t steps;
    double minutes;
    /* The run ends after so many epochs without a validation that is better than the best; 0: never. */
    int64_t patience;
    /* Steps from one row of metrics to the next within an epoch; 0: 100. */
    int64_t row_steps;
    /* What clseq_run_step counts, without an s: "token", "char"; NULL: "step". */
    const char *unit;
    /* What a step of an epoch is called, as "window"; NULL: "batch". */
    const char *step_name;
    const clseq_run_column *columns;
    size_t column_count;
    /* Those that stay or change stand in the checkpoint. Their values must live until clseq_run_finish. */
    const clseq_option *options;
    size_t option_count;
    /*
     * Where lines go, NULL: nowhere. One about each epoch, about what was resumed, and about progress: rewritten in place
     * four times a second on a terminal, a new one every five seconds elsewhere.
     */
    FILE *out;
} clseq_run_desc;

/*
 * Makes a run: checks that its files can be written and are different ones, and, to resume, reads the options. A text that
 * is restored is the run's. Errors: CLSEQ_INVALID_ARGUMENT (also for an option that was given and must stay as it is in
 * the checkpoint), CLSEQ_IO_ERROR, CLSEQ_CORRUPT_FILE, CLSEQ_NOT_FOUND for an option that the checkpoint does not have.
 */
CLSEQ_API clseq_status clseq_run_create(const clseq_run_desc *desc, clseq_run **out);

/* Gives the handle up, without saving. NULL is allowed. */
CLSEQ_API void clseq_run_destroy(clseq_run *run);

/*
 * Says what is trained and starts the clock. `what` must have an optimiser; the handles in it must live until
 * clseq_run_finish, its pairs are copied. `epoch_steps`: steps in an epoch, as far as they are known, else 0. To resume,
 * loads the checkpoint. Errors: those of clseq_checkpoint_load, and CLSEQ_IO_ERROR for metrics that cannot be opened.
 */
CLSEQ_API clseq_status clseq_run_begin(clseq_run *run, const clseq_checkpoint *what, int64_t epoch_steps);

/* Where each step adds its loss (clseq_meter_add); the run's own, NULL before clseq_run_begin. */
CLSEQ_API clseq_meter *clseq_run_meter(clseq_run *run);

/* The value of a column in the next row that is written, and in lines. Errors: CLSEQ_NOT_FOUND for a name that is no column. */
CLSEQ_API clseq_status clseq_run_set_column(clseq_run *run, const char *name, double value);

/*
 * After each step of the optimiser; `units` is how many it has read. Waits for the device where the loss is to be
 * told, not otherwise. Errors: CLSEQ_NOT_FINITE; CLSEQ_INVALID_STATE where no loss was added.
 */
CLSEQ_API clseq_status clseq_run_step(clseq_run *run, int64_t units);

/*
 * After the last step of an epoch. `validation`: the loss that decides which checkpoint is the best, NULL where there is
 * none. Saves the last checkpoint, and the best where it is one. Errors: CLSEQ_NOT_FINITE; those of clseq_checkpoint_save,
 * after which the run may go on and save later; CLSEQ_INVALID_STATE before the first step of the epoch.
 */
CLSEQ_API clseq_status clseq_run_end_epoch(clseq_run *run, const double *validation);

/* Whether to stop: by the budget, by patience, by clseq_run_stop, by a signal, or because something failed. */
CLSEQ_API bool clseq_run_is_over(const clseq_run *run);

/* The run is over: the program has what it wanted. */
CLSEQ_API void clseq_run_stop(clseq_run *run);

/* Whether a step was taken since the last end of an epoch, and no signal asks to hurry: what was learned may be validated. */
CLSEQ_API bool clseq_run_is_within_epoch(const clseq_run *run);

/* After the last step: judges `validation` (NULL: none) if the run ended within an epoch, saves, and closes the metrics. */
CLSEQ_API clseq_status clseq_run_finish(clseq_run *run, const double *validation);

/*
 * Puts the parameters of the best checkpoint back, for use after training, and says so in `out`. Leaves them as they are
 * where none is better than the last step; and where the best is gone or another run's, which is told as well.
 */
CLSEQ_API clseq_status clseq_run_load_best(clseq_run *run);

/* How far a run has come. */
typedef struct clseq_progress {
    /* In all, over every process that went on with the run. */
    int64_t steps;
    int64_t epochs;
    double seconds;
    /* Of the epoch that is not over yet. */
    int64_t epoch_steps;
    /* Of this process. */
    int64_t own_steps;
    /* Of the very first step, and the mean of the last row of metrics. */
    double first_loss, loss;
    /* The lowest validation, and after which step it was; step 0: there is none yet. */
    double best_loss;
    int64_t best_step;
} clseq_progress;

/* All zero for NULL and before clseq_run_begin. */
CLSEQ_API clseq_progress clseq_run_progress(const clseq_run *run);

/* Where the best checkpoint goes; NULL where none is kept. */
CLSEQ_API const char *clseq_run_best_path(const clseq_run *run);

/* Whether `path` is one of the files that the run writes, under whatever name. To be asked about files that must stay. */
CLSEQ_API bool clseq_run_writes(const clseq_run *run, const char *path);

/*
 * Ctrl-C and its like, for programs that have something to save: the first signal asks every run of the process to come
 * to an end, a second one ends the process at once.
 *
 * To be called first of all in main, before there are threads: it blocks SIGINT, SIGTERM and, unless it is ignored as
 * under nohup, SIGHUP in the calling thread, and so in all that it makes from then on; a thread of its own takes them. It
 * ignores SIGPIPE, so that a reader who leaves is a write that fails. All of this lasts as long as the process. An OpenCL
 * implementation that compiles would not survive these signals otherwise: LLVM has handlers of its own, which delete the files
 * that it is writing, and a Ctrl-C, which a terminal sends to all processes of the group, kills the linker that it
 * waits for. Either one looks like a program that does not compile.
 *
 * Until clseq_signals_defer there is nothing to save, and the first signal ends the process too, after `farewell` was
 * written to stderr (NULL: nothing; a text that stays). A run defers when its first step is done. Errors: CLSEQ_INVALID_STATE for a second call,
 * CLSEQ_OUT_OF_HOST_MEMORY where no thread can be made.
 */
CLSEQ_API clseq_status clseq_signals_watch(const char *farewell);
CLSEQ_API void clseq_signals_defer(void);

/* The number of the signal that came after clseq_signals_defer; 0: none. A shell expects the exit code 128 + that. */
CLSEQ_API int clseq_signals_came(void);

#ifdef __cplusplus
}
#endif
#endif
