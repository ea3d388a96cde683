/* States that outlive a graph. */
#include "train/layers.h"

#include "core/error.h"
#include <stdlib.h>

clseq_status clseq_state_create(const clseq_rnn *rnn, int64_t B, clseq_state **out)
{
    clseq_status status = CLSEQ_OK;
    clseq_state *state = NULL;
    CLSEQ__NEEDS("state create", rnn);
    CLSEQ__NOT_NULL("state create", out);
    if (B < 1)
        return clseq__error(CLSEQ_INVALID_SHAPE, "state create: B is %lld, expected at least 1",
                            (long long)B);
    state = calloc(1, sizeof *state);
    if (!state)
        return clseq__error(CLSEQ_OUT_OF_HOST_MEMORY, "state create: no memory for the state");
    *state = (clseq_state){.ctx = rnn->params->ctx,
                           .dims = {rnn->desc.layers, B, rnn->desc.hidden},
                           .count = clseq_cell_states(rnn->desc.cell)};
    for (int i = 0; i < state->count; i++)
        CLSEQ__TRY(clseq_tensor_create(state->ctx, CLSEQ_DTYPE_F32, 3, state->dims, &state->tensors[i]));
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
    free(state);
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
