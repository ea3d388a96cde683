/* Reading and writing named states (state.c) in a graph. */
#include "train/graph.h"

#include "core/tensor.h"
#include "core/text.h"
#include "train/layers.h"

/* The state's tensor of this name. */
static clseq_status find(const clseq_graph *g, const char *op, const clseq_state *state, const char *name,
                         const clseq_tensor **out)
{
    CLSEQ__NEEDS(op, state);
    CLSEQ__NOT_NULL(op, name);
    if (state->ctx != g->ctx)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: state belongs to another context", op);
    const int i = clseq_state_find(state, name);
    if (i < 0)
        return clseq__error(CLSEQ_NOT_FOUND, "%s: the state has no tensor with the name \"%s\"", op,
                            CLSEQ__SHOW(name));
    *out = &state->tensors[i];
    return CLSEQ_OK;
}

clseq_var *clseq_state_load(clseq_graph *g, const clseq_state *state, const char *name)
{
    static const char op[] = "state load";
    clseq_status status = CLSEQ_OK;
    const clseq_tensor *tensor = NULL;
    clseq__var *y = NULL;
    if (!clseq__op_enter(g, op))
        return NULL;
    CLSEQ__TRY(find(g, op, state, name, &tensor));
    CLSEQ__TRY(clseq__var_new(g, tensor->dtype, tensor->ndim, tensor->dims, &y));
    CLSEQ__TRY(clseq__var_alloc(g, y));
    CLSEQ__TRY(clseq_tensor_copy(g->ctx, tensor, &y->value));
done:
    return clseq__op_leave(g, op, status, y);
}

void clseq_state_store(clseq_graph *g, clseq_state *state, const char *name, clseq_var *x)
{
    static const char op[] = "state store";
    clseq_status status = CLSEQ_OK;
    const clseq_tensor *tensor = NULL;
    clseq__var *in = NULL;
    if (!clseq__op_enter(g, op))
        return;
    if (g->is_in_part)
        CLSEQ__FAIL(CLSEQ_INVALID_STATE,
                    "%s: in a part of the graph that is computed twice, expected after clseq_recompute_end",
                    op);
    CLSEQ__TRY(find(g, op, state, name, &tensor));
    CLSEQ__TRY(clseq__op_input(g, op, "x", x, tensor->dtype, &in));
    CLSEQ__TRY(clseq__tensor_check(g->ctx, "state store: x", &in->value, tensor->dtype, tensor->ndim,
                                   tensor->dims, false));
    CLSEQ__TRY(clseq_tensor_copy(g->ctx, &in->value, tensor));
done:
    clseq__op_leave(g, op, status, NULL);
}
