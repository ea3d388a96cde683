#include "support/gemm_case.h"

#include "linalg/gemm_impl.h"
#include "reference/gemm.h"
#include "support/bounds.h"
#include "support/compare.h"
#include "support/device.h"
#include "support/numeric.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CANARY 4711.0f
#define MARGIN 19 /* elements after the last matrix */
#define GAP 5     /* elements between matrices with GEMM_GAPS */
#define FIRST 3   /* least of the offsets of GEMM_SCATTERED */

/* The matrices of one operand in host memory, the view of them, and where each begins. */
typedef struct operand {
    float *values;
    size_t size;
    int64_t rows, columns; /* as stored */
    int64_t *offsets;      /* [batch] */
    const int64_t *placed; /* `offsets` where the product is to take them, else NULL */
    int64_t ld;
    clseq_tensor tensor; /* all of it */
    clseq_tensor matrix; /* the first one, or the batch */
    clseq_packed *packed;
} operand;

static void fail(const gemm_case *t, const char *what)
{
    fprintf(stderr,
            "gemm case m %lld n %lld k %lld batch %lld alpha %g beta %g; offset, pad, spread, transposed, "
            "packed: a %lld "
            "%lld %d %d %d, b %lld %lld %d %d %d, c %lld %lld %d: %s\n",
            (long long)t->m, (long long)t->n, (long long)t->k, (long long)t->batch, t->alpha, t->beta,
            (long long)t->a.offset, (long long)t->a.pad, t->a.spread, t->a.transpose, t->a.packed,
            (long long)t->b.offset, (long long)t->b.pad, t->b.spread, t->b.transpose, t->b.packed,
            (long long)t->c.offset, (long long)t->c.pad, t->c.spread, what);
    abort();
}

static void check(const gemm_case *t, clseq_status status)
{
    if (status != CLSEQ_OK)
        fail(t, clseq_last_error());
}

/* A batch has three dims, but for one matrix for all products that is not transposed; a single matrix two, but for one that
 * is followed by a gap. */
static void view(operand *x, const gemm_operand_case *by, int64_t batch, int64_t stride)
{
    const bool same = by->spread == GEMM_SAME && !by->transpose;
    const int first = batch > 1 ? !same : by->spread == GEMM_GAPS;
    const int64_t dims[] = {batch, x->rows, x->columns};
    x->matrix = clseq_tensor_view(NULL, by->offset, CLSEQ_DTYPE_F32, first + 2, dims + !first);
    x->matrix.strides[first] = x->ld;
    if (first)
        x->matrix.strides[0] = x->placed ? -1 : stride;
}

/* Lays the matrices out; everything is `around`. */
static void lay_out(operand *x, const gemm_operand_case *by, int64_t rows, int64_t columns, int64_t batch,
                    float around)
{
    const int64_t ld = columns + by->pad, size = rows * ld;
    const int64_t stride = by->spread == GEMM_SAME ? 0 : by->spread == GEMM_DENSE ? size : size + GAP;
    x->rows = rows;
    x->columns = columns;
    x->offsets = calloc((size_t)batch, sizeof *x->offsets);
    const int64_t first = by->spread == GEMM_SCATTERED ? FIRST : 0;
    x->size = (size_t)(by->offset + first + stride * (batch - 1) + size + MARGIN);
    x->values = test_floats(x->size);
    for (size_t i = 0; i < x->size; i++)
        x->values[i] = around;
    for (int64_t i = 0; i < batch; i++)
        x->offsets[i] = first + stride * (by->spread == GEMM_SCATTERED ? batch - 1 - i : i);
    x->placed = by->spread == GEMM_SCATTERED ? x->offsets : NULL;
    x->ld = ld;
    view(x, by, batch, stride);
}

static float *at(const operand *x, int64_t product)
{
    return x->values + x->matrix.offset + x->offsets[product];
}

static void fill(operand *x, int64_t batch, test_random *random)
{
    for (int64_t i = 0; i < batch; i++)
        for (int64_t r = 0; r < x->rows; r++)
            test_random_fill_float(random, at(x, i) + r * x->ld, (size_t)x->columns, -1, 1);
}

static void upload(clseq_context *ctx, const gemm_case *t, operand *x)
{
    check(t, clseq_tensor_create(ctx, CLSEQ_DTYPE_F32, 1, (int64_t[]){(int64_t)x->size}, &x->tensor));
    check(t, clseq_tensor_write(ctx, &x->tensor, x->values));
    x->matrix.buffer = x->tensor.buffer;
}

static void release(clseq_context *ctx, operand *x)
{
    clseq_packed_destroy(x->packed);
    clseq_tensor_destroy(ctx, &x->tensor);
    free(x->values);
    free(x->offsets);
}

/* Packs the operand, at first from an empty matrix, so that taking the values anew is tested as well. */
static void pack(clseq_context *ctx, const gemm_case *t, operand *x, clseq_operand which, bool transpose)
{
    x->matrix.offset += x->placed ? x->placed[0] : 0;
    operand empty = *x;
    empty.values = test_floats(x->size);
    upload(ctx, t, &empty);
    check(t, clseq_gemm_pack(ctx, which, &empty.matrix, transpose, &x->packed));
    check(t, clseq_gemm_repack(x->packed, &x->matrix));
    clseq_tensor_destroy(ctx, &empty.tensor);
    free(empty.values);
}

/* What C must be after product i, and how far it may be from that. */
static void reference(const gemm_case *t, const operand *a, const operand *b, const operand *c, int64_t i,
                      double *want, double *bound)
{
    const int64_t a_ld = a->columns + t->a.pad, b_ld = b->columns + t->b.pad;
    double *ad = test_doubles_of(a->values + t->a.offset + a->offsets[i], (size_t)(a->rows * a_ld));
    double *bd = test_doubles_of(b->values + t->b.offset + b->offsets[i], (size_t)(b->rows * b_ld));
    for (int64_t r = 0; r < t->m; r++)
        for (int64_t j = 0; j < t->n; j++)
            want[r * t->n + j] = at(c, i)[r * c->ld + j];
    reference_gemm((size_t)t->m, (size_t)t->n, (size_t)t->k, t->alpha,
                   (reference_matrix){ad, (size_t)a_ld, t->a.transpose},
                   (reference_matrix){bd, (size_t)b_ld, t->b.transpose}, t->beta, want, (size_t)t->n, bound);
    for (int64_t e = 0; e < t->m * t->n; e++)
        bound[e] = test_gemm_bound((double)t->k, bound[e]);
    free(ad);
    free(bd);
}

/* Compares product i of `got`, and puts canaries in its place. */
static void compare(const gemm_case *t, const operand *a, const operand *b, const operand *c, int64_t i,
                    float *got)
{
    const size_t size = (size_t)(t->m * t->n);
    double *want = test_doubles(size), *bound = test_doubles(size);
    float *dense = test_floats(size), *from = got + t->c.offset + c->offsets[i];
    reference(t, a, b, c, i, want, bound);
    for (int64_t r = 0; r < t->m; r++)
        for (int64_t j = 0; j < t->n; j++) {
            dense[r * t->n + j] = from[r * c->ld + j];
            from[r * c->ld + j] = CANARY;
        }
    if (!compare_floats_each("c", dense, want, size, bound))
        fail(t, compare_message());
    free(want);
    free(bound);
    free(dense);
}

static float *run(clseq_context *ctx, const gemm_case *t, const operand *a, const operand *b,
                  const operand *c)
{
    const clseq_gemm_desc desc = {.transpose_a = t->a.transpose,
                                  .transpose_b = t->b.transpose,
                                  .packed_a = a->packed,
                                  .packed_b = b->packed,
                                  .offsets_a = a->placed,
                                  .offsets_b = b->placed,
                                  .offsets_c = c->placed};
    float *got = test_floats(c->size);
    check(t, clseq_tensor_write(ctx, &c->tensor, c->values));
    check(t, clseq_gemm(ctx, &desc, t->alpha, a->packed ? NULL : &a->matrix, b->packed ? NULL : &b->matrix,
                        t->beta, &c->matrix));
    check(t, clseq_tensor_read(ctx, &c->tensor, got));
    return got;
}

void gemm_case_check(clseq_context *ctx, const gemm_case *t, test_random *random)
{
    operand a = {0}, b = {0}, c = {0};
    gemm_operand_case by_c = t->c;
    if (by_c.spread == GEMM_SAME)
        by_c.spread = GEMM_DENSE;
    lay_out(&a, &t->a, t->a.transpose ? t->k : t->m, t->a.transpose ? t->m : t->k, t->batch, NAN);
    lay_out(&b, &t->b, t->b.transpose ? t->n : t->k, t->b.transpose ? t->k : t->n, t->batch, NAN);
    lay_out(&c, &by_c, t->m, t->n, t->batch, CANARY);
    fill(&a, t->batch, random);
    fill(&b, t->batch, random);
    fill(&c, t->batch, random);
    for (int64_t i = 0; t->beta == 0 && i < t->batch; i++)
        for (int64_t e = 0; e < t->m * t->n; e++)
            at(&c, i)[e / t->n * c.ld + e % t->n] = NAN;
    upload(ctx, t, &a);
    upload(ctx, t, &b);
    upload(ctx, t, &c);
    if (t->a.packed)
        pack(ctx, t, &a, CLSEQ_OPERAND_A, t->a.transpose);
    if (t->b.packed)
        pack(ctx, t, &b, CLSEQ_OPERAND_B, t->b.transpose);

    float *first = run(ctx, t, &a, &b, &c), *second = run(ctx, t, &a, &b, &c);
    if (!compare_bits("second run", second, first, c.size))
        fail(t, compare_message());
    for (int64_t i = 0; i < t->batch; i++)
        compare(t, &a, &b, &c, i, first);
    for (size_t i = 0; i < c.size; i++) {
        if (first[i] != CANARY)
            fail(t, "an element around C was written");
    }
    free(first);
    free(second);
    release(ctx, &a);
    release(ctx, &b);
    release(ctx, &c);
}

clseq_context *gemm_case_context(const char *implementation, int width)
{
    static const char *names[] = {"XGEMM_MIN_INDIRECT_SIZE"};
    static const size_t values[] = {1};
    const bool indirect = strcmp(implementation, "clblast indirect") == 0;
    char text[16];
    snprintf(text, sizeof text, "%d", width);
    setenv("CLSEQ_GEMM", indirect ? "clblast" : implementation, 1);
    if (width > 0 &&
        !test_small()) /* slow devices keep their own: other widths take them minutes to compile */
        setenv("CLSEQ_VECTOR_WIDTH", text, 1);
    clseq_context *ctx = test_context();
    /* Oclgrind says of CLBlast's own kernel for batches that it reads padding which nobody wrote. */
    const bool blind = indirect && strstr(clseq_context_device(ctx)->platform_name, "Oclgrind");
    const bool native = strcmp(implementation, "native") == 0;
    if (blind || (native && (!ctx->traits.is_cpu || (width > 0 && ctx->traits.vector_width != width)))) {
        clseq_context_destroy(ctx);
        return NULL;
    }
    if (indirect && clseq__clblast_override(ctx, "GemmRoutine", 1, names, values) != CLSEQ_OK) {
        fprintf(stderr, "%s\n", clseq_last_error());
        abort();
    }
    return ctx;
}
