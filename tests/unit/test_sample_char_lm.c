/* samples/char_lm as a user runs it: what it prints, which files it writes, how it ends. */
#include "support/compare.h"
#include "support/device.h"
#include "train/safetensors.h"
#include <criterion/criterion.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_ARGUMENTS = 64, OUTPUT = 1 << 16 };

static char folder[] = "/tmp/clseq-char-lm-XXXXXX";
static char output[OUTPUT]; /* of the last run, both streams */

/* Small enough for a second or two; the text repeats, so that there is something to learn. */
static const char *const small[] = {"--text",   "text", "--hidden",     "12",  "--embedding", "6",
                                    "--layers", "1",    "--batch",      "4",   "--steps",     "8",
                                    "--lr",     "0.02", "--validation", "0.2", NULL};

static void write_file(const char *name, const char *text, size_t size)
{
    FILE *file = fopen(name, "wb");
    cr_assert_not_null(file);
    cr_assert_eq(fwrite(text, 1, size, file), size);
    fclose(file);
}

static void setup(void)
{
    char text[2400];
    cr_assert(mkdtemp(folder));
    cr_assert_eq(chdir(folder), 0);
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = "Hello there, hello. "[i % 20];
    write_file("text", text, sizeof text);
}

static void teardown(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", folder);
    cr_assert_eq(system(command), 0);
}

TestSuite(char_lm, .init = setup, .fini = teardown);

/* Starts the sample with `first` (NULL-terminated, may be NULL) and then `rest`. */
static pid_t start(const char *const *first, const char *const *rest)
{
    const char *arguments[MAX_ARGUMENTS] = {CLSEQ_SAMPLES "/char_lm"};
    int n = 1;
    for (; first && *first; first++)
        arguments[n++] = *first;
    for (; rest && *rest; rest++)
        arguments[n++] = *rest;
    pid_t child = fork();
    if (child == 0) {
        int file = open("output", O_WRONLY | O_CREAT | O_TRUNC, 0600);
        dup2(file, STDOUT_FILENO);
        dup2(file, STDERR_FILENO);
        execv(arguments[0], (char *const *)arguments);
        _exit(127);
    }
    cr_assert(child > 0);
    return child;
}

/* Its exit code, -1 when a signal killed it; `output` holds what it printed. */
static int finish(pid_t child)
{
    int status = 0;
    cr_assert_eq(waitpid(child, &status, 0), child);
    FILE *file = fopen("output", "rb");
    output[fread(output, 1, sizeof output - 1, file)] = 0;
    fclose(file);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#define RUN(first, ...) finish(start((first), (const char *const[]){__VA_ARGS__, NULL}))

static bool exists(const char *name)
{
    return access(name, F_OK) == 0;
}

Test(char_lm, learns_writes_its_files_and_generates)
{
    cr_assert_eq(RUN(small, "--epochs", "6", "--generate", "40", "--prompt", "Hello", "--top-k", "3"), 0,
                 "%s", output);
    cr_assert(strstr(output, "validation"), "%s", output);
    cr_assert(strstr(output, "generated from \"Hello\""), "%s", output);
    cr_assert(strstr(output, "wrote char_lm.safetensors and char_lm.csv"), "%s", output);
    cr_assert(exists("char_lm.safetensors"));
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
    char first[OUTPUT];
    cr_assert_eq(RUN(small, "--resume", "--epochs", "0", "--generate", "30"), 0, "%s", output);
    memcpy(first, output, sizeof first);
    cr_assert_eq(RUN(small, "--resume", "--epochs", "0", "--generate", "30"), 0, "%s", output);
    cr_assert_str_eq(first, output);
    cr_assert(strstr(output, "----\n"), "%s", output);
}

/* All tensors of two checkpoints are equal bit for bit. */
static void expect_same_tensors(const char *left, const char *right)
{
    clseq__st_reader *a = NULL, *b = NULL;
    cr_assert_eq(clseq__st_open(left, &a), CLSEQ_OK, "%s", clseq_last_error());
    cr_assert_eq(clseq__st_open(right, &b), CLSEQ_OK, "%s", clseq_last_error());
    cr_assert_eq(clseq__st_count(a), clseq__st_count(b));
    for (size_t i = 0; i < clseq__st_count(a); i++) {
        const clseq__st_entry *p = clseq__st_at(a, i), *q = clseq__st_find(b, p->name);
        cr_assert_not_null(q, "%s", p->name);
        size_t size = (size_t)(p->end - p->begin);
        cr_assert_eq(size, q->end - q->begin);
        float *x = malloc(size), *y = malloc(size);
        cr_assert_eq(clseq__st_read(a, p, x), CLSEQ_OK);
        cr_assert_eq(clseq__st_read(b, q, y), CLSEQ_OK);
        cr_assert(compare_bits(p->name, x, y, size / sizeof *x), "%s", compare_message());
        free(x);
        free(y);
    }
    clseq__st_close(a);
    clseq__st_close(b);
}

Test(char_lm, a_run_that_is_interrupted_and_resumed_equals_one_that_was_not)
{
    const char *const epochs = test_small() ? "6" : "60"; /* enough for the interrupt to come in between */
    const char *const plain[] = {"--dropout", "0.2",          "--epochs", epochs, "--generate",
                                 "0",         "--checkpoint", "whole",    NULL};
    const char *const parts[] = {"--dropout", "0.2",          "--epochs", epochs, "--generate",
                                 "0",         "--checkpoint", "parts",    NULL};
    cr_assert_eq(finish(start(small, plain)), 0, "%s", output);

    pid_t child = start(small, parts);
    for (int i = 0; i < 30000 && !exists("parts"); i++) /* until the first epoch is saved */
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    kill(child, SIGINT);
    int code = finish(child);
    cr_assert(code == 130 || code == 0, "%d: %s", code, output);
    cr_assert_eq(RUN(small, "--dropout", "0.2", "--epochs", epochs, "--generate", "0", "--checkpoint",
                     "parts", "--resume"),
                 0, "%s", output);
    cr_assert(strstr(output, "resumed parts"), "%s", output);
    expect_same_tensors("whole", "parts");
}

Test(char_lm, says_what_is_wrong_with_its_input)
{
    write_file("empty", "", 0);
    write_file("short", "too short", 9);
    write_file("broken", "this is no checkpoint", 21);
    const struct {
        const char *option, *value, *says;
    } cases[] = {
        {"--text", "no/such/file", "No such file"},
        {"--text", "empty", "empty"},
        {"--text", "short", "too few"},
        {"--text", "/tmp", "cannot read"},
        {"--cell", "perceptron", "--cell"},
        {"--device", "no such device", "no such device"},
        {"--metrics", "/no/folder/x", "cannot write"},
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

Test(char_lm, a_prompt_with_foreign_bytes_is_named)
{
    cr_assert_eq(RUN(small, "--epochs", "1", "--generate", "5", "--prompt", "Q"), 1, "%s", output);
    cr_assert(strstr(output, "0x51"), "%s", output);
}

/* Puts NaN over the first element of a tensor of a checkpoint. */
static void spoil(const char *path, const char *name)
{
    const float nan = NAN;
    clseq__st_reader *r = NULL;
    struct stat info;
    uint64_t data = 0;
    cr_assert_eq(clseq__st_open(path, &r), CLSEQ_OK);
    for (size_t i = 0; i < clseq__st_count(r); i++)
        data = clseq__st_at(r, i)->end;
    cr_assert_eq(stat(path, &info), 0);
    FILE *file = fopen(path, "rb+");
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
    write_file("noise", noise, sizeof noise);
    /* One window an epoch, no learning to speak of, and noise: the two losses differ by chance only. */
    cr_assert_eq(RUN(small, "--text", "noise", "--lr", "1e-9", "--epochs", "1", "--generate", "0"), 1, "%s",
                 output);
    cr_assert(strstr(output, "did not fall"), "%s", output);
}
