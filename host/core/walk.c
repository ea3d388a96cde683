#include "core/walk.h"

#include <string.h>

_Static_assert(WALK_DIMS == CLSEQ_MAX_DIMS, "a walk takes any tensor");

bool clseq__stretches(const clseq_tensor *x, int ndim, const int64_t *dims)
{
    const int missing = ndim - x->ndim;
    for (int i = 0; i < x->ndim; i++)
        if (missing < 0 || (x->dims[i] != 1 && x->dims[i] != dims[i + missing]))
            return false;
    return true;
}

clseq_tensor clseq__stretched(const clseq_tensor *x, int ndim, const int64_t *dims)
{
    const int missing = ndim - x->ndim;
    clseq_tensor view = {.buffer = x->buffer, .offset = x->offset, .dtype = x->dtype, .ndim = ndim};
    for (int i = 0; i < ndim; i++) {
        view.dims[i] = dims[i];
        view.strides[i] = i < missing || x->dims[i - missing] == 1 ? 0 : x->strides[i - missing];
    }
    return view;
}

clseq_tensor clseq__aligned(const clseq_tensor *x, int ndim)
{
    int64_t dims[CLSEQ_MAX_DIMS];
    for (int i = 0; i < ndim; i++)
        dims[i] = i < ndim - x->ndim ? 1 : x->dims[i - (ndim - x->ndim)];
    return clseq__stretched(x, ndim, dims);
}

/* The dims above 1 from the innermost on: by the last operand's strides, where these are equal as they stand. */
static int ordered(const clseq_tensor *last, int order[CLSEQ_MAX_DIMS])
{
    int count = 0;
    for (int d = last->ndim - 1; d >= 0; d--) {
        int at = count;
        if (last->dims[d] == 1)
            continue;
        for (; at > 0 && last->strides[order[at - 1]] > last->strides[d]; at--)
            order[at] = order[at - 1];
        order[at] = d;
        count++;
    }
    return count;
}

/* Whether dim d of every operand continues where the walk's outermost dim ends. */
static bool continues(const walk_record *walk, int count, const clseq_tensor *const *operands, int d)
{
    const int64_t outer = walk->dims - 1;
    for (int k = 0; k < count; k++)
        if (operands[k]->strides[d] != walk->operand[k].stride[outer] * walk->dim[outer])
            return false;
    return true;
}

void clseq__walk_make(int count, const clseq_tensor *const *operands, walk_record *out)
{
    int order[CLSEQ_MAX_DIMS];
    const clseq_tensor *last = operands[count - 1];
    const int dims = ordered(last, order);
    memset(out, 0, sizeof *out);
    out->n = 1;
    for (int i = 0; i < dims; i++) {
        const int d = order[i];
        out->n *= last->dims[d];
        if (i > 0 && continues(out, count, operands, d)) {
            out->dim[out->dims - 1] *= last->dims[d];
            continue;
        }
        out->dim[out->dims] = last->dims[d];
        for (int k = 0; k < count; k++)
            out->operand[k].stride[out->dims] = operands[k]->strides[d];
        out->dims++;
    }
    if (out->dims == 0) {
        out->dims = out->dim[0] = 1;
        for (int k = 0; k < count; k++)
            out->operand[k].stride[0] = 1;
    }
    for (int k = 0; k < count; k++)
        out->operand[k].offset = operands[k]->offset;
}

bool clseq__walk_is_packed(const walk_record *walk, int count)
{
    for (int k = 0; k < count; k++)
        if (walk->operand[k].stride[0] != 1)
            return false;
    return walk->dims == 1;
}
