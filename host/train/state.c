/* Named tensors that outlive a graph: the states of recurrent layers, and what else a program carries from graph to graph. */
#include "train/layers.h"

#include "core/context.h"
#include "core/error.h"
#include "core/text.h"
#include <stdlib.h>
#include <string.h>

/* The name: there, of a length that fits files, and no other one's. */
static clseq_status check_name(const char *op, const clseq_state_desc *states, int i)
{
    const char *name = states[i].name;
    if (!name || name[0] == '\0')
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: states[%d].name is %s", op, i,
                            name ? "empty" : "NULL");
    if (strlen(name) > CLSEQ__PARAM_NAME_MAX)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: states[%d].name has %zu bytes, expected at most %d",
                            op, i, strlen(name), CLSEQ__PARAM_NAME_MAX);
    for (int k = 0; k < i; k++)
        if (strcmp(states[k].name, name) == 0)
            return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: states[%d] and states[%d] have the same name %s",
                                op, k, i, CLSEQ__SHOW(name));
    return CLSEQ_OK;
}

static clseq_status check_desc(const char *op, const clseq_state_desc *states, int i)
{
    const clseq_state_desc *desc = &states[i];
    CLSEQ__RETURN_IF(check_name(op, states, i));
    if (desc->dtype != CLSEQ_DTYPE_F32 && desc->dtype != CLSEQ_DTYPE_I32)
        return clseq__error(CLSEQ_INVALID_DTYPE, "%s: states[%d] (%s) is %s, expected f32 or i32", op, i,
                            CLSEQ__SHOW(desc->name), clseq_dtype_name(desc->dtype));
    if (desc->ndim < 1 || desc->ndim > CLSEQ_MAX_DIMS)
        return clseq__error(CLSEQ_INVALID_SHAPE, "%s: states[%d] (%s) has %d dims, expected 1 to %d", op, i,
                            CLSEQ__SHOW(desc->name), desc->ndim, CLSEQ_MAX_DIMS);
    for (int d = 0; d < desc->ndim; d++)
        if (desc->dims[d] < 1)
            return clseq__error(CLSEQ_INVALID_SHAPE,
                                "%s: dim %d of states[%d] (%s) is %lld, expected at least 1", op, d, i,
                                CLSEQ__SHOW(desc->name), (long long)desc->dims[d]);
    return CLSEQ_OK;
}

static clseq_status no_memory(const char *op)
{
    return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "%s: no memory for the state", op);
}

/* States that were checked. */
static clseq_status make(const char *op, clseq_context *ctx, int count, const clseq_state_desc *states,
                         clseq_state **out)
{
    clseq_status status = CLSEQ_OK;
    clseq_state *state = calloc(1, sizeof *state);
    if (!state)
        return no_memory(op);
    state->ctx = clseq__context_retain(ctx);
    state->tensors = calloc((size_t)count, sizeof *state->tensors);
    state->names = calloc((size_t)count, sizeof *state->names);
    if (!state->tensors || !state->names)
        CLSEQ__TRY(no_memory(op));
    for (; state->count < count; state->count++) {
        const clseq_state_desc *desc = &states[state->count];
        char *name = clseq__text_copy(desc->name);
        if (!name)
            CLSEQ__TRY(no_memory(op));
        state->names[state->count] = name;
        status = clseq_tensor_create(ctx, desc->dtype, desc->ndim, desc->dims, &state->tensors[state->count]);
        if (status != CLSEQ_OK) {
            free(name);
            goto done;
        }
    }
    CLSEQ__TRY(clseq_state_reset(state));
    *out = state;
    state = NULL;
done:
    clseq_state_destroy(state);
    return status;
}

clseq_status clseq_state_create_from(clseq_context *ctx, int count, const clseq_state_desc *states,
                                     clseq_state **out)
{
    static const char op[] = "state create from";
    clseq_status status = CLSEQ_OK;
    CLSEQ__MAKES(op, out);
    CLSEQ__NEEDS(op, ctx);
    if (count < 1 || !states)
        CLSEQ__FAIL(CLSEQ_INVALID_ARGUMENT, "%s: %d states%s, expected at least 1", op, count,
                    states ? "" : " (NULL)");
    for (int i = 0; i < count; i++)
        CLSEQ__TRY(check_desc(op, states, i));
    CLSEQ__TRY(make(op, ctx, count, states, out));
done:
    return clseq__made(op, status);
}

clseq_status clseq_state_create(const clseq_rnn *rnn, int64_t B, clseq_state **out)
{
    static const char op[] = "state create";
    clseq_status status = CLSEQ_OK;
    clseq_state_desc *states = NULL;
    int count = 0;
    CLSEQ__MAKES(op, out);
    CLSEQ__NEEDS(op, rnn);
    if (B < 1)
        CLSEQ__FAIL(CLSEQ_INVALID_SHAPE, "%s: B is %lld, expected at least 1", op, (long long)B);
    count = clseq_rnn_state_count(rnn->plans->plan);
    states = calloc((size_t)count, sizeof *states);
    if (!states)
        CLSEQ__TRY(no_memory(op));
    for (int i = 0; i < count; i++) {
        clseq_rnn_state info;
        CLSEQ__TRY(clseq_rnn_state_info(rnn->plans->plan, i, B, &info));
        states[i] = (clseq_state_desc){.name = info.name, .dtype = CLSEQ_DTYPE_F32, .ndim = info.ndim};
        memcpy(states[i].dims, info.dims, (size_t)info.ndim * sizeof *info.dims);
    }
    CLSEQ__TRY(make(op, rnn->params->ctx, count, states, out));
done:
    free(states);
    return clseq__made(op, status);
}

void clseq_state_destroy(clseq_state *state)
{
    if (!state)
        return;
    for (int i = 0; i < state->count; i++) {
        clseq_tensor_destroy(state->ctx, &state->tensors[i]);
        free(state->names[i]);
    }
    free(state->tensors);
    free(state->names);
    clseq__context_release(state->ctx);
    free(state);
}

int clseq_state_count(const clseq_state *state)
{
    return state ? state->count : 0;
}

const char *clseq_state_name(const clseq_state *state, int i)
{
    return state && i >= 0 && i < state->count ? state->names[i] : NULL;
}

int clseq_state_find(const clseq_state *state, const char *name)
{
    for (int i = 0; state && name && i < state->count; i++)
        if (strcmp(state->names[i], name) == 0)
            return i;
    return -1;
}

clseq_status clseq_state_reset(clseq_state *state)
{
    CLSEQ__NEEDS("state reset", state);
    for (int i = 0; i < state->count; i++)
        CLSEQ__RETURN_IF(clseq_tensor_fill(state->ctx, &state->tensors[i], 0.0));
    return CLSEQ_OK;
}

clseq_status clseq_state_tensor(const clseq_state *state, int i, clseq_tensor *out)
{
    CLSEQ__NEEDS("state tensor", state);
    CLSEQ__NOT_NULL("state tensor", out);
    if (i < 0 || i >= state->count)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "state tensor: there is no state %d, there are %d", i,
                            state->count);
    *out = state->tensors[i];
    return CLSEQ_OK;
}
