/* What the passes of the schedule team are put together from: kernels' arguments, and the weights of a layer. */
#ifndef CLSEQ_RNN_TEAM_PASS_H
#define CLSEQ_RNN_TEAM_PASS_H

#include "rnn/team.h"

/* Kernel arguments that are put together one by one. */
typedef struct clseq__team_arguments {
    clseq__arg list[18 + TEAM_PARTS];
    size_t count;
} clseq__team_arguments;

static inline void clseq__add_buffer(clseq__team_arguments *a, cl_mem buffer)
{
    a->list[a->count++] = (clseq__arg)CLSEQ__M(buffer);
}

static inline team_array clseq__array_moved(team_array array, int64_t floats)
{
    array.at += floats;
    return array;
}

static inline team_rows clseq__rows_of(const clseq_tensor *t)
{
    return (team_rows){.at = t->offset, .t = t->strides[0], .b = t->strides[1]};
}

static inline clseq__team_layout clseq__pass_layout(const clseq__layer_pass *pass)
{
    clseq__team_layout at = clseq__team_layout_of(pass->layer, &pass->shape);
    at.sizes.T = (int)pass->count;
    return at;
}

/* Where what gradients of weights are made of lies. */
static inline clseq__place clseq__lasting_place(const clseq__layer_pass *pass)
{
    return pass->shape.in_pieces ? pass->reserve : pass->workspace;
}

/* The matrices of part i of a layer, of which the phases' has one for each phase with a product; returns their number.
 * forward, backward: where the parts of a pack begin, -1: there is no backward part. */
int clseq__team_matrices(const clseq__rnn_layer *layer, const clseq__team_packed *at, int i, int64_t forward,
                         int64_t backward, team_matrix *out);

/* Part i as numbers of units; false where it is a matrix. */
bool clseq__team_vector(const clseq__rnn_layer *layer, int i, team_vector *out);

#endif
