/*
 * A small model and its run, for tests of runs: a recurrent layer with a state that is carried on, dropout that is drawn by
 * the step, and epochs of RUN_CASE_EPOCH steps on numbers that follow from the step of the epoch alone.
 *
 *     run_case c;
 *     run_case_begin(&c, &(clseq_run_desc){.checkpoint = "model", .epochs = 2});
 *     run_case_train(&c);
 *     run_case_end(&c);
 *
 * A call that fails fails the test. Tests run in an empty folder of their own.
 */
#ifndef CLSEQ_TESTS_SUPPORT_RUN_CASE_H
#define CLSEQ_TESTS_SUPPORT_RUN_CASE_H

#include <clseq/clseq.h>

enum { RUN_CASE_EPOCH = 7, RUN_CASE_TEXT = 1 << 14 };

typedef struct run_case {
    clseq_context *ctx; /* the test's */
    clseq_params *params;
    clseq_rnn *rnn;
    clseq_linear *out;
    clseq_optimizer *adam;
    clseq_state *carry;
    clseq_run *run;
    float spoiled;        /* is added to inputs: NaN makes losses that are not finite */
    const double *judged; /* what validations say, by the epoch; NULL: the model's own loss */
    double validation;
} run_case;

/* For the fixtures of a suite. */
void run_case_setup(void);
void run_case_teardown(void);

/* The model without a run, and with one that has begun. */
void run_case_make(run_case *c);
void run_case_begin(run_case *c, const clseq_run_desc *desc);

/* Creates the run and begins it, with the status of what fails. */
clseq_status run_case_try(run_case *c, const clseq_run_desc *desc);

/* A step of the model and of the run. */
clseq_status run_case_step(run_case *c);

/* The loss on other numbers, without dropout and from zero state. */
const double *run_case_validate(run_case *c);

/* Until the run is over, with ends of epochs, and finishes it. */
clseq_status run_case_try_train(run_case *c);
void run_case_train(run_case *c);

/* Destroys everything. */
void run_case_end(run_case *c);

/* A file as text, "" when it is not there; a static buffer of its own for each of the last four calls. */
const char *run_case_read(const char *path);

/* The rows of a CSV without the columns that the clock fills. */
const char *run_case_rows(const char *path);

#endif
