/* Dropout. */
#include "train/graph.h"

typedef struct drop_args {
    float p;
    uint64_t seed, stream;
} drop_args;

static clseq_status dropout_forward(clseq_graph *g, clseq__node *node)
{
    const drop_args *args = node->args;
    return clseq_nn_dropout(g->ctx, &node->in[0]->value, args->p, args->seed, args->stream,
                            &node->out[0]->value);
}

/* dx = dy * mask / (1-p), the mask drawn again from the same numbers. */
static clseq_status dropout_backward(clseq_graph *g, clseq__node *node)
{
    const drop_args *args = node->args;
    clseq__var *x = node->in[0];
    clseq_tensor dx = {0};
    CLSEQ__RETURN_IF(clseq__grad_begin(g, x, &dx));
    CLSEQ__RETURN_IF(clseq_nn_dropout(g->ctx, &node->out[0]->grad, args->p, args->seed, args->stream, &dx));
    return clseq__grad_end(g, x, &dx);
}

clseq_var *clseq_dropout(clseq_graph *g, clseq_var *x, float p)
{
    static const clseq__op op = {"dropout", dropout_forward, dropout_backward, 0};
    clseq_status status = CLSEQ_OK;
    clseq__var *in = NULL, *y = NULL;
    drop_args args = {.p = p};
    if (!clseq__op_enter(g, op.name))
        return NULL;
    CLSEQ__TRY(clseq__op_peek(g, op.name, "x", x, CLSEQ_DTYPE_F32, &in));
    if (!(p >= 0.0f && p < 1.0f))
        CLSEQ__FAIL(CLSEQ_INVALID_ARGUMENT, "dropout: p is %g, expected at least 0 and less than 1",
                    (double)p);
    /* Taken in any case, so that the masks of other operations do not depend on this one's p. */
    args.seed = g->seed;
    args.stream = clseq__op_stream(g);
    if (p == 0.0f || g->mode == CLSEQ_MODE_INFERENCE)
        return x;
    CLSEQ__TRY(clseq__var_force(g, in));
    CLSEQ__TRY(clseq__op_run_one(g, &op, in, in->value.ndim, in->value.dims, &args, sizeof args, &y));
done:
    return clseq__op_leave(g, op.name, status, y);
}
