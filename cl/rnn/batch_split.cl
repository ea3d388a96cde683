/*
 * The schedule batch_split for CPU devices: a whole layer over the whole sequence in one launch forward and one
 * backward. Batch rows do not depend on each other, so each work-group takes some of them through all time steps
 * and never waits for another. The equations are those of cl/rnn/cells, the layout stands in batch_split.clh.
 *
 *   forward, a chunk of steps:   gates = bias + x W_ih          one product for the whole chunk, in cache
 *     each step, each panel:     gates += h(t-1) W_hh           then at once the cell's equations, in place
 *   backward, a chunk of steps, the last one first:
 *     each step, each panel:     dh = dgates(t+1) W_hh          then at once the cell's gradients, in place
 *     after its first step:      dx = dgates W_ih
 *
 * Index map: one work-item a work-group; group g of n owns batch rows [B*g/n, B*(g+1)/n). At most B groups.
 *
 * Offsets (NAME_at) and strides count floats. NAME_chunk is how far apart the chunks of NAME lie: 0 where a pass
 * keeps nothing and each chunk takes the place of the one before.
 */
/*
 * The gates of a unit are the vectors of one product: three of them, or four, or two and two; of a single gate, panels.
 * More gates are taken as take_vectors finds them.
 */
#if GATES == 3
#define NO_TILES_1
#define NO_TILES_2
#define NO_TILES_4
#elif GATES == 4
#define NO_TILES_1
#define NO_TILES_3
#if REGISTERS >= 32
#define NO_TILES_2
#endif
#else
#define NO_TILES_3
#endif

#include "linalg/panels.clh"
#include "rnn/batch_split.clh"

/*
 * The weights of one layer in the order of the products. Units: one panel of one gate of one of the four copies
 * (two without `backward`, the last only where want_dx) each, dealt to the groups in equal runs; the first group
 * adds up the biases.
 */
static inline void pack_unit(long unit, int gates, int K, int H, In w, Out to)
{
    const int gate = gates >> (4 * (unit % GATES)) & 15;
    const int u = (int)(unit / GATES) * VW;
    pack_turned(w + ((long)gate * H + u) * K, K, K, min(VW, H - u), to + unit * K * VW);
}

static inline void pack_unit_backward(long unit, int gates, int K, int H, In w, Out to)
{
    const int gate = gates >> (4 * (unit % GATES)) & 15;
    const int column = (int)(unit / GATES) * VW;
    pack_rows(w + (long)gate * H * K + column, K, H, min(VW, K - column), to + unit * H * VW);
}

CPU_KERNEL batch_split_pack(int I, int H, int want_dx, int backward, In w_ih, long w_ih_at, In w_hh,
                            long w_hh_at, In b_ih, long b_ih_at, In b_hh, long b_hh_at, Out packed, long x_at,
                            long h_at, long dx_at, long dh_at, long bias_at)
{
    const long group = get_group_id(0), groups = get_num_groups(0);
    const long of_units = PANELS(H) * GATES, of_x = PANELS(I) * GATES;
    const long all = 2 * of_units + (want_dx ? of_x : 0) + (backward ? of_units : 0);
    w_ih += w_ih_at;
    w_hh += w_hh_at;
    for (long i = all * group / groups; i < all * (group + 1) / groups; i++) {
        long unit = i;
        if (unit < of_units)
            pack_unit(unit, X_GATES, I, H, w_ih, packed + x_at);
        else if ((unit -= of_units) < of_units)
            pack_unit(unit, H_GATES, H, H, w_hh, packed + h_at);
        else if ((unit -= of_units) < of_units)
            pack_unit_backward(unit, H_GATES, H, H, w_hh, packed + dh_at);
        else
            pack_unit_backward(unit - of_units, X_GATES, I, H, w_ih, packed + dx_at);
    }
    if (group > 0)
        return;
    for (int s = 0; s < SLOTS; s++) {
        for (int u = 0; u < PANELS(H) * VW; u++) {
            float sum = 0.0f;
            if (b_ih && u < H && SLOT_HAS_X(s))
                sum += b_ih[b_ih_at + (long)X_GATE(s) * H + u];
            if (b_hh && u < H && SLOT_HAS_H(s))
                sum += b_hh[b_hh_at + (long)H_GATE(s) * H + u];
            packed[bias_at + (long)s * PANELS(H) * VW + u] = sum;
        }
    }
}

/* Initial states (NULL: zeros) of the group's rows into the first rows of a chunk. */
static inline void load_state(const Layer *l, In initial, Out state)
{
    for (int b = l->r0; b < l->r1; b++) {
        if (initial) {
            row_to_panels(initial + (long)b * l->H, l->H, state + b * VW, l->state_panel);
        } else {
            for (int p = 0; p < l->panels; p++)
                STORE((V)(0.0f), state + p * l->state_panel + b * VW);
        }
    }
}

/* The states after a chunk's last step become those before the next chunk's first step. */
static inline void carry_state(const Layer *l, In after, Out before)
{
    for (int p = 0; p < l->panels; p++) {
        for (int b = l->r0; b < l->r1; b++)
            STORE(LOAD(after + p * l->state_panel + b * VW), before + p * l->state_panel + b * VW);
    }
}

static inline void store_state(const Layer *l, In state, Out final)
{
    for (int b = l->r0; b < l->r1; b++)
        row_from_panels(state + b * VW, l->state_panel, l->H, final + (long)b * l->H);
}

/* The group's rows of x in steps [t0, t0 + steps), into a chunk's panels. */
static inline void load_x(const Layer *l, int t0, int steps, const __global int *lengths, In x, long x_t,
                          long x_b, Out panels)
{
    for (int s = 0; s < steps; s++) {
        for (int b = l->r0; b < l->r1; b++) {
            Out to = panels + ((long)s * l->B + b) * VW;
            if (t0 + s < row_end(lengths, b, l->T)) {
                row_to_panels(x + (t0 + s) * x_t + b * x_b, l->I, to, l->gate_panel);
            } else {
                for (int q = 0; q < l->x_panels; q++)
                    STORE((V)(0.0f), to + q * l->gate_panel);
            }
        }
    }
}

/*
 * The product of x or h for `panels` unit panels from p on (one, unless the cell has a single gate), into the gates
 * from slot `slot` on. x->a, a_panel, rows, k, w, add are set; `gates` points to the first row's.
 */
static inline void multiply_gates(const Layer *l, Product *x, int slot, int p, int panels, In weights,
                                  In bias, Out gates)
{
    const long w_gate = (long)x->k * VW;
    const int vectors = GATES > 1 ? GATES : panels;
    x->parts = 1;
    x->a_part = x->w_part = 0;
    x->w_panel = w_gate;
    x->c_panel = GATES > 1 ? l->gate_slot : l->gate_panel;
    x->bias_panel = GATES > 1 ? l->panels * VW : VW;
    for (int k = 0, n; k < vectors; k += n) {
        n = GATES == 3 ? 3 : take_vectors(vectors - k, x->rows);
        x->w = weights + ((long)p * GATES + k) * w_gate;
        x->c = gates + (GATES > 1 ? slot + k : slot) * l->gate_slot + (GATES > 1 ? p : p + k) * l->gate_panel;
        x->bias = bias + ((GATES > 1 ? slot + k : slot) * l->panels + (GATES > 1 ? p : p + k)) * VW;
        multiply(x, n);
    }
}

/* How many unit panels are worked on at once, of `left` ones. */
static inline int take_panels(int left, int rows)
{
    return GATES > 1 ? 1 : take_vectors(left, rows);
}

/* gates = bias + x W_ih of all steps of a chunk; slots without x start from their bias. */
static inline void project(const Layer *l, int steps, In x, long x_panel, In weights, In bias, Out gates)
{
    const bool whole = l->r1 - l->r0 == l->B; /* then the rows of all steps follow one another */
    Product product;
    product.rows = whole ? steps * l->B : l->r1 - l->r0;
    product.k = l->I;
    product.a_panel = x_panel;
    product.add = false;
    for (int p = 0, n; p < l->panels; p += n) {
        n = take_panels(l->panels - p, product.rows);
        for (int s = 0; s < (whole ? 1 : steps); s++) {
            const long row = ((long)s * l->B + l->r0) * VW;
            product.a = x + row;
            multiply_gates(l, &product, X_SLOT, p, n, weights, bias, gates + row);
        }
    }
}

/*
 * The same for x of one feature a row that is 1, by its number: columns of W_ih in the place of products. Other
 * numbers, and steps past a row's end, name none.
 */
static inline void look_up(const Layer *l, int t0, int steps, const __global int *lengths,
                           const __global int *numbers, long x_t, long x_b, In weights, In bias, Out gates)
{
    for (int i = 0; i < l->panels * GATES; i++) {
        const int p = i / GATES, slot = X_SLOT + i % GATES;
        const V first = LOAD(bias + ((long)slot * l->panels + p) * VW);
        In columns = weights + (long)i * l->I * VW;
        Out to = gates + slot * l->gate_slot + p * l->gate_panel;
        for (int s = 0; s < steps; s++) {
            for (int b = l->r0; b < l->r1; b++) {
                const int end = row_end(lengths, b, l->T);
                const int number = t0 + s < end ? numbers[(t0 + s) * x_t + b * x_b] : -1;
                const bool known = number >= 0 && number < l->I;
                STORE(known ? first + LOAD(columns + (long)number * VW) : first,
                      to + ((long)s * l->B + b) * VW);
            }
        }
    }
}

/* Slots that take only the recurrent product start from their bias. */
static inline void start_slots(const Layer *l, int p, In bias, Out gates)
{
    UNROLL for (int s = 0; s < SLOTS; s++)
    {
        if (SLOT_HAS_X(s))
            continue;
        const V first = LOAD(bias + ((long)s * l->panels + p) * VW);
        for (int b = l->r0; b < l->r1; b++)
            STORE(first, gates + s * l->gate_slot + p * l->gate_panel + b * VW);
    }
}

/*
 * The cell's equations for one panel of units: gates of step t, states before it at prev[], after it at next[].
 * Past a row's end the states are carried on and y is 0.
 */
static inline void apply_cell(const Layer *l, int t, int p, const __global int *lengths, Out gates,
                              Out const prev[STATES], Out const next[STATES], Out y, long y_b)
{
    gates += p * l->gate_panel;
    for (int b = l->r0; b < l->r1; b++) {
        const bool real = t < row_end(lengths, b, l->T);
        const long at = p * l->state_panel + b * VW;
        Out g = gates + b * VW;
        V slot[SLOTS], before[STATES], after[STATES];
        UNROLL for (int s = 0; s < SLOTS; s++) slot[s] = LOAD(g + s * l->gate_slot);
        UNROLL for (int s = 0; s < STATES; s++) before[s] = LOAD(prev[s] + at);
        cell_forward(slot, before, after);
        UNROLL for (int s = 0; s < SLOTS; s++) STORE(slot[s], g + s * l->gate_slot);
        UNROLL for (int s = 0; s < STATES; s++) STORE(real ? after[s] : before[s], next[s] + at);
        if (y)
            store_part(real ? after[0] : (V)(0.0f), y + b * y_b + p * VW, l->H - p * VW);
    }
}

/* One step: panel by panel the recurrent product and then the cell. */
static inline void step_forward(const Layer *l, int t, const __global int *lengths, In weights, In bias,
                                Out gates, Out const prev[STATES], Out const next[STATES], Out y, long y_b)
{
    Product product;
    product.rows = l->r1 - l->r0;
    product.k = l->H;
    product.a = prev[0] + l->r0 * VW;
    product.a_panel = l->state_panel;
    product.add = true;
    for (int done = 0, n; done < l->panels; done += n) {
        n = take_panels(l->panels - done, product.rows);
        const int p = t & 1 ? l->panels - done - n : done;
        for (int i = 0; i < n; i++)
            start_slots(l, p + i, bias, gates);
        multiply_gates(l, &product, H_SLOT, p, n, weights, bias, gates + l->r0 * VW);
        for (int i = 0; i < n; i++)
            apply_cell(l, t, p + i, lengths, gates, prev, next, y, y_b);
    }
}

/*
 * A layer forward. x: row-major, to be turned into panels first, or numbers of features; where both are NULL the
 * panels are those of the layer below. y, final and initial states may be NULL.
 */
CPU_KERNEL batch_split_forward(int T, int B, int I, int H, int tc, const __global int *lengths,
                               long lengths_at, In packed, long w_x_at, long w_h_at, long bias_at, In x,
                               long x_at, const __global int *numbers, long numbers_at, long x_t, long x_b,
                               Out kept, long panels_at, long panels_chunk, long panels_panel, long gates_at,
                               long gates_chunk, long h_at, long h_chunk, long c_at, long c_chunk,
                               In initial_h, long initial_h_at, In initial_c, long initial_c_at, Out final_h,
                               long final_h_at, Out final_c, long final_c_at, Out y, long y_at, long y_t,
                               long y_b)
{
    const Layer l = layer_of(T, B, I, H, tc);
    const long step = (long)B * VW;
    Out state[2] = {kept + h_at, kept + c_at};
    const long state_chunk[2] = {h_chunk, c_chunk};
    if (lengths)
        lengths += lengths_at;
    load_state(&l, initial_h ? initial_h + initial_h_at : initial_h, state[0]);
    if (STATES > 1)
        load_state(&l, initial_c ? initial_c + initial_c_at : initial_c, state[1]);
    for (int t0 = 0, chunk = 0; t0 < T; t0 += tc, chunk++) {
        const int steps = min(tc, T - t0);
        Out panels = kept + panels_at + chunk * panels_chunk, gates = kept + gates_at + chunk * gates_chunk;
        if (x)
            load_x(&l, t0, steps, lengths, x + x_at, x_t, x_b, panels);
        if (numbers)
            look_up(&l, t0, steps, lengths, numbers + numbers_at, x_t, x_b, packed + w_x_at, packed + bias_at,
                    gates);
        else
            project(&l, steps, panels, panels_panel, packed + w_x_at, packed + bias_at, gates);
        for (int s = 0; s < steps; s++) {
            Out prev[STATES], next[STATES];
            for (int k = 0; k < STATES; k++) {
                prev[k] = state[k] + s * step;
                next[k] = prev[k] + step;
            }
            step_forward(&l, t0 + s, lengths, packed + w_h_at, packed + bias_at, gates + s * step, prev, next,
                         y ? y + y_at + (t0 + s) * y_t : y, y_b);
        }
        for (int k = 0; k < STATES; k++) {
            In after = state[k] + steps * step;
            Out final = k == 0 ? final_h : final_c;
            if (t0 + steps < T)
                carry_state(&l, after, state[k] += state_chunk[k]);
            else if (final)
                store_state(&l, after, final + (k == 0 ? final_h_at : final_c_at));
        }
    }
}
