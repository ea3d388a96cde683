#include "rnn/check.h"
#include "core/error.h"
#include "core/tensor.h"
#include <inttypes.h>
#include <stdio.h>

/* Kernels count the elements of one step and of one weight matrix in 32 bits, everything else in 64. */
#define STEP_LIMIT 2147483647.0
/* Far below 2^63: no sum of sizes overflows. */
#define TOTAL_LIMIT 1e17

static clseq_status check_range(const char *what, int64_t value)
{
    if (value < 1 || value > INT32_MAX)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s is %" PRId64 ", expected 1 to %d", what, value,
                            INT32_MAX);
    return CLSEQ_OK;
}

clseq_status clseq__rnn_check_desc(const clseq_rnn_desc *desc)
{
    if (!desc)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "rnn plan: the descriptor is NULL");
    const clseq__cell *cell = clseq__cell_find(desc->cell);
    if (!cell)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "rnn plan: cell is %d, expected 0 to %d", (int)desc->cell,
                            (int)CLSEQ_CELL_COUNT - 1);
    CLSEQ__RETURN_IF(check_range("rnn plan: input", desc->input));
    CLSEQ__RETURN_IF(check_range("rnn plan: hidden", desc->hidden));
    if (desc->layers != 0)
        CLSEQ__RETURN_IF(check_range("rnn plan: layers", desc->layers));
    if ((int)desc->bias < CLSEQ_BIAS_DOUBLE || desc->bias > CLSEQ_BIAS_NONE)
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
    char what[64];
    if (!plan || !shape)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: the %s is NULL", call, plan ? "shape" : "plan");
    snprintf(what, sizeof what, "%s: T", call);
    CLSEQ__RETURN_IF(check_range(what, shape->T));
    snprintf(what, sizeof what, "%s: B", call);
    CLSEQ__RETURN_IF(check_range(what, shape->B));
    if (shape->mode != CLSEQ_TRAINING && shape->mode != CLSEQ_INFERENCE)
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

/* A tensor that the bias mode does not have must not be given. */
static clseq_status check_parameter(const char *call, int64_t layer, const char *name,
                                    const clseq_tensor *tensor, int ndim, const int64_t *dims, bool optional,
                                    bool allowed)
{
    char what[96];
    if (!tensor->buffer && (optional || !allowed))
        return CLSEQ_OK;
    snprintf(what, sizeof what, "%s[%" PRId64 "].%s", call, layer, name);
    if (!allowed)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s is given, but the plan's bias mode has none", what);
    return clseq__tensor_check_packed(what, tensor, CLSEQ_F32, ndim, dims);
}

clseq_status clseq__rnn_check_weights(const char *what, const clseq_rnn_plan *plan,
                                      const clseq_rnn_weights *weights, bool optional)
{
    const clseq_rnn_desc *desc = &plan->desc;
    const int64_t rows = plan->cell->gates * desc->hidden;
    if (!weights)
        return optional ? CLSEQ_OK : clseq__error(CLSEQ_INVALID_ARGUMENT, "%s is NULL", what);
    for (int64_t l = 0; l < desc->layers; l++) {
        const clseq_rnn_weights *w = &weights[l];
        const int64_t ih[] = {rows, clseq__rnn_input(plan, l)}, hh[] = {rows, desc->hidden};
        CLSEQ__RETURN_IF(check_parameter(what, l, "w_ih", &w->w_ih, 2, ih, optional, true));
        CLSEQ__RETURN_IF(check_parameter(what, l, "w_hh", &w->w_hh, 2, hh, optional, true));
        CLSEQ__RETURN_IF(
            check_parameter(what, l, "b_ih", &w->b_ih, 1, &rows, optional, desc->bias != CLSEQ_BIAS_NONE));
        CLSEQ__RETURN_IF(
            check_parameter(what, l, "b_hh", &w->b_hh, 1, &rows, optional, desc->bias == CLSEQ_BIAS_DOUBLE));
    }
    return CLSEQ_OK;
}

clseq_status clseq__rnn_check_room(const char *what, const clseq_tensor *tensor, int64_t need)
{
    const int64_t any = -1;
    if (!tensor)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s is NULL", what);
    CLSEQ__RETURN_IF(clseq__tensor_check_packed(what, tensor, CLSEQ_F32, 1, &any));
    if (tensor->dims[0] < need)
        return clseq__error(CLSEQ_INVALID_SHAPE,
                            "%s has %" PRId64 " elements, expected at least %" PRId64
                            " (clseq_rnn_plan_sizes)",
                            what, tensor->dims[0], need);
    return CLSEQ_OK;
}

/* A sequence [T,B,features] whose rows are packed. */
static clseq_status check_sequence(const char *what, const clseq_tensor *tensor, const clseq_rnn_shape *shape,
                                   int64_t features)
{
    const int64_t dims[] = {shape->T, shape->B, features};
    return clseq__tensor_check(what, tensor, CLSEQ_F32, 3, dims, true);
}

/* What the first layer reads. */
static clseq_status check_x(const char *what, const clseq_rnn_plan *plan, const clseq_tensor *x,
                            const clseq_rnn_shape *shape)
{
    const int64_t numbers[] = {shape->T, shape->B};
    if (plan->desc.one_hot)
        return clseq__tensor_check(what, x, CLSEQ_I32, 2, numbers, false);
    return check_sequence(what, x, shape, plan->desc.input);
}

/* As above, for a sequence that is written: no two elements may be the same place. */
static clseq_status check_written(const char *what, const clseq_tensor *tensor, const clseq_rnn_shape *shape,
                                  int64_t features)
{
    CLSEQ__RETURN_IF(check_sequence(what, tensor, shape, features));
    const int64_t *s = tensor->strides, T = shape->T, B = shape->B;
    const bool by_time = (B == 1 || s[1] >= features) && (T == 1 || s[0] >= (B - 1) * s[1] + features);
    const bool by_row = (T == 1 || s[0] >= features) && (B == 1 || s[1] >= (T - 1) * s[0] + features);
    if (!by_time && !by_row)
        return clseq__error(CLSEQ_INVALID_SHAPE,
                            "%s has strides [%" PRId64 ",%" PRId64 ",%" PRId64
                            "], with which its elements overlap",
                            what, s[0], s[1], s[2]);
    return CLSEQ_OK;
}

/* States [L,B,H]; each may be missing, and one that the cell does not have must be. */
static clseq_status check_states(const char *call, const clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                 const clseq_tensor *states)
{
    const int64_t dims[] = {plan->desc.layers, shape->B, plan->desc.hidden};
    for (int s = 0; s < CLSEQ_RNN_MAX_STATES; s++) {
        char what[64];
        if (!states[s].buffer)
            continue;
        snprintf(what, sizeof what, "%s[%d]", call, s);
        if (s >= plan->cell->states)
            return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s is given, but the cell %s has %d state%s", what,
                                plan->cell->name, plan->cell->states, plan->cell->states == 1 ? "" : "s");
        CLSEQ__RETURN_IF(clseq__tensor_check_packed(what, &states[s], CLSEQ_F32, 3, dims));
    }
    return CLSEQ_OK;
}

static clseq_status check_lengths(const char *what, const clseq_tensor *lengths, const clseq_rnn_shape *shape)
{
    return lengths->buffer ? clseq__tensor_check_packed(what, lengths, CLSEQ_I32, 1, &shape->B) : CLSEQ_OK;
}

static clseq_status check_apart(const char *call, const char *a_name, const clseq_tensor *a,
                                const char *b_name, const clseq_tensor *b)
{
    if (a->buffer && a->buffer == b->buffer && a->offset == b->offset)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: %s and %s are the same memory", call, a_name,
                            b_name);
    return CLSEQ_OK;
}

clseq_status clseq__rnn_check_forward(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                      const clseq_rnn_sizes *sizes, const clseq_rnn_forward_args *args)
{
    if (!args)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "rnn forward: the arguments are NULL");
    CLSEQ__RETURN_IF(clseq__rnn_check_room("rnn forward: packed", &args->packed, sizes->packed));
    CLSEQ__RETURN_IF(check_x("rnn forward: x", plan, &args->x, shape));
    CLSEQ__RETURN_IF(check_lengths("rnn forward: lengths", &args->lengths, shape));
    CLSEQ__RETURN_IF(check_states("rnn forward: initial", plan, shape, args->initial));
    CLSEQ__RETURN_IF(check_written("rnn forward: y", &args->y, shape, plan->desc.hidden));
    CLSEQ__RETURN_IF(check_states("rnn forward: final", plan, shape, args->final));
    if (shape->mode == CLSEQ_TRAINING)
        CLSEQ__RETURN_IF(clseq__rnn_check_room("rnn forward: reserve", &args->reserve, sizes->reserve));
    CLSEQ__RETURN_IF(clseq__rnn_check_room("rnn forward: workspace", &args->workspace, sizes->workspace));
    return check_apart("rnn forward", "x", &args->x, "y", &args->y);
}

clseq_status clseq__rnn_check_backward(const clseq_rnn_plan *plan, const clseq_rnn_shape *shape,
                                       const clseq_rnn_sizes *sizes, const clseq_rnn_backward_args *args)
{
    if (!args)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "rnn backward: the arguments are NULL");
    if (shape->mode != CLSEQ_TRAINING)
        return clseq__error(CLSEQ_INVALID_ARGUMENT,
                            "rnn backward: mode is CLSEQ_INFERENCE, which keeps nothing for a backward pass");
    CLSEQ__RETURN_IF(clseq__rnn_check_room("rnn backward: packed", &args->packed, sizes->packed));
    CLSEQ__RETURN_IF(check_x("rnn backward: x", plan, &args->x, shape));
    CLSEQ__RETURN_IF(check_lengths("rnn backward: lengths", &args->lengths, shape));
    if (args->dy.buffer)
        CLSEQ__RETURN_IF(check_sequence("rnn backward: dy", &args->dy, shape, plan->desc.hidden));
    CLSEQ__RETURN_IF(check_states("rnn backward: dfinal", plan, shape, args->dfinal));
    if (args->dx.buffer && plan->desc.one_hot)
        return clseq__error(CLSEQ_INVALID_ARGUMENT,
                            "rnn backward: dx is given, but x is one_hot and has no gradient");
    if (args->dx.buffer)
        CLSEQ__RETURN_IF(check_written("rnn backward: dx", &args->dx, shape, plan->desc.input));
    CLSEQ__RETURN_IF(check_states("rnn backward: dinitial", plan, shape, args->dinitial));
    CLSEQ__RETURN_IF(clseq__rnn_check_weights("rnn backward: dweights", plan, args->dweights, true));
    CLSEQ__RETURN_IF(clseq__rnn_check_room("rnn backward: reserve", &args->reserve, sizes->reserve));
    CLSEQ__RETURN_IF(clseq__rnn_check_room("rnn backward: workspace", &args->workspace, sizes->workspace));
    CLSEQ__RETURN_IF(check_apart("rnn backward", "x", &args->x, "dx", &args->dx));
    return check_apart("rnn backward", "dy", &args->dy, "dx", &args->dx);
}
