#include <clseq/data.h>

#include "core/error.h"
#include <string.h>

clseq_status clseq_vocabulary_from_bytes(clseq_vocabulary *vocabulary, const void *text, size_t size)
{
    const uint8_t *bytes = text;
    bool seen[256] = {false};
    CLSEQ__NOT_NULL("vocabulary from bytes", vocabulary);
    CLSEQ__NOT_NULL("vocabulary from bytes", text);
    if (size == 0)
        return clseq__error(CLSEQ_INVALID_ARGUMENT,
                            "vocabulary from bytes: the text is empty, expected at least one byte");
    for (size_t i = 0; i < size; i++)
        seen[bytes[i]] = true;
    *vocabulary = (clseq_vocabulary){0};
    for (int byte = 0; byte < 256; byte++) {
        vocabulary->token_of[byte] = -1;
        if (seen[byte]) {
            vocabulary->token_of[byte] = vocabulary->size;
            vocabulary->byte_of[vocabulary->size++] = (uint8_t)byte;
        }
    }
    return CLSEQ_OK;
}

clseq_status clseq_vocabulary_encode(const clseq_vocabulary *vocabulary, const void *text, size_t size,
                                     int32_t *tokens)
{
    const uint8_t *bytes = text;
    CLSEQ__NOT_NULL("vocabulary encode", vocabulary);
    if (size == 0)
        return CLSEQ_OK; /* without text and tokens too */
    CLSEQ__NOT_NULL("vocabulary encode", text);
    CLSEQ__NOT_NULL("vocabulary encode", tokens);
    for (size_t i = 0; i < size; i++) {
        tokens[i] = vocabulary->token_of[bytes[i]];
        if (tokens[i] < 0)
            return clseq__error(CLSEQ_NOT_FOUND,
                                "vocabulary encode: byte 0x%02x at position %zu is not in the vocabulary",
                                bytes[i], i);
    }
    return CLSEQ_OK;
}

static clseq_status check_at_least_one(const char *name, int64_t size)
{
    if (size >= 1)
        return CLSEQ_OK;
    return clseq__error(CLSEQ_INVALID_ARGUMENT, "stream init: %s is %lld, expected at least 1", name,
                        (long long)size);
}

clseq_status clseq_stream_init(clseq_stream *stream, const int32_t *tokens, size_t count, int64_t T,
                               int64_t B)
{
    int64_t step, windows;
    CLSEQ__NOT_NULL("stream init", stream);
    CLSEQ__NOT_NULL("stream init", tokens);
    CLSEQ__RETURN_IF(check_at_least_one("T", T));
    CLSEQ__RETURN_IF(check_at_least_one("B", B));
    step = count > 0 ? (int64_t)(count - 1) / B : 0;
    windows = step / T;
    if (windows < 1)
        return clseq__error(
            CLSEQ_INVALID_ARGUMENT,
            "stream init: %zu tokens are too few, expected at least B*T+1 with B = %lld and T = %lld", count,
            (long long)B, (long long)T);
    *stream = (clseq_stream){
        .tokens = tokens, .length = windows * T, .step = step, .T = T, .B = B, .windows = windows};
    return CLSEQ_OK;
}

bool clseq_stream_next(clseq_stream *stream, int32_t *inputs, int32_t *targets)
{
    if (stream->position >= stream->windows) {
        stream->position = 0;
        return false;
    }
    for (int64_t t = 0; t < stream->T; t++) {
        for (int64_t b = 0; b < stream->B; b++) {
            const int32_t *token = stream->tokens + b * stream->step + stream->position * stream->T + t;
            inputs[t * stream->B + b] = token[0];
            targets[t * stream->B + b] = token[1];
        }
    }
    stream->position++;
    return true;
}
