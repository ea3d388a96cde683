/*
 * Matrix products on CPU devices:  C = alpha op(A) op(B) + beta C, row-major, for a batch of them.
 *
 * A is read in plain rows, in place. op(B) is read in column panels (panels.clh): made before by gemm_pack_b, or by
 * each work-group for itself, a block at a time, right before it is used. A transposed A is brought into plain rows in
 * the same way.
 *
 *                 n0    nc columns at a time     n1
 *               +----+----+----+----+----+----+----+
 *      op(B)    |    | a block of [kc, nc]    |    |      the block stays in the second-level cache,
 *               +----+----+----+----+----+----+----+      TILE_VECTORS panels of it at a time in a tile
 *        m0  +--+
 *            |A |   tiles of up to TILE_ROWS rows, which stay in the first-level cache for the whole block
 *        m1  +--+
 *
 * Index map: batch * gm * gn shares of work, numbered product * (gm * gn) + row part * gn + column part, dealt to the
 * work-groups in equal runs. A share is the part [m0,m1) x [n0,n1) of one product. Every element of C is summed by one
 * work-item, in an order that depends on k alone.
 *
 * Set by host/linalg/gemm_native.c: the block (mc, kc, nc) and the grid gm x gn. Scratch of a work-group: kc * nc, and
 * mc * BLOCK_ROW(kc, VW) for a transposed A.
 */
#include "linalg/gemm_blocks.h"
#include "linalg/panels.clh"
#include "linalg/tile.clh"

#define TILE_VECTORS TILE_VECTORS_OF(REGISTERS)

#if STRIP_ROWS % TILE_ROWS != 0 || STRIP_ROWS % VW != 0 || PACK_DEPTH % VW != 0
#error "STRIP_ROWS and PACK_DEPTH: expected whole tiles and vectors"
#endif

/* k rows of panels from plain rows, each row in one go, as caches like to read them. */
static inline void pack_plain(In b, long b_row, long k, long columns, Out to, long to_panel)
{
    const long whole = columns / VW * VW;
    for (long e = 0; e < k; e++, b += b_row, to += VW) {
        Out out = to;
        for (long j = 0; j < whole; j += VW, out += to_panel)
            STORE(LOAD(b + j), out);
        if (whole < columns)
            STORE(load_part(b + whole, (int)(columns - whole)), out);
    }
}

/* Panels of op(B), to_panel apart: rows [k0, k0 + k) of columns [n0, n0 + columns). */
static inline void pack_panels(int mode, In b, long b_row, long k0, long k, long n0, long columns, Out to,
                               long to_panel)
{
    if (mode == B_ROWS) {
        pack_plain(b + k0 * b_row + n0, b_row, k, columns, to, to_panel);
        return;
    }
    for (long j = 0; j < columns; j += VW, to += to_panel)
        pack_transposed(b + (n0 + j) * b_row + k0, b_row, k, (int)min(columns - j, (long)VW), to);
}

/* c = alpha s + beta c, where beta 0 does not read c; for the first `lanes` columns. */
static NOINLINE void finish_part(V s, Out c, int lanes, float alpha, float beta)
{
    V v = alpha * s;
    if (beta != 0.0f)
        v = fma((V)(beta), load_part(c, lanes), v);
    store_part(v, c, lanes);
}

static inline void finish(V s, Out c, int lanes, float alpha, float beta)
{
    if (lanes < VW) {
        finish_part(s, c, lanes, alpha, beta);
        return;
    }
    V v = alpha * s;
    if (beta != 0.0f)
        v = fma((V)(beta), LOAD(c), v);
    STORE(v, c);
}

/*
 * Defines output_tile_R_NV: the tile, and C from it; the last of the NV vectors has `lanes` columns. `volatile` keeps the
 * compiler from finding each row's address from that of the row before: that chain of additions takes as long as the
 * multiplications.
 */
#define OUTPUT_TILE(R, NV)                                                                           \
    TILE(R, NV)                                                                                      \
    static NOINLINE void output_tile_##R##_##NV(In a, long a_row, In w, long w_panel, long k, Out c, \
                                                long c_row, int lanes, float alpha, float beta)      \
    {                                                                                                \
        V s[R][NV];                                                                                  \
        In rows[R];                                                                                  \
        volatile long step = a_row;                                                                  \
        rows[0] = a;                                                                                 \
        UNROLL for (int i = 1; i < R; i++) rows[i] = rows[i - 1] + step;                             \
        UNROLL for (int i = 0; i < R; i++) UNROLL for (int j = 0; j < NV; j++) s[i][j] = (V)(0.0f);  \
        tile_rows_##R##_##NV(s, rows, VW, w, VW, w_panel, k);                                        \
        UNROLL for (int i = 0; i < R; i++) UNROLL for (int j = 0; j < NV; j++)                       \
            finish(s[i][j], c + i * c_row + j * VW, j == NV - 1 ? lanes : VW, alpha, beta);          \
    }

/* Every size of a tile that multiply_tiles() takes stands here and among its cases. */
#if TILE_ROWS != 6 || (TILE_VECTORS != 2 && TILE_VECTORS != 4)
#error "tiles of products: expected up to 6 rows and 2 or 4 vectors"
#endif
#define EACH_ROWS(X, NV) X(1, NV) X(2, NV) X(3, NV) X(4, NV) X(5, NV) X(6, NV)
EACH_ROWS(OUTPUT_TILE, 1)
EACH_ROWS(OUTPUT_TILE, 2)
#if TILE_VECTORS == 4
EACH_ROWS(OUTPUT_TILE, 4)
#endif

#define TILE_CASE(R, NV)                                                               \
    case NV * 8 + R:                                                                   \
        output_tile_##R##_##NV(a, a_row, w, w_panel, k, c, c_row, lanes, alpha, beta); \
        break;

/*
 * How many of `left` panels a tile takes: 4, 2 or 1. Tiles of 3 would take as long to compile as those of 4 and run no
 * faster than 2 and 1.
 */
static inline long take_panels(long left)
{
    if (left >= TILE_VECTORS)
        return TILE_VECTORS;
    return left >= 2 ? 2 : 1;
}

/* C[rows, columns] from rows of A and a block of op(B), in tiles of rows as equal as they can be. */
static inline void multiply_tiles(long rows, long columns, long k, In a0, long a_row, In w0, long w_panel,
                                  Out c0, long c_row, float alpha, float beta)
{
    const long panels = (columns + VW - 1) / VW;
    const long down = (rows + TILE_ROWS - 1) / TILE_ROWS;
    for (long y = 0; y < down; y++) {
        const long r0 = rows * y / down, r1 = rows * (y + 1) / down;
        In a = a0 + r0 * a_row;
        for (long p0 = 0, p1; p0 < panels; p0 = p1) {
            const long vectors = take_panels(panels - p0);
            p1 = p0 + vectors;
            const int lanes = (int)(min(columns, p1 * VW) - (p1 - 1) * VW);
            In w = w0 + p0 * w_panel;
            Out c = c0 + r0 * c_row + p0 * VW;
            switch (vectors * 8 + r1 - r0) {
                EACH_ROWS(TILE_CASE, 1)
                EACH_ROWS(TILE_CASE, 2)
#if TILE_VECTORS == 4
                EACH_ROWS(TILE_CASE, 4)
#endif
            }
        }
    }
}

/* op(A) [rows,k] into plain rows, from A stored as [k,rows]; filled up with zeros to a multiple of VW. */
static inline void transpose_rows(In a, long a_row, long rows, long k, Out to, long to_row)
{
    for (long e = 0; e < k; e += VW) {
        for (long r = 0; r < rows; r += VW) {
            In from = a + e * a_row + r;
            Out out = to + r * to_row + e;
            if (rows - r >= VW && k - e >= VW)
                transpose_block(from, a_row, VW, VW, out, to_row);
            else
                transpose_block(from, a_row, (int)min(k - e, (long)VW), (int)min(rows - r, (long)VW), out,
                                to_row);
        }
    }
}

/* One product of the batch, and where this work-group puts what it packs. */
typedef struct product {
    In a, b;
    Out c, a_block, b_block;
    long a_row, b_row, c_row, a_block_row, k;
    int a_mode, b_mode;
    float alpha, beta;
} product;

/* A block: rows from i, columns from j, the part of the sum from e on. */
typedef struct block {
    long i, rows, j, columns, e, depth;
    bool transpose; /* A has to be transposed for this block, and is there for those that follow */
} block;

static inline void multiply_block(const product *x, const block *at)
{
    In w = x->b + at->j * x->k + at->e * VW;
    long w_panel = x->k * VW;
    if (x->b_mode != B_PACKED) {
        pack_panels(x->b_mode, x->b, x->b_row, at->e, at->depth, at->j, at->columns, x->b_block,
                    at->depth * VW);
        w = x->b_block;
        w_panel = at->depth * VW;
    }
    const bool transposed = x->a_mode == A_TRANSPOSED;
    const long a_row = transposed ? x->a_block_row : x->a_row, step = transposed ? STRIP_ROWS : at->rows;
    for (long r = 0; r < at->rows; r += step) {
        const long rows = min(step, at->rows - r);
        In a = transposed ? x->a_block + r * a_row : x->a + (at->i + r) * a_row + at->e;
        if (at->transpose)
            transpose_rows(x->a + at->e * x->a_row + at->i + r, x->a_row, rows, at->depth,
                           x->a_block + r * a_row, a_row);
        multiply_tiles(rows, at->columns, at->depth, a, a_row, w, w_panel,
                       x->c + (at->i + r) * x->c_row + at->j, x->c_row, x->alpha,
                       at->e == 0 ? x->beta : 1.0f);
    }
}

CPU_KERNEL gemm_product(long m, long n, long k, long batch, float alpha, float beta, int a_mode, In a,
                        long a_offset, long a_row, long a_stride, int b_mode, In b, long b_offset, long b_row,
                        long b_stride, Out c, long c_offset, long c_row, long c_stride, Out scratch, long gm,
                        long gn, long mc, long kc, long nc)
{
    const long group = get_group_id(0), groups = get_num_groups(0), parts = gm * gn, shares = batch * parts;
    const long panels = (n + VW - 1) / VW, a_block_row = BLOCK_ROW(kc, VW);
    Out b_block = scratch + group * (kc * nc + (a_mode == A_TRANSPOSED ? mc * a_block_row : 0));
    for (long share = shares * group / groups; share < shares * (group + 1) / groups; share++) {
        const long index = share / parts, y = share % parts / gn, x = share % gn;
        const long m0 = m * y / gm, m1 = m * (y + 1) / gm;
        const long n0 = panels * x / gn * VW, n1 = min(n, panels * (x + 1) / gn * VW);
        const product by = {a + a_offset + index * a_stride,
                            b + b_offset + index * b_stride,
                            c + c_offset + index * c_stride,
                            b_block + kc * nc,
                            b_block,
                            a_row,
                            b_row,
                            c_row,
                            a_block_row,
                            k,
                            a_mode,
                            b_mode,
                            alpha,
                            beta};
        for (long i = m0; i < m1; i += mc) {
            for (long e = 0; e < k; e += kc) {
                for (long j = n0; j < n1; j += nc) {
                    const block at = {i,
                                      min(mc, m1 - i),
                                      j,
                                      min(nc, n1 - j),
                                      e,
                                      min(kc, k - e),
                                      a_mode == A_TRANSPOSED && j == n0};
                    multiply_block(&by, &at);
                }
            }
        }
    }
}

/* op(B) [k,n] into panels [panel][k][VW]. Units of PACK_DEPTH rows by PACK_PANELS panels. */
CPU_KERNEL gemm_pack_b(long k, long n, int mode, In b, long b_offset, long b_row, Out to)
{
    const long width = PACK_PANELS * VW, across = (n + width - 1) / width,
               down = (k + PACK_DEPTH - 1) / PACK_DEPTH;
    const long group = get_group_id(0), groups = get_num_groups(0), units = across * down;
    for (long unit = units * group / groups; unit < units * (group + 1) / groups; unit++) {
        const long n0 = unit / down * width, k0 = unit % down * PACK_DEPTH;
        pack_panels(mode, b + b_offset, b_row, k0, min(k - k0, (long)PACK_DEPTH), n0, min(n - n0, width),
                    to + n0 * k + k0 * VW, k * VW);
    }
}

/* The rows from plain rows. */
static inline void copy_rows(In a, long a_row, long rows, long k, Out to, long to_row)
{
    for (long r = 0; r < rows; r++, a += a_row, to += to_row) {
        for (long e = 0; e < k; e += VW)
            STORE(load_part(a + e, (int)min(k - e, (long)VW)), to + e);
    }
}

/*
 * op(A) [m,k] into plain rows, `to_row` (a multiple of VW, at least k) apart and filled up with zeros to a multiple of
 * VW. Units: strips of STRIP_ROWS rows.
 */
CPU_KERNEL gemm_pack_a(long m, long k, int mode, In a, long a_offset, long a_row, Out to, long to_row)
{
    const long strips = (m + STRIP_ROWS - 1) / STRIP_ROWS;
    const long group = get_group_id(0), groups = get_num_groups(0);
    for (long strip = strips * group / groups; strip < strips * (group + 1) / groups; strip++) {
        const long r = strip * STRIP_ROWS, rows = min(m - r, (long)STRIP_ROWS);
        if (mode == A_TRANSPOSED)
            transpose_rows(a + a_offset + r, a_row, rows, k, to + r * to_row, to_row);
        else
            copy_rows(a + a_offset + r * a_row, a_row, rows, k, to + r * to_row, to_row);
    }
}
