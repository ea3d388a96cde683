/*
 * Elements by number along one dim, x [outer,n,inner] and index, y [outer,m,inner], all packed:
 *
 *   y[o,k,i] = x[o,index[o,k,i],i],  dx[o,index[o,k,i],i] += dy[o,k,i]
 *
 * An index outside of 0..n-1 gives 0 and no gradient. Backward adds in the order of k, without atomics, as a line belongs to one
 * work-item. Offsets in elements.
 */
#include "nn/lines.clh"

kernel void nn_gather_forward(long outer, long n, long m, long inner, global const float *x, long x_offset,
                              global const int *index, long index_offset, global float *y, long y_offset)
{
    FOR_EACH_LINES(l, outer * inner)
    {
        long from[LANES], to[LANES];
        find_lines(l, outer * inner, n, inner, from);
        find_lines(l, outer * inner, m, inner, to);
        for (long k = 0; k < m; k++) {
            float lane[LANES];
            for (int j = 0; j < LANES; j++) {
                const int i = index[index_offset + to[j] + k * inner];
                lane[j] = i >= 0 && i < n ? x[x_offset + from[j] + i * inner] : 0.0f;
            }
            store_lines(LOAD(lane), y + y_offset + k * inner, to);
        }
    }
}

kernel void nn_gather_backward(long outer, long n, long m, long inner, global const int *index,
                               long index_offset, global const float *dy, long dy_offset, global float *dx,
                               long dx_offset)
{
    FOR_EACH_LINES(l, outer * inner)
    {
        long to[LANES], from[LANES];
        const int lines = (int)min((long)LANES, outer * inner - l);
        find_lines(l, outer * inner, n, inner, to);
        find_lines(l, outer * inner, m, inner, from);
        for (long k = 0; k < m; k++) {
            for (int j = 0; j < lines; j++) {
                const int i = index[index_offset + from[j] + k * inner];
                if (i >= 0 && i < n)
                    dx[dx_offset + to[j] + i * inner] += dy[dy_offset + from[j] + k * inner];
            }
        }
    }
}
