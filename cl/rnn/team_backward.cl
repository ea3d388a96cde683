/*
 * The schedule team backward: all steps of a layer, the last one first; team_forward.cl tells how work is cut, and
 * team_weights.cl makes the weights' gradients of what this leaves behind. The gradients of pre-activations take the
 * place of the activations.
 *
 *   each step:   dh(t) = dgates(t+1) W_hh + dy(t)
 *                with a projection:   dm = dh(t) W_hr in its place; dh is kept for all steps
 *                each phase, the last one first, each panel:   the product of the phase after, which gives dquantity, then
 *                the map's gradients in place; then those of the phase's norms, by rows
 *                db += dgates(t), sums of the block; those of parameters likewise
 *   after the first step of a chunk:   dx = dgates W_ih
 *
 * Steps past a row's end have dgates 0; there the gradients of its final states have not come in yet.
 */
#define NO_TILES_3
#include "rnn/team_product.clh"
#include "rnn/team_unit.clh"

/* The phase after; the last one has none, and takes part only in conditions that are false. */
#define AFTER(p) ((p) + 1 < PHASES ? (p) + 1 : (p))

/* Whether a phase after p reads quantity k. */
static inline bool is_read_after(int p, int k)
{
    bool is_read = false;
    for (int q = p + 1; q < PHASES; q++)
        is_read |= OF_PHASE(q, OPERAND) == k;
    return is_read;
}

/* dy in the order of time, or in panels in the order of steps; no data: none. */
typedef struct Sequence {
    In data; /* of time 0; of panels, of the step */
    long t, b, panel;
    int columns; /* that may be read */
    bool is_rows;
} Sequence;

/* What one step works on. */
typedef struct Step {
    int t;
    Out gates; /* first row of its first panel, as all of these */
    In prev[STATES];
    Out quantities, dh;
    In statistics;
    Sequence dy;
} Step;

/* What all steps work on, and what comes in at rows' ends. */
typedef struct Sums {
    Out dstate[STATES], dquantities, db;
    In dfinal[STATES];
} Sums;

/* C (+)= A W for n panels from p on, A: `count` slots. */
static inline void multiply_back(const Layer *l, int count, In a, In weights, int p, int n, bool add,
                                 int rows, Out c, long c_panel)
{
    Product x;
    x.rows = rows;
    x.k = l->H;
    x.parts = count;
    x.a = a;
    x.a_panel = l->panel;
    x.a_part = l->slot;
    x.w_part = (long)x.k * VW;
    x.w_panel = count * x.w_part;
    x.w = weights + p * x.w_panel;
    x.c = c + p * c_panel;
    x.c_panel = c_panel;
    x.add = add;
    x.bias = NULL;
    x.bias_panel = 0;
    multiply(&x, n);
}

/* What reaches panel p of h at step t, beside the products. */
static inline V outer_gradient(const Layer *l, const Step *s, const Sums *sums, int b, int end, int p, V d)
{
    if (s->t == end - 1 && sums->dfinal[0])
        d += load_part(sums->dfinal[0] + (long)(l->r0 + b) * l->O + p * VW, l->O - p * VW);
    if (s->dy.data) {
        const long row = s->dy.is_rows ? time_of(l, s->t, end) * s->dy.t + (l->r0 + b) * s->dy.b : b * VW;
        d += load_part(s->dy.data + row + p * s->dy.panel, s->dy.columns - p * VW);
    }
    return d;
}

/*
 * The map of a phase backward for one panel of units of a step: activations become dgates, dstate becomes that of the
 * step before, beside the recurrent product.
 */
static inline void apply_map_backward(const Layer *l, int phase, const Step *s, const Sums *sums, int p,
                                      In units)
{
    V parameter[AT_LEAST_ONE(PARAMETERS)], dparameter[AT_LEAST_ONE(PARAMETERS)], db[SLOTS];
    load_parameters(l, p, units, parameter);
    UNROLL for (int k = 0; k < PARAMETERS; k++) dparameter[k] = (V)(0.0f);
    UNROLL for (int k = 0; k < SLOTS; k++) db[k] = (V)(0.0f);
    for (int b = 0; b < l->rows; b++) {
        const int end = row_end(l, b);
        const long at = p * l->state_panel + b * VW, d_at = p * l->step + b * VW,
                   in_panel = p * l->panel + b * VW;
        Out g = s->gates + in_panel;
        Unit u;
        if (s->t >= end) {
            UNROLL for (int k = 0; k < SLOTS; k++) STORE((V)(0.0f), g + k * l->slot);
            continue;
        }
        UNROLL for (int k = 0; k < SLOTS; k++) u.slot[k] = LOAD(g + k * l->slot);
        UNROLL for (int k = 0; k < STATES; k++)
        {
            u.prev[k] = IS_OF_UNITS(k) ? LOAD(s->prev[k] + at) : (V)(0.0f);
            u.next[k] = IS_OF_UNITS(k) ? LOAD(s->prev[k] + l->step + at)
                                       : LOAD(s->quantities + QUANTITY_M * l->slot + in_panel);
            u.d[k] = LOAD(sums->dstate[k] + d_at);
            if (phase == PHASES - 1 && k > 0 && s->t == end - 1 && sums->dfinal[k])
                u.d[k] += load_part(sums->dfinal[k] + (long)(l->r0 + b) * l->H + p * VW, l->H - p * VW);
        }
        if (phase == PHASES - 1 && !PROJECTED)
            u.d[0] = outer_gradient(l, s, sums, b, end, p, u.d[0]);
        UNROLL for (int k = 0; k < QUANTITIES; k++)
        {
            u.quantity[k] = LOAD(s->quantities + k * l->slot + in_panel);
            u.dquantity[k] = is_read_after(phase, k)
                                 ? LOAD(sums->dquantities + k * l->panels * l->step + d_at)
                                 : (V)(0.0f);
        }
        UNROLL for (int k = 0; k < PARAMETERS; k++)
        {
            u.parameter[k] = parameter[k];
            u.dparameter[k] = dparameter[k];
        }
#if NORMS > 0
        load_statistics(l, s->statistics, b, &u);
#endif
        cell_backward(phase, &u);
        UNROLL for (int k = 0; k < PARAMETERS; k++) dparameter[k] = u.dparameter[k];
        UNROLL for (int k = 0; k < SLOTS; k++)
        {
            STORE(u.slot[k], g + k * l->slot);
            db[k] += u.slot[k];
        }
        UNROLL for (int k = phase > 0 || CARRIES_H ? 0 : 1; k < STATES; k++)
            STORE(u.d[k], sums->dstate[k] + d_at);
    }
    Out to = sums->db + p * VW;
    const long row = l->panels * VW;
    UNROLL for (int k = 0; phase == 0 && k < SLOTS; k++) STORE(LOAD(to + k * row) + db[k], to + k * row);
    to += SLOTS * row;
    UNROLL for (int k = 0; k < PARAMETERS; k++) STORE(LOAD(to + k * row) + dparameter[k], to + k * row);
}

#if NORMS > 0
/* What norm k's gradient is made of, at one panel of a row. */
static inline void load_norm(const Layer *l, int k, const Step *s, const Sums *sums, int b, int p, In units,
                             Unit *u)
{
    Out g = s->gates + p * l->panel + b * VW;
    for (int i = 0; i < OF_NORM(k, VALUES); i++) {
        u->slot[OF_NORM(k, TARGET) + i] = LOAD(g + (OF_NORM(k, TARGET) + i) * l->slot);
        if (!OF_NORM(k, IS_STATE))
            u->slot[OF_NORM(k, SOURCE) + i] = LOAD(g + (OF_NORM(k, SOURCE) + i) * l->slot);
    }
    UNROLL for (int i = 0; i < STATES; i++)
    {
        u->next[i] = IS_OF_UNITS(i) ? LOAD(s->prev[i] + l->step + p * l->state_panel + b * VW) : (V)(0.0f);
        u->d[i] = LOAD(sums->dstate[i] + p * l->step + b * VW);
    }
    load_parameters(l, p, units, u->parameter);
}

/* Norm k backward in each row: the means over the row, then its source's slots, or the gradient of the state. */
static inline void norm_rows_backward(const Layer *l, int k, const Step *s, const Sums *sums, In units)
{
    const int values = OF_NORM(k, VALUES);
    for (int b = 0; b < l->rows; b++) {
        Unit u;
        V d = (V)(0.0f), dx = (V)(0.0f);
        if (s->t >= row_end(l, b))
            continue;
        load_statistics(l, s->statistics, b, &u);
        for (int p = 0; p < l->panels; p++) {
            load_norm(l, k, s, sums, b, p, units, &u);
            for (int i = 0; i < values; i++) {
                const V one = cell_dnormalised(&u, k, i);
                d += one;
                dx = fma(one, cell_normalised(&u, k, i), dx);
            }
        }
        const V n = (V)((float)(values * l->H));
        const V mean_d = (V)(sum_of_lanes(d)) / n, mean_dx = (V)(sum_of_lanes(dx)) / n;
        for (int p = 0; p < l->panels; p++) {
            load_norm(l, k, s, sums, b, p, units, &u);
            cell_norm_backward(k, &u, mean_d, mean_dx);
            Out g = s->gates + p * l->panel + b * VW;
            for (int i = 0; !OF_NORM(k, IS_STATE) && i < values; i++)
                STORE(u.slot[OF_NORM(k, SOURCE) + i], g + (OF_NORM(k, SOURCE) + i) * l->slot);
            if (OF_NORM(k, IS_STATE))
                STORE(u.d[OF_NORM(k, SOURCE) % STATES],
                      sums->dstate[OF_NORM(k, SOURCE) % STATES] + p * l->step + b * VW);
        }
    }
}
#endif

/* dh from the step after, whose first row is `later`, for n panels from p on. */
static inline void recurrent_back(const Layer *l, In later, In weights, int p, int n, Out dh, long dh_panel)
{
    multiply_back(l, COUNT_0, later + SLOT_0 * l->slot, weights, p, n, CARRIES_H, l->rows, dh, dh_panel);
}

#if PROJECTED
/* dh of a step, whole; past a row's end zeros. */
static inline void gather_dh(const Layer *l, const Step *s, const Sums *sums, In later, In weights)
{
    for (int p = 0, n; p < l->h_panels; p += n) {
        n = take_vectors(l->h_panels - p, l->rows);
        if (later)
            recurrent_back(l, later, weights, p, n, s->dh, l->panel);
        for (int i = p; i < p + n; i++) {
            for (int b = 0; b < l->rows; b++) {
                const int end = row_end(l, b);
                Out dh = s->dh + i * l->panel + b * VW;
                const V d = later ? LOAD(dh) : (V)(0.0f);
                STORE(s->t < end ? outer_gradient(l, s, sums, b, end, i, d) : (V)(0.0f), dh);
            }
        }
    }
}

/* dm = dh W_hr for n panels from p on. */
static inline void projection_back(const Layer *l, In dh, In weights, int p, int n, Out dm)
{
    Product x;
    x.rows = l->rows;
    x.k = l->O;
    x.parts = 1;
    x.a = dh;
    x.a_panel = l->panel;
    x.a_part = x.w_part = 0;
    x.w_panel = (long)x.k * VW;
    x.w = weights + p * x.w_panel;
    x.c = dm + p * l->step;
    x.c_panel = l->step;
    x.add = false;
    x.bias = NULL;
    x.bias_panel = 0;
    multiply(&x, n);
}
#endif

/* One phase of a step backward. `later`: dgates of the step after; NULL at the last one. */
static inline void phase_backward(const Layer *l, int phase, const Step *s, const Sums *sums, In later,
                                  In packed, const team_backward_record *r, In units)
{
    const int after = AFTER(phase), operand = phase + 1 < PHASES ? OF_PHASE(after, OPERAND) : OPERAND_0;
    for (int done = 0, n; done < l->panels; done += n) {
        n = take_vectors(l->panels - done, l->rows);
        const int p = s->t & 1 ? l->panels - done - n : done;
        if (phase + 1 < PHASES) {
            if (operand >= 0)
                multiply_back(l, OF_PHASE(after, COUNT), s->gates + OF_PHASE(after, SLOT) * l->slot,
                              packed + r->w_h[after], p, n, is_read_after(after, operand), l->rows,
                              sums->dquantities + operand * l->panels * l->step, l->step);
        } else {
#if PROJECTED
            projection_back(l, s->dh, packed + r->w_projection, p, n, sums->dstate[0]);
#else
            if (later)
                recurrent_back(l, later, packed + r->w_h[0], p, n, sums->dstate[0], l->step);
#endif
        }
        for (int i = 0; i < n; i++)
            apply_map_backward(l, phase, s, sums, p + i, units);
    }
#if NORMS > 0
    for (int k = OF_PHASE(phase, NORM); k < OF_PHASE(phase, NORM) + OF_PHASE(phase, NORMS); k++)
        norm_rows_backward(l, k, s, sums, units);
#endif
}

/* What is left over after the first step; a row without steps passes on what came for its final state. */
static inline void store_dinitial(const Layer *l, In dstate, In dfinal, int columns, Out dinitial)
{
    for (int b = 0; b < l->rows; b++) {
        const long row = (long)(l->r0 + b) * columns;
        if (row_end(l, b) > 0) {
            row_from_panels(dstate + b * VW, l->step, columns, dinitial + row, false);
        } else {
            for (int u = 0; u < columns; u++)
                dinitial[row + u] = dfinal ? dfinal[row + u] : 0.0f;
        }
    }
}

/* dx of a chunk's steps in panels. */
static inline void multiply_dx(const Layer *l, int steps, In gates, In weights, Out dx)
{
    const int rows = steps * l->rows;
    for (int q = 0, n; q < l->x_panels; q += n) {
        n = take_vectors(l->x_panels - q, rows);
        multiply_back(l, INPUT_COUNT, gates + INPUT_SLOT * l->slot, weights, q, n, false, rows, dx, l->panel);
    }
}

static inline void store_dx(const Layer *l, int t0, int steps, In panels, Out dx, team_rows at, bool add)
{
    for (int s = 0; s < steps; s++) {
        for (int b = 0; b < l->rows; b++)
            row_from_panels(panels + s * l->step + b * VW, l->panel, l->I,
                            dx + at.at + time_of(l, t0 + s, row_end(l, b)) * at.t + (l->r0 + b) * at.b, add);
    }
}

#define STATE_ARGUMENTS(s) , In dfinal_##s, Out dinitial_##s
#define STATE_FINAL(s) dfinal_##s ? dfinal_##s + r.dfinal[s] : NULL,
#define STATE_INITIAL(s) dinitial_##s ? dinitial_##s + r.dinitial[s] : NULL,

/*
 * dy: rows, or panels that the layer above left, by r.dy_from. dx: panels where r.want_dx, in the buffer `dx_panels`, and
 * rows too where `dx` is not NULL. kept: by forward. work: dstates, dquantities, dh, db.
 */
CPU_KERNEL team_backward(team_backward_record r, In units, In packed, Ints lengths, Out kept, In dy, Out work,
                         Out dx_panels, Out dx EACH_STATE(STATE_ARGUMENTS))
{
    const Layer l = layer_of(r.sizes, get_group_id(0), lengths, r.lengths);
    Out const dinitial[STATES] = {EACH_STATE(STATE_INITIAL)};
    const Chunks gates = chunks_of(&l, kept, r.kept.gates), hs = chunks_of(&l, kept, r.kept.h),
                 states = chunks_of(&l, kept, r.kept.states),
                 quantities = chunks_of(&l, kept, r.kept.quantities),
                 statistics = chunks_of(&l, kept, r.kept.statistics), dhs = chunks_of(&l, work, r.dh),
                 dxs = chunks_of(&l, dx_panels, r.dx_panels), dys = chunks_of(&l, (Out)dy, r.dy_panels);
    const long dstate = max(l.panels, l.h_panels) * l.step;
    In const dfinal[STATES] = {EACH_STATE(STATE_FINAL)};
    Sums sums;
    Step step;
    In later = NULL; /* dgates of the step after */
    units += r.units;
    sums.dquantities = chunks_of(&l, work, r.dquantities).first;
    sums.db = work + r.db + get_group_id(0) * UNIT_ROWS * l.panels * VW;
    for (int k = 0; k < STATES; k++) {
        sums.dfinal[k] = dfinal[k];
        sums.dstate[k] = chunks_of(&l, work, r.dstates).first + k * dstate;
        for (long i = 0; i < dstate; i += VW)
            STORE((V)(0.0f), sums.dstate[k] + i);
    }
    for (int i = 0; i < UNIT_ROWS * l.panels; i++)
        STORE((V)(0.0f), sums.db + i * VW);
    step.dy = (Sequence){dy ? dy + r.dy.at : dy, r.dy.t, r.dy.b, VW, l.O, true};
    if (r.dy_from == TEAM_FROM_PANELS)
        step.dy = (Sequence){dys.first, 0, 0, l.panel, l.h_panels * VW, false};
    for (int chunk = (l.T - 1) / l.tc; chunk >= 0; chunk--) {
        const int t0 = chunk * l.tc, steps = min(l.tc, l.T - t0);
        for (int s = steps - 1; s >= 0; s--) {
            const long at = s * l.step;
            step.t = t0 + s;
            step.gates = chunk_at(&gates, chunk) + at;
            step.quantities = chunk_at(&quantities, chunk) + at;
            step.statistics = chunk_at(&statistics, chunk) + s * l.rows;
            step.dh = chunk_at(&dhs, chunk) + at;
            for (int k = 0; k < STATES; k++)
                step.prev[k] = k == 0 ? chunk_at(&hs, chunk) + at
                                      : chunk_at(&states, chunk) + (k - 1) * l.panels * l.state_panel + at;
            if (!step.dy.is_rows)
                step.dy.data = chunk_at(&dys, chunk) + at;
#if PROJECTED
            gather_dh(&l, &step, &sums, later, packed + r.w_h[0]);
#endif
            UNROLL for (int phase = PHASES - 1; phase >= 0; phase--)
                phase_backward(&l, phase, &step, &sums, later, packed, &r, units);
            later = step.gates;
        }
        if (!r.want_dx)
            continue;
        Out panels = chunk_at(&dxs, chunk);
        multiply_dx(&l, steps, chunk_at(&gates, chunk), packed + r.w_x, panels);
        if (dx)
            store_dx(&l, t0, steps, panels, dx, r.dx, r.add_dx);
    }
    for (int p = 0, n; dinitial[0] && p < l.h_panels; p += n) {
        n = take_vectors(l.h_panels - p, l.rows);
        recurrent_back(&l, later, packed + r.w_h[0], p, n, sums.dstate[0], l.step);
    }
    for (int k = 0; k < STATES; k++) {
        if (dinitial[k])
            store_dinitial(&l, sums.dstate[k], sums.dfinal[k], k == 0 ? l.O : l.H, dinitial[k]);
    }
}
