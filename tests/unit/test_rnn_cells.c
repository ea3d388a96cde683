/*
 * Cells that the library does not have yet: any number of gates gives the same under every schedule, and options that
 * the kernels have no case for do not compile.
 */
#include "core/program.h"
#include "rnn/schedule.h"
#include "support/device.h"
#include "support/folder.h"
#include "support/guarded.h"
#include "support/log.h"
#include "support/random.h"
#include "support/rnn_run.h"

#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Every slot counts, each by another factor. */
static const char equations[] =
    "static inline void cell_forward(V *slot, const V *prev, V *next)\n"
    "{\n"
    "    V sum = (V)(0.0f);\n"
    "    for (int s = 0; s < SLOTS; s++)\n"
    "        sum += slot[s] / (V)(s + 2.0f);\n"
    "    next[0] = clseq_tanh(sum);\n"
    "}\n"
    "static inline void cell_backward(const V *slot, const V *prev, const V *next,\n"
    "                                 V *d, V *dslot)\n"
    "{\n"
    "}\n";

enum { T = 2, B = 5, I = 3, H = 19 };

static guarded numbers(clseq_context *ctx, test_random *random, int ndim, const int64_t *dims)
{
    const guarded g = guarded_create(ctx, CLSEQ_DTYPE_F32, ndim, dims, GUARDED_DENSE);
    float *values = calloc((size_t)g.n, sizeof *values);
    cr_assert_not_null(values);
    test_random_fill_float(random, values, (size_t)g.n, -1, 1);
    guarded_write(&g, values);
    free(values);
    return g;
}

/* y of a layer of this cell, whose kernels get more options; the same numbers go in each time. */
static float *outputs_of(clseq_context *ctx, const clseq__cell *cell, const clseq__rnn_schedule *schedule,
                         const char *options)
{
    test_random random = test_random_seed(4);
    const clseq_rnn_shape shape = {.T = T, .B = B, .mode = CLSEQ_MODE_INFERENCE};
    clseq_rnn_plan plan = {.ctx = ctx,
                           .desc = {.input = I, .hidden = H, .layers = 1, .bias = CLSEQ_BIAS_NONE},
                           .cell = cell,
                           .schedule = schedule};
    clseq_rnn_sizes sizes;
    clseq__cell_options(cell, plan.options);
    cr_assert(strlen(plan.options) + strlen(options) < sizeof plan.options);
    strcat(plan.options, options);
    MUST(schedule->create(&plan));
    MUST(clseq_rnn_plan_sizes(&plan, &shape, &sizes));
    guarded g[] = {numbers(ctx, &random, 2, (int64_t[]){cell->gates * H, I}),
                   numbers(ctx, &random, 2, (int64_t[]){cell->gates * H, H}),
                   numbers(ctx, &random, 3, (int64_t[]){T, B, I}),
                   numbers(ctx, &random, 3, (int64_t[]){T, B, H}),
                   guarded_create(ctx, CLSEQ_DTYPE_F32, 1, &sizes.packed, GUARDED_DENSE),
                   guarded_create(ctx, CLSEQ_DTYPE_F32, 1, &sizes.workspace, GUARDED_DENSE)};
    for (int i = 3; i < 6; i++)
        guarded_poison(&g[i]);
    MUST(clseq_rnn_pack(&plan, &shape, &(clseq_rnn_weights){.w_ih = g[0].tensor, .w_hh = g[1].tensor},
                        &g[4].tensor));
    MUST(clseq_rnn_forward(
        &plan, &shape,
        &(clseq_rnn_forward_args){
            .packed = g[4].tensor, .x = g[2].tensor, .y = g[3].tensor, .workspace = g[5].tensor}));
    float *y = guarded_read(&g[3]);
    for (int i = 0; i < 6; i++)
        guarded_destroy(&g[i]);
    schedule->destroy(&plan);
    return y;
}

Test(rnn_cells, any_number_of_gates)
{
    static const int gates[] = {2, 5, 7, 8};
    char folder[FOLDER_PATH];
    folder_create(folder);
    for (size_t i = 0; i < clseq__source_count; i++)
        folder_write(folder, clseq__sources[i].name, clseq__sources[i].text, clseq__sources[i].size);
    folder_write_text(folder, "rnn/cells/sum.clh", equations);
    setenv("CLSEQ_KERNEL_DIR", folder, 1);
    clseq_context *ctx = test_context();
    for (size_t i = 0; i < sizeof gates / sizeof gates[0] && ctx->is_cpu; i++) {
        const int G = gates[i];
        clseq__cell cell = {.name = "sum", .gates = G, .states = 1, .slots = G};
        for (int k = 0; k < G; k++)
            cell.x_gates[k] = cell.h_gates[k] = k;
        /* With all tiles, without those of two vectors, and without any. */
        static const char *const tiles[] = {"", " -DNO_TILES_2", " -DNO_TILES_1 -DNO_TILES_2 -DNO_TILES_4"};
        float *stepped = outputs_of(ctx, &cell, &clseq__rnn_gemm_step, "");
        for (int t = 0; t < (i == 0 ? 3 : 1); t++) {
            float *split = outputs_of(ctx, &cell, &clseq__rnn_batch_split, tiles[t]);
            /* Roundings of G sums of I + H products, each below 1, and of the cell. */
            const double bound = (G * (I + H) + 16) * (double)FLT_EPSILON;
            for (int k = 0; k < T * B * H; k++)
                cr_assert(fabs((double)split[k] - stepped[k]) <= bound, "%d gates%s, element %d: %g and %g",
                          G, tiles[t], k, (double)split[k], (double)stepped[k]);
            free(split);
        }
        free(stepped);
        if (test_small())
            break;
    }
    clseq_context_destroy(ctx);
    folder_remove(folder);
}

/* Options without a case in the kernels, and what the compiler says then. */
static const struct {
    const char *file, *options, *words;
} bad[] = {
    {"rnn/gemm_step.cl", "-DSTATES=3 -DGATES=1 -DSLOTS=1 -DX_SLOT=0 -DH_SLOT=0",
     "STATES of a cell: expected 1"},
    {"rnn/gemm_step.cl", "-DSTATES=1 -DGATES=0 -DSLOTS=1 -DX_SLOT=0 -DH_SLOT=0", "at least one gate"},
    {"rnn/gemm_step.cl", "-DSTATES=1 -DGATES=9 -DSLOTS=9 -DX_SLOT=0 -DH_SLOT=0", "at most eight slots"},
    {"rnn/gemm_step.cl", "-DSTATES=1 -DGATES=3 -DSLOTS=4 -DX_SLOT=2 -DH_SLOT=0", "expected GATES slots"},
    {"rnn/gemm_step.cl", "-DSTATES=1 -DGATES=3 -DSLOTS=4 -DX_SLOT=0 -DH_SLOT=2", "expected GATES slots"},
    {"rnn/batch_split.cl", "-DSTATES=3 -DGATES=1 -DSLOTS=1 -DX_SLOT=0 -DH_SLOT=0", "STATES of a cell"},
    {"linalg/gemm.cl", "-DVW=6", "VW, floats a vector: expected 4, 8 or 16"},
    {"linalg/gemm.cl", "-DREGISTERS=24", "REGISTERS of a device: expected 16 or 32"},
    {"rnn/batch_split_weights.cl",
     "-DVW=4 -DREGISTERS=32 -DSTATES=1 -DGATES=1 -DSLOTS=1 -DX_SLOT=0 -DH_SLOT=0",
     "expected a divisor of VW"},
};

Test(rnn_cells, options_without_a_case_do_not_compile)
{
    clseq_context *ctx = test_context();
    log_capture(CLSEQ_LOG_ERROR);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        clseq__kernel *kernel = NULL;
        char options[192];
        snprintf(options, sizeof options, "-DCELL=rnn_tanh -DX_GATES=0 -DH_GATES=0 -DCARRIES_H=0 %s",
                 bad[i].options);
        cr_assert_eq(clseq__kernel_get(ctx, bad[i].file, options, "none", &kernel), CLSEQ_BUILD_FAILED,
                     "%s with %s: %s", bad[i].file, bad[i].options, clseq_last_error());
        cr_assert(strstr(clseq_last_error(), bad[i].words), "%s: %s", bad[i].words, clseq_last_error());
    }
    clseq_context_destroy(ctx);
}
