/* What can be wrong with the arguments of a plan's calls. */
#include "rnn/check.h"
#include "core/error.h"
#include "core/overlap.h"
#include "core/tensor.h"
#include "rnn/uses.h"
#include <inttypes.h>

/* Far below 2^63: no sum of sizes overflows. */
#define TOTAL_LIMIT 1e17
/* Products address a buffer with 32 bits. */
#define RESERVE_LIMIT ((INT64_C(1) << 31) * (int64_t)sizeof(float))
/* Bytes; no vector load or cache line of a device asks for more. */
#define ALIGNMENT 64

clseq_status clseq__rnn_check_shape(const char *call, const clseq_rnn_plan *plan,
                                    const clseq_rnn_shape *shape)
{
    CLSEQ__NEEDS(call, plan);
    CLSEQ__NOT_NULL(call, shape);
    CLSEQ__RETURN_IF(clseq__rnn_check_range(call, "T", shape->T));
    CLSEQ__RETURN_IF(clseq__rnn_check_range(call, "B", shape->B));
    if (shape->mode != CLSEQ_MODE_TRAINING && shape->mode != CLSEQ_MODE_INFERENCE)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: mode is %d, which is no clseq_mode", call,
                            (int)shape->mode);
    CLSEQ__RETURN_IF(clseq__rnn_check_pieces(call, plan, shape));
    const double layers = (double)plan->desc.layers * plan->directions;
    for (int64_t l = 0; l < plan->desc.layers; l++) {
        const clseq__rnn_layer *layer = clseq__rnn_layer_at(plan, l, 0);
        const double step =
            (double)shape->B * ((double)layer->cell->slots * (double)layer->hidden + (double)layer->input);
        if (step > CLSEQ__STEP_LIMIT || step * (double)(shape->T + 1) * layers * 4 > TOTAL_LIMIT)
            return clseq__error(CLSEQ_INVALID_ARGUMENT,
                                "%s: T %" PRId64 " and B %" PRId64
                                " are too large: one step of input %" PRId64 " and hidden %" PRId64
                                " must stay under 2^31 elements",
                                call, shape->T, shape->B, layer->input, layer->hidden);
    }
    return CLSEQ_OK;
}

clseq_status clseq__rnn_check_sizes(const char *call, const clseq_rnn_plan *plan,
                                    const clseq_rnn_sizes *sizes)
{
    const struct {
        const char *name;
        int64_t bytes;
    } buffers[] = {{"packed", sizes->packed}, {"reserve", sizes->reserve}, {"workspace", sizes->workspace}};
    for (size_t i = 0; i < sizeof buffers / sizeof buffers[0]; i++)
        if ((uint64_t)buffers[i].bytes > plan->ctx->device.max_allocation)
            return clseq__error(CLSEQ_UNSUPPORTED,
                                "%s: %s needs %" PRId64 " bytes, %s allows buffers of up to %" PRIu64, call,
                                buffers[i].name, buffers[i].bytes, plan->ctx->device.name,
                                plan->ctx->device.max_allocation);
    if (sizes->reserve >= RESERVE_LIMIT)
        return clseq__error(CLSEQ_UNSUPPORTED,
                            "%s: reserve needs %" PRId64 " bytes in one layer, expected fewer than %" PRId64
                            ": products address a buffer with 32 bits",
                            call, sizes->reserve, RESERVE_LIMIT);
    return CLSEQ_OK;
}

/* How the elements of a tensor may lie. */
typedef enum form { ANY, ROWS, PACKED } form;

/* What a tensor must be, and what the call does with it. */
typedef struct expected {
    clseq_dtype dtype;
    int ndim;
    const int64_t *dims;
    form how;
    bool is_written;
} expected;

static clseq_status check_named(clseq_context *ctx, const char *what, const clseq_tensor *tensor,
                                const expected *as)
{
    return as->how == PACKED
               ? clseq__tensor_check_packed(ctx, what, tensor, as->dtype, as->ndim, as->dims)
               : clseq__tensor_check(ctx, what, tensor, as->dtype, as->ndim, as->dims, as->how == ROWS);
}

/* The tensor is there, as expected, and within a buffer of this context. */
static clseq_status check_tensor(const clseq_rnn_plan *plan, clseq__argument argument,
                                 const clseq_tensor *tensor, const expected *as)
{
    char what[CLSEQ__ARGUMENT_TEXT];
    if (check_named(plan->ctx, argument.name, tensor, as) == CLSEQ_OK)
        return CLSEQ_OK;
    return check_named(plan->ctx, clseq__argument_text(plan, &argument, what), tensor, as);
}

static clseq_status take(const clseq_rnn_plan *plan, clseq__argument argument, const clseq_tensor *tensor,
                         expected as)
{
    CLSEQ__RETURN_IF(check_tensor(plan, argument, tensor, &as));
    clseq__uses_add(plan, argument, tensor, 0, as.is_written);
    return CLSEQ_OK;
}

/* The weights, or their gradients where `is_written` is set: then every tensor may be missing. */
static clseq_status take_weights(const clseq_rnn_plan *plan, const char *call, const char *name,
                                 const clseq_tensor *weights, bool is_written)
{
    if (!weights)
        return is_written ? CLSEQ_OK : clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: %s is NULL", call, name);
    int64_t i = 0;
    for (int64_t k = 0; k < plan->desc.layers * plan->directions; k++) {
        const clseq__rnn_layer *layer = &plan->layers[k];
        for (int p = 0; p < layer->part_count; p++, i++) {
            int64_t dims[2];
            const int ndim = clseq__rnn_part_dims(layer, &layer->parts[p], dims);
            if (weights[i].buffer || !is_written)
                CLSEQ__RETURN_IF(take(plan, (clseq__argument){call, name, CLSEQ__WEIGHTS, i}, &weights[i],
                                      (expected){CLSEQ_DTYPE_F32, ndim, dims, PACKED, is_written}));
        }
    }
    return CLSEQ_OK;
}

/* A buffer of the caller's for the library's own use: at least `need` bytes, of which no more are used. */
static clseq_status take_memory(const clseq_rnn_plan *plan, clseq__argument argument,
                                const clseq_tensor *tensor, int64_t need, bool is_written)
{
    const int64_t any = -1;
    char what[CLSEQ__ARGUMENT_TEXT];
    CLSEQ__RETURN_IF(
        check_tensor(plan, argument, tensor, &(expected){CLSEQ_DTYPE_U8, 1, &any, PACKED, false}));
    if (tensor->offset % ALIGNMENT)
        return clseq__error(CLSEQ_INVALID_ARGUMENT,
                            "%s starts at byte %" PRId64 ", expected a multiple of %d",
                            clseq__argument_text(plan, &argument, what), tensor->offset, ALIGNMENT);
    if (tensor->dims[0] < need)
        return clseq__error(CLSEQ_INVALID_SHAPE,
                            "%s has %" PRId64 " bytes, expected at least %" PRId64 " (%s)",
                            clseq__argument_text(plan, &argument, what), tensor->dims[0], need,
                            argument.of == CLSEQ__LAYERS ? "clseq_rnn_reserve_size" : "clseq_rnn_plan_sizes");
    clseq__uses_add(plan, argument, tensor, need, is_written);
    return CLSEQ_OK;
}

static clseq_status take_reserves(const clseq_rnn_plan *plan, const char *call, const clseq_rnn_shape *shape,
                                  const clseq_tensor *reserve)
{
    if (!reserve)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: reserve is NULL, expected a tensor for each layer",
                            call);
    for (int64_t l = 0; l < plan->desc.layers; l++)
        CLSEQ__RETURN_IF(take_memory(plan, (clseq__argument){call, "reserve", CLSEQ__LAYERS, l}, &reserve[l],
                                     clseq__stack_reserve(plan, shape, l), true));
    return CLSEQ_OK;
}

/* A sequence [T,B,features] whose rows are packed; where it is written, no two elements may be the same place. */
static clseq_status take_sequence(const clseq_rnn_plan *plan, const char *call, const char *name,
                                  const clseq_tensor *tensor, const clseq_rnn_shape *shape, int64_t features,
                                  bool is_written)
{
    const int64_t dims[] = {shape->T, shape->B, features}, *s = tensor->strides;
    const clseq__argument argument = {.call = call, .name = name};
    CLSEQ__RETURN_IF(
        check_tensor(plan, argument, tensor, &(expected){CLSEQ_DTYPE_F32, 3, dims, ROWS, false}));
    const clseq__runs runs = clseq__runs_of(tensor);
    if (is_written && clseq__runs_collide(&runs))
        return clseq__error(CLSEQ_INVALID_SHAPE,
                            "%s: %s has strides [%" PRId64 ",%" PRId64 ",%" PRId64
                            "], with which its elements overlap",
                            call, name, s[0], s[1], s[2]);
    clseq__uses_add(plan, argument, tensor, 0, is_written);
    return CLSEQ_OK;
}

static clseq_status take_packed(const clseq_rnn_plan *plan, const char *call, const clseq_rnn_sizes *sizes,
                                const clseq_tensor *packed)
{
    return take_memory(plan, (clseq__argument){.call = call, .name = "packed"}, packed, sizes->packed, false);
}

static clseq_status take_workspace(const clseq_rnn_plan *plan, const char *call, const clseq_rnn_sizes *sizes,
                                   const clseq_tensor *workspace)
{
    return take_memory(plan, (clseq__argument){.call = call, .name = "workspace"}, workspace,
                       sizes->workspace, true);
}

/* x and lengths. */
static clseq_status take_inputs(const clseq_rnn_plan *plan, const char *call, const clseq_rnn_shape *shape,
                                const clseq_tensor *x, const clseq_tensor *lengths)
{
    if (plan->desc.one_hot)
        CLSEQ__RETURN_IF(take(plan, (clseq__argument){.call = call, .name = "x"}, x,
                              (expected){CLSEQ_DTYPE_I32, 2, (int64_t[]){shape->T, shape->B}, ANY, false}));
    else
        CLSEQ__RETURN_IF(take_sequence(plan, call, "x", x, shape, plan->desc.input, false));
    if (lengths->buffer)
        CLSEQ__RETURN_IF(take(plan, (clseq__argument){.call = call, .name = "lengths"}, lengths,
                              (expected){CLSEQ_DTYPE_I32, 1, &shape->B, PACKED, false}));
    return CLSEQ_OK;
}

/* States, each of which may be missing. One over whose memory the pass writes its own final state is not listed:
 * that one is looked after in its place. */
static clseq_status take_states(const clseq_rnn_plan *plan, const char *call, const char *name,
                                const clseq_rnn_shape *shape, const clseq_tensor *states,
                                const clseq_tensor *written_over, bool is_written)
{
    for (int s = 0; states && s < plan->cell->states; s++) {
        const clseq__argument argument = {call, name, CLSEQ__STATES, s};
        clseq_rnn_state state;
        if (!states[s].buffer)
            continue;
        CLSEQ__RETURN_IF(clseq_rnn_state_info(plan, s, shape->B, &state));
        CLSEQ__RETURN_IF(check_tensor(plan, argument, &states[s],
                                      &(expected){CLSEQ_DTYPE_F32, state.ndim, state.dims, PACKED, false}));
        if (!written_over || written_over[s].buffer != states[s].buffer ||
            written_over[s].offset != states[s].offset)
            clseq__uses_add(plan, argument, &states[s], 0, is_written);
    }
    return CLSEQ_OK;
}

clseq_status clseq__rnn_check_pack(const clseq_rnn_plan *plan, const clseq_rnn_sizes *sizes,
                                   const clseq_tensor *weights, const clseq_tensor *packed)
{
    clseq__uses_begin(plan);
    CLSEQ__RETURN_IF(take_weights(plan, "rnn pack", "weights", weights, false));
    CLSEQ__NOT_NULL("rnn pack", packed);
    CLSEQ__RETURN_IF(take_memory(plan, (clseq__argument){.call = "rnn pack", .name = "packed"}, packed,
                                 sizes->packed, true));
    return clseq__uses_check(plan);
}

/* The steps that a call runs, as the shape of its sequences. */
static clseq_rnn_shape steps_of(const clseq_rnn_shape *shape, int64_t count)
{
    return (clseq_rnn_shape){.T = shape->in_pieces ? count : shape->T, .B = shape->B};
}

clseq_status clseq__rnn_check_forward(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                      const clseq_rnn_sizes *sizes, const clseq_rnn_forward_args *args)
{
    static const char call[] = "rnn forward";
    CLSEQ__NOT_NULL("rnn forward", args);
    CLSEQ__RETURN_IF(clseq__rnn_check_part(call, shape, args->first, args->count, &args->lengths));
    CLSEQ__RETURN_IF(clseq__rnn_check_time(call, plan, shape, args->time));
    const clseq_rnn_shape steps = steps_of(shape, args->count);
    clseq__uses_begin(plan);
    CLSEQ__RETURN_IF(take_packed(plan, call, sizes, &args->packed));
    CLSEQ__RETURN_IF(take_inputs(plan, call, &steps, &args->x, &args->lengths));
    CLSEQ__RETURN_IF(take_states(plan, call, "initial", shape, args->initial, args->final, false));
    CLSEQ__RETURN_IF(take_sequence(plan, call, "y", &args->y, &steps, clseq_rnn_output_size(plan), true));
    CLSEQ__RETURN_IF(take_states(plan, call, "final", shape, args->final, NULL, true));
    if (shape->mode == CLSEQ_MODE_TRAINING)
        CLSEQ__RETURN_IF(take_reserves(plan, call, shape, args->reserve));
    CLSEQ__RETURN_IF(take_workspace(plan, call, sizes, &args->workspace));
    return clseq__uses_check(plan);
}

/* What is not asked for together. */
static clseq_status check_asked(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                const clseq_rnn_backward_args *args)
{
    if (shape->mode != CLSEQ_MODE_TRAINING)
        return clseq__error(
            CLSEQ_INVALID_ARGUMENT,
            "rnn backward: mode is CLSEQ_MODE_INFERENCE, which keeps nothing for a backward pass");
    CLSEQ__RETURN_IF(clseq__rnn_check_part("rnn backward", shape, args->first, args->count, &args->lengths));
    if (shape->in_pieces && args->dweights)
        return clseq__error(CLSEQ_INVALID_ARGUMENT,
                            "rnn backward: dweights are given, but those of a pass in pieces are made by "
                            "clseq_rnn_weight_gradients");
    if (args->dx.buffer && plan->desc.one_hot)
        return clseq__error(CLSEQ_INVALID_ARGUMENT,
                            "rnn backward: dx is given, but x is one_hot and has no gradient");
    return CLSEQ_OK;
}

clseq_status clseq__rnn_check_backward(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                       const clseq_rnn_sizes *sizes, const clseq_rnn_backward_args *args)
{
    static const char call[] = "rnn backward";
    CLSEQ__NOT_NULL("rnn backward", args);
    CLSEQ__RETURN_IF(check_asked(plan, shape, args));
    const clseq_rnn_shape steps = steps_of(shape, args->count);
    const int64_t output = clseq_rnn_output_size(plan);
    clseq__uses_begin(plan);
    CLSEQ__RETURN_IF(take_packed(plan, call, sizes, &args->packed));
    if (!shape->in_pieces)
        CLSEQ__RETURN_IF(take_inputs(plan, call, shape, &args->x, &args->lengths));
    if (args->dy.buffer)
        CLSEQ__RETURN_IF(take_sequence(plan, call, "dy", &args->dy, &steps, output, false));
    CLSEQ__RETURN_IF(take_states(plan, call, "dfinal", shape, args->dfinal, NULL, false));
    if (args->dx.buffer)
        CLSEQ__RETURN_IF(take_sequence(plan, call, "dx", &args->dx, &steps, plan->desc.input, true));
    CLSEQ__RETURN_IF(take_states(plan, call, "dinitial", shape, args->dinitial, NULL, true));
    CLSEQ__RETURN_IF(take_reserves(plan, call, shape, args->reserve));
    CLSEQ__RETURN_IF(take_workspace(plan, call, sizes, &args->workspace));
    CLSEQ__RETURN_IF(take_weights(plan, call, "dweights", args->dweights, true));
    return clseq__uses_check(plan);
}

clseq_status clseq__rnn_check_weight_gradients(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                               const clseq_rnn_sizes *sizes,
                                               const clseq_rnn_weight_gradients_args *args)
{
    static const char call[] = "rnn weight gradients";
    CLSEQ__NOT_NULL(call, args);
    if (!shape->in_pieces)
        return clseq__error(CLSEQ_INVALID_ARGUMENT,
                            "%s: the shape is not in_pieces, where clseq_rnn_backward makes them", call);
    if (!args->dweights)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: dweights is NULL", call);
    clseq__uses_begin(plan);
    CLSEQ__RETURN_IF(take_reserves(plan, call, shape, args->reserve));
    CLSEQ__RETURN_IF(take_workspace(plan, call, sizes, &args->workspace));
    CLSEQ__RETURN_IF(take_weights(plan, call, "dweights", args->dweights, true));
    return clseq__uses_check(plan);
}
