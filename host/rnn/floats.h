/* Parts of a buffer, counted in floats, and the arithmetic of cutting things into parts. */
#ifndef CLSEQ_RNN_FLOATS_H
#define CLSEQ_RNN_FLOATS_H

#include <stdint.h>

/* The largest of so many parts that n things are cut into as evenly as they can be. */
static inline int64_t clseq__divided(int64_t n, int64_t parts)
{
    return (n + parts - 1) / parts;
}

/* Parts begin at multiples of so many floats, a cache line. */
#define CLSEQ__ALIGNED 16

static inline int64_t clseq__aligned(int64_t floats)
{
    return clseq__divided(floats, CLSEQ__ALIGNED) * CLSEQ__ALIGNED;
}

/* Takes floats from the end of a buffer; where they begin. */
static inline int64_t clseq__take(int64_t *end, int64_t floats)
{
    const int64_t at = *end;
    *end = clseq__aligned(at + floats);
    return at;
}

static inline int64_t clseq__larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

#endif
