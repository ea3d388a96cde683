/*
 * A schedule is a way to run one recurrent layer over a sequence, in one direction or in two that do not see each other;
 * the stack of layers stands above it (stack.c). Every cell and option runs under every schedule, and every schedule gives the same result.
 * One file a schedule; one line in the table of plan.c registers it.
 *
 * Every argument has been checked before a schedule sees it: tensors that are there have the right type and dims, their
 * last stride is 1, outputs do not overlap themselves, memory is large enough. A tensor that is not there has a NULL
 * buffer.
 *
 * Time: a layer in reverse runs every row from its own last step to its first. Its step number s of row b is time
 * len(b)-1-s of the row for s < len(b), and s itself past the row's end; all that a layer keeps lies in the order of its
 * own steps.
 */
#ifndef CLSEQ_RNN_SCHEDULE_H
#define CLSEQ_RNN_SCHEDULE_H

#include "core/context.h"
#include "rnn/cells.h"

/* One layer in one direction. */
typedef struct clseq__rnn_layer {
    clseq_context *ctx;
    const clseq__cell *cell;
    int64_t number;                /* l */
    int64_t input, hidden, output; /* in, H, O */
    bool is_projected;             /* O is P, not H */
    bool one_hot;                  /* it reads tokens instead of features */
    bool is_chained;               /* it reads what the schedule keeps of the layer below */
    int64_t widest; /* H of the widest layer of its chain: by it go things that all of them share */
    bool reverse;
    int directions;                      /* that run side by side: 1, or 2 */
    bool is_second;                      /* of two */
    bool is_summed;                      /* what both put out is summed */
    clseq__part parts[CLSEQ__MAX_PARTS]; /* its weights, in their order */
    int part_count;
    int64_t state_at[CLSEQ__MAX_STATES]; /* widths of the layers before it, of each state */
    clseq__cell_extras extras;
    char options[CLSEQ__CELL_OPTIONS]; /* build options of kernels that include rnn/cell.clh */
} clseq__rnn_layer;

/* Width of state s of a layer: O for h, H for the others. */
static inline int64_t clseq__rnn_state_width(const clseq__rnn_layer *layer, int s)
{
    return s == 0 ? layer->output : layer->hidden;
}

/* A place in a buffer, in floats from its beginning. */
typedef struct clseq__place {
    cl_mem buffer;
    int64_t at;
} clseq__place;

/*
 * A sequence that a layer reads, or the gradient of one. Either `rows`, a tensor [T,B,F] in the order of time (tokens:
 * [T,B] i32), or, between layers of a chain, `chained`: what the schedule itself keeps for the layer above, in the order of
 * both layers' steps, in its own layout. Neither: none.
 */
typedef struct clseq__sequence {
    clseq_tensor rows;
    clseq__place chained;
} clseq__sequence;

/* What a layer needs for a shape, in floats; 0 for what it does not. */
typedef struct clseq__layer_sizes {
    int64_t packed_forward,
        packed_backward; /* the pack of training has both parts, that of inference the first */
    int64_t reserve;     /* training */
    int64_t workspace;   /* of either pass in this mode, in all directions */
    int64_t
        chain; /* inference: its output, where a layer above reads it as a chain (in training it lies in the reserve) */
    int64_t dchain; /* the gradient of its input, where that goes down as a chain */
    int64_t launches_forward, launches_backward;
} clseq__layer_sizes;

/* What a pass of training draws (draws.h), the same in forward and backward. */
typedef struct clseq__pass_draws {
    uint64_t seed, stream;
    int64_t time; /* of the pass's first step */
} clseq__pass_draws;

/*
 * A pass over a layer in one direction, or a piece of it: steps [first, first + count), all of them where it is none. Sequences
 * of rows, and of what goes from layer to layer in a workspace, have those steps alone; a reserve has places for all. In pieces
 * each step keeps the states that it begins with, which need not be those that the one before ended with, and what gradients of
 * weights are made of stays in the reserve.
 */
typedef struct clseq__layer_pass {
    const clseq__rnn_layer *layer;
    void *data; /* what the schedule made for the layer */
    clseq_rnn_shape shape;
    int64_t first, count;
    bool goes_on; /* backward, after other pieces */
    clseq__pass_draws draws;
    clseq_tensor lengths;
    clseq__place packed_forward, packed_backward;
    clseq__place reserve, workspace;
    clseq__place
        chain; /* inference: where the output goes for the layer above; a NULL buffer: nothing reads it so */
    clseq__sequence x;
} clseq__layer_pass;

typedef struct clseq__layer_forward {
    clseq_tensor initial[CLSEQ__MAX_STATES],
        final[CLSEQ__MAX_STATES]; /* [B,W]; final may be initial's memory */
    clseq_tensor y;               /* [T,B,O]; none: not wanted */
    bool add_y;                   /* y (+=), for the second direction of a sum */
} clseq__layer_forward;

typedef struct clseq__layer_backward {
    clseq__sequence dy;
    clseq_tensor dfinal[CLSEQ__MAX_STATES], dinitial[CLSEQ__MAX_STATES];
    clseq__sequence dx; /* written */
    bool add_dx;        /* dx.rows (+=), for the second direction */
} clseq__layer_backward;

typedef struct clseq__layer_weights {
    const clseq_tensor *dweights; /* [part_count] */
    bool overwrite;
} clseq__layer_weights;

typedef struct clseq__rnn_schedule {
    clseq_schedule id;
    bool looks_up; /* tokens cost it far less than features: worth a table of products for each feature */
    bool
        copies_x; /* training: it keeps what it needs of x.rows, which need not be there in backward. Tokens are. */

    /* Whether the device can run it; `why` gets half a sentence either way: "the device is a CPU". */
    bool (*applicable)(const clseq_context *ctx, const char **why);

    /* Makes what it needs for a layer (kernels): *data. On failure nothing is left behind. */
    clseq_status (*create)(const clseq__rnn_layer *layer, void **data);
    void (*destroy)(void *data); /* NULL is allowed */

    void (*sizes)(const clseq__rnn_layer *layer, const clseq_rnn_shape *shape, clseq__layer_sizes *out);

    /* Where in a pass of training, or of inference with a chain, the output lies for the layer above. */
    clseq__place (*output)(const clseq__layer_pass *pass);

    /* Fills packed_forward and, for training, packed_backward of the pass from the layer's weights, [part_count]. */
    clseq_status (*pack)(const clseq__layer_pass *pass, const clseq_tensor *weights);
    /* A layer in all its directions, one pass and one record of arguments each. They have the same sizes, read the same x,
     * have the same workspace, and their tensors of a kind lie in one buffer, states side by side. */
    clseq_status (*forward)(const clseq__layer_pass *pass, const clseq__layer_forward *args);
    clseq_status (*backward)(const clseq__layer_pass *pass, const clseq__layer_backward *args);
    /* The gradients of the weights, from what backward has left in the reserve and the workspace. Of pieces: of all steps that
     * have run. */
    clseq_status (*weights)(const clseq__layer_pass *pass, const clseq__layer_weights *args);

    /* What it does with this shape, in words: one or more lines, each with its newline, cut at `size`. */
    void (*describe)(const clseq__rnn_layer *layer, const clseq_rnn_shape *shape, char *text, size_t size);
} clseq__rnn_schedule;

extern const clseq__rnn_schedule clseq__rnn_team;
extern const clseq__rnn_schedule clseq__rnn_gemm_step;

#endif
