/* A run on a terminal: one line that is rewritten in place. */
#include "support/run_case.h"
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

TestSuite(run_terminal, .init = run_case_setup, .fini = run_case_teardown);

static char shown[1 << 14];

/* What the program's end of a terminal got, which was told to leave line ends alone. */
static FILE *open_terminal(int *other)
{
    struct termios how;
    *other = posix_openpt(O_RDWR | O_NOCTTY);
    cr_assert(*other >= 0 && grantpt(*other) == 0 && unlockpt(*other) == 0);
    FILE *out = fdopen(open(ptsname(*other), O_WRONLY | O_NOCTTY), "w");
    cr_assert_not_null(out);
    cr_assert_eq(tcgetattr(fileno(out), &how), 0);
    how.c_oflag &= ~(tcflag_t)OPOST;
    cr_assert_eq(tcsetattr(fileno(out), TCSANOW, &how), 0);
    return out;
}

static void read_terminal(int other)
{
    size_t size = 0;
    ssize_t got = 0;
    cr_assert_eq(fcntl(other, F_SETFL, O_NONBLOCK), 0);
    while ((got = read(other, shown + size, sizeof shown - 1 - size)) > 0)
        size += (size_t)got;
    shown[size] = '\0';
}

static double third(double loss)
{
    return loss / 3;
}

Test(run_terminal, a_bar_is_rewritten_and_gives_way_to_lines)
{
    static const double judged[] = {0.5, 0.25};
    static const clseq_run_column column = {"thirds_per_unit", third};
    int other = -1;
    run_case c;
    FILE *out = open_terminal(&other);
    run_case_begin(&c, &(clseq_run_desc){
                           .epochs = 2, .unit = "unit", .columns = &column, .column_count = 1, .out = out});
    c.judged = judged;
    run_case_train(&c);
    read_terminal(other);
    static const char *const parts[] = {"\repoch 1 [########################] loss ",
                                        " thirds/unit  ",
                                        " units/s  0:",
                                        " left \033[K",
                                        "\r\033[Kepoch 1: loss ",
                                        ", validation 0.5000 (0.167 thirds/unit)\n",
                                        "\repoch 2 [########################] loss ",
                                        "\r\033[Kepoch 2: loss "};
    const char *at = shown;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        cr_assert(at = strstr(at, parts[i]), "\"%s\" does not follow in: %s", parts[i], shown);
    run_case_end(&c);
    fclose(out);
    close(other);
}

/* A run that ends within an epoch leaves its bar, and what comes next begins a line. */
Test(run_terminal, the_last_bar_stays)
{
    int other = -1;
    run_case c;
    FILE *out = open_terminal(&other);
    run_case_begin(&c, &(clseq_run_desc){.steps = RUN_CASE_EPOCH / 2, .out = out});
    while (!clseq_run_is_over(c.run))
        cr_assert_eq(run_case_step(&c), CLSEQ_OK);
    cr_assert_eq(clseq_run_finish(c.run, NULL), CLSEQ_OK);
    read_terminal(other);
    const char *bar = strstr(shown, "\repoch 1 [##########..............] loss ");
    cr_assert_not_null(bar, "%s", shown);
    cr_assert_str_eq(shown + strlen(shown) - 4, "\033[K\n");
    run_case_end(&c);
    fclose(out);
    close(other);
}
