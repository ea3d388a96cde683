/*
 * Filling and copying elements that do not lie packed. Elements are 32-bit words of any type.
 *
 * Element (i0,i1,i2,i3) of a view of dims [d0,d1,d2,d3] stands at offset + i0*s0 + i1*s1 + i2*s2 + i3*s3.
 * Views of fewer dimensions have leading dims of 1. A packed view's element is number i =
 * ((i0*d1+i1)*d2+i2)*d3+i3; work is shared out by i.
 */
#include "core/grid.clh"

/* Where element number i of a view of dims [.,d1,d2,d3] stands. */
static inline long element_at(long i, long d1, long d2, long d3, long offset, long s0, long s1, long s2,
                              long s3)
{
    long row = i / d3, plane = row / d2, block = plane / d1;
    return offset + block * s0 + (plane - block * d1) * s1 + (row - plane * d2) * s2 + (i - row * d3) * s3;
}

kernel void tensor_fill(long n, long d1, long d2, long d3, uint value, global uint *restrict y, long y_offset,
                        long y0, long y1, long y2, long y3)
{
    FOR_EACH(i, n)
    y[element_at(i, d1, d2, d3, y_offset, y0, y1, y2, y3)] = value;
}

kernel void tensor_copy(long n, long d1, long d2, long d3, global const uint *restrict x, long x_offset,
                        long x0, long x1, long x2, long x3, global uint *restrict y, long y_offset, long y0,
                        long y1, long y2, long y3)
{
    FOR_EACH(i, n)
    y[element_at(i, d1, d2, d3, y_offset, y0, y1, y2, y3)] =
        x[element_at(i, d1, d2, d3, x_offset, x0, x1, x2, x3)];
}
