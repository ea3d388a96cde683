/* Records to try records with: members of every kind, and as many bytes as a kernel's arguments come to. */
#ifndef CLSEQ_TESTS_SUPPORT_RECORD_EXAMPLE_H
#define CLSEQ_TESTS_SUPPORT_RECORD_EXAMPLE_H

#include "core/record.h"

#define EXAMPLE_VIEWS 9

#define EXAMPLE_VIEW(M)   \
    M(clseq_long, at)     \
    M(clseq_long, stride) \
    M(clseq_int, rows)    \
    M(clseq_float, scale)
CLSEQ_RECORD(example_view, EXAMPLE_VIEW);

#define EXAMPLE_RECORD(M)                \
    M(clseq_long, first)                 \
    M(example_view, view[EXAMPLE_VIEWS]) \
    M(clseq_long, at[20])                \
    M(clseq_float, alpha)                \
    M(clseq_int, modes[3])               \
    M(example_view, last)
CLSEQ_RECORD(example_record, EXAMPLE_RECORD);

/* With holes: behind `one`, and at the end. */
#define EXAMPLE_HOLES(M)  \
    M(clseq_int, one)     \
    M(clseq_long, number) \
    M(clseq_int, two)
CLSEQ_RECORD(example_holes, EXAMPLE_HOLES);

#endif
