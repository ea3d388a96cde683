/* samples/char_lm and its files: what it refuses before it trains, writes that fail, and the best checkpoint. */
#include "support/sample.h"
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#define RUN SAMPLE
#define output sample_output
#define small sample_small

TestSuite(char_lm_files, .init = sample_setup, .fini = sample_teardown);

/* Refused with exit code 1 and a sentence, and not after an epoch. */
static void expect_refused(const char *option, const char *value, const char *says)
{
    cr_expect_eq(RUN(small, "--epochs", "1", "--generate", "3", option, value), 1, "%s %s: %s", option, value,
                 output);
    cr_expect(strstr(output, says), "%s %s: %s", option, value, output);
    cr_expect(strstr(output, option + 2), "%s %s: %s", option, value, output);
    cr_expect_not(strstr(output, "epoch 1"), "%s %s: %s", option, value, output);
}

static void make_socket(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    strcpy(address.sun_path, name);
    cr_assert_eq(bind(s, (struct sockaddr *)&address, sizeof address), 0);
    close(s);
}

Test(char_lm_files, what_cannot_be_written_is_refused_before_training)
{
    /* A node of its own, as the one in /dev would be lost if this failed. */
    const char *device = mknod("null", S_IFCHR | 0666, makedev(1, 3)) == 0 ? "null" : "/dev/null";
    cr_assert_eq(mkdir("folder", 0700), 0);
    cr_assert_eq(mkfifo("fifo", 0600), 0);
    cr_assert_eq(symlink("nowhere", "link"), 0);
    make_socket("socket");
    const struct {
        const char *option, *value, *says;
    } cases[] = {
        {"--checkpoint", device, "is a character device"},
        {"--checkpoint", "", "the path is empty"},
        {"--checkpoint", "folder", "is a folder"},
        {"--checkpoint", "new/", "No such file"},
        {"--checkpoint", "fifo", "is a pipe"},
        {"--checkpoint", "socket", "is a socket"},
        {"--checkpoint", "link", "symbolic link to nothing"},
        {"--checkpoint", "missing/x", "No such file"},
        {"--checkpoint", "text/x", "Not a directory"},
        {"--metrics", "", "the path is empty"},
        {"--metrics", "folder", "is a folder"},
        {"--metrics", "fifo", "is a pipe"},
        {"--metrics", "missing/x", "No such file"},
        {"--prompt", "Q", "byte 0x51"},
        {"--prompt", "\xc3\xbc", "byte 0xc3"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_refused(cases[i].option, cases[i].value, cases[i].says);
    cr_assert_eq(mkdir("x.best.y", 0700), 0);
    expect_refused("--checkpoint", "x.y", "checkpoint x.best.y: is a folder");
}

Test(char_lm_files, a_folder_without_the_right_to_write_is_refused)
{
    if (geteuid() == 0)
        cr_skip("root may write everywhere");
    cr_assert_eq(mkdir("locked", 0500), 0);
    expect_refused("--checkpoint", "locked/x", "Permission denied");
}

Test(char_lm_files, files_that_are_the_same_are_refused)
{
    cr_assert_eq(symlink("text", "same"), 0);
    cr_assert_eq(link("text", "other"), 0);
    expect_refused("--checkpoint", "text", "overwrite");
    expect_refused("--checkpoint", "./same", "overwrite");
    expect_refused("--metrics", "other", "overwrite");
    expect_refused("--metrics", "./char_lm.safetensors", "expected another file");
    expect_refused("--metrics", "char_lm.best.safetensors", "expected another file");
    cr_assert_eq(RUN(NULL, "--text", "text", "--checkpoint", "x.best", "--metrics", "y/../x.best"), 1);
}

Test(char_lm_files, null_is_a_fine_place_for_metrics)
{
    cr_assert_eq(RUN(small, "--epochs", "1", "--generate", "0", "--metrics", "/dev/null"), 0, "%s", output);
}

Test(char_lm_files, metrics_that_cannot_be_written_end_the_run)
{
    cr_assert_eq(RUN(small, "--epochs", "1", "--generate", "0", "--metrics", "/dev/full"), 1, "%s", output);
    cr_assert(strstr(output, "cannot write metrics /dev/full: No space left"), "%s", output);
    cr_assert_not(strstr(output, "wrote"), "%s", output);
}

/* The disk is full in the middle of a run: its last state is saved, and it can go on. */
Test(char_lm_files, metrics_that_fill_the_disk_end_the_run_with_a_checkpoint)
{
    static const char *const more[] = {"--resume", "--epochs", "40", "--generate", "0", NULL};
    enum { LIMIT = 1 << 24 };
    char *rows = calloc(LIMIT, 1);
    struct stat info;
    cr_assert_eq(RUN(small, "--epochs", "1", "--generate", "0"), 0, "%s", output);
    cr_assert_eq(stat("char_lm.safetensors", &info), 0);
    cr_assert_lt(info.st_size, LIMIT);
    FILE *file = fopen("char_lm.csv", "rb");
    cr_assert_not_null(file);
    const size_t written = fread(rows, 1, LIMIT, file);
    fclose(file);
    memset(rows + written, '\n', LIMIT - written);
    sample_write("char_lm.csv", rows, LIMIT - 200);
    cr_assert_eq(sample_finish(sample_start(small, more, &(sample_options){.file_limit = LIMIT})), 1, "%s",
                 output);
    cr_assert(strstr(output, "cannot write metrics char_lm.csv: File too large"), "%s", output);
    cr_assert(strstr(output, "is saved in char_lm.safetensors"), "%s", output);
    cr_assert_eq(RUN(small, "--resume", "--epochs", "0", "--generate", "0"), 0, "%s", output);
    cr_assert_not(strstr(output, "epoch 2, window 0 "), "%s", output);
    free(rows);
}

Test(char_lm_files, standard_output_that_cannot_be_written_is_a_failure)
{
    static const char *const run[] = {"--epochs", "1", "--generate", "5", NULL};
    cr_assert_eq(sample_finish(sample_start(small, run, &(sample_options){.stdout_to = "/dev/full"})), 1,
                 "%s", output);
    cr_assert(strstr(output, "cannot write to standard output: No space left"), "%s", output);
}

/* Without training it is the text alone that says something. */
Test(char_lm_files, a_text_that_nobody_can_read_is_not_written_to_its_end)
{
    static const char *const endless[] = {"--epochs", "0", "--generate", "1000000000", NULL};
    cr_assert_eq(sample_finish(sample_start(small, endless, &(sample_options){.stdout_to = "/dev/full"})), 1,
                 "%s", output);
    cr_assert(strstr(output, "cannot write to standard output: No space left"), "%s", output);
    cr_assert_not(strstr(output, "saved"), "%s", output);
}

/* As when the output goes through `head`: the reader leaves, the run is saved. */
Test(char_lm_files, a_closed_pipe_ends_the_run_with_a_checkpoint)
{
    static const char *const run[] = {"--epochs", "1000000", "--generate", "5", NULL};
    char byte;
    cr_assert_eq(mkfifo("pipe", 0600), 0);
    pid_t child = sample_start(small, run, &(sample_options){.stdout_to = "pipe"});
    int reader = open("pipe", O_RDONLY);
    cr_assert(reader >= 0);
    cr_assert_eq(read(reader, &byte, 1), 1);
    sample_wait_for("char_lm.safetensors");
    close(reader);
    cr_assert_eq(sample_finish(child), 1, "%s", output);
    cr_assert(strstr(output, "Broken pipe; the run itself is saved in char_lm.safetensors"), "%s", output);
    cr_assert_eq(RUN(small, "--resume", "--epochs", "0", "--generate", "0"), 0, "%s", output);
}

static const char *generated(char text[SAMPLE_OUTPUT])
{
    sample_generated(text);
    cr_assert(*text, "%s", output);
    return text;
}

/* Letters drawn by chance are learnt by heart, and the rest of the text is not better for it. */
static void overfit(const char *option, const char *value)
{
    static const char *const options[] = {"--text",       "noise", "--hidden", "32", "--embedding", "8",
                                          "--batch",      "4",     "--steps",  "8",  "--lr",        "0.03",
                                          "--validation", "0.2",   "--epochs", "12", NULL};
    char noise[1600];
    uint32_t state = 1;
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (char)('a' + ((state = state * 1664525u + 1013904223u) >> 24) % 6);
    sample_write("noise", noise, sizeof noise);
    cr_assert_eq(RUN(options, "--generate", "40", option, value), 0, "%s", output);
}

Test(char_lm_files, the_best_checkpoint_is_kept_and_generated_from)
{
    char text[SAMPLE_OUTPUT], expected[SAMPLE_OUTPUT], sentence[128];
    double loss[16], steps[32];
    int best = 0;
    overfit(NULL, NULL);
    int count = sample_metrics("char_lm.csv", "validation_loss", loss, 16);
    cr_assert_eq(count, 12);
    for (int i = 1; i < count; i++)
        best = loss[i] < loss[best] ? i : best;
    cr_assert_lt(best, count - 1, "it did not overfit");
    cr_assert_eq(sample_metrics("char_lm.csv", "step", steps, 32), 24);
    snprintf(sentence, sizeof sentence,
             "a validation loss of %.4f at step %.0f, is in char_lm.best.safetensors", loss[best],
             steps[2 * best + 1]);
    cr_assert(strstr(output, sentence), "%s: %s", sentence, output);
    strcpy(expected, generated(text));

    cr_assert_eq(RUN(NULL, "--resume", "--epochs", "0", "--generate", "40"), 0, "%s", output);
    cr_assert(strstr(output, "back to step"), "%s", output);
    cr_assert_str_eq(generated(text), expected);
    cr_assert_eq(RUN(NULL, "--resume", "--epochs", "0", "--generate", "40", "--checkpoint",
                     "char_lm.best.safetensors"),
                 0, "%s", output);
    cr_assert_str_eq(generated(text), expected);

    cr_assert_eq(rename("char_lm.best.safetensors", "apart"), 0);
    cr_assert_eq(RUN(NULL, "--resume", "--epochs", "0", "--generate", "40"), 0, "%s", output);
    cr_assert(strstr(output, "is missing or of another run"), "%s", output);
    cr_assert_str_neq(generated(text), expected);
}

/* The same letters: the best is one of the first, and the run ends as many epochs later as it was told. */
Test(char_lm_files, patience_ends_a_run_that_learns_by_heart)
{
    double loss[16];
    int best = 0;
    overfit("--patience", "2");
    const int count = sample_metrics("char_lm.csv", "validation_loss", loss, 16);
    for (int i = 1; i < count; i++)
        best = loss[i] < loss[best] ? i : best;
    cr_assert_lt(count, 12);
    cr_assert_eq(count, best + 3, "%d epochs, the best is %d", count, best + 1);
    cr_assert(strstr(output, "the run ends\n"), "%s", output);
}

/* A best checkpoint that an earlier run left is not taken for this run's. */
Test(char_lm_files, the_best_of_another_run_is_not_used)
{
    overfit(NULL, NULL);
    sample_set_meta("char_lm.best.safetensors", "best_loss", "0.5");
    cr_assert_eq(RUN(NULL, "--resume", "--epochs", "0", "--generate", "5"), 0, "%s", output);
    cr_assert(strstr(output, "of another run"), "%s", output);
}

Test(char_lm_files, a_run_that_the_clock_ends_is_judged_too)
{
    double loss[4];
    cr_assert_eq(RUN(small, "--text", CLSEQ_SOURCE_DIR "/include/clseq/graph.h", "--minutes", "0.004",
                     "--generate", "0", "--validation", "0.1"),
                 0, "%s", output);
    cr_assert_geq(sample_metrics("char_lm.csv", "validation_loss", loss, 4), 1);
    cr_assert(sample_exists("char_lm.best.safetensors"));
}

Test(char_lm_files, the_list_of_samples_has_programs_only)
{
    cr_assert_eq(system(CLSEQ_SOURCE_DIR "/samples/run --list >list"), 0);
    cr_assert_eq(system("test \"$(wc -l <list)\" = \"$(ls " CLSEQ_SOURCE_DIR "/samples/*.c | wc -l)\" && "
                        "grep -q '^char_lm .*learns' list && ! grep -q common list"),
                 0);
}
