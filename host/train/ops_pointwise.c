/* Operations element by element: add, mul, activations, dropout. */
#include "train/graph.h"

/* y of an operation on two variables with the same dims. */
static clseq_var *run_pair(clseq_graph *g, const clseq__op *op, clseq_var *a, clseq_var *b)
{
    clseq_status status = CLSEQ_OK;
    clseq__var *in[2] = {0}, *y = NULL;
    if (!clseq__op_enter(g, op->name))
        return NULL;
    CLSEQ__TRY(clseq__op_input(g, op->name, "a", a, CLSEQ_DTYPE_F32, &in[0]));
    CLSEQ__TRY(clseq__op_input(g, op->name, "b", b, CLSEQ_DTYPE_F32, &in[1]));
    CLSEQ__TRY(clseq__op_same_dims(op->name, "a", in[0], "b", in[1]));
    CLSEQ__TRY(clseq__var_new(g, CLSEQ_DTYPE_F32, in[0]->value.ndim, in[0]->value.dims, &y));
    CLSEQ__TRY(
        clseq__op_run(g, &(clseq__call){.op = op, .in = in, .in_count = 2, .out = &y, .out_count = 1}));
done:
    return clseq__op_leave(g, op->name, status, y);
}

static clseq_status add_forward(clseq_graph *g, clseq__node *node)
{
    return clseq_nn_add(g->ctx, 1.0f, &node->in[0]->value, 1.0f, &node->in[1]->value, &node->out[0]->value);
}

/* y = a + b; both gradients are dy. */
static clseq_status add_backward(clseq_graph *g, clseq__node *node)
{
    clseq__var *y = node->out[0];
    CLSEQ__RETURN_IF(clseq__grad_pass(g, y, &y->grad, node->in[0], false));
    return clseq__grad_pass(g, y, &y->grad, node->in[1], true);
}

clseq_var *clseq_add(clseq_graph *g, clseq_var *a, clseq_var *b)
{
    static const clseq__op op = {"add", add_forward, add_backward, 0};
    return run_pair(g, &op, a, b);
}

static clseq_status mul_forward(clseq_graph *g, clseq__node *node)
{
    return clseq_nn_mul(g->ctx, &node->in[0]->value, &node->in[1]->value, false, &node->out[0]->value);
}

/* y = a * b; da = dy * b, db = dy * a. */
static clseq_status mul_backward(clseq_graph *g, clseq__node *node)
{
    for (int i = 0; i < 2; i++) {
        clseq_tensor dx = {0};
        CLSEQ__RETURN_IF(clseq__grad_begin(g, node->in[i], &dx));
        if (dx.buffer)
            CLSEQ__RETURN_IF(clseq_nn_mul(g->ctx, &node->out[0]->grad, &node->in[1 - i]->value, false, &dx));
        CLSEQ__RETURN_IF(clseq__grad_end(g, node->in[i], &dx));
    }
    return CLSEQ_OK;
}

clseq_var *clseq_mul(clseq_graph *g, clseq_var *a, clseq_var *b)
{
    static const clseq__op op = {"mul", mul_forward, mul_backward, 0};
    return run_pair(g, &op, a, b);
}

static clseq_status activation_forward(clseq_graph *g, clseq__node *node)
{
    return clseq_nn_activation_forward(g->ctx, *(const clseq_activation *)node->args, &node->in[0]->value,
                                       &node->out[0]->value);
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
    CLSEQ__TRY(clseq__op_run(g, &(clseq__call){.op = op,
                                               .in = &in,
                                               .in_count = 1,
                                               .out = &y,
                                               .out_count = 1,
                                               .args = &kind,
                                               .args_size = sizeof kind}));
done:
    return clseq__op_leave(g, op->name, status, y);
}

clseq_var *clseq_tanh(clseq_graph *g, clseq_var *x)
{
    static const clseq__op op = {"tanh", activation_forward, activation_backward, 0};
    return activation(g, &op, CLSEQ_ACTIVATION_TANH, x);
}

clseq_var *clseq_sigmoid(clseq_graph *g, clseq_var *x)
{
    static const clseq__op op = {"sigmoid", activation_forward, activation_backward, 0};
    return activation(g, &op, CLSEQ_ACTIVATION_SIGMOID, x);
}

clseq_var *clseq_relu(clseq_graph *g, clseq_var *x)
{
    static const clseq__op op = {"relu", activation_forward, activation_backward, 0};
    return activation(g, &op, CLSEQ_ACTIVATION_RELU, x);
}
