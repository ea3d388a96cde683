/* Checkpoints: what comes back is what was saved, a resumed run is the run, and files that do not fit change nothing. */
#include "support/compare.h"
#include "support/device.h"
#include "support/folder.h"
#include "support/golden.h"
#include "train/safetensors.h"
#include <clseq/clseq.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { T = 4, B = 3, V = 7, E = 5, H = 6, WINDOW = T * B };

/* A small model with everything that a checkpoint can hold. */
typedef struct {
    clseq_context *ctx;
    clseq_params *params;
    clseq_optimizer *optimizer;
    clseq_embedding *embed;
    clseq_rnn *rnn;
    clseq_linear *out;
    clseq_state *carry;
} model;

static char folder[FOLDER_PATH], path[FOLDER_PATH + 8];

static void setup(void)
{
    folder_create(folder);
    snprintf(path, sizeof path, "%s/file", folder);
}

static void teardown(void)
{
    unlink(path);
    char left[FOLDER_PATH] = "";
    cr_assert_eq(folder_count(folder, "", left), 0, "%s was left behind in %s", left, folder);
    folder_remove(folder);
}

TestSuite(checkpoint, .init = setup, .fini = teardown);

static void ok(clseq_status status)
{
    cr_assert_eq(status, CLSEQ_OK, "%s", clseq_last_error());
}

static model make_rnn(const clseq_rnn_desc *rnn, clseq_optimizer_kind kind, uint64_t seed)
{
    model m = {.ctx = test_context()};
    clseq_optimizer_desc desc = clseq_optimizer_desc_default(kind, 0.05f);
    desc.momentum = kind == CLSEQ_OPTIMIZER_SGD ? 0.9f : 0;
    ok(clseq_params_create(m.ctx, seed, &m.params));
    ok(clseq_embedding_new(m.params, "embed", V, E, &m.embed));
    ok(clseq_rnn_new(m.params, "rnn", rnn, NULL, &m.rnn));
    ok(clseq_linear_new(m.params, "out", clseq_rnn_output_size(clseq_rnn_plan_of(m.rnn)), V, true, &m.out));
    ok(clseq_optimizer_create(m.params, &desc, &m.optimizer));
    ok(clseq_state_create(m.rnn, B, &m.carry));
    return m;
}

static model make(clseq_cell cell, clseq_optimizer_kind kind, uint64_t seed, int64_t hidden)
{
    return make_rnn(&(clseq_rnn_desc){.cell = cell, .input = E, .hidden = hidden, .layers = 2}, kind, seed);
}

static void drop(model *m)
{
    clseq_state_destroy(m->carry);
    clseq_optimizer_destroy(m->optimizer);
    clseq_params_destroy(m->params);
    clseq_context_destroy(m->ctx);
}

/* One training step with dropout on tokens that depend on the step alone; returns its loss. */
static float step(model *m)
{
    int32_t tokens[WINDOW], targets[WINDOW];
    float loss = 0;
    uint64_t n = (uint64_t)clseq_optimizer_steps(m->optimizer);
    for (uint64_t i = 0; i < WINDOW; i++) {
        tokens[i] = (int32_t)((n * 5 + i * i) % V);
        targets[i] = (int32_t)((n * 5 + i * i + 3) % V);
    }
    clseq_graph *g = clseq_graph_begin(m->ctx, CLSEQ_MODE_TRAINING);
    clseq_graph_seed(g, 9, n);
    clseq_var *x = clseq_embed(g, m->embed, clseq_input_i32(g, tokens, 2, (int64_t[]){T, B}));
    clseq_var *y = clseq_recur(g, m->rnn, clseq_dropout(g, x, 0.3f), &(clseq_recur_opts){.carry = m->carry});
    clseq_var *l = clseq_cross_entropy(g, clseq_affine(g, m->out, y),
                                       clseq_input_i32(g, targets, 2, (int64_t[]){T, B}), NULL);
    clseq_backward(g, l);
    clseq_read_float(g, l, &loss);
    ok(clseq_graph_end(g));
    ok(clseq_clip_global_norm(m->params, 1.0f, NULL));
    ok(clseq_optimizer_step(m->optimizer));
    return loss;
}

static clseq_checkpoint contents(model *m)
{
    static const char *const names[] = {"carry"};
    return (clseq_checkpoint){.params = m->params,
                              .optimizer = m->optimizer,
                              .states = &m->carry,
                              .state_names = names,
                              .state_count = 1};
}

/* All values of two models are equal bit for bit, their states too. */
static void expect_same(model *a, model *b)
{
    for (size_t i = 0; i < clseq_params_count(a->params); i++) {
        clseq_param *p = clseq_params_at(a->params, i);
        clseq_param *q = clseq_params_find(b->params, clseq_param_name(p));
        clseq_tensor view;
        ok(clseq_param_value(p, &view));
        size_t n = (size_t)clseq_tensor_elements(&view);
        float *x = malloc(n * sizeof *x), *y = malloc(n * sizeof *y);
        ok(clseq_param_get(p, x));
        ok(clseq_param_get(q, y));
        cr_assert(compare_bits(clseq_param_name(p), x, y, n), "%s", compare_message());
        free(x);
        free(y);
    }
    cr_assert_eq(clseq_state_count(a->carry), clseq_state_count(b->carry));
    for (int s = 0; s < clseq_state_count(a->carry); s++) {
        clseq_tensor t, u;
        ok(clseq_state_tensor(a->carry, s, &t));
        ok(clseq_state_tensor(b->carry, s, &u));
        size_t n = (size_t)clseq_tensor_elements(&t);
        float *x = malloc(n * sizeof *x), *y = malloc(n * sizeof *y);
        ok(clseq_tensor_read(a->ctx, &t, x));
        ok(clseq_tensor_read(b->ctx, &u, y));
        cr_assert(compare_bits(clseq_state_name(a->carry, s), x, y, n), "%s", compare_message());
        free(x);
        free(y);
    }
}

static void resume_equals_run(const clseq_rnn_desc *rnn, clseq_optimizer_kind kind)
{
    model whole = make_rnn(rnn, kind, 1), before = make_rnn(rnn, kind, 1), after = make_rnn(rnn, kind, 2);
    clseq_checkpoint saved = contents(&before), loaded = contents(&after);
    for (int i = 0; i < 5; i++)
        step(&whole);
    for (int i = 0; i < 3; i++)
        step(&before);
    step(&after); /* makes packed weights that loading must put out of date */
    ok(clseq_checkpoint_save(path, &saved));
    ok(clseq_checkpoint_load(path, &loaded));
    cr_assert_eq(clseq_optimizer_steps(after.optimizer), 3);
    expect_same(&before, &after);
    for (int i = 0; i < 2; i++)
        step(&after);
    expect_same(&whole, &after);
    drop(&whole);
    drop(&before);
    drop(&after);
}

Test(checkpoint, a_resumed_run_equals_the_run_bit_for_bit)
{
    clseq_rnn_desc rnn = {.input = E, .hidden = H, .layers = 2};
    const int cells = test_small() ? 1 : CLSEQ_CELL_COUNT;
    for (int cell = 0; cell < cells; cell++) {
        rnn.cell = (clseq_cell)cell;
        resume_equals_run(&rnn, CLSEQ_OPTIMIZER_ADAM);
    }
    rnn.cell = CLSEQ_CELL_RNN_TANH;
    for (int kind = 0; kind < CLSEQ_OPTIMIZER_COUNT; kind++)
        resume_equals_run(&rnn, (clseq_optimizer_kind)kind);
}

/* More kinds of weights, and states of other shapes. */
Test(checkpoint, a_resumed_run_of_a_layer_with_options)
{
    static const int64_t widths[] = {H, 9};
    static const clseq_rnn_desc layers[] = {
        {.cell = CLSEQ_CELL_LSTM, .input = E, .hidden = H, .layers = 2, .projection = 4, .layer_norm = true},
        {.cell = CLSEQ_CELL_LSTM_PEEPHOLE, .input = E, .layers = 2, .projection = 4, .widths = widths},
        {.cell = CLSEQ_CELL_GRU, .input = E, .layers = 2, .layer_norm = true, .widths = widths},
        {.cell = CLSEQ_CELL_GRU_RESET_BEFORE,
         .input = E,
         .hidden = H,
         .bias = CLSEQ_BIAS_ONE,
         .direction = CLSEQ_DIRECTION_REVERSE},
    };
    for (size_t i = 0; i < (test_small() ? 1 : sizeof layers / sizeof *layers); i++)
        resume_equals_run(&layers[i], CLSEQ_OPTIMIZER_ADAM);
}

Test(checkpoint, holds_pytorch_names_and_the_callers_pairs)
{
    const char *const expected[] = {"embed.weight",
                                    "rnn.weight_ih_l0",
                                    "rnn.weight_hh_l0",
                                    "rnn.bias_ih_l0",
                                    "rnn.bias_hh_l0",
                                    "rnn.weight_ih_l1",
                                    "rnn.bias_hh_l1",
                                    "out.weight",
                                    "out.bias",
                                    "state.carry.h",
                                    "state.carry.c",
                                    "optimizer.exp_avg.out.bias",
                                    "optimizer.exp_avg_sq.rnn.weight_hh_l1"};
    const clseq_meta meta[] = {{"epoch", "3"}, {"note", "\"quotes\" and \n lines"}};
    model m = make(CLSEQ_CELL_LSTM, CLSEQ_OPTIMIZER_ADAM, 1, H);
    clseq_checkpoint what = contents(&m);
    clseq__st_reader *file = NULL;
    char value[64];
    what.meta = meta;
    what.meta_count = 2;
    step(&m);
    ok(clseq_checkpoint_save(path, &what));
    ok(clseq__st_open(path, &file));
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        cr_expect_not_null(clseq__st_find(file, expected[i]), "%s is missing", expected[i]);
    cr_assert_eq(clseq__st_find(file, "rnn.weight_ih_l0")->dims[0], 4 * H);
    clseq__st_close(file);
    ok(clseq_checkpoint_meta(path, "note", value, sizeof value));
    cr_assert_str_eq(value, "\"quotes\" and \n lines");
    ok(clseq_checkpoint_meta(path, "clseq.step", value, sizeof value));
    cr_assert_str_eq(value, "1");
    cr_assert_eq(clseq_checkpoint_meta(path, "nothing", value, sizeof value), CLSEQ_NOT_FOUND);
    cr_assert_eq(clseq_checkpoint_meta(path, "note", value, 5), CLSEQ_INVALID_ARGUMENT);
    drop(&m);
}

Test(checkpoint, loads_a_state_dict_of_pytorch_into_the_same_numbers)
{
    golden *g = golden_open("lstm_state_dict.txt");
    const golden_tensor *x = golden_get(g, "x"), *y = golden_get(g, "y");
    const int64_t steps = (int64_t)x->dims[0], rows = (int64_t)x->dims[1], in = (int64_t)x->dims[2];
    const int64_t hidden = (int64_t)y->dims[2];
    clseq_context *ctx = test_context();
    clseq_params *params = NULL;
    clseq_rnn *rnn = NULL;
    float *input = malloc(x->n * sizeof *input), *output = malloc(y->n * sizeof *output);
    for (size_t i = 0; i < x->n; i++)
        input[i] = (float)x->values[i];
    ok(clseq_params_create(ctx, 1, &params));
    ok(clseq_rnn_new(params, "lstm",
                     &(clseq_rnn_desc){.cell = CLSEQ_CELL_LSTM, .input = in, .hidden = hidden, .layers = 2},
                     NULL, &rnn));
    ok(clseq_params_load(params, CLSEQ_TEST_GOLDEN "/lstm_state_dict.safetensors", "", "lstm."));
    clseq_tensor weight;
    float values[64];
    ok(clseq_param_value(clseq_params_find(params, "lstm.weight_hh_l1"), &weight));
    ok(clseq_tensor_read(ctx, &weight, values));
    cr_assert(compare_floats("weight_hh_l1", values, golden_get(g, "weight_hh_l1")->values,
                             golden_get(g, "weight_hh_l1")->n, 0),
              "%s", compare_message());
    clseq_graph *graph = clseq_graph_begin(ctx, CLSEQ_MODE_INFERENCE);
    clseq_var *out =
        clseq_recur(graph, rnn, clseq_input_f32(graph, input, 3, (int64_t[]){steps, rows, in}), NULL);
    clseq_read(graph, out, output);
    ok(clseq_graph_end(graph));
    cr_assert(compare_floats("y", output, y->values, y->n, 2e-6), "%s", compare_message());
    free(input);
    free(output);
    golden_close(g);
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
}

Test(checkpoint, a_file_that_does_not_fit_changes_nothing)
{
    model a = make(CLSEQ_CELL_LSTM, CLSEQ_OPTIMIZER_ADAM, 1, H),
          untouched = make(CLSEQ_CELL_LSTM, CLSEQ_OPTIMIZER_ADAM, 1, H);
    model wider = make(CLSEQ_CELL_LSTM, CLSEQ_OPTIMIZER_ADAM, 3, H + 1),
          other = make(CLSEQ_CELL_GRU, CLSEQ_OPTIMIZER_ADAM, 3, H);
    model sgd = make(CLSEQ_CELL_LSTM, CLSEQ_OPTIMIZER_SGD, 3, H);
    clseq_checkpoint mine = contents(&a), file = contents(&wider);

    ok(clseq_checkpoint_save(path, &file));
    cr_assert_eq(clseq_checkpoint_load(path, &mine), CLSEQ_INVALID_SHAPE);
    cr_assert(strstr(clseq_last_error(), "expected ["), "%s", clseq_last_error());
    file = contents(&other);
    ok(clseq_checkpoint_save(path, &file));
    cr_assert_eq(clseq_checkpoint_load(path, &mine), CLSEQ_INVALID_SHAPE);
    file = contents(&sgd);
    ok(clseq_checkpoint_save(path, &file));
    cr_assert_eq(clseq_checkpoint_load(path, &mine), CLSEQ_INVALID_ARGUMENT);
    cr_assert(strstr(clseq_last_error(), "sgd"), "%s", clseq_last_error());
    file.optimizer = NULL;
    ok(clseq_checkpoint_save(path, &file));
    cr_assert_eq(clseq_checkpoint_load(path, &mine), CLSEQ_NOT_FOUND);
    file = contents(&sgd);
    file.state_count = 0;
    ok(clseq_checkpoint_save(path, &file));
    mine.optimizer = NULL;
    cr_assert_eq(clseq_checkpoint_load(path, &mine), CLSEQ_NOT_FOUND);
    cr_assert(strstr(clseq_last_error(), "state.carry.h"), "%s", clseq_last_error());
    cr_assert_eq(clseq_checkpoint_load("/tmp/clseq-no-such-file", &mine), CLSEQ_IO_ERROR);
    expect_same(&a, &untouched);

    mine.state_count = 0; /* what the file holds beyond the parameters may be left out */
    ok(clseq_checkpoint_load(path, &mine));
    drop(&a);
    drop(&untouched);
    drop(&wider);
    drop(&other);
    drop(&sgd);
}

Test(checkpoint, tensors_without_a_place_are_named)
{
    model m = make(CLSEQ_CELL_LSTM, CLSEQ_OPTIMIZER_ADAM, 1, H);
    clseq_checkpoint what = contents(&m);
    clseq_context *ctx = test_context();
    clseq_params *fewer = NULL;
    clseq_linear *out = NULL;
    ok(clseq_checkpoint_save(path, &what));
    ok(clseq_params_create(ctx, 1, &fewer));
    ok(clseq_linear_new(fewer, "out", H, V, true, &out));
    cr_assert_eq(clseq_checkpoint_load(path, &(clseq_checkpoint){.params = fewer}), CLSEQ_NOT_FOUND);
    cr_assert(strstr(clseq_last_error(), "embed.weight"), "%s", clseq_last_error());
    ok(clseq_params_load(fewer, path, "out.", "out."));
    cr_assert_eq(clseq_params_load(fewer, path, "rnn.", "out."), CLSEQ_NOT_FOUND);
    cr_assert_eq(clseq_params_load(fewer, path, "out.", "in."), CLSEQ_NOT_FOUND);
    cr_assert(strstr(clseq_last_error(), "in."), "%s", clseq_last_error());
    clseq_params_destroy(fewer);
    clseq_context_destroy(ctx);
    drop(&m);
}

Test(checkpoint, a_full_disk_keeps_the_last_good_file)
{
    model m = make(CLSEQ_CELL_LSTM, CLSEQ_OPTIMIZER_ADAM, 1, H),
          back = make(CLSEQ_CELL_LSTM, CLSEQ_OPTIMIZER_ADAM, 2, H);
    clseq_checkpoint what = contents(&m), loaded = contents(&back);
    step(&m);
    ok(clseq_checkpoint_save(path, &what));
    ok(clseq_checkpoint_load(path, &loaded));
    step(&m);
    folder_limit_files(8192);
    clseq_status status = clseq_checkpoint_save(path, &what);
    folder_limit_files(0);
    cr_assert_eq(status, CLSEQ_IO_ERROR);
    cr_assert(strstr(clseq_last_error(), path), "%s", clseq_last_error());
    model again = make(CLSEQ_CELL_LSTM, CLSEQ_OPTIMIZER_ADAM, 5, H);
    loaded = contents(&again);
    ok(clseq_checkpoint_load(path, &loaded));
    expect_same(&back, &again);
    drop(&m);
    drop(&back);
    drop(&again);
}

Test(checkpoint, refuses_nonsense)
{
    model m = make(CLSEQ_CELL_LSTM, CLSEQ_OPTIMIZER_ADAM, 1, H);
    clseq_checkpoint what = contents(&m);
    const clseq_meta reserved = {"clseq.step", "7"}, twice[] = {{"a", "1"}, {"a", "2"}},
                     nothing = {NULL, "1"};
    const char *const no_name[] = {NULL};
    char value[8];
    cr_expect_eq(clseq_checkpoint_save(NULL, &what), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_checkpoint_save(path, NULL), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_checkpoint_load(path, NULL), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_params_load(NULL, path, "", ""), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_params_load(m.params, path, NULL, ""), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_checkpoint_meta(path, NULL, value, 8), CLSEQ_INVALID_ARGUMENT);
    cr_expect_eq(clseq_checkpoint_meta(path, "a", value, 0), CLSEQ_INVALID_ARGUMENT);
    what.meta_count = 1;
    what.meta = &reserved;
    cr_expect_eq(clseq_checkpoint_save(path, &what), CLSEQ_INVALID_ARGUMENT);
    what.meta = &nothing;
    cr_expect_eq(clseq_checkpoint_save(path, &what), CLSEQ_INVALID_ARGUMENT);
    what.meta = twice;
    what.meta_count = 2;
    cr_expect_eq(clseq_checkpoint_save(path, &what), CLSEQ_INVALID_ARGUMENT);
    what.meta_count = 0;
    what.state_names = no_name;
    cr_expect_eq(clseq_checkpoint_save(path, &what), CLSEQ_INVALID_ARGUMENT);
    cr_expect_neq(access(path, F_OK), 0);
    drop(&m);
}

/* Whether a call failed for this reason, in these words. */
static void says(clseq_status status, clseq_status expected, const char *words)
{
    cr_expect_eq(status, expected, "%s instead of \"%s\"", clseq_status_name(status), words);
    cr_expect(strstr(clseq_last_error(), words), "said \"%s\", expected \"%s\"", clseq_last_error(), words);
}

Test(checkpoint, sentences_name_the_argument)
{
    const clseq_status invalid = CLSEQ_INVALID_ARGUMENT;
    const clseq_meta no_key = {NULL, "1"}, no_value = {"k", NULL}, reserved = {"clseq.step", "1"};
    model m = make(CLSEQ_CELL_RNN_TANH, CLSEQ_OPTIMIZER_SGD, 1, H);
    clseq_checkpoint what = contents(&m), none = {0};
    clseq_state *no_state = NULL;
    char value[8];
    says(clseq_checkpoint_save(NULL, &what), invalid, "checkpoint save: path is NULL");
    says(clseq_checkpoint_save(path, NULL), invalid, "checkpoint save: what is NULL");
    says(clseq_checkpoint_load(path, &none), invalid, "checkpoint load: what->params is NULL");
    says(clseq_checkpoint_can_save(NULL), invalid, "checkpoint can save: path is NULL");
    says(clseq_params_load(NULL, path, "", ""), invalid, "params load: params is NULL");
    says(clseq_params_load(m.params, NULL, "", ""), invalid, "params load: path is NULL");
    says(clseq_params_load(m.params, path, NULL, ""), invalid, "params load: from is NULL");
    says(clseq_params_load(m.params, path, "", NULL), invalid, "params load: to is NULL");
    says(clseq_params_expect(NULL, path), invalid, "params expect: params is NULL");
    says(clseq_params_expect(m.params, NULL), invalid, "params expect: path is NULL");
    says(clseq_checkpoint_meta(NULL, "k", value, 8), invalid, "checkpoint meta: path is NULL");
    says(clseq_checkpoint_meta(path, NULL, value, 8), invalid, "checkpoint meta: key is NULL");
    says(clseq_checkpoint_meta(path, "k", NULL, 8), invalid, "checkpoint meta: value is NULL");
    says(clseq_checkpoint_meta(path, "k", value, 0), invalid, "checkpoint meta: size is 0");
    what.state_names = NULL;
    says(clseq_checkpoint_save(path, &what), invalid, "checkpoint save: what->state_names is NULL");
    what = contents(&m);
    what.states = &no_state;
    says(clseq_checkpoint_load(path, &what), invalid, "checkpoint load: what->states[0] is NULL");
    what = contents(&m);
    what.meta_count = 1;
    says(clseq_checkpoint_save(path, &what), invalid, "checkpoint save: what->meta is NULL");
    what.meta = &no_key;
    says(clseq_checkpoint_save(path, &what), invalid, "checkpoint save: what->meta[0].key is NULL");
    what.meta = &no_value;
    says(clseq_checkpoint_save(path, &what), invalid, "checkpoint save: what->meta[0].value is NULL");
    what.meta = &reserved;
    says(clseq_checkpoint_save(path, &what), invalid, "what->meta[0].key is clseq.step");
    drop(&m);
}

/* The output of the model's layers on fixed tokens, in inference. */
static void forward(model *m, float out[WINDOW * V])
{
    int32_t tokens[WINDOW];
    for (int i = 0; i < WINDOW; i++)
        tokens[i] = i * 3 % V;
    clseq_graph *g = clseq_graph_begin(m->ctx, CLSEQ_MODE_INFERENCE);
    clseq_var *x = clseq_embed(g, m->embed, clseq_input_i32(g, tokens, 2, (int64_t[]){T, B}));
    clseq_read(g, clseq_affine(g, m->out, clseq_recur(g, m->rnn, x, NULL)), out);
    ok(clseq_graph_end(g));
}

Test(checkpoint, loaded_weights_are_those_that_run)
{
    for (int by_params = 0; by_params < 2; by_params++) {
        model source = make(CLSEQ_CELL_LSTM, CLSEQ_OPTIMIZER_ADAM, 1, H),
              m = make(CLSEQ_CELL_LSTM, CLSEQ_OPTIMIZER_ADAM, 2, H);
        clseq_checkpoint saved = {.params = source.params}, loaded = {.params = m.params};
        float expected[WINDOW * V], before[WINDOW * V], after[WINDOW * V];
        forward(&source, expected);
        ok(clseq_checkpoint_save(path, &saved));
        forward(&m, before); /* packs its own weights */
        cr_assert_neq(memcmp(before, expected, sizeof before), 0);
        ok(by_params ? clseq_params_load(m.params, path, "", "") : clseq_checkpoint_load(path, &loaded));
        forward(&m, after);
        cr_assert(compare_bits(by_params ? "params load" : "checkpoint load", after, expected, WINDOW * V),
                  "%s", compare_message());
        drop(&source);
        drop(&m);
    }
}

/* Changes the text `from` in the file to one of the same length. */
static void change(const char *from, const char *to)
{
    static char bytes[1 << 16];
    FILE *file = fopen(path, "r+b");
    size_t size = fread(bytes, 1, sizeof bytes, file), length = strlen(from), at = 0;
    cr_assert(size < sizeof bytes && length == strlen(to));
    while (at + length <= size && memcmp(bytes + at, from, length) != 0)
        at++;
    cr_assert(at + length <= size, "%s is not in the file", from);
    fseek(file, (long)at, SEEK_SET);
    fwrite(to, 1, length, file);
    fclose(file);
}

/* Two parameters of one element, "a" and "b". */
static clseq_params *two(clseq_context *ctx, float a, float b)
{
    clseq_params *params = NULL;
    clseq_param *p = NULL;
    ok(clseq_params_create(ctx, 1, &params));
    ok(clseq_params_add(params, "a", 1, (int64_t[]){1}, NULL, NULL));
    ok(clseq_params_add(params, "b", 1, (int64_t[]){1}, NULL, &p));
    ok(clseq_param_set(clseq_params_at(params, 0), &a));
    ok(clseq_param_set(p, &b));
    return params;
}

static void expect_values(clseq_params *params, float a, float b)
{
    float value = 0;
    ok(clseq_param_get(clseq_params_at(params, 0), &value));
    cr_assert_eq(value, a);
    ok(clseq_param_get(clseq_params_at(params, 1), &value));
    cr_assert_eq(value, b);
}

Test(checkpoint, a_last_tensor_that_cannot_be_read_changes_nothing)
{
    clseq_context *ctx = test_context();
    clseq_params *saved = two(ctx, 1, 2), *mine = two(ctx, 3, 4);
    clseq_checkpoint what = {.params = saved}, into = {.params = mine};
    ok(clseq_checkpoint_save(path, &what));
    change("\"b\":{\"dtype\":\"F32\"", "\"b\":{\"dtype\":\"I32\"");
    says(clseq_checkpoint_load(path, &into), CLSEQ_INVALID_DTYPE, "tensor b is I32");
    expect_values(mine, 3, 4);
    says(clseq_params_load(mine, path, "", ""), CLSEQ_INVALID_DTYPE, "tensor b is I32");
    expect_values(mine, 3, 4);
    clseq_params_destroy(saved);
    clseq_params_destroy(mine);
    clseq_context_destroy(ctx);
}

Test(checkpoint, damage_to_the_last_tensor_changes_nothing)
{
    clseq_context *ctx = test_context();
    clseq_params *saved = two(ctx, 1, 2), *mine = two(ctx, 3, 4);
    clseq_checkpoint what = {.params = saved}, into = {.params = mine};
    ok(clseq_checkpoint_save(path, &what));
    FILE *file = fopen(path, "r+b");
    fseek(file, -1, SEEK_END);
    fputc(0x41, file); /* 2 becomes 8 */
    fclose(file);
    says(clseq_checkpoint_load(path, &into), CLSEQ_CORRUPT_FILE, "tensor b is damaged");
    expect_values(mine, 3, 4);
    change("clseq.xxh3.b", "other.xxh3.b"); /* as files of others, which have none */
    ok(clseq_checkpoint_load(path, &into));
    expect_values(mine, 1, 8);
    clseq_params_destroy(saved);
    clseq_params_destroy(mine);
    clseq_context_destroy(ctx);
}

Test(checkpoint, a_step_that_is_no_number_of_steps_is_corrupt)
{
    static const struct {
        const char *step;
        bool fits;
    } cases[] = {{"9007199254740992_", false},
                 {"9223372036854775807", false}, /* 2^63 - 1 */
                 {"9223372036854775808", false},
                 {"99999999999999999999999", false},
                 {"-1", false},
                 {"+1", false},
                 {" 1", false},
                 {"1 ", false},
                 {"nan", false},
                 {"inf", false},
                 {"1e3", false},
                 {"0x1", false},
                 {"\\u001b", false},
                 {"9007199254740993", false},
                 {"9007199254740992", true}, /* 2^53 */
                 {"0", true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        model m = make(CLSEQ_CELL_RNN_TANH, CLSEQ_OPTIMIZER_ADAM, 1, H);
        clseq_checkpoint what = contents(&m);
        const clseq_meta pad = {"note", "................................"};
        char from[96], to[96];
        what.meta = &pad;
        what.meta_count = 1;
        step(&m);
        ok(clseq_checkpoint_save(path, &what));
        /* A longer step takes its bytes from the note. */
        snprintf(from, sizeof from, "\"clseq.step\":\"1\",\"clseq.optimizer\":\"adam\",\"note\":\"%s\"",
                 pad.value);
        snprintf(to, sizeof to, "\"clseq.step\":\"%s\",\"clseq.optimizer\":\"adam\",\"note\":\"%s\"",
                 cases[i].step, pad.value + strlen(cases[i].step) - 1);
        change(from, to);
        clseq_status status = clseq_checkpoint_load(path, &what);
        cr_expect_eq(status, cases[i].fits ? CLSEQ_OK : CLSEQ_CORRUPT_FILE, "step %s", cases[i].step);
        if (!cases[i].fits)
            says(status, CLSEQ_CORRUPT_FILE, "expected a whole number from 0 to");
        cr_expect(!strchr(clseq_last_error(), 0x1b));
        cr_expect_eq(clseq_optimizer_steps(m.optimizer),
                     cases[i].fits ? strtoll(cases[i].step, NULL, 10) : 1);
        step(&m);
        drop(&m);
    }
}

Test(checkpoint, can_save_says_what_save_would_say)
{
    char into[2 * FOLDER_PATH];
    model m = make(CLSEQ_CELL_RNN_TANH, CLSEQ_OPTIMIZER_SGD, 1, H);
    clseq_checkpoint what = contents(&m);
    ok(clseq_checkpoint_can_save(path));
    cr_assert_neq(access(path, F_OK), 0);
    says(clseq_checkpoint_can_save(folder), CLSEQ_IO_ERROR, "is a folder");
    says(clseq_checkpoint_save(folder, &what), CLSEQ_IO_ERROR, "is a folder");
    snprintf(into, sizeof into, "%s/none/file", folder);
    says(clseq_checkpoint_can_save(into), CLSEQ_IO_ERROR, "cannot create");
    says(clseq_checkpoint_can_save(""), CLSEQ_IO_ERROR, "empty");
    cr_assert_eq(mkfifo(path, 0600), 0);
    says(clseq_checkpoint_can_save(path), CLSEQ_IO_ERROR, "is a pipe");
    drop(&m);
}

Test(checkpoint, a_store_that_expects_a_file_takes_nothing_else)
{
    model m = make(CLSEQ_CELL_LSTM, CLSEQ_OPTIMIZER_ADAM, 1, H);
    clseq_checkpoint what = contents(&m);
    clseq_context *ctx = test_context();
    clseq_params *params = NULL;
    clseq_rnn *rnn = NULL;
    clseq_linear *out = NULL;
    clseq_rnn_desc desc = {.cell = CLSEQ_CELL_LSTM, .input = E, .hidden = H, .layers = 100000};
    ok(clseq_checkpoint_save(path, &what));
    says(clseq_params_expect(m.params, path), CLSEQ_INVALID_STATE, "has parameters");
    ok(clseq_params_create(ctx, 1, &params));
    says(clseq_params_expect(params, folder), CLSEQ_IO_ERROR, "not a regular file");
    ok(clseq_params_expect(params, path));
    says(clseq_params_expect(params, path), CLSEQ_INVALID_STATE, "has a file already");
    says(clseq_rnn_new(params, "rnn", &desc, NULL, &rnn), CLSEQ_NOT_FOUND,
         "rnn.weight_ih_l2 is not in the file");
    cr_assert_eq(clseq_params_count(params), 0);
    desc.layers = 2;
    desc.hidden = H + 1;
    says(clseq_rnn_new(params, "rnn", &desc, NULL, &rnn), CLSEQ_INVALID_SHAPE, "rnn.weight_ih_l0 has shape");
    desc.hidden = H;
    ok(clseq_rnn_new(params, "rnn", &desc, NULL, &rnn));
    ok(clseq_linear_new(params, "out", H, V, true, &out));
    says(clseq_params_add(params, "else", 1, (int64_t[]){1}, NULL, NULL), CLSEQ_NOT_FOUND, "else is not");
    ok(clseq_params_load(params, path, "rnn.", "rnn."));
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
    drop(&m);
}
