/*
 * Every call of OpenCL and of the allocator fails once while parameters are made, operations run and an optimiser
 * steps: what follows is a status, a sentence and no leak.
 */
#include "core/error.h"
#include "support/faults.h"
#include "support/folder.h"

#include "train/params.h"
#include <clseq/checkpoint.h>
#include <clseq/layers.h>
#include <clseq/nn.h>
#include <clseq/optim.h>
#include <clseq/run.h>
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

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

TestSuite(train_faults, .init = make_folder, .fini = remove_folder);

static clseq_status add_parameters(clseq_params *params)
{
    clseq_status status = CLSEQ_OK;
    static const clseq_init inits[] = {{.kind = CLSEQ_INIT_NORMAL, .scale = 1},
                                       {.kind = CLSEQ_INIT_ORTHOGONAL, .scale = 1},
                                       {.kind = CLSEQ_INIT_XAVIER, .scale = 1}};
    static const char *const names[] = {"table", "w", "v"};
    clseq_embedding *embedding = NULL;
    clseq_linear *linear = NULL;
    for (int i = 0; i < 3; i++)
        CLSEQ__TRY(clseq_params_add(params, names[i], 2, (int64_t[]){5, 7}, &inits[i], NULL));
    CLSEQ__TRY(clseq_embedding_new_tied(params, clseq_params_at(params, 0), &embedding));
    CLSEQ__TRY(clseq_linear_new_tied(params, "tied", clseq_params_at(params, 1), true, &linear));
done:
    return status;
}

/* data: groups for the optimiser, or NULL. */
static clseq_status optimise(void *data)
{
    clseq_status status = CLSEQ_OK;
    clseq_context *ctx = NULL;
    clseq_params *params = NULL;
    clseq_optimizer *adam = NULL;
    clseq_optimizer_desc desc = clseq_optimizer_desc_default(CLSEQ_OPTIMIZER_ADAM, 0.1f);
    float norm = 0, values[35];
    desc.groups = data;
    desc.group_count = data ? 1 : 0;
    CLSEQ__TRY(clseq_context_create(NULL, &ctx));
    CLSEQ__TRY(clseq_params_create(ctx, 1, &params));
    CLSEQ__TRY(add_parameters(params));
    CLSEQ__TRY(clseq_optimizer_create(params, &desc, &adam));
    CLSEQ__TRY(clseq_clip_value(params, 1));
    CLSEQ__TRY(clseq_clip_norm(params, 1));
    CLSEQ__TRY(clseq_clip_global_norm(params, 1, &norm));
    CLSEQ__TRY(clseq_optimizer_step(adam));
    CLSEQ__TRY(clseq_params_freeze(params, "t*", true, NULL));
    CLSEQ__TRY(clseq_optimizer_step(adam));
    CLSEQ__TRY(clseq_params_zero_grad(params));
    CLSEQ__TRY(clseq_param_get(clseq_params_at(params, 1), values));
    CLSEQ__TRY(clseq_param_set(clseq_params_at(params, 2), values));
    CLSEQ__TRY(clseq_param_set_grad(clseq_params_at(params, 2), values));
done:
    clseq_optimizer_destroy(adam);
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
    return status;
}

Test(train_faults, parameters_and_optimiser)
{
    clseq_param_group group = {"v", 2, 0};
    for (int grouped = 0; grouped < 2; grouped++) {
        cr_assert_eq(optimise(grouped ? &group : NULL), CLSEQ_OK, "%s", clseq_last_error());
        cr_assert(faults_each(optimise, grouped ? &group : NULL), "%s", faults_message());
        cr_assert(faults_count() > 50, "%s", faults_message());
    }
}

/* A model goes to a file and comes back to another one, which takes only what is in the file. */
static clseq_status keep(void *data)
{
    clseq_status status = CLSEQ_OK;
    clseq_context *ctx = NULL;
    clseq_params *params = NULL, *back = NULL;
    clseq_optimizer *adam = NULL;
    const clseq_optimizer_desc desc = clseq_optimizer_desc_default(CLSEQ_OPTIMIZER_ADAM, 0.1f);
    const clseq_meta meta = {"key", "a \"value\""};
    char value[16];
    clseq_checkpoint what = {.meta = &meta, .meta_count = 1};
    CLSEQ__TRY(clseq_context_create(NULL, &ctx));
    CLSEQ__TRY(clseq_params_create(ctx, 1, &params));
    CLSEQ__TRY(add_parameters(params));
    CLSEQ__TRY(clseq_optimizer_create(params, &desc, &adam));
    what.params = params;
    what.optimizer = adam;
    CLSEQ__TRY(clseq_checkpoint_can_save(data));
    CLSEQ__TRY(clseq_checkpoint_save(data, &what));
    CLSEQ__TRY(clseq_checkpoint_meta(data, "key", value, sizeof value));
    CLSEQ__TRY(clseq_checkpoint_load(data, &what));
    CLSEQ__TRY(clseq_params_create(ctx, 2, &back));
    CLSEQ__TRY(clseq_params_expect(back, data));
    CLSEQ__TRY(add_parameters(back));
    CLSEQ__TRY(clseq_params_load(back, data, "w", "w"));
done:
    clseq_optimizer_destroy(adam);
    clseq_params_destroy(params);
    clseq_params_destroy(back);
    clseq_context_destroy(ctx);
    return status;
}

Test(train_faults, checkpoints)
{
    char files[2 * FOLDER_PATH], path[3 * FOLDER_PATH];
    snprintf(files, sizeof files, "%s/files", folder);
    snprintf(path, sizeof path, "%s/model", files);
    cr_assert_eq(mkdir(files, 0700), 0);
    cr_assert_eq(keep(path), CLSEQ_OK, "%s", clseq_last_error());
    cr_assert(faults_each(keep, path), "%s", faults_message());
    cr_assert(faults_count() > 50, "%s", faults_message());
    cr_assert_eq(folder_count(files, "", NULL), 1, "temporary files are left");
}

/* A run that is stopped within an epoch, and one that goes on with it, in the working folder. */
static clseq_status run_steps(bool resume, int64_t epochs)
{
    static const clseq_run_column column = {"rate", NULL};
    clseq_status status = CLSEQ_OK;
    clseq_context *ctx = NULL;
    clseq_params *params = NULL;
    clseq_optimizer *sgd = NULL;
    clseq_param *w = NULL;
    clseq_run *run = NULL;
    const char *text = "some text";
    const double one = 1;
    const clseq_meta meta = {"key", "value"};
    const clseq_option options[] = {{.name = "text", .kind = CLSEQ_OPTION_TEXT, .value = &text}};
    const clseq_optimizer_desc desc = clseq_optimizer_desc_default(CLSEQ_OPTIMIZER_SGD, 0.1f);
    CLSEQ__TRY(clseq_run_create(&(clseq_run_desc){.checkpoint = "run",
                                                  .metrics = "run.csv",
                                                  .resume = resume,
                                                  .epochs = epochs,
                                                  .options = options,
                                                  .option_count = 1,
                                                  .columns = &column,
                                                  .column_count = 1},
                                &run));
    CLSEQ__TRY(clseq_context_create(NULL, &ctx));
    CLSEQ__TRY(clseq_params_create(ctx, 1, &params));
    CLSEQ__TRY(clseq_params_add(params, "w", 1, (int64_t[]){1}, NULL, &w));
    CLSEQ__TRY(clseq_optimizer_create(params, &desc, &sgd));
    CLSEQ__TRY(clseq_run_begin(
        run, &(clseq_checkpoint){.params = params, .optimizer = sgd, .meta = &meta, .meta_count = 1}, 2));
    for (int step = 0; step < 3 && !clseq_run_is_over(run); step++) {
        clseq_graph *g = clseq_graph_begin(ctx, CLSEQ_MODE_TRAINING);
        clseq_meter_add(g, clseq_run_meter(run), clseq_param_var(g, w), 1.0f);
        CLSEQ__TRY(clseq_graph_end(g));
        CLSEQ__TRY(clseq_optimizer_step(sgd));
        CLSEQ__TRY(clseq_run_step(run, 1));
        if (clseq_run_progress(run).epoch_steps == 2)
            CLSEQ__TRY(clseq_run_end_epoch(run, &one));
    }
    CLSEQ__TRY(clseq_run_finish(run, NULL));
    CLSEQ__TRY(clseq_run_load_best(run));
done:
    clseq_run_destroy(run);
    clseq_optimizer_destroy(sgd);
    clseq_params_destroy(params);
    clseq_context_destroy(ctx);
    return status;
}

static clseq_status run_twice(void *data)
{
    (void)data;
    clseq_status status = run_steps(false, 9);
    return status == CLSEQ_OK ? run_steps(true, 9) : status;
}

Test(train_faults, runs)
{
    char files[2 * FOLDER_PATH];
    snprintf(files, sizeof files, "%s/files", folder);
    cr_assert_eq(mkdir(files, 0700), 0);
    cr_assert_eq(chdir(files), 0);
    cr_assert_eq(run_twice(NULL), CLSEQ_OK, "%s", clseq_last_error());
    cr_assert(faults_each(run_twice, NULL), "%s", faults_message());
    cr_assert(faults_count() > 100, "%s", faults_message());
    cr_assert_eq(folder_count(files, "", NULL), 3, "temporary files are left");
}

/* Rows of a table, through a map and dropout to a loss, and back. */
static clseq_status operations(clseq_context *ctx, clseq_tensor t[8])
{
    enum { TABLE, TOKENS, X, Y, LOSS, SAVED, DX, W };
    static const int32_t tokens[3] = {1, 0, 4};
    static const struct {
        clseq_dtype dtype;
        int ndim;
        int64_t dims[2];
    } shapes[8] = {{CLSEQ_DTYPE_F32, 2, {5, 7}}, {CLSEQ_DTYPE_I32, 1, {3}},   {CLSEQ_DTYPE_F32, 2, {3, 7}},
                   {CLSEQ_DTYPE_F32, 2, {3, 5}}, {CLSEQ_DTYPE_F32, 1, {1}},   {CLSEQ_DTYPE_F32, 1, {4}},
                   {CLSEQ_DTYPE_F32, 2, {3, 7}}, {CLSEQ_DTYPE_F32, 2, {5, 7}}};
    clseq_status status = CLSEQ_OK;
    clseq_tensor one;
    for (int i = 0; i < 8; i++) {
        CLSEQ__TRY(clseq_tensor_create(ctx, shapes[i].dtype, shapes[i].ndim, shapes[i].dims, &t[i]));
        CLSEQ__TRY(clseq_tensor_fill(ctx, &t[i], 1));
    }
    CLSEQ__TRY(clseq_tensor_write(ctx, &t[TOKENS], tokens));
    CLSEQ__TRY(clseq_nn_embedding_forward(ctx, &t[TABLE], &t[TOKENS], &t[X]));
    CLSEQ__TRY(clseq_nn_pointwise_forward(ctx, CLSEQ_POINTWISE_TANH, NULL, &t[X], &t[X]));
    CLSEQ__TRY(clseq_nn_dropout(ctx, &t[X], 0.5f, 1, 2, &t[X]));
    CLSEQ__TRY(clseq_nn_affine_forward(ctx, &t[X], &t[W], NULL, &t[Y]));
    CLSEQ__TRY(clseq_nn_cross_entropy_forward(ctx, NULL, &t[Y], &t[TOKENS], &t[LOSS], &t[SAVED]));
    CLSEQ__TRY(clseq_nn_cross_entropy_backward(ctx, NULL, &t[Y], &t[TOKENS], &t[SAVED], NULL, &t[Y]));
    CLSEQ__TRY(clseq_nn_affine_backward(ctx, &t[X], &t[W], &t[Y], &t[DX], &t[TABLE], NULL));
    CLSEQ__TRY(
        clseq_nn_pointwise_backward(ctx, CLSEQ_POINTWISE_TANH, NULL, NULL, &t[X], &t[DX], 0, false, &t[DX]));
    CLSEQ__TRY(clseq_nn_embedding_backward(ctx, &t[TOKENS], &t[DX], &t[TABLE]));
    CLSEQ__TRY(clseq_nn_pointwise_backward(ctx, CLSEQ_POINTWISE_MUL, NULL, (clseq_tensor[]){t[LOSS], t[X]},
                                           NULL, &t[DX], 0, true, &t[LOSS]));
    CLSEQ__TRY(
        clseq_nn_pointwise_backward(ctx, CLSEQ_POINTWISE_ADD, NULL, NULL, NULL, &t[DX], 0, true, &t[LOSS]));
    one = clseq_tensor_view(t[LOSS].buffer, t[LOSS].offset, CLSEQ_DTYPE_F32, 2, (int64_t[]){1, 1});
    CLSEQ__TRY(clseq_nn_reduce_forward(ctx, CLSEQ_REDUCE_MAX, &t[DX], &one));
    CLSEQ__TRY(clseq_nn_reduce_backward(ctx, CLSEQ_REDUCE_MAX, &t[DX], &one, &one, true, &t[X]));
    CLSEQ__TRY(clseq_nn_sum(ctx, &t[DX], 2, &t[LOSS]));
    CLSEQ__TRY(clseq_context_finish(ctx));
done:
    return status;
}

static clseq_status operate(void *data)
{
    clseq_status status = CLSEQ_OK;
    clseq_context *ctx = NULL;
    clseq_tensor tensors[8] = {{0}};
    (void)data;
    CLSEQ__TRY(clseq_context_create(NULL, &ctx));
    CLSEQ__TRY(operations(ctx, tensors));
done:
    for (int i = 0; i < 8; i++)
        clseq_tensor_destroy(ctx, &tensors[i]);
    clseq_context_destroy(ctx);
    return status;
}

Test(train_faults, operations)
{
    cr_assert_eq(operate(NULL), CLSEQ_OK, "%s", clseq_last_error());
    cr_assert(faults_each(operate, NULL), "%s", faults_message());
    cr_assert(faults_count() > 50, "%s", faults_message());
}
