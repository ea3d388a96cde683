/*
 * Text as training data: bytes to tokens, a long text as parallel streams, and drawing the next token.
 *
 *     const char *text = "hello world, hello there, hello again";
 *     clseq_vocabulary vocabulary;
 *     int32_t tokens[64], inputs[3 * 2], targets[3 * 2];
 *     clseq_vocabulary_from_bytes(&vocabulary, text, strlen(text));
 *     clseq_vocabulary_encode(&vocabulary, text, strlen(text), tokens);
 *     clseq_stream stream;
 *     clseq_stream_init(&stream, tokens, strlen(text), 3, 2);
 *     while (clseq_stream_next(&stream, inputs, targets))
 *         printf("%d\n", (int)inputs[0]);
 *
 * Nothing here touches a device or allocates.
 */
#ifndef CLSEQ_DATA_H
#define CLSEQ_DATA_H

#include <clseq/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The bytes that occur in a text, in ascending order; a token is a position among them. */
typedef struct clseq_vocabulary {
    int32_t size;
    uint8_t byte_of[256];  /* token -> byte */
    int32_t token_of[256]; /* byte -> token, -1 for a byte that does not occur */
} clseq_vocabulary;

/* Errors: CLSEQ_INVALID_ARGUMENT for an empty text. */
CLSEQ_API clseq_status clseq_vocabulary_from_bytes(clseq_vocabulary *vocabulary, const void *text,
                                                   size_t size);

/* Writes `size` tokens. A byte that the vocabulary lacks is CLSEQ_NOT_FOUND, and the sentence names it and its place. */
CLSEQ_API clseq_status clseq_vocabulary_encode(const clseq_vocabulary *vocabulary, const void *text,
                                               size_t size, int32_t *tokens);

/*
 * A long sequence of tokens cut into B streams of equal length that are read side by side, T steps at a time, for
 * truncated back-propagation: row b of window w continues row b of window w-1. inputs and targets are [T,B]; the
 * targets are the tokens one step later. What does not fill a whole window in every stream is left out.
 */
typedef struct clseq_stream {
    const int32_t *tokens; /* the caller's, must stay */
    int64_t length;        /* tokens in each stream that are used as inputs: windows * T */
    int64_t step;          /* tokens between the starts of two streams */
    int64_t T, B;
    int64_t windows;  /* in an epoch */
    int64_t position; /* the next window; may be set to resume, 0..windows */
} clseq_stream;

/* Errors: CLSEQ_INVALID_ARGUMENT when the text is shorter than one window (B*T+1 tokens). */
CLSEQ_API clseq_status clseq_stream_init(clseq_stream *stream, const int32_t *tokens, size_t count, int64_t T,
                                         int64_t B);

/* The next window; false, and back to the start, when the epoch is over. */
CLSEQ_API bool clseq_stream_next(clseq_stream *stream, int32_t *inputs, int32_t *targets);

/*
 * Draws a token from softmax(logits / temperature) over the top_k largest logits (0: all of them; ties go to the
 * lower token). Temperature 0 takes the largest. `random` is uniform within [0,1). Errors: CLSEQ_INVALID_ARGUMENT
 * (size < 1, negative temperature), CLSEQ_NOT_FINITE (a logit is NaN or infinite).
 */
CLSEQ_API clseq_status clseq_sample_token(const float *logits, int32_t size, float temperature, int32_t top_k,
                                          double random, int32_t *token);

/* Random number `index` of a stream, uniform within [0,1); the same on every machine (Philox4x32-10). */
CLSEQ_API double clseq_random(uint64_t seed, uint64_t stream, uint64_t index);

#ifdef __cplusplus
}
#endif
#endif
