/* samples/char_lm as a user runs it: what it prints, which files it writes, how it ends. */
#include "support/device.h"
#include "support/sample.h"
#include "train/safetensors.h"
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define RUN SAMPLE
#define output sample_output
#define small sample_small

TestSuite(char_lm, .init = sample_setup, .fini = sample_teardown);

Test(char_lm, learns_writes_its_files_and_generates)
{
    cr_assert_eq(RUN(small, "--epochs", "6", "--generate", "40", "--prompt", "Hello", "--top-k", "3"), 0,
                 "%s", output);
    cr_assert(strstr(output, "validation"), "%s", output);
    cr_assert(strstr(output, "generated from \"Hello\""), "%s", output);
    cr_assert(strstr(output, "wrote char_lm.safetensors and char_lm.csv"), "%s", output);
    cr_assert(sample_exists("char_lm.safetensors"));
    FILE *metrics = fopen("char_lm.csv", "r");
    char line[256];
    int lines = 0;
    cr_assert_not_null(metrics);
    cr_assert(fgets(line, sizeof line, metrics));
    cr_assert(strncmp(line, "step,epoch,", 11) == 0, "%s", line);
    while (fgets(line, sizeof line, metrics))
        lines++;
    fclose(metrics);
    cr_assert(lines >= 12, "%d lines", lines);

    /* Text alone from the checkpoint, the same every time. */
    char first[SAMPLE_OUTPUT];
    cr_assert_eq(RUN(small, "--resume", "--epochs", "0", "--generate", "30"), 0, "%s", output);
    memcpy(first, output, sizeof first);
    cr_assert_eq(RUN(small, "--resume", "--epochs", "0", "--generate", "30"), 0, "%s", output);
    cr_assert_str_eq(first, output);
    cr_assert(strstr(output, "----\n"), "%s", output);
}

Test(char_lm, says_what_is_wrong_with_its_input)
{
    sample_write("empty", "", 0);
    sample_write("short", "too short", 9);
    sample_write("broken", "this is no checkpoint", 21);
    const struct {
        const char *option, *value, *says;
    } cases[] = {
        {"--text", "no/such/file", "No such file"},
        {"--text", "empty", "empty"},
        {"--text", "short", "too few"},
        {"--text", "/tmp", "cannot read"},
        {"--cell", "perceptron", "--cell"},
        {"--device", "no such device", "no such device"},
        {"--metrics", "/no/folder/x", "No such file"},
        {"--checkpoint", "/no/folder/x", "No such file"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cr_expect_eq(RUN(small, "--epochs", "1", "--generate", "0", cases[i].option, cases[i].value), 1,
                     "%s %s: %s", cases[i].option, cases[i].value, output);
        cr_expect(strstr(output, cases[i].says), "%s %s: %s", cases[i].option, cases[i].value, output);
    }
    cr_expect_eq(RUN(small, "--resume", "--checkpoint", "broken"), 1);
    cr_expect(strstr(output, "broken"), "%s", output);
    cr_expect_eq(RUN(small, "--resume", "--checkpoint", "missing"), 1);
    cr_expect(strstr(output, "missing"), "%s", output);
    cr_expect_neq(RUN(small, "--epochs", "many"), 0);
    cr_expect_neq(RUN(small, "--hidden", "0"), 0);
    cr_expect_neq(RUN(small, "--no-such-option"), 0);
}

Test(char_lm, help_tells_options_and_their_defaults)
{
    static const char *const parts[] = {"--device=SEL",  "--patience=N", "learning rate (0.004)",
                                        "cell (lstm)",   "--lower ",     "(2, or",
                                        "(char_lm.csv)", "of each (256)"};
    cr_assert_eq(RUN(NULL, "--help"), 0, "%s", output);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        cr_expect(strstr(output, parts[i]), "%s: %s", parts[i], output);
    cr_expect_not(strstr(output, "(-1)"), "%s", output);
}

Test(char_lm, a_prompt_with_foreign_bytes_is_named)
{
    cr_assert_eq(RUN(small, "--epochs", "1", "--generate", "5", "--prompt", "Q"), 1, "%s", output);
    cr_assert(strstr(output, "0x51"), "%s", output);
}

/* Puts NaN over the first element of a tensor of a checkpoint, which then has no checksum that would tell. */
static void spoil(const char *path, const char *name)
{
    const float nan = NAN;
    clseq__st_reader *r = NULL;
    char text[4096] = "", key[64];
    struct stat info;
    uint64_t data = 0;
    cr_assert_eq(clseq__st_open(path, &r), CLSEQ_OK);
    for (size_t i = 0; i < clseq__st_count(r); i++)
        data = clseq__st_at(r, i)->end;
    cr_assert_eq(stat(path, &info), 0);
    FILE *file = fopen(path, "rb+");
    snprintf(key, sizeof key, "\"" CLSEQ__ST_CHECKSUM "%s\"", name);
    cr_assert_eq(fseek(file, 8, SEEK_SET), 0); /* the header's text */
    cr_assert_gt(fread(text, 1, sizeof text - 1, file), 0);
    const char *place = strstr(text, key);
    cr_assert_not_null(place);
    cr_assert_eq(fseek(file, 8 + (long)(place - text) + 1, SEEK_SET), 0);
    cr_assert_eq(fputc('x', file), 'x');
    cr_assert_eq(
        fseek(file, (long)((uint64_t)info.st_size - data + clseq__st_find(r, name)->begin), SEEK_SET), 0);
    cr_assert_eq(fwrite(&nan, sizeof nan, 1, file), 1);
    fclose(file);
    clseq__st_close(r);
}

Test(char_lm, stops_when_the_loss_is_not_finite_and_keeps_the_checkpoint)
{
    cr_assert_eq(RUN(small, "--epochs", "2", "--generate", "0"), 0, "%s", output);
    spoil("char_lm.safetensors", "out.bias");
    cr_assert_eq(system("cp char_lm.safetensors before"), 0);
    cr_assert_eq(RUN(small, "--epochs", "4", "--resume", "--generate", "0"), 1, "%s", output);
    cr_assert(strstr(output, "no longer finite"), "%s", output);
    cr_assert_eq(system("cmp -s char_lm.safetensors before"), 0);
}

Test(char_lm, a_loss_that_does_not_fall_is_a_failure)
{
    char noise[2400];
    uint32_t state = 1;
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (char)('a' + ((state = state * 1664525u + 1013904223u) >> 24) % 26);
    sample_write("noise", noise, sizeof noise);
    /* A rate at which the first steps throw the weights far away. */
    cr_assert_eq(RUN(small, "--text", "noise", "--lr", "10", "--epochs", "1", "--generate", "0"), 1, "%s",
                 output);
    cr_assert(strstr(output, "did not fall"), "%s", output);
}

Test(char_lm, a_run_of_one_step_has_one_loss_which_cannot_fall)
{
    const char text[] =
        "Hello there, hello. Hello there, h"; /* one window of 4*8 characters and their targets */
    sample_write("one", text, sizeof text - 1);
    cr_assert_eq(RUN(small, "--text", "one", "--validation", "0", "--epochs", "1", "--generate", "0"), 0,
                 "%s", output);
}

/* Three steps are one report, which is the first and the last one: it is compared with the loss of the first step. */
Test(char_lm, a_short_run_is_compared_with_its_first_step)
{
    char text[99];
    double loss[4];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = "abc"[i % 3];
    sample_write("three", text, sizeof text);
    cr_assert_eq(RUN(small, "--text", "three", "--validation", "0", "--epochs", "1", "--generate", "0"), 0,
                 "%s", output);
    cr_assert_eq(sample_metrics("char_lm.csv", "loss", loss, 4), 1);
}
