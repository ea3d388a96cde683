/* Backward from several variables with gradients of their own, and the hook that is told of complete gradients. */
#include <criterion/criterion.h>

#include "support/compare.h"
#include "support/device.h"
#include "support/graph.h"
#include "support/numeric.h"
#include "train/params.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIMS(...)     \
    (const int64_t[]) \
    {                 \
        __VA_ARGS__   \
    }

enum { V = 5, E = 3, T = 5, B = 2, MOST = 16, ELEMENTS = 4 * E * E };

static const float six[6] = {1, 2, 3, 4, 5, 6};
static const int32_t tokens[T * B] = {0, 3, 1, 4, 2, 0, 3, 3, 1, 2};

typedef struct fixture {
    clseq_context *ctx;
    clseq_params *params;
    clseq_embedding *embed;
    clseq_rnn *rnn;
    clseq_linear *out, *other;
    clseq_param *scale;
    clseq_graph *g;
} fixture;

static fixture create(void)
{
    fixture f = {.ctx = test_context()};
    const clseq_init wide = {.kind = CLSEQ_INIT_UNIFORM, .scale = 1};
    EXPECT_OK(clseq_params_create(f.ctx, 1, &f.params));
    EXPECT_OK(clseq_embedding_new(f.params, "embed", V, E, &f.embed));
    EXPECT_OK(clseq_rnn_new(
        f.params, "rnn", &(clseq_rnn_desc){.cell = CLSEQ_CELL_GRU, .input = E, .hidden = E}, NULL, &f.rnn));
    EXPECT_OK(clseq_linear_new(f.params, "out", E, E, true, &f.out));
    EXPECT_OK(clseq_linear_new(f.params, "other", E, E, true, &f.other));
    EXPECT_OK(clseq_params_add(f.params, "scale", 3, DIMS(T, B, E), &wide, &f.scale));
    f.g = clseq_graph_begin(f.ctx, CLSEQ_MODE_TRAINING);
    return f;
}

static void destroy(fixture *f)
{
    clseq_params_destroy(f->params);
    clseq_context_destroy(f->ctx);
}

/* The gradients of all parameters, to be freed. */
static float *gradients(const fixture *f)
{
    float *all = test_floats((size_t)clseq_params_elements(f->params)), *at = all;
    for (size_t i = 0; i < clseq_params_count(f->params); i++) {
        clseq_param *param = clseq_params_at(f->params, i);
        EXPECT_OK(clseq_param_get_grad(param, at));
        at += param->elements;
    }
    return all;
}

/* ---- several variables ---- */

/* The outputs of a model: a loss, and the layer below it. */
static void outputs(const fixture *f, clseq_var *out[2])
{
    clseq_var *t = clseq_input_i32(f->g, tokens, 2, DIMS(T, B));
    out[1] = clseq_recur(f->g, f->rnn, clseq_embed(f->g, f->embed, t), NULL);
    out[0] = clseq_cross_entropy(f->g, clseq_affine(f->g, f->out, out[1]),
                                 clseq_input_i32(f->g, (const int32_t[T * B]){1, 2, 0}, 2, DIMS(T, B)), NULL);
}

/* The same bits as from the one loss that sums everything times its gradient. */
Test(graph_backward, several_variables_are_their_weighted_sum)
{
    fixture f = create();
    float dy[T * B * E], weight = 0.37f, *got, *want;
    clseq_var *vars[2], *grads[2];
    for (int i = 0; i < T * B * E; i++)
        dy[i] = 0.1f * (float)(i % 7) - 0.25f;
    for (int first = 0; first < 2; first++) { /* in either order */
        outputs(&f, vars);
        grads[0] = clseq_input_f32(f.g, &weight, 1, DIMS(1));
        grads[1] = clseq_input_f32(f.g, dy, 3, DIMS(T, B, E));
        clseq_var *swapped[2] = {vars[first], vars[1 - first]}, *by[2] = {grads[first], grads[1 - first]};
        EXPECT_OK(clseq_backward_from(f.g, 2, swapped, by));
        graph_end(f.g);
        got = gradients(&f);
        EXPECT_OK(clseq_params_zero_grad(f.params));
        f.g = clseq_graph_begin(f.ctx, CLSEQ_MODE_TRAINING);
        outputs(&f, vars);
        clseq_var *a = clseq_mul(f.g, vars[0], clseq_input_f32(f.g, &weight, 1, DIMS(1)));
        clseq_var *b = clseq_sum(f.g, clseq_mul(f.g, vars[1], clseq_input_f32(f.g, dy, 3, DIMS(T, B, E))));
        EXPECT_OK(clseq_backward(f.g, clseq_add(f.g, a, b)));
        graph_end(f.g);
        want = gradients(&f);
        EXPECT_OK(clseq_params_zero_grad(f.params));
        cr_assert(compare_bits("gradients", got, want, (size_t)clseq_params_elements(f.params)), "%s",
                  compare_message());
        free(got);
        free(want);
        f.g = clseq_graph_begin(f.ctx, CLSEQ_MODE_TRAINING);
    }
    graph_end(f.g);
    destroy(&f);
}

/* One variable twice, one below another, parameters themselves, and gradients that are not given. */
Test(graph_backward, gradients_of_variables_add_up)
{
    fixture f = create();
    const double d[6] = {1, -2, 3, -4, 5, -6};
    clseq_param *bias = clseq_params_find(f.params, "out.bias");
    clseq_var *x = clseq_require_grad(f.g, clseq_input_f32(f.g, six, 2, DIMS(2, 3)));
    clseq_var *y = clseq_require_grad(f.g, clseq_add(f.g, x, x)), *loss = clseq_sum(f.g, y);
    clseq_var *dy = graph_input(f.g, d, 2, DIMS(2, 3));
    clseq_var *p = clseq_param_var(f.g, bias), *dp = clseq_input_f32(f.g, six, 1, DIMS(3));
    EXPECT_OK(clseq_backward_from(f.g, 6, (clseq_var *[]){y, loss, y, loss, p, p},
                                  (clseq_var *[]){dy, NULL, dy, NULL, dp, dp}));
    double want[6], twice[6];
    for (int i = 0; i < 6; i++) {
        want[i] = 2 * d[i] + 2;
        twice[i] = 2 * want[i];
    }
    graph_expect_grad("y", f.g, y, want, 0);
    graph_expect_grad("x", f.g, x, twice, 0);
    clseq_tensor none = {0};
    EXPECT_ERROR(clseq_var_grad(f.g, dy, &none), CLSEQ_INVALID_STATE, "no gradient reached x");
    graph_end(f.g);
    graph_expect_param_grad(bias, (double[]){2, 4, 6}, 0);
    f.g = clseq_graph_begin(f.ctx, CLSEQ_MODE_TRAINING);
    x = clseq_require_grad(f.g, clseq_input_f32(f.g, six, 2, DIMS(2, 3)));
    EXPECT_OK(clseq_backward_from(f.g, 2, (clseq_var *[]){clseq_sum(f.g, x), clseq_mean(f.g, x)}, NULL));
    graph_expect_grad("x", f.g, x, (double[]){7 / 6.0, 7 / 6.0, 7 / 6.0, 7 / 6.0, 7 / 6.0, 7 / 6.0}, 1e-6);
    graph_end(f.g);
    destroy(&f);
}

/* One wrong call in a graph of its own, which fails before any gradient changes. */
#define EXPECT_REFUSED(count, vars, grads, status, sentence)                                      \
    do {                                                                                          \
        clseq_graph *g = f.g;                                                                     \
        clseq_var *x = clseq_require_grad(g, clseq_input_f32(g, six, 2, DIMS(2, 3)));             \
        clseq_var *bare = clseq_input_f32(g, six, 1, DIMS(1));                                    \
        clseq_var *loss = clseq_mean(g, clseq_affine(g, f.out, x));                               \
        cr_assert(x &&bare &&loss);                                                               \
        EXPECT_ERROR(clseq_backward_from(g, count, vars, grads), status, sentence);               \
        EXPECT_ERROR(clseq_graph_end(g), status, sentence);                                       \
        graph_expect_param_grad(clseq_params_find(f.params, "out.bias"), (double[]){0, 0, 0}, 0); \
        f.g = clseq_graph_begin(f.ctx, CLSEQ_MODE_TRAINING);                                      \
    } while (0)
#define VARS(...) ((clseq_var *[]){__VA_ARGS__})

Test(graph_backward, what_several_variables_refuse)
{
    fixture f = create();
    EXPECT_REFUSED(0, VARS(loss), NULL, CLSEQ_INVALID_ARGUMENT, "backward: 0 variables, expected at least 1");
    EXPECT_REFUSED(2, NULL, NULL, CLSEQ_INVALID_ARGUMENT,
                   "backward: 2 variables (NULL), expected at least 1");
    EXPECT_REFUSED(2, VARS(loss, NULL), NULL, CLSEQ_INVALID_ARGUMENT, "backward: vars[1] is NULL");
    EXPECT_REFUSED(2, VARS(loss, x), NULL, CLSEQ_INVALID_SHAPE,
                   "backward: vars[1] has shape [2,3], expected one element or a gradient in grads");
    EXPECT_REFUSED(2, VARS(loss, x), VARS(NULL, NULL), CLSEQ_INVALID_SHAPE,
                   "backward: vars[1] has shape [2,3], expected one element or a gradient in grads");
    EXPECT_REFUSED(2, VARS(loss, x), VARS(NULL, loss), CLSEQ_INVALID_SHAPE,
                   "backward: grads[1] has shape [1] and vars[1] has [2,3], expected the same");
    EXPECT_REFUSED(2, VARS(loss, bare), NULL, CLSEQ_INVALID_ARGUMENT,
                   "backward: no parameter and no variable that asked for its gradient lies above vars[1]");
    EXPECT_REFUSED(2, VARS(loss, loss), VARS(NULL, clseq_input_i32(g, tokens, 1, DIMS(1))),
                   CLSEQ_INVALID_DTYPE, "backward: grads[1] has type i32, expected f32");
    EXPECT_REFUSED(1, VARS(clseq_input_i32(g, tokens, 1, DIMS(1))), NULL, CLSEQ_INVALID_DTYPE,
                   "backward: vars[0] has type i32, expected f32");
    clseq_var *old = clseq_input_f32(f.g, six, 1, DIMS(1));
    graph_end(f.g);
    f.g = clseq_graph_begin(f.ctx, CLSEQ_MODE_TRAINING);
    EXPECT_REFUSED(1, VARS(loss), VARS(old), CLSEQ_INVALID_STATE,
                   "backward: grads[0] belongs to another graph");
    clseq_var *loss = clseq_mean(f.g, clseq_require_grad(f.g, clseq_input_f32(f.g, six, 1, DIMS(6))));
    EXPECT_OK(clseq_backward(f.g, loss));
    EXPECT_ERROR(clseq_backward_from(f.g, 1, &loss, NULL), CLSEQ_INVALID_STATE, "it has run already");
    clseq_graph_end(f.g);
    destroy(&f);
}

/* ---- the hook ---- */

typedef struct record {
    clseq_params *params;
    clseq_graph *g;
    int count;
    clseq_param *told[MOST];
    float seen[MOST][ELEMENTS]; /* gradients when they were told of */
    cl_command_queue queue;     /* NULL: read through the library's */
    cl_int executions[MOST];    /* states of the events */
} record;

static clseq_status note(clseq_param *param, cl_event ready, void *user)
{
    record *r = user;
    cr_assert_lt(r->count, MOST);
    cr_assert_leq(param->elements, ELEMENTS);
    const int i = r->count++;
    r->told[i] = param;
    if (!r->queue)
        return clseq_param_get_grad(param, r->seen[i]);
    clseq_tensor grad = {0};
    EXPECT_OK(clseq_param_grad(param, &grad));
    cr_assert_eq(clGetEventInfo(ready, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof r->executions[i],
                                &r->executions[i], NULL),
                 CL_SUCCESS);
    cr_assert_eq(clEnqueueReadBuffer(r->queue, grad.buffer, CL_FALSE, (size_t)grad.offset * sizeof(float),
                                     (size_t)param->elements * sizeof(float), r->seen[i], 1, &ready, NULL),
                 CL_SUCCESS);
    return CLSEQ_OK;
}

/*
 * A linear layer twice, a recurrent layer twice, the table of the embedding beside it as a variable that stands in one
 * operation twice; another layer that the loss does not need, and with `early` a use of "out" that it does not need.
 */
static clseq_var *shared_model(const fixture *f, bool early)
{
    clseq_graph *g = f->g;
    clseq_var *x = clseq_input_f32(g, six, 2, DIMS(2, E));
    if (early)
        clseq_affine(g, f->out, x);
    clseq_var *table = clseq_param_var(g, clseq_params_find(f->params, "embed.weight"));
    clseq_var *h = clseq_embed(g, f->embed, clseq_input_i32(g, tokens, 2, DIMS(T, B)));
    h = clseq_recur(g, f->rnn, clseq_recur(g, f->rnn, h, NULL), NULL);
    clseq_affine(g, f->other, h);
    h = clseq_affine(g, f->out, clseq_tanh(g, clseq_affine(g, f->out, h)));
    clseq_var *squares = clseq_sum(g, clseq_mul(g, table, table));
    h = clseq_mul(g, h, clseq_param_var(g, f->scale));
    return clseq_add(g, clseq_mean(g, h), squares);
}

static void expect_told(const record *r, int count, const char *const *names)
{
    for (int i = 0; i < r->count; i++)
        cr_expect_str_eq(clseq_param_name(r->told[i]), i < count ? names[i] : "nothing");
    cr_assert_eq(r->count, count);
}

/* What was seen in the hook is what is there in the end. */
static void expect_complete(const record *r)
{
    for (int i = 0; i < r->count; i++) {
        float end[ELEMENTS];
        EXPECT_OK(clseq_param_get_grad(r->told[i], end));
        cr_expect(compare_bits(clseq_param_name(r->told[i]), r->seen[i], end, (size_t)r->told[i]->elements),
                  "%s", compare_message());
    }
}

Test(graph_backward, each_parameter_is_told_of_once_when_complete)
{
    static const char *const names[] = {
        "scale",          "out.weight",     "out.bias",     "rnn.weight_ih_l0", "rnn.weight_hh_l0",
        "rnn.bias_ih_l0", "rnn.bias_hh_l0", "embed.weight", "out.weight",       "out.bias"};
    fixture f = create();
    record r = {0};
    clseq_graph_on_grad_ready(f.g, note, &r);
    EXPECT_OK(clseq_backward(f.g, shared_model(&f, false)));
    graph_end(f.g);
    expect_told(&r, 8, names);
    expect_complete(&r);
    /* A use that no gradient reaches ends the waiting too. */
    const char *late[10];
    memcpy(late, names, sizeof late);
    memmove(late + 1, late + 3, 7 * sizeof *late);
    f.g = clseq_graph_begin(f.ctx, CLSEQ_MODE_TRAINING);
    r = (record){0};
    clseq_graph_on_grad_ready(f.g, note, &r);
    EXPECT_OK(clseq_backward(f.g, shared_model(&f, true)));
    graph_end(f.g);
    expect_told(&r, 8, late);
    expect_complete(&r);
    /* A table that only a recurrent layer has read, past the embedding. */
    clseq_var *vars[2];
    EXPECT_OK(clseq_params_zero_grad(f.params));
    f.g = clseq_graph_begin(f.ctx, CLSEQ_MODE_TRAINING);
    r = (record){0};
    outputs(&f, vars);
    clseq_graph_on_grad_ready(f.g, note, &r);
    EXPECT_OK(clseq_backward(f.g, vars[0]));
    graph_end(f.g);
    expect_told(&r, 7, names + 1);
    expect_complete(&r);
    destroy(&f);
}

/* A variable that backward begins with may be a parameter, told of at once or after the operations that read it. */
Test(graph_backward, parameters_that_backward_begins_with)
{
    static const char *const names[] = {"scale", "out.bias"};
    fixture f = create();
    record r = {0};
    clseq_graph_on_grad_ready(f.g, note, &r);
    clseq_var *scale = clseq_param_var(f.g, f.scale);
    clseq_var *bias = clseq_param_var(f.g, clseq_params_find(f.params, "out.bias"));
    clseq_var *three = clseq_input_f32(f.g, six, 1, DIMS(3));
    clseq_var *loss = clseq_sum(f.g, clseq_tanh(f.g, bias));
    EXPECT_OK(clseq_backward_from(f.g, 4, VARS(bias, scale, loss, scale), VARS(three, scale, NULL, scale)));
    graph_end(f.g);
    expect_told(&r, 2, names);
    expect_complete(&r);
    destroy(&f);
}

/* While the library's queue stands still, so do the events; a second queue that waits for them reads what will be. */
Test(graph_backward, the_event_guards_the_gradient)
{
    unsetenv("CLSEQ_POOL_CANARY"); /* a watched pool waits for the queue */
    unsetenv("CLSEQ_POOL_POISON");
    fixture f = create();
    record r = {0};
    cl_context cl = NULL;
    cl_device_id device = NULL;
    cl_command_queue own = clseq_context_queue(f.ctx);
    clGetCommandQueueInfo(own, CL_QUEUE_CONTEXT, sizeof cl, &cl, NULL);
    clGetCommandQueueInfo(own, CL_QUEUE_DEVICE, sizeof device, &device, NULL);
    r.queue = clCreateCommandQueue(cl, device, 0, NULL);
    cl_event gate = clCreateUserEvent(cl, NULL);
    cr_assert(r.queue && gate);
    EXPECT_OK(clseq_params_zero_grad(f.params));
    clseq_graph_on_grad_ready(f.g, note, &r);
    clseq_var *loss = shared_model(&f, false);
    /* Oclgrind runs commands in clFlush, which would wait for the gate. */
    const bool stands = !strstr(clseq_context_device(f.ctx)->platform_name, "Oclgrind");
    if (stands)
        cr_assert_eq(clEnqueueBarrierWithWaitList(own, 1, &gate, NULL), CL_SUCCESS);
    EXPECT_OK(clseq_backward(f.g, loss));
    graph_end(f.g);
    cr_assert_eq(r.count, 8);
    for (int i = 0; i < r.count; i++)
        cr_expect(!stands || r.executions[i] > CL_COMPLETE, "event %d is complete before its gradient", i);
    clFlush(r.queue);
    clSetUserEventStatus(gate, CL_COMPLETE);
    cr_assert_eq(clFinish(r.queue), CL_SUCCESS);
    expect_complete(&r);
    clReleaseEvent(gate);
    clReleaseCommandQueue(r.queue);
    destroy(&f);
}

static clseq_status doubles(clseq_param *param, cl_event ready, void *user)
{
    record *r = user;
    (void)ready;
    EXPECT_OK(clseq_param_get_grad(param, r->seen[0]));
    for (int64_t i = 0; i < param->elements; i++)
        r->seen[0][i] *= 2;
    r->count++;
    return clseq_param_set_grad(param, r->seen[0]);
}

/* What is changed in the hook stays; a hook is the graph's alone, may be taken away again, and launches nothing. */
Test(graph_backward, a_hook_may_change_gradients_and_lasts_for_a_graph)
{
    fixture f = create();
    record r = {0};
    clseq_context_stats before, after;
    float *plain = NULL, *twice = NULL;
    int64_t launches[4];
    for (int i = 0; i < 4; i++) {
        if (i == 1)
            clseq_graph_on_grad_ready(f.g, note, &r);
        if (i == 1 || i == 2)
            clseq_graph_on_grad_ready(f.g, i == 1 ? NULL : doubles, &r);
        for (size_t k = 0; k < f.params->count; k++)
            f.params->all[k]->awaited = 77;
        clseq_params_touch(f.params); /* weights that are packed are packed in each graph */
        clseq_var *loss = shared_model(&f, false);
        EXPECT_OK(clseq_context_get_stats(f.ctx, &before));
        EXPECT_OK(clseq_backward(f.g, loss));
        EXPECT_OK(clseq_context_get_stats(f.ctx, &after));
        graph_end(f.g);
        launches[i] = (int64_t)(after.launches - before.launches);
        cr_assert_eq(r.count, i < 2 ? 0 : 8, "graph %d: told of %d", i, r.count);
        cr_assert_eq(f.scale->awaited, i == 2 ? 0 : 77, "nothing is counted without a hook");
        if (i == 1) {
            plain = gradients(&f);
            for (int64_t k = 0; k < clseq_params_elements(f.params); k++)
                plain[k] *= 2;
        } else if (i == 2) {
            twice = gradients(&f);
        }
        EXPECT_OK(clseq_params_zero_grad(f.params));
        f.g = clseq_graph_begin(f.ctx, CLSEQ_MODE_TRAINING);
    }
    cr_assert_eq(launches[1], launches[0]);
    cr_assert_eq(launches[2], launches[0]);
    cr_assert_eq(launches[3], launches[0]);
    cr_assert(compare_bits("gradients", twice, plain, (size_t)clseq_params_elements(f.params)), "%s",
              compare_message());
    free(plain);
    free(twice);
    graph_end(f.g);
    destroy(&f);
}

static clseq_status fails(clseq_param *param, cl_event ready, void *user)
{
    record *r = user;
    (void)ready;
    (void)param;
    return ++r->count == 2 ? CLSEQ_IO_ERROR : CLSEQ_OK;
}

static clseq_status forwards(clseq_param *param, cl_event ready, void *user)
{
    (void)ready;
    ((record *)user)->count++;
    return clseq_param_get_grad(param, NULL);
}

static clseq_status changes_values(clseq_param *param, cl_event ready, void *user)
{
    (void)ready;
    ((record *)user)->count++;
    clseq_params_touch(param->store);
    return CLSEQ_OK;
}

static clseq_status runs_a_wrong_operation(clseq_param *param, cl_event ready, void *user)
{
    record *r = user;
    (void)ready;
    (void)param;
    r->count++;
    clseq_tanh(r->g, NULL);
    return CLSEQ_OK;
}

static clseq_status ends_the_graph(clseq_param *param, cl_event ready, void *user)
{
    record *r = user;
    (void)ready;
    (void)param;
    r->count++;
    EXPECT_ERROR(clseq_graph_end(r->g), CLSEQ_INVALID_STATE,
                 "graph end: backward is running, expected it after clseq_backward has returned");
    return CLSEQ_OK;
}

/* A hook that fails, or does what it may not, ends backward; the next graph is as good as any. */
Test(graph_backward, failures_in_the_hook)
{
    static const struct {
        clseq_grad_ready_fn fn;
        int calls;
        clseq_status status;
        const char *sentence;
    } rows[] = {
        {fails, 2, CLSEQ_IO_ERROR, "backward: on_grad_ready gave IO_ERROR for out.weight"},
        {forwards, 1, CLSEQ_INVALID_ARGUMENT,
         "backward: on_grad_ready gave INVALID_ARGUMENT for scale: param get grad: the memory for scale is "
         "NULL"},
        {changes_values, 1, CLSEQ_INVALID_STATE, "backward: the store of "},
        {runs_a_wrong_operation, 1, CLSEQ_INVALID_ARGUMENT, "tanh: x is NULL"},
        {ends_the_graph, 8, CLSEQ_OK, ""},
    };
    fixture f = create();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        record r = {.g = f.g};
        clseq_graph_on_grad_ready(f.g, rows[i].fn, &r);
        const clseq_status status = clseq_backward(f.g, shared_model(&f, false));
        cr_expect_eq(status, rows[i].status, "row %zu: %s", i, clseq_last_error());
        cr_expect(status == CLSEQ_OK ||
                      strncmp(clseq_last_error(), rows[i].sentence, strlen(rows[i].sentence)) == 0,
                  "row %zu: %s", i, clseq_last_error());
        cr_expect_eq(r.count, rows[i].calls, "row %zu: %d calls", i, r.count);
        cr_expect_eq(clseq_graph_end(f.g), rows[i].status);
        EXPECT_OK(clseq_params_zero_grad(f.params));
        f.g = clseq_graph_begin(f.ctx, CLSEQ_MODE_TRAINING);
    }
    record r = {0};
    clseq_graph_on_grad_ready(f.g, note, &r);
    EXPECT_OK(clseq_backward(f.g, shared_model(&f, false)));
    cr_expect_eq(r.count, 8);
    expect_complete(&r);
    clseq_graph_on_grad_ready(f.g, note, &r);
    EXPECT_ERROR(clseq_graph_end(f.g), CLSEQ_INVALID_STATE, "graph on grad ready: backward has run already");
    f.g = clseq_graph_begin(f.ctx, CLSEQ_MODE_INFERENCE);
    clseq_graph_on_grad_ready(f.g, note, &r);
    shared_model(&f, false);
    graph_end(f.g);
    destroy(&f);
}
