/*
 * The schedule team for CPU devices, forward: a whole layer over the whole sequence in one launch. A team of groups takes
 * a block of batch rows through all time steps and never waits for another team. The equations are those of cl/rnn/cells,
 * the layout stands in team.clh, how work is shared in team_steps.clh.
 *
 *   steps of a team, for each chunk of time:
 *     states, x          into panels
 *     the input          gates = bias + x W_ih          one product for the whole chunk, cut into parts by panels
 *     each time step, each phase:
 *       the product      gates += h(t-1) W_hh           or a quantity in the place of h
 *                        then the phase's map, at once for the panels of the product; where the phase has norms, steps
 *                        for the statistics of whole rows and for the map follow
 *       and, with a projection:    h(t) = m(t) W_hr
 *   and one for the final states
 *
 * Index map: one work-item a work-group; core/team.clh gives it a block and a share of each step.
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

#include "rnn/team_forward.clh"
#if NORMS > 0
#include "rnn/team_norm_forward.clh"
#endif

/* What a pass over a block works on. */
typedef struct Pass {
    Layer l;
    In packed, x;
    Chunks xs, gates, versions, quantities, statistics, masked, states[STATES];
    In initial[STATES];
    Out final[STATES];
    Target y;
} Pass;

static inline Pass pass_of(const team_forward_record *r, Place place, In packed, Ints lengths, In x, Out h,
                           Out kept, Out work, Out y, In const initial[STATES], Out const final[STATES])
{
    Pass a;
    a.l = layer_at(&r->sizes, &r->second, &r->values, place, lengths, r->lengths);
    a.l.first = r->first;
    h += place.second * r->second.kept;
    kept += place.second * r->second.kept;
    a.packed = packed + place.second * r->second.packed_forward;
    a.x = x;
    a.xs = chunks_of(&a.l, r->x_from == TEAM_FROM_PANELS ? (Out)x : kept, r->x_panels);
    a.gates = chunks_of(&a.l, kept, r->kept.gates);
    a.versions = TEAM ? chunks_of(&a.l, work, r->versions) : a.gates;
    a.quantities = chunks_of(&a.l, kept, r->kept.quantities);
    a.statistics = chunks_of(&a.l, kept, r->kept.statistics);
    a.masked = chunks_of(&a.l, kept, r->kept.masked);
    for (int k = 0; k < STATES; k++) {
        a.states[k] = k == 0 ? chunks_of(&a.l, h, r->kept.h) : chunks_of(&a.l, kept, r->kept.states);
        a.states[k].first += k > 1 ? (k - 1) * a.l.panels * a.l.state_panel : 0;
        a.initial[k] = state_of((Out)initial[k], place, r->sizes.B, k == 0 ? a.l.O : a.l.H);
        a.final[k] = state_of(final[k], place, r->sizes.B, k == 0 ? a.l.O : a.l.H);
    }
    const team_rows at = r->y[place.second];
    const Target target = {y ? y + at.at : y, at.t, at.b};
    a.y = target;
    return a;
}

/* The product of the input for panels [r.begin,r.end) of all steps of a chunk. */
static inline void input_step(const Pass *a, const team_forward_record *r, int chunk, Range panels,
                              Out scratch)
{
    const Layer *l = &a->l;
    const int steps = steps_of(l, chunk);
    const bool chained = r->x_from == TEAM_FROM_PANELS;
    Out to = chunk_at(&a->versions, chunk);
    if (r->x_from == TEAM_FROM_TOKENS)
        look_up(l, chunk * l->tc, steps, (Ints)a->x, r->x, panels, a->packed + r->w_x, a->packed + r->units,
                to);
    else
        project(l, steps, chunk_at(&a->xs, chunk) + (chained ? l->step : 0),
                chained ? l->state_panel : l->panel, panels, a->packed + r->w_x, a->packed + r->units, to,
                scratch);
}

/* Time step s of a chunk. */
static inline Step time_step(const Pass *a, int chunk, int s)
{
    const Layer *l = &a->l;
    const long at = s * l->step;
    Step x;
    x.t = chunk * l->tc + s;
    x.gates = chunk_at(&a->gates, chunk) + at;
    x.versions = chunk_at(&a->versions, chunk) + at;
    x.quantities = chunk_at(&a->quantities, chunk) + at;
    x.statistics = chunk_at(&a->statistics, chunk) + s * l->rows;
    x.masked = chunk_at(&a->masked, chunk) + at;
    x.masked_next = x.masked + l->step;
    for (int k = 0; k < STATES; k++) {
        x.prev[k] = chunk_at(&a->states[k], chunk) + at;
        x.next[k] = x.prev[k] + l->step;
    }
    return x;
}

/* Step i of those of a time step. */
static inline void step_forward(const Pass *a, const team_forward_record *r, const Step *s, int i,
                                const Team *team, Out scratch)
{
    const Layer *l = &a->l;
    const Range panels = share_of(team, 0, l->panels);
    In units = a->packed + r->units;
    UNROLL for (int phase = 0; phase < PHASES; phase++)
    {
        const int first = OVER_PHASES(phase, STEPS), last = OVER_PHASES(phase + 1, STEPS) - 1;
        if (HAS_NORMS(phase) && i == last)
            map_panels(l, phase, s, panels, units, &a->y);
#if NORMS > 0
        else if (HAS_NORMS(phase) && i == last - 1)
            phase_statistics(l, phase, s, share_of(team, 0, l->rows));
#endif
        else if (i == first)
            phase_products(l, phase, s, panels, a->packed + r->w_h[phase], units, &a->y, scratch);
    }
#if PROJECTED
    if (i == FORWARD_STEPS - 1)
        step_projection(l, s, share_of(team, 0, l->h_panels), a->packed + r->w_projection, &a->y, scratch);
#endif
}

/* Before the first step of a chunk: the states, and x, in panels. */
static inline void begin_chunk(const Pass *a, const team_forward_record *r, int chunk, const Team *team)
{
    const Layer *l = &a->l;
    for (int k = 0; k < STATES; k++) {
        const int columns = k == 0 ? l->O : l->H;
        const Range panels = share_of(team, 0, PANELS(columns));
        Out first = chunk_at(&a->states[k], chunk);
        const bool masks = k == 0 && MASKS_H(&l->values);
        Out masked = masks ? chunk_at(&a->masked, chunk) : NULL;
        if (chunk == 0) {
            load_state(l, panels, a->initial[k], columns, first, masked);
            continue;
        }
        carry_state(l, panels, chunk_at(&a->states[k], chunk - 1) + l->panel, first);
        if (masks)
            carry_state(l, panels, chunk_at(&a->masked, chunk - 1) + l->panel, masked);
    }
    if (r->x_from == TEAM_FROM_ROWS)
        load_x(l, chunk * l->tc, share_of(team, 0, steps_of(l, chunk)), a->x, r->x, chunk_at(&a->xs, chunk));
}

static inline void end_pass(const Pass *a, const Team *team)
{
    const Layer *l = &a->l;
    const int last = l->chunks - 1;
    for (int k = 0; k < STATES; k++) {
        const int columns = k == 0 ? l->O : l->H;
        if (a->final[k])
            store_state(l, share_of(team, 0, PANELS(columns)),
                        chunk_at(&a->states[k], last) + steps_of(l, last) * l->step, columns, a->final[k]);
    }
}

#define STATE_ARGUMENTS(s) , In initial_##s, Out final_##s
#define STATE_INITIAL(s) initial_##s ? initial_##s + r.initial[s] : NULL,
#define STATE_FINAL(s) final_##s ? final_##s + r.final[s] : NULL,

/*
 * x: rows, tokens, or what the layer below keeps of its h, by r.x_from. h is kept in a buffer of its own. work: versions
 * and scratch, of a team. y, y_second: of each direction. Lengths, y and states may be NULL.
 */
CPU_KERNEL team_forward(team_forward_record r, In packed, Ints lengths, In x, Out h, Out kept, Out work,
                        TeamWords control, Out y, Out y_second EACH_STATE(STATE_ARGUMENTS))
{
    In const initial[STATES] = {EACH_STATE(STATE_INITIAL)};
    Out const final[STATES] = {EACH_STATE(STATE_FINAL)};
    const int parts = r.sharing.parts, chunk_steps = 1 + parts + r.sizes.tc * FORWARD_STEPS;
    Team team;
    team_enter(&team, control, r.second.directions * r.sizes.blocks, r.sharing.members, r.sharing.patience);
    team.settle = chunk_steps;
    while (team_join(&team)) {
        const Place place = place_of(&team, &r.sizes);
        Out own = work + place.second * r.second.work;
        const Pass a =
            pass_of(&r, place, packed, lengths, x, h, kept, own, place.second ? y_second : y, initial, final);
        Out scratch = scratch_of(&team, &r.sharing, &r.sizes, place, own);
        while (team_step(&team, a.l.chunks * chunk_steps + 1)) {
            const int chunk = team.step / chunk_steps, i = team.step % chunk_steps - 1 - parts;
            team.patience = i < 0 ? r.sharing.chunk_patience : r.sharing.patience;
            if (chunk == a.l.chunks)
                end_pass(&a, &team);
            else if (i < -parts)
                begin_chunk(&a, &r, chunk, &team);
            else if (i < 0)
                input_step(&a, &r, chunk, part_of(&team, a.l.panels, i + parts, parts), scratch);
            else if (i / FORWARD_STEPS < steps_of(&a.l, chunk)) {
                const Step step = time_step(&a, chunk, i / FORWARD_STEPS);
                step_forward(&a, &r, &step, i % FORWARD_STEPS, &team, scratch);
            }
        }
    }
}
