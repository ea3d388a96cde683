/*
 * The weights of a layer in the order of the products (team.clh), each read once for the forward and the backward copy;
 * and what a unit has, the sum of its biases by slot and its parameters: [row][units, whole panels].
 *
 * Index map: panels of units of each gate, dealt to the groups in equal runs for each matrix; rows of units likewise.
 */
#include "linalg/panels.clh"
#include "rnn/team_record.h"

#define PANELS(n) (((n) + VW - 1) / VW)

/* Unit panel p of the matrix's gate number k. */
static inline void pack_panel(const team_matrix *m, In w, int p, int k, Out forward, Out backward)
{
    const int K = m->columns, units = min(VW, m->units - p * VW);
    In from = w + ((long)(m->gates >> (4 * k) & 15) * m->units + p * VW) * K;
    Out transposed = forward + ((long)p * m->count + k) * K * VW;
    Out rows = backward + (long)k * m->units * VW + p * VW * VW;
    const long panel = (long)m->count * m->units * VW;
    for (int e = 0; e < K; e += VW, from += VW, transposed += VW * VW, rows += panel) {
        const bool whole = units == VW && K - e >= VW;
        if (whole)
            transpose_block(from, K, VW, VW, transposed, VW);
        else
            transpose_block(from, K, units, min(VW, K - e), transposed, VW);
        for (int u = 0; m->has_backward && u < units; u++)
            STORE(whole ? LOAD(from + (long)u * K) : load_part(from + (long)u * K, K - e), rows + u * VW);
    }
}

/* One row of what units have. */
static inline void pack_row(const team_pack_record *r, In const w[TEAM_PARTS], int row, Out to)
{
    for (int u = 0; u < PANELS(r->H) * VW; u++) {
        float sum = 0.0f;
        for (int i = 0; i < r->vectors && u < r->H; i++) {
            const team_vector v = r->vector[i];
            if (row >= v.row && row < v.row + v.count)
                sum += w[v.part][v.w + (long)(v.gates >> (4 * (row - v.row)) & 15) * r->H + u];
        }
        to[u] = sum;
    }
}

CPU_KERNEL team_pack(team_pack_record r, Out forward, Out backward, In w0, In w1, In w2, In w3, In w4, In w5,
                     In w6, In w7, In w8, In w9, In w10, In w11)
{
    In const w[TEAM_PARTS] = {w0, w1, w2, w3, w4, w5, w6, w7, w8, w9, w10, w11};
    const long group = get_group_id(0), groups = get_num_groups(0);
    for (int i = 0; i < r.matrices; i++) {
        const team_matrix m = r.matrix[i];
        const long all = (long)PANELS(m.units) * m.count;
        for (long j = all * group / groups; j < all * (group + 1) / groups; j++)
            pack_panel(&m, w[m.part] + m.w, (int)(j / m.count), (int)(j % m.count), forward + m.forward,
                       backward + m.backward);
    }
    for (long row = r.rows * group / groups; row < r.rows * (group + 1) / groups; row++)
        pack_row(&r, w, (int)row, forward + r.units + row * PANELS(r.H) * VW);
}
