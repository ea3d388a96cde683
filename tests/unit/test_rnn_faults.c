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

enum { T = 2, B = 2, I = 3, H = 4, G = 3 };

/* The tensors of one pass over a layer, all in one buffer of zeros. */
typedef struct layer {
    clseq_tensor memory, w_ih, w_hh, x, y, dx;
    int64_t used;
} layer;

static clseq_tensor part(layer *l, int ndim, const int64_t *dims)
{
    const clseq_tensor tensor =
        clseq_tensor_view(l->memory.buffer, l->memory.offset + l->used, CLSEQ_DTYPE_F32, ndim, dims);
    l->used += clseq_tensor_elements(&tensor);
    return tensor;
}

static clseq_status layer_create(clseq_context *ctx, layer *l)
{
    const int64_t room = G * H * (I + H) + T * B * (2 * I + H);
    CLSEQ__RETURN_IF(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 1, &room, &l->memory));
    CLSEQ__RETURN_IF(clseq_tensor_fill(ctx, &l->memory, 0));
    l->w_ih = part(l, 2, (int64_t[]){G * H, I});
    l->w_hh = part(l, 2, (int64_t[]){G * H, H});
    l->x = part(l, 3, (int64_t[]){T, B, I});
    l->y = part(l, 3, (int64_t[]){T, B, H});
    l->dx = part(l, 3, (int64_t[]){T, B, I});
    return CLSEQ_OK;
}

typedef struct scenario {
    clseq_context *ctx;
    clseq_schedule schedule;
} scenario;

/* A step of training with one GRU layer; the weights' own memory takes their gradients. */
static clseq_status train(void *data)
{
    const scenario *of = data;
    clseq_status status = CLSEQ_OK;
    clseq_context *ctx = of->ctx;
    clseq_rnn_plan *plan = NULL;
    clseq_tensor packed = {0}, reserve = {0}, workspace = {0};
    layer l = {.used = 0};
    clseq_rnn_sizes sizes;
    const clseq_rnn_desc desc = {
        .cell = CLSEQ_CELL_GRU, .input = I, .hidden = H, .bias = CLSEQ_BIAS_NONE, .schedule = of->schedule};
    const clseq_rnn_shape shape = {.T = T, .B = B, .mode = CLSEQ_MODE_TRAINING};
    CLSEQ__TRY(clseq_rnn_plan_create(ctx, &desc, &plan));
    CLSEQ__TRY(clseq_rnn_plan_sizes(plan, &shape, &sizes));
    CLSEQ__TRY(layer_create(ctx, &l));
    CLSEQ__TRY(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 1, &sizes.packed, &packed));
    CLSEQ__TRY(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 1, &sizes.reserve, &reserve));
    CLSEQ__TRY(clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 1, &sizes.workspace, &workspace));
    const clseq_rnn_weights weights = {.w_ih = l.w_ih, .w_hh = l.w_hh};
    CLSEQ__TRY(clseq_rnn_pack(plan, &shape, &weights, &packed));
    CLSEQ__TRY(clseq_rnn_forward(
        plan, &shape,
        &(clseq_rnn_forward_args){
            .packed = packed, .x = l.x, .y = l.y, .reserve = reserve, .workspace = workspace}));
    CLSEQ__TRY(clseq_rnn_backward(plan, &shape,
                                  &(clseq_rnn_backward_args){.packed = packed,
                                                             .x = l.x,
                                                             .dy = l.y,
                                                             .dx = l.dx,
                                                             .dweights = &weights,
                                                             .reserve = reserve,
                                                             .workspace = workspace}));
    CLSEQ__TRY(clseq_context_finish(ctx));
done:
    clseq_rnn_plan_destroy(plan);
    clseq_tensor_destroy(ctx, &packed);
    clseq_tensor_destroy(ctx, &reserve);
    clseq_tensor_destroy(ctx, &workspace);
    clseq_tensor_destroy(ctx, &l.memory);
    return status;
}

Test(rnn_faults, every_schedule)
{
    clseq_context *ctx = test_context();
    for (int s = 0; s < rnn_schedule_count; s++) {
        scenario of = {ctx, rnn_schedules[s].id};
        if (!rnn_schedule_expected(ctx, &rnn_schedules[s]))
            continue;
        cr_assert_eq(train(&of), CLSEQ_OK, "%s: %s", rnn_schedules[s].name, clseq_last_error());
        cr_assert(faults_each(train, &of), "%s: %s", rnn_schedules[s].name, faults_message());
        cr_assert(faults_count() > 50, "%s: %s", rnn_schedules[s].name, faults_message());
    }
    clseq_context_destroy(ctx);
}
