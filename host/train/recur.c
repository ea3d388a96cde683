/* Recurrent layers as an operation: initial states, lengths, what backward needs. */
#include "train/graph.h"

#include "core/tensor.h"
#include "train/layers.h"

/* saved tensors of the node */
enum { RESERVE, LENGTHS };

/* inputs of the node: x, then the initial states */
enum { IN_X, IN_INITIAL };

typedef struct recur_args {
    clseq_rnn *rnn;
    clseq__rnn_way *way;
    clseq__var *x; /* what the way's plan reads: the node's input, or the tokens that it was looked up for */
    clseq_rnn_shape shape;
    clseq_rnn_sizes sizes;
} recur_args;

static clseq_status recur_backward(clseq_graph *g, clseq__node *node)
{
    const recur_args *args = node->args;
    clseq_status status = CLSEQ_OK;
    clseq__var **in = node->in, **out = node->out;
    clseq_rnn_backward_args b = {.x = args->x->value,
                                 .lengths = node->saved[LENGTHS],
                                 .dy = out[0]->grad,
                                 .dweights = args->way->grads,
                                 .reserve = node->saved[RESERVE]};
    CLSEQ__TRY(clseq__rnn_way_packed(args->rnn, args->way, &args->shape, &args->sizes, &b.packed));
    CLSEQ__TRY(clseq__rnn_way_begin_grads(args->rnn, args->way));
    CLSEQ__TRY(clseq_tensor_create(g->ctx, CLSEQ_DTYPE_F32, 1, &args->sizes.workspace, &b.workspace));
    CLSEQ__TRY(clseq__grad_begin(g, args->x, &b.dx));
    for (int i = 0; i < CLSEQ_RNN_MAX_STATES; i++) {
        if (out[1 + i])
            b.dfinal[i] = out[1 + i]->grad;
        if (in[IN_INITIAL + i])
            CLSEQ__TRY(clseq__grad_begin(g, in[IN_INITIAL + i], &b.dinitial[i]));
    }
    CLSEQ__TRY(clseq_rnn_backward(args->way->plan, &args->shape, &b));
    CLSEQ__TRY(clseq__rnn_way_end_grads(args->rnn, args->way));
    CLSEQ__TRY(clseq__grad_end(g, args->x, &b.dx));
    for (int i = 0; i < CLSEQ_RNN_MAX_STATES; i++)
        if (in[IN_INITIAL + i])
            CLSEQ__TRY(clseq__grad_end(g, in[IN_INITIAL + i], &b.dinitial[i]));
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
    if (rnn->params->ctx != g->ctx)
        return clseq__error(CLSEQ_INVALID_ARGUMENT, "recur: rnn belongs to another context");
    CLSEQ__RETURN_IF(
        clseq__op_input(g, "recur", "x", handle, rnn->desc.one_hot ? CLSEQ_DTYPE_I32 : CLSEQ_DTYPE_F32, in));
    const clseq__var *x = *in;
    if (rnn->desc.one_hot && x->value.ndim != 2)
        return clseq__error(CLSEQ_INVALID_SHAPE, "recur: x has shape %s, expected [T,B]",
                            clseq__dims_text(text, x->value.ndim, x->value.dims));
    if (rnn->desc.one_hot)
        return clseq__op_range("recur", "number", "input", x, rnn->desc.input, NULL);
    if (x->value.ndim != 3 || x->value.dims[2] != rnn->desc.input)
        return clseq__error(CLSEQ_INVALID_SHAPE, "recur: x has shape %s, expected [T,B,%lld]",
                            clseq__dims_text(text, x->value.ndim, x->value.dims), (long long)rnn->desc.input);
    return CLSEQ_OK;
}

/* Through the table of the embedding that x comes from, unless that gains nothing or x wants its gradient. */
static clseq_status choose_way(clseq_rnn *rnn, clseq__var *x, recur_args *args, clseq__node_desc *desc)
{
    clseq__lookup *lookup = x->keep_grad ? NULL : clseq__var_lookup(x);
    clseq__rnn_way *through = NULL;
    if (lookup)
        CLSEQ__RETURN_IF(
            clseq__rnn_way_through(rnn, lookup->embedding, args->shape.T * args->shape.B, &through));
    args->way = through ? through : rnn->way;
    args->x = x;
    desc->layers[0] = &rnn->own;
    if (through) {
        args->x = x->node->in[0];
        desc->layers[1] = &lookup->embedding->own;
        lookup->is_bypassed = true;
    }
    return CLSEQ_OK;
}

/* Dims of a state that comes in are [L,B,H]. */
static clseq_status check_state(const char *name, int ndim, const int64_t *came, const int64_t *dims)
{
    char text[CLSEQ__DIMS_TEXT], expected[CLSEQ__DIMS_TEXT];
    bool fits = ndim == 3;
    for (int i = 0; fits && i < 3; i++)
        fits = came[i] == dims[i];
    if (fits)
        return CLSEQ_OK;
    return clseq__error(CLSEQ_INVALID_SHAPE, "recur: %s has shape %s, expected [L,B,H] = %s", name,
                        clseq__dims_text(text, ndim, came), clseq__dims_text(expected, 3, dims));
}

/* The initial states, from carry or from variables, become arguments of the forward pass and inputs of the node. */
static clseq_status take_initial(clseq_graph *g, const clseq_recur_opts *opts, int states,
                                 const int64_t *dims, clseq_rnn_forward_args *f, clseq__node_desc *desc)
{
    static const char *const names[] = {"initial[0] (h)", "initial[1] (c)"};
    const clseq_state *carry = opts->carry;
    if (carry && (carry->ctx != g->ctx || carry->count != states))
        return clseq__error(CLSEQ_INVALID_ARGUMENT,
                            carry->ctx != g->ctx
                                ? "recur: carry belongs to another context"
                                : "recur: carry was made for a cell with another number of states");
    if (carry)
        CLSEQ__RETURN_IF(check_state("carry", 3, carry->dims, dims));
    for (int i = 0; i < CLSEQ_RNN_MAX_STATES; i++) {
        if (i >= states && (opts->initial[i] || opts->final[i]))
            return clseq__error(CLSEQ_INVALID_ARGUMENT,
                                "recur: initial or final state %d is given, the cell has %d", i, states);
        if (carry && opts->initial[i])
            return clseq__error(CLSEQ_INVALID_ARGUMENT, "recur: carry and %s are given, expected one of them",
                                names[i]);
        if (carry && i < states)
            f->initial[i] = carry->tensors[i];
        if (!opts->initial[i])
            continue;
        clseq__var **in = &desc->in[IN_INITIAL + i];
        CLSEQ__RETURN_IF(clseq__op_input(g, "recur", names[i], opts->initial[i], CLSEQ_DTYPE_F32, in));
        CLSEQ__RETURN_IF(check_state(names[i], (*in)->value.ndim, (*in)->value.dims, dims));
        f->initial[i] = (*in)->value;
    }
    return CLSEQ_OK;
}

/* Where the final states go: to variables, to carry, or nowhere. */
static clseq_status make_final(clseq_graph *g, const clseq_recur_opts *opts, int states, const int64_t *dims,
                               clseq_rnn_forward_args *f, clseq__node_desc *desc)
{
    for (int i = 0; i < states; i++) {
        if (opts->carry)
            f->final[i] = opts->carry->tensors[i];
        if (!opts->final[i])
            continue;
        CLSEQ__RETURN_IF(clseq__var_new(g, CLSEQ_DTYPE_F32, 3, dims, &desc->out[1 + i]));
        f->final[i] = desc->out[1 + i]->value;
    }
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

/* Runs the pass; with carry and variables for the same final state, carry gets a copy. */
static clseq_status run_forward(clseq_graph *g, const recur_args *args, const clseq_recur_opts *opts,
                                clseq_rnn_forward_args *f)
{
    clseq_status status = CLSEQ_OK;
    const clseq_rnn_sizes *sizes = &args->sizes;
    CLSEQ__TRY(clseq__rnn_way_packed(args->rnn, args->way, &args->shape, sizes, &f->packed));
    if (args->shape.mode == CLSEQ_MODE_TRAINING)
        CLSEQ__TRY(clseq_tensor_create(g->ctx, CLSEQ_DTYPE_F32, 1, &sizes->reserve, &f->reserve));
    CLSEQ__TRY(clseq_tensor_create(g->ctx, CLSEQ_DTYPE_F32, 1, &sizes->workspace, &f->workspace));
    CLSEQ__TRY(clseq_rnn_forward(args->way->plan, &args->shape, f));
    for (int i = 0; opts->carry && i < opts->carry->count; i++)
        if (opts->final[i])
            CLSEQ__TRY(clseq_tensor_copy(g->ctx, &f->final[i], &opts->carry->tensors[i]));
done:
    clseq_tensor_destroy(g->ctx, &f->workspace);
    return status;
}

clseq_var *clseq_recur(clseq_graph *g, clseq_rnn *rnn, clseq_var *x, const clseq_recur_opts *opts)
{
    static const clseq__op op = {"recur", recur_backward};
    static const clseq_recur_opts defaults = {0};
    clseq_status status = CLSEQ_OK;
    clseq__var *in = NULL, *y = NULL;
    clseq__node *node = NULL;
    recur_args args = {.rnn = rnn};
    clseq_rnn_forward_args f = {0};
    clseq__node_desc desc = {.op = &op, .args = &args, .args_size = sizeof args};
    if (!clseq__op_enter(g, op.name))
        return NULL;
    opts = opts ? opts : &defaults;
    for (int i = 0; i < CLSEQ_RNN_MAX_STATES; i++)
        if (opts->final[i])
            *opts->final[i] = NULL;
    CLSEQ__TRY(check_input(g, rnn, x, &in));
    desc.in[IN_X] = in;
    const int states = clseq_cell_states(rnn->desc.cell);
    const int64_t T = in->value.dims[0], B = in->value.dims[1], H = rnn->desc.hidden;
    const int64_t dims[] = {rnn->desc.layers, B, H};
    args.shape = (clseq_rnn_shape){.T = T, .B = B, .mode = CLSEQ_MODE_TRAINING};
    if (g->mode == CLSEQ_MODE_INFERENCE || g->is_backward_done)
        args.shape.mode = CLSEQ_MODE_INFERENCE;
    CLSEQ__TRY(choose_way(rnn, in, &args, &desc));
    f.x = args.x->value;
    CLSEQ__TRY(take_initial(g, opts, states, dims, &f, &desc));
    CLSEQ__TRY(take_lengths(g, opts->lengths, &args.shape, &f.lengths));
    CLSEQ__TRY(clseq_rnn_plan_sizes(args.way->plan, &args.shape, &args.sizes));
    CLSEQ__TRY(clseq__var_new(g, CLSEQ_DTYPE_F32, 3, (int64_t[]){T, B, H}, &y));
    CLSEQ__TRY(make_final(g, opts, states, dims, &f, &desc));
    desc.out[0] = y;
    f.y = y->value;
    CLSEQ__TRY(run_forward(g, &args, opts, &f));
    CLSEQ__TRY(clseq__op_reads(g, op.name, rnn->layers[0].w_ih));
    CLSEQ__TRY(clseq__node_add(g, &desc, &node));
    for (int i = 0; i < states; i++)
        if (opts->final[i])
            *opts->final[i] = desc.out[1 + i]->handle;
    if (node) { /* backward needs them */
        node->saved[RESERVE] = f.reserve;
        node->saved[LENGTHS] = f.lengths;
        f.reserve = f.lengths = (clseq_tensor){0};
    }
done:
    clseq_tensor_destroy(g->ctx, &f.reserve);
    clseq_tensor_destroy(g->ctx, &f.lengths);
    return clseq__op_leave(g, op.name, status, y);
}
