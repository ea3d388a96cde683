/*
 * Matrix products on CPU devices:  C = alpha op(A) op(B) + beta C, row-major, for a batch of them.
 *
 * A is read in plain rows (a transposed A is turned into rows first, by gemm_pack_a). op(B) is read in column
 * panels, [panel][k][VW], the last one filled up with zeros: made before by gemm_pack_b, or by each work-group
 * for itself, a block at a time, right before it is used.
 *
 *                 n0    NC columns at a time     n1
 *               +----+----+----+----+----+----+----+
 *      op(B)    |    | a block of [KC, NC]    |    |      the block stays in the second-level cache,
 *               +----+----+----+----+----+----+----+      TILE_VECTORS panels of it at a time in a tile
 *        m0  +--+
 *            |A |   tiles of up to TILE_ROWS rows, which stay in the first-level cache for the whole block
 *        m1  +--+
 *
 * Index map: `shares` units of work, numbered product * (gm * gn) + row part * gn + column part, dealt to the
 * work-groups in equal runs. A unit is the part [m0,m1) x [n0,n1) of one product. Every element of C is
 * summed by one work-item in an order that depends on k alone.
 *
 * Tunables, set by host/linalg/gemm_native.c: KC, NC (arguments kc, nc), the grid gm x gn.
 */
#include "linalg/panels.clh"
#include "linalg/tile.clh"

/* How op(B) is found. */
#define B_PACKED 0     /* panels */
#define B_ROWS 1       /* plain rows [k,n], to be packed */
#define B_TRANSPOSED 2 /* stored as [n,k], to be packed */

/* Panels of op(B): rows [k0, k0 + k) of columns [n0, n0 + columns). */
static inline void pack_panels(int mode, In b, long b_row, long k0, long k, long n0, long columns, Out to)
{
    for (long j = 0; j < columns; j += VW, to += k * VW) {
        int lanes = (int)min(columns - j, (long)VW);
        if (mode == B_TRANSPOSED)
            pack_turned(b + (n0 + j) * b_row + k0, b_row, k, lanes, to);
        else
            pack_rows(b + k0 * b_row + n0 + j, b_row, k, lanes, to);
    }
}

/* c = alpha s + beta c, where beta 0 does not read c. */
static inline void finish(V s, Out c, int lanes, float alpha, float beta)
{
    V v = alpha * s;
    if (beta != 0.0f)
        v = fma((V)(beta), load_part(c, lanes), v);
    store_part(v, c, lanes);
}

/* Defines product_R_NV: the tile, and C from it; the last of the NV vectors has `lanes` columns. */
#define PRODUCT(R, NV)                                                                                     \
    TILE(R, NV)                                                                                            \
    static inline void product_##R##_##NV(In a, long a_row, In w, long w_row, long w_panel, long k, Out c, \
                                          long c_row, int lanes, float alpha, float beta)                  \
    {                                                                                                      \
        V s[R][NV];                                                                                        \
        UNROLL for (int i = 0; i < R; i++) UNROLL for (int j = 0; j < NV; j++) s[i][j] = (V)(0.0f);        \
        tile_##R##_##NV(s, a, a_row, VW, w, w_row, w_panel, k);                                            \
        UNROLL for (int i = 0; i < R; i++) UNROLL for (int j = 0; j < NV; j++)                             \
            finish(s[i][j], c + i * c_row + j * VW, j == NV - 1 ? lanes : VW, alpha, beta);                \
    }

#define PRODUCTS(NV) PRODUCT(1, NV) PRODUCT(2, NV) PRODUCT(3, NV) PRODUCT(4, NV) PRODUCT(5, NV) PRODUCT(6, NV)
PRODUCTS(1)
PRODUCTS(2)
#if TILE_VECTORS == 4
PRODUCTS(3)
PRODUCTS(4)
#endif

#define CASE(R, NV)                                                                       \
    case NV * 8 + R:                                                                      \
        product_##R##_##NV(a, a_row, w, w_row, w_panel, k, c, c_row, lanes, alpha, beta); \
        break;
#define CASES(NV) CASE(1, NV) CASE(2, NV) CASE(3, NV) CASE(4, NV) CASE(5, NV) CASE(6, NV)

/* C[rows, columns] from rows of A and a block of op(B): tiles as equal as they can be. */
static inline void multiply(long rows, long columns, long k, In a0, long a_row, In w0, long w_row,
                            long w_panel, Out c0, long c_row, float alpha, float beta)
{
    const long panels = (columns + VW - 1) / VW;
    const long across = (panels + TILE_VECTORS - 1) / TILE_VECTORS, down = (rows + TILE_ROWS - 1) / TILE_ROWS;
    for (long y = 0; y < down; y++) {
        const long r0 = rows * y / down, r1 = rows * (y + 1) / down;
        In a = a0 + r0 * a_row;
        for (long x = 0; x < across; x++) {
            const long p0 = panels * x / across, p1 = panels * (x + 1) / across;
            const int lanes = (int)(min(columns, p1 * VW) - (p1 - 1) * VW);
            In w = w0 + p0 * w_panel;
            Out c = c0 + r0 * c_row + p0 * VW;
            switch ((p1 - p0) * 8 + r1 - r0) {
                CASES(1)
                CASES(2)
#if TILE_VECTORS == 4
                CASES(3)
                CASES(4)
#endif
            }
        }
    }
}

CPU_KERNEL gemm_product(long m, long n, long k, long batch, float alpha, float beta, In a, long a_offset,
                        long a_row, long a_stride, int mode, In b, long b_offset, long b_row, long b_stride,
                        Out c, long c_offset, long c_row, long c_stride, Out scratch, long gm, long gn,
                        long kc, long nc)
{
    const long group = get_group_id(0), groups = get_num_groups(0), parts = gm * gn, shares = batch * parts;
    const long panels = (n + VW - 1) / VW;
    scratch += group * kc * nc;
    for (long share = shares * group / groups; share < shares * (group + 1) / groups; share++) {
        const long product = share / parts, y = share % parts / gn, x = share % gn;
        const long m0 = m * y / gm, m1 = m * (y + 1) / gm;
        const long n0 = panels * x / gn * VW, n1 = min(n, panels * (x + 1) / gn * VW);
        In a1 = a + a_offset + product * a_stride + m0 * a_row, b1 = b + b_offset + product * b_stride;
        Out c1 = c + c_offset + product * c_stride + m0 * c_row;
        for (long j = n0; j < n1; j += nc) {
            const long columns = min(nc, n1 - j);
            for (long e = 0; e < k; e += kc) {
                const long depth = min(kc, k - e);
                const float beta1 = e == 0 ? beta : 1.0f;
                if (mode == B_PACKED)
                    multiply(m1 - m0, columns, depth, a1 + e, a_row, b1 + j * k + e * VW, VW, k * VW, c1 + j,
                             c_row, alpha, beta1);
                else {
                    pack_panels(mode, b1, b_row, e, depth, j, columns, scratch);
                    multiply(m1 - m0, columns, depth, a1 + e, a_row, scratch, VW, depth * VW, c1 + j, c_row,
                             alpha, beta1);
                }
            }
        }
    }
}

/*
 * op(B) [k,n] into panels [panel][k][VW]. Units: panel * pieces + piece of the panel's rows, `piece` (a multiple
 * of VW) rows each.
 */
CPU_KERNEL gemm_pack_b(long k, long n, int mode, In b, long b_offset, long b_row, Out to, long piece)
{
    const long pieces = (k + piece - 1) / piece, units = (n + VW - 1) / VW * pieces;
    const long group = get_group_id(0), groups = get_num_groups(0);
    for (long unit = units * group / groups; unit < units * (group + 1) / groups; unit++) {
        const long n0 = unit / pieces * VW, k0 = unit % pieces * piece;
        pack_panels(mode, b + b_offset, b_row, k0, min(piece, k - k0), n0, min(n - n0, (long)VW),
                    to + n0 * k + k0 * VW);
    }
}

/* VW rows of op(A) [m,k], from plain rows. */
static inline void copy_rows(In a, long a_row, int rows, long k, Out to, long to_row)
{
    for (int r = 0; r < rows; r++, a += a_row, to += to_row) {
        for (long e = 0; e < k; e += VW)
            STORE(load_part(a + e, (int)min(k - e, (long)VW)), to + e);
    }
}

/* The same from op(A) stored as [k,m]. */
static inline void turn_rows(In a, long a_row, int rows, long k, Out to, long to_row)
{
    for (long e = 0; e < k; e += VW) {
        if (rows == VW && k - e >= VW)
            turn_block(a + e * a_row, a_row, VW, VW, to + e, to_row);
        else
            turn_block(a + e * a_row, a_row, (int)min(k - e, (long)VW), rows, to + e, to_row);
    }
}

/*
 * op(A) [m,k] of each product into plain rows, `to_row` (a multiple of VW, at least k) apart and filled up with
 * zeros to a multiple of VW. Units: product * strips + strip of VW rows.
 */
CPU_KERNEL gemm_pack_a(long m, long k, long batch, int transposed, In a, long a_offset, long a_row,
                       long a_stride, Out to, long to_row)
{
    const long strips = (m + VW - 1) / VW, units = batch * strips;
    const long group = get_group_id(0), groups = get_num_groups(0);
    for (long unit = units * group / groups; unit < units * (group + 1) / groups; unit++) {
        const long product = unit / strips, r0 = unit % strips * VW;
        const int rows = (int)min(m - r0, (long)VW);
        In from = a + a_offset + product * a_stride;
        Out out = to + (product * m + r0) * to_row;
        if (transposed)
            turn_rows(from + r0, a_row, rows, k, out, to_row);
        else
            copy_rows(from + r0 * a_row, a_row, rows, k, out, to_row);
    }
}
