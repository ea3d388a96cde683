/*
 * guarded.h - device tensors with canaries around every row, so that a write to where nothing is shows.
 *
 *     guarded y = guarded_create(ctx, CLSEQ_DTYPE_F32, 3, (int64_t[]){T, B, H}, GUARDED_BY_ROW);
 *     guarded_poison(&y);
 *     ... a call that writes y.tensor ...
 *     float *got = guarded_read(&y);
 *     cr_assert(guarded_intact("y", &y), "%s", guarded_message());
 *     guarded_destroy(&y);
 *
 * A failing device call aborts the test. Tensors are of 4-byte elements, or of bytes: those are dense, begin at a multiple
 * of 64 and are poisoned with bytes of 255, which are NaN where somebody takes them for floats.
 */
#ifndef CLSEQ_TESTS_SUPPORT_GUARDED_H
#define CLSEQ_TESTS_SUPPORT_GUARDED_H

#include <clseq/tensor.h>

typedef enum guarded_layout {
    GUARDED_DENSE, /* packed, with canaries before and after */
    GUARDED_APART, /* also canaries between the rows */
    GUARDED_BY_ROW, /* as GUARDED_APART, and the first two dimensions, if there are, exchanged in memory: [T,B,F] as [B,T,F] */
    GUARDED_LAYOUTS
} guarded_layout;

typedef struct guarded {
    clseq_context *ctx;
    clseq_tensor tensor; /* what is under test; a buffer of NULL: not there */
    clseq_tensor whole;  /* the same memory with all canaries, 1-dimensional */
    int64_t n;           /* elements of `tensor` */
} guarded;

guarded guarded_create(clseq_context *ctx, clseq_dtype dtype, int ndim, const int64_t *dims,
                       guarded_layout layout);

/* Nothing happens to one that is not there. */
void guarded_destroy(guarded *g);

/* Every element, packed in row-major order; `values` has elements of the tensor's type. */
void guarded_write(const guarded *g, const void *values);
void guarded_write_doubles(const guarded *g, const double *values);

/* Every element becomes NaN, or 0. */
void guarded_poison(const guarded *g);
void guarded_zero(const guarded *g);

/* The elements in a new array of floats (bits of anything else); free() it. */
float *guarded_read(const guarded *g);

/* Whether all canaries live; one that is not there is intact. The message names the first dead one. */
bool guarded_intact(const char *name, const guarded *g);
const char *guarded_message(void);

/* Aborts the test with the sentence of the last failure unless `status` is CLSEQ_OK. */
void guarded_must(clseq_status status, const char *what);
#define MUST(call) guarded_must((call), #call)

#endif
