#include "support/run_case.h"
#include "support/device.h"
#include "support/folder.h"
#include "support/graph.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { T = 2, B = 3, I = 2, H = 4, BUFFERS = 4 };

static char folder[FOLDER_PATH];
static clseq_context *shared; /* by all models of a test, so that programs are loaded once */

void run_case_setup(void)
{
    folder_create(folder);
    EXPECT_THAT(chdir(folder) == 0, folder);
    shared = test_context();
}

void run_case_teardown(void)
{
    clseq_context_destroy(shared);
    EXPECT_THAT(chdir("/") == 0, "/");
    folder_remove(folder);
}

void run_case_make(run_case *c)
{
    const clseq_optimizer_desc adam = clseq_optimizer_desc_default(CLSEQ_OPTIMIZER_ADAM, 1e-2f);
    *c = (run_case){.ctx = shared};
    EXPECT_OK(clseq_params_create(c->ctx, 3, &c->params));
    EXPECT_OK(clseq_rnn_new(
        c->params, "rnn", &(clseq_rnn_desc){.cell = CLSEQ_CELL_GRU, .input = I, .hidden = H}, NULL, &c->rnn));
    EXPECT_OK(clseq_linear_new(c->params, "out", H, 1, true, &c->out));
    EXPECT_OK(clseq_optimizer_create(c->params, &adam, &c->adam));
    EXPECT_OK(clseq_state_create(c->rnn, B, &c->carry));
}

clseq_status run_case_try(run_case *c, const clseq_run_desc *desc)
{
    static const char *const names[] = {"carry"};
    const clseq_status status = clseq_run_create(desc, &c->run);
    if (status != CLSEQ_OK)
        return status;
    return clseq_run_begin(c->run,
                           &(clseq_checkpoint){.params = c->params,
                                               .optimizer = c->adam,
                                               .states = &c->carry,
                                               .state_names = names,
                                               .state_count = 1},
                           RUN_CASE_EPOCH);
}

void run_case_begin(run_case *c, const clseq_run_desc *desc)
{
    run_case_make(c);
    EXPECT_OK(run_case_try(c, desc));
}

/* The mean square of what the model says to numbers that follow from `place`, less 1. */
static clseq_var *loss_of(run_case *c, clseq_graph *g, int64_t place, clseq_state *carry)
{
    float x[T * B * I], one[T * B];
    for (int i = 0; i < T * B * I; i++)
        x[i] = (float)clseq_random(1, (uint64_t)place, (uint64_t)i) + c->spoiled;
    for (int i = 0; i < T * B; i++)
        one[i] = -1;
    clseq_var *in = clseq_dropout(g, clseq_input_f32(g, x, 3, (int64_t[]){T, B, I}), 0.2f);
    clseq_var *y = clseq_affine(g, c->out, clseq_recur(g, c->rnn, in, &(clseq_recur_opts){.carry = carry}));
    clseq_var *d = clseq_add(g, y, clseq_input_f32(g, one, 3, (int64_t[]){T, B, 1}));
    return clseq_mean(g, clseq_mul(g, d, d));
}

clseq_status run_case_step(run_case *c)
{
    clseq_graph *g = clseq_graph_begin(c->ctx, CLSEQ_MODE_TRAINING);
    clseq_graph_seed(g, 5, (uint64_t)clseq_optimizer_steps(c->adam));
    clseq_var *loss = loss_of(c, g, clseq_run_progress(c->run).epoch_steps, c->carry);
    clseq_meter_add(g, clseq_run_meter(c->run), loss, 1.0f);
    clseq_backward(g, loss);
    EXPECT_OK(clseq_graph_end(g));
    EXPECT_OK(clseq_optimizer_step(c->adam));
    return clseq_run_step(c->run, B);
}

const double *run_case_validate(run_case *c)
{
    float loss = 0;
    clseq_state *zero = NULL;
    if (c->judged) {
        c->validation = c->judged[clseq_run_progress(c->run).epochs];
        return &c->validation;
    }
    EXPECT_OK(clseq_state_create(c->rnn, B, &zero));
    clseq_graph *g = clseq_graph_begin(c->ctx, CLSEQ_MODE_INFERENCE);
    EXPECT_OK(clseq_read_float(g, loss_of(c, g, 1000, zero), &loss));
    EXPECT_OK(clseq_graph_end(g));
    clseq_state_destroy(zero);
    c->validation = loss;
    return &c->validation;
}

clseq_status run_case_try_train(run_case *c)
{
    clseq_status status = CLSEQ_OK;
    while (status == CLSEQ_OK && !clseq_run_is_over(c->run)) {
        if (clseq_run_progress(c->run).epoch_steps < RUN_CASE_EPOCH) {
            status = run_case_step(c);
        } else {
            EXPECT_OK(clseq_state_reset(c->carry));
            status = clseq_run_end_epoch(c->run, run_case_validate(c));
        }
    }
    if (status == CLSEQ_OK)
        status = clseq_run_finish(c->run, clseq_run_is_within_epoch(c->run) ? run_case_validate(c) : NULL);
    return status;
}

void run_case_train(run_case *c)
{
    EXPECT_OK(run_case_try_train(c));
}

void run_case_end(run_case *c)
{
    clseq_run_destroy(c->run);
    clseq_state_destroy(c->carry);
    clseq_optimizer_destroy(c->adam);
    clseq_params_destroy(c->params);
}

const char *run_case_read(const char *path)
{
    static char texts[BUFFERS][RUN_CASE_TEXT];
    static int calls;
    char *text = texts[calls++ % BUFFERS];
    FILE *file = fopen(path, "rb");
    text[file ? fread(text, 1, RUN_CASE_TEXT - 1, file) : 0] = '\0';
    if (file)
        fclose(file);
    return text;
}

const char *run_case_rows(const char *path)
{
    char *text = (char *)run_case_read(path), *to = text;
    const char *from = text;
    int field = 0, fields = 0;
    for (const char *p = text; *p && *p != '\n'; p++)
        fields += *p == ',';
    for (; *from; from++) {
        const bool last = field == fields || (field == fields - 1 && *from == ',');
        if (field != 3 && !last)
            *to++ = *from;
        field = *from == '\n' ? 0 : field + (*from == ',');
        if (*from == '\n' && to > text && to[-1] != '\n')
            *to++ = '\n';
    }
    *to = '\0';
    return text;
}
