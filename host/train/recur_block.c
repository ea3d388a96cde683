#include "train/recur_block.h"

#include "rnn/draws.h"

/* Steps of the first block, and of the largest. */
enum { FIRST_BLOCK = 8, LARGEST_BLOCK = 64 };

clseq_status clseq__recur_borrow(clseq_graph *g, const clseq__recur_run *run, clseq_tensor *packed,
                                 clseq_tensor *workspace)
{
    CLSEQ__RETURN_IF(clseq__layer_plan_packed(run->rnn, run->use, &run->shape, &run->sizes, packed));
    return clseq_tensor_create(g->ctx, CLSEQ_DTYPE_U8, 1, &run->sizes.workspace, workspace);
}

clseq_status clseq__recur_line_of(clseq_graph *g, const clseq__recur_call *call, int64_t B,
                                  clseq__recur_line **out)
{
    void *memory = NULL;
    clseq__recur_line *line = g->recur_lines;
    while (line && (line->use != call->use || line->B != B))
        line = line->previous;
    if (!line) {
        CLSEQ__RETURN_IF(clseq__graph_memory(g, sizeof *line, &memory));
        line = memory;
        *line = (clseq__recur_line){.use = call->use, .B = B, .previous = g->recur_lines};
        if (clseq__rnn_draws(clseq_rnn_description(call->rnn))) {
            line->draws.seed = g->seed;
            line->draws.stream = clseq__op_stream(g);
        }
        g->recur_lines = line;
    }
    *out = line;
    return CLSEQ_OK;
}

clseq_status clseq__recur_pass_over(clseq_graph *g, clseq__recur_block *block, int64_t end)
{
    clseq_status status = CLSEQ_OK;
    clseq_rnn_backward_args b = {.first = end, .count = block->left - end, .reserve = block->node->saved};
    if (b.count == 0)
        return CLSEQ_OK;
    CLSEQ__TRY(clseq__recur_borrow(g, &block->run, &b.packed, &b.workspace));
    CLSEQ__TRY(clseq_rnn_backward(block->run.use->plan, &block->run.shape, &b));
    block->left = end;
done:
    clseq_tensor_destroy(g->ctx, &b.workspace);
    return status;
}

static clseq_status block_forward(clseq_graph *g, clseq__node *node)
{
    const clseq__recur_block *block = *(clseq__recur_block *const *)node->args;
    return clseq__recur_save_reserves(g, node, block->run.use->plan, &block->run.shape);
}

static clseq_status block_backward(clseq_graph *g, clseq__node *node)
{
    clseq__recur_block *block = *(clseq__recur_block *const *)node->args;
    const clseq__recur_run *run = &block->run;
    clseq_status status = CLSEQ_OK;
    clseq_rnn_weight_gradients_args w = {.reserve = node->saved};
    CLSEQ__TRY(clseq__layer_plan_begin_grads(run->rnn, run->use, &w.dweights));
    if (!w.dweights)
        return CLSEQ_OK;
    CLSEQ__TRY(clseq__recur_pass_over(g, block, 0));
    CLSEQ__TRY(clseq_tensor_create(g->ctx, CLSEQ_DTYPE_U8, 1, &run->sizes.workspace, &w.workspace));
    CLSEQ__TRY(clseq_rnn_weight_gradients(run->use->plan, &run->shape, &w));
    CLSEQ__TRY(clseq__layer_plan_end_grads(run->rnn, run->use));
done:
    clseq_tensor_destroy(g->ctx, &w.workspace);
    return status;
}

/* The shape of a block of at most so many steps: as many as the device has room for. */
static clseq_status size_block(clseq__recur_run *run, int64_t steps)
{
    clseq_status status = CLSEQ_OK;
    run->shape.in_pieces = true;
    for (run->shape.T = steps;; run->shape.T /= 2) {
        status = clseq_rnn_plan_sizes(run->use->plan, &run->shape, &run->sizes);
        if (status != CLSEQ_UNSUPPORTED || run->shape.T == 1)
            return status;
    }
}

static clseq_status new_block(clseq_graph *g, const clseq__recur_call *call, clseq__recur_line *line,
                              const clseq__recur_run *run)
{
    static const clseq__op op = {"recur step", block_forward, block_backward, CLSEQ__OP_STRIDED};
    const int64_t wished = line->block ? 2 * line->block->run.shape.T : FIRST_BLOCK;
    void *memory = NULL;
    clseq__recur_block *block = NULL;
    CLSEQ__RETURN_IF(clseq__graph_memory(g, sizeof *block, &memory));
    block = memory;
    *block = (clseq__recur_block){.run = *run};
    CLSEQ__RETURN_IF(size_block(&block->run, wished < LARGEST_BLOCK ? wished : LARGEST_BLOCK));
    CLSEQ__RETURN_IF(
        clseq__op_run(g, &(clseq__call){.op = &op,
                                        .args = &block,
                                        .args_size = sizeof block,
                                        .saved_count = clseq_rnn_plan_description(run->use->plan)->layers,
                                        .layers = {&run->rnn->list, call->looked_up}}));
    block->node = g->tape;
    line->block = block;
    return CLSEQ_OK;
}

/* Whether the line's next step has the block's next place: nothing that was not kept has run since. */
static bool goes_on(const clseq__recur_line *line)
{
    const clseq__recur_block *block = line->block;
    return block && block->ran < block->run.shape.T && block->run.draws.time + block->ran == line->steps;
}

clseq_status clseq__recur_take_block(clseq_graph *g, const clseq__recur_call *call, clseq__recur_line *line,
                                     const clseq__recur_run *run, clseq__recur_block **out)
{
    if (!goes_on(line))
        CLSEQ__RETURN_IF(new_block(g, call, line, run));
    *out = line->block;
    return CLSEQ_OK;
}
