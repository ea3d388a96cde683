#include "rnn/check.h"
#include "core/error.h"
#include "core/overlap.h"
#include "core/tensor.h"
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* Kernels count the elements of one step and of one weight matrix in 32 bits, everything else in 64. */
#define STEP_LIMIT 2147483647.0
/* Far below 2^63: no sum of sizes overflows. */
#define TOTAL_LIMIT 1e17

/* An argument as sentences call it, put together only when there is one to say: "rnn pack: weights[1].w_hh". */
typedef struct argument {
    const char *call, *name;
    bool is_array; /* `index` counts */
    int64_t index;
    const char *member; /* NULL: the argument itself */
} argument;

#define ARGUMENT_TEXT 96
static const char *text_of(char text[ARGUMENT_TEXT], const argument *of)
{
    char index[24] = "";
    if (of->is_array)
        snprintf(index, sizeof index, "[%" PRId64 "]", of->index);
    snprintf(text, ARGUMENT_TEXT, "%s: %s%s%s%s", of->call, of->name, index, of->member ? "." : "",
             of->member ? of->member : "");
    return text;
}

static clseq_status check_range(const char *call, const char *name, int64_t value)
{
    if (value < 1 || value > INT32_MAX)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: %s is %" PRId64 ", expected 1 to %d", call, name,
                            value, INT32_MAX);
    return CLSEQ_OK;
}

clseq_status clseq__rnn_check_desc(const clseq_rnn_desc *desc)
{
    CLSEQ__NOT_NULL("rnn plan", desc);
    const clseq__cell *cell = clseq__cell_find(desc->cell);
    if (!cell)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "rnn plan: cell is %d, expected 0 to %d", (int)desc->cell,
                            (int)CLSEQ_CELL_COUNT - 1);
    CLSEQ__RETURN_IF(check_range("rnn plan", "input", desc->input));
    CLSEQ__RETURN_IF(check_range("rnn plan", "hidden", desc->hidden));
    if (desc->layers != 0)
        CLSEQ__RETURN_IF(check_range("rnn plan", "layers", desc->layers));
    if ((int)desc->bias < CLSEQ_BIAS_BOTH || desc->bias > CLSEQ_BIAS_NONE)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "rnn plan: bias is %d, which is no clseq_bias",
                            (int)desc->bias);
    const double in = (double)(desc->input > desc->hidden ? desc->input : desc->hidden);
    if ((double)cell->slots * (double)desc->hidden * in > STEP_LIMIT)
        return clseq__error(CLSEQ_INVALID_ARGUMENT,
                            "rnn plan: input %" PRId64 " and hidden %" PRId64
                            " make a weight matrix of 2^31 elements or more",
                            desc->input, desc->hidden);
    return CLSEQ_OK;
}

clseq_status clseq__rnn_check_shape(const char *call, const clseq_rnn_plan *plan,
                                    const clseq_rnn_shape *shape)
{
    CLSEQ__NEEDS(call, plan);
    CLSEQ__NOT_NULL(call, shape);
    CLSEQ__RETURN_IF(check_range(call, "T", shape->T));
    CLSEQ__RETURN_IF(check_range(call, "B", shape->B));
    if (shape->mode != CLSEQ_MODE_TRAINING && shape->mode != CLSEQ_MODE_INFERENCE)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: mode is %d, which is no clseq_mode", call,
                            (int)shape->mode);
    const clseq_rnn_desc *desc = &plan->desc;
    const double width = (double)plan->cell->slots * (double)desc->hidden + (double)desc->input;
    const double step = (double)shape->B * width;
    if (step > STEP_LIMIT || step * (double)(shape->T + 1) * (double)desc->layers * 4 > TOTAL_LIMIT)
        return clseq__error(CLSEQ_INVALID_ARGUMENT,
                            "%s: T %" PRId64 " and B %" PRId64 " are too large: one step of input %" PRId64
                            " and hidden %" PRId64 " must stay under 2^31 elements",
                            call, shape->T, shape->B, desc->input, desc->hidden);
    return CLSEQ_OK;
}

/* How the elements of a tensor may lie. */
typedef enum form { ANY, ROWS, PACKED } form;

static clseq_status check_named(clseq_context *ctx, const char *what, const clseq_tensor *tensor,
                                clseq_dtype dtype, int ndim, const int64_t *dims, form how)
{
    return how == PACKED ? clseq__tensor_check_packed(ctx, what, tensor, dtype, ndim, dims)
                         : clseq__tensor_check(ctx, what, tensor, dtype, ndim, dims, how == ROWS);
}

/* The tensor is there, of this type and these dims, in this form, and within a buffer of this context. */
static clseq_status check_tensor(clseq_context *ctx, argument of, const clseq_tensor *tensor,
                                 clseq_dtype dtype, int ndim, const int64_t *dims, form how)
{
    char what[ARGUMENT_TEXT];
    if (check_named(ctx, of.name, tensor, dtype, ndim, dims, how) == CLSEQ_OK)
        return CLSEQ_OK;
    return check_named(ctx, text_of(what, &of), tensor, dtype, ndim, dims, how);
}

/* A tensor that the bias mode does not have must not be given. */
static clseq_status check_parameter(clseq_context *ctx, argument of, const clseq_tensor *tensor, int ndim,
                                    const int64_t *dims, bool optional, bool allowed)
{
    char what[ARGUMENT_TEXT];
    if (!tensor->buffer && (optional || !allowed))
        return CLSEQ_OK;
    if (!allowed)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s is given, but the plan's bias mode has none",
                            text_of(what, &of));
    return check_tensor(ctx, of, tensor, CLSEQ_DTYPE_F32, ndim, dims, PACKED);
}

/* The parameters of a layer: how they are called, and where they stand. */
static const struct parameter {
    const char *name;
    size_t at;
} parameters[] = {{"w_ih", offsetof(clseq_rnn_weights, w_ih)},
                  {"w_hh", offsetof(clseq_rnn_weights, w_hh)},
                  {"b_ih", offsetof(clseq_rnn_weights, b_ih)},
                  {"b_hh", offsetof(clseq_rnn_weights, b_hh)}};
enum { PARAMETERS = sizeof parameters / sizeof parameters[0] };

static const clseq_tensor *parameter_of(const clseq_rnn_weights *layer, int which)
{
    return (const clseq_tensor *)(const void *)((const char *)layer + parameters[which].at);
}

/* One set of weights a layer, or of their gradients where `optional` is set: then every tensor may be missing. */
static clseq_status check_weights(const char *call, const char *name, const clseq_rnn_plan *plan,
                                  const clseq_rnn_weights *weights, bool optional)
{
    const clseq_rnn_desc *desc = &plan->desc;
    const int64_t rows = plan->cell->gates * desc->hidden;
    const bool allowed[PARAMETERS] = {true, true, desc->bias != CLSEQ_BIAS_NONE,
                                      desc->bias == CLSEQ_BIAS_BOTH};
    if (!weights)
        return optional ? CLSEQ_OK : clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: %s is NULL", call, name);
    for (int64_t l = 0; l < desc->layers; l++)
        for (int k = 0; k < PARAMETERS; k++) {
            const int64_t dims[] = {rows, k == 0 ? clseq__rnn_input(plan, l) : desc->hidden};
            const argument of = {call, name, true, l, parameters[k].name};
            CLSEQ__RETURN_IF(check_parameter(plan->ctx, of, parameter_of(&weights[l], k), k < 2 ? 2 : 1, dims,
                                             optional, allowed[k]));
        }
    return CLSEQ_OK;
}

/* A buffer of the caller's for the library's own use: [at least `need`], packed. */
static clseq_status check_room(clseq_context *ctx, const char *call, const char *name,
                               const clseq_tensor *tensor, int64_t need)
{
    const int64_t any = -1;
    if (!tensor)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: %s is NULL", call, name);
    CLSEQ__RETURN_IF(
        check_tensor(ctx, (argument){.call = call, .name = name}, tensor, CLSEQ_DTYPE_F32, 1, &any, PACKED));
    if (tensor->dims[0] < need)
        return clseq__error(CLSEQ_INVALID_SHAPE,
                            "%s: %s has %" PRId64 " elements, expected at least %" PRId64
                            " (clseq_rnn_plan_sizes)",
                            call, name, tensor->dims[0], need);
    return CLSEQ_OK;
}

/* A sequence [T,B,features] whose rows are packed. */
static clseq_status check_sequence(const clseq_rnn_plan *plan, const char *call, const char *name,
                                   const clseq_tensor *tensor, const clseq_rnn_shape *shape, int64_t features)
{
    const int64_t dims[] = {shape->T, shape->B, features};
    return check_tensor(plan->ctx, (argument){.call = call, .name = name}, tensor, CLSEQ_DTYPE_F32, 3, dims,
                        ROWS);
}

/* What the first layer reads. */
static clseq_status check_x(const clseq_rnn_plan *plan, const char *call, const clseq_tensor *x,
                            const clseq_rnn_shape *shape)
{
    const int64_t numbers[] = {shape->T, shape->B};
    if (plan->desc.one_hot)
        return check_tensor(plan->ctx, (argument){.call = call, .name = "x"}, x, CLSEQ_DTYPE_I32, 2, numbers,
                            ANY);
    return check_sequence(plan, call, "x", x, shape, plan->desc.input);
}

/* As above, for a sequence that is written: no two elements may be the same place. */
static clseq_status check_written(const clseq_rnn_plan *plan, const char *call, const char *name,
                                  const clseq_tensor *tensor, const clseq_rnn_shape *shape, int64_t features)
{
    CLSEQ__RETURN_IF(check_sequence(plan, call, name, tensor, shape, features));
    const int64_t *s = tensor->strides;
    const clseq__runs runs = clseq__runs_of(tensor);
    if (clseq__runs_collide(&runs))
        return clseq__error(CLSEQ_INVALID_SHAPE,
                            "%s: %s has strides [%" PRId64 ",%" PRId64 ",%" PRId64
                            "], with which its elements overlap",
                            call, name, s[0], s[1], s[2]);
    return CLSEQ_OK;
}

/* States [L,B,H]; each may be missing, and one that the cell does not have must be. */
static clseq_status check_states(const clseq_rnn_plan *plan, const char *call, const char *name,
                                 const clseq_tensor *states, const clseq_rnn_shape *shape)
{
    const int64_t dims[] = {plan->desc.layers, shape->B, plan->desc.hidden};
    for (int s = 0; s < CLSEQ_RNN_MAX_STATES; s++) {
        const argument of = {call, name, true, s, NULL};
        char what[ARGUMENT_TEXT];
        if (!states[s].buffer)
            continue;
        if (s >= plan->cell->states)
            return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s is given, but the cell %s has %d state%s",
                                text_of(what, &of), plan->cell->name, plan->cell->states,
                                plan->cell->states == 1 ? "" : "s");
        CLSEQ__RETURN_IF(check_tensor(plan->ctx, of, &states[s], CLSEQ_DTYPE_F32, 3, dims, PACKED));
    }
    return CLSEQ_OK;
}

static clseq_status check_lengths(const clseq_rnn_plan *plan, const char *call, const clseq_tensor *lengths,
                                  const clseq_rnn_shape *shape)
{
    return lengths->buffer ? check_tensor(plan->ctx, (argument){.call = call, .name = "lengths"}, lengths,
                                          CLSEQ_DTYPE_I32, 1, &shape->B, PACKED)
                           : CLSEQ_OK;
}

/* A tensor and what a call does with it. */
typedef struct use {
    argument of;
    const clseq_tensor *tensor;
    int64_t count; /* of a packed tensor only so many elements are used; 0: all */
    bool is_written;
} use;

static bool overlap(const use *a, const use *b)
{
    if (!a->tensor->buffer || a->tensor->buffer != b->tensor->buffer)
        return false;
    clseq__runs x = clseq__runs_of(a->tensor), y = clseq__runs_of(b->tensor);
    x.length = a->count ? a->count : x.length;
    y.length = b->count ? b->count : y.length;
    return clseq__runs_overlap(&x, &y);
}

/* What is written shares no memory with anything before it among the uses. */
static clseq_status check_apart(const use *uses, int count, const use *with)
{
    for (int i = 0; i < count; i++) {
        const use *other = &uses[i];
        char what[ARGUMENT_TEXT], name[ARGUMENT_TEXT];
        if (!(with->is_written || other->is_written) || !overlap(with, other))
            continue;
        const use *written = with->is_written ? with : other, *rest = with->is_written ? other : with;
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s overlaps %s, expected memory of its own",
                            text_of(what, &written->of),
                            text_of(name, &rest->of) + strlen(rest->of.call) + strlen(": "));
    }
    return CLSEQ_OK;
}

static clseq_status check_all_apart(const use *uses, int count)
{
    for (int i = 1; i < count; i++)
        CLSEQ__RETURN_IF(check_apart(uses, i, &uses[i]));
    return CLSEQ_OK;
}

/* One argument; state s of an array of states; one parameter of a layer. */
#define USE(name_, tensor_, written)                                                      \
    {                                                                                     \
        .of = {.call = call, .name = name_}, .tensor = (tensor_), .is_written = (written) \
    }
#define USE_ROOM(name_, tensor_, written, count_)                                                            \
    {                                                                                                        \
        .of = {.call = call, .name = name_}, .tensor = (tensor_), .count = (count_), .is_written = (written) \
    }
#define USE_STATE(name_, states, s, written)                                                \
    {                                                                                       \
        .of = {call, name_, true, s, NULL}, .tensor = &(states)[s], .is_written = (written) \
    }

clseq_status clseq__rnn_check_pack(const clseq_rnn_plan *plan, const clseq_rnn_sizes *sizes,
                                   const clseq_rnn_weights *weights, const clseq_tensor *packed)
{
    static const char call[] = "rnn pack";
    CLSEQ__RETURN_IF(check_weights(call, "weights", plan, weights, false));
    CLSEQ__RETURN_IF(check_room(plan->ctx, call, "packed", packed, sizes->packed));
    const use all = USE_ROOM("packed", packed, true, sizes->packed);
    for (int64_t l = 0; l < plan->desc.layers; l++)
        for (int k = 0; k < PARAMETERS; k++) {
            const use one = {.of = {call, "weights", true, l, parameters[k].name},
                             .tensor = parameter_of(&weights[l], k)};
            CLSEQ__RETURN_IF(check_apart(&all, 1, &one));
        }
    return CLSEQ_OK;
}

/* Parameter number i of all layers, as a use. */
static use use_of_dweight(const char *call, const clseq_rnn_weights *dweights, int64_t i)
{
    const int k = (int)(i % PARAMETERS);
    return (use){.of = {call, "dweights", true, i / PARAMETERS, parameters[k].name},
                 .tensor = parameter_of(&dweights[i / PARAMETERS], k),
                 .is_written = true};
}

static clseq_status check_dweights_apart(const clseq_rnn_plan *plan, const use *uses, int count,
                                         const clseq_rnn_weights *dweights)
{
    for (int64_t i = 0; i < PARAMETERS * plan->desc.layers; i++) {
        const use one = use_of_dweight(uses[0].of.call, dweights, i);
        CLSEQ__RETURN_IF(check_apart(uses, count, &one));
        for (int64_t j = 0; j < i; j++) {
            const use other = use_of_dweight(uses[0].of.call, dweights, j);
            CLSEQ__RETURN_IF(check_apart(&other, 1, &one));
        }
    }
    return CLSEQ_OK;
}

clseq_status clseq__rnn_check_forward(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                      const clseq_rnn_sizes *sizes, const clseq_rnn_forward_args *args)
{
    static const char call[] = "rnn forward";
    static const clseq_tensor none = {0};
    const bool training = shape->mode == CLSEQ_MODE_TRAINING;
    CLSEQ__NOT_NULL("rnn forward", args);
    CLSEQ__RETURN_IF(check_room(plan->ctx, call, "packed", &args->packed, sizes->packed));
    CLSEQ__RETURN_IF(check_x(plan, call, &args->x, shape));
    CLSEQ__RETURN_IF(check_lengths(plan, call, &args->lengths, shape));
    CLSEQ__RETURN_IF(check_states(plan, call, "initial", args->initial, shape));
    CLSEQ__RETURN_IF(check_written(plan, call, "y", &args->y, shape, plan->desc.hidden));
    CLSEQ__RETURN_IF(check_states(plan, call, "final", args->final, shape));
    if (training)
        CLSEQ__RETURN_IF(check_room(plan->ctx, call, "reserve", &args->reserve, sizes->reserve));
    CLSEQ__RETURN_IF(check_room(plan->ctx, call, "workspace", &args->workspace, sizes->workspace));
    use uses[] = {USE_ROOM("packed", &args->packed, false, sizes->packed),
                  USE("x", &args->x, false),
                  USE("lengths", &args->lengths, false),
                  USE_STATE("initial", args->initial, 0, false),
                  USE_STATE("initial", args->initial, 1, false),
                  USE("y", &args->y, true),
                  USE_STATE("final", args->final, 0, true),
                  USE_STATE("final", args->final, 1, true),
                  USE_ROOM("reserve", training ? &args->reserve : &none, true, sizes->reserve),
                  USE_ROOM("workspace", &args->workspace, true, sizes->workspace)};
    /* A state may be written over the initial one, which is then looked after in its place. */
    for (int s = 0; s < CLSEQ_RNN_MAX_STATES; s++)
        if (args->initial[s].buffer == args->final[s].buffer &&
            args->initial[s].offset == args->final[s].offset)
            uses[3 + s].tensor = &none;
    return check_all_apart(uses, sizeof uses / sizeof uses[0]);
}

clseq_status clseq__rnn_check_backward(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                       const clseq_rnn_sizes *sizes, const clseq_rnn_backward_args *args)
{
    static const char call[] = "rnn backward";
    CLSEQ__NOT_NULL("rnn backward", args);
    if (shape->mode != CLSEQ_MODE_TRAINING)
        return clseq__error(
            CLSEQ_INVALID_ARGUMENT,
            "rnn backward: mode is CLSEQ_MODE_INFERENCE, which keeps nothing for a backward pass");
    CLSEQ__RETURN_IF(check_room(plan->ctx, call, "packed", &args->packed, sizes->packed));
    CLSEQ__RETURN_IF(check_x(plan, call, &args->x, shape));
    CLSEQ__RETURN_IF(check_lengths(plan, call, &args->lengths, shape));
    if (args->dy.buffer)
        CLSEQ__RETURN_IF(check_sequence(plan, call, "dy", &args->dy, shape, plan->desc.hidden));
    CLSEQ__RETURN_IF(check_states(plan, call, "dfinal", args->dfinal, shape));
    if (args->dx.buffer && plan->desc.one_hot)
        return clseq__error(CLSEQ_INVALID_ARGUMENT,
                            "rnn backward: dx is given, but x is one_hot and has no gradient");
    if (args->dx.buffer)
        CLSEQ__RETURN_IF(check_written(plan, call, "dx", &args->dx, shape, plan->desc.input));
    CLSEQ__RETURN_IF(check_states(plan, call, "dinitial", args->dinitial, shape));
    CLSEQ__RETURN_IF(check_weights(call, "dweights", plan, args->dweights, true));
    CLSEQ__RETURN_IF(check_room(plan->ctx, call, "reserve", &args->reserve, sizes->reserve));
    CLSEQ__RETURN_IF(check_room(plan->ctx, call, "workspace", &args->workspace, sizes->workspace));
    const use uses[] = {USE_ROOM("packed", &args->packed, false, sizes->packed),
                        USE("x", &args->x, false),
                        USE("lengths", &args->lengths, false),
                        USE("dy", &args->dy, false),
                        USE_STATE("dfinal", args->dfinal, 0, false),
                        USE_STATE("dfinal", args->dfinal, 1, false),
                        USE("dx", &args->dx, true),
                        USE_STATE("dinitial", args->dinitial, 0, true),
                        USE_STATE("dinitial", args->dinitial, 1, true),
                        USE_ROOM("reserve", &args->reserve, true, sizes->reserve),
                        USE_ROOM("workspace", &args->workspace, true, sizes->workspace)};
    const int count = sizeof uses / sizeof uses[0];
    CLSEQ__RETURN_IF(check_all_apart(uses, count));
    return args->dweights ? check_dweights_apart(plan, uses, count, args->dweights) : CLSEQ_OK;
}
