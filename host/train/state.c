/* States that outlive a graph. */
#include "train/layers.h"

#include "core/context.h"
#include "core/error.h"
#include <stdlib.h>

clseq_status clseq_state_create(const clseq_rnn *rnn, int64_t B, clseq_state **out)
{
    clseq_status status = CLSEQ_OK;
    clseq_state *state = NULL;
    const clseq_rnn_plan *plan = NULL;
    CLSEQ__MAKES("state create", out);
    CLSEQ__NEEDS("state create", rnn);
    if (B < 1)
        CLSEQ__FAIL(CLSEQ_INVALID_SHAPE, "state create: B is %lld, expected at least 1", (long long)B);
    plan = rnn->plans->plan;
    state = calloc(1, sizeof *state);
    if (!state)
        CLSEQ__FAIL(CLSEQ_OUT_OF_HOST_MEMORY, "state create: no memory for the state");
    state->ctx = clseq__context_retain(rnn->params->ctx);
    state->tensors = calloc((size_t)clseq_rnn_state_count(plan), sizeof *state->tensors);
    state->names = calloc((size_t)clseq_rnn_state_count(plan), sizeof *state->names);
    if (!state->tensors || !state->names)
        CLSEQ__FAIL(CLSEQ_OUT_OF_HOST_MEMORY, "state create: no memory for the state");
    for (int i = 0; i < clseq_rnn_state_count(plan); i++) {
        clseq_rnn_state info;
        CLSEQ__TRY(clseq_rnn_state_info(plan, i, B, &info));
        CLSEQ__TRY(
            clseq_tensor_create(state->ctx, CLSEQ_DTYPE_F32, info.ndim, info.dims, &state->tensors[i]));
        state->names[i] = info.name;
        state->count = i + 1;
    }
    CLSEQ__TRY(clseq_state_reset(state));
    *out = state;
    state = NULL;
done:
    clseq_state_destroy(state);
    return clseq__made("state create", status);
}

void clseq_state_destroy(clseq_state *state)
{
    if (!state)
        return;
    for (int i = 0; i < state->count; i++)
        clseq_tensor_destroy(state->ctx, &state->tensors[i]);
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
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "state tensor: there is no state %d, the cell has %d", i,
                            state->count);
    *out = state->tensors[i];
    return CLSEQ_OK;
}
