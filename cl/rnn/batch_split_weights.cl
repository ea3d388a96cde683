/*
 * Gradients of the parameters of a layer, the last part of the schedule batch_split's backward pass:
 *
 *   dW_ih[gate unit][column] += sum over t, b of dgates[t,b][unit] * x[t,b][column]       and so
 *   dW_hh from h(t-1) in the place of x
 *   db    [gate unit]        += the partial sums of the groups that made dgates, in their order
 *
 * Both operands of the products lie in column panels already (batch_split.clh). A tile is UNITS units of one panel
 * by up to 3 vectors of columns, summed over `block` chunks before it is added to the result: so many rows of both
 * operands stay in cache. Each element of a result is summed in an order that depends on the shape alone.
 *
 * Index map: the tiles of dW_ih, a row of tiles at a time, then those of dW_hh, are dealt to the groups in runs of
 * equal work; units of db likewise.
 *
 * Tunables: UNITS, which divides VW; BLOCK_TILES, rows of tiles that pass by before the next columns are taken.
 */
#include "rnn/batch_split.clh"

#if REGISTERS >= 32
#define UNITS 8
#else
#define UNITS 4
#endif
#define BLOCK_TILES 64

#if VW % UNITS != 0
#error "UNITS of a tile: expected a divisor of VW"
#endif

/* One product with its result: matrices in panels, chunk after chunk. */
typedef struct Gradient {
    In a; /* dgates, from the first of the slots on */
    In x;
    long x_panel, x_chunk;
    int columns, gates; /* gates: the map from slots to blocks of rows */
    Out dw;             /* [GATES * H][columns], row-major */
    bool add;
} Gradient;

/* Where a tile lies: its columns of `dw` and x, its units of dgates, and how many of both are real. */
typedef struct Tile {
    In a, x;
    Out dw;
    int units, lanes; /* lanes: of the last vector */
} Tile;

/*
 * Defines gradient_NV, a tile summed over chunks [chunk, end), and store_tile_NV, which puts the sums into the result or
 * adds them. Two functions with memory between them: in one the compiler spills the sums, a fifth slower.
 */
#define GRADIENT(R, NV)                                                                                      \
    TILE_TURNED(R, NV)                                                                                       \
    static NOINLINE void gradient_##NV(const Layer *l, const Gradient *g, const Tile *t, int chunk, int end, \
                                       V *sums)                                                              \
    {                                                                                                        \
        V s[R][NV];                                                                                          \
        UNROLL for (int i = 0; i < R; i++) UNROLL for (int j = 0; j < NV; j++) s[i][j] = (V)(0.0f);          \
        for (; chunk < end; chunk++)                                                                         \
            tile_turned_##R##_##NV(s, t->a + chunk * (SLOTS * l->gate_slot), t->x + chunk * g->x_chunk,      \
                                   g->x_panel, (long)min(l->tc, l->T - chunk * l->tc) * l->B);               \
        UNROLL for (int i = 0; i < R; i++) UNROLL for (int j = 0; j < NV; j++) sums[i * NV + j] = s[i][j];   \
    }                                                                                                        \
                                                                                                             \
    static NOINLINE void store_tile_##NV(const Tile *t, const V *sums, long row, int add)                    \
    {                                                                                                        \
        UNROLL for (int i = 0; i < R; i++) UNROLL for (int j = 0; j < NV; j++)                               \
        {                                                                                                    \
            Out to = t->dw + i * row + j * VW;                                                               \
            const int n = j == NV - 1 ? t->lanes : VW;                                                       \
            const V sum = sums[i * NV + j];                                                                  \
            if (i < t->units)                                                                                \
                store_part(add ? load_part(to, n) + sum : sum, to, n);                                       \
        }                                                                                                    \
    }
#define GRADIENTS(R) GRADIENT(R, 1) GRADIENT(R, 2) GRADIENT(R, 3)
GRADIENTS(UNITS)

/* One tile of so many vectors, from its sums to its place. */
#define TILE_OF(NV)                                 \
    do {                                            \
        gradient_##NV(l, g, &t, chunk, end, sums);  \
        store_tile_##NV(&t, sums, g->columns, add); \
    } while (0)

/* Rows of tiles [m0,m1), summed over chunks [chunk, end). */
static NOINLINE void tiles(const Layer *l, const Gradient *g, int m0, int m1, int chunk, int end, bool add)
{
    const int a_gate = (l->H + UNITS - 1) / UNITS, panels = PANELS(g->columns);
    const int across = (panels + 2) / 3;
    for (int j = 0; j < across; j++) {
        const int q = panels * j / across, vectors = panels * (j + 1) / across - q;
        for (int m = m0; m < m1; m++) {
            const int slot = m / a_gate, u = m % a_gate * UNITS;
            const int gate = g->gates >> (4 * slot) & 15;
            Tile t;
            V sums[UNITS * 3];
            t.a = g->a + slot * l->gate_slot + u / VW * l->gate_panel + u % VW;
            t.x = g->x + q * g->x_panel;
            t.dw = g->dw + ((long)gate * l->H + u) * g->columns + q * VW;
            t.units = min(UNITS, l->H - u);
            t.lanes = min(VW, g->columns - (q + vectors - 1) * VW);
            if (vectors == 3)
                TILE_OF(3);
            else if (vectors == 2)
                TILE_OF(2);
            else
                TILE_OF(1);
        }
    }
}

/* Rows of tiles [m0,m1) over the whole sequence. */
static inline void gradient(const Layer *l, const Gradient *g, int m0, int m1, int block)
{
    const int chunks = (l->T + l->tc - 1) / l->tc;
    for (int chunk = 0; chunk < chunks; chunk += block) {
        for (int m = m0; m < m1; m += BLOCK_TILES)
            tiles(l, g, m, min(m + BLOCK_TILES, m1), chunk, min(chunk + block, chunks), g->add || chunk > 0);
    }
}

/*
 * dW_ih where x is the number of a feature: that feature's column gets the sum of dgates over the rows that name it.
 * Units: one panel of one gate each, dealt to the groups in equal runs. sums: [I][VW], the group's own.
 */
static inline void gradient_by_number(const Layer *l, In gates, const __global int *numbers, long x_t,
                                      long x_b, Out sums, bool add, Out dw)
{
    const long group = get_group_id(0), groups = get_num_groups(0), n = (long)GATES * l->panels;
    for (long i = n * group / groups; i < n * (group + 1) / groups; i++) {
        const int p = (int)(i / GATES), k = (int)(i % GATES), units = min(VW, l->H - p * VW);
        for (int v = 0; v < l->I; v++)
            STORE((V)(0.0f), sums + v * VW);
        for (int t = 0; t < l->T; t++) {
            In row = gates + t / l->tc * (SLOTS * l->gate_slot) + k * l->gate_slot + p * l->gate_panel +
                     (long)(t % l->tc) * l->B * VW;
            for (int b = 0; b < l->B; b++) {
                const int number = numbers[t * x_t + b * x_b];
                Out sum = sums + (long)number * VW;
                if (number >= 0 && number < l->I)
                    STORE(LOAD(sum) + LOAD(row + b * VW), sum);
            }
        }
        Out to = dw + ((long)(X_GATES >> (4 * k) & 15) * l->H + p * VW) * l->I;
        for (int u = 0; u < units; u++, to += l->I) {
            for (int v = 0; v < l->I; v++)
                to[v] = add ? to[v] + sums[v * VW + u] : sums[v * VW + u];
        }
    }
}

/* db of the group's units, for the gates of x or h, whose first slot is `slot`. */
static inline void bias_gradient(const Layer *l, In sums, int parts, int slot, int gates, bool add, Out db)
{
    const long group = get_group_id(0), groups = get_num_groups(0), n = (long)GATES * l->H;
    const long part = (long)SLOTS * l->panels * VW;
    for (long i = n * group / groups; i < n * (group + 1) / groups; i++) {
        const int k = (int)(i / l->H), u = (int)(i % l->H);
        In from = sums + (long)(slot + k) * l->panels * VW + u;
        Out to = db + (gates >> (4 * k) & 15) * l->H + u;
        float sum = 0.0f;
        for (int j = 0; j < parts; j++)
            sum += from[j * part];
        *to = add ? *to + sum : sum;
    }
}

/*
 * Results that are NULL are not computed. `parts` groups made the partial sums of db. x is at x_at of `kept`, in
 * panels x_panel apart and chunks x_chunk apart, or, where `numbers` is not NULL, given by numbers of features.
 */
CPU_KERNEL batch_split_weights(int T, int B, int I, int H, int tc, int block, int add, In kept, long gates_at,
                               long x_at, long x_panel, long x_chunk, const __global int *numbers,
                               long numbers_at, long x_t, long x_b, long h_at, Out scratch, long db_at,
                               int parts, long by_number_at, Out dw_ih, long dw_ih_at, Out dw_hh,
                               long dw_hh_at, Out db_ih, long db_ih_at, Out db_hh, long db_hh_at)
{
    const Layer l = layer_of(T, B, I, H, tc);
    const long group = get_group_id(0), groups = get_num_groups(0);
    In gates = kept + gates_at;
    const Gradient ih = {
        gates + X_SLOT * l.gate_slot, kept + x_at, x_panel, x_chunk, I, X_GATES, dw_ih + dw_ih_at, add != 0};
    const Gradient hh = {gates + H_SLOT * l.gate_slot,
                         kept + h_at,
                         l.state_panel,
                         l.panels * l.state_panel,
                         H,
                         H_GATES,
                         dw_hh + dw_hh_at,
                         add != 0};
    /* Work is counted in tiles of one vector: m rows of tiles of dW_ih come first. */
    const long m = (long)GATES * ((H + UNITS - 1) / UNITS);
    const long of_ih = dw_ih && !numbers ? l.x_panels : 0, of_hh = dw_hh ? l.panels : 0,
               all = m * (of_ih + of_hh);
    const long w0 = all * group / groups, w1 = all * (group + 1) / groups;
    if (dw_ih && numbers)
        gradient_by_number(&l, ih.a, numbers + numbers_at, x_t, x_b, scratch + by_number_at + group * I * VW,
                           ih.add, ih.dw);
    else if (dw_ih)
        gradient(&l, &ih, (int)min(m, w0 / of_ih), (int)min(m, w1 / of_ih), block);
    if (dw_hh)
        gradient(&l, &hh, (int)(max(0L, w0 - m * of_ih) / of_hh), (int)(max(0L, w1 - m * of_ih) / of_hh),
                 block);
    if (db_ih)
        bias_gradient(&l, scratch + db_at, parts, X_SLOT, X_GATES, add != 0, db_ih + db_ih_at);
    if (db_hh)
        bias_gradient(&l, scratch + db_at, parts, H_SLOT, H_GATES, add != 0, db_hh + db_hh_at);
}
