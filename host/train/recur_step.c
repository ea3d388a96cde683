/*
 * One step of a recurrent layer as an operation, for loops whose next input comes out of the step before. What backward needs of it
 * is kept in blocks of steps (recur_block.h); in inference, or where no gradient will be asked for, nothing is kept.
 */
#include "train/recur_block.h"

/* inputs of a step: x (or the tokens that it was looked up for), the initial states; outputs: y, final states */
enum { IN_X, IN_INITIAL };
enum { OUT_Y = CLSEQ__RECUR_Y, OUT_FINAL = CLSEQ__RECUR_FINAL };
enum { STATES = CLSEQ__RECUR_STATES };

static const char name[] = "recur step";

typedef struct step_args {
    clseq__recur_run run;
    clseq__recur_block *block; /* NULL: it is a pass of its own */
    int64_t place;             /* in the block */
} step_args;

/* Rows [B,..] as a sequence of one step; none stays none. */
static clseq_tensor as_step(clseq_tensor rows)
{
    if (!rows.buffer)
        return rows;
    for (int i = rows.ndim++; i > 0; i--) {
        rows.dims[i] = rows.dims[i - 1];
        rows.strides[i] = rows.strides[i - 1];
    }
    rows.dims[0] = 1;
    rows.strides[0] = rows.dims[1] * rows.strides[1];
    return rows;
}

static clseq_status step_forward(clseq_graph *g, clseq__node *node)
{
    const step_args *args = node->args;
    const clseq__recur_run *r = &args->run;
    clseq_status status = CLSEQ_OK;
    clseq_tensor initial[STATES], final[STATES];
    clseq_rnn_forward_args f = {.x = as_step(node->in[IN_X]->value),
                                .initial = initial,
                                .y = as_step(node->out[OUT_Y]->value),
                                .final = final,
                                .reserve = node->saved,
                                .seed = r->draws.seed,
                                .stream = r->draws.stream,
                                .time = r->draws.time};
    for (int i = 0; i < node->out_count - OUT_FINAL; i++) {
        initial[i] = clseq__value_of(node->in[IN_INITIAL + i]);
        final[i] = clseq__value_of(node->out[OUT_FINAL + i]);
    }
    if (args->block) {
        f.reserve = args->block->node->saved;
        f.first = args->place;
        f.count = 1;
    }
    CLSEQ__TRY(clseq__recur_save_reserves(g, node, r->use->plan, &r->shape));
    CLSEQ__TRY(clseq__recur_borrow(g, r, &f.packed, &f.workspace));
    CLSEQ__TRY(clseq_rnn_forward(r->use->plan, &r->shape, &f));
    if (args->block)
        args->block->left = ++args->block->ran;
done:
    clseq_tensor_destroy(g->ctx, &f.workspace);
    return status;
}

static clseq_status step_backward(clseq_graph *g, clseq__node *node)
{
    const step_args *args = node->args;
    clseq__recur_block *block = args->block;
    clseq_status status = CLSEQ_OK;
    clseq__var **in = node->in, **out = node->out;
    const int states = node->out_count - OUT_FINAL;
    clseq_tensor dx = {0}, dfinal[STATES] = {{0}}, dinitial[STATES] = {{0}};
    clseq_rnn_backward_args b = {.dfinal = dfinal,
                                 .dinitial = dinitial,
                                 .reserve = block->node->saved,
                                 .first = args->place,
                                 .count = 1};
    block->node->is_reached = true;
    CLSEQ__TRY(clseq__recur_pass_over(g, block, args->place + 1));
    CLSEQ__TRY(clseq__recur_pack_grads(g, node));
    CLSEQ__TRY(clseq__recur_borrow(g, &args->run, &b.packed, &b.workspace));
    CLSEQ__TRY(clseq__grad_begin(g, in[IN_X], &dx));
    for (int i = 0; i < states; i++) {
        if (out[OUT_FINAL + i])
            dfinal[i] = out[OUT_FINAL + i]->grad;
        if (in[IN_INITIAL + i])
            CLSEQ__TRY(clseq__grad_begin(g, in[IN_INITIAL + i], &dinitial[i]));
    }
    b.dy = as_step(out[OUT_Y]->grad);
    b.dx = as_step(dx);
    CLSEQ__TRY(clseq_rnn_backward(args->run.use->plan, &args->run.shape, &b));
    block->left = args->place;
    CLSEQ__TRY(clseq__grad_end(g, in[IN_X], &dx));
    for (int i = 0; i < states; i++)
        if (in[IN_INITIAL + i])
            CLSEQ__TRY(clseq__grad_end(g, in[IN_INITIAL + i], &dinitial[i]));
done:
    clseq_tensor_destroy(g->ctx, &b.workspace);
    return status;
}

/* What a step cannot be of, or in. */
static clseq_status check_layer(const clseq_graph *g, const clseq_rnn *rnn)
{
    const clseq_direction direction = clseq_rnn_description(rnn)->direction;
    if (direction != CLSEQ_DIRECTION_FORWARD)
        return clseq__error(CLSEQ_UNSUPPORTED, "%s: rnn %s, expected one in forward direction", name,
                            direction == CLSEQ_DIRECTION_REVERSE ? "runs in reverse" : "has two directions");
    if (g->is_in_part && g->mode == CLSEQ_MODE_TRAINING)
        return clseq__error(
            CLSEQ_UNSUPPORTED,
            "%s: steps are not for a part of the graph that is computed twice, use clseq_recur", name);
    return CLSEQ_OK;
}

/* Where the step that `as` describes is kept: in a block, or, where no gradient will come, nowhere. */
static clseq_status take_place(clseq_graph *g, const clseq__recur_call *call, clseq__call *as,
                               step_args *args, clseq__recur_line *line)
{
    clseq__recur_run *run = &args->run;
    run->shape.mode = CLSEQ_MODE_TRAINING;
    run->draws = line->draws;
    run->draws.time = line->steps;
    if (clseq__call_is_wanted(g, as)) {
        CLSEQ__RETURN_IF(clseq__recur_take_block(g, call, line, run, &args->block));
        *run = args->block->run;
        args->place = args->block->ran;
        return CLSEQ_OK;
    }
    as->saved_count = clseq_rnn_plan_description(run->use->plan)->layers;
    return clseq_rnn_plan_sizes(run->use->plan, &run->shape, &run->sizes);
}

/* From the checked input to the step that has been enqueued. */
static clseq_status step(clseq_graph *g, clseq__recur_call *call, clseq_var *const *initial, bool wants_final,
                         clseq__var **out)
{
    static const clseq__op op = {name, step_forward, step_backward, CLSEQ__OP_STRIDED};
    const int64_t B = call->x->value.dims[0];
    clseq__var *in[IN_INITIAL + STATES] = {NULL};
    clseq__recur_line *line = NULL;
    CLSEQ__RETURN_IF(clseq__recur_choose_plan(g, call));
    const int64_t dims[] = {B, clseq_rnn_output_size(call->use->plan)};
    step_args args = {
        .run = {.rnn = call->rnn, .use = call->use, .shape = {.T = 1, .B = B, .mode = CLSEQ_MODE_INFERENCE}}};
    clseq__call as = {.op = &op,
                      .in = in,
                      .in_count = IN_INITIAL + call->states,
                      .out = out,
                      .out_count = OUT_FINAL + call->states,
                      .args = &args,
                      .args_size = sizeof args,
                      .layers = {&call->rnn->list, call->looked_up}};
    in[IN_X] = call->x;
    CLSEQ__RETURN_IF(clseq__recur_take_initial(g, call, initial, B, in + IN_INITIAL));
    if (wants_final)
        CLSEQ__RETURN_IF(clseq__recur_new_final(g, call, B, out + OUT_FINAL));
    CLSEQ__RETURN_IF(clseq__op_reads(g, name, call->rnn->weights[0]));
    CLSEQ__RETURN_IF(clseq__var_new(g, CLSEQ_DTYPE_F32, 2, dims, &out[OUT_Y]));
    if (g->mode == CLSEQ_MODE_INFERENCE || g->is_backward_done) {
        CLSEQ__RETURN_IF(clseq_rnn_plan_sizes(call->use->plan, &args.run.shape, &args.run.sizes));
        return clseq__op_run(g, &as);
    }
    CLSEQ__RETURN_IF(clseq__recur_line_of(g, call, B, &line));
    CLSEQ__RETURN_IF(take_place(g, call, &as, &args, line));
    line->steps++;
    return clseq__op_run(g, &as);
}

clseq_var *clseq_recur_step(clseq_graph *g, clseq_rnn *rnn, clseq_var *x, clseq_var *const *initial,
                            clseq_var **final)
{
    clseq_status status = CLSEQ_OK;
    clseq__recur_call call = {.op = name, .rnn = rnn};
    clseq__var *out[OUT_FINAL + STATES] = {NULL}, *const *given = NULL;
    if (!clseq__op_enter(g, name)) {
        clseq__recur_give_final(final, rnn, NULL);
        return NULL;
    }
    CLSEQ__TRY(clseq__recur_check_input(g, &call, x, 2));
    CLSEQ__TRY(check_layer(g, rnn));
    CLSEQ__TRY(step(g, &call, initial, final != NULL, out));
    given = out + OUT_FINAL;
done:
    clseq__recur_give_final(final, rnn, given);
    return clseq__op_leave(g, name, status, out[OUT_Y]);
}
