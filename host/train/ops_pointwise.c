/* Operations element by element: add, mul, activations, dropout. */
#include "train/graph.h"

/* y and the node of an operation on two variables with the same dims. */
static clseq_status begin_pair(clseq_graph *g, const clseq__op *op, clseq_var *a, clseq_var *b,
                               clseq__var *in[2], clseq__var **y)
{
    CLSEQ__RETURN_IF(clseq__op_input(g, op->name, "a", a, CLSEQ_DTYPE_F32, &in[0]));
    CLSEQ__RETURN_IF(clseq__op_input(g, op->name, "b", b, CLSEQ_DTYPE_F32, &in[1]));
    CLSEQ__RETURN_IF(clseq__op_same_dims(op->name, "a", in[0], "b", in[1]));
    CLSEQ__RETURN_IF(clseq__var_new(g, CLSEQ_DTYPE_F32, in[0]->value.ndim, in[0]->value.dims, y));
    return clseq__node_add(g, &(clseq__node_desc){.op = op, .in = {in[0], in[1]}, .out = {*y}}, NULL);
}

/* y = a + b; both gradients are dy. */
static clseq_status add_backward(clseq_graph *g, clseq__node *node)
{
    CLSEQ__RETURN_IF(clseq__grad_pass(g, node->out[0], node->in[0], false));
    return clseq__grad_pass(g, node->out[0], node->in[1], true);
}

clseq_var *clseq_add(clseq_graph *g, clseq_var *a, clseq_var *b)
{
    static const clseq__op op = {"add", add_backward};
    clseq_status status = CLSEQ_OK;
    clseq__var *in[2] = {0}, *y = NULL;
    if (!clseq__op_enter(g, op.name))
        return NULL;
    CLSEQ__TRY(begin_pair(g, &op, a, b, in, &y));
    CLSEQ__TRY(clseq_nn_add(g->ctx, 1.0f, &in[0]->value, 1.0f, &in[1]->value, &y->value));
done:
    return clseq__op_leave(g, op.name, status, y);
}

/* y = a * b; da = dy * b, db = dy * a. */
static clseq_status mul_backward(clseq_graph *g, clseq__node *node)
{
    for (int i = 0; i < 2; i++) {
        clseq_tensor dx = {0};
        bool accumulate = false;
        CLSEQ__RETURN_IF(clseq__grad_open(g, node->in[i], &dx, &accumulate));
        if (dx.buffer)
            CLSEQ__RETURN_IF(
                clseq_nn_mul(g->ctx, &node->out[0]->grad, &node->in[1 - i]->value, accumulate, &dx));
    }
    return CLSEQ_OK;
}

clseq_var *clseq_mul(clseq_graph *g, clseq_var *a, clseq_var *b)
{
    static const clseq__op op = {"mul", mul_backward};
    clseq_status status = CLSEQ_OK;
    clseq__var *in[2] = {0}, *y = NULL;
    if (!clseq__op_enter(g, op.name))
        return NULL;
    CLSEQ__TRY(begin_pair(g, &op, a, b, in, &y));
    CLSEQ__TRY(clseq_nn_mul(g->ctx, &in[0]->value, &in[1]->value, false, &y->value));
done:
    return clseq__op_leave(g, op.name, status, y);
}

/* dx = dy * f'(y) */
static clseq_status activation_backward(clseq_graph *g, clseq__node *node)
{
    const clseq_activation *kind = node->args;
    clseq__var *x = node->in[0], *y = node->out[0];
    clseq_tensor dx = {0};
    CLSEQ__RETURN_IF(clseq__grad_begin(g, x, &dx));
    CLSEQ__RETURN_IF(clseq_nn_activation_backward(g->ctx, *kind, &y->value, &y->grad, &dx));
    return clseq__grad_end(g, x, &dx);
}

static clseq_var *activation(clseq_graph *g, const clseq__op *op, clseq_activation kind, clseq_var *x)
{
    clseq_status status = CLSEQ_OK;
    clseq__var *in = NULL, *y = NULL;
    if (!clseq__op_enter(g, op->name))
        return NULL;
    CLSEQ__TRY(clseq__op_input(g, op->name, "x", x, CLSEQ_DTYPE_F32, &in));
    CLSEQ__TRY(clseq__var_new(g, CLSEQ_DTYPE_F32, in->value.ndim, in->value.dims, &y));
    CLSEQ__TRY(clseq__node_add(
        g, &(clseq__node_desc){.op = op, .in = {in}, .out = {y}, .args = &kind, .args_size = sizeof kind},
        NULL));
    CLSEQ__TRY(clseq_nn_activation_forward(g->ctx, kind, &in->value, &y->value));
done:
    return clseq__op_leave(g, op->name, status, y);
}

clseq_var *clseq_tanh(clseq_graph *g, clseq_var *x)
{
    static const clseq__op op = {"tanh", activation_backward};
    return activation(g, &op, CLSEQ_ACTIVATION_TANH, x);
}

clseq_var *clseq_sigmoid(clseq_graph *g, clseq_var *x)
{
    static const clseq__op op = {"sigmoid", activation_backward};
    return activation(g, &op, CLSEQ_ACTIVATION_SIGMOID, x);
}

clseq_var *clseq_relu(clseq_graph *g, clseq_var *x)
{
    static const clseq__op op = {"relu", activation_backward};
    return activation(g, &op, CLSEQ_ACTIVATION_RELU, x);
}

typedef struct drop_args {
    float p;
    uint64_t seed, stream;
} drop_args;

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
    static const clseq__op op = {"dropout", dropout_backward};
    clseq_status status = CLSEQ_OK;
    clseq__var *in = NULL, *y = NULL;
    drop_args args = {.p = p};
    if (!clseq__op_enter(g, op.name))
        return NULL;
    CLSEQ__TRY(clseq__op_input(g, op.name, "x", x, CLSEQ_DTYPE_F32, &in));
    if (!(p >= 0.0f && p < 1.0f))
        CLSEQ__FAIL(CLSEQ_INVALID_ARGUMENT, "dropout: p is %g, expected at least 0 and less than 1",
                    (double)p);
    /* Taken in any case, so that the masks of other operations do not depend on this one's p. */
    args.seed = g->seed;
    args.stream = clseq__op_stream(g);
    if (p == 0.0f || g->mode == CLSEQ_MODE_INFERENCE)
        return x;
    CLSEQ__TRY(clseq__var_new(g, CLSEQ_DTYPE_F32, in->value.ndim, in->value.dims, &y));
    CLSEQ__TRY(clseq__node_add(
        g, &(clseq__node_desc){.op = &op, .in = {in}, .out = {y}, .args = &args, .args_size = sizeof args},
        NULL));
    CLSEQ__TRY(clseq_nn_dropout(g->ctx, &in->value, p, args.seed, args.stream, &y->value));
done:
    return clseq__op_leave(g, op.name, status, y);
}
