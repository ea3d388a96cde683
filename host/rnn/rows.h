/* Sequences [T,B,F] as rows of F numbers that lie side by side; their other strides are free. */
#ifndef CLSEQ_RNN_ROWS_H
#define CLSEQ_RNN_ROWS_H

#include <clseq/tensor.h>

/* to += from, two sequences of the same dims that share no element. */
clseq_status clseq__rows_add(clseq_context *ctx, const clseq_tensor *from, const clseq_tensor *to);

#endif
