/*
 * What kernels of attention take beside their buffers, and constants of kernels and host, C and OpenCL C. Places and strides
 * count floats, from the beginning of the buffer that the kernel names.
 */
#ifndef ATTENTION_RECORD_H
#define ATTENTION_RECORD_H

#include "core/record.h"

/* Work-items that a group has on a GPU. */
#define ATTENTION_GROUP_GPU 64
/* Sums that are made side by side, so that one does not wait for its own last addition, and the floats of local memory that a
 * group of so many work-items makes them in. */
#define ATTENTION_SIDE 4
#define ATTENTION_ITEMS(group) (ATTENTION_SIDE * (group))
/* Features of a row in the kernels' own order are filled up with zeros to a multiple of so many: of every vector's width. */
#define ATTENTION_ROW 16
/* Which keys count: window kinds, as clseq_attention_window numbers them. */
#define ATTENTION_GLOBAL 0
#define ATTENTION_MONOTONIC 1
#define ATTENTION_PREDICTED 2

/* Rows (i,j) at `at` + i stride[0] + j stride[1], features side by side. */
#define ATTENTION_ROWS(M) \
    M(clseq_long, at)     \
    M(clseq_long, stride[2])
CLSEQ_RECORD(attention_rows, ATTENTION_ROWS);

/*
 * Queries (t,b), t counted from the call's first one, and keys (b,s), with `units` features as the score sees them, a multiple
 * of ATTENTION_ROW; values (b,s), contexts (t,b) and their gradients with `value` features.
 *
 *   vector      [units]     v of additive scores
 *   counts      [B][S] i32  whether a key counts, and
 *   lengths     [B] i32     keys of a row, behind which none does
 *   alignment   (t,b)       S numbers
 *   given       (t,b)       the caller's: alignments to write, or their gradients; `has_given`: there are any
 *   centres     (t,b)       one number
 *   carried     (b)         S numbers that are added to the alignment's gradient; `has_carried`: there are any
 */
#define ATTENTION_RECORD(M)      \
    M(clseq_long, T)             \
    M(clseq_long, S)             \
    M(clseq_long, B)             \
    M(clseq_long, value)         \
    M(clseq_long, units)         \
    M(clseq_long, first)         \
    M(clseq_long, radius)        \
    M(clseq_long, vector)        \
    M(clseq_long, counts)        \
    M(clseq_long, lengths)       \
    M(clseq_long, dvector)       \
    M(clseq_long, carried)       \
    M(attention_rows, queries)   \
    M(attention_rows, keys)      \
    M(attention_rows, values)    \
    M(attention_rows, context)   \
    M(attention_rows, alignment) \
    M(attention_rows, given)     \
    M(attention_rows, centres)   \
    M(attention_rows, dscores)   \
    M(attention_rows, dqueries)  \
    M(attention_rows, dkeys)     \
    M(clseq_int, window)         \
    M(clseq_int, has_given)      \
    M(clseq_int, has_carried)    \
    M(clseq_int, fresh)          \
    M(clseq_float, rate)         \
    M(clseq_float, sharpness)
CLSEQ_RECORD(attention_record, ATTENTION_RECORD);

/* A convolution of the location: channels [C,width] over `before` [B][S]; features [B][S][C]. */
#define ATTENTION_LOCATION(M) \
    M(clseq_long, S)          \
    M(clseq_long, B)          \
    M(clseq_long, C)          \
    M(clseq_long, width)      \
    M(clseq_long, filter)     \
    M(clseq_long, before)     \
    M(clseq_long, features)   \
    M(clseq_long, out)
CLSEQ_RECORD(attention_location, ATTENTION_LOCATION);

#endif
