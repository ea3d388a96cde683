/* Signals that ask a run to end: processes of their own, as what they set lasts as long as the process. */
#include "support/graph.h"
#include "support/run_case.h"
#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void setup(void)
{
    /* Without the context that run_case_setup makes: no thread is there before the signals are watched. */
    char folder[] = "/tmp/clseq-test-XXXXXX";
    cr_assert_not_null(mkdtemp(folder));
    cr_assert_eq(chdir(folder), 0);
}

static void teardown(void)
{
    char folder[512];
    cr_assert_not_null(getcwd(folder, sizeof folder));
    cr_assert_eq(chdir("/"), 0);
    cr_assert(strstr(folder, "clseq-test-"));
    char command[600];
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    cr_assert_eq(system(command), 0);
}

TestSuite(run_signals, .init = setup, .fini = teardown);

static const int all[] = {SIGINT, SIGTERM, SIGHUP};

/* How a process that runs `work` ended, as a shell says it; what it wrote to stderr is in the file "said". */
static int run_process(int (*work)(int number), int number)
{
    int status = 0;
    const pid_t child = fork();
    if (child == 0) {
        const int said = open("said", O_WRONLY | O_CREAT | O_TRUNC, 0600);
        dup2(said, STDERR_FILENO);
        signal(SIGHUP, SIG_DFL);
        alarm(20);
        _exit(work(number));
    }
    cr_assert(child > 0 && waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void pause_briefly(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static int is_asked(int number)
{
    if (clseq_signals_watch("bye\n") != CLSEQ_OK)
        return 1;
    clseq_signals_defer();
    if (clseq_signals_came() != 0)
        return 2;
    kill(getpid(), number);
    while (clseq_signals_came() == 0)
        pause_briefly();
    return clseq_signals_came() == number ? 0 : 3;
}

static int is_ended_by_the_second(int number)
{
    if (is_asked(number) != 0)
        return 1;
    kill(getpid(), number);
    for (;;)
        pause_briefly();
}

static int is_ended_before_there_is_something_to_save(int number)
{
    if (clseq_signals_watch("bye\n") != CLSEQ_OK)
        return 1;
    kill(getpid(), number);
    for (;;)
        pause_briefly();
}

Test(run_signals, the_first_asks)
{
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        cr_expect_eq(run_process(is_asked, all[i]), 0);
        cr_expect_str_eq(run_case_read("said"), "");
    }
}

Test(run_signals, the_second_ends)
{
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        cr_expect_eq(run_process(is_ended_by_the_second, all[i]), 128 + all[i]);
}

Test(run_signals, an_early_one_ends_with_a_farewell)
{
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        cr_expect_eq(run_process(is_ended_before_there_is_something_to_save, all[i]), 128 + all[i]);
        cr_expect_str_eq(run_case_read("said"), "bye\n");
    }
}

static int watches_twice(int number)
{
    (void)number;
    return clseq_signals_watch(NULL) == CLSEQ_OK && clseq_signals_watch(NULL) == CLSEQ_INVALID_STATE &&
                   strstr(clseq_last_error(), "watched already")
               ? 0
               : 1;
}

Test(run_signals, they_are_watched_once)
{
    cr_assert_eq(run_process(watches_twice, 0), 0);
}

/* As under nohup. */
static int ignores_hangups(int number)
{
    signal(number, SIG_IGN);
    if (clseq_signals_watch(NULL) != CLSEQ_OK)
        return 1;
    clseq_signals_defer();
    kill(getpid(), number);
    nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    return clseq_signals_came();
}

Test(run_signals, a_hangup_that_is_ignored_stays_ignored)
{
    cr_assert_eq(run_process(ignores_hangups, SIGHUP), 0);
}

static int writes_to_a_closed_pipe(int number)
{
    int ends[2];
    (void)number;
    if (clseq_signals_watch(NULL) != CLSEQ_OK || pipe(ends) != 0)
        return 1;
    close(ends[0]);
    return write(ends[1], "x", 1) == -1 ? 0 : 2;
}

Test(run_signals, a_reader_who_leaves_is_a_write_that_fails)
{
    cr_assert_eq(run_process(writes_to_a_closed_pipe, 0), 0);
}

/* In a run: the first step defers, a signal in the third ends it, and it is saved. */
static int trains(int number)
{
    run_case c;
    alarm(300); /* kernels may have to be compiled */
    if (clseq_signals_watch(NULL) != CLSEQ_OK)
        return 1;
    run_case_setup();
    run_case_begin(&c, &(clseq_run_desc){.checkpoint = "x", .epochs = 1000000});
    while (!clseq_run_is_over(c.run)) {
        if (clseq_run_progress(c.run).steps == 2)
            kill(getpid(), number);
        if (run_case_step(&c) != CLSEQ_OK)
            return 2;
        if (clseq_run_progress(c.run).epoch_steps == RUN_CASE_EPOCH &&
            clseq_run_end_epoch(c.run, NULL) != CLSEQ_OK)
            return 3;
    }
    if (clseq_run_is_within_epoch(c.run)) /* there is no time to validate */
        return 4;
    if (clseq_run_finish(c.run, NULL) != CLSEQ_OK)
        return 5;
    const int64_t steps = clseq_run_progress(c.run).steps;
    run_case_end(&c);
    run_case_begin(&c, &(clseq_run_desc){.checkpoint = "x", .resume = true});
    const bool saved = clseq_run_progress(c.run).steps == steps && steps >= 3;
    run_case_end(&c);
    run_case_teardown();
    return saved ? 128 + clseq_signals_came() : 6;
}

Test(run_signals, a_run_that_is_asked_to_end_is_saved)
{
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        cr_expect_eq(run_process(trains, all[i]), 128 + all[i]);
}
