/* Runs that are stopped and go on: the same bits, the same rows, and options that stay or change. */
#include "support/graph.h"
#include "support/run_case.h"
#include "support/sample.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(run_resume, .init = run_case_setup, .fini = run_case_teardown);

/* Two epochs and a half, under a name. */
static clseq_run_desc desc_of(const char *name, char paths[2][64])
{
    snprintf(paths[0], 64, "%s.safetensors", name);
    snprintf(paths[1], 64, "%s.csv", name);
    return (clseq_run_desc){
        .checkpoint = paths[0], .metrics = paths[1], .steps = 2 * RUN_CASE_EPOCH + 3, .row_steps = 3};
}

static void train(const clseq_run_desc *desc)
{
    run_case c;
    run_case_begin(&c, desc);
    run_case_train(&c);
    run_case_end(&c);
}

static void expect_same(const char *left, const char *right)
{
    const char *name = sample_difference(left, right);
    cr_assert_null(name, "%s of %s and %s differ", name, left, right);
}

/* Stopped after each step, also the last of an epoch, and at the end of an epoch. */
Test(run_resume, a_stop_after_any_step_changes_no_bit_and_no_row)
{
    char paths[2][2][64];
    const clseq_run_desc whole = desc_of("whole", paths[0]);
    train(&whole);
    for (int64_t stop = 1; stop < whole.steps; stop++) {
        clseq_run_desc parts = desc_of("parts", paths[1]);
        parts.steps = stop;
        train(&parts);
        parts.steps = whole.steps;
        parts.resume = true;
        train(&parts);
        expect_same(whole.checkpoint, parts.checkpoint);
        cr_assert_str_eq(run_case_rows("parts.csv"), run_case_rows("whole.csv"), "stopped after %d",
                         (int)stop);
    }
}

/* Every step is a process of its own. */
Test(run_resume, many_stops_are_no_stop)
{
    char paths[2][2][64];
    const clseq_run_desc whole = desc_of("whole", paths[0]);
    clseq_run_desc parts = desc_of("parts", paths[1]);
    train(&whole);
    for (parts.steps = 1; parts.steps <= whole.steps; parts.steps++, parts.resume = true)
        train(&parts);
    expect_same(whole.checkpoint, parts.checkpoint);
    cr_assert_str_eq(run_case_rows("parts.csv"), run_case_rows("whole.csv"));
    for (int i = 0; i < 2; i++) { /* what stands beside tensors */
        char value[2][64];
        static const char *const keys[] = {"loss", "first_loss"};
        EXPECT_OK(clseq_checkpoint_meta(whole.checkpoint, keys[i], value[0], 64));
        EXPECT_OK(clseq_checkpoint_meta(parts.checkpoint, keys[i], value[1], 64));
        cr_assert_str_eq(value[0], value[1]);
    }
}

/* A process that dies leaves rows behind its last checkpoint, the last one perhaps not whole. */
Test(run_resume, rows_that_the_checkpoint_does_not_know_come_once)
{
    char paths[2][2][64];
    const clseq_run_desc whole = desc_of("whole", paths[0]);
    clseq_run_desc parts = desc_of("parts", paths[1]);
    run_case c;
    train(&whole);
    run_case_begin(&c, &parts);
    while (clseq_run_progress(c.run).epoch_steps < RUN_CASE_EPOCH)
        EXPECT_OK(run_case_step(&c));
    EXPECT_OK(clseq_state_reset(c.carry));
    EXPECT_OK(clseq_run_end_epoch(c.run, run_case_validate(&c)));
    for (int i = 0; i < 4; i++)
        EXPECT_OK(run_case_step(&c));
    run_case_end(&c);
    FILE *csv = fopen("parts.csv", "a");
    cr_assert_gt(fputs("12,2", csv), 0);
    fclose(csv);
    cr_assert(strstr(run_case_rows("parts.csv"), "\n10,2,3,"));
    parts.resume = true;
    train(&parts);
    expect_same(whole.checkpoint, parts.checkpoint);
    cr_assert_str_eq(run_case_rows("parts.csv"), run_case_rows("whole.csv"));
}

Test(run_resume, the_rows_of_another_program_are_left_alone)
{
    static const char other[] = "step,loss\n1,2\n";
    char paths[2][64];
    clseq_run_desc desc = desc_of("x", paths);
    run_case c;
    desc.steps = 1;
    train(&desc);
    FILE *csv = fopen("x.csv", "w");
    fputs(other, csv);
    fclose(csv);
    desc.resume = true;
    desc.steps = 2;
    run_case_make(&c);
    EXPECT_ERROR(run_case_try(&c, &desc), CLSEQ_INVALID_ARGUMENT,
                 "metrics x.csv: it begins with \"step,loss\", expected \"step,epoch,batch,");
    EXPECT_ERROR(clseq_run_finish(c.run, NULL), CLSEQ_INVALID_ARGUMENT,
                 "it begins with"); /* the cause stays */
    run_case_end(&c);
    cr_assert_str_eq(run_case_read("x.csv"), other);
    cr_assert_eq(remove("x.csv"), 0);
    train(&desc); /* a new file has a header */
    cr_assert_eq(strncmp(run_case_read("x.csv"), "step,epoch,batch,", 17), 0);
}

/* A run that has nothing more to do changes no file. */
Test(run_resume, a_run_that_is_over_saves_nothing)
{
    char paths[2][64];
    clseq_run_desc desc = desc_of("x", paths);
    desc.steps = 4;
    train(&desc);
    cr_assert_eq(system("cp x.safetensors before && cp x.csv rows"), 0);
    desc.resume = true;
    train(&desc);
    cr_assert_eq(system("cmp -s x.safetensors before && cmp -s x.csv rows"), 0);
}

Test(run_resume, patience_goes_on)
{
    static const double judged[] = {2, 3, 3, 3, 3, 3};
    char paths[2][64];
    clseq_run_desc desc = desc_of("x", paths);
    desc.steps = 0;
    desc.patience = 3;
    for (int epoch = 1; epoch < 6; epoch++, desc.resume = true) {
        run_case c;
        desc.epochs = epoch;
        run_case_begin(&c, &desc);
        c.judged = judged;
        run_case_train(&c);
        cr_assert_eq(clseq_run_progress(c.run).epochs, epoch < 4 ? epoch : 4);
        cr_assert_eq(clseq_run_progress(c.run).best_step, RUN_CASE_EPOCH);
        run_case_end(&c);
    }
}

/* ---- the best ---- */

static const double falls[] = {4, 3, 2}, rises[] = {2, 3, 4};

static clseq_run_desc three_epochs(char paths[2][64], FILE *out)
{
    clseq_run_desc desc = desc_of("x", paths);
    desc.steps = 0;
    desc.epochs = 3;
    desc.out = out;
    return desc;
}

static float first_weight(run_case *c)
{
    float values[4];
    EXPECT_OK(clseq_param_get(clseq_params_find(c->params, "out.weight"), values));
    return values[0];
}

Test(run_resume, the_best_is_kept_and_can_be_had_back)
{
    char paths[2][64];
    run_case c;
    float best = 0;
    const clseq_run_desc desc = three_epochs(paths, NULL);
    run_case_begin(&c, &desc);
    c.judged = rises;
    cr_assert_str_eq(clseq_run_best_path(c.run), "x.best.safetensors");
    while (!clseq_run_is_over(c.run)) {
        for (int i = 0; i < RUN_CASE_EPOCH; i++)
            EXPECT_OK(run_case_step(&c));
        EXPECT_OK(clseq_state_reset(c.carry));
        EXPECT_OK(clseq_run_end_epoch(c.run, run_case_validate(&c)));
        if (clseq_run_progress(c.run).epochs == 1)
            best = first_weight(&c);
    }
    EXPECT_OK(clseq_run_finish(c.run, NULL));
    cr_assert_neq(first_weight(&c), best);
    EXPECT_OK(clseq_run_load_best(c.run));
    cr_assert_eq(first_weight(&c), best);
    run_case_end(&c);
    cr_assert_not_null(sample_difference("x.safetensors", "x.best.safetensors"));
}

Test(run_resume, the_last_may_be_the_best)
{
    char paths[2][64];
    run_case c;
    const clseq_run_desc desc = three_epochs(paths, NULL);
    run_case_begin(&c, &desc);
    c.judged = falls;
    run_case_train(&c);
    const float last = first_weight(&c);
    EXPECT_OK(clseq_run_load_best(c.run));
    cr_assert_eq(first_weight(&c), last);
    run_case_end(&c);
    expect_same("x.safetensors", "x.best.safetensors");
}

Test(run_resume, a_best_that_is_gone_or_of_another_run_is_not_used)
{
    char paths[2][64], *told = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&told, &size);
    clseq_run_desc desc = three_epochs(paths, out);
    desc.resume = false;
    run_case c;
    run_case_begin(&c, &desc);
    c.judged = rises;
    run_case_train(&c);
    const float last = first_weight(&c);
    cr_assert_eq(rename("x.best.safetensors", "apart"), 0);
    EXPECT_OK(clseq_run_load_best(c.run));
    cr_assert_eq(first_weight(&c), last);
    cr_assert_eq(rename("apart", "x.best.safetensors"), 0);
    sample_set_meta("x.best.safetensors", "best_step", "6");
    EXPECT_OK(clseq_run_load_best(c.run));
    cr_assert_eq(first_weight(&c), last);
    fclose(out);
    const char *first = strstr(told, "x.best.safetensors is missing or of another run");
    cr_assert(first && strstr(first + 1, "is missing or of another run"), "%s", told);
    run_case_end(&c);
    free(told);
}

/* ---- options ---- */

static int64_t kept = 5, limit = 1;
static double changes = 0.25;
static const char *word = "first";
static clseq_option options[] = {
    {.name = "kept", .kind = CLSEQ_OPTION_WHOLE, .value = &kept, .low = 1, .high = 9},
    {.name = "changes",
     .kind = CLSEQ_OPTION_REAL,
     .value = &changes,
     .high = 1,
     .rule = CLSEQ_OPTION_CHANGES},
    {.name = "word", .kind = CLSEQ_OPTION_TEXT, .value = &word},
    {.name = "limit",
     .kind = CLSEQ_OPTION_WHOLE,
     .value = &limit,
     .low = 1,
     .high = 9,
     .rule = CLSEQ_OPTION_PASSES},
};

static clseq_run_desc with_options(char paths[2][64])
{
    clseq_run_desc desc = desc_of("x", paths);
    desc.steps = 1;
    desc.options = options;
    desc.option_count = sizeof options / sizeof *options;
    return desc;
}

/* As far as the allocator hands it out again. */
static void overwrite_freed_memory(void)
{
    void *blocks[512];
    for (size_t i = 0; i < 512; i++) {
        blocks[i] = malloc(16 * (i + 1));
        memset(blocks[i], 'x', 16 * (i + 1));
    }
    for (size_t i = 0; i < 512; i++)
        free(blocks[i]);
}

Test(run_resume, options_that_are_not_given_are_restored)
{
    char paths[2][64];
    clseq_run_desc desc = with_options(paths);
    clseq_run *run = NULL;
    train(&desc);
    kept = 6;
    changes = 0.5;
    word = "second";
    limit = 7;
    desc.resume = true;
    EXPECT_OK(clseq_run_create(&desc, &run));
    overwrite_freed_memory(); /* the text is the run's own, not the file reader's */
    cr_assert(kept == 5 && changes == 0.25 && limit == 7);
    cr_assert_str_eq(word, "first");
    clseq_run_destroy(run);
}

Test(run_resume, given_options_are_compared)
{
    char paths[2][64], value[64], *told = NULL;
    size_t size = 0;
    clseq_run_desc desc = with_options(paths);
    clseq_run *run = NULL;
    train(&desc);
    FILE *out = open_memstream(&told, &size);
    desc.resume = true;
    desc.out = out;
    for (size_t i = 0; i < desc.option_count; i++)
        options[i].given = true;
    EXPECT_OK(clseq_run_create(&desc, &run)); /* the same ones */
    clseq_run_destroy(run);
    kept = 6;
    EXPECT_ERROR(clseq_run_create(&desc, &run), CLSEQ_INVALID_ARGUMENT,
                 "kept is 6, but in x.safetensors it is 5, and a run that is resumed cannot change that");
    kept = 5;
    word = "\x1b";
    EXPECT_ERROR(clseq_run_create(&desc, &run), CLSEQ_INVALID_ARGUMENT,
                 "word is \\x1b, but in x.safetensors it is first");
    word = "first";
    changes = 0.5;
    limit = 3;
    desc.steps = 2;
    train(&desc);
    fclose(out);
    cr_assert(strstr(told, "resume: changes 0.25 -> 0.5\n"), "%s", told);
    cr_assert_not(strstr(told, "resume: kept") || strstr(told, "resume: limit"), "%s", told);
    EXPECT_OK(clseq_checkpoint_meta("x.safetensors", "changes", value, sizeof value));
    cr_assert_str_eq(value, "0.5");
    EXPECT_ERROR(clseq_checkpoint_meta("x.safetensors", "limit", value, sizeof value), CLSEQ_NOT_FOUND,
                 "limit");
    free(told);
}

Test(run_resume, what_a_checkpoint_says_is_checked)
{
    static const struct {
        const char *key, *value, *says;
    } cases[] = {
        {"kept", "10", "bad is damaged: its \"kept\" is \"10\", expected a whole number from 1 to 9"},
        {"changes", "x\\u001b",
         "bad is damaged: its \"changes\" is \"x\\x1b\", expected a real number from 0 to 1"},
        {"epoch", "-1", "bad is damaged: its \"epoch\""},
        {"epoch", "9007199254740994", "bad is damaged: its \"epoch\""},
        {"window", "8", "bad is damaged: its \"window\" is \"8\", expected a whole number from 0 to 7"},
        {"loss", "inf", "bad is damaged: its \"loss\""},
        {"best_step", "0.5", "bad is damaged: its \"best_step\""},
        {"seconds", "-1", "bad is damaged: its \"seconds\""},
        {"row_step", "-1", "bad is damaged: its \"row_step\""},
        {"row_step", "2", "bad is damaged: its \"row_step\" is 2, expected at most 1"},
        {"row_losses", "1 2 3", "bad is damaged: its \"row_losses\" is \"1 2 3\", expected 4 finite numbers"},
        {"row_losses", "1 2 3 nan", "expected 4 finite numbers"},
        {"row_losses", "1 2 3 4 ", "expected 4 finite numbers"},
        {"row_losses", "", "expected 4 finite numbers"},
    };
    char paths[2][64];
    clseq_run_desc desc = with_options(paths);
    train(&desc);
    desc.resume = true;
    desc.steps = 9;
    desc.checkpoint = "bad";
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        run_case c;
        cr_assert_eq(system("cp x.safetensors bad"), 0);
        sample_set_meta("bad", cases[i].key, cases[i].value);
        run_case_make(&c);
        EXPECT_ERROR(run_case_try(&c, &desc), CLSEQ_CORRUPT_FILE, cases[i].says);
        run_case_end(&c);
    }
}

Test(run_resume, checkpoints_that_are_missing_or_of_another_program_are_named)
{
    char paths[2][64];
    clseq_run_desc desc = with_options(paths);
    run_case c;
    desc.option_count = 0;
    desc.resume = true;
    run_case_make(&c);
    EXPECT_ERROR(run_case_try(&c, &desc), CLSEQ_IO_ERROR, "x.safetensors: cannot open");
    clseq_checkpoint what = {.params = c.params, .optimizer = c.adam};
    EXPECT_OK(clseq_checkpoint_save("x.safetensors", &what));
    EXPECT_ERROR(run_case_try(&c, &desc), CLSEQ_NOT_FOUND, "x.safetensors: nothing says \"epoch\"");
    clseq_run_destroy(c.run);
    desc.option_count = 1;
    EXPECT_ERROR(run_case_try(&c, &desc), CLSEQ_NOT_FOUND, "x.safetensors: nothing says \"kept\"");
    run_case_end(&c);
}

/* As earlier versions wrote them: without the losses of a row that is not full. */
Test(run_resume, a_checkpoint_of_an_earlier_version_goes_on)
{
    static const clseq_meta meta[] = {{"epoch", "0"},         {"window", "2"},    {"loss", "0.5"},
                                      {"first_loss", "0.75"}, {"best_loss", "0"}, {"best_step", "0"},
                                      {"seconds", "1.5"}};
    static const char *const names[] = {"carry"};
    char paths[2][64];
    run_case c;
    clseq_run_desc desc = desc_of("x", paths);
    run_case_make(&c);
    const clseq_checkpoint old = {.params = c.params,
                                  .optimizer = c.adam,
                                  .states = &c.carry,
                                  .state_names = names,
                                  .state_count = 1,
                                  .meta = meta,
                                  .meta_count = 7};
    EXPECT_OK(clseq_optimizer_step(c.adam));
    EXPECT_OK(clseq_optimizer_step(c.adam));
    EXPECT_OK(clseq_checkpoint_save("x.safetensors", &old));
    desc.resume = true;
    desc.steps = 3;
    EXPECT_OK(run_case_try(&c, &desc));
    const clseq_progress done = clseq_run_progress(c.run);
    cr_assert(done.steps == 2 && done.epoch_steps == 2 && done.loss == 0.5 && done.first_loss == 0.75);
    cr_assert(done.seconds >= 1.5 && done.own_steps == 0);
    run_case_train(&c);
    cr_assert(strstr(run_case_rows("x.csv"), "\n3,1,3,"));
    run_case_end(&c);
}
