/*
 * What stands behind clseq_gemm: a table of implementations. gemm.c checks every argument, chooses one
 * implementation for each context and calls it; an implementation finds its arguments valid, `batch` at least
 * 1, and every packed operand made by itself.
 */
#ifndef CLSEQ_LINALG_GEMM_IMPL_H
#define CLSEQ_LINALG_GEMM_IMPL_H

#include "core/context.h"
#include <clseq/gemm.h>

/* A matrix, or one for each product, in the numbers that kernels and CLBlast take. Offsets and strides count floats. */
typedef struct clseq__matrix {
    cl_mem buffer;
    int64_t offset;         /* of the first matrix */
    int64_t rows, columns;  /* as stored */
    int64_t ld;             /* from one row to the next, at least `columns` */
    int64_t stride;         /* from one matrix to the next; 0: the same matrix */
    const int64_t *offsets; /* [batch] added to `offset` instead of multiples of `stride`; NULL: none */
    bool transpose;
    bool is_packed; /* op(X) in a layout of its implementation's own */
} clseq__matrix;

typedef struct clseq__product {
    int64_t m, n, k, batch;
    float alpha, beta;
    clseq__matrix a, b, c;
} clseq__product;

typedef struct clseq__gemm_implementation {
    const char *name; /* as CLSEQ_GEMM calls it */
    /* Whether the context's device suits it. */
    bool (*applicable)(const clseq_context *ctx);
    /* One line about how it will run there, for the log. */
    void (*describe)(const clseq_context *ctx, char *text, size_t size);
    clseq_status (*run)(clseq_context *ctx, const clseq__product *product);
    /* Sets packed->view, and makes packed->buffer the first time. */
    clseq_status (*pack)(clseq_packed *packed, const clseq__matrix *matrix);
    void (*unpack)(clseq_packed *packed); /* releases what `pack` made */
    /* Runs before a context that used it is released. */
    void (*leave)(clseq_context *ctx);
} clseq__gemm_implementation;

extern const clseq__gemm_implementation clseq__gemm_native;
extern const clseq__gemm_implementation clseq__gemm_clblast;

struct clseq_packed {
    clseq_context *ctx;
    const clseq__gemm_implementation *implementation;
    clseq_operand operand;
    bool transpose;
    int64_t rows, columns; /* of op(A) or op(B); -1 before the first `pack` */
    cl_mem buffer;         /* the implementation's own; NULL before the first `pack` */
    clseq__matrix view;    /* what products use */
};

/* Products [first, first + count) of a batch, as many of them as there are. Of a single product no offsets remain. */
clseq__product clseq__gemm_part(const clseq__product *product, int64_t first, int64_t count);

/*
 * Replaces parameters of one of CLBlast's routines ("GemmRoutine") on the context's device, for the process, from its
 * next call on. With XGEMM_MIN_INDIRECT_SIZE a test reaches both of its ways to multiply.
 */
clseq_status clseq__clblast_override(clseq_context *ctx, const char *routine, size_t count,
                                     const char **names, const size_t *values);

#endif
