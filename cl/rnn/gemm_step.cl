/*
 * Pointwise parts of the schedule gemm_step; the products are clseq_gemm's. One element (one unit of one batch
 * row) a work-item and turn.
 *
 * Layouts, row-major, offsets and strides in floats:
 *   gates   [T*B][SLOTS*H]         slot s of unit u of row r at r*SLOTS*H + s*H + u
 *   states  [STATES][T+1][B][H]    step t reads number t and writes number t+1
 *   dstate  [STATES][B][H]         gradients of the states between two steps, walked backward
 *
 * Rows may have lengths of their own (lengths NULL: all T). From a row's end on its states are carried on
 * unchanged, so that number T holds the final ones, and its gate gradients are 0.
 */
#define V float
#include "core/grid.clh"
#include "rnn/cell.clh"

/* Packed bias, one value a slot and unit: b_ih and b_hh of the gates that the slot takes; each may be NULL. */
kernel void rnn_pack_bias(int H, const global float *restrict b_ih, long b_ih_offset,
                          const global float *restrict b_hh, long b_hh_offset, global float *restrict out,
                          long out_offset)
{
    FOR_EACH(i, (long)SLOTS * H)
    {
        const int s = (int)(i / H), u = (int)(i % H);
        float sum = 0.0f;
        if (b_ih && SLOT_HAS_X(s))
            sum += b_ih[b_ih_offset + (long)X_GATE(s) * H + u];
        if (b_hh && SLOT_HAS_H(s))
            sum += b_hh[b_hh_offset + (long)H_GATE(s) * H + u];
        out[out_offset + i] = sum;
    }
}

/* Every row of a [rows][width] matrix becomes the bias, to which the products are added. */
kernel void rnn_fill_rows(long rows, int width, const global float *restrict bias, long bias_offset,
                          global float *restrict out, long out_offset)
{
    FOR_EACH(i, rows * width)
    out[out_offset + i] = bias[bias_offset + i % width];
}

/*
 * Adds to the gates the columns of the packed W_ih [GATES*H][I] that x names by number; other numbers, and steps past
 * a row's end, name none. `gates` is at the first of the input's slots.
 */
kernel void rnn_add_columns(long rows, int B, int H, int I, const global int *restrict lengths,
                            long lengths_offset, const global int *restrict numbers, long numbers_offset,
                            long x_t, long x_b, const global float *restrict w, long w_offset,
                            global float *restrict gates, long gates_offset)
{
    const long width = (long)GATES * H;
    FOR_EACH(i, rows * width)
    {
        const long row = i / width, j = i % width, t = row / B, b = row % B;
        const int number = numbers[numbers_offset + t * x_t + b * x_b];
        const bool real = !lengths || t < lengths[lengths_offset + b];
        if (real && number >= 0 && number < I)
            gates[gates_offset + row * SLOTS * H + j] += w[w_offset + j * I + number];
    }
}

/*
 * dW_ih [GATES*H][I], written or added to: a feature's column gets the sum of the gates' gradients over the rows that
 * name it. One row of dW_ih a work-item and turn, so that each element is summed in the order of the rows.
 */
kernel void rnn_sum_columns(long T, int B, int H, int I, const global int *restrict numbers,
                            long numbers_offset, long x_t, long x_b, const global float *restrict gates,
                            long gates_offset, int add, global float *restrict dw, long dw_offset)
{
    FOR_EACH(j, (long)GATES * H)
    {
        const int k = (int)(j / H), u = (int)(j % H);
        global float *to = dw + dw_offset + ((long)X_GATE(X_SLOT + k) * H + u) * I;
        for (int v = 0; !add && v < I; v++)
            to[v] = 0.0f;
        for (long row = 0; row < T * B; row++) {
            const int number = numbers[numbers_offset + row / B * x_t + row % B * x_b];
            if (number >= 0 && number < I)
                to[number] += gates[gates_offset + row * SLOTS * H + j];
        }
    }
}

/* Copies a [T,B,F] sequence between layouts; steps past a row's end become 0 whatever they held, NaN too. */
kernel void rnn_copy_sequence(long T, int B, int F, const global int *restrict lengths, long lengths_offset,
                              const global float *restrict from, long from_offset, long from_t, long from_b,
                              global float *restrict to, long to_offset, long to_t, long to_b)
{
    FOR_EACH(i, T * B * F)
    {
        const long row = i / F;
        const long f = i % F, t = row / B, b = row % B;
        const bool real = !lengths || t < lengths[lengths_offset + b];
        to[to_offset + t * to_t + b * to_b + f] =
            real ? from[from_offset + t * from_t + b * from_b + f] : 0.0f;
    }
}

/* One step forward. Offsets of gates, states (of h) and y (NULL below the last layer) are those of step t. */
kernel void rnn_step_forward(int B, int H, int t, const global int *restrict lengths, long lengths_offset,
                             global float *restrict gates, long gates_offset, global float *restrict states,
                             long states_offset, long state_stride, global float *restrict y, long y_offset,
                             long y_b)
{
    const long n = (long)B * H;
    FOR_EACH(i, n)
    {
        const uint b = (uint)i / H, u = (uint)i % H;
        const bool real = !lengths || t < lengths[lengths_offset + b];
        global float *gate = gates + gates_offset + (long)b * SLOTS * H + u;
        global float *state = states + states_offset + i;
        float slot[SLOTS], prev[STATES], next[STATES];
        for (int s = 0; s < SLOTS; s++)
            slot[s] = gate[(long)s * H];
        for (int s = 0; s < STATES; s++)
            prev[s] = state[s * state_stride];
        cell_forward(slot, prev, next);
        for (int s = 0; s < SLOTS; s++)
            gate[(long)s * H] = slot[s];
        for (int s = 0; s < STATES; s++)
            state[s * state_stride + n] = real ? next[s] : prev[s];
        if (y)
            y[y_offset + b * y_b + u] = real ? next[0] : 0.0f;
    }
}

/*
 * One step backward: the activations of step t become the gradients of their pre-activations. dstate holds, from
 * step t+1, the gradient of h through the recurrent product and of c; dy and the final states' gradients, where
 * the row ends here, are added. Afterwards it holds those of step t beside its recurrent product.
 */
kernel void rnn_step_backward(int T, int B, int H, int t, const global int *restrict lengths,
                              long lengths_offset, global float *restrict gates, long gates_offset,
                              const global float *restrict states, long states_offset, long state_stride,
                              const global float *restrict dy, long dy_offset, long dy_b,
                              const global float *restrict dfinal_h, long dfinal_h_offset,
                              const global float *restrict dfinal_c, long dfinal_c_offset,
                              global float *restrict dstate, long dstate_offset)
{
    const long n = (long)B * H;
    FOR_EACH(i, n)
    {
        const uint b = (uint)i / H, u = (uint)i % H;
        const int end = lengths ? min(lengths[lengths_offset + b], T) : T;
        global float *gate = gates + gates_offset + (long)b * SLOTS * H + u;
        if (t >= end) {
            for (int s = 0; s < SLOTS; s++)
                gate[(long)s * H] = 0.0f;
            continue;
        }
        const global float *state = states + states_offset + i;
        float slot[SLOTS], prev[STATES], next[STATES], d[STATES], dslot[SLOTS];
        for (int s = 0; s < SLOTS; s++)
            slot[s] = gate[(long)s * H];
        for (int s = 0; s < STATES; s++) {
            prev[s] = state[s * state_stride];
            next[s] = state[s * state_stride + n];
            d[s] = dstate[dstate_offset + (long)s * n + i];
        }
        if (dy)
            d[0] += dy[dy_offset + b * dy_b + u];
        if (dfinal_h && t == end - 1)
            d[0] += dfinal_h[dfinal_h_offset + i];
#if STATES > 1
        if (dfinal_c && t == end - 1)
            d[1] += dfinal_c[dfinal_c_offset + i];
#endif
        cell_backward(slot, prev, next, d, dslot);
        for (int s = 0; s < SLOTS; s++)
            gate[(long)s * H] = dslot[s];
        for (int s = CARRIES_H ? 0 : 1; s < STATES; s++)
            dstate[dstate_offset + (long)s * n + i] = d[s];
    }
}

/* Gradients of one initial state: what arrived at step 0, or, in a row without steps, the final state's own. */
kernel void rnn_dinitial(int B, int H, const global int *restrict lengths, long lengths_offset,
                         const global float *restrict dfinal, long dfinal_offset,
                         const global float *restrict dstate, long dstate_offset,
                         global float *restrict dinitial, long dinitial_offset)
{
    const long n = (long)B * H;
    FOR_EACH(i, n)
    {
        const bool empty = lengths && lengths[lengths_offset + (uint)i / H] <= 0;
        const float kept = dfinal ? dfinal[dfinal_offset + i] : 0.0f;
        dinitial[dinitial_offset + i] = empty ? kept : dstate[dstate_offset + i];
    }
}
