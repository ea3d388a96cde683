/* Recurrent layers as an operation: initial states, lengths, what backward needs. */
#include "train/graph.h"

#include "core/tensor.h"
#include "rnn/draws.h"
#include "train/layers.h"
#include <stdio.h>
#include <string.h>

/* saved tensors of the node: the lengths, then the reserves of the layers */
enum { LENGTHS, RESERVES };

/* inputs of the node: x, then the initial states; its outputs: y, then the final states */
enum { IN_X, IN_INITIAL };
enum { OUT_Y, OUT_FINAL };

/* The most states of a cell that a node has places for. */
enum {
    STATES = CLSEQ__NODE_INPUTS - IN_INITIAL < CLSEQ__NODE_OUTPUTS - OUT_FINAL
                 ? CLSEQ__NODE_INPUTS - IN_INITIAL
                 : CLSEQ__NODE_OUTPUTS - OUT_FINAL
};

typedef struct recur_args {
    clseq_rnn *rnn;
    clseq__layer_plan *use;
    clseq__var *x; /* what the plan reads: the node's input, or the tokens that it was looked up for */
    clseq_rnn_shape shape;
    clseq_rnn_sizes sizes;
    int states;
} recur_args;

static clseq_status recur_backward(clseq_graph *g, clseq__node *node)
{
    const recur_args *args = node->args;
    clseq_status status = CLSEQ_OK;
    clseq__var **in = node->in, **out = node->out;
    clseq_tensor dfinal[STATES] = {{0}}, dinitial[STATES] = {{0}};
    clseq_rnn_backward_args b = {.x = args->x->value,
                                 .lengths = node->saved[LENGTHS],
                                 .dy = out[OUT_Y]->grad,
                                 .dfinal = dfinal,
                                 .dinitial = dinitial,
                                 .dweights = args->use->grads,
                                 .reserve = node->saved + RESERVES};
    CLSEQ__TRY(clseq__layer_plan_packed(args->rnn, args->use, &args->shape, &args->sizes, &b.packed));
    CLSEQ__TRY(clseq__layer_plan_begin_grads(args->rnn, args->use));
    CLSEQ__TRY(clseq_tensor_create(g->ctx, CLSEQ_DTYPE_U8, 1, &args->sizes.workspace, &b.workspace));
    CLSEQ__TRY(clseq__grad_begin(g, args->x, &b.dx));
    for (int i = 0; i < args->states; i++) {
        if (out[OUT_FINAL + i])
            dfinal[i] = out[OUT_FINAL + i]->grad;
        if (in[IN_INITIAL + i])
            CLSEQ__TRY(clseq__grad_begin(g, in[IN_INITIAL + i], &dinitial[i]));
    }
    CLSEQ__TRY(clseq_rnn_backward(args->use->plan, &args->shape, &b));
    CLSEQ__TRY(clseq__layer_plan_end_grads(args->rnn, args->use));
    CLSEQ__TRY(clseq__grad_end(g, args->x, &b.dx));
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
        clseq__op_input(g, "recur", "x", handle, desc->one_hot ? CLSEQ_DTYPE_I32 : CLSEQ_DTYPE_F32, in));
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

/* Through the table of the embedding that x comes from, unless that gains nothing or x wants its gradient. */
static clseq_status choose_plan(clseq_rnn *rnn, clseq__var *x, recur_args *args, clseq__node_desc *desc)
{
    clseq__lookup *lookup = x->keep_grad ? NULL : clseq__var_lookup(x);
    clseq__layer_plan *through = NULL;
    if (lookup)
        CLSEQ__RETURN_IF(
            clseq__layer_plan_through(rnn, lookup->embedding, args->shape.T * args->shape.B, &through));
    args->use = through ? through : rnn->plans;
    args->x = x;
    desc->layers[0] = &rnn->own;
    if (through) {
        args->x = x->node->in[0];
        desc->layers[1] = &lookup->embedding->own;
        lookup->is_bypassed = true;
    }
    return CLSEQ_OK;
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

/* A call of the operation before it becomes a node. */
typedef struct recur_call {
    const clseq_recur_opts *opts;
    recur_args args;
    clseq_tensor initial[STATES], final[STATES];
    clseq_rnn_forward_args f;
    clseq__node_desc desc;
} recur_call;

/*
 * carry has states of this plan. What is carried from window to window comes in the order of one direction: a layer with
 * two would begin one of them where the sequence has not come to yet.
 */
static clseq_status check_carry(const clseq_graph *g, const recur_call *call, const clseq_state *carry)
{
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

/* Initial state i, from carry or a variable, becomes an argument of the forward pass and an input of the node. */
static clseq_status take_initial(clseq_graph *g, recur_call *call, int i, const clseq_rnn_state *state)
{
    const clseq_state *carry = call->opts->carry;
    const clseq_var *given = call->opts->initial ? call->opts->initial[i] : NULL;
    clseq__var **in = &call->desc.in[IN_INITIAL + i];
    char name[40];
    if (carry) {
        CLSEQ__RETURN_IF(check_state("carry", carry->tensors[i].ndim, carry->tensors[i].dims, state));
        call->initial[i] = carry->tensors[i];
    }
    if (!given)
        return CLSEQ_OK;
    snprintf(name, sizeof name, "initial[%d] (%s)", i, state->name);
    if (carry)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "recur: carry and %s are given, expected one of them",
                            name);
    CLSEQ__RETURN_IF(clseq__op_input(g, "recur", name, given, CLSEQ_DTYPE_F32, in));
    CLSEQ__RETURN_IF(check_state(name, (*in)->value.ndim, (*in)->value.dims, state));
    call->initial[i] = (*in)->value;
    return CLSEQ_OK;
}

/* Where final state i goes: to a variable, to carry, or nowhere. */
static clseq_status make_final(clseq_graph *g, recur_call *call, int i, const clseq_rnn_state *state)
{
    clseq__var **out = &call->desc.out[OUT_FINAL + i];
    if (call->opts->carry)
        call->final[i] = call->opts->carry->tensors[i];
    if (!call->opts->final)
        return CLSEQ_OK;
    CLSEQ__RETURN_IF(clseq__var_new(g, CLSEQ_DTYPE_F32, state->ndim, state->dims, out));
    call->final[i] = (*out)->value;
    return CLSEQ_OK;
}

static clseq_status take_states(clseq_graph *g, recur_call *call)
{
    if (call->opts->carry)
        CLSEQ__RETURN_IF(check_carry(g, call, call->opts->carry));
    for (int i = 0; i < call->args.states; i++) {
        clseq_rnn_state state;
        CLSEQ__RETURN_IF(clseq_rnn_state_info(call->args.use->plan, i, call->args.shape.B, &state));
        CLSEQ__RETURN_IF(take_initial(g, call, i, &state));
        CLSEQ__RETURN_IF(make_final(g, call, i, &state));
    }
    call->f.initial = call->initial;
    call->f.final = call->final;
    return CLSEQ_OK;
}

/* The lengths on the device. */
static clseq_status take_lengths(clseq_graph *g, const int32_t *lengths, const clseq_rnn_shape *shape,
                                 clseq_tensor *out)
{
    if (!lengths)
        return CLSEQ_OK;
    for (int64_t b = 0; b < shape->B; b++)
        if (lengths[b] < 0 || lengths[b] > shape->T)
            return clseq__error(CLSEQ_INVALID_ARGUMENT, "recur: lengths[%lld] is %d, expected 0..T = 0..%lld",
                                (long long)b, (int)lengths[b], (long long)shape->T);
    CLSEQ__RETURN_IF(clseq_tensor_create(g->ctx, CLSEQ_DTYPE_I32, 1, &shape->B, out));
    return clseq__stage(g, lengths, (size_t)shape->B * sizeof *lengths, out, NULL);
}

/* Where the pass draws from. Layers that draw nothing take no stream, so that those of other operations stay as they are. */
static void take_stream(clseq_graph *g, recur_call *call)
{
    if (!clseq__rnn_draws(clseq_rnn_description(call->args.rnn)))
        return;
    call->f.seed = g->seed;
    call->f.stream = clseq__op_stream(g);
}

/* What backward needs beside the variables: room for the lengths and, in training, the reserves. */
static clseq_status make_saved(clseq_graph *g, recur_call *call)
{
    const clseq_rnn_plan *plan = call->args.use->plan;
    const bool training = call->args.shape.mode == CLSEQ_MODE_TRAINING;
    const int64_t layers = training ? clseq_rnn_plan_description(plan)->layers : 0;
    void *memory = NULL;
    CLSEQ__RETURN_IF(clseq__graph_memory(g, (size_t)(RESERVES + layers) * sizeof(clseq_tensor), &memory));
    call->desc.saved = memory;
    memset(memory, 0, (size_t)(RESERVES + layers) * sizeof(clseq_tensor));
    call->desc.saved_count = RESERVES + layers;
    for (int64_t l = 0; l < layers; l++) {
        int64_t bytes = 0;
        CLSEQ__RETURN_IF(clseq_rnn_reserve_size(plan, &call->args.shape, l, &bytes));
        CLSEQ__RETURN_IF(
            clseq_tensor_create(g->ctx, CLSEQ_DTYPE_U8, 1, &bytes, &call->desc.saved[RESERVES + l]));
    }
    call->f.reserve = call->desc.saved + RESERVES;
    return CLSEQ_OK;
}

/* Runs the pass; with carry and variables for the same final states, carry gets copies. */
static clseq_status run_forward(clseq_graph *g, recur_call *call)
{
    clseq_status status = CLSEQ_OK;
    const recur_args *args = &call->args;
    clseq_rnn_forward_args *f = &call->f;
    const clseq_state *carry = call->opts->carry;
    CLSEQ__TRY(clseq__layer_plan_packed(args->rnn, args->use, &args->shape, &args->sizes, &f->packed));
    CLSEQ__TRY(clseq_tensor_create(g->ctx, CLSEQ_DTYPE_U8, 1, &args->sizes.workspace, &f->workspace));
    CLSEQ__TRY(clseq_rnn_forward(args->use->plan, &args->shape, f));
    for (int i = 0; carry && call->opts->final && i < carry->count; i++)
        CLSEQ__TRY(clseq_tensor_copy(g->ctx, &f->final[i], &carry->tensors[i]));
done:
    clseq_tensor_destroy(g->ctx, &f->workspace);
    return status;
}

/* From the checked input to the pass that has been enqueued. */
static clseq_status recur(clseq_graph *g, recur_call *call)
{
    const clseq__var *x = call->desc.in[IN_X];
    recur_args *args = &call->args;
    const clseq_rnn_plan *plan = NULL;
    args->shape =
        (clseq_rnn_shape){.T = x->value.dims[0], .B = x->value.dims[1], .mode = CLSEQ_MODE_TRAINING};
    if (g->mode == CLSEQ_MODE_INFERENCE || g->is_backward_done)
        args->shape.mode = CLSEQ_MODE_INFERENCE;
    CLSEQ__RETURN_IF(choose_plan(args->rnn, call->desc.in[IN_X], args, &call->desc));
    plan = args->use->plan;
    args->states = clseq_rnn_state_count(plan);
    if (args->states > STATES)
        return clseq__error(CLSEQ_UNSUPPORTED, "recur: the cell has %d states, expected at most %d",
                            args->states, (int)STATES);
    CLSEQ__RETURN_IF(take_states(g, call));
    CLSEQ__RETURN_IF(clseq_rnn_plan_sizes(plan, &args->shape, &args->sizes));
    CLSEQ__RETURN_IF(make_saved(g, call));
    CLSEQ__RETURN_IF(take_lengths(g, call->opts->lengths, &args->shape, &call->desc.saved[LENGTHS]));
    call->f.lengths = call->desc.saved[LENGTHS];
    call->f.x = args->x->value;
    take_stream(g, call);
    const int64_t dims[] = {args->shape.T, args->shape.B, clseq_rnn_output_size(plan)};
    CLSEQ__RETURN_IF(clseq__var_new(g, CLSEQ_DTYPE_F32, 3, dims, &call->desc.out[OUT_Y]));
    call->f.y = call->desc.out[OUT_Y]->value;
    CLSEQ__RETURN_IF(run_forward(g, call));
    CLSEQ__RETURN_IF(clseq__op_reads(g, "recur", args->rnn->weights[0]));
    call->desc.args = args;
    call->desc.args_size = sizeof *args;
    return clseq__node_add(g, &call->desc, NULL);
}

/* The final states' variables, or NULL for all of them. The array may be the one that the initial states came in. */
static void give_final(const clseq_recur_opts *opts, int states, clseq__var *const *final)
{
    for (int i = 0; opts->final && i < states; i++)
        opts->final[i] = final ? final[i]->handle : NULL;
}

clseq_var *clseq_recur(clseq_graph *g, clseq_rnn *rnn, clseq_var *x, const clseq_recur_opts *opts)
{
    static const clseq__op op = {"recur", recur_backward};
    static const clseq_recur_opts defaults = {0};
    clseq_status status = CLSEQ_OK;
    recur_call call = {.opts = opts ? opts : &defaults, .args = {.rnn = rnn}, .desc = {.op = &op}};
    const int states = rnn ? clseq_rnn_state_count(rnn->plans->plan) : 0;
    clseq__var *const *final = NULL;
    if (!clseq__op_enter(g, op.name)) {
        give_final(call.opts, states, NULL);
        return NULL;
    }
    CLSEQ__TRY(check_input(g, rnn, x, &call.desc.in[IN_X]));
    CLSEQ__TRY(recur(g, &call));
    final = call.desc.out + OUT_FINAL;
done:
    give_final(call.opts, states, final);
    for (int64_t i = 0; i < call.desc.saved_count; i++) /* what no node has taken */
        clseq_tensor_destroy(g->ctx, &call.desc.saved[i]);
    return clseq__op_leave(g, op.name, status, call.desc.out[OUT_Y]);
}
