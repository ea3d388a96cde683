/* Named tensors that outlive graphs: names and dims, their zeros, files, failing calls. Those of recurrent layers: test_layers. */
#include <criterion/criterion.h>

#include "support/compare.h"
#include "support/device.h"
#include "support/faults.h"
#include "support/folder.h"
#include "support/graph.h"
#include "train/params.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COUNT = 3, KEYS = 2 * 3 * 4 };

static const clseq_state_desc descs[COUNT] = {{"keys", CLSEQ_DTYPE_F32, 3, {2, 3, 4}},
                                              {"length", CLSEQ_DTYPE_I32, 1, {2}},
                                              {"key", CLSEQ_DTYPE_F32, 1, {1}}};

static clseq_state *create(clseq_context *ctx)
{
    clseq_state *state = NULL;
    EXPECT_OK(clseq_state_create_from(ctx, COUNT, descs, &state));
    return state;
}

static clseq_tensor tensor_of(const clseq_state *state, const char *name)
{
    clseq_tensor tensor = {0};
    EXPECT_OK(clseq_state_tensor(state, clseq_state_find(state, name), &tensor));
    return tensor;
}

/* All tensors, as 4 bytes an element. */
static void read_all(clseq_context *ctx, const clseq_state *state, int32_t out[KEYS + 3])
{
    for (int i = 0; i < COUNT; i++) {
        clseq_tensor tensor = {0};
        EXPECT_OK(clseq_state_tensor(state, i, &tensor));
        EXPECT_OK(clseq_tensor_read(ctx, &tensor, out));
        out += clseq_tensor_elements(&tensor);
    }
}

static void fill(clseq_context *ctx, const clseq_state *state)
{
    const clseq_tensor keys = tensor_of(state, "keys"), length = tensor_of(state, "length");
    const clseq_tensor key = tensor_of(state, "key");
    EXPECT_OK(clseq_tensor_fill(ctx, &keys, 0.5));
    EXPECT_OK(clseq_tensor_write(ctx, &length, (int32_t[]){-7, INT32_MAX}));
    EXPECT_OK(clseq_tensor_fill(ctx, &key, 3));
}

Test(state, has_what_was_asked_for)
{
    clseq_context *ctx = test_context();
    clseq_state_desc copy[COUNT];
    char name[] = "keys";
    clseq_state *state = NULL;
    memcpy(copy, descs, sizeof copy);
    copy[0].name = name;
    EXPECT_OK(clseq_state_create_from(ctx, COUNT, copy, &state));
    memset(copy, 0, sizeof copy);
    name[0] = 'x';
    cr_assert_eq(clseq_state_count(state), COUNT);
    for (int i = 0; i < COUNT; i++) {
        clseq_tensor tensor = {0};
        cr_assert_str_eq(clseq_state_name(state, i), descs[i].name);
        cr_assert_eq(clseq_state_find(state, descs[i].name), i);
        EXPECT_OK(clseq_state_tensor(state, i, &tensor));
        cr_assert_eq(tensor.dtype, descs[i].dtype);
        cr_assert_eq(tensor.ndim, descs[i].ndim);
        cr_assert_eq(memcmp(tensor.dims, descs[i].dims, (size_t)tensor.ndim * sizeof *tensor.dims), 0);
    }
    cr_assert_eq(clseq_state_find(state, "ke"), -1);
    cr_assert_eq(clseq_state_find(state, NULL), -1);
    cr_assert_eq(clseq_state_find(NULL, "keys"), -1);
    cr_assert_null(clseq_state_name(state, COUNT));
    clseq_state_destroy(state);
    clseq_context_destroy(ctx);
}

/* Zeros at first, although the pool has handed the memory out before, and zeros again. */
Test(state, starts_and_is_reset_to_zeros)
{
    static const int32_t zeros[KEYS + 3];
    clseq_context *ctx = test_context();
    int32_t got[KEYS + 3];
    for (int round = 0; round < 2; round++) {
        clseq_state *state = create(ctx);
        for (int reset = 0; reset < 2; reset++) {
            read_all(ctx, state, got);
            cr_assert_eq(memcmp(got, zeros, sizeof got), 0, "round %d, reset %d", round, reset);
            fill(ctx, state);
            if (reset == 0)
                EXPECT_OK(clseq_state_reset(state));
        }
        clseq_state_destroy(state);
    }
    clseq_context_destroy(ctx);
}

/* Both types come back, to a state that has them and no other. */
Test(state, checkpoints)
{
    char folder[FOLDER_PATH], path[2 * FOLDER_PATH], value[32];
    clseq_context *ctx = test_context();
    clseq_params *params = NULL;
    clseq_state *from = create(ctx), *to = create(ctx), *other = NULL;
    int32_t want[KEYS + 3], got[KEYS + 3];
    clseq_checkpoint what = {.states = &from, .state_names = (const char *[]){"cache"}, .state_count = 1};
    static const clseq_state_desc floats = {"length", CLSEQ_DTYPE_F32, 1, {2}};
    static const clseq_state_desc integers = {"keys", CLSEQ_DTYPE_I32, 3, {2, 3, 4}};
    static const clseq_state_desc longer = {"length", CLSEQ_DTYPE_I32, 1, {3}};
    static const struct {
        const clseq_state_desc *desc;
        clseq_status status;
        const char *sentence;
    } rows[] = {
        {&floats, CLSEQ_INVALID_DTYPE, "tensor state.cache.length is I32, expected F32, F64, F16 or BF16"},
        {&integers, CLSEQ_INVALID_DTYPE, "tensor state.cache.keys is F32, expected I32"},
        {&longer, CLSEQ_INVALID_SHAPE, "state.cache.length"},
    };
    folder_create(folder);
    snprintf(path, sizeof path, "%s/file", folder);
    EXPECT_OK(clseq_params_create(ctx, 1, &params));
    EXPECT_OK(clseq_params_add(params, "w", 1, (int64_t[]){2}, NULL, NULL));
    what.params = params;
    fill(ctx, from);
    EXPECT_OK(clseq_checkpoint_save(path, &what));
    EXPECT_OK(clseq_checkpoint_meta(path, "clseq.xxh3.state.cache.length", value, sizeof value));
    what.states = &to;
    EXPECT_OK(clseq_checkpoint_load(path, &what));
    read_all(ctx, from, want);
    read_all(ctx, to, got);
    cr_assert_eq(memcmp(got, want, sizeof got), 0);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        EXPECT_OK(clseq_state_create_from(ctx, 1, rows[i].desc, &other));
        what.states = &other;
        EXPECT_ERROR(clseq_checkpoint_load(path, &what), rows[i].status, rows[i].sentence);
        clseq_state_destroy(other);
    }
    folder_remove(folder);
    clseq_state_destroy(from);
    clseq_state_destroy(to);
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
}

/* ---- in graphs ---- */

/* What a graph stores the next one loads; what was loaded stays as it was. */
Test(state, goes_from_graph_to_graph)
{
    clseq_context *ctx = test_context();
    clseq_state *state = create(ctx);
    float keys[KEYS], before[KEYS];
    for (int i = 0; i < KEYS; i++)
        keys[i] = (float)i;
    for (int t = 1; t <= 3; t++) {
        clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_INFERENCE);
        clseq_var *old = clseq_state_load(g, state, "keys");
        /* seen the other way round, so that a strided variable is stored */
        clseq_var *add = clseq_transpose(g, clseq_input_f32(g, keys, 3, (int64_t[]){4, 3, 2}), 0, 2);
        clseq_var *new = clseq_add(g, old, add);
        clseq_state_store(g, state, "keys", t == 1 ? add : new);
        clseq_state_store(g, state, "length",
                          clseq_input_i32(g, (const int32_t[]){t, -t}, 1, (int64_t[]){2}));
        EXPECT_OK(clseq_read(g, old, before));
        for (int i = 0; i < KEYS; i++) {
            const int at = i % 4 * 6 + i / 4 % 3 * 2 + i / 12;
            cr_assert_eq(before[i], (float)((t - 1) * at), "graph %d: %d is %g", t, i, (double)before[i]);
        }
        graph_end(g);
    }
    int32_t length[2];
    clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_INFERENCE);
    EXPECT_OK(clseq_read(g, clseq_state_load(g, state, "length"), length));
    graph_end(g);
    cr_assert(length[0] == 3 && length[1] == -3);
    clseq_state_destroy(state);
    clseq_context_destroy(ctx);
}

/* A state may be loaded in a part of a graph that is computed twice, whatever is stored behind it. */
Test(state, in_parts_that_are_computed_twice)
{
    clseq_context *ctx = test_context();
    clseq_state *state = create(ctx);
    const clseq_tensor key = tensor_of(state, "key");
    clseq_tensor dx = {0};
    float got = 0;
    EXPECT_OK(clseq_tensor_fill(ctx, &key, 3));
    clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
    clseq_var *x = graph_input(g, (const double[]){5}, 1, (int64_t[]){1});
    clseq_recompute_begin(g);
    clseq_var *y = clseq_mul(g, clseq_mul(g, x, x), clseq_state_load(g, state, "key"));
    clseq_recompute_end(g, 1, &y);
    clseq_state_store(g, state, "key", y);
    EXPECT_OK(clseq_backward(g, y));
    EXPECT_OK(clseq_var_grad(g, x, &dx));
    EXPECT_OK(clseq_tensor_read(ctx, &dx, &got));
    cr_assert_eq(got, 2 * 5 * 3);
    EXPECT_OK(clseq_tensor_read(ctx, &key, &got));
    cr_assert_eq(got, 75);
    graph_end(g);
    g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
    x = graph_input(g, (const double[]){5}, 1, (int64_t[]){1});
    clseq_recompute_begin(g);
    clseq_state_store(g, state, "key", x);
    EXPECT_ERROR(clseq_graph_end(g), CLSEQ_INVALID_STATE,
                 "state store: in a part of the graph that is computed twice, expected after");
    clseq_state_destroy(state);
    clseq_context_destroy(ctx);
}

/* Makes a graph fail and says how: row `i`. */
static void misuse(clseq_graph *g, clseq_state *state, int i)
{
    clseq_var *x = clseq_input_f32(g, (const float[]){1, 2}, 1, (int64_t[]){2});
    if (i == 0)
        clseq_state_load(g, NULL, "keys");
    if (i == 1)
        clseq_state_load(g, state, NULL);
    if (i == 2)
        clseq_state_load(g, state, "values");
    if (i == 3)
        clseq_state_store(g, NULL, "keys", x);
    if (i == 4)
        clseq_state_store(g, state, "values", x);
    if (i == 5)
        clseq_state_store(g, state, "key", NULL);
    if (i == 6)
        clseq_state_store(g, state, "key", x);
    if (i == 7)
        clseq_state_store(g, state, "length", x);
}

Test(state, errors_in_graphs)
{
    static const struct {
        clseq_status status;
        const char *sentence;
    } rows[] = {
        {CLSEQ_INVALID_ARGUMENT, "state load: state is NULL"},
        {CLSEQ_INVALID_ARGUMENT, "state load: name is NULL"},
        {CLSEQ_NOT_FOUND, "state load: the state has no tensor with the name \"values\""},
        {CLSEQ_INVALID_ARGUMENT, "state store: state is NULL"},
        {CLSEQ_NOT_FOUND, "state store: the state has no tensor with the name \"values\""},
        {CLSEQ_INVALID_ARGUMENT, "state store: x is NULL"},
        {CLSEQ_INVALID_SHAPE, "state store: x has shape [2], expected [1]"},
        {CLSEQ_INVALID_DTYPE, "state store: x has type f32, expected i32"},
    };
    clseq_context *ctx = test_context(), *other = test_context();
    clseq_state *state = create(ctx), *foreign = create(other);
    for (int i = 0; i < (int)(sizeof rows / sizeof rows[0]); i++) {
        clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
        misuse(g, state, i);
        EXPECT_ERROR(clseq_graph_end(g), rows[i].status, rows[i].sentence);
    }
    clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
    cr_assert_null(clseq_state_load(g, foreign, "keys"));
    EXPECT_ERROR(clseq_graph_end(g), CLSEQ_INVALID_ARGUMENT, "state load: state belongs to another context");
    cr_assert_null(clseq_state_load(NULL, state, "keys"));
    clseq_state_store(NULL, state, "keys", NULL);
    clseq_state_destroy(foreign);
    clseq_state_destroy(state);
    clseq_context_destroy(other);
    clseq_context_destroy(ctx);
}

/* A recurrent layer carries states of its dims and type, whatever they are called. */
Test(state, carried_by_a_recurrent_layer)
{
    clseq_context *ctx = test_context();
    clseq_params *params = NULL;
    clseq_rnn *rnn = NULL;
    clseq_state *state = NULL;
    const float x[6] = {1, 2, 3, 4, 5, 6};
    EXPECT_OK(clseq_params_create(ctx, 1, &params));
    EXPECT_OK(clseq_rnn_new(params, "rnn", &(clseq_rnn_desc){.cell = CLSEQ_CELL_GRU, .input = 3, .hidden = 4},
                            NULL, &rnn));
    for (int dtype = CLSEQ_DTYPE_F32; dtype <= CLSEQ_DTYPE_I32; dtype++) {
        const clseq_state_desc desc = {"memory", (clseq_dtype)dtype, 3, {1, 2, 4}};
        float got[8], final[8];
        EXPECT_OK(clseq_state_create_from(ctx, 1, &desc, &state));
        clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_INFERENCE);
        clseq_var *h = NULL;
        clseq_recur(g, rnn, clseq_input_f32(g, x, 3, (int64_t[]){1, 2, 3}),
                    &(clseq_recur_opts){.carry = state, .final = &h});
        if (dtype == CLSEQ_DTYPE_F32) {
            EXPECT_OK(clseq_read(g, h, final));
            EXPECT_OK(clseq_read(g, clseq_state_load(g, state, "memory"), got));
            cr_assert(compare_bits("memory", got, final, 8), "%s", compare_message());
            graph_end(g);
        } else {
            EXPECT_ERROR(clseq_graph_end(g), CLSEQ_INVALID_DTYPE,
                         "recur: carry has memory as i32, expected h as f32");
        }
        clseq_state_destroy(state);
    }
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
}

Test(state, errors)
{
    static char longest[CLSEQ__PARAM_NAME_MAX + 2];
    static const struct {
        clseq_state_desc second;
        clseq_status status;
        const char *sentence;
    } rows[] = {
        {{NULL, CLSEQ_DTYPE_F32, 1, {1}},
         CLSEQ_INVALID_ARGUMENT,
         "state create from: states[1].name is NULL"},
        {{"", CLSEQ_DTYPE_F32, 1, {1}}, CLSEQ_INVALID_ARGUMENT, "state create from: states[1].name is empty"},
        {{longest, CLSEQ_DTYPE_F32, 1, {1}}, CLSEQ_INVALID_ARGUMENT, "states[1].name has 256 bytes"},
        {{"a", CLSEQ_DTYPE_F32, 1, {1}},
         CLSEQ_INVALID_ARGUMENT,
         "state create from: states[0] and states[1] have the same name a"},
        {{"b", CLSEQ_DTYPE_U8, 1, {1}},
         CLSEQ_INVALID_DTYPE,
         "state create from: states[1] (b) is u8, expected f32 or i32"},
        {{"b", CLSEQ_DTYPE_F32, 0, {1}},
         CLSEQ_INVALID_SHAPE,
         "state create from: states[1] (b) has 0 dims, expected 1 to"},
        {{"b", CLSEQ_DTYPE_F32, CLSEQ_MAX_DIMS + 1, {1}}, CLSEQ_INVALID_SHAPE, "states[1] (b) has"},
        {{"b", CLSEQ_DTYPE_I32, 2, {3, 0}},
         CLSEQ_INVALID_SHAPE,
         "state create from: dim 1 of states[1] (b) is 0, expected at least 1"},
        {{"b", CLSEQ_DTYPE_F32, 2, {(int64_t)1 << 40, (int64_t)1 << 40}}, CLSEQ_INVALID_SHAPE, "exceeds"},
    };
    clseq_context *ctx = test_context();
    clseq_context_stats stats;
    clseq_state *state = NULL;
    memset(longest, 'x', sizeof longest - 1);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const clseq_state_desc both[2] = {{"a", CLSEQ_DTYPE_F32, 1, {2}}, rows[i].second};
        EXPECT_ERROR(clseq_state_create_from(ctx, 2, both, &state), rows[i].status, rows[i].sentence);
        cr_assert_null(state);
    }
    EXPECT_ERROR(clseq_state_create_from(ctx, 0, descs, &state), CLSEQ_INVALID_ARGUMENT,
                 "state create from: 0 states, expected at least 1");
    EXPECT_ERROR(clseq_state_create_from(ctx, 1, NULL, &state), CLSEQ_INVALID_ARGUMENT,
                 "state create from: 1 states (NULL), expected at least 1");
    EXPECT_ERROR(clseq_state_create_from(NULL, COUNT, descs, &state), CLSEQ_INVALID_ARGUMENT,
                 "state create from: ctx is NULL");
    EXPECT_ERROR(clseq_state_create_from(ctx, COUNT, descs, NULL), CLSEQ_INVALID_ARGUMENT,
                 "state create from: out is NULL");
    EXPECT_OK(clseq_context_get_stats(ctx, &stats));
    cr_assert_eq(stats.bytes_in_use, 0);
    clseq_context_destroy(ctx);
}

static clseq_status make_and_reset(void *data)
{
    clseq_context *ctx = NULL;
    clseq_state *state = NULL;
    clseq_status status = clseq_context_create(NULL, &ctx);
    (void)data;
    if (status == CLSEQ_OK)
        status = clseq_state_create_from(ctx, COUNT, descs, &state);
    if (status == CLSEQ_OK)
        status = clseq_state_reset(state);
    clseq_state_destroy(state);
    clseq_context_destroy(ctx);
    return status;
}

Test(state, failing_calls)
{
    EXPECT_OK(make_and_reset(NULL));
    cr_assert(faults_each(make_and_reset, NULL), "%s", faults_message());
    cr_assert(faults_count() > 20, "%s", faults_message());
}
