/*
 * gemm_case.h - one matrix product, or a batch, run through clseq_gemm and compared with the reference.
 *
 * Everything around the matrices is hostile: between the rows, before, between and after the matrices A and B hold NaN
 * and C holds canaries; with beta 0 the matrices C hold NaN as well. Each case is run twice and must give the same bits.
 */
#ifndef CLSEQ_TESTS_SUPPORT_GEMM_CASE_H
#define CLSEQ_TESTS_SUPPORT_GEMM_CASE_H

#include "support/random.h"

#include <clseq/gemm.h>

/* Where the matrices of a batch lie. */
typedef enum gemm_spread {
    GEMM_DENSE,    /* one after another */
    GEMM_GAPS,     /* with a gap between them */
    GEMM_SAME,     /* one for all: of two dims, transposed of three (A and B; C is dense then) */
    GEMM_SCATTERED /* by an array of offsets, in another order */
} gemm_spread;

typedef struct gemm_operand_case {
    int64_t offset;
    int64_t pad; /* added to the least leading dimension */
    gemm_spread spread;
    bool transpose, packed; /* A and B only */
} gemm_operand_case;

typedef struct gemm_case {
    int64_t m, n, k, batch;
    float alpha, beta;
    gemm_operand_case a, b, c;
} gemm_case;

/* Fails the test unless the case gives what it must; `random` draws the numbers. */
void gemm_case_check(clseq_context *ctx, const gemm_case *test, test_random *random);

/*
 * A context whose products run by this implementation, with this width of vectors (0: the device's own); NULL when the
 * device cannot do it, which only native on something other than a CPU may, or in Oclgrind, and for widths that are not
 * the device's where only small tests run. Beside "native" and "clblast" there is
 * "clblast indirect": CLBlast copies operands and uses its other kernel at every size, as it does on GPUs from a few
 * hundred on. Changes the process's environment and CLBlast's parameters: one implementation a test, this one last.
 */
clseq_context *gemm_case_context(const char *implementation, int width);

#endif
