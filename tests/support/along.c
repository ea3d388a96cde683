#include "along.h"

#include "device.h"

/* Dims of 1, odd ones, more and fewer lines than a vector has lanes, lines that begin anywhere in a vector. */
static const along_shape shapes[] = {
    {1, {1}, 0},
    {1, {5}, -1},
    {2, {3, 17}, 1},
    {2, {17, 3}, 0},
    {3, {2, 7, 3}, 1},
    {3, {2, 1, 3}, -2},
    {4, {1, 5, 1, 1}, 1},
    {4, {2, 3, 2, 5}, 2},
    {4, {2, 3, 2, 5}, -4},
    {6, {2, 1, 3, 2, 1, 5}, 2},
    {6, {1, 2, 2, 1, 2, 3}, -1},
    /* the small ones end here */
    {1, {1000}, 0},
    {2, {70, 65}, 1},
    {2, {70, 65}, 0},
    {3, {5, 33, 40}, 1},
    {3, {40, 33, 5}, 1},
    {3, {3, 9, 16}, 1},
    {3, {50, 40, 17}, -1},
    {5, {3, 2, 20, 2, 9}, 2},
    {2, {2, 3001}, 1},
    {2, {3001, 2}, 0},
};

enum { SMALL = 11 };

const along_shape *along_shape_at(size_t i)
{
    const size_t count = test_small() ? SMALL : sizeof shapes / sizeof shapes[0];
    return i < count ? &shapes[i] : NULL;
}

reference_along along_reference(const along_shape *s)
{
    const int at = s->dim < 0 ? s->dim + s->ndim : s->dim;
    reference_along a = {1, (size_t)s->dims[at], 1};
    for (int i = 0; i < s->ndim; i++) {
        if (i < at)
            a.outer *= (size_t)s->dims[i];
        else if (i > at)
            a.inner *= (size_t)s->dims[i];
    }
    return a;
}
