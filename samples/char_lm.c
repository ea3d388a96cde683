/*
 * char_lm: learns to write text, one character after another, with recurrent layers.
 *
 * embedding -> recurrent layers -> affine -> softmax cross-entropy, trained by truncated back-propagation through
 * time: the text is cut into B streams that are read side by side, T characters a step, and the states of the layers
 * are carried from one step to the next. Adam, gradients clipped by their global norm. Without --text it learns from
 * the source code of this library. It writes a checkpoint (safetensors) and its metrics (CSV), goes on where it
 * stopped with --resume, and ends by generating text.
 */
#include <clseq/clseq.h>

#include <argp.h>
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

extern const unsigned char default_text[];
extern const size_t default_text_size;

enum { GENERATION_STREAM = 1 }; /* of random numbers */

typedef struct {
    const char *text, *device, *cell, *checkpoint, *metrics, *prompt;
    int lower, resume, profile, epochs, batch, steps, embedding, hidden, layers, generate, top_k;
    double minutes, lr, clip, dropout, validation, temperature;
    unsigned long long seed;
} options;

typedef struct {
    uint8_t *bytes;
    int32_t *tokens;
    size_t size, train_size; /* the rest is for validation */
    clseq_vocabulary vocabulary;
} corpus;

typedef struct {
    clseq_embedding *embed;
    clseq_rnn *rnn;
    clseq_linear *out;
    float dropout;
} model;

typedef struct {
    const options *o;
    clseq_context *ctx;
    clseq_params *params;
    clseq_optimizer *adam;
    clseq_state *carry;
    clseq_meter *meter;
    model m;
    clseq_stream stream;
    int32_t *inputs, *targets;
    int64_t epoch;
    double first_loss, loss, valid_loss; /* of the first report, of the latest report, of the latest epoch */
    double started, seconds_before;      /* the clock at the start of this run, and what earlier runs took */
    FILE *metrics;
} run;

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Every failure ends here: one sentence, exit code 1. */
static void fail(const char *what)
{
    fprintf(stderr, "char_lm: %s\n", what);
    exit(EXIT_FAILURE);
}

static void check(clseq_status status)
{
    if (status != CLSEQ_OK)
        fail(clseq_last_error());
}

static void *allocate(size_t bytes)
{
    void *memory = malloc(bytes ? bytes : 1);
    if (!memory)
        fail("no memory left");
    return memory;
}

static void log_line(clseq_log_level level, const char *line, void *user)
{
    (void)level;
    (void)user;
    fprintf(stderr, "%s\n", line);
}

/* ---- options ---- */

typedef struct {
    const char *name;
    enum { TEXT, NUMBER, REAL, SEED, FLAG } kind;
    void *value;
    double low, high; /* of NUMBER and REAL */
    const char *argument, *help;
} setting;

enum { MAX_SETTINGS = 32, FIRST_KEY = 1000 };

static void assign(const setting *s, char *text, struct argp_state *state)
{
    char *end = text;
    double value = 0;
    if (s->kind == NUMBER || s->kind == REAL) {
        value = strtod(text, &end);
        if (end == text || *end || !(value >= s->low && value <= s->high) ||
            (s->kind == NUMBER && value != floor(value)))
            argp_error(state, "--%s %s: expected a%s number from %g to %g", s->name, text,
                       s->kind == NUMBER ? " whole" : "", s->low, s->high);
    }
    if (s->kind == TEXT)
        *(const char **)s->value = text;
    else if (s->kind == NUMBER)
        *(int *)s->value = (int)value;
    else if (s->kind == REAL)
        *(double *)s->value = value;
    else if (s->kind == FLAG)
        *(int *)s->value = 1;
    else {
        *(unsigned long long *)s->value = strtoull(text, &end, 10);
        if (end == text || *end)
            argp_error(state, "--%s %s: expected a whole number", s->name, text);
    }
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    const setting *settings = state->input;
    if (key < FIRST_KEY || key >= FIRST_KEY + MAX_SETTINGS) /* argp has keys of its own */
        return ARGP_ERR_UNKNOWN;
    assign(&settings[key - FIRST_KEY], text, state);
    return 0;
}

static void parse_options(int argc, char **argv, options *o)
{
    const setting settings[] = {
        {"text", TEXT, &o->text, 0, 0, "FILE", "learn from this file (default: this library's source code)"},
        {"lower", FLAG, &o->lower, 0, 0, NULL, "turn the text into lower case"},
        {"validation", REAL, &o->validation, 0, 0.5, "PART", "part of the text kept for validation (0.05)"},
        {"device", TEXT, &o->device, 0, 0, "SEL",
         "OpenCL device, platform:device (see the sample `devices`)"},
        {"seed", SEED, &o->seed, 0, 0, "N", "of initial weights, dropout and generation (1)"},
        {"cell", TEXT, &o->cell, 0, 0, "NAME", "lstm, gru, rnn_tanh or rnn_relu (lstm)"},
        {"layers", NUMBER, &o->layers, 1, 16, "N", "recurrent layers (2)"},
        {"hidden", NUMBER, &o->hidden, 1, 16384, "N", "units of each (128)"},
        {"embedding", NUMBER, &o->embedding, 1, 16384, "N", "features of a character (128)"},
        {"dropout", REAL, &o->dropout, 0, 0.95, "P", "after the embedding and after the last layer (0)"},
        {"batch", NUMBER, &o->batch, 1, 65536, "B", "streams side by side (50)"},
        {"steps", NUMBER, &o->steps, 1, 65536, "T", "characters of a stream in one training step (50)"},
        {"epochs", NUMBER, &o->epochs, 0, 1e9, "N", "times through the text (default: as --minutes allows)"},
        {"minutes", REAL, &o->minutes, 0, 1e6, "M",
         "train so long (2, or without end when --epochs is given)"},
        {"lr", REAL, &o->lr, 1e-9, 10, "R", "learning rate of Adam (0.002)"},
        {"clip", REAL, &o->clip, 1e-6, 1e9, "NORM", "clip gradients to this global norm (5)"},
        {"checkpoint", TEXT, &o->checkpoint, 0, 0, "FILE",
         "written each epoch and on Ctrl-C (char_lm.safetensors)"},
        {"metrics", TEXT, &o->metrics, 0, 0, "FILE", "losses and rates as CSV (char_lm.csv)"},
        {"resume", FLAG, &o->resume, 0, 0, NULL, "go on from the checkpoint"},
        {"generate", NUMBER, &o->generate, 0, 1e9, "N", "characters to write at the end (500)"},
        {"prompt", TEXT, &o->prompt, 0, 0, "TEXT", "what the generated text begins with"},
        {"temperature", REAL, &o->temperature, 0, 100, "X",
         "of the drawing of characters; 0 takes the likeliest (0.7)"},
        {"top-k", NUMBER, &o->top_k, 0, 256, "K", "draw among the K likeliest characters only (0: all)"},
        {"profile", FLAG, &o->profile, 0, 0, NULL, "print the device time of each kernel at the end"},
    };
    struct argp_option list[MAX_SETTINGS] = {{0}};
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        list[i] = (struct argp_option){.name = settings[i].name,
                                       .key = FIRST_KEY + (int)i,
                                       .arg = settings[i].argument,
                                       .doc = settings[i].help};
    const struct argp parser = {
        .options = list,
        .parser = parse_option,
        .doc = "Trains a recurrent character model on any OpenCL device, then writes text."};
    argp_parse(&parser, argc, argv, 0, NULL, (void *)settings);
}

/* ---- the text ---- */

static uint8_t *read_text(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    char sentence[512];
    uint8_t *bytes = NULL;
    size_t capacity = 0;
    *size = 0;
    do {
        if (file && *size == capacity) {
            capacity = capacity ? 2 * capacity : 1 << 20;
            bytes = realloc(bytes, capacity);
            if (!bytes)
                fail("no memory for the text");
        }
        *size += file ? fread(bytes + *size, 1, capacity - *size, file) : 0;
    } while (file && *size == capacity);
    if (!file || ferror(file)) {
        snprintf(sentence, sizeof sentence, "cannot read the text %s: %s", path, strerror(errno));
        fail(sentence);
    }
    fclose(file);
    return bytes;
}

/* The vocabulary of a resumed run comes from its checkpoint, so that tokens keep their meaning. */
static void load_corpus(const options *o, const clseq_vocabulary *known, corpus *c)
{
    if (o->text) {
        c->bytes = read_text(o->text, &c->size);
    } else {
        c->size = default_text_size;
        c->bytes = allocate(c->size);
        memcpy(c->bytes, default_text, c->size);
    }
    for (size_t i = 0; o->lower && i < c->size; i++)
        if (c->bytes[i] >= 'A' && c->bytes[i] <= 'Z')
            c->bytes[i] += 'a' - 'A';
    if (known)
        c->vocabulary = *known;
    else
        check(clseq_vocabulary_from_bytes(&c->vocabulary, c->bytes, c->size));
    c->tokens = allocate(c->size * sizeof *c->tokens);
    check(clseq_vocabulary_encode(&c->vocabulary, c->bytes, c->size, c->tokens));
    c->train_size = c->size - (size_t)((double)c->size * o->validation);
}

/* ---- the model ---- */

static clseq_cell cell_of(const char *name)
{
    char sentence[128];
    for (int cell = 0; cell < CLSEQ_CELL_COUNT; cell++)
        if (strcmp(clseq_cell_name((clseq_cell)cell), name) == 0)
            return (clseq_cell)cell;
    snprintf(sentence, sizeof sentence, "--cell %.40s is not known; see --help", name);
    fail(sentence);
    return CLSEQ_LSTM;
}

static void make_model(const options *o, clseq_params *params, int32_t vocabulary, model *m)
{
    const clseq_rnn_desc desc = {
        .cell = cell_of(o->cell), .input = o->embedding, .hidden = o->hidden, .layers = o->layers};
    check(clseq_embedding_new(params, "embed", vocabulary, o->embedding, &m->embed));
    check(clseq_rnn_new(params, o->cell, &desc, NULL, &m->rnn));
    check(clseq_linear_new(params, "out", o->hidden, vocabulary, true, &m->out));
    m->dropout = (float)o->dropout;
}

static clseq_var *logits_of(clseq_graph *g, const model *m, const int32_t *tokens, int64_t T, int64_t B,
                            clseq_state *carry)
{
    clseq_var *x = clseq_embed(g, m->embed, clseq_input_i32(g, tokens, 2, (int64_t[]){T, B})); /* [T,B,E] */
    clseq_var *y = clseq_recur(g, m->rnn, clseq_drop(g, x, m->dropout),
                               &(clseq_recur_opts){.carry = carry}); /* [T,B,H] */
    return clseq_affine(g, m->out, clseq_drop(g, y, m->dropout));    /* [T,B,V] */
}

static clseq_var *loss_of(clseq_graph *g, const model *m, const clseq_stream *s, const int32_t *inputs,
                          const int32_t *targets, clseq_state *carry)
{
    return clseq_cross_entropy(g, logits_of(g, m, inputs, s->T, s->B, carry),
                               clseq_input_i32(g, targets, 2, (int64_t[]){s->T, s->B}), NULL);
}

/* One step. The loss stays on the device, in the meter; nothing here waits for it. */
static void train_step(run *r)
{
    clseq_graph *g = clseq_graph_begin(r->ctx, CLSEQ_TRAINING);
    clseq_graph_seed(g, r->o->seed, (uint64_t)clseq_optimizer_steps(r->adam));
    clseq_var *loss = loss_of(g, &r->m, &r->stream, r->inputs, r->targets, r->carry);
    clseq_meter_add(g, r->meter, loss, 1.0f);
    clseq_backward(g, loss);
    check(clseq_graph_end(g));
    check(clseq_clip_global_norm(r->params, (float)r->o->clip, NULL));
    check(clseq_optimizer_step(r->adam));
}

/* The loss over the validation part, read in as many streams as fill windows; 0 when it is too short. */
static double validate(run *r, const corpus *c)
{
    clseq_stream s;
    clseq_state *carry = NULL;
    clseq_meter *meter = NULL;
    double loss = 0;
    size_t count = c->size - c->train_size;
    int64_t T = r->o->steps, B = r->o->batch;
    while (B > 1 && (int64_t)count < B * T + 1)
        B /= 2;
    if ((int64_t)count < B * T + 1)
        return 0;
    int32_t *inputs = allocate((size_t)(T * B) * sizeof *inputs);
    int32_t *targets = allocate((size_t)(T * B) * sizeof *targets);
    check(clseq_stream_init(&s, c->tokens + c->train_size, count, T, B));
    check(clseq_state_create(r->m.rnn, B, &carry));
    check(clseq_meter_create(r->ctx, &meter));
    while (clseq_stream_next(&s, inputs, targets)) {
        clseq_graph *g = clseq_graph_begin(r->ctx, CLSEQ_INFERENCE);
        clseq_meter_add(g, meter, loss_of(g, &r->m, &s, inputs, targets, carry), 1.0f);
        check(clseq_graph_end(g));
    }
    check(clseq_meter_read(meter, &loss));
    clseq_meter_destroy(meter);
    clseq_state_destroy(carry);
    free(inputs);
    free(targets);
    return loss;
}

/* Reads the prompt, then writes characters one at a time, each drawn from what the model expects next. */
static void generate(run *r, const corpus *c)
{
    const options *o = r->o;
    const clseq_vocabulary *v = &c->vocabulary;
    size_t length = strlen(o->prompt);
    int32_t *tokens = allocate((length + 1) * sizeof *tokens);
    float *logits = allocate((size_t)v->size * sizeof *logits);
    clseq_state *carry = NULL;
    if (length > 0)
        check(clseq_vocabulary_encode(v, o->prompt, length, tokens));
    else
        tokens[length++] = v->token_of['\n'] >= 0 ? v->token_of['\n'] : 0;
    check(clseq_state_create(r->m.rnn, 1, &carry));
    printf("\n---- generated from \"%s\", temperature %g ----\n%s", o->prompt, o->temperature, o->prompt);
    for (int i = 0; i < o->generate && !interrupted; i++) {
        clseq_graph *g = clseq_graph_begin(r->ctx, CLSEQ_INFERENCE);
        clseq_var *all = logits_of(g, &r->m, tokens, i == 0 ? (int64_t)length : 1, 1, carry);
        clseq_read(g, clseq_slice(g, all, 0, i == 0 ? (int64_t)length - 1 : 0, 1), logits);
        check(clseq_graph_end(g));
        check(clseq_sample_token(logits, v->size, (float)o->temperature, o->top_k,
                                 clseq_random(o->seed, GENERATION_STREAM, (uint64_t)i), &tokens[0]));
        putchar(v->byte_of[tokens[0]]);
        fflush(stdout);
    }
    printf("\n----\n");
    clseq_state_destroy(carry);
    free(logits);
    free(tokens);
}

/* ---- checkpoints ---- */

/* What a resumed run needs before it can make the model: one line of numbers, and the vocabulary's bytes in hex. */
static void save(run *r, const corpus *c)
{
    char model_line[256], progress[256], bytes[513] = "";
    const options *o = r->o;
    for (int i = 0; i < c->vocabulary.size; i++)
        snprintf(bytes + 2 * i, 3, "%02x", (unsigned)c->vocabulary.byte_of[i]);
    snprintf(model_line, sizeof model_line, "%d %d %d %d %d", o->embedding, o->hidden, o->layers, o->batch,
             o->steps);
    snprintf(progress, sizeof progress, "%lld %lld %.17g %.17g", (long long)r->epoch,
             (long long)r->stream.position, r->first_loss, r->seconds_before + now() - r->started);
    const clseq_meta meta[] = {
        {"cell", o->cell}, {"model", model_line}, {"progress", progress}, {"vocabulary", bytes}};
    check(clseq_checkpoint_save(o->checkpoint, &(clseq_checkpoint){.params = r->params,
                                                                   .optimizer = r->adam,
                                                                   .states = &r->carry,
                                                                   .state_names = (const char *[]){"carry"},
                                                                   .state_count = 1,
                                                                   .meta = meta,
                                                                   .meta_count = 4}));
}

static void meta_of(const options *o, const char *key, char *value, size_t size)
{
    check(clseq_checkpoint_meta(o->checkpoint, key, value, size));
}

/* The settings of the model in the checkpoint replace those of the command line. */
static void resume_settings(options *o, clseq_vocabulary *vocabulary)
{
    static char cell[64];
    char line[256], hex[513];
    uint8_t bytes[256];
    int count = 0;
    unsigned byte = 0;
    meta_of(o, "cell", cell, sizeof cell);
    meta_of(o, "model", line, sizeof line);
    meta_of(o, "vocabulary", hex, sizeof hex);
    o->cell = cell;
    if (sscanf(line, "%d %d %d %d %d", &o->embedding, &o->hidden, &o->layers, &o->batch, &o->steps) != 5)
        fail("the checkpoint's model line cannot be read");
    while (count < 256 && sscanf(hex + 2 * count, "%2x", &byte) == 1)
        bytes[count++] = (uint8_t)byte;
    check(clseq_vocabulary_from_bytes(vocabulary, bytes, (size_t)count));
}

static void resume_progress(run *r)
{
    char line[256];
    long long epoch = 0, position = 0;
    check(
        clseq_checkpoint_load(r->o->checkpoint, &(clseq_checkpoint){.params = r->params,
                                                                    .optimizer = r->adam,
                                                                    .states = &r->carry,
                                                                    .state_names = (const char *[]){"carry"},
                                                                    .state_count = 1}));
    meta_of(r->o, "progress", line, sizeof line);
    if (sscanf(line, "%lld %lld %lf %lf", &epoch, &position, &r->first_loss, &r->seconds_before) != 4 ||
        position < 0 || position > r->stream.windows)
        fail("the checkpoint was made with another text, or its progress line cannot be read");
    r->epoch = epoch;
    r->stream.position = position;
    printf("resumed %s: epoch %lld, window %lld of %lld\n", r->o->checkpoint, epoch + 1, position,
           (long long)r->stream.windows);
}

/* ---- progress ---- */

static double bits(double loss)
{
    return loss / log(2.0);
}

/* Seconds until the run is over, by the clock or by the epochs, whichever comes first. */
static double time_left(const run *r, int64_t steps, double seconds)
{
    double by_clock = r->o->minutes * 60 - (now() - r->started), by_epochs = INFINITY;
    if (r->o->epochs >= 0 && steps > 0)
        by_epochs = (double)((r->o->epochs - r->epoch) * r->stream.windows - r->stream.position) * seconds /
                    (double)steps;
    return fmax(0, fmin(by_clock, by_epochs));
}

/* Windows of the epoch that are done; the stream is back at its start when the last one is. */
static int64_t windows_done(const run *r)
{
    return r->stream.position > 0 ? r->stream.position : r->stream.windows;
}

static void draw_progress(const run *r, double rate, double left)
{
    const int width = 24, filled = (int)(width * windows_done(r) / r->stream.windows);
    if (isatty(STDOUT_FILENO)) {
        printf("\repoch %lld [", (long long)r->epoch + 1);
        for (int i = 0; i < width; i++)
            putchar(i < filled ? '#' : '.');
        printf("] loss %.4f  %.3f bits/char  %.0f chars/s  %d:%02d left \033[K", r->loss, bits(r->loss), rate,
               (int)left / 60, (int)left % 60);
    } else {
        printf("epoch %lld window %lld/%lld loss %.4f bits/char %.3f chars/s %.0f left %.0fs\n",
               (long long)r->epoch + 1, (long long)windows_done(r), (long long)r->stream.windows, r->loss,
               bits(r->loss), rate, left);
    }
    fflush(stdout);
}

/* Looks at the meter, which waits for the device, and tells what it says. A loss that is not finite ends the run. */
static void report(run *r, int64_t steps, double seconds, double left)
{
    double rate = (double)(steps * r->stream.T * r->stream.B) / seconds;
    if (clseq_meter_read(r->meter, &r->loss) != CLSEQ_OK) {
        fprintf(stderr,
                "\nchar_lm: the loss is no longer finite (%s); the last good checkpoint stays in %s\n",
                clseq_last_error(), r->o->checkpoint);
        exit(EXIT_FAILURE);
    }
    check(clseq_meter_reset(r->meter));
    if (r->first_loss == 0)
        r->first_loss = r->loss;
    draw_progress(r, rate, left);
    fprintf(r->metrics, "%lld,%lld,%lld,%.3f,%.6f,%.6f,,%.0f\n", (long long)clseq_optimizer_steps(r->adam),
            (long long)r->epoch + 1, (long long)r->stream.position, r->seconds_before + now() - r->started,
            r->loss, bits(r->loss), rate);
}

static void open_metrics(run *r)
{
    char sentence[512];
    r->metrics = fopen(r->o->metrics, r->o->resume ? "a" : "w");
    if (!r->metrics) {
        snprintf(sentence, sizeof sentence, "cannot write the metrics to %s: %s", r->o->metrics,
                 strerror(errno));
        fail(sentence);
    }
    if (!r->o->resume)
        fprintf(r->metrics,
                "step,epoch,window,seconds,loss,bits_per_char,validation_loss,chars_per_second\n");
}

/* ---- training ---- */

static bool is_over(const run *r)
{
    return interrupted || now() - r->started >= r->o->minutes * 60 ||
           (r->o->epochs >= 0 && r->epoch >= r->o->epochs);
}

static void end_epoch(run *r, const corpus *c)
{
    r->epoch++;
    check(clseq_state_reset(r->carry));
    r->valid_loss = validate(r, c);
    if (!isfinite(r->valid_loss))
        fail("the validation loss is no longer finite; the last good checkpoint stays");
    save(r, c);
    if (r->valid_loss > 0)
        printf("%sepoch %lld: loss %.4f, validation %.4f (%.3f bits/char)\n",
               isatty(STDOUT_FILENO) ? "\r\033[K" : "", (long long)r->epoch, r->loss, r->valid_loss,
               bits(r->valid_loss));
    fprintf(r->metrics, "%lld,%lld,0,%.3f,%.6f,%.6f,%.6f,\n", (long long)clseq_optimizer_steps(r->adam),
            (long long)r->epoch, r->seconds_before + now() - r->started, r->loss, bits(r->loss),
            r->valid_loss);
    fflush(r->metrics);
}

static void train(run *r, const corpus *c)
{
    const double pause = isatty(STDOUT_FILENO) ? 0.25 : 5.0;
    double reported = now();
    int64_t steps = 0;
    while (!is_over(r)) {
        bool more = clseq_stream_next(&r->stream, r->inputs, r->targets);
        if (more) {
            train_step(r);
            steps++;
        }
        if (steps > 0 && (!more || now() - reported >= pause || is_over(r))) {
            report(r, steps, now() - reported, time_left(r, steps, now() - reported));
            steps = 0;
        }
        if (!more)
            end_epoch(r, c);
        if (steps == 0)
            reported = now();
    }
    if (isatty(STDOUT_FILENO))
        printf("\n");
    save(r, c);
}

/* ---- the program ---- */

static void start(run *r, const corpus *c)
{
    const options *o = r->o;
    check(clseq_context_create(&(clseq_context_desc){.device = o->device, .profile = o->profile}, &r->ctx));
    check(clseq_params_create(r->ctx, o->seed, &r->params));
    make_model(o, r->params, c->vocabulary.size, &r->m);
    check(clseq_optimizer_create(r->params, &(clseq_optimizer_desc){.kind = CLSEQ_ADAM, .lr = (float)o->lr},
                                 &r->adam));
    check(clseq_state_create(r->m.rnn, o->batch, &r->carry));
    check(clseq_meter_create(r->ctx, &r->meter));
    check(clseq_stream_init(&r->stream, c->tokens, c->train_size, o->steps, o->batch));
    size_t window = (size_t)o->steps * (size_t)o->batch;
    r->inputs = allocate(window * sizeof *r->inputs);
    r->targets = allocate(window * sizeof *r->targets);
    if (o->resume)
        resume_progress(r);
    open_metrics(r);
    printf("%s: %s, %d layers of %d, %lld parameters; %zu characters, %d different\n",
           clseq_context_device(r->ctx)->name, o->cell, o->layers, o->hidden,
           (long long)clseq_params_elements(r->params), c->size, (int)c->vocabulary.size);
}

static void finish(run *r, corpus *c)
{
    char table[4096];
    if (r->o->profile && clseq_context_profile_text(r->ctx, table, sizeof table) == CLSEQ_OK)
        printf("\n%s", table);
    fclose(r->metrics);
    clseq_meter_destroy(r->meter);
    clseq_state_destroy(r->carry);
    clseq_optimizer_destroy(r->adam);
    clseq_params_destroy(r->params);
    clseq_context_destroy(r->ctx);
    free(r->inputs);
    free(r->targets);
    free(c->tokens);
    free(c->bytes);
}

int main(int argc, char **argv)
{
    options o = {.cell = "lstm",
                 .checkpoint = "char_lm.safetensors",
                 .metrics = "char_lm.csv",
                 .prompt = "",
                 .epochs = -1,
                 .batch = 50,
                 .steps = 50,
                 .embedding = 128,
                 .hidden = 128,
                 .layers = 2,
                 .generate = 500,
                 .minutes = -1,
                 .lr = 2e-3,
                 .clip = 5,
                 .validation = 0.05,
                 .temperature = 0.7,
                 .seed = 1};
    clseq_vocabulary known;
    corpus c = {0};
    run r = {.o = &o};
    parse_options(argc, argv, &o);
    if (o.minutes < 0)
        o.minutes = o.epochs < 0 ? 2 : 1e6;
    clseq_set_log(log_line, NULL, CLSEQ_LOG_INFO);
    signal(SIGINT, on_interrupt);
    if (o.resume)
        resume_settings(&o, &known);
    load_corpus(&o, o.resume ? &known : NULL, &c);
    start(&r, &c);
    r.started = now();
    bool trained = !is_over(&r);
    if (trained)
        train(&r, &c);
    bool fell = !trained || r.loss < r.first_loss || interrupted;
    if (o.generate > 0 && !interrupted)
        generate(&r, &c);
    if (trained)
        printf("wrote %s and %s\n", o.checkpoint, o.metrics);
    if (!fell)
        fprintf(stderr, "char_lm: the loss did not fall (%.4f at first, %.4f at last)\n", r.first_loss,
                r.loss);
    finish(&r, &c);
    return interrupted ? 130 : fell ? EXIT_SUCCESS : EXIT_FAILURE;
}
