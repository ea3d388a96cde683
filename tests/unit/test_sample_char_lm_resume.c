/* samples/char_lm --resume: which options come from the checkpoint, which may change, and files that are damaged. */
#include "support/sample.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RUN SAMPLE
#define output sample_output
#define small sample_small

TestSuite(char_lm_resume, .init = sample_setup, .fini = sample_teardown);

static void train_once(void)
{
    cr_assert_eq(RUN(small, "--epochs", "1", "--generate", "0", "--dropout", "0.1"), 0, "%s", output);
}

Test(char_lm_resume, options_that_shape_the_run_are_kept)
{
    static const char *const cases[][2] = {{"--hidden", "999"},     {"--cell", "gru"}, {"--layers", "2"},
                                           {"--embedding", "7"},    {"--batch", "5"},  {"--steps", "9"},
                                           {"--validation", "0.1"}, {"--lower", NULL}, {"--seed", "2"}};
    train_once();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cr_expect_eq(RUN(NULL, "--resume", "--epochs", "2", "--generate", "0", cases[i][0], cases[i][1]), 1,
                     "%s: %s", cases[i][0], output);
        cr_expect(strstr(output, cases[i][0] + 2), "%s: %s", cases[i][0], output);
        cr_expect(strstr(output, "in char_lm.safetensors"), "%s: %s", cases[i][0], output);
        cr_expect_not(strstr(output, "epoch 2 window"), "%s: %s", cases[i][0], output);
    }
}

Test(char_lm_resume, the_same_options_again_are_fine)
{
    train_once();
    cr_assert_eq(RUN(small, "--resume", "--epochs", "2", "--generate", "0", "--dropout", "0.1", "--seed", "1",
                     "--cell", "lstm"),
                 0, "%s", output);
    cr_assert_not(strstr(output, "resume:"), "%s", output);
}

Test(char_lm_resume, options_that_may_change_are_told)
{
    train_once();
    cr_assert_eq(RUN(NULL, "--resume", "--epochs", "2", "--generate", "0", "--lr", "0.001", "--clip", "2.5",
                     "--dropout", "0"),
                 0, "%s", output);
    cr_assert(strstr(output, "resume: lr 0.02 -> 0.001\n"), "%s", output);
    cr_assert(strstr(output, "resume: clip 5 -> 2.5\n"), "%s", output);
    cr_assert(strstr(output, "resume: dropout 0.1 -> 0\n"), "%s", output);
    cr_assert_eq(RUN(NULL, "--resume", "--epochs", "2", "--generate", "0", "--clip", "2.5"), 0, "%s", output);
    cr_assert_not(strstr(output, "resume:"), "%s", output);
}

/* A rate that is given is used: the weights go elsewhere. */
Test(char_lm_resume, a_changed_rate_is_used)
{
    train_once();
    cr_assert_eq(system("cp char_lm.safetensors other"), 0);
    cr_assert_eq(RUN(NULL, "--resume", "--epochs", "2", "--generate", "0"), 0, "%s", output);
    cr_assert_eq(
        RUN(NULL, "--resume", "--epochs", "2", "--generate", "0", "--checkpoint", "other", "--lr", "0.01"), 0,
        "%s", output);
    cr_assert_not_null(sample_difference("char_lm.safetensors", "other"));
}

/* Without dropout nothing but generation depends on the seed; and text alone may be drawn with any. */
Test(char_lm_resume, another_seed_is_for_text_alone)
{
    train_once();
    cr_assert_eq(RUN(NULL, "--resume", "--epochs", "0", "--generate", "3", "--seed", "2"), 0, "%s", output);
    cr_assert(strstr(output, "resume: seed 1 -> 2\n"), "%s", output);
}

Test(char_lm_resume, options_that_are_not_given_are_those_of_the_first_run)
{
    static const char *const all[] = {"--cell", "gru",        "--seed",  "7",    "--dropout", "0.3",
                                      "--clip", "0.1",        "--lower", "--lr", "0.05",      "--validation",
                                      "0.25",   "--generate", "0",       NULL};
    const char *options[64];
    int n = 0;
    for (const char *const *p = small; *p; p++)
        options[n++] = *p;
    for (const char *const *p = all; *p; p++)
        options[n++] = *p;
    options[n] = NULL;
    cr_assert_eq(RUN(options, "--epochs", "4", "--checkpoint", "whole"), 0, "%s", output);
    cr_assert_eq(RUN(options, "--epochs", "2", "--checkpoint", "parts"), 0, "%s", output);
    cr_assert_eq(RUN(NULL, "--resume", "--epochs", "4", "--generate", "0", "--checkpoint", "parts"), 0, "%s",
                 output);
    const char *name = sample_difference("whole", "parts");
    cr_assert_null(name, "%s differs", name);
    name = sample_difference("whole.best", "parts.best");
    cr_assert_null(name, "%s of the best differs", name);
}

/* The clock ends the first part somewhere within its only epoch. */
Test(char_lm_resume, a_run_goes_on_in_the_middle_of_an_epoch)
{
    static const char *const long_text[] = {"--text",     CLSEQ_SOURCE_DIR "/include/clseq/graph.h",
                                            "--hidden",   "12",
                                            "--batch",    "4",
                                            "--steps",    "8",
                                            "--dropout",  "0.2",
                                            "--generate", "0",
                                            NULL};
    cr_assert_eq(RUN(long_text, "--epochs", "1", "--checkpoint", "whole"), 0, "%s", output);
    cr_assert_eq(RUN(long_text, "--minutes", "0.001", "--checkpoint", "parts"), 0, "%s", output);
    cr_assert(strstr(output, ", a part of it:"), "%s", output);
    cr_assert_eq(RUN(NULL, "--resume", "--epochs", "1", "--checkpoint", "parts", "--generate", "0"), 0, "%s",
                 output);
    cr_assert_not(strstr(output, "window 0 of"), "%s", output);
    const char *name = sample_difference("whole", "parts");
    cr_assert_null(name, "%s differs", name);
}

Test(char_lm_resume, another_text_is_refused)
{
    char text[2400];
    FILE *file = fopen("text", "rb");
    cr_assert_eq(fread(text, 1, sizeof text, file), sizeof text);
    fclose(file);
    train_once();
    sample_write("moved", text, sizeof text);
    cr_assert_eq(RUN(NULL, "--resume", "--epochs", "2", "--generate", "0", "--text", "moved"), 0, "%s",
                 output);
    text[sizeof text - 1] = 'H'; /* of the same size and letters, another at the very end */
    sample_write("other", text, sizeof text);
    cr_assert_eq(RUN(NULL, "--resume", "--epochs", "3", "--generate", "0", "--text", "other"), 1, "%s",
                 output);
    cr_assert(strstr(output, "is not the text that the run in char_lm.safetensors learns from"), "%s",
              output);
    cr_assert_eq(remove("moved"), 0);
    cr_assert_eq(RUN(NULL, "--resume", "--epochs", "3", "--generate", "0"), 1, "%s", output);
    cr_assert(strstr(output, "moved, which is no file now; give it with --text"), "%s", output);
}

/* What a damaged or hostile file may say. */
Test(char_lm_resume, damaged_settings_are_named)
{
    static const struct {
        const char *key, *value;
    } cases[] = {
        {"epoch", "99999999999999999999"},
        {"epoch", "-1"},
        {"epoch", "9223372036854775807"},
        {"epoch", "nan"},
        {"epoch", ""},
        {"epoch", "1.5"},
        {"window", "1000"},
        {"window", "-1"},
        {"first_loss", "nan"},
        {"first_loss", "-1e40"},
        {"loss", "inf"},
        {"seconds", "1e300"},
        {"seconds", "-5"},
        {"best_loss", "NaN"},
        {"best_step", "1e30"},
        {"hidden", "0"},
        {"hidden", "12 "},
        {"layers", "100000000"},
        {"cell", "\\u001b[31mred"},
        {"lr", "0x1p-3"},
        {"seed", "-1"},
        {"seed", "18446744073709551616"},
        {"lower", "2"},
        {"dropout", "1"},
    };
    train_once();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cr_assert_eq(system("cp char_lm.safetensors bad"), 0);
        sample_set_meta("bad", cases[i].key, cases[i].value);
        cr_expect_eq(RUN(NULL, "--resume", "--epochs", "2", "--generate", "0", "--checkpoint", "bad"), 1,
                     "%s %s: %s", cases[i].key, cases[i].value, output);
        cr_expect(strstr(output, "bad is damaged: its \""), "%s %s: %s", cases[i].key, cases[i].value,
                  output);
        cr_expect(strstr(output, cases[i].key), "%s %s: %s", cases[i].key, cases[i].value, output);
        cr_expect_not(strchr(output, '\x1b'), "%s %s: %s", cases[i].key, cases[i].value, output);
    }
    cr_expect(strstr(output, "its \"dropout\" is \"1\", expected a real number from 0 to 0.95"), "%s",
              output);
}

Test(char_lm_resume, a_checkpoint_of_another_program_is_named)
{
    train_once();
    sample_set_meta("char_lm.safetensors", "text_hash", "\",\"nothing\":\"");
    cr_assert_eq(RUN(NULL, "--resume", "--epochs", "2"), 1, "%s", output);
    sample_set_meta("char_lm.safetensors", "lower", "\",\"lowest\":\"");
    cr_assert_eq(RUN(NULL, "--resume", "--epochs", "2"), 1, "%s", output);
    cr_assert_eq(system("printf '\\002\\0\\0\\0\\0\\0\\0\\0{}' >empty"), 0);
    cr_assert_eq(RUN(NULL, "--resume", "--epochs", "2", "--checkpoint", "empty"), 1, "%s", output);
    cr_assert(strstr(output, "empty: nothing says \"lower\""), "%s", output);
}
