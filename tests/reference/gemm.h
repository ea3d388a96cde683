/*
 * gemm.h - matrix product in double precision, row-major.
 *
 * C = alpha op(A) op(B) + beta C with op(A) [m,k], op(B) [k,n], C [m,n]; a transposed operand is stored as [k,m] or
 * [n,k]. Row r of a stored matrix begins at r*ld. With beta = 0, C is not read. `magnitude` [m,n], dense, receives
 * |alpha| sum|a b| + |beta c|, from which the error bound of a float product follows (support/bounds.h); NULL: not
 * wanted.
 */
#ifndef CLSEQ_TESTS_REFERENCE_GEMM_H
#define CLSEQ_TESTS_REFERENCE_GEMM_H

#include <stdbool.h>
#include <stddef.h>

typedef struct reference_matrix {
    const double *data;
    size_t ld;
    bool transpose;
} reference_matrix;

void reference_gemm(size_t m, size_t n, size_t k, double alpha, reference_matrix a, reference_matrix b,
                    double beta, double *c, size_t ldc, double *magnitude);

#endif
