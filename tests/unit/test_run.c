/* The course of a run: when it is over, what it tells, and calls out of turn. */
#include "support/comma.h"
#include "support/graph.h"
#include "support/run_case.h"
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(run, .init = run_case_setup, .fini = run_case_teardown);

/* ---- when it is over ---- */

Test(run, epochs_steps_and_the_program_end_it)
{
    static const struct {
        clseq_run_desc desc;
        int64_t steps, epochs;
    } cases[] = {{{.epochs = 2}, 2 * RUN_CASE_EPOCH, 2},
                 {{.steps = 3}, 3, 0},
                 {{.steps = RUN_CASE_EPOCH + 1, .epochs = 4}, RUN_CASE_EPOCH + 1, 1},
                 {{.steps = 100, .epochs = 1, .minutes = 100}, RUN_CASE_EPOCH, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        run_case c;
        run_case_begin(&c, &cases[i].desc);
        run_case_train(&c);
        const clseq_progress done = clseq_run_progress(c.run);
        cr_expect(done.steps == cases[i].steps && done.own_steps == done.steps &&
                      done.epochs == cases[i].epochs,
                  "case %zu: %d steps, %d epochs", i, (int)done.steps, (int)done.epochs);
        cr_expect(clseq_run_is_over(c.run));
        run_case_end(&c);
    }
}

Test(run, the_clock_ends_it)
{
    run_case c;
    run_case_begin(&c, &(clseq_run_desc){.minutes = 1e-9});
    while (clseq_run_progress(c.run).seconds < 1e-7)
        continue;
    cr_assert(clseq_run_is_over(c.run));
    run_case_end(&c);
}

Test(run, a_program_that_is_content_stops_it)
{
    run_case c;
    run_case_begin(&c, &(clseq_run_desc){.epochs = 9});
    EXPECT_OK(run_case_step(&c));
    cr_assert_not(clseq_run_is_over(c.run));
    clseq_run_stop(c.run);
    cr_assert(clseq_run_is_over(c.run));
    cr_assert(clseq_run_is_within_epoch(c.run));
    EXPECT_OK(clseq_run_finish(c.run, NULL));
    cr_assert_not(clseq_run_is_within_epoch(c.run));
    run_case_end(&c);
}

/* Epochs 2 and 5 are the best so far; of those after, as many as the patience allows. */
Test(run, patience_counts_epochs_without_a_better_validation)
{
    static const double judged[] = {5, 4, 4, 4.5, 3, 3, 3.5, 3.1, 2, 1};
    static const struct {
        int64_t patience, epochs, best;
    } cases[] = {{1, 3, 2}, {2, 4, 2}, {3, 8, 5}, {0, 10, 10}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        run_case c;
        run_case_begin(&c, &(clseq_run_desc){.epochs = 10, .patience = cases[i].patience});
        c.judged = judged;
        run_case_train(&c);
        const clseq_progress done = clseq_run_progress(c.run);
        cr_expect_eq(done.epochs, cases[i].epochs, "patience %d: %d epochs", (int)cases[i].patience,
                     (int)done.epochs);
        cr_expect_eq(done.best_step, cases[i].best * RUN_CASE_EPOCH);
        cr_expect_eq(done.best_loss, judged[cases[i].best - 1]);
        run_case_end(&c);
    }
}

Test(run, epochs_without_a_validation_try_no_patience)
{
    run_case c;
    run_case_begin(&c, &(clseq_run_desc){.epochs = 4, .patience = 1});
    while (!clseq_run_is_over(c.run)) {
        EXPECT_OK(run_case_step(&c));
        EXPECT_OK(clseq_run_end_epoch(c.run, NULL));
    }
    cr_assert_eq(clseq_run_progress(c.run).epochs, 4);
    cr_assert_eq(clseq_run_progress(c.run).best_step, 0);
    run_case_end(&c);
}

/* ---- metrics ---- */

static double half(double loss)
{
    return loss / 2;
}

static const clseq_run_column columns[] = {{"half_per_unit", half}, {"rate", NULL}};

Test(run, rows_follow_from_the_steps)
{
    static const double judged[] = {0.5, 0.25};
    char want[4096] = "step,epoch,window,loss,half_per_unit,rate,validation_loss\n";
    double mean[3] = {0};
    run_case c;
    run_case_begin(&c, &(clseq_run_desc){.metrics = "m.csv",
                                         .steps = RUN_CASE_EPOCH + 1,
                                         .row_steps = 3,
                                         .unit = "unit",
                                         .step_name = "window",
                                         .columns = columns,
                                         .column_count = 2});
    c.judged = judged;
    for (int step = 1; step <= RUN_CASE_EPOCH + 1; step++) {
        if (step == 2)
            EXPECT_OK(clseq_run_set_column(c.run, "rate", 0.125));
        EXPECT_OK(run_case_step(&c));
        if (step == 3 || step >= RUN_CASE_EPOCH)
            mean[step / 3 < 2 ? 0 : step - RUN_CASE_EPOCH + 1] = clseq_run_progress(c.run).loss;
        if (step != RUN_CASE_EPOCH)
            continue;
        EXPECT_OK(clseq_run_set_column(c.run, "rate", 1e-5));
        EXPECT_OK(clseq_run_end_epoch(c.run, &judged[0]));
    }
    EXPECT_OK(clseq_run_finish(c.run, &judged[1]));
    mean[2] = clseq_run_progress(c.run).loss;
    char *at = want + strlen(want);
    at += sprintf(at, "3,1,3,%.6f,%.6f,0.125,\n", mean[0], mean[0] / 2);
    at += sprintf(at, "7,1,7,%.6f,%.6f,,\n", mean[1], mean[1] / 2); /* the 7th is left over: no row at 6 */
    at += sprintf(at, "7,1,0,%.6f,%.6f,1e-05,0.500000\n", mean[1], mean[1] / 2);
    at += sprintf(at, "8,2,1,%.6f,%.6f,,\n", mean[2], mean[2] / 2);
    sprintf(at, "8,2,1,%.6f,%.6f,,0.250000\n", mean[2], mean[2] / 2);
    cr_assert_str_eq(run_case_rows("m.csv"), want);
    const char *text = run_case_read("m.csv");
    cr_assert(
        strstr(text, "step,epoch,window,seconds,loss,half_per_unit,rate,validation_loss,units_per_second\n"),
        "%s", text);
    run_case_end(&c);
}

/* A row is the mean of its own steps. */
Test(run, the_loss_of_a_row_is_a_mean)
{
    run_case c, d;
    double sum = 0;
    run_case_begin(&c, &(clseq_run_desc){.row_steps = 1, .steps = 4});
    run_case_begin(&d, &(clseq_run_desc){.row_steps = 3, .steps = 4});
    for (int i = 0; i < 3; i++) {
        EXPECT_OK(run_case_step(&c));
        EXPECT_OK(run_case_step(&d));
        sum += clseq_run_progress(c.run).loss;
        if (i == 0)
            cr_assert_eq(clseq_run_progress(c.run).loss, clseq_run_progress(d.run).first_loss);
    }
    cr_assert_lt(fabs(clseq_run_progress(d.run).loss - sum / 3), 1e-6);
    cr_assert_neq(clseq_run_progress(d.run).loss, clseq_run_progress(d.run).first_loss);
    run_case_end(&c);
    run_case_end(&d);
}

Test(run, a_new_run_begins_a_new_file)
{
    for (int i = 0; i < 2; i++) {
        run_case c;
        run_case_begin(&c, &(clseq_run_desc){.metrics = "m.csv", .epochs = 1});
        run_case_train(&c);
        run_case_end(&c);
    }
    const char *rows = run_case_rows("m.csv");
    cr_assert(strstr(rows, "\n7,1,7,") && !strstr(strstr(rows, "\n7,1,7,") + 1, "\n7,1,7,"), "%s", rows);
}

/* ---- lines ---- */

static char *told;
static size_t told_size;

static FILE *listen(void)
{
    FILE *out = open_memstream(&told, &told_size);
    cr_assert_not_null(out);
    return out;
}

Test(run, lines_tell_of_progress_and_epochs)
{
    static const double judged[] = {0.5, 0.75};
    run_case c;
    FILE *out = listen();
    run_case_begin(
        &c,
        &(clseq_run_desc){
            .epochs = 2, .patience = 1, .unit = "row", .columns = columns, .column_count = 2, .out = out});
    c.judged = judged;
    EXPECT_OK(clseq_run_set_column(c.run, "rate", 0.5));
    run_case_train(&c);
    fclose(out);
    static const char *const parts[] = {"epoch 1 batch 7/7 loss ",
                                        " half/unit ",
                                        " rate 0.5 rows/s ",
                                        " left ",
                                        "s\nepoch 1: loss ",
                                        ", validation 0.5000 (0.250 half/unit)\n",
                                        "epoch 2 batch 7/7 loss ",
                                        ", validation 0.7500 (0.375 half/unit)\n",
                                        "no better validation since epoch 1: the run ends\n"};
    const char *at = told;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        cr_assert(at = strstr(at, parts[i]), "\"%s\" does not follow in: %s", parts[i], told);
    }
    cr_assert_not(strpbrk(told, "\r\033"), "%s", told);
    run_case_end(&c);
    free(told);
}

Test(run, without_a_length_of_epochs_lines_tell_of_steps)
{
    run_case c;
    FILE *out = listen();
    run_case_make(&c);
    EXPECT_OK(clseq_run_create(&(clseq_run_desc){.steps = 2, .out = out}, &c.run));
    EXPECT_OK(clseq_run_begin(c.run, &(clseq_checkpoint){.params = c.params, .optimizer = c.adam}, 0));
    run_case_train(&c);
    fclose(out);
    cr_assert(strstr(told, "step 2/2 loss "), "%s", told);
    run_case_end(&c);
    free(told);
}

Test(run, without_a_stream_nothing_is_told)
{
    run_case c;
    run_case_begin(&c, &(clseq_run_desc){.epochs = 1});
    run_case_train(&c);
    run_case_end(&c);
}

Test(run, files_and_lines_have_points_in_every_locale)
{
    run_case c;
    FILE *out = listen();
    if (!comma_locale())
        cr_skip("there is no locale with a comma");
    run_case_begin(
        &c, &(clseq_run_desc){.checkpoint = "x", .metrics = "m.csv", .steps = 3, .row_steps = 2, .out = out});
    run_case_train(&c);
    run_case_end(&c);
    run_case_begin(
        &c,
        &(clseq_run_desc){
            .checkpoint = "x", .metrics = "m.csv", .epochs = 1, .row_steps = 2, .resume = true, .out = out});
    run_case_train(&c);
    run_case_end(&c);
    fclose(out);
    cr_assert_not(strchr(told, ',') && strstr(told, "loss 0,"), "%s", told);
    const char *rows = run_case_read("m.csv");
    int commas = 0;
    for (const char *p = rows; *p; p++)
        commas += *p == ',';
    cr_assert_eq(commas % 6, 0, "%s", rows);
    free(told);
}

/* ---- calls that are refused ---- */

Test(run, calls_out_of_turn_are_refused)
{
    run_case c;
    const clseq_checkpoint what = {0};
    const double one = 1;
    run_case_make(&c);
    EXPECT_OK(clseq_run_create(&(clseq_run_desc){.epochs = 1}, &c.run));
    cr_assert(clseq_run_is_over(c.run));
    cr_assert_null(clseq_run_meter(c.run));
    EXPECT_ERROR(clseq_run_step(c.run, 1), CLSEQ_INVALID_STATE, "run step: the run has not begun");
    EXPECT_ERROR(clseq_run_end_epoch(c.run, &one), CLSEQ_INVALID_STATE,
                 "run end epoch: the run has not begun");
    EXPECT_ERROR(clseq_run_finish(c.run, NULL), CLSEQ_INVALID_STATE, "run finish: the run has not begun");
    EXPECT_ERROR(clseq_run_load_best(c.run), CLSEQ_INVALID_STATE, "not begun");
    EXPECT_ERROR(clseq_run_begin(c.run, NULL, 0), CLSEQ_INVALID_ARGUMENT, "what is NULL");
    EXPECT_OK(
        clseq_run_begin(c.run, &(clseq_checkpoint){.params = c.params, .optimizer = c.adam}, RUN_CASE_EPOCH));
    EXPECT_ERROR(clseq_run_begin(c.run, &what, 0), CLSEQ_INVALID_STATE,
                 "run begin: the run has begun already");
    run_case_train(&c);
    EXPECT_ERROR(clseq_run_step(c.run, 1), CLSEQ_INVALID_STATE, "run step: the run is finished");
    EXPECT_ERROR(clseq_run_end_epoch(c.run, NULL), CLSEQ_INVALID_STATE, "is finished");
    EXPECT_ERROR(clseq_run_finish(c.run, NULL), CLSEQ_INVALID_STATE, "is finished");
    EXPECT_OK(clseq_run_load_best(c.run));
    run_case_end(&c);
}

Test(run, an_epoch_without_a_step_is_refused)
{
    run_case c;
    run_case_begin(&c, &(clseq_run_desc){.epochs = 2});
    EXPECT_ERROR(clseq_run_end_epoch(c.run, NULL), CLSEQ_INVALID_STATE, "the epoch has no step yet");
    EXPECT_OK(run_case_step(&c));
    EXPECT_OK(clseq_run_end_epoch(c.run, NULL));
    EXPECT_ERROR(clseq_run_end_epoch(c.run, NULL), CLSEQ_INVALID_STATE, "the epoch has no step yet");
    cr_assert_eq(clseq_run_progress(c.run).epochs, 1);
    run_case_end(&c);
}

Test(run, a_step_without_a_loss_is_refused)
{
    run_case c;
    run_case_begin(&c, &(clseq_run_desc){.epochs = 1});
    EXPECT_OK(clseq_optimizer_step(c.adam));
    EXPECT_ERROR(clseq_run_step(c.run, 1), CLSEQ_INVALID_STATE, "no loss was added to the run's meter");
    run_case_end(&c);
}

Test(run, nulls_are_refused_or_harmless)
{
    const double one = 1;
    run_case c;
    EXPECT_ERROR(clseq_run_create(NULL, &c.run), CLSEQ_INVALID_ARGUMENT, "run create: desc is NULL");
    EXPECT_ERROR(clseq_run_create(&(clseq_run_desc){0}, NULL), CLSEQ_INVALID_ARGUMENT, "out is NULL");
    EXPECT_ERROR(clseq_run_begin(NULL, NULL, 0), CLSEQ_INVALID_ARGUMENT, "run begin: run is NULL");
    EXPECT_ERROR(clseq_run_step(NULL, 1), CLSEQ_INVALID_ARGUMENT, "run step: run is NULL");
    EXPECT_ERROR(clseq_run_end_epoch(NULL, &one), CLSEQ_INVALID_ARGUMENT, "run is NULL");
    EXPECT_ERROR(clseq_run_finish(NULL, &one), CLSEQ_INVALID_ARGUMENT, "run is NULL");
    EXPECT_ERROR(clseq_run_load_best(NULL), CLSEQ_INVALID_ARGUMENT, "run is NULL");
    EXPECT_ERROR(clseq_run_set_column(NULL, "x", 1), CLSEQ_INVALID_ARGUMENT, "run is NULL");
    cr_assert(clseq_run_is_over(NULL));
    cr_assert_not(clseq_run_is_within_epoch(NULL));
    cr_assert_null(clseq_run_meter(NULL));
    cr_assert_null(clseq_run_best_path(NULL));
    cr_assert_not(clseq_run_writes(NULL, "x"));
    cr_assert_eq(clseq_run_progress(NULL).steps, 0);
    clseq_run_stop(NULL);
    clseq_run_destroy(NULL);
    run_case_begin(&c, &(clseq_run_desc){.columns = columns, .column_count = 2});
    EXPECT_ERROR(clseq_run_set_column(c.run, NULL, 1), CLSEQ_INVALID_ARGUMENT, "name is NULL");
    EXPECT_ERROR(clseq_run_set_column(c.run, "half_per_unit", 1), CLSEQ_NOT_FOUND, "no column half_per_unit");
    EXPECT_ERROR(clseq_run_set_column(c.run, "speed", 1), CLSEQ_NOT_FOUND, "no column speed");
    EXPECT_ERROR(clseq_run_step(c.run, -1), CLSEQ_INVALID_ARGUMENT, "units is -1");
    cr_assert_not(clseq_run_writes(c.run, NULL));
    run_case_end(&c);
}

Test(run, descriptors_that_contradict_themselves_are_refused)
{
    static const clseq_run_column twice[] = {{"a", NULL}, {"a", NULL}}, taken = {"loss", NULL},
                                  comma = {"a,b", NULL}, empty = {"", NULL}, none = {NULL, NULL};
    const clseq_option nameless = {.kind = CLSEQ_OPTION_FLAG};
    const struct {
        clseq_run_desc desc;
        const char *says;
    } cases[] = {
        {{.epochs = -1}, "epochs is -1"},
        {{.steps = -1}, "steps is -1"},
        {{.minutes = -0.5}, "minutes is -0.5"},
        {{.minutes = NAN}, "minutes is nan"},
        {{.minutes = INFINITY}, "minutes is inf"},
        {{.patience = -1}, "patience is -1"},
        {{.row_steps = -1}, "row_steps is -1"},
        {{.resume = true}, "checkpoint is NULL, from which to resume"},
        {{.option_count = 1}, "options is NULL, expected 1"},
        {{.column_count = 2}, "columns is NULL, expected 2"},
        {{.options = &nameless, .option_count = 1}, "has no name"},
        {{.columns = twice, .column_count = 2}, "two columns are called a"},
        {{.columns = &taken, .column_count = 1}, "two columns are called loss"},
        {{.columns = &comma, .column_count = 1}, "a column is \"a,b\""},
        {{.columns = &empty, .column_count = 1}, "a column is \"\""},
        {{.columns = &none, .column_count = 1}, "a column is \"\""},
        {{.step_name = "epoch"}, "step_name is epoch"},
        {{.step_name = "a b"}, "step_name is \"a b\""},
        {{.unit = "\n"}, "unit is \"\\x0a\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        clseq_run *run = NULL;
        EXPECT_ERROR(clseq_run_create(&cases[i].desc, &run), CLSEQ_INVALID_ARGUMENT, cases[i].says);
    }
}

/* What stands in a checkpoint has one name each. */
Test(run, what_begin_gets_is_checked)
{
    static const clseq_meta taken = {"epoch", "1"}, option = {"kept", "1"}, half_a_pair = {"x", NULL};
    static bool kept;
    const clseq_option options[] = {
        {.name = "kept", .kind = CLSEQ_OPTION_FLAG, .value = &kept},
        {.name = "text", .kind = CLSEQ_OPTION_FLAG, .value = &kept, .rule = CLSEQ_OPTION_PASSES}};
    run_case c;
    run_case_make(&c);
    const struct {
        clseq_checkpoint what;
        int64_t epoch_steps;
        const char *says;
    } cases[] = {
        {{.optimizer = c.adam}, 1, "what->params is NULL"},
        {{.params = c.params}, 1, "what->optimizer is NULL"},
        {{.params = c.params, .optimizer = c.adam, .state_count = 1}, 1, "what->states is NULL"},
        {{.params = c.params, .optimizer = c.adam, .meta_count = 1}, 1, "what->meta is NULL"},
        {{.params = c.params, .optimizer = c.adam, .meta = &half_a_pair, .meta_count = 1},
         1,
         "meta[0].value is NULL"},
        {{.params = c.params, .optimizer = c.adam}, -1, "epoch_steps is -1"},
        {{.params = c.params, .optimizer = c.adam, .meta = &taken, .meta_count = 1},
         1,
         "\"epoch\" is there twice"},
        {{.params = c.params, .optimizer = c.adam, .meta = &option, .meta_count = 1},
         1,
         "\"kept\" is there twice"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        EXPECT_OK(clseq_run_create(&(clseq_run_desc){.options = options, .option_count = 2}, &c.run));
        EXPECT_ERROR(clseq_run_begin(c.run, &cases[i].what, cases[i].epoch_steps), CLSEQ_INVALID_ARGUMENT,
                     cases[i].says);
        cr_assert(clseq_run_is_over(c.run));
        clseq_run_destroy(c.run);
    }
    const clseq_meta text = {"text", "an option that passes leaves its name"};
    EXPECT_OK(clseq_run_create(&(clseq_run_desc){.options = options, .option_count = 2}, &c.run));
    EXPECT_OK(clseq_run_begin(
        c.run, &(clseq_checkpoint){.params = c.params, .optimizer = c.adam, .meta = &text, .meta_count = 1},
        1));
    run_case_end(&c);
}
