/*
 * Pointwise parts of the schedule gemm_step; the products are clseq_gemm's. One element (one unit of one batch
 * row) a work-item and turn. The buffers:
 *
 *   packed    the layer's weights
 *   kept      slots, states, quantities, m and statistics of all steps; backward, gradients of the parameters and of h' before
 *             its projection
 *   h         what holds state 0: in inference it may lie elsewhere
 *   scratch   gradients between two steps, walked backward
 *
 * Rows may have lengths of their own (lengths NULL: all T). From a row's end on its states are carried on
 * unchanged, so that number T holds the final ones, and its slots' gradients are 0.
 */
#define V float
#include "rnn/gemm_step.clh"

/* to[0,n) += from[0,n) */
kernel void rnn_add(long n, const global float *restrict from, long from_at, global float *restrict to,
                    long to_at)
{
    FOR_EACH(i, n)
    to[to_at + i] += from[from_at + i];
}

/* Every row of a [rows][width] matrix becomes the bias, to which the products are added. */
kernel void rnn_fill_rows(long rows, int width, const global float *restrict bias, long bias_at,
                          global float *restrict out, long out_at)
{
    FOR_EACH(i, rows * width)
    out[out_at + i] = bias[bias_at + i % width];
}

/* The feature that the token of a row of the layer's own order names; -1: none, as past the row's end. */
static inline long feature_of(const gemm_step_layer *r, long row, const global int *lengths,
                              const global int *tokens)
{
    const long t = row / r->B, b = row % r->B, end = row_end(r->T, lengths, r->lengths, b);
    const int token =
        tokens[r->tokens.at + time_of(r->tokens.reverse, t, end) * r->tokens.t + b * r->tokens.b];
    return t < end && token >= 0 && token < r->in ? token : -1;
}

/* Adds to the input's slots the columns of the packed W_ih [INPUT_COUNT*H][in] that tokens name. */
kernel void rnn_add_columns(gemm_step_layer r, const global int *restrict lengths,
                            const global int *restrict tokens, const global float *restrict packed,
                            global float *restrict kept)
{
    const long width = INPUT_COUNT * r.H;
    FOR_EACH(i, r.T * r.B * width)
    {
        const long row = i / width, j = i % width, feature = feature_of(&r, row, lengths, tokens);
        if (feature >= 0)
            kept[r.slots + (row * SLOTS + INPUT_SLOT) * r.H + j] += packed[r.w_ih + j * r.in + feature];
    }
}

/*
 * `rows` rows of dW_ih [rows][in], written or added to, whose slots' gradients lie from `slots` on: a feature's
 * column gets their sum over the steps that name it. One row of dW_ih a work-item and turn, so that each element is
 * summed in the order of the steps.
 */
kernel void rnn_sum_columns(gemm_step_layer r, long rows, const global int *restrict lengths,
                            const global int *restrict tokens, const global float *restrict kept, long slots,
                            int add, global float *restrict dw, long dw_at)
{
    FOR_EACH(j, rows)
    {
        global float *to = dw + dw_at + j * r.in;
        for (long v = 0; !add && v < r.in; v++)
            to[v] = 0.0f;
        for (long row = 0; row < r.T * r.B; row++) {
            const long feature = feature_of(&r, row, lengths, tokens);
            if (feature >= 0)
                to[feature] += kept[slots + row * SLOTS * r.H + j];
        }
    }
}

/* Copies a [T,B,F] sequence between layouts and orders; steps past a row's end become 0, were they NaN. */
kernel void rnn_copy_sequence(gemm_step_copy r, const global int *restrict lengths,
                              const global float *restrict from, global float *restrict to)
{
    FOR_EACH(i, r.T * r.B * r.F)
    {
        const long row = i / r.F, f = i % r.F, t = row / r.B, b = row % r.B;
        const long end = row_end(r.T, lengths, r.lengths, b);
        const long other = time_of(r.from.reverse != r.to.reverse, t, end);
        global float *at = to + r.to.at + t * r.to.t + b * r.to.b + f;
        const float x = t < end ? from[r.from.at + other * r.from.t + b * r.from.b + f] : 0.0f;
        *at = r.to.add ? *at + x : x;
    }
}

/* Element j of row b of y gets h of step t, or 0 past the row's end. y may be NULL. */
static inline void put_output(const gemm_step_layer *r, long t, long b, uint j, long end, float h,
                              global float *y)
{
    if (!y)
        return;
    y += r->output.at + time_of(r->output.reverse, t, end) * r->output.t + b * r->output.b + j;
    const float x = t < end ? h : 0.0f;
    *y = r->output.add ? *y + x : x;
}

/* And the gradient that it brings to a step before the row's end; 0 where dy is NULL. */
static inline float doutput_of(const gemm_step_layer *r, long t, long b, uint j, long end,
                               const global float *dy)
{
    return dy ? dy[r->output.at + time_of(r->output.reverse, t, end) * r->output.t + b * r->output.b + j]
              : 0.0f;
}

static inline void step_forward(int p, const gemm_step_layer *r, long t, const global int *lengths,
                                const global float *packed, global float *kept, global float *h,
                                global float *y)
{
    const long n = r->B * r->H;
    FOR_EACH(i, n)
    {
        const uint b = (uint)i / (uint)r->H, j = (uint)i % (uint)r->H;
        const long row = t * r->B + b, end = row_end(r->T, lengths, r->lengths, b);
        global float *slot = slots_of(r, kept, row, j);
        Unit u;
        load_unit(p, p == 0, r, t, b, j, packed, kept, h, &u);
        cell_forward(p, &u);
        for (int s = 0; s < SLOTS; s++)
            slot[s * r->H] = u.slot[s];
        for (int q = 0; q < QUANTITIES; q++)
            kept[quantity_at(r, q, row, j)] = u.quantity[q];
        for (int s = FIRST_STATE; s < STATES; s++)
            if (SET_BY(s) == p)
                ((s == 0 ? h : kept) + state_at(r, s, row, j))[r->next * n] = t < end ? u.next[s] : u.prev[s];
        if (SET_BY(0) != p)
            continue;
        if (PROJECTED) {
            kept[r->m + row * r->H + j] = u.next[0];
        } else {
            put_masked(r, t + 1, b, j, t < end ? u.next[0] : u.prev[0], kept);
            put_output(r, t, b, j, end, u.next[0], y);
        }
    }
}

/* The map of a phase at step t. */
kernel void rnn_step_forward(gemm_step_layer r, long t, int phase, const global int *restrict lengths,
                             const global float *restrict packed, global float *restrict kept,
                             global float *restrict h, global float *restrict y)
{
    for (int p = 0; p < PHASES; p++)
        if (p == phase)
            step_forward(p, &r, t, lengths, packed, kept, h, y);
}

static inline void step_backward(int p, const gemm_step_layer *r, long t, const global int *lengths,
                                 const global float *packed, global float *kept, const global float *h,
                                 const global float *dy, global float *scratch)
{
    const long n = r->B * r->H;
    const bool reads_dy = PROJECTED ? false : p == PHASES - 1;
    /* The gradient of h', or of m. */
    global float *dnext = scratch + (PROJECTED ? r->dm : r->dstates[0]);
    FOR_EACH(i, n)
    {
        const uint b = (uint)i / (uint)r->H, j = (uint)i % (uint)r->H;
        const long row = t * r->B + b, end = row_end(r->T, lengths, r->lengths, b);
        global float *slot = slots_of(r, kept, row, j);
        if (t >= end) {
            for (int s = 0; s < SLOTS; s++)
                slot[s * r->H] = 0.0f;
            continue;
        }
        global float *dparameter = kept + r->dparameters + b * PARAMETERS * r->H + j;
        Unit u;
        load_unit(p, 0, r, t, b, j, packed, kept, h, &u);
        u.d[0] = dnext[i];
        if (reads_dy)
            u.d[0] += doutput_of(r, t, b, j, end, dy);
        for (int s = 1; s < STATES; s++)
            u.d[s] = scratch[r->dstates[s] + i];
        for (int q = 0; q < QUANTITIES; q++)
            u.dquantity[q] = scratch[r->dquantities + q * n + i];
        for (int k = 0; k < PARAMETERS; k++)
            u.dparameter[k] = dparameter[k * r->H];
        cell_backward(p, &u);
        for (int s = 0; s < SLOTS; s++)
            slot[s * r->H] = u.slot[s];
        /* What the first phase leaves is of the step before; products add to it. */
        dnext[i] = p > 0 || CARRIES_H ? u.d[0] : 0.0f;
        for (int s = 1; s < STATES; s++)
            scratch[r->dstates[s] + i] = u.d[s];
        for (int q = 0; p == 0 && q < QUANTITIES; q++)
            scratch[r->dquantities + q * n + i] = 0.0f;
        for (int k = 0; k < PARAMETERS; k++)
            dparameter[k * r->H] = u.dparameter[k];
    }
}

/*
 * The map of a phase at step t, backward: activations become the gradients of their pre-activations. The scratch
 * holds, from step t+1, the gradient of h through the products and of the other states, beginning with those of the
 * final states; dy is added to it (with a projection by rnn_step_doutput). Past a row's end it stays.
 */
kernel void rnn_step_backward(gemm_step_layer r, long t, int phase, const global int *restrict lengths,
                              const global float *restrict packed, global float *restrict kept,
                              const global float *restrict h, const global float *restrict dy,
                              global float *restrict scratch)
{
    for (int p = 0; p < PHASES; p++)
        if (p == phase)
            step_backward(p, &r, t, lengths, packed, kept, h, dy, scratch);
}

#if RECURRENT_DROPOUT
/* What products read in the place of the initial h. */
kernel void rnn_mask_initial(gemm_step_layer r, global float *restrict kept, const global float *restrict h)
{
    FOR_EACH(i, r.B * r.O)
    put_masked(&r, 0, i / r.O, (uint)(i % r.O), h[r.states[0] + i], kept);
}

/* After the product backward of a step: what it left of the masked h, onto the gradient of h. */
kernel void rnn_mask_gradient(gemm_step_layer r, global float *restrict scratch)
{
    FOR_EACH(i, r.B * r.O)
    {
        global float *dh = scratch + r.dstates[0] + i;
        *dh = fma(mask_of(&r, i / r.O, (uint)(i % r.O)), scratch[r.dmasked + i], *dh);
    }
}
#endif

#if PROJECTED
/* After the projection at step t: past a row's end h is carried on. */
kernel void rnn_step_output(gemm_step_layer r, long t, const global int *restrict lengths,
                            global float *restrict kept, global float *restrict h, global float *restrict y)
{
    const long n = r.B * r.O;
    FOR_EACH(i, n)
    {
        const uint b = (uint)i / (uint)r.O, j = (uint)i % (uint)r.O;
        const long end = row_end(r.T, lengths, r.lengths, b);
        global float *state = h + r.states[0] + t * n + i;
        global float *after = state + r.next * n;
        if (t >= end)
            after[0] = state[0];
        put_masked(&r, t + 1, b, j, after[0], kept);
        put_output(&r, t, b, j, end, after[0], y);
    }
}

/* Before the projection backward at step t: the gradient of h', 0 past a row's end, is kept for dW_hr. */
kernel void rnn_step_doutput(gemm_step_layer r, long t, const global int *restrict lengths,
                             const global float *restrict dy, global float *restrict kept,
                             global float *restrict scratch)
{
    const long n = r.B * r.O;
    FOR_EACH(i, n)
    {
        const uint b = (uint)i / (uint)r.O, j = (uint)i % (uint)r.O;
        const long end = row_end(r.T, lengths, r.lengths, b);
        global float *dh = scratch + r.dstates[0] + i, *dout = kept + r.doutput + t * n + i;
        *dout = 0.0f;
        if (t < end) {
            *dout = *dh + doutput_of(&r, t, b, j, end, dy);
            *dh = 0.0f;
        }
    }
}
#endif
