/* Operations element by element, of any strides and broadcast: rows of the table of clseq_nn_pointwise_forward. */
#include "train/graph.h"

#include "core/tensor.h"

enum { MOST_INPUTS = 3 };

/* What a call says; `row` and `params` are the node's arguments. */
typedef struct pointwise {
    clseq_pointwise row;
    float params[2];
} pointwise;

/* The tensors of the inputs, as the primitives take them. */
static void inputs_of(const clseq__node *node, clseq_tensor in[MOST_INPUTS])
{
    for (int i = 0; i < node->in_count; i++)
        in[i] = node->in[i]->value;
}

static clseq_status pointwise_forward(clseq_graph *g, clseq__node *node)
{
    const pointwise *args = node->args;
    clseq_tensor in[MOST_INPUTS];
    inputs_of(node, in);
    return clseq_nn_pointwise_forward(g->ctx, args->row, args->params, in, &node->out[0]->value);
}

static bool has_same_dims(const clseq__var *a, const clseq__var *b)
{
    bool is_same = a->value.ndim == b->value.ndim;
    for (int i = 0; is_same && i < a->value.ndim; i++)
        is_same = a->value.dims[i] == b->value.dims[i];
    return is_same;
}

/* Whether input i wants a gradient, and what reaches it is that of y itself. */
static bool passes(const clseq__node *node, int i)
{
    const pointwise *args = node->args;
    const bool is_sum = args->row == CLSEQ_POINTWISE_ADD && args->params[i] == 1.0f;
    return node->in[i]->needs_grad && (is_sum || args->row == CLSEQ_POINTWISE_ADD_SCALAR) &&
           has_same_dims(node->in[i], node->out[0]);
}

/* Gradients that are computed come before those that take y's away. */
static clseq_status pointwise_backward(clseq_graph *g, clseq__node *node)
{
    const pointwise *args = node->args;
    clseq__var *y = node->out[0];
    clseq_tensor in[MOST_INPUTS], dx = {0};
    int left = 0;
    bool accumulate = false;
    inputs_of(node, in);
    for (int i = 0; i < node->in_count; i++) {
        if (passes(node, i)) {
            left++;
            continue;
        }
        CLSEQ__RETURN_IF(clseq__grad_open(g, node->in[i], &dx, &accumulate));
        if (dx.buffer)
            CLSEQ__RETURN_IF(clseq_nn_pointwise_backward(g->ctx, args->row, args->params, in, &y->value,
                                                         &y->grad, i, accumulate, &dx));
    }
    for (int i = 0; i < node->in_count; i++)
        if (passes(node, i))
            CLSEQ__RETURN_IF(clseq__grad_pass(g, y, &y->grad, node->in[i], --left == 0));
    return CLSEQ_OK;
}

/* Dim d of x among `ndim`, where those in front of x are 1. */
static int64_t dim_of(const clseq__var *x, int ndim, int d)
{
    const int at = d - (ndim - x->value.ndim);
    return at < 0 ? 1 : x->value.dims[at];
}

static clseq_status do_not_broadcast(const char *op, const char *name, const clseq__var *x,
                                     const char *other_name, const clseq__var *other)
{
    char text[CLSEQ__DIMS_TEXT], other_text[CLSEQ__DIMS_TEXT];
    return clseq__error(CLSEQ_INVALID_SHAPE, "%s: %s has shape %s and %s has %s, which do not broadcast", op,
                        name, clseq__dims_text(text, x->value.ndim, x->value.dims), other_name,
                        clseq__dims_text(other_text, other->value.ndim, other->value.dims));
}

/* The dims that `count` variables stretch to. */
static clseq_status broadcast(const char *op, int count, const char *const *names, clseq__var *const *in,
                              int *ndim, int64_t dims[CLSEQ_MAX_DIMS])
{
    *ndim = 0;
    for (int i = 0; i < count; i++)
        *ndim = in[i]->value.ndim > *ndim ? in[i]->value.ndim : *ndim;
    for (int d = 0; d < *ndim; d++) {
        int from = 0; /* the first whose dim is not 1 */
        for (int i = 1; i < count; i++) {
            const int64_t dim = dim_of(in[i], *ndim, d), before = dim_of(in[from], *ndim, d);
            if (dim != 1 && before != 1 && dim != before)
                return do_not_broadcast(op, names[from], in[from], names[i], in[i]);
            from = before == 1 ? i : from;
        }
        dims[d] = dim_of(in[from], *ndim, d);
    }
    return CLSEQ_OK;
}

/* Whether the first input is a mask. */
static bool is_masked(clseq_pointwise row)
{
    return row == CLSEQ_POINTWISE_WHERE || row == CLSEQ_POINTWISE_MASKED_FILL;
}

static clseq_var *run(clseq_graph *g, const clseq__op *op, const pointwise *args, int count,
                      const char *const *names, clseq_var *const *xs)
{
    clseq_status status = CLSEQ_OK;
    clseq__var *in[MOST_INPUTS] = {0}, *y = NULL;
    int64_t dims[CLSEQ_MAX_DIMS] = {0};
    int ndim = 0;
    if (!clseq__op_enter(g, op->name))
        return NULL;
    for (int i = 0; i < count; i++)
        CLSEQ__TRY(clseq__op_input(g, op->name, names[i], xs[i],
                                   i == 0 && is_masked(args->row) ? CLSEQ_DTYPE_I32 : CLSEQ_DTYPE_F32,
                                   &in[i]));
    CLSEQ__TRY(broadcast(op->name, count, names, in, &ndim, dims));
    CLSEQ__TRY(clseq__var_new(g, CLSEQ_DTYPE_F32, ndim, dims, &y));
    CLSEQ__TRY(clseq__op_run(g, &(clseq__call){.op = op,
                                               .in = in,
                                               .in_count = count,
                                               .out = &y,
                                               .out_count = 1,
                                               .args = args,
                                               .args_size = sizeof *args}));
done:
    return clseq__op_leave(g, op->name, status, y);
}

#define OP(name) static const clseq__op op = {name, pointwise_forward, pointwise_backward, CLSEQ__OP_STRIDED}

static clseq_var *run_one(clseq_graph *g, const clseq__op *op, clseq_pointwise row, float p, float q,
                          clseq_var *x)
{
    static const char *const names[] = {"x"};
    return run(g, op, &(pointwise){row, {p, q}}, 1, names, &x);
}

static clseq_var *run_pair(clseq_graph *g, const clseq__op *op, clseq_pointwise row, float p, float q,
                           clseq_var *a, clseq_var *b)
{
    static const char *const names[] = {"a", "b"};
    return run(g, op, &(pointwise){row, {p, q}}, 2, names, (clseq_var *[]){a, b});
}

/* ---- of two variables ---- */

#define PAIR(function, ROW, p, q)                                           \
    clseq_var *clseq_##function(clseq_graph *g, clseq_var *a, clseq_var *b) \
    {                                                                       \
        OP(#function);                                                      \
        return run_pair(g, &op, CLSEQ_POINTWISE_##ROW, p, q, a, b);         \
    }

PAIR(add, ADD, 1, 1)
PAIR(sub, ADD, 1, -1)
PAIR(mul, MUL, 1, 0)
PAIR(div, DIV, 0, 0)
PAIR(minimum, MINIMUM, 0, 0)
PAIR(maximum, MAXIMUM, 0, 0)

/* ---- of one variable ---- */

#define ONE(function, name, ROW, p)                             \
    clseq_var *clseq_##function(clseq_graph *g, clseq_var *x)   \
    {                                                           \
        OP(name);                                               \
        return run_one(g, &op, CLSEQ_POINTWISE_##ROW, p, 0, x); \
    }

ONE(neg, "neg", MUL_SCALAR, -1)
ONE(reciprocal, "reciprocal", RECIPROCAL, 0)
ONE(exp, "exp", EXP, 0)
ONE(log, "log", LOG, 0)
ONE(sqrt, "sqrt", SQRT, 0)
ONE(square, "square", SQUARE, 0)
ONE(abs, "abs", ABS, 0)
ONE(tanh, "tanh", TANH, 0)
ONE(sigmoid, "sigmoid", SIGMOID, 0)
ONE(relu, "relu", RELU, 0)
ONE(gelu, "gelu", GELU, 0)
ONE(gelu_tanh, "gelu tanh", GELU_TANH, 0)
ONE(silu, "silu", SILU, 0)
ONE(softplus, "softplus", SOFTPLUS, 0)

#define ONE_WITH(function, name, ROW, p)                                    \
    clseq_var *clseq_##function(clseq_graph *g, clseq_var *x, float number) \
    {                                                                       \
        OP(name);                                                           \
        return run_one(g, &op, CLSEQ_POINTWISE_##ROW, p, 0, x);             \
    }

ONE_WITH(add_scalar, "add scalar", ADD_SCALAR, number)
ONE_WITH(sub_scalar, "sub scalar", ADD_SCALAR, -number)
ONE_WITH(mul_scalar, "mul scalar", MUL_SCALAR, number)
ONE_WITH(div_scalar, "div scalar", DIV_SCALAR, number)
ONE_WITH(leaky_relu, "leaky relu", LEAKY_RELU, number)
ONE_WITH(elu, "elu", ELU, number)
ONE_WITH(pow, "pow", POW, number)

clseq_var *clseq_clamp(clseq_graph *g, clseq_var *x, float low, float high)
{
    clseq_status status = CLSEQ_OK;
    OP("clamp");
    if (!clseq__op_enter(g, op.name))
        return NULL;
    if (!(low <= high))
        CLSEQ__FAIL(CLSEQ_INVALID_ARGUMENT, "clamp: low is %g and high is %g, expected no more", (double)low,
                    (double)high);
    return run_one(g, &op, CLSEQ_POINTWISE_CLAMP, low, high, x);
done:
    return clseq__op_leave(g, op.name, status, NULL);
}

/* ---- with a mask ---- */

clseq_var *clseq_where(clseq_graph *g, clseq_var *mask, clseq_var *a, clseq_var *b)
{
    static const char *const names[] = {"mask", "a", "b"};
    OP("where");
    return run(g, &op, &(pointwise){.row = CLSEQ_POINTWISE_WHERE}, 3, names, (clseq_var *[]){mask, a, b});
}

clseq_var *clseq_masked_fill(clseq_graph *g, clseq_var *x, clseq_var *mask, float value)
{
    static const char *const names[] = {"mask", "x"};
    OP("masked fill");
    return run(g, &op, &(pointwise){CLSEQ_POINTWISE_MASKED_FILL, {value}}, 2, names,
               (clseq_var *[]){mask, x});
}
