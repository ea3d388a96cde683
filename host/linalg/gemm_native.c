/*
 * Matrix products of CPU devices: the kernels of cl/linalg/gemm.cl. Decides which operands are packed before,
 * how large the blocks are and how the work is dealt to the work-groups.
 */
#include "core/error.h"
#include "core/launch.h"
#include "core/pool.h"
#include "linalg/gemm_impl.h"
#include <stdio.h>

/* Depth of a block of op(B), in rows: a tile adds to C once for so many. */
#define BLOCK_DEPTH 512
/* Floats of a block of op(B): it stays in the second-level cache while all rows of A pass by. */
#define BLOCK_FLOATS (64 * 1024)
/* What packing op(B) costs, counted in rows of A that could be multiplied with it meanwhile. */
#define PACK_ROWS 16
/* Floats of packed A at a time, of a batch whose A is transposed. */
#define PACKED_A_FLOATS (16 * 1024 * 1024)
/* Rows of a panel that are packed as one unit of work; a multiple of every vector width. */
#define PACK_PIECE 256

/* As cl/linalg/gemm.cl numbers them. */
enum { B_PACKED, B_ROWS, B_TRANSPOSED };

#define FILE_NAME "linalg/gemm.cl"

static bool applicable(const clseq_context *ctx)
{
    return ctx->is_cpu;
}

static void describe(const clseq_context *ctx, char *text, size_t size)
{
    snprintf(text, size, "native kernels, %d floats a vector, %d registers, %d work-groups",
             ctx->vector_width, ctx->vector_registers, ctx->groups);
}

static int64_t round_up(int64_t x, int64_t to)
{
    return (x + to - 1) / to * to;
}

static int64_t at_most(int64_t x, int64_t limit)
{
    return x < limit ? x : limit;
}

/* Elements from one row of a packed A to the next: whole vectors, and no power of two, which caches dislike. */
static int64_t packed_ld(const clseq_context *ctx, int64_t k)
{
    return round_up(k, ctx->vector_width) + ctx->vector_width;
}

/* `count` floats of scratch. */
static clseq_status get_floats(clseq_context *ctx, int64_t count, cl_mem *out)
{
    if (count > INT64_MAX / (int64_t)sizeof(float))
        return clseq__error(CLSEQ_OUT_OF_DEVICE_MEMORY, "gemm: %lld floats of scratch are too many",
                            (long long)count);
    return clseq__pool_get(ctx, (size_t)count * sizeof(float), "gemm: scratch", out);
}

/* op(A) [m,k] of each product to plain rows in `to`, packed_ld apart. */
static clseq_status pack_a(clseq_context *ctx, const clseq_matrix *a, int64_t m, int64_t k, int64_t batch,
                           cl_mem to)
{
    clseq__kernel *kernel = NULL;
    CLSEQ__RETURN_IF(clseq__kernel_get(ctx, FILE_NAME, NULL, "gemm_pack_a", &kernel));
    int64_t units = batch * ((m + ctx->vector_width - 1) / ctx->vector_width);
    return clseq__launch(ctx, kernel, CLSEQ__GRID1((size_t)at_most(units, ctx->groups), 1),
                         CLSEQ__ARGS(CLSEQ__L(m), CLSEQ__L(k), CLSEQ__L(batch), CLSEQ__I(a->transpose),
                                     CLSEQ__M(a->buffer), CLSEQ__L(a->offset), CLSEQ__L(a->ld),
                                     CLSEQ__L(a->stride), CLSEQ__M(to), CLSEQ__L(packed_ld(ctx, k))));
}

/* op(B) [k,n] to panels in `to`. */
static clseq_status pack_b(clseq_context *ctx, const clseq_matrix *b, int64_t k, int64_t n, cl_mem to)
{
    clseq__kernel *kernel = NULL;
    CLSEQ__RETURN_IF(clseq__kernel_get(ctx, FILE_NAME, NULL, "gemm_pack_b", &kernel));
    int64_t panels = (n + ctx->vector_width - 1) / ctx->vector_width;
    int64_t units = panels * ((k + PACK_PIECE - 1) / PACK_PIECE);
    return clseq__launch(ctx, kernel, CLSEQ__GRID1((size_t)at_most(units, ctx->groups), 1),
                         CLSEQ__ARGS(CLSEQ__L(k), CLSEQ__L(n), CLSEQ__I(b->transpose ? B_TRANSPOSED : B_ROWS),
                                     CLSEQ__M(b->buffer), CLSEQ__L(b->offset), CLSEQ__L(b->ld), CLSEQ__M(to),
                                     CLSEQ__L(PACK_PIECE)));
}

/* How the work of a product is cut: parts of rows by parts of columns, and blocks of op(B) inside a part. */
typedef struct cut {
    int64_t gm, gn, kc, nc;
} cut;

static cut cut_of(const clseq_context *ctx, const clseq_gemm_args *x)
{
    const int64_t width = ctx->vector_width, panels = (x->n + width - 1) / width;
    const int64_t tile = width * (ctx->vector_registers >= 32 ? 4 : 2);
    const int64_t parts = (ctx->groups + x->batch - 1) / x->batch;
    cut best = {1, 1, 0, 0};
    int64_t least = INT64_MAX;
    for (int64_t gm = 1; gm <= at_most(parts, x->m); gm++) {
        int64_t gn = at_most(parts / gm, panels);
        int64_t rows = (x->m + gm - 1) / gm + (x->b.packed ? 0 : PACK_ROWS), columns = (panels + gn - 1) / gn;
        if (rows <= least / columns && rows * columns < least) {
            least = rows * columns;
            best.gm = gm;
            best.gn = gn;
        }
    }
    int64_t depths = (x->k + BLOCK_DEPTH - 1) / BLOCK_DEPTH;
    best.kc = round_up((x->k + depths - 1) / depths, width);
    best.nc = BLOCK_FLOATS / best.kc / tile * tile;
    if (best.nc > round_up(x->n, tile))
        best.nc = round_up(x->n, tile);
    return best;
}

/* One launch for products whose A is in plain rows. */
static clseq_status multiply(clseq_context *ctx, const clseq_gemm_args *x)
{
    clseq_status status = CLSEQ_OK;
    clseq__kernel *kernel = NULL;
    cl_mem scratch = NULL;
    const clseq_matrix *a = &x->a, *b = clseq__gemm_view(&x->b), *c = &x->c;
    const int mode = x->b.packed ? B_PACKED : b->transpose ? B_TRANSPOSED : B_ROWS;
    const cut by = cut_of(ctx, x);
    const int64_t groups = at_most(x->batch * by.gm * by.gn, ctx->groups);
    CLSEQ__TRY(clseq__kernel_get(ctx, FILE_NAME, NULL, "gemm_product", &kernel));
    if (mode != B_PACKED)
        CLSEQ__TRY(get_floats(ctx, groups * by.kc * by.nc, &scratch));
    CLSEQ__TRY(clseq__launch(
        ctx, kernel, CLSEQ__GRID1((size_t)groups, 1),
        CLSEQ__ARGS(CLSEQ__L(x->m), CLSEQ__L(x->n), CLSEQ__L(x->k), CLSEQ__L(x->batch), CLSEQ__F(x->alpha),
                    CLSEQ__F(x->beta), CLSEQ__M(a->buffer), CLSEQ__L(a->offset), CLSEQ__L(a->ld),
                    CLSEQ__L(a->stride), CLSEQ__I(mode), CLSEQ__M(b->buffer), CLSEQ__L(b->offset),
                    CLSEQ__L(b->ld), CLSEQ__L(b->stride), CLSEQ__M(c->buffer), CLSEQ__L(c->offset),
                    CLSEQ__L(c->ld), CLSEQ__L(c->stride), CLSEQ__M(scratch ? scratch : b->buffer),
                    CLSEQ__L(by.gm), CLSEQ__L(by.gn), CLSEQ__L(by.kc), CLSEQ__L(by.nc))));
done:
    clseq__pool_put(ctx, scratch);
    return status;
}

/* Products whose matrices lie at regular strides. */
static clseq_status run_strided(clseq_context *ctx, const clseq_gemm_args *x)
{
    clseq_status status = CLSEQ_OK;
    clseq_gemm_args product = *x;
    cl_mem rows = NULL;
    product.a = *clseq__gemm_view(&x->a);
    if (product.a.transpose) {
        const int64_t ld = packed_ld(ctx, x->k);
        CLSEQ__TRY(get_floats(ctx, x->batch * x->m * ld, &rows));
        CLSEQ__TRY(pack_a(ctx, &product.a, x->m, x->k, x->batch, rows));
        product.a = (clseq_matrix){.buffer = rows, .ld = ld, .stride = x->m * ld};
    }
    CLSEQ__TRY(multiply(ctx, &product));
done:
    clseq__pool_put(ctx, rows);
    return status;
}

static clseq_status run(clseq_context *ctx, const clseq_gemm_args *x)
{
    int64_t count = x->batch;
    if (x->a.transpose && !x->a.packed)
        count = PACKED_A_FLOATS / x->m / packed_ld(ctx, x->k);
    if (count < 1 || x->a.offsets || x->b.offsets || x->c.offsets)
        count = 1;
    for (int64_t first = 0; first < x->batch; first += count) {
        clseq_gemm_args part = clseq__gemm_part(x, first, count);
        CLSEQ__RETURN_IF(run_strided(ctx, &part));
    }
    return CLSEQ_OK;
}

static clseq_status pack(clseq_packed *packed, const clseq_matrix *matrix)
{
    clseq_context *ctx = packed->ctx;
    const bool is_a = packed->operand == CLSEQ_OPERAND_A;
    const int64_t ld = is_a ? packed_ld(ctx, packed->columns) : ctx->vector_width;
    clseq_matrix x = *matrix;
    if (x.offsets)
        x.offset += x.offsets[0];
    if (!packed->buffer) {
        int64_t rows = is_a ? packed->rows : packed->rows * (round_up(packed->columns, ld) / ld);
        if (rows > INT64_MAX / ld)
            return clseq__error(CLSEQ_OUT_OF_DEVICE_MEMORY, "gemm pack: [%lld,%lld] is too large",
                                (long long)packed->rows, (long long)packed->columns);
        CLSEQ__RETURN_IF(get_floats(ctx, rows * ld, &packed->buffer));
        packed->view = (clseq_matrix){.buffer = packed->buffer, .ld = ld};
    }
    return is_a ? pack_a(ctx, &x, packed->rows, packed->columns, 1, packed->buffer)
                : pack_b(ctx, &x, packed->rows, packed->columns, packed->buffer);
}

static void unpack(clseq_packed *packed)
{
    clseq__pool_put(packed->ctx, packed->buffer);
}

static void leave(clseq_context *ctx)
{
    (void)ctx;
}

const clseq__gemm_implementation clseq__gemm_native = {"native", applicable, describe, run,
                                                       pack,     unpack,     leave};
