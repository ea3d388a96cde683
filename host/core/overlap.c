#include "core/overlap.h"

#include <string.h>

/*
 * Two views share an element where numbers x_i within bounds bring sum x_i stride_i into a range: the x_i of one view
 * minus those of the other bridge the distance between their offsets. Strides are tried from the largest to the
 * smallest; what those that are left can reach at all, and the greatest common divisor of their strides, leave few
 * numbers to try.
 */
typedef struct term {
    int64_t stride;      /* at least 1 */
    int64_t least, most; /* of the number, both included */
} term;

typedef struct sum {
    int count;
    term term[2 * CLSEQ_MAX_DIMS]; /* strides descend, and differ */
    /* Of the terms from this one on; behind the last one all are 0. */
    int64_t divisor[2 * CLSEQ_MAX_DIMS + 1], low[2 * CLSEQ_MAX_DIMS + 1], high[2 * CLSEQ_MAX_DIMS + 1];
} sum;

static int64_t divide_down(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static int64_t divide_up(int64_t a, int64_t b)
{
    return a / b + (a % b > 0);
}

/* Adds x * stride, x in [least, most], to the sum; terms of one stride become one. */
static void add_term(sum *s, int64_t stride, int64_t least, int64_t most)
{
    int at = 0;
    while (at < s->count && s->term[at].stride > stride)
        at++;
    if (at == s->count || s->term[at].stride != stride) {
        memmove(&s->term[at + 1], &s->term[at], (size_t)(s->count++ - at) * sizeof s->term[0]);
        s->term[at] = (term){.stride = stride};
    }
    s->term[at].least += least;
    s->term[at].most += most;
}

/* To be called when all terms are there. */
static void complete(sum *s)
{
    for (int i = s->count - 1; i >= 0; i--) {
        const term *x = &s->term[i];
        int64_t a = x->stride, b = s->divisor[i + 1];
        s->low[i] = s->low[i + 1] + x->least * x->stride;
        s->high[i] = s->high[i + 1] + x->most * x->stride;
        while (b) {
            const int64_t rest = a % b;
            a = b;
            b = rest;
        }
        s->divisor[i] = a;
    }
}

/* Whether the terms from `first` on can add up to a number in [low, high]. */
static bool reaches(const sum *s, int first, int64_t low, int64_t high)
{
    if (low > s->high[first] || high < s->low[first])
        return false;
    if (first == s->count)
        return true;
    if (divide_up(low, s->divisor[first]) > divide_down(high, s->divisor[first]))
        return false;
    const term *x = &s->term[first];
    const int64_t from = divide_up(low - s->high[first + 1], x->stride);
    const int64_t to = divide_down(high - s->low[first + 1], x->stride);
    for (int64_t n = from > x->least ? from : x->least; n <= to && n <= x->most; n++)
        if (reaches(s, first + 1, low - n * x->stride, high - n * x->stride))
            return true;
    return false;
}

/*
 * The same elements without indices that bring nothing new (strides of 0), the largest stride first, and with runs as
 * long as they can be.
 */
static clseq__runs joined(const clseq__runs *x)
{
    clseq__runs y = {.buffer = x->buffer, .offset = x->offset, .length = x->length};
    for (int i = 0; i < x->dims; i++) {
        int at = y.dims;
        if (x->count[i] == 1 || x->stride[i] == 0)
            continue;
        for (; at > 0 && y.stride[at - 1] < x->stride[i]; at--) {
            y.count[at] = y.count[at - 1];
            y.stride[at] = y.stride[at - 1];
        }
        y.count[at] = x->count[i];
        y.stride[at] = x->stride[i];
        y.dims++;
    }
    for (; y.dims > 0 && y.stride[y.dims - 1] <= y.length; y.dims--)
        y.length += (y.count[y.dims - 1] - 1) * y.stride[y.dims - 1];
    return y;
}

clseq__runs clseq__runs_of(const clseq_tensor *tensor)
{
    const int64_t element = (int64_t)clseq_dtype_size(tensor->dtype);
    clseq__runs x = {.buffer = tensor->buffer,
                     .offset = tensor->offset * element,
                     .length = clseq_tensor_elements(tensor) * element};
    if (clseq_tensor_is_contiguous(tensor))
        return x;
    x.length = element;
    for (x.dims = 0; x.dims < tensor->ndim; x.dims++) {
        x.count[x.dims] = tensor->dims[x.dims];
        x.stride[x.dims] = tensor->strides[x.dims] * element;
    }
    /* Elements of the last dimension that stand side by side are a run. */
    if (tensor->strides[x.dims - 1] == 1)
        x.length *= x.count[--x.dims];
    return x;
}

int64_t clseq__runs_end(const clseq__runs *x)
{
    int64_t end = x->offset + x->length;
    for (int i = 0; i < x->dims; i++)
        end += (x->count[i] - 1) * x->stride[i];
    return end;
}

bool clseq__runs_overlap(const clseq__runs *a, const clseq__runs *b)
{
    if (a->buffer != b->buffer || a->offset >= clseq__runs_end(b) || b->offset >= clseq__runs_end(a))
        return false;
    const clseq__runs x = joined(a), y = joined(b);
    const int64_t between = y.offset - x.offset;
    sum s = {0};
    for (int i = 0; i < x.dims; i++)
        add_term(&s, x.stride[i], 0, x.count[i] - 1);
    for (int i = 0; i < y.dims; i++)
        add_term(&s, y.stride[i], 1 - y.count[i], 0);
    complete(&s);
    return reaches(&s, 0, between - x.length + 1, between + y.length - 1);
}

bool clseq__runs_collide(const clseq__runs *x)
{
    sum s = {0};
    for (int i = 0; i < x->dims; i++) {
        if (x->count[i] > 1 && x->stride[i] < x->length)
            return true;
        if (x->count[i] > 1)
            add_term(&s, x->stride[i], 1 - x->count[i], x->count[i] - 1);
    }
    /* Two indices of one stride meet. */
    for (int i = 0; i < x->dims; i++)
        for (int j = 0; j < i; j++)
            if (x->count[i] > 1 && x->count[j] > 1 && x->stride[i] == x->stride[j])
                return true;
    complete(&s);
    /* The index of the largest stride that differs between two runs: of one run it is the larger. */
    for (int first = 0; first < s.count; first++)
        for (int64_t n = 1; n <= s.term[first].most; n++) {
            const int64_t moved = n * s.term[first].stride;
            if (moved - x->length + 1 > s.high[first + 1])
                break;
            if (reaches(&s, first + 1, -moved - x->length + 1, -moved + x->length - 1))
                return true;
        }
    return false;
}
