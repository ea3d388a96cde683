/* The files of a run: what is refused before training, writes that fail, and losses that are not finite. */
#include "support/folder.h"
#include "support/graph.h"
#include "support/run_case.h"
#include "support/sample.h"
#include <criterion/criterion.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

TestSuite(run_files, .init = run_case_setup, .fini = run_case_teardown);

static void expect_refused(clseq_run_desc desc, clseq_status status, const char *says)
{
    clseq_run *run = NULL;
    EXPECT_ERROR(clseq_run_create(&desc, &run), status, says);
    cr_assert_null(run);
}

Test(run_files, what_cannot_be_written_is_refused_when_the_run_is_made)
{
    /* A node of its own, as the one in /dev would be lost if this failed. */
    const char *device = mknod("null", S_IFCHR | 0666, makedev(1, 3)) == 0 ? "null" : "/dev/null";
    cr_assert_eq(mkdir("folder", 0700), 0);
    cr_assert_eq(mkdir("x.best.y", 0700), 0);
    cr_assert_eq(mkfifo("fifo", 0600), 0);
    cr_assert_eq(symlink("nowhere", "link"), 0);
    sample_write("file", "", 0);
    const struct {
        const char *path, *says;
    } cases[] = {{"", "the path is empty"},     {"folder", "is a folder"},
                 {"fifo", "is a pipe"},         {"link", "symbolic link to nothing"},
                 {"missing/x", "No such file"}, {"file/x", "Not a directory"},
                 {"folder/", "is a folder"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        expect_refused((clseq_run_desc){.checkpoint = cases[i].path}, CLSEQ_IO_ERROR, cases[i].says);
        expect_refused((clseq_run_desc){.metrics = cases[i].path}, CLSEQ_IO_ERROR, cases[i].says);
    }
    expect_refused((clseq_run_desc){.checkpoint = "x.y"}, CLSEQ_IO_ERROR,
                   "run create: checkpoint x.best.y: is a folder");
    expect_refused((clseq_run_desc){.checkpoint = device}, CLSEQ_IO_ERROR, "is a character device");
    cr_assert_eq(folder_count(".", ".clseq", NULL), 0);
}

Test(run_files, a_folder_without_the_right_to_write_is_refused)
{
    if (geteuid() == 0)
        cr_skip("root may write everywhere");
    cr_assert_eq(mkdir("locked", 0500), 0);
    expect_refused((clseq_run_desc){.checkpoint = "locked/x"}, CLSEQ_IO_ERROR, "Permission denied");
    expect_refused((clseq_run_desc){.metrics = "locked/x"}, CLSEQ_IO_ERROR, "Permission denied");
}

Test(run_files, files_that_are_the_same_are_refused)
{
    sample_write("x.y", "", 0);
    cr_assert_eq(link("x.y", "other"), 0);
    cr_assert_eq(mkdir("folder", 0700), 0);
    expect_refused((clseq_run_desc){.checkpoint = "x.y", .metrics = "x.y"}, CLSEQ_INVALID_ARGUMENT,
                   "metrics x.y: the checkpoint goes there");
    expect_refused((clseq_run_desc){.checkpoint = "x.y", .metrics = "other"}, CLSEQ_INVALID_ARGUMENT,
                   "another file");
    expect_refused((clseq_run_desc){.checkpoint = "x.y", .metrics = "x.best.y"}, CLSEQ_INVALID_ARGUMENT,
                   "another file");
    expect_refused((clseq_run_desc){.checkpoint = "new", .metrics = "folder/../new.best"},
                   CLSEQ_INVALID_ARGUMENT, "another file");
    cr_assert_eq(link("x.y", "x.best.y"), 0);
    expect_refused((clseq_run_desc){.checkpoint = "x.y"}, CLSEQ_INVALID_ARGUMENT,
                   "checkpoint x.y: it is the same file as x.best.y");
}

Test(run_files, a_run_knows_what_it_writes)
{
    clseq_run *run = NULL;
    sample_write("there", "", 0);
    cr_assert_eq(symlink("there", "link"), 0);
    cr_assert_eq(mkdir("folder", 0700), 0);
    EXPECT_OK(clseq_run_create(&(clseq_run_desc){.checkpoint = "folder/new", .metrics = "there"}, &run));
    cr_assert(clseq_run_writes(run, "there") && clseq_run_writes(run, "link") &&
              clseq_run_writes(run, "./folder/new") && clseq_run_writes(run, "folder/../folder/new.best"));
    cr_assert_not(clseq_run_writes(run, "folder") || clseq_run_writes(run, "new") ||
                  clseq_run_writes(run, "nowhere"));
    clseq_run_destroy(run);
}

Test(run_files, the_best_has_its_word_before_the_ending)
{
    static const char *const cases[][2] = {{"model.safetensors", "model.best.safetensors"},
                                           {"model", "model.best"},
                                           {".model", ".model.best"},
                                           {"a.b/model", "a.b/model.best"},
                                           {"a.b/x.y.z", "a.b/x.y.best.z"}};
    cr_assert_eq(mkdir("a.b", 0700), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        clseq_run *run = NULL;
        EXPECT_OK(clseq_run_create(&(clseq_run_desc){.checkpoint = cases[i][0]}, &run));
        cr_assert_str_eq(clseq_run_best_path(run), cases[i][1]);
        clseq_run_destroy(run);
    }
}

/* ---- writes that fail ---- */

Test(run_files, devices_are_fine_for_metrics)
{
    run_case c;
    run_case_begin(&c, &(clseq_run_desc){.metrics = "/dev/null", .epochs = 1});
    run_case_train(&c);
    run_case_end(&c);
}

Test(run_files, metrics_that_cannot_be_written_end_the_run_with_a_checkpoint)
{
    run_case c;
    run_case_begin(&c,
                   &(clseq_run_desc){.checkpoint = "x", .metrics = "/dev/full", .epochs = 9, .row_steps = 2});
    cr_assert(clseq_run_is_over(c.run)); /* by the header already */
    EXPECT_OK(run_case_step(&c));
    EXPECT_ERROR(
        clseq_run_finish(c.run, NULL), CLSEQ_IO_ERROR,
        "run finish: cannot write metrics /dev/full: No space left on device; the run itself is saved in x");
    run_case_end(&c);
    run_case_begin(&c, &(clseq_run_desc){.checkpoint = "x", .resume = true, .epochs = 1});
    cr_assert_eq(clseq_run_progress(c.run).steps, 1);
    run_case_end(&c);
}

Test(run_files, a_stream_that_cannot_be_written_ends_the_run_with_a_checkpoint)
{
    run_case c;
    FILE *full = fopen("/dev/full", "w");
    cr_assert_not_null(full);
    run_case_begin(&c, &(clseq_run_desc){.checkpoint = "x", .epochs = 9, .out = full});
    EXPECT_ERROR(run_case_try_train(&c), CLSEQ_IO_ERROR,
                 "cannot write to the run's stream: No space left on device; the run itself is saved in x");
    cr_assert_leq(clseq_run_progress(c.run).steps, RUN_CASE_EPOCH);
    run_case_end(&c);
    run_case_begin(&c, &(clseq_run_desc){.checkpoint = "x", .resume = true, .epochs = 1});
    cr_assert_gt(clseq_run_progress(c.run).steps, 0);
    run_case_end(&c);
    fclose(full);
}

/* A checkpoint that finds no place is an error of the call; the old one stays, and the run may go on and save later. */
Test(run_files, a_full_disk_leaves_the_old_checkpoint)
{
    run_case c;
    run_case_begin(&c, &(clseq_run_desc){.checkpoint = "x", .epochs = 9});
    EXPECT_OK(run_case_step(&c));
    EXPECT_OK(clseq_run_end_epoch(c.run, NULL));
    cr_assert_eq(system("cp x before"), 0);
    EXPECT_OK(run_case_step(&c));
    folder_limit_files(512);
    EXPECT_ERROR(clseq_run_end_epoch(c.run, NULL), CLSEQ_IO_ERROR, "x: cannot write: File too large");
    EXPECT_OK(run_case_step(&c));
    EXPECT_ERROR(clseq_run_finish(c.run, NULL), CLSEQ_IO_ERROR, "x: cannot write: File too large");
    folder_limit_files(0);
    cr_assert_eq(system("cmp -s x before"), 0);
    EXPECT_OK(clseq_run_finish(c.run, NULL));
    run_case_end(&c);
    run_case_begin(&c, &(clseq_run_desc){.checkpoint = "x", .resume = true, .epochs = 9});
    cr_assert_eq(clseq_run_progress(c.run).steps, 3);
    run_case_end(&c);
}

/* ---- losses that are not finite ---- */

static void expect_unchanged(void)
{
    cr_assert_eq(system("cmp -s x before && cmp -s x.best best_before"), 0);
}

static void train_an_epoch(run_case *c, const char *metrics)
{
    run_case_begin(c, &(clseq_run_desc){.checkpoint = "x", .metrics = metrics, .epochs = 3, .row_steps = 2});
    for (int i = 0; i < RUN_CASE_EPOCH; i++)
        EXPECT_OK(run_case_step(c));
    EXPECT_OK(clseq_run_end_epoch(c->run, run_case_validate(c)));
    cr_assert_eq(system("cp x before && cp x.best best_before"), 0);
}

Test(run_files, a_loss_that_is_not_finite_ends_the_run_and_leaves_its_checkpoints)
{
    static const char says[] =
        "run step: the loss is no longer finite, it is nan at step 9; checkpoints stay as they were: x";
    run_case c;
    train_an_epoch(&c, "m.csv");
    EXPECT_OK(run_case_step(&c));
    c.spoiled = NAN;
    EXPECT_ERROR(run_case_step(&c), CLSEQ_NOT_FINITE, says);
    cr_assert(clseq_run_is_over(c.run));
    cr_assert_not(clseq_run_is_within_epoch(c.run));
    EXPECT_ERROR(run_case_step(&c), CLSEQ_NOT_FINITE, says);
    EXPECT_ERROR(clseq_run_end_epoch(c.run, NULL), CLSEQ_NOT_FINITE, says);
    EXPECT_ERROR(clseq_run_finish(c.run, NULL), CLSEQ_NOT_FINITE, says);
    EXPECT_ERROR(clseq_run_load_best(c.run), CLSEQ_INVALID_STATE, "failed");
    run_case_end(&c);
    expect_unchanged();
    cr_assert_not(strstr(run_case_read("m.csv"), "nan"));
}

/* Between two rows nobody looks; but nothing is saved unseen. */
Test(run_files, a_loss_is_looked_at_before_it_is_saved)
{
    run_case c;
    train_an_epoch(&c, NULL);
    c.spoiled = INFINITY;
    EXPECT_OK(run_case_step(&c));
    clseq_run_stop(c.run);
    EXPECT_ERROR(clseq_run_finish(c.run, NULL), CLSEQ_NOT_FINITE, "run finish: the loss is no longer finite");
    run_case_end(&c);
    expect_unchanged();
    train_an_epoch(&c, NULL);
    c.spoiled = NAN;
    EXPECT_OK(run_case_step(&c));
    EXPECT_ERROR(clseq_run_end_epoch(c.run, NULL), CLSEQ_NOT_FINITE,
                 "run end epoch: the loss is no longer finite");
    run_case_end(&c);
    expect_unchanged();
}

Test(run_files, a_validation_that_is_not_finite_ends_the_run_and_leaves_its_checkpoints)
{
    static const double values[] = {NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 6; i++) {
        run_case c;
        train_an_epoch(&c, NULL);
        EXPECT_OK(run_case_step(&c));
        const clseq_status status =
            i % 2 ? clseq_run_finish(c.run, &values[i / 2]) : clseq_run_end_epoch(c.run, &values[i / 2]);
        EXPECT_ERROR(status, CLSEQ_NOT_FINITE, "the validation loss is no longer finite");
        cr_assert_eq(clseq_run_progress(c.run).epochs, 1);
        run_case_end(&c);
        expect_unchanged();
    }
}

Test(run_files, the_first_loss_may_be_the_last)
{
    run_case c;
    run_case_begin(&c, &(clseq_run_desc){.checkpoint = "x", .epochs = 3});
    c.spoiled = NAN;
    EXPECT_ERROR(run_case_step(&c), CLSEQ_NOT_FINITE, "at step 1");
    run_case_end(&c);
    cr_assert_not(sample_exists("x"));
}
