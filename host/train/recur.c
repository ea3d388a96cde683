/* Recurrent layers as an operation: initial states, lengths, what backward needs. */
#include "train/graph.h"

#include "core/tensor.h"
#include "rnn/draws.h"
#include "train/layers.h"
#include <stdio.h>

/* inputs of the node: x (or the tokens that it was looked up for), lengths, the initial states; outputs: y, final states */
enum { IN_X, IN_LENGTHS, IN_INITIAL };
enum { OUT_Y, OUT_FINAL };

/* The most states of a cell. */
enum { STATES = 8 };

typedef struct recur_args {
    clseq_rnn *rnn;
    clseq__layer_plan *use;
    clseq_state *carry;
    clseq_rnn_shape shape;
    clseq_rnn_sizes sizes;
    int states;
    uint64_t seed, stream;
} recur_args;

static clseq_tensor value_of(const clseq__var *x)
{
    return x ? x->value : (clseq_tensor){0};
}

/* What backward needs beside the variables: each layer's reserve. */
static clseq_status save_reserves(clseq_graph *g, clseq__node *node)
{
    const recur_args *args = node->args;
    for (int64_t l = 0; l < node->saved_count; l++) {
        int64_t bytes = 0;
        CLSEQ__RETURN_IF(clseq_rnn_reserve_size(args->use->plan, &args->shape, l, &bytes));
        CLSEQ__RETURN_IF(clseq__node_save(g, node, l, CLSEQ_DTYPE_U8, 1, &bytes));
    }
    return CLSEQ_OK;
}

/* The states come from carry or variables, and go to carry, variables or both: then carry gets copies. */
static clseq_status recur_forward(clseq_graph *g, clseq__node *node)
{
    const recur_args *args = node->args;
    const clseq_state *carry = args->carry;
    clseq_status status = CLSEQ_OK;
    clseq_tensor initial[STATES], final[STATES];
    clseq_rnn_forward_args f = {.x = node->in[IN_X]->value,
                                .lengths = value_of(node->in[IN_LENGTHS]),
                                .initial = initial,
                                .y = node->out[OUT_Y]->value,
                                .final = final,
                                .reserve = node->saved,
                                .seed = args->seed,
                                .stream = args->stream};
    for (int i = 0; i < args->states; i++) {
        initial[i] = carry ? carry->tensors[i] : value_of(node->in[IN_INITIAL + i]);
        final[i] = value_of(node->out[OUT_FINAL + i]);
        if (carry && !final[i].buffer)
            final[i] = carry->tensors[i];
    }
    CLSEQ__TRY(save_reserves(g, node));
    CLSEQ__TRY(clseq__layer_plan_packed(args->rnn, args->use, &args->shape, &args->sizes, &f.packed));
    CLSEQ__TRY(clseq_tensor_create(g->ctx, CLSEQ_DTYPE_U8, 1, &args->sizes.workspace, &f.workspace));
    CLSEQ__TRY(clseq_rnn_forward(args->use->plan, &args->shape, &f));
    for (int i = 0; carry && i < args->states; i++)
        if (node->out[OUT_FINAL + i])
            CLSEQ__TRY(clseq_tensor_copy(g->ctx, &final[i], &carry->tensors[i]));
done:
    clseq_tensor_destroy(g->ctx, &f.workspace);
    return status;
}

/* Rows of dy may lie any way apart; all else is packed. */
static clseq_status pack_grads(clseq_graph *g, clseq__node *node)
{
    const clseq_tensor *dy = &node->out[OUT_Y]->grad;
    if (dy->buffer && dy->strides[dy->ndim - 1] != 1)
        CLSEQ__RETURN_IF(clseq__grad_pack(g, node->out[OUT_Y]));
    for (int i = OUT_FINAL; i < node->out_count; i++)
        if (node->out[i])
            CLSEQ__RETURN_IF(clseq__grad_pack(g, node->out[i]));
    return CLSEQ_OK;
}

static clseq_status recur_backward(clseq_graph *g, clseq__node *node)
{
    const recur_args *args = node->args;
    clseq_status status = CLSEQ_OK;
    clseq__var **in = node->in, **out = node->out;
    clseq_tensor dfinal[STATES] = {{0}}, dinitial[STATES] = {{0}};
    clseq_rnn_backward_args b = {.x = in[IN_X]->value,
                                 .lengths = value_of(in[IN_LENGTHS]),
                                 .dfinal = dfinal,
                                 .dinitial = dinitial,
                                 .reserve = node->saved};
    CLSEQ__TRY(pack_grads(g, node));
    b.dy = out[OUT_Y]->grad;
    CLSEQ__TRY(clseq__layer_plan_packed(args->rnn, args->use, &args->shape, &args->sizes, &b.packed));
    CLSEQ__TRY(clseq__layer_plan_begin_grads(args->rnn, args->use, &b.dweights));
    CLSEQ__TRY(clseq_tensor_create(g->ctx, CLSEQ_DTYPE_U8, 1, &args->sizes.workspace, &b.workspace));
    CLSEQ__TRY(clseq__grad_begin(g, in[IN_X], &b.dx));
    for (int i = 0; i < args->states; i++) {
        if (out[OUT_FINAL + i])
            dfinal[i] = out[OUT_FINAL + i]->grad;
        if (in[IN_INITIAL + i])
            CLSEQ__TRY(clseq__grad_begin(g, in[IN_INITIAL + i], &dinitial[i]));
    }
    CLSEQ__TRY(clseq_rnn_backward(args->use->plan, &args->shape, &b));
    CLSEQ__TRY(clseq__layer_plan_end_grads(args->rnn, args->use));
    CLSEQ__TRY(clseq__grad_end(g, in[IN_X], &b.dx));
    for (int i = 0; i < args->states; i++)
        if (in[IN_INITIAL + i])
            CLSEQ__TRY(clseq__grad_end(g, in[IN_INITIAL + i], &dinitial[i]));
done:
    clseq_tensor_destroy(g->ctx, &b.workspace);
    return status;
}

/* The layer and x [T,B,I], or [T,B] numbers. */
static clseq_status check_input(clseq_graph *g, const clseq_rnn *rnn, const clseq_var *handle,
                                clseq__var **in)
{
    char text[CLSEQ__DIMS_TEXT];
    CLSEQ__NEEDS("recur", rnn);
    const clseq_rnn_desc *desc = clseq_rnn_description(rnn);
    if (rnn->params->ctx != g->ctx)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "recur: rnn belongs to another context");
    CLSEQ__RETURN_IF(
        clseq__op_peek(g, "recur", "x", handle, desc->one_hot ? CLSEQ_DTYPE_I32 : CLSEQ_DTYPE_F32, in));
    const clseq__var *x = *in;
    if (desc->one_hot && x->value.ndim != 2)
        return clseq__error(CLSEQ_INVALID_SHAPE, "recur: x has shape %s, expected [T,B]",
                            clseq__dims_text(text, x->value.ndim, x->value.dims));
    if (desc->one_hot)
        return clseq__op_range("recur", "number", "input", x, desc->input, NULL);
    if (x->value.ndim != 3 || x->value.dims[2] != desc->input)
        return clseq__error(CLSEQ_INVALID_SHAPE, "recur: x has shape %s, expected [T,B,%lld]",
                            clseq__dims_text(text, x->value.ndim, x->value.dims), (long long)desc->input);
    return CLSEQ_OK;
}

/* A call of the operation before it becomes a node. */
typedef struct recur_call {
    const clseq_recur_opts *opts;
    recur_args args;
    clseq__var *in[IN_INITIAL + STATES], *out[OUT_FINAL + STATES];
    const clseq__param_list *looked_up; /* the embedding whose table is read; NULL: none */
} recur_call;

/*
 * Through the table of the embedding that x comes from, unless that gains nothing, x wants its gradient, or its rows are
 * there already.
 */
static clseq_status choose_plan(clseq_graph *g, recur_call *call)
{
    clseq__var **x = &call->in[IN_X];
    clseq_rnn *rnn = call->args.rnn;
    clseq__lookup *lookup = (*x)->keep_grad || (*x)->value.buffer ? NULL : clseq__var_lookup(*x);
    clseq__layer_plan *through = NULL;
    if (lookup)
        CLSEQ__RETURN_IF(clseq__layer_plan_through(rnn, lookup->embedding,
                                                   call->args.shape.T * call->args.shape.B, &through));
    call->args.use = through ? through : rnn->plans;
    if (through) {
        lookup->is_bypassed = true;
        call->looked_up = &lookup->embedding->list;
        *x = (*x)->node->in[0];
        return CLSEQ_OK;
    }
    CLSEQ__RETURN_IF(clseq__var_force(g, *x));
    const clseq_tensor *value = &(*x)->value;
    return value->strides[value->ndim - 1] == 1 || value->dtype == CLSEQ_DTYPE_I32
               ? CLSEQ_OK
               : clseq__var_packed(g, "recur", "x", *x, x);
}

/* A state that comes in has the dims of the plan's. */
static clseq_status check_state(const char *name, int ndim, const int64_t *came, const clseq_rnn_state *state)
{
    char text[CLSEQ__DIMS_TEXT], expected[CLSEQ__DIMS_TEXT];
    bool fits = ndim == state->ndim;
    for (int i = 0; fits && i < ndim; i++)
        fits = came[i] == state->dims[i];
    if (fits)
        return CLSEQ_OK;
    return clseq__error(CLSEQ_INVALID_SHAPE, "recur: %s has shape %s, expected %s%s", name,
                        clseq__dims_text(text, ndim, came), state->ndim == 3 ? "[L*D,B,width] = " : "",
                        clseq__dims_text(expected, state->ndim, state->dims));
}

/*
 * carry has states of this plan. What is carried from window to window comes in the order of one direction: a layer with
 * two would begin one of them where the sequence has not come to yet.
 */
static clseq_status check_carry(const clseq_graph *g, const recur_call *call, const clseq_state *carry)
{
    if (g->is_in_part)
        return clseq__error(CLSEQ_INVALID_STATE,
                            "recur: carry in a part of the graph that is computed twice, expected initial "
                            "and final");
    if (carry->ctx != g->ctx)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "recur: carry belongs to another context");
    if (carry->count != call->args.states)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "recur: carry has %d state%s, expected the cell's %d",
                            carry->count, carry->count == 1 ? "" : "s", call->args.states);
    if (clseq_rnn_description(call->args.rnn)->direction == CLSEQ_DIRECTION_BIDIRECTIONAL)
        return clseq__error(
            CLSEQ_INVALID_ARGUMENT,
            "recur: carry is for layers of one direction, this one has two; use initial and final");
    return CLSEQ_OK;
}

/* Initial state i, from carry or a variable. */
static clseq_status take_initial(clseq_graph *g, recur_call *call, int i, const clseq_rnn_state *state)
{
    const clseq_state *carry = call->opts->carry;
    const clseq_var *given = call->opts->initial ? call->opts->initial[i] : NULL;
    clseq__var **in = &call->in[IN_INITIAL + i];
    char name[40];
    if (carry && carry->tensors[i].dtype != CLSEQ_DTYPE_F32)
        return clseq__error(CLSEQ_INVALID_DTYPE, "recur: carry has %s as %s, expected %s as f32",
                            carry->names[i], clseq_dtype_name(carry->tensors[i].dtype), state->name);
    if (carry)
        CLSEQ__RETURN_IF(check_state("carry", carry->tensors[i].ndim, carry->tensors[i].dims, state));
    if (!given)
        return CLSEQ_OK;
    snprintf(name, sizeof name, "initial[%d] (%s)", i, state->name);
    if (carry)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "recur: carry and %s are given, expected one of them",
                            name);
    CLSEQ__RETURN_IF(clseq__op_input(g, "recur", name, given, CLSEQ_DTYPE_F32, in));
    CLSEQ__RETURN_IF(check_state(name, (*in)->value.ndim, (*in)->value.dims, state));
    return clseq__var_packed(g, "recur", name, *in, in);
}

static clseq_status take_states(clseq_graph *g, recur_call *call)
{
    if (call->opts->carry)
        CLSEQ__RETURN_IF(check_carry(g, call, call->opts->carry));
    call->args.carry = call->opts->carry;
    for (int i = 0; i < call->args.states; i++) {
        clseq_rnn_state state;
        CLSEQ__RETURN_IF(clseq_rnn_state_info(call->args.use->plan, i, call->args.shape.B, &state));
        CLSEQ__RETURN_IF(take_initial(g, call, i, &state));
        if (call->opts->final)
            CLSEQ__RETURN_IF(
                clseq__var_new(g, CLSEQ_DTYPE_F32, state.ndim, state.dims, &call->out[OUT_FINAL + i]));
    }
    return CLSEQ_OK;
}

/* Where the pass draws from. Layers that draw nothing take no stream, so that those of other operations stay as they are. */
static void take_stream(clseq_graph *g, recur_args *args)
{
    if (!clseq__rnn_draws(clseq_rnn_description(args->rnn)))
        return;
    args->seed = g->seed;
    args->stream = clseq__op_stream(g);
}

/* From the checked input to the pass that has been enqueued. */
static clseq_status recur(clseq_graph *g, recur_call *call)
{
    static const clseq__op op = {"recur", recur_forward, recur_backward, CLSEQ__OP_STRIDED};
    recur_args *args = &call->args;
    const int64_t *x = call->in[IN_X]->value.dims;
    const bool training = g->mode == CLSEQ_MODE_TRAINING && !g->is_backward_done;
    args->shape = (clseq_rnn_shape){
        .T = x[0], .B = x[1], .mode = training ? CLSEQ_MODE_TRAINING : CLSEQ_MODE_INFERENCE};
    CLSEQ__RETURN_IF(choose_plan(g, call));
    const clseq_rnn_plan *plan = args->use->plan;
    const int64_t dims[] = {args->shape.T, args->shape.B, clseq_rnn_output_size(plan)};
    args->states = clseq_rnn_state_count(plan);
    if (args->states > STATES)
        return clseq__error(CLSEQ_UNSUPPORTED, "recur: the cell has %d states, expected at most %d",
                            args->states, (int)STATES);
    CLSEQ__RETURN_IF(take_states(g, call));
    CLSEQ__RETURN_IF(clseq_rnn_plan_sizes(plan, &args->shape, &args->sizes));
    CLSEQ__RETURN_IF(clseq__op_lengths(g, "recur", call->opts->lengths, args->shape.T, args->shape.B,
                                       &call->in[IN_LENGTHS]));
    take_stream(g, args);
    CLSEQ__RETURN_IF(clseq__op_reads(g, "recur", args->rnn->weights[0]));
    CLSEQ__RETURN_IF(clseq__var_new(g, CLSEQ_DTYPE_F32, 3, dims, &call->out[OUT_Y]));
    return clseq__op_run(
        g, &(clseq__call){.op = &op,
                          .in = call->in,
                          .in_count = IN_INITIAL + args->states,
                          .out = call->out,
                          .out_count = OUT_FINAL + args->states,
                          .args = args,
                          .args_size = sizeof *args,
                          .saved_count = training ? clseq_rnn_plan_description(plan)->layers : 0,
                          .layers = {&args->rnn->list, call->looked_up}});
}

/* The final states' variables, or NULL for all of them. The array may be the one that the initial states came in. */
static void give_final(const clseq_recur_opts *opts, int states, clseq__var *const *final)
{
    for (int i = 0; opts->final && i < states; i++)
        opts->final[i] = final ? final[i]->handle : NULL;
}

clseq_var *clseq_recur(clseq_graph *g, clseq_rnn *rnn, clseq_var *x, const clseq_recur_opts *opts)
{
    static const char op[] = "recur";
    static const clseq_recur_opts defaults = {0};
    clseq_status status = CLSEQ_OK;
    recur_call call = {.opts = opts ? opts : &defaults, .args = {.rnn = rnn}};
    const int states = rnn ? clseq_rnn_state_count(rnn->plans->plan) : 0;
    clseq__var *const *final = NULL;
    if (!clseq__op_enter(g, op)) {
        give_final(call.opts, states, NULL);
        return NULL;
    }
    CLSEQ__TRY(check_input(g, rnn, x, &call.in[IN_X]));
    CLSEQ__TRY(recur(g, &call));
    final = call.out + OUT_FINAL;
done:
    give_final(call.opts, states, final);
    return clseq__op_leave(g, op, status, call.out[OUT_Y]);
}
