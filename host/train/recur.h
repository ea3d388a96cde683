/* What the operations of recurrent layers share: sequences (recur.c) and steps of a loop (recur_step.c). */
#ifndef CLSEQ_TRAIN_RECUR_H
#define CLSEQ_TRAIN_RECUR_H

#include "train/graph.h"
#include "train/layers.h"

/* The most states of a cell. */
#define CLSEQ__RECUR_STATES 8

/* Outputs of the nodes. */
enum { CLSEQ__RECUR_Y, CLSEQ__RECUR_FINAL };

/* A call of an operation of this name before it becomes a node. */
typedef struct clseq__recur_call {
    const char *op;
    clseq_rnn *rnn;
    clseq__layer_plan *use;
    clseq__var *x;                      /* what the plan reads: features, or numbers */
    const clseq__param_list *looked_up; /* the embedding whose table is read; NULL: none */
    int states;
} clseq__recur_call;

/* The layer is there, and of the graph's context; x has dims [T,B,I], or [T,B] numbers; without T where ndim is 2. */
clseq_status clseq__recur_check_input(clseq_graph *g, clseq__recur_call *call, const clseq_var *x, int ndim);

/* The plan that reads x, through the table of the embedding that x comes from where that pays; x has its value then. */
clseq_status clseq__recur_choose_plan(clseq_graph *g, clseq__recur_call *call);

/* What backward needs beside the variables: node->saved become the reserves of all layers, as far as the node has places. */
clseq_status clseq__recur_save_reserves(clseq_graph *g, clseq__node *node, const clseq_rnn_plan *plan,
                                        const clseq_rnn_shape *shape);

/* The states that come in, packed; `initial` may be NULL, and so may be entries of it. */
clseq_status clseq__recur_take_initial(clseq_graph *g, const clseq__recur_call *call,
                                       clseq_var *const *initial, int64_t B, clseq__var **in);

/* Variables for those that come out. */
clseq_status clseq__recur_new_final(clseq_graph *g, const clseq__recur_call *call, int64_t B,
                                    clseq__var **out);

/* A tensor has the dims of the plan's state; `name`: as the sentence calls it. */
clseq_status clseq__recur_check_state(const char *op, const char *name, const clseq_tensor *came,
                                      const clseq_rnn_state *state);

/* Rows of dy may lie any way apart; gradients of states are packed. */
clseq_status clseq__recur_pack_grads(clseq_graph *g, clseq__node *node);

/* The final states' variables, or NULL for all of them where `out` is NULL; nothing where `final` is. */
void clseq__recur_give_final(clseq_var **final, const clseq_rnn *rnn, clseq__var *const *out);

/* A variable's value; none of none. */
static inline clseq_tensor clseq__value_of(const clseq__var *x)
{
    return x ? x->value : (clseq_tensor){0};
}

#endif
