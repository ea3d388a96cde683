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
#include "common/generation.h"
#include "common/training.h"

#include <math.h>
#include <stdlib.h>

extern const unsigned char default_text[];
extern const size_t default_text_size;

static struct {
    corpus_options text;
    clseq_cell cell;
    int64_t batch, steps, embedding, hidden, layers;
    double dropout;
    generation_options generation;
} o = {.text = {.validation = 0.05},
       .cell = CLSEQ_CELL_LSTM,
       .batch = 50,
       .steps = 50,
       .embedding = 128,
       .hidden = 256,
       .layers = 1,
       .generation = {.prompt = "", .characters = 500, .temperature = 0.7}};

/* What shapes the model and the order of the text stays as it was when a run is resumed. */
static setting table[] = {
    CORPUS_SETTINGS(o.text),
    SETTING_CELL("cell", &o.cell, STAYS, "NAME", "recurrent cell"),
    SETTING_WHOLE("layers", &o.layers, 1, 16, STAYS, "N", "recurrent layers"),
    SETTING_WHOLE("hidden", &o.hidden, 1, 16384, STAYS, "N", "units of each"),
    SETTING_WHOLE("embedding", &o.embedding, 1, 16384, STAYS, "N", "features of a character"),
    SETTING_REAL("dropout", &o.dropout, 0, 0.95, CHANGES, "P",
                 "after the embedding and after the last layer"),
    SETTING_WHOLE("batch", &o.batch, 1, 65536, STAYS, "B", "streams side by side"),
    SETTING_WHOLE("steps", &o.steps, 1, 65536, STAYS, "T", "characters of a stream in one training step"),
    GENERATION_SETTINGS(o.generation),
};

/* ---- the model ---- */

typedef struct model {
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

typedef struct trainer {
    clseq_context *ctx;
    clseq_params *params;
    clseq_optimizer *adam;
    clseq_state *carry, *reading; /* in training, and while text is generated */
    model m;
    clseq_stream stream;
    int32_t *inputs, *targets; /* of one window, [T,B] */
    double validation;
} trainer;

/* One step. The loss stays on the device, in the run's meter; nothing here waits for it. */
static void train_step(trainer *t, clseq_run *run)
{
    clseq_graph *g = clseq_graph_begin(t->ctx, CLSEQ_MODE_TRAINING);
    clseq_graph_seed(g, training.seed, (uint64_t)clseq_optimizer_steps(t->adam));
    clseq_var *loss = loss_of(g, &t->m, &t->stream, t->inputs, t->targets, t->carry);
    clseq_meter_add(g, clseq_run_meter(run), loss, 1.0f);
    clseq_backward(g, loss);
    check(clseq_graph_end(g));
    check(clseq_clip_global_norm(t->params, (float)training.clip, NULL));
    check(clseq_optimizer_step(t->adam));
    check(clseq_run_step(run, o.steps * o.batch));
}

/* The loss over the validation part, in as many streams as fill windows; NULL when it is too short for one. */
static const double *validate(trainer *t, const corpus *c)
{
    clseq_stream s;
    clseq_state *carry = NULL;
    clseq_meter *meter = NULL;
    const size_t count = c->size - c->train_size;
    int64_t T = o.steps, B = o.batch;
    while (B > 1 && (int64_t)count < B * T + 1)
        B /= 2;
    if ((int64_t)count < B * T + 1)
        return NULL;
    check(clseq_stream_init(&s, c->tokens + c->train_size, count, T, B));
    check(clseq_state_create(t->m.rnn, B, &carry));
    check(clseq_meter_create(t->ctx, &meter));
    while (clseq_stream_next(&s, t->inputs, t->targets)) {
        clseq_graph *g = clseq_graph_begin(t->ctx, CLSEQ_MODE_INFERENCE);
        clseq_meter_add(g, meter, loss_of(g, &t->m, &s, t->inputs, t->targets, carry), 1.0f);
        check(clseq_graph_end(g));
    }
    const clseq_status status = clseq_meter_read(meter, &t->validation);
    check(status == CLSEQ_NOT_FINITE ? CLSEQ_OK : status); /* the run says so */
    clseq_meter_destroy(meter);
    clseq_state_destroy(carry);
    return &t->validation;
}

static void train(trainer *t, clseq_run *run, const corpus *c)
{
    t->stream.position = clseq_run_progress(run).epoch_steps;
    while (!clseq_run_is_over(run)) {
        if (clseq_stream_next(&t->stream, t->inputs, t->targets)) {
            train_step(t, run);
        } else {
            check(clseq_state_reset(t->carry));
            check(clseq_run_end_epoch(run, validate(t, c)));
        }
    }
    check(clseq_run_finish(run, clseq_run_is_within_epoch(run) ? validate(t, c) : NULL));
}

/* What the model expects after these characters; of training, only the state is another. */
static void expect(void *data, const int32_t *tokens, int64_t length, float *logits)
{
    const trainer *t = data;
    clseq_graph *g = clseq_graph_begin(t->ctx, CLSEQ_MODE_INFERENCE);
    clseq_var *all = logits_of(g, &t->m, tokens, length, 1, t->reading);
    clseq_read(g, clseq_slice(g, all, 0, length - 1, 1), logits);
    check(clseq_graph_end(g));
}

/* ---- the program ---- */

static void make_trainer(trainer *t, const corpus *c)
{
    const size_t window = (size_t)(o.steps * o.batch);
    const clseq_optimizer_desc adam = clseq_optimizer_desc_default(CLSEQ_OPTIMIZER_ADAM, (float)training.lr);
    if (c->train_size < window + 1)
        fail("--text %s: %zu characters to learn from are too few, --batch %lld and --steps %lld need %zu",
             c->path, c->train_size, (long long)o.batch, (long long)o.steps, window + 1);
    t->ctx = training_context();
    check(clseq_params_create(t->ctx, training.seed, &t->params));
    if (training.resume) /* a model that the checkpoint does not hold is not made */
        check(clseq_params_expect(t->params, training.checkpoint));
    make_model(t->params, c->vocabulary.size, &t->m);
    check(clseq_optimizer_create(t->params, &adam, &t->adam));
    check(clseq_state_create(t->m.rnn, o.batch, &t->carry));
    check(clseq_stream_init(&t->stream, c->tokens, c->train_size, o.steps, o.batch));
    t->inputs = allocate(window * sizeof *t->inputs);
    t->targets = allocate(window * sizeof *t->targets);
    say("%s: %s, %lld layer%s of %lld, %lld parameters; %s, %zu characters, %d different\n",
        clseq_context_device(t->ctx)->name, clseq_cell_name(o.cell), (long long)o.layers,
        o.layers == 1 ? "" : "s", (long long)o.hidden, (long long)clseq_params_elements(t->params),
        corpus_name(c), c->size, (int)c->vocabulary.size);
}

static double bits(double nats)
{
    return nats / log(2.0);
}

int main(int argc, char **argv)
{
    static const clseq_run_column bits_per_char = {"bits_per_char", bits};
    static const training_program program = {
        .summary = "Trains a recurrent character model on any OpenCL device, then writes text.",
        .minutes = 2,
        .unit = "char",
        .step_name = "window",
        .columns = &bits_per_char,
        .column_count = 1};
    corpus c = {0};
    trainer t = {0};
    clseq_meta meta[CORPUS_META];
    training = (training_options){TRAINING_DEFAULTS("char_lm"), .lr = 4e-3, .clip = 5};
    clseq_run *run = training_open(argc, argv, &program, table, COUNT_OF(table));
    corpus_open(&c, &o.text, default_text, default_text_size, run);
    corpus_meta(&c, meta);
    prompt p = encode_prompt(&o.generation, &c.vocabulary, o.text.lower);
    make_trainer(&t, &c);
    training_begin(run,
                   &(clseq_checkpoint){.params = t.params,
                                       .optimizer = t.adam,
                                       .states = &t.carry,
                                       .state_names = (const char *[]){"carry"},
                                       .state_count = 1,
                                       .meta = meta,
                                       .meta_count = CORPUS_META},
                   t.stream.windows, o.dropout > 0);
    train(&t, run, &c);
    if (o.generation.characters > 0 && !training_is_interrupted()) {
        check(clseq_run_load_best(run));
        check(clseq_state_create(t.m.rnn, 1, &t.reading));
        generate(&o.generation, &c.vocabulary, &p, expect, &t);
    }
    clseq_state_destroy(t.reading);
    clseq_state_destroy(t.carry);
    clseq_optimizer_destroy(t.adam);
    clseq_params_destroy(t.params);
    free(t.inputs);
    free(t.targets);
    free(p.tokens);
    corpus_free(&c);
    return training_close(run, t.ctx);
}
