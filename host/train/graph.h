/*
 * Inside a graph: variables, the tape, and what an operation needs to be written. An operation is a row, two functions of
 * its node, and a function that checks what comes in and describes the call:
 *
 *     static clseq_status softmax_forward(clseq_graph *g, clseq__node *node)
 *     {
 *         return clseq_nn_softmax_forward(g->ctx, *(const int *)node->args, &node->in[0]->value,
 *                                         &node->out[0]->value);
 *     }
 *
 *     static clseq_status softmax_backward(clseq_graph *g, clseq__node *node)
 *     {
 *         clseq_tensor dx = {0};
 *         CLSEQ__RETURN_IF(clseq__grad_begin(g, node->in[0], &dx));
 *         if (dx.buffer)
 *             CLSEQ__RETURN_IF(clseq_nn_softmax_backward(g->ctx, *(const int *)node->args, &node->out[0]->value,
 *                                                        &node->out[0]->grad, &dx));
 *         return clseq__grad_end(g, node->in[0], &dx);
 *     }
 *
 *     clseq_var *clseq_softmax(clseq_graph *g, clseq_var *x, int dim)
 *     {
 *         static const clseq__op op = {"softmax", softmax_forward, softmax_backward, 0};
 *         clseq_status status = CLSEQ_OK;
 *         clseq__var *in = NULL, *y = NULL;
 *         if (!clseq__op_enter(g, op.name))
 *             return NULL;
 *         CLSEQ__TRY(clseq__op_input(g, op.name, "x", x, CLSEQ_DTYPE_F32, &in));
 *         CLSEQ__TRY(clseq__op_dim(op.name, "x", in, dim, &dim));
 *         CLSEQ__TRY(clseq__op_run_one(g, &op, in, in->value.ndim, in->value.dims, &dim, sizeof dim, &y));
 *     done:
 *         return clseq__op_leave(g, op.name, status, y);
 *     }
 *
 * The program holds handles (clseq_var *), which operations turn into variables (clseq__var *) when they check them.
 * A variable lives as long as something holds it: its handle until the program releases it, views of it, and nodes that
 * will run (again). The queue is in-order, so a buffer goes back to the pool as soon as its last use is enqueued.
 */
#ifndef CLSEQ_TRAIN_GRAPH_H
#define CLSEQ_TRAIN_GRAPH_H

#include "core/error.h"
#include "train/arena.h"
#include "train/params.h"
#include "train/staging.h"
#include "train/var_table.h"
#include <clseq/graph.h>
#include <clseq/ops.h>

#define CLSEQ__NODE_LAYERS 2
#define CLSEQ__PENDING 8

typedef struct clseq__node clseq__node;
typedef struct clseq__part clseq__part;
typedef struct clseq__recur_line clseq__recur_line;

struct clseq__var {
    clseq_var *handle;
    clseq__var *previous, *next; /* in the order of making */
    uint64_t serial;             /* counts them */
    clseq_tensor value;   /* any strides; no buffer: not computed yet, or given up until it is needed */
    clseq_tensor grad;    /* any strides; no buffer until something reached it */
    const int32_t *host;  /* i32 from host memory: a copy of value's buffer; NULL: none */
    clseq__chunk *staged; /* where that lies */
    clseq__var *base;     /* whose memory this is a view of; NULL: of none */
    clseq__node *node;    /* the operation that made it, as long as it may run (again) */
    clseq_param *param;   /* whose value and gradient it shows; NULL: none */
    int holds;            /* reasons to live */
    bool owns_value;
    bool owns_grad;
    bool needs_grad;  /* a parameter or an input that asked for its gradient lies above it */
    bool keep_grad;   /* the gradient stays until the graph's end */
    bool is_used;     /* an operation has read it */
    bool is_released; /* the program can use it no more */
    bool is_internal; /* the program does not know it: clseq__op_run gives it up after its use */
    bool is_pinned;   /* it stays when its scope or its part of the graph is left */
};

enum {
    /* Forward takes inputs of any strides, and backward gradients of outputs of any strides; they are packed before for
     * the other operations. */
    CLSEQ__OP_STRIDED = 1,
    /* Forward sets value of the output to a view of the input's, for which no buffer is made. */
    CLSEQ__OP_VIEW = 2,
    /* Forward waits until something reads the output. */
    CLSEQ__OP_LAZY = 4,
    /* No gradient flows through it. */
    CLSEQ__OP_DETACHES = 8
};

typedef struct clseq__op {
    const char *name; /* as sentences begin */
    /* Values of the outputs from those of the inputs. It may run again (clseq_recompute_begin), so it depends on the node
     * alone. */
    clseq_status (*forward)(clseq_graph *g, clseq__node *node);
    /* Runs when a gradient has reached at least one output; outputs that none has reached have no grad.buffer. */
    clseq_status (*backward)(clseq_graph *g, clseq__node *node);
    unsigned flags;
} clseq__op;

/* An operation that runs; one entry of the tape where its gradient will be wanted. */
struct clseq__node {
    const clseq__op *op;
    clseq__node *previous;  /* on the tape */
    clseq__var **in, **out; /* an entry may be NULL: none */
    int in_count, out_count;
    clseq_tensor *saved; /* kept for backward, then given back to the pool */
    int64_t saved_count;
    void *args;                                          /* the operation's own */
    const clseq__param_list *layers[CLSEQ__NODE_LAYERS]; /* whose gradients backward adds to; NULL: no more */
    clseq__part *part; /* the recomputed part of the graph that it belongs to; NULL: none */
    size_t bytes;      /* of all this */
    bool is_kept;      /* it is on the tape: forward keeps what backward needs */
    bool is_pending;   /* forward has not run yet */
    /* For a node without outputs, which stands on the tape below those that it finishes the work of: one of them has run
     * backward, so this one is to run too. */
    bool is_reached;
};

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
    clseq__var *last;                     /* the last one made that lives */
    uint64_t serial;                      /* of the last one made */
    clseq__node *tape;                    /* the last one made */
    const clseq__reading *readings;       /* one for each version of a store that was read */
    clseq__recur_line *recur_lines;       /* the last one made (recur_block.h) */
    clseq_tensor pending[CLSEQ__PENDING]; /* contributions to gradients that are not added yet */
    uint64_t *scopes;                     /* [scope_count] what `serial` was when they began */
    size_t scope_count, scope_capacity;
    bool is_in_part;      /* between clseq_recompute_begin and _end */
    uint64_t part_serial; /* what `serial` and the tape were at its begin */
    clseq__node *part_below;
    clseq__staging staging;
    clseq__arena nodes;
};

/* ---- operations: what comes in ---- */

/* Whether the operation may run: the graph is there, open and has not failed. */
bool clseq__op_enter(clseq_graph *g, const char *op);

/* The end of an operation: the handle of y, or on failure NULL, with the graph marked and the sentence named after the operation. */
clseq_var *clseq__op_leave(clseq_graph *g, const char *op, clseq_status status, const clseq__var *y);

/* The variable of a handle that comes in, which must be this graph's; of any type, or of this one. It may have no value
 * yet. */
clseq_status clseq__op_find(const clseq_graph *g, const char *op, const char *argument, const clseq_var *x,
                            clseq__var **out);
clseq_status clseq__op_peek(const clseq_graph *g, const char *op, const char *argument, const clseq_var *x,
                            clseq_dtype dtype, clseq__var **out);

/* The same with its value. */
clseq_status clseq__op_any(clseq_graph *g, const char *op, const char *argument, const clseq_var *x,
                           clseq__var **out);
clseq_status clseq__op_input(clseq_graph *g, const char *op, const char *argument, const clseq_var *x,
                             clseq_dtype dtype, clseq__var **out);

/* A dimension of x, counted from the end where it is negative, as 0..ndim-1. */
clseq_status clseq__op_dim(const char *op, const char *argument, const clseq__var *x, int dim, int *out);

/* The two have the same dims. */
clseq_status clseq__op_same_dims(const char *op, const char *name, const clseq__var *x,
                                 const char *other_name, const clseq__var *other);

/* Dims that come from the program: 1 to CLSEQ_MAX_DIMS, each at least 1. */
clseq_status clseq__op_dims(const char *op, int ndim, const int64_t *dims);

/* The values of an i32 variable, when they are known on the host, lie within 0..limit-1 or equal *ignored. */
clseq_status clseq__op_range(const char *op, const char *what, const char *whole, const clseq__var *x,
                             int64_t limit, const int32_t *ignored);

/* Lengths from host memory, each 0..T, as a variable [B], which clseq__op_run gives up where nothing needs it any more;
 * NULL where there are none. */
clseq_status clseq__op_lengths(clseq_graph *g, const char *op, const int32_t *lengths, int64_t T, int64_t B,
                               clseq__var **out);

/* The stream, under g->seed, of an operation that draws random numbers: each call gives another one. */
uint64_t clseq__op_stream(clseq_graph *g);

/* The operation reads values of this parameter's store, which must be the same in backward. `op` is static. */
clseq_status clseq__op_reads(clseq_graph *g, const char *op, const clseq_param *param);

/* ---- variables ---- */

/* A variable that will own its memory, which is made when an operation that has it as output runs. */
clseq_status clseq__var_new(clseq_graph *g, clseq_dtype dtype, int ndim, const int64_t *dims,
                            clseq__var **out);

/* One that looks at a tensor of somebody else, who keeps it until the graph's end. */
clseq_status clseq__var_view(clseq_graph *g, const clseq_tensor *value, clseq__var **out);

/* x's value without gaps: x itself, or a copy, which is as clseq__op_lengths says of its result. */
clseq_status clseq__var_packed(clseq_graph *g, const char *op, const char *argument, clseq__var *x,
                               clseq__var **out);

/* The value of a variable that waits for a reader, or whose memory is not made yet. */
clseq_status clseq__var_force(clseq_graph *g, clseq__var *x);
clseq_status clseq__var_alloc(clseq_graph *g, clseq__var *x);

/* Marks variables as those that are to stay (is_pinned), or takes that back; the sentences call them keep[i]. */
clseq_status clseq__vars_pin(clseq_graph *g, const char *op, int count, clseq_var *const *vars, bool pin);

/* Releases all variables made after number `serial` that are not pinned. */
void clseq__vars_release_since(clseq_graph *g, uint64_t serial);

/* One reason less to live; the handle is one (clseq__var_release takes it, and may be called again). */
void clseq__var_let_go(clseq_graph *g, clseq__var *x);
void clseq__var_release(clseq_graph *g, clseq__var *x);

/* Gives back what the variable owns, and the variable. */
void clseq__var_destroy(clseq_graph *g, clseq__var *x);

/* ---- operations: running ---- */

typedef struct clseq__call {
    const clseq__op *op;
    clseq__var **in, **out; /* entries may be NULL; entries of `in` may be replaced by packed copies */
    int in_count, out_count;
    const void *args; /* copied */
    size_t args_size;
    int64_t saved_count; /* places for clseq__node_save */
    /* Parameters of its own, which want gradients where they are not frozen. */
    const clseq__param_list *layers[CLSEQ__NODE_LAYERS];
} clseq__call;

/* Whether a gradient will be asked for that goes through the operation. One without outputs finishes the work of others. */
bool clseq__call_is_wanted(const clseq_graph *g, const clseq__call *call);

/* Runs the operation, and puts it on the tape when its gradient will be wanted. */
clseq_status clseq__op_run(clseq_graph *g, const clseq__call *call);

/* The same for an operation of one variable, whose result has its type and these dims. */
clseq_status clseq__op_run_one(clseq_graph *g, const clseq__op *op, clseq__var *x, int ndim,
                               const int64_t *dims, const void *args, size_t args_size, clseq__var **y);

/* node->saved[i] as a tensor of these dims, for forward to write. Where the node is not kept it is scratch. */
clseq_status clseq__node_save(clseq_graph *g, clseq__node *node, int64_t i, clseq_dtype dtype, int ndim,
                              const int64_t *dims);

/* Runs forward. */
clseq_status clseq__node_forward(clseq_graph *g, clseq__node *node);

/* Gives back what the node has saved; the node, with its holds on variables. */
void clseq__node_forget(clseq_graph *g, clseq__node *node);
void clseq__node_destroy(clseq_graph *g, clseq__node *node);

/* Memory that lives until the graph's end. */
clseq_status clseq__graph_memory(clseq_graph *g, size_t bytes, void **out);

/* Copies from host memory at once and enqueues the copy to the device; *chunk (NULL: not wanted) is held then. */
clseq_status clseq__stage(clseq_graph *g, const void *host, size_t bytes, const clseq_tensor *to,
                          const void **kept, clseq__chunk **chunk);

/* What an operation of clseq_embed did, as its node's arguments. */
typedef struct clseq__lookup {
    const clseq_embedding *embedding;
    uint64_t version; /* of the table when the program asked */
    bool is_bypassed; /* a recurrent layer reads the table instead, so that no gradient comes back from it */
} clseq__lookup;

/* The lookup that x comes straight from, whose tokens are x->node->in[0]; NULL: none. (ops_layers.c) */
clseq__lookup *clseq__var_lookup(const clseq__var *x);

/* ---- backward ---- */

/*
 * Where to write (=) what reaches x: no tensor when x wants no gradient; its gradient when nothing had reached it yet,
 * else a place that grad_end adds to it. Every begin is followed by an end with the same tensor.
 */
clseq_status clseq__grad_begin(clseq_graph *g, clseq__var *x, clseq_tensor *dx);
clseq_status clseq__grad_end(clseq_graph *g, clseq__var *x, clseq_tensor *dx);

/* x's gradient itself, to be written (=) or, where *accumulate, added to, whatever its strides. */
clseq_status clseq__grad_open(clseq_graph *g, clseq__var *x, clseq_tensor *dx, bool *accumulate);

/* What reaches x is dy, a view of y's gradient in x's dims; `last`: y's is not needed any more after this. */
clseq_status clseq__grad_pass(clseq_graph *g, clseq__var *y, const clseq_tensor *dy, clseq__var *x,
                              bool last);

/* to += from, of the same dims. */
clseq_status clseq__grad_add(clseq_graph *g, const clseq_tensor *from, const clseq_tensor *to);

/* y's gradient without gaps. */
clseq_status clseq__grad_pack(clseq_graph *g, clseq__var *y);

/* Gives the gradient's buffer back unless it is to be kept. */
void clseq__grad_drop(clseq_graph *g, clseq__var *x);

/* Computes the values of the node's part of the graph again, unless it has been done. (recompute.c) */
clseq_status clseq__part_restore(clseq_graph *g, const clseq__node *node);

#endif
