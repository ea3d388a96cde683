/*
 * One step of a recurrent layer as an operation, for loops whose next input comes out of the step before.
 *
 * In training the steps of a layer take places in blocks, passes in pieces (clseq_rnn_weight_gradients), one after the other
 * whatever their states are. A block is a node without outputs that stands on the tape below its steps: it owns the reserves,
 * and when backward comes to it, all of its steps have been gone back over and it makes the gradients of the weights, one product
 * for all of them. Blocks grow, so that a short loop has little memory and a long one few products.
 *
 * In inference a step is a pass of one step and nothing is kept.
 */
#include "train/recur.h"

#include "rnn/draws.h"

/* inputs of a step: x (or the tokens that it was looked up for), the initial states; outputs: y, final states */
enum { IN_X, IN_INITIAL };
enum { OUT_Y = CLSEQ__RECUR_Y, OUT_FINAL = CLSEQ__RECUR_FINAL };
enum { STATES = CLSEQ__RECUR_STATES };

/* Steps of the first block, and of the largest. */
enum { FIRST_BLOCK = 8, LARGEST_BLOCK = 64 };

static const char name[] = "recur step";

/* How steps are run, and where they draw from. */
typedef struct run {
    clseq_rnn *rnn;
    clseq__layer_plan *use;
    clseq_rnn_shape shape;
    clseq_rnn_sizes sizes;
    clseq__pass_draws draws;
} run;

/* A block's arguments: steps that have run, and those of them that backward has not. */
struct clseq__recur_block {
    run run;
    int64_t ran, left;
    clseq__node *node;
    clseq__recur_block *previous; /* made in this graph */
};

/* A step's arguments. */
typedef struct step_args {
    run run;
    clseq__recur_block *block; /* NULL: nothing is kept */
    int64_t place;             /* in the block */
} step_args;

/* What each call of a plan needs. */
static clseq_status borrow(clseq_graph *g, const run *r, clseq_tensor *packed, clseq_tensor *workspace)
{
    CLSEQ__RETURN_IF(clseq__layer_plan_packed(r->rnn, r->use, &r->shape, &r->sizes, packed));
    return clseq_tensor_create(g->ctx, CLSEQ_DTYPE_U8, 1, &r->sizes.workspace, workspace);
}

/* ---- a block ---- */

/* Steps [end, left) of the block that no gradient has reached, if there are any. */
static clseq_status pass_over(clseq_graph *g, clseq__recur_block *block, int64_t end)
{
    clseq_status status = CLSEQ_OK;
    clseq_rnn_backward_args b = {.first = end, .count = block->left - end, .reserve = block->node->saved};
    if (b.count == 0)
        return CLSEQ_OK;
    CLSEQ__TRY(borrow(g, &block->run, &b.packed, &b.workspace));
    CLSEQ__TRY(clseq_rnn_backward(block->run.use->plan, &block->run.shape, &b));
    block->left = end;
done:
    clseq_tensor_destroy(g->ctx, &b.workspace);
    return status;
}

static clseq_status block_forward(clseq_graph *g, clseq__node *node)
{
    const run *r = &(*(clseq__recur_block *const *)node->args)->run;
    for (int64_t l = 0; l < node->saved_count; l++) {
        int64_t bytes = 0;
        CLSEQ__RETURN_IF(clseq_rnn_reserve_size(r->use->plan, &r->shape, l, &bytes));
        CLSEQ__RETURN_IF(clseq__node_save(g, node, l, CLSEQ_DTYPE_U8, 1, &bytes));
    }
    return CLSEQ_OK;
}

static clseq_status block_backward(clseq_graph *g, clseq__node *node)
{
    clseq__recur_block *block = *(clseq__recur_block *const *)node->args;
    const run *r = &block->run;
    clseq_status status = CLSEQ_OK;
    clseq_rnn_weight_gradients_args w = {.reserve = node->saved};
    clseq_tensor packed = {0};
    CLSEQ__TRY(pass_over(g, block, 0));
    CLSEQ__TRY(borrow(g, r, &packed, &w.workspace));
    CLSEQ__TRY(clseq__layer_plan_begin_grads(r->rnn, r->use, &w.dweights));
    if (w.dweights)
        CLSEQ__TRY(clseq_rnn_weight_gradients(r->use->plan, &r->shape, &w));
    CLSEQ__TRY(clseq__layer_plan_end_grads(r->rnn, r->use));
done:
    clseq_tensor_destroy(g->ctx, &w.workspace);
    return status;
}

/* The shape of a block of at most so many steps: as many as the device has room for. */
static clseq_status size_block(run *r, int64_t steps)
{
    clseq_status status = CLSEQ_OK;
    r->shape.in_pieces = true;
    for (r->shape.T = steps;; r->shape.T /= 2) {
        status = clseq_rnn_plan_sizes(r->use->plan, &r->shape, &r->sizes);
        if (status != CLSEQ_UNSUPPORTED || r->shape.T == 1)
            return status;
    }
}

/* A block for the layer's next steps, after `last` (NULL: the first one). */
static clseq_status new_block(clseq_graph *g, const clseq__recur_call *call, const run *r,
                              const clseq__recur_block *last, clseq__recur_block **out)
{
    static const clseq__op op = {name, block_forward, block_backward, CLSEQ__OP_STRIDED};
    void *memory = NULL;
    clseq__recur_block *block = NULL;
    CLSEQ__RETURN_IF(clseq__graph_memory(g, sizeof *block, &memory));
    block = memory;
    *block = (clseq__recur_block){.run = *r, .previous = g->recur_blocks};
    if (last) {
        block->run.draws = last->run.draws;
        block->run.draws.time += last->ran;
    } else if (clseq__rnn_draws(clseq_rnn_description(r->rnn))) {
        block->run.draws.seed = g->seed;
        block->run.draws.stream = clseq__op_stream(g);
    }
    const int64_t wished = last ? 2 * last->run.shape.T : FIRST_BLOCK;
    CLSEQ__RETURN_IF(size_block(&block->run, wished < LARGEST_BLOCK ? wished : LARGEST_BLOCK));
    CLSEQ__RETURN_IF(
        clseq__op_run(g, &(clseq__call){.op = &op,
                                        .args = &block,
                                        .args_size = sizeof block,
                                        .saved_count = clseq_rnn_plan_description(r->use->plan)->layers,
                                        .layers = {&r->rnn->list, call->looked_up}}));
    block->node = g->tape;
    g->recur_blocks = *out = block;
    return CLSEQ_OK;
}

/* The block that has the layer's next place. */
static clseq_status take_place(clseq_graph *g, const clseq__recur_call *call, step_args *args)
{
    const run *r = &args->run;
    clseq__recur_block *block = g->recur_blocks;
    while (block && (block->run.use != r->use || block->run.shape.B != r->shape.B))
        block = block->previous;
    if (!block || block->ran == block->run.shape.T)
        CLSEQ__RETURN_IF(new_block(g, call, r, block, &block));
    args->run = block->run;
    args->block = block;
    args->place = block->ran;
    return CLSEQ_OK;
}

/* ---- a step ---- */

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
    const run *r = &args->run;
    clseq_status status = CLSEQ_OK;
    clseq_tensor initial[STATES], final[STATES];
    clseq_rnn_forward_args f = {.x = as_step(node->in[IN_X]->value),
                                .initial = initial,
                                .y = as_step(node->out[OUT_Y]->value),
                                .final = final,
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
    CLSEQ__TRY(borrow(g, r, &f.packed, &f.workspace));
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
    CLSEQ__TRY(pass_over(g, block, args->place + 1));
    CLSEQ__TRY(clseq__recur_pack_grads(g, node));
    CLSEQ__TRY(borrow(g, &args->run, &b.packed, &b.workspace));
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

/* From the checked input to the step that has been enqueued. */
static clseq_status step(clseq_graph *g, clseq__recur_call *call, clseq_var *const *initial, bool wants_final,
                         clseq__var **out)
{
    static const clseq__op op = {name, step_forward, step_backward, CLSEQ__OP_STRIDED};
    const int64_t B = call->x->value.dims[0];
    const bool training = g->mode == CLSEQ_MODE_TRAINING && !g->is_backward_done;
    clseq__var *in[IN_INITIAL + STATES] = {NULL};
    CLSEQ__RETURN_IF(clseq__recur_choose_plan(g, call));
    const int64_t dims[] = {B, clseq_rnn_output_size(call->use->plan)};
    step_args args = {
        .run = {.rnn = call->rnn, .use = call->use, .shape = {.T = 1, .B = B, .mode = CLSEQ_MODE_INFERENCE}}};
    in[IN_X] = call->x;
    CLSEQ__RETURN_IF(clseq__recur_take_initial(g, call, initial, B, in + IN_INITIAL));
    if (wants_final)
        CLSEQ__RETURN_IF(clseq__recur_new_final(g, call, B, out + OUT_FINAL));
    CLSEQ__RETURN_IF(clseq__op_reads(g, name, call->rnn->weights[0]));
    args.run.shape.mode = training ? CLSEQ_MODE_TRAINING : CLSEQ_MODE_INFERENCE;
    if (training)
        CLSEQ__RETURN_IF(take_place(g, call, &args));
    else
        CLSEQ__RETURN_IF(clseq_rnn_plan_sizes(args.run.use->plan, &args.run.shape, &args.run.sizes));
    CLSEQ__RETURN_IF(clseq__var_new(g, CLSEQ_DTYPE_F32, 2, dims, &out[OUT_Y]));
    return clseq__op_run(g, &(clseq__call){.op = &op,
                                           .in = in,
                                           .in_count = IN_INITIAL + call->states,
                                           .out = out,
                                           .out_count = OUT_FINAL + call->states,
                                           .args = &args,
                                           .args_size = sizeof args,
                                           .layers = {&call->rnn->list, call->looked_up}});
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
