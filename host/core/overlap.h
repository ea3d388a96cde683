/*
 * Whether views of buffers share elements, exactly: rows that take turns in one array without sharing an element are
 * apart.
 */
#ifndef CLSEQ_CORE_OVERLAP_H
#define CLSEQ_CORE_OVERLAP_H

#include <clseq/tensor.h>

/*
 * Runs of `length` elements that follow one another: run (i, j, ..) begins at offset + i * stride[0] + j * stride[1] + ..,
 * with as many indices as `dims` says. Counts and length are at least 1, offset and strides not negative, and all of it
 * lies within its buffer. Elements are of one size.
 */
typedef struct clseq__runs {
    cl_mem buffer;
    int64_t offset;
    int dims;
    int64_t count[CLSEQ_MAX_DIMS], stride[CLSEQ_MAX_DIMS];
    int64_t length;
} clseq__runs;

/* The bytes of a tensor: tensors of any types can be compared. */
clseq__runs clseq__runs_of(const clseq_tensor *tensor);

/* The place in the buffer behind the last element. */
int64_t clseq__runs_end(const clseq__runs *x);

/* Whether an element belongs to both. Costs a comparison where the buffers differ. */
bool clseq__runs_overlap(const clseq__runs *a, const clseq__runs *b);

/* Whether an element belongs to two runs of one view. */
bool clseq__runs_collide(const clseq__runs *x);

#endif
