/*
 * Gradients of the weights of a layer, the last part of the schedule team's backward pass:
 *
 *   dW[gate unit][column] += the sum over all rows of dgates[row][unit] * x[row][column], for each matrix with what its
 *                            product read in the place of x: the input, h(t-1), a quantity; for the projection's m, with
 *                            dh(t) in the place of dgates
 *   biases, parameters    += the sums of the blocks of rows that made dgates, in their order
 *
 * Both operands of the products lie in column panels already (team.clh). A tile is UNITS units of one panel by up to 3
 * vectors of columns, summed over `segments` chunks before it is added to the result: so many rows of both operands stay
 * in cache. Each element of a result is summed in an order that depends on the shape alone.
 *
 * Index map: the tiles of all matrices, a row of tiles at a time, are dealt to the groups in runs of equal work; units
 * of biases and parameters likewise.
 *
 * Tunables: UNITS, which divides VW; BLOCK_TILES, rows of tiles that pass by before the next columns are taken.
 */
#include "rnn/team.clh"

#if REGISTERS >= 32
#define UNITS 8
#else
#define UNITS 4
#endif
#define BLOCK_TILES 64

#if VW % UNITS != 0
#error "UNITS of a tile: expected a divisor of VW"
#endif

/* One chunk of one block of rows: both operands. */
typedef struct Segment {
    In a, x;
    long a_panel, x_panel;
    int rows;
} Segment;

/* A matrix's gradient as the kernel works on it. */
typedef struct Gradient {
    team_sizes sizes;
    team_gradient g;
    int chunks;
    In a, x;
    Out dw;
    bool add;
} Gradient;

/* Where a tile lies: its units of a, its vectors of columns of x, and how many of both are real. */
typedef struct Tile {
    int slot, unit, vector;
    Out dw;
    int units, lanes; /* lanes: of the last vector */
} Tile;

/* Segment i: the chunks of the first block come first. The operands begin at the tile's. */
static inline Segment segment_of(const Gradient *x, const Tile *t, int i)
{
    const team_sizes *s = &x->sizes;
    const int block = i / x->chunks, chunk = i % x->chunks;
    const long r0 = s->B * (long)block / s->blocks, rows = s->B * (block + 1L) / s->blocks - r0;
    Segment y;
    y.rows = (int)(min(s->tc, s->T - chunk * s->tc) * rows);
    y.a_panel = s->tc * rows * VW;
    y.x_panel = x->g.x_steps * rows * VW;
    y.a = x->a + x->g.a.at + r0 * x->g.a.row + chunk * rows * x->g.a.chunk +
          (t->slot * PANELS(x->g.units) + t->unit / VW) * y.a_panel + t->unit % VW;
    y.x = x->x + x->g.x.at + r0 * x->g.x.row + chunk * rows * x->g.x.chunk + x->g.x_skip * rows * VW +
          (x->g.x_panel + t->vector) * y.x_panel;
    return y;
}

/*
 * Defines gradient_NV, a tile summed over segments [i, end), and store_tile_NV, which puts the sums into the result or
 * adds them. Two functions with memory between them: in one the compiler spills the sums, a fifth slower.
 */
#define GRADIENT(R, NV)                                                                                    \
    TILE_TRANSPOSED(R, NV)                                                                                 \
    static NOINLINE void gradient_##NV(const Gradient *x, const Tile *t, int i, int end, V *sums)          \
    {                                                                                                      \
        V s[R][NV];                                                                                        \
        UNROLL for (int i = 0; i < R; i++) UNROLL for (int j = 0; j < NV; j++) s[i][j] = (V)(0.0f);        \
        for (; i < end; i++) {                                                                             \
            const Segment y = segment_of(x, t, i);                                                         \
            tile_transposed_##R##_##NV(s, y.a, y.x, y.x_panel, y.rows);                                    \
        }                                                                                                  \
        UNROLL for (int i = 0; i < R; i++) UNROLL for (int j = 0; j < NV; j++) sums[i * NV + j] = s[i][j]; \
    }                                                                                                      \
                                                                                                           \
    static NOINLINE void store_tile_##NV(const Tile *t, const V *sums, long row, int add)                  \
    {                                                                                                      \
        UNROLL for (int i = 0; i < R; i++) UNROLL for (int j = 0; j < NV; j++)                             \
        {                                                                                                  \
            Out to = t->dw + i * row + j * VW;                                                             \
            const int n = j == NV - 1 ? t->lanes : VW;                                                     \
            const V sum = sums[i * NV + j];                                                                \
            if (i < t->units)                                                                              \
                store_part(add ? load_part(to, n) + sum : sum, to, n);                                     \
        }                                                                                                  \
    }
#define GRADIENTS(R) GRADIENT(R, 1) GRADIENT(R, 2) GRADIENT(R, 3)
GRADIENTS(UNITS)

/* One tile of so many vectors, from its sums to its place. */
#define TILE_OF(NV)                                   \
    do {                                              \
        gradient_##NV(x, &t, i, end, sums);           \
        store_tile_##NV(&t, sums, x->g.columns, add); \
    } while (0)

/* Rows of tiles [m0,m1), summed over segments [i, end). */
static NOINLINE void tiles(const Gradient *x, int m0, int m1, int i, int end, bool add)
{
    const int a_slot = (x->g.units + UNITS - 1) / UNITS, panels = PANELS(x->g.columns);
    const int across = (panels + 2) / 3;
    for (int j = 0; j < across; j++) {
        const int q = panels * j / across, vectors = panels * (j + 1) / across - q;
        for (int m = m0; m < m1; m++) {
            const int k = m / a_slot, u = m % a_slot * UNITS;
            Tile t;
            V sums[UNITS * 3];
            t.slot = x->g.slot + k;
            t.unit = u;
            t.vector = q;
            t.dw = x->dw + ((long)(x->g.gates >> (4 * k) & 15) * x->g.units + u) * x->g.columns + q * VW;
            t.units = min(UNITS, x->g.units - u);
            t.lanes = min(VW, x->g.columns - (q + vectors - 1) * VW);
            if (vectors == 3)
                TILE_OF(3);
            else if (vectors == 2)
                TILE_OF(2);
            else
                TILE_OF(1);
        }
    }
}

/* Rows of tiles [m0,m1) over all rows. */
static inline void gradient(const Gradient *x, int m0, int m1, int segments)
{
    const int all = x->chunks * x->sizes.blocks;
    for (int i = 0; i < all; i += segments) {
        for (int m = m0; m < m1; m += BLOCK_TILES)
            tiles(x, m, min(m + BLOCK_TILES, m1), i, min(i + segments, all), x->add || i > 0);
    }
}

/*
 * dW where x is tokens: a token's column gets the sum of dgates over the rows that name it. Index map: panels of units
 * of each gate, dealt to the groups in equal runs. sums: [columns][VW], the group's own.
 */
static inline void gradient_by_token(const Gradient *x, Ints lengths, long lengths_at, Ints tokens,
                                     team_rows at, Out sums)
{
    const long group = get_group_id(0), groups = get_num_groups(0), n = (long)x->g.count * PANELS(x->g.units);
    const int I = x->g.columns, H = x->g.units;
    for (long i = n * group / groups; i < n * (group + 1) / groups; i++) {
        const int p = (int)(i / x->g.count), k = (int)(i % x->g.count), units = min(VW, H - p * VW);
        const Tile t = {x->g.slot + k, p * VW, 0, NULL, 0, 0};
        for (int v = 0; v < I; v++)
            STORE((V)(0.0f), sums + v * VW);
        for (int j = 0; j < x->chunks * x->sizes.blocks; j++) {
            const Layer l = layer_of(x->sizes, j / x->chunks, lengths, lengths_at);
            const Segment y = segment_of(x, &t, j);
            for (int row = 0; row < y.rows; row++) {
                const int b = row % l.rows, step = j % x->chunks * l.tc + row / l.rows;
                const int token =
                    tokens[at.at + time_of(&l, step, row_end(&l, b)) * at.t + (l.r0 + b) * at.b];
                if (token < 0 || token >= I)
                    continue;
                Out sum = sums + (long)token * VW;
                STORE(LOAD(sum) + LOAD(y.a + (long)row * VW), sum);
            }
        }
        Out to = x->dw + ((long)(x->g.gates >> (4 * k) & 15) * H + p * VW) * I;
        for (int u = 0; u < units; u++, to += I) {
            for (int v = 0; v < I; v++)
                to[v] = x->add ? to[v] + sums[v * VW + u] : sums[v * VW + u];
        }
    }
}

/* One weight that is numbers of units. parts: the sums of the blocks, `rows` rows each. */
static inline void vector_gradient(const team_vector *v, const team_sizes *s, int rows, In parts, bool add,
                                   Out dw)
{
    const long group = get_group_id(0), groups = get_num_groups(0), n = (long)v->count * s->H;
    const long row = PANELS(s->H) * VW;
    for (long i = n * group / groups; i < n * (group + 1) / groups; i++) {
        const int k = (int)(i / s->H), u = (int)(i % s->H);
        In from = parts + (v->row + k) * row + u;
        Out to = dw + (v->gates >> (4 * k) & 15) * s->H + u;
        float sum = 0.0f;
        for (int j = 0; j < s->blocks; j++)
            sum += from[j * rows * row];
        *to = add ? *to + sum : sum;
    }
}

CPU_KERNEL team_weights(team_weights_record r, Ints lengths, In kept, Out work, In below, Out w0, Out w1,
                        Out w2, Out w3, Out w4, Out w5, Out w6, Out w7, Out w8, Out w9, Out w10, Out w11)
{
    Out const dw[TEAM_PARTS] = {w0, w1, w2, w3, w4, w5, w6, w7, w8, w9, w10, w11};
    In const buffers[3] = {kept, work, below};
    const long group = get_group_id(0), groups = get_num_groups(0);
    /* Work is counted in tiles of one vector. */
    long all = 0, before = 0;
    for (int i = 0; i < r.gradients; i++)
        all += r.gradient[i].by_token
                   ? 0
                   : (long)r.gradient[i].count * ((r.gradient[i].units + UNITS - 1) / UNITS) *
                         PANELS(r.gradient[i].columns);
    const long w_begin = all * group / groups, w_end = all * (group + 1) / groups;
    for (int i = 0; i < r.gradients; i++) {
        Gradient x;
        x.sizes = r.sizes;
        x.g = r.gradient[i];
        x.chunks = (r.sizes.T + r.sizes.tc - 1) / r.sizes.tc;
        x.a = buffers[x.g.a_buffer];
        x.x = buffers[x.g.x_buffer];
        x.dw = dw[x.g.part] + x.g.dw;
        x.add = r.add;
        if (x.g.by_token) {
            gradient_by_token(&x, lengths, r.lengths, (Ints)below, r.tokens,
                              work + r.by_token + group * x.g.columns * VW);
            continue;
        }
        const long rows = (long)x.g.count * ((x.g.units + UNITS - 1) / UNITS), across = PANELS(x.g.columns);
        const long m0 = clamp(w_begin - before, 0L, rows * across) / across,
                   m1 = clamp(w_end - before, 0L, rows * across) / across;
        gradient(&x, (int)m0, (int)m1, r.segments);
        before += rows * across;
    }
    for (int i = 0; i < r.vectors; i++) {
        const team_vector v = r.vector[i];
        vector_gradient(&v, &r.sizes, r.rows, buffers[r.db_buffer] + r.db, r.add, dw[v.part] + v.w);
    }
}
