/* Recurrent layers over sequences as an operation: initial states, lengths, what backward needs. */
#include "train/recur.h"

#include "rnn/draws.h"

/* inputs of the node: x (or the tokens that it was looked up for), lengths, the initial states; outputs: y, final states */
enum { IN_X, IN_LENGTHS, IN_INITIAL };
enum { OUT_Y = CLSEQ__RECUR_Y, OUT_FINAL = CLSEQ__RECUR_FINAL };
enum { STATES = CLSEQ__RECUR_STATES };

typedef struct recur_args {
    clseq_rnn *rnn;
    clseq__layer_plan *use;
    clseq_state *carry;
    clseq_rnn_shape shape;
    clseq_rnn_sizes sizes;
    int states;
    uint64_t seed, stream;
} recur_args;

/* The states come from carry or variables, and go to carry, variables or both: then carry gets copies. */
static clseq_status recur_forward(clseq_graph *g, clseq__node *node)
{
    const recur_args *args = node->args;
    const clseq_state *carry = args->carry;
    clseq_status status = CLSEQ_OK;
    clseq_tensor initial[STATES], final[STATES];
    clseq_rnn_forward_args f = {.x = node->in[IN_X]->value,
                                .lengths = clseq__value_of(node->in[IN_LENGTHS]),
                                .initial = initial,
                                .y = node->out[OUT_Y]->value,
                                .final = final,
                                .reserve = node->saved,
                                .seed = args->seed,
                                .stream = args->stream};
    for (int i = 0; i < args->states; i++) {
        initial[i] = carry ? carry->tensors[i] : clseq__value_of(node->in[IN_INITIAL + i]);
        final[i] = clseq__value_of(node->out[OUT_FINAL + i]);
        if (carry && !final[i].buffer)
            final[i] = carry->tensors[i];
    }
    CLSEQ__TRY(clseq__recur_save_reserves(g, node, args->use->plan, &args->shape));
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

static clseq_status recur_backward(clseq_graph *g, clseq__node *node)
{
    const recur_args *args = node->args;
    clseq_status status = CLSEQ_OK;
    clseq__var **in = node->in, **out = node->out;
    clseq_tensor dfinal[STATES] = {{0}}, dinitial[STATES] = {{0}};
    clseq_rnn_backward_args b = {.x = in[IN_X]->value,
                                 .lengths = clseq__value_of(in[IN_LENGTHS]),
                                 .dfinal = dfinal,
                                 .dinitial = dinitial,
                                 .reserve = node->saved};
    CLSEQ__TRY(clseq__recur_pack_grads(g, node));
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

/*
 * carry has states of this plan, and nothing is given beside it. What is carried from window to window comes in the order of one
 * direction: a layer with two would begin one of them where the sequence has not come to yet.
 */
static clseq_status check_carry(const clseq_graph *g, const clseq__recur_call *call,
                                const clseq_recur_opts *opts, int64_t B)
{
    const clseq_state *carry = opts->carry;
    if (g->is_in_part)
        return clseq__error(CLSEQ_INVALID_STATE,
                            "recur: carry in a part of the graph that is computed twice, expected initial "
                            "and final");
    if (carry->ctx != g->ctx)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "recur: carry belongs to another context");
    if (carry->count != call->states)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "recur: carry has %d state%s, expected the cell's %d",
                            carry->count, carry->count == 1 ? "" : "s", call->states);
    if (clseq_rnn_description(call->rnn)->direction == CLSEQ_DIRECTION_BIDIRECTIONAL)
        return clseq__error(
            CLSEQ_INVALID_ARGUMENT,
            "recur: carry is for layers of one direction, this one has two; use initial and final");
    for (int i = 0; i < call->states; i++) {
        clseq_rnn_state state;
        CLSEQ__RETURN_IF(clseq_rnn_state_info(call->use->plan, i, B, &state));
        if (carry->tensors[i].dtype != CLSEQ_DTYPE_F32)
            return clseq__error(CLSEQ_INVALID_DTYPE, "recur: carry has %s as %s, expected %s as f32",
                                carry->names[i], clseq_dtype_name(carry->tensors[i].dtype), state.name);
        CLSEQ__RETURN_IF(clseq__recur_check_state("recur", "carry", &carry->tensors[i], &state));
        if (opts->initial && opts->initial[i])
            return clseq__error(CLSEQ_INVALID_ARGUMENT,
                                "recur: carry and initial[%d] (%s) are given, expected one of them", i,
                                state.name);
    }
    return CLSEQ_OK;
}

static clseq_status take_states(clseq_graph *g, const clseq__recur_call *call, const clseq_recur_opts *opts,
                                int64_t B, clseq__var **in, clseq__var **out)
{
    if (opts->carry)
        CLSEQ__RETURN_IF(check_carry(g, call, opts, B));
    CLSEQ__RETURN_IF(clseq__recur_take_initial(g, call, opts->initial, B, in + IN_INITIAL));
    return opts->final ? clseq__recur_new_final(g, call, B, out + OUT_FINAL) : CLSEQ_OK;
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
static clseq_status recur(clseq_graph *g, clseq__recur_call *call, const clseq_recur_opts *opts,
                          clseq__var **out)
{
    static const clseq__op op = {"recur", recur_forward, recur_backward, CLSEQ__OP_STRIDED};
    const int64_t T = call->x->value.dims[0], B = call->x->value.dims[1];
    const bool training = g->mode == CLSEQ_MODE_TRAINING && !g->is_backward_done;
    clseq__var *in[IN_INITIAL + STATES] = {NULL};
    CLSEQ__RETURN_IF(clseq__recur_choose_plan(g, call));
    const clseq_rnn_plan *plan = call->use->plan;
    const int64_t dims[] = {T, B, clseq_rnn_output_size(plan)};
    recur_args args = {
        .rnn = call->rnn,
        .use = call->use,
        .carry = opts->carry,
        .shape = {.T = T, .B = B, .mode = training ? CLSEQ_MODE_TRAINING : CLSEQ_MODE_INFERENCE},
        .states = call->states};
    in[IN_X] = call->x;
    CLSEQ__RETURN_IF(take_states(g, call, opts, B, in, out));
    CLSEQ__RETURN_IF(clseq_rnn_plan_sizes(plan, &args.shape, &args.sizes));
    CLSEQ__RETURN_IF(clseq__op_lengths(g, "recur", opts->lengths, T, B, &in[IN_LENGTHS]));
    take_stream(g, &args);
    CLSEQ__RETURN_IF(clseq__op_reads(g, "recur", args.rnn->weights[0]));
    CLSEQ__RETURN_IF(clseq__var_new(g, CLSEQ_DTYPE_F32, 3, dims, &out[OUT_Y]));
    return clseq__op_run(
        g, &(clseq__call){.op = &op,
                          .in = in,
                          .in_count = IN_INITIAL + call->states,
                          .out = out,
                          .out_count = OUT_FINAL + call->states,
                          .args = &args,
                          .args_size = sizeof args,
                          .saved_count = training ? clseq_rnn_plan_description(plan)->layers : 0,
                          .layers = {&args.rnn->list, call->looked_up}});
}

clseq_var *clseq_recur(clseq_graph *g, clseq_rnn *rnn, clseq_var *x, const clseq_recur_opts *opts)
{
    static const clseq_recur_opts defaults = {0};
    clseq_status status = CLSEQ_OK;
    clseq__recur_call call = {.op = "recur", .rnn = rnn};
    clseq__var *out[OUT_FINAL + STATES] = {NULL}, *const * final = NULL;
    opts = opts ? opts : &defaults;
    if (!clseq__op_enter(g, call.op)) {
        clseq__recur_give_final(opts->final, rnn, NULL);
        return NULL;
    }
    CLSEQ__TRY(clseq__recur_check_input(g, &call, x, 3));
    CLSEQ__TRY(recur(g, &call, opts, out));
    final = out + OUT_FINAL;
done:
    clseq__recur_give_final(opts->final, rnn, final);
    return clseq__op_leave(g, call.op, status, out[OUT_Y]);
}
