/*
 * bench_char_lm: characters per second of the character model of samples/char_lm.c while it trains.
 *
 *   bench_char_lm [--text FILE] [--cell NAME] [--steps N]   N steps (200) after 20 to warm up, in five runs: the median
 *   bench_char_lm [--text FILE] [--cell NAME] --serve       for each line N on standard input: N steps, then one line
 *                                                           with characters per second (for bench/compare.py)
 *
 * embedding 128 -> 2 layers of 128 -> affine -> cross-entropy, T = 50, B = 50, Adam 2e-3, global norm 5. Without
 * --text the tokens are random, of 64 kinds.
 */
#include "bench/bench.h"
#include <clseq/clseq.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { T = 50, B = 50, E = 128, H = 128, LAYERS = 2, RANDOM_TOKENS = 1 << 20, RANDOM_KINDS = 64, RUNS = 5 };

typedef struct {
    clseq_context *ctx;
    clseq_params *params;
    clseq_optimizer *adam;
    clseq_embedding *embed;
    clseq_rnn *rnn;
    clseq_linear *out;
    clseq_state *carry;
    clseq_meter *meter;
    clseq_stream stream;
    int32_t *tokens;
    int32_t vocabulary;
} bench;

static void check(clseq_status status)
{
    if (status == CLSEQ_OK)
        return;
    fprintf(stderr, "bench_char_lm: %s\n", clseq_last_error());
    exit(EXIT_FAILURE);
}

static size_t random_tokens(bench *b)
{
    b->tokens = malloc(RANDOM_TOKENS * sizeof *b->tokens);
    if (!b->tokens)
        exit(EXIT_FAILURE);
    for (int i = 0; i < RANDOM_TOKENS; i++)
        b->tokens[i] = (int32_t)(clseq_random(1, 0, (uint64_t)i) * RANDOM_KINDS);
    b->vocabulary = RANDOM_KINDS;
    return RANDOM_TOKENS;
}

static size_t text_tokens(bench *b, const char *path)
{
    clseq_vocabulary vocabulary;
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0) {
        fprintf(stderr, "bench_char_lm: cannot read %s\n", path);
        exit(EXIT_FAILURE);
    }
    size_t size = (size_t)ftell(file);
    char *text = malloc(size + 1);
    b->tokens = malloc((size + 1) * sizeof *b->tokens);
    rewind(file);
    if (!text || !b->tokens || fread(text, 1, size, file) != size)
        exit(EXIT_FAILURE);
    fclose(file);
    check(clseq_vocabulary_from_bytes(&vocabulary, text, size));
    check(clseq_vocabulary_encode(&vocabulary, text, size, b->tokens));
    b->vocabulary = vocabulary.size;
    free(text);
    return size;
}

static clseq_cell cell_of(const char *name)
{
    for (int cell = 0; cell < CLSEQ_CELL_COUNT; cell++)
        if (strcmp(clseq_cell_name((clseq_cell)cell), name) == 0)
            return (clseq_cell)cell;
    fprintf(stderr, "bench_char_lm: unknown cell %s\n", name);
    exit(EXIT_FAILURE);
}

static void start(bench *b, size_t count, clseq_cell cell)
{
    const clseq_rnn_desc desc = {.cell = cell, .input = E, .hidden = H, .layers = LAYERS};
    const clseq_optimizer_desc adam = clseq_optimizer_desc_default(CLSEQ_OPTIMIZER_ADAM, 2e-3f);
    check(clseq_context_create(NULL, &b->ctx));
    check(clseq_params_create(b->ctx, 1, &b->params));
    check(clseq_embedding_new(b->params, "embed", b->vocabulary, E, &b->embed));
    check(clseq_rnn_new(b->params, "rnn", &desc, NULL, &b->rnn));
    check(clseq_linear_new(b->params, "out", H, b->vocabulary, true, &b->out));
    check(clseq_optimizer_create(b->params, &adam, &b->adam));
    check(clseq_state_create(b->rnn, B, &b->carry));
    check(clseq_meter_create(b->ctx, &b->meter));
    check(clseq_stream_init(&b->stream, b->tokens, count, T, B));
}

static void step(bench *b)
{
    int32_t inputs[T * B], targets[T * B];
    if (!clseq_stream_next(&b->stream, inputs, targets))
        clseq_stream_next(&b->stream, inputs, targets);
    clseq_graph *g = clseq_graph_begin(b->ctx, CLSEQ_MODE_TRAINING);
    clseq_var *x = clseq_embed(g, b->embed, clseq_input_i32(g, inputs, 2, (int64_t[]){T, B}));
    clseq_var *y = clseq_recur(g, b->rnn, x, &(clseq_recur_opts){.carry = b->carry});
    clseq_var *loss = clseq_cross_entropy(g, clseq_affine(g, b->out, y),
                                          clseq_input_i32(g, targets, 2, (int64_t[]){T, B}), NULL);
    clseq_meter_add(g, b->meter, loss, 1.0f);
    clseq_backward(g, loss);
    check(clseq_graph_end(g));
    check(clseq_clip_global_norm(b->params, 5.0f, NULL));
    check(clseq_optimizer_step(b->adam));
}

/* Characters per second over n steps, the loss read at the end as a program would. */
static double rate_of(bench *b, int n)
{
    double loss, begin = bench_now();
    for (int i = 0; i < n; i++)
        step(b);
    check(clseq_meter_read(b->meter, &loss));
    check(clseq_meter_reset(b->meter));
    return (double)n * T * B / (bench_now() - begin);
}

static void serve(bench *b)
{
    int n = 0;
    while (scanf("%d", &n) == 1 && n > 0) {
        printf("%.1f\n", rate_of(b, n));
        fflush(stdout);
    }
}

static void stop(bench *b)
{
    clseq_meter_destroy(b->meter);
    clseq_state_destroy(b->carry);
    clseq_optimizer_destroy(b->adam);
    clseq_params_destroy(b->params);
    clseq_context_destroy(b->ctx);
    free(b->tokens);
}

int main(int argc, char **argv)
{
    const char *text = NULL, *cell = "lstm";
    int steps = 200, serving = 0;
    bench b = {0};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--serve") == 0)
            serving = 1;
        else if (i + 1 < argc && strcmp(argv[i], "--text") == 0)
            text = argv[++i];
        else if (i + 1 < argc && strcmp(argv[i], "--cell") == 0)
            cell = argv[++i];
        else if (i + 1 < argc && strcmp(argv[i], "--steps") == 0)
            steps = atoi(argv[++i]);
        else {
            fprintf(stderr, "usage: bench_char_lm [--text FILE] [--cell NAME] [--steps N | --serve]\n");
            return EXIT_FAILURE;
        }
    }
    start(&b, text ? text_tokens(&b, text) : random_tokens(&b), cell_of(cell));
    rate_of(&b, 20);
    if (serving) {
        serve(&b);
    } else {
        double rates[RUNS];
        for (int i = 0; i < RUNS; i++)
            rates[i] = rate_of(&b, steps > 0 ? steps : 1);
        printf("%s: %s, %.0f characters per second\n", clseq_context_device(b.ctx)->name, cell,
               bench_median(rates, RUNS));
    }
    stop(&b);
    return EXIT_SUCCESS;
}
