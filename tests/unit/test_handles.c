/* A handle that could not be made is NULL, whatever stood in its place: every function of the public headers that makes one. */
#include <criterion/criterion.h>

#include "support/device.h"
#include "support/graph.h"
#include <stdio.h>
#include <string.h>

static void *const poison = (void *)0x5a5a;

/* What calls have at hand, or NULL for all of it. */
typedef struct parts {
    clseq_context *ctx;
    clseq_params *params;
    clseq_rnn *rnn;
} parts;

/* Calls the function with arguments that it refuses; `out` may be NULL. */
#define CALL(name, type, ...)                                                                    \
    static clseq_status call_##name(const parts *p, void **place)                                \
    {                                                                                            \
        type *handle = place ? *place : NULL, **out = &handle;                                   \
        const clseq_status status = place ? name(__VA_ARGS__) : (out = NULL, name(__VA_ARGS__)); \
        if (place)                                                                               \
            *place = handle;                                                                     \
        (void)p;                                                                                 \
        return status;                                                                           \
    }

static const clseq_rnn_desc no_hidden = {.cell = CLSEQ_CELL_LSTM, .input = 3};
static const clseq_attention_desc no_key = {.query = 3, .units = 2};
static const clseq_context_desc nowhere = {.device = "no such device"};
static const clseq_optimizer_desc no_rate = {.kind = CLSEQ_OPTIMIZER_SGD};
static const clseq_run_desc no_budget = {.epochs = -1};
static const clseq_tensor no_matrix = {.buffer = NULL};

CALL(clseq_context_create, clseq_context, &nowhere, out)
CALL(clseq_context_wrap, clseq_context, p->ctx ? clseq_context_cl_context(p->ctx) : NULL, NULL, NULL, out)
CALL(clseq_gemm_pack, clseq_packed, p->ctx, CLSEQ_OPERAND_A, &no_matrix, false, out)
CALL(clseq_rnn_plan_create, clseq_rnn_plan, p->ctx, &no_hidden, out)
CALL(clseq_attention_plan_create, clseq_attention_plan, p->ctx, &no_key, out)
CALL(clseq_params_create, clseq_params, NULL, 1, out)
CALL(clseq_params_add, clseq_param, p->params, "", 1, (int64_t[]){2}, NULL, out)
CALL(clseq_embedding_new, clseq_embedding, p->params, "e", 0, 2, out)
CALL(clseq_linear_new, clseq_linear, p->params, "l", 0, 2, true, out)
CALL(clseq_embedding_new_tied, clseq_embedding, p->params, NULL, out)
CALL(clseq_linear_new_tied, clseq_linear, p->params, "l", NULL, true, out)
CALL(clseq_norm_new, clseq_norm, p->params, "n", CLSEQ_NORM_LAYER, 0, 1, out)
CALL(clseq_rnn_new, clseq_rnn, p->params, "r", &no_hidden, NULL, out)
CALL(clseq_state_create, clseq_state, p->rnn, 0, out)
CALL(clseq_state_create_from, clseq_state, p->ctx, 0, NULL, out)
CALL(clseq_optimizer_create, clseq_optimizer, p->params, &no_rate, out)
CALL(clseq_meter_create, clseq_meter, NULL, out)
CALL(clseq_run_create, clseq_run, &no_budget, out)

#define ROW(name)          \
    {                      \
#name, call_##name \
    }
static const struct {
    const char *name;
    clseq_status (*call)(const parts *p, void **place);
} rows[] = {
    ROW(clseq_context_create),
    ROW(clseq_context_wrap),
    ROW(clseq_gemm_pack),
    ROW(clseq_rnn_plan_create),
    ROW(clseq_attention_plan_create),
    ROW(clseq_params_create),
    ROW(clseq_params_add),
    ROW(clseq_embedding_new),
    ROW(clseq_linear_new),
    ROW(clseq_embedding_new_tied),
    ROW(clseq_linear_new_tied),
    ROW(clseq_norm_new),
    ROW(clseq_rnn_new),
    ROW(clseq_state_create),
    ROW(clseq_state_create_from),
    ROW(clseq_optimizer_create),
    ROW(clseq_meter_create),
    ROW(clseq_run_create),
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static void refuse(const parts *p)
{
    for (int i = 0; i < ROWS; i++) {
        void *place = poison;
        cr_assert_neq(rows[i].call(p, &place), CLSEQ_OK, "%s", rows[i].name);
        cr_assert_null(place, "%s leaves %p", rows[i].name, place);
        cr_assert_neq(rows[i].call(p, NULL), CLSEQ_OK, "%s without a place", rows[i].name);
    }
}

Test(handles, what_could_not_be_made_is_null)
{
    parts p = {.ctx = test_context()};
    EXPECT_OK(clseq_params_create(p.ctx, 1, &p.params));
    EXPECT_OK(clseq_rnn_new(
        p.params, "rnn", &(clseq_rnn_desc){.cell = CLSEQ_CELL_GRU, .input = 3, .hidden = 4}, NULL, &p.rnn));
    refuse(&p);
    refuse(&(parts){.ctx = NULL});
    clseq_params_destroy(p.params);
    clseq_context_destroy(p.ctx);
}

Test(handles, a_tensor_that_could_not_be_made_is_zeroed)
{
    clseq_context *ctx = test_context();
    const clseq_tensor none = {0};
    for (int i = 0; i < 2; i++) {
        clseq_tensor x = {.buffer = poison, .ndim = 3, .offset = 7};
        cr_assert_neq(clseq_tensor_create(i ? ctx : NULL, CLSEQ_DTYPE_F32, 1, (int64_t[]){i ? 0 : 1}, &x),
                      CLSEQ_OK);
        cr_assert_eq(memcmp(&x, &none, sizeof x), 0);
    }
    clseq_context_destroy(ctx);
}

/* Every function that a public header declares with a handle as `**out` has a row. */
Test(handles, no_function_is_left_out)
{
    static const char *const headers[] = {"context", "gemm",  "attention", "rnn",    "params",
                                          "layers",  "optim", "graph",     "tensor", "run"};
    int found = 0;
    for (size_t h = 0; h < sizeof headers / sizeof headers[0]; h++) {
        static char text[1 << 17];
        char path[400];
        snprintf(path, sizeof path, CLSEQ_SOURCE_DIR "/include/clseq/%s.h", headers[h]);
        FILE *file = fopen(path, "rb");
        cr_assert_not_null(file, "%s", path);
        text[fread(text, 1, sizeof text - 1, file)] = '\0';
        fclose(file);
        for (const char *at = text; (at = strstr(at, "**out)")) != NULL; at++) {
            const char *begin = at;
            while (strncmp(begin, "CLSEQ_API clseq_status ", 23) != 0)
                begin--;
            begin += 23;
            int row = 0;
            while (row < ROWS && (strncmp(begin, rows[row].name, strlen(rows[row].name)) != 0 ||
                                  begin[strlen(rows[row].name)] != '('))
                row++;
            cr_assert(row < ROWS, "%s.h: %.60s has no row", headers[h], begin);
            found++;
        }
    }
    cr_assert_eq(found, ROWS);
}
