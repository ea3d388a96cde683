/*
 * char_lm: learns to write text, one character after another, with recurrent layers.
 *
 * embedding -> recurrent layers -> affine -> softmax cross-entropy, trained by truncated back-propagation through
 * time: the text is cut into B streams that are read side by side, T characters a step, and the states of the layers
 * are carried from one step to the next. Adam, gradients clipped by their global norm. Without --text it learns from
 * the source code of this library. It writes checkpoints (safetensors), the last one and the best by its validation
 * loss, and its metrics (CSV), goes on where it stopped with --resume, and ends by generating text from the best.
 */
#include <clseq/clseq.h>

#include "common/corpus.h"
#include "common/escape.h"
#include "common/options.h"
#include "common/paths.h"
#include "common/resume.h"
#include "common/run.h"
#include "common/signals.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

extern const unsigned char default_text[];
extern const size_t default_text_size;

enum { GENERATION_STREAM = 1 }; /* of random numbers */

/* ---- options ---- */

static struct {
    const char *text, *device, *checkpoint, *metrics, *prompt;
    clseq_cell cell;
    bool lower, resume, profile;
    long long epochs, batch, steps, embedding, hidden, layers, generate, top_k;
    double minutes, lr, clip, dropout, validation, temperature;
    uint64_t seed;
} o = {.checkpoint = "char_lm.safetensors",
       .metrics = "char_lm.csv",
       .prompt = "",
       .cell = CLSEQ_CELL_LSTM,
       .epochs = -1,
       .batch = 50,
       .steps = 50,
       .embedding = 128,
       .hidden = 256,
       .layers = 1,
       .generate = 500,
       .minutes = -1,
       .lr = 4e-3,
       .clip = 5,
       .validation = 0.05,
       .temperature = 0.7,
       .seed = 1};

/* What --resume does with an option: what shapes the model and the order of the text stays as it was. */
static setting table[] = {
    {"text", SETTING_TEXT, &o.text, 0, 0, "FILE",
     "learn from this file (default: this library's source code)",
     .resume = RESUME_IGNORES}, /* it is known by its hash */
    {"lower", SETTING_FLAG, &o.lower, 0, 0, NULL, "turn the text into lower case", .resume = RESUME_KEEPS},
    {"validation", SETTING_REAL, &o.validation, 0, 0.5, "PART", "part of the text kept for validation (0.05)",
     .resume = RESUME_KEEPS},
    {"device", SETTING_TEXT, &o.device, 0, 0, "SEL",
     "OpenCL device, platform:device (see the sample `devices`)", .resume = RESUME_IGNORES},
    {"seed", SETTING_SEED, &o.seed, 0, 0, "N", "of initial weights, dropout and generation (1)",
     .resume = RESUME_CHANGES}, /* as long as no dropout mask depends on it: see start */
    {"cell", SETTING_CELL, &o.cell, 0, 0, "NAME", "recurrent cell (lstm)", .resume = RESUME_KEEPS},
    {"layers", SETTING_WHOLE, &o.layers, 1, 16, "N", "recurrent layers (1)", .resume = RESUME_KEEPS},
    {"hidden", SETTING_WHOLE, &o.hidden, 1, 16384, "N", "units of each (256)", .resume = RESUME_KEEPS},
    {"embedding", SETTING_WHOLE, &o.embedding, 1, 16384, "N", "features of a character (128)",
     .resume = RESUME_KEEPS},
    {"dropout", SETTING_REAL, &o.dropout, 0, 0.95, "P", "after the embedding and after the last layer (0)",
     .resume = RESUME_CHANGES},
    {"batch", SETTING_WHOLE, &o.batch, 1, 65536, "B", "streams side by side (50)", .resume = RESUME_KEEPS},
    {"steps", SETTING_WHOLE, &o.steps, 1, 65536, "T", "characters of a stream in one training step (50)",
     .resume = RESUME_KEEPS},
    {"epochs", SETTING_WHOLE, &o.epochs, 0, MAX_EPOCHS, "N",
     "times through the text (default: as --minutes allows)", .resume = RESUME_IGNORES},
    {"minutes", SETTING_REAL, &o.minutes, 0, 1e6, "M",
     "train so long (2, or without end when --epochs is given)", .resume = RESUME_IGNORES},
    {"lr", SETTING_REAL, &o.lr, 1e-9, 10, "R", "learning rate of Adam (0.004)", .resume = RESUME_CHANGES},
    {"clip", SETTING_REAL, &o.clip, 1e-6, 1e9, "NORM", "clip gradients to this global norm (5)",
     .resume = RESUME_CHANGES},
    {"checkpoint", SETTING_TEXT, &o.checkpoint, 0, 0, "FILE",
     "written each epoch and on Ctrl-C (char_lm.safetensors); the best so far goes to FILE with .best before "
     "its "
     "ending",
     .resume = RESUME_IGNORES},
    {"metrics", SETTING_TEXT, &o.metrics, 0, 0, "FILE", "losses and rates as CSV (char_lm.csv)",
     .resume = RESUME_IGNORES},
    {"resume", SETTING_FLAG, &o.resume, 0, 0, NULL, "go on from the checkpoint, with its options",
     .resume = RESUME_IGNORES},
    {"generate", SETTING_WHOLE, &o.generate, 0, 1e9, "N", "characters to write at the end (500)",
     .resume = RESUME_IGNORES},
    {"prompt", SETTING_TEXT, &o.prompt, 0, 0, "TEXT", "what the generated text begins with",
     .resume = RESUME_IGNORES},
    {"temperature", SETTING_REAL, &o.temperature, 0, 100, "X",
     "of the drawing of characters; 0 takes the likeliest (0.7)", .resume = RESUME_IGNORES},
    {"top-k", SETTING_WHOLE, &o.top_k, 0, 256, "K", "draw among the K likeliest characters only (0: all)",
     .resume = RESUME_IGNORES},
    {"profile", SETTING_FLAG, &o.profile, 0, 0, NULL, "print the device time of each kernel at the end",
     .resume = RESUME_IGNORES},
};

/* ---- the text ---- */

/* A resumed run finds its text by the path in the checkpoint, and knows it by its hash. */
static void load_text(corpus *c)
{
    struct stat info;
    char *path = o.resume && !o.text ? meta_read(o.checkpoint, "text") : NULL;
    char *hash = o.resume ? meta_read(o.checkpoint, "text_hash") : NULL;
    if (path && *path && (stat(path, &info) != 0 || !S_ISREG(info.st_mode)))
        fail("%s: its text was %s, which is no file now; give it with --text", o.checkpoint, path);
    if (o.text || (path && *path))
        corpus_read(c, "--text", o.text ? o.text : path);
    else
        corpus_copy(c, default_text, default_text_size);
    if (hash && strcmp(hash, c->hash) != 0)
        fail("%s%s is not the text that the run in %s learns from: its hash is %s, expected %s",
             c->path[0] ? "--text " : "the library's source code", c->path, o.checkpoint, c->hash, hash);
    if (c->path[0] && (same_file(c->path, o.checkpoint) || same_file(c->path, o.metrics)))
        fail("--text %s: --checkpoint or --metrics would overwrite it, expected another file", c->path);
    free(path);
    free(hash);
}

static void load_corpus(corpus *c)
{
    const size_t least = (size_t)(o.batch * o.steps) + 1;
    load_text(c);
    corpus_encode(c, o.lower, o.validation);
    if (c->train_size < least)
        fail("--text %s: %zu characters to learn from are too few, --batch %lld and --steps %lld need %zu",
             c->path, c->train_size, o.batch, o.steps, least);
}

/* The prompt as tokens; without one, text begins like a line. */
typedef struct {
    int32_t *tokens;
    size_t size;
} prompt;

static prompt encode_prompt(const clseq_vocabulary *v)
{
    prompt p = {.size = strlen(o.prompt)};
    p.tokens = allocate((p.size + 1) * sizeof *p.tokens);
    if (o.lower)
        lower_ascii((char *)o.prompt, p.size); /* main's arguments may be changed */
    if (clseq_vocabulary_encode(v, o.prompt, p.size, p.tokens) != CLSEQ_OK)
        fail("--prompt %s: its characters must occur in the text (%s)", o.prompt, clseq_last_error());
    if (p.size == 0)
        p.tokens[p.size++] = v->token_of['\n'] >= 0 ? v->token_of['\n'] : 0;
    return p;
}

/* ---- the model ---- */

typedef struct {
    clseq_embedding *embed;
    clseq_rnn *rnn;
    clseq_linear *out;
} model;

static void make_model(clseq_params *params, int32_t vocabulary, model *m)
{
    const clseq_rnn_desc desc = {
        .cell = o.cell, .input = o.embedding, .hidden = o.hidden, .layers = o.layers};
    check(clseq_embedding_new(params, "embed", vocabulary, o.embedding, &m->embed));
    check(clseq_rnn_new(params, clseq_cell_name(o.cell), &desc, NULL, &m->rnn));
    check(clseq_linear_new(params, "out", o.hidden, vocabulary, true, &m->out));
}

static clseq_var *logits_of(clseq_graph *g, const model *m, const int32_t *tokens, int64_t T, int64_t B,
                            clseq_state *carry)
{
    const float p = (float)o.dropout;
    clseq_var *x = clseq_embed(g, m->embed, clseq_input_i32(g, tokens, 2, (int64_t[]){T, B})); /* [T,B,E] */
    clseq_var *y =
        clseq_recur(g, m->rnn, clseq_dropout(g, x, p), &(clseq_recur_opts){.carry = carry}); /* [T,B,H] */
    return clseq_affine(g, m->out, clseq_dropout(g, y, p));                                  /* [T,B,V] */
}

static clseq_var *loss_of(clseq_graph *g, const model *m, const clseq_stream *s, const int32_t *inputs,
                          const int32_t *targets, clseq_state *carry)
{
    return clseq_cross_entropy(g, logits_of(g, m, inputs, s->T, s->B, carry),
                               clseq_input_i32(g, targets, 2, (int64_t[]){s->T, s->B}), NULL);
}

/* ---- training ---- */

typedef struct {
    clseq_context *ctx;
    clseq_params *params;
    clseq_optimizer *adam;
    clseq_state *carry;
    clseq_meter *meter;
    model m;
    clseq_stream stream;
    int32_t *inputs, *targets; /* of one window, [T,B] */
} trainer;

/* One step. The loss stays on the device, in the meter; nothing here waits for it. */
static void train_step(trainer *t)
{
    clseq_graph *g = clseq_graph_begin(t->ctx, CLSEQ_MODE_TRAINING);
    clseq_graph_seed(g, o.seed, (uint64_t)clseq_optimizer_steps(t->adam));
    clseq_var *loss = loss_of(g, &t->m, &t->stream, t->inputs, t->targets, t->carry);
    clseq_meter_add(g, t->meter, loss, 1.0f);
    clseq_backward(g, loss);
    check(clseq_graph_end(g));
    check(clseq_clip_global_norm(t->params, (float)o.clip, NULL));
    check(clseq_optimizer_step(t->adam));
}

/* The loss over the validation part, read in as many streams as fill windows; 0 when it is too short for one. */
static double validate(trainer *t, const corpus *c)
{
    clseq_stream s;
    clseq_state *carry = NULL;
    clseq_meter *meter = NULL;
    double loss = 0;
    const size_t count = c->size - c->train_size;
    int64_t T = o.steps, B = o.batch;
    while (B > 1 && (int64_t)count < B * T + 1)
        B /= 2;
    if ((int64_t)count < B * T + 1)
        return 0;
    check(clseq_stream_init(&s, c->tokens + c->train_size, count, T, B));
    check(clseq_state_create(t->m.rnn, B, &carry));
    check(clseq_meter_create(t->ctx, &meter));
    while (clseq_stream_next(&s, t->inputs, t->targets)) {
        clseq_graph *g = clseq_graph_begin(t->ctx, CLSEQ_MODE_INFERENCE);
        clseq_meter_add(g, meter, loss_of(g, &t->m, &s, t->inputs, t->targets, carry), 1.0f);
        check(clseq_graph_end(g));
    }
    if (clseq_meter_read(meter, &loss) != CLSEQ_OK)
        fail("the validation loss is no longer finite; checkpoints stay as they were");
    clseq_meter_destroy(meter);
    clseq_state_destroy(carry);
    return loss;
}

static void train(trainer *t, run *r, const corpus *c)
{
    t->stream.position = r->window;
    while (!run_is_over(r)) {
        if (clseq_stream_next(&t->stream, t->inputs, t->targets)) {
            train_step(t);
            run_step(r, t->stream.position);
        } else {
            check(clseq_state_reset(t->carry));
            run_end_epoch(r, validate(t, c));
        }
    }
    run_end(r, run_is_within_epoch(r) ? validate(t, c) : 0);
}

/* ---- generation ---- */

/* What a person reads before the first character; it may quote anything, and a terminal acts on control characters. */
static void show_prompt(void)
{
    const size_t size = 4 * strlen(o.prompt) + 1;
    char *shown = allocate(size);
    say("\n---- generated from \"%s\", temperature %g ----\n", escape(o.prompt, shown, size), o.temperature);
    say("%s", escape_lines(o.prompt, shown, size));
    free(shown);
}

/* Reads the prompt, then writes characters one at a time, each drawn from what the model expects next. */
static void generate(const trainer *t, const clseq_vocabulary *v, const prompt *p)
{
    float *logits = allocate((size_t)v->size * sizeof *logits);
    clseq_state *carry = NULL;
    int64_t length = (int64_t)p->size; /* what is read now: the prompt, then the last character */
    check(clseq_state_create(t->m.rnn, 1, &carry));
    for (long long i = 0; i < o.generate && !signals_came() && !output_failure(); i++, length = 1) {
        clseq_graph *g = clseq_graph_begin(t->ctx, CLSEQ_MODE_INFERENCE);
        clseq_var *all = logits_of(g, &t->m, p->tokens, length, 1, carry);
        clseq_read(g, clseq_slice(g, all, 0, length - 1, 1), logits);
        check(clseq_graph_end(g));
        check(clseq_sample_token(logits, v->size, (float)o.temperature, (int32_t)o.top_k,
                                 clseq_random(o.seed, GENERATION_STREAM, (uint64_t)i), &p->tokens[0]));
        if (i == 0)
            show_prompt(); /* not before: the first step may have compiled something and said so */
        say("%c", v->byte_of[p->tokens[0]]);
    }
    say("\n----\n");
    clseq_state_destroy(carry);
    free(logits);
}

/* ---- the program ---- */

static void make_trainer(trainer *t, const corpus *c)
{
    const size_t window = (size_t)(o.steps * o.batch);
    const clseq_optimizer_desc adam = clseq_optimizer_desc_default(CLSEQ_OPTIMIZER_ADAM, (float)o.lr);
    check(clseq_context_create(&(clseq_context_desc){.device = o.device, .profile = o.profile}, &t->ctx));
    check(clseq_params_create(t->ctx, o.seed, &t->params));
    if (o.resume) /* a model that the checkpoint does not hold is not made */
        check(clseq_params_expect(t->params, o.checkpoint));
    make_model(t->params, c->vocabulary.size, &t->m);
    check(clseq_optimizer_create(t->params, &adam, &t->adam));
    check(clseq_state_create(t->m.rnn, o.batch, &t->carry));
    check(clseq_meter_create(t->ctx, &t->meter));
    check(clseq_stream_init(&t->stream, c->tokens, c->train_size, o.steps, o.batch));
    t->inputs = allocate(window * sizeof *t->inputs);
    t->targets = allocate(window * sizeof *t->targets);
    say("%s: %s, %lld layer%s of %lld, %lld parameters; %s, %zu characters, %d different\n",
        clseq_context_device(t->ctx)->name, clseq_cell_name(o.cell), o.layers, o.layers == 1 ? "" : "s",
        o.hidden, (long long)clseq_params_elements(t->params),
        c->path[0] ? c->path : "the library's source code", c->size, (int)c->vocabulary.size);
}

static void free_trainer(trainer *t)
{
    clseq_meter_destroy(t->meter);
    clseq_state_destroy(t->carry);
    clseq_optimizer_destroy(t->adam);
    clseq_params_destroy(t->params);
    clseq_context_destroy(t->ctx);
    free(t->inputs);
    free(t->targets);
}

static run make_run(void)
{
    if (o.minutes < 0)
        o.minutes = o.epochs < 0 ? 2 : 1e6;
    return (run){.checkpoint = o.checkpoint,
                 .metrics = o.metrics,
                 .options = table,
                 .option_count = COUNT_OF(table),
                 .epochs = o.epochs,
                 .minutes = o.minutes};
}

/* What the run keeps, and what it says of its text; paths that JSON cannot hold are left out. */
static void fill_run(run *r, trainer *t, const corpus *c)
{
    static const char *const names[] = {"carry"};
    const clseq_meta about[] = {
        {"text", is_printable(c->path) ? c->path : ""}, {"text_hash", c->hash}, {"vocabulary", c->alphabet}};
    memcpy(r->about, about, sizeof about);
    r->about_count = COUNT_OF(about);
    r->contents = (clseq_checkpoint){.params = t->params,
                                     .optimizer = t->adam,
                                     .states = &t->carry,
                                     .state_names = names,
                                     .state_count = 1};
    r->meter = t->meter;
    r->windows = t->stream.windows;
    r->window_tokens = o.steps * o.batch;
}

/* Dropout's masks depend on the seed; text alone may be drawn with any. */
static void check_seed(const run *r)
{
    char *stored = meta_read(o.checkpoint, "seed");
    if (o.dropout > 0 && !run_is_over(r) && strtoull(stored, NULL, 10) != o.seed)
        fail("--seed %llu: the dropout of the run in %s goes on with %s; another one is for text alone, with "
             "--epochs 0",
             (unsigned long long)o.seed, o.checkpoint, stored);
    free(stored);
}

static void print_profile(const trainer *t)
{
    char profile[4096];
    if (o.profile && clseq_context_profile_text(t->ctx, profile, sizeof profile) == CLSEQ_OK)
        say("\n%s", profile);
}

int main(int argc, char **argv)
{
    corpus c = {0};
    trainer t = {0};
    program_begin(argv[0]);
    signals_begin();
    parse_options(argc, argv, "Trains a recurrent character model on any OpenCL device, then writes text.",
                  table, COUNT_OF(table));
    log_to_stderr();
    run r = make_run();
    run_check_files(&r);
    if (o.resume)
        resume_settings(o.checkpoint, table, COUNT_OF(table));
    load_corpus(&c);
    prompt p = encode_prompt(&c.vocabulary);
    make_trainer(&t, &c);
    fill_run(&r, &t, &c);
    run_begin(&r, o.resume);
    if (o.resume)
        check_seed(&r);
    train(&t, &r, &c);
    signals_defer();
    if (o.generate > 0 && !signals_came() && !output_failure()) {
        run_take_best(&r);
        generate(&t, &c.vocabulary, &p);
    }
    print_profile(&t);
    const int code = run_conclude(&r);
    run_free(&r);
    free_trainer(&t);
    corpus_free(&c);
    free(p.tokens);
    return code;
}
