/* samples/char_lm as a model: what its losses and its text show of the training behind them. */
#include "support/sample.h"
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define RUN SAMPLE
#define output sample_output
#define small sample_small

TestSuite(char_lm_model, .init = sample_setup, .fini = sample_teardown);

static const char *generated(char text[SAMPLE_OUTPUT])
{
    sample_generated(text);
    cr_assert(*text, "%s", output);
    return text;
}

/* The first value of a column after a run of one epoch. */
static double first_of(const char *column)
{
    double value = NAN;
    cr_assert_geq(sample_metrics("char_lm.csv", column, &value, 1), 1);
    return value;
}

Test(char_lm_model, validation_is_on_the_tail_of_the_text)
{
    char text[2400];
    cr_assert_eq(RUN(small, "--epochs", "1", "--generate", "0"), 0, "%s", output);
    const double like = first_of("validation_loss");
    for (size_t i = 0; i < sizeof text; i++) /* the tail has the same letters in another order */
        text[i] = (i < 1920 ? "Hello there, hello. " : ".oll eh,rehtH,eo.l  ")[i % 20];
    sample_write("unlike", text, sizeof text);
    cr_assert_eq(RUN(small, "--epochs", "1", "--generate", "0", "--text", "unlike"), 0, "%s", output);
    cr_assert_gt(first_of("validation_loss"), like + 1);
}

/* 4*8+1 characters are one window: every epoch is one step on the same input. At this rate nothing is learnt. */
static const char *const one_window[] = {
    "--text", "one",  "--hidden",     "12", "--embedding", "6", "--batch",    "4", "--steps", "8",
    "--lr",   "1e-9", "--validation", "0",  "--epochs",    "4", "--generate", "0", NULL};

static void losses_of_four_epochs(const char *dropout, double loss[4])
{
    sample_write("one", "Hello there, hello. Hello there, ", 33);
    RUN(one_window, "--dropout", dropout); /* whether the loss falls is chance */
    cr_assert_eq(sample_metrics("char_lm.csv", "loss", loss, 4), 4, "%s", output);
}

Test(char_lm_model, each_epoch_starts_from_zero_state)
{
    double loss[4];
    losses_of_four_epochs("0", loss);
    for (int i = 1; i < 4; i++)
        cr_expect_lt(fabs(loss[i] - loss[0]), 3e-6, "epoch %d: %f, then %f", i + 1, loss[0], loss[i]);
}

Test(char_lm_model, each_step_has_dropout_masks_of_its_own)
{
    double loss[4];
    losses_of_four_epochs("0.5", loss);
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < i; k++)
            cr_expect_gt(fabs(loss[i] - loss[k]), 1e-4, "epochs %d and %d: %f and %f", k + 1, i + 1, loss[k],
                         loss[i]);
}

Test(char_lm_model, validation_knows_no_dropout)
{
    RUN(small, "--lr", "1e-9", "--epochs", "1", "--generate", "0");
    const double without = first_of("validation_loss");
    RUN(small, "--lr", "1e-9", "--epochs", "1", "--generate", "0", "--dropout", "0.5");
    cr_assert_lt(fabs(first_of("validation_loss") - without), 3e-6);
}

Test(char_lm_model, the_seed_and_the_clip_shape_the_weights)
{
    cr_assert_eq(RUN(small, "--epochs", "1", "--generate", "0", "--checkpoint", "plain"), 0, "%s", output);
    cr_assert_eq(RUN(small, "--epochs", "1", "--generate", "0", "--checkpoint", "again"), 0, "%s", output);
    cr_assert_null(sample_difference("plain", "again"));
    cr_assert_eq(RUN(small, "--epochs", "1", "--generate", "0", "--checkpoint", "clipped", "--clip", "1e-6"),
                 0, "%s", output);
    cr_assert_not_null(sample_difference("plain", "clipped"));
    cr_assert_eq(RUN(small, "--epochs", "1", "--generate", "0", "--checkpoint", "seeded", "--seed", "2"), 0,
                 "%s", output);
    cr_assert_not_null(sample_difference("plain", "seeded"));
}

Test(char_lm_model, the_likeliest_text_follows_the_prompt)
{
    char text[SAMPLE_OUTPUT];
    cr_assert_eq(
        RUN(small, "--epochs", "12", "--generate", "14", "--temperature", "0", "--prompt", "Hello th"), 0,
        "%s", output);
    cr_assert_str_eq(generated(text), "Hello there, hello. He");
    cr_assert_eq(RUN(NULL, "--resume", "--epochs", "0", "--generate", "5", "--temperature", "0", "--prompt",
                     "there, h"),
                 0, "%s", output);
    cr_assert_str_eq(generated(text), "there, hello.");
}

Test(char_lm_model, one_candidate_is_the_likeliest_at_any_temperature)
{
    char text[SAMPLE_OUTPUT], coldest[SAMPLE_OUTPUT];
    static const char *const drawn[] = {"--resume", "--epochs", "0", "--generate", "40", NULL};
    cr_assert_eq(RUN(small, "--epochs", "1", "--generate", "0"), 0, "%s", output);
    cr_assert_eq(RUN(drawn, "--temperature", "0"), 0, "%s", output);
    strcpy(coldest, generated(text));
    cr_assert_eq(RUN(drawn, "--temperature", "5", "--top-k", "1"), 0, "%s", output);
    cr_assert_str_eq(generated(text), coldest);
    cr_assert_eq(RUN(drawn, "--temperature", "5"), 0, "%s", output);
    cr_assert_str_neq(generated(text), coldest);
    strcpy(coldest, generated(text));
    cr_assert_eq(RUN(drawn, "--temperature", "5", "--seed", "2"), 0, "%s", output);
    cr_assert_str_neq(generated(text), coldest);
}

Test(char_lm_model, lower_case_is_for_the_text_and_the_prompt)
{
    char text[SAMPLE_OUTPUT];
    cr_assert_eq(
        RUN(small, "--lower", "--epochs", "6", "--generate", "30", "--temperature", "0", "--prompt", "HELLO"),
        0, "%s", output);
    cr_assert(strstr(output, "9 different"), "%s", output);
    cr_assert_str_eq(strncmp(generated(text), "hello", 5) == 0 ? "" : text, "");
    for (const char *p = generated(text); *p; p++)
        cr_assert(*p < 'A' || *p > 'Z', "%s", text);
}

/* The prompt may be any bytes that the text has; on a terminal they do nothing. */
Test(char_lm_model, control_characters_of_a_prompt_are_escaped)
{
    char text[2400];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = "a\x1b[31m \xc3\xbc"[i % 9];
    sample_write("text", text, sizeof text);
    cr_assert_eq(
        RUN(small, "--epochs", "1", "--generate", "1", "--temperature", "0", "--prompt", "\x1b[31m \xc3\xbc"),
        0, "%s", output);
    cr_assert(strstr(output, "generated from \"\\x1b[31m \xc3\xbc\""), "%s", output);
    cr_assert(strstr(output, "\n\\x1b[31m \xc3\xbc"), "%s", output);
    cr_assert_eq(RUN(small, "--epochs", "1", "--prompt", "\x1b]0;"), 1, "%s", output);
    cr_assert_not(strchr(output, '\x1b'), "%s", output);
}

Test(char_lm_model, numbers_are_numbers_and_nothing_else)
{
    static const char *const cases[][3] = {
        {"--seed", "-1", "a whole number from 0 to 18446744073709551615"},
        {"--seed", "99999999999999999999999", "a whole number from 0 to"},
        {"--seed", "18446744073709551616", "a whole number from 0 to"},
        {"--seed", "", "--seed \"\": expected"},
        {"--seed", " 5", "--seed \" 5\": expected"},
        {"--seed", "5x", "--seed 5x: expected"},
        {"--lr", "20", "--lr 20: expected a real number from 1e-09 to 10"},
        {"--lr", "nan", "--lr nan: expected a real number"},
        {"--lr", "0x1p-3", "--lr 0x1p-3: expected a real number"},
        {"--epochs", "1.5", "--epochs 1.5: expected a whole number from 0 to 1000000000"},
        {"--epochs", "1e400", "--epochs 1e400: expected a whole number"},
        {"--hidden", "", "--hidden \"\": expected a whole number from 1 to 16384"},
        {"--cell", "\x1b[31m",
         "--cell \\x1b[31m: expected lstm, gru, rnn_tanh, rnn_relu, gru_reset_before or lstm_peephole"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cr_expect_eq(RUN(small, "--epochs", "0", cases[i][0], cases[i][1]), 1, "%s", output);
        cr_expect(strstr(output, cases[i][2]), "%s: %s", cases[i][2], output);
        cr_expect_not(strchr(output, '\x1b'), "%s", output);
    }
    cr_expect_eq(RUN(small, "--epochs", "0", "--generate", "0", "--seed", "18446744073709551615"), 0, "%s",
                 output);
}
