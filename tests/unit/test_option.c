/* Options: values from text and as text, of every kind. */
#include "support/comma.h"
#include "support/graph.h"
#include "support/run_case.h"
#include <criterion/criterion.h>
#include <float.h>
#include <limits.h>
#include <math.h>
#include <string.h>

static const char *colour_of(int index)
{
    static const char *const names[] = {"red", "green", "blue", NULL};
    return names[index];
}

/* A place of each kind. */
static const char *text;
static int64_t whole;
static double real;
static uint64_t seed;
static bool flag;
static int colour;

static const clseq_option options[] = {
    {.name = "text", .kind = CLSEQ_OPTION_TEXT, .value = &text},
    {.name = "whole", .kind = CLSEQ_OPTION_WHOLE, .value = &whole, .low = -3, .high = 9007199254740992.0},
    {.name = "real", .kind = CLSEQ_OPTION_REAL, .value = &real, .low = -1, .high = DBL_MAX},
    {.name = "seed", .kind = CLSEQ_OPTION_SEED, .value = &seed},
    {.name = "flag", .kind = CLSEQ_OPTION_FLAG, .value = &flag},
    {.name = "colour", .kind = CLSEQ_OPTION_NAME, .value = &colour, .name_of = colour_of},
};
enum { TEXT, WHOLE, REAL, SEED, FLAG, COLOUR };

Test(option, what_is_written_is_read_again)
{
    static const struct {
        int option;
        const char *text;
    } cases[] = {{TEXT, "any \x1b thing"},
                 {TEXT, ""},
                 {WHOLE, "-3"},
                 {WHOLE, "9007199254740992"},
                 {REAL, "0.1"},
                 {REAL, "-1"},
                 {REAL, "1e-300"},
                 {REAL, "0.30000000000000004"},
                 {REAL, "1.7976931348623157e+308"},
                 {REAL, "5e-324"},
                 {SEED, "0"},
                 {SEED, "18446744073709551615"},
                 {FLAG, "0"},
                 {FLAG, "1"},
                 {COLOUR, "red"},
                 {COLOUR, "blue"}};
    char back[64];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        EXPECT_OK(clseq_option_read(&options[cases[i].option], cases[i].text));
        EXPECT_OK(clseq_option_write(&options[cases[i].option], back, sizeof back));
        cr_expect_str_eq(back, cases[i].text);
    }
    cr_assert_eq(colour, 2);
    cr_assert_eq(seed, UINT64_MAX);
}

Test(option, what_is_no_value_leaves_the_old_one)
{
    static const struct {
        int option;
        const char *text, *says;
    } cases[] = {
        {WHOLE, "", "whole is \"\", expected a whole number from -3 to 9007199254740992"},
        {WHOLE, "-4", "expected a whole number"},
        {WHOLE, "1.5", "expected a whole number"},
        {WHOLE, " 1", "expected a whole number"},
        {WHOLE, "1x", "expected a whole number"},
        {WHOLE, "9223372036854775807", "expected a whole number"},
        {REAL, "-1.1", "expected a real number from -1 to 1.79769e+308"},
        {REAL, "nan", "expected a real number"},
        {REAL, "inf", "expected a real number"},
        {REAL, "1e999", "expected a real number"},
        {REAL, "0x1p-3", "expected a real number"},
        {SEED, "-1", "expected a whole number from 0 to 18446744073709551615"},
        {SEED, "18446744073709551616", "expected a whole number from 0 to"},
        {SEED, "", "expected a whole number from 0 to"},
        {FLAG, "2", "flag is \"2\", expected 0 or 1"},
        {FLAG, "01", "expected 0 or 1"},
        {COLOUR, "gr\x1b", "colour is \"gr\\x1b\", expected red, green or blue"},
        {COLOUR, "", "expected red, green or blue"},
    };
    whole = 7;
    real = 7;
    seed = 7;
    flag = true;
    colour = 1;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        EXPECT_ERROR(clseq_option_read(&options[cases[i].option], cases[i].text), CLSEQ_INVALID_ARGUMENT,
                     cases[i].says);
    cr_assert(whole == 7 && real == 7 && seed == 7 && flag && colour == 1);
}

Test(option, the_values_are_described)
{
    char words[64];
    EXPECT_OK(clseq_option_describe(&options[COLOUR], words, sizeof words));
    cr_assert_str_eq(words, "red, green or blue");
    EXPECT_OK(clseq_option_describe(&options[TEXT], words, sizeof words));
    cr_assert_str_eq(words, "any text");
}

Test(option, room_is_needed_for_the_closing_0)
{
    char room[6] = "";
    text = "12345";
    EXPECT_OK(clseq_option_write(&options[TEXT], room, 6));
    EXPECT_ERROR(clseq_option_write(&options[TEXT], room, 5), CLSEQ_INVALID_ARGUMENT,
                 "size is 5, expected at least 6 for text");
    EXPECT_ERROR(clseq_option_describe(&options[FLAG], room, 6), CLSEQ_INVALID_ARGUMENT,
                 "expected at least 7");
    text = NULL;
    EXPECT_OK(clseq_option_write(&options[TEXT], room, 1));
    cr_assert_str_eq(room, "");
}

Test(option, options_that_lack_something_are_refused)
{
    char room[64];
    const clseq_option cases[] = {{.kind = CLSEQ_OPTION_FLAG, .value = &flag},
                                  {.name = "", .kind = CLSEQ_OPTION_FLAG, .value = &flag},
                                  {.name = "x", .kind = CLSEQ_OPTION_FLAG},
                                  {.name = "x", .kind = (clseq_option_kind)6, .value = &flag},
                                  {.name = "x", .kind = (clseq_option_kind)-1, .value = &flag},
                                  {.name = "x", .value = &text, .rule = (clseq_option_rule)3},
                                  {.name = "x", .kind = CLSEQ_OPTION_NAME, .value = &colour}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        EXPECT_ERROR(clseq_option_read(&cases[i], "1"), CLSEQ_INVALID_ARGUMENT, "option read: option");
        EXPECT_ERROR(clseq_option_write(&cases[i], room, sizeof room), CLSEQ_INVALID_ARGUMENT,
                     "option write");
    }
    for (colour = -1; colour < 5; colour += 4)
        EXPECT_ERROR(clseq_option_write(&options[COLOUR], room, sizeof room), CLSEQ_INVALID_ARGUMENT,
                     "for which there is no name");
    EXPECT_ERROR(clseq_option_read(NULL, "1"), CLSEQ_INVALID_ARGUMENT, "option is NULL");
    EXPECT_ERROR(clseq_option_read(&options[FLAG], NULL), CLSEQ_INVALID_ARGUMENT, "text is NULL");
    EXPECT_ERROR(clseq_option_write(NULL, room, 1), CLSEQ_INVALID_ARGUMENT, "option is NULL");
    EXPECT_ERROR(clseq_option_write(&options[FLAG], NULL, 1), CLSEQ_INVALID_ARGUMENT, "is NULL");
    EXPECT_ERROR(clseq_option_describe(&options[FLAG], NULL, 1), CLSEQ_INVALID_ARGUMENT, "is NULL");
}

/* In the folder that run_case_setup makes. */
Test(option, numbers_are_the_same_in_every_locale, .init = run_case_setup, .fini = run_case_teardown)
{
    char room[64];
    if (!comma_locale())
        cr_skip("there is no locale with a comma");
    EXPECT_OK(clseq_option_read(&options[REAL], "2.5"));
    cr_assert_eq(real, 2.5);
    EXPECT_OK(clseq_option_write(&options[REAL], room, sizeof room));
    cr_assert_str_eq(room, "2.5");
    EXPECT_ERROR(clseq_option_read(&options[REAL], "2,5"), CLSEQ_INVALID_ARGUMENT, "expected a real number");
    snprintf(room, sizeof room, "%.1f", 2.5);
    cr_assert_str_eq(room, "2,5"); /* the program's own locale is as it was */
}
