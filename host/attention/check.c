#include "attention/check.h"
#include "core/error.h"
#include "core/overlap.h"
#include "core/tensor.h"
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Bytes; no vector load or cache line of a device asks for more. */
#define ALIGNMENT 64

clseq_status clseq__attention_check_range(const char *call, const char *name, int64_t value)
{
    if (value < 1 || value > INT32_MAX)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: %s is %" PRId64 ", expected 1 to %d", call, name,
                            value, INT32_MAX);
    return CLSEQ_OK;
}

clseq_status clseq__attention_check_mode(const char *call, clseq_mode mode)
{
    if (mode != CLSEQ_MODE_TRAINING && mode != CLSEQ_MODE_INFERENCE)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: mode is %d, which is no clseq_mode", call,
                            (int)mode);
    return CLSEQ_OK;
}

clseq_status clseq__attention_check_shape(const char *call, const clseq_attention_plan *plan,
                                          const clseq_attention_shape *shape)
{
    /* Far below 2^63: no sum of sizes overflows. */
    const double limit = 1e17;
    CLSEQ__NEEDS(call, plan);
    CLSEQ__NOT_NULL(call, shape);
    CLSEQ__RETURN_IF(clseq__attention_check_range(call, "T", shape->T));
    CLSEQ__RETURN_IF(clseq__attention_check_range(call, "S", shape->S));
    CLSEQ__RETURN_IF(clseq__attention_check_range(call, "B", shape->B));
    CLSEQ__RETURN_IF(clseq__attention_check_mode(call, shape->mode));
    const double features = (double)plan->units_row + (double)plan->query_row + (double)plan->key_row +
                            (double)plan->value_row + (double)plan->centre_row +
                            (double)plan->desc.location_channels;
    const double rows = (double)shape->T + (double)shape->S;
    if (rows * (double)shape->B * (features + (double)shape->S) * 16 > limit)
        return clseq__error(CLSEQ_INVALID_ARGUMENT,
                            "%s: T %" PRId64 ", S %" PRId64 " and B %" PRId64 " are too large together", call,
                            shape->T, shape->S, shape->B);
    return CLSEQ_OK;
}

clseq_status clseq__attention_check_part(const char *call, const clseq_attention_shape *shape, int64_t first,
                                         int64_t count)
{
    const int64_t end = shape->mode == CLSEQ_MODE_TRAINING ? shape->T : INT32_MAX;
    if (count < 0 || count > shape->T || (count == 0 && first != 0))
        return clseq__error(CLSEQ_INVALID_ARGUMENT,
                            "%s: count is %" PRId64 ", expected 1 to %" PRId64 ", or 0 with first 0 for all",
                            call, count, shape->T);
    if (first < 0 || first > end - count)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: first is %" PRId64 ", expected 0 to %" PRId64, call,
                            first, end - count);
    return CLSEQ_OK;
}

clseq_status clseq__attention_check_training(const char *call, clseq_mode mode)
{
    if (mode != CLSEQ_MODE_TRAINING)
        return clseq__error(CLSEQ_INVALID_ARGUMENT,
                            "%s: mode is CLSEQ_MODE_INFERENCE, which keeps nothing for a backward pass",
                            call);
    return CLSEQ_OK;
}

clseq_status clseq__attention_check_bytes(const clseq_context *ctx, const char *call, const char *name,
                                          int64_t bytes)
{
    if ((uint64_t)bytes > ctx->device.max_allocation)
        return clseq__error(CLSEQ_UNSUPPORTED,
                            "%s: %s needs %" PRId64 " bytes, %s allows buffers of up to %" PRIu64, call, name,
                            bytes, ctx->device.name, ctx->device.max_allocation);
    return CLSEQ_OK;
}

void clseq__attention_add_argument(clseq__attention_list *list, clseq__attention_argument argument)
{
    assert(list->count < CLSEQ__ATTENTION_ARGUMENTS);
    list->all[list->count++] = argument;
}

clseq_status clseq__attention_add_weights(clseq__attention_list *list, const clseq_attention_plan *plan,
                                          const char *name, const clseq_tensor *weights, bool is_written)
{
    if (!weights && !is_written && plan->weight_count > 0)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: %s is NULL, expected %d tensors", list->call, name,
                            plan->weight_count);
    for (int i = 0; weights && i < plan->weight_count; i++) {
        const clseq_attention_weight *w = &plan->weights[i];
        clseq__attention_add_argument(list, (clseq__attention_argument){.name = name,
                                                                        .part = w->name,
                                                                        .tensor = &weights[i],
                                                                        .needed = !is_written,
                                                                        .is_written = is_written,
                                                                        .form = CLSEQ__ATTENTION_PACKED,
                                                                        .ndim = w->ndim,
                                                                        .dims = {w->dims[0], w->dims[1]}});
    }
    return CLSEQ_OK;
}

/* "attention forward: weights (bias)". */
#define TEXT 96
static const char *text_of(const clseq__attention_list *list, const clseq__attention_argument *x,
                           char text[TEXT])
{
    snprintf(text, TEXT, "%s: %s%s%s%s", list->call, x->name, x->part ? " (" : "", x->part ? x->part : "",
             x->part ? ")" : "");
    return text;
}

static clseq_status check_bytes(clseq_context *ctx, const char *what, const clseq__attention_argument *x)
{
    static const int64_t any = -1;
    CLSEQ__RETURN_IF(clseq__tensor_check_packed(ctx, what, x->tensor, CLSEQ_DTYPE_U8, 1, &any));
    if (x->tensor->dims[0] < x->dims[0])
        return clseq__error(CLSEQ_INVALID_SHAPE, "%s has %" PRId64 " bytes, expected at least %" PRId64, what,
                            x->tensor->dims[0], x->dims[0]);
    if (x->tensor->offset % ALIGNMENT)
        return clseq__error(CLSEQ_INVALID_ARGUMENT,
                            "%s begins at byte %" PRId64 ", expected a multiple of %d", what,
                            x->tensor->offset, ALIGNMENT);
    return CLSEQ_OK;
}

static clseq_status check_one(clseq_context *ctx, const char *what, const clseq__attention_argument *x)
{
    switch (x->form) {
    case CLSEQ__ATTENTION_BYTES:
        return check_bytes(ctx, what, x);
    case CLSEQ__ATTENTION_PACKED:
        return clseq__tensor_check_packed(ctx, what, x->tensor, x->dtype, x->ndim, x->dims);
    case CLSEQ__ATTENTION_ROWS:
        CLSEQ__RETURN_IF(clseq__tensor_check(ctx, what, x->tensor, x->dtype, x->ndim, x->dims, true));
        break;
    case CLSEQ__ATTENTION_ANY:
        CLSEQ__RETURN_IF(clseq__tensor_check(ctx, what, x->tensor, x->dtype, x->ndim, x->dims, false));
        break;
    }
    const clseq__runs runs = clseq__runs_of(x->tensor);
    if (x->is_written && clseq__runs_collide(&runs))
        return clseq__error(CLSEQ_INVALID_SHAPE, "%s has strides with which its elements overlap", what);
    return CLSEQ_OK;
}

/* The bytes that are used: of memory no more than is needed. */
static clseq__runs runs_of(const clseq__attention_argument *x)
{
    clseq__runs runs = clseq__runs_of(x->tensor);
    if (x->form == CLSEQ__ATTENTION_BYTES)
        runs.length = x->dims[0];
    return runs;
}

static clseq_status check_apart(const clseq__attention_list *list, int i)
{
    const clseq__runs written = runs_of(&list->all[i]);
    for (int j = 0; j < list->count; j++) {
        const clseq__attention_argument *other = &list->all[j];
        if (j == i || !other->tensor->buffer || (other->is_written && j < i))
            continue;
        const clseq__runs runs = runs_of(other);
        char what[TEXT], with[TEXT];
        if (clseq__runs_overlap(&written, &runs))
            return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s overlaps %s, expected memory of its own",
                                text_of(list, &list->all[i], what),
                                text_of(list, other, with) + strlen(list->call) + strlen(": "));
    }
    return CLSEQ_OK;
}

clseq_status clseq__attention_check_arguments(clseq_context *ctx, const clseq__attention_list *list)
{
    char what[TEXT];
    for (int i = 0; i < list->count; i++) {
        const clseq__attention_argument *x = &list->all[i];
        if (x->needed || x->tensor->buffer)
            CLSEQ__RETURN_IF(check_one(ctx, text_of(list, x, what), x));
    }
    for (int i = 0; i < list->count; i++)
        if (list->all[i].is_written && list->all[i].tensor->buffer)
            CLSEQ__RETURN_IF(check_apart(list, i));
    return CLSEQ_OK;
}
