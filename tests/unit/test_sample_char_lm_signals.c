/* samples/char_lm and signals: what a shell sees, and that nothing is lost. */
#include "support/sample.h"
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define RUN SAMPLE
#define output sample_output
#define small sample_small

TestSuite(char_lm_signals, .init = sample_setup, .fini = sample_teardown);

static const char *const endless[] = {"--epochs", "1000000", NULL};

Test(char_lm_signals, each_of_them_saves_and_has_its_exit_code)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        remove("char_lm.safetensors");
        pid_t child = sample_start(small, endless, &(sample_options){0});
        sample_wait_for("char_lm.safetensors");
        kill(child, signals[i]);
        cr_expect_eq(sample_finish(child), 128 + signals[i], "%s", output);
        cr_expect(strstr(output, "wrote char_lm.safetensors"), "%s", output);
        cr_expect_not(strstr(output, "generated"), "%s", output);
        cr_expect_eq(RUN(NULL, "--resume", "--epochs", "0", "--generate", "0"), 0, "%s", output);
    }
}

/*
 * Nothing is compiled yet, and PoCL runs a linker for its kernels. A terminal sends Ctrl-C to all processes of the
 * group, and a linker that it kills must not look like a kernel that does not compile. The one in `tools` presses it.
 */
Test(char_lm_signals, an_early_one_is_no_failure_of_the_compiler)
{
    static const char script[] = "#!/bin/sh\ntouch linked\nkill -INT 0\nexec /usr/bin/ld \"$@\"\n";
    static const char *const short_run[] = {"--epochs", "1", "--generate", "0", NULL};
    cr_assert_eq(mkdir("cache", 0700), 0);
    cr_assert_eq(mkdir("tools", 0700), 0);
    sample_write("tools/ld", script, sizeof script - 1);
    cr_assert_eq(chmod("tools/ld", 0700), 0);
    int code = sample_finish(sample_start(
        small, short_run, &(sample_options){.own_group = true, .pocl_cache = "cache", .tools = "tools"}));
    if (!sample_exists("linked"))
        cr_skip("this OpenCL implementation runs no linker");
    cr_assert_eq(code, 130, "%s", output);
    cr_assert_not(strstr(output, "compile with"), "%s", output);
    cr_assert_not(sample_exists("char_lm.safetensors"));
}

/* From the first instant on; before there is a handler a signal kills, which a shell reports with the same number. */
Test(char_lm_signals, at_any_time_of_the_start_it_is_130)
{
    for (int milliseconds = 0; milliseconds <= 300; milliseconds += 60) {
        pid_t child = sample_start(small, endless, &(sample_options){.own_group = true});
        nanosleep(&(struct timespec){.tv_nsec = 20000000 + milliseconds * 1000000L}, NULL);
        kill(-child, SIGINT);
        cr_expect_eq(sample_finish(child), 130, "after %d ms: %s", milliseconds, output);
    }
}
