#include "common/generation.h"
#include "common/corpus.h"
#include "common/escape.h"
#include "common/training.h"
#include <stdlib.h>
#include <string.h>

enum { STREAM = 1 }; /* of random numbers */

prompt encode_prompt(const generation_options *o, const clseq_vocabulary *v, bool lower)
{
    prompt p = {.size = strlen(o->prompt)};
    p.tokens = allocate((p.size + 1) * sizeof *p.tokens);
    if (lower)
        lower_ascii((char *)o->prompt, p.size); /* main's arguments may be changed */
    if (clseq_vocabulary_encode(v, o->prompt, p.size, p.tokens) != CLSEQ_OK)
        fail("--prompt %s: its characters must occur in the text (%s)", o->prompt, clseq_last_error());
    if (p.size == 0)
        p.tokens[p.size++] = v->token_of['\n'] >= 0 ? v->token_of['\n'] : 0;
    return p;
}

/* What a person reads before the first character; it may quote anything, and a terminal acts on control characters. */
static void show_prompt(const generation_options *o)
{
    const size_t size = 4 * strlen(o->prompt) + 1;
    char *shown = allocate(size);
    say("\n---- generated from \"%s\", temperature %g ----\n", escape(o->prompt, shown, size),
        o->temperature);
    say("%s", escape_lines(o->prompt, shown, size));
    free(shown);
}

void generate(const generation_options *o, const clseq_vocabulary *v, const prompt *p, expect_fn expect,
              void *model)
{
    float *logits = allocate((size_t)v->size * sizeof *logits);
    int32_t last = 0;
    clseq_signals_defer(); /* a text that is interrupted is an end too, also where nothing was trained */
    for (int64_t i = 0; i < o->characters && !training_is_interrupted(); i++) {
        expect(model, i == 0 ? p->tokens : &last, i == 0 ? (int64_t)p->size : 1, logits);
        check(clseq_sample_token(logits, v->size, (float)o->temperature, (int32_t)o->top_k,
                                 clseq_random(training.seed, STREAM, (uint64_t)i), &last));
        if (i == 0)
            show_prompt(o); /* not before: the first step may have compiled something and said so */
        say("%c", v->byte_of[last]);
    }
    say("\n----\n");
    free(logits);
}
