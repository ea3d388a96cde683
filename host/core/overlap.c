#include "core/overlap.h"

static void swap(int64_t pair[2])
{
    const int64_t first = pair[0];
    pair[0] = pair[1];
    pair[1] = first;
}

/* The same elements with as few runs as there can be, the larger stride first; counts of 1 have the stride 0. */
static clseq__runs joined(clseq__runs x)
{
    for (int i = 0; i < 2; i++) {
        if (x.count[i] == 1 || x.stride[i] == 0) {
            x.count[i] = 1;
            x.stride[i] = 0;
        }
    }
    if (x.stride[0] < x.stride[1]) {
        swap(x.count);
        swap(x.stride);
    }
    if (x.count[1] > 1 && x.stride[0] == x.count[1] * x.stride[1]) {
        x.count[1] *= x.count[0];
        x.count[0] = 1;
        x.stride[0] = 0;
        swap(x.count);
        swap(x.stride);
    }
    const int inner = x.count[1] > 1;
    if (x.count[inner] > 1 && x.stride[inner] == x.length) {
        x.length *= x.count[inner];
        x.count[inner] = 1;
        x.stride[inner] = 0;
    }
    return x;
}

clseq__runs clseq__runs_of(const clseq_tensor *tensor)
{
    const int64_t element = (int64_t)clseq_dtype_size(tensor->dtype);
    const int ndim = tensor->ndim;
    clseq__runs x = {.buffer = tensor->buffer,
                     .offset = tensor->offset * element,
                     .count = {1, 1},
                     .length = clseq_tensor_elements(tensor) * element};
    if (clseq_tensor_is_contiguous(tensor))
        return x;
    /* Elements of two dimensions need not stand side by side. */
    const bool rows = tensor->dims[ndim - 1] == 1 || tensor->strides[ndim - 1] == 1;
    x.length = rows ? tensor->dims[ndim - 1] * element : element;
    for (int i = 0, left = ndim - rows; i < left && i < 2; i++) {
        x.count[i] = tensor->dims[i];
        x.stride[i] = tensor->strides[i] * element;
    }
    return x;
}

int64_t clseq__runs_end(const clseq__runs *x)
{
    return x->offset + (x->count[0] - 1) * x->stride[0] + (x->count[1] - 1) * x->stride[1] + x->length;
}

/* Whether a q in [least, most] brings q * stride into [low, high]. */
static bool reaches(int64_t stride, int64_t least, int64_t most, int64_t low, int64_t high)
{
    if (low > high || least > most)
        return false;
    if (stride == 0)
        return low <= 0 && high >= 0;
    const int64_t down = high / stride - (high % stride < 0);
    const int64_t up = low / stride + (low % stride > 0);
    return (up > least ? up : least) <= (down < most ? down : most);
}

/* Runs of both that have the same strides: what matters is how many of each lie between two runs. */
static bool meet_in_step(const clseq__runs *a, const clseq__runs *b)
{
    const int64_t between = b->offset - a->offset;
    for (int64_t q = 1 - b->count[0]; q < a->count[0]; q++) {
        const int64_t rest = between - q * a->stride[0];
        if (reaches(a->stride[1], 1 - b->count[1], a->count[1] - 1, rest - a->length + 1,
                    rest + b->length - 1))
            return true;
    }
    return false;
}

/* Whether one run of `length` elements at `at` shares any with x. */
static bool meets(const clseq__runs *x, int64_t at, int64_t length)
{
    for (int64_t i = 0; i < x->count[0]; i++) {
        const int64_t between = at - x->offset - i * x->stride[0];
        if (reaches(x->stride[1], 0, x->count[1] - 1, between - x->length + 1, between + length - 1))
            return true;
    }
    return false;
}

bool clseq__runs_overlap(const clseq__runs *a, const clseq__runs *b)
{
    if (a->buffer != b->buffer || a->offset >= clseq__runs_end(b) || b->offset >= clseq__runs_end(a))
        return false;
    const clseq__runs x = joined(*a), y = joined(*b);
    if (x.stride[0] == y.stride[0] && x.stride[1] == y.stride[1])
        return meet_in_step(&x, &y);
    /* Run by run of the one that has fewer. */
    const bool fewer = x.count[0] * x.count[1] <= y.count[0] * y.count[1];
    const clseq__runs *few = fewer ? &x : &y, *many = fewer ? &y : &x;
    for (int64_t i = 0; i < few->count[0]; i++)
        for (int64_t j = 0; j < few->count[1]; j++)
            if (meets(many, few->offset + i * few->stride[0] + j * few->stride[1], few->length))
                return true;
    return false;
}

bool clseq__runs_collide(const clseq__runs *x)
{
    for (int i = 0; i < 2; i++)
        if (x->count[i] > 1 && x->stride[i] < x->length)
            return true;
    const int64_t *n = x->count, *s = x->stride;
    /* Each run of one dimension lies beyond all those of the other. */
    if (n[0] == 1 || n[1] == 1 || s[0] >= (n[1] - 1) * s[1] + x->length ||
        s[1] >= (n[0] - 1) * s[0] + x->length)
        return false;
    for (int64_t q = 1; q < n[0]; q++)
        if (reaches(s[1], 1 - n[1], n[1] - 1, -q * s[0] - x->length + 1, -q * s[0] + x->length - 1))
            return true;
    return false;
}
