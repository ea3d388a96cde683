/*
 * The schedule team for CPU devices, forward: a whole layer over the whole sequence in one launch. Each work-group takes
 * a block of batch rows through all time steps and never waits for another. The equations are those of cl/rnn/cells, the
 * layout stands in team.clh.
 *
 *   a chunk of steps:            gates = bias + x W_ih          one product for the whole chunk
 *     each step, each phase:     gates += h(t-1) W_hh           or a quantity in the place of h
 *                                then the phase's map, in place, at once for the panels of the product; where the phase
 *                                has norms, after the statistics of whole rows
 *     and, with a projection:    h(t) = m(t) W_hr
 *
 * Index map: one work-item a work-group; group g owns block of rows g.
 */
/* The numbers of slots that products of this cell have decide which tiles can occur; a single slot takes panels. */
#define HAS_PRODUCT_OF(n)                                                                                \
    (INPUT_COUNT == n || COUNT_0 == n || (PHASES > 1 && COUNT_1 == n) || (PHASES > 2 && COUNT_2 == n) || \
     (PROJECTED && n == 1))
#if !HAS_PRODUCT_OF(1)
#define NO_TILES_1
#endif
#if !HAS_PRODUCT_OF(1) && !HAS_PRODUCT_OF(2) && (REGISTERS >= 32 || !HAS_PRODUCT_OF(4))
#define NO_TILES_2
#endif
#if !HAS_PRODUCT_OF(3)
#define NO_TILES_3
#endif
#if !HAS_PRODUCT_OF(1) && !HAS_PRODUCT_OF(4)
#define NO_TILES_4
#endif

#include "linalg/panels.clh"
#include "rnn/team_product.clh"
#include "rnn/team_unit.clh"

/* What one step works on. */
typedef struct Step {
    int t;
    Out gates; /* first row of its first panel, as all of these */
    Out prev[STATES], next[STATES];
    Out quantities, statistics;
} Step;

/* Initial states (NULL: zeros) into the first rows of a chunk. */
static inline void load_state(const Layer *l, In initial, int columns, Out state)
{
    for (int b = 0; b < l->rows; b++) {
        if (initial) {
            row_to_panels(initial + (long)(l->r0 + b) * columns, columns, state + b * VW, l->state_panel);
        } else {
            for (int p = 0; p < PANELS(columns); p++)
                STORE((V)(0.0f), state + p * l->state_panel + b * VW);
        }
    }
}

/* The states after a chunk's last step become those before the next chunk's first step. */
static inline void carry_state(const Layer *l, In after, int columns, Out before)
{
    for (int p = 0; p < PANELS(columns); p++) {
        for (int b = 0; b < l->rows; b++)
            STORE(LOAD(after + p * l->state_panel + b * VW), before + p * l->state_panel + b * VW);
    }
}

static inline void store_state(const Layer *l, In state, int columns, Out final)
{
    for (int b = 0; b < l->rows; b++)
        row_from_panels(state + b * VW, l->state_panel, columns, final + (long)(l->r0 + b) * columns, false);
}

/* The block's rows of x in steps [t0, t0 + steps), into a chunk's panels. */
static inline void load_x(const Layer *l, int t0, int steps, In x, team_rows at, Out panels)
{
    for (int s = 0; s < steps; s++) {
        for (int b = 0; b < l->rows; b++) {
            const int end = row_end(l, b);
            Out to = panels + s * l->step + b * VW;
            if (t0 + s < end) {
                row_to_panels(x + at.at + time_of(l, t0 + s, end) * at.t + (l->r0 + b) * at.b, l->I, to,
                              l->panel);
            } else {
                for (int q = 0; q < l->x_panels; q++)
                    STORE((V)(0.0f), to + q * l->panel);
            }
        }
    }
}

/*
 * The product for `panels` unit panels from p on (one, unless it goes to a single slot), into `count` slots from `slot`
 * on. x->a, a_panel, rows, k, add are set; `gates` points to the first row.
 */
static inline void multiply_slots(const Layer *l, Product *x, int slot, int count, int p, int panels,
                                  In weights, In bias, Out gates)
{
    const long w_panel = (long)x->k * VW;
    const int vectors = count > 1 ? count : panels;
    x->parts = 1;
    x->a_part = x->w_part = 0;
    x->w_panel = w_panel;
    x->c_panel = count > 1 ? l->slot : l->panel;
    x->bias_panel = count > 1 ? l->panels * VW : VW;
    for (int k = 0, n; k < vectors; k += n) {
        n = count == 3 ? 3 : take_vectors(vectors - k, x->rows);
        const int s = count > 1 ? slot + k : slot, u = count > 1 ? p : p + k;
        x->w = weights + ((long)p * count + k) * w_panel;
        x->c = gates + s * l->slot + u * l->panel;
        x->bias = bias + (s * l->panels + u) * VW;
        multiply(x, n);
    }
}

/* How many unit panels a product with so many slots works on at once, of `left` ones. */
static inline int take_panels(int count, int left, int rows)
{
    return count == 1 ? take_vectors(left, rows) : 1;
}

/* gates = bias + x W_ih of all steps of a chunk. */
static inline void project(const Layer *l, int steps, In x, long x_panel, In weights, In units, Out gates)
{
    Product product;
    product.rows = steps * l->rows;
    product.k = l->I;
    product.a = x;
    product.a_panel = x_panel;
    product.add = false;
    for (int p = 0, n; p < l->panels; p += n) {
        n = take_panels(INPUT_COUNT, l->panels - p, product.rows);
        multiply_slots(l, &product, INPUT_SLOT, INPUT_COUNT, p, n, weights, units, gates);
    }
}

/*
 * The same for x of one feature a row that is 1, by its number: columns of W_ih in the place of products. Other
 * numbers, and steps past a row's end, name none.
 */
static inline void look_up(const Layer *l, int t0, int steps, Ints tokens, team_rows at, In weights, In units,
                           Out gates)
{
    for (int i = 0; i < l->panels * INPUT_COUNT; i++) {
        const int p = i / INPUT_COUNT, slot = INPUT_SLOT + i % INPUT_COUNT;
        const V first = LOAD(units + (slot * l->panels + p) * VW);
        In columns = weights + (long)i * l->I * VW;
        Out to = gates + slot * l->slot + p * l->panel;
        for (int s = 0; s < steps; s++) {
            for (int b = 0; b < l->rows; b++) {
                const int end = row_end(l, b), t = time_of(l, t0 + s, end);
                const int token = t < end ? tokens[at.at + t * at.t + (l->r0 + b) * at.b] : -1;
                const bool known = token >= 0 && token < l->I;
                STORE(known ? first + LOAD(columns + (long)token * VW) : first, to + s * l->step + b * VW);
            }
        }
    }
}

/* Slots that take no product of the input start from their bias. */
static inline void start_slots(const Layer *l, int p, In units, Out gates)
{
    UNROLL for (int s = 0; s < SLOTS; s++)
    {
        if (TAKES_INPUT(s))
            continue;
        const V first = LOAD(units + (s * l->panels + p) * VW);
        for (int b = 0; b < l->rows; b++)
            STORE(first, gates + s * l->slot + p * l->panel + b * VW);
    }
}

/* Where the rows of y are; no data: not wanted. */
typedef struct Target {
    Out data;
    long t, b;
    bool add;
} Target;

/* Columns [column, ..) of y in row b at step t: zeros past the row's end. */
static inline void store_y(const Layer *l, const Target *y, int t, int b, int end, int column, V h)
{
    Out to = y->data + time_of(l, t, end) * y->t + (l->r0 + b) * y->b + column;
    const V value = t < end ? h : (V)(0.0f);
    store_part(y->add ? load_part(to, l->O - column) + value : value, to, l->O - column);
}

/*
 * The map of a phase for one panel of units. Past a row's end the states are carried on.
 */
static inline void apply_map(const Layer *l, int phase, const Step *s, int p, In units, const Target *y)
{
    V parameter[AT_LEAST_ONE(PARAMETERS)];
    load_parameters(l, p, units, parameter);
    for (int b = 0; b < l->rows; b++) {
        const int end = row_end(l, b);
        const bool real = s->t < end;
        const long at = p * l->state_panel + b * VW, in_panel = p * l->panel + b * VW;
        Out g = s->gates + in_panel, q = s->quantities + in_panel;
        V before[STATES];
        Unit u;
        UNROLL for (int k = 0; k < SLOTS; k++) u.slot[k] = LOAD(g + k * l->slot);
        UNROLL for (int k = 0; k < STATES; k++)
        {
            before[k] = IS_OF_UNITS(k) ? LOAD(s->prev[k] + at) : (V)(0.0f);
            u.prev[k] = before[k];
            u.next[k] = phase == 0        ? before[k]
                        : !IS_OF_UNITS(k) ? LOAD(q + QUANTITY_M * l->slot)
                                          : LOAD(s->next[k] + at);
        }
        UNROLL for (int k = 0; k < QUANTITIES; k++) u.quantity[k] =
            phase == 0 ? (V)(0.0f) : LOAD(q + k * l->slot);
        UNROLL for (int k = 0; k < PARAMETERS; k++) u.parameter[k] = parameter[k];
#if NORMS > 0
        load_statistics(l, s->statistics, b, &u);
#endif
        cell_forward(phase, &u);
        UNROLL for (int k = 0; k < SLOTS; k++) STORE(u.slot[k], g + k * l->slot);
        UNROLL for (int k = 0; k < QUANTITIES; k++) STORE(u.quantity[k], q + k * l->slot);
        UNROLL for (int k = 0; k < STATES; k++)
        {
            if (IS_OF_UNITS(k))
                STORE(real ? u.next[k] : before[k], s->next[k] + at);
            else
                STORE(u.next[k], q + QUANTITY_M * l->slot);
        }
        if (!PROJECTED && phase == PHASES - 1 && y->data)
            store_y(l, y, s->t, b, end, p * VW, u.next[0]);
    }
}

#if NORMS > 0
/* The first n lanes, and zeros. */
static inline V first_lanes(V v, int n)
{
    float lanes[VW];
    if (n >= VW)
        return v;
    STORE(v, lanes);
    for (int i = n; i < VW; i++)
        lanes[i] = 0.0f;
    return LOAD(lanes);
}

/* Mean and 1 / standard deviation of norm k's source in each row, in two passes over it. */
static inline void norm_rows(const Layer *l, int k, const Step *s)
{
    const long norm = (long)l->tc * l->rows;
    const int values = OF_NORM(k, VALUES), source = OF_NORM(k, SOURCE);
    const bool is_state = OF_NORM(k, IS_STATE);
    const long panel = is_state ? l->state_panel : l->panel;
    for (int b = 0; b < l->rows; b++) {
        In first = (is_state ? s->next[source % STATES] : s->gates + source * l->slot) + b * VW;
        V sum = (V)(0.0f), squares = (V)(0.0f);
        for (int i = 0; i < values; i++) {
            for (int p = 0; p < l->panels; p++)
                sum += load_part(first + i * l->slot + p * panel, l->H - p * VW);
        }
        const float mean = sum_of_lanes(sum) / (float)(values * l->H);
        for (int i = 0; i < values; i++) {
            for (int p = 0; p < l->panels; p++) {
                const V d = first_lanes(LOAD(first + i * l->slot + p * panel) - mean, l->H - p * VW);
                squares = fma(d, d, squares);
            }
        }
        s->statistics[2 * k * norm + b] = mean;
        s->statistics[(2 * k + 1) * norm + b] =
            1.0f / sqrt(sum_of_lanes(squares) / (float)(values * l->H) + NORM_EPSILON);
    }
}
#endif

/* One phase of a step: panel by panel the product and then the map, or one after the other. */
static inline void step_phase(const Layer *l, int phase, const Step *s, In weights, In units, const Target *y)
{
    const int operand = OF_PHASE(phase, OPERAND), count = OF_PHASE(phase, COUNT);
    const bool has_norms = OF_PHASE(phase, NORMS) > 0;
    Product product;
    product.rows = l->rows;
    product.k = operand < 0 ? l->O : l->H;
    product.a = operand < 0 ? s->prev[0] : s->quantities + operand * l->slot;
    product.a_panel = operand < 0 ? l->state_panel : l->panel;
    product.add = true;
    for (int done = 0, n; done < l->panels; done += n) {
        n = operand > -2 ? take_panels(count, l->panels - done, product.rows) : 1;
        const int p = s->t & 1 ? l->panels - done - n : done;
        for (int i = 0; phase == 0 && i < n; i++)
            start_slots(l, p + i, units, s->gates);
        if (operand > -2)
            multiply_slots(l, &product, OF_PHASE(phase, SLOT), count, p, n, weights, units, s->gates);
        for (int i = 0; !has_norms && i < n; i++)
            apply_map(l, phase, s, p + i, units, y);
    }
#if NORMS > 0
    for (int k = OF_PHASE(phase, NORM); k < OF_PHASE(phase, NORM) + OF_PHASE(phase, NORMS); k++)
        norm_rows(l, k, s);
    for (int p = 0; has_norms && p < l->panels; p++)
        apply_map(l, phase, s, p, units, y);
#endif
}

#if PROJECTED
/* h = m W_hr, and what stands in y; past a row's end h is carried on. */
static inline void step_projection(const Layer *l, const Step *s, In weights, const Target *y)
{
    Product x;
    x.rows = l->rows;
    x.k = l->H;
    x.parts = 1;
    x.a = s->quantities + QUANTITY_M * l->slot;
    x.a_panel = l->panel;
    x.a_part = x.w_part = 0;
    x.w_panel = (long)l->H * VW;
    x.c_panel = l->state_panel;
    x.add = false;
    x.bias = NULL;
    x.bias_panel = 0;
    for (int done = 0, n; done < l->h_panels; done += n) {
        n = take_vectors(l->h_panels - done, x.rows);
        const int p = s->t & 1 ? l->h_panels - done - n : done;
        x.w = weights + p * x.w_panel;
        x.c = s->next[0] + p * x.c_panel;
        multiply(&x, n);
        for (int i = p; i < p + n; i++) {
            for (int b = 0; b < l->rows; b++) {
                const int end = row_end(l, b);
                const long at = i * l->state_panel + b * VW;
                if (s->t >= end)
                    STORE(LOAD(s->prev[0] + at), s->next[0] + at);
                if (y->data)
                    store_y(l, y, s->t, b, end, i * VW, LOAD(s->next[0] + at));
            }
        }
    }
}
#endif

/* All phases of a step. w_h: the phases' weights. */
static inline void step_forward(const Layer *l, const Step *s, In packed, const team_forward_record *r,
                                const Target *y)
{
    UNROLL for (int phase = 0; phase < PHASES; phase++)
        step_phase(l, phase, s, packed + r->w_h[phase], packed + r->units, y);
#if PROJECTED
    step_projection(l, s, packed + r->w_projection, y);
#endif
}

#define STATE_ARGUMENTS(s) , In initial_##s, Out final_##s
#define STATE_INITIAL(s) initial_##s ? initial_##s + r.initial[s] : NULL,
#define STATE_FINAL(s) final_##s ? final_##s + r.final[s] : NULL,

/*
 * x: rows, tokens, or what the layer below keeps of its h, by r.x_from. h is kept in a buffer of its own. Lengths, y and
 * states may be NULL.
 */
CPU_KERNEL team_forward(team_forward_record r, In packed, Ints lengths, In x, Out h, Out kept,
                        Out y EACH_STATE(STATE_ARGUMENTS))
{
    const Layer l = layer_of(r.sizes, get_group_id(0), lengths, r.lengths);
    In const initial[STATES] = {EACH_STATE(STATE_INITIAL)};
    Out const final[STATES] = {EACH_STATE(STATE_FINAL)};
    const bool chained = r.x_from == TEAM_FROM_PANELS;
    const Target target = {y ? y + r.y.at : y, r.y.t, r.y.b, r.add_y};
    const Chunks xs = chunks_of(&l, chained ? (Out)x : kept, r.x_panels),
                 gates = chunks_of(&l, kept, r.kept.gates),
                 quantities = chunks_of(&l, kept, r.kept.quantities),
                 statistics = chunks_of(&l, kept, r.kept.statistics);
    Chunks states[STATES];
    for (int k = 0; k < STATES; k++) {
        states[k] = k == 0 ? chunks_of(&l, h, r.kept.h) : chunks_of(&l, kept, r.kept.states);
        states[k].first += k > 1 ? (k - 1) * l.panels * l.state_panel : 0;
        load_state(&l, initial[k], k == 0 ? l.O : l.H, states[k].first);
    }
    for (int t0 = 0, chunk = 0; t0 < l.T; t0 += l.tc, chunk++) {
        const int steps = min(l.tc, l.T - t0);
        Step step;
        step.gates = chunk_at(&gates, chunk);
        step.quantities = chunk_at(&quantities, chunk);
        step.statistics = chunk_at(&statistics, chunk);
        Out panels = chunk_at(&xs, chunk);
        if (r.x_from == TEAM_FROM_ROWS)
            load_x(&l, t0, steps, x, r.x, panels);
        if (r.x_from == TEAM_FROM_TOKENS)
            look_up(&l, t0, steps, (Ints)x, r.x, packed + r.w_x, packed + r.units, step.gates);
        else
            project(&l, steps, panels + (chained ? l.step : 0), chained ? l.state_panel : l.panel,
                    packed + r.w_x, packed + r.units, step.gates);
        for (int k = 0; k < STATES; k++)
            step.prev[k] = chunk_at(&states[k], chunk);
        for (int s = 0; s < steps; s++) {
            step.t = t0 + s;
            for (int k = 0; k < STATES; k++)
                step.next[k] = step.prev[k] + l.step;
            step_forward(&l, &step, packed, &r, &target);
            step.gates += l.step;
            step.quantities += l.step;
            step.statistics += l.rows;
            for (int k = 0; k < STATES; k++)
                step.prev[k] = step.next[k];
        }
        for (int k = 0; k < STATES; k++) {
            const int columns = k == 0 ? l.O : l.H;
            if (t0 + steps < l.T)
                carry_state(&l, step.prev[k], columns, chunk_at(&states[k], chunk + 1));
            else if (final[k])
                store_state(&l, step.prev[k], columns, final[k]);
        }
    }
}
