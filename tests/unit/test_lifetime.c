/*
 * A context lives as long as something made from it, a parameter store as long as an optimiser or an open graph that
 * uses it: in whatever order things are destroyed, what is left works, and the last one releases everything.
 */
#include <criterion/criterion.h>

#include "support/device.h"
#include "support/faults.h"
#include "support/graph.h"
#include "support/log.h"
#include "support/outside.h"
#include <string.h>

enum { CONTEXT, STORE, OPTIMIZER, GRAPH, TENSOR, PLAN, PACKED, STATE, METER, RUN, ATTENTION, KINDS };
enum { PERMUTED = 5 }; /* the kinds that are destroyed in every order: those that hold each other */

/* One of each kind; `made` says which of them are there. */
typedef struct things {
    const outside *outside;
    bool made[KINDS];
    clseq_context *ctx;
    clseq_tensor x;
    clseq_packed *packed;
    clseq_rnn_plan *plan;
    clseq_attention_plan *attention;
    clseq_params *params;
    clseq_linear *linear;
    clseq_rnn *rnn;
    clseq_optimizer *optimizer;
    clseq_state *state;
    clseq_meter *meter;
    clseq_run *run;
    clseq_graph *g;
    clseq_var *y;
    clseq_status ended; /* what the graph said at its end */
} things;

static const clseq_rnn_desc lstm = {.cell = CLSEQ_CELL_LSTM, .input = 3, .hidden = 4};

/* Around the test's queue where it has one. */
static clseq_status make_context(things *t)
{
    return t->outside ? clseq_context_wrap(t->outside->context, t->outside->queue, NULL, &t->ctx)
                      : clseq_context_create(NULL, &t->ctx);
}

static clseq_status make_store(things *t)
{
    clseq_status status = clseq_params_create(t->ctx, 1, &t->params);
    if (status == CLSEQ_OK)
        status = clseq_linear_new(t->params, "out", 3, 2, true, &t->linear);
    return status == CLSEQ_OK ? clseq_rnn_new(t->params, "rnn", &lstm, NULL, &t->rnn) : status;
}

static clseq_status make_optimizer(things *t)
{
    const clseq_optimizer_desc desc = clseq_optimizer_desc_default(CLSEQ_OPTIMIZER_ADAM, 1e-3f);
    return clseq_optimizer_create(t->params, &desc, &t->optimizer);
}

static clseq_status make_graph(things *t)
{
    t->g = clseq_graph_begin(t->ctx, CLSEQ_MODE_TRAINING);
    t->y = clseq_affine(t->g, t->linear, clseq_input_f32(t->g, (const float[6]){1}, 2, (int64_t[]){2, 3}));
    return t->g ? clseq_graph_status(t->g) : CLSEQ_INVALID_STATE;
}

static clseq_status make_tensor(things *t)
{
    const clseq_status status = clseq_tensor_create(t->ctx, CLSEQ_DTYPE_F32, 2, (int64_t[]){2, 3}, &t->x);
    return status == CLSEQ_OK ? clseq_tensor_fill(t->ctx, &t->x, 0.5) : status;
}

static clseq_status make_plan(things *t)
{
    return clseq_rnn_plan_create(t->ctx, &lstm, &t->plan);
}

static clseq_status make_attention(things *t)
{
    return clseq_attention_plan_create(
        t->ctx, &(clseq_attention_desc){.score = CLSEQ_ATTENTION_SCORE_GENERAL, .query = 3, .key = 4},
        &t->attention);
}

static clseq_status make_packed(things *t)
{
    return clseq_gemm_pack(t->ctx, CLSEQ_OPERAND_A, &t->x, false, &t->packed);
}

static clseq_status make_state(things *t)
{
    return clseq_state_create(t->rnn, 2, &t->state);
}

static clseq_status make_meter(things *t)
{
    return clseq_meter_create(t->ctx, &t->meter);
}

static clseq_status make_run(things *t)
{
    clseq_status status = clseq_run_create(&(clseq_run_desc){.epochs = 2}, &t->run);
    if (status == CLSEQ_OK)
        status =
            clseq_run_begin(t->run, &(clseq_checkpoint){.params = t->params, .optimizer = t->optimizer}, 3);
    if (status != CLSEQ_OK)
        clseq_run_destroy(t->run);
    return status;
}

static clseq_status use_context(things *t)
{
    return clseq_context_finish(t->ctx);
}

static clseq_status use_store(things *t)
{
    float values[2];
    return clseq_param_get(clseq_params_find(t->params, "out.bias"), values);
}

static clseq_status use_optimizer(things *t)
{
    /* A step would change what the graph has read. */
    return t->made[GRAPH] ? clseq_optimizer_set_lr(t->optimizer, 1e-4f) : clseq_optimizer_step(t->optimizer);
}

static clseq_status use_graph(things *t)
{
    float y[4];
    clseq_mul(t->g, t->y, t->y);
    return clseq_read(t->g, t->y, y);
}

static clseq_status use_tensor(things *t)
{
    float values[6];
    return clseq_tensor_read(t->ctx, &t->x, values);
}

static clseq_status use_plan(things *t)
{
    char text[200];
    return clseq_rnn_describe(t->plan, &(clseq_rnn_shape){.T = 5, .B = 2}, text, sizeof text);
}

static clseq_status use_attention(things *t)
{
    char text[200];
    return clseq_attention_describe(t->attention, &(clseq_attention_shape){.T = 2, .S = 5, .B = 2}, text,
                                    sizeof text);
}

static clseq_status use_packed(things *t)
{
    return t->made[TENSOR] ? clseq_gemm_repack(t->packed, &t->x) : CLSEQ_OK;
}

static clseq_status use_state(things *t)
{
    return clseq_state_reset(t->state);
}

static clseq_status use_meter(things *t)
{
    double mean = 0;
    return clseq_meter_read(t->meter, &mean);
}

static clseq_status use_run(things *t)
{
    double mean = 0;
    return clseq_run_is_over(t->run) ? CLSEQ_INVALID_STATE : clseq_meter_read(clseq_run_meter(t->run), &mean);
}

static void destroy_context(things *t)
{
    clseq_context_destroy(t->ctx);
}

static void destroy_store(things *t)
{
    clseq_params_destroy(t->params);
}

static void destroy_optimizer(things *t)
{
    clseq_optimizer_destroy(t->optimizer);
}

/* The backward pass adds to gradients of the store, which the graph has held since it read it. */
static void destroy_graph(things *t)
{
    clseq_backward(t->g, clseq_sum(t->g, t->y));
    t->ended = clseq_graph_end(t->g);
}

static void destroy_tensor(things *t)
{
    clseq_tensor_destroy(t->ctx, &t->x);
}

static void destroy_plan(things *t)
{
    clseq_rnn_plan_destroy(t->plan);
}

static void destroy_attention(things *t)
{
    clseq_attention_plan_destroy(t->attention);
}

static void destroy_packed(things *t)
{
    clseq_packed_destroy(t->packed);
}

static void destroy_state(things *t)
{
    clseq_state_destroy(t->state);
}

static void destroy_meter(things *t)
{
    clseq_meter_destroy(t->meter);
}

static void destroy_run(things *t)
{
    clseq_run_destroy(t->run);
}

static const struct {
    const char *name;
    clseq_status (*make)(things *t);
    clseq_status (*use)(things *t);
    void (*destroy)(things *t);
} kinds[KINDS] = {
    [CONTEXT] = {"context", make_context, use_context, destroy_context},
    [STORE] = {"store", make_store, use_store, destroy_store},
    [OPTIMIZER] = {"optimizer", make_optimizer, use_optimizer, destroy_optimizer},
    [GRAPH] = {"graph", make_graph, use_graph, destroy_graph},
    [TENSOR] = {"tensor", make_tensor, use_tensor, destroy_tensor},
    [PLAN] = {"plan", make_plan, use_plan, destroy_plan},
    [PACKED] = {"packed", make_packed, use_packed, destroy_packed},
    [STATE] = {"state", make_state, use_state, destroy_state},
    [METER] = {"meter", make_meter, use_meter, destroy_meter},
    [RUN] = {"run", make_run, use_run, destroy_run},
    [ATTENTION] = {"attention", make_attention, use_attention, destroy_attention},
};

/* What a kind needs stands before it. */
static const int order_of_making[KINDS] = {CONTEXT, STORE, OPTIMIZER, GRAPH, TENSOR,   PLAN,
                                           PACKED,  STATE, METER,     RUN,   ATTENTION};

/* Makes what is not there yet, up to the first failure. */
static clseq_status make_all(things *t)
{
    for (int i = 0; i < KINDS; i++) {
        const int kind = order_of_making[i];
        if (t->made[kind])
            continue;
        const clseq_status status = kinds[kind].make(t);
        if (status != CLSEQ_OK)
            return status;
        t->made[kind] = true;
    }
    return CLSEQ_OK;
}

static void destroy(things *t, int kind)
{
    if (!t->made[kind])
        return;
    t->made[kind] = false;
    kinds[kind].destroy(t);
}

static const char *names_of(const int *order, char text[200])
{
    text[0] = '\0';
    for (int i = 0; i < KINDS; i++) {
        strcat(text, i > 0 ? " " : "");
        strcat(text, kinds[order[i]].name);
    }
    return text;
}

/* After each thing that is destroyed the others work, and after the last one no object of OpenCL is left. */
static void destroy_in_order(const outside *o, const int *order)
{
    char text[200];
    things t = {.outside = o};
    const long before = faults_objects();
    cr_assert_eq(make_all(&t), CLSEQ_OK, "%s", clseq_last_error());
    for (int i = 0; i < KINDS; i++) {
        cr_assert(faults_objects() > before, "%s: released before number %d", names_of(order, text), i);
        destroy(&t, order[i]);
        for (int kind = 0; kind < KINDS; kind++)
            if (t.made[kind])
                cr_assert_eq(kinds[kind].use(&t), CLSEQ_OK, "%s: %s after %s is destroyed: %s",
                             names_of(order, text), kinds[kind].name, kinds[order[i]].name,
                             clseq_last_error());
    }
    cr_assert_eq(t.ended, CLSEQ_OK, "%s: %s", names_of(order, text), clseq_last_error());
    cr_assert_eq(faults_objects(), before, "%s: something is left", names_of(order, text));
}

/* Permutation number `n` of the kinds that hold each other, behind all others. */
static void permute(int n, int *order)
{
    int count = 0;
    for (int kind = PERMUTED; kind < KINDS; kind++)
        order[count++] = kind;
    for (int i = 0; i < PERMUTED; i++) {
        int at = count - n % (i + 1);
        n /= i + 1;
        memmove(&order[at + 1], &order[at], (size_t)(count - at) * sizeof *order);
        order[at] = i;
        count++;
    }
}

Test(lifetime, every_order_of_what_holds_each_other)
{
    outside o = outside_create(0);
    outside beside = outside_beside(&o);
    things keeper = {.outside = &beside}; /* of the programs */
    int order[KINDS], all = 1;
    EXPECT_OK(make_all(&keeper));
    for (int i = 2; i <= PERMUTED; i++)
        all *= i;
    for (int n = 0; n < all; n += test_small() ? 17 : 1) {
        permute(n, order);
        destroy_in_order(&o, order);
    }
    for (int kind = 0; kind < KINDS; kind++)
        destroy(&keeper, kind);
    outside_release(&beside);
    outside_release(&o);
}

/* Each kind comes last once, with the context, and what else it was made from, gone before it. */
Test(lifetime, every_kind_is_the_last_one)
{
    outside o = outside_create(0);
    for (int last = 0; last < KINDS; last++) {
        int order[KINDS], count = 0;
        for (int kind = 0; kind < KINDS; kind++)
            if (kind != last)
                order[count++] = kind;
        order[count] = last;
        destroy_in_order(&o, order);
    }
    outside_release(&o);
}

/* What came into being before a call failed is destroyed in this order; another context keeps the programs. */
typedef struct attempt {
    const outside *outside;
    int order[KINDS];
} attempt;

static clseq_status make_and_destroy(void *data)
{
    const attempt *a = data;
    things t = {.outside = a->outside};
    const clseq_status status = make_all(&t);
    if (!t.made[STORE])
        clseq_params_destroy(t.params);
    if (!t.made[GRAPH] && t.g)
        clseq_graph_end(t.g);
    if (!t.made[TENSOR])
        clseq_tensor_destroy(t.ctx, &t.x);
    for (int i = 0; i < KINDS; i++)
        destroy(&t, a->order[i]);
    return status != CLSEQ_OK ? status : t.ended;
}

Test(lifetime, failing_calls)
{
    static const int orders[][KINDS] = {
        {CONTEXT, STORE, OPTIMIZER, GRAPH, TENSOR, PLAN, PACKED, STATE, METER, RUN, ATTENTION},
        {CONTEXT, ATTENTION, RUN, METER, STATE, PACKED, PLAN, TENSOR, STORE, GRAPH, OPTIMIZER},
    };
    outside o = outside_create(0);
    outside beside = outside_beside(&o);
    things keeper = {.outside = &beside};
    EXPECT_OK(make_all(&keeper));
    for (size_t i = 0; i < (test_small() ? 1 : 2); i++) {
        attempt a = {.outside = &o};
        memcpy(a.order, orders[i], sizeof a.order);
        EXPECT_OK(make_and_destroy(&a));
        cr_assert(faults_each(make_and_destroy, &a), "%s", faults_message());
        cr_assert(faults_count() > 100, "%s", faults_message());
    }
    for (int kind = 0; kind < KINDS; kind++)
        destroy(&keeper, kind);
    outside_release(&beside);
    outside_release(&o);
}

/* A program that looks for what it forgot finds it in the log. */
Test(lifetime, the_log_says_what_a_context_lives_on_for)
{
    things t = {0};
    EXPECT_OK(make_all(&t));
    log_capture(CLSEQ_LOG_INFO);
    destroy(&t, CONTEXT);
    cr_assert(log_contains("context destroy: it lives on for "), "%s", log_text());
    cr_assert(log_contains(" bytes in use"), "%s", log_text());
    for (int kind = 0; kind < KINDS; kind++)
        destroy(&t, kind);
    EXPECT_OK(make_context(&t));
    log_capture(CLSEQ_LOG_INFO);
    clseq_context_destroy(t.ctx);
    cr_assert(!log_contains("lives on"), "%s", log_text());
}

/* Giving a tensor back twice, or one that is a view of something else's memory, takes no reference away. */
Test(lifetime, only_tensors_that_hold_the_context_release_it)
{
    clseq_context *ctx = test_context();
    clseq_params *params = NULL;
    clseq_param *w = NULL;
    clseq_tensor view = {0}, x = {0}, same = {0};
    float values[6];
    log_capture(CLSEQ_LOG_ERROR);
    EXPECT_OK(clseq_params_create(ctx, 1, &params));
    EXPECT_OK(clseq_params_add(params, "w", 1, (int64_t[]){6}, NULL, &w));
    EXPECT_OK(clseq_param_value(w, &view));
    EXPECT_OK(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 1, (int64_t[]){6}, &x));
    same = x;
    clseq_tensor_destroy(ctx, &x);
    clseq_tensor_destroy(ctx, &same);
    clseq_tensor_destroy(ctx, &view);
    clseq_context_destroy(ctx);
    EXPECT_OK(clseq_param_get(w, values));
    clseq_params_destroy(params);
}
