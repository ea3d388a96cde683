/* For cl/linalg/reduce.cl and host/linalg/reduce.c: C and OpenCL C. */
#ifndef LINALG_REDUCE_BLOCK_H
#define LINALG_REDUCE_BLOCK_H

/* Columns that a work-item of a CPU sums side by side: as many as stay in the first-level cache, each row of them in one
 * unbroken run. */
#define CPU_COLUMNS 512

#endif
