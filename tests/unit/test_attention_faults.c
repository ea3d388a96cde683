/*
 * Every call of OpenCL and of the allocator fails once while a plan of attention is made and runs forward and backward: what
 * follows is a status, a sentence and no leak.
 */
#include "core/error.h"
#include "support/device.h"
#include "support/faults.h"

#include <clseq/attention.h>
#include <criterion/criterion.h>

enum { T = 2, S = 3, B = 2, F = 4, MOST_WEIGHTS = 9 };

typedef struct scenario {
    clseq_context *ctx;
    clseq_attention_desc desc;
} scenario;

/* A pass of training; the weights' own memory takes their gradients in part, all in one buffer of zeros. */
static clseq_status train(void *data)
{
    const scenario *of = data;
    clseq_status status = CLSEQ_OK;
    clseq_context *ctx = of->ctx;
    clseq_attention_plan *plan = NULL;
    clseq_attention_buffers buffers = {.memory = {.buffer = NULL}};
    const clseq_attention_shape shape = {T, S, B, CLSEQ_MODE_TRAINING};
    clseq_tensor memory = {.buffer = NULL}, weights[MOST_WEIGHTS], dweights[MOST_WEIGHTS];
    int64_t used = 0;
    CLSEQ__TRY(clseq_attention_plan_create(ctx, &of->desc, &plan));
    CLSEQ__TRY(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 1, (int64_t[]){2000}, &memory));
    CLSEQ__TRY(clseq_tensor_fill(ctx, &memory, 0));
    clseq_tensor rows[6];
    for (int i = 0; i < 6; i++, used += (i < 4 ? T : S) * B * F)
        rows[i] = clseq_tensor_view(memory.buffer, memory.offset + used, CLSEQ_DTYPE_F32, 3,
                                    (int64_t[]){i < 4 ? T : S, B, F});
    used += S * B * F;
    for (int i = 0; i < clseq_attention_weight_count(plan); i++) {
        clseq_attention_weight w;
        CLSEQ__TRY(clseq_attention_weight_info(plan, i, &w));
        weights[i] = clseq_tensor_view(memory.buffer, memory.offset + used, CLSEQ_DTYPE_F32, w.ndim, w.dims);
        used += clseq_tensor_elements(&weights[i]);
        dweights[i] = clseq_tensor_view(memory.buffer, memory.offset + used, CLSEQ_DTYPE_F32, w.ndim, w.dims);
        used += clseq_tensor_elements(&weights[i]);
    }
    CLSEQ__TRY(clseq_attention_buffers_create(plan, &shape, &buffers));
    CLSEQ__TRY(clseq_attention_remember(
        plan, &shape,
        &(clseq_attention_memory_args){.weights = weights, .keys = rows[4], .memory = buffers.memory}));
    CLSEQ__TRY(clseq_attention_forward(plan, &shape,
                                       &(clseq_attention_forward_args){.weights = weights,
                                                                       .memory = buffers.memory,
                                                                       .queries = rows[0],
                                                                       .context = rows[1],
                                                                       .reserve = buffers.reserve,
                                                                       .workspace = buffers.workspace}));
    CLSEQ__TRY(clseq_attention_backward(plan, &shape,
                                        &(clseq_attention_backward_args){.weights = weights,
                                                                         .memory = buffers.memory,
                                                                         .dcontext = rows[2],
                                                                         .dqueries = rows[3],
                                                                         .reserve = buffers.reserve,
                                                                         .workspace = buffers.workspace}));
    CLSEQ__TRY(clseq_attention_gradients(plan, &shape,
                                         &(clseq_attention_gradients_args){.weights = weights,
                                                                           .keys = rows[4],
                                                                           .memory = buffers.memory,
                                                                           .dkeys = rows[5],
                                                                           .dweights = dweights,
                                                                           .reserve = buffers.reserve,
                                                                           .workspace = buffers.workspace}));
    CLSEQ__TRY(clseq_context_finish(ctx));
done:
    clseq_attention_buffers_destroy(plan, &buffers);
    clseq_attention_plan_destroy(plan);
    clseq_tensor_destroy(ctx, &memory);
    return status;
}

Test(attention_faults, every_call_fails_once)
{
    static const clseq_attention_desc descs[] = {
        {.score = CLSEQ_ATTENTION_SCORE_GENERAL, .query = F, .key = F},
        {.query = F,
         .key = F,
         .units = 3,
         .bias = true,
         .normalise = true,
         .window = CLSEQ_ATTENTION_WINDOW_PREDICTED,
         .window_radius = 2,
         .location_channels = 2,
         .location_width = 3},
    };
    clseq_context *ctx = test_context();
    for (int i = 0; i < 2; i++) {
        scenario of = {ctx, descs[i]};
        cr_assert_eq(train(&of), CLSEQ_OK, "%s", clseq_last_error());
        cr_assert(faults_each(train, &of), "%s", faults_message());
        cr_assert(faults_count() > 30, "%s", faults_message());
    }
    clseq_context_destroy(ctx);
}
