/*
 * operand.h - arguments of an operation under test: a guarded tensor on the device beside its values on the host.
 *
 *     operand x = operand_random(ctx, &random, 2, (int64_t[]){N, F}, -2, 2);
 *     operand y = operand_output(ctx, 2, x.g.tensor.dims);
 *     MUST(clseq_...(ctx, &x.g.tensor, &y.g.tensor));
 *     operand_check("y", &y, want, bounds);
 *
 * and contexts of each shape of kernels that the device can run:
 *
 *     clseq_context *ctx;
 *     for (int shape = 0; (ctx = test_context_shape(shape)) != NULL; shape++)
 */
#ifndef CLSEQ_TESTS_SUPPORT_OPERAND_H
#define CLSEQ_TESTS_SUPPORT_OPERAND_H

#include "guarded.h"
#include "random.h"

typedef struct operand {
    guarded g;
    size_t n;
    double *values; /* what was written last, exactly */
} operand;

/* Uniform values in [low, high). */
operand operand_random(clseq_context *ctx, test_random *random, int ndim, const int64_t *dims, double low,
                       double high);

/* An i32 tensor with these values. */
guarded operand_tokens(clseq_context *ctx, int ndim, const int64_t *dims, const int32_t *values);

/* NaN everywhere: what an operation has to write. */
operand operand_output(clseq_context *ctx, int ndim, const int64_t *dims);

/* Writes `values` again, or NaN where they are NULL. */
void operand_reset(operand *x);

void operand_destroy(operand *x);

/*
 * The tensor's elements are `want` within a bound for each, and nothing around it was touched; otherwise the test aborts
 * with a message. operand_check_bits asks for the same bits.
 */
void operand_check(const char *name, const operand *x, const double *want, const double *bounds);
void operand_check_bits(const char *name, const operand *x, const float *want);

/*
 * Context number `shape`, NULL when there are no more: the device as it is; on a CPU also with the kernels that GPUs get,
 * so that these are tested on machines without one.
 */
clseq_context *test_context_shape(int shape);

#endif
