/*
 * The table of cells, and cells that the library does not have yet: any number of gates, slots and phases gives the same
 * under every schedule, and options that the kernels have no case for do not compile.
 */
#include "core/program.h"
#include "rnn/schedule.h"
#include "support/device.h"
#include "support/folder.h"
#include "support/guarded.h"
#include "support/log.h"
#include "support/random.h"
#include "support/rnn_run.h"
#include "support/team_trouble.h"

#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the table ---- */

/* Every gate of the weights goes to a slot, from the input and, over all phases, from h or a quantity. */
static void check_row(const clseq__cell *cell)
{
    bool x[CLSEQ__MAX_GATES] = {false}, h[CLSEQ__MAX_GATES] = {false};
    for (int k = 0; k < cell->input.count; k++)
        x[cell->input.gate[k]] = true;
    for (int p = 0; p < cell->phases; p++)
        for (int k = 0; k < cell->phase[p].product.count; k++)
            h[cell->phase[p].product.gate[k]] = true;
    for (int k = 0; k < cell->gates; k++)
        cr_assert(x[k] && h[k], "%s: gate %d of the weights goes nowhere", cell->name, k);
    cr_assert(cell->input.slot + cell->input.count <= cell->slots && cell->states <= CLSEQ__MAX_STATES &&
                  cell->phases <= CLSEQ__MAX_PHASES && cell->norms <= CLSEQ__MAX_NORMS,
              "%s", cell->name);
}

Test(rnn_cells, knows_its_cells)
{
    for (int cell = 0; cell < CLSEQ_CELL_COUNT; cell++) {
        const clseq__cell *found = clseq__cell_of((clseq_cell)cell, false);
        cr_assert_str_eq(found->name, clseq_cell_name((clseq_cell)cell));
        check_row(found);
        if (clseq__cell_of((clseq_cell)cell, true))
            check_row(clseq__cell_of((clseq_cell)cell, true));
    }
    cr_assert_null(clseq__cell_of((clseq_cell)77, false));
    cr_assert_null(clseq__cell_of(CLSEQ_CELL_RNN_TANH, true));
}

Test(rnn_cells, finds_runs_of_gates)
{
    clseq__slot_run runs[CLSEQ__MAX_GATES];
    const clseq__cell *gru = clseq__cell_of(CLSEQ_CELL_GRU, false),
                      *lstm = clseq__cell_of(CLSEQ_CELL_LSTM, false);
    cr_assert_eq(clseq__slot_runs(&lstm->input, runs), 1);
    cr_assert_eq(runs[0].count, 4);
    cr_assert_eq(clseq__slot_runs(&gru->input, runs), 2);
    cr_assert(runs[0].slot == 0 && runs[0].gate == 2 && runs[0].count == 1);
    cr_assert(runs[1].slot == 1 && runs[1].gate == 0 && runs[1].count == 2);
    cr_assert_eq(clseq__slot_runs(&gru->phase[0].product, runs), 1);
    cr_assert(runs[0].slot == 1 && runs[0].gate == 0 && runs[0].count == 3);
}

/* ---- cells to come ---- */

/* Every slot counts, each by another factor. */
static const char sum[] = "static inline void cell_forward_0(Unit *u)\n"
                          "{\n"
                          "    V all = (V)(0.0f);\n"
                          "    for (int s = 0; s < SLOTS; s++)\n"
                          "        all += u->slot[s] / (V)(s + 2.0f);\n"
                          "    u->next[0] = clseq_tanh(all);\n"
                          "    u->slot[0] = u->next[0];\n"
                          "}\n"
                          "static inline void cell_backward_0(Unit *u)\n"
                          "{\n"
                          "    const V y = u->slot[0];\n"
                          "    for (int s = 0; s < SLOTS; s++)\n"
                          "        u->slot[s] = u->d[0] * clseq_dtanh(y) / (V)(s + 2.0f);\n"
                          "}\n";

/* Three layers deep from step to step: the first reads h, each other one what the one before it puts out. */
#define MAP(k, forward, backward)                               \
    "static inline void cell_forward_" #k "(Unit *u)\n"         \
    "{\n"                                                       \
    "    u->slot[" #k "] = clseq_tanh(u->slot[" #k "]);\n"      \
    "    u->" forward " = u->slot[" #k "];\n"                   \
    "}\n"                                                       \
    "static inline void cell_backward_" #k "(Unit *u)\n"        \
    "{\n"                                                       \
    "    const V y = u->slot[" #k "];\n"                        \
    "    u->slot[" #k "] = u->" backward " * clseq_dtanh(y);\n" \
    "}\n"
static const char deep[] =
    MAP(0, "quantity[0]", "dquantity[0]") MAP(1, "quantity[1]", "dquantity[1]") MAP(2, "next[0]", "d[0]");

#define SUM(count_, ...)                                                           \
    {                                                                              \
        .name = "sum", .gates = (count_), .slots = (count_), .states = 1,          \
        .input = {0, (count_), {__VA_ARGS__}}, .phases = 1, .phase = {             \
            {.operand = CLSEQ__OPERAND_H, .product = {0, (count_), {__VA_ARGS__}}} \
        }                                                                          \
    }

static const clseq__cell to_come[] = {
    SUM(1, 0),
    SUM(2, 1, 0),
    SUM(3, 1, 2, 0),
    SUM(4, 3, 2, 1, 0),
    {.name = "deep",
     .gates = 3,
     .slots = 3,
     .states = 1,
     .set_by = {2},
     .quantities = 2,
     .input = {0, 3, {0, 1, 2}},
     .phases = 3,
     .phase = {{.operand = CLSEQ__OPERAND_H, .product = {0, 1, {0}}},
               {.operand = 0, .product = {1, 1, {1}}},
               {.operand = 1, .product = {2, 1, {2}}}}},
};

enum { T = 3, B = 5, I = 3, H = 19 };

static guarded numbers(clseq_context *ctx, test_random *random, int ndim, const int64_t *dims)
{
    const guarded g = guarded_create(ctx, CLSEQ_DTYPE_F32, ndim, dims, GUARDED_DENSE);
    float *values = calloc((size_t)g.n, sizeof *values);
    cr_assert_not_null(values);
    test_random_fill_float(random, values, (size_t)g.n, -0.5f, 0.5f);
    guarded_write(&g, values);
    free(values);
    return g;
}

static guarded empty(clseq_context *ctx, int ndim, const int64_t *dims)
{
    const guarded g = guarded_create(ctx, CLSEQ_DTYPE_F32, ndim, dims, GUARDED_DENSE);
    guarded_poison(&g);
    return g;
}

static guarded memory(clseq_context *ctx, int64_t floats)
{
    return empty(ctx, 1, (int64_t[]){floats > 0 ? floats : 1});
}

static clseq__place place_of(const guarded *g)
{
    return (clseq__place){g->tensor.buffer, g->tensor.offset};
}

/* Operands of a layer: what goes in, what comes out. */
enum { W_IH, W_HH, X, DY, Y, DX, DW_IH, DW_HH, OPERANDS };

/* y, dx and the gradients of both weights of a layer of this cell; the same numbers go in each time. */
static void results_of(clseq_context *ctx, const clseq__cell *cell, const clseq__rnn_schedule *schedule,
                       float *results[OPERANDS], int64_t n[OPERANDS])
{
    test_random random = test_random_seed(4);
    clseq__rnn_layer layer = {
        .ctx = ctx, .cell = cell, .input = I, .hidden = H, .output = H, .widest = H, .directions = 1};
    const clseq_rnn_shape shape = {.T = T, .B = B};
    const int64_t w_ih[] = {cell->gates * H, I}, w_hh[] = {cell->gates * H, H}, x[] = {T, B, I},
                  y[] = {T, B, H};
    clseq__layer_sizes sizes = {0};
    void *data = NULL;
    layer.part_count = clseq__cell_parts(cell, CLSEQ_BIAS_NONE, false, layer.parts);
    clseq__cell_options(cell, false, &layer.extras, layer.options);
    MUST(schedule->create(&layer, &data));
    schedule->sizes(&layer, &shape, &sizes);
    guarded g[OPERANDS] = {numbers(ctx, &random, 2, w_ih),
                           numbers(ctx, &random, 2, w_hh),
                           numbers(ctx, &random, 3, x),
                           numbers(ctx, &random, 3, y),
                           empty(ctx, 3, y),
                           empty(ctx, 3, x),
                           empty(ctx, 2, w_ih),
                           empty(ctx, 2, w_hh)};
    guarded forward = memory(ctx, sizes.packed_forward), backward = memory(ctx, sizes.packed_backward),
            reserve = memory(ctx, sizes.reserve), workspace = memory(ctx, sizes.workspace);
    const clseq__layer_pass pass = {.layer = &layer,
                                    .data = data,
                                    .shape = {.T = T, .B = B},
                                    .count = T,
                                    .packed_forward = place_of(&forward),
                                    .packed_backward = place_of(&backward),
                                    .reserve = place_of(&reserve),
                                    .workspace = place_of(&workspace),
                                    .x.rows = g[X].tensor};
    MUST(schedule->pack(&pass, (const clseq_tensor[]){g[W_IH].tensor, g[W_HH].tensor}));
    MUST(schedule->forward(&pass, &(clseq__layer_forward){.y = g[Y].tensor}));
    MUST(schedule->backward(&pass,
                            &(clseq__layer_backward){.dy.rows = g[DY].tensor, .dx.rows = g[DX].tensor}));
    MUST(schedule->weights(
        &pass, &(clseq__layer_weights){.dweights = (const clseq_tensor[]){g[DW_IH].tensor, g[DW_HH].tensor},
                                       .overwrite = true}));
    for (int i = 0; i < OPERANDS; i++) {
        results[i] = guarded_read(&g[i]);
        n[i] = g[i].n;
        cr_assert(guarded_intact("operand", &g[i]), "%s", guarded_message());
        guarded_destroy(&g[i]);
    }
    cr_assert(guarded_intact("reserve", &reserve) && guarded_intact("workspace", &workspace), "%s",
              guarded_message());
    guarded_destroy(&forward);
    guarded_destroy(&backward);
    guarded_destroy(&reserve);
    guarded_destroy(&workspace);
    schedule->destroy(data);
}

/* Roundings of sums of I + H products in each slot and phase, of all rows in a weight's gradient, and of the cells, each of
 * what is below 1 or, of gradients, below the largest. */
static double bound_of(const clseq__cell *cell, const float *values, int64_t n)
{
    double largest = 1;
    for (int64_t k = 0; k < n; k++)
        largest = fmax(largest, fabs((double)values[k]));
    return (T * cell->gates * (I + H) + T * B + 16) * (double)FLT_EPSILON * largest;
}

/* gemm_step beside team, with as many groups for each block of rows. */
static void check_cell(clseq_context *ctx, const clseq__cell *cell, int members)
{
    static const char *const names[] = {"w_ih", "w_hh", "x", "dy", "y", "dx", "dw_ih", "dw_hh"};
    float *stepped[OPERANDS], *team[OPERANDS];
    int64_t n[OPERANDS];
    ctx->traits.team_blocks = 2;
    ctx->traits.team_members = members;
    ctx->traits.team_groups = team_trouble_counts_as_race(ctx);
    results_of(ctx, cell, &clseq__rnn_gemm_step, stepped, n);
    results_of(ctx, cell, &clseq__rnn_team, team, n);
    for (int i = 0; i < OPERANDS; i++) {
        const double bound = bound_of(cell, stepped[i], n[i]);
        for (int64_t k = 0; k < n[i]; k++)
            cr_assert(fabs((double)stepped[i][k] - team[i][k]) <= bound,
                      "%s of %d gates, %d groups: %s[%d] is %g and %g within %g", cell->name, cell->gates,
                      members, names[i], (int)k, (double)stepped[i][k], (double)team[i][k], bound);
        free(stepped[i]);
        free(team[i]);
    }
}

Test(rnn_cells, any_number_of_gates_and_phases)
{
    char folder[FOLDER_PATH];
    folder_create(folder);
    for (size_t i = 0; i < clseq__source_count; i++)
        folder_write(folder, clseq__sources[i].name, clseq__sources[i].text, clseq__sources[i].size);
    folder_write_text(folder, "rnn/cells/sum.clh", sum);
    folder_write_text(folder, "rnn/cells/deep.clh", deep);
    setenv("CLSEQ_KERNEL_DIR", folder, 1);
    clseq_context *ctx = test_context();
    for (size_t i = 0;
         i < sizeof to_come / sizeof to_come[0] && clseq__rnn_team.applicable(ctx, &(const char *){0}); i++)
        if (!test_small() || i == 1)
            for (int members = 1; members <= 2; members++)
                check_cell(ctx, &to_come[i], members);
    clseq_context_destroy(ctx);
    folder_remove(folder);
}

/* ---- options ---- */

/* Options of a good cell, one of them replaced by one without a case, and what the compiler says then. */
static const struct {
    const char *file, *good, *bad, *words;
} wrong[] = {
    {"rnn/gemm_step.cl", "-DSTATES=1", "-DSTATES=0", "expected at least one state"},
    {"rnn/gemm_step.cl", "-DSLOTS=1", "-DSLOTS=0", "at least one state and one slot"},
    {"rnn/gemm_step.cl", "-DPHASES=1", "-DPHASES=4", "1 to 3 phases"},
    {"rnn/gemm_step.cl", "-DNORMS=0", "-DNORMS=4", "at most 3 norms"},
    {"rnn/gemm_step.cl", "-DINPUT_SLOT=0", "-DINPUT_SLOT=1", "expected the products among its slots"},
    {"rnn/gemm_step.cl", "-DCOUNT_0=1", "-DCOUNT_0=2", "expected the products among its slots"},
    {"rnn/gemm_step.cl", "-DOPERAND_0=-1", "-DOPERAND_0=0", "OPERAND_0 of a cell: expected h"},
    {"rnn/gemm_step.cl", "-DSTATES=1", "-DSTATES=5", "expected at most GEMM_STEP_STATES"},
    {"rnn/team_forward.cl", "-DSTATES=1", "-DSTATES=5", "STATES of a cell: expected 1 to 4"},
    {"linalg/gemm.cl", "-DCPU=1", "-DCPU=1 -DVW=6", "VW, floats a vector: expected 4, 8 or 16"},
    {"linalg/gemm.cl", "-DCPU=1", "-DREGISTERS=24", "REGISTERS of a device: expected 16 or 32"},
};

Test(rnn_cells, options_without_a_case_do_not_compile)
{
    clseq_context *ctx = test_context();
    log_capture(CLSEQ_LOG_ERROR);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        clseq__kernel *kernel = NULL;
        char good[CLSEQ__CELL_OPTIONS], options[CLSEQ__CELL_OPTIONS + 64];
        clseq__cell_options(clseq__cell_of(CLSEQ_CELL_RNN_TANH, false), false, &(clseq__cell_extras){0},
                            good);
        const char *at = strstr(good, wrong[i].good);
        if (at)
            snprintf(options, sizeof options, "%.*s%s%s", (int)(at - good), good, wrong[i].bad,
                     at + strlen(wrong[i].good));
        else
            snprintf(options, sizeof options, "%s", wrong[i].bad);
        cr_assert_eq(clseq__kernel_get(ctx, wrong[i].file, options, "none", &kernel), CLSEQ_BUILD_FAILED,
                     "%s with %s: %s", wrong[i].file, wrong[i].bad, clseq_last_error());
        cr_assert(strstr(clseq_last_error(), wrong[i].words), "%s: %s", wrong[i].words, clseq_last_error());
    }
    clseq_context_destroy(ctx);
}
