/*
 * Rows of features between the caller's order and the kernels' own, where features are filled up with zeros to `padded`.
 *
 * attention_counts      counts [B][S] and lengths [B] from lengths and a mask, either of which may be NULL
 * attention_copy_rows   rows (i,j) of n features, zeros where counts [..][inner] is 0; NULL: all rows
 * attention_fill_rows   `rows` rows that are x [n], or zeros where it is NULL
 */
#include "attention/lanes.clh"

kernel void attention_counts(long S, long B, global const int *lengths, long lengths_at,
                             global const int *mask, long mask_at, long mask_s, long mask_b, global int *out,
                             long counts_at, long lengths_out)
{
    FOR_EACH(u, B * S)
    {
        const long b = u / S, s = u % S;
        const long length = lengths ? min(S, max(0L, (long)lengths[lengths_at + b])) : S;
        out[counts_at + u] = s < length && (!mask || mask[mask_at + s * mask_s + b * mask_b] != 0);
        if (s == 0)
            out[lengths_out + b] = (int)length;
    }
}

kernel void attention_copy_rows(long outer, long inner, long n, long padded, global const float *x,
                                attention_rows from, global const int *counts, long counts_at,
                                global float *y, attention_rows to)
{
    const long vectors = (padded + LANES - 1) / LANES;
    FOR_EACH(u, outer * inner * vectors)
    {
        const long row = u / vectors, i = u % vectors * LANES;
        global const float *in = x + row_of(from, row / inner, row % inner);
        const bool there = (!counts || counts[counts_at + row]) && i < n;
        store(there ? load(in, i, n) : (V)(0.0f), y + row_of(to, row / inner, row % inner), i, padded);
    }
}

kernel void attention_fill_rows(long rows, long n, long padded, global const float *x, long x_at,
                                global float *y, long y_at)
{
    const long vectors = padded / LANES;
    FOR_EACH(u, rows * vectors)
    {
        const long i = u % vectors * LANES;
        store(x && i < n ? load(x + x_at, i, n) : (V)(0.0f), y + y_at + u / vectors * padded, i, padded);
    }
}
