/* Kernels that tests write themselves. */
#ifndef CLSEQ_TESTS_SUPPORT_KERNEL_H
#define CLSEQ_TESTS_SUPPORT_KERNEL_H

#include <clseq/context.h>

/* Runs `kernel void name(global int *y)` of a program with one work-item and returns y[0]; the test fails when it
 * cannot. */
int kernel_value(clseq_context *ctx, const char *file, const char *options, const char *name);

#endif
