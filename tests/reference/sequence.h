/*
 * sequence.h - rows of steps x [T,B,F] in double precision; the first lengths[b] steps of row b are there, all T where lengths
 * is NULL. Gradients are written (=).
 */
#ifndef CLSEQ_TESTS_REFERENCE_SEQUENCE_H
#define CLSEQ_TESTS_REFERENCE_SEQUENCE_H

#include <stddef.h>
#include <stdint.h>

typedef struct reference_sequence {
    size_t T, B, F;
    const int32_t *lengths;
} reference_sequence;

/* The length of row b, within 0..T. */
size_t reference_length(const reference_sequence *s, size_t b);

/* The steps that are there in reverse order, the others as they are. Backward is the same. */
void reference_reverse(const reference_sequence *s, const double *x, double *y);

/* y [B,F], 0 where there are no steps; as clseq_over_time of the library counts them. */
typedef enum reference_over_time { REFERENCE_LAST, REFERENCE_MEAN, REFERENCE_MAX } reference_over_time;

void reference_over_time_forward(const reference_sequence *s, reference_over_time kind, const double *x,
                                 double *y);
void reference_over_time_backward(const reference_sequence *s, reference_over_time kind, const double *x,
                                  const double *dy, double *dx);

/* The first step where the largest of x[:,b,f] stands, NaN being larger than all; -1 where there are none. */
int32_t reference_largest_step(const reference_sequence *s, const double *x, size_t b, size_t f);

#endif
