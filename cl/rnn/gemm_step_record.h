/* What the kernels of the schedule gemm_step take beside their buffers. Sizes, strides and places count floats. */
#ifndef RNN_GEMM_STEP_RECORD_H
#define RNN_GEMM_STEP_RECORD_H

#include "core/record.h"
#include "rnn/cell_values.h"

/* States of a cell, at most. */
#define GEMM_STEP_STATES 4

/* A sequence [T,B,F], its elements side by side. `reverse`: it lies in the order of time, while the layer runs from
 * each row's end to its beginning. `add`: written with +=. */
#define GEMM_STEP_VIEW(M) \
    M(clseq_long, at)     \
    M(clseq_long, t)      \
    M(clseq_long, b)      \
    M(clseq_int, reverse) \
    M(clseq_int, add)
CLSEQ_RECORD(gemm_step_view, GEMM_STEP_VIEW);

/* A copy of a sequence, as gemm_step_layer in `lengths`. */
#define GEMM_STEP_COPY(M)   \
    M(clseq_long, T)        \
    M(clseq_long, B)        \
    M(clseq_long, F)        \
    M(clseq_long, lengths)  \
    M(gemm_step_view, from) \
    M(gemm_step_view, to)
CLSEQ_RECORD(gemm_step_copy, GEMM_STEP_COPY);

/* A layer in a pass: T, B, in, H, O; the steps from a state before a step to that after it; from one quantity to the next;
 * where in their buffers its things lie (host/rnn/gemm_step.h has their dims); x where it is tokens; and y or dy. */
#define GEMM_STEP_LAYER(M)                   \
    M(clseq_long, T)                         \
    M(clseq_long, B)                         \
    M(clseq_long, in)                        \
    M(clseq_long, H)                         \
    M(clseq_long, O)                         \
    M(clseq_long, next)                      \
    M(clseq_long, quantity)                  \
    M(clseq_long, lengths)                   \
    M(clseq_long, w_ih)                      \
    M(clseq_long, w_hh)                      \
    M(clseq_long, w_hr)                      \
    M(clseq_long, bias)                      \
    M(clseq_long, parameters)                \
    M(clseq_long, slots)                     \
    M(clseq_long, states[GEMM_STEP_STATES])  \
    M(clseq_long, quantities)                \
    M(clseq_long, m)                         \
    M(clseq_long, statistics)                \
    M(clseq_long, masked)                    \
    M(clseq_long, sequence)                  \
    M(clseq_long, dstates[GEMM_STEP_STATES]) \
    M(clseq_long, dquantities)               \
    M(clseq_long, dparameters)               \
    M(clseq_long, dm)                        \
    M(clseq_long, doutput)                   \
    M(clseq_long, dmasked)                   \
    M(cell_values, values)                   \
    M(gemm_step_view, tokens)                \
    M(gemm_step_view, output)
CLSEQ_RECORD(gemm_step_layer, GEMM_STEP_LAYER);

/* Rows of n numbers, ld apart, whose statistics go to places out_ld apart. */
#define GEMM_STEP_ROWS(M) \
    M(clseq_long, rows)   \
    M(clseq_long, n)      \
    M(clseq_long, ld)     \
    M(clseq_long, at)     \
    M(clseq_long, out_ld) \
    M(clseq_long, out_at)
CLSEQ_RECORD(gemm_step_rows, GEMM_STEP_ROWS);

#endif
