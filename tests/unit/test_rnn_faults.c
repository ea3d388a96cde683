/*
 * Every call of OpenCL and of the allocator fails once while a plan is made, packs weights and runs forward and
 * backward: what follows is a status, a sentence and no leak. The context lives on and has all programs and buffers
 * from a first run; test_core_faults.c lets those fail.
 */
#include "core/error.h"
#include "support/device.h"
#include "support/faults.h"
#include "support/rnn_run.h"

#include <criterion/criterion.h>
#include <stdlib.h>

enum { T = 2, B = 2, I = 3, H = 4, L = 2, MOST_WEIGHTS = 64 };

/* The tensors of one pass, all in one buffer of zeros. */
typedef struct operands {
    clseq_tensor memory, x, y, dx, weights[MOST_WEIGHTS];
    int64_t used;
} operands;

static clseq_tensor part(operands *o, int ndim, const int64_t *dims)
{
    const clseq_tensor tensor =
        clseq_tensor_view(o->memory.buffer, o->memory.offset + o->used, CLSEQ_DTYPE_F32, ndim, dims);
    o->used += clseq_tensor_elements(&tensor);
    return tensor;
}

static clseq_status operands_create(clseq_context *ctx, const clseq_rnn_plan *plan, operands *o)
{
    CLSEQ__RETURN_IF(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 1, (int64_t[]){2000}, &o->memory));
    CLSEQ__RETURN_IF(clseq_tensor_fill(ctx, &o->memory, 0));
    o->x = part(o, 3, (int64_t[]){T, B, I});
    o->y = part(o, 3, (int64_t[]){T, B, clseq_rnn_output_size(plan)});
    o->dx = part(o, 3, (int64_t[]){T, B, I});
    for (int64_t i = 0; i < clseq_rnn_weight_count(plan); i++) {
        clseq_rnn_weight weight;
        CLSEQ__RETURN_IF(clseq_rnn_weight_info(plan, i, &weight));
        o->weights[i] = part(o, weight.ndim, weight.dims);
    }
    return CLSEQ_OK;
}

typedef struct scenario {
    clseq_context *ctx;
    clseq_rnn_desc desc;
} scenario;

/* A step of training; the weights' own memory takes their gradients. */
static clseq_status train(void *data)
{
    const scenario *of = data;
    clseq_status status = CLSEQ_OK;
    clseq_context *ctx = of->ctx;
    clseq_rnn_plan *plan = NULL;
    clseq_rnn_buffers buffers = {.reserve = NULL};
    operands o = {.used = 0};
    const clseq_rnn_shape shape = {.T = T, .B = B, .mode = CLSEQ_MODE_TRAINING};
    CLSEQ__TRY(clseq_rnn_plan_create(ctx, &of->desc, &plan));
    CLSEQ__TRY(operands_create(ctx, plan, &o));
    CLSEQ__TRY(clseq_rnn_buffers_create(plan, &shape, &buffers));
    CLSEQ__TRY(clseq_rnn_pack(plan, &shape, o.weights, &buffers.packed));
    CLSEQ__TRY(clseq_rnn_forward(plan, &shape,
                                 &(clseq_rnn_forward_args){.packed = buffers.packed,
                                                           .x = o.x,
                                                           .y = o.y,
                                                           .reserve = buffers.reserve,
                                                           .workspace = buffers.workspace}));
    CLSEQ__TRY(clseq_rnn_backward(plan, &shape,
                                  &(clseq_rnn_backward_args){.packed = buffers.packed,
                                                             .x = o.x,
                                                             .dy = o.y,
                                                             .dx = o.dx,
                                                             .dweights = o.weights,
                                                             .reserve = buffers.reserve,
                                                             .workspace = buffers.workspace}));
    CLSEQ__TRY(clseq_context_finish(ctx));
done:
    clseq_rnn_buffers_destroy(plan, &buffers);
    clseq_rnn_plan_destroy(plan);
    clseq_tensor_destroy(ctx, &o.memory);
    return status;
}

/* The same step by step, the last one unread. */
static clseq_status train_in_pieces(void *data)
{
    const scenario *of = data;
    clseq_status status = CLSEQ_OK;
    clseq_context *ctx = of->ctx;
    clseq_rnn_plan *plan = NULL;
    clseq_rnn_buffers buffers = {.reserve = NULL};
    operands o = {.used = 0};
    const clseq_rnn_shape shape = {.T = T, .B = B, .mode = CLSEQ_MODE_TRAINING, .in_pieces = true};
    CLSEQ__TRY(clseq_rnn_plan_create(ctx, &of->desc, &plan));
    CLSEQ__TRY(operands_create(ctx, plan, &o));
    CLSEQ__TRY(clseq_rnn_buffers_create(plan, &shape, &buffers));
    CLSEQ__TRY(clseq_rnn_pack(plan, &shape, o.weights, &buffers.packed));
    for (int t = 0; t < T; t++)
        CLSEQ__TRY(clseq_rnn_forward(plan, &shape,
                                     &(clseq_rnn_forward_args){.packed = buffers.packed,
                                                               .x = clseq_tensor_slice(&o.x, 0, t, 1),
                                                               .y = clseq_tensor_slice(&o.y, 0, t, 1),
                                                               .reserve = buffers.reserve,
                                                               .workspace = buffers.workspace,
                                                               .first = t,
                                                               .count = 1}));
    for (int t = T - 1; t >= 0; t--)
        CLSEQ__TRY(clseq_rnn_backward(plan, &shape,
                                      &(clseq_rnn_backward_args){.packed = buffers.packed,
                                                                 .dx = clseq_tensor_slice(&o.dx, 0, t, 1),
                                                                 .reserve = buffers.reserve,
                                                                 .workspace = buffers.workspace,
                                                                 .first = t,
                                                                 .count = 1}));
    CLSEQ__TRY(clseq_rnn_weight_gradients(
        plan, &shape,
        &(clseq_rnn_weight_gradients_args){
            .dweights = o.weights, .reserve = buffers.reserve, .workspace = buffers.workspace}));
    CLSEQ__TRY(clseq_context_finish(ctx));
done:
    clseq_rnn_buffers_destroy(plan, &buffers);
    clseq_rnn_plan_destroy(plan);
    clseq_tensor_destroy(ctx, &o.memory);
    return status;
}

static const int64_t widths[] = {3, 4};

/* A plain layer, and a stack with every option that has code of its own. */
static const clseq_rnn_desc descs[] = {
    {.cell = CLSEQ_CELL_GRU, .input = I, .hidden = H, .bias = CLSEQ_BIAS_NONE},
    {.input = I,
     .layers = L,
     .widths = widths,
     .direction = CLSEQ_DIRECTION_BIDIRECTIONAL,
     .projection = 2,
     .layer_norm = true},
    {.cell = CLSEQ_CELL_RNN_TANH, .input = I, .hidden = H, .layers = L, .dropout = 0.5f, .residual = true},
};
enum { DESCS = sizeof descs / sizeof descs[0] };

Test(rnn_faults, every_schedule)
{
    clseq_context *ctx = test_context();
    for (int i = 0; i < DESCS * rnn_schedule_count; i++) {
        const rnn_schedule *schedule = &rnn_schedules[i / DESCS];
        scenario of = {ctx, descs[i % DESCS]};
        if (!rnn_schedule_expected(ctx, schedule))
            continue;
        of.desc.schedule = schedule->id;
        cr_assert_eq(train(&of), CLSEQ_OK, "%s: %s", schedule->name, clseq_last_error());
        cr_assert(faults_each(train, &of), "%s: %s", schedule->name, faults_message());
        cr_assert(faults_count() > 50, "%s: %s", schedule->name, faults_message());
        if (of.desc.direction != CLSEQ_DIRECTION_FORWARD)
            continue;
        cr_assert_eq(train_in_pieces(&of), CLSEQ_OK, "%s: %s", schedule->name, clseq_last_error());
        cr_assert(faults_each(train_in_pieces, &of), "%s: %s", schedule->name, faults_message());
    }
    clseq_context_destroy(ctx);
}
