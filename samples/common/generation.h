/*
 * Text written by a model: a prompt, then one character after another, each drawn from what the model expects next.
 *
 *     static generation_options o = {.prompt = "", .characters = 500, .temperature = 0.7};
 *     static setting table[] = {GENERATION_SETTINGS(o)};
 *     prompt p = encode_prompt(&o, &vocabulary, false);
 *     generate(&o, &vocabulary, &p, expect, &model);
 *     free(p.tokens);
 */
#ifndef CLSEQ_SAMPLES_GENERATION_H
#define CLSEQ_SAMPLES_GENERATION_H

#include "common/options.h"
#include <clseq/data.h>

typedef struct generation_options {
    const char *prompt;
    int64_t characters, top_k;
    double temperature;
} generation_options;

#define GENERATION_SETTINGS(o)                                                                         \
    SETTING_WHOLE("generate", &(o).characters, 0, 1e9, PASSES, "N", "characters to write at the end"), \
        SETTING_TEXT("prompt", &(o).prompt, PASSES, "TEXT", "what the generated text begins with"),    \
        SETTING_REAL("temperature", &(o).temperature, 0, 100, PASSES, "X",                             \
                     "of the drawing of characters; 0 takes the likeliest"),                           \
        SETTING_WHOLE("top-k", &(o).top_k, 0, 256, PASSES, "K",                                        \
                      "draw among the K likeliest characters only; 0: all")

typedef struct prompt {
    int32_t *tokens;
    size_t size;
} prompt;

/* The prompt as tokens; without one, text begins like a line. Fails for characters that the vocabulary lacks. */
prompt encode_prompt(const generation_options *o, const clseq_vocabulary *v, bool lower);

/* What the model expects after these tokens, which follow those of the call before: a logit for each of the vocabulary. */
typedef void (*expect_fn)(void *model, const int32_t *tokens, int64_t length, float *logits);

/* Writes until it has enough, or is interrupted; draws by --seed. */
void generate(const generation_options *o, const clseq_vocabulary *v, const prompt *p, expect_fn expect,
              void *model);

#endif
