/*
 * The schedule team backward: all steps of a layer, the last one first; team_forward.cl tells how work is cut, and
 * team_weights.cl makes the weights' gradients of what this leaves behind.
 *
 *   steps of a team, for each chunk of time:
 *     each time step:
 *       with a projection      dh(t) = dgates(t+1) W_hh + dy(t), kept for all steps
 *       each phase, the last one first, each panel:
 *         the products         dh(t), or with a projection dm = dh(t) W_hr; for the other phases dquantity from those after
 *         the map              activations become gradients of pre-activations
 *                              db += dgates(t), sums of the block; those of parameters likewise
 *         where it has norms   steps for the means of whole rows, and for the gradients of their sources
 *     dx = dgates W_ih         one product for the whole chunk, cut into parts by panels
 *   and one for the gradients of the initial states
 *
 * Steps past a row's end have dgates 0; there the gradients of its final states have not come in yet.
 */
#define NO_TILES_3
#include "rnn/team_backward.clh"
#if NORMS > 0
#include "rnn/team_norm_backward.clh"
#endif

/* What a pass over a block works on. */
typedef struct Pass {
    Layer l;
    In packed, units;
    Chunks gates, dgates, versions, hs, states, quantities, statistics, means, dstates, dhs, dxs, dys;
    Out sums, db, dx;
    bool goes_on; /* db holds the sums of the pieces after this one */
    team_rows dx_rows;
    In dfinal[STATES];
    Out dinitial[STATES];
    Sequence dy;
} Pass;

/* Time step s of a chunk. */
static inline Step time_step(const Pass *a, int chunk, int s)
{
    const Layer *l = &a->l;
    const long at = s * l->step, d_at = TEAM ? at : 0, sums = SUM_ROWS * l->panels * VW;
    const bool is_last_of_chunk = s == l->tc - 1;
    const int later = is_last_of_chunk ? chunk + 1 : chunk, later_s = is_last_of_chunk ? 0 : s + 1;
    Step x;
    x.t = chunk * l->tc + s;
    x.activations = chunk_at(&a->gates, chunk) + at;
    x.dgates = chunk_at(&a->dgates, chunk) + at;
    x.later = x.t == l->T - 1 ? NULL : chunk_at(&a->dgates, later) + later_s * l->step;
    x.versions = chunk_at(&a->versions, chunk) + at;
    x.dstate = chunk_at(&a->dstates, chunk) + d_at;
    x.dlater = TEAM ? chunk_at(&a->dstates, later) + later_s * l->step : x.dstate;
    x.sums = a->sums + (TEAM ? ((chunk & 1) * l->tc + s) * sums : 0);
    x.sums_later = a->goes_on ? a->db : NULL;
    if (x.later)
        x.sums_later = a->sums + (TEAM ? ((later & 1) * l->tc + later_s) * sums : 0);
    x.quantities = chunk_at(&a->quantities, chunk) + at;
    x.statistics = chunk_at(&a->statistics, chunk) + s * l->rows;
    x.means = chunk_at(&a->means, chunk) + s * l->rows;
    x.dh = chunk_at(&a->dhs, chunk) + at;
    x.dy = a->dy;
    if (!x.dy.is_rows)
        x.dy.data = chunk_at(&a->dys, chunk) + at;
    for (int k = 0; k < STATES; k++) {
        x.dfinal[k] = a->dfinal[k];
        x.prev[k] = k == 0 ? chunk_at(&a->hs, chunk) + at
                           : chunk_at(&a->states, chunk) + (k - 1) * l->panels * l->state_panel + at;
    }
    return x;
}

/* Step i of those of a time step. */
static inline void step_backward(const Pass *a, const team_backward_record *r, const Step *s, int i,
                                 const Team *team, Out scratch)
{
    const Layer *l = &a->l;
    const Range panels = share_of(team, 0, l->panels);
#if PROJECTED
    if (i-- == 0)
        gather_dh(l, s, share_of(team, 0, l->h_panels), a->packed + r->w_h[0], scratch);
#endif
    UNROLL for (int phase = PHASES - 1; phase >= 0; phase--)
    {
        const int first = AFTER_PHASE(phase, STEPS);
        if (i == first)
            phase_backward(l, phase, s, panels, a->packed, r, a->units, scratch);
#if NORMS > 0
        if (HAS_NORMS(phase) && i == first + 1)
            phase_means(l, phase, s, share_of(team, 0, l->rows), a->units);
        if (HAS_NORMS(phase) && i == first + 2)
            phase_norms(l, phase, s, panels, a->units);
#endif
    }
}

/* dx of a chunk's steps for some panels: where the layer below reads it, and in rows where they are wanted. */
static inline void dx_step(const Pass *a, const team_backward_record *r, int chunk, Range panels, Out scratch)
{
    const Layer *l = &a->l;
    const int steps = steps_of(l, chunk), rows = steps * l->rows;
    In gates = chunk_at(&a->dgates, chunk) + INPUT_SLOT * l->slot;
    for (int q = panels.begin, n; q < panels.end; q += n) {
        n = take_vectors(panels.end - q, rows);
        const Slots to = slots_at(l, chunk_at(&a->dxs, chunk), q), sums = sums_of(&to, n, rows, scratch);
        multiply_back(l, INPUT_COUNT, gates, a->packed + r->w_x, q, n, false, rows, &sums);
        if (r->keeps_dx)
            keep_slots(&sums, &to, 1, n, rows);
        if (a->dx)
            store_dx(l, chunk * l->tc, steps, q, n, &sums, a->dx, a->dx_rows);
    }
}

/* The gradients of the initial states, and the sums over all steps. No group is at an earlier step any more (team.settle), where
 * pieces that go on from others read db. */
static inline void end_pass(const Pass *a, const team_backward_record *r, const Team *team, Out scratch)
{
    const Layer *l = &a->l;
    Out const *dinitial = a->dinitial;
    const Step first = time_step(a, 0, 0);
    const Range panels = share_of(team, 0, l->panels), h_panels = share_of(team, 0, l->h_panels);
    for (int p = h_panels.begin, n; dinitial[0] && p < h_panels.end; p += n) {
        n = take_vectors(h_panels.end - p, l->rows);
        const Slots in_place = {first.dstate + p * DSTATE_PANEL(l), 0, DSTATE_PANEL(l)},
                    sums = sums_of(&in_place, n, l->rows, scratch);
        recurrent_back(l, first.dgates, first.dstate, a->packed + r->w_h[0], p, n, &sums, scratch);
        for (int i = 0; i < n; i++)
            store_dinitial(l, p + i, sums.at + i * sums.panel, a->dfinal[0], l->O, dinitial[0]);
    }
    for (int k = 1; k < STATES; k++) {
        for (int p = panels.begin; dinitial[k] && p < panels.end; p++)
            store_dinitial(l, p, first.dstate + k * dstate_apart(l) + p * DSTATE_PANEL(l), a->dfinal[k], l->H,
                           dinitial[k]);
    }
    for (int k = 0; TEAM && k < SLOTS + PARAMETERS; k++) {
        for (int p = panels.begin; p < panels.end; p++)
            STORE(LOAD(first.sums + (k * l->panels + p) * VW), a->db + (k * l->panels + p) * VW);
    }
}

static inline Pass pass_of(const team_backward_record *r, Place place, In packed, In units, Ints lengths,
                           Out kept, In dy, Out work, Out dx_panels, Out dx, In const dfinal[STATES],
                           Out const dinitial[STATES])
{
    Pass a;
    a.l = layer_at(&r->sizes, &r->second, &r->values, place, lengths, r->lengths);
    a.l.first = r->first;
    const Layer *l = &a.l;
    const long block = place.block * (SLOTS + PARAMETERS) * l->panels * VW;
    kept += place.second * r->second.kept;
    Out lasting = r->in_pieces ? kept : work;
    a.packed = packed + place.second * r->second.packed_backward;
    a.units = units + r->units + place.second * r->second.packed_forward;
    a.gates = chunks_of(l, kept, r->kept.gates);
    a.dgates = TEAM ? chunks_of(l, lasting, r->dgates) : a.gates;
    a.versions = chunks_of(l, work, r->versions);
    a.hs = chunks_of(l, kept, r->kept.h);
    a.states = chunks_of(l, kept, r->kept.states);
    a.quantities = chunks_of(l, kept, r->kept.quantities);
    a.statistics = chunks_of(l, kept, r->kept.statistics);
    a.means = chunks_of(l, work, r->means);
    a.dstates = chunks_of(l, work, r->dstates);
    a.dhs = chunks_of(l, lasting, r->dh);
    a.dxs = chunks_of(l, dx_panels, r->dx_panels);
    a.dys = chunks_of(l, (Out)dy, r->dy_panels);
    a.db = lasting + r->db + block;
    a.goes_on = r->goes_on;
    a.sums = TEAM ? work + r->sums + place.block * r->sums_floats : a.db;
    a.dx = dx;
    a.dx_rows = r->dx[place.second];
    for (int k = 0; k < STATES; k++) {
        a.dfinal[k] = state_of((Out)dfinal[k], place, r->sizes.B, k == 0 ? l->O : l->H);
        a.dinitial[k] = state_of(dinitial[k], place, r->sizes.B, k == 0 ? l->O : l->H);
    }
    const team_rows dy_at = r->dy[place.second];
    const Sequence rows = {dy ? dy + dy_at.at : dy, dy_at.t, dy_at.b, VW, l->O, true},
                   panels = {a.dys.first, 0, 0, l->panel, l->h_panels * VW, false};
    a.dy = r->dy_from == TEAM_FROM_PANELS ? panels : rows;
    return a;
}

#define STATE_ARGUMENTS(s) , In dfinal_##s, Out dinitial_##s
#define STATE_FINAL(s) dfinal_##s ? dfinal_##s + r.dfinal[s] : NULL,
#define STATE_INITIAL(s) dinitial_##s ? dinitial_##s + r.dinitial[s] : NULL,

/*
 * dy: rows, or panels that the layer above left, by r.dy_from. dx: panels where r.want_dx, in the buffer `dx_panels`, and
 * rows too where `dx`, or `dx_second` of the second direction, is not NULL. kept: by forward. work: all that is the layer's
 * own; where dx goes on its way, it begins at `dx_panels`.
 */
CPU_KERNEL team_backward(team_backward_record r, In units, In packed, Ints lengths, Out kept, In dy, Out work,
                         TeamWords control, Out dx_panels, Out dx, Out dx_second EACH_STATE(STATE_ARGUMENTS))
{
    In const dfinal[STATES] = {EACH_STATE(STATE_FINAL)};
    Out const dinitial[STATES] = {EACH_STATE(STATE_INITIAL)};
    const int parts = r.want_dx ? r.sharing.parts : 0, time_steps = r.sizes.tc * BACKWARD_STEPS,
              chunk_steps = time_steps + parts;
    Team team;
    team_enter(&team, control, r.second.directions * r.sizes.blocks, r.sharing.members, r.sharing.patience);
    team.settle = chunk_steps;
    while (team_join(&team)) {
        const Place place = place_of(&team, &r.sizes);
        const long shift = place.second * r.second.work;
        const Pass a = pass_of(&r, place, packed, units, lengths, kept, dy, work + shift, dx_panels + shift,
                               place.second ? dx_second : dx, dfinal, dinitial);
        Out scratch = scratch_of(&team, &r.sharing, &r.sizes, place, work + shift);
        while (team_step(&team, a.l.chunks * chunk_steps + 1)) {
            const int chunk = a.l.chunks - 1 - team.step / chunk_steps, i = team.step % chunk_steps,
                      s = a.l.tc - 1 - i / BACKWARD_STEPS;
            team.patience = i < time_steps ? r.sharing.patience : r.sharing.chunk_patience;
            if (chunk < 0)
                end_pass(&a, &r, &team, scratch);
            else if (i >= time_steps)
                dx_step(&a, &r, chunk, part_of(&team, a.l.x_panels, i - time_steps, parts), scratch);
            else if (s < steps_of(&a.l, chunk)) {
                const Step step = time_step(&a, chunk, s);
                step_backward(&a, &r, &step, i % BACKWARD_STEPS, &team, scratch);
            }
        }
    }
}
