/*
 * pointwise.h - operations element by element (cl/nn/pointwise_rows.h) in double, with the sizes that their errors are
 * multiples of.
 */
#ifndef CLSEQ_TESTS_REFERENCE_POINTWISE_H
#define CLSEQ_TESTS_REFERENCE_POINTWISE_H

#include "nn/pointwise_rows.h"

#include <stdbool.h>

typedef struct reference_point {
    double a, b, p, q;
    bool m;
} reference_point;

typedef struct reference_pointwise {
    double y, f[2];           /* the value, and its derivatives by a and b */
    double y_size, f_size[2]; /* of what is rounded on the way */
} reference_pointwise;

reference_pointwise reference_pointwise_at(int row, const reference_point *x);

/* What the table says of a row. */
typedef struct reference_pointwise_row {
    const char *name, *number; /* "leaky relu", "LEAKY_RELU" */
    int masked, inputs;
    int reads[2];
    double params[2];
} reference_pointwise_row;

extern const reference_pointwise_row reference_pointwise_rows[POINTWISE_COUNT];

typedef struct reference_pointwise_bounds {
    double y_error, f_error;
    double least[2], most[2]; /* of a and b */
} reference_pointwise_bounds;

extern const reference_pointwise_bounds reference_pointwise_bound[POINTWISE_COUNT];

#endif
