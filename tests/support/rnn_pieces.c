#include "rnn_pieces.h"

/* Steps of a sequence; none stays none. */
static clseq_tensor steps_of(const clseq_tensor *rows, int first, int count)
{
    return rows->buffer ? clseq_tensor_slice(rows, 0, first, count) : *rows;
}

clseq_rnn_forward_args rnn_pieces_forward_args(rnn_run *run, int first, int count)
{
    clseq_rnn_forward_args args = rnn_run_forward_args(run);
    args.x = steps_of(&args.x, first, count);
    args.y = steps_of(&args.y, first, count);
    args.first = first;
    args.count = count;
    return args;
}

clseq_rnn_backward_args rnn_pieces_backward_args(rnn_run *run, int first, int count)
{
    clseq_rnn_backward_args args = rnn_run_backward_args(run);
    args.x = (clseq_tensor){0};
    args.dy = steps_of(&args.dy, first, count);
    args.dx = steps_of(&args.dx, first, count);
    args.dweights = NULL;
    args.first = first;
    args.count = count;
    return args;
}

clseq_rnn_weight_gradients_args rnn_pieces_weights_args(rnn_run *run)
{
    const clseq_rnn_backward_args args = rnn_run_backward_args(run);
    return (clseq_rnn_weight_gradients_args){.dweights = args.dweights,
                                             .overwrite = args.overwrite,
                                             .reserve = args.reserve,
                                             .workspace = args.workspace};
}

/* What goes from piece to piece: states, or their gradients, in two places by turns. */
typedef struct handed {
    clseq_tensor places[2][REFERENCE_MAX_STATES];
    int states;
} handed;

static handed handed_create(const rnn_run *run)
{
    handed h = {.states = clseq_rnn_state_count(run->plan)};
    for (int s = 0; s < h.states; s++) {
        clseq_rnn_state state;
        MUST(clseq_rnn_state_info(run->plan, s, run->shape.B, &state));
        for (int i = 0; i < 2; i++)
            MUST(clseq_tensor_create(run->ctx, CLSEQ_DTYPE_F32, state.ndim, state.dims, &h.places[i][s]));
    }
    return h;
}

static void handed_destroy(const rnn_run *run, handed *h)
{
    for (int s = 0; s < h->states; s++)
        for (int i = 0; i < 2; i++)
            clseq_tensor_destroy(run->ctx, &h->places[i][s]);
}

/* Where pieces begin, and behind them T; returns their number. */
static int cut(const rnn_run *run, const rnn_pieces *pieces, int first[])
{
    const int T = run->c->net.T;
    int n = 0;
    first[0] = 0;
    while (first[n] < T) {
        const int end = first[n] + pieces->steps[n % pieces->count];
        first[++n] = end < T ? end : T;
    }
    return n;
}

static void forward(rnn_run *run, const int first[], int n)
{
    handed h = handed_create(run);
    guarded_poison(&run->out[RNN_Y]);
    for (int s = 0; s < REFERENCE_MAX_STATES; s++)
        guarded_poison(&run->out[RNN_FINAL + s]);
    for (int l = 0; l < run->c->net.L; l++)
        guarded_poison(&run->reserve[l]);
    for (int i = 0; i < n; i++) {
        clseq_rnn_forward_args args = rnn_pieces_forward_args(run, first[i], first[i + 1] - first[i]);
        if (i > 0)
            args.initial = h.places[0];
        /* The states come out where they have come in. */
        if (i < n - 1)
            args.final = h.places[0];
        if (i > 0)
            args.seed = args.stream = 12345; /* those of the first piece are the pass's */
        guarded_poison(&run->workspace);
        MUST(clseq_rnn_forward(run->plan, &run->shape, &args));
    }
    handed_destroy(run, &h);
}

static void backward(rnn_run *run, const int first[], int n, int unreached)
{
    handed h = handed_create(run);
    guarded_poison(&run->out[RNN_DX]);
    for (int s = 0; s < REFERENCE_MAX_STATES; s++)
        guarded_poison(&run->out[RNN_DINITIAL + s]);
    for (int i = n - 1; i >= 0; i--) {
        clseq_rnn_backward_args args = rnn_pieces_backward_args(run, first[i], first[i + 1] - first[i]);
        if (i < n - 1)
            args.dfinal = h.places[(i + 1) % 2];
        if (i > 0)
            args.dinitial = h.places[i % 2];
        if (first[i] >= run->c->net.T - unreached) {
            args.dy = (clseq_tensor){0};
            args.dfinal = NULL;
        }
        guarded_poison(&run->workspace);
        MUST(clseq_rnn_backward(run->plan, &run->shape, &args));
    }
    handed_destroy(run, &h);
}

void rnn_pieces_run(rnn_run *run, const rnn_pieces *pieces)
{
    int first[128];
    const int n = cut(run, pieces, first);
    forward(run, first, n);
    backward(run, first, n, pieces->unreached);
    for (int i = RNN_DWEIGHTS; i < run->c->count; i++)
        (run->options.overwrite ? guarded_poison : guarded_zero)(&run->out[i]);
    guarded_poison(&run->workspace);
    const clseq_rnn_weight_gradients_args args = rnn_pieces_weights_args(run);
    MUST(clseq_rnn_weight_gradients(run->plan, &run->shape, &args));
}
