/* along.h - the shapes that operations along a dim are tested with. */
#ifndef CLSEQ_TESTS_SUPPORT_ALONG_H
#define CLSEQ_TESTS_SUPPORT_ALONG_H

#include "reference/along.h"

#include <clseq/tensor.h>

typedef struct along_shape {
    int ndim;
    int64_t dims[CLSEQ_MAX_DIMS];
    int dim; /* negative: from behind */
} along_shape;

/* Number i, the small ones first; NULL when there are no more. On slow devices only the small ones. */
const along_shape *along_shape_at(size_t i);

reference_along along_reference(const along_shape *s);

#endif
