#include "train/recur.h"

#include "core/tensor.h"
#include <stdio.h>

clseq_status clseq__recur_check_input(clseq_graph *g, clseq__recur_call *call, const clseq_var *handle,
                                      int ndim)
{
    char text[CLSEQ__DIMS_TEXT];
    const char *times = ndim == 3 ? "T," : "";
    const clseq_rnn *rnn = call->rnn;
    CLSEQ__NEEDS(call->op, rnn);
    const clseq_rnn_desc *desc = clseq_rnn_description(rnn);
    if (rnn->params->ctx != g->ctx)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "%s: rnn belongs to another context", call->op);
    CLSEQ__RETURN_IF(clseq__op_peek(g, call->op, "x", handle,
                                    desc->one_hot ? CLSEQ_DTYPE_I32 : CLSEQ_DTYPE_F32, &call->x));
    const clseq_tensor *x = &call->x->value;
    if (desc->one_hot && x->ndim != ndim - 1)
        return clseq__error(CLSEQ_INVALID_SHAPE, "%s: x has shape %s, expected [%sB]", call->op,
                            clseq__dims_text(text, x->ndim, x->dims), times);
    if (desc->one_hot)
        return clseq__op_range(call->op, "number", "input", call->x, desc->input, NULL);
    if (x->ndim != ndim || x->dims[ndim - 1] != desc->input)
        return clseq__error(CLSEQ_INVALID_SHAPE, "%s: x has shape %s, expected [%sB,%lld]", call->op,
                            clseq__dims_text(text, x->ndim, x->dims), times, (long long)desc->input);
    return CLSEQ_OK;
}

/* Rows that x has: T*B, or B. */
static int64_t rows_of(const clseq_tensor *x)
{
    return clseq_tensor_elements(x) / (x->dtype == CLSEQ_DTYPE_I32 ? 1 : x->dims[x->ndim - 1]);
}

/* Not through the table where that gains nothing, x wants its gradient, or its rows are there already. */
static clseq_status through_table(clseq__recur_call *call, clseq__layer_plan **through)
{
    clseq__var *x = call->x;
    clseq__lookup *lookup = x->keep_grad || x->value.buffer ? NULL : clseq__var_lookup(x);
    *through = NULL;
    if (!lookup)
        return CLSEQ_OK;
    CLSEQ__RETURN_IF(clseq__layer_plan_through(call->rnn, lookup->embedding, rows_of(&x->value), through));
    if (!*through)
        return CLSEQ_OK;
    lookup->is_bypassed = true;
    call->looked_up = &lookup->embedding->list;
    call->x = x->node->in[0];
    return CLSEQ_OK;
}

clseq_status clseq__recur_choose_plan(clseq_graph *g, clseq__recur_call *call)
{
    clseq__layer_plan *through = NULL;
    CLSEQ__RETURN_IF(through_table(call, &through));
    call->use = through ? through : call->rnn->plans;
    call->states = clseq_rnn_state_count(call->use->plan);
    if (call->states > CLSEQ__RECUR_STATES)
        return clseq__error(CLSEQ_UNSUPPORTED, "%s: the cell has %d states, expected at most %d", call->op,
                            call->states, CLSEQ__RECUR_STATES);
    if (through)
        return CLSEQ_OK;
    CLSEQ__RETURN_IF(clseq__var_force(g, call->x));
    const clseq_tensor *value = &call->x->value;
    return value->strides[value->ndim - 1] == 1 || value->dtype == CLSEQ_DTYPE_I32
               ? CLSEQ_OK
               : clseq__var_packed(g, call->op, "x", call->x, &call->x);
}

clseq_status clseq__recur_save_reserves(clseq_graph *g, clseq__node *node, const clseq_rnn_plan *plan,
                                        const clseq_rnn_shape *shape)
{
    for (int64_t l = 0; l < node->saved_count; l++) {
        int64_t bytes = 0;
        CLSEQ__RETURN_IF(clseq_rnn_reserve_size(plan, shape, l, &bytes));
        CLSEQ__RETURN_IF(clseq__node_save(g, node, l, CLSEQ_DTYPE_U8, 1, &bytes));
    }
    return CLSEQ_OK;
}

clseq_status clseq__recur_check_state(const char *op, const char *name, const clseq_tensor *came,
                                      const clseq_rnn_state *state)
{
    char text[CLSEQ__DIMS_TEXT], expected[CLSEQ__DIMS_TEXT];
    bool fits = came->ndim == state->ndim;
    for (int i = 0; fits && i < state->ndim; i++)
        fits = came->dims[i] == state->dims[i];
    if (fits)
        return CLSEQ_OK;
    return clseq__error(CLSEQ_INVALID_SHAPE, "%s: %s has shape %s, expected %s%s", op, name,
                        clseq__dims_text(text, came->ndim, came->dims),
                        state->ndim == 3 ? "[L*D,B,width] = " : "",
                        clseq__dims_text(expected, state->ndim, state->dims));
}

clseq_status clseq__recur_take_initial(clseq_graph *g, const clseq__recur_call *call,
                                       clseq_var *const *initial, int64_t B, clseq__var **in)
{
    for (int i = 0; initial && i < call->states; i++) {
        clseq_rnn_state state;
        char name[40];
        if (!initial[i])
            continue;
        CLSEQ__RETURN_IF(clseq_rnn_state_info(call->use->plan, i, B, &state));
        snprintf(name, sizeof name, "initial[%d] (%s)", i, state.name);
        CLSEQ__RETURN_IF(clseq__op_input(g, call->op, name, initial[i], CLSEQ_DTYPE_F32, &in[i]));
        CLSEQ__RETURN_IF(clseq__recur_check_state(call->op, name, &in[i]->value, &state));
        CLSEQ__RETURN_IF(clseq__var_packed(g, call->op, name, in[i], &in[i]));
    }
    return CLSEQ_OK;
}

clseq_status clseq__recur_new_final(clseq_graph *g, const clseq__recur_call *call, int64_t B,
                                    clseq__var **out)
{
    for (int i = 0; i < call->states; i++) {
        clseq_rnn_state state;
        CLSEQ__RETURN_IF(clseq_rnn_state_info(call->use->plan, i, B, &state));
        CLSEQ__RETURN_IF(clseq__var_new(g, CLSEQ_DTYPE_F32, state.ndim, state.dims, &out[i]));
    }
    return CLSEQ_OK;
}

clseq_status clseq__recur_pack_grads(clseq_graph *g, clseq__node *node)
{
    const clseq_tensor *dy = &node->out[CLSEQ__RECUR_Y]->grad;
    if (dy->buffer && dy->strides[dy->ndim - 1] != 1)
        CLSEQ__RETURN_IF(clseq__grad_pack(g, node->out[CLSEQ__RECUR_Y]));
    for (int i = CLSEQ__RECUR_FINAL; i < node->out_count; i++)
        if (node->out[i])
            CLSEQ__RETURN_IF(clseq__grad_pack(g, node->out[i]));
    return CLSEQ_OK;
}

void clseq__recur_give_final(clseq_var **final, const clseq_rnn *rnn, clseq__var *const *out)
{
    const int states = rnn ? clseq_rnn_state_count(rnn->plans->plan) : 0;
    for (int i = 0; final && i < states; i++)
        final[i] = out ? out[i]->handle : NULL;
}
