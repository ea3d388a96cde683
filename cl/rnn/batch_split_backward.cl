/*
 * The backward passes of the schedule batch_split; batch_split.cl tells how it works.
 *
 * dgates(t) takes the place of the activations of step t. Two launches a layer:
 *
 *   batch_split_backward, groups own batch rows:
 *     each step, the last one first, each panel:   dh = dgates(t+1) W_hh, then the cell's gradients
 *                                                  db += dgates(t), a partial sum for each group
 *     after the first step of a chunk:             dx = dgates W_ih
 *   batch_split_weights, groups own rows of the weights:
 *     dW_ih += dgates(t)^T x(t)     dW_hh += dgates(t)^T h(t-1)     both over all steps and batch rows
 *
 * Steps past a row's end have dgates 0; there the gradients of its final states have not come in yet.
 */
#define NO_TILES_3
#include "rnn/batch_split.clh"

/* A sequence of rows of some columns, row-major or in panels. NULL: none. */
typedef struct Sequence {
    In data;
    long chunk, step, row, panel; /* floats from one to the next */
    int columns;                  /* that may be read */
} Sequence;

/* What a chunk of steps works on. */
typedef struct Chunk {
    Out gates;
    In state[2]; /* before its first step */
    Out dx;      /* panels */
} Chunk;

/* dh (+)= dgates W_hh for n panels from p on; `row` is that of the first batch row in `dgates`. */
static inline void multiply_back(const Layer *l, int slot, int rows, In dgates, In weights, int p, int n,
                                 bool add, Out c, long c_panel)
{
    Product x;
    x.rows = rows;
    x.k = l->H;
    x.parts = GATES;
    x.a = dgates + slot * l->gate_slot;
    x.a_panel = l->gate_panel;
    x.a_part = l->gate_slot;
    x.w_part = (long)l->H * VW;
    x.w_panel = GATES * x.w_part;
    x.w = weights + p * x.w_panel;
    x.c = c + p * c_panel;
    x.c_panel = c_panel;
    x.add = add;
    x.bias = NULL;
    x.bias_panel = 0;
    multiply(&x, n);
}

/*
 * The cell's gradients for one panel of units of step t: activations become dgates, dstate becomes that of the
 * step before, beside the recurrent product. `dy` is NULL or the step's first row.
 */
static inline void apply_cell_backward(const Layer *l, int t, int p, const __global int *lengths, Out gates,
                                       In const prev[STATES], const Sequence *dy, In dy_step,
                                       In const dfinal[2], Out const dstate[2], Out db)
{
    const long step = (long)l->B * VW;
    V sum[SLOTS];
    gates += p * l->gate_panel;
    UNROLL for (int s = 0; s < SLOTS; s++) sum[s] = (V)(0.0f);
    for (int b = l->r0; b < l->r1; b++) {
        const int end = row_end(lengths, b, l->T), left = l->H - p * VW;
        const long at = p * l->state_panel + b * VW, d_at = p * step + b * VW;
        Out g = gates + b * VW;
        if (t >= end) {
            UNROLL for (int s = 0; s < SLOTS; s++) STORE((V)(0.0f), g + s * l->gate_slot);
            continue;
        }
        V slot[SLOTS], dslot[SLOTS], before[STATES], after[STATES], d[STATES];
        UNROLL for (int s = 0; s < SLOTS; s++) slot[s] = LOAD(g + s * l->gate_slot);
        UNROLL for (int s = 0; s < STATES; s++)
        {
            before[s] = LOAD(prev[s] + at);
            after[s] = LOAD(prev[s] + step + at);
            d[s] = LOAD(dstate[s] + d_at);
            if (t == end - 1 && dfinal[s])
                d[s] += load_part(dfinal[s] + (long)b * l->H + p * VW, left);
        }
        if (dy_step)
            d[0] += load_part(dy_step + b * dy->row + p * dy->panel, dy->columns - p * VW);
        cell_backward(slot, before, after, d, dslot);
        UNROLL for (int s = 0; s < SLOTS; s++)
        {
            STORE(dslot[s], g + s * l->gate_slot);
            sum[s] += dslot[s];
        }
        UNROLL for (int s = CARRIES_H ? 0 : 1; s < STATES; s++) STORE(d[s], dstate[s] + d_at);
    }
    UNROLL for (int s = 0; s < SLOTS; s++)
    {
        Out sums = db + ((long)s * l->panels + p) * VW;
        STORE(LOAD(sums) + sum[s], sums);
    }
}

/* dx of a chunk's steps in panels. */
static inline void multiply_dx(const Layer *l, int steps, In dgates, In weights, Out dx)
{
    const bool whole = l->r1 - l->r0 == l->B;
    const int rows = whole ? steps * l->B : l->r1 - l->r0;
    for (int q = 0, n; q < l->x_panels; q += n) {
        n = take_vectors(l->x_panels - q, rows);
        for (int s = 0; s < (whole ? 1 : steps); s++) {
            const long row = ((long)s * l->B + l->r0) * VW;
            multiply_back(l, X_SLOT, rows, dgates + row, weights, q, n, false, dx + row, l->gate_panel);
        }
    }
}

/* What is left over after the first step; a row without steps passes on what came for its final state. */
static inline void store_dinitial(const Layer *l, const __global int *lengths, In dstate, In dfinal,
                                  Out dinitial)
{
    const long step = (long)l->B * VW;
    for (int b = l->r0; b < l->r1; b++) {
        Out to = dinitial + (long)b * l->H;
        if (row_end(lengths, b, l->T) > 0) {
            row_from_panels(dstate + b * VW, step, l->H, to);
        } else {
            for (int u = 0; u < l->H; u++)
                to[u] = dfinal ? dfinal[(long)b * l->H + u] : 0.0f;
        }
    }
}

static inline void clear(const Layer *l, Out dstate)
{
    for (int p = 0; p < l->panels; p++) {
        for (int b = l->r0; b < l->r1; b++)
            STORE((V)(0.0f), dstate + ((long)p * l->B + b) * VW);
    }
}

/*
 * A layer backward. dy: row-major or panels, by its strides; dx: panels always, and row-major too where `dx` is
 * not NULL; neither without `want_dx`. Scratch: dh, dc [panel][B][VW], db [group][slot][panel][VW].
 */
CPU_KERNEL batch_split_backward(int T, int B, int I, int H, int tc, const __global int *lengths,
                                long lengths_at, In packed, long w_x_at, long w_h_at, Out kept, long gates_at,
                                long h_at, long c_at, In dy, long dy_at, long dy_chunk, long dy_step,
                                long dy_row, long dy_panel, int dy_columns, In dfinal_h, long dfinal_h_at,
                                In dfinal_c, long dfinal_c_at, Out dinitial_h, long dinitial_h_at,
                                Out dinitial_c, long dinitial_c_at, Out scratch, long dh_at, long dc_at,
                                long db_at, int want_dx, long dx_panels_at, long dx_chunk, Out dx, long dx_at,
                                long dx_t, long dx_b)
{
    const Layer l = layer_of(T, B, I, H, tc);
    const int rows = l.r1 - l.r0;
    const long step = (long)B * VW, first = l.r0 * VW;
    Out const dstate[2] = {scratch + dh_at, scratch + dc_at};
    Out const db = scratch + db_at + get_group_id(0) * SLOTS * l.panels * VW;
    In const dfinal[2] = {dfinal_h ? dfinal_h + dfinal_h_at : NULL, dfinal_c ? dfinal_c + dfinal_c_at : NULL};
    const Sequence dys = {dy, dy_chunk, dy_step, dy_row, dy_panel, dy_columns};
    In later = NULL; /* dgates of the step after */
    if (lengths)
        lengths += lengths_at;
    for (int i = 0; i < SLOTS * l.panels; i++)
        STORE((V)(0.0f), db + i * VW);
    for (int s = 0; s < STATES; s++)
        clear(&l, dstate[s]);
    for (int chunk = (T - 1) / tc; chunk >= 0; chunk--) {
        const int t0 = chunk * tc, steps = min(tc, T - t0);
        Out gates = kept + gates_at + chunk * (SLOTS * l.gate_slot);
        const long state_at = chunk * (l.panels * l.state_panel);
        for (int s = steps - 1; s >= 0; s--) {
            const int t = t0 + s;
            In prev[STATES];
            for (int k = 0; k < STATES; k++)
                prev[k] = kept + (k == 0 ? h_at : c_at) + state_at + s * step;
            In dy_first = dy ? dy + dy_at + chunk * dy_chunk + s * dy_step : NULL;
            for (int done = 0, n; done < l.panels; done += n) {
                n = take_vectors(l.panels - done, rows);
                const int p = t & 1 ? l.panels - done - n : done;
                if (later)
                    multiply_back(&l, H_SLOT, rows, later + first, packed + w_h_at, p, n, CARRIES_H,
                                  dstate[0] + first, step);
                for (int i = 0; i < n; i++)
                    apply_cell_backward(&l, t, p + i, lengths, gates + s * step, prev, &dys, dy_first, dfinal,
                                        dstate, db);
            }
            later = gates + s * step;
        }
        if (!want_dx)
            continue;
        Out panels = scratch + dx_panels_at + chunk * dx_chunk;
        multiply_dx(&l, steps, gates, packed + w_x_at, panels);
        for (int s = 0; dx && s < steps; s++) {
            for (int b = l.r0; b < l.r1; b++)
                row_from_panels(panels + ((long)s * B + b) * VW, l.gate_panel, I,
                                dx + dx_at + (t0 + s) * dx_t + b * dx_b);
        }
    }
    if (dinitial_h) {
        for (int p = 0, n; p < l.panels; p += n) {
            n = take_vectors(l.panels - p, rows);
            multiply_back(&l, H_SLOT, rows, later + first, packed + w_h_at, p, n, CARRIES_H,
                          dstate[0] + first, step);
        }
        store_dinitial(&l, lengths, dstate[0], dfinal[0], dinitial_h + dinitial_h_at);
    }
    if (STATES > 1 && dinitial_c)
        store_dinitial(&l, lengths, dstate[1], dfinal[1], dinitial_c + dinitial_c_at);
}
