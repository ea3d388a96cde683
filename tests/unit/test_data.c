/* Vocabulary, streams and the drawing of tokens: host code without a device. */
#include <clseq/data.h>
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static clseq_status vocabulary_of(clseq_vocabulary *vocabulary, const char *text)
{
    return clseq_vocabulary_from_bytes(vocabulary, text, strlen(text));
}

Test(vocabulary, orders_bytes_and_goes_back)
{
    clseq_vocabulary v;
    int32_t tokens[6];
    cr_assert_eq(vocabulary_of(&v, "banana"), CLSEQ_OK);
    cr_assert_eq(v.size, 3);
    cr_assert_eq(clseq_vocabulary_encode(&v, "nabban", 6, tokens), CLSEQ_OK);
    const int32_t expected[] = {2, 0, 1, 1, 0, 2};
    cr_assert_arr_eq(tokens, expected, sizeof expected);
    for (int i = 0; i < 6; i++)
        cr_assert_eq(v.byte_of[tokens[i]], "nabban"[i]);
}

Test(vocabulary, takes_any_byte)
{
    uint8_t all[256];
    int32_t tokens[256];
    clseq_vocabulary v;
    for (int i = 0; i < 256; i++)
        all[i] = (uint8_t)(255 - i);
    cr_assert_eq(clseq_vocabulary_from_bytes(&v, all, sizeof all), CLSEQ_OK);
    cr_assert_eq(v.size, 256);
    cr_assert_eq(clseq_vocabulary_encode(&v, all, sizeof all, tokens), CLSEQ_OK);
    for (int i = 0; i < 256; i++)
        cr_assert_eq(tokens[i], 255 - i);
}

Test(vocabulary, names_a_foreign_byte_and_an_empty_text)
{
    clseq_vocabulary v;
    int32_t tokens[3];
    cr_assert_eq(vocabulary_of(&v, ""), CLSEQ_INVALID_ARGUMENT);
    cr_assert_eq(clseq_vocabulary_from_bytes(&v, NULL, 3), CLSEQ_INVALID_ARGUMENT);
    cr_assert_eq(vocabulary_of(&v, "ab"), CLSEQ_OK);
    cr_assert_eq(clseq_vocabulary_encode(&v, "abc", 3, tokens), CLSEQ_NOT_FOUND);
    cr_assert(strstr(clseq_last_error(), "0x63"), "%s", clseq_last_error());
    cr_assert(strstr(clseq_last_error(), "position 2"), "%s", clseq_last_error());
    cr_assert_eq(clseq_vocabulary_encode(NULL, "abc", 3, tokens), CLSEQ_INVALID_ARGUMENT);
}

Test(stream, rows_continue_and_targets_are_one_later)
{
    int32_t tokens[100], inputs[12], targets[12], next[3];
    clseq_stream s;
    for (int i = 0; i < 100; i++)
        tokens[i] = i;
    cr_assert_eq(clseq_stream_init(&s, tokens, 100, 4, 3), CLSEQ_OK);
    cr_assert_eq(s.windows, 8); /* 33 tokens a stream */
    for (int b = 0; b < 3; b++)
        next[b] = b * 33;
    for (int epoch = 0; epoch < 2; epoch++) {
        int windows = 0;
        for (; clseq_stream_next(&s, inputs, targets); windows++)
            for (int t = 0; t < 4; t++)
                for (int b = 0; b < 3; b++) {
                    cr_assert_eq(inputs[t * 3 + b], next[b] + windows * 4 + t);
                    cr_assert_eq(targets[t * 3 + b], inputs[t * 3 + b] + 1);
                }
        cr_assert_eq(windows, 8);
        cr_assert_eq(s.position, 0);
    }
}

Test(stream, uses_the_shortest_text_and_refuses_a_shorter_one)
{
    int32_t tokens[7] = {0, 1, 2, 3, 4, 5, 6}, inputs[6], targets[6];
    clseq_stream s;
    cr_assert_eq(clseq_stream_init(&s, tokens, 7, 3, 2), CLSEQ_OK);
    cr_assert_eq(s.windows, 1);
    cr_assert(clseq_stream_next(&s, inputs, targets));
    cr_assert_eq(targets[5], 6);
    cr_assert_not(clseq_stream_next(&s, inputs, targets));
    cr_assert_eq(clseq_stream_init(&s, tokens, 6, 3, 2), CLSEQ_INVALID_ARGUMENT);
    cr_assert(strstr(clseq_last_error(), "6 tokens are too few"), "%s", clseq_last_error());
    cr_assert_eq(clseq_stream_init(&s, tokens, 0, 3, 2), CLSEQ_INVALID_ARGUMENT);
    cr_assert_eq(clseq_stream_init(&s, tokens, 7, 0, 2), CLSEQ_INVALID_ARGUMENT);
    cr_assert_eq(clseq_stream_init(&s, tokens, 7, 3, -1), CLSEQ_INVALID_ARGUMENT);
    cr_assert_eq(clseq_stream_init(&s, NULL, 7, 3, 2), CLSEQ_INVALID_ARGUMENT);
}

/* How often each of the five tokens is drawn, over an even grid of random numbers. */
static void frequencies(float temperature, int32_t top_k, double out[5])
{
    const float logits[5] = {0.5f, 2.0f, -1.0f, 2.0f, 1.0f};
    const int draws = 100000;
    memset(out, 0, 5 * sizeof *out);
    for (int i = 0; i < draws; i++) {
        int32_t token = -1;
        cr_assert_eq(clseq_sample_token(logits, 5, temperature, top_k, (i + 0.5) / draws, &token), CLSEQ_OK);
        cr_assert(token >= 0 && token < 5);
        out[token] += 1.0 / draws;
    }
}

Test(sample_token, follows_the_softmax_of_the_kept_logits)
{
    const double logits[5] = {0.5, 2.0, -1.0, 2.0, 1.0};
    const int order[5] = {1, 3, 4, 0, 2}; /* descending, the tie by number */
    const float temperatures[] = {1.0f, 0.5f, 2.0f};
    for (int i = 0; i < 3; i++)
        for (int32_t top_k = 0; top_k <= 6; top_k++) {
            int kept = top_k == 0 || top_k > 5 ? 5 : top_k;
            double got[5], want[5] = {0}, total = 0;
            for (int k = 0; k < kept; k++)
                total += want[order[k]] = exp(logits[order[k]] / temperatures[i]);
            frequencies(temperatures[i], top_k, got);
            for (int token = 0; token < 5; token++)
                cr_assert(fabs(got[token] - want[token] / total) <= 3e-5,
                          "temperature %g top_k %d token %d: %g, expected %g", (double)temperatures[i], top_k,
                          token, got[token], want[token] / total);
        }
}

Test(sample_token, zero_temperature_takes_the_largest)
{
    double got[5];
    frequencies(0.0f, 0, got);
    cr_assert(fabs(got[1] - 1) <= 1e-9);
}

Test(sample_token, survives_extreme_logits_and_refuses_nonsense)
{
    const float wide[3] = {-3e38f, 0.0f, 3e38f}, bad[2] = {0.0f, NAN}, infinite[2] = {0.0f, INFINITY};
    int32_t token = -1;
    cr_assert_eq(clseq_sample_token(wide, 3, 1.0f, 0, 0.999999, &token), CLSEQ_OK);
    cr_assert_eq(token, 2);
    cr_assert_eq(clseq_sample_token(bad, 2, 1.0f, 0, 0.5, &token), CLSEQ_NOT_FINITE);
    cr_assert_eq(clseq_sample_token(infinite, 2, 1.0f, 0, 0.5, &token), CLSEQ_NOT_FINITE);
    cr_assert_eq(clseq_sample_token(wide, 0, 1.0f, 0, 0.5, &token), CLSEQ_INVALID_ARGUMENT);
    cr_assert_eq(clseq_sample_token(NULL, 2, 1.0f, 0, 0.5, &token), CLSEQ_INVALID_ARGUMENT);
    cr_assert_eq(clseq_sample_token(wide, 3, -1.0f, 0, 0.5, &token), CLSEQ_INVALID_ARGUMENT);
    cr_assert_eq(clseq_sample_token(wide, 3, NAN, 0, 0.5, &token), CLSEQ_INVALID_ARGUMENT);
    cr_assert_eq(clseq_sample_token(wide, 3, 1.0f, -2, 0.5, &token), CLSEQ_INVALID_ARGUMENT);
    cr_assert_eq(clseq_sample_token(wide, 3, 1.0f, 0, 1.0, &token), CLSEQ_INVALID_ARGUMENT);
}

Test(random, is_uniform_and_depends_on_every_number)
{
    double sum = 0, squares = 0;
    for (int i = 0; i < 10000; i++) {
        double r = clseq_random(7, 3, (uint64_t)i);
        cr_assert(r >= 0 && r < 1);
        sum += r;
        squares += r * r;
    }
    cr_assert(fabs(sum / 10000 - 0.5) <= 0.015, "mean %g", sum / 10000);
    cr_assert(fabs(squares / 10000 - 1.0 / 3) <= 0.015, "mean square %g", squares / 10000);
    cr_assert_eq(clseq_random(7, 3, 5), clseq_random(7, 3, 5));
    cr_assert_neq(clseq_random(7, 3, 5), clseq_random(8, 3, 5));
    cr_assert_neq(clseq_random(7, 3, 5), clseq_random(7, 4, 5));
    cr_assert_neq(clseq_random(7, 3, 5), clseq_random(7, 3, 6));
}

Test(data, sentences_name_the_argument)
{
    clseq_vocabulary v;
    clseq_stream stream;
    int32_t token = 0;
    const float logit = 0;
    cr_assert_eq(vocabulary_of(&v, "ab"), CLSEQ_OK);
#define SAYS(call, words)                                                                         \
    do {                                                                                          \
        cr_expect_eq(call, CLSEQ_INVALID_ARGUMENT, #call);                                        \
        cr_expect_str_eq(clseq_last_error(), words, "%s said \"%s\"", #call, clseq_last_error()); \
    } while (0)
    SAYS(clseq_vocabulary_from_bytes(NULL, "a", 1), "vocabulary from bytes: vocabulary is NULL");
    SAYS(clseq_vocabulary_from_bytes(&v, NULL, 1), "vocabulary from bytes: text is NULL");
    SAYS(clseq_vocabulary_encode(NULL, "a", 1, &token), "vocabulary encode: vocabulary is NULL");
    SAYS(clseq_vocabulary_encode(&v, NULL, 1, &token), "vocabulary encode: text is NULL");
    SAYS(clseq_vocabulary_encode(&v, "a", 1, NULL), "vocabulary encode: tokens is NULL");
    SAYS(clseq_stream_init(NULL, &token, 1, 1, 1), "stream init: stream is NULL");
    SAYS(clseq_stream_init(&stream, NULL, 1, 1, 1), "stream init: tokens is NULL");
    SAYS(clseq_stream_init(&stream, &token, 1, 0, 1), "stream init: T is 0, expected at least 1");
    SAYS(clseq_stream_init(&stream, &token, 1, 1, -2), "stream init: B is -2, expected at least 1");
    SAYS(clseq_sample_token(NULL, 1, 1, 0, 0, &token), "sample token: logits is NULL");
    SAYS(clseq_sample_token(&logit, 1, 1, 0, 0, NULL), "sample token: token is NULL");
    SAYS(clseq_sample_token(&logit, 0, 1, 0, 0, &token), "sample token: size is 0, expected at least 1");
    SAYS(clseq_sample_token(&logit, 1, -1, 0, 0, &token),
         "sample token: temperature is -1, expected a finite number of at least 0");
    SAYS(clseq_sample_token(&logit, 1, 1, -1, 0, &token), "sample token: top_k is -1, expected at least 0");
    SAYS(clseq_sample_token(&logit, 1, 1, 0, 1, &token),
         "sample token: random is 1, expected 0 <= random < 1");
}
