/*
 * Inside a graph: variables, the tape, and what an operation needs to be written. An operation is a pair of functions
 * in one of the ops_*.c files:
 *
 *     static clseq_status tanh_backward(clseq_graph *g, clseq__node *node)
 *     {
 *         clseq_tensor dx = {0};
 *         CLSEQ__RETURN_IF(clseq__grad_begin(g, node->in[0], &dx));
 *         if (dx.buffer)
 *             CLSEQ__RETURN_IF(clseq_nn_activation_backward(g->ctx, CLSEQ_ACTIVATION_TANH, &node->out[0]->value,
 *                                                        &node->out[0]->grad, &dx));
 *         return clseq__grad_end(g, node->in[0], &dx);
 *     }
 *
 *     clseq_var *clseq_tanh(clseq_graph *g, clseq_var *x)
 *     {
 *         static const clseq__op op = {"tanh", tanh_backward};
 *         clseq_status status = CLSEQ_OK;
 *         clseq__var *in = NULL, *y = NULL;
 *         if (!clseq__op_enter(g, op.name))
 *             return NULL;
 *         CLSEQ__TRY(clseq__op_input(g, op.name, "x", x, CLSEQ_DTYPE_F32, &in));
 *         CLSEQ__TRY(clseq__var_new(g, CLSEQ_DTYPE_F32, in->value.ndim, in->value.dims, &y));
 *         CLSEQ__TRY(clseq__node_add(g, &(clseq__node_desc){.op = &op, .in = {in}, .out = {y}}, NULL));
 *         CLSEQ__TRY(clseq_nn_activation_forward(g->ctx, CLSEQ_ACTIVATION_TANH, &in->value, &y->value));
 *     done:
 *         return clseq__op_leave(g, op.name, status, y);
 *     }
 *
 * The program holds handles (clseq_var *), which operations turn into variables (clseq__var *) when they check them.
 *
 * Values are packed without gaps, at any offset of their buffer. The queue is in-order, so a buffer goes back to the
 * pool as soon as its last use is enqueued.
 */
#ifndef CLSEQ_TRAIN_GRAPH_H
#define CLSEQ_TRAIN_GRAPH_H

#include "core/error.h"
#include "train/arena.h"
#include "train/params.h"
#include "train/var_table.h"
#include <clseq/graph.h>

#define CLSEQ__NODE_INPUTS 8
#define CLSEQ__NODE_OUTPUTS 8
#define CLSEQ__NODE_LAYERS 2
#define CLSEQ__PENDING 8

typedef struct clseq__node clseq__node;

struct clseq__var {
    clseq_var *handle;
    clseq__var *previous; /* the one made before */
    clseq_tensor value;
    clseq_tensor grad;   /* no buffer until something reached it */
    const int32_t *host; /* i32 from host memory: the values, for checking ranges; else NULL */
    clseq__node *node;   /* the operation that made it; NULL: an input or a parameter */
    clseq_param *param;  /* whose value and gradient it shows; NULL: none */
    bool owns_value;
    bool owns_grad;
    bool needs_grad; /* a parameter or an input that asked for its gradient lies above it */
    bool keep_grad;  /* the gradient stays until the graph's end */
    bool is_used;    /* an operation has read it */
};

typedef struct clseq__op {
    const char *name; /* as sentences begin */
    /* Runs when a gradient has reached at least one output; outputs that none has reached have no grad.buffer. */
    clseq_status (*backward)(clseq_graph *g, clseq__node *node);
} clseq__op;

/* An operation that has run; one entry of the tape where its gradient will be wanted. */
struct clseq__node {
    const clseq__op *op;
    clseq__node *previous;              /* on the tape */
    clseq__var *in[CLSEQ__NODE_INPUTS]; /* NULL: none */
    clseq__var *out[CLSEQ__NODE_OUTPUTS];
    clseq_tensor *saved; /* kept for backward, then given back to the pool */
    int64_t saved_count;
    void *args; /* the operation's own, lives as long as the graph */
    const clseq__param_range
        *layers[CLSEQ__NODE_LAYERS]; /* whose gradients backward adds to; NULL: no more */
};

/* Memory that two graphs in a row have twice: values that are on their way to the device. */
typedef struct clseq__half {
    clseq__arena staging;
    cl_event written; /* the last copy out of staging; NULL: there was none yet */
} clseq__half;

/* What an operation has read: a store's values as they were, named after one of its parameters. */
typedef struct clseq__reading {
    const struct clseq__reading *previous;
    const char *op;
    const clseq_param *param;
    uint64_t version;
} clseq__reading;

struct clseq_graph {
    clseq_context *ctx;
    clseq_mode mode;
    bool is_open;
    bool is_backward_done;
    bool is_in_hook; /* on_grad_ready is being called */
    clseq_grad_ready_fn on_grad_ready;
    void *on_grad_ready_user;
    clseq_status status; /* of the first failure */
    char sentence[2048];
    uint64_t generation; /* counts the context's graphs, from 1 */
    uint64_t seed, step; /* of random numbers */
    uint64_t draws;      /* streams of them so far */
    clseq__var_table vars;
    clseq__var *last;                     /* the last one made */
    clseq__node *tape;                    /* the last one made */
    const clseq__reading *readings;       /* one for each version of a store that was read */
    clseq_tensor pending[CLSEQ__PENDING]; /* contributions to gradients that are not added yet */
    clseq__half halves[2];                /* of odd and even generations */
    clseq__arena nodes;
};

/* ---- operations, forward ---- */

/* Whether the operation may run: the graph is there, open and has not failed. */
bool clseq__op_enter(clseq_graph *g, const char *op);

/* The end of an operation: the handle of y, or on failure NULL, with the graph marked and the sentence named after the operation. */
clseq_var *clseq__op_leave(clseq_graph *g, const char *op, clseq_status status, const clseq__var *y);

/* The variable of a handle that comes in, which must be this graph's; with `op_input` also of this type. */
clseq_status clseq__op_var(const clseq_graph *g, const char *op, const char *argument, const clseq_var *x,
                           clseq__var **out);
clseq_status clseq__op_input(const clseq_graph *g, const char *op, const char *argument, const clseq_var *x,
                             clseq_dtype dtype, clseq__var **out);

/* The stream, under g->seed, of an operation that draws random numbers: each call gives another one. */
uint64_t clseq__op_stream(clseq_graph *g);

/* The two have the same dims. */
clseq_status clseq__op_same_dims(const char *op, const char *name, const clseq__var *x,
                                 const char *other_name, const clseq__var *other);

/* The values of an i32 variable, when they are known on the host, lie within 0..limit-1 or equal *ignored. */
clseq_status clseq__op_range(const char *op, const char *what, const char *whole, const clseq__var *x,
                             int64_t limit, const int32_t *ignored);

/* A variable with a new buffer, or one that looks at a tensor of somebody else. */
clseq_status clseq__var_new(clseq_graph *g, clseq_dtype dtype, int ndim, const int64_t *dims,
                            clseq__var **out);
clseq_status clseq__var_view(clseq_graph *g, const clseq_tensor *value, clseq__var **out);

typedef struct clseq__node_desc {
    const clseq__op *op;
    clseq__var *in[CLSEQ__NODE_INPUTS];
    clseq__var *out[CLSEQ__NODE_OUTPUTS];
    const void *args; /* copied */
    size_t args_size;
    clseq_tensor
        *saved; /* [saved_count] tensors that backward needs: the node's once it is made, and {0} here */
    int64_t saved_count;
    const clseq__param_range *layers[CLSEQ__NODE_LAYERS]; /* parameters of its own, which want gradients */
} clseq__node_desc;

/*
 * Notes the operation, and puts it on the tape when its gradient will be wanted; otherwise *node is NULL, and nothing is
 * saved. `node` may be NULL.
 */
clseq_status clseq__node_add(clseq_graph *g, const clseq__node_desc *desc, clseq__node **node);

/* The operation reads values of this parameter's store, which must be the same in backward. `op` is static. */
clseq_status clseq__op_reads(clseq_graph *g, const char *op, const clseq_param *param);

/* Memory that lives until the graph's end. */
clseq_status clseq__graph_memory(clseq_graph *g, size_t bytes, void **out);

/* Copies from host memory at once and enqueues the copy to the device; *kept is the copy on the host. */
clseq_status clseq__stage(clseq_graph *g, const void *host, size_t bytes, const clseq_tensor *to,
                          const void **kept);

/* What an operation of clseq_embed did, as its node's arguments. */
typedef struct clseq__lookup {
    const clseq_embedding *embedding;
    bool is_bypassed; /* a recurrent layer reads the table instead, so that no gradient comes back from it */
} clseq__lookup;

/* The lookup that x comes straight from, whose tokens are x->node->in[0]; NULL: none. (ops_layers.c) */
clseq__lookup *clseq__var_lookup(const clseq__var *x);

/* ---- operations, backward ---- */

/*
 * Where to write (=) what reaches x: no tensor when x wants no gradient; its gradient when nothing had reached it yet,
 * else a place that grad_end adds to it. Every begin is followed by an end with the same tensor.
 */
clseq_status clseq__grad_begin(clseq_graph *g, clseq__var *x, clseq_tensor *dx);
clseq_status clseq__grad_end(clseq_graph *g, clseq__var *x, clseq_tensor *dx);

/* x's gradient itself, to be written (=) or, where *accumulate, added to. */
clseq_status clseq__grad_open(clseq_graph *g, clseq__var *x, clseq_tensor *dx, bool *accumulate);

/* What reaches x is y's gradient, element by element; `last`: y's is not needed any more after this. */
clseq_status clseq__grad_pass(clseq_graph *g, clseq__var *y, clseq__var *x, bool last);

/* Gives the gradient's buffer back unless it is to be kept. */
void clseq__grad_drop(clseq_graph *g, clseq__var *x);

#endif
