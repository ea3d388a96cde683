/* Every call of OpenCL and of the allocator fails once in a graph of operations along dims, of norms and over time. */
#include "core/error.h"
#include "support/faults.h"
#include "support/folder.h"

#include <clseq/clseq.h>
#include <criterion/criterion.h>
#include <stdlib.h>

static char folder[FOLDER_PATH];

/* A cache of programs, so that they are compiled once and not for every fault. */
static void make_folder(void)
{
    folder_create(folder);
    setenv("CLSEQ_CACHE_DIR", folder, 1);
    setenv("CLSEQ_CACHE", "on", 1);
}

static void remove_folder(void)
{
    folder_remove(folder);
}

TestSuite(graph_along_faults, .init = make_folder, .fini = remove_folder);

static void build(clseq_graph *g, const clseq_norm *layer)
{
    static const float x[3 * 2 * 4] = {1, 2, 3, 4, 5};
    const int32_t lengths[] = {2, 3}, indices[] = {3, 1, 0, 2};
    clseq_var *in = clseq_require_grad(g, clseq_input_f32(g, x, 3, (int64_t[]){3, 2, 4}));
    clseq_var *y = clseq_normalize(g, layer, clseq_reverse(g, in, lengths));
    y = clseq_log_softmax(g, clseq_cumsum(g, clseq_softmax(g, y, 1), 0), -1);
    clseq_var *row = clseq_add(g, clseq_max_over_time(g, y, lengths), clseq_last(g, y, NULL));
    row = clseq_gather(g, clseq_add(g, row, clseq_mean_over_time(g, y, lengths)), 1,
                       clseq_input_i32(g, indices, 2, (int64_t[]){2, 2}));
    clseq_backward(g, clseq_sum(g, clseq_rms_norm(g, row, NULL, 1)));
}

static clseq_status run(void *data)
{
    clseq_status status = CLSEQ_OK;
    clseq_context *ctx = NULL;
    clseq_params *params = NULL;
    clseq_norm *layer = NULL;
    float values[4];
    (void)data;
    CLSEQ__TRY(clseq_context_create(NULL, &ctx));
    CLSEQ__TRY(clseq_params_create(ctx, 1, &params));
    CLSEQ__TRY(clseq_norm_new(params, "norm", CLSEQ_NORM_LAYER, 4, 1e-5f, &layer));
    clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
    if (g)
        build(g, layer);
    CLSEQ__TRY(clseq_graph_end(g));
    CLSEQ__TRY(clseq_param_get_grad(clseq_params_at(params, 0), values));
done:
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
    return status;
}

Test(graph_along_faults, every_call)
{
    cr_assert_eq(run(NULL), CLSEQ_OK, "%s", clseq_last_error());
    cr_assert(faults_each(run, NULL), "%s", faults_message());
    cr_assert(faults_count() > 50, "%s", faults_message());
}
